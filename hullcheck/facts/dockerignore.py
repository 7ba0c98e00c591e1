"""What a .dockerignore keeps out of a build; moby/patternmatcher, docs.docker.com (build context).

Patterns begin at the context's root, ``**`` is any number of folders, the last one that fits
counts, and what fits a folder fits all that is in it.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

__all__ = ["Ignore", "parse_ignore"]


@dataclass(frozen=True, slots=True)
class Ignore:
    """:param rules: each with whether it lets in again."""

    rules: tuple[tuple[re.Pattern[str], bool], ...]

    def excludes(self, path: str) -> bool:
        """Whether a path below the context stays out."""
        parts = path.split("/")
        ways = ["/".join(parts[:number]) for number in range(1, len(parts) + 1)]
        out = False
        for rule, back in self.rules:
            if out == back and any(rule.fullmatch(each) for each in ways):
                out = not back
        return out


def parse_ignore(text: str) -> Ignore:
    """Return the rules of an ignore file; what is no pattern fits nothing."""
    rules = []
    for line in text.removeprefix("\ufeff").split("\n")[:2000]:
        told = line.strip()
        if line.startswith("#") or not told:
            continue
        back = told.startswith("!")
        cleaned = posixpath.normpath(told.removeprefix("!").strip()).lstrip("/")
        try:
            rules.append((re.compile(_pattern(cleaned[:500]), re.DOTALL), back))
        except re.error:
            continue
    return Ignore(tuple(rules))


_PART = re.compile(r"\*\*/?|\*|\?|\[[^\]]*\]|\\.|[^*?\[\\]+|.", re.DOTALL)


def _pattern(glob: str) -> str:
    made = []
    for part in _PART.findall(re.sub(r"(\*\*/)+", "**/", re.sub(r"\*{3,}", "**", glob))):
        if part == "**/":
            made.append("(?:.*/)?")
        elif part == "**":
            made.append(".*")
        elif part == "*":
            made.append("[^/]*")
        elif part == "?":
            made.append("[^/]")
        elif part.startswith("[") and len(part) > 2:
            made.append(part)
        else:
            made.append(re.escape(part.removeprefix("\\") or part))
    return "".join(made)
