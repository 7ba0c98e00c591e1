"""Runs of several nights that lie side by side, for tests of what is told between them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from hullcheck.catalogue import all_controls
from hullcheck.run.directory import RunDirectory
from hullcheck.run.site import SiteRecord
from hullcheck.verdict import Finding, HostRecord, Object, Run, Status, Verdict, totals

MEDIUM, HIGH, CRITICAL = "engine.configuration-drift", "runtime.no-new-privileges", "engine.api-tls"
"""Controls of these severities."""

CONTROLS = (MEDIUM, HIGH, CRITICAL)


def night(
    place: Path,
    day: int,
    hosts: Mapping[str, Mapping[str, str] | str],
    *,
    finished: bool = True,
    controls: tuple[str, ...] = CONTROLS,
    target: str = "ssh://{}",
) -> RunDirectory:
    """Make the run of a night of November 2026.

    :param hosts: by name: control -> status, or "fail a,b" for those that fail of two objects; or
        how it was lost: "unreachable: why", "partial: why".
    """
    started = f"2026-11-{day:02}T02:15:00Z"
    run = Run(f"202611{day:02}T021500Z-aaaa", started, controls_digest="sha256:0")
    path = place / run.id
    made = RunDirectory(path, run, [all_controls()[each] for each in controls], SiteRecord())
    for name, said in hosts.items():
        record = HostRecord(name, target.format(name), "audited")
        if isinstance(said, str):
            record.status, _, record.reason = said.partition(": ")
            made.add(record, [], [])
            continue
        verdicts = [_verdict(name, control, text) for control, text in said.items()]
        record.totals = totals(each.status for each in verdicts)
        made.add(record, verdicts, [])
    if finished:
        made.finish(datetime(2026, 11, day, 2, 20, tzinfo=UTC))
    return made


def _verdict(host: str, control: str, said: str) -> Verdict:
    word, _, names = said.partition(" ")
    status = Status(word)
    found = tuple(
        Finding(Object("container", name, "id"), status, reason="r") for name in names.split(",")
    )
    return Verdict(host, control, status, "r", found if names else ())
