"""``hullcheck sudoers``: what a host must allow, so that an account can audit it."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile

from hullcheck.commands._shared import Commands, command
from hullcheck.run.options import UsageError

__all__ = ["declare", "entry"]

TEXT = """\
Prints the smallest sudoers entry that an audit with --sudo needs, and the line of authorized_keys
that goes with it.

This is root. The entry allows one command, a shell of root's that reads what to do from its
standard input, so whoever holds the key can do anything on the host. What is smaller than all of
sudo: no other command or arguments, no variables, no other user. Guard the key like root's own,
and say in authorized_keys from where it may be used.

  hullcheck sudoers --checked > hullcheck         then, on each host, as root:
  install -m 440 hullcheck /etc/sudoers.d/        sudo ignores names with a dot in them
"""

ENTRY = """\
# An audit by Hullcheck, as {user}. This is root: the shell runs what it is sent.
# In ~{user}/.ssh/authorized_keys, one line, with the auditor's address and public key:
#   restrict,from="192.0.2.10",command="{command}" ssh-ed25519 AAAA... hullcheck
Defaults:{user} !requiretty
{user} ALL=({to}) NOPASSWD:NOSETENV: /bin/sh -s
"""

_NAME = re.compile(r"[a-z_][a-z0-9_.-]{0,31}", re.IGNORECASE)
_RESERVED = ("ALL", "root")


def declare(commands: Commands) -> None:
    """Declare the command."""
    one = command(
        commands, "sudoers", _sudoers, "print the sudoers entry that an audit needs", TEXT
    )
    one.add_argument(
        "--user", metavar="NAME", default="hullcheck",
        help="who logs in on the hosts (default: hullcheck)",
    )  # fmt: skip
    one.add_argument(
        "--sudo-user", metavar="NAME", default="root",
        help="whom to become, as sudo_user of an inventory says (default: root)",
    )  # fmt: skip
    one.add_argument("--checked", action="store_true", help="let visudo check it before")


def _sudoers(options: argparse.Namespace) -> int:
    text = entry(options.user, options.sudo_user)
    if options.checked:
        _check(text)
    print(text, end="")
    return 0


def entry(user: str, to: str = "root") -> str:
    """Return the entry. :raises UsageError: a name is none that sudo takes for a name."""
    if not _NAME.fullmatch(user) or user in _RESERVED:
        raise UsageError(f"--user {user}: name one account other than root: letters, digits, _ . -")
    if not _NAME.fullmatch(to) or to == "ALL":
        raise UsageError(f"--sudo-user {to}: name one account: letters, digits, _ . -")
    to_user = "" if to == "root" else f"-u {to} "
    return ENTRY.format(user=user, to=to, command=f"sudo -n {to_user}/bin/sh -s")


def _check(text: str) -> None:
    program = shutil.which("visudo", path="/usr/sbin:/sbin:/usr/local/sbin:/usr/bin")
    if program is None:
        raise UsageError("--checked needs visudo; it comes with sudo")
    with tempfile.NamedTemporaryFile("w", suffix=".sudoers") as file:
        file.write(text)
        file.flush()
        done = subprocess.run(
            [program, "-cf", file.name], capture_output=True, text=True, check=False, timeout=60
        )
    if done.returncode:
        raise UsageError(
            f"visudo does not take it: {' '.join((done.stderr or done.stdout).split())}"
        )
