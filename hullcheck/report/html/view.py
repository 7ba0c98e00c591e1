"""What the page shows, gathered from a run in one pass over its verdicts.

Of each control are kept the counts and what needs somebody; the rest goes into chunks that the
page unpacks when they are asked for. All texts are made safe here: nothing that a host sent
reaches the page with a character that acts or hides.
"""

from __future__ import annotations

import base64
import gzip
import json
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hullcheck.benchmarks import UNCONFIRMED
from hullcheck.control import AREAS, SEVERITIES
from hullcheck.report.acceptances import Acceptance, review
from hullcheck.report.source import ControlText, Source
from hullcheck.report.text import safe, shown
from hullcheck.run.heads import Head
from hullcheck.run.index import alike_until
from hullcheck.transport.want import Evidence
from hullcheck.verdict import Finding, Status, Verdict, worst

__all__ = ["LIMITS", "ORDER", "ControlView", "HostView", "Limits", "View", "gather"]

ORDER = tuple(Status(each) for each in (
    "fail", "error", "unknown", "manual", "waived", "pass", "not-applicable"
))  # fmt: skip
"""The statuses, what needs somebody first."""

NEEDING = ORDER[:5]
NIGHTS = 30
"""Runs in the picture of the trend."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a run the page holds. What is beyond lies in the run directory.

    :param hosts: that are named for one control without unpacking anything.
    :param matrix: hosts in the picture of hosts and controls, the worst first.
    :param output: characters of one command's output.
    :param evidence: bytes of packed evidence in all.
    """

    hosts: int = 25
    matrix: int = 150
    findings: int = 200
    output: int = 3000
    evidence: int = 16_000_000


LIMITS = Limits()


@dataclass(slots=True)
class HostView:
    """One host as the page shows it; ``number`` is its place in all lists."""

    number: int
    name: str
    target: str
    state: str
    reason: str
    about: str
    totals: dict[str, int]
    cells: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class ControlView:
    """One control: what was said of it, how often, and of which hosts."""

    control: ControlText
    counts: Counter[str] = field(default_factory=Counter)
    needing: list[tuple[HostView, Status, str]] = field(default_factory=list)
    hidden: int = 0
    packed: list[Any] = field(default_factory=list)

    @property
    def status(self) -> Status:
        """The worst that was said of it."""
        return worst(Status(each) for each in self.counts)

    @property
    def bad(self) -> int:
        """On how many hosts somebody must look."""
        return sum(self.counts[each] for each in NEEDING)

    @property
    def chunk(self) -> str:
        """All its verdicts, packed."""
        return pack(self.packed)


@dataclass(slots=True)
class View:
    """Everything on the page.

    :param before: the last runs of the same hosts and controls, this one last.
    """

    source: Source
    hosts: list[HostView]
    controls: list[ControlView]
    benchmarks: list[tuple[str, list[tuple[str, str, Counter[str], list[str]]]]]
    acceptances: list[list[str]]
    evidence: dict[int, str]
    left_out: int
    limits: Limits
    before: list[Head]

    @property
    def areas(self) -> dict[str, Counter[str]]:
        """How many verdicts of each status each area has."""
        found: dict[str, Counter[str]] = {area: Counter() for area in AREAS}
        for each in self.controls:
            found[each.control.area].update(each.counts)
        return {area: counts for area, counts in found.items() if counts}

    @property
    def severities(self) -> dict[str, int]:
        """How many controls of each severity fail somewhere, the worst severity first."""
        failing = [each for each in self.controls if each.counts[Status.FAIL]]
        counts = Counter(each.control.severity for each in failing)
        return {name: counts[name] for name in reversed(SEVERITIES)}


def pack(value: Any) -> str:
    """Return JSON data as base64 of gzip, which no markup can be in."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("ascii"), mtime=0)).decode("ascii")


def gather(source: Source, limits: Limits = LIMITS) -> View:
    """Read a run into a view."""
    hosts = [_host(number, each) for number, each in enumerate(source.hosts)]
    by_name = {each["name"]: host for each, host in zip(source.hosts, hosts, strict=True)}
    controls = {name: ControlView(each) for name, each in source.controls.items()}
    wanted: dict[str, set[int]] = {}
    for verdict in source.verdicts():
        host = by_name.get(verdict.host)
        if host is not None:
            _take(controls[verdict.control], host, verdict, limits)
            wanted.setdefault(verdict.host, set()).update(verdict.evidence)
    evidence, left_out = _evidence(source, by_name, wanted, limits)
    ordered = sorted((each for each in controls.values() if each.counts), key=_rank)
    accepted = [_acceptance(each) for each in review(source)]
    return View(
        source, hosts, ordered, _benchmarks(ordered), accepted, evidence, left_out, limits,
        _before(source),
    )  # fmt: skip


def _before(source: Source) -> list[Head]:
    """Return the runs of the trend; none where they cannot be read: they are other runs' matter."""
    try:
        return alike_until(source.path, NIGHTS)
    except (OSError, ValueError, sqlite3.Error):
        return []


