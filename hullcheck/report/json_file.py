"""JSON: the run and all its verdicts in one document, as run.json and verdicts.jsonl have them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hullcheck.report.source import Source
from hullcheck.report.streamed import PLACE, write_lists

__all__ = ["write"]


def write(source: Source, path: Path) -> None:
    """Write a run as one JSON document."""
    write_lists(
        path, {**source.document, "verdicts": [PLACE.format("verdicts")]}, verdicts=_lines(source)
    )


def _lines(source: Source) -> Iterator[Any]:
    with (source.path / "verdicts.jsonl").open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)
