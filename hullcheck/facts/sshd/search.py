"""Finding the SSH servers of a host: by program, by name and by the title of a listener."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.accounts import TABLES
from hullcheck.facts.docker.candidates import containers_of, parse_programs
from hullcheck.facts.docker.search import PROGRAMS
from hullcheck.facts.files import Files
from hullcheck.facts.processes import CGROUP, SPACES, STATUS, TIMES, Gone, Process, Processes
from hullcheck.facts.registry import Unseen, get, provide, provide_each
from hullcheck.facts.services import BOOTED, LINKS, UNIT_FILES, UNITS, Services
from hullcheck.facts.sshd.command_line import (
    Arguments,
    listener_words,
    parse_arguments,
    parse_dropbear,
    words_of_variable,
)
from hullcheck.facts.sshd.config_files import DEFAULTS, PLACES
from hullcheck.facts.sshd.server import PROGRAM, VERSION, SshServer, test_want
from hullcheck.facts.texts import known, sweep, texts
from hullcheck.transport import CannotAnswer, session_of, want
from hullcheck.verdict import Object

__all__ = ["SshServers", "ssh_server", "ssh_servers"]

TITLES = want(
    r"grep -laE '\[listener\] [0-9]+ of |^[^ ]*(sshd|dropbear)' /proc/[0-9]*/cmdline",
    meaning=(0, 1, 2),
)
"""Which processes look like a listener. It only says whom to ask."""

NAMES = frozenset({"sshd", "dropbear", "dropbearmulti"})
OTHERS = {"tinysshd": "tinyssh", "tailscaled": "Tailscale SSH", "lshd": "lsh",
          "wolfsshd": "wolfSSH", "teleport": "Teleport"}  # fmt: skip
"""Other programs that may let people in by SSH or in its place; by the kernel's name."""

SOCKETS = (
    "ssh.socket", "sshd.socket", "dropbear.socket", "sshd-unix-local.socket", "sshd-vsock.socket",
)  # fmt: skip
SERVICES = ("ssh.service", "sshd.service", "dropbear.service")
VARIABLES = {"/etc/default/ssh": ("SSHD_OPTS",), "/etc/sysconfig/sshd": ("OPTIONS", "SSHD_OPTS"),
             "/etc/conf.d/sshd": ("SSHD_OPTS",)}  # fmt: skip
"""Where units find the options of sshd: Debian, Red Hat and SUSE, OpenRC."""

FOREIGN = "an ordinary user runs it: what that user wrote is not read with an auditor's rights"

