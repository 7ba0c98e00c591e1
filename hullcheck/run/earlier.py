"""The audits that a host had before a run: in the finished runs that lie beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from hullcheck.run.directory import VERDICTS, read_run, read_verdicts
from hullcheck.verdict import HostRecord, Run, Status, Verdict

__all__ = ["FAILING", "Known", "earlier", "known_before", "last_audits"]

FURTHEST = 100
"""How many runs are looked back: hosts that were last audited before that are as if never."""

FAILING = f'"{Status.FAIL}"'
"""What the line of a verdict holds that fails, whatever else it holds."""

_ID = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-[0-9a-f]+")


def earlier(path: Path, started: str) -> Iterator[tuple[Path, Run]]:
    """Yield the finished runs beside a run directory that began before a time, newest first.

    What cannot be read is none.
    """
    found = []
    for place in path.resolve().parent.glob("*/run.json"):
        if place.parent.is_symlink() or place.parent == path.resolve():
            continue
        began = _began(place.parent)
        if began and began < started:
            found.append((began, place.parent))
    for _, place in sorted(found, reverse=True)[:FURTHEST]:
        run = _run(place)
        if run and run.finished and run.started < started:
            yield place, run


def _began(place: Path) -> str | None:
    """Return when a run began: told by its name, if that is a run's, as this is quick."""
    if name := _ID.fullmatch(place.name):
        year, month, day, *clock = name.groups()
        return f"{year}-{month}-{day}T{':'.join(clock)}Z"
    run = _run(place)
    return run.started if run else None


def _run(place: Path) -> Run | None:
    try:
        return read_run(place)
    except ValueError:
        return None


def last_audits(path: Path, run: Run) -> dict[str, str]:
    """Return when each host of a run was last audited to its end, this run included.

    The time is that of the run's start. A host that never was is left out. Hosts are known by
    their names: of one whose shard was lost nobody knows more.
    """
    found = {host.name: run.started for host in _whole(run.hosts)}
    wanted = {host.name for host in run.hosts} - found.keys()
    for _, other in earlier(path, run.started) if wanted else ():
        here = {host.name for host in _whole(other.hosts)} & wanted
        found |= dict.fromkeys(here, other.started)
        wanted -= here
        if not wanted:
            break
    return found


class Known:
    """What failed of a run's hosts when each was audited before.

    :param strangers: those that were not, as far as can be seen: all is new that fails there.
    """

    def __init__(self, fails: set[int], strangers: tuple[str, ...]) -> None:
        self._fails = fails
        self.strangers = strangers

    def is_new(self, verdict: Verdict) -> bool:
        """Whether a verdict fails, of something that did not fail before."""
        return not self._fails.issuperset(_fails(verdict))


def known_before(path: Path, run: Run) -> Known:
    """Return what failed before a run, of each of its hosts in the last whole audit it had.

    A host is the same if it was reached at the same target, too: a run of somebody else's
    ``web1`` that lies there by chance excuses nothing.

    :raises ValueError: the verdicts of an earlier run are damaged.
    """
    wanted = {_who(host) for host in run.hosts}
    fails: set[int] = set()
    for place, other in earlier(path, run.started) if wanted else ():
        if not (place / VERDICTS).is_file():
            continue  # retention took them out
        here = {_who(host) for host in _whole(other.hosts)} & wanted
        if here:
            names = {name for name, _ in here}
            for verdict in read_verdicts(place, FAILING):
                if verdict.host in names:
                    fails.update(_fails(verdict))
        wanted -= here
        if not wanted:
            break
    return Known(fails, tuple(host.name for host in run.hosts if _who(host) in wanted))


def _who(host: HostRecord) -> tuple[str, str]:
    return host.name, host.target


def _whole(hosts: Iterable[HostRecord]) -> Iterator[HostRecord]:
    return (host for host in hosts if host.status == "audited")


def _fails(verdict: Verdict) -> Iterator[int]:
    """Yield a number for each thing that a verdict says fails: a fleet's fit in memory."""
    if verdict.status is not Status.FAIL:
        return
    about = [each.object for each in verdict.findings if each.status is Status.FAIL]
    for each in {(one.kind, one.name) for one in about} or {("", "")}:
        yield hash((verdict.host, verdict.control, *each))
