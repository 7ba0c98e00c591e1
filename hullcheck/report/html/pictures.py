"""What the page's pictures are drawn from: shares of a bar, and squares of a matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hullcheck.report.html.view import ORDER, ControlView, HostView

__all__ = ["Bar", "Matrix", "bar", "matrix"]

CELL = 9
LABEL = 190
LETTERS = 28


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
