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


def readers_of(file: File, trusted: Collection[int] | None = None) -> list[str]:
    """Return who may read a file, or look into a directory: names, or everybody.

    Who cannot pass a directory on the way to it reads nothing, whatever its mode. A group that
    has none but trusted members is nobody else.

    :param trusted: the users who may, beside root; if not given, its owner.
    :raises NotApplicable: there is no file. :raises Unknown: it, or an ACL that may count, cannot
        be seen.
    """
    status = file.present
    known: Accounts = get(file.host, "accounts")
    beside = {0, *([status.uid] if trusted is None else trusted)}
    own = {f"uid {each}" for each in beside}
    own |= {each.name for each in known.users if each.uid in beside}
    wanted = _PASS if status.kind == "directory" else _READ
    may = _allowed(file.host, status, file.path, wanted)
    if status.uid not in beside:
        may.add(_name(known, status.uid))
    may -= own
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
