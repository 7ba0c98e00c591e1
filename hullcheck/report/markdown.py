"""Markdown: what needs somebody, for a ticket or a wiki."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from hullcheck.control import SEVERITIES
from hullcheck.report.acceptances import review
from hullcheck.report.source import ControlText, Source
from hullcheck.report.text import safe
from hullcheck.verdict import Status, Verdict

__all__ = ["plain", "write"]

SHOWN = 20
"""How many objects of one host are named for one control."""

_MARKS = re.compile(r"([\\`*_{}\[\]()#+!|<>&~@:$-])")
_OPEN = (Status.FAIL, Status.ERROR, Status.UNKNOWN, Status.MANUAL, Status.WAIVED)
_HEADINGS = {
    Status.FAIL: "Fails", Status.ERROR: "Broke", Status.UNKNOWN: "Not known", Status.MANUAL:
    "For a person", Status.WAIVED: "Waived",
}  # fmt: skip


def plain(text: str, limit: int = 300) -> str:
    """Return a text in which no character means anything to Markdown, HTML or a forge."""
    return _MARKS.sub(r"\\\1", safe(text, limit))


def write(source: Source, path: Path) -> None:
    """Write a run as Markdown."""
    path.write_text("\n".join(_lines(source)) + "\n", encoding="utf-8")


def _lines(source: Source) -> Iterator[str]:
    run = source.run
    yield f"# Audit {plain(run['id'])}"
    yield ""
    counts = ", ".join(f"{count} {status}" for status, count in source.totals.items())
    counts = counts or "Nothing judged"
    yield f"Started {plain(run['started'])}. {len(source.hosts)} hosts. {counts}."
    if not run["finished"]:
        yield "\n**The run was not finished: hosts may be missing.**"
    yield from _table(source)
    found: dict[Status, dict[str, list[Verdict]]] = defaultdict(lambda: defaultdict(list))
    for verdict in source.verdicts():
        if verdict.status in _OPEN:
            found[verdict.status][verdict.control].append(verdict)
    for status, heading in _HEADINGS.items():
        if status in found:
            yield f"\n## {heading}"
            names = sorted(
                found[status], key=lambda name: _rank(source.controls[name], found[status])
            )
            for name in names:
                yield from _control(source.controls[name], found[status][name])
    yield from _acceptances(source)


def _acceptances(source: Source) -> Iterator[str]:
    found = review(source)
    if found:
        yield "\n## Waivers and attestations\n"
        yield "| until | what | scope | who | verdicts | look again |"
        yield "|---|---|---|---|---|---|"
    for each in found:
        cells = [str(each.entry.expires), each.kind, each.scope, each.who, str(each.used)]
        yield f"| {' | '.join(map(plain, [*cells, '; '.join(each.notes)]))} |"


def _rank(control: ControlText, found: dict[str, list[Verdict]]) -> tuple[int, int, str]:
    return -SEVERITIES.index(control.severity), -len(found[control.id]), control.id


def _table(source: Source) -> Iterator[str]:
    statuses = [each for each in Status if str(each) in source.totals]
    yield ""
    yield f"| host | state | {' | '.join(statuses)} |"
    yield f"|---|---|{'---|' * len(statuses)}"
    for host in source.hosts:
        state = host["status"] if not host["reason"] else f"{host['status']}: {host['reason']}"
        counts = " | ".join(str(host["totals"].get(each, 0)) for each in statuses)
        yield f"| {plain(host['name'])} | {plain(state)} | {counts} |"


def _control(control: ControlText, verdicts: list[Verdict]) -> Iterator[str]:
    yield f"\n### {plain(control.title)}"
    yield ""
    numbers = plain(control.numbers())
    about = f"`{control.id}`, {control.severity}, level {control.level}"
    yield f"{about}. {numbers}" if numbers else f"{about}."
    yield ""
    for verdict in verdicts:
        yield f"* {plain(verdict.host)}: {plain(verdict.reason)}"
        telling = [each for each in verdict.findings if each.status is verdict.status]
        for finding in telling[:SHOWN] if len(telling) > 1 else []:
            about = f"{plain(finding.object.kind)} {plain(finding.object.name)}"
            yield f"  * {about}: {plain(finding.reason)}"
        if len(telling) > SHOWN:
            yield f"  * and {len(telling) - SHOWN} more"
    yield ""
    yield f"Fix: {plain(control.fix, 2000)}"
