"""The machine's cgroup hierarchies, as a place to make children in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Hierarchy:
    """One mounted hierarchy: its v1 mount options ("" for v2) and this process's directory."""

    options: str
    directory: Path


def hierarchies() -> list[Hierarchy]:
    """Return every hierarchy mounted on this machine, v1 (named ones too) and v2."""
    own = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, options, path = line.split(":", 2)
        own[options] = path
    return [
        Hierarchy(options, Path(point) / own[options].lstrip("/"))
        for point, mounted in _mounts()
        for options in own
        if set(options.split(",")) <= mounted and (options or mounted == {""})
    ]


def _mounts() -> list[tuple[str, set[str]]]:
    """Return (mount point, options that tell the hierarchy) of cgroup mounts; {""} is v2."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, after = (part.split() for part in line.split(" - ", 1))
        if after[0] == "cgroup2":
            found.append((before[4], {""}))
        elif after[0] == "cgroup":
            found.append((before[4], set(after[2].split(","))))
    return found
