"""``hullcheck diff``: what changed between two runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hullcheck.commands._shared import Commands, command, need, page_of, say
from hullcheck.report.changes import changes_json, changes_table
from hullcheck.run.diff import diff
from hullcheck.run.heads import Head, best_before
from hullcheck.run.index import indexed
from hullcheck.run.options import UsageError

__all__ = ["declare"]

TEXT = """\
Tells what changed from one run to another: newly failing first, the most severe at the top, then
what is no longer known, what was fixed, what changed otherwise, what is new and what is gone.

An object that newly fails counts, even where the control failed before. Another reason or value
alone does not. A host that one run did not see is told as such: nothing of it was fixed or lost.

exit codes:
  0  nothing changed
  1  something did
  2  wrong usage, or a run that cannot be read
  3  the scopes differ: other hosts, controls, policy, roles, waivers or attestations, another
     shard, or a run that was not finished; what can be compared is told all the same
"""


def declare(commands: Commands) -> None:
    """Declare the command."""
    one = command(commands, "diff", _diff, "what changed between two runs", TEXT)
    one.add_argument(
        "directories", nargs="*", metavar="DIR", type=Path,
        help="two run directories, the earlier one first; with --last: where the runs lie",
    )  # fmt: skip
    one.add_argument(
        "--last", action="store_true",
        help="compare the newest finished run in DIR (default: reports) with the one before it of "
        "the same scope, or with the nearest there is",
    )  # fmt: skip
    one.add_argument("--json", action="store_true", help="as JSON, complete")
    one.add_argument(
        "-v", "--verbose", action="store_true", help="every host and object, however many"
    )


def _diff(options: argparse.Namespace) -> int:
    try:
        one, other = _last(options.directories) if options.last else _two(options.directories)
        found = diff(one, other)
        if options.json:
            sys.stdout.writelines(changes_json(found))
        else:
            print(changes_table(found, page_of(options.verbose)), end="")
    except ValueError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from error
    return found.code


def _two(directories: Sequence[Path]) -> tuple[Path, Path]:
    if len(directories) != 2:
        raise UsageError("name two run directories, the earlier one first, or --last")
    for each in directories:
        need(each, "verdicts.jsonl")
    return directories[0], directories[1]


def _last(directories: Sequence[Path]) -> tuple[Path, Path]:
    if len(directories) > 1:
        raise UsageError("with --last, name one directory in which the runs lie")
    home = directories[0] if directories else Path("reports")
    heads = indexed(home, lambda index: index.heads(), say)
    there = [each for each in heads if each.finished and each.verdicts]
    if not there:
        raise UsageError(f"{home} holds no finished run")
    newest = there[-1]
    before = best_before(home, there)
    if before is None:
        raise UsageError(f"{home} holds one finished run, {newest.directory}: nothing to compare")
    if not before.same_scope(newest):
        say(f"no earlier run has the scope of {newest.directory}; compared with {_named(before)}")
    return home / before.directory, home / newest.directory


def _named(head: Head) -> str:
    return f"{head.directory}, of {head.hosts} hosts"
