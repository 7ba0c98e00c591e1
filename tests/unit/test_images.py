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
    described,
    findings,
    image_host,
    number,
    one,
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
