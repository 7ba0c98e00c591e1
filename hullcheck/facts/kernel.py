"""The running kernel: what it was built with, booted with and set to, and its cgroups."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.flaws import Flaw
from hullcheck.facts.mounts import Mount
from hullcheck.facts.registry import fact, get, provide
from hullcheck.facts.texts import known, sweep, texts
from hullcheck.transport import Want, session_of, want

__all__ = ["Cgroups", "Kernel", "kernel", "parse_cgroups", "parse_cmdline"]

OPTIONS = (
    "CONFIG_PROC_FS", "CONFIG_SECCOMP", "CONFIG_SECCOMP_FILTER", "CONFIG_USER_NS",
    "CONFIG_SECURITY_LOCKDOWN_LSM", "CONFIG_X86_64", "CONFIG_ARM64", "CONFIG_MODULES",
    "CONFIG_DEVMEM", "CONFIG_STRICT_DEVMEM", "CONFIG_RANDOMIZE_BASE", "CONFIG_STRICT_KERNEL_RWX",
    "CONFIG_STRICT_MODULE_RWX", "CONFIG_STACKPROTECTOR_STRONG", "CONFIG_HARDENED_USERCOPY",
    "CONFIG_X86_VSYSCALL_EMULATION", "CONFIG_LEGACY_VSYSCALL_NONE", "CONFIG_LEGACY_VSYSCALL_XONLY",
    "CONFIG_INIT_ON_ALLOC_DEFAULT_ON", "CONFIG_SLAB_MERGE_DEFAULT",
    "CONFIG_CRAMFS", "CONFIG_VXFS_FS", "CONFIG_HFS_FS", "CONFIG_HFSPLUS_FS", "CONFIG_JFFS2_FS",
    "CONFIG_UDF_FS", "CONFIG_IP_DCCP", "CONFIG_IP_SCTP", "CONFIG_RDS", "CONFIG_TIPC",
    "CONFIG_USB_STORAGE", "CONFIG_ARCH_MMAP_RND_BITS_MAX", "CONFIG_ARCH_MMAP_RND_COMPAT_BITS_MAX",
    "CONFIG_IO_URING", "CONFIG_USERFAULTFD",
)  # fmt: skip

STATE = (
    "/proc/cmdline", "/proc/cgroups", "/proc/filesystems",
    "/proc/sys/kernel/seccomp/actions_avail", "/proc/self/status",
    "/sys/fs/cgroup/cgroup.controllers", "/sys/fs/cgroup/cgroup.subtree_control",
    "/sys/kernel/security/lockdown", "/sys/kernel/security/lsm",
    "/sys/kernel/security/apparmor/profiles", "/sys/module/apparmor/parameters/enabled",
    "/sys/fs/selinux/enforce", "/etc/selinux/config", "/sys/module/module/parameters/sig_enforce",
    "/proc/sys/kernel/modules_disabled", "/sys/module/page_alloc/parameters/shuffle",
)  # fmt: skip

VULNERABILITIES = want("grep -H '' /sys/devices/system/cpu/vulnerabilities/*", meaning=(0, 1, 2))

RELEASE = want("uname -r")
MACHINE = want("uname -m")


def config_want(names: Iterable[str]) -> Want:
    """Return a want for options of the running kernel's build configuration."""
    pattern = "|".join(names)
    return want(
        "r=$(uname -r); if [ -r /proc/config.gz ]; then echo '# from /proc/config.gz'; "
        "gzip -dc /proc/config.gz; "
        "else for f in /boot/config-$r /lib/modules/$r/config /usr/lib/modules/$r/config; do "
        'if [ -r $f ]; then echo "# from $f"; cat $f; break; fi; done; fi | '
        f"grep -E '^# from |^(# )?({pattern})[= ]'",
        meaning=(0, 1),
    )


def parse_config(text: str) -> dict[str, str]:
    """Return the options of a kernel configuration; one that is off is ``n``."""
    found = {}
    for line in text.splitlines():
        if line.startswith("CONFIG_"):
            name, _, value = line.partition("=")
            found[name] = value.strip('"')
        elif line.endswith(" is not set"):
            found[line.split()[1]] = "n"
    return found


