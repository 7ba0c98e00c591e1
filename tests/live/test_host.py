"""Host controls on real hosts: made wrong, audited, repaired, audited again.

One kernel serves all hosts of this machine, so a setting of the kernel is changed for one host
alone by binding a file over it in that host's own mount namespace.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from hullcheck.verdict import Verdict
from tests.live.hosts.docker import DockerHost
from tests.live.hosts.overlay import OverlayHost, wait_until
from tests.live.hosts.systemd import SystemdHost

pytestmark = pytest.mark.live

VULNERABILITIES = "/sys/devices/system/cpu/vulnerabilities"


def audit(host: OverlayHost, *controls: str, policy: Policy | None = None) -> list[Verdict]:
    """Judge some controls over the host's own sshd, in a session of its own."""
    there = connect(replace(parse_spec(f"paramiko://{host.name}"), ssh_config=host.ssh_config))
    try:
        site = Site(host.name, policy or Policy())
        return [judge(all_controls()[f"host.{name}"], there, site) for name in controls]
    finally:
        session_of(there).close()


def status(host: OverlayHost, control: str, policy: Policy | None = None) -> str:
    return str(audit(host, control, policy=policy)[0].status)


@contextmanager
def over(host: OverlayHost, **files: str) -> Iterator[None]:
    """Show other text in some files of a host, given as path=text."""
    done: list[str] = []
    try:
        for number, (path, text) in enumerate(files.items()):
            host.write(f"/root/over/{number}", text)
            host.run(f"mount --bind /root/over/{number} {path}")
            done.append(path)
        yield
    finally:
        for path in reversed(done):
            host.run(f"umount {path}")
        host.run("rm -rf /root/over")


@contextmanager
def folder(host: OverlayHost, path: str, **files: str) -> Iterator[None]:
    """Show a folder with these files, and nothing else, at a path of a host."""
    host.run(f"mount -t tmpfs none {path}")
    try:
        for name, text in files.items():
            host.write(f"{path}/{name}", text)
        yield
    finally:
        host.run(f"umount {path}")


def sysctl(name: str) -> str:
    return "/proc/sys/" + name.replace(".", "/")


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerHost]:
    """A host with dockerd, this module's own."""
    with DockerHost("hosth", bridge=False) as made:
        yield made


@pytest.mark.parametrize(
    ("control", "name", "right", "wrong"),
    [
        ("aslr", "kernel.randomize_va_space", "2", "0"),
        ("dmesg-restrict", "kernel.dmesg_restrict", "1", "0"),
        ("unprivileged-bpf", "kernel.unprivileged_bpf_disabled", "2", "0"),
        ("suid-dumpable", "fs.suid_dumpable", "0", "1"),
        ("protected-links", "fs.protected_symlinks", "1", "0"),
        ("core-pattern", "kernel.core_pattern", "core", "|/var/lib/docker/overlay2/x/diff/out %P"),
        ("core-pattern", "kernel.core_pattern", "|/bin/false %P", "|/tmp/handler %P"),
        ("user-namespaces", "user.max_user_namespaces", "28633", "2147483647"),
    ],
)
def test_settings_flip(
    overlay_host: OverlayHost, control: str, name: str, right: str, wrong: str
) -> None:
    others = {
        sysctl(f"fs.protected_{each}"): "1\n"
        for each in ("hardlinks", "fifos", "regular")
        if control == "protected-links"
    }
    with over(overlay_host, **others):
        for value, expected in ((right, "pass"), (wrong, "fail"), (right, "pass")):
            with over(overlay_host, **{sysctl(name): f"{value}\n"}):
                assert status(overlay_host, control) == expected


