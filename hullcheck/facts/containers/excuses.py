"""What runs apart from the host, and is no container: helpers of engines, snaps, services of
systemd with another root directory, and the sandboxes of ordinary users' programs."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts import namespaces
from hullcheck.facts.containers.membership import below
from hullcheck.facts.processes import Process, Processes
from hullcheck.facts.texts import lines_of
from hullcheck.facts.user_maps import parse_map
from hullcheck.transport import Answer, Want, session_of, want

__all__ = ["HELPERS", "excused", "line"]

HELPERS = tuple(
    f"/usr/{place}/{name}"
    for place in ("bin", "local/bin", "libexec/podman", "lib/podman")
    for name in ("pasta", "pasta.avx2", "passt", "passt.avx2", "slirp4netns")
)
"""Programs that serve a container's network from an empty root of their own."""

SNAPS = "/run/snapd/ns/*.mnt"
"""The mount namespaces that snapd keeps for its programs, in a directory of root's alone."""

_ENDED = re.compile(r"/proc/(\d+)/exe['\"]?: No such (?:file or directory|process)$", re.MULTILINE)
_MAPPED = re.compile(r"(\d+)/uid_map:(.*)")
_APART = {"RootDirectory": "", "RootImage": "", "PrivatePIDs": "no"}
"""Settings of a unit that set its processes apart like a container, and what means "not"."""


@dataclass(frozen=True, slots=True)
class _Unit:
    """A service of systemd, as far as it explains why its processes are apart."""

    group: str
    main: int


def excused(
    host: Host, processes: Processes, found: Collection[tuple[str, Process, list[Process]]]
) -> set[int]:
    """Return the pids of first processes that make no container: those that have ended by now, as
    what an engine stopped since the processes were listed; and, of what is in no container's
    cgroup, what is explained otherwise, by the kernel, by a program's file or by systemd.

    :param found: id or "", first process and all processes of each candidate.
    """
    if not found:
        return set()
    free = [each for number, _, group in found if not number for each in group]
    hosts = namespaces.of_host(processes, "user")
    mapped = [each for each in free if each.spaces.get("user") not in (None, hosts)]
    asked = [_files(first for _, first, _ in found)]
    asked += [_maps(mapped)] if mapped else []
    names = sorted({name for each in free for name in _services(each)})
    asked += [_units(names)] if names else []
    answers = session_of(host).ask(*asked)
    over, helpers, snaps = _programs(answers[0])
    alone = _alone(answers[1], mapped) if mapped else set()
    units = _read_units(answers[-1]) if names else []

    def explained(process: Process) -> bool:
        return (
            process.spaces.get("mnt") in snaps
            or process.pid in alone
            or any(_serves(process, unit, processes) for unit in units)
        )

    return {
        first.pid
        for number, first, group in found
        if first.pid in over
        or (not number and (first.pid in helpers or all(map(explained, group))))
    }


def line(process: Process | None, processes: Processes) -> Iterable[Process]:
    """Yield a process, its parent, its parent's parent …"""
    seen: set[int] = set()
    while process is not None and process.pid not in seen:
        seen.add(process.pid)
        yield process
        process = processes.get(process.ppid)


def _files(firsts: Iterable[Process]) -> Want:
    programs = " ".join(f"/proc/{each.pid}/exe" for each in firsts)
    return want(f"stat -L -c '%d:%i %n' -- {' '.join(HELPERS)} {SNAPS} {programs}", meaning=(0, 1))


def _programs(answer: Answer) -> tuple[set[int], set[int], set[tuple[int, int]]]:
    """Return the pids that have ended, those of helpers, and the mount namespaces of snaps."""
    pairs = [each.partition(" ") for each in lines_of(answer)]
    files = {inode for inode, _, name in pairs if name in HELPERS}
    running = [(inode, name.split("/")[2]) for inode, _, name in pairs if name.endswith("/exe")]
    over = set(_ENDED.findall(answer.evidence.stderr.decode("utf-8", "replace")))
    spaces = [inode.split(":") for inode, _, name in pairs if name.endswith(".mnt")]
    return (
        {int(pid) for pid in over},
        {int(pid) for inode, pid in running if inode in files},
        {(int(device), int(inode)) for device, inode in spaces},
    )


def _maps(group: Iterable[Process]) -> Want:
    files = " ".join(f"{each.pid}/uid_map" for each in group)
    return want(f"cd /proc && grep -aH '' /dev/null {files}", meaning=(0, 1, 2))


def _alone(answer: Answer, group: Iterable[Process]) -> set[int]:
    """Return those in a user namespace that has but the user who made it, and is not root: what
    bubblewrap, Flatpak and browsers make. Nothing in it has rights that its user has not."""
    lines = [match for each in lines_of(answer) if (match := _MAPPED.fullmatch(each))]
    found = set()
    for process in group:
        text = "".join(f"{match[2]}\n" for match in lines if int(match[1]) == process.pid)
        try:
            ranges = parse_map(text)
        except Unknown:
            continue
        user = process.uids[0]
        only = [(each.outside, each.count) for each in ranges] == [(user, 1)]
        if only and user != 0 and set(process.uids) == {user}:
            found.add(process.pid)
    return found


def _services(process: Process) -> Iterable[str]:
    """Yield the services of systemd's that a process's cgroups are named after."""
    for path in _paths(process):
        yield from [each for each in path.split("/") if each.endswith(".service")][-1:]


def _paths(process: Process) -> list[str]:
    """Return its cgroups where systemd keeps its services: v2, or a hierarchy without limits."""
    return [path for name, path in process.cgroups.items() if name in ("", "name=systemd")]


def _units(names: Iterable[str]) -> Want:
    shown = ",".join(("ControlGroup", "MainPID", "TemporaryFileSystem", *_APART))
    marks = " ".join("%s" for _ in names)
    return want(f"systemctl show -p {shown} -- {marks}", *names, meaning=(0, 1, 127))


def _read_units(answer: Answer) -> list[_Unit]:
    """Return the services that are told to be set apart; none where there is no systemd."""
    found = []
    for block in answer.text.split("\n\n") if answer.exit == 0 else ():
        told: Mapping[str, str] = {
            name: value for name, _, value in (each.partition("=") for each in block.splitlines())
        }
        apart = any(told.get(name, "") not in ("", no) for name, no in _APART.items())
        empty = told.get("TemporaryFileSystem", "").split()
        apart = apart or any(each.partition(":")[0] == "/" for each in empty)
        main = told.get("MainPID", "")
        if apart and posixpath.isabs(told.get("ControlGroup", "")) and main.isdecimal():
            found.append(_Unit(told["ControlGroup"], int(main)))
    return found


def _serves(process: Process, unit: _Unit, processes: Processes) -> bool:
    """Whether a process is of a service: in its cgroup, and started by its main process."""
    started = any(each.pid == unit.main for each in line(process, processes))
    return started and any(below(path, unit.group) for path in _paths(process))