_TITLE = re.compile(r"^/proc/(\d{1,9})/cmdline$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SshServers:
    """What serves SSH on the host itself.

    :param servers: those whose settings can be read, and those that could not be seen.
    :param others: processes of other programs that may serve it: (kind, process).
    :param foreign: servers that an ordinary user runs, or what looks like one.
    """

    servers: tuple[SshServer | Unseen, ...]
    others: tuple[tuple[str, Process], ...]
    foreign: tuple[Process, ...] = ()


@provide
def ssh_servers(host: Host) -> SshServers:
    """The SSH servers of the host. :raises Unknown: the host does not show its processes."""
    session = session_of(host)
    Files(host).foresee([PROGRAM, *VARIABLES, PLACES[0], f"{PLACES[0]}.d"])
    session.foresee(
        test_want(PROGRAM, Arguments()), VERSION, *DEFAULTS, BOOTED, UNITS, UNIT_FILES, LINKS,
        *TABLES,
    )  # fmt: skip
    answers = session.ask(PROGRAMS, TITLES, sweep(VARIABLES), STATUS, CGROUP, TIMES, SPACES)
    programs = parse_programs(answers[0])
    processes: Processes = get(host, "processes")
    meant = [each for each in _candidates(processes, programs, _TITLE.findall(answers[1].text))
             if not each.zombie]  # fmt: skip
    processes.look_up(each.pid for each in meant)
    found: dict[str, SshServer | Unseen] = {}
    others: list[tuple[str, Process]] = []
    foreign: list[Process] = []
    for process in meant:
        kind = OTHERS.get(process.name) or OTHERS.get(_base(programs, process))
        own = _own(processes, process)
        if own is False:
            continue
        if kind:
            others.append((kind, process))
        if kind or _child(processes, process):
            continue
        for made in _served(host, process, own, programs):
            shown = _foreign(process) if any(process.uids) else made
            foreign += [process] if any(process.uids) else []
            found.setdefault(shown.object.name, shown)
    planned = _planned(host, list(found.values()), texts(answers[2]))
    return SshServers((*found.values(), *planned), tuple(others), tuple(foreign))


def _child(processes: Processes, process: Process) -> bool:
    """Whether a process serves a connection for a dropbear, whose command line it still has."""
    parent = processes.get(process.ppid)
    return parent is not None and parent.name == process.name == "dropbear"


def _foreign(process: Process) -> Unseen:
    return Unseen(Object("ssh server", f"{process.name} of uid {process.uids[1]}"), FOREIGN)


def _base(programs: dict[int, str], process: Process) -> str:
    return posixpath.basename(programs.get(process.pid, "").removesuffix(" (deleted)"))


def _candidates(
    processes: Processes, programs: dict[int, str], titled: Iterable[str]
) -> Iterator[Process]:
    pids = {int(each) for each in titled}
    for process in processes:
        names = {process.name, _base(programs, process)}
        if names & (NAMES | OTHERS.keys()) or process.pid in pids:
            yield process


def _own(processes: Processes, process: Process) -> bool | None:
    """Whether a process runs on the host itself; None: that cannot be seen.

    Units with a mount namespace of their own still have the host's root.
    """
    init = processes.get(1)
    if len(process.nspid) > 1 or containers_of(process):
        return False
    if init is None:
        return None
    pairs = [(init.root, process.root), (init.spaces.get("mnt"), process.spaces.get("mnt"))]
    seen = [first == second for first, second in pairs if first and second]
    return any(seen) if seen else None


def _served(
    host: Host, process: Process, own: bool | None, programs: dict[int, str]
) -> Iterator[SshServer | Unseen]:
    about = Object("ssh server", process.name)
    try:
        words = listener_words(process.cmdline)
        named = (words or [""])[0]
        shown = programs.get(process.pid) or (process.exe if own else "")
        program = shown or (named if named.startswith("/") else PROGRAM)
    except Gone:
        return
    except (Unknown, CannotAnswer) as reason:
        yield Unseen(about, str(reason))
        return
    base = posixpath.basename(program.removesuffix(" (deleted)"))
    if base.startswith("dropbear") or process.name == "dropbear":
        if process.cmdline and "-2" not in process.cmdline:
            yield SshServer(host, "dropbear", program, Arguments(), process,
                            parse_dropbear(process.cmdline), seen=bool(shown))  # fmt: skip
        return
    if words is None:
        return
    titled = process.cmdline[:1] != words[:1]
    if base in NAMES or titled or process.name in NAMES:
        arguments = parse_arguments(words)
        if not arguments.inetd:
            yield SshServer(host, "OpenSSH", program, arguments, process, seen=bool(shown))


def _planned(
    host: Host, found: list[SshServer | Unseen], variables: dict[str, str | Unknown]
) -> list[SshServer | Unseen]:
    """Return the servers that are started for a connection, or will be at the next boot."""
    if any(isinstance(each, Unseen) for each in found):
        return []
    running = {each.kind for each in found if isinstance(each, SshServer)}
    try:
        names = list(_startable(get(host, "services")))
    except (Unknown, CannotAnswer) as reason:
        return [Unseen(Object("ssh server", "one that is started when needed"), str(reason))]
    made: dict[str, SshServer | Unseen] = {}
    for name in names:
        kind = "dropbear" if name.startswith("dropbear") else "OpenSSH"
        if kind not in running:
            made.setdefault(kind, _of_unit(host, kind, name, variables))
    return list(made.values())


def _startable(services: Services) -> Iterator[str]:
    if not services.manager:
        return
    booted = services.manager == "systemd"
    for name in SOCKETS if booted else ():
        unit = services.get(name)
        if unit and (unit.active or unit.enabled):
            yield name
    for name in SERVICES:
        unit = services.get(name if booted else name.removesuffix(".service"))
        if unit and (unit.active or unit.enabled):
            yield unit.name


def _of_unit(
    host: Host, kind: str, name: str, variables: dict[str, str | Unknown]
) -> SshServer | Unseen:
    if kind != "OpenSSH":
        return Unseen(Object("ssh server", f"{kind} by {name}"), f"{name} starts {kind}: its"
                      " options show when it runs")  # fmt: skip
    try:
        words = next((words for path, names in VARIABLES.items()
                      if (words := words_of_variable(known(variables.get(path)) or "", names))),
                     [])  # fmt: skip
    except Unknown as reason:
        return Unseen(Object("ssh server", f"sshd by {name}"), str(reason))
    arguments = parse_arguments([PROGRAM, *words])
    return SshServer(host, kind, PROGRAM, arguments, started_by=f"by {name}")


@provide_each
def ssh_server(host: Host) -> Iterable[SshServer | Unseen]:
    """Each SSH server of the host itself whose settings decide who gets in.

    :raises NotApplicable: there is none. :raises Unknown: processes are hidden.
    """
    found: SshServers = get(host, "ssh_servers")
    if not found.servers:
        also = ", ".join(sorted({kind for kind, _ in found.others}))
        raise NotApplicable("no sshd runs on this host" + (f" ({also} does)" if also else ""))
    return found.servers
