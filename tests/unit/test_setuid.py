"""Programs with the rights of others: the walk, whose they are, and what is thought of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullcheck.control import Unknown
from hullcheck.facts.accounts import User
from hullcheck.facts.data_roots import DataRoots
from hullcheck.facts.file_owners import APK, dpkg_want, parse_rpm, rpm_want
from hullcheck.facts.mounts import parse_mountinfo
from hullcheck.facts.setuid import names_of, parse_getcap, parse_walk, plan, walk_want
from hullcheck.inventory.policy import Policy
from hullcheck.transport import Answer, Evidence, want
from tests.unit.fake import host_with
from tests.unit.kernels import MOUNTS, verdict
from tests.unit.test_storage import Files

BASE = (
    "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n23 22 0:4 / /proc rw - proc proc rw\n"
    "24 22 0:5 / /dev rw,nosuid - devtmpfs udev rw\n25 22 0:6 / /sys rw - sysfs sysfs rw\n"
)
DOCKER = "/var/lib/docker/overlay2/x/merged"


@pytest.mark.parametrize(
    ("mounts", "roots", "out"),
    [
        ("", ["/"], ["/proc", "/sys"]),
        # Home takes no setuid programs; a mount in it does, so it is walked after all.
        ("30 22 8:2 / /home rw,nosuid - ext4 /dev/sda2 rw\n", ["/"], ["/home", "/proc", "/sys"]),
        ("30 22 8:2 / /home rw,nosuid - ext4 /dev/sda2 rw\n"
         "31 30 8:3 / /home/x rw - ext4 /dev/sda3 rw\n", ["/"], ["/proc", "/sys"]),
        ("30 22 0:9 / /run rw,nosuid - tmpfs tmpfs rw\n", ["/"], ["/proc", "/sys"]),
        # What lies below kernel file systems and another machine's is walked by itself.
        ("30 25 0:9 / /sys/fs/x rw - tmpfs tmpfs rw\n", ["/", "/sys/fs/x"], ["/proc", "/sys"]),
        ("30 22 0:9 / /mnt rw - nfs4 s:/ rw\n31 30 8:2 / /mnt/a rw - ext4 /dev/sda2 rw\n"
         "32 31 8:3 / /mnt/a/b rw - ext4 /dev/sda3 rw\n",
         ["/", "/mnt/a"], ["/mnt", "/proc", "/sys"]),
        (f"30 22 0:9 / {DOCKER} rw - overlay overlay rw\n", ["/"], ["/proc", "/sys"]),
        ("30 22 8:1 /srv/a /mnt/b rw - ext4 /dev/sda1 rw\n", ["/"], ["/proc", "/sys"]),
    ],
)  # fmt: skip
def test_where_to_walk(mounts: str, roots: list[str], out: list[str]) -> None:
    assert plan(parse_mountinfo(BASE + mounts)) == (roots, out)


END = "end 0\n//\n"
SU = "F 89ed 0 0 0:0 /usr/bin/su\n//\n"


def walked(text: str, err: str = "", code: int = 0) -> Any:
    answer = Answer(want("x"), Evidence("x", code, text.encode(), err.encode()))
    return parse_walk(answer, host_with({}))


@pytest.mark.parametrize(
    ("text", "err", "reason"),
    [
        (SU + END, "", ""),
        (SU + END, "find: '/proc/9': No such file or directory\n", ""),
        (SU, "", "broke off"),
        ("", "", "broke off"),
        (SU + "F 89ed 0", "", "broke off"),
        (SU + "end 124\n//\n", "", "within"),
        (SU + "end 1\n//\n", "find: '/home/x': Permission denied\n", "needs root"),
        (SU + "end 1\n//\n", "", "does not say why"),
        (SU + "end 127\n//\n", "sh: find: not found\n", "find: not found"),
        ("rubbish\n//\n" + SU + END, "", "damaged"),
        ("G /x/y\n//\n" + SU + END, "", "getcap"),
    ],
)
def test_a_walk_that_is_not_whole(text: str, err: str, reason: str) -> None:
    walk = walked(text, err)
    assert (reason in " ".join(walk.unseen)) if reason else walk.unseen == ()
    assert SU not in text or [each.path for each in walk.found] == ["/usr/bin/su"]


@given(st.text())
def test_any_text_is_a_walk(text: str) -> None:
    assert walked(text, text).unseen or text.endswith("//\n")


def test_capabilities_without_a_tool() -> None:
    assert "no getcap" in walked("N getcap\n//\n" + END).unread[0]
    unsupported = "Failed to get capabilities of file '/boot/x' (Operation not supported)\n"
    assert walked(END, unsupported).unread == walked(END, unsupported).unseen == ()
    assert walked(END, "Failed to get capabilities of file '/x' (I/O error)\n").unread


@pytest.mark.parametrize(
    ("line", "path", "names"),
    [
        ("/usr/bin/ping cap_net_raw=ep", "/usr/bin/ping", {"cap_net_raw"}),
        ("/usr/bin/ping = cap_net_raw+ep", "/usr/bin/ping", {"cap_net_raw"}),
        ("/a b cap_setgid,cap_setuid=eip", "/a b", {"cap_setgid", "cap_setuid"}),
        ("/x =ep", "/x", {"all"}),
        ("/x = =ep", "/x", {"all"}),
        ("/x =ep cap_chown+i", "/x", {"all"}),
        ("/x cap_net_raw=i", "/x", set()),
        ("/x cap_setuid=ep [rootid=0]", "/x", {"cap_setuid"}),
        ("/x cap_setuid=ep [rootid=100000]", "", set()),
    ],
)
def test_what_getcap_says(line: str, path: str, names: set[str]) -> None:
    found = list(parse_getcap(line))
    assert [(each, set(names_of(text))) for each, text in found] == (
        [(path, names)] if path else []
    )


RPM = """\
104755 /usr/bin/su
100755 /usr/bin/ping\tcap_net_raw=ep
100755 /usr/bin/bash
file /opt/x is not owned by any package
"""
RPM_NONE = "file /usr/bin/su is not owned by any package\n"
ALPINE = "0:0:4111 /bin/bbsuid\n0:42:2755 /usr/bin/chage\n"


def test_what_rpm_says() -> None:
    answer = Answer(want("x", meaning=(1,)), Evidence("x", 1, RPM.encode(), b""))
    found = dict(parse_rpm(answer))
    assert (found["/usr/bin/su"].mode, found["/usr/bin/bash"].mode) == (0o4755, 0o755)
    assert found["/usr/bin/ping"].capabilities == {"cap_net_raw"}
    with pytest.raises(Unknown):
        list(parse_rpm(Answer(want("y"), Evidence("y", 0, b"error: db1\n", b""))))


MANAGERS: dict[str, dict[str, Any]] = {
    "none": {"dpkg": (127, ""), "rpm": (127, ""), "apk": (2, "", "awk: /lib/apk/db/"
             "installed: No such file or directory\n")},
    "dpkg": {"dpkg": (0, "util-linux.list:/bin/su\niputils-ping.list:/bin/ping\n"
             "libc6:amd64.list:/bin/bash\nacme.list:/usr/lib/acme/helper\n"
             "tmux.list:/usr/bin/tmux\n")},
    "rpm": {"rpm": (1, RPM)},
    "apk": {"apk": (0, ALPINE)},
}  # fmt: skip


def judged(
    control: str, kind: str, path: str, record: str, mounts: str = "", policy: Policy | None = None,
    err: str = "", files: Any = None, **facts: Any,
) -> Any:  # fmt: skip
    """Judge a host on which the walk told of one thing, beside su."""
    answers = {**MANAGERS["none"], **MANAGERS[kind]}
    roots, out = plan(parse_mountinfo(BASE + mounts))
    text = (record if record.startswith("N") else f"{record}{path}\n//\n") + END
    here = host_with({
        MOUNTS: BASE + mounts, walk_want(roots, out).command: (0, text, err),
        dpkg_want([path]).command: answers["dpkg"], rpm_want([path]).command: answers["rpm"],
        APK.command: answers["apk"],
    })  # fmt: skip
    users = [
        User("root", 0, 0, "/root", "/bin/sh"),
        User("bob", 1000, 1000, "/home/bob", "/bin/sh"),
    ]
    groups = [SimpleNamespace(gid=0), SimpleNamespace(gid=1000)]
    accounts = SimpleNamespace(users=users, groups=groups, user=lambda uid: users[1])
    given = {
        "data_roots": DataRoots((), ""),
        "accounts": accounts,
        "files": files or Files(),
        **facts,
    }
    return verdict(f"host.{control}", here, policy=policy, **given)


SETUID, SETGID = "F 89ed 0 0 0:0 ", "F 85ed 0 42 0:0 "


@pytest.mark.parametrize(
    ("kind", "path", "expected"),
    [
        ("dpkg", "/usr/bin/su", "pass"),
        ("dpkg", "/usr/bin/bash", "fail"),
        ("dpkg", "/usr/lib/acme/helper", "manual"),
        ("dpkg", "/usr/bin/tmux", "manual"),
        ("dpkg", "/usr/bin/odd", "fail"),
        ("dpkg", "/usr/local/bin/su", "fail"),
        ("dpkg", "/tmp/su", "fail"),
        ("dpkg", "/tmp/\n/usr/bin/su", "fail"),
        ("dpkg", "/tmp/*", "fail"),
        ("dpkg", "/var/lib/docker/overlay2/x/diff/bin/su", "fail"),
        ("rpm", "/usr/bin/su", "pass"),
        ("rpm", "/usr/bin/bash", "fail"),
        ("rpm", "/opt/x", "fail"),
        ("apk", "/bin/bbsuid", "pass"),
        ("apk", "/bin/busybox", "fail"),
        # Flatcar, Bottlerocket: nobody says whose a program is.
        ("none", "/usr/bin/sudo", "pass"),
        ("none", "/opt/bin/sudo", "fail"),
        ("none", "/usr/bin/find", "fail"),
    ],
)
def test_setuid(kind: str, path: str, expected: str) -> None:
    said = judged("setuid-programs", kind, path, SETUID)
    assert said.status == expected, said.reason


def test_setgid_and_bits_that_give_nothing() -> None:
    assert judged("setuid-programs", "apk", "/usr/bin/chage", SETGID).status == "pass"
    assert judged("setuid-programs", "apk", "/usr/bin/chage", SETUID).status == "fail"
    for mode in ("81a4", "85a4", "89a4"):  # none, locking, setuid that nobody may run
        record = f"F {mode} 0 0 0:0 "
        assert judged("setuid-programs", "dpkg", "/srv/x", record).status == "pass"


@pytest.mark.parametrize(
    ("options", "fstype", "expected"),
    [("rw", "ext4", "fail"), ("rw,nosuid", "ext4", "pass"), ("rw,noexec", "ext4", "pass"),
     ("rw,nodev", "ext4", "fail")],
)  # fmt: skip
def test_a_mount_that_takes_none(options: str, fstype: str, expected: str) -> None:
    mounts = f"30 22 0:8 / /srv {options} - {fstype} x rw\n"
    assert judged("setuid-programs", "dpkg", "/srv/sh", SETUID, mounts).status == expected


def test_another_machines_files_were_not_looked_at() -> None:
    for options, expected in (("rw", "unknown"), ("rw,nosuid", "pass")):
        mounts = f"30 22 0:8 / /srv {options} - nfs4 x:/ rw\n"
        assert judged("setuid-programs", "dpkg", "/usr/bin/su", SETUID, mounts).status == expected


def test_a_snap_is_a_system_of_its_own() -> None:
    mounts = "30 22 7:1 / /snap/core20/1 ro,nodev - squashfs /dev/loop1 ro\n"
    for path, expected in (
        ("/snap/core20/1/usr/bin/su", "pass"),
        ("/snap/core20/1/tmp/sh", "fail"),
    ):
        assert judged("setuid-programs", "dpkg", path, SETUID, mounts).status == expected


@pytest.mark.parametrize(
    ("allowed", "path", "expected"),
    [
        (None, "/usr/lib/acme/helper", "manual"), ((), "/usr/lib/acme/helper", "fail"),
        (("helper",), "/usr/lib/acme/helper", "pass"), (("sh",), "/tmp/sh", "fail"),
        (("/tmp/sh",), "/tmp/sh", "pass"), (("/srv/chroot/",), "/srv/chroot/bin/su", "pass"),
        (("/",), "/tmp/sh", "fail"), (("/srv/chroot",), "/srv/chroot/bin/su", "fail"),
    ],
)  # fmt: skip
def test_what_the_site_allows(allowed: Any, path: str, expected: str) -> None:
    policy = Policy(setuid_allowed=allowed)
    assert judged("setuid-programs", "dpkg", path, SETUID, policy=policy).status == expected


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("F 89ed 1000 1000 0:0 ", "pass"),  # bob's own image, as his engine keeps it
        ("F 89ed 100000 100000 0:0 ", "pass"),
        ("F 85ed 1000 100042 0:0 ", "pass"),
        ("F 89ed 0 0 0:0 ", "fail"),  # hidden where nobody looks
        ("F 85ed 1000 0 0:0 ", "fail"),
    ],
)
def test_a_users_own_store(record: str, expected: str) -> None:
    store = "/home/bob/.local/share/containers/storage"
    roots = SimpleNamespace(found=[SimpleNamespace(uid=1000, path=store)])
    path = f"{store}/overlay/x/diff/bin/su"
    assert judged("setuid-programs", "dpkg", path, record, data_roots=roots).status == expected


def test_remapped_containers() -> None:
    """Their setuid programs give the rights of numbers that are nobody's on the host."""
    path = "/var/lib/docker/165536.165536/overlay2/x/diff/bin/su"
    roots = SimpleNamespace(found=[SimpleNamespace(uid=0, path="/var/lib/docker")])
    for uid, expected in ((165536, "pass"), (0, "fail"), (1000, "fail")):
        record = f"F 89ed {uid} {uid} 0:0 "
        assert judged("setuid-programs", "dpkg", path, record, data_roots=roots).status == expected


