"""Storage on real hosts: made wrong, audited, repaired, audited again.

Another machine's file system, a full disk and swap cannot be had here; unit tests and recordings
have them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from hullcheck.verdict import Verdict
from tests.live.hosts.docker import DockerHost
from tests.live.hosts.overlay import OverlayHost
from tests.live.test_host import over

pytestmark = pytest.mark.live

MOUNTS = "mounts-at-boot"
LARGE = "/usr/share /usr/include /usr/src /work /usr/lib/python3 /usr/lib/google-cloud-sdk"
SETUID = ("setuid-programs", "file-capabilities", "stray-devices")


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerHost]:
    """A host with dockerd, this module's own, whose data root fstab knows."""
    with DockerHost("stor", bridge=False) as made:
        made.write("/etc/fstab", "/dev/vdb1 /var/lib/docker ext4 defaults 0 2\n")
        made.run("mkdir -p /run/systemd/system")
        # The walk enters no directory of root's alone; it has less to do without the largest.
        made.run(f"chmod 700 {LARGE}", check=False)
        yield made


def audit(
    host: OverlayHost, *names: str, policy: Policy | None = None, user: str = "root"
) -> list[Verdict]:
    """Judge some controls, all that they ask gathered as an audit does it."""
    spec = f"paramiko://{user}@{host.name}"
    there = connect(replace(parse_spec(spec), ssh_config=host.ssh_config))
    try:
        controls = [all_controls()[f"host.{name}"] for name in names]
        site = Site(host.name, policy or Policy())
        gather(controls, there, site)
        return [judge(each, there, site) for each in controls]
    finally:
        session_of(there).close()


def statuses(host: OverlayHost, *controls: str, policy: Policy | None = None) -> list[str]:
    return [str(each.status) for each in audit(host, *controls, policy=policy)]


def status(host: OverlayHost, control: str, policy: Policy | None = None) -> str:
    return statuses(host, control, policy=policy)[0]


def test_options_of_mounts(engine: DockerHost) -> None:
    """As they are now: of what somebody remounted, and of what somebody mounted on top."""
    controls = ("public-mounts", "noexec-mounts", MOUNTS)
    assert statuses(engine, *controls) == ["pass", "fail", "pass"]
    engine.run("mount -o remount,nosuid,nodev,noexec /dev/shm")
    # It is gone at the next boot, until it is written down.
    assert statuses(engine, *controls) == ["pass", "pass", "fail"]
    drop_in = "/etc/systemd/system/dev-shm.mount.d/options.conf"
    engine.write("/etc/fstab", "tmpfs /dev/shm tmpfs nosuid,nodev 0 0\n"
                 "/dev/vdb1 /var/lib/docker ext4 defaults 0 2\n")  # fmt: skip
    engine.write(drop_in, "[Mount]\nOptions=nosuid,nodev,noexec\n")
    assert statuses(engine, *controls) == ["pass", "pass", "pass"]
    engine.run(f"rm {drop_in}; mount -t tmpfs none /dev/shm")
    assert statuses(engine, *controls) == ["fail", "fail", "fail"]
    engine.run("umount /dev/shm; mount -o remount,nosuid,nodev,exec /dev/shm")


def test_partitions(engine: DockerHost) -> None:
    [before] = audit(engine, "separate-partitions")
    engine.run("mount -t tmpfs -o nosuid,nodev none /home")
    [after] = audit(engine, "separate-partitions")
    engine.run("umount /home")
    assert ("/home" in before.reason, "/home" in after.reason) == (True, False)


def test_a_data_root_that_will_not_be_mounted(engine: DockerHost) -> None:
    text = (engine.root / "etc/fstab").read_text()
    engine.write("/etc/fstab", "/dev/vda1 / ext4 defaults 0 1\n")
    found = status(engine, MOUNTS)
    engine.write("/etc/fstab", text)
    assert found == "fail"


def test_who_can_change_a_data_root(engine: DockerHost) -> None:
    engine.run("id mallory >/dev/null 2>&1 || useradd mallory")
    for wrong, right in (
        ("chmod o+w /var/lib", "chmod o-w /var/lib"),
        ("setfacl -m u:mallory:rwx /var/lib", "setfacl -b /var/lib"),
    ):
        engine.run(wrong)
        found = status(engine, "data-root-owner")
        engine.run(right)
        assert found == "fail", wrong
    assert status(engine, "data-root-owner") == "pass"


def test_room_and_driver(engine: DockerHost) -> None:
    controls = ("data-root-space", "storage-driver")
    assert statuses(engine, *controls, policy=Policy(minimum_free_space=0)) == ["pass", "pass"]
    engine.restart({"storage-driver": "vfs"})
    try:
        full = Policy(minimum_free_space=100)
        assert statuses(engine, *controls, policy=full) == ["fail", "fail"]
    finally:
        engine.restart()


