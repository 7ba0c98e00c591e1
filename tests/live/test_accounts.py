"""Accounts, sudo, cron and logins on real hosts: made wrong, audited, repaired, audited again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.facts.sudoers import Rule, parse_sudoers
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from tests.live.hosts.overlay import OverlayHost

pytestmark = pytest.mark.live

OWN = (
    "root-group-members", "uid-zero", "unique-accounts", "account-files", "empty-passwords",
    "password-hashes", "group-passwords", "umask", "password-age", "subordinate-ids", "cron-files",
    "cron-private", "cron-users", "homes", "trusted-hosts", "netrc", "root-path", "login-files",
    "preloaded-libraries", "sudo-users", "sudo-password", "sudo-engines", "sudo-files",
    "sudo-defaults",
)  # fmt: skip
NOBODY = Policy(trusted_users=(), sudo_users=())


def verdicts(host: OverlayHost, user: str = "root", policy: Policy = NOBODY) -> dict[str, str]:
    """Judge all of them in one session, after one gathering."""
    spec = parse_spec(f"paramiko://{user}@{host.name}")
    there = connect(replace(spec, ssh_config=host.ssh_config))
    controls = [all_controls()[f"host.{name}"] for name in OWN]
    site = Site(host.name, policy)
    try:
        gather(controls, there, site)
        found = {each.id.removeprefix("host."): judge(each, there, site) for each in controls}
        assert session_of(there).late == 0
        assert session_of(there).rounds <= 6
        return {name: str(each.status) for name, each in found.items()}
    finally:
        session_of(there).close()


FLIPS = {
    "root-group-members": ("gpasswd -a mallory disk", "gpasswd -d mallory disk"),
    "uid-zero": ("useradd -o -u 0 toor", "sed -i /^toor:/d /etc/passwd /etc/shadow /etc/sub?id"),
    "unique-accounts": ("useradd -o -u $(id -u mallory) -M twin", "userdel twin"),
    "account-files": ("cp /etc/shadow /etc/shadow.bak; chmod 644 /etc/shadow.bak",
                      "rm /etc/shadow.bak"),
    "empty-passwords": ("passwd -d mallory", "passwd -l mallory"),
    "password-hashes": ("usermod -p '$1$aaaaaaaa$bbbbbbbbbbbbbbbbbbbbb.' games",
                        "usermod -p '*' games"),
    "group-passwords": ("groupadd ops; echo ops:word | chgpasswd", "groupdel ops"),
    "umask": ("echo umask 022 >/etc/profile.d/x.sh", "echo umask 027 >/etc/profile.d/x.sh"),
    "subordinate-ids": ("echo eve:100000:999999 >>/etc/subuid", "sed -i /^eve/d /etc/subuid"),
    "cron-files": ("chmod o+w /etc/cron.daily/dpkg", "chmod o-w /etc/cron.daily/dpkg"),
    "cron-private": ("chmod 755 /etc/cron.daily", "chmod 700 /etc/cron.daily"),
    "cron-users": ("rm /etc/cron.allow", "touch /etc/cron.allow"),
    "homes": ("chmod g+w,o+w ~mallory/.bashrc", "chmod g-w,o-w ~mallory/.bashrc"),
    "trusted-hosts": ("echo + + >~mallory/.rhosts", "rm ~mallory/.rhosts"),
    "netrc": ("echo machine x >~mallory/.netrc; chmod 644 ~mallory/.netrc", "rm ~mallory/.netrc"),
    "root-path": ("echo 'export PATH=.:$PATH' >>/root/.profile", "sed -i /PATH/d /root/.profile"),
    "login-files": ("mkdir /opt/lib; chown mallory /opt/lib;"
                    " echo /opt/lib >/etc/ld.so.conf.d/x.conf",
                    "rm /etc/ld.so.conf.d/x.conf; rmdir /opt/lib"),
    "preloaded-libraries": ("install -m 666 /lib/*/libdl.so.2 /usr/lib/hide.so;"
                            " echo /usr/lib/hide.so >/etc/ld.so.preload",
                            "rm /etc/ld.so.preload /usr/lib/hide.so"),
    "sudo-users": ("echo 'mallory ALL=(root) /usr/bin/vim' >/etc/sudoers.d/sudo-users",
                   "rm /etc/sudoers.d/sudo-users"),
    "sudo-password": ("echo 'mallory ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/0-all",
                      "rm /etc/sudoers.d/0-all"),
    "sudo-engines": ("echo 'mallory ALL=/usr/bin/docker exec *' >/etc/sudoers.d/sudo-engines",
                     "rm /etc/sudoers.d/sudo-engines"),
    "sudo-files": ("echo 'mallory ALL=/home/mallory/run.sh' >/etc/sudoers.d/sudo-files",
                   "rm /etc/sudoers.d/sudo-files"),
    "sudo-defaults": ("echo 'Defaults env_keep += LD_PRELOAD' >/etc/sudoers.d/sudo-defaults",
                      "rm /etc/sudoers.d/sudo-defaults"),
}  # fmt: skip
"""control -> what makes it fail, and what repairs that"""

BEGIN = """
useradd -m mallory; chmod 700 /etc/cron.*; touch /etc/cron.allow
printf '#!/bin/sh\\n' >/usr/bin/crontab; chmod 2755 /usr/bin/crontab
echo umask 027 >/etc/profile.d/x.sh
"""
END = """
userdel -r mallory; chmod 755 /etc/cron.*; rm -f /etc/cron.allow /usr/bin/crontab
rm /etc/profile.d/x.sh; ! grep -q mallory /etc/subuid
"""


@pytest.fixture(scope="module")
def overlay_host() -> Iterator[OverlayHost]:
    """One of its own: to the shared one others add users."""
    with OverlayHost("accounts1") as host:
        yield host


def test_each_flips(overlay_host: OverlayHost) -> None:
    """All wrong at once, and all right before and after. A script of no content stands in for
    cron's crontab, which this machine lacks: what counts is that it is there, and its mode."""
    host = overlay_host
    host.run(f"({BEGIN}) 2>&1")
    try:
        assert verdicts(host) == dict.fromkeys(OWN, "pass")
        host.run("\n".join(wrong for wrong, _ in FLIPS.values()) + "\n:")
        assert verdicts(host) == {**dict.fromkeys(FLIPS, "fail"), "password-age": "manual"}
        host.run("\n".join(repair for _, repair in FLIPS.values()) + "\n:")
        assert verdicts(host) == dict.fromkeys(OWN, "pass")
    finally:
        host.run(f"({END}) 2>&1")


