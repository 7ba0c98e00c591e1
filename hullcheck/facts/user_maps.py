"""Which users of the host those of a user namespace are; see user_namespaces(7)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hullcheck.control import Unknown

__all__ = ["IdRange", "overlaps", "parse_map"]

_LINE = re.compile(r" *(\d{1,10}) +(\d{1,10}) +(\d{1,10})")


@dataclass(frozen=True, slots=True)
class IdRange:
    """One line of a ``uid_map``: ``count`` ids from ``inside`` on are those from ``outside`` on."""

    inside: int
    outside: int
    count: int

    def outer(self, number: int) -> int | None:
        """Return the host's number of an id, if this line maps it."""
        step = number - self.inside
        return self.outside + step if 0 <= step < self.count else None

    def __str__(self) -> str:
        return f"{self.outside} to {self.outside + self.count - 1}"


def parse_map(text: str) -> tuple[IdRange, ...]:
    """Return the lines of a ``uid_map`` or ``gid_map``; none if nothing was mapped yet.

    :raises Unknown: one is damaged, or the last one cut.
    """
    found = []
    for line in text.splitlines(keepends=True):
        numbers = _LINE.fullmatch(line.removesuffix("\n"))
        if numbers is None or not line.endswith("\n"):
            raise Unknown(f"this line of a map of users is damaged: {line[:60]!r}")
        found.append(IdRange(int(numbers[1]), int(numbers[2]), int(numbers[3])))
    return tuple(found)


def overlaps(some: Iterable[IdRange], others: Iterable[IdRange]) -> Iterator[IdRange]:
    """Yield those ranges of some which the host's ids of others reach into."""
    others = tuple(others)
    for one in some:
        ends = one.outside + one.count
        if any(one.outside < each.outside + each.count and each.outside < ends for each in others):
            yield one
