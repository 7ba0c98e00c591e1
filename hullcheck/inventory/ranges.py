"""Names with ranges, as Ansible writes them: ``web[01:50]``, ``db-[a:c].example.com``."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Sequence

__all__ = ["MOST", "expanded"]

MOST = 100_000
"""How many hosts one line may stand for."""

_ADDRESS = re.compile(r"\[[^\[\]]*:[^\[\]]*:[^\[\]]*\]")
_RANGE = re.compile(r"\[([0-9]*|[A-Za-z]):([0-9]+|[A-Za-z])(?::([0-9]+))?\]")


def expanded(text: str) -> list[str]:
    """Return the names that a text stands for: itself, if it holds no range.

    :raises ValueError: a range is wrong; the text is one sentence.
    """
    found = [text]
    while any(_RANGE.search(each) for each in found):
        found = [name for each in found for name in _first(each, len(found))]
    if re.search(r"[\[\]]", _ADDRESS.sub("", found[0])):
        raise ValueError(f"{found[0]!r} holds no range; write it as in web[01:50] or db[a:c]")
    return found


def _first(text: str, others: int) -> Iterator[str]:
    """Yield a text with each value of its first range."""
    match = _RANGE.search(text)
    if not match:
        yield text
        return
    values = _values(match[0], match[1] or "0", match[2], int(match[3] or 1))
    if len(values) * others > MOST:
        raise ValueError(f"{text!r} stands for more than {MOST} hosts; write a smaller range")
    for each in values:
        yield f"{text[: match.start()]}{each}{text[match.end() :]}"


def _values(text: str, first: str, last: str, step: int) -> Sequence[str]:
    if not step:
        raise ValueError(f"the range {text} has a step of 0; write at least 1")
    if first.isdigit() != last.isdigit():
        raise ValueError(f"the range {text} begins and ends with different kinds of characters")
    letters = string.ascii_letters
    if not first.isdigit():
        found: Sequence[str] = letters[letters.index(first) : letters.index(last) + 1 : step]
    else:
        width = len(first) if first.startswith("0") and len(first) > 1 else 0
        if width and width != len(last):
            raise ValueError(f"the range {text} is padded with zeros, so both ends need one length")
        if (int(last) - int(first)) // step > MOST:
            raise ValueError(f"the range {text} stands for more than {MOST} hosts")
        found = [str(each).zfill(width) for each in range(int(first), int(last) + 1, step)]
    if not found:
        raise ValueError(f"the range {text} ends before it begins")
    return found
