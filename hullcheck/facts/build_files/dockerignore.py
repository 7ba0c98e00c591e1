"""What a .dockerignore keeps out of a build; moby/patternmatcher, docs.docker.com (build context).

Patterns begin at the context's root, ``**`` is any number of folders, the last one that fits
counts, and what fits a folder fits all that is in it.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

__all__ = ["Ignore", "parse_ignore"]

MOST, LONGEST = 500, 200


@dataclass(frozen=True, slots=True)
class Ignore:
    """:param rules: the parts of each pattern, and whether it lets in again."""

    rules: tuple[tuple[tuple[str, ...], bool], ...]

    def excludes(self, path: str) -> bool:
        """Whether a path below the context stays out."""
        parts = path.split("/")
        out = False
        for rule, back in self.rules:
            if out == back and _fits(rule, parts):
                out = not back
        return out


def _fits(rule: tuple[str, ...], path: list[str]) -> bool:
    """Whether a pattern fits a path, or a folder that it is in."""
    reached = {0}
    for part in rule:
        if part == "**":
            reached = set(range(min(reached, default=len(path) + 1), len(path) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(path) and fnmatchcase(path[at], part)}
    return bool(reached - {0})


def parse_ignore(text: str) -> Ignore:
    """Return the rules of an ignore file; what is no pattern fits nothing."""
    rules = []
    for line in text.removeprefix("\ufeff").split("\n")[:MOST]:
        told = line.strip()
        if line.startswith("#") or not told or len(told) > LONGEST:
            continue
        cleaned = posixpath.normpath(told.removeprefix("!").strip()).lstrip("/")
        parts = tuple(_plain(each) for each in cleaned.split("/"))
        rules.append((parts, told.startswith("!")))
    return Ignore(tuple(rules))


def _escaped(found: re.Match[str]) -> str:
    return f"[{found[1]}]" if found[1] in "*?[" else found[1]


def _plain(part: str) -> str:
    """Return a part of a pattern as fnmatch reads it."""
    escaped = re.sub(r"\\(.)", _escaped, part).replace("[^", "[!")
    return escaped if escaped == "**" else re.sub(r"\*+", "*", escaped)
