"""The table: what a person reads on a terminal, or finds in ``table.txt``.

For each host the items of a benchmark with their outcome; for several hosts also who fails what,
the worst first; at the end the totals. Statuses are marked ``!`` (it does not hold, or the
control broke) and ``?`` (nobody knows yet), so that they stand out without colour too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hullcheck.benchmarks import UNCONFIRMED, Benchmark, Item
from hullcheck.catalogue import all_controls
from hullcheck.control import Control
from hullcheck.report.coverage import unconfirmed_note
from hullcheck.report.matrix import Tally, fleet
from hullcheck.report.page import GOOD, Page, badness, cell, column, severity_rank, tabulated
from hullcheck.report.text import safe, shown, unpadded, width
from hullcheck.run.directory import read_run, read_verdicts
from hullcheck.run.lines import statuses
from hullcheck.transport.want import Evidence
from hullcheck.verdict import Finding, HostRecord, Run, Status, Verdict, totals

__all__ = ["Recordings", "render", "render_run"]

Recordings = Callable[[str], Sequence[Evidence]]
"""Gives the recording of a host by its name; evidence numbers are indexes into it."""

_OPEN = (Status.ERROR, Status.UNKNOWN)

_DETAILED = 20
"""With more hosts than this, only -v prints every host's own table."""


@dataclass(frozen=True, slots=True)
class _Row:
    id: str
    title: str
    status: Status
    reason: str
    verdicts: tuple[Verdict, ...] = ()


def render(
    run: Run,
    verdicts: Iterable[Verdict],
    *,
    benchmark: Benchmark,
    width: int = 80,
    colour: bool = False,
    verbose: bool = False,
    controls: Mapping[str, Control] | None = None,
    recordings: Recordings | None = None,
) -> str:
    """Return the table of a run.

    :param benchmark: whose sections and numbers to print.
    :param width: columns to fill; less than 72 counts as 72.
    :param colour: whether to use ANSI colours.
    :param verbose: also expected and observed values, and the commands behind each verdict.
    :param controls: titles and severities by id; None: the controls that ship.
    :param recordings: for ``verbose``: gives a host's recording.
    """
    page = Page(max(width, 72), colour, verbose)
    known = all_controls() if controls is None else controls
    detailed = verbose or len(run.hosts) <= _DETAILED
    judged: dict[str, dict[str, Verdict]] = {}
    tally = Tally()
    for each in verdicts:
        tally.add(each)
        if detailed:
            judged.setdefault(each.host, {})[each.control] = each
    hosts = sorted(run.hosts, key=badness)
    lost = _lost(hosts, page)
    parts = [*lost]
    if detailed:
        for host in hosts:
            recording = recordings(host.name) if recordings and verbose else ()
            found = judged.get(host.name, {})
            if found or len(hosts) == 1:
                parts += _host(host, found, benchmark, known, page, recording, len(hosts) > 1)
    if len(hosts) > 1:
        parts += fleet(hosts, tally, judged, known, page)
        parts += lost
    elif hosts:
        parts += _glance(judged.get(hosts[0].name, {}), benchmark, known, page)
    parts.append(_end(run, benchmark, page))
    return unpadded("\n\n".join(part for part in parts if part)) + "\n"


def render_run(path: Path, *, verbose: bool = False, **how: Any) -> str:
    """Return the table of a run directory; of a fleet's verdicts only the status is read.

    :param how: as :func:`render` takes it.
    :raises ValueError: it is damaged.
    """
    run = read_run(path)
    detailed = verbose or len(run.hosts) <= _DETAILED
    verdicts = read_verdicts(path) if detailed else statuses(path)
    return render(run, verdicts, verbose=verbose, **how)


def _lost(hosts: Iterable[HostRecord], page: Page) -> list[str]:
    """Return what a reader must know first: hosts of which nothing or not all is known."""
    lines = []
    for host in hosts:
        if host.status != "audited":
            told = f"! {safe(host.name)} {host.status.upper()}: {safe(host.reason)}"
            lines += [page.paint(line, "1;31") for line in page.lines(told)]
    return ["\n".join(lines)] if lines else []


def _host(
    host: HostRecord,
    verdicts: Mapping[str, Verdict],
    benchmark: Benchmark,
    controls: Mapping[str, Control],
    page: Page,
    recording: Sequence[Evidence],
    one_of_many: bool,
) -> list[str]:
    """Return the part of one host; of many, only what needs somebody, unless verbose."""
    parts = [_about(host, page)]
    detailed: set[str] = set()
    for title, rows, unanswered in _sections(verdicts, benchmark, controls):
        shown_rows = rows
        if one_of_many and not page.verbose:
            shown_rows = [row for row in rows if row.status not in GOOD]
        lines = [page.heading(title)]
        if shown_rows:
            lines.append(_table(shown_rows, page))
        if len(rows) > len(shown_rows):
            lines.append(f"{len(rows) - len(shown_rows)} more pass or do not apply.")
        if page.verbose or not one_of_many:
            lines += _unanswered(unanswered, page)
        if page.verbose:
            lines += _details(rows, page, detailed)
        if len(lines) > 1:
            parts.append("\n".join(lines))
    parts += _commands(verdicts.values(), recording, page)
    counts = totals(each.status for each in verdicts.values())
    return [*parts, page.counts(counts, f"{safe(host.name)}:")]


