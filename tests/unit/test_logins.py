"""Cron, homes, paths and profiles: what lists them, and who decides what they do."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from testinfra.host import Host

from hullcheck.facts import get
from hullcheck.facts.cron import ALLOWED, PLACES, PROGRAMS, THERE
from hullcheck.facts.homes import HOMES, TRUSTED
from hullcheck.facts.startup import LOADER, LOOSE, PATHS, parse_paths
from hullcheck.facts.startup import PLACES as PROFILES
from hullcheck.inventory.policy import Policy
from tests.unit.accounts_fake import ACCOUNTS, PASSWD, judged
from tests.unit.fake import Reply, host_with


def files(host: Host, **faults: list[str]) -> SimpleNamespace:
    """Files of a host, all there and root's but those named by the last part of their path."""

    def one(path: str) -> SimpleNamespace:
        _ = get(host, "accounts").users
        found = faults.get(path.rpartition("/")[2].replace(".", "_"), [])
        return SimpleNamespace(
            path=path, exists=True, state="present", kind="file", mode=0o644, ancestors=(),
            writable_by_others=lambda trusted=(0,): found,
            replaceable_by_others=lambda trusted=(0,): found,
        )  # fmt: skip

    return SimpleNamespace(foresee=lambda paths: None, all=lambda paths: list(map(one, paths)))


def listed(*paths: str) -> str:
    return "".join(f"{path}\0" for path in (*paths, "//end"))


TABLES = ("/etc/crontab", "/etc/cron.d", "/etc/cron.d/x", "/var/spool/cron/crontabs",
          "/var/spool/cron/crontabs/alice", "/var/spool/cron/atjobs")  # fmt: skip
DEBIAN = "ID=debian\n"


TREE = listed(*TABLES)
NOTHING = listed()
PROFILE_D = listed("/etc/profile.d", "/etc/profile.d/x.sh")


def cron_host(
    places: Reply = TREE,
    programs: Reply = "/etc/crontab\t/opt/backup\n= end\n",
    allowed: str = "",
    there: str = "2755 /usr/bin/crontab\n",
    release: str = DEBIAN,
) -> Host:
    return host_with({
        **ACCOUNTS, PLACES.command: places, PROGRAMS.command: programs,
        ALLOWED.command: f"{allowed}= end\n", THERE.command: f"{there}= end\n",
        "cat /etc/os-release": release, "cat /usr/lib/os-release": (1, ""),
    })  # fmt: skip


DENIED = "find: '/var/spool/cron/crontabs': Permission denied\n"


@pytest.mark.parametrize(
    ("host", "faults", "status"),
    [
        (cron_host(), {}, "pass"),
        (cron_host(), {"x": ["everybody may write it"]}, "fail"),
        (cron_host(), {"backup": ["it belongs to eve"]}, "fail"),
        (cron_host(), {"alice": ["it belongs to eve"]}, "fail"),
        (cron_host(), {"atjobs": ["it belongs to daemon"]}, "pass"),
        (cron_host((0, listed(*TABLES[:4]), DENIED)), {}, "unknown"),
        (cron_host((0, listed(*TABLES[:4]), DENIED)), {"x": ["open"]}, "fail"),
        (cron_host(programs="/etc/crontab\t/opt/backup\n"), {}, "unknown"),
        (cron_host(programs=(0, "= end\n", "awk: x: Permission denied\n")), {}, "unknown"),
        (cron_host(listed()), {}, "not-applicable"),
        (cron_host("/etc/crontab\0"), {}, "unknown"),
    ],
)  # fmt: skip
def test_cron_files(host: Host, faults: dict[str, list[str]], status: str) -> None:
    found = judged("cron-files", host, files=files(host, **faults))
    assert found.status == status, found.reason


RHEL = 'ID="rhel"\n'
ALLOW = "640 /etc/cron.allow\n2755 /usr/bin/crontab\n"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (cron_host(), "fail"),
        (cron_host(release=RHEL, there="4755 /usr/bin/crontab\n"), "pass"),  # cronie: root alone
        (cron_host(release=RHEL, there="644 /etc/cron.deny\n4755 /usr/bin/crontab\n"), "fail"),
        (cron_host(release=RHEL, there="700 /usr/bin/crontab\n"), "pass"),
        (cron_host(there=ALLOW), "pass"),
        (cron_host(there=ALLOW, allowed="/etc/cron.allow:root\n/etc/cron.allow: bob\n"), "fail"),
        (cron_host(there=f"{ALLOW}644 /etc/at.deny\n6755 /usr/bin/at\n"), "fail"),
        (cron_host(there=f"{ALLOW}6755 /usr/bin/at\n"), "pass"),  # neither list: root alone
        (cron_host(there=""), "not-applicable"),
        (cron_host(there="odd\n"), "unknown"),
    ],
)  # fmt: skip
def test_cron_users(host: Host, status: str) -> None:
    assert judged("cron-users", host).status == status
    assert judged("cron-users", host, Policy(cron_users=("bob",))).status in (status, "pass")


