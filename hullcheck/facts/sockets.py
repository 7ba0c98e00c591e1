"""Listening sockets of a host: who listens where, by the kernel's own tables.

``/proc/net/unix`` and ``/proc/net/tcp*`` (proc(5)) say what is bound, in one network namespace;
the links in ``/proc/PID/fd`` say who holds it. A name in a process list says nothing.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.registry import fact, get, provide
from hullcheck.facts.texts import known, lines_of, sweep, texts
from hullcheck.transport import Answer, CannotAnswer, session_of, want

__all__ = [
    "InetListener", "Namespace", "Owners", "Sockets", "UnixListener", "parse_inet",
    "parse_owners", "parse_unix", "sockets", "sockets_of",
]  # fmt: skip

TABLES = ("unix", "tcp", "tcp6", "udp", "udp6")

OWN = sweep(f"/proc/self/net/{table}" for table in TABLES)
"""The tables of the audit's own network namespace, each line after its file's name: a socket's
path may hold a newline, and must not be able to pose as another table."""

HOLDERS = want(
    "q=-q; ls -q / >/dev/null 2>&1 || q=; "
    "find /proc/[0-9]*/fd -type l -exec ls -ln $q {} + 2>&1 | sed -n"
    r" -e 's|^l[^/]* /proc/\([0-9]*\)/fd/[0-9]* -> socket:\[\([0-9]*\)\]$|\1 \2|p;t'"
    r" -e 's|^l[^/]* /proc/\([0-9]*\)/fd/[0-9]* -> .*|\1 seen|p;t'"
    r" -e 's|^l[^/]* /proc/\([0-9]*\)/fd/[0-9]*$|\1 mute|p;t'"
    r" -e 's|^[^/]*/proc/\([0-9]*\)/fd.*ermission denied$|\1 denied|p;t'"
    r" -e 's|^[^/]*/proc/\([0-9]*\)/fd.*o such file or directory$|\1 gone|p' | sort -u",
    seconds=60,
)
"""One sweep over the links of all processes, never followed: ``PID INODE``, ``PID seen`` for any
other link, ``PID denied``; ``PID mute`` for a link that was not read, ``PID gone`` for one that
was closed before it was: busybox lists all first, and reads them later. busybox's ls has no -q
but never prints a control character."""

MACHINE = want("uname -m")

EVERYWHERE = want(
    "l=$(stat -L -c '%i %n' /proc/self/ns/net /proc/[0-9]*/ns/net 2>&1 | sed -n"
    r" -e 's|^\([0-9]*\) /proc/\([0-9a-z]*\)/.*|ns \1 \2|p;t'"
    r" -e 's|.*/proc/\([0-9]*\)/ns/net.*ermission denied$|ns denied \1|p'); "
    "printf '%s\\n' \"$l\"; "
    "{ printf '%s\\n' \"$l\" | grep -v denied | sort -k2,2 -k3,3n; "
    "[ $(id -u) != 0 ] || printf '%s\\n' \"$l\" | grep denied; } | "
    '{ k=; while read -r _ n p; do [ "$n" = "$k" ] && [ "$n" != denied ] || '
    "for f in unix tcp tcp6 udp udp6; do echo /proc/$p/net/$f; done; k=$n; done; }"
    " | xargs grep -H '' 2>/dev/null",
    meaning=(0, 123),
    seconds=60,
)
"""``ns NAMESPACE PID`` for every process, then the tables of every namespace that a process is
in, each line after its file's name; through its oldest process, the likeliest to live on. Reading
``/proc/PID/net`` needs no ptrace right, so root sees those namespaces too whose links are
denied."""

_UNIX = re.compile(
    r"[0-9A-Fa-f]+: [0-9A-F]{8} [0-9A-F]{8} ([0-9A-F]{8}) ([0-9A-F]{4}) [0-9A-F]{2} +([0-9]+)"
    r"(?: (.*))?",
    re.DOTALL,
)
_INET = re.compile(
    r" *[0-9]+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2})"
    r"(?: +[^ ]+){5} +([0-9]+)"
)
_ACCEPTS = 0x10000
_KINDS = {1: "stream", 2: "dgram", 5: "seqpacket"}
_PATH_MAX = 108
_NS_FIELDS = 3
_LISTEN, _UNCONNECTED = "0A", "07"
_BIG_ENDIAN = {"s390", "s390x", "ppc", "ppc64", "sparc", "sparc64", "parisc", "m68k"}


@dataclass(frozen=True, slots=True)
class Owners:
    """Which processes hold which sockets; ``hidden`` says what the sweep could not see."""

    by_inode: Mapping[int, tuple[int, ...]]
    hidden: str = ""

    def of(self, inode: int) -> tuple[int, ...]:
        """Return the pids that hold a socket, sorted; none for one that the kernel owns.

        :raises Unknown: none was found, and not every process could be looked at.
        """
        found = self.by_inode.get(inode, ())
        if not found and self.hidden:
            raise Unknown(self.hidden)
        return found


@dataclass(frozen=True, slots=True)
class UnixListener:
    """A Unix socket that accepts connections.

    :param path: as it was bound, in the binder's own mount namespace, and perhaps unlinked
        since; an abstract name starts with ``@``; any byte may occur (surrogateescape).
    :param kind: stream or seqpacket.
    """

    path: str
    inode: int
    kind: str
    holders: Owners = field(repr=False)

    @property
    def abstract(self) -> bool:
        """Whether it has a name and no file: file modes do not protect it."""
        return self.path.startswith("@")

    @property
    def owners(self) -> tuple[int, ...]:
        """The pids that hold it. :raises Unknown: see :meth:`Owners.of`."""
        return self.holders.of(self.inode)

    def __str__(self) -> str:
        return f"unix://{self.path}"


@dataclass(frozen=True, slots=True)
class InetListener:
    """A TCP socket that accepts connections, or a UDP socket bound and not connected.

    :param address: in its usual notation; a v4-mapped one as IPv4. ``::`` also takes IPv4,
        unless the program said otherwise, which the kernel does not show here.
    """

    protocol: str
    address: str
    port: int
    inode: int
    holders: Owners = field(repr=False)

    @property
    def any(self) -> bool:
        """Whether it listens on every address."""
        return ipaddress.ip_address(self.address).is_unspecified

    @property
    def loopback(self) -> bool:
        """Whether only this host can reach it."""
        return ipaddress.ip_address(self.address).is_loopback

    @property
    def owners(self) -> tuple[int, ...]:
        """The pids that hold it. :raises Unknown: see :meth:`Owners.of`."""
        return self.holders.of(self.inode)

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.protocol}://{address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Namespace:
    """The listeners of one network namespace.

    :param pid: a process in it; 0 for the audit's own.
    """

    pid: int
    unix: tuple[UnixListener, ...]
    tcp: tuple[InetListener, ...]
    udp: tuple[InetListener, ...]


class Sockets:
    """The listeners of a host: in its own network namespace, and in all the others."""

    def __init__(self, host: Host) -> None:
        self.host = host

    @property
    def unix(self) -> tuple[UnixListener, ...]:
        """Unix sockets that accept connections, in the host's own network namespace."""
        return self._own.unix

    @property
    def tcp(self) -> tuple[InetListener, ...]:
        """TCP listeners, IPv4 and IPv6, in the host's own network namespace."""
        return self._own.tcp

    @property
    def udp(self) -> tuple[InetListener, ...]:
        """Bound UDP sockets, IPv4 and IPv6, in the host's own network namespace."""
        return self._own.udp

    @fact
    def _own(self) -> Namespace:
        own, _, machine = session_of(self.host).ask(OWN, HOLDERS, MACHINE)
        found = texts(own)
        tables = {table: known(found.get(f"/proc/self/net/{table}")) for table in TABLES}
        if not tables["unix"] or not tables["tcp"]:
            raise Unknown("/proc/net does not tell which sockets are listening")
        return _namespace(0, tables, self.holders, _order(machine))

    @fact
    def holders(self) -> Owners:
        """Which processes hold which sockets, of all that could be looked at."""
        return parse_owners("\n".join(lines_of(session_of(self.host).ask(HOLDERS)[0])))

    @fact
    def _sweep(self) -> tuple[dict[int, str], dict[str, Namespace], str]:
        """Each process's namespace, each namespace's listeners, and what was not seen."""
        swept, _, machine = session_of(self.host).ask(EVERYWHERE, HOLDERS, MACHINE)
        rows = [line.split(" ") for line in lines_of(swept) if line.startswith("ns ")]
        if not rows or any(len(row) != _NS_FIELDS for row in rows):
            raise Unknown("/proc does not tell which network namespaces there are")
        namespace = {pid: f"denied {pid}" if key == "denied" else key for _, key, pid in rows}
        found = texts(swept, mark="ns ")
        spaces: dict[str, Namespace] = {}
        for pid, key in namespace.items():
            tables = {table: known(found.get(f"/proc/{pid}/net/{table}")) for table in TABLES}
            if tables["unix"] and tables["tcp"]:
                number = int(pid) if pid.isdecimal() else 0
                spaces[key] = _namespace(number, tables, self.holders, _order(machine))
        alive = Counter(namespace.values())
        # Of a namespace with one process, that process may have ended meanwhile, and it with it.
        unseen = {
            key for key in set(alive) - set(spaces) if alive[key] > 1 or key.startswith("denied ")
        }
        if unseen:
            unseen = {namespace[pid] for pid in self._living(namespace)} & unseen
        why = f"{len(unseen)} network namespaces could not be read (needs root)" if unseen else ""
        of_pid = {int(pid): key for pid, key in namespace.items() if pid.isdecimal()}
        return of_pid, spaces, why

    def _living(self, pids: Iterable[str]) -> list[str]:
        """Return those that the sweep over processes, which comes later, still found alive."""
        try:
            processes = get(self.host, "processes")
        except (CannotAnswer, Unknown):
            return list(pids)
        found = {str(each.pid) for each in processes if not each.zombie}
        return [pid for pid in pids if pid in found]

    def everywhere(self) -> tuple[Namespace, ...]:
        """Return every network namespace on the host that a process is in.

        A rootless engine, and whatever runs in a container, listens in its own.

        :raises Unknown: not every namespace could be read.
        """
        _, spaces, why = self._sweep
        if why:
            raise Unknown(why)
        return tuple(spaces.values())

    def of(self, pid: int) -> Namespace:
        """Return the listeners of a process's network namespace.

        :raises Unknown: its namespace could not be read, or the process is gone.
        """
        of_pid, spaces, _ = self._sweep
        key = of_pid.get(pid, "")
        if key not in spaces:
            raise Unknown(f"the network namespace of process {pid} could not be read")
        return spaces[key]


