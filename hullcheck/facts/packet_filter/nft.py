"""What ``nft -j list ruleset`` prints; see libnftables-json(5)."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hullcheck.control import Unknown
from hullcheck.facts.packet_filter.model import UNSURE, Chain, Match, Rule, Table
from hullcheck.facts.packet_filter.nft_matches import Sets, condition, elements, limited

__all__ = ["parse_ruleset"]

FAMILIES = {"ip": frozenset({4}), "ip6": frozenset({6}), "inet": frozenset({4, 6}),
            "netdev": frozenset({4, 6})}  # fmt: skip
"""Those whose chains see routed packets."""

_ENDS = {"accept": "accept", "drop": "drop", "reject": "drop", "return": "return",
         "masquerade": "accept", "snat": "accept"}  # fmt: skip
_NEXT = frozenset({"counter", "log", "notrack", "continue", "flow", "ct helper", "ct timeout",
                   "ct expectation", "secmark", "last", "comment"})  # fmt: skip
_ACTIVE = frozenset({"owner", "persist"})

Place = tuple[str, str]


@dataclass(slots=True)
class _Draft:
    families: frozenset[int]
    doubtful: bool
    chains: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    sets: dict[str, list[Any]] = field(default_factory=dict)


def parse_ruleset(text: str) -> list[Table]:
    """Return the tables that see routed packets, but those that are dormant.

    :raises Unknown: the text is damaged.
    """
    try:
        listed = json.loads(text)["nftables"]
        found: dict[Place, _Draft] = {}
        for kind, entry in (pair for each in listed for pair in each.items()):
            _take(found, kind, entry)
        return [_table(place, draft) for place, draft in found.items()]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, IndexError) as damage:
        raise Unknown(f"nft: what it lists cannot be understood: {damage!r}"[:200]) from None


def _take(found: dict[Place, _Draft], kind: str, entry: Mapping[str, Any]) -> None:
    if kind == "table" and entry["family"] in FAMILIES:
        # nft 1.0.6 gives the family in the place of the flags.
        flags = entry.get("flags") or []
        named = {flags} if isinstance(flags, str) else set(flags)
        if "dormant" not in named:
            doubtful = bool(named - _ACTIVE)
            found[entry["family"], entry["name"]] = _Draft(FAMILIES[entry["family"]], doubtful)
        return
    draft = found.get((str(entry.get("family")), str(entry.get("table"))))
    if draft is None:
        return
    if kind == "chain":
        draft.chains[entry["name"]] = dict(entry)
    elif kind in ("set", "map"):
        draft.sets[entry["name"]] = list(entry.get("elem") or [])
    elif kind == "rule":
        draft.rules.setdefault(entry["chain"], []).append(dict(entry))


def _table(place: Place, draft: _Draft) -> Table:
    chains = {}
    for name, entry in draft.chains.items():
        listed = draft.rules.get(name, ())
        rules = [rule for each in listed for rule in _rules(each, place, draft.sets)]
        chains[name] = _chain(entry, rules, draft.doubtful)
    return Table(" ".join(place), draft.families, chains, place)


def _chain(entry: Mapping[str, Any], rules: list[Rule], doubtful: bool) -> Chain:
    chain = Chain(str(entry["name"]), tuple(rules))
    if "hook" not in entry:
        return chain
    doubt = Rule((Match(UNSURE),), "accept", text="its table may be dormant")
    devices = entry.get("dev") or ()
    return replace(
        chain, rules=(doubt, *rules) if doubtful else chain.rules, hook=str(entry["hook"]),
        priority=int(entry.get("prio") or 0), nat=entry.get("type") == "nat",
        policy=str(entry.get("policy") or "accept"),
        devices=(devices,) if isinstance(devices, str) else tuple(devices),
    )  # fmt: skip


def _rules(entry: Mapping[str, Any], place: Place, sets: Sets) -> Iterator[Rule]:
    """Yield what one rule does: a verdict map is a rule for each of its elements."""
    text = f"{' '.join(place)} {entry['chain']}, handle {entry.get('handle')}"
    matches: list[Match] = []
    marks = False
    for said in entry.get("expr") or ():
        statement: dict[str, Any] = said if isinstance(said, dict) else {str(said): None}
        for name, value in statement.items():
            if name == "match":
                matches += condition(value["left"], value["op"], value["right"], sets)
            elif limited(name, value):
                matches.append(limited(name, value) or Match(UNSURE))
            elif name == "mangle":
                marks = marks or "mark" in json.dumps(value.get("key"))
            elif name == "vmap":
                yield from _mapped(value, tuple(matches), marks, text, sets)
            elif name == "xt" and (value or {}).get("type") == "match":
                matches.append(Match(UNSURE))
            elif name not in _NEXT and not (name == "set" and isinstance(value, dict)):
                yield _verdict(name, value, tuple(matches), marks, text)
                return
    if marks:
        yield Rule(tuple(matches), "next", marks=True, text=text)


def _mapped(
    value: Mapping[str, Any], matches: tuple[Match, ...], marks: bool, text: str, sets: Sets
) -> Iterator[Rule]:
    for key, verdict in _pairs(value["data"], sets):
        own = condition(value["key"], "==", key, sets)
        for name, details in verdict.items():
            yield _verdict(name, details, (*matches, *own), marks, text)


def _pairs(data: Any, sets: Sets) -> Iterable[tuple[Any, dict[str, Any]]]:
    for each in elements(data, sets):
        key, verdict = each
        yield key, verdict if isinstance(verdict, dict) else {str(verdict): None}


def _verdict(name: str, value: Any, matches: tuple[Match, ...], marks: bool, text: str) -> Rule:
    if name in _ENDS:
        return Rule(matches, _ENDS[name], marks=marks, text=text)
    if name == "continue":
        return Rule(matches, "next", marks=marks, text=text)
    if name in ("jump", "goto"):
        return Rule(matches, name, str(value["target"]), marks=marks, text=text)
    if name in ("dnat", "redirect"):
        return _translation(value or {}, matches, marks, text)
    return Rule(matches, "unknown", marks=marks, text=text)


def _translation(
    value: Mapping[str, Any], matches: tuple[Match, ...], marks: bool, text: str
) -> Rule:
    address, port = _first(value.get("addr")), _first(value.get("port"))
    if not isinstance(address, str | None) or not isinstance(port, int | None):
        return Rule(matches, "unknown", marks=marks, text=text)
    number = int(ipaddress.ip_address(address)) if address else None
    return Rule(matches, "dnat", to=(number, port), marks=marks, text=text)


def _first(value: Any) -> Any:
    """Return the first of a range, or what is none."""
    return value["range"][0] if isinstance(value, dict) and "range" in value else value
