"""How accounts and groups are locked: of what kind their password fields are, never what they hold.

passwd(5), shadow(5), group(5), gshadow(5), crypt(5). The fields are classed on the host: no hash
leaves it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.registry import provide
from hullcheck.facts.texts import END, lines_of
from hullcheck.transport import CannotAnswer, session_of, want

__all__ = ["FIELDS", "WEAK", "Entry", "Locks", "locks"]

USERS = ("/etc/passwd", "/var/lib/extrausers/passwd")
SHADOWS = ("/etc/shadow", "/var/lib/extrausers/shadow")
GROUPS = ("/etc/group", "/var/lib/extrausers/group")
GSHADOWS = ("/etc/gshadow", "/var/lib/extrausers/gshadow")
FILES = (*USERS, *SHADOWS, *GROUPS, *GSHADOWS)


WEAK = {"des": "DES", "bsdi": "extended DES", "1": "MD5", "md5": "Sun's MD5", "sha1": "SHA-1",
        "3": "NT's MD4"}  # fmt: skip
"""Kinds of hashes that crypt(5) calls unacceptable for new passwords, and what they are."""

_CLASS = r"""
function class(p, parts) {
    if (p == "") return "empty"
    if (p == "x" || substr(p, 1, 2) == "##") return "shadowed"
    if (p ~ /^[!*]/) return "locked"
    if (p ~ /^[$][A-Za-z0-9-]+[$,]/) {
        split(substr(p, 2), parts, /[$,]/)
        return length(parts[1]) < 12 ? "hash:" parts[1] : "other"
    }
    if (length(p) == 13 && p ~ /^[.\/0-9A-Za-z]+$/) return "hash:des"
    if (length(p) == 20 && p ~ /^_[.\/0-9A-Za-z]+$/) return "hash:bsdi"
    return "other"
}
NF > 1 {
    line = FILENAME "\t" NR "\t" class($2) "\t" $1
    for (i = 3; i <= 8; i++) line = line "\t" $i
    print line
}
"""

FIELDS = want(
    "for f in " + " ".join(FILES) + '; do if [ -e "$f" ]; then awk -F: \'' + _CLASS + "' \"$f\""
    ' && echo "= read $f"; else echo "= none $f"; fi; done; echo \'' + END + "'"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of one of the files.

    :param kind: empty, shadowed, locked, other (no password fits), or of what kind the hash is.
    :param rest: the fields from the third to the eighth.
    """

    file: str
    name: str
    kind: str
    rest: tuple[str, ...]

    def __str__(self) -> str:
        return self.name

    @property
    def hashed(self) -> bool:
        """Whether there is a password that somebody may know."""
        return self.kind.startswith("hash:")

    @property
    def method(self) -> str:
        return self.kind.removeprefix("hash:") if self.hashed else ""

    def number(self, field: int) -> int | None:
        """Return a field of shadow(5), counted from 3, as a number; None if it is empty."""
        text = self.rest[field - 3]
        return int(text) if re.fullmatch(r"-?\d{1,12}", text) else None


class Locks:
    """The password fields of a host's own accounts and groups."""

    def __init__(self, entries: list[Entry], hidden: dict[str, str]) -> None:
        self._entries, self._hidden = entries, hidden

    def of(self, files: tuple[str, ...]) -> Iterator[Entry]:
        """Yield the lines of some files; those that cannot be read are left out."""
        return (each for each in self._entries if each.file in files)

    def need(self, files: tuple[str, ...]) -> None:
        """:raises Unknown: one of the files could not be read."""
        for file in files:
            if file in self._hidden:
                raise Unknown(self._hidden[file])

    def accounts(self) -> list[Entry]:
        """Return for each account the line that holds its password, shadow's where it points
        there; those whose shadow cannot be read are left out."""
        shadow: dict[str, Entry] = {}
        for each in self.of(SHADOWS):
            shadow.setdefault(each.name, each)
        found = []
        for each in self.of(USERS):
            if each.kind != "shadowed":
                found.append(each)
            elif each.name in shadow:
                found.append(shadow[each.name])
        return [each for each in found if not each.name.startswith(("+", "-"))]


@provide
def locks(host: Host) -> Locks:
    """Of what kind the password fields are. :raises CannotAnswer: what came is damaged."""
    answer = session_of(host).ask(FIELDS)[0]
    lines = lines_of(answer)
    if not lines or lines[-1] != END:
        raise CannotAnswer("the accounts' files were not read to the end")
    entries, seen = [], set()
    for line in lines[:-1]:
        done = re.fullmatch(r"= (?:read|none) (/\S+)", line)
        if done:
            seen.add(done[1])
            continue
        file, number, kind, name, *rest = [*line.split("\t", 9), "", "", ""]
        if file not in FILES or not number.isdecimal():
            raise CannotAnswer("a line of the accounts' files is none of them")
        entries.append(Entry(file, name, kind, tuple([*rest, *[""] * 6][:6])))
    return Locks(entries, {file: _why(answer.evidence.stderr, file)
                           for file in FILES if file not in seen})  # fmt: skip


def _why(stderr: bytes, file: str) -> str:
    said = stderr.decode("utf-8", "replace")
    line = next((each for each in said.splitlines() if file in each), "")
    more = "; it needs root" if "ermission denied" in line else ""
    return f"{file} cannot be read: {line.strip()[:200] or 'no reason was given'}{more}"
