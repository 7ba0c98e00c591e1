"""``hullcheck replay``: judge a run again from its recordings, offline."""

from __future__ import annotations

import argparse
from pathlib import Path

from hullcheck import benchmarks, catalogue
from hullcheck.commands._shared import (
    Commands,
    add_directory,
    add_verbose,
    command,
    exit_code,
    need,
    print_table,
)
from hullcheck.report.publish import Publication
from hullcheck.run.directory import read_document
from hullcheck.run.options import DEFAULT_BENCHMARK, UsageError
from hullcheck.run.replay import replay

__all__ = ["declare"]


def declare(commands: Commands) -> None:
    """Declare the command."""
    one = command(commands, "replay", _replay, "judge a run again from its recordings, offline")
    add_directory(one)
    one.add_argument("--report-dir", metavar="DIR2", type=Path, required=True)
    one.add_argument(
        "--all", action="store_true",
        help="also the controls that the run did not judge: unknown where nothing was recorded",
    )  # fmt: skip
    one.add_argument("--benchmark", metavar="NAME", default=DEFAULT_BENCHMARK)
    add_verbose(one)


def _replay(options: argparse.Namespace) -> int:
    try:
        benchmark = benchmarks.load_benchmark(options.benchmark)
        need(options.directory, "evidence")
        judged = {each["id"] for each in read_document(options.directory)["controls"]}
        known = catalogue.all_controls().values()
        controls = [each for each in known if options.all or each.id in judged]
        directory = replay(options.directory, options.report_dir, controls)
        Publication(benchmark).publish(directory.path)
    except (ValueError, KeyError, OSError) as error:
        raise UsageError(str(error)) from error
    print_table(directory.path, benchmark, options.verbose)
    return exit_code(directory.run)
