"""Many small text files in one command."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from hullcheck.control import Unknown
from hullcheck.transport import Answer, Want, want

__all__ = ["known", "sweep", "texts"]

_ABSENT = ("No such file or directory", "Not a directory")


def sweep(paths: Iterable[str]) -> Want:
    """Return a want for the lines of some text files, each line after its file's name.

    No line of one file can pose as another's. The paths must hold no colon and no newline.
    """
    return want("grep -H '' -- " + " ".join(map(shlex.quote, paths)), meaning=(0, 1, 2))


def texts(answer: Answer) -> dict[str, str | Unknown]:
    """Return the files that a :func:`sweep` read, by path: the text without its last newline,
    or, for one that could not be read, why. One that does not exist is not in it."""
    lines: dict[str, list[str]] = {}
    for line in answer.text.split("\n")[:-1]:
        path, _, text = line.partition(":")
        lines.setdefault(path, []).append(text)
    found: dict[str, str | Unknown] = {path: "\n".join(text) for path, text in lines.items()}
    for line in answer.evidence.stderr.decode("utf-8", "replace").splitlines():
        complaint = re.fullmatch(r"grep: (.+): ([^:]+)", line)
        if complaint and complaint[2] not in _ABSENT:
            found[complaint[1]] = Unknown(f"{complaint[1]}: {complaint[2]}")
    return found


def known(text: str | Unknown | None) -> str | None:
    """Return a text of :func:`texts`, or None if there is none. :raises Unknown: unreadable."""
    if isinstance(text, Unknown):
        raise Unknown(*text.args)
    return text
