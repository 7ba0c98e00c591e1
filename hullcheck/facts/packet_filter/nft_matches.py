"""The conditions of nftables' rules: what stands left and right of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hullcheck.facts.packet_filter.model import ALL, CHOICE, HIT, MISS, RARE, UNSURE, Match, span

__all__ = ["Sets", "condition", "elements", "limited"]

Sets = Mapping[str, list[Any]]
"""The elements of a table's named sets and maps."""

_PROTOCOLS = {6: "tcp", 17: "udp", 1: "icmp", 58: "ipv6-icmp", "icmpv6": "ipv6-icmp"}
_FAMILIES = {"ipv4": 4, "ip": 4, "ipv6": 6, "ip6": 6, 2: 4, 10: 6, 0x0800: 4, 0x86DD: 6}
_OF_PROTOCOL = {"ip": ("family", 4), "ip6": ("family", 6)}
_PORTS, _FLAGS = ("tcp", "udp", "udplite", "sctp", "dccp", "th"), ("tcp", "flags")
_ADDRESSES = {"saddr": "source", "daddr": "target"}


def limited(name: str, value: Any) -> Match | None:
    """Return the match that a statement is which lets go on only what keeps a rate or a count."""
    if name in ("limit", "quota", "ct count", "connlimit"):
        return Match(CHOICE)
    if name in ("set", "map", "meter") and isinstance(value, dict) and value.get("stmt"):
        return Match(CHOICE)
    return Match(CHOICE) if name == "meter" else None


def elements(right: Any, sets: Sets) -> list[Any]:
    """Return what stands right of a comparison, one by one; a named set's elements too."""
    if isinstance(right, str) and right.startswith("@"):
        return [_bare(each) for each in sets[right[1:]]]
    if isinstance(right, dict) and "set" in right:
        inner = right["set"]
        return [_bare(each) for each in (inner if isinstance(inner, list) else [inner])]
    return [_bare(each) for each in right] if isinstance(right, list) else [right]


def _bare(element: Any) -> Any:
    """Return an element without its timeout, counter or comment."""
    if isinstance(element, dict) and "elem" in element:
        inner = element["elem"]
        return inner["val"] if isinstance(inner, dict) and "val" in inner else inner
    if isinstance(element, list) and len(element) == 2:
        return [_bare(element[0]), element[1]]
    return element


def condition(left: Any, op: str, right: Any, sets: Sets) -> list[Match]:
    """Return what must hold for a comparison to hold: also that the packet has such a part."""
    try:
        return _condition(left, op, right, sets)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return [Match(UNSURE)]


def _condition(left: dict[str, Any], op: str, right: Any, sets: Sets) -> list[Match]:
    negated = op == "!="
    if "concat" in left or "&" in left:
        return [
            _concat(left["concat"], right, negated, sets)
            if "concat" in left
            else _masked(left["&"], right, negated)
        ]
    if op not in ("==", "!=", "in"):
        return _compared(left, op, right)
    if "fib" in left:
        return [_fib(left["fib"], right, negated, sets)]
    if "payload" in left:
        return _payload(left["payload"], elements(right, sets), negated)
    (kind, value), = left.items()  # fmt: skip
    return [_READERS[kind, value["key"]](elements(right, sets), negated)]


def _concat(parts: list[Any], right: Any, negated: bool, sets: Sets) -> Match:
    rows = []
    for each in elements(right, sets):
        values = each["concat"]
        if len(values) != len(parts):
            raise ValueError("a row is too short")
        pairs = zip(parts, values, strict=True)
        rows.append(tuple(m for part, own in pairs for m in condition(part, "==", own, sets)))
    return Match("any", tuple(rows), negated)


def _masked(parts: list[Any], right: Any, negated: bool) -> Match:
    what, mask = parts
    if what in ({"meta": {"key": "mark"}}, {"ct": {"key": "mark"}}):
        return Match("mark", ((int(right), int(mask)),), negated)
    if what == {"payload": {"protocol": "tcp", "field": "flags"}}:
        wanted = frozenset() if right == 0 else _set(right)
        return Match("flags", (_set(mask), wanted), negated)
    raise ValueError("a mask over something else")


def _set(value: Any) -> frozenset[str]:
    return frozenset([value] if isinstance(value, str) else value)


def _compared(left: dict[str, Any], op: str, right: Any) -> list[Match]:
    payload = left["payload"]
    if payload["protocol"] not in _PORTS or payload["field"] != "dport":
        raise ValueError("an order of something else")
    number = int(right)
    spans = {"<": (0, number - 1), "<=": (0, number), ">": (number + 1, ALL[1]),
             ">=": (number, ALL[1])}  # fmt: skip
    found = [Match("port", (spans[op],))]
    return found if payload["protocol"] == "th" else [_protocol(payload["protocol"]), *found]


