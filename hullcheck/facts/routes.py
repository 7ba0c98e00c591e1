"""Interfaces, addresses and routes of a host, and what it forwards; see proc(5), ip-sysctl.rst."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.registry import provide
from hullcheck.facts.sockets import MACHINE
from hullcheck.facts.texts import known, lines_of, sweep, texts
from hullcheck.transport import session_of, want

__all__ = ["Network", "Route", "network", "parse_routes", "parse_routes6"]

NET = "/proc/self/net"
TABLES = tuple(f"{NET}/{name}" for name in ("dev", "route", "ipv6_route", "if_inet6", "fib_trie"))
STATE = sweep(TABLES)

FORWARDING = want(
    "grep -H '' /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv[46]/conf/*/forwarding",
    meaning=(0, 1, 2),
)

DEVICES = want("ls -d /sys/class/net/*/device", meaning=(0, 1, 2))
"""Interfaces with hardware behind them, or what a hypervisor calls so."""

OUTSIDE = "any"
"""Stands for an interface to the outside where none can be told."""

_DEVICE = re.compile(r"/sys/class/net/([^/]+)/device")
_BIG_ENDIAN = {"s390", "s390x", "ppc", "ppc64", "sparc", "sparc64", "parisc", "m68k"}
_UP, _REJECT = 1, 0x200
_GLOBAL = "00"
_NOWHERE = ("default", "lo")
"""Settings that let no packet from outside through: those of interfaces to come, and loopback."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route of the main table: which interface leads to which addresses."""

    device: str
    network: ipaddress.IPv4Network | ipaddress.IPv6Network
    direct: bool

    @property
    def default(self) -> bool:
        """Whether it leads to everywhere."""
        return self.network.prefixlen == 0


@dataclass(frozen=True, slots=True)
class Network:
    """The host's network, in its own network namespace.

    :param forwarding: where it is on, by family: interfaces, or ``all``.
    :param addresses: the host's own, by family; without loopback and link-local ones.
    :param physical: interfaces with hardware behind them.
    """

    interfaces: tuple[str, ...]
    routes: tuple[Route, ...]
    addresses: Mapping[int, tuple[int, ...]]
    forwarding: Mapping[int, tuple[str, ...]]
    physical: tuple[str, ...] = field(default=())

    def outer(self, family: int) -> tuple[str, ...]:
        """Return the interfaces that face the outside: those of default routes; without one,
        those with hardware; without these, :data:`OUTSIDE`."""
        found = dict.fromkeys(
            each.device for each in self.routes if each.default and each.network.version == family
        )
        return tuple(found) or self.physical or (OUTSIDE,)

    def inner(self, family: int) -> dict[str, int]:
        """Return the other interfaces with a network of their own, and an address in each that
        is not the host's."""
        found: dict[str, int] = {}
        for each in self.routes:
            size = each.network.max_prefixlen - each.network.prefixlen
            usable = each.direct and each.network.version == family and size > 1
            usable = usable and not each.network.is_loopback and not each.network.is_link_local
            if not usable or each.device in (*self.outer(family), "lo"):
                continue
            last = int(each.network.broadcast_address) - 1
            own = self.addresses.get(family, ())
            found.setdefault(each.device, last if last not in own else last - 1)
        return found

    def onward(self, family: int, number: int) -> str:
        """Return the interface that leads to an address; empty if none does."""
        address = (ipaddress.IPv4Address if family == 4 else ipaddress.IPv6Address)(number)
        known_ = [
            each for each in self.routes
            if each.network.version == family and address in each.network
        ]  # fmt: skip
        found = max(known_, key=lambda each: each.network.prefixlen, default=None)
        return found.device if found else ""

    def own(self, family: int, device: str) -> int | None:
        """Return an address of the host on an interface; None if it cannot be told which."""
        for number in self.addresses.get(family, ()):
            if self.onward(family, number) == device:
                return number
        return next(iter(self.addresses.get(family, ())), None)