@provide
def sockets(host: Host) -> Sockets:
    """The listening sockets of the host."""
    return Sockets(host)


def sockets_of(host: Host, pid: int) -> Namespace:
    """Return the listeners in a process's network namespace. See :meth:`Sockets.of`."""
    found: Sockets = get(host, "sockets")
    return found.of(pid)


def _order(machine: Answer) -> str:
    if not re.fullmatch(r"[a-zA-Z0-9_.-]+", machine.text.strip()):
        raise Unknown("uname does not tell what machine the host is")
    return ">" if machine.text.strip() in _BIG_ENDIAN else "<"


def _namespace(pid: int, tables: Mapping[str, str | None], owners: Owners, order: str) -> Namespace:
    def inet(protocol: str) -> Iterator[InetListener]:
        for table in (protocol, f"{protocol}6"):
            for address, port, inode in parse_inet(
                (tables[table] or "").split("\n"), order, protocol
            ):
                yield InetListener(protocol, address, port, inode, owners)

    unix = (UnixListener(*each, owners) for each in parse_unix((tables["unix"] or "").split("\n")))
    return Namespace(pid, tuple(unix), tuple(inet("tcp")), tuple(inet("udp")))


def parse_unix(lines: Iterable[str]) -> list[tuple[str, int, str]]:
    """Return (path, inode, kind) of the named listeners in ``/proc/net/unix``.

    The kernel prints a path as it is, newlines and all, so a path can hold what looks like a
    further line. What looks like one and claims the inode of another line is not believed if it
    could be such a forgery: it and what goes before fit together in the 108 bytes of a path. If
    that cannot tell them apart, both are returned.
    """
    rows: list[_Row] = []
    before: list[tuple[int, bool]] = []
    for line in lines:
        row, size = _UNIX.fullmatch(line), _size(line)
        if row is not None:
            doubtful = _could_be_forged(size, before)
            rows.append(_Row(int(row[1], 16), int(row[2], 16), int(row[3]), row[4] or "", doubtful))
            size = _size(row[4] or "")
        elif rows:
            rows[-1] = rows[-1]._replace(path=f"{rows[-1].path}\n{line}")
        before.append((size, row is not None))
    certain = {row.inode for row in rows if not row.doubtful}
    return [
        (row.path, row.inode, _KINDS.get(row.kind, str(row.kind)))
        for row in rows
        if row.flags & _ACCEPTS and row.path and not (row.doubtful and row.inode in certain)
    ]


