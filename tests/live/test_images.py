"""Images of a real engine: what its answers make of the controls."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hullcheck import catalogue, facts
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, gather, judge
from hullcheck.transport.connect import connect
from hullcheck.transport.redact import Redactor
from hullcheck.transport.target import parse_spec
from tests.live.hosts.archives import archive, layer
from tests.recordings.parts import images as parts

pytestmark = pytest.mark.live

CONTROLS = [
    "build.approved-origin", "build.approved-base", "build.image-age", "build.image-health-check",
    "build.package-index", "build.add-instruction", "build.verified-packages",
    "build.secrets-in-configuration", "build.signed-images", "runtime.image-current",
    "runtime.pinned-image", "engine.image-sprawl", "engine.container-sprawl",
]  # fmt: skip

BUILD = """
cd /root && echo x >x && cat >Dockerfile <<'E'
FROM busybox:1
ARG API_TOKEN=abcdefgh123
LABEL org.opencontainers.image.base.name=registry.example/busybox:1
COPY x /opt/x
RUN true && echo "ADD apt-get update"
HEALTHCHECK CMD test -e /bin/busybox
E
DOCKER_BUILDKIT=0 docker build -q -t built:1 . 2>/dev/null
docker run -d --name=built --network=none built:1
docker create --name=child --network=none "$(docker image inspect -f '{{.Parent}}' built:1)"
"""


@pytest.fixture(scope="module")
def audited(docker_host):
    parts.rotten(docker_host)
    parts.sound(docker_host)
    docker_host.run(BUILD)
    for number in range(40):
        steps = [{"created_by": f"RUN /bin/sh -c echo {number} {'x' * 3000} # buildkit"}]
        parts.load(docker_host, archive([f"many:{number}"], [layer({str(number): b""})], steps))
    before = docker_host.mark()
    spec = replace(parse_spec(f"paramiko://{docker_host.name}"), ssh_config=docker_host.ssh_config)
    there = connect(spec, redact=Redactor(b"salt"))
    site = Site("h", Policy(registries=("registry.example",)))
    controls = [catalogue.all_controls()[each] for each in CONTROLS]
    gather(controls, there, site)
    verdicts = {each.id: judge(each, there, site) for each in controls}
    assert docker_host.written(before) == []
    yield there, verdicts
    docker_host.remove("aged", "built", "child")


@pytest.fixture
def statuses(audited):
    _, verdicts = audited
    return {
        control: {each.object.name: str(each.status) for each in verdict.findings}
        for control, verdict in verdicts.items()
    }


def old(audited):
    """Return the image that lost its name to a newer one."""
    return next(each for each in facts.get(audited[0], "images") if not each.tags and each.running)


def test_every_image_is_found_and_what_caches_a_build_only_if_it_is_used(audited):
    found = facts.get(audited[0], "images")
    named = {tag for each in found for tag in each.tags}
    assert {"busybox:1", "app:1", "old:1", "built:1", "many:39"} <= named
    unnamed = [each for each in found if not each.tags]
    assert sorted(len(each.containers) for each in unnamed) == [1, 1]


def test_a_hundred_kilobytes_of_history_are_two_commands(audited):
    asked = [each.command for each in audited[0].backend.session.recording
             if "image history" in each.command]  # fmt: skip
    assert len(asked) == 2


def test_faults_of_a_recipe_are_found_in_the_image_that_has_them(audited, statuses):
    bad = old(audited).name
    for control in ("package-index", "add-instruction", "verified-packages", "image-age",
                    "secrets-in-configuration", "image-health-check"):  # fmt: skip
        found = statuses[f"build.{control}"]
        assert found[bad] == "fail", control
        assert found["app:1"] in ("pass", "not-applicable"), control
        assert found["busybox:1"] in ("pass", "not-applicable", "fail"), control
    assert statuses["build.package-index"]["built:1"] == "pass"
    assert statuses["build.image-health-check"]["built:1"] == "pass"
    assert statuses["build.secrets-in-configuration"]["built:1"] == "fail"


def test_no_secret_leaves_the_host(audited):
    there, verdicts = audited
    told = b"".join(each.stdout for each in there.backend.session.recording)
    said = str(verdicts)
    for secret in ("hunter2hunter2", "npmtoken12345", "abcdefgh123"):
        assert secret.encode() not in told
        assert secret not in said
    assert "DB_PASSWORD" in said
    assert "API_TOKEN" in said


def test_what_runs_is_held_against_what_its_name_stands_for(statuses):
    assert statuses["runtime.image-current"]["aged"] == "fail"
    assert statuses["runtime.image-current"]["built"] == "pass"
    assert statuses["runtime.image-current"]["child"] == "not-applicable"
    assert statuses["runtime.pinned-image"]["built"] == "fail"


def test_bases_are_seen_and_origins_are_not_made_up(statuses):
    assert statuses["build.approved-origin"]["built:1"] == "not-applicable"
    assert statuses["build.approved-base"]["built:1"] == "pass"
    assert statuses["build.approved-base"]["app:1"] == "fail"


def test_sprawl_is_counted(statuses, audited):
    assert set(statuses["engine.image-sprawl"].values()) == {"fail"}
    (found,) = audited[1]["engine.image-sprawl"].findings
    assert "many:" in found.reason
    assert set(statuses["engine.container-sprawl"].values()) == {"pass"}
