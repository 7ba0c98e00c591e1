"""How a finished run ends a command: its metrics, its exit code, and why it is that one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from hullcheck.commands._shared import exit_code
from hullcheck.control import SEVERITIES
from hullcheck.report import prometheus
from hullcheck.report.source import Source
from hullcheck.report.text import safe
from hullcheck.run.directory import RunDirectory
from hullcheck.run.earlier import FAILING, known_before
from hullcheck.run.options import UsageError
from hullcheck.verdict import Run, Status, Verdict

__all__ = ["Ending", "add_ending", "ending"]

FAIL_ON = ("any", "high", "new")
GRAVE = SEVERITIES[SEVERITIES.index("high") :]
SHOWN = 3
"""How many hosts or fails the line names."""


def add_ending(add: Callable[..., Any]) -> None:
    """Declare the options."""
    add(
        "--fail-on", metavar="WHAT", action="append", default=[],
        help="which fails make exit code 1: any (default), high (high or critical), new (what did "
        "not fail in the host's last audit beside this one); new,high: what is both",
    )  # fmt: skip
    add(
        "--metrics", metavar="FILE.prom", type=Path,
        help="also write the finished run's metrics there, for node_exporter's textfile collector",
    )  # fmt: skip


def ending(options: Any) -> Ending:
    """Return what the options ask for.

    :raises UsageError: it cannot be done: better said before hosts are audited than after.
    """
    words = [word.strip() for given in options.fail_on for word in given.split(",")]
    if wrong := [word for word in words if word not in FAIL_ON]:
        raise UsageError(f"--fail-on {wrong[0]}: it is one of {', '.join(FAIL_ON)}, or new,high")
    place: Path | None = options.metrics
    if place is not None:
        if place.suffix != ".prom":
            raise UsageError(f"--metrics {place}: node_exporter reads only files named *.prom")
        if not os.access(place.parent, os.W_OK | os.X_OK):
            raise UsageError(f"--metrics {place}: its folder is missing or cannot be written to")
    return Ending(frozenset(words) - {"any"}, place)


@dataclass(frozen=True, slots=True)
class Ending:
    """What makes exit code 1, and where metrics go.

    :param fail_on: what a fail must be to count, all of it: new, high. Empty: any fail does.
    """

    fail_on: frozenset[str]
    metrics: Path | None

    def code(self, directory: RunDirectory) -> int:
        """Write the metrics of a finished run, say on stderr why it ends so, return the exit code.

        :raises UsageError: the metrics cannot be written.
        """
        source = Source(directory.path)
        if self.metrics:
            try:
                prometheus.write(source, self.metrics)
            except OSError as error:
                raise UsageError(f"--metrics {self.metrics}: {error.strerror}") from error
        code, why = self._judged(directory.run, source)
        print(f"hullcheck: exit code {code}: {safe(why, 600)}", file=sys.stderr)
        return code

    def _judged(self, run: Run, source: Source) -> tuple[int, str]:
        fails = sum(host.totals.get(Status.FAIL, 0) for host in run.hosts)
        if fails and not self.fail_on:
            hosts = sum(Status.FAIL in host.totals for host in run.hosts)
            return 1, f"{_many(fails, 'verdict')} failing on {_many(hosts, 'host')}"
        told = f"--fail-on {','.join(sorted(self.fail_on, reverse=True))}"
        if fails:
            counting = self._counting(source, run)
            first = list(islice(counting, SHOWN))
            rest = sum(1 for _ in counting)
            if first:
                named = ", ".join(f"{each.control} on {each.host}" for each in first)
                more = f" and {rest} more" if rest else ""
                return 1, f"of {fails} failing, {len(first) + rest} count ({told}): {named}{more}"
        code = exit_code(run, fails=False)
        parts = [*_doubts(run)] if code else ["nothing that counts fails" if fails else "all clear"]
        parts += [f"{fails} failing do not count ({told})"] if fails else []
        return code, "; ".join(parts)

    def _counting(self, source: Source, run: Run) -> Iterator[Verdict]:
        """Yield the fails that count."""
        known = known_before(source.path, run) if "new" in self.fail_on else None
        if known and known.strangers:
            names = _named(known.strangers)
            told = f"no earlier audit of {names} is beside this one: all that fails there is new"
            print(f"hullcheck: --fail-on new: {told}", file=sys.stderr)
        for verdict in source.verdicts(FAILING):
            if verdict.status is not Status.FAIL:
                continue
            grave = source.controls[verdict.control].severity in GRAVE
            if (grave or "high" not in self.fail_on) and (not known or known.is_new(verdict)):
                yield verdict


def _doubts(run: Run) -> Iterator[str]:
    if not run.hosts:
        yield "no host was audited"
    if lost := [host.name for host in run.hosts if host.status != "audited"]:
        yield f"{_many(len(lost), 'host')} lost or cut off ({_named(lost)})"
    for status in (Status.ERROR, Status.UNKNOWN):
        if count := sum(host.totals.get(status, 0) for host in run.hosts):
            yield f"{_many(count, 'verdict')} {status}"


def _named(names: list[str] | tuple[str, ...]) -> str:
    shown = ", ".join(safe(each, 60) for each in names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
