"""Auditing hosts: one host from connection to verdicts, and many at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from testinfra.host import Host

from hullcheck import facts
from hullcheck.control import Control, Outcome
from hullcheck.facts.distribution import OS_RELEASE, parse_os_release
from hullcheck.inventory.attestations import Attestation, answer
from hullcheck.inventory.policy import Policy
from hullcheck.inventory.waivers import Waiver, apply
from hullcheck.judge import Site, judge
from hullcheck.run.directory import RunDirectory, recording_name
from hullcheck.transport import (
    CannotAnswer,
    Evidence,
    Session,
    Unreachable,
    session_of,
    want,
)
from hullcheck.transport.connect import connect
from hullcheck.transport.redact import Redactor
from hullcheck.transport.target import Target
from hullcheck.verdict import HostRecord, Status, Verdict, totals

__all__ = ["HostAudit", "Plan", "Subject", "audit", "audit_host"]

AT_ONCE = 8
"""Hosts that are audited at the same time."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A host to audit, and the site values it is judged by."""

    target: Target
    policy: Policy = field(default_factory=Policy)
    role: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What an audit is to do, the same for every host.

    :param started: the run's start, the only clock a control knows.
    :param salt: what fingerprints of secrets are salted with.
    """

    controls: tuple[Control, ...]
    started: datetime
    waivers: tuple[Waiver, ...] = ()
    attestations: tuple[Attestation, ...] = ()
    sudo_password: str | None = field(default=None, repr=False)
    connect_timeout: float | None = None
    salt: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class HostAudit:
    """What came of one host."""

    record: HostRecord
    verdicts: tuple[Verdict, ...]
    evidence: tuple[Evidence, ...]


def audit_host(
    subject: Subject, plan: Plan, opened: Callable[[Session], None] = lambda _: None
) -> HostAudit:
    """Audit one host. Whatever it does, this returns: an unreachable host is a record.

    :param opened: told of the session, so that it can be closed from elsewhere.
    """
    target = subject.target
    record = HostRecord(target.name, target.display, "audited")
    clock = time.monotonic()
    session: Session | None = None
    verdicts: tuple[Verdict, ...] = ()
    try:
        host = connect(
            target,
            sudo_password=plan.sudo_password,
            connect_timeout=plan.connect_timeout,
            redact=Redactor(plan.salt, filter(None, [plan.sudo_password, target.password])),
        )
        session = session_of(host)
        verdicts = _verdicts(
            host, Site(target.name, subject.policy, subject.role, plan.started), plan
        )
        record.facts = _summary(host)
    except Unreachable as unreachable:
        record.status, record.reason = "unreachable", str(unreachable)
        verdicts = ()
    except Exception as error:
        record.status, record.reason = "partial", f"the audit broke: {error!r}"
        broken = Verdict(target.name, "", Status.ERROR, record.reason)
        verdicts = tuple(replace(broken, control=each.id) for each in plan.controls)
    finally:
        if session is not None:
            session.close()
    if session is not None and verdicts:
        _account(record, session)
    record.seconds = round(time.monotonic() - clock, 3)
    record.totals = totals(verdict.status for verdict in verdicts)
    evidence = tuple(session.recording) if session is not None and verdicts else ()
    return HostAudit(record, verdicts, evidence)


def _verdicts(host: Host, site: Site, plan: Plan) -> tuple[Verdict, ...]:
    """Gather what all controls need, then judge from memory."""
    questions = [partial(judge, each, host, site) for each in plan.controls]
    session_of(host).gather([partial(_summary, host), *questions])
    today = plan.started.date()
    judged = (judge(each, host, site) for each in plan.controls)
    return tuple(
        apply(answer(each, plan.attestations, today), plan.waivers, today) for each in judged
    )


def _account(record: HostRecord, session: Session) -> None:
    record.recording = recording_name(record.name)
    record.rounds = session.rounds
    record.commands = len(session.recording)
    lost = [
        each.trouble for each in session.recording if each.trouble.startswith("connection lost")
    ]
    if lost:
        record.status, record.reason = "partial", lost[0]


def _summary(host: Host) -> dict[str, object]:
    """Return what a run says of a host: its system, kernel and engines."""
    session = session_of(host)
    # testinfra's own modules ask these two before anything else.
    session.foresee(want("uname -s"), want("uname -m"))
    release, kernel = session.ask(OS_RELEASE, want("uname -r"))
    try:
        docker = facts.get(host, "docker")
        engines = [
            {"name": "docker", "version": each.version.get("Version", "")} for each in docker
        ]
    except (Outcome, CannotAnswer):
        engines = []
    return {
        "os": "" if release.trouble else parse_os_release(release.text).get("PRETTY_NAME", ""),
        "kernel": "" if kernel.trouble else kernel.text.strip(),
        "engines": engines,
    }


def audit(
    subjects: Sequence[Subject],
    plan: Plan,
    directory: RunDirectory,
    done: Callable[[HostAudit], None] = lambda _: None,
) -> None:
    """Audit hosts, some at once; each is written to the run directory as it finishes.

    What is finished stays, whatever stops the run.

    :param done: called for each host when it has been written.
    """
    executor = ThreadPoolExecutor(max_workers=AT_ONCE)
    sessions: list[Session] = []
    futures: set[Future[HostAudit]] = {
        executor.submit(audit_host, each, plan, sessions.append) for each in subjects
    }
    try:
        while futures:
            finished, futures = wait(futures, return_when=FIRST_COMPLETED)
            for future in finished:
                keep(future.result(), directory)
                done(future.result())
    except BaseException:
        for session in sessions:
            session.close()
        raise
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
    directory.finish(datetime.now(UTC))


def keep(finished: HostAudit, directory: RunDirectory) -> None:
    """Write one host's outcome to the run directory."""
    directory.add(finished.record, finished.verdicts, finished.evidence)
