"""``hullcheck prune``: take out old runs, and leave what the chain needs."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hullcheck.commands._shared import Commands, command, say
from hullcheck.report.page import tabulated
from hullcheck.report.text import padded, safe, unpadded
from hullcheck.run.options import UsageError
from hullcheck.run.retention import Decision, Rules, decide, prune
from hullcheck.run.seal import SealError

__all__ = ["declare"]

TEXT = """\
Takes evidence, verdicts and reports out of old runs. What is kept is counted back from the newest
run, so that a pause of audits prunes nothing.

Of a pruned run are left its checksums and their signature, its summary and a note of what was
taken out, so that hullcheck verify can still follow the chain of runs. The newest run is never
pruned, nor one that is not finished, not sealed, or not as it was sealed. A run in a directory
that somebody named (--report-dir) is pruned only with --named.

exit codes:
  0  done
  1  a run was kept because it is not as it was sealed
  2  wrong usage, or something cannot be read or written
"""


def declare(commands: Commands) -> None:
    """Declare the command."""
    one = command(commands, "prune", _prune, "take out old runs, and keep the chain", TEXT)
    one.add_argument(
        "directory", nargs="?", metavar="DIR", type=Path, default=Path("reports"),
        help="where the runs lie (default: reports)",
    )  # fmt: skip
    one.add_argument(
        "--keep-within", metavar="TIME", type=_time, required=True,
        help="every run so young: 90d, 26w, 2y",
    )  # fmt: skip
    for what in ("week", "month"):
        one.add_argument(
            f"--keep-{what}ly", metavar="N", type=int, default=0,
            help=f"the last run of each of so many {what}s, of each set of hosts and controls",
        )  # fmt: skip
    one.add_argument(
        "--evidence-only", action="store_true",
        help="keep all verdicts: take out recordings and reports alone",
    )  # fmt: skip
    one.add_argument("--named", action="store_true", help="also runs in directories with own names")
    one.add_argument(
        "--sign", metavar="KEY",
        help="sign the notes as hullcheck audit --sign does; signed runs are pruned only so",
    )  # fmt: skip
    one.add_argument("-n", "--dry-run", action="store_true", help="only tell what would be done")


def _time(text: str) -> timedelta:
    found = re.fullmatch("([0-9]{1,5})([dwy])", text)
    if found is None:
        raise ValueError
    return timedelta(days=int(found[1]) * {"d": 1, "w": 7, "y": 366}[found[2]])


_time.__name__ = "time such as 90d"


def _prune(options: argparse.Namespace) -> int:
    rules = Rules(
        options.keep_within, options.keep_weekly, options.keep_monthly, options.evidence_only,
        options.named,
    )  # fmt: skip
    try:
        decisions = decide(options.directory, rules)
        doomed = [each for each in decisions if not each.why]
        print(_table(decisions))
        if options.dry_run:
            return 0
        if signed := [each for each in doomed if each.signed and not options.sign]:
            raise UsageError(
                f"{len(signed)} of these runs are signed: name a key with --sign, so that "
                "hullcheck verify can tell retention from tampering"
            )
        now = datetime.now(UTC)
        return _each(doomed, lambda each: prune(each, rules, now, options.sign))
    except (ValueError, SealError) as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from error


def _each(doomed: list[Decision], act: Callable[[Decision], None]) -> int:
    """Prune runs, the oldest first. :return: 1 if one of them was tampered with."""
    code = freed = done = 0
    for each in doomed:
        size = each.size
        try:
            act(each)
        except ValueError as error:
            say(str(error))
            code = 1
            continue
        freed, done = freed + size, done + 1
    print(f"{done} runs pruned, {freed / 1e6:.1f} MB freed")
    return code


def _table(decisions: list[Decision]) -> str:
    rows = [
        [each.head.started[:16].replace("T", " "), padded(safe(each.head.directory, 60)),
         str(each.head.hosts), "keep" if each.why else "prune",
         each.why or f"{each.size / 1e6:.1f} MB"]
        for each in decisions
    ]  # fmt: skip
    return unpadded(tabulated(rows, ["started", "run", "hosts", "", ""])) if rows else "no runs"
