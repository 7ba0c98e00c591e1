"""Many small text files in one command."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from hullcheck.control import Unknown
from hullcheck.transport import Answer, CannotAnswer, Want, want

__all__ = ["END", "known", "lines_of", "sweep", "texts", "whole"]

END = "= end"
"""The last line of a sweep of several commands: without it, the sweep is not whole."""

_ABSENT = ("No such file or directory", "Not a directory")


def lines_of(answer: Answer) -> list[str]:
    """Return the lines of an answer whose last one is ended by a newline, as tools do it.

    :raises CannotAnswer: the last one is not: the tool was stopped in the midst of it.
    """
    *lines, rest = answer.text.split("\n")
    if rest:
        raise CannotAnswer(f"{answer.want.command[:100]}: the answer ends in the midst of a line")
    return lines


def sweep(paths: Iterable[str]) -> Want:
    """Return a want for the lines of some text files, each line after its file's name.

    No line of one file can pose as another's. The paths must hold no colon and no newline.
    """
    return want("grep -H '' -- " + " ".join(map(shlex.quote, paths)), meaning=(0, 1, 2))


def texts(answer: Answer, mark: str = "") -> dict[str, str | Unknown]:
    """Return the files that a :func:`sweep` read, by path: the text without its last newline,
    or, for one that could not be read, why. One that does not exist is not in it.

    :param mark: how lines begin that are of no file, and are left out.
    :raises CannotAnswer: a line is no line of a file.
    """
    lines: dict[str, list[str]] = {}
    for line in lines_of(answer):
        if mark and line.startswith(mark):
            continue
        path, colon, text = line.partition(":")
        if not (colon and path.startswith("/")):
            raise CannotAnswer(f"{answer.want.command[:100]}: what came is no line of a file")
        lines.setdefault(path, []).append(text)
    found: dict[str, str | Unknown] = {path: "\n".join(text) for path, text in lines.items()}
    for line in answer.evidence.stderr.decode("utf-8", "replace").splitlines():
        complaint = re.fullmatch(r"grep: (.+): ([^:]+)", line)
        if complaint and complaint[2] not in _ABSENT:
            found[complaint[1]] = Unknown(f"{complaint[1]}: {complaint[2]}")
    return found


def whole(answer: Answer) -> dict[str, str | Unknown]:
    """Return the files of a sweep that says its :data:`END`; see :func:`texts`.

    :raises CannotAnswer: it does not.
    """
    if lines_of(answer)[-1:] != [END]:
        raise CannotAnswer(f"{answer.want.command[:100]}: the answer is not whole")
    return texts(answer, mark=END)


def known(text: str | Unknown | None) -> str | None:
    """Return a text of :func:`texts`, or None if there is none. :raises Unknown: unreadable."""
    if isinstance(text, Unknown):
        raise Unknown(*text.args)
    return text
