"""What the page's pictures are drawn from: shares of a bar, and squares of a matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hullcheck.report.html.view import ORDER, ControlView, HostView
from hullcheck.run.heads import Head

__all__ = ["Bar", "Matrix", "Trend", "bar", "matrix", "trend"]

CELL = 9
LABEL = 190
LETTERS = 28
WIDE, HIGH, SLOT = 600, 120, 60
TREND = ORDER[:3]


@dataclass(frozen=True, slots=True)
class Bar:
    """Shares of the statuses: (status, count, where it begins, how wide it is), in 1/1000."""

    total: int
    parts: list[tuple[str, int, float, float]]

    @property
    def told(self) -> str:
        """The same in words."""
        return ", ".join(f"{count} {status}" for status, count, _, _ in self.parts) or "nothing"


def bar(counts: Mapping[str, int]) -> Bar:
    """Return the shares of some counts."""
    total, at, parts = sum(counts.values()), 0.0, []
    for status in ORDER:
        if count := counts.get(status, 0):
            size = round(1000 * count / total, 2)
            parts.append((str(status), count, round(at, 2), size))
            at += size
    return Bar(total, parts)


@dataclass(frozen=True, slots=True)
class Matrix:
    """Hosts against controls: labels by height, and for each status one path of squares."""

    width: int
    height: int
    labels: list[tuple[int, str]]
    paths: dict[str, str]


def matrix(hosts: list[HostView], controls: list[ControlView]) -> Matrix:
    """Return a square for each verdict."""
    paths: dict[str, list[str]] = {}
    labels = []
    for row, host in enumerate(hosts):
        y = row * CELL
        name = host.name if len(host.name) <= LETTERS else f"{host.name[: LETTERS - 1]}…"
        labels.append((y + CELL - 2, name))
        for column, each in enumerate(controls):
            if status := host.cells.get(each.control.id):
                squares = paths.setdefault(str(status), [])
                squares.append(f"M{LABEL + column * CELL} {y}h8v8h-8z")
    drawn = {status: "".join(squares) for status, squares in paths.items()}
    return Matrix(LABEL + len(controls) * CELL, len(hosts) * CELL, labels, drawn)


@dataclass(frozen=True, slots=True)
class Trend:
    """A column for each run: (what it says, its parts as (status, x, y, width, height)).

    :param marks: where the runs before and after were judged by something else.
    """

    columns: list[tuple[str, list[tuple[str, float, float, float, float]]]]
    marks: list[float]
    told: str


def trend(heads: Sequence[Head]) -> Trend | None:
    """Return the columns of some runs, the oldest first; of fewer than two, no picture."""
    if len(heads) < 2:
        return None
    counts = [{each: head.totals.get(each, 0) for each in TREND} for head in heads]
    most = max(1, *(sum(each.values()) for each in counts))
    slot = min(SLOT, WIDE / len(heads))
    columns = []
    for number, (head, count) in enumerate(zip(heads, counts, strict=True)):
        y, parts = float(HIGH), []
        for status in TREND:
            size = round(HIGH * count[status] / most, 2)
            y = round(y - size, 2)
            if size:
                x = round(number * slot, 2)
                parts.append((str(status), x, y, round(slot * 0.85, 2), size))
        said = ", ".join(f"{count[each]} {each}" for each in TREND)
        columns.append((f"{head.started[:16].replace('T', ' ')}: {said}", parts))
    changed = [at for at in range(1, len(heads)) if heads[at].judged != heads[at - 1].judged]
    ends = "; ".join(
        f"{each} {counts[0][each]} at first, {counts[-1][each]} now"
        for each in TREND
        if any(count[each] for count in counts)
    )
    told = f"{len(heads)} runs from {heads[0].started[:10]} to {heads[-1].started[:10]}: {ends}"
    return Trend(columns, [round(at * slot - slot * 0.075, 2) for at in changed], told)
