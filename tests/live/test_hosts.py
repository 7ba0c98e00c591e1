"""The hosts are what they claim."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.live.hosts.docker import DockerHost
from tests.live.hosts.network import Busy
from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.population import populate
from tests.live.hosts.systemd import SystemdHost

pytestmark = pytest.mark.live


def test_ssh_reaches_this_host_and_no_other(overlay_host: OverlayHost) -> None:
    assert overlay_host.ssh("hostname; id -u").stdout == b"plain1\n0\n"
    assert overlay_host.run("hostname; id -u; pwd").stdout == "plain1\n0\n/\n"
    assert os.uname().nodename != "plain1"


def test_ssh_refuses_another_key(overlay_host: OverlayHost, tmp_path: Path) -> None:
    forged = tmp_path / "known_hosts"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True
    )
    key = (tmp_path / "key.pub").read_text()
    forged.write_text(f"[{overlay_host.address}]:{overlay_host.port} {key}")
    argv = ["ssh", "-F", str(overlay_host.ssh_config), "-o", f"UserKnownHostsFile={forged}"]
    refused = subprocess.run([*argv, "plain1", "true"], capture_output=True, check=False)
    assert refused.returncode == 255
    assert b"Host key verification failed" in refused.stderr


def test_every_write_is_seen(overlay_host: OverlayHost) -> None:
    overlay_host.run("mkdir -p /srv/seen; echo one >/srv/seen/kept; echo two >/srv/seen/gone")
    before = overlay_host.mark()
    overlay_host.run(
        """echo ONE >/srv/seen/kept; rm /srv/seen/gone; mkdir /srv/seen/new; touch /run/flag
        chmod 600 /etc/fstab; rm /etc/issue; touch /dev/shm/x"""
    )
    assert overlay_host.written(before) == [
        "/dev/shm/x", "/etc/fstab", "/etc/issue", "/run/flag",
        "/srv/seen/gone", "/srv/seen/kept", "/srv/seen/new",
    ]  # fmt: skip
    assert Path("/etc/issue").exists()


def test_reading_over_ssh_writes_nothing_but_login_records(overlay_host: OverlayHost) -> None:
    before = overlay_host.mark()
    assert overlay_host.ssh("cat /etc/shadow; ls -lR /etc /run; stat /").returncode == 0
    assert overlay_host.written(before) == []


def test_users_log_in_with_their_shell_and_sudo(overlay_host: OverlayHost) -> None:
    overlay_host.add_user("ann", "/bin/sh", sudo=True)
    overlay_host.add_user("eve", "/bin/bash", sudo=True, password="correct horse")
    before = overlay_host.mark()
    assert overlay_host.ssh("id -un; sudo -n id -un", user="ann").stdout == b"ann\nroot\n"
    assert overlay_host.written(before) == []
    assert overlay_host.ssh("sudo -n true", user="eve").returncode == 1
    asked = overlay_host.ssh("sudo -S -p '' id -un", user="eve", stdin=b"correct horse\n")
    assert asked.stdout == b"root\n"


def test_dockerd_runs_a_container(docker_host: DockerHost) -> None:
    container = docker_host.start("live", "--memory=64m")
    try:
        pid = docker_host.docker("inspect", "-f", "{{.State.Pid}}", container)
        assert container in docker_host.run(f"cat /proc/{pid}/cgroup").stdout
        assert docker_host.docker("info", "-f", "{{.DockerRootDir}}") == "/var/lib/docker"
        limit = docker_host.run(
            f"cat /sys/fs/cgroup/memory/docker/{container}/memory.limit_in_bytes"
        )
        assert limit.stdout == f"{64 << 20}\n"
    finally:
        docker_host.remove("live")


def test_dockerd_restarts_with_another_configuration(docker_host: DockerHost) -> None:
    try:
        docker_host.restart({"live-restore": True}, ["--no-new-privileges"])
        assert docker_host.docker("info", "-f", "{{.LiveRestoreEnabled}}") == "true"
        assert "--no-new-privileges" in docker_host.run(
            "tr '\\0' ' ' </proc/$(cat /var/run/docker.pid)/cmdline"
        ).stdout  # fmt: skip
    finally:
        docker_host.restart()
    assert docker_host.docker("info", "-f", "{{.LiveRestoreEnabled}}") == "false"
    assert docker_host.run("test -e /etc/docker/daemon.json", check=False).returncode == 1


def test_a_daemon_that_cannot_start_says_why(docker_host: DockerHost) -> None:
    with pytest.raises(AssertionError, match="nonsense"):
        docker_host.restart(flags=["--nonsense"])
    docker_host.engine.start()


def test_two_daemons_on_one_host(docker_host: DockerHost) -> None:
    second = docker_host.second_daemon("two", {"icc": False})
    try:
        assert second.docker("info", "-f", "{{.DockerRootDir}}") == "/srv/data/two"
        second.docker("run", "-d", "--name=other", "busybox:1")
        assert second.docker("ps", "--format={{.Names}}") == "other"
        assert docker_host.docker("ps", "--format={{.Names}}") == ""
    finally:
        second.stop()


@pytest.mark.parametrize(
    ("layout", "version", "driver"), [("v1", "1", "cgroupfs"), ("v2", "2", "systemd")]
)
def test_systemd_is_real(
    layout: str, version: str, driver: str, request: pytest.FixtureRequest
) -> None:
    host: SystemdHost = request.getfixturevalue(f"systemd_{layout}")
    assert host.run("cat /proc/1/comm").stdout == "systemd\n"
    assert (
        host.docker("info", "-f", "{{.CgroupVersion}} {{.CgroupDriver}}") == f"{version} {driver}"
    )
    for unit in ("ssh", "docker", "containerd", "dbus", "systemd-journald", "systemd-logind"):
        assert host.systemctl("show", "-p", "ActiveState", "-p", "FragmentPath", unit) == (
            f"ActiveState=active\nFragmentPath=/lib/systemd/system/{unit}.service"
        )
    session = host.ssh("cat /proc/self/cgroup; loginctl --no-legend list-sessions").stdout
    assert b"/user.slice/user-0.slice/session-" in session
    assert b" root " in session


@pytest.mark.parametrize("layout", ["v1", "v2"])
def test_a_drop_in_takes_effect(layout: str, request: pytest.FixtureRequest) -> None:
    host: SystemdHost = request.getfixturevalue(f"systemd_{layout}")
    path = host.drop_in("docker.service", "seen", "[Service]\nEnvironment=SEEN=1\n")
    try:
        assert host.systemctl("show", "-p", "DropInPaths", "docker") == f"DropInPaths={path}"
        host.restart_unit("docker.service")
        pid = host.systemctl("show", "-p", "MainPID", "--value", "docker")
        assert "SEEN=1" in host.run(f"tr '\\0' '\\n' </proc/{pid}/environ").stdout
    finally:
        host.run(f"rm {path}; systemctl daemon-reload; systemctl restart docker")


def test_reading_a_systemd_host_writes_nothing(systemd_v2: SystemdHost) -> None:
    before = systemd_v2.mark()
    assert systemd_v2.ssh("docker info; systemctl show docker; journalctl -n 1").returncode == 0
    assert systemd_v2.written(before) == []


def test_even_an_exec_into_a_container_is_seen() -> None:
    with DockerHost("exec", bridge=False) as host:
        populate(host, quiet=True)
        before = host.mark()
        assert host.ssh("docker info; docker inspect $(docker ps -aq)").returncode == 0
        assert host.written(before) == []
        assert host.ssh("docker exec faulty true").returncode == 0
        assert any("moby" in path for path in host.written(before))


def test_an_address_is_given_once(overlay_host: OverlayHost) -> None:
    with pytest.raises(Busy, match=overlay_host.address):
        OverlayHost("twin", overlay_host.address)
