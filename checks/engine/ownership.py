"""What the controls of files ask of each: to whom it belongs, and who else may use it."""

from __future__ import annotations

import stat

from hullcheck.control import NotApplicable, expect
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.engine_files import EngineFile
from hullcheck.facts.files import File

__all__ = ["expect_mode", "expect_owner"]


def label(accounts: Accounts, number: int, group: bool) -> str:
    """Return an account as a person reads it; root needs no number."""
    known = accounts.group(number) if group else accounts.user(number)
    if number == 0:
        return "root"
    return f"{known} ({number})" if known else str(number)


def expect_owner(each: EngineFile, accounts: Accounts) -> None:
    """Expect a file to belong to whom it may, and nobody else to be able to replace it.

    Numbers are compared: a second account with root's name is not root.

    :raises NotApplicable: there is no such file. :raises Unknown: it cannot be seen.
    """
    file = seen(each)
    ways = file.replaceable_by_others(each.users) if file.exists or file.is_link else []
    expect(ways, equals=[], what=f"what lets others replace {each}")
    owned = (("owner", file.uid, each.users), ("group", file.gid, each.groups))
    for what, number, allowed in owned:
        labels = [label(accounts, one, what == "group") for one in sorted(allowed)]
        shown = label(accounts, number, what == "group")
        if len(labels) == 1:
            expect(shown, equals=labels[0], what=f"{what} of {each}")
        else:
            expect(shown, one_of=labels, what=f"{what} of {each}")


def expect_mode(each: EngineFile, mask: int) -> None:
    """Expect a file to give nobody more than a mode does, by its own mode and by its ACL.

    :param mask: the permission bits that may be set; a tighter mode is fine. A directory
        may be searched by whom the mask lets read.
    :raises NotApplicable: there is no such file. :raises Unknown: it cannot be seen.
    """
    file = seen(each)
    if file.kind == "directory":
        mask |= (mask & 0o444) >> 2
    elif file.kind == "socket":
        # A rootless engine sets the sticky bit, so that nobody tidies its socket away.
        mask |= stat.S_ISVTX
    expect(f"{file.mode:04o}", equals=f"{file.mode & mask:04o}", what=f"mode of {each}")
    given = file.acl_beyond(mask, each.groups)
    expect(given, equals=[], what=f"what the ACL of {each} gives beyond {mask:04o}")


def seen(each: EngineFile) -> File:
    """Return the file. :raises NotApplicable: it is a unit that leads to /dev/null."""
    if each.file.exists and each.file.resolved == "/dev/null":
        raise NotApplicable(f"{each} is masked: it leads to /dev/null")
    return each.file
