"""Families of controls: what frameworks are mapped to, so that a new control needs one line.

``families.yaml`` names for each family its controls, by id or by a pattern.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from hullcheck.catalogue import all_controls
from hullcheck.inventory.document import Node, load

__all__ = ["FILE", "families", "read_families"]

FILE = Path(__file__).with_name("families.yaml")


@functools.cache
def families() -> Mapping[str, tuple[str, ...]]:
    """Return the controls of each family that ships. :raises DocumentError: the file is wrong."""
    return read_families(FILE)


def read_families(path: Path) -> dict[str, tuple[str, ...]]:
    """Read a file of families. :raises DocumentError: it is wrong, or a pattern fits nothing."""
    return {
        name: tuple(dict.fromkeys(each for part in node.items() for each in _fitting(part)))
        for name, node in load(path).keys().items()
    }


def _fitting(part: Node) -> list[str]:
    pattern = part.text()
    found = [each for each in all_controls() if fnmatchcase(each, pattern)]
    if not found:
        raise part.error(f"no control fits {pattern!r}; mend it or take it out")
    return found
