"""Groups whose members have root's rights, or can take them, beside those that open an engine."""

from __future__ import annotations

import re
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import NotApplicable
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.registry import get, provide_each
from hullcheck.facts.texts import END, lines_of
from hullcheck.transport import CannotAnswer, session_of, want
from hullcheck.verdict import Object

__all__ = ["DEVICES", "NAMED", "RootGroup", "root_group"]

NAMED = {
    "sudo": "is root to sudo and polkit", "wheel": "is root to sudo and polkit",
    "admin": "is root to sudo and polkit", "disk": "reads and writes raw disks",
    "libvirt": "gives a virtual machine any file of the host",
    "libvirtd": "gives a virtual machine any file of the host",
}  # fmt: skip
"""By the distributions' own meaning: polkit's administrators, libvirt's daemon, Debian's disk."""

DEVICES = want(
    "find /dev -maxdepth 2 -type b -exec stat -c '%t %g %a %n' -- {} +;"
    " stat -L -c '%t %g %a %n' -- /dev/mem /dev/kmem /dev/port /etc/shadow /etc/gshadow;"
    f" echo '{END}'"
)
"""Major number (hexadecimal), group, mode and path of what is all of the host, or its secrets."""

REMOVABLE = frozenset({"b", "2"})
"""Major numbers of CD-ROM drives and floppies (kernel.org, admin-guide/devices)."""

_LINE = re.compile(r"([0-9a-f]+) (\d+) ([0-7]+) (/.*)")


@dataclass(frozen=True, slots=True)
class RootGroup:
    """:param means: what makes its members root."""

    name: str
    means: str
    members: frozenset[str]

    def __str__(self) -> str:
        return f"group {self.name}"

    @property
    def object(self) -> Object:
        return Object("group", self.name)


@provide_each
def root_group(host: Host) -> list[RootGroup]:
    """Each group that reads or writes disks, memory or password hashes, or has such a name.

    :raises NotApplicable: there is none.
    """
    session_of(host).foresee(DEVICES)
    accounts: Accounts = get(host, "accounts")
    found = {each.gid: (each.name, NAMED[each.name]) for each in accounts.groups
             if each.name in NAMED}  # fmt: skip
    lines = lines_of(session_of(host).ask(DEVICES)[0])
    if not lines or lines[-1] != END:
        raise CannotAnswer("the devices of the host were not listed to the end")
    for line in lines[:-1]:
        row = _LINE.fullmatch(line)
        if row is None:
            raise CannotAnswer(f"a device is listed in a way that is not known: {line[:60]!r}")
        gid, mode = int(row[2]), int(row[3], 8)
        if gid and mode & 0o060 and row[1] not in REMOVABLE:
            group = accounts.group(gid)
            name = group.name if group else f"gid {gid}"
            found.setdefault(gid, (name, f"{'writes' if mode & 0o020 else 'reads'} {row[4]}"))
    if not found:
        raise NotApplicable("this host has no such group")
    return [RootGroup(name, means, accounts.members(gid))
            for gid, (name, means) in sorted(found.items())]  # fmt: skip
