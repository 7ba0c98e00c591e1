"""What a finished run gets besides its evidence: the reports, then the seal over everything."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hullcheck.benchmarks import Benchmark
from hullcheck.report.acceptances import odd_acceptances
from hullcheck.report.formats import FORMATS, MissingExtra, needed, write
from hullcheck.report.source import Source
from hullcheck.report.table import render_run
from hullcheck.report.text import safe
from hullcheck.run.directory import replace_text
from hullcheck.run.index import remember
from hullcheck.run.options import UsageError
from hullcheck.run.seal import SealError, seal

__all__ = ["Publication", "add_publishing", "publication"]

WIDTH = 120
"""Columns of table.txt: what a page in landscape holds."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What is made of a run, beside the table.

    :param formats: names of FORMATS. ``key``: what to sign with, see run/seal.py.
    """

    benchmark: Benchmark
    formats: tuple[str, ...] = ()
    key: str | None = None

    def publish(self, path: Path) -> None:
        """Write the reports of a finished run into its directory, seal it, and index it.

        :raises UsageError: it could not be signed; all else is there.
        """
        source = Source(path)
        text = render_run(path, benchmark=self.benchmark, width=WIDTH)
        noted = [f"{text.rstrip()}", *odd_acceptances(source)]
        replace_text(path / "table.txt", "\n".join(noted))
        for name in self.formats:
            write(name, source)
        try:
            seal(path, self.key)
        except SealError as error:
            raise UsageError(str(error)) from error
        if told := remember(path):
            print(f"hullcheck: {safe(told)}", file=sys.stderr)


def add_publishing(add: Callable[..., Any]) -> None:
    """Declare the options with argparse's or pytest's own function."""
    add(
        "--report", metavar="FORMAT", action="append", default=[], choices=tuple(FORMATS),
        help=f"also report the run so (may be given several times): {', '.join(FORMATS)}",
    )  # fmt: skip
    add(
        "--sign", metavar="KEY",
        help="sign the run's checksums with ssh-keygen: the file of a private key, or of a public "
        "key whose private one an agent holds",
    )  # fmt: skip


def publication(options: Any, benchmark: Benchmark) -> Publication:
    """Return what the options ask for.

    :raises UsageError: it cannot be made: better said before hosts are audited than after.
    """
    formats = tuple(dict.fromkeys(options.report))
    try:
        for name in formats:
            needed(name)
    except MissingExtra as error:
        raise UsageError(str(error)) from error
    if options.sign and not Path(options.sign).expanduser().is_file():
        raise UsageError(
            f"--sign {options.sign}: there is no such file; name a key of ssh-keygen's"
        )
    return Publication(benchmark, formats, options.sign)
