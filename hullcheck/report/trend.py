"""A history for people and as JSON: a line for each run, what changed of a host or a control."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hullcheck.report.page import Page, tabulated
from hullcheck.report.text import padded, safe, unpadded
from hullcheck.run.heads import Head
from hullcheck.run.history import (
    FLAPS,
    WINDOW,
    Night,
    Overview,
    Track,
    median,
    seconds_between,
)
from hullcheck.run.lines import LETTERS

__all__ = [
    "Marks", "marks_of", "overview_json", "overview_table", "sparkline", "tracks_json",
    "tracks_table",
]  # fmt: skip

ROWS = 40
"""Rows of a table, unless all are wanted."""

BAR = 8
_STATUSES = {letter: str(status) for status, letter in LETTERS.items()}


@dataclass(frozen=True, slots=True)
class Marks:
    """What pictures are made of on a terminal.

    :param levels: from low to high. ``strip``: for each letter of a strip.
    """

    levels: str
    strip: dict[str, str]

    @property
    def legend(self) -> str:
        """What the marks of a strip mean."""
        return ", ".join(f"{self.strip[each]} {_STATUSES[each]}" for each in "FEUMWPN")


BLOCKS = Marks("▁▂▃▄▅▆▇█", {**dict(zip("FEUMWPN ", "█!?mw·- ", strict=True))})
PLAIN = Marks("_.-=+*#@", {**dict(zip("FEUMWPN ", "#!?mw.- ", strict=True))})


def marks_of(encoding: str | None) -> Marks:
    """Return marks that a terminal of this encoding can show."""
    try:
        (BLOCKS.levels + "·").encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return PLAIN
    return BLOCKS


def sparkline(values: Sequence[int | None], marks: Marks) -> str:
    """Return values as one mark each, from the lowest to the highest; None as a gap."""
    known = [each for each in values if each is not None]
    low, high = min(known, default=0), max(known, default=0)
    top = len(marks.levels) - 1

    def mark(value: int | None) -> str:
        if value is None:
            return " "
        return marks.levels[(value - low) * top // (high - low) if high > low else top // 2]

    return "".join(map(mark, values))


def overview_table(found: Overview, page: Page, marks: Marks) -> str:
    """Return a line for each run, and what they tell together."""
    nights = found.shown
    headers = ["started", "run", "hosts", "lost", "fail", "", "error", "unknown", "manual",
               "waived", "new", "fixed"]  # fmt: skip
    most = max((night.head.totals.get("fail", 0) for night in nights), default=0)
    rows = [_row(night, most, marks) for night in nights]
    keep = [at for at in range(len(headers)) if at < 6 or any(row[at] for row in rows)]
    table = tabulated([[row[at] for at in keep] for row in rows], [headers[at] for at in keep])
    parts = [table]
    if any(not night.same for night in nights):
        parts.append("\n".join(page.lines(
            "* The run that it is compared with has another scope: only what both judged counts."
        )))  # fmt: skip
    parts.append("\n".join(_together(found, page, marks)))
    return unpadded("\n\n".join(part for part in parts if part)) + "\n"


def _row(night: Night, most: int, marks: Marks) -> list[str]:
    head = night.head
    counts = head.totals
    fails = counts.get("fail", 0)
    bar = marks.strip["F"] * -(-fails * BAR // most) if most else ""
    told = [f"{counts[each]}" if counts.get(each) else "" for each in
            ("error", "unknown", "manual", "waived")]  # fmt: skip
    star = "" if night.same else "*"
    new, fixed = (f"+{night.new}{star}", f"-{night.fixed}{star}")
    if night.base is None:
        new = fixed = ""
    return [
        head.started[:16].replace("T", " "), padded(safe(_name(head), 60)), str(head.hosts),
        str(head.lost or ""), str(fails), bar, *told, new, fixed,
    ]  # fmt: skip


def _name(head: Head) -> str:
    notes = [] if head.finished else ["not finished"]
    notes += [f"pruned on {head.pruned[:10]}"] if head.pruned else []
    return head.directory + (f" ({', '.join(notes)})" if notes else "")


def _together(found: Overview, page: Page, marks: Marks) -> list[str]:
    last = found.nights[-1].head
    alike = [each.head for each in found.shown if each.head.subject == last.subject]
    lines = [_trend(alike, status, marks) for status in ("fail", "unknown") if len(alike) > 1]
    lines.append(_mended(found.mended))
    flapping = found.flapping
    lines += page.lines(
        f"Flapping ({FLAPS} or more changes in the last {WINDOW} runs that judged it): "
        f"{len(flapping) or 'none'}."
    )
    for each in flapping if page.verbose else flapping[:10]:
        told = f"{each.host} {each.control}: {each.changes} changes, now {_STATUSES[each.now]}"
        lines += page.lines(safe(told), "  ")
    if len(flapping) > 10 and not page.verbose:
        lines.append(f"  and {len(flapping) - 10} more: -v")
    return lines


def _trend(heads: Sequence[Head], status: str, marks: Marks) -> str:
    values = [each.totals.get(status, 0) for each in heads]
    return f"{status:<8}{sparkline(values, marks)}  {_range(values)}"


def _range(values: Sequence[int]) -> str:
    return f"{values[0]} at first, {values[-1]} now, at most {max(values)}"


def _mended(mended: Sequence[float]) -> str:
    middle = median(mended)
    if middle is None:
        return "Time to fix: not known; nothing that began to fail in these runs was fixed."
    return f"Time to fix: {_span(middle)} (median of {len(mended)} that were fixed)."


def _span(seconds: float) -> str:
    """Return a time as people say it."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def tracks_table(
    title: str,
    found: Sequence[Track],
    heads: Sequence[Head],
    page: Page,
    marks: Marks,
    *,
    by: Callable[[Track], str],
) -> str:
    """Return what changed, or fails, of one host or one control.

    :param by: what a row is called: the track's control, or its host.
    """
    parts = [page.heading(safe(title))]
    if heads:
        about = f"{len(heads)} runs, {heads[0].started[:16]} to {heads[-1].started[:16]}"
        parts[0] += f"\n{about.replace('T', ' ')}"
    fails = [sum(track.strip[at] == "F" for track in found) for at in range(len(heads))]
    if len(heads) > 1:
        parts[0] += f"\nfail    {sparkline(fails, marks)}  {_range(fails)}"
    telling = sorted((each for each in found if _telling(each)), key=_restless)
    shown = telling if page.verbose else telling[:ROWS]
    if shown:
        strips = max(8, page.width - 74)
        headers = ["", "now", "failing since", "for", "changes", "fixed in", "runs"]
        rows = [
            [padded(safe(by(each), 48)), *_cells(each, heads), _strip(each, strips, marks)]
            for each in shown
        ]
        parts.append(tabulated(rows, headers))
        parts[-1] += "\n" + "\n".join(page.lines(f"runs, the newest last: {marks.legend}"))
    if len(telling) > len(shown):
        parts.append(f"and {len(telling) - len(shown)} more: -v")
    if calm := len(found) - len(telling):
        parts.append(f"{calm} hosts never failed and never changed.")
    mended = [seconds for each in found for seconds in each.mended]
    parts.append(
        f"{_mended(mended)}\n~ flaps: {FLAPS} or more changes in the last {WINDOW} runs that "
        "judged it. < failed already in the first of these runs."
    )
    return unpadded("\n\n".join(parts)) + "\n"


