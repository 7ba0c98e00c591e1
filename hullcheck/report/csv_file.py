"""CSV: one row for each finding, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from hullcheck.report.source import Source
from hullcheck.report.text import safe, shown

__all__ = ["COLUMNS", "cell", "rows", "write"]

COLUMNS = (
    "host", "control", "title", "area", "severity", "level", "verdict", "object kind", "object",
    "status", "expected", "observed", "reason", "waiver owner", "waived until", "waiver reason",
    "attested by", "attested until", "numbers", "evidence", "fix",
)  # fmt: skip

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_LONGEST = 4000


def cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula, with everything in it visible.

    A leading apostrophe makes it text (OWASP, CSV injection).
    """
    made = safe(text, _LONGEST)
    return f"'{made}" if made.lstrip().startswith(_FORMULA) else made


def rows(source: Source) -> Iterator[list[str | int]]:
    """Yield the rows below the heading: one for each finding, or for a verdict without one."""
    for verdict in source.verdicts():
        control = source.controls[verdict.control]
        waiver, attested = verdict.waiver or {}, verdict.attestation or {}
        for finding in verdict.findings or (None,):
            about = finding.object if finding else None
            yield [
                cell(verdict.host), control.id, control.title, control.area, control.severity,
                control.level, str(verdict.status),
                cell(about.kind) if about else "", cell(about.name) if about else "",
                str(finding.status if finding else verdict.status),
                cell(shown(finding.expected, _LONGEST)) if finding else "",
                cell(shown(finding.observed, _LONGEST)) if finding else "",
                cell(finding.reason if finding else verdict.reason),
                cell(str(waiver.get("owner", ""))), cell(str(waiver.get("expires", ""))),
                cell(str(waiver.get("reason", ""))), cell(attested.get("by", "")),
                cell(attested.get("expires", "")), control.numbers(),
                " ".join(map(str, verdict.evidence)), control.fix,
            ]  # fmt: skip


def write(source: Source, path: Path) -> None:
    """Write a run as CSV (RFC 4180, UTF-8 with a mark that spreadsheets know it by)."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        table.writerows(rows(source))