def _acceptance(each: Acceptance) -> list[str]:
    told = (str(each.entry.expires), each.kind, each.scope, each.who, str(each.used))
    return [safe(text, 300) for text in (*told, each.entry.reason, "; ".join(each.notes))]


def _rank(view: ControlView) -> tuple[int, int, int, str]:
    """What fails before all else, by severity, then by how many hosts."""
    severity = SEVERITIES.index(view.control.severity)
    return ORDER.index(view.status), -severity, -view.counts[view.status], view.control.id


def _host(number: int, given: dict[str, Any]) -> HostView:
    facts = given["facts"]
    engines = [f"{each.get('name')} {each.get('version')}" for each in facts.get("engines") or []]
    about = [str(facts.get(key) or "") for key in ("os", "kernel")] + engines
    return HostView(
        number, safe(given["name"], 200), safe(given["target"], 200), given["status"],
        safe(given["reason"], 400), ", ".join(safe(each, 80) for each in about if each),
        given["totals"],
    )  # fmt: skip


def _take(view: ControlView, host: HostView, verdict: Verdict, limits: Limits) -> None:
    view.counts[verdict.status] += 1
    host.cells[view.control.id] = verdict.status
    reason = safe(verdict.reason, 600)
    if verdict.status in NEEDING:
        if len(view.needing) < limits.hosts:
            view.needing.append((host, verdict.status, reason))
        else:
            view.hidden += 1
    findings = [_finding(each) for each in verdict.findings[: limits.findings]]
    more = len(verdict.findings) - len(findings)
    view.packed.append(
        [host.number, verdict.status, reason, findings, more, list(verdict.evidence)]
    )


def _finding(finding: Finding) -> list[str]:
    told = [
        "" if each is None else shown(each, 600) for each in (finding.expected, finding.observed)
    ]
    return [safe(finding.object.kind, 60), safe(finding.object.name, 300), finding.status, *told,
            safe(finding.reason, 600)]  # fmt: skip


def _benchmarks(
    controls: list[ControlView],
) -> list[tuple[str, list[tuple[str, str, Counter[str], list[str]]]]]:
    """Return for each numbering its numbers, with their mark, counts and controls."""
    found: dict[str, dict[str, tuple[str, Counter[str], list[str]]]] = {}
    for view in controls:
        for mark, given in (("", view.control.references), (UNCONFIRMED, view.control.proposed)):
            for name, numbers in given.items():
                for number in numbers:
                    items = found.setdefault(name, {})
                    _, counts, members = items.setdefault(number, (mark, Counter(), []))
                    counts.update(view.counts)
                    members.append(view.control.id)
    return [
        (name, [(number, *items[number]) for number in sorted(items, key=_number)])
        for name, items in sorted(found.items())
    ]


def _number(text: str) -> list[tuple[int, str]]:
    parts = text.replace("(", ".").replace(")", "").replace("-", ".").split(".")
    return [(int(each), "") if each.isdecimal() else (0, each) for each in parts]


def _evidence(
    source: Source, hosts: dict[str, HostView], wanted: dict[str, set[int]], limits: Limits
) -> tuple[dict[int, str], int]:
    """Return the packed evidence of as many hosts as there is room for, the worst first."""
    worst_first = sorted(wanted, key=lambda name: -_badness(hosts[name].totals))
    found: dict[int, str] = {}
    room = limits.evidence
    for name in worst_first:
        recording = source.recording(name)
        told = {
            number: _command(recording[number], limits)
            for number in sorted(wanted[name])
            if number < len(recording)
        }
        packed = pack(told)
        if len(packed) > room:
            return found, len(worst_first) - len(found)
        room -= len(packed)
        found[hosts[name].number] = packed
    return found, 0


def _badness(totals: dict[str, int]) -> int:
    return totals.get("fail", 0) * 1000 + totals.get("error", 0) + totals.get("unknown", 0)


def _command(evidence: Evidence, limits: Limits) -> list[Any]:
    out, err = (_output(each, limits) for each in (evidence.stdout, evidence.stderr))
    exit_code = "" if evidence.exit is None else evidence.exit
    return [safe(evidence.command, 1500), exit_code, out, err, safe(evidence.trouble, 300)]


def _output(data: bytes, limits: Limits) -> str:
    text = data[: limits.output * 4].decode("utf-8", "surrogateescape")[: limits.output]
    lines = "\n".join(safe(line, limits.output) for line in text.split("\n"))
    left = len(data) - len(text.encode("utf-8", "surrogateescape"))
    return f"{lines}\n... ({left} more bytes in the recording)" if left > 0 else lines
