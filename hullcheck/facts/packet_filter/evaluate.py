"""What becomes of a packet: the chains it passes, in the kernel's order.

Of all base chains at a hook, each must let a packet through (nft(8), "BASE CHAINS"): so one that
cannot be seen can only deny more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from hullcheck.control import Unknown
from hullcheck.facts.packet_filter.model import (
    CHOICE,
    HIT,
    MAY_HIT,
    MAY_MISS,
    MISS,
    RARE,
    SURE_HIT,
    SURE_MISS,
    UNSURE,
    Chain,
    Fit,
    Match,
    Packet,
    Rule,
    Table,
    both,
    either,
    opposite,
)

__all__ = ["Fate", "fate", "leaving", "translated"]

BUDGET = 100_000
"""Rules that one packet may meet."""

DEPTH = 64

_STATES = {"new": HIT, "established": MISS, "related": MISS, "invalid": MISS, "untracked": MISS}
_SYN = frozenset({"syn"})

_FELL = frozenset({"next", "return"})

Target = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a packet.

    :param verdict: open, denied or unknown.
    :param why: of an unknown one, which rule was not understood.
    """

    verdict: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Ends:
    """How a chain can end: accept, drop, return, next, or a translation; see :class:`Fit`."""

    sure: frozenset[str | Target]
    may: frozenset[str | Target]

    def falling(self, to: str) -> _Ends:
        """Return these ends, with another one in the place of those that decide nothing."""
        after: frozenset[str | Target] = frozenset({to})
        return _Ends(*(
            (each - _FELL) | (after if each & _FELL else frozenset())
            for each in (self.sure, self.may)
        ))  # fmt: skip


_ANY = _Ends(frozenset(), frozenset({"accept", "drop", "next"}))


class _Walk:
    """One packet on its way; ``marked`` once a rule may have set a mark."""

    def __init__(self) -> None:
        self.marked = False
        self.met = 0
        self.doubt = ""

    def base(self, table: Table, chain: Chain, packet: Packet) -> _Ends:
        ends = self._chain(table, chain, packet, 0)
        return ends.falling(chain.policy)

    def _chain(self, table: Table, chain: Chain, packet: Packet, depth: int) -> _Ends:
        sure: set[str | Target] = set()
        may: set[str | Target] = set()
        certain = True
        for rule in chain.rules:
            self.met += 1
            if self.met > BUDGET or depth > DEPTH:
                raise Unknown("the packet filter has too many rules to follow")
            fit = both(self._fit(match, packet) for match in rule.matches)
            if not fit & MAY_HIT:
                continue
            self.marked = self.marked or rule.marks
            ends = self._ends(table, rule, packet, depth)
            may |= ends.may - {"next"}
            if certain and fit & SURE_HIT:
                sure |= ends.sure - {"next"}
            certain = certain and (bool(fit & SURE_MISS) or "next" in ends.sure)
            loose = not fit & SURE_HIT and (not certain or "accept" in ends.may)
            if loose or rule.action == "unknown":
                self.doubt = self.doubt or rule.text
            if not fit & MAY_MISS and "next" not in ends.may:
                return _Ends(frozenset(sure), frozenset(may))
        return _Ends(frozenset(sure | ({"next"} if certain else set())), frozenset(may | {"next"}))

    def _ends(self, table: Table, rule: Rule, packet: Packet, depth: int) -> _Ends:
        if rule.action in ("jump", "goto"):
            chain = table.chains.get(rule.target)
            if chain is None:
                self.doubt = self.doubt or rule.text
                return _ANY
            ends = self._chain(table, chain, packet, depth + 1)
            return ends.falling("next" if rule.action == "jump" else "return")
        if rule.action == "unknown":
            return _ANY
        end = frozenset({rule.to if rule.action == "dnat" else rule.action})
        return _Ends(end, end)

    def _fit(self, match: Match, packet: Packet) -> Fit:
        if isinstance(match.key, int):
            fit = match.key
        elif match.key == "any":
            fit = either(both(self._fit(each, packet) for each in row) for row in match.values)
        elif match.key == "owner" and packet.owner is None:
            return UNSURE
        elif match.key == "mark":
            zero = any(value == 0 for value, _ in match.values)
            fit = UNSURE if self.marked else HIT if zero else MISS
        else:
            fit = _FITS[match.key](match.values, packet)
        return opposite(fit) if match.negated else fit


def _name(values: Iterable[str], name: str) -> Fit:
    return _truth(
        any(name.startswith(each[:-1]) if each.endswith("*") else each == name for each in values)
    )


def _truth(holds: bool) -> Fit:
    return HIT if holds else MISS


def _address(values: Iterable[tuple[int, int, int]], packet: Packet, number: int | None) -> Fit:
    own = [each for each in values if each[0] == packet.family]
    if number is None and own:
        whole = any(last - first >= (1 << (32 if family == 4 else 128)) - 1
                    for family, first, last in own)  # fmt: skip
        return HIT if whole else UNSURE
    return _truth(any(first <= (number or 0) <= last for _, first, last in own))


