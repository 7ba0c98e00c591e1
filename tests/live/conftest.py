"""Hosts shared by tests, each made when a test first asks for it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from execnet import XSpec

from tests.live.desk import Desk, Lab
from tests.live.hosts.docker import DockerHost
from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.systemd import SystemdHost
from tests.live.sshd import make_home, remove_home


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs: list[XSpec]) -> None:
    """Give each worker a network of its own, as its hosts share one."""
    for spec in specs:
        spec.python = shlex.join([str(Path(__file__).with_name("apart")), sys.executable])


LONGEST = ("audit", "backends", "zoo", "fleet", "host_benchmark", "runtime", "least_privilege",
           "engine", "images", "packages", "network", "nightly")  # fmt: skip
"""Modules that take long, the longest first: what starts last is what all others wait for."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest modules start first; xdist would go by how many tests each has."""
    order = {f"test_{name}": at for at, name in enumerate(LONGEST)}
    items.sort(key=lambda each: order.get(each.path.stem, len(order)))


@pytest.fixture(scope="session")
def overlay_host() -> Iterator[OverlayHost]:
    """A host with sshd and no engine running. Leave it as you found it."""
    with OverlayHost("plain1") as host:
        yield host


@pytest.fixture(scope="module")
def docker_host() -> Iterator[DockerHost]:
    """A host with dockerd, off docker0. Remove the containers you start.

    Any dockerd that starts without a bridge deletes docker0 where it finds one (moby,
    removeDefaultBridgeInterface), so a host that owns docker0 must be alone while it lasts.
    """
    with DockerHost("docker1", bridge=False) as host:
        yield host


@pytest.fixture(scope="session")
def systemd_v1() -> Iterator[SystemdHost]:
    """A host with systemd on cgroup v1, docker a unit."""
    with SystemdHost("systemd1", layout="v1") as host:
        yield host


@pytest.fixture(scope="session")
def systemd_v2() -> Iterator[SystemdHost]:
    """A host with systemd on cgroup v2 (without memory and pids controllers on some machines)."""
    with SystemdHost("systemd2", layout="v2") as host:
        yield host


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    home = make_home()
    made = Lab(home)
    try:
        made.web.start()
        made.jump.start()
        yield made
    finally:
        made.web.stop()
        made.jump.stop()
        remove_home(home)


@pytest.fixture(params=["paramiko", "ssh"])
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def desk(tmp_path: Path, lab: Lab, client: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    made = Desk(tmp_path, lab, client)
    try:
        yield made
    finally:
        for session in made.open:
            session.close()
