"""Aliases of ``~/.ssh/config``: every concrete name that a ``Host`` line gives."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from hullcheck.inventory.document import DocumentError, Node, read_text
from hullcheck.inventory.host import InventoryHost, free_name
from hullcheck.inventory.policy import Policy
from hullcheck.transport.target import home_path

__all__ = ["alias_hosts"]

_LINE = re.compile(r"\s*(\w+)(?:\s*=\s*|\s+)(.*?)\s*")
_WORD = re.compile(r'"([^"]*)"|(\S+)')
_DEEPEST = 16


def alias_hosts(text: str, file: str, base: Policy) -> list[InventoryHost]:
    """Return the aliases of a configuration and of what it includes, patterns left out.

    Each is reached as this file says, which may not be the user's own.

    :raises DocumentError: it names no host, or includes what cannot be read.
    """
    user = Path("~/.ssh/config").expanduser()
    config = "" if Path(file).resolve() == user.resolve() else str(Path(file).absolute())
    found: dict[str, InventoryHost] = {}
    for node in _aliases(text, file, 0):
        name = free_name(node, node.raw)
        host = InventoryHost(name, node.file, node.line, policy=base, ssh_config=config)
        found.setdefault(name, host)
    if not found:
        raise DocumentError(file, 0, "has no Host line with a name that is no pattern")
    return list(found.values())


def _aliases(text: str, file: str, depth: int) -> Iterator[Node]:
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.fullmatch(line)
        if not match:
            continue
        words = [one or other for one, other in _WORD.findall(match[2].partition(" #")[0])]
        if match[1].lower() == "host":
            for word in words:
                if not re.search(r"[*?!]", word):
                    yield Node(file, number, word, word)
        elif match[1].lower() == "include":
            if depth == _DEEPEST:
                raise DocumentError(file, number, "includes itself; break the circle")
            try:
                paths = [path for word in words for path in _included(word)]
            except ValueError as error:
                raise DocumentError(file, number, f"Include {match[2]}: {error}") from error
            for path in paths:
                yield from _aliases(read_text(path), str(path), depth + 1)


def _included(word: str) -> list[Path]:
    """Return the files that a pattern of Include names; it begins at ``~/.ssh``."""
    pattern = re.sub(r"\*+", "*", os.path.expandvars(word))
    path = Path("~/.ssh").expanduser() / home_path(pattern)
    if not re.search(r"[*?[]", pattern):
        return [path] if path.is_file() else []
    return sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
