"""What a kubelet starts containers through: CRI-O, or a containerd with its CRI plugin; and the
files that either of them rests on."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import TYPE_CHECKING

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.engine_files import EngineFile
from hullcheck.facts.registry import Unseen, get, provide_each
from hullcheck.transport import CannotAnswer
from hullcheck.verdict import Object

if TYPE_CHECKING:
    from hullcheck.facts.containerd import Containerd
    from hullcheck.facts.crio import Crio

    Cri = Containerd | Crio

__all__ = ["cri", "runtime_config", "runtime_directory"]

KINDS = ("containerd", "crio")


def _daemons(host: Host) -> Iterator[Cri | Unseen]:
    """Yield every daemon; :raises NotApplicable: there is none."""
    reasons = []
    for kind in KINDS:
        try:
            yield from get(host, kind)
        except NotApplicable as reason:
            reasons.append(str(reason))
    if len(reasons) == len(KINDS):
        raise NotApplicable("; ".join(reasons))


@provide_each
def cri(host: Host) -> list[Cri | Unseen]:
    """Each daemon that serves the container runtime interface.

    :raises NotApplicable: none does.
    """
    found: list[Cri | Unseen] = []
    for each in _daemons(host):
        try:
            if isinstance(each, Unseen) or not each.unused_cri:
                found.append(each)
        except (Unknown, CannotAnswer) as reason:
            found.append(Unseen(each.object, str(reason)))
    if not found:
        raise NotApplicable("no containerd here starts pods: there is no kubelet, or no CRI plugin")
    return found


def _files(daemon: Cri) -> Iterator[str]:
    for file in daemon.settings.files:
        folder = posixpath.dirname(file.path)
        if file.exists:
            yield file.path
        yield folder


def _each(host: Host, name: str) -> list[EngineFile | Unseen]:
    found: dict[str, EngineFile | Unseen] = {}
    for daemon in _daemons(host):
        if isinstance(daemon, Unseen):
            found[daemon.object.name] = daemon
            continue
        try:
            paths = list(_files(daemon)) if name == "config" else daemon.directories
            for path in paths:
                found[daemon.seen(path)] = daemon.file(path)
        except (Unknown, CannotAnswer) as reason:
            found[str(daemon)] = Unseen(Object("engine", str(daemon)), str(reason))
    return list(found.values())


@provide_each
def runtime_config(host: Host) -> list[EngineFile | Unseen]:
    """Each file that a containerd or CRI-O was set by, and the folder it lies in."""
    return _each(host, "config")


@provide_each
def runtime_directory(host: Host) -> list[EngineFile | Unseen]:
    """Each directory in which a containerd or CRI-O keeps its data and its state."""
    return _each(host, "directories")