def _about(host: HostRecord, page: Page) -> str:
    engines = [
        f"{each.get('name')} {each.get('version')}" for each in host.facts.get("engines", [])
    ]
    what = [str(host.facts.get(key) or "") for key in ("os", "kernel")] + engines
    told = ", ".join(safe(each, 80) for each in what if each)
    line = f"{safe(host.name)} ({safe(host.target)}){': ' if told else ''}{told}"
    rule = "=" * min(page.width, width(line))
    return f"{page.heading(line)}\n{rule}"


def _sections(
    verdicts: Mapping[str, Verdict], benchmark: Benchmark, controls: Mapping[str, Control]
) -> Iterable[tuple[str, list[_Row], list[Item]]]:
    """Yield titles, rows, and the items that nothing answered; last what is in no item."""
    numbered: set[str] = set()
    for number, title in benchmark.sections.items():
        rows, unanswered = [], []
        for item in benchmark.items:
            if item.section == number:
                numbered.update(() if item.gathered else item.controls)
                row = _item_row(item, verdicts)
                rows += [row] if row else []
                unanswered += [] if row else [item]
        yield f"{number} {title}".rstrip(), rows, unanswered
    for area in dict.fromkeys(name.split(".")[0] for name in sorted(verdicts)):
        others = [
            _Row(name.removeprefix(f"{area}."), _title(name, controls), each.status,
                 each.reason, (each,))
            for name, each in sorted(verdicts.items())
            if name.startswith(f"{area}.") and name not in numbered
        ]  # fmt: skip
        beyond = any(item.title for item in benchmark.items)
        about = f"Beyond {benchmark.title}" if beyond else "Control by control"
        yield f"{about}: {area}", others, []


def _title(control: str, controls: Mapping[str, Control]) -> str:
    return controls[control].title if control in controls else control


def _item_row(item: Item, verdicts: Mapping[str, Verdict]) -> _Row | None:
    status = item.status(verdicts)
    if status is None:
        return None
    mine = [verdicts[each] for each in item.controls if each in verdicts]
    telling = [each.reason for each in mine if each.status is status] or [item.asks]
    more = f" (and {len(telling) - 1} more controls)" if len(telling) > 1 else ""
    reason = telling[0] + (more if status not in GOOD else "")
    title = item.title or f"{len(mine)} control{'' if len(mine) == 1 else 's'}"
    return _Row(item.label, title, status, reason, () if item.gathered else tuple(mine))


def _unanswered(items: Sequence[Item], page: Page) -> list[str]:
    """Return what is honestly not answered: folded to one line, or why, line by line."""
    lines = []
    for told, chosen in (
        ("Not covered yet", [item for item in items if item.uncovered]),
        ("Not part of this run", [item for item in items if not item.uncovered]),
    ):
        if chosen and not page.verbose:
            count = f"{len(chosen)} item{'s' if len(chosen) > 1 else ''}"
            lines += page.lines(f"{told}: {count} ({_ranges([item.id for item in chosen])}).")
        for item in chosen if page.verbose else []:
            why = f": {item.uncovered}" if item.uncovered else ""
            lines += page.lines(f"{told}: {item.label} {item.title}".rstrip() + why)
    return lines


def _ranges(ids: Sequence[str]) -> str:
    """Return numbers in one line: three or more in a row as the first and the last."""
    runs: list[list[str]] = []
    for each in ids:
        tail = re.search("[0-9]+$", each)
        before = f"{each[: tail.start()]}{int(tail[0]) - 1}" if tail else ""
        if runs and runs[-1][-1] == before:
            runs[-1].append(each)
        else:
            runs.append([each])
    told = [[f"{run[0]} to {run[-1]}"] if len(run) > 2 else run for run in runs]
    return ", ".join(text for run in told for text in run)


