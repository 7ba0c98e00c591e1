from __future__ import annotations

from types import SimpleNamespace

import pytest

from checks.engine import test_sprawl as sprawl
from checks.runtime import test_image_versions as controls
from hullcheck import facts
from hullcheck.facts.containers import Container
from hullcheck.transport import session_of
from tests.unit.image_fake import described, findings, image_host, number, one, used

DIGEST = f"sha256:{'d' * 64}"
UNNAMED = {"RepoTags": [], "RepoDigests": []}


def host_with(images, *containers, **more):
    """Return a host whose containers are those that its engine describes."""
    host = image_host(images, containers, **more)
    engine = facts.get(host, "docker")[0]
    keeper = SimpleNamespace(rootless=False)
    made = [Container(host, keeper, each, {}, docker=engine) for each in containers]
    session_of(host).recall(
        ("provider", "container"), lambda: [facts.get(host, "docker_images")[0].images, made][1]
    )
    return host


def current(images, container):
    return one(controls.test_image_current, host_with(images, container))


def test_a_tag_that_stands_for_what_runs_is_current():
    assert current([described("app")], used("app"))[0] == "pass"
    tagged = described("app", RepoTags=["nginx:latest"])
    for asked in ("nginx", "nginx:latest", "docker.io/library/nginx"):
        assert current([tagged], used("app", asked=asked))[0] == "pass"


def test_a_tag_that_moved_leaves_an_old_image_running():
    old, new = described("old", **UNNAMED), described("new", RepoTags=["app:1"])
    status, reason = current([old, new], used("old", asked="app:1"))
    assert status == "fail"
    assert reason == (
        f"what app:1 stands for is {number('new')[7:19]}, expected {number('old')[7:19]}"
    )


def test_an_image_that_was_built_again_and_is_the_same_is_current():
    layers = {"RootFS": {"Type": "layers", "Layers": [number("l")]}}
    old = described("old", **UNNAMED, **layers)
    new = described("new", RepoTags=["app:1"], Created="2026-11-22T10:00:00Z", **layers)
    assert current([old, new], used("old", asked="app:1"))[0] == "pass"
    new["Config"] = {"Env": ["A=b"]}
    assert current([old, new], used("old", asked="app:1"))[0] == "fail"


def test_a_tag_that_is_gone_stands_for_nothing():
    status, reason = current([described("old", **UNNAMED)], used("old", asked="app:1"))
    assert (status, "nothing any more" in reason) == ("fail", True)
    api = "DOCKER_CONFIG=/nonexistent docker -H unix:///run/docker.sock image inspect "
    gone = {api + number("old"): (1, "[]\n", f"Error: No such image: {number('old')}\n")}
    host = host_with([], used("old", asked="app:1"), answers=gone)
    assert one(controls.test_image_current, host)[0] == "fail"


def test_an_image_run_by_digest_or_id_has_no_tag_that_could_move():
    pulled = described("app", RepoTags=[], RepoDigests=[f"nginx@{DIGEST}"])
    assert current([pulled], used("app", asked=f"nginx:1@{DIGEST}"))[0] == "pass"
    assert current([described("app")], used("app", asked=number("app")))[0] == "pass"
    nameless = described("app", **UNNAMED)
    assert current([nameless], used("app", asked=number("app")[7:19]))[0] == "fail"


def test_a_name_that_looks_like_an_id_is_a_name():
    asked = number("app")[7:19]
    moved = [described("app", **UNNAMED), described("new", RepoTags=[f"{asked}:latest"])]
    assert current(moved, used("app", asked=asked))[0] == "fail"
    assert one(controls.test_pinned_image, host_with(moved, used("app", asked=asked)))[0] == "fail"


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (f"nginx@{DIGEST}", "pass"),
        (f"reg.example:5000/app:1@{DIGEST}", "pass"),
        (number("app"), "pass"),
        ("nginx:1.27.3", "fail"),
        ("nginx", "fail"),
        ("reg.example:5000/app", "fail"),
        ("", "unknown"),
    ],
)
def test_only_a_digest_pins_an_image(asked, status):
    container = used("app", asked="x") | {"Config": {"Image": asked}}
    host = host_with([described("app")], container)
    assert one(controls.test_pinned_image, host)[0] == status


def test_what_does_not_run_runs_no_version():
    stopped = used("app", State={"Running": False, "Pid": 0})
    assert current([described("app")], stopped)[0] == "not-applicable"


def test_an_image_of_another_engine_is_another():
    host = host_with([described("app")], used("app"))
    container = facts.get(host, "container")[0]
    container.docker = SimpleNamespace()
    assert one(controls.test_image_current, host)[0] == "not-applicable"


# What piles up.


def engine(control, images=(), containers=(), **policy):
    host = image_host(images, containers)
    found = findings(control, host, **policy)
    return found["docker /run/docker.sock"]


def test_unused_images_are_counted_and_the_oldest_named():
    images = [described(f"i{each}", Created=f"2026-11-{each:02}T00:00:00Z") for each in range(1, 5)]
    images += [described("left", **UNNAMED)]
    kept = engine(sprawl.test_image_sprawl, images, [used("i1")], maximum_unused_images=4)
    assert str(kept.status) == "pass"
    found = engine(sprawl.test_image_sprawl, images, [used("i1")], maximum_unused_images=3)
    assert str(found.status) == "fail"
    assert "(1 of them replaced and without a name) is 4, expected at most 3" in found.reason
    assert "the oldest of them: i2:1, i3:1, i4:1" in found.reason


def test_a_stopped_container_uses_its_image():
    stopped = used("app", State={"Running": False, "Pid": 0})
    found = engine(sprawl.test_image_sprawl, [described("app")], [stopped], maximum_unused_images=0)
    assert str(found.status) == "pass"


def test_hundreds_of_unused_images_make_a_short_finding():
    images = [described(f"image-{each}") for each in range(300)]
    found = engine(sprawl.test_image_sprawl, images)
    assert str(found.status) == "fail"
    assert len(str(found.observed)) < 1000


def ended(name, when, created="2026-11-22T00:00:00Z"):
    state = {"Running": False, "Pid": 0, "FinishedAt": when}
    return used("app", name, State=state, Created=created)


def test_stopped_containers_are_counted_and_the_old_ones_named():
    never = "0001-01-01T00:00:00Z"
    found = engine(
        sprawl.test_container_sprawl,
        [described("app")],
        [
            used("app", "running", Created="2020-01-01T00:00:00Z"),
            ended("job", "2026-11-22T00:00:00.5Z", "2020-01-01T00:00:00Z"),
            ended("left", "2026-10-01T00:00:00Z"),
            ended("never", never, "2026-01-01T00:00:00Z"),
            ended("planned", never),
        ],
        maximum_stopped_containers=3,
    )
    assert str(found.status) == "fail"
    assert "containers that do not run is 4, expected at most 3" in found.reason
    assert "ended more than 30 days ago: left, never" in found.reason


def test_few_and_fresh_stopped_containers_are_no_sprawl():
    containers = [ended(f"c{each}", "2026-11-20T00:00:00Z") for each in range(10)]
    found = engine(sprawl.test_container_sprawl, [described("app")], containers)
    assert str(found.status) == "pass"


def test_a_container_without_times_is_unknown():
    odd = [ended("odd", "", "")]
    found = engine(sprawl.test_container_sprawl, [described("app")], odd)
    assert str(found.status) == "unknown"