def test_what_a_user_gets(overlay_host: OverlayHost) -> None:
    """What everybody may read is decided without root, and the rest is unknown, never a pass."""
    overlay_host.add_user("auditor")
    try:
        found = verdicts(overlay_host, "auditor")
    finally:
        overlay_host.run("userdel -rf auditor 2>&1")
    assert {name for name, each in found.items() if each == "pass"} == {
        "root-group-members", "uid-zero", "unique-accounts", "account-files", "subordinate-ids",
        "preloaded-libraries", "cron-files",
    }  # fmt: skip
    assert {name for name, each in found.items() if each == "fail"} == {"umask", "cron-private"}
    assert set(found.values()) == {"pass", "fail", "unknown", "not-applicable"}


def test_rules_that_cvtsudoers_reads_too(overlay_host: OverlayHost) -> None:
    """sudo's own parser and ours find the same users and commands in the same file."""
    text = (
        "User_Alias A = mallory, %ops : B = #1234\n"
        'Cmnd_Alias C = /usr/bin/docker ps, \\\n  /bin/ls "" # no more \\\n'
        "A,!carol ALL,!db = (root:disk) NOPASSWD: C, PASSWD: /bin/sh : web = /bin/cat a\\,b\n"
    )
    overlay_host.write("/root/rules", text, 0o440)
    try:
        said = overlay_host.run("cvtsudoers -f json /root/rules").stdout
    finally:
        overlay_host.run("rm /root/rules")
    specs = [spec for each in json.loads(said)["User_Specs"] for spec in each["Cmnd_Specs"]]
    theirs = [word for spec in specs for each in spec["Commands"] for word in each.values()]
    rules = [each for each in parse_sudoers("/s", text).parts if isinstance(each, Rule)]
    assert [str(each.command).replace("\\", "") for each in rules] == [
        str(each).replace("\\", "") for each in theirs
    ]
