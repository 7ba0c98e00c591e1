"""Auditing one host, from connection to verdicts."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import partial
from random import SystemRandom
from typing import Any

from testinfra.host import Host

from hullcheck import catalogue, facts
from hullcheck.control import Control, Outcome
from hullcheck.facts.distribution import OS_RELEASE, parse_os_release
from hullcheck.facts.kubernetes.requests import cluster_version
from hullcheck.inventory.attestations import Attestation, answer
from hullcheck.inventory.policy import Policy
from hullcheck.inventory.waivers import Waiver, apply
from hullcheck.judge import Site, judge
from hullcheck.run.directory import recording_name
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
from hullcheck.transport.target import SSH_SCHEMES, Target
from hullcheck.verdict import HostRecord, Status, Verdict, totals

__all__ = ["HostAudit", "Plan", "Subject", "audit_host", "close_all"]

HOST_SECONDS = 900.0
"""How long one host may take, where nobody says otherwise."""

LATE_SECONDS = 5.0
"""How long a host that was cut off may take to tell what it has."""

RETRIES = {"lost": 3, "refused": 1, "timeout": 1}
"""How often connecting is tried again, by how it went: sshd turns some away at random when many
come at once (MaxStartups in sshd_config(5)), and one that is restarted refuses."""

CLOSE_SECONDS = 3.0
"""How long closing connections may take when all is to end at once."""

PAUSE = 0.5
"""Seconds before connecting again, doubled each time, and up to half of it taken off at random."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A host to audit, and the site values it is judged by."""

    target: Target
    policy: Policy = field(default_factory=Policy)
    role: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What an audit is to do, the same for every host.

    To another process it goes with the controls' ids, and that process must know the same ones.

    :param started: the run's start, the only clock a control knows.
    :param salt: what fingerprints of secrets are salted with.
    :param host_seconds: how long one host may take.
    """

    controls: tuple[Control, ...]
    started: datetime
    waivers: tuple[Waiver, ...] = ()
    attestations: tuple[Attestation, ...] = ()
    sudo_password: str | None = field(default=None, repr=False)
    connect_timeout: float | None = None
    salt: bytes = field(default=b"", repr=False)
    host_seconds: float = HOST_SECONDS

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as ids and a digest: functions do not."""
        names = tuple(each.id for each in self.controls)
        rest = tuple(getattr(self, each.name) for each in fields(self)[1:])
        return _plan, (names, _digest(names), *rest)


def _plan(names: tuple[str, ...], digest: str, *rest: Any) -> Plan:
    """Return a plan that has travelled. :raises ValueError: the controls here are others."""
    if _digest(names) != digest:
        raise ValueError(
            "the worker's hullcheck has other controls than the auditor's: install the same there"
        )
    known = catalogue.all_controls()
    return Plan(tuple(known[each] for each in names), *rest)


@functools.lru_cache(maxsize=1)
def _digest(names: tuple[str, ...]) -> str:
    known = catalogue.all_controls()
    return catalogue.digest(known[each] for each in names if each in known)


@dataclass(frozen=True, slots=True)
class HostAudit:
    """What came of one host."""

    record: HostRecord
    verdicts: tuple[Verdict, ...]
    evidence: tuple[Evidence, ...]


_sessions: weakref.WeakSet[Session] = weakref.WeakSet()
_waited: weakref.WeakSet[Future[HostAudit]] = weakref.WeakSet()


def audit_host(subject: Subject, plan: Plan) -> HostAudit:
    """Audit one host. Whatever it does, this returns, in time: an unreachable host is a record.

    :raises CancelledError: another thread called :func:`close_all`.
    """
    future: Future[HostAudit] = Future()
    sessions: list[Session] = []
    _waited.add(future)
    threading.Thread(target=_fill, args=(future, subject, plan, sessions), daemon=True).start()
    try:
        return future.result(plan.host_seconds)
    except TimeoutError:
        return _late(subject, plan, future, sessions)
    except BaseException:
        _close(sessions)
        raise


def close_all() -> None:
    """End every audit of this process, and close its connections, as far as that goes quickly."""
    for each in list(_waited):
        with contextlib.suppress(InvalidStateError):
            each.set_exception(CancelledError())
    closing = _close(list(_sessions))
    end = time.monotonic() + CLOSE_SECONDS
    for thread in closing:
        thread.join(max(0.0, end - time.monotonic()))


def _fill(future: Future[HostAudit], subject: Subject, plan: Plan, sessions: list[Session]) -> None:
    def opened(session: Session) -> None:
        sessions.append(session)
        _sessions.add(session)

    with contextlib.suppress(InvalidStateError):
        try:
            future.set_result(_audit(subject, plan, opened))
        except InvalidStateError:
            raise
        except BaseException as error:  # it is raised where the future is waited for
            future.set_exception(error)


def _late(
    subject: Subject, plan: Plan, future: Future[HostAudit], sessions: Sequence[Session]
) -> HostAudit:
    """Cut a host off, and return what came of it."""
    why = f"took more than {plan.host_seconds:g} s (--host-timeout)"
    _close(sessions)
    target = subject.target
    try:
        found = future.result(LATE_SECONDS)
    except TimeoutError:
        return HostAudit(HostRecord(target.name, target.display, "unreachable", why), (), ())
    if found.record.status != "unreachable":
        found.record.status = "partial"
        found.record.reason = f"{why}; what it had not answered by then is unknown"
    return found


def _close(sessions: Sequence[Session]) -> list[threading.Thread]:
    closing = [threading.Thread(target=each.close, daemon=True) for each in sessions]
    for each in closing:
        each.start()
    return closing


def _audit(subject: Subject, plan: Plan, opened: Callable[[Session], None]) -> HostAudit:
    target = subject.target
    record = HostRecord(target.name, target.display, "audited")
    clock = time.monotonic()
    session: Session | None = None
    verdicts: tuple[Verdict, ...] = ()
    try:
        host = _connected(target, plan)
        session = session_of(host)
        opened(session)
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
    if session is not None:
        session.forget()
    return HostAudit(record, verdicts, evidence)


def _connected(target: Target, plan: Plan) -> Host:
    """Connect, and try again where that may help: never once a host has let us in.

    :raises Unreachable: it did not help.
    """
    tries: Counter[str] = Counter()
    while True:
        try:
            return connect(
                target,
                sudo_password=plan.sudo_password,
                connect_timeout=plan.connect_timeout,
                redact=Redactor(plan.salt, filter(None, [plan.sudo_password, target.password])),
            )
        except Unreachable as unreachable:
            tries[unreachable.kind] += 1
            again = RETRIES.get(unreachable.kind, 0) if target.scheme in SSH_SCHEMES else 0
            if tries[unreachable.kind] > again:
                raise
            time.sleep(PAUSE * 2 ** tries.total() * SystemRandom().uniform(0.5, 1))


def _verdicts(host: Host, site: Site, plan: Plan) -> tuple[Verdict, ...]:
    """Judge all controls, each as soon as all is known that it asks for."""
    questions: list[Callable[[], Any]] = [partial(_summary, host)]
    questions += [partial(judge, each, host, site) for each in plan.controls]
    _, *judged = session_of(host).gather(questions)
    today = plan.started.date()
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
    if session.cluster:
        return {"os": cluster_version(host), "kernel": "", "engines": []}
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
