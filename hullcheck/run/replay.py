"""Judging a run again from its recordings: no host, no network, the same verdicts."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from hullcheck.control import Control
from hullcheck.inventory.attestations import Attestation, answer
from hullcheck.inventory.policy import Policy
from hullcheck.inventory.waivers import Waiver, apply
from hullcheck.judge import Site, judge
from hullcheck.run.directory import RunDirectory, read_run
from hullcheck.run.seal import previous_file
from hullcheck.run.site import SiteRecord, read_site
from hullcheck.transport import Evidence, Session, host_of
from hullcheck.transport.recording import Replay, load
from hullcheck.verdict import HostRecord, Verdict, totals

__all__ = ["rejudge", "replay"]


def replay(source: Path, destination: Path, controls: Iterable[Control]) -> RunDirectory:
    """Judge a run directory again into a new one, by the same policy, waivers and time.

    :raises ValueError: the run cannot be read. :raises OSError: the new one cannot be written.
    """
    run, site = read_run(source), read_site(source)
    chosen = tuple(controls)
    directory = RunDirectory(destination, replace(run, hosts=[], finished=None), chosen, site)
    if kept := previous_file(source):
        shutil.copy(kept[1], destination)
    for host in run.hosts:
        evidence = load(source / host.recording) if host.recording else []
        began = site.started.get(host.name, run.started)
        verdicts = _verdicts(host, evidence, chosen, site, _time(began))
        counted = replace(host, totals=totals(verdict.status for verdict in verdicts))
        directory.add(counted, verdicts, evidence)
    if run.finished:
        directory.finish(_time(run.finished))
    return directory


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _verdicts(
    host: HostRecord,
    evidence: list[Evidence],
    controls: tuple[Control, ...],
    site: SiteRecord,
    started: datetime,
) -> list[Verdict]:
    if host.recording is None:
        return []
    policy = site.policies.get(host.name, Policy())
    known = Site(host.name, policy, site.roles.get(host.name, ()), started)
    return rejudge(evidence, controls, known, site.waivers, site.attestations)


def rejudge(
    evidence: list[Evidence],
    controls: Iterable[Control],
    site: Site,
    waivers: Iterable[Waiver] = (),
    attestations: Iterable[Attestation] = (),
) -> list[Verdict]:
    """Judge controls from a recording; what was not recorded is unknown."""
    session = Session(Replay(evidence))
    session.preload(evidence)
    host = host_of(session, site.name, "recording")
    accepted, said, today = tuple(waivers), tuple(attestations), site.started.date()
    judged = (judge(each, host, site) for each in controls)
    return [apply(answer(each, said, today), accepted, today) for each in judged]
