"""Where images come from, how old and how sound they are, and what secrets they tell."""

from __future__ import annotations

import pytest

from checks.build import test_images as controls
from tests.unit.image_fake import (
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
