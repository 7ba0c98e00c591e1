"""Verdicts of the kernel controls on kernels of several kinds."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from testinfra.host import Host

from hullcheck.facts.docker import Engines
from tests.unit.kernels import FILES, HYBRID, STATUS, V1, V2, engine, host, verdict
from tests.unit.test_host_boot import APPARMOR, SELINUX


@pytest.mark.parametrize(
    ("control", "settings", "expected"),
    [
        ("host.aslr", {"kernel.randomize_va_space": "2"}, "pass"),
        ("host.aslr", {"kernel.randomize_va_space": "1"}, "fail"),
        ("host.dmesg-restrict", {"kernel.dmesg_restrict": "1"}, "pass"),
        ("host.dmesg-restrict", {"kernel.dmesg_restrict": "0"}, "fail"),
        ("host.kptr-restrict", {"kernel.kptr_restrict": "1"}, "pass"),
        ("host.kptr-restrict", {"kernel.kptr_restrict": "2"}, "pass"),
        ("host.kptr-restrict", {"kernel.kptr_restrict": "0"}, "fail"),
        ("host.unprivileged-bpf", {"kernel.unprivileged_bpf_disabled": "2"}, "pass"),
        ("host.unprivileged-bpf", {"kernel.unprivileged_bpf_disabled": "0"}, "fail"),
        ("host.unprivileged-bpf", {}, "not-applicable"),
        ("host.ptrace-scope", {"kernel.yama.ptrace_scope": "1"}, "pass"),
        ("host.ptrace-scope", {"kernel.yama.ptrace_scope": "0"}, "fail"),
        ("host.suid-dumpable", {"fs.suid_dumpable": "0"}, "pass"),
        ("host.suid-dumpable", {"fs.suid_dumpable": "1"}, "fail"),
        ("host.suid-dumpable", {"fs.suid_dumpable": "2"}, "pass"),
        (
            "host.suid-dumpable",
            {"fs.suid_dumpable": "2", "kernel.core_pattern": "core"},
            "fail",
        ),
    ],
)
def test_settings(control: str, settings: dict[str, str], expected: str) -> None:
    """Ubuntu's own suid_dumpable=2 with apport as its handler is sound; Lynis and dev-sec's plain
    comparison with 0 call it wrong."""
    assert verdict(control, host(settings=settings)).status == expected


def test_a_kernel_without_yama_restricts_nothing() -> None:
    """'No such file' is a pass with tools that grep the value for 0."""
    assert verdict("host.ptrace-scope", host()).status == "fail"


@pytest.mark.parametrize(
    "control",
    ["host.aslr", "host.kptr-restrict", "host.ptrace-scope", "host.unprivileged-bpf"],
)
def test_what_cannot_be_read_is_unknown(control: str) -> None:
    names = (
        "kernel.randomize_va_space",
        "kernel.kptr_restrict",
        "kernel.yama.ptrace_scope",
        "kernel.unprivileged_bpf_disabled",
    )
    assert verdict(control, host(denied=names)).status == "unknown"


@pytest.mark.parametrize(
    ("values", "release", "expected"),
    [
        ("1 1 1 2", "6.1.0", "pass"),
        ("1 1 0 2", "6.1.0", "fail"),
        ("1 0 1 1", "6.1.0", "fail"),
        ("1 1", "4.18.0-553.el8", "pass"),
        ("1 1", "5.4.0", "fail"),
    ],
)
def test_protected_links(values: str, release: str, expected: str) -> None:
    """RHEL 8's 4.18 has no setting for fifos: that is no fault of its administrator's."""
    names = ("hardlinks", "symlinks", "fifos", "regular")
    settings = {
        f"fs.protected_{name}": value for name, value in zip(names, values.split(), strict=False)
    }
    assert verdict("host.protected-links", host(settings=settings, release=release)).status == (
        expected
    )


class _Files:
    def __init__(self, changers: list[str]) -> None:
        self._changers = changers

    def get(self, path: str) -> SimpleNamespace:
        return SimpleNamespace(path=path, writable_by_others=lambda: self._changers)


@pytest.mark.parametrize(
    ("pattern", "changers", "expected"),
    [
        ("core", [], "pass"),
        ("", [], "pass"),
        ("/var/crash/core.%e.%p", [], "pass"),
        ("|/usr/lib/systemd/systemd-coredump %P %u", [], "pass"),
        ("|/usr/share/apport/apport -p%p", ["everybody may write /usr/share"], "fail"),
        ("|/var/lib/docker/overlay2/4f2e/diff/tmp/x %P", [], "fail"),
        ("|/srv/engine/overlay2/4f2e/merged/x", [], "fail"),
        ("|/proc/%P/root/x", [], "fail"),
        ("|x", [], "fail"),
        ("/var/lib/docker/volumes/core.%e", [], "fail"),
        ("/var/lib/docker-crashes/core.%e", [], "pass"),
    ],
)
def test_core_pattern(pattern: str, changers: list[str], expected: str) -> None:
    """The relative default is written into the crashing container itself and is no alarm."""
    found = verdict(
        "host.core-pattern",
        host(settings={"kernel.core_pattern": pattern}),
        engine(),
        engine(root_dir="/srv/engine"),
        files=_Files(changers),
    )
    assert found.status == expected


@pytest.mark.parametrize(
    ("mounts", "expected"), [(V2, "pass"), (V1, "fail"), (HYBRID, "fail"), ("", "unknown")]
)
def test_cgroup_version(mounts: str, expected: str) -> None:
    assert verdict("host.cgroup-version", host(mounts=mounts)).status == expected


class TestCgroupControllers:
    def test_v2(self) -> None:
        assert verdict("host.cgroup-controllers", host()).status == "pass"
        files = {"/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io pids"}
        found = verdict("host.cgroup-controllers", host(files))
        assert (found.status, "memory" in found.reason) == ("fail", True)

    def test_v1(self) -> None:
        """Raspberry Pi OS mounts memory and has it disabled; Docker only warns."""
        without = ("/sys/fs/cgroup/cgroup.controllers", "/sys/fs/cgroup/cgroup.subtree_control")
        mounts = V1 + (
            "35 30 0:31 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
            "36 30 0:32 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n"
        )
        rows = FILES["/proc/cgroups"] + "blkio\t4\t1\t1"
        disabled = host({"/proc/cgroups": rows}, without=without, mounts=mounts)
        assert verdict("host.cgroup-controllers", disabled).status == "fail"
        enabled = host(
            {"/proc/cgroups": rows.replace("memory\t0\t1\t0", "memory\t2\t9\t1")},
            without=without,
            mounts=mounts,
        )
        assert verdict("host.cgroup-controllers", enabled).status == "pass"


class TestUserNamespaces:
    def test_bounded(self) -> None:
        settings = {"user.max_user_namespaces": "63432", "kernel.threads-max": "126865"}
        assert verdict("host.user-namespaces", host(settings=settings)).status == "pass"
        settings["user.max_user_namespaces"] = "2147483647"
        assert verdict("host.user-namespaces", host(settings=settings)).status == "fail"

    def test_none_at_all(self) -> None:
        """0 is right for a host without rootless containers, and breaks one with them: server
        baselines that demand it always are wrong here."""
        settings = {"user.max_user_namespaces": "0", "kernel.threads-max": "126865"}
        assert verdict("host.user-namespaces", host(settings=settings), engine()).status == "pass"
        for needs in (engine(rootless=True), engine(security_options={"userns": {}})):
            found = verdict("host.user-namespaces", host(settings=settings), needs)
            assert found.status == "fail"
        spaces = [SimpleNamespace(spaces={"user": (4, number)}) for number in (1, 2)]
        found = verdict("host.user-namespaces", host(settings=settings), processes=spaces)
        assert found.status == "fail"

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({"user.max_user_namespaces": "96365"}, "fail"),
            ({"user.max_user_namespaces": "0"}, "pass"),
            ({"kernel.unprivileged_userns_clone": "1"}, "fail"),
            ({"kernel.unprivileged_userns_clone": "0"}, "pass"),
            ({"kernel.apparmor_restrict_unprivileged_userns": "1"}, "pass"),
            ({"kernel.apparmor_restrict_unprivileged_userns": "0"}, "fail"),
            (
                {
                    "kernel.unprivileged_userns_clone": "1",
                    "kernel.apparmor_restrict_unprivileged_userns": "1",
                },
                "pass",
            ),
        ],
    )
    def test_unprivileged(self, settings: dict[str, str], expected: str) -> None:
        control = "host.unprivileged-user-namespaces"
        assert verdict(control, host(settings=settings)).status == expected
        rootless = verdict(control, host(settings=settings), engine(rootless=True))
        assert rootless.status == "not-applicable"

    def test_all_users_or_none(self) -> None:
        """Without a knob of the distribution's, what needs them needs them for everybody."""
        settings = {"user.max_user_namespaces": "96365"}
        control = "host.unprivileged-user-namespaces"
        remapped = engine(security_options={"userns": {}})
        found = verdict(control, host(settings=settings), remapped)
        assert found.status == "not-applicable"