def parse_cmdline(text: str) -> dict[str, tuple[str, ...]]:
    """Return the parameters of a kernel command line, each with all its values in order.

    A bare flag has the value ``""``. As the kernel reads them: double quotes keep spaces,
    ``-`` and ``_`` are one in a name, and what follows ``--`` is init's.
    """
    found: dict[str, tuple[str, ...]] = {}
    for word in re.findall(r'(?:"[^"]*"?|[^\s"])+', text):
        if word == "--":
            break
        name, _, value = word.replace('"', "").partition("=")
        key = name.replace("-", "_")
        found[key] = (*found.get(key, ()), value)
    return found


@dataclass(frozen=True, slots=True)
class Cgroups:
    """How control groups are mounted.

    :param layout: v2; hybrid (v1 controllers, and a v2 tree beside them); v1; or none.
    :param controllers: those that an engine can limit with. The v1 names blkio and cpuacct
        appear as such; ``io`` is v2's.
    :param delegated: v2 only: those that the root passes on to its children now.
    """

    layout: str
    controllers: frozenset[str]
    delegated: frozenset[str]


def parse_cgroups(
    mounts: Iterable[Mount], proc_cgroups: str, controllers: str | None, subtree: str | None
) -> Cgroups:
    """Return the cgroup layout.

    :param mounts: the host's.
    :param proc_cgroups: ``/proc/cgroups``; a controller counts if its last column is 1.
    :param controllers: ``cgroup.controllers`` of ``/sys/fs/cgroup``, if there is one.
    :param subtree: ``cgroup.subtree_control`` of the same.
    """
    v1: set[str] = set()
    v2 = False
    top = ""
    for mount in mounts:
        if mount.target == "/sys/fs/cgroup":
            top = mount.fstype
        if mount.fstype == "cgroup":
            v1.update(mount.super_options)
        v2 = v2 or mount.fstype == "cgroup2"
    if v1 and (v2 or top == "cgroup2"):
        layout = "hybrid"
    else:
        layout = "v1" if v1 else "v2" if v2 else "none"
    rows = [line.split() for line in proc_cgroups.splitlines() if not line.startswith("#")]
    enabled = {row[0] for row in rows if len(row) == 4 and row[3] == "1"}
    unified = frozenset((controllers or "").split())
    return Cgroups(layout, frozenset(v1 & enabled) | unified, frozenset((subtree or "").split()))