def _telling(track: Track) -> bool:
    return track.since is not None or len(set(track.strip) - {" "}) > 1


def _restless(track: Track) -> tuple[Any, ...]:
    """What fails for the longest time first, then what changed most."""
    failing = track.since is not None
    return not failing, track.since or 0, -track.changes, track.host, track.control


def _cells(track: Track, heads: Sequence[Head]) -> list[str]:
    since = span = ""
    if track.since is not None:
        begun = heads[track.since].started
        since = f"{'<' if track.earlier else ' '}{begun[:10]}"
        span = _span(seconds_between(begun, heads[-1].started))
    middle = median(track.mended)
    objects = track.objects[len(track.strip.rstrip()) - 1] if track.objects else 0
    now = _STATUSES.get(track.now, "") + (f" ({objects})" if objects > 1 else "")
    return [
        now, since, span, f"{track.changes or ''}{' ~' if track.flaps else ''}",
        "" if middle is None else _span(middle),
    ]  # fmt: skip


def _strip(track: Track, columns: int, marks: Marks) -> str:
    return "".join(marks.strip[each] for each in track.strip[-columns:])


def overview_json(found: Overview) -> dict[str, Any]:
    """Return the runs, and what they tell together, as JSON data."""
    return {
        "schema": "hullcheck.history/1",
        "runs": [_night(night, found.nights) for night in found.shown],
        "fixed": len(found.mended),
        "median_seconds_to_fix": median(found.mended),
        "flapping": [
            {"host": each.host, "control": each.control, "changes": each.changes}
            for each in found.flapping
        ],
    }


def _night(night: Night, nights: Sequence[Night]) -> dict[str, Any]:
    compared = None if night.base is None else nights[night.base].head.directory
    return {
        **_head(night.head), "compared_with": compared, "same_scope": night.same,
        "newly_failing": night.new, "newly_fixed": night.fixed,
    }  # fmt: skip


def _head(head: Head) -> dict[str, Any]:
    return {
        "directory": head.directory, "id": head.id, "started": head.started,
        "finished": head.finished or None, "hosts": head.hosts, "lost": head.lost,
        "totals": head.totals, "pruned": head.pruned or None,
    }  # fmt: skip


def tracks_json(found: Sequence[Track], heads: Sequence[Head]) -> dict[str, Any]:
    """Return tracks as JSON data; ``statuses`` goes with ``runs``, null where it was not judged."""
    return {
        "schema": "hullcheck.history/1",
        "runs": [_head(each) for each in heads],
        "tracks": [_track(each, heads) for each in sorted(found, key=_restless)],
    }


def _track(track: Track, heads: Sequence[Head]) -> dict[str, Any]:
    return {
        "host": track.host, "control": track.control, "now": _STATUSES.get(track.now),
        "failing_since": None if track.since is None else heads[track.since].started,
        "failed_in_first_run": track.earlier, "changes": track.changes, "flaps": track.flaps,
        "fixed": len(track.mended), "median_seconds_to_fix": median(track.mended),
        "statuses": [_STATUSES.get(each) for each in track.strip], "objects": track.objects,
    }  # fmt: skip
