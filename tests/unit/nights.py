"""Runs made by hand, night after night, for tests of what changed between them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hullcheck.catalogue import all_controls
from hullcheck.inventory.policy import Policy
from hullcheck.inventory.waivers import Waiver
from hullcheck.run.directory import RunDirectory
from hullcheck.run.seal import before, keep_before, seal
from hullcheck.run.site import SiteRecord
from hullcheck.transport.want import Evidence
from hullcheck.verdict import Finding, HostRecord, Object, Run, Status, Verdict, totals, worst

ASLR, PRIVILEGES, ROOTLESS = "host.aslr", "runtime.no-new-privileges", "engine.rootless"
FIRST = datetime(2026, 9, 1, 2, tzinfo=UTC)

Told = Mapping[str, str | Mapping[str, str]]
"""Of a host: control -> status, or object -> status; a status may have ``: a reason``."""


def night(
    home: Path,
    number: int,
    hosts: Mapping[str, Told | str],
    *,
    controls: tuple[str, ...] = (ASLR, PRIVILEGES, ROOTLESS),
    policy: Policy | None = None,
    waivers: tuple[Waiver, ...] = (),
    finished: bool = True,
    name: str = "",
    key: str | None = None,
    digests: tuple[str, str] = ("sha256:c", "sha256:p"),
) -> Path:
    """Make the run of the night of that number, sealed and chained.

    :param hosts: what is told of each; of one that is not audited, ``status: reason``; of one
        that is partly, control -> status and ``state`` -> ``partial: reason``.
    """
    started = FIRST + timedelta(days=number)
    run = Run(f"{started:%Y%m%dT%H%M%SZ}-aaaa", f"{started:%Y-%m-%dT%H:%M:%SZ}",
              controls_digest=digests[0], policy_digest=digests[1])  # fmt: skip
    path = home / (name or run.id)
    last = before(path) if home.exists() else None
    run.previous = last.digest if last else None
    policies = {each: policy or Policy() for each in hosts}
    chosen = [all_controls()[each] for each in controls]
    made = RunDirectory(path, run, chosen, SiteRecord(policies, {}, waivers))
    if last:
        keep_before(path, last)
    for host, told in hosts.items():
        _add(made, host, told)
    if finished:
        made.finish(started + timedelta(minutes=5))
        (path / "table.txt").write_text("a table\n")
        seal(path, key)
    return path


def _add(made: RunDirectory, host: str, told: Told | str) -> None:
    state = told if isinstance(told, str) else str(told.get("state", "audited"))
    status, _, why = state.partition(": ")
    record = HostRecord(host, f"ssh://{host}", status, why)
    verdicts = []
    if not isinstance(told, str):
        verdicts = [_verdict(host, *each) for each in told.items() if each[0] != "state"]
        record.recording = f"evidence/{host}.jsonl.gz"
    record.totals = totals(each.status for each in verdicts)
    made.add(record, verdicts, [Evidence("true", 0, b"", b"", 0.1)])


def _verdict(host: str, control: str, said: str | Mapping[str, str]) -> Verdict:
    things: dict[str, Any] = {host: said} if isinstance(said, str) else dict(said)
    kind = "host" if isinstance(said, str) else "container"
    findings = []
    for name, text in things.items():
        status, _, reason = text.partition(": ")
        findings.append(Finding(Object(kind, name), Status(status), 1, 2, reason))
    status = worst(each.status for each in findings)
    reason = next((each.reason for each in findings if each.status is status), "")
    return Verdict(host, control, status, reason or f"it is {status}", tuple(findings), (0,))
