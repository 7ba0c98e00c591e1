"""What the host runs by the clock."""

from __future__ import annotations

import posixpath

from hullcheck.control import NotApplicable, control, expect
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.cron import Cron
from hullcheck.facts.files import Files
from hullcheck.inventory.policy import Policy


@control(
    title="Nobody but root decides what root's cron jobs run",
    severity="critical",
    fix="chown root:root and chmod go-w what is named: the tables, the folders of scripts, and the "
    "programs that the tables start.",
)
def test_cron_files(cron: Cron, files: Files, accounts: Accounts) -> None:
    """Whoever can write a table of root's, a script in cron.daily or the program that a line
    starts is root within the day, and again after every cleaning. A user's own table must be
    that user's, or others run things in their name."""
    for file in files.all([*cron.system, *cron.programs]):
        found = file.writable_by_others() if file.exists else file.replaceable_by_others()
        expect(found, equals=[], what=f"who else decides what {file} does")
    users = cron.users
    numbers = {each.name: each.uid for each in accounts.users}
    for file in files.all(users):
        name = users[file.path]
        if file.exists:
            trusted = {0, numbers.get(name, 0)}
            found = file.writable_by_others(trusted)
            expect(found, equals=[], what=f"who else decides what {file} does")


@control(
    title="Users cannot read root's cron jobs",
    severity="low",
    level=2,
    fix="chmod 0600 /etc/crontab and 0700 /etc/cron.d /etc/cron.hourly /etc/cron.daily "
    "/etc/cron.weekly /etc/cron.monthly.",
)
def test_cron_private(cron: Cron, files: Files) -> None:
    """Jobs tell an intruder what runs as root, when, from which paths, and too often with which
    password. Nobody but root needs to read them."""
    shown = [
        file.path
        for file in files.all(cron.system)
        if not posixpath.basename(file.path).startswith(".")
        if file.exists and file.kind == "file" and file.mode & 0o004
        if all(each.mode & 0o001 for each in file.ancestors)
    ]
    expect(shown, equals=[], what="jobs that everybody may read")


@control(
    title="Only named users may leave jobs with cron and at",
    severity="low",
    level=2,
    fix="Write the users, or nobody, one a line, into /etc/cron.allow and /etc/at.allow (root "
    "always may), remove cron.deny and at.deny, or remove at.",
)
def test_cron_users(cron: Cron, policy: Policy) -> None:
    """A job is the easiest way to stay: an intruder in any account, a service's included, leaves
    one and is back after every restart. A list of who may not, or none at all, lets every
    account in that is made tomorrow."""
    absent = 0
    for tool in ("cron", "at"):
        try:
            users = cron.allowed(tool)
        except NotApplicable:
            absent += 1
            continue
        expect(users, within=policy.cron_users, what=f"users who may leave jobs with {tool}")
    if absent == 2:
        raise NotApplicable("this host has neither crontab nor at")