class Kernel:
    """The kernel that runs on a host."""

    def __init__(self, host: Host) -> None:
        self.host = host

    @fact
    def _swept(self) -> dict[str, str | Unknown]:
        return texts(session_of(self.host).ask(sweep(STATE), RELEASE, VULNERABILITIES)[0])

    def state(self, path: str) -> str | None:
        """Return the text of one of the files in :data:`STATE`; None if it does not exist.

        :raises Unknown: it could not be read.
        """
        return known(self._swept.get(path))

    @fact
    def release(self) -> str:
        """The kernel's version, as ``uname -r`` says it."""
        return session_of(self.host).ask(RELEASE)[0].text.strip()

    @property
    def machine(self) -> str:
        """The processors it was built for, as ``uname -m`` says it: x86_64, aarch64 …"""
        return session_of(self.host).ask(MACHINE)[0].text.strip()

    @property
    def version(self) -> tuple[int, int]:
        """Its first two numbers. :raises Unknown: it has none."""
        numbers = re.match(r"(\d+)\.(\d+)", self.release)
        if not numbers:
            raise Unknown(f"the kernel's version {self.release!r} makes no sense")
        return int(numbers[1]), int(numbers[2])

    def sysctl(self, name: str) -> str | None:
        """Return a kernel setting as it is now; see :meth:`Sysctl.get`."""
        found: str | None = get(self.host, "sysctl").get(name)
        return found

    def number(self, name: str) -> int | None:
        """Return a setting that is one number; see :meth:`Sysctl.number`."""
        found: int | None = get(self.host, "sysctl").number(name)
        return found

    def option(self, name: str) -> str:
        """Return a build option, e.g. ``CONFIG_SECCOMP_FILTER``: y, m, n, or its value.

        :raises Unknown: the running kernel's configuration is nowhere to be read.
        """
        names = OPTIONS if name in OPTIONS else ("CONFIG_PROC_FS", name)
        found = parse_config(session_of(self.host).ask(config_want(names))[0].text)
        if found.get("CONFIG_PROC_FS") != "y":
            raise Unknown("the running kernel's build configuration is nowhere to be read")
        return found.get(name, "n")

    @property
    def cmdline(self) -> dict[str, tuple[str, ...]]:
        """The parameters it was booted with; see :func:`parse_cmdline`."""
        return parse_cmdline(self._required("/proc/cmdline"))

    @property
    def seccomp_actions(self) -> tuple[str, ...]:
        """The seccomp actions it knows; none if it has no seccomp."""
        return tuple((self.state("/proc/sys/kernel/seccomp/actions_avail") or "").split())

    @property
    def seccomp_filter(self) -> bool:
        """Whether processes can be given a seccomp filter.

        ``/proc/PID/status`` has a line ``Seccomp_filters`` since 5.9 where they can
        (fs/proc/array.c); an older kernel is asked for its build configuration.
        """
        status = self._required("/proc/self/status")
        if "\nSeccomp_filters:" in status:
            return True
        if "\nSeccomp:" not in status or self.version >= (5, 9):
            return False
        return self.option("CONFIG_SECCOMP_FILTER") == "y"

    @property
    def filesystems(self) -> frozenset[str]:
        """The kinds of file system it knows now."""
        lines = self._required("/proc/filesystems").splitlines()
        return frozenset(line.split()[-1] for line in lines if line.split())

    @property
    def lsms(self) -> tuple[str, ...]:
        """The security modules that are active, in their order.

        :raises Unknown: securityfs is not mounted, so it does not tell.
        """
        listed = self.state("/sys/kernel/security/lsm")
        if listed is None and "securityfs" in self.filesystems:
            raise Unknown("/sys/kernel/security/lsm is not there: securityfs is not mounted")
        return tuple((listed or "").strip().split(",")) if listed else ()

    @property
    def _has_lockdown(self) -> bool:
        try:
            return "lockdown" in self.lsms
        except Unknown:
            return self.option("CONFIG_SECURITY_LOCKDOWN_LSM") != "n"

    @property
    def lockdown(self) -> str | None:
        """The selected lockdown level: none, integrity, confidentiality; None without lockdown.

        :raises Unknown: securityfs is not mounted, so it does not tell.
        """
        text = self.state("/sys/kernel/security/lockdown")
        if text is None:
            if self._has_lockdown:
                raise Unknown("/sys/kernel/security/lockdown is not there: securityfs not mounted?")
            return None
        chosen = re.search(r"\[(\w+)\]", text)
        if not chosen:
            raise Unknown(f"/sys/kernel/security/lockdown makes no sense: {text!r}")
        return chosen[1]

    @fact
    def vulnerabilities(self) -> dict[str, str]:
        """What the kernel says of each known flaw of the processor, by the flaw's name.

        Empty on a kernel that does not tell (before 4.15).
        """
        found = texts(session_of(self.host).ask(VULNERABILITIES)[0])
        return {path.rpartition("/")[2]: known(text) or "" for path, text in found.items()}

    @property
    def flaws(self) -> list[Flaw]:
        """The same, read. :raises Unknown: the kernel does not tell."""
        if not self.vulnerabilities:
            raise Unknown("the kernel does not tell what the processor is vulnerable to")
        return [Flaw(name, said) for name, said in self.vulnerabilities.items()]

    @property
    def cgroups(self) -> Cgroups:
        """How control groups are mounted, and which controllers an engine can use."""
        return parse_cgroups(
            get(self.host, "mounts"),
            self._required("/proc/cgroups"),
            self.state("/sys/fs/cgroup/cgroup.controllers"),
            self.state("/sys/fs/cgroup/cgroup.subtree_control"),
        )

    @property
    def cgroup_version(self) -> int:
        """2 where there is nothing but v2, 1 for v1 and hybrid. :raises Unknown: none."""
        layout = self.cgroups.layout
        if layout == "none":
            raise Unknown("no cgroup file system is mounted")
        return 2 if layout == "v2" else 1

    @property
    def cgroup_controllers(self) -> frozenset[str]:
        """The controllers that an engine can limit with; see :class:`Cgroups`."""
        return self.cgroups.controllers

    def _required(self, path: str) -> str:
        text = self.state(path)
        if text is None:
            raise Unknown(f"{path} does not exist")
        return text


@provide
def kernel(host: Host) -> Kernel:
    """The kernel that runs on the host."""
    return Kernel(host)
