"""Who becomes root through sudo, by its own grammar and by what rules come to in the end."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullcheck.facts import get
from hullcheck.facts.doas import parse_doas
from hullcheck.facts.root_ways import Way, way_of
from hullcheck.facts.sudo_files import FIRST
from hullcheck.facts.sudoers import Include, Rule, parse_sudoers
from hullcheck.inventory.policy import Policy
from hullcheck.transport.redact import Redactor
from hullcheck.transport.want import CannotAnswer, Evidence
from tests.unit.accounts_fake import judged, sudo_host

DEBIAN = """\
# This file MUST be edited with the 'visudo' command as root.
Defaults\tenv_reset
Defaults\tmail_badpass
Defaults\tsecure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
Defaults\tuse_pty
#Defaults:%sudo env_keep += "http_proxy https_proxy ftp_proxy all_proxy no_proxy"
root\tALL=(ALL:ALL) ALL
%sudo\tALL=(ALL:ALL) ALL
@includedir /etc/sudoers.d"""
RHEL = """\
Defaults   !visiblepw
Defaults    always_set_home
Defaults    env_reset
Defaults    env_keep =  "COLORS DISPLAY HOSTNAME HISTSIZE KDEDIR LS_COLORS"
Defaults    env_keep += "MAIL QTDIR USERNAME LANG LC_ADDRESS LC_CTYPE"
Defaults    secure_path = /sbin:/bin:/usr/sbin:/usr/bin
root\tALL=(ALL) \tALL
%wheel\tALL=(ALL)\tALL
#includedir /etc/sudoers.d"""
SUSE = """\
Defaults targetpw   # ask for the password of the target user i.e. root
ALL   ALL=(ALL) ALL   # WARNING! Only use this together with 'Defaults targetpw'!
root ALL=(ALL:ALL) ALL"""
P = "/etc/sudoers"


def rules(text: str) -> list[str]:
    return [str(each.command) for each in parse_sudoers(P, text).parts if isinstance(each, Rule)]


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("x ALL=(ALL) NOPASSWD: ALL", ["ALL"]),
        ("#comment \\\nx ALL=ALL", ["ALL"]),
        ("x ALL=ALL # note \\\ny ALL=/bin/a", ["ALL", "/bin/a"]),
        ("x ALL=/bin/a \\  \n b, \\\n/bin/c", ["/bin/a b", "/bin/c"]),
        ("#1000,%#27 ALL=ALL", ["ALL"]),
        ("x ALL=/bin/a --host=b, /bin/c a\\:b\\,c", ["/bin/a --host=b", "/bin/c a\\:b\\,c"]),
        ('x ALL=/bin/ls "", !/bin/su', ['/bin/ls ""', "!/bin/su"]),
        ("x 2001:db8::1/64,10.1.2.3/24 = /bin/a", ["/bin/a"]),
        ("x ALL=(root)/bin/a :ALL=/bin/b", ["/bin/a", "/bin/b"]),
        (f"x ALL=sha256:{'ab' * 32}, sha256 : {'cd' * 32} /bin/a", ["/bin/a"]),
        ("x ALL=CWD=/x TIMEOUT=5m NOEXEC:NOPASSWD : sudoedit /etc/motd", ["sudoedit /etc/motd"]),
        ("x ALL=^/bin/(a|b)$ ^-x .*$", ["^/bin/(a|b)$ ^-x .*$"]),
        ('"some user",%:ads\\ group,+net ALL=list', ["list"]),
        ("x ALL=(:docker) /bin/a", ["/bin/a"]),
    ],
)  # fmt: skip
def test_the_grammar(text: str, commands: list[str]) -> None:
    """Each line was read the same by cvtsudoers 1.9.13."""
    assert rules(text) == commands
    assert parse_sudoers(P, text).troubles == []


@pytest.mark.parametrize(
    "text", ["x y ALL=ALL", "x ALL=ALL ALL", "x ALL=NEWTAG: /bin/a", "x ALL=", "ALL", "x ALL=bin/a",
             "Cmnd_Alias x = /bin/a", "Defaults", "x ALL=(root /bin/a", "x ALL=NOPASSWD: CWD=/x /a",
             "Defaults !/bin/a", "x ALL=[redacted:3:0123456789ab]", "a" * 300_000],
)  # fmt: skip
def test_what_cannot_be_understood_is_no_rule(text: str) -> None:
    found = parse_sudoers(P, text)
    assert found.parts == []
    assert found.troubles[0].startswith(P)


