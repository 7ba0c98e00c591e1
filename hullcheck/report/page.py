"""What the parts of the table share: how wide, in which colours, which words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tabulate import tabulate

from hullcheck.control import SEVERITIES, Control
from hullcheck.report.text import padded, width, wrap
from hullcheck.verdict import HostRecord, Status

__all__ = ["GOOD", "Page", "badness", "cell", "column", "severity_rank", "tabulated"]

GOOD = (Status.PASS, Status.NOT_APPLICABLE)
"""What needs nobody."""

_MARKS = {Status.FAIL: "!", Status.ERROR: "!", Status.UNKNOWN: "?", Status.MANUAL: "?"}
_COLOURS = {
    Status.FAIL: "1;31", Status.ERROR: "1;35", Status.UNKNOWN: "1;33", Status.MANUAL: "36",
    Status.WAIVED: "34", Status.PASS: "32", Status.NOT_APPLICABLE: "2",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """How to print: columns, whether in colour, whether everything."""

    width: int
    colour: bool
    verbose: bool

    def paint(self, text: str, code: str) -> str:
        """Return a text in an ANSI colour, if there are to be colours."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text

    def heading(self, text: str) -> str:
        """Return a heading, in as many lines as it needs."""
        return "\n".join(self.paint(line, "1") for line in self.lines(text))

    def status(self, status: Status, name: str = "") -> str:
        """Return a status as it stands in a column."""
        return self.paint(f"{_MARKS.get(status, ' ')} {name or status}", _COLOURS[status])

    def counts(self, counted: Mapping[str, int], lead: str) -> str:
        """Return totals after a lead: every status that occurs, worst first; lines that fit."""
        told = [(each, f"{counted[each]} {each}") for each in Status if counted.get(each)]
        lines, used = [lead], width(lead)
        for number, (status, text) in enumerate(told, 1):
            if used + len(text) + 2 > self.width:
                lines.append("   ")
                used = 3
            lines[-1] += f" {self.paint(text, _COLOURS[status])}{',' if number < len(told) else ''}"
            used += len(text) + 2
        return "\n".join(lines) if told else f"{lead} nothing was judged"

    def lines(self, text: str, indent: str = "") -> list[str]:
        """Return a text in lines that fit, indented."""
        return [indent + line for line in wrap(text, self.width - len(indent))]


def badness(host: HostRecord) -> tuple[object, ...]:
    """Order hosts: first those that could not be audited, then by how much fails there."""
    counts = [-host.totals.get(status, 0) for status in Status if status not in GOOD]
    return (host.status != "unreachable", *counts, host.name)


def severity_rank(control: str, controls: Mapping[str, Control]) -> int:
    """Order controls: the most severe first, those that nobody knows last."""
    known = controls.get(control)
    return -SEVERITIES.index(known.severity) if known else 1


def cell(text: str, columns: int) -> str:
    """Return a safe text as a table's cell; a long id breaks after a dash, if it can."""
    if width(text) > columns and " " not in text:
        return padded("\n".join(wrap(text.replace("-", "- "), columns)).replace("- ", "-"))
    return padded("\n".join(wrap(text, columns)))


def column(cells: Iterable[str], header: str) -> int:
    """Return how many columns a table's column takes, with the gap behind it."""
    return max(map(width, [*cells, header])) + 2


def tabulated(rows: list[list[str]], headers: list[str], right: int = 0) -> str:
    """Return a plain table; its last ``right`` columns hold numbers."""
    align = ["left"] * (len(headers) - right) + ["right"] * right
    # tabulate makes a column two wider than its header; a header that is a row costs nothing.
    rule, header, *body, _ = tabulate(
        [headers, *rows], tablefmt="simple", disable_numparse=True, colalign=align,
        preserve_whitespace=True,
    ).splitlines()  # fmt: skip
    return "\n".join(line.rstrip() for line in (header, rule, *body))
