"""How directories that users write to are mounted, now and at the next boot."""

from __future__ import annotations

from typing import Any

import pytest

from hullcheck.control import Unknown
from hullcheck.facts.boot_mounts import (
    LINKS,
    TEXTS,
    boot_mounts,
    flags_of,
    parse_fstab,
    parse_unit,
    unit_name,
    unit_path,
)
from hullcheck.facts.data_roots import DataRoots
from hullcheck.facts.services import BOOTED
from tests.unit.fake import host_with
from tests.unit.kernels import MOUNTS, verdict
from tests.unit.test_storage import Files, told

ROOT = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
SHM = "30 22 0:30 / /dev/shm rw,nosuid,nodev - tmpfs tmpfs rw\n"
VAR = "31 22 8:3 / /var rw - ext4 /dev/sda3 rw\n"
TMP = "32 22 0:32 / /tmp rw,nosuid,nodev,noexec - tmpfs tmpfs rw\n"
HOME = "33 22 8:4 / /home rw,nosuid,nodev - ext4 /dev/sda4 rw\n"


class Roots(DataRoots):
    def __init__(self, *paths: str, users: tuple[str, ...] = (), doubt: str = "") -> None:
        super().__init__(paths, doubt)  # type: ignore[arg-type]
        object.__setattr__(self, "found", (paths, users))

    def paths(self, *, rootful: bool = False) -> list[str]:
        mine, users = self.found
        return [*mine, *(() if rootful else users)]  # type: ignore[misc]


def status(control: str, mounts: str, roots: Any = None, boot: Any = None) -> tuple[str, str]:
    here = host_with({MOUNTS: ROOT + mounts})
    given: dict[str, Any] = {"files": Files("/var/log/audit"), "data_roots": roots or Roots()}
    if boot is not None:
        given["boot_mounts"] = boot
    told(here, **given)
    found = verdict(f"host.{control}", here)
    return found.status, found.reason


@pytest.mark.parametrize(
    ("mounts", "roots", "expected"),
    [
        ("", None, "not-applicable"),
        (SHM, None, "pass"),
        (SHM + VAR, None, "fail"),
        (SHM + VAR, Roots("/var/lib/docker"), "pass"),
        (SHM + VAR + "40 31 8:5 / /var/lib/docker rw - xfs /dev/sda5 rw\n",
         Roots("/var/lib/docker"), "fail"),
        (SHM + VAR, Roots(users=("/var/home/bob/s",)), "fail"),
        (SHM + VAR, Roots(doubt="needs root"), "unknown"),
        (SHM.replace("nosuid,", ""), Roots(doubt="needs root"), "fail"),
        (SHM.replace(",nodev", ""), None, "fail"),
        (SHM + TMP + HOME, None, "pass"),
        # Remounted by somebody, hidden below, or on top of the right one.
        (SHM + TMP + "41 32 0:41 / /tmp/.x rw - tmpfs tmpfs rw\n", None, "fail"),
        (SHM + TMP + "41 22 0:41 / /tmp rw - tmpfs tmpfs rw\n", None, "fail"),
        (SHM + HOME + "41 33 8:9 / /home/bob rw,nosuid - ext4 /dev/sdb rw\n", None, "fail"),
    ],
)  # fmt: skip
def test_public_mounts(mounts: str, roots: Any, expected: str) -> None:
    found = status("public-mounts", mounts, roots)
    assert found[0] == expected, found[1]


@pytest.mark.parametrize(
    ("mounts", "roots", "expected"),
    [
        ("", None, "not-applicable"), (TMP, None, "pass"), (SHM + TMP, None, "fail"),
        (TMP + VAR, None, "pass"),
        ("34 22 8:6 / /var/tmp rw,nosuid,nodev - ext4 /dev/sda6 rw\n", None, "fail"),
        ("34 22 8:6 / /var/tmp rw - ext4 /dev/sda6 rw\n", Roots("/var/tmp/x"), "not-applicable"),
    ],
)  # fmt: skip
def test_noexec(mounts: str, roots: Any, expected: str) -> None:
    assert status("noexec-mounts", mounts, roots)[0] == expected


LOG = "35 31 8:7 / /var/log rw - ext4 /dev/sda7 rw\n36 31 8:8 / /var/tmp rw - ext4 /dev/sda8 rw\n"


@pytest.mark.parametrize(
    ("mounts", "expected", "named"),
    [
        ("", "fail", "/tmp, /var/tmp, /var, /var/log, /home"),
        (TMP + VAR + LOG + HOME, "pass", ""),
        (TMP + VAR + HOME, "pass", ""),
        (TMP + VAR + LOG, "fail", ": /home"),
        # A bind mount, and a subvolume, are no file systems.
        (TMP + VAR + "37 22 8:1 /srv/home /home rw - ext4 /dev/sda1 rw\n", "fail", ": /home"),
    ],
)
def test_partitions(mounts: str, expected: str, named: str) -> None:
    found = status("separate-partitions", mounts)
    assert (found[0], named in found[1]) == (expected, True), found[1]


