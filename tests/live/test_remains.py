"""Nothing of a host remains on the machine, however it ended."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.hosts.cgroups import hierarchies
from tests.live.hosts.docker import DockerHost
from tests.live.hosts.network import answers
from tests.live.hosts.overlay import NotStarted, OverlayHost, wait_until
from tests.live.hosts.population import populate
from tests.live.hosts.systemd import SystemdHost

pytestmark = pytest.mark.live
ROOT = Path(__file__).parents[2]


def remains(host: OverlayHost) -> list[str]:
    """Return what a closed host has left on the machine."""
    cgroups = [each.directory / host.state.name for each in hierarchies()]
    left = [
        str(path) for path in (host.state, Path(f"/proc/{host.pid}"), *cgroups) if path.exists()
    ]
    if host.state.name in Path("/proc/self/mountinfo").read_text():
        left.append("mounts")
    if answers(host.address, host.port):
        left.append("a listener")
    return left


def links() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def rules() -> str:
    """Return the firewall without counters and dates; listing makes the tables, as a host does."""
    tables = ("nat", "filter", "mangle")
    shown = [
        subprocess.run(["iptables", "-t", table, "-S"], capture_output=True, text=True, check=True)
        for table in tables
    ]
    return "".join(each.stdout for each in shown)


KINDS: dict[str, Callable[[], OverlayHost]] = {
    "overlay": lambda: OverlayHost("gone"),
    "docker": lambda: DockerHost("gone", bridge=True),
    "systemd-v1": lambda: SystemdHost("gone", layout="v1"),
    "systemd-v2": lambda: SystemdHost("gone", layout="v2"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_remains(kind: str) -> None:
    network = links(), rules()
    with KINDS[kind]() as host:
        assert "a listener" in remains(host)
        if isinstance(host, DockerHost):
            assert host.bridge == (kind == "docker")
            population = populate(host)
            running = host.docker("ps", "-q", "--no-trunc").split()
            assert {population.sound, population.faulty, population.hiding} <= set(running)
            status = host.run(f"cat /proc/{population.intruder}/status").stdout
            assert "Seccomp:\t0\n" in status
            host.docker("pause", "helper")
    assert remains(host) == []
    assert (links(), rules()) == network


def test_nothing_remains_of_a_killed_run() -> None:
    argv = [sys.executable, "-m", "tests.live.hosts", "overlay", "--name", "killed"]
    run = subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT)
    assert run.stdout is not None
    shown = b"".join(iter(run.stdout.readline, b"}\n"))
    state = Path(json.loads(shown + b"}")["ssh_config"]).parents[1]
    run.send_signal(signal.SIGKILL)
    run.wait()
    wait_until(lambda: not state.exists(), "the keeper's cleaning")
    assert not any((each.directory / state.name).exists() for each in hierarchies())


def test_nothing_remains_of_a_failed_start() -> None:
    made: list[OverlayHost] = []

    class Broken(OverlayHost):
        def init(self) -> list[str]:
            made.append(self)
            return ["/bin/sh", "-c", "echo no such luck; exit 1"]

    with pytest.raises(NotStarted, match="no such luck"):
        Broken("broken")
    assert not made[0].state.exists()
    assert not any((each.directory / made[0].state.name).exists() for each in hierarchies())


def test_off_docker0_the_machines_network_is_left_alone() -> None:
    before = links(), rules()
    with DockerHost("off", bridge=False) as host:
        host.docker("network", "ls")
        assert (links(), rules()) == before
