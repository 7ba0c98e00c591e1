"""``hullcheck controls``: the controls, what a benchmark covers, what needs root."""

from __future__ import annotations

import argparse

from hullcheck import benchmarks, catalogue
from hullcheck.commands._shared import Commands, command
from hullcheck.report.coverage import catalogue_markdown, catalogue_table, coverage_table
from hullcheck.report.privileges import needs, privileges_table
from hullcheck.run.options import UsageError

__all__ = ["declare"]


def declare(commands: Commands) -> None:
    """Declare the command."""
    one = command(commands, "controls", _controls, "list the controls, or what a benchmark covers")
    how = one.add_mutually_exclusive_group()
    how.add_argument("--benchmark", metavar="NAME", help="its items, and what answers each")
    how.add_argument(
        "--privileges", action="store_true", help="which can be decided without root, and which not"
    )
    how.add_argument("--markdown", action="store_true", help="the whole catalogue, as a page")


def _controls(options: argparse.Namespace) -> int:
    try:
        if options.benchmark:
            print(coverage_table(benchmarks.load_benchmark(options.benchmark)))
        elif options.privileges:
            print(privileges_table(catalogue.all_controls(), needs()))
        elif options.markdown:
            print(catalogue_markdown(catalogue.all_controls()), end="")
        else:
            print(catalogue_table(catalogue.all_controls()))
    except (ValueError, KeyError) as error:
        raise UsageError(error.args[0]) from error
    return 0
