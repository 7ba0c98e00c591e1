"""Many hosts at a glance: controls against hosts, the worst first, and the totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hullcheck.control import Control
from hullcheck.report.page import GOOD, Page, badness, cell, column, severity_rank, tabulated
from hullcheck.report.text import padded, safe
from hullcheck.verdict import HostRecord, Status, Verdict

__all__ = ["Tally", "fleet"]

Judged = Mapping[str, Mapping[str, Verdict]]
"""Verdicts by host and control."""

_NAMES = {Status.NOT_APPLICABLE: "n/a"}
_MOST = 30
"""Rows of hosts that are printed unless -v wants all."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What is kept of a fleet's verdicts: memory must not grow with its findings.

    :param counts: control -> how often it has each status.
    :param failing: control -> the hosts that it fails on.
    """

    counts: dict[str, Counter[Status]] = field(default_factory=dict)
    failing: dict[str, list[str]] = field(default_factory=dict)

    def add(self, verdict: Verdict) -> None:
        """Count a verdict."""
        self.counts.setdefault(verdict.control, Counter())[verdict.status] += 1
        if verdict.status is Status.FAIL:
            self.failing.setdefault(verdict.control, []).append(verdict.host)


def fleet(
    hosts: Sequence[HostRecord],
    tally: Tally,
    judged: Judged,
    controls: Mapping[str, Control],
    page: Page,
) -> list[str]:
    """Return the parts of the table that compare hosts.

    :param judged: all verdicts, of hosts that are few enough to be told one by one; else empty.
    """
    counts = tally.counts
    there = sorted((host for host in hosts if host.name in judged), key=badness)

    def order(name: str) -> tuple[object, ...]:
        spread = [-counts[name][status] for status in Status if status not in GOOD]
        return (*spread, severity_rank(name, controls), name)

    names = sorted(counts, key=order)
    chosen = [name for name in names if page.verbose or not set(counts[name]) <= set(GOOD)]
    parts = [_controls(chosen, tally, there, judged, page)] if chosen else []
    if len(names) > len(chosen):
        parts.append(f"Controls that pass or do not apply everywhere: {len(names) - len(chosen)}.")
    return [*parts, _totals(hosts, page)]


def _controls(
    names: Sequence[str], tally: Tally, hosts: Sequence[HostRecord], judged: Judged, page: Page
) -> str:
    """Return a line per control: a column per host if they fit, else how many and which."""
    titles = [safe(host.name, 40) for host in hosts]
    needed = sum(column(["? unknown"], each) for each in titles) + column([], "fails")
    room = page.width - needed
    heading = page.heading("Controls by hosts, the worst first")
    if room < 24 or not hosts:
        return f"{heading}\n{_which(names, tally, page)}"
    rows = []
    for name in names:
        found = [judged[host.name].get(name) for host in hosts]
        cells = [page.status(each.status, _NAMES.get(each.status, "")) if each else "  -"
                 for each in found]  # fmt: skip
        rows.append([cell(name, min(room, 44)), *cells, str(tally.counts[name][Status.FAIL])])
    headers = ["control", *map(padded, titles), "fails"]
    return f"{heading}\n{tabulated(rows, headers, right=1)}"


def _which(names: Sequence[str], tally: Tally, page: Page) -> str:
    """Return, of hosts too many for columns, on how many a control fails and on which."""
    headers = ["control", "fails", "unknown", "fails on"]
    room = page.width - 34 - sum(column([], each) for each in headers[1:3])
    rows = []
    for name in names:
        failing, counts = tally.failing.get(name, []), tally.counts[name]
        told = ", ".join(safe(each, 40) for each in (failing if page.verbose else failing[:5]))
        if len(failing) > 5 and not page.verbose:
            told += f" and {len(failing) - 5} more"
        open_ = counts[Status.UNKNOWN] + counts[Status.ERROR]
        rows.append([cell(name, 32), f"{len(failing):5}", f"{open_:7}", cell(told, room)])
    return tabulated(rows, headers)


def _totals(hosts: Sequence[HostRecord], page: Page) -> str:
    """Return a line per host with its totals, the worst first."""
    statuses = [each for each in Status if any(host.totals.get(each) for host in hosts)]
    chosen = list(hosts) if page.verbose else list(hosts)[:_MOST]
    names = [_NAMES.get(each, str(each)) for each in statuses]
    states = column((host.status for host in chosen), "state")
    room = page.width - sum(column([], each) for each in names) - states - 2
    rows = [
        [cell(safe(host.name, 80), max(room, 10)), host.status,
         *(str(host.totals.get(each, 0)) for each in statuses)]
        for host in chosen
    ]  # fmt: skip
    headers = ["host", "state", *names]
    lines = [page.heading("Hosts, the worst first"), tabulated(rows, headers, len(statuses))]
    if len(hosts) > len(chosen):
        lines.append(f"... and {len(hosts) - len(chosen)} more hosts, which -v names.")
    return "\n".join(lines)
