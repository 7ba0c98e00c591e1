"""What each control needs, measured: recordings of one host by root and by an ordinary user."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hullcheck.report.privileges import ANYBODY, FILE, ROOT, SOME, Need
from hullcheck.verdict import Verdict
from tests.recordings.book import index

OPEN = ("unknown", "error")


def measured() -> dict[str, Need]:
    """Return what became of each control without root, on all hosts that were audited twice."""
    pairs: dict[str, list[tuple[Verdict, Verdict]]] = {}
    for entry in index().values():
        if entry.of:
            own = {each.control: each for each in entry.judged()}
            for verdict in index()[entry.of].judged():
                pairs.setdefault(verdict.control, []).append((verdict, own[verdict.control]))
    return {control: _need(found) for control, found in pairs.items()}


def _need(pairs: Iterable[tuple[Verdict, Verdict]]) -> Need:
    decided = [pair for pair in pairs if pair[0].status not in OPEN]
    lost = [own for root, own in decided if own.status is not root.status]
    if not decided:
        return Need(ROOT, "not decided on any host that was audited twice")
    if not lost:
        return Need(ANYBODY)
    return Need(ROOT if len(lost) == len(decided) else SOME, _plain(lost[0].reason))


def _plain(reason: str) -> str:
    """Return a reason without the numbers and places of one host."""
    first = reason.split(";", maxsplit=1)[0]
    return re.sub(r"/proc/\d+", "/proc/PID", re.sub(r"\b\d+ processes", "some processes", first))


def write(found: dict[str, Need]) -> None:
    """Write privileges.yaml, a control a line."""
    lines = ["# Made by `python -m tests.recordings verdicts`; shown by "
             "`hullcheck controls --privileges`.\n"]  # fmt: skip
    for name, need in found.items():
        why = f", why: {_quoted(need.why)}" if need.why else ""
        lines.append(f"{name}: {{who: {need.who}{why}}}\n")
    FILE.write_text("".join(lines))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