def test_programs_of_tables(tmp_path: Path) -> None:
    """Of root's lines only, and no argument of theirs: it may be a secret."""
    for name, text in {
        "etc/crontab": "# c\nPATH=/x\n*/5 * * * * root /opt/a --password=x\n@daily root /opt/b\n"
        "1 2 3 4 5 bob /opt/c\n7 * * * * root cd / && /opt/d\n",
        "etc/anacrontab": "SHELL=/bin/sh\n1 5 cron.daily /opt/e\n@monthly 9 x /opt/f\n",
        "spool/root": "1 2 3 4 5 /opt/g\n@reboot /opt/h\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    script = PROGRAMS.command.replace("/etc/", f"{tmp_path}/etc/").replace(
        "/var/spool/cron/root", f"{tmp_path}/spool/root")  # fmt: skip
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    found = [line.rpartition("\t")[2] for line in done.stdout.splitlines()]
    assert [each for each in found if each.startswith("/opt")] == [
        "/opt/a", "/opt/b", "/opt/e", "/opt/f", "/opt/g", "/opt/h"]  # fmt: skip
    assert "password" not in done.stdout


HOME = "41ed 1000 1000 4096 /home/alice\n//\n41c0 0 0 4096 /root\n//\n"


def homes(more: str = "", stderr: str = "", trusted: str = "", end: str = "end\n//\n") -> Host:
    passwd = PASSWD.replace("/home/bob", "/nowhere").replace("/home/carol", "/")
    return host_with({
        "getent passwd": passwd, "getent group": ACCOUNTS["getent group"],
        HOMES.command: (0, f"{HOME}{more}{end}", stderr), TRUSTED.command: f"{trusted}= end\n",
    })  # fmt: skip


RHOSTS = "81a4 1000 1000 4 /home/alice/.rhosts\n//\n"
CLOSED = "find: '/home/alice/.ssh': Permission denied\n"


@pytest.mark.parametrize(
    ("control", "host", "status"),
    [
        ("homes", homes(), "pass"),
        ("homes", homes("81b6 1000 1000 4 /home/alice/.bashrc\n//\n"), "fail"),
        ("homes", homes("81b6 0 0 4 /home/alice/.bashrc\n//\n", CLOSED), "fail"),
        ("homes", homes(stderr=CLOSED), "unknown"),
        ("homes", homes(end=""), "unknown"),
        ("homes", homes("odd\n//\n"), "unknown"),
        ("trusted-hosts", homes(), "pass"),
        ("trusted-hosts", homes(RHOSTS), "fail"),
        ("trusted-hosts", homes(RHOSTS.replace(" 4 ", " 0 ")), "pass"),
        ("trusted-hosts", homes(trusted="/etc/hosts.equiv:+ +\n"), "fail"),
        ("trusted-hosts", homes(stderr=CLOSED), "unknown"),
        ("netrc", homes(), "pass"),
        ("netrc", homes(RHOSTS.replace("rhosts", "netrc")), "fail"),
        ("netrc", homes(RHOSTS.replace("rhosts", "netrc").replace("81a4", "8180")), "pass"),
        ("netrc", homes("8180 7 7 9 /home/alice/.netrc\n//\n"), "fail"),
    ],
)
def test_homes(control: str, host: Host, status: str) -> None:
    faults = {"_bashrc": ["everybody may write it"]}
    found = judged(control, host, files=files(host, **faults))
    assert found.status == status, found.reason
    if status == "unknown" and host is not None and "Permission" in found.reason:
        assert "root" in found.reason


def test_which_homes() -> None:
    """Accounts that can log in, and whose home exists; a shared / is nobody's."""
    assert [str(each) for each in get(homes(), "home")] == [
        "/root of root", "/home/alice of alice"]  # fmt: skip


def test_the_sweep_over_homes(tmp_path: Path) -> None:
    """A name with a newline cannot pose as another file, and no link is followed."""
    home = tmp_path / "alice"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh/authorized_keys").write_text("")
    (home / ".ssh/authorized_keys").chmod(0o666)
    (home / ".x\n//\n81b6 0 0 1 .y").mkdir(parents=True)
    (home / ".link").symlink_to("/etc/shadow")
    (home / ".rhosts").write_text("x")
    (home / "public").write_text("")
    (home / "public").chmod(0o666)
    passwd = f"alice:x:1000:1000::{home}/:/bin/sh\nx:x:1:1::/usr/sbin:/usr/sbin/nologin\n"
    script = HOMES.command.replace("getent passwd", f"printf '{passwd}'")
    for shell in (["/bin/sh"], ["busybox", "sh"]):
        try:
            done = subprocess.run([*shell, "-c", script], capture_output=True, text=True,
                                  check=True)  # fmt: skip
        except FileNotFoundError:
            continue
        paths = {line.partition(str(home))[2] for line in done.stdout.split("\n//\n")[:-1]}
        assert paths - {""} == {"/.ssh/authorized_keys", "/.rhosts"}
        assert done.stdout.endswith("end\n//\n")


