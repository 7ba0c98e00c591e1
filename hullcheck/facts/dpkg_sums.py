"""Whether the files of some packages of dpkg are as the packages brought them.

``dpkg -V`` reads the whole database for that, and takes for a change what a host leaves out on
purpose (documents, dpkg.cfg(5), path-exclude). Here the checksums of the packages asked for are
read, and the files hashed by one process, where diversions (dpkg-divert(1)) have put them.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from hullcheck.control import Unknown
from hullcheck.facts.texts import lines_of
from hullcheck.transport import Answer, Want, want

__all__ = ["Sums", "parse_sums", "sums_want"]

_LEFT_OUT = r"^\/(etc|usr\/share\/(doc|info|lintian|locale|man))\/"
"""Settings are meant to be changed, and documents may be left out."""

_AWK = (
    '!h { if ($0 == "==") h = 1; else if (++i % 3 == 1) d = $0; '
    "else if (i % 3 == 2) to[d] = $0; else by[d] = $0; next } "
    '/^@ / { p = n = substr($0, 3); sub(/:.*/, "", n); next } '
    f'{{ f = "/" substr($0, 35) }} f !~ /{_LEFT_OUT}/ '
    '{ print substr($0, 1, 32), p, f "\\t" (f in to && by[f] != n ? to[f] : f) }'
)
_NOTED = re.compile(r"([0-9a-f]{32}) (\S+) (/[^\t]+)\t(/[^\t]+)")
_SEEN = re.compile(r"([0-9a-f]{32})  (/.+)")
_MISSING = re.compile(r"md5sum: (?:can't open '(/.+)'|(/.+)): No such file or directory")


@dataclass(frozen=True, slots=True)
class Sums:
    """What became of the files that packages have checksums of.

    :param noted: package and path of each.
    :param changed: path -> how.
    :param unread: paths of those that gave no checksum.
    """

    noted: frozenset[tuple[str, str]]
    changed: dict[str, str]
    unread: tuple[str, ...]


def sums_want(pattern: str) -> Want:
    """Return the want for the checksums of packages' files, as noted and as they are.

    :param pattern: which packages: those that have a path like this extended expression.
    """
    return want(
        "cd /var/lib/dpkg/info 2>/dev/null || exit 1; "
        "w=$({ [ ! -e ../diversions ] || cat ../diversions; echo ==; "
        f"for l in $(grep -lE {shlex.quote(pattern)} *.list); do "
        f'echo "@ ${{l%.list}}"; cat "${{l%.list}}.md5sums"; done; }} | awk {shlex.quote(_AWK)}); '
        "printf '%s\\n==\\n' \"$w\"; [ -z \"$w\" ] || "
        "printf '%s\\n' \"$w\" | cut -f 2 | tr '\\n' '\\0' | xargs -0 md5sum",
        meaning=(0, 1, 123), seconds=60,
    )  # fmt: skip


def parse_sums(answer: Answer) -> Sums:
    """Compare what :func:`sums_want` brought. What was not hashed is unread, for whatever reason,
    unless it does not exist.

    :raises Unknown: what packages note makes no sense.
    """
    lines = lines_of(answer)
    if "==" not in lines:
        raise Unknown("dpkg's checksums of files did not come whole")
    end = lines.index("==")
    seen = {match[2]: match[1] for line in lines[end + 1 :] if (match := _SEEN.fullmatch(line))}
    complaints = answer.evidence.stderr.decode("utf-8", "surrogateescape").splitlines()
    gone = {match[1] or match[2] for line in complaints if (match := _MISSING.fullmatch(line))}
    noted: set[tuple[str, str]] = set()
    changed: dict[str, str] = {}
    unread: list[str] = []
    for line in filter(None, lines[:end]):
        row = _NOTED.fullmatch(line)
        if row is None:
            raise Unknown(f"dpkg's checksums of files: cannot understand {line[:80]!r}")
        digest, package, path, place = row.groups()
        noted.add((package, path))
        if place in seen:
            if seen[place] != digest:
                changed[path] = "content"
        elif place in gone:
            changed[path] = "missing"
        else:
            unread.append(path)
    return Sums(frozenset(noted), changed, tuple(unread))
