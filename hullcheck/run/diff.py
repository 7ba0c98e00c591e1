"""What changed between two runs, host by host and control by control, object by object.

A status that changed is a change, and so is another object that fails where the control failed
before. Another reason or another observed value alone is none. What one run did not see, it
neither fixed nor took away.

Both runs are read once; of each verdict only its status, its place and a hash of what it says
are held.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hullcheck import catalogue
from hullcheck.run.changes import GOOD, Change, Kind, object_changes, status_kind
from hullcheck.run.directory import read_document
from hullcheck.run.lines import LETTERS, read_lines, verdicts_at
from hullcheck.run.scope import Difference, Side, differences
from hullcheck.verdict import Status

__all__ = ["Diff", "HostNote", "diff"]

STATUSES = {letter: status for status, letter in LETTERS.items()}


@dataclass(frozen=True, slots=True)
class HostNote:
    """What is to be said of a host as a whole.

    :param kind: ``new``, ``gone``, ``lost`` (B did not see it, or not all), ``found`` (A did not)
        or ``unseen`` (neither did).
    :param totals: what is known of it from the run that saw it.
    """

    kind: str
    host: str
    told: str
    totals: Mapping[str, int]


@dataclass(slots=True)
class Diff:
    """Two runs, compared.

    :param scope: in what their scopes differ. ``same``: verdicts that both have, unchanged.
    :param reworded: how many of those give another reason or value.
    """

    a: Side
    b: Side
    scope: list[Difference]
    changes: list[Change] = field(default_factory=list)
    hosts: list[HostNote] = field(default_factory=list)
    same: int = 0
    reworded: int = 0

    @property
    def counts(self) -> Counter[Kind]:
        """How many changes of each kind there are."""
        return Counter(each.kind for each in self.changes)

    @property
    def code(self) -> int:
        """The exit code: 3 the scopes differ, 1 something changed, 0 nothing did."""
        changed = self.changes or any(each.kind != "unseen" for each in self.hosts)
        return 3 if self.scope else int(bool(changed))

    def verdicts(self, change: Change) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """Return what A and B say of it in full.

        :raises ValueError: a run is damaged.
        """
        one, other = change.places
        return _verdict(self.a.path, one), _verdict(self.b.path, other)


def _verdict(path: Path, place: int | None) -> dict[str, Any] | None:
    if place is None:
        return None
    with verdicts_at(path) as at:
        return at(place)


def diff(a: Path, b: Path) -> Diff:
    """Compare two run directories; A came before.

    :raises ValueError: one of them cannot be read. :raises OSError: likewise.
    """
    sides = [(letter, path, read_document(path)) for letter, path in (("A", a), ("B", b))]
    ids = [{each["id"] for each in document["controls"]} for _, _, document in sides]
    names = _present_ids() if ids[0] != ids[1] else {}
    one, other = (_side(*each, names) for each in sides)
    found = Diff(one, other, differences(one, other))
    _compare(found, names)
    found.changes.sort(key=lambda change: change.order)
    found.hosts.sort(key=lambda note: (note.kind, note.host))
    return found


def _present_ids() -> dict[str, str]:
    """Return what renamed controls are called now."""
    known = catalogue.all_controls()
    return {alias: each.id for each in known.values() for alias in each.aliases}


def _side(letter: str, path: Path, document: dict[str, Any], names: dict[str, str]) -> Side:
    return Side(
        letter, path, document, {each["name"]: each for each in document["hosts"]},
        {names.get(each["id"], each["id"]): each for each in document["controls"]},
    )  # fmt: skip


@dataclass(slots=True)
class _Host:
    """The verdicts of one host, as little as can be compared."""

    controls: tuple[str, ...]
    letters: str
    said: array[int]
    places: array[int]


def _hosts(side: Side, names: dict[str, str]) -> Iterator[tuple[str, _Host]]:
    rosters: dict[tuple[str, ...], tuple[str, ...]] = {}
    done: set[str] = set()
    current, found = "", list[tuple[str, str, int, int]]()
    for line in read_lines(side.path):
        if line.host != current:
            if found:
                yield current, _packed(found, rosters)
            if line.host in done:
                raise ValueError(f"{side.path}: verdicts of {line.host} do not stand together")
            current, found = line.host, []
            done.add(current)
        said = hash(line.said) if line.said else line.offset
        control = names.get(line.control, line.control)
        found.append((control, line.letter, said, line.offset))
    if found:
        yield current, _packed(found, rosters)


def _packed(
    found: list[tuple[str, str, int, int]], rosters: dict[tuple[str, ...], tuple[str, ...]]
) -> _Host:
    controls, letters, hashes, places = zip(*sorted(found), strict=True)
    return _Host(
        rosters.setdefault(controls, controls), "".join(letters), array("q", hashes),
        array("q", places),
    )  # fmt: skip


def _compare(found: Diff, names: dict[str, str]) -> None:
    before = {name: host for name, host in _hosts(found.a, names) if name in found.a.hosts}
    with verdicts_at(found.a.path) as at_a, verdicts_at(found.b.path) as at_b:
        compared = _Compared(found, at_a, at_b)
        for name, now in _hosts(found.b, names):
            if name not in found.b.hosts:
                continue
            was = before.pop(name, None)
            if was is not None:
                compared.host(name, was, now)
            elif name in found.a.hosts:
                found.hosts.append(_lost("found", found.a, found.b, name))
    for name in before:
        if name in found.b.hosts:
            found.hosts.append(_lost("lost", found.b, found.a, name))
    found.hosts += list(_notes(found))


def _lost(kind: str, blind: Side, seeing: Side, name: str) -> HostNote:
    """Say that one run has no verdicts of a host that the other has some of."""
    host = blind.hosts[name]
    told = f"{host['status']} in {blind.letter}: {host['reason']}"
    return HostNote(kind, name, told, seeing.hosts[name]["totals"])


def _notes(found: Diff) -> Iterator[HostNote]:
    """Yield what is to be said of hosts besides those that one run has no verdicts of."""
    told = {each.host for each in found.hosts}
    a, b = found.a, found.b
    for name, host in a.hosts.items():
        if name not in b.hosts:
            if b.run["finished"]:
                yield HostNote("gone", name, "only in A", host["totals"])
            else:
                yield HostNote("lost", name, "B was not finished", host["totals"])
    for name, host in b.hosts.items():
        if name not in a.hosts:
            kind, why = ("new", "only in B") if a.run["finished"] else (
                "found", "A was not finished")  # fmt: skip
            yield HostNote(kind, name, why, host["totals"])
        elif name not in told:
            yield from _states(a.hosts[name], host)


def _states(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[HostNote]:
    states = was["status"], now["status"]
    if states == ("audited", "audited"):
        return
    parts = [
        f"{host['status']} in {letter}: {host['reason']}".rstrip(": ")
        for letter, host in (("A", was), ("B", now))
        if host["status"] != "audited"
    ]
    if states[0] == states[1]:
        kind = "unseen"
    else:
        kind = "found" if now["status"] == "audited" else "lost"
    yield HostNote(kind, now["name"], "; ".join(parts), now["totals"])


@dataclass(frozen=True, slots=True)
class _Compared:
    """The hosts that both runs saw, as they are added to a diff.

    :param at_a: gives the verdict at a place in A's file. ``at_b``: likewise, in B's.
    """

    found: Diff
    at_a: Callable[[int], dict[str, Any]]
    at_b: Callable[[int], dict[str, Any]]

    def host(self, name: str, was: _Host, now: _Host) -> None:
        """Add what changed of a host."""
        a, b = self.found.a, self.found.b
        mine = {control: number for number, control in enumerate(was.controls)}
        whole = all(side.hosts[name]["status"] == "audited" for side in (a, b))
        for number, control in enumerate(now.controls):
            other = mine.pop(control, None)
            if other is None:
                if whole or control not in a.controls:
                    self._one_sided(Kind.NEW, name, now, number)
            elif was.letters[other] == now.letters[number] and was.said[other] == now.said[number]:
                self.found.same += 1
            else:
                self._pair(name, (was, other), (now, number))
        for control, number in mine.items():
            if whole or control not in b.controls:
                self._one_sided(Kind.GONE, name, was, number)

    def _one_sided(self, kind: Kind, name: str, host: _Host, number: int) -> None:
        status, place = STATUSES[host.letters[number]], host.places[number]
        new = kind is Kind.NEW
        statuses = (None, status) if new else (status, None)
        self._add(
            kind, name, host.controls[number], statuses, (None, place) if new else (place, None)
        )

    def _pair(self, name: str, was: tuple[_Host, int], now: tuple[_Host, int]) -> None:
        """Add what changed of a control that both runs judged, if anything did."""
        before, after = (STATUSES[host.letters[number]] for host, number in (was, now))
        places = was[0].places[was[1]], now[0].places[now[1]]
        kinds = [status_kind(before, after)] if before is not after else []
        if before is after and before not in GOOD:
            changes = object_changes(self.at_a(places[0]), self.at_b(places[1]))
            kinds += [each.kind for each in changes]
        if kinds:
            self._add(min(kinds), name, now[0].controls[now[1]], (before, after), places)
        else:
            self.found.same += 1
            self.found.reworded += 1

    def _add(
        self,
        kind: Kind,
        name: str,
        control: str,
        statuses: tuple[Status | None, Status | None],
        places: tuple[int | None, int | None],
    ) -> None:
        known = self.found.b.controls.get(control) or self.found.a.controls.get(control) or {}
        severity = str(known.get("severity", ""))
        self.found.changes.append(Change(kind, name, control, severity, *statuses, places))
