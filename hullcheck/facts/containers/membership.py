"""Which processes belong to a container: by cgroup, by namespace, and by who started them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hullcheck.facts import namespaces
from hullcheck.facts.containers.cgroup_names import container_of
from hullcheck.facts.processes import Process, Processes

__all__ = ["below", "members", "owners", "unborn"]

BIRTH = 5.0
"""Seconds that runc may take to start a process."""


def owners(process: Process, places: Mapping[str, str]) -> set[str]:
    """Return the ids of the containers in whose cgroups a process is: of nested ones, the
    innermost. A container that no engine knows owns its processes as well.

    :param places: cgroup path -> id, of containers whose cgroup has a name of anybody's choice.
    """
    found = set()
    for path in process.cgroups.values():
        named = container_of(path)
        if named is not None:
            found.add(named.id)
        elif places:
            found.update(number for place, number in places.items() if below(path, place))
    return found


def below(path: str, place: str) -> bool:
    """Whether a cgroup is another one, or lies below it."""
    return path == place or path.startswith(f"{place}/")


def members(
    init: Process, number: str, processes: Processes, owned: Mapping[int, set[str]]
) -> list[Process]:
    """Return the processes of a container: what is in its cgroups, under any controller; what is
    in its pid or mount namespace; and what those have started. Not what is another container's
    under every controller that tells. What runc makes ready has a parent outside of the container.
    """
    own = {init.pid}
    stray, early = [], unborn(processes)
    apart = {
        init.spaces[name]
        for name in ("mnt", "pid")
        if name in init.spaces and init.spaces[name] != namespaces.of_host(processes, name)
        if name == "mnt" or len(init.nspid) > 1
    }
    for process in processes:
        inside = owned[process.pid]
        if process.zombie or (inside and number not in inside):
            continue
        if process not in early and (inside or apart & set(process.spaces.values())):
            own.add(process.pid)
        else:
            stray.append(process)
    before = 0
    while len(own) != before:
        before = len(own)
        own |= {process.pid for process in stray if process.ppid in own}
    return [process for process in processes if process.pid in own]


def unborn(processes: Processes) -> list[Process]:
    """Return the processes in which runc is still making ready what it was asked to start.

    It has all of root's rights until it becomes the program: every health check does that. Under
    this name for longer than :data:`BIRTH`, or as a child of the host's first process or of one
    that has not the host's root directory, it is something else: anybody may call himself so.
    """
    newest = max((process.started for process in processes), default=0.0)
    roots = {each.root for each in (processes.get(1), processes.get(2)) if each is not None}
    return [
        process
        for process in processes
        if process.name.startswith("runc:[") and process.started >= newest - BIRTH
        if process.ppid != 1 and _on_host(processes.get(process.ppid), roots)
    ]


def _on_host(parent: Process | None, roots: Collection[tuple[int, int] | None]) -> bool:
    """Whether a parent is runc's: it is on the host, or was, as runc's first steps end at once."""
    return parent is None or parent.name.startswith("runc:[") or parent.root in roots