@given(st.text(alphabet='ALxy=%#!:,() \\"\t\n/abDefaultsNOPASSWD_@include.*[]^$-+1', max_size=200))
def test_no_text_breaks_the_parsers(text: str) -> None:
    found = parse_sudoers(P, text)
    assert all(each.startswith(P) for each in found.troubles)
    parse_doas(P, text)


def test_inclusions() -> None:
    parts = parse_sudoers(P, '@include "/etc/a b"\n  #includedir sudoers.d\n#include\n').parts
    assert parts == [Include("/etc/a b", False), Include("sudoers.d", True)]


NONE: set[str] = set()


@pytest.mark.parametrize(
    ("text", "users", "passwordless"),
    [
        (DEBIAN, {"alice", "bob"}, NONE),  # bob by his primary group
        (RHEL, NONE, NONE),
        (SUSE, NONE, NONE),  # a rule for all that takes root's password gives nothing
        (f"{SUSE}\nalice ALL=(ALL) NOPASSWD: ALL", {"alice"}, {"alice"}),
        ("ALL ALL=(ALL) ALL", {"everybody"}, NONE),
        ("ALL,!alice ALL=(ALL) NOPASSWD: ALL", {"everybody"}, {"everybody"}),
        ("alice ALL=(ALL) NOPASSWD: ALL\n%sudo ALL=(ALL) ALL", {"alice", "bob"}, NONE),
        ("%sudo ALL=(ALL) ALL\nalice ALL=(ALL) NOPASSWD: ALL", {"alice", "bob"}, {"alice"}),
        ("alice ALL=(ALL) ALL\nalice ALL=(ALL) !ALL", NONE, NONE),
        ("alice ALL=(ALL) ALL, !/bin/su, !/bin/sh", {"alice"}, NONE),
        ("Defaults !authenticate\nalice ALL=ALL", {"alice"}, {"alice"}),
        ("Defaults:alice !authenticate\n%sudo ALL=ALL", {"alice", "bob"}, {"alice"}),
        ("Defaults:%sudo !authenticate\nDefaults authenticate\nbob ALL=ALL", {"bob"}, {"bob"}),
        ("Defaults!/bin/sh !authenticate\nbob ALL=/bin/sh, /bin/bash", {"bob"}, {"bob"}),
        ("Defaults exempt_group=ops\ncarol,bob ALL=ALL", {"carol", "bob"}, {"carol"}),
        ("Defaults !authenticate\nalice ALL=PASSWD: ALL", {"alice"}, NONE),
        ("User_Alias A=B:B=#1002\nA ALL=ALL", {"carol"}, NONE),
        ("%#27 ALL=ALL", {"alice", "bob"}, NONE),
        ("gone ALL=ALL", {"gone"}, NONE),
        ("alice db1=ALL\nbob web*=ALL\ncarol web1.example.com=ALL", {"bob", "carol"}, NONE),
        ("Host_Alias W=ALL,!web1\nalice W=ALL", NONE, NONE),
        ("alice ALL=(postgres) NOPASSWD: ALL", NONE, NONE),
        ("alice ALL=(ALL,!root) ALL", {"alice"}, NONE),  # bob is in sudo, and alice may become bob
        ("carol ALL=(:docker) /bin/sh", {"carol"}, NONE),
        ("Runas_Alias R=root\ncarol ALL=(R) /bin/bash", {"carol"}, NONE),
        ("Cmnd_Alias S=/bin/ls,D:D=/usr/bin/docker\ncarol ALL=NOPASSWD:S", {"carol"}, {"carol"}),
        (
            "carol ALL=/usr/bin/systemctl restart web, sudoedit /etc/motd, /opt/app/run *",
            NONE,
            NONE,
        ),
        ("carol ALL=sudoedit /etc/*", {"carol"}, NONE),
        ("carol ALL=SETENV: /opt/x, NOSETENV: /opt/y", {"carol"}, NONE),  # LD_PRELOAD
        ("Defaults setenv\ncarol ALL=/opt/x", {"carol"}, NONE),
        ("Defaults setenv\ncarol ALL=NOSETENV: /opt/x", NONE, NONE),
        ("carol ALL=CHROOT=* /opt/x", {"carol"}, NONE),
        ("carol ALL=CHROOT=/srv /opt/x", NONE, NONE),
        ("carol ALL=/usr/bin/", {"carol"}, NONE),
    ],
)
def test_who_becomes_root(text: str, users: set[str], passwordless: set[str]) -> None:
    host = sudo_host({P: text})
    sudo = get(host, "sudo")
    found = [each for each in sudo.grants if each.way in (Way.ROOT, Way.ENGINE)]
    assert {each.user for each in found} == users
    assert {each.user for each in found if not each.password} == passwordless
    assert sudo.doubts == []
    policy = Policy(sudo_users=tuple(users))
    assert judged("sudo-users", host, policy).status == "pass"
    assert judged("sudo-users", host, Policy(sudo_users=())).status == ("fail" if users else "pass")
    assert judged("sudo-users", host).status == ("manual" if users else "pass")
    assert judged("sudo-password", host).status == ("fail" if passwordless else "pass")
    named = Policy(passwordless_sudo_users=tuple(passwordless))
    assert judged("sudo-password", host, named).status == "pass"