@pytest.mark.parametrize(
    ("mounts", "roots", "expected"),
    [
        ("", None, "not-applicable"),
        ("38 22 0:50 / /mnt rw,nosuid,nodev - nfs4 srv:/x rw\n", None, "pass"),
        ("38 22 0:50 / /mnt rw,nosuid - nfs4 srv:/x rw\n", None, "fail"),
        ("38 22 0:50 / /mnt rw - cifs //srv/x rw\n", None, "fail"),
        ("38 22 0:50 / /mnt rw - fuse.sshfs srv:/ rw\n", None, "fail"),
        ("38 22 0:50 / /sys/fs/fuse/connections rw - fusectl fusectl rw\n", None, "not-applicable"),
        ("38 22 0:50 / /var/lib/kubelet/pods/1/v rw - nfs4 srv:/x rw\n",
         Roots("/var/lib/kubelet"), "not-applicable"),
        ("38 22 0:50 / /var/lib/docker/volumes/v/_data rw - nfs4 srv:/x rw\n",
         Roots(doubt="needs root"), "unknown"),
    ],
)  # fmt: skip
def test_remote_mounts(mounts: str, roots: Any, expected: str) -> None:
    assert status("remote-mounts", mounts, roots)[0] == expected


def boot(fstab: str, units: dict[str, str] | None = None, links: str = "", systemd: bool = True,
         err: str = "") -> Any:  # fmt: skip
    texts = {"/etc/fstab": fstab, **(units or {})}
    out = "".join(f"{p}:{line}\n" for p, text in texts.items() for line in text.split("\n") if text)
    here = host_with({
        BOOTED.command: "/run/systemd/system\n" if systemd else (1, ""),
        TEXTS.command: (1, out, err), LINKS.command: (1, links),
    })  # fmt: skip
    return boot_mounts(here)


UNIT = "[Unit]\nBefore=local-fs.target\n\n[Mount]\nWhat=tmpfs\nWhere=/tmp\nType=tmpfs\nOptions={}\n"
ON = "/etc/systemd/system/local-fs.target.wants/tmp.mount -> /usr/share/systemd/tmp.mount\n"
LINKED = ON + "/etc/systemd/system/tmp.mount -> /usr/share/systemd/tmp.mount\n"
SHIPPED = "/usr/lib/systemd/system/tmp.mount"
PULLED = f"/usr/lib/systemd/system/local-fs.target.wants/tmp.mount -> {SHIPPED}\n"
DROP = {"/etc/systemd/system/tmp.mount.d/o.conf": "[Mount]\nOptions=mode=1777,nosuid,noexec"}
ALL, NONE = {"nosuid", "nodev", "noexec"}, set[str]()
LINE = "tmpfs /tmp tmpfs nosuid,nodev 0 0"


@pytest.mark.parametrize(
    ("fstab", "units", "links", "expected"),
    [
        ("", {}, "", None),
        (LINE, {}, "", {"nosuid", "nodev"}),
        ("# " + LINE, {}, "", None),
        ("tmpfs /tmp tmpfs noauto,nosuid 0 0", {}, "", None),
        ("tmpfs /tmp tmpfs", {}, "", NONE),
        ("/dev/sdb1 /tmp ext4 user,exec 0 0", {}, "", {"nosuid", "nodev"}),
        ("/dev/sdb1 /tmp ext4 nosuid,suid,defaults 0 0", {}, "", NONE),
        # Of two lines the weaker counts.
        (f"{LINE}\ntmpfs /tmp tmpfs nosuid,noexec 0 0", {}, "", {"nosuid"}),
        # Debian's documented way: the unit is linked from /usr/share and enabled.
        ("", {"/etc/systemd/system/tmp.mount": UNIT.format("mode=1777,strictatime,nosuid,nodev")},
         LINKED, {"nosuid", "nodev"}),
        ("", {SHIPPED: UNIT.format("nosuid,nodev")}, PULLED, {"nosuid", "nodev"}),
        ("", {SHIPPED: UNIT.format("nosuid,nodev")}, "", None),
        ("", {SHIPPED: UNIT.format("nosuid,nodev"), **DROP}, PULLED, {"nosuid", "noexec"}),
        # A line of fstab outranks a unit in /usr, a unit in /etc outranks the line.
        (LINE, {SHIPPED: UNIT.format("noexec")}, PULLED, {"nosuid", "nodev"}),
        (LINE, {"/etc/systemd/system/tmp.mount": UNIT.format("noexec")}, "", {"noexec"}),
        (LINE, DROP, "", {"nosuid", "noexec"}),
        # Masked: nothing is mounted, whatever is written.
        (LINE, {}, "/etc/systemd/system/tmp.mount -> /dev/null\n", None),
        ("", {SHIPPED: UNIT.format("nosuid")},
         PULLED + "/etc/systemd/system/tmp.mount -> /dev/null\n", None),
        # What a generator made of a line that has gone, and what another one makes.
        ("", {"/run/systemd/generator/tmp.mount":
              "[Unit]\nSourcePath=/etc/fstab\n" + UNIT.format("nosuid")}, "", None),
        ("", {"/run/systemd/generator.late/tmp.mount": UNIT.format("nosuid")}, "", {"nosuid"}),
    ],
)  # fmt: skip
def test_what_the_next_boot_mounts(
    fstab: str, units: dict[str, str], links: str, expected: set[str] | None
) -> None:
    assert boot(fstab, units, links).flags("/tmp") == expected


