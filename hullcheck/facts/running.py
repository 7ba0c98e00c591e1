"""Which of some programs really run on a host, by the file that the kernel says they are.

The name of a process is its own to choose; its program, rights and namespaces are not. Of one
whose program only root may see, the unit of systemd that it was started by speaks.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.facts.docker.candidates import containers_of, parse_programs, program_name
from hullcheck.facts.docker.search import PROGRAMS
from hullcheck.facts.processes import Process, Processes
from hullcheck.facts.registry import get
from hullcheck.transport import session_of

__all__ = ["BOXES", "Running", "Sight", "running_programs"]

COMM = 15
UNITS = {"rsyslogd": "rsyslog", "chronyd": "chrony"}
"""Services that are called otherwise than their programs."""

BOXES = ("busybox", "toybox")
"""Programs that are many, told apart by their name as a process."""

_UNIT = re.compile(r"/system\.slice/(?:[^/]+\.slice/)*([^/@]+)(?:@[^/]*)?\.service")


@dataclass(frozen=True, slots=True)
class Running:
    """A program that runs.

    :param path: in its own root; empty if only root may see it.
    :param contained: whether it is in a container, and so no program of the host's.
    :param served: whether a unit of the system's started it.
    """

    process: Process
    name: str
    path: str
    contained: bool
    served: bool = False

    @property
    def of_host(self) -> bool:
        """Whether it is a service of the host's, and not what some user has started."""
        return not self.contained and (self.served or self.process.uids[1] == 0)

    def __str__(self) -> str:
        where = ", in a container" if self.contained else ""
        return f"{self.name} (process {self.process.pid}{where})"


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of some programs.

    :param found: those that run, by their pids.
    :param doubt: why another may run; empty if none can.
    """

    found: tuple[Running, ...]
    doubt: str = ""

    def named(self, names: Collection[str]) -> list[Running]:
        """Return those of some names."""
        return [each for each in self.found if each.name in names]


def running_programs(host: Host, names: Iterable[str], scripts: Iterable[str] = ()) -> Sight:
    """Return which programs run, by the names of their files.

    :param scripts: programs that an interpreter runs (ruby, java …): theirs is the name of the
        process.
    :raises Unknown: processes are hidden.
    """
    wanted, scripted = frozenset(names), frozenset(scripts)
    programs = parse_programs(session_of(host).ask(PROGRAMS)[0])
    processes: Processes = get(host, "processes")
    first = processes.get(1)
    found, doubt = [], ""
    for process in processes:
        path = programs.get(process.pid, "").removesuffix(" (deleted)")
        own = program_name(path)
        if process.zombie or (not path and 2 in (process.pid, process.ppid)):
            continue
        name = own if own in wanted else ""
        if process.name in scripted and own:
            name = process.name
        elif own in BOXES:
            name = process.name if process.name in wanted else ""
        elif not path and (likely := [each for each in wanted if each[:COMM] == process.name]):
            name = _of_unit(process, likely)
            doubt = doubt if name else f"whose program {process} is cannot be seen; it needs root"
        if name:
            served = bool(_units(process))
            inside = _contained(process, first, served)
            found.append(Running(process, name, path, inside, served))
    return Sight(tuple(sorted(found, key=lambda each: each.process.pid)), doubt)


def _units(process: Process) -> set[str]:
    """Return the services of systemd's whose cgroup a process is in; no container's is."""
    return {found[1] for path in process.cgroups.values() if (found := _UNIT.fullmatch(path))}


def _contained(process: Process, first: Process | None, served: bool) -> bool:
    """Whether a process is in a container, one with the host's pid namespace too.

    Services may have a mount namespace of their own, and so has a container.
    """
    if len(process.nspid) > (len(first.nspid) if first else 1) or containers_of(process):
        return True
    here, there = process.spaces.get("mnt"), first.spaces.get("mnt") if first else None
    return here is not None and there is not None and here != there and not served


def _of_unit(process: Process, names: Collection[str]) -> str:
    """Return which of some names a process has by the unit that started it; empty if by none."""
    units = _units(process)
    same = [each for each in names if units & {each, UNITS.get(each, each)}]
    return same[0] if same else (min(names) if units and len(names) == 1 else "")
