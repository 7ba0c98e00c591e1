"""``hullcheck waive``: accept a failure."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hullcheck import catalogue
from hullcheck.commands._shared import Commands, command
from hullcheck.inventory.policy import Policy, load_policy
from hullcheck.inventory.waive import waive
from hullcheck.inventory.waivers import Waiver, parse_day
from hullcheck.run.options import UsageError

__all__ = ["declare"]


def declare(commands: Commands) -> None:
    """Declare the command."""
    one = command(
        commands, "waive", _waive, "accept a failure: append a waiver to a file",
        "Appends a waiver to a file, after checking it; see docs/operators.md.",
    )  # fmt: skip
    one.add_argument("file", metavar="FILE", type=Path, help="the waivers file; made if needed")
    for name, about in (
        ("control", "the control's id, or a pattern: runtime.*"),
        ("reason", "why the failure is accepted"),
        ("owner", "who answers for it"),
        ("expires", "the last day it holds, YYYY-MM-DD, UTC"),
    ):
        one.add_argument(f"--{name}", required=True, help=about)
    one.add_argument("--host", default="*", metavar="PATTERN", help="only of these hosts")
    one.add_argument("--object", default="*", metavar="PATTERN", help="only for these objects")
    one.add_argument("--ticket", default="", help="where it was discussed")
    one.add_argument("--policy", metavar="FILE", help="whose maximum_waiver_days counts")


def _waive(options: argparse.Namespace) -> int:
    try:
        policy = load_policy(options.policy) if options.policy else Policy()
        latest = datetime.now(UTC).date() + timedelta(days=policy.maximum_waiver_days)
        waiver = Waiver(
            options.control, options.reason, options.owner, parse_day(options.expires),
            options.host, options.object, options.ticket,
        )  # fmt: skip
        waive(options.file, waiver, catalogue.all_controls(), latest)
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from error
    print(f"{options.file}: {waiver.control} is waived until {waiver.expires}")
    return 0
