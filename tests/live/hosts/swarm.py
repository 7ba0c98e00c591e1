"""Hosts with real swarms: several engines of one host are its nodes, each on a loopback address."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.live.hosts.docker import Daemon, DockerHost
from tests.live.hosts.network import lock

BRIDGE = "docker_gwbridge"
"""What every engine in a swarm makes, in the network namespace that all hosts share."""

FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


@contextmanager
def swarm_host(name: str) -> Iterator[DockerHost]:
    """Start a host whose engines may form swarms; one at a time, for their ports are fixed.

    The bridge that swarms make is removed, and forwarding is as before.
    """
    held, forward = lock("swarm", 120), FORWARD.read_text()
    try:
        with DockerHost(name, bridge=False) as host:
            yield host
    finally:
        if BRIDGE in {name for _, name in socket.if_nameindex()}:
            subprocess.run(["ip", "link", "delete", BRIDGE], check=True)
        FORWARD.write_text(forward)
        os.close(held)


def init(daemon: Daemon, address: str, *options: str, listen: str = "") -> None:
    """Let an engine make a swarm; what it prints, which holds a token, is dropped."""
    daemon.docker("swarm", "init", "--advertise-addr", address,
                  "--listen-addr", listen or f"{address}:2377", *options)  # fmt: skip


def join(daemon: Daemon, manager: Daemon, address: str, *options: str) -> None:
    """Let an engine join another's swarm as a worker."""
    token = manager.docker("swarm", "join-token", "-q", "worker")
    known = manager.docker("info", "--format", "{{(index .Swarm.RemoteManagers 0).Addr}}")
    daemon.docker("swarm", "join", "--token", token, "--advertise-addr", address,
                  "--listen-addr", f"{address}:2377", *options, known)  # fmt: skip
