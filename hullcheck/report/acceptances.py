"""Waivers and attestations of a run, and which of them somebody should look at again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from hullcheck.inventory.attestations import Attestation
from hullcheck.inventory.waivers import Waiver, covers
from hullcheck.report.source import Source
from hullcheck.report.text import safe
from hullcheck.run.site import read_site
from hullcheck.verdict import Status, Verdict

__all__ = ["Acceptance", "odd_acceptances", "review"]

SOON = 30
"""Days before its end from which an acceptance is said to end soon."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A waiver or attestation, how many verdicts it bears on, and what is odd about it.

    :param notes: expired, ends soon, unused, too broad, stands twice; empty if all is well.
    """

    kind: str
    entry: Waiver | Attestation
    used: int
    notes: tuple[str, ...]

    @property
    def who(self) -> str:
        """Whose word it is."""
        return self.entry.owner if isinstance(self.entry, Waiver) else self.entry.by

    @property
    def scope(self) -> str:
        """What it is meant for: control, host and object, as patterns."""
        entry = self.entry
        parts = [entry.control]
        parts += [f"on {entry.host}"] if entry.host != "*" else []
        parts += [f"for {entry.object}"] if entry.object != "*" else []
        return " ".join(parts)


def review(source: Source) -> list[Acceptance]:
    """Return all waivers and attestations that a run was judged by, the soonest to end first."""
    site = read_site(source.path)
    entries: list[Waiver | Attestation] = [*site.waivers, *site.attestations]
    if not entries:
        return []
    today = date.fromisoformat(source.run["started"][:10])
    used = _used(source.verdicts(), entries)
    twice = Counter((type(each), each.control, each.host, each.object) for each in entries)
    found = [
        Acceptance(
            "waiver" if isinstance(each, Waiver) else "attestation", each, used[number],
            tuple(_notes(each, used[number], today,
                         twice[type(each), each.control, each.host, each.object])),
        )
        for number, each in enumerate(entries)
    ]  # fmt: skip
    return sorted(found, key=lambda each: each.entry.expires)


def odd_acceptances(source: Source) -> list[str]:
    """Return a line for each that somebody should look at again, for the end of a table."""
    return [
        safe(f"{each.kind} of {each.who}, {each.scope}: {'; '.join(each.notes)}.", 300)
        for each in review(source)
        if each.notes
    ]


def _used(verdicts: Iterable[Verdict], entries: list[Waiver | Attestation]) -> Counter[int]:
    """Return on how many verdicts each entry bears, whether it is live or not."""
    found: Counter[int] = Counter()
    for verdict in verdicts:
        for number, each in enumerate(entries):
            if covers(each, verdict) and _bears(each, verdict):
                found[number] += 1
    return found


def _bears(entry: Waiver | Attestation, verdict: Verdict) -> bool:
    if isinstance(entry, Waiver):
        return any(
            finding.status in (Status.FAIL, Status.WAIVED)
            and covers(entry, verdict, finding.object)
            for finding in verdict.findings
        )
    return verdict.status is Status.MANUAL or bool(
        verdict.attestation and verdict.attestation["control"] == entry.control
    )


def _notes(entry: Waiver | Attestation, used: int, today: date, times: int) -> Iterator[str]:
    left = (entry.expires - today).days
    if left < 0:
        yield f"expired on {entry.expires}: it covers nothing any more"
    elif left <= SOON:
        yield f"ends in {left} days" if left != 1 else "ends in a day"
    if isinstance(entry, Attestation) and entry.when > today:
        yield f"is dated {entry.when}, after the run"
    if not used:
        yield "unused: nothing of this run needs it; take it out"
    if _broad(entry):
        yield "too broad: it covers every object of every host that some pattern of controls fits"
    if times > 1:
        yield f"stands {times} times; keep one"


def _broad(entry: Waiver | Attestation) -> bool:
    """Whether it accepts more than anybody can have looked at."""
    everything = entry.host == "*" and entry.object == "*"
    return everything and any(mark in entry.control for mark in "*?[")