def test_directories_that_an_acl_opens() -> None:
    class Opened(Files):
        def get(self, path: str) -> Any:
            beyond = ["the ACL gives user 1000 --x"] if path == "/var/lib/docker" else []
            return SimpleNamespace(path=path, state="present", mode=0o710, exists=True,
                                   acl_beyond=lambda mask, groups: beyond)  # fmt: skip

    record = "C 41c8 0 0 0:0 "
    for path, expected in (("/var/lib/docker", "unknown"), ("/var/lib/other", "pass")):
        said = judged("setuid-programs", "dpkg", path, record, files=Opened())
        assert said.status == expected, said.reason


@pytest.mark.parametrize(
    ("kind", "path", "capabilities", "expected"),
    [
        ("dpkg", "/usr/bin/ping", "cap_net_raw=ep", "pass"),
        ("dpkg", "/usr/bin/ping", "cap_setuid=ep", "manual"),
        ("dpkg", "/usr/bin/bash", "cap_setuid=ep", "fail"),
        ("dpkg", "/usr/local/bin/caddy", "cap_net_bind_service=ep", "pass"),
        ("dpkg", "/usr/local/bin/x", "cap_net_raw=ep", "fail"),
        ("dpkg", "/tmp/x", "=ep", "fail"),
        ("rpm", "/usr/bin/ping", "cap_net_raw=ep", "pass"),
        ("rpm", "/usr/bin/ping", "cap_net_raw,cap_setuid=ep", "fail"),
        ("rpm", "/usr/bin/bash", "cap_setuid=ep", "fail"),
        ("apk", "/usr/bin/ping", "cap_net_raw=ep", "pass"),
        ("apk", "/usr/bin/python3", "cap_setuid=ep", "fail"),
        ("none", "/usr/bin/newuidmap", "cap_setuid=ep", "pass"),
        ("dpkg", "/srv/x", "cap_setuid=ep [rootid=100000]", "pass"),
    ],
)
def test_capabilities(kind: str, path: str, capabilities: str, expected: str) -> None:
    """judged() ends a record with the path; here the line of getcap ends with something else."""
    roots, out = plan(parse_mountinfo(BASE))
    answers = {**MANAGERS["none"], **MANAGERS[kind]}
    here = host_with({
        MOUNTS: BASE, walk_want(roots, out).command: f"G {path} {capabilities}\n//\n{END}",
        dpkg_want([path]).command: answers["dpkg"], rpm_want([path]).command: answers["rpm"],
        APK.command: answers["apk"],
    })  # fmt: skip
    said = verdict("host.file-capabilities", here, files=Files(), data_roots=DataRoots((), ""))
    assert said.status == expected, said.reason


