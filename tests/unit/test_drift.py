"""What changed in running containers, and what they run that their images did not bring."""

import posixpath

import pytest

from checks.runtime.test_drift import (
    test_added_executables as added_executables,
)
from checks.runtime.test_drift import (
    test_changed_settings as changed_settings,
)
from checks.runtime.test_drift import (
    test_deleted_executables as deleted_executables,
)
from checks.runtime.test_drift import (
    test_program_from_writable_mount as program_from_writable_mount,
)
from hullcheck.facts.docker.search import PROGRAMS
from hullcheck.facts.drift import TEST
from hullcheck.facts.tree_sweep import sweep
from tests.unit.container_fake import APP, Engine, Fake, fake_host, findings, inspect, number
from tests.unit.container_fake import HOST_MOUNTS as HOST
from tests.unit.container_fake import running as one_running

UPPER = "/var/lib/docker/overlay2/up/diff"
END = "end 0\n//\n"
ROOT = f"100 99 0:50 / / ro master:3 - overlay overlay rw,lowerdir=/l/A:/l/B,upperdir={UPPER},workdir=/w\n"  # noqa: E501
MOUNTS = (
    ROOT
    + "101 100 0:53 / /proc rw - proc proc rw\n"
    + "102 100 8:1 /volumes/v /vol rw - ext4 /dev/sda1 rw\n"
    + "103 100 8:1 /volumes/r /shown ro - ext4 /dev/sda1 rw\n"
    + "104 100 0:60 / /tmp rw - tmpfs tmpfs rw\n"
    + "105 100 8:1 /usr/bin/docker-init//deleted /sbin/docker-init ro - ext4 /dev/sda1 rw\n"
)
HOST_TABLE = "cat /proc/1/mountinfo 2>/dev/null || cat /proc/self/mountinfo"


@pytest.fixture(autouse=True)
def an_engine_that_shares_the_hosts_mounts(monkeypatch):
    monkeypatch.setattr(Engine, "seen", lambda self, path: path, raising=False)


def told(path, mode="81ed", size=9, upper=UPPER):
    return f"{mode} 1 {size} 0 0 {upper}{path}\n//\n"


def running(found=END, *, exe="/bin/app", mounts=MOUNTS, uppers=(UPPER,), err="", also=None):
    program = exe if isinstance(exe, tuple) else (0, exe)
    answers = {
        **({sweep(list(uppers), TEST).command: (0, found, err)} if uppers else {}),
        PROGRAMS.command: (1, f"'/proc/100/exe' -> '{program[1]}'\n"),
        "readlink -nv /proc/100/exe": program,
        "head -c 1048577 -- /proc/100/cmdline": "app\0",
        **(also or {}),
    }
    return one_running(mounts=mounts, answers=answers)


def found_of(control, host, name="app"):
    made = findings(control, host)[name]
    return str(made.status), made.observed


@pytest.mark.parametrize("path", ["/tmp/x", "/usr/lib/libx.so", "/opt/a\n//b.so.1.2", "/bin/a b"])
def test_a_new_program_or_library_is_found(path):
    mode = "81a4" if ".so" in path else "81c0"
    host = running(told(path, mode) + END)
    assert found_of(added_executables, host) == ("fail", [path])
    assert found_of(changed_settings, host)[0] == "pass"


@pytest.mark.parametrize(("path", "kind"), [
    ("/etc/passwd", "accounts"), ("/etc/sudoers.d/x", "accounts"),
    ("/root/.ssh/authorized_keys", "who may log in"),
    ("/home/bob/.ssh/authorized_keys", "who may log in"),
    ("/etc/cron.d/x", "what runs by itself"),
    ("/var/spool/cron/crontabs/root", "what runs by itself"),
    ("/etc/ld.so.preload", "what is loaded into programs"),
    ("/var/lib/dpkg/status", "installed packages"), ("/lib/apk/db/installed", "installed packages"),
])  # fmt: skip
def test_a_changed_setting_is_found(path, kind):
    host = running(told(path, "81a4") + END)
    assert found_of(changed_settings, host) == ("fail", [f"{path} ({kind})"])
    assert found_of(added_executables, host)[0] == "pass"


def test_what_is_no_setting_of_the_container_itself_is_none():
    """A root file system that it only carries; a file that the engine made to mount over it."""
    found = told("/srv/chroot/etc/passwd", "81a4") + told("/etc/passwd", "81a4", size=0)
    assert found_of(changed_settings, running(found + END))[0] == "pass"


@pytest.mark.parametrize("damaged", ["", "end 1\n//\n", "end 124\n//\n", told("/x"), "x" + END])
def test_a_sweep_that_is_not_whole_is_unknown(damaged):
    for control in (added_executables, changed_settings):
        assert found_of(control, running(damaged))[0] == "unknown"


@pytest.mark.parametrize("root", [
    "100 99 8:1 /rootfs / rw - ext4 /dev/sda1 rw\n",
    "100 99 0:50 / / rw - fuse.fuse-overlayfs fuse-overlayfs rw,user_id=0\n",
    ROOT.replace("up/diff", "up\\,x/diff"), ROOT.replace(UPPER, "up/diff"),
    ROOT + "106 100 0:61 / / rw - tmpfs tmpfs rw\n", ROOT.replace("/ / ro", "/vfs/dir/x / ro"),
])  # fmt: skip
def test_a_root_that_does_not_tell_what_changed_is_unknown(root):
    host = running(mounts=root)
    assert found_of(added_executables, host)[0] == "unknown"


