"""The home directories of accounts that can log in, and what in them lets others in.

One sweep over all of them: of what users own nothing is read, and no link is followed but that of
the home itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.accounts import Accounts, User
from hullcheck.facts.registry import get, provide, provide_each
from hullcheck.facts.texts import END, known, whole
from hullcheck.transport import CannotAnswer, session_of, want
from hullcheck.verdict import Object

__all__ = ["HOMES", "Home", "Inside", "home", "trusted_hosts"]

RECORD_END = "\n//\n"
"""Ends a record: no path that find prints has two slashes in a row."""

NO_LOGIN = r"(nologin|false|sync|shutdown|halt|true|git-shell)$"
DOORS = (".rhosts", ".shosts", ".netrc")

_ACCOUNTS = (
    "{ getent passwd || cat /etc/passwd; } 2>/dev/null"
    f" | awk -F: '$7 !~ /{NO_LOGIN}/ && $6 ~ /^\\/./ {{ print $6 }}'"
    " | sed 's|//*|/|g; s|/$||' | sort -u"
)
_EACH = (
    'for h; do [ "$h" != / ] || continue;'
    ' find -H "$h" "$h/.ssh" -maxdepth 1 \\( \\( -path "$h" -type d \\)'
    " -o \\( -name .rhosts -o -name .shosts -o -name .netrc \\)"
    ' -o \\( ! -type l \\( -name ".*" -o -path "$h/.ssh/*" \\)'
    " \\( -perm -0002 -o -perm -0020 \\) \\) \\)"
    ' -exec stat -L -c "%f %u %g %s %n\n//" -- {} +; done'
)
HOMES = want(
    f"{_ACCOUNTS} | tr '\\n' '\\0' | xargs -0 sh -c '{_EACH}' sh; printf 'end\\n//\\n'",
    seconds=30,
)

_RECORD = re.compile(r"([0-9a-f]+) (\d+) (\d+) (\d+) (/.*)", re.DOTALL)
_ABSENT = ("No such file or directory", "Not a directory", "symbolic links")


@dataclass(frozen=True, slots=True)
class Inside:
    """What stat says of something in a home."""

    path: str
    mode: int
    uid: int
    size: int

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Home:
    """:param loose: the paths in it that others than its user may be able to write.

    :param doors: files of it that let somebody in elsewhere, or here, without being asked.
    :param hidden: why what is in it cannot be seen; empty if it can.
    """

    user: User
    path: str
    loose: tuple[str, ...]
    doors: tuple[Inside, ...]
    hidden: str

    def __str__(self) -> str:
        return f"{self.path} of {self.user}"

    @property
    def object(self) -> Object:
        return Object("home", self.path)


def _swept(text: str) -> list[Inside]:
    *records, rest = text.split(RECORD_END)
    if rest or records[-1:] != ["end"]:
        raise CannotAnswer("the homes were not swept to the end")
    found = []
    for record in records[:-1]:
        row = _RECORD.fullmatch(record)
        if row is None:
            raise CannotAnswer(f"what find told of a home is damaged: {record[:60]!r}")
        mode, uid, size = int(row[1], 16), int(row[2]), int(row[4])
        found.append(Inside(row[5], mode, uid, size))
    return found


def _hidden(stderr: bytes, path: str) -> str:
    for line in stderr.decode("utf-8", "surrogateescape").splitlines():
        place = re.match(r"(?:find|stat|xargs): [^/]*(/[^'\"]*?)['\"]?: (.*)$", line)
        if line.strip() and not line.endswith(_ABSENT):
            if place is None:
                return line.strip()[:200]
            if place[1] == path or place[1].startswith(f"{path}/"):
                return f"{place[1]}: {place[2][:100]}"
    return ""


@provide_each
def home(host: Host) -> list[Home]:
    """Each home directory that exists, of accounts whose shell lets them log in.

    :raises CannotAnswer: the sweep over them is not whole.
    """
    session_of(host).foresee(HOMES)
    accounts: Accounts = get(host, "accounts")
    answer = session_of(host).ask(HOMES)[0]
    swept = _swept(answer.text)
    found: dict[str, Home] = {}
    for user in accounts.users:
        path = re.sub("//+", "/", user.home).rstrip("/")
        if not path or re.search(NO_LOGIN, user.shell) or path in found:
            continue
        inside = [each for each in swept if each.path.startswith((f"{path}/",))]
        why = _hidden(answer.evidence.stderr, path)
        if why or any(each.path == path for each in swept):
            doors = tuple(each for each in inside if each.name in DOORS)
            loose = tuple(sorted(each.path for each in inside if each.mode & 0o022))
            found[path] = Home(user, path, loose, doors, why)
    if not found:
        raise Unknown("no account that can log in has a home that can be seen")
    return list(found.values())


EQUIVALENTS = ("/etc/hosts.equiv", "/etc/shosts.equiv", "/etc/ssh/shosts.equiv")
TRUSTED = want(
    "grep -aHE '^[[:blank:]]*[^#[:blank:]]' -- /dev/null "
    + " ".join(EQUIVALENTS)
    + f"; echo '{END}'"
)


@provide
def trusted_hosts(host: Host) -> dict[str, str]:
    """The files that let users of other hosts in unasked, and their first line; hosts.equiv(5).

    :raises Unknown: one cannot be read.
    """
    found = whole(session_of(host).ask(TRUSTED)[0])
    return {path: text.split("\n")[0] for path in found if (text := known(found[path]))}
