"""``hullcheck audit``: audit hosts, print the table, keep the evidence."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from hullcheck import catalogue
from hullcheck.commands._ending import add_ending, ending
from hullcheck.commands._shared import Commands, add_verbose, command, print_table
from hullcheck.report.progress import Progress
from hullcheck.report.publish import Publication, add_publishing, publication
from hullcheck.report.text import safe
from hullcheck.run.directory import RunDirectory
from hullcheck.run.executors import AT_ONCE, crew_of
from hullcheck.run.fleet import audit
from hullcheck.run.options import Request, UsageError, add_options, prepare, resume

__all__ = ["Terminated", "declare"]

TEXT = """\
Audits hosts over SSH, prints the table and keeps the evidence in a run directory.

Many hosts are audited at once; what one of them does changes nothing for the others. Ctrl-C and
SIGTERM keep every host that is finished, and --resume DIR goes on with the rest.
"""


class Terminated(KeyboardInterrupt):
    """SIGTERM came: end as with Ctrl-C."""


def declare(commands: Commands) -> None:
    """Declare the command."""
    about = "audit hosts, print the table, keep the evidence"
    one = command(commands, "audit", _audit, about, TEXT)
    one.add_argument(
        "hosts", nargs="*", metavar="SPEC",
        help="local://, ssh://[user@]host[:port], paramiko://…, docker://name, recording://FILE; "
        "without a scheme: paramiko",
    )  # fmt: skip
    add_options(one.add_argument)
    add_publishing(one.add_argument)
    add_ending(one.add_argument)
    one.add_argument("--sudo", action="store_true", help="become root on the hosts with sudo -n")
    one.add_argument("--ssh-config", metavar="FILE", help="instead of ~/.ssh/config")
    one.add_argument(
        "--control", action="append", default=[], metavar="ID",
        help="only this control (may be given several times)",
    )  # fmt: skip
    add_verbose(one)
    _add_fleet(one.add_argument_group("many hosts").add_argument)


def _add_fleet(add: Callable[..., Any]) -> None:
    add(
        "--concurrency", metavar="N", type=_positive(int),
        help=f"hosts that are audited at the same time (default: {AT_ONCE})",
    )  # fmt: skip
    add(
        "--host-timeout", metavar="SECONDS", type=_positive(float),
        help="how long one host may take (default: 900); what it has not answered is unknown",
    )  # fmt: skip
    add(
        "--workers", choices=("threads", "processes"),
        help="what to audit on (default: processes for more than a few hosts, where there are "
        "several processors)",
    )  # fmt: skip
    add(
        "--scheduler", metavar="ADDRESS",
        help="audit on a Dask cluster, such as tcp://10.0.0.1:8786; needs hullcheck[cluster]",
    )  # fmt: skip
    add(
        "--shard", metavar="I/N",
        help="only the I-th of N equal parts of the hosts; hullcheck merge puts them together",
    )  # fmt: skip
    add("--resume", metavar="DIR", help="go on with a run that was interrupted")
    add("-q", "--quiet", action="store_true", help="do not tell how it goes")


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = kind(text)
        if not value > 0:
            raise ValueError
        return value

    number.__name__ = "number above 0"
    return number


def _audit(options: argparse.Namespace) -> int:
    request, end = _request(options), ending(options)
    for note in request.notes:
        print(f"hullcheck: {safe(note)}", file=sys.stderr)
    wanted = publication(options, request.benchmark)
    secret = request.plan.sudo_password or any(each.target.password for each in request.chosen)
    if options.scheduler and secret and not options.scheduler.startswith("tls://"):
        raise UsageError("a password goes to a scheduler only through tls://, or not at all")
    with _terminable():
        crew = crew_of(options, len(request.chosen))
        directory = request.open()
        with _told(options, request, directory, wanted) as progress:
            audit(
                request.chosen, request.plan, directory, crew.executor,
                at_once=crew.at_once, told=progress,
            )  # fmt: skip
    return end.code(directory)


def _request(options: argparse.Namespace) -> Request:
    if options.resume:
        others = ("hosts", "inventory", "limit", "tag", "policy", "waivers", "attestations",
                  "report_dir", "control", "shard", "sudo", "ssh_config")  # fmt: skip
        given = [each for each in others if getattr(options, each)]
        if given:
            raise UsageError(
                f"--resume goes on with what the run began with; leave out {', '.join(given)}"
            )
        return resume(options)
    if not options.hosts and not options.inventory:
        raise UsageError("name the hosts to audit, such as local:// or ssh://web1, or -i INVENTORY")
    try:
        known = catalogue.all_controls().values()
        controls = catalogue.select(options.control) if options.control else known
    except KeyError as error:
        raise UsageError(error.args[0]) from error
    return prepare(options, options.hosts, controls)


@contextlib.contextmanager
def _told(
    options: argparse.Namespace, request: Request, directory: RunDirectory, wanted: Publication
) -> Iterator[Callable[..., None]]:
    """Tell how it goes, and at the end print the table, whatever ended it."""
    total = len(request.chosen)
    progress = Progress(total, sys.stderr) if total > 1 and not options.quiet else None
    try:
        yield progress or (lambda _record, _running: None)
        if progress:
            progress.close()
        wanted.publish(directory.path)
    except KeyboardInterrupt:
        if progress:
            progress.close()
        print(
            f"hullcheck: interrupted; go on with: hullcheck audit --resume {directory.path}",
            file=sys.stderr,
        )
        raise
    finally:
        print_table(directory.path, request.benchmark, options.verbose)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Make SIGTERM end the audit as Ctrl-C does."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
