"""What a finished run gets besides its evidence: the reports, then the seal over everything."""

from __future__ import annotations

from pathlib import Path

from hullcheck.benchmarks import Benchmark
from hullcheck.report.table import render
from hullcheck.run.directory import read_run, read_verdicts, replace_text
from hullcheck.run.seal import seal

__all__ = ["publish"]

WIDTH = 120
"""Columns of table.txt: what a page in landscape holds."""


def publish(path: Path, benchmark: Benchmark, key: str | None = None) -> None:
    """Write the reports of a finished run into its directory, and seal it.

    :param key: what to sign with, see :func:`hullcheck.run.seal.seal`.
    :raises SealError: it could not be signed; all else is there.
    """
    text = render(read_run(path), read_verdicts(path), benchmark=benchmark, width=WIDTH)
    replace_text(path / "table.txt", text.rstrip("\n"))
    seal(path, key)