def test_a_setting_that_is_absent_or_unreadable(overlay_host: OverlayHost) -> None:
    """Three answers: no Yama in the kernel restricts nothing, nor does no knob of Debian's where
    every user may create namespaces, and a folder in the place of a file is no answer."""
    absent = not (overlay_host.root / "proc/sys/kernel/yama").exists()
    if absent:
        assert status(overlay_host, "ptrace-scope") == "fail"
        assert status(overlay_host, "unprivileged-user-namespaces") == "fail"
    overlay_host.run(f"mount -t tmpfs none {sysctl('net')}")
    try:
        with folder(overlay_host, "/proc/sys/kernel", ostype="Linux\n", yama=""):
            assert status(overlay_host, "aslr") == "fail"
            assert status(overlay_host, "unprivileged-bpf") == "not-applicable"
    finally:
        overlay_host.run(f"umount {sysctl('net')}")
    with folder(overlay_host, "/proc/sys/kernel"):
        assert status(overlay_host, "aslr") == "unknown"


def test_settings_this_kernel_does_not_have(overlay_host: OverlayHost) -> None:
    """Yama's and the distributions' own, shown to the host as those kernels show them."""
    settings = {"ostype": "Linux\n", "unprivileged_userns_clone": "1\n"}
    restricted = "apparmor_restrict_unprivileged_userns"
    with folder(overlay_host, "/proc/sys/kernel", **settings):
        overlay_host.write(sysctl("kernel.yama.ptrace_scope"), "1\n")
        assert status(overlay_host, "ptrace-scope") == "pass"
        assert status(overlay_host, "unprivileged-user-namespaces") == "fail"
        overlay_host.write(sysctl("kernel.yama.ptrace_scope"), "0\n")
        overlay_host.write(sysctl(f"kernel.{restricted}"), "1\n")
        assert status(overlay_host, "ptrace-scope") == "fail"
        assert status(overlay_host, "unprivileged-user-namespaces") == "pass"


def test_the_boot_line(overlay_host: OverlayHost) -> None:
    for words, expected in (("quiet mitigations=off", "fail"), ("quiet mitigations=auto", "pass")):
        with over(overlay_host, **{"/proc/cmdline": f"BOOT_IMAGE=/vmlinuz {words}\n"}):
            assert status(overlay_host, "mitigations-on") == expected


def test_the_processor(overlay_host: OverlayHost) -> None:
    for said, expected in (
        ("Vulnerable: Clear CPU buffers attempted, no microcode", "fail"),
        ("Mitigation: Clear CPU buffers; SMT vulnerable", "pass"),
    ):
        with folder(overlay_host, VULNERABILITIES, mds=f"{said}\n", l1tf="Not affected\n"):
            assert status(overlay_host, "cpu-vulnerabilities") == expected
    with folder(overlay_host, VULNERABILITIES):
        assert status(overlay_host, "cpu-vulnerabilities") == "unknown"


def test_seccomp(overlay_host: OverlayHost) -> None:
    assert status(overlay_host, "seccomp-supported") == "pass"


def test_lockdown(overlay_host: OverlayHost) -> None:
    for text, expected in (
        ("none [integrity] confidentiality\n", "pass"),
        ("[none] integrity confidentiality\n", "fail"),
    ):
        with folder(overlay_host, "/sys/kernel/security", lockdown=text, lsm="lockdown\n"):
            assert status(overlay_host, "kernel-lockdown") == expected


