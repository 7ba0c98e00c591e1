"""The lines of ``verdicts.jsonl``, read as far as their status: a fleet's are read in a second.

What a line says beyond that is parsed only where somebody asks.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hullcheck.run.directory import JOURNAL, VERDICTS
from hullcheck.verdict import Status, Verdict

__all__ = ["LETTERS", "Line", "parsed", "read_lines", "statuses", "verdicts_at"]

LETTERS = {
    Status.FAIL: "F", Status.ERROR: "E", Status.UNKNOWN: "U", Status.MANUAL: "M",
    Status.WAIVED: "W", Status.PASS: "P", Status.NOT_APPLICABLE: "N",
}  # fmt: skip
"""One letter for each status, as the index and pictures of a history hold them."""

_LETTERS = {str(status).encode(): letter for status, letter in LETTERS.items()}
_HEAD = re.compile(
    rb'\{"host": ("(?:[^"\\]|\\.)*+"), "control": "([^"\\]+)", "status": "([a-z-]+)", '
)
_TAIL = b', "evidence": ['


class Line(NamedTuple):
    """One verdict's line.

    :param letter: its status, see LETTERS. ``offset``: where it begins in the file.
    :param said: what it says of reason and findings, as it is written; empty if only parsing
        the line can tell.
    """

    host: str
    control: str
    letter: str
    offset: int
    data: bytes
    said: bytes


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a run directory. The end of a run that goes on may be cut off.

    :raises ValueError: a line is damaged; the text names it.
    :raises OSError: they cannot be read.
    """
    going_on = (path / JOURNAL).exists()
    names: dict[bytes, str] = {}
    offset = 0
    with (path / VERDICTS).open("rb") as lines:
        for number, data in enumerate(lines, 1):
            if going_on and not data.endswith(b"\n"):
                return
            try:
                yield _line(data, offset, names)
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path / VERDICTS}:{number}: is damaged: {error}") from error
            offset += len(data)


def _line(data: bytes, offset: int, names: dict[bytes, str]) -> Line:
    head = _HEAD.match(data)
    if head is None or not data.endswith((b"}\n", b"}")):
        verdict = json.loads(data)
        letter = LETTERS[Status(verdict["status"])]
        return Line(str(verdict["host"]), str(verdict["control"]), letter, offset, data, b"")
    host, control, status = head.groups()
    name = names.get(host)
    if name is None:
        name = names[host] = str(json.loads(host))
    end = data.rfind(_TAIL)
    return Line(
        name, control.decode(), _LETTERS[status], offset, data, data[head.end() : max(end, 0)]
    )


def statuses(path: Path) -> Iterator[Verdict]:
    """Yield the verdicts of a run directory without what they say beyond their status.

    :raises ValueError: a line is damaged; the text names it.
    """
    known = {letter: status for status, letter in LETTERS.items()}
    for line in read_lines(path):
        yield Verdict(line.host, line.control, known[line.letter], "")


@contextlib.contextmanager
def verdicts_at(path: Path) -> Iterator[Callable[[int], dict[str, Any]]]:
    """Give a function that returns the verdict whose line begins at an offset.

    It raises ValueError where that is damaged.
    """
    with (path / VERDICTS).open("rb") as file:

        def at(offset: int) -> dict[str, Any]:
            file.seek(offset)
            return parsed(path, file.readline())

        yield at


def parsed(path: Path, data: bytes) -> dict[str, Any]:
    """Return the verdict of a line.

    :raises ValueError: it is damaged.
    """
    try:
        verdict: dict[str, Any] = json.loads(data)
        _ = [(each["status"], each["object"]["name"]) for each in verdict["findings"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path / VERDICTS} is damaged: {error}") from error
    return verdict