@pytest.mark.parametrize(
    ("command", "way"),
    [
        ("/usr/bin/docker", Way.ENGINE),
        ("/usr/bin/docker logs *", Way.ENGINE),
        ("/usr/bin/docker restart web", Way.NONE),
        ("/usr/local/bin/kubectl", Way.ENGINE),
        ("/usr/bin/nsenter -t 1 -m", Way.ENGINE),
        ("/bin/mount /mnt/usb", Way.NONE),
        ("/usr/bin/doc*", Way.ENGINE),
        ("/usr/bin/[pq]odman", Way.ENGINE),
        ("/opt/bin/*", Way.NONE),
        ("/usr/bin/python3.11", Way.ROOT),
        ('/bin/bash ""', Way.ROOT),
        ("/bin/bash /opt/x.sh", Way.NONE),
        ("/bin/sh -s", Way.ROOT),
        ("/bin/sh -s x", Way.ROOT),
        ("/bin/bash -l", Way.ROOT),
        ("/bin/bash -o posix", Way.ROOT),
        ("/bin/bash -e /opt/x.sh", Way.NONE),
        ("/bin/sh -c /opt/x.sh", Way.NONE),
        ("/bin/sh -c /bin/bash", Way.ROOT),
        ('/bin/su ""', Way.ROOT),
        ("/bin/su -", Way.ROOT),
        ("/bin/su - root", Way.ROOT),
        ("/bin/su - postgres", Way.NONE),
        ("/bin/su root -c /opt/x.sh", Way.NONE),
        ("/bin/su -c vi", Way.ROOT),
        ("/usr/bin/sudo -i", Way.ROOT),
        ("/usr/bin/sudo -u root su", Way.ROOT),
        ("/usr/bin/env bash", Way.ROOT),
        ("/usr/bin/env A\\=1 /opt/x", Way.NONE),
        ("/usr/bin/timeout 5 sh -s", Way.ROOT),
        ("/bin/busybox sh", Way.ROOT),
        ("/bin/busybox ls /root", Way.NONE),
        ('/usr/bin/python3 ""', Way.ROOT),
        ("/usr/bin/python3 -", Way.ROOT),
        ("/usr/bin/python3 -i /opt/x.py", Way.ROOT),
        ("/usr/bin/python3 /opt/x.py", Way.NONE),
        ("/usr/bin/vim /etc/motd", Way.ROOT),
        ("/usr/bin/cat /var/log/*", Way.ROOT),
        ("/usr/bin/systemctl restart app-*", Way.NONE),
        ("/usr/bin/systemctl", Way.ROOT),
        ("sudoedit /etc/sudoers.d/x", Way.ROOT),
        ("^/bin/.*$", Way.UNCLEAR),
        ("list", Way.NONE),
    ],
)
def test_what_a_command_is_worth(command: str, way: Way) -> None:
    [rule] = parse_sudoers(P, f"x ALL={command}").parts
    assert isinstance(rule, Rule)
    assert way_of(rule.command) is way


