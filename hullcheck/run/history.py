"""What many runs tell together: trends, since when what fails, what flaps, how soon it is fixed."""

from __future__ import annotations

import functools
import itertools
import statistics
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hullcheck import catalogue
from hullcheck.run.heads import Head
from hullcheck.run.index import Index
from hullcheck.run.states import GOOD, State

__all__ = [
    "FLAPS", "UNSEEN", "WINDOW", "Night", "Overview", "Track", "median", "overview",
    "seconds_between", "tracks",
]  # fmt: skip

FLAPS = 3
"""Changes of status from which a control flaps on a host."""

WINDOW = 30
"""In how many of the last runs that judged it."""

UNSEEN = " "
"""Stands in a strip for a run that did not judge."""


@dataclass(slots=True)
class Track:
    """One control on one host, over several runs.

    :param strip: its letter in each run, the oldest first, see lines.LETTERS; a space where it
        was not judged.
    :param objects: how many objects are the reason in each run.
    :param since: the number of the run in which it began to fail, if it does not hold yet.
    :param earlier: whether it failed already in the first run that judged it.
    :param changes: how often its status changed in the last WINDOW runs that judged it.
    :param mended: seconds from the first failure to the fix, for each time that it was fixed.
    """

    host: str
    control: str
    strip: str
    objects: tuple[int, ...]
    since: int | None
    earlier: bool
    changes: int
    mended: list[float]

    @property
    def now(self) -> str:
        """Its last letter."""
        return self.strip.rstrip()[-1:]

    @property
    def flaps(self) -> bool:
        """Whether it changes all the time."""
        return self.changes >= FLAPS


@dataclass(slots=True)
class Night:
    """One run among others.

    :param base: the number of the run that it is compared with; None: there is none, or what
        this one said of its hosts is not known any more.
    :param same: whether that has the same scope.
    :param new: controls that fail on a host and did not before. ``fixed``: that failed and hold.
    """

    head: Head
    base: int | None = None
    same: bool = True
    new: int = 0
    fixed: int = 0


@dataclass(slots=True)
class Overview:
    """All hosts, over several runs.

    :param hidden: how many of the first runs only serve to compare with.
    :param flapping: the controls that change all the time, by host, the most restless first.
    :param mended: seconds until a fix, of all that was fixed.
    """

    nights: list[Night]
    hidden: int = 0
    flapping: list[Track] = field(default_factory=list)
    mended: list[float] = field(default_factory=list)

    @property
    def shown(self) -> list[Night]:
        """The runs that were asked for."""
        return self.nights[self.hidden :]


def overview(index: Index, heads: Sequence[Head], hidden: int = 0) -> Overview:
    """Return how all hosts went in these runs, the oldest first."""
    known = index.known()
    found = Overview([_night(heads, number, known) for number in range(len(heads))], hidden)
    for host, states in _aligned(index, heads, None):
        _count(found.nights, states)
        for track in _tracks(host, states, heads, changed=True):
            found.mended += track.mended
            if track.flaps:
                found.flapping.append(track)
    found.flapping.sort(key=lambda each: (-each.changes, each.host, each.control))
    return found


def tracks(
    index: Index,
    heads: Sequence[Head],
    *,
    host: str | None = None,
    controls: Collection[str] = (),
) -> list[Track]:
    """Return the controls that changed or fail in these runs, by host and control.

    :param host: only of this one.
    :param controls: only those with these ids, and then also where they held always.
    """
    found: list[Track] = []
    for name, states in _aligned(index, heads, host):
        found += _tracks(name, states, heads, changed=False, only=controls)
    return found


def _night(heads: Sequence[Head], number: int, known: Collection[str]) -> Night:
    """Return a run with what it is compared with: the last of the same hosts and controls."""
    this = heads[number]
    if this.directory not in known:
        return Night(this)
    earlier = [each for each in range(number)
               if heads[each].directory in known and heads[each].id != this.id]  # fmt: skip
    same = [each for each in earlier if heads[each].subject == this.subject]
    base = max(same or earlier, default=None)
    return Night(this, base, base is None or heads[base].same_scope(this))