def test_a_host_without_getcap() -> None:
    assert judged("file-capabilities", "dpkg", "", "N getcap\n//\n").status == "unknown"
    assert judged("setuid-programs", "dpkg", "", "N getcap\n//\n").status == "pass"


@pytest.mark.parametrize(
    ("record", "mounts", "expected"),
    [
        ("D 61b0 0 0 fe:0 ", "", "fail"), ("D 21b6 0 0 1:1 ", "", "fail"),
        ("D 21b6 0 0 1:3 ", "", "pass"), ("D 6180 0 0 fe:0 ", "", "pass"),
        ("D 61b0 0 6 fe:0 ", "", "fail"), ("D 6180 1000 0 fe:0 ", "", "fail"),
        ("D 2000 0 0 0:0 ", "", "pass"),
        ("D 61b0 0 0 8:1 ", "30 22 0:8 / /srv rw,nodev - tmpfs x rw\n", "pass"),
    ],
)  # fmt: skip
def test_devices(record: str, mounts: str, expected: str) -> None:
    """A chroot's null and an image's whiteout are no way to the disk."""
    assert judged("stray-devices", "dpkg", "/srv/d", record, mounts).status == expected


def test_law_one() -> None:
    denied = "find: '/home/x': Permission denied\n"
    for control in ("setuid-programs", "file-capabilities", "stray-devices"):
        assert judged(control, "dpkg", "/usr/bin/su", SETUID, err=denied).status == "unknown"
    assert judged("setuid-programs", "dpkg", "/tmp/su", SETUID, err=denied).status == "fail"


@pytest.mark.parametrize("shell", ["dash", "busybox sh"])
def test_a_real_walk(tmp_path: Path, shell: str) -> None:
    """Odd names, and a folder that is left out, under both shells."""
    if not shutil.which(shell.split(maxsplit=1)[0]):
        pytest.skip(f"no {shell} here")
    tmp_path.chmod(0o755)
    for name in ("a b", "c'd", "new\nline", "out[1]/hidden", "out1/seen"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
        path.chmod(0o4755)
    command = walk_want([str(tmp_path)], [f"{tmp_path}/out[1]"]).command
    done = subprocess.run([*shell.split(), "-s"], input=command, capture_output=True, text=True,
                          timeout=20, check=False)  # fmt: skip
    walk = walked(done.stdout, done.stderr)
    assert walk.unseen == ()
    assert {each.path.removeprefix(f"{tmp_path}/") for each in walk.found} == {
        "a b", "c'd", "new\nline", "out1/seen",
    }  # fmt: skip
