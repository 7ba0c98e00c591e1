"""Who exists on the host, and how accounts are locked."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.doors import ENGINE_GROUPS
from hullcheck.facts.files import File, Files
from hullcheck.facts.name_services import NameServices
from hullcheck.facts.podman.subordinate import FILES as SUBORDINATE
from hullcheck.facts.podman.subordinate import SubordinateIds
from hullcheck.facts.root_groups import NAMED
from hullcheck.facts.secrets_of_accounts import (
    GROUPS,
    GSHADOWS,
    SHADOWS,
    USERS,
    WEAK,
    Entry,
    Locks,
)
from hullcheck.facts.umask import Umask
from hullcheck.inventory.policy import Policy

PUBLIC = ("/etc/passwd", "/etc/group", "/etc/passwd-", "/etc/group-", "/etc/subuid", "/etc/subgid",
          "/etc/subuid-", "/etc/subgid-", "/var/lib/extrausers/passwd")  # fmt: skip
SECRET = ("/etc/shadow", "/etc/gshadow", "/etc/shadow-", "/etc/gshadow-", "/etc/security/opasswd",
          "/var/lib/extrausers/shadow")  # fmt: skip
COPY = re.compile(r"g?shadow[^a-z].*|\.?g?shadow\..*|master\.passwd.*")
"""Names that copies of the two files have: shadow-, shadow.bak, shadow~ …"""

USEFUL_RANGE = 65536
"""Ids that an image's users may have: nobody is 65534."""

SHORTEST_DAYS, NEVER = 1, 99_999
"""Where login.defs(5) puts a password that never ends."""

A_YEAR = 365
DAY = 86_400


@control(
    title="Only root has the user number 0",
    severity="critical",
    fix="Remove the other account, or give it a number of its own with usermod -u, and find out "
    "who made it.",
)
def test_uid_zero(accounts: Accounts, name_services: NameServices) -> None:
    """The kernel knows numbers, not names: a second account with number 0 is root with a password
    of its own. It is the oldest back door, and no rule for root, in sshd or elsewhere, holds it."""
    zero = {each.name for each in accounts.users if each.uid == 0}
    expect(zero, within=("root",), what="accounts with number 0")
    beyond = name_services.directories("passwd")
    listed = {each.name for each in accounts.users}
    if not zero or (beyond and listed <= name_services.local):
        source = beyond[0] if beyond else "the host"
        raise Unknown(f"{source} does not list its accounts; one of them may have number 0")


@control(
    title="No two accounts or groups share a number or a name",
    severity="medium",
    fix="Give one of the two a number of its own (usermod -u, groupmod -g), and hand over its "
    "files with find / -uid OLD -exec chown.",
)
def test_unique_accounts(accounts: Accounts) -> None:
    """Two accounts of one number own each other's files and processes, and logs name only one of
    them. So it is with two groups: who is in the one is in the other, whatever the lists say."""
    users = {(each.uid, each.name) for each in accounts.users if each.uid != 0}
    groups = {(each.gid, each.name) for each in accounts.groups}
    for what, pairs in (("accounts", users), ("groups", groups)):
        expect(_shared(pairs), equals=[], what=f"{what} that share a number")
        twice = _shared({(name, str(number)) for number, name in pairs})
        expect(twice, equals=[], what=f"{what} that share a name")


def _shared(pairs: Iterable[tuple[int | str, str]]) -> list[str]:
    found = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return sorted(
        f"{key}: {', '.join(sorted(each))}" for key, each in found.items() if len(each) > 1
    )


@control(
    title="Accounts' files are root's, and nobody reads the password hashes",
    severity="critical",
    fix="chown root:root and chmod 0644 for passwd and group, chown root:shadow (or root) and "
    "chmod 0640 for shadow and gshadow, likewise their copies; remove copies nobody needs.",
)
def test_account_files(files: Files) -> None:
    """Who writes one of these makes an account of their own root. Who reads hashes guesses
    passwords elsewhere, in peace: a forgotten shadow.bak does as well as the file itself."""
    files.foresee((*PUBLIC, *SECRET))
    there = [path for path in files.list("/etc") if COPY.fullmatch(posixpath.basename(path))]
    secret = dict.fromkeys((*SECRET, *there))
    hidden = []
    for file in files.all([*PUBLIC, *secret]):
        if file.state == "denied":
            hidden.append(file.reason)
        if file.state != "present" or file.kind == "character device":
            continue
        expect(file.writable_by_others(), equals=[], what=f"who else may write {file}")
        if file.path in secret:
            _expect_secret(file)
    if hidden:
        raise Unknown(hidden[0])


def _expect_secret(file: File) -> None:
    beyond = f"{file.mode & 0o137:03o}"
    expect(beyond, equals="000", what=f"permissions of {file} beyond 0640")
    if file.mode & 0o040:
        expect(file.group or f"gid {file.gid}", one_of=("root", "shadow"), what=f"group of {file}")
    expect(file.acl_beyond(0o640, (0, file.gid)), equals=[], what=f"access list of {file}")


@control(
    title="No account has an empty password",
    severity="critical",
    fix="Lock the account with passwd -l NAME, or give it a password, and write an x in the second "
    "field of /etc/passwd.",
)
def test_empty_passwords(locks: Locks) -> None:
    """An account with an empty password is open to everybody on the console, to every su, and to
    sshd where somebody once permitted it."""
    empty = [each.name for each in locks.accounts() if each.kind == "empty"]
    expect(empty, equals=[], what="accounts with an empty password")
    locks.need((*USERS, *SHADOWS))


