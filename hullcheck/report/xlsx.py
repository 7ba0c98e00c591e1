"""XLSX: a workbook that an auditor samples from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import xlsxwriter

from hullcheck.report.acceptances import review
from hullcheck.report.csv_file import COLUMNS, cell, rows
from hullcheck.report.source import Source
from hullcheck.verdict import Status

__all__ = ["ROWS", "write"]

ROWS = 1_000_000
"""Rows of findings that one sheet takes; Excel ends at 1,048,576."""

_PLAIN = {
    "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False,
    "constant_memory": True,
}  # fmt: skip
_COLOURS = {
    Status.FAIL: "#F4C7C3", Status.ERROR: "#E6CFF0", Status.UNKNOWN: "#FCE8B2", Status.MANUAL:
    "#CFE2F9", Status.WAIVED: "#E8E2D9", Status.PASS: "#CDE8CF",
}  # fmt: skip


def write(source: Source, path: Path) -> None:
    """Write a run as a workbook: summary, hosts, controls, acceptances, findings."""
    with xlsxwriter.Workbook(str(path), _PLAIN) as book:
        _sheet(book, "Summary", ("what", "value"), _summary(source), (30, 60))
        statuses = [str(each) for each in Status]
        _sheet(
            book, "Hosts", ("host", "target", "state", "reason", "system", *statuses),
            _hosts(source, statuses), (24, 30, 12, 40, 40),
        )  # fmt: skip
        _sheet(
            book, "Controls",
            ("control", "title", "area", "severity", "level", "numbers", "fix", "rationale"),
            _controls(source), (34, 50, 12, 10, 6, 40, 60, 80),
        )  # fmt: skip
        _sheet(
            book, "Acceptances",
            ("until", "what", "scope", "who", "verdicts", "reason", "look again"),
            _acceptances(source), (12, 12, 50, 24, 9, 60, 60),
        )  # fmt: skip
        widths = (24, 34, 50, 12, 10, 6, 14, 12, 30, 14, 30, 30, 60, 20, 12, 30, 20, 12, 40, 20, 60)
        _sheet(book, "Findings", COLUMNS, rows(source), widths, statuses=True)


def _sheet(
    book: xlsxwriter.Workbook,
    name: str,
    heading: Sequence[str],
    lines: Iterable[Sequence[str | int]],
    widths: Sequence[int],
    *,
    statuses: bool = False,
) -> None:
    """Add a sheet that can be filtered, its heading in sight."""
    sheet = book.add_worksheet(name)
    bold = book.add_format({"bold": True, "bottom": 1})
    colours = {
        str(each): book.add_format({"bg_color": colour}) for each, colour in _COLOURS.items()
    }
    for number, width in enumerate(widths):
        sheet.set_column(number, number, width)
    sheet.freeze_panes(1, 0)
    last = 0
    for last, line in enumerate(chain([heading], lines)):
        if last > ROWS:
            sheet.write_string(last, 0, "More findings are in verdicts.jsonl, and in report.csv.")
            break
        for number, value in enumerate(line):
            if isinstance(value, int):
                sheet.write_number(last, number, value)
            else:
                colour = colours.get(value) if statuses else None
                sheet.write_string(last, number, value, bold if last == 0 else colour)
    sheet.autofilter(0, 0, last, len(heading) - 1)


def _summary(source: Source) -> Iterable[tuple[str, str | int]]:
    run = source.run
    yield "run", run["id"]
    yield "started", run["started"]
    yield "finished", run["finished"] or "not finished: hosts may be missing"
    yield "made by", f"{run['tool']['name']} {run['tool']['version']}"
    yield "controls", run["controls_digest"]
    yield "policy", run["policy_digest"]
    yield "the run before", run["previous"] or "none"
    yield "hosts", len(source.hosts)
    for status, count in source.totals.items():
        yield f"verdicts: {status}", count


def _hosts(source: Source, statuses: list[str]) -> Iterable[list[str | int]]:
    for host in source.hosts:
        facts = host["facts"]
        system = ", ".join(str(facts.get(key) or "") for key in ("os", "kernel"))
        counts = [int(host["totals"].get(each, 0)) for each in statuses]
        told = (host["name"], host["target"], host["status"], host["reason"], system)
        yield [*map(cell, told), *counts]


def _acceptances(source: Source) -> Iterable[list[str | int]]:
    for each in review(source):
        told = (str(each.entry.expires), each.kind, each.scope, each.who)
        yield [*map(cell, told), each.used, cell(each.entry.reason), cell("; ".join(each.notes))]


def _controls(source: Source) -> Iterable[list[str | int]]:
    for each in source.controls.values():
        yield [each.id, each.title, each.area, each.severity, each.level, each.numbers(),
               each.fix, each.rationale]  # fmt: skip
