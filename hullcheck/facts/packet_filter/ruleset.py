"""What a host's packet filter does with what strangers send."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from hullcheck.control import Unknown
from hullcheck.facts.packet_filter.evaluate import Fate, fate, leaving, translated
from hullcheck.facts.packet_filter.model import ALL, Match, Packet, Table
from hullcheck.facts.routes import Network

__all__ = ["PacketFilter", "Published"]

_STRANGERS = {
    4: ("4.15.77.3", "45.83.12.9", "103.66.201.14", "154.118.33.7", "190.12.84.21"),
    6: ("2001:41d0:7:3::9", "2607:f8a1:2::7", "2404:9c8:11::5", "2c0f:f71:4::3", "2803:d10:9::6"),
}  # fmt: skip
"""Addresses from all over the world: what one block-list holds does not hold them all."""

_PORTS = (47, 4747, 47474, 2049, 5432)
"""One for each stranger: low, middle and high ones, and such as should be closed."""

_PROTOCOLS = ("tcp", "udp")
_ELSEWHERE = {4: "8.18.28.38", 6: "2606:2800:21f::4"}
MOST = 256
"""How many published ports are looked at."""


@dataclass(frozen=True, slots=True)
class Published:
    """A port of the host that the packet filter sends on to another address.

    :param to: ``172.17.0.2:80``.
    """

    protocol: str
    port: int
    family: int
    to: str

    def __str__(self) -> str:
        return f"{self.port}/{self.protocol} to {self.to}"


@dataclass(frozen=True, slots=True)
class PacketFilter:
    """All tables that are in force, of whatever kind.

    :param hidden: what could not be seen; it can only deny more.
    :param blind: whether nft was not there: other tables than iptables' could not be seen.
    """

    tables: tuple[Table, ...]
    hidden: tuple[str, ...] = ()
    blind: bool = False
    _fates: dict[Packet, Fate] = field(default_factory=dict, compare=False, repr=False)
    _published: dict[str, list[Published]] = field(default_factory=dict, compare=False, repr=False)

    def filters(self, hook: str, family: int) -> bool:
        """Whether any chain with a rule, or that denies, stands at a hook."""
        return any(
            chain.hook == hook and (chain.rules or chain.policy != "accept")
            for table in self.tables
            if family in table.families
            for chain in table.chains.values()
        )

    def fate(self, packet: Packet, network: Network) -> Fate:
        """Return what becomes of a packet; what cannot be seen makes an open one unknown."""
        if packet not in self._fates:
            found = fate(self.tables, packet, lambda number: network.onward(packet.family, number))
            if found.verdict == "open" and self.hidden:
                found = Fate("unknown", self.hidden[0])
            self._fates[packet] = found
        return self._fates[packet]

    def worst(self, packets: Iterable[Packet], network: Network) -> Fate:
        """Return the worst fate of some packets: open before unknown before denied."""
        found = Fate("denied")
        for packet in packets:
            here = self.fate(packet, network)
            if here.verdict == "open":
                return here
            found = here if here.verdict == "unknown" and found.verdict == "denied" else found
        return found

    def incoming(self, family: int, network: Network) -> Fate:
        """Return what becomes of what strangers send to ports of the host that nobody named."""
        return self.worst(
            (
                replace(each, iif=device, target=network.own(family, device), local=True)
                for device in network.outer(family)
                for each in _strangers(family)
            ),
            network,
        )

    def passing(self, family: int, network: Network) -> dict[str, Fate]:
        """Return what becomes of what strangers send through the host, by where it would go: an
        interface, or ``elsewhere``."""
        places: dict[str, tuple[str, int]] = {
            name: (name, number) for name, number in network.inner(family).items()
        }
        far = int(ipaddress.ip_address(_ELSEWHERE[family]))
        found: dict[str, Fate] = {}
        for device in network.outer(family):
            places["elsewhere"] = (device, far)
            for place, (oif, target) in places.items():
                packets = [
                    replace(each, iif=device, oif=oif, target=target) for each in _strangers(family)
                ]
                here = self.worst(packets, network)
                before = found.get(place)
                if before is None or _rank(here) > _rank(before):
                    found[place] = here
        return found

    def outgoing(
        self, target: str, port: int, network: Network, owner: tuple[int, str] | None, device: str
    ) -> Fate:
        """Return what becomes of a connection to an address by TCP.

        :param owner: the user of the host whose process makes it; None: a container does, behind
            ``device``, an interface of the host.
        """
        address = ipaddress.ip_address(target)
        family, number = address.version, int(address)
        oif = network.onward(family, number)
        own = next(iter(network.addresses.get(family, ())), number)
        packet = Packet(family, "tcp", "", own, number, port, False, oif, False, owner)
        if owner is None:
            source = network.inner(family).get(device, own)
            packet = replace(packet, iif=device, source=source)
            found = fate(self.tables, packet, lambda each: network.onward(family, each))
            sent, _ = translated(self.tables, packet, lambda each: network.onward(family, each))
            found = Fate("denied") if sent.dnat else found
        else:
            found = leaving(self.tables, packet)
        if found.verdict == "open" and self.hidden:
            return Fate("unknown", self.hidden[0])
        return found

    def published(self, network: Network) -> list[Published]:
        """Return the ports of the host that are sent on to others, by trying all that rules of
        translation name.

        :raises Unknown: there are too many.
        """
        if "found" not in self._published:
            self._published["found"] = self._translations(network)
        return self._published["found"]

    def _translations(self, network: Network) -> list[Published]:
        found: dict[Published, None] = {}
        for family in (4, 6):
            numbers = sorted(set(self._named(family)))
            if len(numbers) > MOST:
                raise Unknown(f"{len(numbers)} ports are translated, which is too many to follow")
            for number in numbers:
                for packet in self.strangers_at(number, family, network, some=2):
                    onward = partial(network.onward, family)
                    sent, how = translated(self.tables, packet, onward)
                    if sent.dnat and not sent.local and sent.target is not None:
                        to = ipaddress.ip_address(sent.target)
                        place = f"[{to}]:{sent.port}" if family == 6 else f"{to}:{sent.port}"
                        found[Published(packet.protocol, number, family, place)] = None
                    elif how.verdict == "unknown":
                        raise Unknown(f"cannot follow the rule of translation {how.why}")
        return list(found)

    def strangers_at(
        self, port: int, family: int, network: Network, some: int = len(_PORTS)
    ) -> Iterator[Packet]:
        """Yield what some strangers send to one port of the host, by either protocol."""
        for device in network.outer(family):
            own = network.own(family, device)
            for each in itertools.islice(_strangers(family), some * len(_PROTOCOLS)):
                yield replace(each, iif=device, port=port, target=own, local=True)

    def guest(self, port: Published, network: Network) -> Fate:
        """Return what would become of what strangers send to a published port, were it the
        host's own: the chains that guard the host decide, and none translates."""
        plain = tuple(
            replace(table, chains={
                name: chain for name, chain in table.chains.items() if not chain.nat
            })
            for table in self.tables
        )  # fmt: skip
        packets = [
            each
            for each in self.strangers_at(port.port, port.family, network)
            if each.protocol == port.protocol
        ]
        return PacketFilter(plain, self.hidden).worst(packets, network)

    def _named(self, family: int) -> Iterator[int]:
        for table in self.tables:
            if family not in table.families or not any(
                chain.nat and chain.hook == "prerouting" for chain in table.chains.values()
            ):
                continue
            for chain in table.chains.values():
                for rule in chain.rules:
                    yield from _ports_in(rule.matches)


def _ports_in(matches: Iterable[Match]) -> Iterator[int]:
    for match in matches:
        if match.key == "port":
            for first, last in match.values:
                yield from {first, last} if (first, last) != ALL else ()
        elif match.key == "any":
            for row in match.values:
                yield from _ports_in(row)


def _strangers(family: int) -> Iterator[Packet]:
    for address, port in zip(_STRANGERS[family], _PORTS, strict=True):
        for protocol in _PROTOCOLS:
            source = int(ipaddress.ip_address(address))
            yield Packet(family, protocol, "", source, None, port, local=False)


def _rank(found: Fate) -> int:
    return ("denied", "unknown", "open").index(found.verdict)