def test_seccomp() -> None:
    assert verdict("host.seccomp-supported", host()).status == "pass"
    bare = STATUS.replace("\nSeccomp_filters:\t0", "")
    assert verdict("host.seccomp-supported", host({"/proc/self/status": bare})).status == "fail"


def test_lockdown() -> None:
    path = "/sys/kernel/security/lockdown"
    assert verdict("host.kernel-lockdown", host()).status == "pass"
    none = {path: "[none] integrity confidentiality"}
    assert verdict("host.kernel-lockdown", host(none)).status == "fail"
    unmounted = host(without=(path, "/sys/kernel/security/lsm"))
    assert verdict("host.kernel-lockdown", unmounted).status == "unknown"


@pytest.mark.parametrize(
    ("control", "here", "expected"),
    [
        ("host.core-pattern", host(settings={"kernel.core_pattern": "|/data/x %P"}), "unknown"),
        ("host.core-pattern", host(settings={"kernel.core_pattern": "|/usr/lib/x %P"}), "pass"),
        ("host.core-pattern", host(settings={"kernel.core_pattern": "core"}), "pass"),
        ("host.lsm-enforcing", host(APPARMOR), "unknown"),
        ("host.lsm-enforcing", host(SELINUX), "unknown"),
        ("host.user-namespaces", host(settings={"user.max_user_namespaces": "0"}), "unknown"),
    ],
)
def test_engines_that_could_not_be_seen(control: str, here: Host, expected: str) -> None:
    """What depends on an engine's data root or rights cannot pass while one may be hidden."""
    hidden = Engines((), (), (), "not every process is visible (needs root)")
    found = verdict(control, here, engines=hidden, files=_Files([]))
    assert found.status == expected
