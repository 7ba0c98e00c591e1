"""The accounts and groups that a host knows, from files or a directory service alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.registry import fact, provide
from hullcheck.transport.backend import session_of
from hullcheck.transport.want import Want, read, want

__all__ = ["TABLES", "Accounts", "Group", "User", "accounts"]

TABLES = (want("getent passwd", meaning=(0, 127)), want("getent group", meaning=(0, 127)))

NO_SUCH_KEY = 2
"""getent(1): one or more supplied keys could not be found."""


@dataclass(frozen=True, slots=True)
class User:
    """One line of passwd(5)."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Group:
    """One line of group(5); ``named`` are the members it lists, not those by primary group."""

    name: str
    gid: int
    named: frozenset[str]

    def __str__(self) -> str:
        return self.name


def parse_passwd(text: str) -> list[User]:
    """Read passwd(5); lines that are no account (NIS entries, comments) are left out."""
    fields = [line.split(":") for line in text.splitlines()]
    return [
        User(each[0], int(each[2]), int(each[3]), each[5], each[6])
        for each in fields
        if len(each) >= 7 and each[2].isdecimal() and each[3].isdecimal()
    ]


def parse_group(text: str) -> list[Group]:
    """Read group(5); lines that are no group are left out."""
    fields = [line.split(":") for line in text.splitlines()]
    return [
        Group(each[0], int(each[2]), frozenset(name.strip() for name in each[3].split(",")) - {""})
        for each in fields
        if len(each) >= 4 and each[2].isdecimal()
    ]


def _tables(users: str, groups: str) -> tuple[list[User], list[Group]]:
    """Read both tables. :raises Unknown: one is empty, or ends in the midst of a line."""
    found = parse_passwd(users), parse_group(groups)
    for text, table in ((users, found[0]), (groups, found[1])):
        if not table:
            raise Unknown("the host names no account or no group at all")
        if not text.endswith("\n"):
            raise Unknown(f"the list of accounts or groups is not whole: it ends in {text[-40:]!r}")
    return found


def _single_want(table: str, key: str | int) -> Want:
    return want(f"getent {table} %s", str(key), meaning=(0, NO_SUCH_KEY))


class Accounts:
    """The accounts and groups of one host.

    A directory service that refuses to list its accounts is asked for single ones by name or
    number; those whose primary group it is are then not among a group's members.
    """

    def __init__(self, host: Host) -> None:
        self.host = host

    @fact
    def _tables(self) -> tuple[list[User], list[Group], bool]:
        """All users, all groups, and whether there is a getent to ask for more."""
        ask = session_of(self.host).ask
        users, groups = ask(*TABLES)
        if users.exit == 0 and groups.exit == 0:
            return *_tables(users.text, groups.text), True
        files = ask(read("/etc/passwd"), read("/etc/group"))
        for name, answer in zip(("/etc/passwd", "/etc/group"), files, strict=True):
            if answer.exit:
                raise Unknown(f"{name} cannot be read: {answer.complaint}")
        return *_tables(files[0].text, files[1].text), False

    @property
    def users(self) -> list[User]:
        """Every account that the host lists."""
        return self._tables[0]

    @property
    def groups(self) -> list[Group]:
        """Every group that the host lists."""
        return self._tables[1]

    def user(self, who: str | int) -> User | None:
        """Return the account of this name or number, or None if there is none."""
        found = [each for each in self.users if who in (each.name, each.uid)]
        return next(iter(found or parse_passwd(self._single("passwd", who))), None)

    def group(self, which: str | int) -> Group | None:
        """Return the group of this name or number, or None if there is none."""
        found = [each for each in self.groups if which in (each.name, each.gid)]
        return next(iter(found or parse_group(self._single("group", which))), None)

    def members(self, which: str | int | Group) -> frozenset[str]:
        """Return the names of a group's members, by its list or as their primary group.

        Every group that shares the number counts. A group that does not exist has none.
        """
        group = which if isinstance(which, Group) else self.group(which)
        gid = group.gid if group else which
        listed = {name for each in (*self.groups, *([group] if group else []))
                  if each.gid == gid for name in each.named}  # fmt: skip
        return frozenset(listed | {each.name for each in self.users if each.gid == gid})

    def foresee_groups(self, which: Iterable[str | int]) -> None:
        """Let the questions about groups that are not listed travel together."""
        listed = {key for each in self.groups for key in (each.name, each.gid)}
        if self._tables[2]:
            missing = [each for each in which if each not in listed]
            session_of(self.host).foresee(*(_single_want("group", each) for each in missing))

    def _single(self, table: str, key: str | int) -> str:
        if not self._tables[2]:
            return ""
        answer = session_of(self.host).ask(_single_want(table, key))[0]
        return "" if answer.exit else answer.text


@provide
def accounts(host: Host) -> Accounts:
    """The accounts and groups of the host."""
    return Accounts(host)
