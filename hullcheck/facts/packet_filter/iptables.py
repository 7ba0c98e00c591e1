"""What ``iptables-save`` prints; see iptables(8) and iptables-extensions(8)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from hullcheck.control import Unknown
from hullcheck.facts.packet_filter.model import (
    CHOICE,
    HIT,
    MISS,
    RARE,
    UNSURE,
    Chain,
    Fit,
    Match,
    Rule,
    Table,
    ports,
    span,
)

__all__ = ["Saved", "parse_save"]

HOOKS = {
    "PREROUTING": "prerouting", "INPUT": "input", "FORWARD": "forward", "OUTPUT": "output",
    "POSTROUTING": "postrouting",
}  # fmt: skip
PRIORITIES = {"raw": -300, "mangle": -150, "nat": -100, "filter": 0, "security": 50}
"""linux/netfilter_ipv4.h."""

_NEXT = frozenset({
    "LOG", "NFLOG", "ULOG", "TCPMSS", "CT", "NOTRACK", "SET", "CHECKSUM", "DSCP", "TOS", "TTL",
    "HL", "CLASSIFY", "TRACE", "AUDIT", "TCPOPTSTRIP", "RATEEST", "SECMARK", "CONNSECMARK", "LED",
    "ECN", "IDLETIMER", "HMARK",
})  # fmt: skip
_MARKS = frozenset({"MARK", "CONNMARK"})
_ENDS = {
    "ACCEPT": "accept", "DROP": "drop", "REJECT": "drop", "TARPIT": "drop", "RETURN": "return",
    "MASQUERADE": "accept", "SNAT": "accept", "NETMAP": "accept", "LSCAN": "drop",
}  # fmt: skip
_PROTOCOLS = {"6": "tcp", "17": "udp", "1": "icmp", "58": "ipv6-icmp", "icmpv6": "ipv6-icmp",
              "0": "all"}  # fmt: skip
_KNOWN = frozenset({
    "tcp", "udp", "conntrack", "state", "addrtype", "comment", "multiport", "limit", "hashlimit",
    "mark", "iprange", "icmp", "icmp6", "pkttype", "rpfilter", "mac", "statistic", "recent",
    "connlimit", "time", "set", "physdev", "connmark", "rt", "owner", "policy", "u32", "bpf",
})  # fmt: skip
"""Modules whose options are read here; what another one asks for is not understood."""

_CHOICES = frozenset({
    "limit", "hashlimit", "hashlimit-upto", "hashlimit-above", "connlimit-above", "connlimit-upto",
    "mode", "timestart", "datestart", "update", "rcheck", "sport", "sports", "source-port",
    "source-ports",
})  # fmt: skip
"""Options whose truth is the sender's to choose."""

_VNI = re.compile(
    r"0x0>>0x16&0x3c@0xc&0xffffff00=0x[0-9a-f]{1,8}|\d+,177 0 0 0,64 0 0 12,"
    r"(?:84 0 0 4294967040|116 0 0 8),21 [01] [01] \d+(?:,6 0 0 \d+){2},?"
)
"""The network that a VXLAN packet says it is of, as Docker's encrypted overlays ask for it, by u32
or bpf (moby, libnetwork/drivers/overlay/encryption.go)."""

_QUIET = frozenset({
    "comment", "limit-burst", "hashlimit-burst", "hashlimit-mode", "hashlimit-name",
    "hashlimit-htable-size", "hashlimit-htable-max", "hashlimit-htable-expire",
    "hashlimit-htable-gcinterval", "hashlimit-srcmask", "hashlimit-dstmask",
    "hashlimit-rate-match", "hashlimit-rate-interval", "connlimit-mask", "connlimit-saddr",
    "connlimit-daddr", "probability", "every", "packet", "timestop", "datestop", "weekdays",
    "monthdays", "kerneltz", "contiguous", "name", "mask", "rsource", "rdest", "seconds",
    "hitcount", "rttl", "reap", "set", "icmp-type", "icmpv6-type", "limit-iface-in",
    "limit-iface-out", "loose", "validmark", "accept-local", "return-nomatch",
})  # fmt: skip
"""Options that narrow another one, or that hold always (of ``recent``, setting a name)."""


@dataclass(frozen=True, slots=True)
class Saved:
    """The tables of one protocol.

    :param native: whether they are nftables' own, which iptables made there.
    :param hidden: what it could not print, in one sentence; empty if nothing.
    """

    tables: tuple[Table, ...]
    native: bool
    hidden: str = ""