def test_a_bind_mount_has_the_flags_of_what_it_shows() -> None:
    lines = "tmpfs /tmp tmpfs nosuid,nodev 0 0\n/tmp /var/tmp none bind,noexec 0 0"
    assert boot(lines).flags("/var/tmp") == ALL
    assert boot("/a /b none bind 0 0\n/b /a none bind 0 0").flags("/a") == NONE


def test_what_cannot_be_read() -> None:
    with pytest.raises(Unknown):
        boot("", err="grep: /etc/fstab: Permission denied\n")
    with pytest.raises(Unknown):
        boot("", err="find: '/etc/systemd/system/x.wants': Permission denied\n")
    with pytest.raises(Unknown):
        boot("garbage")
    boot("", err="grep: /etc/fstab: No such file or directory\n")


def test_small_parsers() -> None:
    assert [each.target for each in parse_fstab("/dev/x /a\\040b ext4\nx none swap sw 0 0")] == [
        "/a b"
    ]
    assert unit_path("var-lib-a\\x2db.mount") == "/var/lib/a-b"
    for path in ("/", "/var/lib/a-b", "/.x/y z", "/a:b_c.d", "/caf\u00e9/x"):
        assert unit_path(unit_name(path)) == path
    assert parse_unit("[Mount]\nOptions=a,\\\nb\n; x\n[Install]\nOptions=c")["Options"] == "a, b"
    assert flags_of(["users", "dev"]) == {"nosuid", "noexec"}


DATA = "40 22 8:5 / /var/lib/docker rw - xfs /dev/sda5 rw\n"
BOUND = "40 22 8:1 /var/lib/docker /var/lib/docker rw - ext4 /dev/sda1 rw\n"


@pytest.mark.parametrize(
    ("mounts", "fstab", "roots", "expected", "named"),
    [
        ("", "", None, "pass", ""),
        (SHM, "", None, "pass", ""),
        (SHM.replace(",nodev", ",nodev,noexec"), "", None, "fail", "has noexec until"),
        (SHM, "tmpfs /dev/shm tmpfs nosuid,nodev,noexec 0 0", None, "fail", "lacks noexec until"),
        (TMP, "", None, "fail", "nothing will mount it"),
        (TMP, LINE.replace("nodev", "nodev,noexec"), None, "pass", ""),
        ("", LINE, None, "fail", "and is none"),
        (DATA, "", Roots("/var/lib/docker"), "fail", "/var/lib/docker is mounted"),
        (DATA, "/dev/sda5 /var/lib/docker xfs defaults 0 2", Roots("/var/lib/docker"), "pass", ""),
        (BOUND, "", Roots("/var/lib/docker"), "pass", ""),
        ("40 22 8:5 / /srv rw - xfs /dev/sda5 rw\n", "", Roots("/srv/a/b"), "fail", "/srv is mou"),
        ("34 22 0:60 / /home rw - zfs rpool/home rw\n", "", None, "pass", ""),
        (SHM, "", Roots(doubt="needs root"), "unknown", "needs root"),
    ],
)
def test_now_and_then(mounts: str, fstab: str, roots: Any, expected: str, named: str) -> None:
    found = status("mounts-at-boot", mounts, roots, boot(fstab))
    assert (found[0], named in found[1]) == (expected, True), found


def test_another_init_system_mounts_shared_memory_its_own_way() -> None:
    strict = SHM.replace(",nodev", ",nodev,noexec")
    root = "/dev/sda1 / ext4 defaults 0 1"
    assert status("mounts-at-boot", strict, None, boot(root, systemd=False))[0] == "pass"
    assert status("mounts-at-boot", strict, None, boot("", systemd=False))[0] == "unknown"
