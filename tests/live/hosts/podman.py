"""Rootful podman on a host of ours, with its store on the real file system."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from tests.live.hosts.images import FOREVER, busybox_tar
from tests.live.hosts.overlay import OverlayHost

IMAGE = "localhost/busybox:1"

# Its overlay driver cannot stand on the host's overlay, nor crun on a hybrid of v1 and v2.
STORE = """
mkdir -p /srv/data/containers /var/lib/containers
mount --bind /srv/data/containers /var/lib/containers
"""
PODMAN = ("podman", "--runtime=runc", "--cgroup-manager=cgroupfs")

# Podman would raise these limits, for which root lacks a capability here.
NO_RAISE = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")


@dataclass(frozen=True)
class Podman:
    """Podman of root on one host. prepare() comes first."""

    host: OverlayHost

    def prepare(self) -> None:
        """Make its store, and one image of busybox."""
        self.host.run(STORE)
        self("import", "-c", FOREVER, "-", IMAGE, stdin=busybox_tar())

    def __call__(self, *args: str, stdin: bytes = b"") -> str:
        """Run podman; returns the last line it printed, which is an id where it made something."""
        done = self.host.run(shlex.join([*PODMAN, *args]), stdin=stdin)
        return (done.stdout.splitlines() or [""])[-1]

    def start(self, name: str, *options: str) -> str:
        """Start a container in the background; returns its id."""
        return self("run", "-d", *self.given(name, options), IMAGE)

    def create(self, name: str, *options: str) -> str:
        """Make a container that does not run; returns its id."""
        return self("create", *self.given(name, options), IMAGE)

    def serve(self, socket: str = "/run/podman/podman.sock") -> None:
        """Let podman's API answer on a socket, for as long as the host lives."""
        serve = shlex.join([*PODMAN, "system", "service", "--time=0", f"unix://{socket}"])
        self.host.run(
            f"""mkdir -p "$(dirname {socket})"
            setsid {serve} >/var/log/podman.log 2>&1 </dev/null &
            for turn in $(seq 200); do [ -S {socket} ] && exit 0; sleep 0.02; done
            cat /var/log/podman.log; exit 1"""
        )

    @staticmethod
    def given(name: str, options: Sequence[str]) -> list[str]:
        network = () if any(each.startswith("--network") for each in options) else ("none",)
        return [f"--name={name}", *(f"--network={each}" for each in network), *NO_RAISE, *options]
