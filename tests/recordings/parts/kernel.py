"""Settings of the kernel and of its network, now and in the files of sysctl.d.

What this machine's kernel does not have (Yama, kexec, magic keys) is in ``derived/kernel.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.live.hosts.overlay import OverlayHost
from tests.recordings.scenes import show

SOUND = {
    "kernel.perf_event_paranoid": "3", "kernel.io_uring_disabled": "2",
    "vm.unprivileged_userfaultfd": "0", "dev.tty.ldisc_autoload": "0",
    "dev.tty.legacy_tiocsti": "0", "vm.mmap_min_addr": "65536", "vm.mmap_rnd_bits": "32",
    "vm.mmap_rnd_compat_bits": "16", "kernel.oops_limit": "100", "kernel.warn_limit": "100",
    "net.core.bpf_jit_harden": "2", "net.ipv4.tcp_syncookies": "1",
    "net.ipv4.icmp_echo_ignore_broadcasts": "1",
    "net.ipv4.icmp_ignore_bogus_error_responses": "1", "vm.overcommit_memory": "1",
    "vm.panic_on_oom": "0", "kernel.panic": "10", "kernel.panic_on_oops": "1",
    "kernel.keys.root_maxkeys": "1000000", "kernel.keys.root_maxbytes": "25000000",
}  # fmt: skip
ROTTEN = {
    "kernel.perf_event_paranoid": "1", "kernel.io_uring_disabled": "0",
    "vm.unprivileged_userfaultfd": "1", "dev.tty.ldisc_autoload": "1",
    "dev.tty.legacy_tiocsti": "1", "vm.mmap_min_addr": "0", "vm.mmap_rnd_bits": "28",
    "vm.mmap_rnd_compat_bits": "8", "kernel.oops_limit": "0", "kernel.warn_limit": "0",
    "net.core.bpf_jit_harden": "0", "net.ipv4.tcp_syncookies": "0",
    "net.ipv4.icmp_echo_ignore_broadcasts": "0",
    "net.ipv4.icmp_ignore_bogus_error_responses": "0", "vm.overcommit_memory": "0",
    "vm.panic_on_oom": "1", "kernel.panic": "0", "kernel.panic_on_oops": "0",
}  # fmt: skip
PLAIN = {
    "kernel.perf_event_paranoid": "3", "vm.unprivileged_userfaultfd": "0",
    "dev.tty.ldisc_autoload": "1", "vm.mmap_min_addr": "65536", "vm.mmap_rnd_bits": "28",
    "vm.mmap_rnd_compat_bits": "8", "kernel.oops_limit": "10000", "kernel.warn_limit": "0",
    "net.core.bpf_jit_harden": "0", "kernel.kptr_restrict": "0", "kernel.dmesg_restrict": "1",
    "kernel.unprivileged_bpf_disabled": "2", "fs.protected_symlinks": "1",
    "fs.protected_hardlinks": "1", "fs.protected_fifos": "1", "fs.protected_regular": "2",
    "fs.suid_dumpable": "0", "kernel.panic": "0", "kernel.panic_on_oops": "0",
}  # fmt: skip
"""What Debian 12 makes of them: its kernel's configuration (linux-image-6.1.0-56-amd64), the
kernel's own constants, and procps' file in /usr/lib/sysctl.d."""

LATER = {
    "kernel.randomize_va_space": "2", "kernel.dmesg_restrict": "1", "kernel.kptr_restrict": "1",
    "kernel.unprivileged_bpf_disabled": "2", "fs.suid_dumpable": "0",
    "fs.protected_symlinks": "1", "fs.protected_hardlinks": "1", "fs.protected_fifos": "1",
    "fs.protected_regular": "2", "kernel.core_pattern": "|/bin/false",
    "kernel.yama.ptrace_scope": "1", "kernel.kexec_load_disabled": "1", "kernel.sysrq": "0",
    **SOUND,
}  # fmt: skip

JIT = "bpf_jit_harden"
ROOTS = (f"net/core/{JIT}", "vm/mmap_rnd_bits", "vm/mmap_rnd_compat_bits")
"""Settings that only root may read."""

Conf = Mapping[str, Mapping[str, str]]
CONF_SOUND = {
    "ipv4": {
        "accept_redirects": "0", "accept_source_route": "0", "forwarding": "1",
        "log_martians": "1", "route_localnet": "0", "rp_filter": "1", "send_redirects": "0",
    },
    "ipv6": {
        "accept_ra": "0", "accept_redirects": "0", "accept_source_route": "0",
        "disable_ipv6": "0", "forwarding": "0",
    },
}  # fmt: skip
CONF_ROTTEN = {
    "ipv4": {
        "accept_redirects": "1", "accept_source_route": "1", "forwarding": "1",
        "log_martians": "0", "route_localnet": "1", "rp_filter": "0", "send_redirects": "1",
    },
    "ipv6": {
        "accept_ra": "1", "accept_redirects": "1", "accept_source_route": "1",
        "disable_ipv6": "0", "forwarding": "0",
    },
}  # fmt: skip


def sound(host: OverlayHost) -> None:
    _show(host, SOUND)
    network(host, CONF_SOUND, "hcrec0")
    # These hosts have systemd-sysctl masked, as they share their kernel with others.
    host.run("rm /etc/systemd/system/systemd-sysctl.service")
    host.write("/etc/sysctl.d/60-site.conf", written(LATER, CONF_SOUND))


def rotten(host: OverlayHost) -> None:
    _show(host, ROTTEN)
    network(host, CONF_ROTTEN, "hcrec1")
    host.write("/etc/sysctl.d/70-site.conf", "kernel.dmesg_restrict = 0\nfs.suid_dumpable = 1\n")


def plain(host: OverlayHost) -> None:
    _show(host, PLAIN)
    host.run("rm -f /etc/systemd/system/systemd-sysctl.service")


def network(host: OverlayHost, conf: Conf, bridge: str) -> None:
    """Show what the kernel does on each interface: one network serves all hosts of a machine."""
    for family, values in conf.items():
        place = f"/proc/sys/net/{family}/conf"
        host.run(f"mount -t tmpfs none {place}")
        for interface in ("all", "default", "lo", "eth0", bridge):
            lines = "".join(f"echo {value} >{name}; " for name, value in values.items())
            host.run(f"mkdir {place}/{interface} && cd {place}/{interface} && {lines}")


def written(settings: Mapping[str, str], conf: Conf) -> str:
    """Return a file of sysctl.d with all of that."""
    lines = [f"{name} = {value}\n" for name, value in settings.items()]
    for family, values in conf.items():
        for interface in ("all", "default"):
            lines += [f"net.{family}.conf.{interface}.{name} = {value}\n"
                      for name, value in values.items() if name != "forwarding"]  # fmt: skip
    return "".join(lines)


def _show(host: OverlayHost, settings: Mapping[str, str]) -> None:
    files = {
        "/proc/sys/" + name.replace(".", "/"): f"{value}\n" for name, value in settings.items()
    }
    # Only the first network of a machine has these.
    host.run(
        f"cd /proc/sys/net/core && [ -e {JIT} ] || "
        f"{{ mount -t tmpfs none . && : >/proc/sys/net/core/{JIT}; }}"
    )
    show(host, files)
    host.run("chmod 600 " + " ".join(f"/proc/sys/{each}" for each in ROOTS))