def test_exports(engine: DockerHost) -> None:
    engine.run("ln -sfn /var/lib/docker/volumes /srv/link")
    for path, text, expected in (
        ("/etc/exports", "/srv *(ro)\n", "pass"),
        ("/etc/exports.d/x.exports", "/srv/link 10.0.0.0/8(ro)\n", "fail"),
        ("/var/lib/nfs/etab", "/var/lib\t*(rw,root_squash,no_subtree_check)\n", "fail"),
    ):
        engine.write(path, text)
        found = status(engine, "data-root-exports")
        engine.run(f"rm {path}")
        assert found == expected, text


def test_swap_and_hidden_processes(engine: DockerHost) -> None:
    heading = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
    for line, expected in (("/dev/vdc1 partition 2097148 0 -2\n", "fail"),
                           ("/dev/zram0 partition 2097148 0 100\n", "pass")):  # fmt: skip
        with over(engine, **{"/proc/swaps": heading + line}):
            wanted = Policy(hidden_processes=True)
            found = statuses(engine, "swap-encrypted", "hidden-processes", policy=wanted)
            assert found == [expected, "fail"]


class TestPrivilegedFiles:
    def test_hidden_ones(self, engine: DockerHost) -> None:
        """In places that look like an engine's, in memory, and behind a folder's odd name; not
        what nobody but root reaches, nor what a mount makes harmless."""
        assert statuses(engine, *SETUID) == ["pass"] * 3
        bad = ("/var/lib/docker-old/overlay2/x/diff", "/home/a b", "/opt/.x")
        harmless = ("/dev/shm/.x", "/run/x", "/root/x")
        for place in (*bad, *harmless):
            engine.run(
                f"mkdir -p '{place}' && cp /bin/true '{place}/sh' && chmod 4755 '{place}/sh' && "
                f"cp /bin/true '{place}/py' && setcap cap_setuid=ep '{place}/py'"
            )
        found = audit(engine, *SETUID[:2])
        engine.run("rm -r " + " ".join(f"'{place}'" for place in (*bad, *harmless)))
        assert [str(each.status) for each in found] == ["fail"] * 2
        assert all(f"{place}/sh" in found[0].reason for place in bad), found[0].reason
        assert all(f"{place}/py" in found[1].reason for place in bad), found[1].reason
        assert not any(place in found[0].reason for place in harmless), found[0].reason

    def test_behind_a_closed_folder(self, engine: DockerHost) -> None:
        """What is not looked into is what only root may enter: an ACL, a mode, a mount in it."""
        place = "/var/lib/docker/volumes/x"
        engine.run(f"mkdir -p {place}; cp /bin/true {place}/sh; chmod 4755 {place}/sh; "
                   "stat -c %a /var/lib/docker >/tmp/mode; chmod 710 /var/lib/docker; "
                   "chmod 701 /var/lib/docker/volumes")  # fmt: skip
        try:
            assert status(engine, SETUID[0]) == "pass"
            engine.run("setfacl -m u:mallory:x /var/lib/docker")
            assert status(engine, SETUID[0]) == "unknown"
            engine.run("setfacl -b /var/lib/docker; chmod 711 /var/lib/docker")
            assert status(engine, SETUID[0]) == "fail"
            engine.run(f"chmod 710 /var/lib/docker; mkdir -p /opt/v; mount --bind {place} /opt/v")
            assert status(engine, SETUID[0]) == "fail"
        finally:
            undo = "umount /opt/v; chmod $(cat /tmp/mode) /var/lib/docker; rm /tmp/mode;"
            engine.run(f"{undo} rm -r {place}; chmod 701 {place}/..", check=False)

    def test_a_program_of_a_package(self, engine: DockerHost) -> None:
        """Whose bit no package set. dpkg does not know a mode; a name of no list is for a person,
        or for the policy."""
        find, getent = "/usr/bin/find", "/usr/bin/getent"
        engine.run(f"chmod u+s {find} {getent}")
        [found] = audit(engine, SETUID[0])
        allowed = statuses(engine, SETUID[0], policy=Policy(setuid_allowed=(find, "getent")))
        engine.run(f"chmod u-s {find}")
        left = statuses(engine, SETUID[0])
        engine.run(f"chmod u-s {getent}")
        assert (found.status, find in found.reason, getent in found.reason) == ("fail", True, False)
        assert (allowed, left) == (["pass"], ["manual"])

    def test_devices(self, engine: DockerHost) -> None:
        engine.run("mkdir -p /srv/jail/dev; mknod -m 666 /srv/jail/dev/null c 1 3")
        assert status(engine, SETUID[2]) == "pass"
        engine.run("mknod -m 666 /srv/jail/disk b 254 0")
        found = status(engine, SETUID[2])
        engine.run("rm -r /srv/jail")
        assert found == "fail"

    def test_an_ordinary_user(self, engine: DockerHost) -> None:
        """Finds what is open, does not acquit what is not, and nothing is written."""
        engine.add_user("auditor")
        before = engine.mark()
        assert [str(each.status) for each in audit(engine, *SETUID, user="auditor")] == [
            "unknown"
        ] * 3
        assert engine.written(before) == []
