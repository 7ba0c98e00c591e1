"""Layers of images and of running containers, on a real host: read, and left untouched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from hullcheck.verdict import Finding
from tests.live.hosts.docker import Daemon, DockerHost
from tests.live.hosts.images import busybox_tar
from tests.recordings.parts import layers as recorded

pytestmark = pytest.mark.live

CONTROLS = (
    "build.image-setuid", "build.image-secrets", "build.image-packages",
    "runtime.added-executables", "runtime.changed-settings", "runtime.deleted-executables",
    "runtime.program-from-writable-mount",
)  # fmt: skip
ODD = "usr/bin/od\nd --token=x"
BASE = {
    "usr/bin/kept": (b"x", 0o4755), "usr/bin/gone": (b"x", 0o4755), "usr/bin/tame": (b"x", 0o4755),
    "opt/bin/su": (b"x", 0o4755), "opt/bin/gcc-12": (b"x", 0o755), "usr/sbin/sshd": (b"x", 0o755),
    "root/.aws/credentials": (b"none\n", 0o600), "app/.env": (b"PORT=80\n", 0o644),
    "app/.env.live": (b"DB_PASSWORD=x1\n", 0o644), ODD: (b"x", 0o2755),
}  # fmt: skip
LATER = """
rm /usr/bin/gone /root/.aws/credentials; rm -r /opt/bin; ln -s /bin /opt/bin
chmod 755 /usr/bin/tame; echo x >/usr/bin/new; chmod 4711 /usr/bin/new
"""


def images(engine: Daemon) -> None:
    """Make an image and one that is built on it."""
    engine.load_image("base:1", tar=busybox_tar(BASE))
    engine.docker("run", "--name=maker", "--network=none", "base:1", "sh", "-c", LATER)
    engine.docker("commit", '--change=CMD ["sleep", "1000007"]', "maker", "later:1")
    engine.docker("rm", "maker")


@pytest.fixture(scope="module")
def audited(docker_host: DockerHost) -> Iterator[dict[tuple[str, str], list[Finding]]]:
    """Findings by control and object: of a host with two engines, one of them with vfs."""
    host = docker_host
    images(host.engine)
    images(host.second_daemon("two", {"storage-driver": "vfs"}))
    host.start("runs", "--network=none", "--init", image="later:1")
    recorded.rotten(host)
    mark = host.mark()
    target = replace(parse_spec(f"paramiko://{host.name}"), ssh_config=host.ssh_config)
    connection, site = connect(target), Site(host.name)
    chosen = [all_controls()[name] for name in CONTROLS]
    gather(chosen, connection, site)
    session = session_of(connection)
    assert (session.late, session.rounds <= 10) == (0, True)
    found: dict[tuple[str, str], list[Finding]] = {}
    for each in chosen:
        for finding in judge(each, connection, site).findings:
            found.setdefault((each.id, finding.object.name), []).append(finding)
    evidence = b"".join(each.stdout for each in session.recording if "find " in each.command)
    session.close()
    assert host.written(mark) == []
    assert b"x1" not in evidence
    yield found
    host.remove("runs", "drifter")
    host.run("runc delete -f overlaid; umount /srv/data/own/root")


def observed(findings: list[Finding]) -> list[list[str]]:
    assert {str(each.status) for each in findings} <= {"fail", "pass"}, findings
    return [[text.partition(" (")[0] for text in each.observed] for each in findings]


def test_setuid_programs_are_those_that_later_layers_leave(audited):
    base = [f"/{name} runs as root" for name in
            ("opt/bin/su", "usr/bin/gone", "usr/bin/kept", "usr/bin/tame")]  # fmt: skip
    odd = f"/{ODD} runs as gid 0"
    first, second = observed(audited["build.image-setuid", "base:1"])
    assert first == second == sorted([*base, odd])
    first, second = observed(audited["build.image-setuid", "later:1"])
    assert (
        first == second == sorted(["/usr/bin/kept runs as root", "/usr/bin/new runs as root", odd])
    )
    assert observed(audited["build.image-setuid", "busybox:1"]) == [[], []]


def test_secrets_are_those_of_every_layer(audited):
    for image in ("base:1", "later:1"):
        for each in audited["build.image-secrets", image]:
            assert [text.partition(" ")[0] for text in each.observed] == [
                "/app/.env.live", "/root/.aws/credentials",
            ]  # fmt: skip
            assert ("deleted" in each.observed[1]) is (image == "later:1")


def test_programs_are_judged_in_images_that_run(audited):
    told = {str(each.status): each.observed for each in audited["build.image-packages", "later:1"]}
    assert told == {"fail": ["/usr/sbin/sshd (login server)"], "not-applicable": None}


def test_drift_is_found_where_it_is(audited):
    expected = {
        "runtime.added-executables": "/tmp/tool",
        "runtime.changed-settings": "/etc/passwd",
        "runtime.deleted-executables": "/root/sleep (deleted)",
        "runtime.program-from-writable-mount": "/scratch/sleep on /scratch",
    }
    for control, text in expected.items():
        (finding,) = audited[control, "drifter"]
        assert [text in each for each in finding.observed] == [True], finding
        (finding,) = audited[control, "runs"]
        assert str(finding.status) == "pass", finding
    for control in ("runtime.added-executables", "runtime.changed-settings"):
        (finding,) = audited[control, "overlaid"]
        assert str(finding.status) == "fail", "a container that no engine knows"
