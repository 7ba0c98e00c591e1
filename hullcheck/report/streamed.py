"""JSON documents with one long list in them, written without holding the list."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["PLACE", "write_lists"]

PLACE = "@@{}@@"
"""Stands in a document as the only item of a list, named, whose items come one at a time."""


def write_lists(path: Path, document: Any, **lists: Iterable[Any]) -> None:
    """Write a document; where ``[PLACE.format(name)]`` stands, the items of a list are written.

    Everything beyond ASCII is escaped, so that no bidirectional mark reaches whoever opens the
    file. A list that is empty is written as ``[]``.
    """
    rest = json.dumps(document, ensure_ascii=True, indent=1)
    with path.open("w", encoding="ascii") as file:
        for name, items in lists.items():
            before, _, rest = rest.partition(f'"{PLACE.format(name)}"')
            file.write(before.rstrip())
            for number, item in enumerate(items):
                file.write(",\n  " if number else "\n  ")
                file.write(json.dumps(item, ensure_ascii=True, separators=(",", ":")))
            file.write("\n")
        file.write(rest.lstrip() + "\n")