def _owner(values: Iterable[tuple[int, int] | str], packet: Packet) -> Fit:
    uid, name = packet.owner or (-1, "")
    return _truth(
        any(each == name if isinstance(each, str) else each[0] <= uid <= each[1] for each in values)
    )


def _state(values: Iterable[str], packet: Packet) -> Fit:
    return either(
        _truth(packet.dnat) if each == "dnat" else MISS if each == "snat"
        else _STATES.get(each, UNSURE) for each in values
    )  # fmt: skip


def _type(values: Iterable[str], packet: Packet) -> Fit:
    own = "local" if packet.local else "unicast"
    return _truth(own in values)


def _flags(values: tuple[frozenset[str], frozenset[str]], packet: Packet) -> Fit:
    mask, wanted = values
    return _truth(packet.protocol == "tcp" and _SYN & mask == wanted)


_FITS: dict[str, Callable[..., Fit]] = {
    "iif": lambda values, packet: _name(values, packet.iif),
    "oif": lambda values, packet: _name(values, packet.oif),
    "source": lambda values, packet: _address(values, packet, packet.source),
    "target": lambda values, packet: _address(values, packet, packet.target),
    "protocol": lambda values, packet: _truth(packet.protocol in values),
    "family": lambda values, packet: _truth(packet.family in values),
    "port": lambda values, packet: _truth(any(a <= packet.port <= b for a, b in values)),
    "state": _state,
    "type": _type,
    "flags": _flags,
    "owner": _owner,
    "choice": lambda values, packet: CHOICE,
    "rare": lambda values, packet: RARE,
}


def _at(tables: Iterable[Table], hook: str, packet: Packet) -> list[tuple[Table, Chain]]:
    found = [
        (table, chain)
        for table in tables
        if packet.family in table.families
        for chain in table.chains.values()
        if chain.hook == hook and (not chain.devices or packet.iif in chain.devices)
    ]
    return sorted(found, key=lambda each: each[1].priority)


def translated(
    tables: Iterable[Table], packet: Packet, onward: Callable[[int], str]
) -> tuple[Packet, Fate]:
    """Return a packet as routing sees it, and what became of it so far.

    :param onward: returns the interface that leads to an address.
    """
    return _before_routing(list(tables), packet, onward, _Walk())


def fate(tables: Iterable[Table], packet: Packet, onward: Callable[[int], str]) -> Fate:
    """Return what becomes of a packet. :raises Unknown: the rules cannot be followed."""
    known, walk = list(tables), _Walk()
    packet, before = _before_routing(known, packet, onward, walk)
    if before.verdict == "denied":
        return before
    after = _filtered(_at(known, "input" if packet.local else "forward", packet), packet, walk)
    return after if after.verdict != "open" else before


def leaving(tables: Iterable[Table], packet: Packet) -> Fate:
    """Return what becomes of a packet that a process of the host sends; one that is sent on to
    another address does not reach its own. :raises Unknown: the rules cannot be followed."""
    known, walk = list(tables), _Walk()
    worst = Fate("open")
    for hook in ("output", "postrouting"):
        found = _filtered(_at(known, hook, packet), packet, walk)
        if found.verdict == "denied":
            return found
        worst = found if found.verdict == "unknown" else worst
    for table, chain in _at(known, "output", packet):
        ends = walk.base(table, chain, packet) if chain.nat else _ANY
        if ends.sure and all(isinstance(each, tuple) for each in ends.may):
            return Fate("denied")
    return worst


def _filtered(chains: list[tuple[Table, Chain]], packet: Packet, walk: _Walk) -> Fate:
    verdict = "open"
    for table, chain in chains:
        if chain.nat:
            continue
        ends = walk.base(table, chain, packet)
        if "accept" not in ends.may:
            return Fate("denied")
        if "accept" not in ends.sure:
            verdict = "unknown"
    return Fate(verdict, walk.doubt if verdict == "unknown" else "")


def _before_routing(
    tables: list[Table], packet: Packet, onward: Callable[[int], str], walk: _Walk
) -> tuple[Packet, Fate]:
    found = Fate("open")
    for place in (*_at(tables, "ingress", packet), *_at(tables, "prerouting", packet)):
        if not place[1].nat:
            here = _filtered([place], packet, walk)
            if here.verdict == "denied":
                return packet, here
            found = here if here.verdict == "unknown" else found
            continue
        ends = walk.base(*place, packet)
        sure = [each for each in ends.sure if isinstance(each, tuple)]
        may = [each for each in ends.may if isinstance(each, tuple)]
        if not may or packet.dnat:
            continue
        if not sure:
            found = Fate("unknown", walk.doubt)
        packet = _sent_on(packet, min(sure or may, key=str), onward)
    return packet, found


def _sent_on(packet: Packet, to: Target, onward: Callable[[int], str]) -> Packet:
    address, port = to
    packet = replace(packet, port=port or packet.port, dnat=True)
    if address is None:
        return packet
    return replace(packet, target=address, local=False, oif=onward(address))
