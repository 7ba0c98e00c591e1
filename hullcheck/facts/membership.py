"""Which processes belong to a container: by cgroup, by namespace, and by who started them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from hullcheck.facts.processes import Process

__all__ = ["members", "owners", "unborn"]

BIRTH = 5.0
"""Seconds that runc may take to start a process."""

_ID = re.compile(r"[0-9a-f]{64}")


def owners(process: Process, ids: Collection[str]) -> set[str]:
    """Return the containers in whose cgroups a process is: of nested ones, the innermost."""
    found = set()
    for path in process.cgroups.values():
        known = [each for each in _ID.findall(path) if each in ids]
        found.update(known[-1:])
    return found


def members(
    init: Process, number: str, processes: Collection[Process], owned: Mapping[int, set[str]]
) -> list[Process]:
    """Return the processes of a container: what is in its cgroups, under any controller; what is
    in its pid or mount namespace; and what those have started. Not what is another container's
    under every controller that tells. What runc makes ready has a parent outside of the container.
    """
    own = {init.pid}
    stray, early = [], unborn(processes)
    for process in processes:
        inside = owned[process.pid]
        if process.zombie or (inside and number not in inside):
            continue
        if process not in early and (inside or _entered(process, init)):
            own.add(process.pid)
        else:
            stray.append(process)
    before = 0
    while len(own) != before:
        before = len(own)
        own |= {process.pid for process in stray if process.ppid in own}
    return [process for process in processes if process.pid in own]


def unborn(processes: Collection[Process]) -> list[Process]:
    """Return the processes in which runc is still making ready what it was asked to start.

    It has all of root's rights until it becomes the program: every health check does that. Under
    this name for longer than :data:`BIRTH`, or as a child of the host's first process, it is
    something else.
    """
    newest = max((process.started for process in processes), default=0.0)
    return [
        process
        for process in processes
        if process.name.startswith("runc:[") and process.started >= newest - BIRTH
        if process.ppid != 1
    ]


def _entered(process: Process, init: Process) -> bool:
    for name in ("mnt", "pid"):
        space = init.spaces.get(name)
        apart = name == "mnt" or len(init.nspid) > 1
        if apart and space is not None and process.spaces.get(name) == space:
            return True
    return False
