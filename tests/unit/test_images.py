from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from checks.build import test_images as controls
from hullcheck import facts
from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.docker.api import Api
from hullcheck.facts.images import moment, parse_reference
from hullcheck.facts.origins import approved
from tests.unit.image_fake import (
    ADDRESS,
    CUT,
    described,
    findings,
    image_host,
    number,
    one,
    step,
    used,
)

DIGEST = f"sha256:{'d' * 64}"


def images(*args, **more):
    return facts.get(image_host(*args, **more), "images")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("acme/app", "docker.io/acme/app:latest"),
        ("index.docker.io/acme/app:2", "docker.io/acme/app:2"),
        ("localhost/app", "localhost/app:latest"),
        ("reg.example:5000/app", "reg.example:5000/app:latest"),
        ("reg.example/a/b/c:x", "reg.example/a/b/c:x"),
        (f"nginx@{DIGEST}", f"docker.io/library/nginx@{DIGEST}"),
        (f"nginx:1@{DIGEST}", f"docker.io/library/nginx:1@{DIGEST}"),
    ],
)
def test_a_name_means_what_it_means_to_docker(text, meant):
    assert str(parse_reference(text)) == meant


@pytest.mark.parametrize(
    ("repository", "allowed", "holds"),
    [
        ("reg.example:5000/app", "reg.example:5000", True),
        ("reg.example:5000.evil/app", "reg.example:5000", False),
        ("docker.io/library/nginx", "docker.io/library", True),
        ("docker.io/library/nginx", "docker.io", True),
        ("docker.io/library/nginx", "nginx", True),
        ("docker.io/library/nginx-evil", "docker.io/library/nginx", False),
        ("docker.io/acme/app", "acme/app:2", True),
        ("ghcr.io/acme/app", "ghcr.io/acme/*", True),
        ("ghcr.io/acme-evil/app", "ghcr.io/acme", False),
        ("ghcr.io/acme/app", "ghcr.io/acme/app:1@sha256:1", True),
    ],
)
def test_a_registry_or_a_part_of_it_is_approved_as_a_whole_name(repository, allowed, holds):
    assert approved(repository, [allowed]) is holds


def test_an_image_is_named_by_its_tag_its_repository_or_its_id():
    untagged = {"RepoTags": ["<none>:<none>"], "RepoDigests": ["<none>@<none>"]}
    pulled = {"RepoTags": [], "RepoDigests": [f"nginx@{DIGEST}"]}
    found = images([described("app"), described("b", **untagged), described("c", **pulled)])
    assert [str(each) for each in found] == ["app:1", number("b")[7:19], "nginx@dddddddddddd"]


def test_an_image_knows_its_containers_and_when_it_was_built():
    stopped = {"State": {"Running": False, "Pid": 0}}
    found = images([described("app"), described("b")], [used("app", **stopped), used("app", "w2")])
    app, other = found
    assert [each["Name"] for each in app.containers] == ["/web", "/w2"]
    assert (app.running, other.running, other.containers) == (True, False, [])
    assert app.created == datetime(2026, 11, 20, 10, 0, 0, 123456, UTC)


@pytest.mark.parametrize(
    "created", ["", "0001-01-01T00:00:00Z", "1970-01-01T00:00:01Z", "1980-01-01T00:00:00Z", "soon"]
)
def test_an_image_that_is_the_same_each_time_has_no_date(created):
    assert images([described("app", Created=created)])[0].created is None


def test_moment_reads_what_engines_write():
    found = moment("2026-11-20T10:00:00.123456789+01:00")
    assert found == datetime(2026, 11, 20, 9, 0, 0, 123456, UTC)
    assert moment("0001-01-01T00:00:00Z") is None


def test_an_image_that_is_not_listed_but_run_is_asked_for():
    """One with children and without a name is hidden from docker image ls."""
    api = Api(None, ADDRESS, True)
    (hidden,) = [number("hidden")]
    question = _further(api, [hidden])
    also = {question: json.dumps([{"Id": hidden, "RepoTags": []}])}
    found = images([described("app")], [used("hidden")], answers=also)
    assert [(each.id, each.running) for each in found] == [
        (number("app"), False), (hidden, True),
    ]  # fmt: skip


def test_a_container_of_a_manifest_belongs_to_the_index_that_it_is_in():
    """Where containerd keeps images, an id is that of an index of several platforms."""
    index = described("index")
    also = {_further(None, [number("manifest")]): json.dumps([index])}
    (only,) = images([index], [used("manifest")], answers=also)
    assert (only.id, only.running) == (number("index"), True)


