"""How accounts are locked, in the formats of several systems and in damaged ones."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import Any

import pytest
from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts import get
from hullcheck.facts.name_services import SWITCH
from hullcheck.facts.podman.subordinate import SWEEP
from hullcheck.facts.root_groups import DEVICES
from hullcheck.facts.secrets_of_accounts import _CLASS, FIELDS
from hullcheck.facts.umask import LINES, parse_mask
from hullcheck.inventory.policy import Policy
from tests.unit.accounts_fake import ACCOUNTS, GROUP, PASSWD, judged
from tests.unit.fake import Reply, host_with

HASHES = {
    "": "empty", "x": "shadowed", "!": "locked", "!!": "locked", "*": "locked", "*LK*": "locked",
    "!$6$salt$x": "locked", "NP": "other", "$6$salt$abc": "hash:6",
    "$y$j9T$abc$def": "hash:y", "$1$abc$def": "hash:1", "$2b$12$abc": "hash:2b",
    "$5$rounds=9$a$b": "hash:5", "$md5,rounds=9$a$b": "hash:md5", "abJnggxhB/yWI": "hash:des",
    "_J9..rasmBYk8r9AiWNc": "hash:bsdi", "##alice": "shadowed", "$$": "other",
    "$" + "a" * 40 + "$": "other",
}  # fmt: skip


@pytest.mark.parametrize("awk", [["awk"], ["busybox", "awk"]])
def test_classes(awk: list[str]) -> None:
    """No part of a hash leaves the host."""
    text = "".join(f"u{number}:{field}:1:\n" for number, field in enumerate(HASHES))
    command = [*awk, "-F:", _CLASS]
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip(f"no {awk[0]} here")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[2] for row in rows] == list(HASHES.values())
    assert [row[3] for row in rows] == [f"u{number}" for number in range(len(HASHES))]


FILES = {"p": "/etc/passwd", "s": "/etc/shadow", "g": "/etc/group", "h": "/etc/gshadow"}


def fields(*lines: str, hidden: str = "") -> dict[str, Reply]:
    """What the host says of its files: "s locked root 20228", a line of shadow; ``hidden``: the
    letters of files that cannot be read."""
    out, err = "", ""
    for letter, path in FILES.items():
        rows = [each.split(" ")[1:] for each in lines if each[0] == letter]
        if letter in hidden:
            err += f"awk: cannot open {path} (Permission denied)\n"
            continue
        for number, (kind, name, *rest) in enumerate(rows):
            out += "\t".join([path, str(number), kind, name, *[*rest, *[""] * 6][:6]]) + "\n"
        out += f"= read {path}\n= none {path.replace('etc', 'var/lib/extrausers')}\n"
    return {FIELDS.command: (0, f"{out}= end\n", err)}


ROOT = ("p shadowed root 0 0", "s locked root 20228 0 99999 7")
BOB = (*ROOT, "p shadowed bob 1000")


@pytest.mark.parametrize(
    ("control", "lines", "hidden", "status"),
    [
        ("empty-passwords", ROOT, "", "pass"),
        ("empty-passwords", (*BOB, "s empty bob"), "", "fail"),
        ("empty-passwords", (*ROOT, "p empty bob"), "", "fail"),
        ("empty-passwords", (*ROOT, "p empty bob"), "s", "fail"),  # seen without root
        ("empty-passwords", ROOT, "s", "unknown"),
        ("empty-passwords", (*ROOT, "s empty gone"), "", "pass"),  # no such account
        ("empty-passwords", (*ROOT, "p empty +"), "", "pass"),  # NIS
        ("password-hashes", (*BOB, "s hash:y bob"), "", "pass"),
        ("password-hashes", (*BOB, "s hash:1 bob"), "", "fail"),
        ("password-hashes", (*BOB, "s hash:des bob"), "", "fail"),
        ("password-hashes", (*ROOT, "p hash:6 bob"), "s", "fail"),
        ("password-hashes", ROOT, "s", "unknown"),
        ("group-passwords", ("g locked docker 999", "h locked docker  carol"), "", "pass"),
        ("group-passwords", ("h locked docker mallory carol",), "", "fail"),
        ("group-passwords", ("h locked docker root carol",), "", "pass"),
        ("group-passwords", ("h locked games mallory",), "", "pass"),
        ("group-passwords", ("h hash:6 games",), "", "fail"),
        ("group-passwords", ("g hash:6 games",), "h", "fail"),
        ("group-passwords", (), "h", "unknown"),
        ("password-age", ROOT, "", "pass"),
        ("password-age", ROOT, "s", "unknown"),
        ("password-age", (*BOB, "s hash:6 bob 20000 0 90"), "", "pass"),
        ("password-age", (*BOB, "s hash:6 bob 20000 0 99999"), "", "manual"),
        ("password-age", (*BOB, "s hash:6 bob 20000"), "", "manual"),
        ("password-age", (*BOB, "s locked bob 20000"), "", "pass"),
        ("password-age", (*BOB, "s hash:6 bob 99999 0 90"), "", "fail"),  # set in the future
    ],
)
def test_locks(control: str, lines: tuple[str, ...], hidden: str, status: str) -> None:
    found = judged(control, host_with(fields(*lines, hidden=hidden)))
    assert found.status == status, found.reason
    if status == "unknown":
        assert "root" in found.reason


def test_how_long_passwords_last() -> None:
    host = host_with(fields(*BOB, "s hash:6 bob 20000 0 180"))
    for days, expected in ((90, "fail"), (180, "pass")):
        policy = Policy(maximum_password_age=days)
        assert judged("password-age", host, policy).status == expected


@pytest.mark.parametrize(
    "reply", [(0, ""), (0, "x\n= end\n"), (0, "/etc/passwd\t1\tempty"), (127, "")]
)
def test_locks_that_are_damaged(reply: Reply) -> None:
    host = host_with({FIELDS.command: reply})
    for control in ("empty-passwords", "password-hashes", "group-passwords", "password-age"):
        assert judged(control, host).status == "unknown"


def known(passwd: str, switch: str = "passwd: files systemd", local: str | None = None) -> Host:
    """A host with these accounts, by getent and, unless told otherwise, in /etc/passwd too."""
    own = passwd if local is None else local
    lines = [f"/etc/nsswitch.conf:{switch}", *(f"/etc/passwd:{each}" for each in own.splitlines())]
    return host_with({
        "getent passwd": passwd, "getent group": GROUP,
        SWITCH.command: (2, "".join(f"{each}\n" for each in lines), ""),
    })  # fmt: skip


TOOR = "toor:x:0:0::/:/bin/sh\n"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (known(PASSWD), "pass"),
        (known(PASSWD + TOOR), "fail"),
        (known(PASSWD + TOOR.replace(":0:0", ":00:0")), "fail"),
        (known(PASSWD, "passwd: sss files"), "pass"),  # sssd filters root out
        (known(PASSWD, "passwd: files [NOTFOUND=return] ldap # all"), "unknown"),
        (known(PASSWD + "eve:x:5000:5000::/:/bin/sh\n", "passwd: files ldap", PASSWD), "pass"),
        (known(PASSWD.replace("root:x:0", "root:x:1")), "unknown"),
        (host_with({**ACCOUNTS, SWITCH.command: (2, "", "")}), "unknown"),
    ],
)  # fmt: skip
def test_uid_zero(host: Host, status: str) -> None:
    found = judged("uid-zero", host)
    assert found.status == status, found.reason


@pytest.mark.parametrize(
    ("passwd", "group", "status"),
    [
        (PASSWD, GROUP, "pass"),
        (PASSWD + PASSWD, GROUP + GROUP, "pass"),  # RHEL 8's "sss files" lists all twice
        (PASSWD + "twin:x:1000:9::/:/bin/sh\n", GROUP, "fail"),
        (PASSWD + "alice:x:1009:9::/:/bin/sh\n", GROUP, "fail"),
        (PASSWD, GROUP + "wheel:x:27:\n", "fail"),
        (PASSWD + TOOR, GROUP, "pass"),  # another control's matter
    ],
)
def test_unique_accounts(passwd: str, group: str, status: str) -> None:
    host = host_with({"getent passwd": passwd, "getent group": group})
    assert judged("unique-accounts", host).status == status


DEFS = "/etc/login.defs:UMASK\t\t{}\n/etc/login.defs:USERGROUPS_ENAB {}\n"
PAM = "/etc/pam.d/common-session:session optional\t\t\tpam_umask.so{}\n"
BASHRC = "/etc/bashrc:    [ `umask` -eq 0 ] && umask 022\n"


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ("", "fail"),
        (DEFS.format("027", "no"), "fail"),  # nobody reads it
        (DEFS.format("027", "no") + PAM.format(""), "pass"),
        (DEFS.format("027", "yes") + PAM.format(""), "pass"),  # 007, and everybody's own group
        (DEFS.format("022", "yes") + PAM.format(""), "fail"),
        (DEFS.format("022", "yes") + PAM.format(" umask=0077"), "pass"),
        (DEFS.format("007", "no") + PAM.format(""), "fail"),
        (DEFS.format("007", "yes") + PAM.format(" nousergroups"), "fail"),
        (DEFS.format("027", "no") + PAM.format("") + BASHRC, "pass"),  # RHEL 9
        (DEFS.format("027", "no") + PAM.format("") + "/etc/profile:umask 022\n", "fail"),
        ("/etc/profile:umask 027\n", "pass"),
        ("/etc/profile.d/a.sh:  umask 027\n", "fail"),  # who knows when
        ("/etc/profile:umask u=rwx,g=rx,o=\n", "pass"),
        ("/etc/profile:# umask 022\n/etc/profile:umask 077\n", "pass"),
        ("/etc/profile:umask $X\n", "unknown"),
        ("/etc/profile:if x; then umask 002; else umask 022; fi\n", "fail"),
        (PAM.format("").replace("session o", "#session o"), "fail"),
    ],
)
def test_umask(lines: str, status: str) -> None:
    assert judged("umask", host_with({LINES.command: f"{lines}= end\n"})).status == status
    denied = (0, f"{lines}= end\n", "grep: /etc/profile: Permission denied\n")
    assert judged("umask", host_with({LINES.command: denied})).status == "unknown"
    assert judged("umask", host_with({LINES.command: lines})).status == "unknown"


def test_masks() -> None:
    assert [parse_mask(each) for each in ("027", "0077", "9", "a=rx", "x", '"022"')] == [
        0o027, 0o077, None, 0o222, None, 0o022]  # fmt: skip


def test_subordinate_ids() -> None:
    def host(subuid: str, switch: str = "") -> Host:
        files = {"/etc/subuid": subuid, "/etc/subgid": "", "/etc/nsswitch.conf": switch}
        out = "".join(
            f"= 0 644 {len(text)} {path}\n" + "".join(f"{path}:{line}\n" for line in text.split())
            for path, text in files.items()
        )
        return host_with({**ACCOUNTS, SWEEP.command: f"{out}= end\n"})

    cases = [
        ("", "not-applicable"),
        ("alice:100000:65536\nbob:165536:65536", "pass"),
        ("alice:100000:65536\nbob:165535:65536", "fail"),
        ("alice:100000:65536\n1000:100000:65536", "pass"),  # her own, by name and by number
        ("root:100000:65536\nlxd:100000:65536", "pass"),  # as LXD's packages had it
        ("alice:100000:1000", "fail"),
        ("alice:100000:60000\nalice:300000:60000", "pass"),
        ("alice:1000:65536", "fail"),
        ("alice:0:65536", "fail"),
        ("alice:100000", "unknown"),
    ]
    for text, status in cases:
        assert judged("subordinate-ids", host(text)).status == status, text
    assert judged("subordinate-ids", host("alice:100000:65536", "subid:sss")).status == "unknown"


class TestRootGroups:
    def host(self, devices: str, group: str = GROUP, stderr: str = "") -> Host:
        answers: dict[str, Reply] = {"getent passwd": PASSWD, "getent group": group}
        answers["getent group 6"] = (2, "")
        return host_with({**answers, DEVICES.command: (0, devices, stderr)})

    @pytest.mark.parametrize(
        ("devices", "group", "policy", "status"),
        [
            ("fd 6 660 /dev/vda\n= end\n", "disk:x:6:\n", Policy(), "pass"),
            ("fd 6 660 /dev/vda\n= end\n", "disk:x:6:eve\n", Policy(), "manual"),
            ("fd 6 660 /dev/vda\n= end\n", "raw:x:6:eve\n", Policy(sudo_users=()), "fail"),
            ("fd 6 660 /dev/vda\n= end\n", "raw:x:6:eve\n", Policy(trusted_users=("eve",)), "pass"),
            ("b 6 660 /dev/sr0\n= end\n", "cdrom:x:6:eve\n", Policy(), "not-applicable"),
            ("0 6 640 /etc/shadow\n= end\n", "shadow:x:6:eve\n", Policy(), "manual"),
            ("= end\n", "wheel:x:6:eve\n", Policy(), "manual"),
            ("fd 6 660 /dev/vda\n= end\n", "x:x:9:\n", Policy(), "pass"),
            ("fd 6 660 /dev/vda\n", "disk:x:6:\n", Policy(), "unknown"),
            ("", "disk:x:6:\n", Policy(), "unknown"),
            ("odd\n= end\n", "disk:x:6:\n", Policy(), "unknown"),
        ],
    )  # fmt: skip
    def test_members(self, devices: str, group: str, policy: Policy, status: str) -> None:
        host = self.host(devices, f"root:x:0:\n{group}")
        found = judged("root-group-members", host, policy)
        assert found.status == status, found.reason


def files(listed: list[str], **modes: Any) -> SimpleNamespace:
    """Files of a host by the last part of their path: a mode, or (mode, group, writers)."""

    def one(path: str) -> SimpleNamespace:
        found = modes.get(path.rpartition("/")[2].replace(".", "_").replace("-", "_"))
        mode, group, writers = found if isinstance(found, tuple) else (found, "root", [])
        state = "absent" if mode is None else "denied" if mode < 0 else "present"
        return SimpleNamespace(
            path=path, state=state, reason=f"{path} is denied; it may need root", kind="file",
            mode=mode, group=group, gid=0, writable_by_others=lambda: writers,
            acl_beyond=lambda mask, groups: [],
        )  # fmt: skip

    return SimpleNamespace(foresee=lambda paths: None, list=lambda folder: listed,
                           all=lambda paths: [one(path) for path in paths])  # fmt: skip


@pytest.mark.parametrize(
    ("listed", "modes", "status"),
    [
        ([], {"passwd": 0o644, "shadow": (0o640, "shadow", [])}, "pass"),
        ([], {"passwd": 0o644, "shadow": 0o000}, "pass"),  # RHEL
        ([], {"shadow": (0o640, "users", [])}, "fail"),
        ([], {"shadow": 0o644}, "fail"),
        ([], {"shadow": 0o660}, "fail"),
        ([], {"passwd": (0o666, "root", ["everybody may write"])}, "fail"),
        (["/etc/shadow.bak"], {"shadow_bak": 0o644}, "fail"),
        (["/etc/shadow~", "/etc/shadowsocks"], {"shadow~": 0o600, "shadowsocks": 0o644}, "pass"),
        ([], {"opasswd": -1, "passwd": 0o644}, "unknown"),
        ([], {"opasswd": -1, "shadow": 0o644}, "fail"),
    ],
)
def test_account_files(listed: list[str], modes: dict[str, Any], status: str) -> None:
    host = host_with(ACCOUNTS)
    fake = files(listed, **modes)
    fake.all = _consulting(host, fake.all)
    found = judged("account-files", host, files=fake)
    assert found.status == status, found.reason


def _consulting(host: Host, inner: Any) -> Any:
    def every(paths: Any) -> Any:
        _ = get(host, "accounts").users
        return inner(paths)

    return every


def test_unreadable_switch() -> None:
    denied = (
        2,
        "/etc/passwd:root:x:0:0::/:/bin/sh\n",
        "grep: /etc/nsswitch.conf: Permission denied\n",
    )
    with pytest.raises(Unknown):
        get(host_with({SWITCH.command: denied}), "name_services")