def _protocol(name: str) -> Match:
    return Match("protocol", (name,))


def _payload(payload: Mapping[str, Any], values: list[Any], negated: bool) -> list[Match]:
    protocol, name = str(payload["protocol"]), str(payload["field"])
    if protocol in _OF_PROTOCOL:
        has = Match("family", (_OF_PROTOCOL[protocol][1],))
        if name in _ADDRESSES:
            return [has, Match(_ADDRESSES[name], tuple(map(_place, values)), negated)]
        if name in ("protocol", "nexthdr"):
            return [has, _protocols(values, negated)]
        return [has, Match(UNSURE)]
    if protocol in _PORTS and name in ("dport", "sport"):
        own = Match("port", tuple(map(_span, values)), negated)
        has = Match("protocol", ("tcp", "udp")) if protocol == "th" else _protocol(protocol)
        return [has, own if name == "dport" else Match(CHOICE)]
    if protocol in ("icmp", "icmpv6", "tcp", "udp", "sctp", "dccp", "udplite", "esp", "ah"):
        return [_protocol(str(_PROTOCOLS.get(protocol, protocol))), Match(UNSURE)]
    return [Match(RARE if protocol in ("ether", "vlan", "arp") else UNSURE)]


def _span(value: Any) -> tuple[int, int]:
    if isinstance(value, dict):
        first, last = value["range"]
        return int(first), int(last)
    return int(value), int(value)


def _place(value: Any) -> tuple[int, int, int]:
    if isinstance(value, dict) and "prefix" in value:
        return span(f"{value['prefix']['addr']}/{value['prefix']['len']}")
    if isinstance(value, dict):
        return span("-".join(value["range"]))
    return span(str(value))


def _protocols(values: list[Any], negated: bool) -> Match:
    return Match("protocol", tuple(str(_PROTOCOLS.get(each, each)) for each in values), negated)


def _fib(fib: Mapping[str, Any], right: Any, negated: bool, sets: Sets) -> Match:
    """Whose address it is; or whether there is a way back, which an honest sender has."""
    flags = fib["flags"] if isinstance(fib["flags"], list) else [fib["flags"]]
    if fib["result"] == "type" and "daddr" in flags:
        return Match("type", tuple(map(str, elements(right, sets))), negated)
    if fib["result"] == "type":
        return Match(RARE, negated=negated ^ ("unicast" in elements(right, sets)))
    if fib["result"] in ("oif", "oifname") and "saddr" in flags:
        return Match(RARE, negated=negated ^ (right is True))
    raise ValueError("another kind of look-up")


def _names(key: str) -> Callable[[list[Any], bool], Match]:
    def read(values: list[Any], negated: bool) -> Match:
        if not all(isinstance(each, str) for each in values):
            raise ValueError("an interface without a name")
        return Match(key, tuple(values), negated)

    return read


def _families(values: list[Any], negated: bool) -> Match:
    return Match("family", tuple(_FAMILIES[each] for each in values), negated)


def _states(values: list[Any], negated: bool) -> Match:
    return Match("state", tuple(map(str, values)), negated)


def _status(values: list[Any], negated: bool) -> Match:
    known = {"dnat", "snat"}
    rest = {"confirmed", "assured", "seen-reply", "dying", "expected"}
    if not set(values) <= known | rest:
        raise ValueError("another status")
    return Match("state", tuple(each if each in known else "established" for each in values),
                 negated)  # fmt: skip


def _mark(values: list[Any], negated: bool) -> Match:
    return Match("mark", tuple((int(each), 0xFFFFFFFF) for each in values), negated)


def _owner(values: list[Any], negated: bool) -> Match:
    """Users by number or, as nft prints them, by name."""
    return Match("owner", tuple(
        each if isinstance(each, str) and not each.isdecimal() else _span(each) for each in values
    ), negated)  # fmt: skip


def _kinds(values: list[Any], negated: bool) -> Match:
    own = {"host", "unicast"} & set(values)
    return Match(HIT if own else MISS, negated=negated)


_READERS: dict[tuple[str, str], Callable[[list[Any], bool], Match]] = {
    ("meta", "iifname"): _names("iif"), ("meta", "iif"): _names("iif"),
    ("meta", "oifname"): _names("oif"), ("meta", "oif"): _names("oif"),
    ("meta", "l4proto"): _protocols, ("meta", "nfproto"): _families,
    ("meta", "protocol"): _families, ("meta", "mark"): _mark, ("ct", "mark"): _mark,
    ("meta", "skuid"): _owner,
    ("meta", "pkttype"): _kinds, ("ct", "state"): _states, ("ct", "status"): _status,
    ("meta", "hour"): lambda values, negated: Match(CHOICE),
    ("meta", "day"): lambda values, negated: Match(CHOICE),
    ("meta", "time"): lambda values, negated: Match(CHOICE),
}  # fmt: skip
