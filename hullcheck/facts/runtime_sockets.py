"""The sockets through which container engines take orders, and what they are reached through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.exposures import Exposure, inode_want, socket_inode
from hullcheck.facts.mounts import MountTable, Place, place_of
from hullcheck.facts.processes import Processes
from hullcheck.facts.registry import get, provide
from hullcheck.facts.sockets import Sockets
from hullcheck.transport.backend import session_of
from hullcheck.transport.want import want

__all__ = ["KNOWN", "RuntimeSockets", "runtime_sockets"]

KNOWN = (
    "/run/docker.sock", "/run/podman/podman.sock", "/run/crio/crio.sock", "/run/cri-dockerd.sock",
    "/run/containerd/containerd.sock", "/run/containerd/containerd.sock.ttrpc",
    "/run/k3s/containerd/containerd.sock", "/run/k0s/containerd.sock",
    "/run/buildkit/buildkitd.sock", "/run/docker/containerd/containerd.sock",
    "/run/snap.docker/docker.sock",
    "/var/snap/microk8s/common/run/containerd.sock", "/var/lib/lxd/unix.socket",
    "/var/snap/lxd/common/lxd/unix.socket", "/var/lib/incus/unix.socket", "/run/incus/unix.socket",
)  # fmt: skip

DAEMONS = (
    "buildkitd", "containerd", "cri-dockerd", "crio", "docker", "dockerd", "incusd", "k3s-server",
    "k3s", "lxd", "podman", "rke2",
)  # fmt: skip

NAMES = ("docker", "containerd", "podman", "crio", "cri-dockerd", "buildkit", "lxd", "incus")

INTERNAL = ("/containerd/s/", "/libnetwork/", "/shim", "/plugins/", "/metrics.sock", "-debug.sock")
"""Sockets of engines that take no orders from clients."""


@dataclass(frozen=True, slots=True)
class RuntimeSockets:
    """:param places: path of each engine's socket, and where it is; ``inodes`` which file it is."""

    places: dict[str, Place]
    inodes: dict[str, str]

    def reached_through(self, exposure: Exposure) -> Iterator[str]:
        """Yield the sockets that are what a container sees, or lie below it."""
        for path, place in self.places.items():
            if exposure.shows(place) or exposure.inode == self.inodes[path]:
                yield path


@provide
def runtime_sockets(host: Host) -> RuntimeSockets:
    """The sockets of every engine on the host: Docker's, containerd's, Podman's, CRI-O's …

    :raises Unknown: the host does not show who listens where.
    """
    listening = {path for path in _listening(host) if not any(part in path for part in INTERNAL)}
    candidates = sorted(listening | set(KNOWN))
    asked = [want("readlink -f -- %s", path, meaning=(0, 1)) for path in candidates]
    stats = [inode_want(path) for path in candidates]
    answers = session_of(host).ask(*asked, *stats)
    mounts: MountTable = get(host, "mounts")
    places: dict[str, Place] = {}
    inodes: dict[str, str] = {}
    for path, resolved, stat in zip(candidates, answers, answers[len(candidates) :], strict=False):
        if stat.exit and not stat.complaint.endswith(("No such file or directory", "directory")):
            raise Unknown(f"cannot see {path}: {stat.complaint}")
        inode = socket_inode(stat.text)
        name = resolved.text.removesuffix("\n") if resolved.exit == 0 else ""
        place = place_of(mounts, name) if name else None
        if inode and place is not None:
            places[name], inodes[name] = place, inode
    return RuntimeSockets(places, inodes)


def _listening(host: Host) -> Iterator[str]:
    """Yield the paths on which an engine listens: by its own word, its process, or its name."""
    sockets: Sockets = get(host, "sockets")
    processes: Processes = get(host, "processes")
    for listener in sockets.unix:
        if listener.abstract:
            continue
        try:
            holders = [processes.get(pid) for pid in listener.owners]
        except Unknown:
            holders = []
        base = listener.path.rpartition("/")[2]
        held = any(holder is not None and holder.name in DAEMONS for holder in holders)
        if held or base.startswith(NAMES):
            yield listener.path
    try:
        engines = get(host, "docker")
    except NotApplicable:
        return
    for engine in engines:
        yield from engine.sockets
