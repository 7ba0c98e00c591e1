"""Finding the Docker daemons of a host: by what holds a socket and what a pid file names.

The name in a process list decides nothing: a candidate is a process whose program is dockerd, or
that a pid file names, or that holds a listening socket and looks like a daemon; and one whose
program has another name counts only if it answers as a Docker daemon.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.docker.api import CLIENT, is_docker, probe_want
from hullcheck.facts.docker.candidates import (
    HELPERS,
    Found,
    Reply,
    containers_of,
    dockerish,
    internal,
    parse_pid_files,
    parse_programs,
    program_name,
    reply_of,
)
from hullcheck.facts.docker.engine import DockerEngine
from hullcheck.facts.mounts import hidden_processes
from hullcheck.facts.processes import CGROUP, SPACES, STATUS, TIMES, Process, Processes
from hullcheck.facts.registry import get, provide, provide_each
from hullcheck.facts.sockets import EVERYWHERE, HOLDERS, MACHINE, OWN, Namespace, Sockets
from hullcheck.transport import Answer, session_of, want
from hullcheck.verdict import Object

__all__ = ["Engines", "Nested", "docker", "engines"]

PROGRAMS = want("stat -c '%N' /proc/[0-9]*/exe", meaning=(0, 1))
"""One sweep over all programs; kernel threads and ended processes make the exit code 1."""

MENTIONS = want(
    "grep -lE '[d]ocker|--(data-root|exec-root|userns-remap|containerd)' /proc/[0-9]*/cmdline",
    meaning=(0, 1, 2),
)
"""Which processes might be a renamed daemon. It only says whom to ask."""

PID_FILES = want(
    "for f in /run/docker.pid /run/snap.docker/docker.pid /var/snap/docker/*/run/docker.pid "
    '/run/user/*/docker.pid; do if [ -e "$f" ]; then head -c 20 "$f"; echo " $f"; fi; done'
)

WHO = want("id -u")

LINK = want("readlink -n /run/docker.sock", meaning=(0, 1))
"""Podman's shim is a link of this name to its own socket."""

PROBES = 12
"""How many processes that are no dockerd by name are asked whether they are one."""

_Set = dict[str, None]


@dataclass(frozen=True, slots=True)
class Nested:
    """A Docker daemon that runs inside a container of this host."""

    process: Process
    program: str

    @property
    def object(self) -> Object:
        return Object("process", str(self.process))


@dataclass(frozen=True, slots=True)
class Engines:
    """What was found on a host.

    :param engines: the host's own engines.
    :param nested: daemons in containers: not the host's, to be audited as hosts of their own.
    :param foreign: sockets with Docker's name that something else answers on.
    :param doubt: why there may be more than was found; empty if the search was whole.
    """

    engines: tuple[DockerEngine, ...]
    nested: tuple[Nested, ...]
    foreign: tuple[str, ...]
    doubt: str


@provide
def engines(host: Host) -> Engines:
    """The Docker engines of the host, and what could be taken for one.

    :raises Unknown: the host does not show enough to tell.
    """
    return _Search(host).result()


@provide_each
def docker(host: Host) -> Sequence[DockerEngine]:
    """Each Docker engine of the host; several daemons are several engines.

    :raises NotApplicable: there is certainly none.
    :raises Unknown: there may be one that could not be seen.
    """
    found: Engines = get(host, "engines")
    if found.engines:
        return found.engines
    if found.doubt:
        raise Unknown(f"cannot tell whether a Docker engine runs: {found.doubt}")
    also = [f"{path} belongs to another program (Podman?)" for path in found.foreign]
    also += [f"{each.process} runs inside a container" for each in found.nested]
    raise NotApplicable("; ".join(["no Docker engine on this host", *also]))


