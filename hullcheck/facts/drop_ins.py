"""Settings that are merged of several folders, as systemd, kmod and others do it.

All files of the folders are read in the order of their base names. One in an earlier folder
takes the place of those of the same name in later ones: an empty one, or a link to /dev/null,
takes their settings away (systemd.conf(5), modprobe.d(5)).
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hullcheck.control import Unknown
from hullcheck.facts.texts import known, lines_of, texts
from hullcheck.transport import Answer, CannotAnswer, Want, want

__all__ = ["Piece", "drop_ins", "merged"]

FILE, CLOSED, END = "=", "=!", "=."


@dataclass(frozen=True, slots=True)
class Piece:
    """One file that counts."""

    path: str
    text: str


def drop_ins(directories: Sequence[str], main: Iterable[str] = ()) -> Want:
    """Return a want for what some folders hold in ``*.conf``, and for the main files.

    :param directories: the one that wins first. The paths need no quotes in a shell.
    """
    tell = f'[ ! -e "$f" ] && [ ! -L "$f" ] || echo "{FILE}$f"'
    closed = f'[ ! -d $d ] || {{ [ -r $d ] && [ -x $d ]; }} || echo "{CLOSED}$d"'
    globs = " ".join(f"{each}/*.conf" for each in directories)
    return want(
        f"for d in {' '.join(directories)}; do {closed}; for f in $d/*.conf; do {tell}; done; "
        f"done; grep -aH '' -- /dev/null {' '.join([*map(shlex.quote, main), globs])}; echo {END}"
    )


def merged(answer: Answer, main: Iterable[str] = ()) -> list[Piece]:
    """Return the files that count, in the order in which they are read.

    :param main: of these the first one that exists is read before all others.
    :raises Unknown: one of them, or a folder, cannot be read.
    """
    names: dict[str, str] = {}
    lines = lines_of(answer)
    if lines[-1:] != [END]:
        raise CannotAnswer("the files of settings were not read to their end")
    for line in lines[:-1]:
        if line.startswith(CLOSED):
            raise Unknown(f"{line[len(CLOSED) :]} cannot be listed: permission denied; needs root")
        if line.startswith(FILE):
            names.setdefault(posixpath.basename(line), line[len(FILE) :])
    found = texts(answer, FILE)
    told = {*names.values(), *main}
    strange = [
        path for path, text in found.items()
        if path not in told and not isinstance(text, Unknown)
        and posixpath.basename(path) not in names
    ]  # fmt: skip
    if strange:
        raise Unknown(f"the files of settings have names that cannot be told: {strange[0][:80]!r}")
    first = next((path for path in main if path in found), "")
    order = [first] if first else []
    order += [names[name] for name in sorted(names)]
    return [Piece(path, known(found.get(path)) or "") for path in order]