def test_security_modules(engine: DockerHost) -> None:
    """This machine's kernel has neither; files in their places stand for kernels that do."""
    names = ("lsm-enforcing", "apparmor-profiles", "selinux-enforcing")
    if not (engine.root / "sys/module/apparmor").exists():
        assert [each.status for each in audit(engine, *names)] == [
            "fail",
            "not-applicable",
            "not-applicable",
        ]
    kinds = {"/proc/filesystems": "nodev\tsysfs\nnodev\tsecurityfs\nnodev\tselinuxfs\n"}
    with over(engine, **kinds), folder(engine, "/sys/fs", **{"selinux/enforce": "1\n"}):
        engine.write("/etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=targeted\n")
        # dockerd does not label containers until it is told to, and says so.
        assert [each.status for each in audit(engine, *names)] == ["fail", "not-applicable", "pass"]
        engine.write("/sys/fs/selinux/enforce", "0\n")
        assert [each.status for each in audit(engine, *names)] == ["fail", "not-applicable", "fail"]
        engine.run("rm -r /etc/selinux/config")
    with folder(engine, "/sys/module", **{"apparmor/parameters/enabled": "Y\n"}):
        with folder(
            engine, "/sys/kernel/security", **{"apparmor/profiles": "docker-default (complain)\n"}
        ):
            found = audit(engine, *names)
            # dockerd started without AppArmor, and says so.
            assert [each.status for each in found] == ["fail", "fail", "not-applicable"]
            engine.write("/sys/kernel/security/apparmor/profiles", "docker-default (enforce)\n")
            assert status(engine, "apparmor-profiles") == "pass"
        assert status(engine, "apparmor-profiles") == "unknown"


def test_cgroups_v1_and_v2(systemd_v1: SystemdHost, systemd_v2: SystemdHost) -> None:
    """Two real systemd hosts; on the second the kernel of this machine may lack controllers."""
    assert status(systemd_v1, "cgroup-version") == "fail"
    assert status(systemd_v2, "cgroup-version") == "pass"
    assert status(systemd_v1, "cgroup-controllers") == "pass"
    own = (systemd_v2.root / "sys/fs/cgroup/cgroup.controllers").read_text().split()
    whole = {"cpu", "memory", "pids", "io"} <= set(own)
    assert status(systemd_v2, "cgroup-controllers") == ("pass" if whole else "fail")
    with over(systemd_v2, **{"/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n"}):
        assert status(systemd_v2, "cgroup-controllers") == "pass"
    with over(systemd_v2, **{"/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory\n"}):
        assert status(systemd_v2, "cgroup-controllers") == "fail"


class TestSockets:
    def test_the_usual(self, engine: DockerHost) -> None:
        [found] = audit(engine, "engine-sockets")
        paths = {finding.object.name for finding in found.findings}
        assert found.status == "pass", found.reason
        assert "/var/run/docker.sock" in paths

    def test_modes_and_acls(self, engine: DockerHost) -> None:
        engine.add_user("mallory")
        sock = "/var/run/docker.sock"
        for wrong, right, expected in (
            ("chmod 666", "chmod 660", "fail"),
            ("chmod 662", "chmod 660", "fail"),
            ("setfacl -m u:mallory:rw", "setfacl -b", "manual"),
            ("chown mallory", "chown root", "manual"),
        ):
            engine.run(f"{wrong} {sock}")
            found = status(engine, "engine-sockets")
            engine.run(f"{right} {sock}")
            assert found == expected, wrong
            assert status(engine, "engine-sockets") == "pass", right

    def test_a_policy_decides(self, engine: DockerHost) -> None:
        sock = "/var/run/docker.sock"
        engine.run(f"id eve 2>/dev/null || useradd eve; setfacl -m u:eve:rw {sock}")
        try:
            trusted = {
                users: status(engine, "engine-sockets", Policy(trusted_users=users))
                for users in (("eve",), ("adam",))
            }
        finally:
            engine.run(f"setfacl -b {sock}")
        assert trusted == {("eve",): "pass", ("adam",): "fail"}

    def test_a_socket_in_an_odd_place(self, engine: DockerHost) -> None:
        """A second daemon on a socket that no list knows, readable for all, in a closed folder."""
        second = engine.second_daemon("two")
        try:
            path = second.socket
            engine.run(f"chmod 666 {path}")
            assert status(engine, "engine-sockets") == "fail"
            engine.run(f"chmod 700 $(dirname {path})")
            assert status(engine, "engine-sockets") == "pass"
            engine.run(f"chmod 755 $(dirname {path}); chmod 660 {path}")
            assert status(engine, "engine-sockets") == "pass"
        finally:
            second.stop()