class _Row(NamedTuple):
    flags: int
    kind: int
    inode: int
    path: str
    doubtful: bool


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


def _could_be_forged(size: int, before: list[tuple[int, bool]]) -> bool:
    for path_size, is_row in reversed(before):
        size += path_size + 1
        if size > _PATH_MAX:
            return False
        if is_row:
            return path_size > 0
    return False


def parse_inet(
    lines: Iterable[str], order: str = "<", protocol: str = "tcp"
) -> list[tuple[str, int, int]]:
    """Return (address, port, inode) of the listeners in ``/proc/net/tcp``, ``udp`` and kin.

    Addresses are 32-bit words in the host's own byte order, ``<`` or ``>``.

    :raises Unknown: a line makes no sense.
    """
    state = _LISTEN if protocol == "tcp" else _UNCONNECTED
    found = []
    for line in lines:
        row = _INET.match(line)
        if row is None and line and "local_address" not in line:
            raise Unknown(f"a line of /proc/net/{protocol} makes no sense: {line[:60]}")
        if row is not None and row[3] == state:
            found.append((_address(row[1], order), int(row[2], 16), int(row[4])))
    return found


def _address(packed: str, order: str) -> str:
    words = [int(packed[start : start + 8], 16) for start in range(0, len(packed), 8)]
    raw = b"".join(struct.pack(f"{order}I", word) for word in words)
    address = ipaddress.ip_address(raw)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def parse_owners(text: str) -> Owners:
    """Return the owners that the sweep :data:`HOLDERS` found."""
    by_inode: dict[int, list[int]] = {}
    pids: dict[str, set[int]] = {}
    for line in text.splitlines():
        pid, _, held = line.partition(" ")
        if not pid.isdecimal():
            continue
        pids.setdefault("socket" if held.isdecimal() else held, set()).add(int(pid))
        if held.isdecimal():
            by_inode.setdefault(int(held), []).append(int(pid))
    gone = pids.pop("gone", set())
    denied = pids.get("denied", set()) | (pids.get("mute", set()) - gone)
    hidden = ""
    if denied:
        hidden = f"the open files of {len(denied)} processes could not be read (needs root)"
    elif not any(1 in each for each in pids.values()):
        hidden = "not every process is visible (needs root)"
    return Owners({inode: tuple(sorted(pids)) for inode, pids in by_inode.items()}, hidden)
