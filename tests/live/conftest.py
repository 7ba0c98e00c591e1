"""Hosts shared by tests, each made when a test first asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live.hosts.docker import DockerHost
from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.systemd import SystemdHost


@pytest.fixture(scope="session")
def overlay_host() -> Iterator[OverlayHost]:
    """A host with sshd and no engine running. Leave it as you found it."""
    with OverlayHost("plain1") as host:
        yield host


@pytest.fixture(scope="module")
def docker_host() -> Iterator[DockerHost]:
    """A host with dockerd; owns docker0 if it was free, so it lasts for one module only.
    Remove the containers you start."""
    with DockerHost("docker1") as host:
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