class TestGroups:
    def test_members(self, engine: DockerHost) -> None:
        """By the group's list, and by primary group, which getent group does not show."""
        for join, leave in (
            ("useradd trudy && gpasswd -a trudy docker", "userdel trudy"),
            ("useradd -g docker trudy", "userdel trudy"),
        ):
            assert status(engine, "engine-group-members") == "pass"
            engine.run(join)
            try:
                [found] = audit(engine, "engine-group-members")
                trusted = Policy(trusted_users=("trudy",))
                nobody = Policy(trusted_users=())
                assert found.status == "manual"
                assert "trudy" in found.reason
                assert status(engine, "engine-group-members", trusted) == "pass"
                assert status(engine, "engine-group-members", nobody) == "fail"
            finally:
                engine.run(leave)


class TestPorts:
    def test_a_plain_listener(self, engine: DockerHost) -> None:
        """On loopback, in the clear, at a port that no list knows: every program on the host is
        root. docker-bench's command-line branch never saw any."""
        assert status(engine, "engine-tcp-api") == "not-applicable"
        address = f"tcp://{engine.address}:4243"
        engine.restart(flags=["-H", "unix:///var/run/docker.sock", "-H", address, "--tls=false"])
        try:
            [found] = audit(engine, "engine-tcp-api")
        finally:
            engine.restart()
        assert found.status == "fail"
        assert found.findings[0].object.name == address
        assert status(engine, "engine-tcp-api") == "not-applicable"

    def test_another_program_on_dockers_port(self, engine: DockerHost) -> None:
        """It may be a proxy to an engine elsewhere: a person has to look."""
        serve = f"python3 -m http.server 2375 --bind {engine.address} -d /usr/share"
        pid = engine.run(f"{serve} >/dev/null 2>&1 </dev/null & echo $!").stdout.strip()
        try:
            wait_until(lambda: f"{engine.address}:2375" in listeners(engine), "the web server")
            [found] = audit(engine, "engine-tcp-api")
        finally:
            engine.run(f"kill {pid}")
        assert found.status == "manual", found.reason
        assert f"{pid} (python3)" in found.reason

    def test_podmans_service(self, engine: DockerHost) -> None:
        """It takes orders from whoever connects, on any port."""
        serve = f"podman system service --time 0 tcp:{engine.address}:9001"
        pid = engine.run(f"{serve} >/dev/null 2>&1 </dev/null & echo $!").stdout.strip()
        try:
            wait_until(lambda: f"{engine.address}:9001" in listeners(engine), "podman")
            [found] = audit(engine, "engine-tcp-api")
        finally:
            engine.run(f"kill {pid}")
        assert found.status == "fail", found.reason


def listeners(host: OverlayHost) -> str:
    return host.run("ss -Htln 2>/dev/null || netstat -tln").stdout


def test_the_data_root(engine: DockerHost) -> None:
    """These hosts have a real file system bound onto /var/lib/docker; a tmpfs at / stands for it
    on its own, and the same file system on both for none."""
    place = engine.run("stat -c %d / /var/lib/docker").stdout.split()
    expected = "pass" if place[0] != place[1] else "fail"
    assert status(engine, "data-root-partition") == expected
    engine.restart({"data-root": "/opt/engine"})
    try:
        assert status(engine, "data-root-partition") == "fail"
        engine.run("mount --bind /opt/engine /opt/engine")
        assert status(engine, "data-root-partition") == "fail"
        engine.run("umount /opt/engine")
    finally:
        engine.restart()


def test_nothing_is_written(engine: DockerHost) -> None:
    """Law 6, with every host control, on a host whose every write is visible."""
    names = [name.removeprefix("host.") for name in all_controls() if name.startswith("host.")]
    since = engine.mark()
    found = audit(engine, *names)
    assert engine.written(since) == []
    assert not [each.control for each in found if each.status == "error"]