@dataclass(slots=True)
class _Draft:
    name: str
    policies: dict[str, str] = field(default_factory=dict)
    rules: dict[str, list[Rule]] = field(default_factory=dict)

    def table(self, family: int, native: tuple[str, str] | None, label: str) -> Table:
        chains = {}
        for name, policy in self.policies.items():
            base = policy != "-" and name in HOOKS
            chain = Chain(name, tuple(self.rules.get(name, ())))
            if base:
                chain = replace(
                    chain, hook=HOOKS[name], priority=PRIORITIES.get(self.name, 0),
                    nat=self.name == "nat", policy=policy.lower(),
                )  # fmt: skip
            chains[name] = chain
        return Table(f"{label} {self.name}", frozenset({family}), chains, native)


def parse_save(text: str, family: int) -> Saved:
    """Return the tables in a text of ``iptables-save`` or ``ip6tables-save``.

    :raises Unknown: it is damaged.
    """
    label = "iptables" if family == 4 else "ip6tables"
    native, hidden = "(nf_tables)" in text.split("\n", 1)[0], ""
    drafts: list[_Draft] = []
    open_ = False
    for line in _lines(text):
        if line.startswith("#"):
            if "incompatible" in line or "legacy tables present" in line:
                hidden = line.lstrip("# ")
        elif line.startswith("*"):
            drafts.append(_Draft(line[1:].strip()))
            open_ = True
        elif line == "COMMIT" and open_:
            open_ = False
        elif line.startswith(":") and open_:
            name, _, rest = line[1:].partition(" ")
            drafts[-1].policies[name] = rest.split(" ")[0]
        elif line.startswith(("-A ", "[")) and open_:
            name, rule = _rule(line, family)
            drafts[-1].rules.setdefault(name, []).append(rule)
        elif line.strip():
            raise Unknown(f"{label}-save: cannot understand {line[:80]!r}")
    if open_:
        raise Unknown(f"{label}-save ended in the midst of a table")
    of = "ip" if family == 4 else "ip6"
    tables = tuple(
        each.table(family, (of, each.name) if native else None, label) for each in drafts
    )
    return Saved(tables, native, hidden)


def _lines(text: str) -> Iterable[str]:
    """Yield lines; a quoted comment may hold a newline."""
    held = ""
    for line in text.split("\n"):
        held = f"{held}\n{line}" if held else line
        if held.startswith("-A") and len(re.findall(r'(?<!\\)"', held)) % 2 and len(held) < 4096:
            continue
        yield held
        held = ""
    if held:
        yield held


def _rule(line: str, family: int) -> tuple[str, Rule]:
    try:
        words = shlex.split(line)
    except ValueError:
        raise Unknown(f"iptables-save: cannot understand {line[:80]!r}") from None
    if words and words[0].startswith("["):
        words = words[1:]
    if len(words) < 2 or words[0] != "-A":
        raise Unknown(f"iptables-save: cannot understand {line[:80]!r}")
    at = next((n for n, each in enumerate(words) if each in ("-j", "-g") and n > 1), len(words))
    try:
        matches = tuple(_matches(words[2:at], family))
    except (ValueError, IndexError):
        matches = (Match(UNSURE),)
    action, target, to = _action(words[at:])
    text = f"-A {' '.join(words[1:])}"[:120]
    return words[1], Rule(matches, action, target, to, target in _MARKS, text)


def _action(words: list[str]) -> tuple[str, str, tuple[int | None, int | None]]:
    """Return what a rule does, the chain or target it names, and where a translation leads."""
    name = words[1] if len(words) > 1 else ""
    to: tuple[int | None, int | None] = (None, None)
    action = "jump" if name else "next"
    if words[:1] == ["-g"]:
        action = "goto"
    elif name in _ENDS:
        action = _ENDS[name]
    elif name in _NEXT or name in _MARKS:
        action = "next"
    elif name in ("DNAT", "REDIRECT"):
        action, to = "dnat", _destination(words[2:])
    elif name in _FOREIGN:
        action = "unknown"
    return action, name, to


_FOREIGN = frozenset({"NFQUEUE", "QUEUE", "TPROXY", "SYNPROXY", "MIRROR", "CLUSTERIP", "TEE",
                      "DNPT", "SNPT", "PROTO", "ACCOUNT", "ECHO", "DELUDE", "CHAOS"})  # fmt: skip
"""Targets that hand the packet to something else, or change it."""


def _destination(words: list[str]) -> tuple[int | None, int | None]:
    """Return where ``--to-destination 172.17.0.2:80`` or ``--to-ports 80`` sends to."""
    if len(words) < 2:
        return None, None
    if words[0] == "--to-ports":
        return None, ports(words[1])[0]
    place = re.fullmatch(r"\[?([0-9a-fA-F:.]*?)\]?(?:-[^:]*)?(?::(\d+)[-/\d]*)?", words[1])
    if place is None:
        return None, None
    return span(place[1])[1] if place[1] else None, int(place[2]) if place[2] else None


