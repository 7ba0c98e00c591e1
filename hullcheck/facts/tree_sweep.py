"""What lies below some directories of the host and passes a test, from one bounded walk."""

from __future__ import annotations

import re
import shlex
import stat
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from hullcheck.control import Unknown
from hullcheck.transport.want import Answer, Want, want

__all__ = ["END", "Entry", "path_test", "sweep", "swept"]

SECONDS = 50
BYTES = 6_000_000

END = "\n//\n"
"""Ends a record: no path has two slashes in a row, nor does redaction reach over a newline."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What stat says of something below a directory that was walked.

    :param root: the directory.
    :param path: below it, beginning with a slash.
    :param mode: type and permissions, ``st_mode``.
    """

    root: str
    path: str
    mode: int
    inode: int
    size: int
    uid: int
    gid: int

    @property
    def regular(self) -> bool:
        return stat.S_ISREG(self.mode)


def sweep(roots: Sequence[str], test: str, seconds: int = SECONDS) -> Want:
    """Return a want for what is below some directories and passes a test of find.

    It is bounded in time and size, stays on the file system of each directory, and follows no link.

    :param seconds: how long it may take.
    :raises ValueError: there is no directory; find would take the one it is in.
    """
    if not roots:
        raise ValueError("nothing to walk")
    names = " ".join(map(shlex.quote, roots))
    look = f"find {names} -xdev {test} -exec stat -c '%f %i %s %u %g %n\n//' -- {{}} +"
    return want(
        f"{{ timeout {seconds} {look}; printf 'end %s\\n//\\n' $?; }} | head -c {BYTES}",
        seconds=seconds + 10,
    )


def swept(answer: Answer, roots: Collection[str]) -> tuple[list[Entry], dict[str, str]]:
    """Return what a sweep found, and of each directory that could not be seen whole, why.

    :raises Unknown: it did not come to its end.
    """
    *records, rest = answer.text.split(END)
    code = re.fullmatch(r"end (\d+)", records.pop()) if records else None
    if code is None or rest:
        raise Unknown(f"there is more to look at than {BYTES} bytes can tell, or find broke off")
    if code[1] == "124":
        raise Unknown(f"not all of it could be looked at within {answer.want.seconds - 10:.0f} s")
    broken: dict[str, str] = {}
    for line in answer.evidence.stderr.decode("utf-8", "surrogateescape").splitlines():
        about = [root for root in roots if root in line]
        broken |= dict.fromkeys(about or roots, f"not all of it could be seen: {line[:200]}")
    if code[1] != "0" and not broken:
        raise Unknown(f"find ended with {code[1]}")
    return [_entry(each, roots) for each in records], broken


_RECORD = re.compile(r"([0-9a-f]+) (\d+) (\d+) (\d+) (\d+) (/.*)", re.DOTALL)


def _entry(record: str, roots: Collection[str]) -> Entry:
    found = _RECORD.fullmatch(record)
    path = found[6] if found else ""
    root = next((path[:at] for at in _slashes(path) if path[:at] in roots), "")
    if found is None or not root:
        raise Unknown(f"what find told of a file is damaged: {record[:80]!r}")
    inode, size, uid, gid = (int(found[at]) for at in (2, 3, 4, 5))
    return Entry(root, path[len(root) :] or "/", int(found[1], 16), inode, size, uid, gid)


def _slashes(path: str) -> Iterable[int]:
    return (at for at in range(1, len(path) + 1) if at == len(path) or path[at] == "/")


def path_test(*patterns: str, below: str = "") -> str:
    """Return find's test for a path that ends like one of some patterns.

    Both of find's own syntax and basic regular expressions have the operators that it uses.
    """
    joined = "|".join(patterns).replace("|", r"\|")
    return "-regex " + shlex.quote(rf".*/{below}\({joined}\)")
