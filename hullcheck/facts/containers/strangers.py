"""What runs apart from the host like a container, and no engine has told of.

Two ways find it, united: cgroups named as engines name those of containers, and namespaces: a pid
namespace of its own, or a mount namespace with a root directory of its own. A service of systemd
with a private /tmp has the host's root; so has a rootless engine.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.facts import namespaces
from hullcheck.facts.containers.cgroup_names import container_of
from hullcheck.facts.containers.excuses import excused, line
from hullcheck.facts.containers.membership import BIRTH, unborn
from hullcheck.facts.processes import Process, Processes

__all__ = ["Stranger", "first_of", "strangers"]

Space = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Stranger:
    """:param id: what its cgroup says, or "". ``runtime``: whose name that cgroup has, or "".
    :param init: its first process. ``fresh``: it may have started after the engines were asked.
    """

    id: str
    runtime: str
    init: Process
    fresh: bool

    @property
    def name(self) -> str:
        """What it is called where nobody has given it a name."""
        return self.id[:12] if len(self.id) == 64 else self.id or f"process {self.init}"


def first_of(group: Collection[Process]) -> Process:
    """Return the first process of a container: the init of its pid namespace, if it has one,
    else the oldest that was started from outside."""
    inside = {process.pid for process in group}
    entered = [process for process in group if process.ppid not in inside] or list(group)
    inits = [each for each in entered if len(each.nspid) > 1 and each.nspid[-1] == 1]
    return min(inits or entered, key=lambda process: (process.started, process.pid))


def strangers(
    host: Host,
    processes: Processes,
    owned: Mapping[int, set[str]],
    known: Mapping[str, Process | None],
    engines: Iterable[Process],
) -> list[Stranger]:
    """Return the containers that nobody has told of.

    :param owned: by pid, the ids of the containers in whose cgroups a process is.
    :param known: the ids of which an engine has told, with the first process of those that run.
    :param engines: the engines' own processes, which may have a root of their own (a snap's).
    """
    named: dict[str, list[Process]] = {}
    early = unborn(processes)
    for process in processes:
        if process.zombie or process in early:
            continue
        for number in owned[process.pid] - set(known):
            named.setdefault(number, []).append(process)
    groups = list(named.items())
    inits = {each.pid for each in known.values() if each is not None}
    theirs = {pid for pid, numbers in owned.items() if numbers} | inits
    apart = _apart(processes, theirs, {each.spaces.get("mnt") for each in engines})
    groups += [("", group) for group in apart]
    pardon = excused(host, processes, [(each, first_of(group), group) for each, group in groups])
    newest = max(process.started for process in processes)
    return [
        _stranger(number, group, newest)
        for number, group in groups
        if first_of(group).pid not in pardon
    ]


def _stranger(number: str, group: list[Process], newest: float) -> Stranger:
    init = first_of(group)
    found = (container_of(path) for path in init.cgroups.values())
    runtimes = sorted({each.runtime for each in found if each and each.id == number} - {""})
    fresh = init.started >= newest - BIRTH
    return Stranger(number, runtimes[0] if runtimes else "", init, fresh)


def _apart(
    processes: Processes, theirs: Collection[int], engines: Collection[Space | None]
) -> list[list[Process]]:
    """Return the processes in namespaces of their own and in no container's, by namespace.

    :param theirs: the pids of what is known to be in a container.
    """
    hosts = {name: namespaces.of_host(processes, name) for name in ("mnt", "pid")}
    own = set(engines) - {None, hosts["mnt"]}
    roots = {each.root for each in (processes.get(1), processes.get(2)) if each is not None}
    taken = {
        process.spaces[name]
        for process in processes
        if process.pid in theirs
        for name, hosts_own in hosts.items()
        if process.spaces.get(name) not in (None, hosts_own)
    }
    keys: dict[int, Space] = {}
    for process in processes:
        key = _space(process, hosts, roots - {None})
        free = process.pid not in theirs and not taken & set(process.spaces.values())
        if key and free and not process.zombie and process.spaces.get("mnt") not in own:
            keys[process.pid] = key
    groups: dict[Space, list[Process]] = {}
    for pid, key in keys.items():
        found = processes.get(pid)
        if found is None or any(each.pid in theirs for each in line(found, processes)):
            continue
        groups.setdefault(_highest(found, keys, processes) or key, []).append(found)
    return list(groups.values())


def _space(
    process: Process, hosts: Mapping[str, Space | None], roots: Collection[Space | None]
) -> Space | None:
    """Return the namespace that sets a process apart from the host; None if none does."""
    pid, mnt = process.spaces.get("pid"), process.spaces.get("mnt")
    if len(process.nspid) > 1 and pid != hosts["pid"]:
        return pid or (0, process.pid)
    if mnt is None or mnt == hosts["mnt"] or process.root is None or not roots:
        return None
    return None if process.root in roots else mnt


def _highest(process: Process, keys: Mapping[int, Space], processes: Processes) -> Space | None:
    """Return the namespace of the furthest forefather that is set apart in an unbroken line."""
    key = None
    for each in line(process, processes):
        if each.pid not in keys:
            break
        key = keys[each.pid]
    return key
