"""Which of some programs really run on a host, by the file that the kernel says they are.

The name of a process is its own to choose; its program, rights and namespaces are not. Of one
whose program only root may see, the unit of systemd that it was started by speaks.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.facts.docker.candidates import parse_programs, program_name
from hullcheck.facts.docker.search import PROGRAMS
from hullcheck.facts.processes import Process, Processes
from hullcheck.facts.registry import get
from hullcheck.transport import session_of

__all__ = ["BOXES", "Running", "Sight", "running_programs"]

COMM = 15
BOXES = ("busybox", "toybox")
"""Programs that are many, told apart by their name as a process."""

_UNIT = re.compile(r"/system\.slice/(?:[^/]+\.slice/)*[^/]+\.service")


@dataclass(frozen=True, slots=True)
class Running:
    """A program that runs.

    :param path: in its own root; empty if only root may see it.
    :param contained: whether it has a pid namespace of its own, so is no program of the host's.
    """

    process: Process
    name: str
    path: str
    contained: bool

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
    full = {each[:COMM]: each for each in names}
    wanted, scripted = frozenset(full.values()), frozenset(scripts)
    programs = parse_programs(session_of(host).ask(PROGRAMS)[0])
    processes: Processes = get(host, "processes")
    first = processes.get(1)
    depth = len(first.nspid) if first else 1
    found, doubt = [], ""
    for process in processes:
        path = programs.get(process.pid, "").removesuffix(" (deleted)")
        own = program_name(path)
        if process.zombie or (not path and 2 in (process.pid, process.ppid)):
            continue
        name = own if own in wanted else ""
        if process.name in scripted and own:
            name = process.name
        elif own in BOXES or (not path and _of_unit(process)):
            name = full.get(process.name, "")
        elif not path and process.name in full:
            doubt = f"whose program {process} is cannot be seen; it needs root"
        if name:
            found.append(Running(process, name, path, len(process.nspid) > depth))
    return Sight(tuple(sorted(found, key=lambda each: each.process.pid)), doubt)


def _of_unit(process: Process) -> bool:
    return any(_UNIT.fullmatch(path) for path in process.cgroups.values())
