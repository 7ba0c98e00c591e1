"""``hullcheck audit``: audit hosts, print the table, keep the evidence."""

from __future__ import annotations

import argparse
import sys

from hullcheck import catalogue
from hullcheck.commands._shared import Commands, add_verbose, command, exit_code, print_table
from hullcheck.report.publish import add_publishing, publication
from hullcheck.report.text import safe
from hullcheck.run.audit import HostAudit, audit
from hullcheck.run.options import UsageError, add_options, prepare

__all__ = ["declare"]


def declare(commands: Commands) -> None:
    """Declare the command."""
    one = command(commands, "audit", _audit, "audit hosts, print the table, keep the evidence")
    one.add_argument(
        "hosts", nargs="*", metavar="SPEC",
        help="local://, ssh://[user@]host[:port], paramiko://…, docker://name, recording://FILE; "
        "without a scheme: paramiko",
    )  # fmt: skip
    add_options(one.add_argument)
    add_publishing(one.add_argument)
    one.add_argument("--sudo", action="store_true", help="become root on the hosts with sudo -n")
    one.add_argument("--ssh-config", metavar="FILE", help="instead of ~/.ssh/config")
    one.add_argument(
        "--control", action="append", default=[], metavar="ID",
        help="only this control (may be given several times)",
    )  # fmt: skip
    add_verbose(one)


def _audit(options: argparse.Namespace) -> int:
    if not options.hosts and not options.inventory:
        raise UsageError("name the hosts to audit, such as local:// or ssh://web1, or -i INVENTORY")
    try:
        known = catalogue.all_controls().values()
        controls = catalogue.select(options.control) if options.control else known
    except KeyError as error:
        raise UsageError(error.args[0]) from error
    request = prepare(options, options.hosts, controls)
    wanted = publication(options, request.benchmark)
    directory = request.open()
    several = len(request.subjects) > 1

    def done(finished: HostAudit) -> None:
        record = finished.record
        counts = ", ".join(f"{count} {status}" for status, count in record.totals.items())
        if several:
            print(f"{record.name}: {counts or safe(record.reason)}", file=sys.stderr)

    try:
        audit(request.subjects, request.plan, directory, done)
        wanted.publish(directory.path)
    finally:
        print_table(directory.path, request.benchmark, options.verbose)
    return exit_code(directory.run)
