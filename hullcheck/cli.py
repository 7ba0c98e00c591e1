"""The ``hullcheck`` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from hullcheck import __version__
from hullcheck.commands import (
    audit,
    controls,
    diff,
    history,
    merge,
    prune,
    replay,
    report,
    sudoers,
    verify,
    waive,
)
from hullcheck.run.options import UsageError

__all__ = ["main", "parser"]

COMMANDS = (
    audit, report, diff, history, controls, merge, replay, verify, prune, waive, sudoers,
)  # fmt: skip
"""In the order of ``--help``."""

EXAMPLES = """\
examples:
  hullcheck audit local://                          this machine
  hullcheck audit ssh://root@web1 ssh://web2:2222   two hosts, as ~/.ssh/config knows them
  hullcheck audit -i inventories/prod.yml --sudo --limit 'web*'
  hullcheck controls --benchmark cis-docker-1.8.0   what is covered
  hullcheck controls --privileges                   what can be decided without root
  hullcheck verify reports/latest --signers FILE    is it as it was, and who says so
  hullcheck diff --last                             what changed since the run before
  hullcheck history --host web1                     since when what fails there, what flaps
  hullcheck report reports/latest -v                an earlier run's table, with the evidence
  hullcheck sudoers --user audit                    what a host must allow for --sudo

exit codes of audit:
  0  all clear: pass, not-applicable, manual or waived
  1  something fails
  2  wrong usage, or input that cannot be read
  3  nothing fails, but something is unknown, broke or could not be reached
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. :return: its exit code."""
    options = parser().parse_args(argv)
    try:
        code: int = options.run(options)
    except UsageError as error:
        print(f"hullcheck: {error}", file=sys.stderr)
        return 2
    except audit.Terminated:
        return 143
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 141
    return code


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    made = argparse.ArgumentParser(
        prog="hullcheck",
        description="Audits the hosts and engines that carry containers, over SSH, with proof.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"hullcheck {__version__}")
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    for each in COMMANDS:
        each.declare(commands)
    return made
