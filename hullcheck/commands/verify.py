"""``hullcheck verify``: is a run as it was, and who says so."""

from __future__ import annotations

import argparse
from pathlib import Path

from tabulate import tabulate

from hullcheck.commands._shared import Commands, add_directory, command
from hullcheck.report.text import safe
from hullcheck.run.options import UsageError
from hullcheck.run.verify import verify

__all__ = ["declare"]

_MARKS = {True: "good", False: "BAD", None: "-"}


def declare(commands: Commands) -> None:
    """Declare the command."""
    one = command(
        commands, "verify", _verify,
        "check a run's checksums, signature and chain, and judge its recordings again",
    )  # fmt: skip
    add_directory(one)
    one.add_argument(
        "--signers", metavar="FILE", type=Path,
        help="who may have signed: allowed_signers of ssh-keygen, namespace hullcheck",
    )  # fmt: skip
    one.add_argument("--no-judging", action="store_true", help="do not judge the recordings again")


def _verify(options: argparse.Namespace) -> int:
    try:
        checks = verify(options.directory, options.signers, judge=not options.no_judging)
    except ValueError as error:
        raise UsageError(str(error)) from error
    rows = [[_MARKS[each.good], each.what, safe(each.told, 400)] for each in checks]
    print(tabulate(rows, tablefmt="plain"))
    bad = any(each.good is False for each in checks)
    print("the run does not verify" if bad else "the run verifies")
    return int(bad)
