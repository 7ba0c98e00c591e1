"""The sweeps over all of ``/proc`` that tell of processes, line by line; see proc(5)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.texts import lines_of
from hullcheck.transport.backend import session_of
from hullcheck.transport.want import Answer, CannotAnswer, Want, want

__all__ = ["CGROUP", "GONE", "NAMESPACES", "SPACES", "STATUS", "TIMES", "Swept", "argument_bytes",
           "fields_of", "started", "swept"]  # fmt: skip

Spaces = dict[str, tuple[int, int]]

FIELDS = (
    "Name|State|Tgid|PPid|TracerPid|Uid|Gid|Groups|NSpid|Threads|CapInh|CapPrm|CapEff|CapBnd|"
    "CapAmb|NoNewPrivs|Seccomp|Seccomp_filters"
)

NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")

# A process that ends while it is read makes grep exit with 2 and stat with 1 (xargs: 123).
STATUS = want(f"cd /proc && grep -aHE '^({FIELDS}):' [0-9]*/status", meaning=(0, 1, 2))
CGROUP = want("cd /proc && grep -aH '' [0-9]*/cgroup", meaning=(0, 1, 2))
TIMES = want("cd /proc && grep -aHE '^[0-9]|^btime' [0-9]*/stat stat", meaning=(0, 1, 2))
# Eight names per process are too many for one argument list from some 7000 processes on.
SPACES = want(
    "cd /proc && for p in [0-9]*; do echo "
    + " ".join(f"$p/{name}" for name in (*(f"ns/{name}" for name in NAMESPACES), "root"))
    + "; done | xargs stat -L -c '%n %d:%i' --",
    meaning=(0, 1, 123),
)

_TASK = r"(?:\d+/task/)?"
_LINE = re.compile(rf"{_TASK}(\d+)/(?:status|cgroup|stat):(.*)", re.DOTALL)
_SPACE = re.compile(rf"{_TASK}(\d+)/(?:ns/)?([a-z_]+) (\d+):(\d+)")
_COMPLAINT = re.compile(r"^\S*: (?:.*?['\"`]?)?(\d+)/([a-z/_]+)['\"]?: (.*)$")
_ENDED = re.compile(r"/task/\[0-9\]\*/[a-z/_]+['\"]?: No such (?:file or directory|process)$")
"""A process whose threads have all ended, and it with them, since it was listed."""

GONE = ("No such file or directory", "No such process")
_STATE_TO_START = 19
_STATE_TO_ARGUMENTS = 45


@dataclass(frozen=True)
class Swept:
    """What was told of each process, by pid.

    :param status: the lines of its ``status``; ``cgroup``, ``times`` (``stat``) likewise.
    :param spaces: its namespaces, and ``root``, as (device, inode).
    :param btime: when the host was booted, in seconds since the epoch.
    :param denied: the pids whose namespaces the kernel does not show to the audit's user.
    :param stands: see ``Processes``.
    """

    status: dict[int, list[str]]
    cgroup: dict[int, list[str]]
    times: dict[int, list[str]]
    spaces: dict[int, Spaces]
    btime: int
    denied: frozenset[int]
    stands: dict[int, int]


def swept(host: Host) -> Swept:
    """Look at all processes.

    :raises Unknown: some are hidden from the audit's user (``hidepid``, not root).
    """
    answers = session_of(host).ask(STATUS, CGROUP, TIMES, SPACES)
    status, cgroup, times = (_by_pid(answer) for answer in answers[:3])
    spaces = _spaces(answers[3])
    btime = _btime(answers[2].text)
    if not (1 in status and 1 in cgroup and 1 in times):
        raise Unknown("/proc does not show process 1: processes are hidden (hidepid); needs root")
    over = {pid for pid, _, _ in _complaints(answers[1])}
    lost = [pid for pid in status if pid in times and pid not in cgroup and pid not in over]
    if lost:
        raise Unknown(f"/proc does not tell the cgroups of process {lost[0]}, which did not end")
    times |= _torn(host, times)
    refused = frozenset(pid for pid, _, why in _complaints(answers[3]) if not why.endswith(GONE))
    stands = _without_first_thread(host, status, cgroup, times, spaces, refused)
    return Swept(status, cgroup, times, spaces, btime, refused, stands)


def _btime(text: str) -> int:
    found = re.search(r"^stat:btime (\d+)$", text, re.MULTILINE)
    if not found:
        raise Unknown("/proc/stat does not tell when the host was booted")
    return int(found[1])


def _by_pid(answer: Answer) -> dict[int, list[str]]:
    """Return the lines of a sweep by pid.

    :raises Unknown: the host refused to show one of the files.
    :raises CannotAnswer: the sweep itself failed.
    """
    for _, path, reason in _complaints(answer):
        if not reason.endswith(GONE):
            raise Unknown(f"cannot read /proc/{path}: {reason}; needs root")
    lines: dict[int, list[str]] = {}
    for line in lines_of(answer):
        found = _LINE.fullmatch(line)
        if found:
            lines.setdefault(int(found[1]), []).append(found[2])
        elif not line.startswith("stat:"):
            raise CannotAnswer(f"a sweep over /proc gave what is no line of a file: {line[:60]!r}")
    return lines


def _complaints(answer: Answer) -> Iterator[tuple[int, str, str]]:
    for line in answer.evidence.stderr.decode("utf-8", "replace").splitlines():
        found = _COMPLAINT.match(line)
        if _ENDED.search(line):
            continue
        if found:
            yield int(found[1]), f"{found[1]}/{found[2]}", found[3]
        elif line.strip():
            raise CannotAnswer(f"the sweep over /proc failed: {line.strip()[:200]}")


def _spaces(answer: Answer) -> dict[int, Spaces]:
    list(_complaints(answer))
    found: dict[int, Spaces] = {}
    for line in lines_of(answer):
        match = _SPACE.fullmatch(line)
        if not match:
            raise CannotAnswer(f"the sweep over namespaces gave a strange line: {line[:60]!r}")
        found.setdefault(int(match[1]), {})[match[2]] = (int(match[3]), int(match[4]))
    return found


def _torn(host: Host, times: Mapping[int, list[str]]) -> dict[int, list[str]]:
    """Return the whole ``stat`` of those processes whose name has a newline in it: the sweep
    takes but the lines that begin with a number."""
    torn = sorted(pid for pid, lines in times.items() if len(_fields(lines)) <= _STATE_TO_START)
    if not torn:
        return {}
    files = " ".join(f"{pid}/stat" for pid in torn)
    whole = want(f"cd /proc && grep -aH '' /dev/null {files}", meaning=(0, 1, 2))
    return _by_pid(session_of(host).ask(whole)[0])


def _without_first_thread(
    host: Host,
    status: dict[int, list[str]],
    cgroup: dict[int, list[str]],
    times: dict[int, list[str]],
    spaces: dict[int, Spaces],
    refused: frozenset[int],
) -> dict[int, int]:
    """Put a living thread in the place of a first one that has ended, as pthread_exit(3) in
    ``main`` does: it looks like a zombie, without namespaces or a program. Returns pid -> thread.
    A process that ended between the sweeps, with all its threads, is left out.
    """
    hollow = [pid for pid, lines in status.items() if _hollow(lines)]
    listed = status.keys() & cgroup.keys() & times.keys() if 1 in spaces else set()
    over = [pid for pid in sorted(listed - spaces.keys() - refused) if not _zombie(status[pid])]
    ended = [*hollow, *over]
    if not ended:
        return {}
    threads = " ".join(f"{pid}/task/[0-9]*" for pid in ended)
    answers = session_of(host).ask(
        *(_of_threads(each, threads) for each in (STATUS, CGROUP, TIMES, SPACES))
    )
    states, groups, started = (_by_pid(answer) for answer in answers[:3])
    apart = _spaces(answers[3])
    found: dict[int, int] = {}
    for thread in sorted(states.keys() & groups.keys() & started.keys()):
        told = fields_of(states[thread])
        pid = int(told.get("Tgid", 0))
        if pid not in ended or pid in found or told.get("State", "Z")[:1] in "ZX":
            continue
        found[pid] = thread
        first = [line for line in status.pop(pid) if line.startswith("NSpid:")]
        rest = [line for line in states[thread] if not line.startswith("NSpid:")]
        status[thread], cgroup[thread], times[thread] = rest + first, groups[thread], times[pid]
        spaces[thread] = apart.get(thread, {})
    for pid in over:
        if pid not in found:
            del status[pid]
    for lines in status.values():
        lines[:] = [_renamed_parent(line, found) for line in lines]
    return found


def _zombie(lines: list[str]) -> bool:
    return fields_of(lines).get("State", "")[:1] == "Z"


def _hollow(lines: list[str]) -> bool:
    threads = fields_of(lines).get("Threads", "1")
    return _zombie(lines) and threads.isdecimal() and int(threads) > 1


def _of_threads(sweep: Want, threads: str) -> Want:
    """Return a sweep over some threads only."""
    files = threads.split()
    command = sweep.command.replace("for p in [0-9]*;", f"for p in {threads};")
    for name in ("status", "cgroup", "stat"):
        command = command.replace(f" [0-9]*/{name}", "".join(f" {each}/{name}" for each in files))
    return replace(sweep, command=command)


def _renamed_parent(line: str, stands: Mapping[int, int]) -> str:
    name, _, value = line.partition(":")
    number = value.strip()
    known = name == "PPid" and number.isdecimal() and int(number) in stands
    return f"PPid:\t{stands[int(number)]}" if known else line


def fields_of(lines: list[str]) -> dict[str, str]:
    """Return the lines of a ``status`` by name."""
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def started(lines: list[str]) -> int:
    """Return the start time of a process in ticks since boot, from its ``stat``."""
    return int(_fields(lines)[_STATE_TO_START])


def argument_bytes(lines: list[str]) -> int:
    """Return how long the arguments of a process are, from its ``stat``: ``arg_end`` less
    ``arg_start`` (proc(5)); 0 where the kernel does not show it."""
    places = _fields(lines)[_STATE_TO_ARGUMENTS : _STATE_TO_ARGUMENTS + 2]
    if len(places) < 2 or not all(each.isdecimal() for each in places):
        return 0
    return int(places[1]) - int(places[0])


def _fields(lines: list[str]) -> list[str]:
    """Return the fields of a ``stat`` from the state on.

    The name is the only field with spaces, parentheses or newlines: what counts is the last ``)``.
    """
    return lines[-1].rpartition(")")[2].split()
