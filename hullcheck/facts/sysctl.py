"""Settings of the kernel: what they are now, and what they will be after the next boot."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.registry import fact, get, provide
from hullcheck.facts.sysctl_files import (
    CONTENTS,
    DIRECTORIES,
    LAST,
    LISTED,
    READER,
    Plan,
    Reader,
    in_order,
    key_of,
    parse_listed,
    parse_reader,
    plan_of,
)
from hullcheck.facts.texts import known, sweep, texts
from hullcheck.transport import Answer, session_of, want

__all__ = ["DEFAULTS", "ELSEWHERE", "SYSCTLS", "Later", "Sysctl", "number_of", "sysctl",
           "sysctl_path"]  # fmt: skip

SYSCTLS = (
    "kernel.ostype", "kernel.core_pattern", "kernel.dmesg_restrict", "kernel.kptr_restrict",
    "kernel.randomize_va_space", "kernel.threads-max", "kernel.unprivileged_bpf_disabled",
    "kernel.unprivileged_userns_clone", "kernel.apparmor_restrict_unprivileged_userns",
    "kernel.apparmor_restrict_unprivileged_unconfined", "kernel.yama.ptrace_scope",
    "user.max_user_namespaces", "fs.protected_fifos", "fs.protected_hardlinks",
    "fs.protected_regular", "fs.protected_symlinks", "fs.suid_dumpable",
    "dev.tty.ldisc_autoload", "dev.tty.legacy_tiocsti", "kernel.io_uring_disabled",
    "kernel.kexec_load_disabled", "kernel.keys.root_maxbytes", "kernel.keys.root_maxkeys",
    "kernel.modules_disabled", "kernel.oops_limit", "kernel.panic", "kernel.panic_on_oops",
    "kernel.panic_on_warn", "kernel.perf_event_paranoid", "kernel.sysrq", "kernel.warn_limit",
    "net.bridge.bridge-nf-call-ip6tables", "net.bridge.bridge-nf-call-iptables",
    "net.core.bpf_jit_harden", "net.ipv4.icmp_echo_ignore_broadcasts",
    "net.ipv4.icmp_ignore_bogus_error_responses", "net.ipv4.ip_forward",
    "net.ipv4.tcp_syncookies", "net.ipv6.conf.all.forwarding", "vm.mmap_min_addr",
    "vm.mmap_rnd_bits", "vm.mmap_rnd_compat_bits", "vm.overcommit_memory", "vm.panic_on_oom",
    "vm.unprivileged_userfaultfd",
)  # fmt: skip
"""What controls ask for, in one sweep; any other is asked by itself."""

DEFAULTS: Mapping[str, int] = {
    "fs.protected_fifos": 0, "fs.protected_regular": 0, "kernel.io_uring_disabled": 0,
    "kernel.kexec_load_disabled": 0, "kernel.kptr_restrict": 0, "kernel.oops_limit": 10_000,
    "kernel.warn_limit": 0, "net.core.bpf_jit_harden": 0,
    "net.ipv4.conf.all.accept_redirects": 1, "net.ipv4.conf.default.accept_redirects": 1,
    "net.ipv4.conf.all.log_martians": 0, "net.ipv4.conf.default.log_martians": 0,
    "net.ipv4.conf.all.rp_filter": 0, "net.ipv4.conf.default.rp_filter": 0,
    "net.ipv4.conf.all.send_redirects": 1, "net.ipv4.conf.default.send_redirects": 1,
    "net.ipv6.conf.all.accept_redirects": 1, "net.ipv6.conf.default.accept_redirects": 1,
}  # fmt: skip
"""What the kernel sets itself, where every build of it sets the same, and no control accepts it:
a better value that no file sets was set by hand, and is lost (kernel.org, admin-guide/sysctl and
networking/ip-sysctl). Hardened kernels have others."""

HARDENED = ("hardened", "grsec")

MANAGED = frozenset({"bottlerocket", "talos"})
"""Systems that set these from a configuration of their own, which is no file of sysctl.d."""

PLACES = (
    "/etc/rc.local", "/etc/rc.d/rc.local", "/etc/local.d/*.start", "/etc/init.d/*.local",
    "/etc/systemd/system/*.service", "/etc/systemd/system/*.service.d/*.conf",
    "/etc/udev/rules.d/*.rules", "/etc/tuned/*/tuned.conf", "/etc/ufw/sysctl.conf",
    "/etc/network/interfaces", "/etc/network/interfaces.d/*", "/etc/network/if-*.d/*",
    "/etc/NetworkManager/dispatcher.d/*", "/boot/sysctl.conf-*",
)  # fmt: skip
ELSEWHERE = want(
    "grep -aHE '(kernel|net|fs|vm)[./][a-z]|dev[./]tty[./]|user[./]max_|sysctl +-' -- "
    + " ".join(PLACES),
    meaning=(0, 1, 2),
)
"""Where else settings are made at boot: lines that name any, or have a file of them read. SUSE's
kernels bring a file of their own below /boot."""

READS = re.compile(r"sysctl +(?:-\w+ +)*(?:-[a-z]*[pf]|--load|--system)")


@dataclass(frozen=True, slots=True)
class Later:
    """What a setting will be after the next boot.

    :param source: the file, or what else decides, in a few words.
    :param doubt: why it may be another value after all; empty if it cannot.
    """

    value: str
    source: str
    doubt: str = ""


class Sysctl:
    """The kernel's settings on one host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        session_of(host).foresee(LISTED, CONTENTS, READER, ELSEWHERE)

    @fact
    def _swept(self) -> dict[str, str | Unknown]:
        found = texts(session_of(self.host).ask(sweep(map(sysctl_path, SYSCTLS)))[0])
        if found.get(sysctl_path("kernel.ostype")) != "Linux":
            raise Unknown("/proc/sys does not tell the kernel's settings")
        return found

    def get(self, name: str) -> str | None:
        """Return a setting as it is now, e.g. ``kernel.dmesg_restrict``.

        :return: None if this kernel has no such setting.
        :raises Unknown: it could not be read.
        """
        path = sysctl_path(name)
        if name in SYSCTLS:
            return shown(self._swept.get(path))
        return shown(texts(session_of(self.host).ask(sweep([path]))[0]).get(path))

    def number(self, name: str) -> int | None:
        """Return a setting that is one number. :raises Unknown: it is not, or not readable."""
        text = self.get(name)
        return None if text is None else number_of(text, name)

    def later(self, name: str) -> Later | None:
        """Return what a setting will be after the next boot; None if nothing is known to set it,
        so that it stays what the running kernel made of it.

        :raises Unknown: what decides cannot be read.
        """
        return self.later_by_key(key_of(name), name)

    def later_by_key(self, key: str, name: str = "") -> Later | None:
        """As :meth:`later`, for a path below /proc/sys; ``name`` is what DEFAULTS know it by."""
        if self._elsewhere(key):
            return None
        if not self._reader.idle:
            line = self._plan.of(key)
            if line is not None and line.value is not None:
                return Later(line.value, line.file, self._hidden)
        return self._without_files(key, name)

    def _without_files(self, key: str, name: str) -> Later | None:
        kernel = get(self.host, "kernel")
        for parameter, values in kernel.cmdline.items():
            if parameter.startswith("sysctl.") and _bare(key_of(parameter[7:])) == _bare(key):
                return Later(values[-1], "the boot line", self._hidden)
        if name not in DEFAULTS or any(each in kernel.release for each in HARDENED):
            return None
        if get(self.host, "distribution").id in MANAGED:
            return None
        idle = f"{self._reader.idle}, and " if self._reader.idle else "no file sets it, and "
        source = f"{idle}this is the kernel's own value"
        return Later(str(DEFAULTS[name]), source, self._hidden)

    @fact
    def _reader(self) -> Reader:
        return parse_reader(session_of(self.host).ask(READER)[0])

    @fact
    def _plan(self) -> Plan:
        listed, contents = session_of(self.host).ask(LISTED, CONTENTS)
        paths, found = parse_listed(listed), files_of(contents)
        unlisted = {each for each in found if posixpath.dirname(each) in DIRECTORIES} - {*paths}
        # Where all of them are empty, grep at least misses one of the directories.
        if unlisted or (paths and not found and b"grep: " not in contents.evidence.stderr):
            raise Unknown("what was listed of sysctl.d and what was read of it do not agree")
        order = in_order(paths)
        if self._reader.name != "systemd":
            order.append(LAST)
        return plan_of(order, found)

    @fact
    def _mentions(self) -> dict[str, str | Unknown]:
        return files_of(session_of(self.host).ask(ELSEWHERE)[0])

    def _elsewhere(self, key: str) -> bool:
        """Whether something else than sysctl.d names a setting: it may set it at boot, or not,
        and what the setting is now has to do."""
        leaf = re.compile(rf"(?<![\w-]){re.escape(posixpath.basename(key))}(?![\w-])")
        for text in self._mentions.values():
            lines = () if isinstance(text, Unknown) else text.splitlines()
            said = [each for each in lines if not each.lstrip().startswith("#")]
            if any(leaf.search(each) or READS.search(each) for each in said):
                return True
        return False

    @property
    def _hidden(self) -> str:
        """Why something else may set it that cannot be seen."""
        denied = [str(text) for text in self._mentions.values() if isinstance(text, Unknown)]
        return f"what else is set at boot is not all to be seen ({denied[0]})" if denied else ""