def _table(rows: Sequence[_Row], page: Page) -> str:
    """Return rows as a table that fills the page and no more; the reason takes what is left."""
    ids, headers = [row.id for row in rows], ["id", "title", "  status", "reason"]
    id_width = min(max(map(width, ids)), 22)
    statuses = [f"  {row.status}" for row in rows]
    left = page.width - column([" " * id_width], headers[0]) - column(statuses, headers[2])
    titles = [safe(row.title) for row in rows]
    title_width = min(max(map(width, titles)), left * 9 // 20)
    reason_width = left - column([" " * title_width], headers[1])
    limit = 2000 if page.verbose else 240
    cells = [
        [cell(row.id, id_width), cell(title, title_width), page.status(row.status),
         cell(safe(row.reason, limit), reason_width)]
        for row, title in zip(rows, titles, strict=True)
    ]  # fmt: skip
    return tabulated(cells, headers)


def _details(rows: Iterable[_Row], page: Page, detailed: set[str]) -> list[str]:
    """Return, for -v, what each verdict rests on; each control once, though in many items."""
    lines = []
    for row in rows:
        for verdict in row.verdicts:
            if verdict.control in detailed:
                continue
            detailed.add(verdict.control)
            item = "" if verdict.control.endswith(f".{row.id}") else f"{row.id} "
            lines += ["", *page.lines(f"{item}{verdict.control}: {verdict.status}")]
            for finding in verdict.findings[:_DETAILED]:
                lines += page.lines(_told(finding), "    ")
            if (rest := len(verdict.findings) - _DETAILED) > 0:
                lines.append(f"    ... and {rest} more findings")
            if verdict.evidence:
                told = f"evidence: {_ranges([str(number) for number in verdict.evidence])}"
                lines += page.lines(told, "    ")
    return lines


def _told(finding: Finding) -> str:
    about = f"{safe(finding.object.kind)} {safe(finding.object.name, 200)}: {finding.status}"
    if finding.expected is not None or finding.observed is not None:
        about += f"; expected {shown(finding.expected)}; observed {shown(finding.observed)}"
    return f"{about}; {safe(finding.reason, 400)}" if finding.reason else about


def _commands(verdicts: Iterable[Verdict], recording: Sequence[Evidence], page: Page) -> list[str]:
    """Return, for -v, the commands that verdicts rest on, by their numbers."""
    numbers = sorted({number for each in verdicts for number in each.evidence})
    lines = [page.heading("Commands, by their number in the recording")]
    for number in numbers:
        if number < len(recording):
            lines += page.lines(_asked(number, recording[number]))
    return ["\n".join(lines)] if len(lines) > 1 else []


def _asked(number: int, evidence: Evidence) -> str:
    outcome = safe(evidence.trouble, 200) or f"exit {evidence.exit}"
    return f"[{number}] $ {safe(evidence.command, 300)} -> {outcome}"


def _glance(
    verdicts: Mapping[str, Verdict],
    benchmark: Benchmark,
    controls: Mapping[str, Control],
    page: Page,
) -> list[str]:
    """Return what fails on one host, most severe first, and what is not known."""
    failing = sorted(
        (each for each in verdicts.values() if each.status is Status.FAIL),
        key=lambda each: (severity_rank(each.control, controls), each.control),
    )
    if not failing:
        return _open(verdicts, page)
    numbers: dict[str, list[str]] = {}
    for item in benchmark.items:
        for name in item.controls:
            mark = UNCONFIRMED if name in item.proposed else ""
            numbers.setdefault(name, []).append(f"{item.id}{mark}")
    lines = [page.heading(f"What fails ({len(failing)}), most severe first")]
    for each in failing if page.verbose else failing[:12]:
        severity = controls[each.control].severity if each.control in controls else ""
        number = ", ".join([*numbers.get(each.control, []), each.control])
        told = page.lines(f"{_title(each.control, controls)} ({number})", " " * 10)
        told[0] = f"{severity:<10}{told[0].lstrip()}"
        lines += [page.paint(line, "31") for line in told]
    if len(failing) > 12 and not page.verbose:
        lines.append(f"... and {len(failing) - 12} more, above.")
    return ["\n".join(lines), *_open(verdicts, page)]


def _open(verdicts: Mapping[str, Verdict], page: Page) -> list[str]:
    """Return which controls nobody has an answer to."""
    names = sorted(name for name, each in verdicts.items() if each.status in _OPEN)
    shown_names = names if page.verbose else names[:12]
    more = f" and {len(names) - 12} more" if len(names) > len(shown_names) else ""
    told = page.lines(f"Not known ({len(names)}): {', '.join(shown_names)}{more}.")
    return ["\n".join(told)] if names else []


def _end(run: Run, benchmark: Benchmark, page: Page) -> str:
    counts: Counter[str] = Counter()
    for host in run.hosts:
        counts.update(host.totals)
    states = Counter(host.status for host in run.hosts)
    hosts = ", ".join(f"{states[each]} {each}" for each in sorted(states)) or "none"
    answered = sum(1 for item in benchmark.items if item.controls)
    people = sum(1 for item in benchmark.items if item.manual and not item.controls)
    objects = sum(1 for item in benchmark.items if item.cluster and not item.controls)
    left = len(benchmark.items) - answered - people - objects
    asked = f", the cluster's objects {objects}" if objects else ""
    lines = page.lines(
        f"{benchmark.title}: of {len(benchmark.items)} items, controls answer {answered},"
        f" a person {people}{asked}; {left} are not covered yet."
    )
    lines += [line for note in unconfirmed_note(benchmark) for line in page.lines(note)]
    lines += page.lines(f"Run {safe(run.id)}. Hosts: {hosts}.")
    lines.append(page.counts(counts, "Controls:"))
    if not run.finished:
        lines += page.lines("The run was not finished: hosts may be missing.")
    return "\n".join(lines)