def _further(api, ids):
    return f"DOCKER_CONFIG=/nonexistent docker -H {ADDRESS} image inspect {' '.join(ids)}"


def test_since_docker_29_untagged_images_are_asked_for():
    asked = Api(None, ADDRESS, True).images_want().command
    assert "image ls -q --no-trunc && " in asked
    assert "image ls -aq --no-trunc -f dangling=true" in asked


def test_history_begins_with_the_first_step_and_keeps_long_commands():
    long = "RUN /bin/sh -c " + "x" * 5000
    (app,) = images([described("app")], histories={"app": ["ADD a /", long]})
    assert [each.created_by for each in app.history] == ["ADD a /", long]
    assert [each.empty_layer for each in app.history] == [False, False]


def test_histories_of_many_images_are_few_bounded_commands():
    wants = Api(None, ADDRESS, True).history_wants([number(str(each)) for each in range(60)])
    assert len(wants) == 3
    assert all("head -c" in each.command and len(each.command) < 4000 for each in wants)
    assert all("curl" in each.command and "docker -H" in each.command for each in wants)
    every = [described(f"image{each}") for each in range(60)]
    steps = {f"image{each}": [f"RUN echo {each}"] for each in range(60)}
    found = images(every, histories=steps)
    assert found[59].history[0].created_by == "RUN echo 59"


def test_without_dockers_client_the_api_tells_the_same():
    (app,) = images([described("app")], histories={"app": ["RUN x"]}, client=False)
    assert app.history[0].created_by == "RUN x"


def replied(text, *more):
    (asked,) = Api(None, ADDRESS, True).history_wants([number("app")])
    return {asked.command: (0, text, *more)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"# {number('app')}\n\n\n",
        f'# {number("app")}\n{{"CreatedBy": "RUN apt\n.\n',
        f'# {number("app")}\n{{"CreatedBy": 5}}\n\n.\n',
        f'# {number("app")}\n["RUN"]\n\n.\n',
        f'# {number("other")}\n{{"CreatedBy": "RUN x"}}\n\n.\n',
        f'# {number("app")}\n{{"CreatedBy": "RUN x", "Size": "much"}}\n\n.\n',
    ],
)
def test_a_history_that_is_cut_or_nonsense_is_none(text):
    (app,) = images([described("app")], answers=replied(text))
    with pytest.raises(Unknown):
        _ = app.history


def test_an_image_that_was_removed_meanwhile_is_left_out():
    gone = f"Error response from daemon: No such image: {number('app')}\n"
    (app,) = images([described("app")], answers=replied(f"# {number('app')}\n\n", gone))
    with pytest.raises(NotApplicable):
        _ = app.history


def test_an_engine_that_fails_is_not_taken_for_one_whose_image_is_gone():
    mixed = "curl: (22) The requested URL returned error: 404\nError: it broke\n"
    (app,) = images([described("app")], answers=replied(f"# {number('app')}\n\n", mixed))
    with pytest.raises(Unknown):
        _ = app.history


def test_an_engine_that_denies_hides_no_image():
    api = Api(None, ADDRESS, True)
    denied = {api.images_want().command: (1, "", "permission denied while trying to connect\n")}
    found = findings(controls.test_image_age, image_host([], answers=denied))
    (only,) = found.values()
    assert (str(only.status), "needs root" in only.reason) == ("unknown", True)


@pytest.mark.parametrize("wrong", [{"RepoTags": "x"}, {"Config": {"Env": [1]}}, {"RootFS": []}])
def test_what_no_engine_answers_is_nonsense(wrong):
    status, reason = one(controls.test_image_age, image_host([described("app", **wrong)]))
    assert status == "unknown"
    assert "nonsense" in reason


# Where images come from.

PULLED = {"RepoTags": ["nginx:1"], "RepoDigests": [f"nginx@{DIGEST}"]}


def origin(image, **policy):
    return one(controls.test_approved_origin, image_host([image]), **policy)


def test_without_a_policy_a_person_gets_the_repositories():
    found = findings(controls.test_approved_origin, image_host([described("nginx", **PULLED)]))
    assert str(found["nginx:1"].status) == "manual"
    assert found["nginx:1"].observed == {"repositories": ["docker.io/library/nginx"]}


def test_where_an_image_was_pulled_from_must_be_approved():
    image = described("nginx", **PULLED)
    assert origin(image, registries=("docker.io/library",))[0] == "pass"
    assert origin(image, registries=("reg.example",)) == (
        "fail", "repositories that the site has not approved: docker.io/library/nginx",
    )  # fmt: skip
    assert origin(image, registries=())[0] == "fail"


