"""Verdicts of the controls on settings, on kernels and systems of several kinds."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hullcheck.facts.kernel import MACHINE
from hullcheck.facts.role import KUBERNETES_NODE, Role
from tests.unit.kernels import engine, host, verdict
from tests.unit.sysctl_fake import USUAL, after_boot

GOOD = {
    "kernel.randomize_va_space": "2", "kernel.kptr_restrict": "1",
    "kernel.unprivileged_bpf_disabled": "2", "kernel.yama.ptrace_scope": "1",
    "fs.protected_symlinks": "1", "fs.protected_hardlinks": "1", "fs.protected_fifos": "1",
    "fs.protected_regular": "2", "fs.suid_dumpable": "0", "net.core.bpf_jit_harden": "2",
    "kernel.perf_event_paranoid": "2", "kernel.io_uring_disabled": "2",
    "vm.unprivileged_userfaultfd": "0", "kernel.kexec_load_disabled": "1", "kernel.sysrq": "16",
    "dev.tty.ldisc_autoload": "0", "dev.tty.legacy_tiocsti": "0", "vm.mmap_min_addr": "65536",
    "vm.mmap_rnd_bits": "32", "vm.mmap_rnd_compat_bits": "16", "kernel.oops_limit": "100",
    "kernel.warn_limit": "100", "net.ipv4.tcp_syncookies": "1",
    "net.ipv4.icmp_echo_ignore_broadcasts": "1",
    "net.ipv4.icmp_ignore_bogus_error_responses": "1", "kernel.panic_on_oops": "0",
}  # fmt: skip
KEPT = {"/etc/sysctl.d/90-x.conf": "".join(f"{name} = {value}\n" for name, value in GOOD.items())}
CONFIG = (
    "# from /boot/config\nCONFIG_PROC_FS=y\nCONFIG_ARCH_MMAP_RND_BITS_MAX=32\n"
    "CONFIG_ARCH_MMAP_RND_COMPAT_BITS_MAX=16\nCONFIG_IO_URING=y\nCONFIG_USERFAULTFD=y\n"
)
NO_LOCKDOWN = {"/sys/kernel/security/lockdown": "[none] integrity confidentiality"}

CASES = [
    ("aslr", "kernel.randomize_va_space", "1"),
    ("dmesg-restrict", "kernel.dmesg_restrict", "0"),
    ("kptr-restrict", "kernel.kptr_restrict", "0"),
    ("unprivileged-bpf", "kernel.unprivileged_bpf_disabled", "0"),
    ("ptrace-scope", "kernel.yama.ptrace_scope", "0"),
    ("protected-links", "fs.protected_hardlinks", "0"),
    ("suid-dumpable", "fs.suid_dumpable", "1"),
    ("bpf-jit-harden", "net.core.bpf_jit_harden", "1"),
    ("perf-events", "kernel.perf_event_paranoid", "1"),
    ("perf-events", "kernel.perf_event_paranoid", "-1"),
    ("io-uring", "kernel.io_uring_disabled", "0"),
    ("userfaultfd", "vm.unprivileged_userfaultfd", "1"),
    ("kexec", "kernel.kexec_load_disabled", "0"),
    ("sysrq", "kernel.sysrq", "438"),
    ("sysrq", "kernel.sysrq", "1"),
    ("line-disciplines", "dev.tty.ldisc_autoload", "1"),
    ("terminal-injection", "dev.tty.legacy_tiocsti", "1"),
    ("mmap-min-addr", "vm.mmap_min_addr", "4096"),
    ("aslr-entropy", "vm.mmap_rnd_bits", "28"),
    ("aslr-entropy", "vm.mmap_rnd_compat_bits", "8"),
    ("oops-limit", "kernel.oops_limit", "10000"),
    ("oops-limit", "kernel.oops_limit", "0"),
    ("oops-limit", "kernel.warn_limit", "0"),
    ("flood-protection", "net.ipv4.tcp_syncookies", "0"),
    ("flood-protection", "net.ipv4.icmp_echo_ignore_broadcasts", "0"),
    ("flood-protection", "net.ipv4.icmp_ignore_bogus_error_responses", "0"),
]
"""control, setting, a wrong value."""


def judged(control, settings=(), files=KEPT, *, machine="x86_64", **values):
    answers = {**after_boot(files), MACHINE.command: f"{machine}\n", **values.pop("more", {})}
    here = host(
        {**NO_LOCKDOWN, **values.pop("state", {})}, {**GOOD, **dict(settings)}, config=CONFIG,
        more=answers, **values,
    )  # fmt: skip
    return verdict(f"host.{control}", here)


def status(*args, **values) -> str:
    return str(judged(*args, **values).status)


@pytest.mark.parametrize(("control", "name", "wrong"), CASES)
def test_a_setting_flips(control: str, name: str, wrong: str) -> None:
    assert status(control) == "pass"
    assert status(control, {name: wrong}) == "fail"


@pytest.mark.parametrize(("control", "name", "wrong"), CASES)
def test_what_the_next_boot_makes_wrong(control: str, name: str, wrong: str) -> None:
    """Right by hand, and a file says otherwise: the file is named."""
    found = judged(control, files={**KEPT, "/usr/lib/sysctl.d/99-x.conf": f"{name} = {wrong}"})
    assert (found.status, "/usr/lib/sysctl.d/99-x.conf" in found.reason) == ("fail", True)


@pytest.mark.parametrize(("control", "name", "wrong"), CASES)
def test_what_cannot_be_read_is_unknown(control: str, name: str, wrong: str) -> None:
    assert status(control, denied=(name,)) == "unknown"


@pytest.mark.parametrize(
    ("control", "lost"),
    [("kptr-restrict", True), ("bpf-jit-harden", True), ("kexec", True), ("io-uring", True),
     ("oops-limit", True), ("protected-links", True), ("aslr", False), ("sysrq", False),
     ("dmesg-restrict", False), ("flood-protection", False)],
)  # fmt: skip
def test_set_by_hand(control: str, lost: bool) -> None:
    """No file sets it: it is lost where every kernel's own value is a worse one."""
    assert status(control, files={}) == ("fail" if lost else "pass")


