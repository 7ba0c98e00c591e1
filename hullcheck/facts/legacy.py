"""Old network services: which are there, which run, which will be started."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.mounts import MountTable
from hullcheck.facts.packages import WANTS, Packages
from hullcheck.facts.processes import Gone, Process, Processes
from hullcheck.facts.registry import get, provide
from hullcheck.facts.services import Services
from hullcheck.facts.texts import known, sweep, texts
from hullcheck.transport import session_of

__all__ = ["SERVICES", "Kind", "Legacy", "Service", "legacy"]

EXPORTS = sweep(["/etc/exports"])


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of service.

    :param packages: what brings it; ``programs``: what it runs as; ``units``: what starts it.
    :param never: it is unsafe by what it is, so that its package alone is a finding.
    """

    name: str
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    units: tuple[str, ...]
    never: bool = True


SERVICES = (
    Kind("inetd", ("xinetd", "openbsd-inetd", "inetutils-inetd", "rlinetd", "inetd"),
         ("xinetd", "inetd", "inetutils-inetd", "rlinetd"),
         ("xinetd", "inetd", "openbsd-inetd", "inetutils-inetd")),
    Kind("telnet", ("telnetd", "telnetd-ssl", "inetutils-telnetd", "telnet-server"),
         ("telnetd", "in.telnetd"), ("telnet.socket", "telnetd")),
    Kind("rsh", ("rsh-server", "rsh-redone-server"), ("rshd", "rlogind", "rexecd", "in.rshd",
         "in.rlogind", "in.rexecd"), ("rsh.socket", "rlogin.socket", "rexec.socket")),
    Kind("nis", ("ypserv", "nis"), ("ypserv", "ypbind", "rpc.yppasswdd"), ("ypserv", "ypbind",
         "nis")),
    Kind("talk", ("talkd", "talk-server", "inetutils-talkd"), ("talkd", "in.talkd", "in.ntalkd"),
         ("ntalk.socket",)),
    Kind("finger", ("fingerd", "cfingerd", "finger-server"), ("fingerd", "in.fingerd"),
         ("finger.socket",)),
    Kind("tftp", ("tftpd", "tftpd-hpa", "atftpd", "tftp-server", "tftp-hpa"),
         ("tftpd", "in.tftpd", "atftpd"), ("tftpd-hpa", "atftpd", "tftp.socket", "tftp",
         "in.tftpd"), never=False),
    Kind("ftp", (), ("vsftpd", "proftpd", "pure-ftpd", "ftpd", "in.ftpd"),
         ("vsftpd", "proftpd", "pure-ftpd"), never=False),
    Kind("avahi", (), ("avahi-daemon",), ("avahi-daemon", "avahi-daemon.socket"), never=False),
    Kind("cups", (), ("cupsd", "cups-browsed"), ("cups", "cupsd", "cups.socket", "cups.path",
         "cups-browsed"), never=False),
    Kind("rpcbind", (), ("rpcbind", "portmap"), ("rpcbind", "rpcbind.socket", "portmap"),
         never=False),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Service:
    """An old service of a host: how it was found."""

    name: str
    how: str

    def __str__(self) -> str:
        return f"{self.name} ({self.how})"


@dataclass(frozen=True, slots=True)
class Legacy:
    """The old services that were found, and why there may be more."""

    services: tuple[Service, ...]
    doubts: tuple[str, ...]


def _of_nfs(host: Host) -> bool:
    """Whether the host shares or uses NFS; of version 3 that takes rpcbind."""
    mounts: MountTable = get(host, "mounts")
    if any(each.fstype == "nfs" for each in mounts):
        return True
    exports = known(texts(session_of(host).ask(EXPORTS)[0]).get("/etc/exports")) or ""
    return any(line.strip() and not line.startswith("#") for line in exports.splitlines())


@provide
def legacy(host: Host) -> Legacy:
    """The old services of the host, by what runs, what will be started and what is installed."""
    session_of(host).foresee(EXPORTS, *WANTS.values())
    services: Services = get(host, "services")
    doubts: list[str] = []
    try:
        installed: Packages | None = get(host, "packages")
    except NotApplicable:
        installed = None
    except Unknown as reason:
        installed = None
        doubts.append(str(reason))
    running = _running(host, doubts)
    if not services.manager:
        doubts.append("cannot tell what is started: no init system was found")
    found = []
    for kind in SERVICES:
        if kind.name == "rpcbind" and _of_nfs(host):
            continue
        how = [*_processes(kind, running), *_units(kind, services)]
        if kind.never and installed is not None:
            how += [f"{each} is installed" for each in installed.among(kind.packages)]
        if how:
            found.append(Service(kind.name, ", ".join(how)))
    return Legacy(tuple(found), tuple(doubts))


def _units(kind: Kind, services: Services) -> Iterator[str]:
    for name in kind.units if services.manager else ():
        unit = services.get(name)
        if unit is not None and unit.active:
            yield f"{unit} runs"
        elif unit is not None and unit.enabled:
            yield f"{unit} is enabled"


def _processes(kind: Kind, running: Iterable[tuple[Process, str]]) -> Iterator[str]:
    for process, program in running:
        if program in kind.programs:
            yield f"process {process}"


def _running(host: Host, doubts: list[str]) -> list[tuple[Process, str]]:
    """Return the host's own processes that are called like an old service, by their programs.

    The name is not enough where the program can be seen: everybody may choose a name. busybox is
    all of them.
    """
    processes: Processes = get(host, "processes")
    names = {each for kind in SERVICES for each in kind.programs}
    meant = [each for each in processes if each.name in {name[:15] for name in names}]
    processes.look_up(each.pid for each in meant)
    init = processes.get(1)
    found = []
    for process in meant:
        try:
            if init is None or process.namespace("mnt") != init.namespace("mnt"):
                continue
            program = posixpath.basename(process.exe.removesuffix(" (deleted)"))
        except Gone:
            continue
        except Unknown as reason:
            doubts.append(f"{reason}; it may need root")
            continue
        if program in names or program.startswith(("busybox", "toybox")):
            found.append((process, process.name if program not in names else program))
        elif process.uids[1] == 0:
            doubts.append(f"root's process {process} runs {process.exe}")
    return found