def test_a_tag_of_a_trusted_registry_is_no_proof():
    fake = described("evil", RepoTags=["reg.example/app:1"], RepoDigests=[f"evil/x@{DIGEST}"])
    assert origin(fake, registries=("reg.example",))[0] == "fail"


def test_an_engine_that_verifies_origins_is_believed_before_names():
    here = {"Identity": {"Build": [{"Ref": "x"}]}, "RepoDigests": [f"reg.example/app@{DIGEST}"]}
    assert origin(described("app", **here), registries=("reg.example",))[0] == "not-applicable"
    pulled = {**here, "Identity": {"Pull": [{"Repository": "docker.io/evil/app"}]}}
    assert origin(described("app", **pulled), registries=("reg.example",))[0] == "fail"


def layers(*names):
    return {"RootFS": {"Layers": [number(each) for each in names]}}


BASE = described("debian", RepoDigests=[f"debian@{DIGEST}"], **layers("l1"))


def base(*every, **policy):
    found = findings(controls.test_approved_base, image_host(every), **policy)["app:1"]
    return str(found.status)


def test_an_image_made_here_is_judged_by_the_base_whose_layers_it_begins_with():
    app = described("app", **layers("l1", "l2"))
    assert base(app, BASE, registries=("docker.io/library",)) == "pass"
    assert base(app, BASE, base_images=("debian",), registries=()) == "pass"
    assert base(app, BASE, registries=("reg.example",)) == "fail"
    assert base(app, registries=("docker.io/library",)) == "fail"
    other = described("app", **layers("other", "l2"))
    assert base(other, BASE, registries=("docker.io/library",)) == "fail"


def test_a_tag_that_looks_like_a_base_makes_no_base():
    fake = described("debian", **layers("l1"))
    assert base(described("app", **layers("l1", "l2")), fake, registries=("docker.io",)) == "fail"


def test_a_label_names_a_base_that_is_not_here():
    label = {"Config": {"Labels": {"org.opencontainers.image.base.name": "reg.example/base:1"}}}
    assert base(described("app", **label), registries=("reg.example",)) == "pass"
    assert base(described("app", **label), registries=("docker.io",)) == "fail"


def test_an_image_made_here_can_be_approved_by_its_id():
    app = described("app", **layers("l1"))
    assert base(app, base_images=(number("app"),)) == "pass"
    child = described("app", **layers("l1", "l2"))
    parent = described("parent", **layers("l1"))
    assert base(child, parent, base_images=(number("parent"),)) == "pass"


def test_one_pulled_from_an_approved_place_need_not_tell_its_base():
    app = described("app", RepoDigests=[f"reg.example/app@{DIGEST}"])
    assert base(app, registries=("reg.example",)) == "pass"
    assert base(app, registries=("other.example",)) == "not-applicable"


def test_without_a_policy_a_person_gets_what_is_known_of_the_base():
    host = image_host([described("app", **layers("l1", "l2")), BASE])
    found = findings(controls.test_approved_base, host)["app:1"]
    assert str(found.status) == "manual"
    assert found.observed["bases"] == ["debian:1"]


# Age, health and signatures.


def age(created, **more):
    return one(controls.test_image_age, image_host([described("app", Created=created, **more)]))


def test_age_is_counted_from_when_it_was_built():
    assert age("2026-08-25T00:00:00Z")[0] == "pass"
    assert age("2026-08-24T00:00:00Z") == (
        "fail", "days since it was built is 91, expected at most 90",
    )  # fmt: skip


def test_an_image_without_a_date_or_of_the_future_has_no_age():
    assert age("1970-01-01T00:00:00Z")[0] == "unknown"
    assert age("2036-01-01T00:00:00Z")[0] == "unknown"
    assert age("2026-11-23T05:00:00Z")[0] == "pass"
    label = {"Config": {"Labels": {"org.opencontainers.image.created": "2020-01-01T00:00:00Z"}}}
    assert age("1970-01-01T00:00:00Z", **label)[0] == "fail"


