"""What a run says of a host, condensed so that years of nights can be kept.

Of each control: its status, and where somebody must look also how many objects are the reason.
Reasons and values are left out: they differ where nothing changed.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hullcheck.run.lines import Line, parsed, read_lines

__all__ = ["GOOD", "State", "condense"]

GOOD = "PN"
"""The letters of what needs nobody."""

MANY = 0xFFFF
"""More objects are not counted."""


@dataclass(frozen=True, slots=True)
class State:
    """One host in one run.

    :param controls: ids, sorted. ``letters``: the status of each, see lines.LETTERS.
    :param counts: for each letter that is not in GOOD: how many objects have that status.
    """

    controls: tuple[str, ...]
    letters: str
    counts: tuple[int, ...]

    def pack(self) -> bytes:
        """Return it without the controls' ids."""
        counts = array("H", self.counts)
        if sys.byteorder == "big":
            counts.byteswap()
        return zlib.compress(self.letters.encode("ascii") + counts.tobytes())

    @classmethod
    def unpack(cls, controls: tuple[str, ...], data: bytes) -> State:
        """Undo :meth:`pack`.

        :raises zlib.error: it is damaged. :raises ValueError: likewise.
        """
        whole = zlib.decompress(data)
        letters = whole[: len(controls)].decode("ascii")
        counts = array("H", whole[len(controls) :])
        if sys.byteorder == "big":
            counts.byteswap()
        if len(letters) != len(controls) or len(counts) != len(letters.translate(_NO_GOOD)):
            raise ValueError("a state is damaged")
        return cls(controls, letters, tuple(counts))

    def objects(self) -> dict[str, int]:
        """Return, of the controls that need somebody, how many objects are the reason."""
        ids = zip(self.controls, self.letters, strict=True)
        return dict(
            zip((name for name, letter in ids if letter not in GOOD), self.counts, strict=True)
        )


_NO_GOOD = dict.fromkeys(map(ord, GOOD))


def condense(path: Path) -> Iterator[tuple[str, State]]:
    """Yield the hosts of a run directory that have verdicts, one at a time.

    :raises ValueError: a line is damaged; the text names it.
    :raises OSError: they cannot be read.
    """
    known: dict[tuple[str, ...], tuple[str, ...]] = {}
    done: set[str] = set()
    host, found = "", dict[str, tuple[str, int]]()
    for line in read_lines(path):
        if line.host != host:
            if found:
                yield host, _state(found, known)
            if line.host in done:
                raise ValueError(f"{path}: the verdicts of {line.host} do not stand together")
            host, found = line.host, {}
            done.add(host)
        found[line.control] = (line.letter, 0 if line.letter in GOOD else _count(path, line))
    if found:
        yield host, _state(found, known)


def _count(path: Path, line: Line) -> int:
    """Return how many objects have the status that the verdict has."""
    verdict = parsed(path, line.data)
    mine = [each for each in verdict["findings"] if each["status"] == verdict["status"]]
    return min(len(mine), MANY)


def _state(
    found: dict[str, tuple[str, int]], known: dict[tuple[str, ...], tuple[str, ...]]
) -> State:
    controls = tuple(sorted(found))
    ordered = [found[each] for each in controls]
    letters = "".join(letter for letter, _ in ordered)
    counts = tuple(count for letter, count in ordered if letter not in GOOD)
    return State(known.setdefault(controls, controls), letters, counts)