def _aligned(
    index: Index, heads: Sequence[Head], host: str | None
) -> Iterator[tuple[str, list[State | None]]]:
    """Yield hosts with their states, in the order of the runs."""
    for name, states in index.states(heads, host):
        yield name, [states.get(head.directory) for head in heads]


def _count(nights: Sequence[Night], states: Sequence[State | None]) -> None:
    """Count what one host adds to what is new and fixed."""
    known: dict[tuple[int, int], tuple[int, int]] = {}
    for night, now in zip(nights, states, strict=True):
        was = states[night.base] if night.base is not None else None
        if was is None or now is None or was is now:
            continue
        key = id(was), id(now)
        if key not in known:
            known[key] = _compared(was, now)
        new, fixed = known[key]
        night.new += new
        night.fixed += fixed


def _compared(was: State, now: State) -> tuple[int, int]:
    if was.controls == now.controls:
        pairs = Counter(zip(was.letters, now.letters, strict=True))
    else:
        before = _letters(was)
        pairs = Counter(
            (before[name], letter) for name, letter in _letters(now).items() if name in before
        )
    new = sum(count for (one, other), count in pairs.items() if other == "F" and one != "F")
    fixed = sum(count for (one, other), count in pairs.items() if one == "F" and other in GOOD)
    return new, fixed


def _letters(state: State) -> dict[str, str]:
    names = _present_ids()
    return {
        names.get(name, name): letter
        for name, letter in zip(state.controls, state.letters, strict=True)
    }


@functools.cache
def _present_ids() -> Mapping[str, str]:
    """Return what renamed controls are called now."""
    known = catalogue.all_controls().values()
    return {alias: each.id for each in known for alias in each.aliases}


def _tracks(
    host: str,
    states: Sequence[State | None],
    heads: Sequence[Head],
    *,
    changed: bool,
    only: Collection[str] = (),
) -> Iterator[Track]:
    """Yield the controls of a host that changed; unless only those count, also what fails."""
    distinct = list({id(each): each for each in states if each}.values())
    places = {id(each): place for place, each in enumerate(distinct)}
    order = [places.get(id(each), len(distinct)) for each in states]
    objects = [] if changed else [each.objects() for each in distinct]
    for control, letters in _columns(distinct):
        seen = set(letters) - {UNSEEN}
        if control not in only if only else len(seen) < 2 and (changed or seen != {"F"}):
            continue
        strip = "".join(map((letters + UNSEEN).__getitem__, order))
        counts = [*(each.get(control, 0) for each in objects), 0]
        counted = () if changed else tuple(counts[place] for place in order)
        yield _track(host, control, strip, counted, heads)


def _columns(distinct: Sequence[State]) -> Iterator[tuple[str, str]]:
    """Yield each control with its letter in each of some states."""
    if all(each.controls == distinct[0].controls for each in distinct):
        for state in distinct[:1]:
            columns = zip(*(each.letters for each in distinct), strict=True)
            yield from zip(state.controls, map("".join, columns), strict=True)
        return
    tables = [_letters(each) for each in distinct]
    for name in sorted({name for table in tables for name in table}):
        yield name, "".join(table.get(name, UNSEEN) for table in tables)


def _track(
    host: str, control: str, strip: str, objects: tuple[int, ...], heads: Sequence[Head]
) -> Track:
    since, earlier, mended = None, False, []
    judged = [(at, letter) for at, letter in enumerate(strip) if letter != UNSEEN]
    for place, (at, letter) in enumerate(judged):
        if letter == "F" and since is None:
            since, earlier = at, place == 0
        elif since is not None and letter in GOOD:
            if not earlier:
                mended.append(seconds_between(heads[since].started, heads[at].started))
            since, earlier = None, False
        elif letter == "W":
            since, earlier = None, False
    last = [letter for _, letter in judged[-WINDOW:]]
    changes = sum(one != other for one, other in itertools.pairwise(last))
    return Track(host, control, strip, objects, since, earlier, changes, mended)


def seconds_between(one: str, other: str) -> float:
    """Return the seconds from one RFC 3339 time to another."""
    first, second = (
        datetime.strptime(each, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC) for each in (one, other)
    )
    return (second - first).total_seconds()


def median(seconds: Sequence[float]) -> float | None:
    """Return the median; None of nothing."""
    return statistics.median(seconds) if seconds else None
