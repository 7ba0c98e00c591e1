"""The processes of a host, from a few sweeps over all of ``/proc`` in one ask; see proc(5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.capabilities import Capabilities, mask_of
from hullcheck.facts.process_sweeps import (
    CGROUP,
    GONE,
    NAMESPACES,
    SPACES,
    STATUS,
    TIMES,
    argument_bytes,
    fields_of,
    started,
    swept,
)
from hullcheck.facts.registry import fact, provide
from hullcheck.transport.backend import session_of
from hullcheck.transport.redact import PLACEHOLDER
from hullcheck.transport.want import Want, read, want

__all__ = ["CGROUP", "SPACES", "STATUS", "TIMES", "Gone", "Process", "Processes", "parse_cgroup",
           "processes", "split_arguments"]  # fmt: skip

MODES = {"NoNewPrivs": ("0", "1"), "Seccomp": ("0", "1", "2")}

USER_HZ = 100
"""The unit of times in ``/proc/PID/stat`` on every architecture that carries containers."""


class Gone(Unknown):
    """A process has ended since it was listed (or is a kernel thread, which has no program)."""


@dataclass(eq=False, frozen=True)
class Process:
    """One process, with its rights as the kernel enforces them, in the host's own numbers.

    :param pid: of one whose first thread has ended, the number of another: the kernel tells
        nothing more of the first.
    :param name: ``comm`` as ``status`` shows it, with ``\\n`` and ``\\\\`` escaped.
    :param uids: real, effective, saved and file system user id; ``gids`` likewise.
    :param seccomp_filters: how many filters, or None where the kernel does not tell (< 5.9).
    :param nspid: its pid in every pid namespace from the host's inwards.
    :param cgroups: controller -> path; ``""`` is cgroup v2, ``name=systemd`` a named hierarchy.
    :param started: seconds since the epoch.
    :param root: its root directory as (device, inode); None if it cannot be seen.
    """

    host: Host
    pid: int
    ppid: int
    name: str
    state: str
    tracer: int
    uids: tuple[int, int, int, int]
    gids: tuple[int, int, int, int]
    groups: frozenset[int]
    caps: Capabilities
    seccomp_filters: int | None
    nspid: tuple[int, ...]
    cgroups: dict[str, str]
    started: float
    root: tuple[int, int] | None
    spaces: dict[str, tuple[int, int]] = field(repr=False)
    modes: dict[str, int] = field(repr=False)
    argument_bytes: int = field(default=0, repr=False)

    def __str__(self) -> str:
        return f"{self.pid} ({self.name})"

    @property
    def zombie(self) -> bool:
        """Whether it has ended and only waits to be reaped."""
        return self.state in "ZX"

    @property
    def no_new_privs(self) -> bool:
        """Whether no program it runs can give it rights. :raises Unknown: kernel before 4.10."""
        return self._mode("NoNewPrivs") == 1

    @property
    def seccomp(self) -> int:
        """0 none, 1 strict, 2 filter. :raises Unknown: the kernel does not tell."""
        return self._mode("Seccomp")

    def _mode(self, name: str) -> int:
        if name not in self.modes:
            raise Unknown(f"the kernel does not tell {name} of process {self}")
        return self.modes[name]

    @property
    def namespaces(self) -> dict[str, tuple[int, int]]:
        """Its namespaces by name (cgroup, ipc, mnt, net, pid, user, uts) as (device, inode).

        :raises Unknown: the kernel does not show all of them to the audit's user.
        """
        hidden = [name for name in NAMESPACES if name not in self.spaces]
        if hidden:
            raise Unknown(f"cannot see the {hidden[0]} namespace of process {self}")
        return self.spaces

    def namespace(self, name: str) -> tuple[int, int]:
        """Return one namespace as (device, inode). :raises Unknown: it cannot be seen."""
        if name not in self.spaces:
            raise Unknown(f"cannot see the {name} namespace of process {self}")
        return self.spaces[name]

    @fact
    def cmdline(self) -> list[str]:
        """Its arguments; none for a kernel thread. :raises Unknown: denied. :raises Gone: over."""
        answer = session_of(self.host).ask(_cmdline(self.pid))[0]
        if answer.exit:
            raise _unreadable(f"the command line of process {self}", answer.complaint)
        return split_arguments(answer.text)

    @property
    def whole_cmdline(self) -> list[str]:
        """The same of a program that never overwrites it, as some do to show a title.

        :raises Unknown: it does not end as the kernel ends it, or is not as long as the kernel says
            that it is. :raises Gone: it has ended.
        """
        words = self.cmdline
        said = session_of(self.host).ask(_cmdline(self.pid))[0].evidence.stdout
        told = self.argument_bytes
        short = told and len(said) != told and not PLACEHOLDER.search(said)
        if short or not said.endswith(b"\0"):
            raise Unknown(f"the command line of process {self} is not whole")
        return words

    @fact
    def exe(self) -> str:
        """The path of its program in its own root; ends in " (deleted)" if that file is gone.

        :raises Unknown: denied. :raises Gone: it has ended, or is a kernel thread.
        """
        answer = session_of(self.host).ask(_exe(self.pid))[0]
        if answer.exit:
            raise _unreadable(f"the program of process {self}", answer.complaint)
        if not answer.text:
            raise Unknown(f"the program of process {self} has no name")
        return answer.text


class Processes:
    """All processes of a host, by pid. Threads of a process count as the process.

    :param denied: the pids whose namespaces the kernel does not show to the audit's user.
    :param stands: for the pid of a process whose first thread has ended, that of another thread.
    """

    def __init__(
        self,
        host: Host,
        found: Iterable[Process],
        denied: Iterable[int] = (),
        stands: Mapping[int, int] | None = None,
    ) -> None:
        self.host = host
        self.denied = frozenset(denied)
        self._stands = stands or {}
        self._found = {process.pid: process for process in found}

    def __iter__(self) -> Iterator[Process]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)

    def __contains__(self, process: object) -> bool:
        return process in self._found.values()

    def get(self, pid: int) -> Process | None:
        """Return the process with a pid, if there was one."""
        return self._found.get(self._stands.get(pid, pid))

    def by_cgroup(self, part: str) -> list[Process]:
        """Return the processes that have some text in one of their cgroup paths."""
        return [each for each in self if any(part in path for path in each.cgroups.values())]

    def look_up(self, pids: Iterable[int]) -> None:
        """Bring command lines and programs of several processes in one ask."""
        wants = [each for pid in pids for each in (_cmdline(pid), _exe(pid))]
        session_of(self.host).ask(*wants)


@provide
def processes(host: Host) -> Processes:
    """All processes.

    :raises Unknown: some are hidden from the audit's user (``hidepid``, not root).
    """
    told = swept(host)
    found = [
        _process(
            host, pid, lines, told.cgroup[pid], told.times[pid], told.btime,
            told.spaces.get(pid, {}),
        )
        for pid, lines in told.status.items()
        if pid in told.cgroup and pid in told.times
    ]  # fmt: skip
    return Processes(host, found, told.denied, told.stands)


def _cmdline(pid: int) -> Want:
    return read(f"/proc/{pid}/cmdline")


def _exe(pid: int) -> Want:
    return want(f"readlink -nv /proc/{pid}/exe", meaning=(0, 1))


def _unreadable(what: str, complaint: str) -> Unknown:
    if complaint.endswith(GONE):
        return Gone(f"{what}: it has ended")
    return Unknown(f"cannot read {what}: {complaint or 'no reason given'}")


def split_arguments(text: str) -> list[str]:
    """Return the arguments in a ``/proc/PID/cmdline``; a process may have overwritten it."""
    return text.removesuffix("\0").split("\0") if text else []


def _process(
    host: Host,
    pid: int,
    lines: list[str],
    cgroup: list[str],
    times: list[str],
    btime: int,
    spaces: dict[str, tuple[int, int]],
) -> Process:
    """Make a process of what the sweeps said of it. :raises Unknown: that is damaged."""
    status = fields_of(lines)
    try:
        return Process(
            host=host,
            pid=pid,
            ppid=int(status["PPid"]),
            name=status["Name"],
            state=status["State"][0],
            tracer=int(status["TracerPid"]),
            uids=_four(status["Uid"]),
            gids=_four(status["Gid"]),
            groups=frozenset(map(int, status["Groups"].split())),
            caps=_capabilities(status),
            seccomp_filters=int(status["Seccomp_filters"]) if "Seccomp_filters" in status else None,
            nspid=tuple(map(int, status.get("NSpid", "").split())),
            cgroups=parse_cgroup(cgroup),
            started=btime + started(times) / USER_HZ,
            root=spaces.get("root"),
            spaces={name: space for name, space in spaces.items() if name != "root"},
            modes={
                name: known.index(status[name]) for name, known in MODES.items() if name in status
            },
            argument_bytes=argument_bytes(times),
        )
    except (KeyError, ValueError, IndexError) as damage:
        raise Unknown(f"/proc/{pid}/status, stat or cgroup is not as expected: {damage}") from None


def _four(text: str) -> tuple[int, int, int, int]:
    real, effective, saved, filesystem = map(int, text.split())
    return real, effective, saved, filesystem


def _capabilities(status: dict[str, str]) -> Capabilities:
    eff, prm, bnd, inh = (
        mask_of(status[name]) for name in ("CapEff", "CapPrm", "CapBnd", "CapInh")
    )
    # Kernels before 4.3 have no ambient set.
    return Capabilities(eff, prm, bnd, inh, mask_of(status.get("CapAmb", "0")))


def parse_cgroup(lines: Iterable[str]) -> dict[str, str]:
    """Return controller -> path from the lines of a ``/proc/PID/cgroup`` (cgroups(7)).

    :raises ValueError: a line is damaged.
    """
    found: dict[str, str] = {}
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if not number.isdigit() or not path.startswith("/"):
            raise ValueError(f"cgroup line {line!r}")
        found.update((name, path) for name in controllers.split(","))
    if not found:
        raise ValueError("no cgroup line")
    return found