class _Search:
    def __init__(self, host: Host) -> None:
        self.host = host
        self.ask = session_of(host).ask
        answers = self.ask(
            PROGRAMS, MENTIONS, PID_FILES, CLIENT, WHO, LINK,
            OWN, HOLDERS, MACHINE, EVERYWHERE, STATUS, CGROUP, TIMES, SPACES,
        )  # fmt: skip
        self.programs = parse_programs(answers[0])
        mentions = re.findall(r"^/proc/(\d{1,9})/", answers[1].text, re.M)
        self.mentions = {int(pid) for pid in mentions}
        self.pid_files = dict(parse_pid_files(answers[2].text))
        self.client = answers[3].exit == 0 and answers[3].text.startswith("Docker")
        self.root = answers[4].text.strip() == "0"
        self.link = answers[5].text
        self.silent = [each for each in self.unseen(answers[1]) if each]
        self.processes: Processes = get(host, "processes")
        self.sockets: Sockets = get(host, "sockets")

    def unseen(self, mentions: Answer) -> Iterator[str]:
        """Say what of the processes could not be looked at."""
        yield hidden_processes(get(self.host, "mounts"))
        said = mentions.evidence.stderr.decode("utf-8", "replace")
        if "ermission denied" in said or (mentions.exit == 0 and not self.mentions):
            yield "not every command line could be searched for an engine's name"
        if not self.programs:
            yield "no process tells its program (needs root)"

    def result(self) -> Engines:
        found = self.candidates()
        versions = self.versions(found)
        own: list[DockerEngine] = []
        nested: list[Nested] = []
        taken: set[int] = set()
        for each in found:
            process = self.processes.get(each.pid or 0)
            if not (each.named or is_docker(versions[each.inner].parsed)):
                continue
            if process is None:
                self.silent.append(f"process {each.pid} came or went while it was looked at")
            elif self.contained(process):
                nested.append(Nested(process, each.program))
            elif not each.address:
                self.silent.append(f"dockerd (pid {each.pid}) runs but does not listen")
            elif not each.inodes & taken:
                taken |= each.inodes
                own.append(self.engine(each))
        anonymous, foreign, waiting = self.unowned(found, versions)
        doubt = self.doubt(waiting)
        own += anonymous
        own.sort(key=lambda engine: engine.address)
        return Engines(tuple(own), tuple(nested), tuple(foreign), doubt)

    def candidates(self) -> list[Found]:
        """Return what holds a socket and may be a daemon, and every running dockerd."""
        unix, tcp, inodes = self.listeners()
        likely = {pid for pid, paths in unix.items() if any(map(dockerish, paths))}
        likely |= {pid for pid, paths in unix.items() if any(map(internal, paths))}
        named = {
            pid for pid, path in self.programs.items() if program_name(path).startswith("dockerd")
        }
        listed = set(self.pid_files) & set(inodes)
        pids = {pid for pid in likely | (self.mentions & set(unix)) if not self.helper(pid)}
        found = [
            Found(
                pid,
                self.programs.get(pid, ""),
                tuple(unix.get(pid, ())),
                tuple(tcp.get(pid, ())) if self.at_home(pid) else None,
                frozenset(inodes.get(pid, ())),
            )
            for pid in sorted(named | listed | pids)
        ]
        return self.few([each for each in found if each.named or self.may_ask(each)])

    def may_ask(self, found: Found) -> bool:
        """Whether asking can start nothing: systemd starts what it holds a socket for."""
        by_pid_file = found.pid in self.pid_files
        return bool(found.address) and (by_pid_file or not found.inodes & self.activated())

    def activated(self) -> set[int]:
        """Return the sockets that systemd holds."""
        by_inode = self.sockets.holders.by_inode
        return {inode for inode, pids in by_inode.items() if any(map(self.systemd, pids))}

    def systemd(self, pid: int) -> bool:
        return pid == 1 or program_name(self.programs.get(pid, "")) == "systemd"

    def few(self, found: list[Found]) -> list[Found]:
        """Keep every dockerd, and of what has another name a few, root's own first: anybody can
        start a thousand programs that look like daemons and never answer."""

        def rank(each: Found) -> tuple[bool, int]:
            process = self.processes.get(each.pid or 0)
            return process is None or process.uids[1] != 0, each.pid or 0

        unnamed = sorted((each for each in found if not each.named), key=rank)
        if len(unnamed) > PROBES:
            self.silent.append(f"{len(unnamed)} processes look like Docker daemons")
        return [each for each in found if each.named] + unnamed[:PROBES]

    def helper(self, pid: int) -> bool:
        """Whether a process is of those that serve beside a daemon, or listen on its behalf."""
        return pid == 1 or program_name(self.programs.get(pid, "")).startswith(HELPERS)

    def listeners(self) -> tuple[dict[int, _Set], dict[int, _Set], dict[int, set[int]]]:
        """Return each process's sockets and TCP addresses, in order, and their inodes."""
        unix: dict[int, _Set] = {}
        tcp: dict[int, _Set] = {}
        inodes: dict[int, set[int]] = {}
        owners = self.sockets.holders.by_inode
        for space in self.spaces():
            for socket in space.unix:
                for pid in () if socket.abstract else owners.get(socket.inode, ()):
                    unix.setdefault(pid, {})[socket.path] = None
                    inodes.setdefault(pid, set()).add(socket.inode)
            for listener in space.tcp:
                for pid in owners.get(listener.inode, ()):
                    # A daemon also holds the DNS server of each of its containers.
                    home = self.at_home(pid)
                    if home is not None and home.pid == space.pid:
                        tcp.setdefault(pid, {})[str(listener)] = None
                        inodes.setdefault(pid, set()).add(listener.inode)
        return unix, tcp, inodes

    def at_home(self, pid: int) -> Namespace | None:
        """Return a process's own network namespace; None if it cannot be seen."""
        try:
            return self.sockets.of(pid)
        except Unknown:
            return None

    def spaces(self) -> Iterable[Namespace]:
        """Return the network namespaces that can be seen; :meth:`doubt` speaks of the others."""
        own = Namespace(0, self.sockets.unix, self.sockets.tcp, ())
        try:
            return (own, *self.sockets.everywhere())
        except Unknown:
            return (own,)

    def versions(self, found: list[Found]) -> dict[str, Reply]:
        """Ask those whose program has another name what they are."""
        addresses = [each.inner for each in found if not each.named]
        addresses += [f"unix://{path}" for path in self.unheld()]
        answers = self.ask(*(probe_want(each, self.client) for each in addresses))
        return dict(zip(addresses, map(reply_of, answers), strict=True))

    def unheld(self) -> list[str]:
        """Return sockets with Docker's name whose holder cannot be seen.

        Empty while no daemon is seen to run: systemd might start one for the asking.
        """
        owners = self.sockets.holders
        runs = any(each.name.startswith("dockerd") for each in self.processes)
        if not owners.hidden or not (runs or self.pid_files):
            return []
        held = owners.by_inode
        return sorted(
            socket.path
            for socket in self.sockets.unix
            if dockerish(socket.path) and not held.get(socket.inode) and not socket.abstract
        )

    def contained(self, process: Process) -> bool:
        """Whether a process runs in a container: its cgroup names one, or its pids are not ours.

        A rootless engine is in namespaces of its own too, made by rootlesskit.
        """
        first = self.processes.get(1)
        ours = containers_of(first) if first else set()
        inside = len(process.nspid) > 1 or bool(containers_of(process) - ours)
        return inside and not self.rootless(process)

    def rootless(self, process: Process) -> bool:
        parent = self.processes.get(process.ppid)
        while parent is not None and parent.pid > 1:
            if program_name(self.programs.get(parent.pid, "")) == "rootlesskit":
                return True
            parent = self.processes.get(parent.ppid)
        return False

    def engine(self, found: Found) -> DockerEngine:
        return DockerEngine(
            self.host, found.address, found.pid, self.client, found.unix, found.tcp, self.root
        )

    def unowned(
        self, found: list[Found], versions: dict[str, Reply]
    ) -> tuple[list[DockerEngine], list[str], list[str]]:
        """Sort out sockets with Docker's name that no candidate holds.

        :return: engines behind them, sockets of something else, sockets that only systemd holds.
        """
        made, foreign, waiting = [], [], []
        for path in self.unheld():
            answer = versions[f"unix://{path}"]
            if is_docker(answer.parsed) or answer.denied:
                made.append(self.engine(Found(self.named_pid(), "", (path,), ())))
            elif answer.spoke:
                foreign.append(path)
            else:
                self.silent.append(f"something listens on {path} and does not answer")
        owners = self.sockets.holders.by_inode
        asked = {inode for each in found for inode in each.inodes}
        for socket in self.sockets.unix:
            holders = owners.get(socket.inode, ())
            if not dockerish(socket.path) or socket.inode in asked or not holders:
                continue
            if any(map(self.systemd, holders)):
                waiting.append(socket.path)
        if "podman" in self.link:
            foreign.append("/run/docker.sock")
        for each in found:
            reply = versions.get(each.inner)
            if reply and reply.spoke and not is_docker(reply.parsed) and dockerish(each.address):
                foreign.append(each.address.removeprefix("unix://"))
        return made, sorted(set(foreign)), waiting

    def named_pid(self) -> int | None:
        """Return the daemon that Docker's pid file names, if a process of that name lives."""
        for pid in self.pid_files:
            process = self.processes.get(pid)
            if process is not None and process.name.startswith("dockerd"):
                return pid
        return None

    def doubt(self, waiting: list[str]) -> str:
        """Say why there may be more engines than were found, or nothing."""
        if self.silent:
            return self.silent[0]
        if waiting:
            return f"none runs, but systemd would start one for {waiting[0]}"
        if self.sockets.holders.hidden:
            return self.sockets.holders.hidden
        try:
            self.sockets.everywhere()
        except Unknown as unknown:
            return str(unknown)
        return ""
