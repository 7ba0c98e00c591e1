"""Who becomes root through sudo or doas."""

from __future__ import annotations

from collections.abc import Iterable

from hullcheck.control import Manual, Unknown, control, expect
from hullcheck.facts.files import Files
from hullcheck.facts.root_ways import Way
from hullcheck.facts.sudo_rules import Grant, Sudo
from hullcheck.facts.sudoers import Default
from hullcheck.inventory.policy import Policy

ROOT_WAYS = (Way.ROOT, Way.ENGINE)
LONGEST_TICKET = 15
"""Minutes for which sudo's own default on most systems lets one password count."""

PTY_DEFAULT = (1, 9, 14)
"""The version of sudo from which each command has a terminal of its own unless told otherwise."""

STEERING = ("LD_", "BASH_ENV", "ENV", "PATH", "PYTHONPATH", "PYTHONSTARTUP", "PERL5LIB",
            "PERL5OPT", "RUBYLIB", "NODE_OPTIONS", "GCONV_PATH", "*")  # fmt: skip
"""Variables by which a user makes a program of root's load code of theirs."""


def _users(grants: Iterable[Grant]) -> set[str]:
    return {each.user for each in grants}


def _listed(grants: Iterable[Grant]) -> str:
    return ", ".join(sorted(map(str, grants)))


def _settle(sudo: Sudo) -> None:
    """:raises Unknown: somebody may be allowed more than was found."""
    if sudo.doubts:
        raise Unknown(sudo.doubts[0])


@control(
    title="Only trusted users can become root through sudo or doas",
    severity="high",
    fix="Remove the others' rules with visudo, or take them out of the groups that rules name, and "
    "name who is left in sudo_users of the policy.",
)
def test_sudo_users(sudo: Sudo, policy: Policy) -> None:
    """Whoever becomes root owns every container, image and secret of the host. What counts is what
    a rule comes to in the end: a shell, an editor, a package manager or a pattern that lets one
    through is all of root, whatever else the rule was meant for. A command that is taken away
    from ALL is not gone: a copy of it has another name."""
    found = [each for each in sudo.grants if each.way in ROOT_WAYS]
    allowed = (policy.sudo_users or ()) + policy.passwordless_sudo_users
    if policy.sudo_users is not None:
        expect(_users(found), within=allowed, what="users who become root through sudo")
    _settle(sudo)
    others = [each for each in found if each.user not in allowed]
    if policy.sudo_users is None and others:
        raise Manual(f"whether these may become root: {_listed(others)}", sorted(_users(others)))
    if policy.sudo_users is None:
        expect(sorted(_users(others)), equals=[], what="users who become root through sudo")


@control(
    title="Becoming root takes a password",
    severity="high",
    fix="Take NOPASSWD (doas: nopass) and !authenticate out of the rules that visudo shows, give "
    "the accounts passwords, and name an automation's account in passwordless_sudo_users.",
)
def test_sudo_password(sudo: Sudo, policy: Policy) -> None:
    """Without a password, whatever runs in an administrator's session is root at once: a script
    of a build, an editor's plugin, a stolen key or agent. An automation that needs it should have
    an account of its own that can be reached by one key from one place."""
    found = [each for each in sudo.grants if each.way in ROOT_WAYS and not each.password]
    what = "users who become root without a password"
    expect(_users(found), within=policy.passwordless_sudo_users, what=what)
    _settle(sudo)


@control(
    title="No sudo rule lends a container engine to a user",
    severity="high",
    fix="Remove the rule with visudo. Give the user a rootless engine, or a rule for one script of "
    "root's, or for one command with all its arguments written out.",
)
def test_sudo_engines(sudo: Sudo, policy: Policy) -> None:
    """A rule for docker, podman, kubectl, nsenter, mount and their like looks small and is all of
    root: one container with the host's file system mounted, and the host is theirs. A pattern
    among the arguments does not hold them back, since sudo's stars also match spaces."""
    found = [each for each in sudo.grants if each.way is Way.ENGINE]
    trusted = {*(policy.trusted_users or ()), *(policy.sudo_users or ())}
    lent = [each for each in found if each.user not in trusted | {*policy.passwordless_sudo_users}]
    for each in lent:
        expect(each.command, equals="no engine", what=f"what {each.user} may run as root")
    _settle(sudo)
    if not lent:
        expect([], equals=[], what="rules that lend an engine")


