"""Images in the stores of Docker, Podman and containerd, sound and rotten: each control flips."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from hullcheck import facts
from hullcheck.catalogue import all_controls
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.redact import Redactor
from hullcheck.transport.target import parse_spec
from hullcheck.verdict import Finding
from tests.live.hosts.docker import DockerHost
from tests.recordings.parts import image_stores as parts

pytestmark = pytest.mark.live

FLIP = (
    "build.image-setuid", "build.image-user", "build.image-secrets", "build.image-packages",
    "build.package-index", "build.add-instruction", "build.verified-packages",
    "build.image-age", "build.image-health-check", "build.secrets-in-configuration",
    "build.approved-base",
)  # fmt: skip
RUN = ("runtime.image-current", "runtime.pinned-image")
CONTROLS = (*FLIP, *RUN, "build.approved-origin", "build.signed-images", "engine.image-sprawl")
POLICY = Policy(registries=("registry.example",))
Audited = dict[tuple[str, str], Finding]


@pytest.fixture(scope="module")
def audited(docker_host: DockerHost) -> Iterator[Audited]:
    """Findings by control and name."""
    host = docker_host
    parts.in_docker(host)
    podman = parts.in_podman(host)
    parts.in_containerd(host)
    mark = host.mark()
    target = replace(parse_spec(f"paramiko://{host.name}"), ssh_config=host.ssh_config)
    connection = connect(target, redact=Redactor(b"salt"))
    site = Site(host.name, POLICY)
    chosen = [all_controls()[name] for name in CONTROLS]
    gather(chosen, connection, site)
    session = session_of(connection)
    found = {
        (each.id, finding.object.name): finding
        for each in chosen
        for finding in judge(each, connection, site).findings
    }
    assert (session.late, session.rounds <= 10) == (0, True), session.rounds
    told = b"".join(each.stdout + each.stderr for each in session.recording)
    assert parts.SECRET.encode() not in told
    assert [each.name for each in facts.get(connection, "images")]
    session.close()
    assert host.written(mark) == []
    yield found
    podman("rm", "-af", "-t", "0")
    host.remove("doc-good", "doc-moved")


PLACES = {"doc": "", "pod": "localhost/", "ctr": "registry.example/"}


@pytest.mark.parametrize("kind", PLACES)
@pytest.mark.parametrize("control", FLIP)
def test_each_control_passes_on_the_sound_image_and_fails_on_the_rotten_one(
    audited: Audited, kind: str, control: str
) -> None:
    good, bad = (audited[control, f"{PLACES[kind]}{kind}-{each}:1"] for each in ("good", "bad"))
    none = ("build.package-index", "build.verified-packages")
    assert str(good.status) == ("not-applicable" if control in none else "pass"), good
    assert str(bad.status) == "fail", bad


@pytest.mark.parametrize("kind", PLACES)
def test_a_tag_that_moved_is_seen_in_every_store(audited: Audited, kind: str) -> None:
    assert str(audited["runtime.image-current", f"{kind}-good"].status) == "pass"
    assert str(audited["runtime.image-current", f"{kind}-moved"].status) == "fail"
    assert str(audited["runtime.pinned-image", f"{kind}-good"].status) == "fail"


def test_every_store_is_counted(audited: Audited) -> None:
    stores = [name for control, name in audited if control == "engine.image-sprawl"]
    assert len(stores) == 3, stores