@pytest.mark.parametrize(
    ("check", "status"),
    [
        ({"Test": ["CMD-SHELL", "curl -f http://localhost/"]}, "pass"),
        ({"Test": ["CMD", "/app", "health"]}, "pass"),
        ({"Test": ["NONE"]}, "fail"),
        ({"Test": []}, "fail"),
        ({"Test": ["CMD-SHELL", "exit 0"]}, "fail"),
        ({"Test": ["CMD", "true"]}, "fail"),
        (None, "fail"),
    ],
)
def test_a_health_check_is_one_that_can_fail(check, status):
    image = described("app", Config={"Healthcheck": check})
    assert one(controls.test_image_health_check, image_host([image], [used("app")]))[0] == status


def test_a_base_from_which_nothing_runs_needs_no_health_check():
    stopped = used("app", State={"Running": False, "Pid": 0})
    for containers in ([], [stopped]):
        host = image_host([described("app")], containers)
        assert one(controls.test_image_health_check, host)[0] == "not-applicable"


def test_an_image_of_another_platform_only_has_no_configuration():
    image = described("app", Config=None)
    status, reason = one(controls.test_image_health_check, image_host([image], [used("app")]))
    assert (status, "no configuration" in reason) == ("unknown", True)


def signed(signatures=None, **policy):
    identity = {"Identity": {"Signature": signatures}} if signatures else {}
    image = described("app", RepoDigests=[f"reg.example/app@{DIGEST}"], **identity)
    return one(controls.test_signed_images, image_host([image], [used("app")]), **policy)[0]


def test_signatures_count_if_the_site_knows_the_signer():
    workflow = "https://github.com/acme/app/.github/workflows/build.yml@refs/heads/main"
    good = [{"Name": "x", "Signer": {"SubjectAlternativeName": workflow}}]
    assert signed(good, image_signers=("https://github.com/acme",)) == "pass"
    assert signed(good, image_signers=("https://github.com/acme/app",)) == "pass"
    assert signed(good, image_signers=("https://github.com/ac",)) == "fail"
    assert signed(good) == "manual"
    assert signed([{"KnownSigner": "DHI"}], image_signers=("DHI",)) == "pass"


def test_a_broken_signature_is_none():
    broken = [{"Error": "no match", "KnownSigner": "DHI"}]
    assert signed(broken, image_signers=("DHI",)) == "fail"
    assert signed(broken) == "fail"


def test_what_the_site_has_verified_is_told_by_digest():
    assert signed(verified_images=(DIGEST,)) == "pass"
    assert signed(verified_images=(number("app"),)) == "pass"
    assert signed(verified_images=()) == "fail"
    assert signed() == "manual"
    assert one(controls.test_signed_images, image_host([described("app")]))[0] == "not-applicable"


# Secrets.


def secrets(steps=(), plain=(), **config):
    host = image_host([described("app", Config=config)], histories={"app": steps})
    found = findings(controls.test_secrets_in_configuration, host, plain_variables=plain)["app:1"]
    return found.observed


def test_secrets_are_named_and_never_shown():
    env = [f"DB_PASSWORD={CUT}", "PASSWORD_FILE=/run/secrets/x", "API_TOKEN=", "PATH=/bin"]
    assert secrets(Env=env) == ["DB_PASSWORD"]
    assert secrets(Env=[f"URL=postgres://u:{CUT}@db/x"]) == ["URL"]
    assert secrets(Labels={"api.token": CUT, "a": "b"}) == ["label api.token"]
    assert secrets(Env=env, plain=("DB_PASSWORD",)) == []


def test_secrets_are_found_where_nothing_has_cut_them_out():
    env = ["DB_PASSWORD=hunter2hunter2", "GPG_KEY=E3FF2839C048B25C", "A_TOKEN=/run/secrets/x"]
    assert secrets(Env=env) == ["DB_PASSWORD"]
    assert secrets(["RUN |1 NPM_TOKEN=abc123def /bin/sh -c npm ci"]) == ["NPM_TOKEN"]
    assert secrets(Labels={"api.token": "abcdef123"}) == ["label api.token"]


def test_secrets_of_a_build_stay_in_its_history():
    assert secrets([f"ARG NPM_TOKEN={CUT}"]) == ["NPM_TOKEN"]
    assert secrets([f"/bin/sh -c #(nop)  ENV A_SECRET={CUT}"]) == ["A_SECRET"]
    assert secrets([f"RUN |1 NPM_TOKEN={CUT} /bin/sh -c npm ci # buildkit"]) == ["NPM_TOKEN"]
    assert secrets([f'RUN /bin/sh -c curl -H "Authorization: Bearer {CUT}" https://x']) == [
        "Bearer"
    ]
    assert secrets(["ARG NPM_TOKEN", "RUN /bin/sh -c echo $NPM_TOKEN", step("ENV A=b", 0)]) == []
