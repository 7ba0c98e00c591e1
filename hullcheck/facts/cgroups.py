"""What limits the kernel sets on a cgroup, its own and those of the cgroups above it.

Read from the cgroup file systems, v1 or v2, controller by controller: see cgroups(7) and the
kernel's Documentation/admin-guide/cgroup-v1 and cgroup-v2.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.mounts import Mount
from hullcheck.facts.registry import get
from hullcheck.facts.texts import lines_of
from hullcheck.transport.backend import session_of
from hullcheck.transport.want import Answer, Want, want

__all__ = ["Limits", "Tree", "limits", "limits_want", "trees"]

Number = TypeVar("Number", int, float)

UNLIMITED = 1 << 62
"""v1 says 2^63 less a page where v2 says "max"."""

DEFAULT_SHARES, DEFAULT_WEIGHT = 1024, 100

FILES = {
    ("memory", 1): ("memory.limit_in_bytes",),
    ("memory", 2): ("memory.max",),
    ("pids", 1): ("pids.max",),
    ("pids", 2): ("pids.max",),
    ("cpu", 1): ("cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.shares"),
    ("cpu", 2): ("cpu.max", "cpu.weight"),
    ("devices", 1): ("devices.list",),
}


@dataclass(frozen=True, slots=True)
class Tree:
    """A cgroup in one hierarchy, with the cgroups above it but for the hierarchy's root.

    :param directories: its own first.
    """

    controller: str
    version: int
    directories: tuple[str, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """The files that limit it, and one that tells whether it is there at all."""
        names = FILES.get((self.controller, self.version), ())
        marks = [f"{self.directories[0]}/cgroup.procs"] if self.directories else []
        # Only the container's own list of devices can be narrower than those above it.
        levels = self.directories[:1] if self.controller == "devices" else self.directories
        return (*marks, *(f"{directory}/{name}" for directory in levels for name in names))


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits in effect; None is none.

    :param memory: bytes. ``pids``: how many processes. ``cpus``: how many processors' time.
    :param share: whether its part of contended processor time differs from the default.
    :param devices: the lines of ``devices.list``; None on v2, whose filter cannot be read.
    """

    memory: int | None
    pids: int | None
    cpus: float | None
    share: bool
    devices: tuple[str, ...] | None


def trees(mounts: Sequence[Mount], cgroups: Mapping[str, str]) -> list[Tree]:
    """Return where the limits of a process are.

    :param cgroups: see :class:`hullcheck.facts.processes.Process`.
    :raises Unknown: a hierarchy is not mounted, or shows another part of the tree.
    """
    found = []
    mounted = any(mount.fstype == "cgroup2" for mount in mounts)
    for controller in ("memory", "pids", "cpu", "devices"):
        # Nothing is limited at the root of v1: a kernel may have it there and nobody use it.
        unused = controller not in cgroups or (mounted and cgroups[controller] == "/")
        version = 2 if "" in cgroups and unused else 1
        path = cgroups.get(controller if version == 1 else "")
        if controller == "devices" and version == 2:
            continue
        if path is None:
            raise Unknown(f"the process is in no cgroup hierarchy that limits {controller}")
        found.append(Tree(controller, version, _levels(_mount(mounts, controller, version), path)))
    return found


def _mount(mounts: Sequence[Mount], controller: str, version: int) -> Mount:
    for mount in mounts:
        if version == 2 and mount.fstype == "cgroup2":
            return mount
        if version == 1 and mount.fstype == "cgroup" and controller in mount.super_options:
            return mount
    raise Unknown(f"the cgroup v{version} hierarchy of {controller} is not mounted")


def _levels(mount: Mount, path: str) -> tuple[str, ...]:
    rest = posixpath.relpath(path, mount.root)
    # Seen from a cgroup namespace, what lies outside of it begins with "/..".
    if ".." in path.split("/") or rest.split("/")[0] == "..":
        raise Unknown(f"the cgroup {path} lies outside of what {mount.target} shows")
    parts = [] if rest == "." else rest.split("/")
    return tuple(posixpath.join(mount.target, *parts[:depth]) for depth in range(len(parts), 0, -1))


