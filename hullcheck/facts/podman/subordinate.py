"""subuid(5) and subgid(5): the ids that each user's containers may use beside the user's own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.accounts import Accounts, User
from hullcheck.facts.podman.places import END, complaints, swept
from hullcheck.facts.registry import get, provide
from hullcheck.facts.texts import known
from hullcheck.transport import session_of, want

__all__ = ["SubordinateIds", "parse_subordinate", "subordinate_ids"]

FILES = ("/etc/subuid", "/etc/subgid")
SERVICES = "/etc/nsswitch.conf"
_ALL = " ".join((*FILES, SERVICES))
SWEEP = want(f"stat -L -c '= %u %a %s %n' -- {_ALL}; grep -aH '' -- {_ALL}; echo '{END}'")


@dataclass(frozen=True, slots=True)
class Range:
    """One line: ``count`` ids from ``first`` on are a user's."""

    owner: str
    first: int
    count: int

    @property
    def ids(self) -> range:
        return range(self.first, self.first + self.count)

    def __str__(self) -> str:
        return f"{self.first} to {self.first + self.count - 1}"


def parse_subordinate(path: str, text: str) -> list[Range]:
    """Read a file of ranges. :raises Unknown: a line is none."""
    found = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        owner, _, rest = line.partition(":")
        first, _, count = rest.partition(":")
        if not (owner and re.fullmatch(r"\d{1,10}", first) and re.fullmatch(r"\d{1,10}", count)):
            raise Unknown(f"{path} has a line that names no range: {line[:60]!r}")
        found.append(Range(owner, int(first), int(count)))
    return found


@dataclass(frozen=True, slots=True)
class SubordinateIds:
    """:param ranges: of each file, in its order."""

    ranges: Mapping[str, list[Range]]
    accounts: Accounts

    def shared(self) -> list[str]:
        """Return which ids of a range are somebody else's, one sentence each; [] if none are."""
        return [each for path in FILES for each in self._shared(path)]

    def _shared(self, path: str) -> Iterator[str]:
        ranges = sorted((each for each in self.ranges[path] if each.count),
                        key=lambda each: (each.first, each.owner))  # fmt: skip
        for index, mine in enumerate(ranges):
            for other in ranges[index + 1 :]:
                if other.first >= mine.ids.stop:
                    break
                if self.owner(mine) != self.owner(other):
                    yield f"{path}: {mine} of {mine.owner} and {other} of {other.owner}"
        groups = path == "/etc/subgid"
        accounts = self.accounts.groups if groups else self.accounts.users
        numbers = {each.gid if groups else getattr(each, "uid", -1): each for each in accounts}
        for mine in ranges:
            for number in sorted(numbers):
                if number in mine.ids:
                    yield f"{path}: {mine} of {mine.owner}, and {number} is {numbers[number]}"

    def owner(self, each: Range) -> str:
        """Return whose a range is: the same for a user's name and number.

        LXD runs as root, and its packages gave both names one range.
        """
        if each.owner == "lxd":
            return "0"
        found = (str(user.uid) for user in self.accounts.users if user.name == each.owner)
        return next(found, each.owner)

    def counts(self, path: str) -> dict[str, int]:
        """Return how many ids each owner has in a file, by the owner's name as it stands there."""
        found: dict[str, int] = {}
        for each in self.ranges[path]:
            found[each.owner] = found.get(each.owner, 0) + each.count
        return found

    def conflicts(self, user: User) -> list[str]:
        """Return what some of a user's ids are besides, one sentence each; [] if nothing."""
        return [each for path in FILES for each in self._of(path, user)]

    def _of(self, path: str, user: User) -> Iterator[str]:
        names = (user.name, str(user.uid))
        own = [each for each in self.ranges[path] if each.owner in names and each.count]
        others = [each for each in self.ranges[path] if each.owner not in names]
        accounts = self.accounts.groups if path == "/etc/subgid" else self.accounts.users
        for mine in own:
            for other in others:
                if mine.first < other.ids.stop and other.first < mine.ids.stop:
                    yield f"{mine} in {path}: {other.owner} has {other}"
            for account in accounts:
                number = account.gid if path == "/etc/subgid" else getattr(account, "uid", -1)
                if number in mine.ids:
                    yield f"{mine} in {path}: {number} is {account}"


@provide
def subordinate_ids(host: Host) -> SubordinateIds:
    """The ranges of all users.

    :raises Unknown: they cannot be read, or come from another service than the files.
    """
    answer = session_of(host).ask(SWEEP)[0]
    for path, why in complaints(answer):
        raise Unknown(f"{path} cannot be read: {why}")
    texts = {path: known(text) or "" for path, text in swept(answer).items()}
    line = re.search(r"^subid:(.*)$", texts.get(SERVICES, ""), re.MULTILINE)
    if line and line[1].split() not in ([], ["files"]):
        raise Unknown(f"subordinate ids come from {line[1].strip()}, not from files")
    ranges = {path: parse_subordinate(path, texts.get(path, "")) for path in FILES}
    return SubordinateIds(ranges, get(host, "accounts"))
