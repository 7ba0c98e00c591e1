"""conmon(8): the process that Podman leaves beside each running container, as its parent."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.facts.podman.roots import Roots
from hullcheck.facts.processes import Gone, Process, Processes
from hullcheck.transport import Want, session_of

__all__ = ["Conmon", "conmons"]

_BUNDLE = re.compile(r"(/.*)/[a-z]+-containers/[0-9a-f]{64}/userdata/?")
_OPTIONS = {
    "-c": "cid", "--cid": "cid", "-n": "name", "--name": "name", "-b": "bundle",
    "--bundle": "bundle", "-p": "pidfile", "--container-pidfile": "pidfile",
    "--exit-command": "exit",
}  # fmt: skip
_EXEC = ("-e", "--exec")


@dataclass(frozen=True, slots=True)
class Conmon:
    """What the command line of a conmon of Podman's says.

    :param roots: of the store that its container is in; None if it does not tell.
    """

    process: Process
    id: str
    name: str
    roots: Roots | None


def conmons(host: Host, processes: Processes, *others: Want) -> tuple[Conmon, ...]:
    """Return the conmons of the host's own Podmans, those of ``podman exec`` left out.

    One in a pid namespace of its own belongs to an engine inside a container, whose paths are
    not the host's.

    :raises Unknown: the command line of one of root's is not whole.
    :param others: what is to be asked together with their command lines.
    """
    first = processes.get(1)
    depth = len(first.nspid) if first else 1
    named = [
        each
        for each in processes
        if each.name == "conmon" and not each.zombie and len(each.nspid) <= depth
    ]
    session_of(host).foresee(*others)
    processes.look_up(each.pid for each in named)
    found = (_conmon(each, _arguments(each)) for each in named)
    return tuple(each for each in found if each is not None)


def _arguments(process: Process) -> Sequence[str]:
    """Return its words. Of root's own, which tells of root's store, they must be whole."""
    try:
        return process.cmdline if process.uids[1] else process.whole_cmdline
    except Gone:
        return ()


def _conmon(process: Process, arguments: Sequence[str]) -> Conmon | None:
    told: dict[str, str] = {}
    for option, value in zip(arguments, (*arguments[1:], ""), strict=False):
        if option in _OPTIONS:
            told.setdefault(_OPTIONS[option], value)
    if set(arguments) & set(_EXEC) or posixpath.basename(told.get("exit", "")) != "podman":
        return None
    return Conmon(process, told.get("cid", ""), told.get("name", ""), _roots(process, told))


def _roots(process: Process, told: dict[str, str]) -> Roots | None:
    graph = _BUNDLE.fullmatch(told.get("bundle", ""))
    run = _BUNDLE.fullmatch(posixpath.dirname(told.get("pidfile", "")))
    if not graph or ":" in graph[1]:
        return None
    return Roots(graph[1], run[1] if run else graph[1], process.uids[1])
