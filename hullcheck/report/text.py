"""Text that a host sent, made fit for a terminal: nothing in it can act, hide or overflow."""

from __future__ import annotations

import unicodedata

import tabulate

from hullcheck.control import show

__all__ = ["padded", "safe", "shown", "unpadded", "width", "wrap"]

LIMIT = 2000
"""Characters of one text that a report for people shows."""

_COUNTS_COLUMNS = getattr(tabulate, "wcwidth", None) is not None
"""Whether tabulate knows wide characters: if the package wcwidth happens to be there."""

_FILLER = "\ue000"
"""Stands behind a wide character while tabulate, which counts characters, aligns columns.
Private characters are escaped by :func:`safe`, so it cannot come from a host."""

_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that show nothing."""


def safe(text: str, limit: int = LIMIT) -> str:
    """Return a text on one line with everything visible, cut to a number of characters.

    Control characters, escape sequences, bidirectional marks, invisible, combining, private and
    unassigned characters and undecodable bytes become escapes such as ``\\x1b`` or ``\\u202e``.
    Backslashes stay: for the exact value see the run's data, this is for people.
    """
    cut = text[:limit]
    escaped = cut if cut.isascii() and cut.isprintable() else "".join(map(_visible, cut))
    if len(text) > limit:
        return f"{escaped}... ({len(text) - limit} more characters)"
    return escaped


def _visible(character: str) -> str:
    if character == " ":
        return character
    category = unicodedata.category(character)
    drawn = category[0] in "LNPS" or category == "Mc"
    if drawn and character not in _BLANK:
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def shown(value: object, limit: int = 200) -> str:
    """Return a finding's value as a person reads it, safe and short."""
    return safe(show(value), limit)


def width(text: str) -> int:
    """Return how many columns a safe text takes on a terminal."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def wrap(text: str, columns: int) -> list[str]:
    """Return a safe text in lines of at most so many columns, broken at spaces if it can be."""
    lines = [""]
    for word in text.split():
        room = columns - width(lines[-1]) - (1 if lines[-1] else 0)
        if width(word) <= room:
            lines[-1] += f" {word}" if lines[-1] else word
            continue
        pieces = list(_pieces(word, columns))
        if not lines[-1]:
            lines.pop()
        lines += pieces
    return lines


def _pieces(word: str, columns: int) -> list[str]:
    pieces, used = [""], 0
    for character in word:
        wide = _columns(character)
        if used + wide > max(columns, 2):
            pieces.append("")
            used = 0
        pieces[-1] += character
        used += wide
    return pieces


def padded(text: str) -> str:
    """Return a safe text in which each character counts as many columns as it takes."""
    if text.isascii() or _COUNTS_COLUMNS:
        return text
    return "".join(each + _FILLER if _columns(each) == 2 else each for each in text)


def unpadded(text: str) -> str:
    """Undo :func:`padded`."""
    return text.replace(_FILLER, "")
