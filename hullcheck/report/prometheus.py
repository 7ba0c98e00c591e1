"""Metrics in Prometheus' text format, for the textfile collector of node_exporter.

Every series is there in every run, if need be as 0, so that alerts see a change. Only hosts are
not bounded by what Hullcheck is: beyond HOSTS of them the rest is counted. No sample has a
timestamp, as the collector takes none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from hullcheck.control import AREAS, SEVERITIES
from hullcheck.report.source import Source
from hullcheck.report.text import safe
from hullcheck.run.directory import read_run, replacing
from hullcheck.run.earlier import last_audits
from hullcheck.verdict import Status

__all__ = ["HOSTS", "write"]

HOSTS = 5000
"""How many hosts have series of their own: those that were lost first."""

STATES = ("audited", "partial", "unreachable")
LAST = "hullcheck_host_last_audit_timestamp_seconds"
LARGEST = 20_000_000
"""Bytes of a file of metrics that is read for what it remembers."""

_KEPT = re.compile(rf'{LAST}\{{host="((?:[^"\\]|\\.)*)"\}} (\d{{1,12}})')

Sample: TypeAlias = "tuple[Mapping[str, str], float]"


@dataclass(frozen=True, slots=True)
class Gauge:
    """A metric: its name, what it means, and its samples."""

    name: str
    about: str
    samples: Iterable[Sample]

    def lines(self) -> Iterator[str]:
        """Yield it as text."""
        yield f"# HELP {self.name} {self.about}\n"
        yield f"# TYPE {self.name} gauge\n"
        for labels, value in self.samples:
            told = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
            yield f"{self.name}{f'{{{told}}}' if told else ''} {value:.15g}\n"


def write(source: Source, path: Path) -> None:
    """Write a run's metrics; a reader sees the old file or the new one, never a part.

    When a host was last audited is known from this run, from those beside it, and from the file
    that is replaced.
    """
    hosts = _hosts(source)
    gauges = [*_of_run(source), *_of_verdicts(source), *_of_hosts(source, hosts, path)]
    with replacing(path) as file:
        for gauge in gauges:
            file.writelines(each.encode() for each in gauge.lines())


def _of_run(source: Source) -> Iterator[Gauge]:
    run = source.run
    about = {"run": safe(run["id"], 100), "version": safe(run["tool"]["version"], 100)}
    yield Gauge("hullcheck_run_info", "Which run this is, and of which Hullcheck.", [(about, 1)])
    began, ended = _seconds(run["started"]), run["finished"] and _seconds(run["finished"])
    yield Gauge("hullcheck_run_finished", "1: the run came to its end; 0: it was interrupted.",
                [({}, bool(ended))])  # fmt: skip
    yield Gauge("hullcheck_run_start_timestamp_seconds", "When the run began.", [({}, began)])
    if ended:
        yield Gauge("hullcheck_run_finish_timestamp_seconds", "When the run ended.", [({}, ended)])
        yield Gauge("hullcheck_run_duration_seconds", "How long the run took.",
                    [({}, ended - began)])  # fmt: skip
    yield Gauge("hullcheck_controls", "Controls that each host was judged by.",
                [({}, len(source.controls))])  # fmt: skip


def _of_verdicts(source: Source) -> Iterator[Gauge]:
    """Return the verdicts by what their controls are: as many series, whatever the fleet."""
    found = Counter((each.status, each.control) for each in source.verdicts())
    counts: Counter[tuple[str, str, str]] = Counter()
    for (status, name), count in found.items():
        control = source.controls[name]
        counts[status, control.severity, control.area] += count
    yield Gauge(
        "hullcheck_verdicts",
        "Verdicts of all hosts, by status, and by severity and area of their controls.",
        [
            ({"status": status, "severity": severity, "area": area}, counts[status, severity, area])
            for status in Status
            for severity in SEVERITIES
            for area in AREAS
        ],
    )


def _of_hosts(source: Source, hosts: Mapping[str, dict[str, Any]], path: Path) -> Iterator[Gauge]:
    states = Counter(each["status"] for each in source.hosts)
    yield Gauge(
        "hullcheck_hosts",
        "Hosts by how their audit went: to its end, in part, or not reached.",
        [({"state": each}, states[each]) for each in STATES],
    )
    yield Gauge(
        "hullcheck_hosts_omitted",
        f"Hosts without series of their own, as there are more than {HOSTS}.",
        [({}, len(source.hosts) - len(hosts))],
    )
    yield Gauge(
        "hullcheck_host_state",
        "1 for how the audit of a host went, 0 for how it did not.",
        [
            ({"host": label, "state": state}, state == host["status"])
            for label, host in hosts.items()
            for state in STATES
        ],
    )
    yield Gauge(
        "hullcheck_host_failing_controls",
        "Controls that fail on a host; none for a host that was not reached.",
        [
            ({"host": label}, host["totals"].get(Status.FAIL, 0))
            for label, host in hosts.items()
            if host["status"] != "unreachable"
        ],
    )
    yield Gauge(
        LAST,
        "When the last audit that came to its end began, on each host; 0: none is known.",
        [({"host": label}, when) for label, when in _last(source, hosts, path)],
    )


def _last(
    source: Source, hosts: Mapping[str, dict[str, Any]], path: Path
) -> Iterator[tuple[str, float]]:
    known = last_audits(source.path, read_run(source.path))
    kept = _kept(path)
    now = _seconds(source.run["started"])
    for label, host in hosts.items():
        name = host["name"]
        when = _seconds(known[name]) if name in known else 0.0
        yield label, max(when, *(each for each in (kept.get(label, 0.0), 0.0) if each <= now))


def _kept(path: Path) -> dict[str, float]:
    """Return when hosts were last audited, as the file says that is to be replaced."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(LARGEST)
    except FileNotFoundError:
        return {}
    found = (_KEPT.fullmatch(line) for line in text.splitlines())
    return {_plain(each[1]): float(each[2]) for each in found if each}


def _hosts(source: Source) -> dict[str, dict[str, Any]]:
    """Return the hosts that have series, by label; of two that look the same, the worse one."""
    found: dict[str, dict[str, Any]] = {}
    order = sorted(source.hosts, key=lambda each: -STATES.index(each["status"]))
    for host in order:
        found.setdefault(safe(host["name"], 200), host)
    kept = {label: found[label] for label in list(found)[:HOSTS]}
    return dict(sorted(kept.items()))


def _seconds(time: str) -> float:
    return datetime.strptime(time, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text)
