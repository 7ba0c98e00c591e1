"""For whom a Match block of sshd_config(5) holds: certainly, certainly not, or perhaps."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

__all__ = ["Match", "Who", "applies", "listed", "parse_match"]

WITHOUT_VALUE = frozenset({"all", "invalid-user"})


@dataclass(frozen=True, slots=True)
class Who:
    """An account that logs in, with the names of its groups."""

    name: str
    groups: frozenset[str]

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Match:
    """The criteria of one Match line: (name in small letters, patterns)."""

    criteria: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return "Match " + " ".join(f"{name} {value}".strip() for name, value in self.criteria)


def parse_match(words: Iterable[str]) -> Match:
    """Read the words after Match. A criterion that is not known is kept, and holds perhaps."""
    rest, found = list(words), []
    while rest:
        name, _, value = rest.pop(0).partition("=")
        name = name.lower()
        if name not in WITHOUT_VALUE and not value:
            value = rest.pop(0) if rest else ""
        found.append((name, value))
    return Match(tuple(found))


def listed(patterns: str, names: Collection[str]) -> bool:
    """Whether a list of patterns (ssh_config(5), PATTERNS) takes one of some names."""
    taken = False
    for pattern in patterns.split(","):
        plain = pattern.strip().removeprefix("!")
        if any(_like(plain, name) for name in names):
            if pattern.strip().startswith("!"):
                return False
            taken = True
    return taken


def _like(pattern: str, name: str) -> bool:
    parts = {"*": ".*", "?": "."}
    squeezed = re.sub(r"\*+", "*", pattern)
    made = "".join(parts.get(letter, re.escape(letter)) for letter in squeezed)
    return re.fullmatch(made, name, re.DOTALL) is not None


def applies(matches: Iterable[Match], who: Who | None) -> bool | None:
    """Whether some Match lines, one in the other, all hold.

    :param who: whose login; None for anybody's.
    :return: None: for some logins, as far as can be told.
    """
    said = {_holds(name, value, who) for each in matches for name, value in each.criteria}
    if False in said:
        return False
    return None if None in said else True


def _holds(name: str, value: str, who: Who | None) -> bool | None:
    if name == "all":
        return True
    if who is None:
        return None
    if name == "user":
        return listed(value, {who.name})
    if name == "group":
        return listed(value, who.groups)
    return False if name == "invalid-user" else None