def startup_host(
    paths: str = "",
    loader: str = "",
    loose: Reply = NOTHING,
    stderr: str = "",
    places: Reply = PROFILE_D,
) -> Host:
    return host_with({
        **ACCOUNTS, PATHS.command: (0, f"{paths}= end\n", stderr), LOOSE.command: loose,
        LOADER.command: f"{loader}= end\n", PROFILES.command: places,
    })  # fmt: skip


PRELOAD = "/etc/ld.so.preload:/lib/x.so\n"
CONF = "/etc/ld.so.conf:include ld.so.conf.d/*.conf\n/etc/ld.so.conf.d/a.conf:/opt/lib # x\n"


@pytest.mark.parametrize(
    ("control", "host", "faults", "status"),
    [
        ("root-path", startup_host(), {}, "pass"),
        ("root-path", startup_host("/etc/environment:PATH=/bin:/usr/bin\n"), {}, "pass"),
        ("root-path", startup_host("/root/.bashrc:export PATH=$PATH:.\n"), {}, "fail"),
        ("root-path", startup_host("/root/.bashrc:PATH=$PATH:\n"), {}, "fail"),
        ("root-path", startup_host("/root/.bashrc:# PATH=$PATH:.\n"), {}, "pass"),
        ("root-path", startup_host("/etc/profile:PATH=/opt/x:$PATH\n"), {"x": ["eve"]}, "fail"),
        ("root-path", startup_host(), {"local": ["eve"], "bin": []}, "pass"),
        ("root-path", startup_host(loose=listed("/usr/bin/tool")), {"tool": ["eve"]}, "fail"),
        ("root-path", startup_host(loose=listed("/usr/bin/tool")), {}, "pass"),
        ("root-path", startup_host(loose=(0, "/usr/bin\0")), {}, "unknown"),
        ("root-path", startup_host(stderr="grep: /root/.profile: Permission denied\n"), {},
         "unknown"),
        ("login-files", startup_host(), {}, "pass"),
        ("login-files", startup_host(), {"x_sh": ["everybody may write it"]}, "fail"),
        ("login-files", startup_host(loader=CONF), {"lib": ["it belongs to eve"]}, "fail"),
        ("login-files", startup_host(loader=CONF), {}, "pass"),
        ("login-files", startup_host(places=(0, listed(), "find: '/etc/profile.d': denied\n")),
         {}, "unknown"),
        ("preloaded-libraries", startup_host(), {}, "pass"),
        ("preloaded-libraries", startup_host(loader="/etc/ld.so.preload:# none\n"), {}, "pass"),
        ("preloaded-libraries", startup_host(loader=PRELOAD), {}, "manual"),
        ("preloaded-libraries", startup_host(loader=PRELOAD), {"x_so": ["eve"]}, "fail"),
    ],
)  # fmt: skip
def test_startup(control: str, host: Host, faults: dict[str, Any], status: str) -> None:
    found = judged(control, host, files=files(host, **faults))
    assert found.status == status, found.reason


def test_preloaded_by_policy() -> None:
    host = startup_host(loader=PRELOAD)
    for allowed, expected in ((("/lib/x.so",), "pass"), ((), "fail")):
        policy = Policy(preloaded_libraries=allowed)
        found = judged("preloaded-libraries", host, policy, files=files(host))
        assert found.status == expected


@pytest.mark.parametrize(
    ("path", "line", "folders"),
    [
        ("/etc/login.defs", "ENV_SUPATH\tPATH=/sbin:/bin", ["/sbin", "/bin"]),
        ("/etc/environment", 'PATH="/a:/b"', ["/a", "/b"]),
        ("/root/.profile", 'PATH="$HOME/bin:~/x:${PATH}"', ["/root/bin", "/root/x"]),
        ("/etc/profile", 'PATH="$HOME/bin:$JAVA_HOME/bin:/c"', ["/c"]),
        ("/etc/profile", "PATH=$PATH", []),
        ("/etc/profile", "MANPATH=/x; PATH=/y; export PATH", ["/y"]),
        ("/etc/profile", "PATH=${PATH:+$PATH:}/y", ["/y"]),
        ("/etc/profile", "PATH=/y${PATH:+:$PATH}", ["/y"]),
        ("/etc/profile", "PATH=:/y", ["", "/y"]),
    ],
)
def test_paths(path: str, line: str, folders: list[str]) -> None:
    assert [each.folder for each in parse_paths(path, line)] == folders
