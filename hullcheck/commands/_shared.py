"""What several commands have in common."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from hullcheck.benchmarks import Benchmark
from hullcheck.report.acceptances import odd_acceptances
from hullcheck.report.page import Page
from hullcheck.report.source import Source
from hullcheck.report.table import render_run
from hullcheck.report.text import safe
from hullcheck.run.directory import read_evidence
from hullcheck.run.pruned import read_pruned
from hullcheck.verdict import Run, Status

__all__ = [
    "Commands", "add_directory", "add_verbose", "command", "exit_code", "need", "page_of",
    "print_table", "say",
]  # fmt: skip

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What argparse's ``add_subparsers`` returns."""


def command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    about: str,
    text: str = "",
) -> argparse.ArgumentParser:
    """Return the parser of a new command.

    :param about: its line in ``hullcheck --help``. ``text``: what its own help says first.
    """
    parser = commands.add_parser(
        name, help=about, description=text or f"{about[0].upper()}{about[1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.set_defaults(run=run)
    return parser


def add_directory(parser: argparse.ArgumentParser, name: str = "DIR") -> None:
    """Declare the run directory that a command works on."""
    parser.add_argument("directory", metavar=name, type=Path, help="a run directory")


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """Declare ``-v``."""
    parser.add_argument(
        "-v", "--verbose", action="store_true",
        help="show expected and observed values and the commands that they rest on",
    )  # fmt: skip


def need(path: Path, part: str) -> None:
    """Refuse a run of which retention took a part out: ``verdicts.jsonl`` or ``evidence``.

    :raises ValueError: it did; or its note of that is damaged.
    """
    note = read_pruned(path)
    if note and any(part in (name, name.split("/")[0]) for name in note.removed):
        raise ValueError(f"{path} was {note.told}: {part} is not kept")


def page_of(verbose: bool = False) -> Page:
    """Return how to print on this standard output."""
    terminal = sys.stdout.isatty()
    columns = shutil.get_terminal_size((100, 24)).columns if terminal else 100
    return Page(max(columns, 72), terminal, verbose)


def say(told: str) -> None:
    """Tell a person something beside what was asked for."""
    print(f"hullcheck: {safe(told)}", file=sys.stderr)


def print_table(directory: Path, benchmark: Benchmark, verbose: bool) -> None:
    """Print the table of a run directory as the terminal can show it."""
    terminal = sys.stdout.isatty()
    text = render_run(
        directory,
        benchmark=benchmark,
        width=shutil.get_terminal_size((100, 24)).columns if terminal else 100,
        colour=terminal,
        verbose=verbose,
        recordings=read_evidence(directory) if verbose else None,
    )
    print(text)
    for line in odd_acceptances(Source(directory)):
        print(line)
    print(f"\nEvidence: {directory}")


def exit_code(run: Run, fails: bool = True) -> int:
    """Return the exit code for a run: 0 all clear, 1 a fail, 3 something not known.

    A run without hosts is not known, unless it is a shard of fewer hosts than shards.

    :param fails: False: fails do not count.
    """
    statuses = {status for host in run.hosts for status in host.totals}
    if fails and Status.FAIL in statuses:
        return 1
    lost = any(host.status != "audited" for host in run.hosts) or not (run.hosts or run.shard)
    return 3 if lost or statuses & {Status.ERROR, Status.UNKNOWN} else 0