def limits_want(found: Iterable[Tree]) -> Want:
    """Return the want for all files of some trees; those that do not exist are an answer."""
    files = [file for tree in found for file in tree.files]
    return want("grep -aH '' -- /dev/null" + " %s" * len(files), *files, meaning=(0, 1, 2))


def limits(host: Host, cgroups: Mapping[str, str]) -> Limits:
    """Return the limits in effect for a process in these cgroups.

    :raises NotApplicable: its cgroup is gone: it has ended.
    :raises Unknown: a limit cannot be read.
    """
    found = trees(get(host, "mounts"), cgroups)
    files = Files(found, session_of(host).ask(limits_want(found))[0])
    by_controller = {tree.controller: tree for tree in found}
    memory, pids, cpu = (by_controller[name] for name in ("memory", "pids", "cpu"))
    devices = by_controller.get("devices")
    return Limits(
        memory=_least(files.number(each) for each in memory.files[1:]),
        pids=_least(files.number(each) for each in pids.files[1:]),
        cpus=_least(_cpus(files, cpu, directory) for directory in cpu.directories),
        share=any(_share(files, cpu, directory) for directory in cpu.directories),
        devices=files.lines(devices.files[1]) if devices and devices.directories else None,
    )


class Files:
    """The contents of the files of some trees."""

    def __init__(self, found: Sequence[Tree], answer: Answer) -> None:
        asked = [file for tree in found for file in tree.files]
        self._lines: dict[str, list[str]] = {}
        for line in lines_of(answer):
            # A name of a cgroup may hold a colon; what was asked for tells where the name ends.
            file = next((each for each in asked if line.startswith(f"{each}:")), None)
            if file is not None:
                self._lines.setdefault(file, []).append(line[len(file) + 1 :])
        self._absent: set[str] = set()
        for line in answer.evidence.stderr.decode("utf-8", "surrogateescape").splitlines():
            self._complaint(line)
        gone = [tree.files[0] in self._absent for tree in found if tree.files]
        if gone and all(gone):
            raise NotApplicable("it ended while it was read")
        if any(gone):
            raise Unknown("a cgroup that a process is in is not to be seen where it should be")

    def _complaint(self, line: str) -> None:
        file, _, reason = line.removeprefix("grep: ").rpartition(": ")
        if reason in ("No such file or directory", "No such device"):
            self._absent.add(file)
        elif line.strip() and not file.endswith("/cgroup.procs"):
            raise Unknown(f"cannot read {file}: {reason}")

    def lines(self, file: str) -> tuple[str, ...] | None:
        """Return the lines of a file; None if it does not exist."""
        return None if file in self._absent else tuple(self._lines.get(file, ()))

    def number(self, file: str) -> int | None:
        """Return a limit; None if there is none, as where v2 has not the controller.

        :raises Unknown: it is no number.
        """
        lines = self.lines(file)
        if lines is None or lines == ("max",):
            return None
        if len(lines) != 1 or not re.fullmatch(r"-?[0-9]{1,20}", lines[0]):
            raise Unknown(f"{file} is no number: {' '.join(lines)[:60]!r}")
        value = int(lines[0])
        return None if value < 0 or value >= UNLIMITED else value


def _least(values: Iterable[Number | None]) -> Number | None:
    return min((value for value in values if value is not None), default=None)


def _cpus(files: Files, tree: Tree, directory: str) -> float | None:
    if tree.version == 1:
        quota = files.number(f"{directory}/cpu.cfs_quota_us")
        period = files.number(f"{directory}/cpu.cfs_period_us")
        return quota / period if quota is not None and period else None
    lines = files.lines(f"{directory}/cpu.max")
    if lines is None:
        return None
    found = re.fullmatch(r"(max|[0-9]+) ([1-9][0-9]*)", " ".join(lines))
    if not found:
        raise Unknown(f"{directory}/cpu.max makes no sense: {' '.join(lines)[:60]!r}")
    return None if found[1] == "max" else int(found[1]) / int(found[2])


def _share(files: Files, tree: Tree, directory: str) -> bool:
    if tree.version == 1:
        return files.number(f"{directory}/cpu.shares") not in (None, DEFAULT_SHARES)
    return files.number(f"{directory}/cpu.weight") not in (None, DEFAULT_WEIGHT)