@control(
    title="Password hashes lie in shadow, made by a method that resists guessing",
    severity="high",
    fix="Set ENCRYPT_METHOD YESCRYPT (or SHA512) in /etc/login.defs and the same for pam_unix, "
    "move hashes out of passwd with pwconv, and have the named passwords set again.",
)
def test_password_hashes(locks: Locks) -> None:
    """A hash in passwd is shown to every process of the host, containers that mount /etc
    included. DES and MD5 hashes are guessed at billions a second, and an old account keeps the
    method of the day its password was set."""
    shown = [each.name for each in locks.of(USERS) if each.hashed]
    expect(shown, equals=[], what="accounts whose hash everybody may read")
    weak = [f"{each}: {WEAK[each.method]}" for each in locks.accounts() if each.method in WEAK]
    expect(weak, equals=[], what="accounts with a weak hash")
    locks.need((*USERS, *SHADOWS))


@control(
    title="No group has a password, and none of root's rights an administrator",
    severity="high",
    fix="Remove the password with gpasswd -r GROUP and administrators with gpasswd -A '' GROUP.",
)
def test_group_passwords(locks: Locks, policy: Policy) -> None:
    """Whoever knows a group's password joins it with newgrp, and whoever administers a group lets
    anybody in. Neither shows in the list of members: docker may look empty and be open."""
    locked = [each.name for each in locks.of((*GROUPS, *GSHADOWS)) if each.hashed]
    expect(sorted(set(locked)), equals=[], what="groups with a password")
    trusted = {"root", *(policy.trusted_users or ()), *(policy.sudo_users or ())}
    for each in locks.of(GSHADOWS):
        names = {name for name in each.rest[0].split(",") if name}
        if names and each.name in (*ENGINE_GROUPS, *NAMED, "shadow"):
            expect(names, within=trusted, what=f"administrators of {each}")
    locks.need((*GROUPS, *GSHADOWS))


@control(
    title="Files that a login makes are closed to others",
    severity="low",
    level=2,
    fix="Set UMASK 027 in /etc/login.defs, have pam_umask in the session lines of /etc/pam.d, and "
    "remove looser umask lines from /etc/profile, /etc/profile.d and /etc/bash.bashrc.",
)
def test_umask(umask: Umask) -> None:
    """What an administrator makes with the usual 022, every account of the host may read: compose
    files and .env files with their secrets, exported images, backups. Group write access is fine
    where everybody's group is their own, as USERGROUPS_ENAB has it."""
    lax = [str(each) for each in umask.profiles if not each.strict]
    expect(lax, equals=[], what="looser umasks that shells set")
    if not any(each.always for each in umask.profiles) and not umask.login.strict:
        expect(str(umask.login), equals="027 or stricter", what="a login's umask")


@control(
    title="Passwords end",
    severity="low",
    level=2,
    fix="Say maximum_password_age in the policy, then chage -M DAYS NAME for the named accounts "
    "and PASS_MAX_DAYS in /etc/login.defs; or lock the password and log in by key.",
)
def test_password_age(locks: Locks, policy: Policy, started: datetime) -> None:
    """A password that was seen over a shoulder, or in another site's leak, works until it ends.
    Whether all should end by the calendar is the site's choice; accounts without a password, and
    those that log in by key alone, do not count."""
    locks.need((*USERS, *SHADOWS))
    holders = [each for each in locks.accounts() if each.hashed]
    today = int(started.timestamp()) // DAY
    for each in holders:
        changed = each.number(3) if each.file in SHADOWS else None
        expect(changed or 0, at_most=today + 1, what=f"the day on which {each} set a password")
    limit = policy.maximum_password_age
    endless = [each.name for each in holders if _lasts(each) > (limit or A_YEAR)]
    if limit is None and endless:
        names = ", ".join(endless)
        raise Manual(
            f"whether passwords should end; not within a year do those of {names}", endless
        )
    expect(endless, equals=[], what=f"accounts whose password lasts more than {limit} days")


def _lasts(each: Entry) -> int:
    days = each.number(5) if each.file in SHADOWS else None
    return days if days is not None and days >= SHORTEST_DAYS else NEVER


@control(
    title="Every user's subordinate ids are their own, and enough",
    severity="medium",
    fix="Give each a range of 65536 ids or more, above all accounts and apart from the others': "
    "usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST USER.",
)
def test_subordinate_ids(subordinate_ids: SubordinateIds) -> None:
    """The users inside a rootless or remapped container are these ids. Where two ranges overlap,
    one user's containers own the other's files; where one covers an account, they are that
    account. With too few, images do not unpack, and people go back to root."""
    ranges = subordinate_ids.ranges
    if not any(ranges.values()):
        raise NotApplicable("no user has subordinate ids")
    expect(subordinate_ids.shared(), equals=[], what="ids that are somebody else's")
    for path in SUBORDINATE:
        counts = subordinate_ids.counts(path).items()
        small = [f"{who}: {count}" for who, count in counts if count < USEFUL_RANGE]
        expect(small, equals=[], what=f"users with fewer than {USEFUL_RANGE} ids in {path}")