def test_who_has_the_hosts_own_root_has_no_changes_of_its_own():
    host = running(mounts=MOUNTS.replace(ROOT, "100 99 8:1 / / rw - ext4 /dev/sda1 rw\n"))
    assert found_of(added_executables, host)[0] == "not-applicable"


def test_an_overlay_without_an_upper_directory_cannot_change():
    root = ROOT.replace(f",upperdir={UPPER}", "")
    host = running(mounts=root, uppers=())
    assert found_of(added_executables, host) == ("pass", [])


def test_a_relative_upper_directory_is_found_through_the_merged_view():
    merged = "27 20 0:50 / /var/lib/docker/overlay2/up/merged rw - overlay overlay rw\n"
    host = running(
        told("/x") + END, mounts=ROOT.replace(UPPER, "up/diff"), also={HOST_TABLE: HOST + merged}
    )
    assert found_of(added_executables, host) == ("fail", ["/x"])


def test_a_second_overlay_over_the_root_hides_nothing():
    second = ROOT.replace("100 99", "106 100").replace("up/diff", "two/diff")
    other = posixpath.join("/var/lib/docker/overlay2", "two/diff")
    host = running(told("/x", upper=other) + END, mounts=ROOT + second, uppers=[other, UPPER])
    assert found_of(added_executables, host) == ("fail", ["/x"])


def test_one_container_that_cannot_be_seen_leaves_the_others():
    other = "/var/lib/docker/overlay2/two/diff"
    described = [inspect("app", 100), inspect("two", 200)]
    err = f"find: '{other}': No such file or directory\n"
    host = fake_host(
        described, Fake(100, APP), Fake(200, number("two")), mounts=ROOT,
        answers={
            "cat /proc/200/mountinfo": ROOT.replace(UPPER, other),
            sweep([other, UPPER], TEST).command: (0, told("/x") + "end 1\n//\n", err),
        },
    )  # fmt: skip
    assert found_of(added_executables, host) == ("fail", ["/x"])
    assert found_of(added_executables, host, "two")[0] == "unknown"


@pytest.mark.parametrize(("exe", "status"), [
    ("/bin/app", "pass"), ("/bin/app (deleted)", "fail"), ("/memfd:x (deleted)", "fail"),
    ("/tmp/x (deleted)", "fail"), ("/sbin/docker-init (deleted)", "pass"),
    ("/shown/x (deleted)", "fail"), ((1, "", "x: Permission denied"), "unknown"),
    ((1, "", "x: No such file or directory"), "pass"),
])  # fmt: skip
def test_programs_without_a_file(exe, status):
    assert found_of(deleted_executables, running(exe=exe))[0] == status


@pytest.mark.parametrize(("exe", "status"), [
    ("/bin/app", "pass"), ("/vol/app", "fail"), ("/tmp/x/app", "fail"),
    ("/tmp/x (deleted)", "fail"), ("/shown/app", "pass"), ("/sbin/docker-init", "pass"),
    ("/memfd:x (deleted)", "pass"),
    ((1, "", "x: Permission denied"), "unknown"),
])  # fmt: skip
def test_programs_from_writable_mounts(exe, status):
    assert found_of(program_from_writable_mount, running(exe=exe))[0] == status


def test_a_link_that_came_in_part_is_seen_through():
    whole = {PROGRAMS.command: (1, "'/proc/100/exe' -> '/vol/x (deleted)'\n")}
    for cut in ("/vol/x (del", "/vo"):
        host = running(exe=cut, also=whole)
        assert found_of(deleted_executables, host)[0] == "fail"
        assert found_of(program_from_writable_mount, host)[0] == "fail"
    for damaged in ({PROGRAMS.command: "'/proc/100/ex"}, {PROGRAMS.command: (127, "")}):
        assert found_of(deleted_executables, running(also=damaged))[0] == "unknown"
    assert found_of(deleted_executables, running(exe="\x1bx"))[0] == "unknown"


def test_what_became_another_program_meanwhile_is_what_it_is_now():
    early = {PROGRAMS.command: "'/proc/100/exe' -> '/memfd:runc_cloned:/proc/self/exe (deleted)'\n"}
    assert found_of(deleted_executables, running(also=early))[0] == "pass"


def test_a_process_with_other_mounts_is_unknown():
    other = Fake(101, APP, ppid=100, spaces={"mnt": 77})
    host = one_running(
        None, other, mounts=MOUNTS,
        answers={
            f"readlink -nv /proc/{pid}/exe": "/bin/app" for pid in (100, 101)
        } | {PROGRAMS.command: ""} | {
            f"head -c 1048577 -- /proc/{pid}/cmdline": "app\0" for pid in (100, 101)
        },
    )  # fmt: skip
    assert found_of(program_from_writable_mount, host)[0] == "unknown"
    assert found_of(deleted_executables, host)[0] == "pass"