@provide
def network(host: Host) -> Network:
    """The host's interfaces, addresses and routes. :raises Unknown: /proc does not tell them."""
    state, forwarding, devices, machine = session_of(host).ask(STATE, FORWARDING, DEVICES, MACHINE)
    found = texts(state)
    told = {path.rpartition("/")[2]: known(found.get(path)) for path in TABLES}
    if not told["dev"] or told["route"] is None:
        raise Unknown("/proc does not tell the host's interfaces and routes")
    order = "big" if machine.text.strip() in _BIG_ENDIAN else "little"
    rows = [line.split() for line in (told["if_inet6"] or "").splitlines()]
    if any(len(row) != 6 for row in rows):
        raise Unknown(f"{NET}/if_inet6 is not as expected")
    own6 = tuple(int(row[0], 16) for row in rows if row[3] == _GLOBAL and row[5] != "lo")
    return Network(
        tuple(re.findall(r"^ *([^\s|]+?):", told["dev"], re.MULTILINE)),
        (*parse_routes(told["route"], order), *parse_routes6(told["ipv6_route"] or "")),
        {4: _own(told["fib_trie"]), 6: own6},
        _forwarding(texts(forwarding)),
        tuple(name[1] for line in lines_of(devices) if (name := _DEVICE.fullmatch(line))),
    )


def parse_routes(text: str, order: str = "little") -> list[Route]:
    """Return the routes in ``/proc/net/route``. :raises Unknown: a line makes no sense."""
    found = []
    for line in text.splitlines()[1:]:
        row = line.split()
        try:
            target, gateway, mask = (
                int.from_bytes(int(row[at], 16).to_bytes(4, "little"),
                               "big" if order == "little" else "little")
                for at in (1, 2, 7)
            )  # fmt: skip
            flags = int(row[3], 16)
            network_ = ipaddress.IPv4Network((target, mask.bit_count()))
        except (ValueError, IndexError, OverflowError):
            raise Unknown(f"a line of {NET}/route makes no sense: {line[:60]!r}") from None
        if flags & _UP and not flags & _REJECT:
            found.append(Route(row[0], network_, gateway == 0))
    return found


def parse_routes6(text: str) -> list[Route]:
    """Return the routes in ``/proc/net/ipv6_route``; not local and multicast ones."""
    found = []
    for line in text.splitlines():
        row = line.split()
        try:
            network_ = ipaddress.IPv6Network((int(row[0], 16), int(row[1], 16)), strict=False)
            gateway, flags = int(row[4], 16), int(row[8], 16)
        except (ValueError, IndexError):
            raise Unknown(f"a line of {NET}/ipv6_route makes no sense: {line[:60]!r}") from None
        plain = flags & _UP and not flags & _REJECT and not flags & 0x80000000
        if plain and row[9] != "lo" and not network_.is_multicast:
            found.append(Route(row[9], network_, gateway == 0))
    return found


def _own(trie: str | None) -> tuple[int, ...]:
    """Return the host's IPv4 addresses: the leaves of fib_trie that are ``/32 host LOCAL``."""
    if trie is None:
        return ()
    found: dict[int, None] = {}
    leaf = ""
    for line in trie.splitlines():
        name = re.fullmatch(r" *\|-- ([0-9.]{7,15})", line)
        leaf = name[1] if name else leaf
        if re.fullmatch(r" */32 host LOCAL", line) and leaf:
            address = ipaddress.IPv4Address(leaf)
            if not address.is_loopback and not address.is_link_local:
                found[int(address)] = None
    return tuple(found)


def _forwarding(found: Mapping[str, str | Unknown]) -> dict[int, tuple[str, ...]]:
    """Return which settings are on.

    :raises Unknown: none of IPv4's can be read. A kernel without IPv6 has none of it.
    """
    on: dict[int, list[str]] = {4: [], 6: []}
    seen = _numbers(found)
    if not any("/ipv4/" in path for path, _ in seen):
        raise Unknown("/proc/sys/net does not tell whether the host forwards packets")
    for path, value in seen:
        if value != "0":
            name = path.split("/")[-2] if path.endswith("/forwarding") else "all"
            on[4 if "/ipv4/" in path else 6] += [name] if name not in _NOWHERE else []
    return {family: tuple(dict.fromkeys(names)) for family, names in on.items()}


def _numbers(found: Mapping[str, str | Unknown]) -> Iterable[tuple[str, str]]:
    return [(path, value.strip()) for path, text in found.items()
            if (value := known(text)) is not None]  # fmt: skip
