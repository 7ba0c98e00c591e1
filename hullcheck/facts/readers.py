"""Who can read a file, by its mode and access list and by every directory above it."""

from __future__ import annotations

from collections.abc import Collection

from hullcheck.facts.accounts import Accounts
from hullcheck.facts.files import File
from hullcheck.facts.registry import get

__all__ = ["readers"]

READ, PASS = 4, 1


def readers(file: File, trusted: Collection[int]) -> list[str]:
    """Return who beside trusted users may read a file, or look into a directory, one sentence each;
    path_resolution(7). A group is trusted when all its members are.

    :raises NotApplicable: there is no file. :raises Unknown: it cannot be seen.
    """
    status = file.present
    wanted = PASS if status.kind == "directory" else READ
    found = []
    if status.uid not in trusted:
        found.append(f"{file} belongs to {status.user or f'uid {status.uid}'}")
    if status.mode & wanted and all(each.mode & PASS for each in file.ancestors):
        found.append(f"everybody may read {file}")
    elif status.mode >> 3 & wanted:
        accounts: Accounts = get(file.host, "accounts")
        found += _group(file, accounts, trusted)
        for entry in file.acl:
            known = (0, file.gid) if entry.of_group else trusted
            if entry.effective & wanted and entry.id not in known:
                found.append(f"the ACL of {file} gives {entry}")
    return found


def _group(file: File, accounts: Accounts, trusted: Collection[int]) -> list[str]:
    gid = file.gid
    through = all(
        each.mode & PASS or (each.gid == gid and each.mode >> 3 & PASS) for each in file.ancestors
    )
    names = {each.name for each in accounts.users if each.uid in trusted}
    members = sorted(accounts.members(gid) - names)
    if not through or not members:
        return []
    return [f"members of {file.group or f'gid {gid}'} ({', '.join(members)}) may read {file}"]
