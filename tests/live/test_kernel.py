"""Settings of the kernel on live hosts, now and after the next boot.

One kernel and one network serve all hosts of this machine: a folder in the place of /proc/sys,
and one in that of /sys/class/net, show a host settings and interfaces of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.inventory.policy import Policy
from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.systemd import SystemdHost
from tests.live.test_host import audit, folder, over
from tests.recordings.parts.kernel import CONF_ROTTEN, CONF_SOUND, Conf

pytestmark = pytest.mark.live

MODULES = ("test_kernel_settings", "test_kernel_surface", "test_kernel_network")
NAMES = [
    each.id.removeprefix("host.")
    for each in all_controls().values()
    if each.function.__module__.rpartition(".")[2] in MODULES
]
ELSEWHERE = {"kubelet-kernel-settings", "bridge-filter", "packet-forwarding"}
"""What depends on what the host is for."""

POLICY = Policy(router_advertisements=False)
RIGHT = {
    "kernel.randomize_va_space": "2", "kernel.dmesg_restrict": "1", "kernel.kptr_restrict": "1",
    "kernel.unprivileged_bpf_disabled": "2", "kernel.yama.ptrace_scope": "1",
    "fs.protected_symlinks": "1", "fs.protected_hardlinks": "1", "fs.protected_fifos": "1",
    "fs.protected_regular": "2", "fs.suid_dumpable": "0", "kernel.core_pattern": "core",
    "net.core.bpf_jit_harden": "2", "kernel.perf_event_paranoid": "3",
    "kernel.io_uring_disabled": "2", "vm.unprivileged_userfaultfd": "0",
    "kernel.kexec_load_disabled": "1", "kernel.sysrq": "0", "dev.tty.ldisc_autoload": "0",
    "dev.tty.legacy_tiocsti": "0", "vm.mmap_min_addr": "65536", "vm.mmap_rnd_bits": "32",
    "vm.mmap_rnd_compat_bits": "16", "kernel.oops_limit": "100", "kernel.warn_limit": "100",
    "kernel.panic_on_oops": "0", "kernel.panic_on_warn": "0", "net.ipv4.tcp_syncookies": "1",
    "net.ipv4.icmp_echo_ignore_broadcasts": "1",
    "net.ipv4.icmp_ignore_bogus_error_responses": "1", "net.ipv4.ip_forward": "1",
}  # fmt: skip
WRONG = {
    **RIGHT, "kernel.randomize_va_space": "1", "kernel.dmesg_restrict": "0",
    "kernel.kptr_restrict": "0", "kernel.unprivileged_bpf_disabled": "0",
    "kernel.yama.ptrace_scope": "0", "fs.protected_regular": "0", "fs.suid_dumpable": "1",
    "kernel.core_pattern": "|/var/lib/docker/x %P", "net.core.bpf_jit_harden": "0",
    "kernel.perf_event_paranoid": "1", "kernel.io_uring_disabled": "0",
    "vm.unprivileged_userfaultfd": "1", "kernel.kexec_load_disabled": "0",
    "kernel.sysrq": "438", "dev.tty.ldisc_autoload": "1", "dev.tty.legacy_tiocsti": "1",
    "vm.mmap_min_addr": "4096", "vm.mmap_rnd_bits": "28", "kernel.warn_limit": "0",
    "net.ipv4.tcp_syncookies": "0",
}  # fmt: skip


def tree(settings: Mapping[str, str], conf: Conf) -> dict[str, str]:
    """Return the files of a /proc/sys, of a host with eth0 and docker0."""
    files = {"kernel/ostype": "Linux\n"}
    files |= {name.replace(".", "/"): f"{value}\n" for name, value in settings.items()}
    for family, values in conf.items():
        for interface in ("all", "default", "lo", "eth0", "docker0"):
            place = f"net/{family}/conf/{interface}"
            files |= {f"{place}/{name}": f"{value}\n" for name, value in values.items()}
    return files


def devices() -> dict[str, str]:
    files = {}
    for number, (name, kind) in enumerate({"lo": "", "eth0": "", "docker0": "bridge"}.items(), 1):
        devtype = f"DEVTYPE={kind}\n" if kind else ""
        files |= {
            f"{name}/uevent": f"{devtype}INTERFACE={name}\nIFINDEX={number}\n",
            f"{name}/flags": "0x1003\n",
            f"{name}/iflink": f"{number}\n",
        }
    return files


def written(settings: Mapping[str, str], conf: Conf) -> str:
    """Return a file of sysctl.d with all of that, the interfaces by a pattern."""
    lines = [f"{name} = {value}\n" for name, value in settings.items()]
    for family, values in conf.items():
        for interface in ("all", "default", "*"):
            place = f"net.{family}.conf.{interface}"
            lines += [f"{place}.{name} = {value}\n" for name, value in values.items()]
    return "".join(lines)


@contextmanager
def shown(host: OverlayHost, settings: Mapping[str, str], conf: Conf, file: str) -> Iterator[None]:
    """Let a host have these settings and interfaces, and this file in an empty /etc/sysctl.d."""
    with ExitStack() as stack:
        for path, files in (
            ("/etc/sysctl.d", {"60-site.conf": file}),
            ("/usr/lib/sysctl.d", {"50-default.conf": "kernel.kptr_restrict = 0\n"}),
            ("/sys/class/net", devices()),
            ("/sys/kernel/security", {"lockdown": "[none] integrity\n", "lsm": "lockdown\n"}),
            ("/proc/sys", tree(settings, conf)),
        ):
            stack.enter_context(folder(host, path, **files))
        yield


def found(host: OverlayHost) -> dict[str, str]:
    """Return what is not as it is most often, by control."""
    return {each.control.removeprefix("host."): str(each.status)
            for each in audit(host, *NAMES, policy=POLICY)}  # fmt: skip


def test_settings_now_and_later(overlay_host: OverlayHost) -> None:
    """Right; wrong; right by hand with wrong files; right by hand with none."""
    meant = set(NAMES) - ELSEWHERE
    with shown(overlay_host, RIGHT, CONF_SOUND, written(RIGHT, CONF_SOUND)):
        right = found(overlay_host)
        assert {name: right[name] for name in meant} == dict.fromkeys(meant, "pass")
        assert right["packet-forwarding"] == "not-applicable"
        overlay_host.write("/etc/sysctl.d/60-site.conf", written(WRONG, CONF_ROTTEN))
        later = found(overlay_host)
        # The bridge's is the engine's to set, redirects are refused where the host forwards.
        assert {name for name in meant if later[name] != "fail"} == {"bridge-router-advertisements"}
        overlay_host.run("ln -sf /dev/null /etc/sysctl.d/60-site.conf")
        lost = found(overlay_host)
        assert {"kptr-restrict", "reverse-path-filter", "send-redirects", "kexec"} <= {
            name for name in meant if lost[name] == "fail"
        }
        assert lost["aslr"] == lost["dmesg-restrict"] == lost["route-localnet"] == "pass"
    with shown(overlay_host, WRONG, CONF_ROTTEN, written(RIGHT, CONF_SOUND)):
        wrong = found(overlay_host)
        assert {name: wrong[name] for name in meant} == dict.fromkeys(meant, "fail")


def test_a_setting_of_another_place_in_the_order(overlay_host: OverlayHost) -> None:
    """By the name of the file, over all directories; by an exclusion from a pattern."""
    kptr = "kernel.kptr_restrict"
    for files, expected in (
        ({"60-a.conf": f"{kptr}=1\n"}, "pass"),
        ({"40-a.conf": f"{kptr}=1\n"}, "fail"),
        ({"50-default.conf": f"{kptr}=1\n"}, "pass"),
        ({"50-default.conf": "\n", "x.conf": "kernel.kptr_*=1\n"}, "pass"),
        ({"50-default.conf": "\n", "x.conf": f"kernel.kptr_*=1\n-{kptr}\n"}, "fail"),
    ):
        with (
            folder(overlay_host, "/etc/sysctl.d", **files),
            folder(overlay_host, "/usr/lib/sysctl.d", **{"50-default.conf": f"{kptr} = 0\n"}),
            over(overlay_host, **{"/proc/sys/kernel/kptr_restrict": "1\n"}),
        ):
            assert str(audit(overlay_host, "kptr-restrict")[0].status) == expected, files


def test_nobody_applies_the_files(systemd_v2: SystemdHost) -> None:
    """These hosts have systemd-sysctl masked, as they share their kernel with others."""
    unit = "/etc/systemd/system/systemd-sysctl.service"
    with (
        folder(systemd_v2, "/etc/sysctl.d", **{"60-a.conf": "kernel.kptr_restrict=1\n"}),
        over(systemd_v2, **{"/proc/sys/kernel/kptr_restrict": "1\n"}),
    ):
        [masked] = audit(systemd_v2, "kptr-restrict")
        systemd_v2.run(f"mv {unit} {unit}.away")
        try:
            [unmasked] = audit(systemd_v2, "kptr-restrict")
        finally:
            systemd_v2.run(f"mv {unit}.away {unit}")
    assert (str(masked.status), "masked" in masked.reason) == ("fail", True)
    assert str(unmasked.status) == "pass"
