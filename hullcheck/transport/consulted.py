"""Which evidence was looked at, noted at every step and so noted cheaply."""

from __future__ import annotations

__all__ = ["Consulted", "Consulting"]


class Consulted:
    """Which lines of the recording were looked at, and what trouble there was with them."""

    __slots__ = ("_lines", "_troubles")

    def __init__(self) -> None:
        self._lines = 0  # bit n stands for line n: a union of many lines is one operation
        self._troubles: dict[int, str] = {}

    def note(self, line: int, trouble: str) -> None:
        """Note a line; a trouble that was seen once stays."""
        self._lines |= 1 << line
        if trouble:
            self._troubles.setdefault(line, trouble)

    def add(self, other: Consulted) -> None:
        """Note all that another has noted."""
        self._lines |= other._lines
        if other._troubles:
            self._troubles = {**self._troubles, **other._troubles}

    @property
    def nothing(self) -> bool:
        """Whether nothing at all was looked at."""
        return not self._lines

    @property
    def lines(self) -> tuple[int, ...]:
        """The lines, in their order."""
        found, left = [], self._lines
        while left:
            lowest = left & -left
            found.append(lowest.bit_length() - 1)
            left ^= lowest
        return tuple(found)

    @property
    def troubles(self) -> list[str]:
        """The troubles, in the order they were met."""
        return list(self._troubles.values())


class Consulting:
    """Notes what is looked at inside a ``with``, and passes it on to the one around it."""

    __slots__ = ("_open",)

    def __init__(self, open_: list[Consulted]) -> None:
        self._open = open_

    def __enter__(self) -> Consulted:
        consulted = Consulted()
        self._open.append(consulted)
        return consulted

    def __exit__(self, *_: object) -> None:
        consulted = self._open.pop()
        if self._open:
            self._open[-1].add(consulted)
