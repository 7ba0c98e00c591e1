"""YAML that was written for another program, after secrets were cut out of it: bounded, with lines.

What a document says under a key is asked for leniently: another type than expected is nothing.
Keys are what was written, so that YAML 1.1's ``on:`` stays ``on``; tags (GitLab's ``!reference``)
leave the value. An alias is read where it stands, and all that is read of a document is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hullcheck.control import Unknown
from hullcheck.inventory.document import DocumentError, Node, parse_all

__all__ = ["CUT", "at", "documents", "items", "keys", "line_of", "text", "texts", "walk"]

MOST = 50_000
"""Values that are looked at of one document, those behind aliases each time."""

_PLACEHOLDER = re.compile(r"\[(redacted:\d+:[0-9a-f]{12})\]")
CUT = re.compile(r"\bredacted:\d+:[0-9a-f]{12}\b")
"""What stands in a value for a secret; brackets would begin a list."""


def documents(content: str, name: str) -> list[Node]:
    """Return the documents of a file. :raises Unknown: it is not sound YAML."""
    safe = _PLACEHOLDER.sub(r"\1", content).removeprefix("\ufeff")
    try:
        return parse_all(safe.encode("utf-8", "replace").decode(), name)
    except DocumentError as reason:
        raise Unknown(f"line {reason.line} {reason.message}"[:300]) from None
    except (RecursionError, ValueError) as reason:
        raise Unknown(f"it is not sound YAML: {type(reason).__name__}") from None


def keys(node: Node | None) -> dict[str, Node]:
    """Return what a mapping holds; {} of anything else."""
    return node.value if node is not None and isinstance(node.value, dict) else {}


def items(node: Node | None) -> list[Node]:
    """Return a list's items; of a single value, that value; [] of nothing."""
    if node is None or node.value is None:
        return []
    return node.value if isinstance(node.value, list) else [node]


def at(node: Node | None, *path: str) -> Node | None:
    """Return what stands below some keys; None if nothing does."""
    for each in path:
        node = keys(node).get(each)
    return node


def text(node: Node | None) -> str:
    """Return a value as it was written; empty of a mapping, a list or nothing."""
    if node is None or node.value is None or isinstance(node.value, dict | list):
        return ""
    return node.raw


def texts(node: Node | None) -> list[str]:
    """Return the texts of a list, nested ones too, or a single one."""
    return [found for each in walk(node, deep=False) if (found := text(each))]


def line_of(node: Node | None) -> int:
    return node.line if node is not None else 0


def walk(node: Node | None, *, deep: bool = True) -> Iterator[Node]:
    """Yield a value and all that is in it; mappings are only entered if it goes deep.

    :raises Unknown: there is more than anybody writes.
    """
    waiting = [node] if node is not None else []
    seen = 0
    while waiting:
        now = waiting.pop()
        seen += 1
        if seen > MOST:
            raise Unknown(f"there are more than {MOST} values in it, or aliases make as many")
        yield now
        if isinstance(now.value, list):
            waiting += reversed(now.value)
        elif deep and isinstance(now.value, dict):
            waiting += reversed(now.value.values())
