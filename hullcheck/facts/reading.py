"""Who else can read a file: its mode and ACL, and the way to it (path_resolution(7))."""

from __future__ import annotations

from collections.abc import Collection

from testinfra.host import Host

from hullcheck.facts.accounts import Accounts
from hullcheck.facts.acl import acl_of
from hullcheck.facts.files import File
from hullcheck.facts.registry import get
from hullcheck.facts.way import Status

__all__ = ["EVERYBODY", "readers_of"]

EVERYBODY = "everybody"

_READ, _PASS = 4, 1


def readers_of(file: File, trusted: Collection[int] = ()) -> list[str]:
    """Return who may read a file beside root, its owner and trusted users: names, or everybody.

    Who cannot pass a directory on the way to it reads nothing, whatever its mode. A group that
    has no member but the owner is nobody else.

    :raises Unknown: an ACL that may count cannot be read.
    """
    known: Accounts = get(file.host, "accounts")
    beside = {0, file.uid, *trusted}
    own = {each.name for each in known.users if each.uid in beside}
    may = _allowed(file.host, file.present, file.path, _READ) - own
    for directory in file.ancestors:
        if may:
            passing = _allowed(file.host, directory, directory.path, _PASS)
            may = _both(may, passing) - own
    return sorted(may)


def _both(some: set[str], others: set[str]) -> set[str]:
    if EVERYBODY in some:
        return others
    return some if EVERYBODY in others else some & others


def _allowed(host: Host, status: Status, where: str, bit: int) -> set[str]:
    """Return the names of users who have a permission, or everybody."""
    known: Accounts = get(host, "accounts")
    if status.mode & bit:
        return {EVERYBODY}
    found: set[str] = set()
    if status.mode >> 6 & bit:
        found.add(_name(known, status.uid))
    if not status.mode >> 3 & bit:
        return found
    # Under an ACL the group's bits are its mask; the group's own entry is taken to be as wide.
    found |= known.members(status.gid)
    for entry in acl_of(host, where, status.mode):
        if entry.effective & bit:
            found |= known.members(entry.id) if entry.of_group else {_name(known, entry.id)}
    return found


def _name(known: Accounts, uid: int) -> str:
    user = known.user(uid)
    return user.name if user else f"uid {uid}"
