"""Whether two runs asked the same: of the same hosts, by the same controls, policy and waivers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hullcheck.inventory.attestations import Attestation
from hullcheck.inventory.policy import Policy
from hullcheck.inventory.waivers import Waiver
from hullcheck.run.site import SiteRecord, read_site

__all__ = ["Difference", "Side", "differences"]

SHOWN = 8
"""Names that one sentence holds."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of two runs that are compared.

    :param letter: what it is called by: A, which came before, or B.
    :param hosts: what the run says of each host, by name. ``controls``: likewise, by the id that
        a control has now.
    """

    letter: str
    path: Path
    document: Mapping[str, Any]
    hosts: Mapping[str, Mapping[str, Any]]
    controls: Mapping[str, Mapping[str, Any]]

    @property
    def run(self) -> Mapping[str, Any]:
        """What ``run.json`` says of the run."""
        found: Mapping[str, Any] = self.document["run"]
        return found


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which the scopes differ.

    :param what: hosts, controls, policy, roles, waivers, attestations, shards or finished.
    """

    what: str
    told: str
    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()


def differences(a: Side, b: Side) -> list[Difference]:
    """Return in what the scopes differ; nothing if they are the same."""
    return [*_finished(a, b), *_names(a, b), *_versions(a, b), *_site(a, b)]


def _finished(a: Side, b: Side) -> Iterator[Difference]:
    for side in (a, b):
        if not side.run["finished"]:
            told = f"{side.letter} was not finished: what it did not come to is not seen there"
            yield Difference("finished", told)
    one, other = (side.run.get("shard") for side in (a, b))
    if _part(one) != _part(other):
        yield Difference("shards", f"A is {_part(one)}, B is {_part(other)}")


def _part(shard: Mapping[str, Any] | None) -> str:
    return f"shard {shard['number']}/{shard['of']}" if shard else "a whole run"


def _names(a: Side, b: Side) -> Iterator[Difference]:
    for what, one, other in (
        ("hosts", a.hosts, b.hosts), ("controls", a.controls, b.controls)
    ):  # fmt: skip
        only_a = tuple(sorted(one.keys() - other.keys()))
        only_b = tuple(sorted(other.keys() - one.keys()))
        if only_a or only_b:
            parts = [f"only in {letter}: {_few(names)}"
                     for letter, names in (("A", only_a), ("B", only_b)) if names]  # fmt: skip
            yield Difference(what, "; ".join(parts), only_a, only_b)


def _versions(a: Side, b: Side) -> Iterator[Difference]:
    if a.run["controls_digest"] != b.run["controls_digest"] and a.controls.keys() == (
        b.controls.keys()
    ):
        one, other = (side.run["tool"]["version"] for side in (a, b))
        told = f"the same by their ids, but what they ask changed (hullcheck {one}, then {other})"
        yield Difference("controls", told)


def _site(a: Side, b: Side) -> Iterator[Difference]:
    digests = [side.run["policy_digest"] for side in (a, b)]
    try:
        one, other = read_site(a.path), read_site(b.path)
    except ValueError as error:
        yield Difference("policy", f"cannot be compared: {error}")
        return
    shared = [name for name in a.hosts if name in b.hosts]
    policies = {name: _keys(one.policies.get(name), other.policies.get(name)) for name in shared}
    if changed := sorted({key for keys in policies.values() for key in keys}):
        hosts = sorted(name for name, keys in policies.items() if keys)
        yield Difference("policy", f"{_few(changed)} of {_few(hosts)}")
    elif digests[0] != digests[1] and a.hosts.keys() == b.hosts.keys():
        yield Difference("policy", "its digests differ")
    roles = [name for name in shared if _role(one, name) != _role(other, name)]
    if roles:
        yield Difference("roles", f"of {_few(sorted(roles))}")
    for what, first, second in (
        ("waivers", one.waivers, other.waivers),
        ("attestations", one.attestations, other.attestations),
    ):
        if told := _entries(first, second):
            yield Difference(what, told)


def _keys(one: Policy | None, other: Policy | None) -> set[str]:
    """Return the values in which two policies differ."""
    first, second = (dataclasses.asdict(each or Policy()) for each in (one, other))
    return {key for key, value in first.items() if value != second[key]}


def _role(site: SiteRecord, name: str) -> tuple[str, ...]:
    return site.roles.get(name, ())


def _entries(one: Iterable[Waiver | Attestation], other: Iterable[Waiver | Attestation]) -> str:
    first, second = set(one), set(other)
    parts = []
    for letter, only in (("A", first - second), ("B", second - first)):
        names = sorted(f"{each.control} on {each.host} until {each.expires}" for each in only)
        parts += [f"only in {letter}: {_few(names)}"] if names else []
    return "; ".join(parts)


def _few(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return ", ".join(known[:SHOWN]) + more
