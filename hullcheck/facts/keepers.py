"""Who looks after a container, and where it keeps that container's own files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from hullcheck.facts.mounts import MountTable, Place, place_of, within

__all__ = [
    "Keeper", "Store", "containerd_keeper", "docker_store", "foreign_store", "podman_keeper",
]  # fmt: skip

_ANY = "[0-9a-f]{64}"
_KUBELET = "/var/lib/kubelet/pods"
_CRI = "io.containerd.grpc.v1.cri"


@dataclass(frozen=True, slots=True)
class Keeper:
    """An engine, as far as a container of its is concerned.

    :param kind: docker, podman, containerd, cri-o, lxc …; "" if nobody is known to look after it.
    :param name: the same, more closely: "podman of bob".
    :param listed: whether an engine lists it, so that those who look after the host see it.
    :param roots: the directories in which the engine keeps its data.
    :param told: whether an engine or a runtime tells of it; else ``kind`` is but the name of a
        cgroup, which anybody may choose.
    :param away: why the engine cannot be asked about its containers now; "" if it can.
    """

    kind: str
    name: str
    listed: bool = True
    rootless: bool = False
    roots: tuple[str, ...] = ()
    told: bool = True
    away: str = ""

    def __str__(self) -> str:
        return self.name or self.kind or "no engine"


@dataclass(frozen=True, slots=True)
class Store:
    """An engine's own files: what it mounts into a container for itself is no exposure.

    :param places: a directory of the engine's, and what below it are volumes or files made for
        this container (a pattern of the rest of the path).
    """

    places: tuple[tuple[str, str], ...]

    def owns(self, name: str) -> bool:
        """Whether the host's path is a volume or a file made for this container."""
        return any(
            re.fullmatch(pattern, name[len(root.rstrip("/")) + 1 :], re.DOTALL)
            for root, pattern in self.places
            if within(name, root) and name != root
        )

    def place(self, host: MountTable, place: Place) -> bool:
        """The same for a place: a name alone could also be that of a bind put there."""
        return any(self.owns(name) for name in self._names(host, place))

    def _names(self, host: MountTable, place: Place) -> Iterable[str]:
        for root, _ in self.places:
            own = place_of(host, root)
            if own is not None and place.device == own.device and within(place.path, own.path):
                yield root.rstrip("/") + place.path[len(own.path.rstrip("/")) :]


def docker_store(root: str, number: str) -> Store:
    """Return what Docker keeps for a container below its data-root."""
    own = (
        r"volumes/[^/]+/_data(/.*)?",
        rf"containers/{_ANY}/(hosts|hostname|resolv\.conf)",
        rf"containers/{re.escape(number)}/.+",
    )
    return Store(tuple((root, pattern) for pattern in own))


def podman_keeper(owner: str, rootless: bool, graphroot: str, runroot: str) -> Keeper:
    """Return the keeper of the containers in one user's store of Podman's."""
    return Keeper("podman", f"podman of {owner}", True, rootless, (graphroot, runroot))


def containerd_keeper(kind: str, namespace: str, listed: bool, root: str) -> Keeper:
    """Return the keeper of what containerd or CRI-O runs in a namespace."""
    name = f"{kind}, namespace {namespace}" if namespace else kind
    return Keeper(kind, name, listed, False, (root,))


def foreign_store(keeper: Keeper, number: str) -> Store:
    """Return what the other engines keep for a container; and Docker's, where it does not run."""
    if keeper.kind == "docker":
        stores = [docker_store(root, number) for root in keeper.roots]
        return Store(tuple(place for store in stores for place in store.places))
    own = re.escape(number)
    places = [
        (root, pattern)
        for root in keeper.roots
        for pattern in (
            r"volumes/[^/]+/_data(/.*)?",
            rf"(overlay|vfs)-containers/{_ANY}/userdata/(shm|resolv\.conf|hosts|hostname)",
            rf"(overlay|vfs)-containers/{own}/userdata/.+",
            rf"{re.escape(_CRI)}/sandboxes/{_ANY}/(shm|hostname|hosts|resolv\.conf)",
        )
    ]
    if keeper.kind in ("containerd", "cri-o"):
        volumes = r"volumes/kubernetes\.io~(empty-dir|projected|configmap|secret|downward-api)/.+"
        places += [
            ("/var/lib/containerd", rf"{re.escape(_CRI)}/sandboxes/{_ANY}/(hostname|resolv\.conf)"),
            (_KUBELET, rf"[0-9a-f-]+/({volumes}|etc-hosts|containers/[^/]+/[^/]+)"),
        ]
    return Store(tuple(places))
