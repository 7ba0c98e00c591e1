"""What a change between two runs is: of a verdict's status, and of the objects behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from hullcheck.control import SEVERITIES
from hullcheck.verdict import Status

__all__ = ["GOOD", "Change", "Kind", "ObjectChange", "object_changes", "status_kind"]

OPEN = (Status.UNKNOWN, Status.ERROR)
GOOD = (Status.PASS, Status.NOT_APPLICABLE)


class Kind(IntEnum):
    """What kind of change it is, in the order in which they are told."""

    FAILING = 0
    UNDECIDED = 1
    FIXED = 2
    OTHER = 3
    NEW = 4
    GONE = 5


@dataclass(frozen=True, slots=True)
class Change:
    """What changed of one control on one host.

    :param before: its status in A; None if A did not judge it. ``after``: likewise, in B.
    :param places: where its line is in each run's ``verdicts.jsonl``; None where it has none.
    """

    kind: Kind
    host: str
    control: str
    severity: str
    before: Status | None
    after: Status | None
    places: tuple[int | None, int | None]

    @property
    def order(self) -> tuple[int, int, str, str]:
        """The kinds in turn, the most severe first, control by control."""
        severity = SEVERITIES.index(self.severity) if self.severity in SEVERITIES else -1
        return self.kind, -severity, self.control, self.host


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """What changed of one object; of several with one name, of them all.

    :param before: the worst it was in A; None if it was not there. ``after``: likewise, in B.
    """

    kind: Kind
    object: tuple[str, str]
    before: Status | None
    after: Status | None
    reason: str


def status_kind(before: Status, after: Status) -> Kind:
    """Return what it means that a verdict's status changed."""
    if after is Status.FAIL:
        return Kind.FAILING
    if after in OPEN and before not in OPEN:
        return Kind.UNDECIDED
    return Kind.FIXED if before is Status.FAIL and after in GOOD else Kind.OTHER


def object_changes(one: dict[str, Any], other: dict[str, Any]) -> list[ObjectChange]:
    """Return what changed of the objects of a verdict that need somebody, or did.

    An object is known by its kind and name: a container that is made again has another id.
    """
    before, after = _by_name(one["findings"]), _by_name(other["findings"])
    found = []
    for key in before.keys() | after.keys():
        now = after.get(key, [])
        was = Counter(each["status"] for each in before.get(key, []))
        counts = Counter(each["status"] for each in now)
        kind = _object_kind(was, counts)
        if kind is not None:
            last = _worst(counts)
            told = next((each["reason"] for each in now if each["status"] == last), "")
            found.append(ObjectChange(kind, key, _worst(was), last, str(told)))
    return sorted(found, key=lambda each: (each.kind, each.object))


def _by_name(findings: Iterable[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for each in findings:
        key = str(each["object"]["kind"]), str(each["object"]["name"])
        found.setdefault(key, []).append(each)
    return found


def _worst(counts: Counter[str]) -> Status | None:
    return min((Status(each) for each in counts), key=lambda each: each.rank, default=None)


def _object_kind(was: Counter[str], now: Counter[str]) -> Kind | None:
    """Return what it means that the statuses of an object changed; None: nothing to anybody."""
    bad = {str(each) for each in Status} - {str(each) for each in GOOD}
    if {key: was[key] for key in bad} == {key: now[key] for key in bad}:
        return None
    if now[Status.FAIL] > was[Status.FAIL]:
        return Kind.FAILING
    opened = sum(now[each] - was[each] for each in OPEN)
    if opened > 0:
        return Kind.UNDECIDED
    left = any(now[each] for each in bad)
    return Kind.FIXED if was[Status.FAIL] > now[Status.FAIL] and not left else Kind.OTHER
