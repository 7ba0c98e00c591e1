"""A part of an inventory, for one job of many: ``--shard 3/16`` is every 16th host from the third.

Every shard's run knows the whole inventory by name, so that ``hullcheck merge`` can tell which
hosts are missing when a shard is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["Shard", "parse_shard"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of some equal parts; ``number`` counts from 1."""

    number: int
    of: int

    def pick(self, everything: Sequence[T]) -> list[T]:
        """Return its part of a list that is the same for all shards."""
        return list(everything[self.number - 1 :: self.of])

    def document(self, hosts: Sequence[str]) -> dict[str, Any]:
        """Return what ``run.json`` says of it.

        :param hosts: the names of the whole inventory, in its order.
        """
        return {"number": self.number, "of": self.of, "hosts": list(hosts)}

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def parse_shard(text: str) -> Shard:
    """Read ``3/16``. :raises ValueError: it is none; the text says what to write."""
    found = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(f"--shard {text}: write NUMBER/OF, such as 3/16; the first is 1/16")
    return Shard(int(found[1]), int(found[2]))
