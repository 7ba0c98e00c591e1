"""Who wants to be overlooked: on real hosts, what hid, or blinded the audit, and does no more."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.run.audit import Plan, Subject, audit_host
from hullcheck.transport.target import Target
from hullcheck.verdict import Verdict
from tests.live.hosts.docker import DockerHost

pytestmark = pytest.mark.live

RENAMED = """
mkdir -p /srv/e /run/e && cp /usr/sbin/dockerd /srv/e/engine
setsid /srv/e/engine --config-file /etc/e.json >/var/log/e.log 2>&1 </dev/null &
for turn in $(seq 300); do
    docker -H unix:///run/e/api.sock version >/dev/null 2>&1 && exit 0; sleep 0.05
done; tail -n 5 /var/log/e.log; exit 1
"""
HIDDEN = """{"data-root": "/srv/data/e", "exec-root": "/run/e", "pidfile": "/run/e.pid",
"hosts": ["unix:///run/e/api.sock"], "bridge": "none"}
"""
POSING = r"""printf 'a\n) S 1\nb' >/proc/self/comm; while :; do sleep 1; done"""


def audit(host: DockerHost, control: str) -> Verdict:
    target = Target("ssh", host.name, ssh_config=host.ssh_config)
    plan = Plan((all_controls()[control],), datetime.now(UTC))
    [verdict] = audit_host(Subject(target), plan).verdicts
    return verdict


def status(host: DockerHost, control: str) -> str:
    return str(audit(host, control).status)


def test_an_engine_under_another_name(docker_host: DockerHost) -> None:
    docker_host.write("/etc/e.json", HIDDEN)
    docker_host.run(RENAMED)
    try:
        found = audit(docker_host, "engine.rootless").findings
    finally:
        docker_host.run("kill $(cat /run/e.pid)")
    assert "docker /run/e/api.sock" in [each.object.name for each in found]


def test_a_process_whose_name_has_newlines(docker_host: DockerHost) -> None:
    docker_host.start("posing", "--cap-add=SYS_ADMIN", command=("sh", "-c", POSING))
    try:
        assert status(docker_host, "runtime.capabilities") == "fail"
    finally:
        docker_host.remove("posing")


@pytest.mark.parametrize("place", ["/proc/{pid}", "/sys/fs/cgroup/pids"])
def test_what_is_mounted_over(docker_host: DockerHost, place: str) -> None:
    docker_host.start("under", "--pids-limit=-1")
    pid = docker_host.docker("inspect", "-f", "{{.State.Pid}}", "under")
    where = place.format(pid=pid)
    if docker_host.cgroup_layout != "v1" and "cgroup" in where:
        where = "/sys/fs/cgroup"
    try:
        assert status(docker_host, "runtime.pids-limit") == "fail"
        docker_host.run(f"mount -t tmpfs none {where}")
        assert status(docker_host, "runtime.pids-limit") == "unknown"
    finally:
        docker_host.run(f"umount {where}", check=False)
        docker_host.remove("under")


def test_a_socket_that_was_moved(docker_host: DockerHost) -> None:
    """dockerd serves on, and everybody knows the other name."""
    docker_host.run("mv /run/docker.sock /srv/other.sock && chmod 666 /srv/other.sock")
    try:
        assert status(docker_host, "host.engine-sockets") == "unknown"
    finally:
        docker_host.run("chmod 660 /srv/other.sock && mv /srv/other.sock /run/docker.sock")
