"""Packet filters as data: chains of rules, and imaginary packets to try on them.

nftables' and iptables' rules come to the same: matches and what follows if all hold. How a match
fits a packet has four answers, kept apart so that what is not understood decides nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "ALL",
    "CHOICE",
    "HIT",
    "MAY_HIT",
    "MAY_MISS",
    "MISS",
    "RARE",
    "SURE_HIT",
    "SURE_MISS",
    "UNSURE",
    "Chain",
    "Fit",
    "Match",
    "Packet",
    "Rule",
    "Table",
    "both",
    "either",
    "opposite",
    "ports",
    "span",
]  # fmt: skip


Fit = int
"""Whether a match can hold for a packet, and whether it can fail to: bits, plain numbers as there
are many. ``SURE_`` is what a sender can bring about for certain, ``MAY_`` what cannot be excluded.
"""
SURE_HIT, SURE_MISS, MAY_HIT, MAY_MISS = 1, 2, 4, 8
_HITS, _MISSES = SURE_HIT | MAY_HIT, SURE_MISS | MAY_MISS
HIT = _HITS
MISS = _MISSES
CHOICE = _HITS | _MISSES
"""The sender decides: a rate that is kept or not, a source port, the time of day."""
RARE = _MISSES | MAY_HIT
"""It holds for some senders, and certainly not for all."""
UNSURE = MAY_HIT | MAY_MISS
"""It was not understood."""


def both(fits: Iterable[Fit]) -> Fit:
    """Return how several matches fit that must all hold."""
    hits, misses = _HITS, 0
    for fit in fits:
        if not fit & MAY_HIT:
            return MISS
        hits, misses = hits & fit, misses | fit & _MISSES
    return hits | misses


def either(fits: Iterable[Fit]) -> Fit:
    """Return how several matches fit of which one must hold."""
    hits, misses = 0, _MISSES
    for fit in fits:
        hits, misses = hits | fit & _HITS, misses & fit
    return hits | misses


def opposite(fit: Fit) -> Fit:
    """Return how the negation of a match fits."""
    return (fit & _HITS) << 1 | (fit & _MISSES) >> 1


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a connection that somebody outside wants to make.

    :param family: 4 or 6.
    :param iif: the interface it comes in by; ``oif`` that by which it leaves, if it is sent on.
    :param target: whom it is for, as a number; None: some address of the host's.
    :param local: whether it is for the host; ``dnat``: it was, and is sent on to somebody else.
    :param owner: of one that a process of the host sends, its user's number and name.
    """

    family: int
    protocol: str
    iif: str
    source: int
    target: int | None
    port: int
    local: bool
    oif: str = ""
    dnat: bool = False
    owner: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """One condition of a rule.

    :param key: iif, oif, source, target, protocol, family, port, state, type, mark, flags, owner;
        any: one of several rows of matches must hold; or a Fit, the same for every packet.
    :param values: names, or spans of numbers (first, last); of ``any``, rows of matches.
    """

    key: str | Fit
    values: tuple[Any, ...] = ()
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens to packets for which all matches hold.

    :param action: accept, drop, return, jump, goto, next (no decision), dnat, or unknown.
    :param target: the chain of jump and goto.
    :param to: of dnat: (address as a number or None, port or None).
    :param marks: whether it sets a mark, which later rules may ask for.
    :param text: how the rule is written, for a person.
    """

    matches: tuple[Match, ...]
    action: str
    target: str = ""
    to: tuple[int | None, int | None] = (None, None)
    marks: bool = False
    text: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain. One with a hook sees packets; others are jumped to.

    :param hook: ingress, prerouting, input, forward …, or empty.
    :param devices: of an ingress chain, the interfaces it sees.
    """

    name: str
    rules: tuple[Rule, ...]
    hook: str = ""
    priority: int = 0
    nat: bool = False
    policy: str = "accept"
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Chains that can jump to each other.

    :param families: 4, 6 or both; none of a table that sees no routed packets.
    :param native: nftables' own name of the family and the table; empty of iptables-legacy.
    """

    name: str
    families: frozenset[int]
    chains: Mapping[str, Chain] = field(repr=False)
    native: tuple[str, str] | None = None

    def __str__(self) -> str:
        return self.name


ALL = (0, 0xFFFF)


def ports(text: str) -> tuple[int, int]:
    """Return the span of ``80``, ``80:90`` or ``80-90``. :raises ValueError: it is none."""
    first, colon, last = text.replace("-", ":").partition(":")
    low = int(first or 0)
    return low, int(last or ALL[1]) if colon else low


def span(text: str) -> tuple[int, int, int]:
    """Return (family, first, last) of an address, a network or a range of addresses.

    :raises ValueError: it is none.
    """
    if "-" in text:
        first, last = (ipaddress.ip_address(each) for each in text.split("-", 1))
        return first.version, int(first), int(last)
    network = ipaddress.ip_network(text, strict=False)
    return network.version, int(network.network_address), int(network.broadcast_address)