def files_of(answer: Answer) -> dict[str, str | Unknown]:
    """Return what :func:`texts` does, without what is a directory."""
    return {
        path: text
        for path, text in texts(answer).items()
        if not (isinstance(text, Unknown) and str(text).endswith("Is a directory"))
    }


def _bare(key: str) -> str:
    """Return a key as the boot line has it: the kernel takes ``-`` and ``_`` for one there."""
    return key.replace("-", "_")


def shown(text: str | Unknown | None) -> str | None:
    """Return what a file of /proc/sys says; None if there is none. :raises Unknown: unreadable."""
    if isinstance(text, Unknown) and str(text).endswith("Permission denied"):
        raise Unknown(f"{text}; it needs root")
    return known(text)


def number_of(text: str, what: str) -> int:
    """Return a number as the kernel reads one (proc_dointvec). :raises Unknown: it is none."""
    found = re.fullmatch(r"(-?)(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})", text.strip(), re.ASCII)
    if not found:
        raise Unknown(f"{what} is {text[:80]!r}, which is no number")
    digits = found[2]
    octal = len(digits) > 1 and digits.startswith("0") and re.fullmatch("[0-7]+", digits)
    number = int(digits, 16) if digits[1:2] in ("x", "X") else int(digits, 8 if octal else 10)
    return -number if found[1] else number


@provide
def sysctl(host: Host) -> Sysctl:
    """The kernel's settings, now and after the next boot."""
    return Sysctl(host)


def sysctl_path(name: str) -> str:
    """Return the file of a kernel setting."""
    return "/proc/sys/" + key_of(name)
