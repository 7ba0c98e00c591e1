"""``hullcheck report``: the table of an earlier run, or another report of it."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from hullcheck import benchmarks
from hullcheck.commands._shared import (
    Commands,
    add_directory,
    add_verbose,
    command,
    need,
    print_table,
)
from hullcheck.report.formats import FORMATS, MissingExtra, write
from hullcheck.report.source import Source
from hullcheck.run.options import DEFAULT_BENCHMARK, UsageError

__all__ = ["declare"]


def declare(commands: Commands) -> None:
    """Declare the command."""
    one = command(
        commands, "report", _report,
        "print the table of an earlier run, or make another report of it",
        "Without --format the table is printed.",
    )  # fmt: skip
    add_directory(one)
    one.add_argument(
        "--format", metavar="FORMAT", choices=tuple(FORMATS),
        help="; ".join(f"{each.name}: {each.about}" for each in FORMATS.values()),
    )  # fmt: skip
    one.add_argument(
        "-o", "--output", metavar="FILE", type=Path,
        help="where to; - for standard output (default: under the format's usual name, here)",
    )  # fmt: skip
    one.add_argument("--benchmark", metavar="NAME", default=DEFAULT_BENCHMARK)
    add_verbose(one)


def _report(options: argparse.Namespace) -> int:
    try:
        need(options.directory, "verdicts.jsonl")
        if options.verbose:
            need(options.directory, "evidence")
        if options.format:
            _write(options.format, Source(options.directory), options.output)
            return 0
        benchmark = benchmarks.load_benchmark(options.benchmark)
        print_table(options.directory, benchmark, options.verbose)
    except (ValueError, KeyError) as error:
        raise UsageError(error.args[0]) from error
    except (MissingExtra, OSError) as error:
        raise UsageError(str(error)) from error
    return 0


def _write(name: str, source: Source, output: Path | None) -> None:
    if output != Path("-"):
        print(write(name, source, output or Path(FORMATS[name].file)))
        return
    with tempfile.TemporaryDirectory() as folder:
        made = write(name, source, Path(folder) / FORMATS[name].file)
        sys.stdout.buffer.write(made.read_bytes())
