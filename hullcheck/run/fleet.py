"""Auditing many hosts, some at once, on whatever executor there is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from datetime import UTC, datetime
from itertools import islice

from hullcheck.run.audit import Plan, Subject, audit_host, close_all
from hullcheck.run.crew import ProcessCrew
from hullcheck.run.directory import PackedHost, RunDirectory, pack
from hullcheck.verdict import HostRecord

__all__ = ["Told", "audit", "audited"]

Told = Callable[[HostRecord | None, int], None]
"""Is told of a host that has been written, or of none now and then, and how many are running."""

TELL_SECONDS = 0.5


def audited(subject: Subject, plan: Plan) -> PackedHost:
    """Audit one host, and return its outcome as it is written: this is what executors run."""
    found = audit_host(subject, plan)
    return pack(found.record, found.verdicts, found.evidence)


def audit(
    subjects: Iterable[Subject],
    plan: Plan,
    directory: RunDirectory,
    executor: Executor,
    *,
    at_once: int,
    told: Told = lambda _record, _running: None,
) -> None:
    """Audit hosts; each is written to the run directory as it finishes, and forgotten.

    What is finished stays, whatever stops the run. Hosts whose worker died are audited again,
    one after the other: only the one that kills it is lost.

    :param at_once: how many hosts are given to the executor at a time.
    """
    crowd = _Crowd(plan, directory, told)
    try:
        with _ending(executor):
            crowd.run(subjects, executor, at_once)
        for each in crowd.orphans:
            with _ending(ProcessCrew(1, 1, close_all)) as other:
                crowd.run([each], other, 1, last=True)
    except BaseException:
        close_all()
        directory.write()
        raise
    directory.finish(datetime.now(UTC))


@contextlib.contextmanager
def _ending(executor: Executor) -> Iterator[Executor]:
    """Let go of an executor at the end, whatever is still running."""
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


class _Crowd:
    """The hosts of one run that are running."""

    def __init__(self, plan: Plan, directory: RunDirectory, told: Told) -> None:
        self._plan = plan
        self._directory = directory
        self._told = told
        self._running: dict[Future[PackedHost], Subject] = {}
        self.orphans: list[Subject] = []

    def run(
        self, subjects: Iterable[Subject], executor: Executor, at_once: int, last: bool = False
    ) -> None:
        """Audit hosts, never more at once than that; the next begins when one has ended."""
        waiting = iter(subjects)
        while True:
            for each in islice(waiting, at_once - len(self._running)):
                self._submit(executor, each)
            if not self._running:
                return
            done, _ = wait(self._running, TELL_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                self._ended(future, self._running.pop(future), last)
            if not done:
                self._told(None, len(self._running))

    def _submit(self, executor: Executor, subject: Subject) -> None:
        try:
            future = executor.submit(audited, subject, self._plan)
        except BrokenExecutor as error:
            future = Future()
            future.set_exception(error)
        self._running[future] = subject

    def _ended(self, future: Future[PackedHost], subject: Subject, last: bool) -> None:
        try:
            found = future.result()
        except BrokenExecutor as error:
            if not last:
                self.orphans.append(subject)
                return
            found = _lost(subject, f"the process that audited it died, twice: {error}")
        except Exception as error:
            found = _lost(subject, f"the audit broke: {error!r}")
        self._directory.add_packed(found)
        self._told(found.record, len(self._running))


def _lost(subject: Subject, why: str) -> PackedHost:
    target = subject.target
    return PackedHost(HostRecord(target.name, target.display, "unreachable", why), b"", b"")
