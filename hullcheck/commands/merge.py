"""``hullcheck merge``: one run from the runs of shards."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hullcheck.benchmarks import load_benchmark
from hullcheck.commands._ending import add_ending, ending
from hullcheck.commands._shared import Commands, add_verbose, command, print_table
from hullcheck.report.publish import add_publishing, publication
from hullcheck.report.text import safe
from hullcheck.run.merge import merge
from hullcheck.run.options import DEFAULT_BENCHMARK, UsageError

__all__ = ["declare"]

TEXT = """\
Puts runs that were made with --shard together into one run of the whole inventory.

Hosts of a shard that is missing, or was not finished, are in it as unreachable: a lost job is
seen in the table, and in the exit code, which is that of hullcheck audit.
"""


def declare(commands: Commands) -> None:
    """Declare the command."""
    one = command(commands, "merge", _merge, "put the runs of shards together into one", TEXT)
    one.add_argument("shards", metavar="DIR", nargs="+", type=Path, help="a shard's run directory")
    one.add_argument(
        "--report-dir", metavar="DIR", type=Path,
        help="where the run is kept (default: reports/RUN-ID)",
    )  # fmt: skip
    one.add_argument("--benchmark", metavar="NAME", default=DEFAULT_BENCHMARK)
    add_publishing(one.add_argument)
    add_ending(one.add_argument)
    add_verbose(one)


def _merge(options: argparse.Namespace) -> int:
    try:
        benchmark = load_benchmark(options.benchmark)
        wanted, end = publication(options, benchmark), ending(options)
        directory, missing = merge(options.shards, options.report_dir)
    except (ValueError, KeyError) as error:
        raise UsageError(error.args[0]) from error
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror or error}") from error
    for each in missing:
        print(f"hullcheck: {safe(each)}", file=sys.stderr)
    wanted.publish(directory.path)
    print_table(directory.path, benchmark, options.verbose)
    return end.code(directory)