def test_a_file_that_is_not_in_effect_is_named() -> None:
    found = judged("kptr-restrict", {"kernel.kptr_restrict": "0"})
    assert "though /etc/sysctl.d/90-x.conf sets 1" in found.reason


def test_another_right_value_is_no_fault() -> None:
    files = {**KEPT, "/etc/sysctl.d/99-x.conf": "kernel.kptr_restrict = 2\nkernel.sysrq = 0"}
    assert status("kptr-restrict", files=files) == "pass"
    assert status("sysrq", files=files) == "pass"


def test_files_that_cannot_be_read() -> None:
    """Wrong now is wrong; what is right now may be otherwise tomorrow."""
    answers = after_boot(KEPT, denied=("/etc/sysctl.d/99-secret.conf",))
    assert status("aslr", more=answers) == "unknown"
    assert "root" in judged("aslr", more=answers).reason
    assert status("aslr", {"kernel.randomize_va_space": "0"}, more=answers) == "fail"


def test_a_script_that_cannot_be_read_excuses_nobody() -> None:
    """It may make right what a file makes wrong: that is unknown, not a pass, nor a fail."""
    answers = after_boot({"/etc/sysctl.d/x.conf": "kernel.randomize_va_space = 0"})
    command = next(each for each in answers if "rc.local" in each)
    answers[command] = (2, "", "grep: /etc/rc.local: Permission denied\n")
    assert status("aslr", more=answers) == "unknown"


@pytest.mark.parametrize(
    ("control", "name", "release", "expected"),
    [
        ("bpf-jit-harden", "net.core.bpf_jit_harden", "6.1.0", "not-applicable"),
        ("perf-events", "kernel.perf_event_paranoid", "6.1.0", "not-applicable"),
        ("io-uring", "kernel.io_uring_disabled", "6.1.0-28-amd64", "manual"),
        ("io-uring", "kernel.io_uring_disabled", "4.18.0-553.el8_10.x86_64", "not-applicable"),
        ("userfaultfd", "vm.unprivileged_userfaultfd", "6.1.0", "not-applicable"),
        ("userfaultfd", "vm.unprivileged_userfaultfd", "4.18.0-80.el8", "fail"),
        ("kexec", "kernel.kexec_load_disabled", "6.1.0", "not-applicable"),
        ("sysrq", "kernel.sysrq", "6.1.0", "not-applicable"),
        ("line-disciplines", "dev.tty.ldisc_autoload", "4.18.0-80.el8", "fail"),
        ("line-disciplines", "dev.tty.ldisc_autoload", "6.1.0", "not-applicable"),
        ("terminal-injection", "dev.tty.legacy_tiocsti", "6.1.0", "not-applicable"),
        ("mmap-min-addr", "vm.mmap_min_addr", "6.1.0", "fail"),
        ("flood-protection", "net.ipv4.tcp_syncookies", "6.1.0", "fail"),
    ],
)
def test_settings_that_a_kernel_does_not_have(
    control: str, name: str, release: str, expected: str
) -> None:
    assert status(control, without=(name,), release=release) == expected