def _matches(words: list[str], family: int) -> Iterable[Match]:
    at, negated, module = 0, False, ""
    words = _arrival(words)
    while at < len(words):
        word = words[at]
        if word == "!":
            negated, at = True, at + 1
            continue
        if word == "-m":
            module, at = words[at + 1], at + 2
            if module not in _KNOWN:
                yield Match(UNSURE)
            continue
        size = 1
        while at + size < len(words) and not _option(words[at + size]):
            size += 1
        yield _match(word.lstrip("-"), words[at + 1 : at + size], negated, module, family)
        negated, at = False, at + size


def _arrival(words: list[str]) -> list[str]:
    """Join ``--dir in --pol X``, as iptables-save prints what arrives by IPsec or without."""
    for at in range(len(words) - 2):
        if words[at : at + 3] == ["--dir", "in", "--pol"] and words[at - 1 : at] != ["!"]:
            return [*words[:at], "--arrives", *words[at + 3 :]]
    return words


def _arrives(values: list[str], _: int) -> Match:
    """A stranger shares no key with the host: nothing of theirs comes by IPsec."""
    return Match({"none": HIT, "ipsec": MISS}.get(values[0], UNSURE))


def _content(values: list[str], _: int) -> Match:
    return Match(CHOICE if _VNI.fullmatch(values[0]) else UNSURE)


def _option(word: str) -> bool:
    return word == "!" or bool(re.fullmatch(r"--?[a-z][a-z0-9-]*", word))


def _match(name: str, values: list[str], negated: bool, module: str, family: int) -> Match:
    if name in _CHOICES:
        return Match(CHOICE)
    if name in _QUIET and module in _KNOWN:
        return Match(HIT)
    reader = _READERS.get(name)
    if reader is None or (module and module not in _KNOWN):
        return Match(UNSURE)
    found = reader(values, family)
    return replace(found, negated=negated != found.negated)


def _names(key: str) -> Callable[[list[str], int], Match]:
    """Interfaces; iptables' wildcard is a plus at the end."""
    return lambda values, _: Match(key, (re.sub(r"\+$", "*", values[0]),))


def _spans(key: str) -> Callable[[list[str], int], Match]:
    return lambda values, _: Match(key, tuple(span(each) for each in values[0].split(",")))


def _port(values: list[str], _: int) -> Match:
    return Match("port", tuple(ports(each) for each in values[0].split(",")))


def _protocol(values: list[str], family: int) -> Match:
    name = _PROTOCOLS.get(values[0], values[0])
    return Match(HIT) if name == "all" else Match("protocol", (name,))


def _state(values: list[str], _: int) -> Match:
    return Match("state", tuple(each.lower() for each in values[0].split(",")))


def _type(values: list[str], _: int) -> Match:
    return Match("type", tuple(each.lower() for each in values[0].split(",")))


def _owner(values: list[str], _: int) -> Match:
    return Match("owner", (ports(values[0]),))


def _mark(values: list[str], _: int) -> Match:
    value, _slash, mask = values[0].partition("/")
    return Match("mark", ((int(value, 0), int(mask, 0) if mask else 0xFFFFFFFF),))


def _flags(values: list[str], _: int) -> Match:
    mask, wanted = (frozenset(each.lower().split(",")) - {"none"} for each in values)
    every = frozenset({"fin", "syn", "rst", "psh", "ack", "urg"})
    return Match("flags", (every if "all" in mask else mask, every if "all" in wanted else wanted))


def _always(fit: Fit, negated: bool = False) -> Callable[[list[str], int], Match]:
    return lambda values, _: Match(fit, negated=negated)


def _source_type(values: list[str], _: int) -> Match:
    return Match(HIT if "unicast" in values[0].lower().split(",") else RARE)


def _pkttype(values: list[str], _: int) -> Match:
    return Match(HIT if values[0] in ("host", "unicast") else RARE)


_READERS: dict[str, Callable[[list[str], int], Match]] = {
    "p": _protocol, "protocol": _protocol, "s": _spans("source"), "d": _spans("target"),
    "src-range": _spans("source"), "dst-range": _spans("target"), "i": _names("iif"),
    "o": _names("oif"), "dport": _port, "dports": _port, "destination-port": _port,
    "ctstate": _state, "state": _state, "dst-type": _type, "src-type": _source_type,
    "mark": _mark, "uid-owner": _owner, "tcp-flags": _flags,
    "syn": lambda values, _: Match("flags", (frozenset({"fin", "syn", "rst", "ack"}),
                                             frozenset({"syn"}))),
    "match-set": _always(RARE), "mac-source": _always(RARE), "pkt-type": _pkttype,
    "physdev-in": _always(RARE), "physdev-out": _always(RARE),
    "physdev-is-bridged": _always(RARE), "invert": _always(HIT, negated=True),
    "arrives": _arrives, "u32": _content, "bytecode": _content,
    "rt-type": _always(RARE), "tcp-option": _always(CHOICE), "f": _always(CHOICE),
}  # fmt: skip