@control(
    title="What sudo reads and runs as root is root's own",
    severity="critical",
    fix="Give the named files and folders to root and take write access from everybody else, or "
    "let the rule name a copy of the program below /usr/local/sbin.",
)
def test_sudo_files(sudo: Sudo, files: Files) -> None:
    """Who can write a file of rules makes rules. Who can write a program that a rule names, or a
    folder on the way to it, decides what runs as root: a backup script in a user's home is the
    usual way."""
    rules = [path for source in sudo.files.sources for path in source.files]
    paths = dict.fromkeys([*rules, *sudo.files.doas, *sudo.programs])
    for file in files.all(paths):
        if file.state == "absent" and file.path not in sudo.programs:
            continue
        found = file.writable_by_others() if file.exists else file.replaceable_by_others()
        expect(found, equals=[], what=f"who else decides what {file} is")
    _settle(sudo)


@control(
    title="sudo gives commands a clean environment and a terminal of their own",
    severity="medium",
    fix='In /etc/sudoers: Defaults env_reset, use_pty, timestamp_timeout=5, and secure_path="…" '
    "with folders of root's; remove visiblepw and env_keep for LD_*, PATH and their like.",
)
def test_sudo_defaults(sudo: Sudo) -> None:
    """A kept LD_PRELOAD or a PATH of the user's turns every harmless rule into a root shell.
    Without a terminal of its own, a command that runs as another user can type into the caller's.
    A password that counts for hours serves whoever finds the session open."""
    for name, wanted in (("env_reset", True), ("visiblepw", False)):
        for each in sudo.settings(name):
            expect(each.on, equals=wanted, what=f"{name} ({each.where})")
    for name in ("env_keep", "env_check", "env_delete"):
        for each in sudo.settings(name):
            _variables(each)
    for each in sudo.settings("timestamp_timeout"):
        minutes = _number(each)
        if not 0 <= minutes <= LONGEST_TICKET:
            what = f"timestamp_timeout ({each.where})"
            expect(each.value, equals=f"0 to {LONGEST_TICKET}", what=what)
    _path(sudo)
    _terminal(sudo)
    # What is not seen to be set may be set in a part that cannot be read.
    _settle(sudo)
    if not any(source.rules for source in sudo.files.sources):
        expect([], equals=[], what="rules that the settings would matter to")
        return
    kept = "set" if sudo.settings("secure_path") else "not set"
    expect(kept, equals="set", what="secure_path")
    if not sudo.settings("use_pty") and sudo.version:
        expect(sudo.version, at_least=PTY_DEFAULT, what="the version of sudo, without use_pty,")


def _terminal(sudo: Sudo) -> None:
    for each in sudo.settings("use_pty"):
        expect(each.on, equals=True, what=f"use_pty ({each.where})")


def _variables(each: Default) -> None:
    kept = each.value.split() if each.operator != "-=" and each.on else []
    if each.name == "env_keep":
        bad = [name for name in kept if name in STEERING or name.startswith("LD_")]
        expect(bad, equals=[], what=f"variables of the user's that are kept ({each.where})")


def _number(each: Default) -> float:
    try:
        return float(each.value)
    except ValueError:
        return 0.0 if not each.on else -1.0


def _path(sudo: Sudo) -> None:
    for each in sudo.settings("secure_path"):
        expect(each.on, equals=True, what=f"secure_path ({each.where})")
        odd = [folder for folder in each.value.split(":") if not folder.startswith("/")]
        expect(odd if each.on else [], equals=[],
               what=f"parts of secure_path that are no absolute path ({each.where})")  # fmt: skip