def test_engines_in_rules() -> None:
    host = sudo_host({P: "carol ALL=(root) NOPASSWD: /usr/bin/docker ps, /usr/bin/docker exec *"})
    found = judged("sudo-engines", host)
    assert found.status == "fail"
    assert "/usr/bin/docker exec *" in found.reason
    assert judged("sudo-engines", host, Policy(trusted_users=("carol",))).status == "pass"
    assert judged("sudo-engines", sudo_host({P: DEBIAN})).status == "pass"


@pytest.mark.parametrize(
    ("files", "stderr", "reason"),
    [
        ({P: "%:ads ALL=ALL"}, "", "directory service"),
        ({P: "+admins ALL=ALL"}, "", "directory service"),
        ({P: "x 10.0.0.1=ALL"}, "", "this host cannot be told"),
        ({P: "x ALL=^/bin/.*$"}, "", "cannot be told"),
        ({P: "x y z"}, "", "/etc/sudoers:1 cannot be understood"),
        ({P: "root ALL=ALL", "/etc/nsswitch.conf": "sudoers: files ldap"}, "", "ldap"),
        ({P: "", "/etc/sudo.conf": "Plugin sudoers_policy other.so"}, "", "other.so"),
        ({}, "grep: /etc/sudoers: Permission denied\n", "needs root"),
        ({P: "@includedir /etc/sudoers.d"}, "find: '/etc/sudoers.d': Permission denied\n", "root"),
        ({P: "root ALL=ALL"}, "grep: /etc/doas.conf: Permission denied\n", "needs root"),
        ({"/etc/doas.conf": "permit frob :wheel as"}, "", "/etc/doas.conf:1"),
        ({P: "@includedir ."}, "", "deeper"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_never_passes(files: dict[str, str], stderr: str, reason: str) -> None:
    more = {"/etc": {"/etc/sudoers": files[P]}} if files.get(P) == "@includedir ." else {}
    for control in ("sudo-users", "sudo-password", "sudo-engines"):
        found = judged(control, sudo_host(files, stderr=stderr, more=more))
        assert (found.status, reason in found.reason) == ("unknown", True), found.reason


def test_a_sweep_that_is_not_whole() -> None:
    for reply in ((0, "/etc/sudoers:root ALL=ALL\n"), (0, ""), (127, ""), (0, "x\n= end\n")):
        host = sudo_host({}, answers={FIRST.command: reply})
        assert judged("sudo-users", host).status == "unknown"
    assert judged("sudo-users", sudo_host({})).status == "not-applicable"


def test_an_sssd_that_is_named_and_not_there() -> None:
    """authselect writes it on every host of RHEL's."""
    files = {P: "root ALL=ALL", "/etc/nsswitch.conf": "sudoers: files sss # usual"}
    assert judged("sudo-users", sudo_host(files)).status == "pass"
    pipe = sudo_host({}, answers={
        FIRST.command: "/etc/sudoers:root ALL=ALL\n/etc/nsswitch.conf:sudoers: files sss\n"
        "= /var/lib/sss/pipes/sudo\n= end\n"})  # fmt: skip
    assert judged("sudo-users", pipe).status == "unknown"


def test_which_files_are_read() -> None:
    """Names with a dot and those that end in a tilde are not; what is included elsewhere is; the
    distributor's file only where there is no other."""
    files = {
        P: "@includedir /etc/sudoers.d\n#include local-%h",
        "/etc/sudoers.d/a.rpmsave": "alice ALL=ALL",
        "/etc/sudoers.d/b~": "alice ALL=ALL",
        "/etc/sudoers.d/c": "carol ALL=ALL",
        "/usr/etc/sudoers": "bob ALL=ALL",
    }
    host = sudo_host(files, more={"/etc/local-web1": {"/etc/local-web1": "gone ALL=ALL"}})
    sudo = get(host, "sudo")
    assert {each.user for each in sudo.grants} == {"carol", "gone"}
    assert sudo.files.sources[0].files == [P, "/etc/sudoers.d/c", "/etc/local-web1"]
    del files[P]
    assert {each.user for each in get(sudo_host(files), "sudo").grants} == {"bob"}
    moved = {"/etc/sudo.conf": "Plugin sudoers_policy sudoers.so sudoers_file=/opt/s"}
    elsewhere = sudo_host(moved, more={"/opt/s": {"/opt/s": "carol ALL=ALL"}})
    assert {each.user for each in get(elsewhere, "sudo").grants} == {"carol"}


def test_no_redaction_takes_a_rule_away() -> None:
    """A tag is no password, and neither is an alias that is called so."""
    text = swept_on_host(
        "Cmnd_Alias PASSWORDS = /usr/bin/passwd, /usr/bin/docker\n"
        "carol ALL=(ALL) NOPASSWD: PASSWORDS\nDefaults passwd_tries=3"
    )
    clean = Redactor(b"salt")(Evidence("x", 0, text.encode(), b"")).stdout.decode()
    host = sudo_host({}, answers={FIRST.command: clean})
    assert [(each.user, each.password) for each in get(host, "sudo").grants][-1] == ("carol", False)
    assert judged("sudo-engines", host).status == "fail"


def swept_on_host(text: str) -> str:
    """What the host's own sed makes of the lines."""
    script = FIRST.command.partition("| sed ")[2].partition("; stat")[0]
    lines = "".join(f"{P}:{line}\n" for line in text.split("\n"))
    done = subprocess.run(["/bin/sh", "-c", f"sed {script}"], input=lines, text=True,
                          capture_output=True, check=True)  # fmt: skip
    return done.stdout + "= end\n"


@pytest.mark.parametrize(
    ("text", "version", "status"),
    [
        (DEBIAN, "1.9.13p3", "pass"),
        (RHEL, "1.9.15p5", "pass"),
        (RHEL, "1.9.5p2", "fail"),  # no use_pty, and not yet the default
        (f"{DEBIAN}\nDefaults !use_pty", "1.9.17", "fail"),
        (f"{DEBIAN}\nDefaults !env_reset", "1.9.17", "fail"),
        (f"{DEBIAN}\nDefaults visiblepw", "1.9.17", "fail"),
        (f'{DEBIAN}\nDefaults env_keep += "http_proxy LD_PRELOAD"', "1.9.17", "fail"),
        (f'{DEBIAN}\nDefaults env_keep -= "LD_PRELOAD"', "1.9.17", "pass"),
        (f"{DEBIAN}\nDefaults timestamp_timeout=-1", "1.9.17", "fail"),
        (f"{DEBIAN}\nDefaults timestamp_timeout=0.5", "1.9.17", "pass"),
        (f"{DEBIAN}\nDefaults timestamp_timeout=1440", "1.9.17", "fail"),
        (f"{DEBIAN}\nDefaults !secure_path", "1.9.17", "fail"),
        (f"{DEBIAN}\nDefaults secure_path=/bin:.", "1.9.17", "fail"),
        ("root ALL=ALL", "1.9.17", "fail"),
    ],
)
def test_defaults(text: str, version: str, status: str) -> None:
    host = sudo_host({P: text}, version=f"Sudo version {version}\n")
    assert judged("sudo-defaults", host).status == status


@pytest.mark.parametrize(
    ("text", "users", "passwordless"),
    [
        ("permit persist :sudo", {"alice", "bob"}, NONE),
        ("permit nopass alice # as root", {"alice"}, {"alice"}),
        ("permit nopass alice\ndeny alice", NONE, NONE),
        ("permit nopass carol as root cmd docker args ps", NONE, NONE),
        ("permit nopass carol as root cmd docker", {"carol"}, {"carol"}),
        ("permit carol as postgres", NONE, NONE),
        ("permit setenv { -ENV PS1=$X } keepenv \\\n 1002 cmd /bin/sh", {"carol"}, NONE),
        ('permit "gone"', {"gone"}, NONE),
    ],
)
def test_doas(text: str, users: set[str], passwordless: set[str]) -> None:
    sudo = get(sudo_host({"/etc/doas.d/site.conf": text}), "sudo")
    found = [each for each in sudo.grants if each.way is not Way.NONE]
    assert {each.user for each in found} == users
    assert {each.user for each in found if not each.password} == passwordless
    assert sudo.doubts == []


def test_hidden_groups_are_asked_for() -> None:
    """A directory that lists nobody still knows the group that a rule names."""
    host = sudo_host({P: "%admin ALL=ALL"}, answers={"getent group admin": "admin:x:9:eve\n"})
    assert {each.user for each in get(host, "sudo").grants} == {"eve"}
    host = sudo_host({P: "%admin ALL=ALL"}, answers={"getent group admin": (1, "")})
    with pytest.raises(CannotAnswer, match="getent group admin"):
        _ = get(host, "sudo").grants