def test_lockdown_keeps_foreign_kernels_out() -> None:
    locked = {"/sys/kernel/security/lockdown": "none [integrity] confidentiality"}
    assert status("kexec", {"kernel.kexec_load_disabled": "0"}, state=locked) == "pass"


@pytest.mark.parametrize(
    ("machine", "least", "expected"),
    [("aarch64", "32768", "pass"), ("armv7l", "32768", "pass"), ("x86_64", "32768", "fail"),
     ("aarch64", "4096", "fail")],
)  # fmt: skip
def test_address_zero_on_other_processors(machine: str, least: str, expected: str) -> None:
    files = {"/etc/sysctl.d/x.conf": f"vm.mmap_min_addr = {least}"}
    found = status("mmap-min-addr", {"vm.mmap_min_addr": least}, files, machine=machine)
    assert found == expected


def test_a_kernel_that_stops_at_once_needs_no_limit() -> None:
    """RHEL's own kernels are built with panic_on_oops."""
    panics = {"kernel.panic_on_oops": "1", "kernel.panic_on_warn": "1"}
    limits = {"kernel.oops_limit": "10000", "kernel.warn_limit": "0"}
    assert status("oops-limit", {**limits, **panics}, files=USUAL) == "pass"
    old = ("kernel.oops_limit", "kernel.warn_limit")
    assert status("oops-limit", panics, USUAL, without=old) == "pass"
    assert status("oops-limit", without=old) == "fail"


def test_a_handler_that_the_next_boot_brings() -> None:
    files = {"/etc/sysctl.d/x.conf": "kernel.core_pattern = |/var/lib/docker/volumes/x/out %P"}
    here = host(settings={"kernel.core_pattern": "core"}, more=after_boot(files))
    nobody = SimpleNamespace(get=lambda path: SimpleNamespace(writable_by_others=list))
    found = verdict("host.core-pattern", here, engine(), files=nobody)
    assert (found.status, "/etc/sysctl.d/x.conf" in found.reason) == ("fail", True)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"apparmor_restrict_unprivileged_userns": "1"}, "pass"),
        ({"apparmor_restrict_unprivileged_userns": "1",
          "apparmor_restrict_unprivileged_unconfined": "1"}, "pass"),
        ({"apparmor_restrict_unprivileged_userns": "1",
          "apparmor_restrict_unprivileged_unconfined": "0"}, "fail"),
        ({"apparmor_restrict_unprivileged_userns": "1", "unprivileged_userns_clone": "0",
          "apparmor_restrict_unprivileged_unconfined": "0"}, "pass"),
        ({"apparmor_restrict_unprivileged_userns": "0", "unprivileged_userns_clone": "1"}, "fail"),
        ({"unprivileged_userns_clone": "0"}, "pass"),
    ],
)  # fmt: skip
def test_ubuntus_restriction_of_user_namespaces(settings: dict[str, str], expected: str) -> None:
    """With the second setting at 0 an account takes a profile that may, and the first is void
    (discourse.ubuntu.com, 58007)."""
    named = {f"kernel.{name}": value for name, value in settings.items()}
    assert status("unprivileged-user-namespaces", named) == expected


KUBELET = {
    "vm.overcommit_memory": "1", "vm.panic_on_oom": "0", "kernel.panic": "10",
    "kernel.panic_on_oops": "1", "kernel.keys.root_maxkeys": "1000000",
    "kernel.keys.root_maxbytes": "25000000",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "roles", "expected"),
    [({}, (KUBERNETES_NODE,), "pass"), ({"kernel.keys.root_maxkeys": "2000000"},
     (KUBERNETES_NODE,), "pass"), ({"vm.overcommit_memory": "0"}, (KUBERNETES_NODE,), "fail"),
     ({"kernel.panic": "0"}, (KUBERNETES_NODE,), "fail"),
     ({"vm.overcommit_memory": "0"}, (), "not-applicable")],
)  # fmt: skip
def test_the_kubelets_settings(
    change: dict[str, str], roles: tuple[str, ...], expected: str
) -> None:
    """The kubelet sets them each time it starts: no file need."""
    here = host(settings={**KUBELET, **change}, more=after_boot({}))
    found = verdict("host.kubelet-kernel-settings", here, role=Role.declared(roles))
    assert found.status == expected
