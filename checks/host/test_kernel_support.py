"""What the kernel was built and booted with, and its cgroups."""

from __future__ import annotations

import re

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.docker import Engines
from hullcheck.facts.kernel import Kernel
from hullcheck.facts.lsm import LSM
from hullcheck.facts.processes import Processes
from hullcheck.facts.sysctl import Sysctl

from .settings import expect_set

WANTED = {"cpu", "memory", "pids"}

OFF = {
    "mitigations": "off", "pti": "off", "spectre_v2": "off", "spectre_v2_user": "off",
    "spectre_bhi": "off", "spec_store_bypass_disable": "off", "l1tf": "off", "mds": "off",
    "tsx_async_abort": "off", "mmio_stale_data": "off", "retbleed": "off", "srbds": "off",
    "gather_data_sampling": "off", "reg_file_data_sampling": "off", "spec_rstack_overflow": "off",
    "indirect_target_selection": "off", "tsa": "off", "vmscape": "off",
    "kvm_intel.nx_huge_pages": "off", "kvm.nx_huge_pages": "off",
}  # fmt: skip
"""Parameters whose last value switches a protection off (admin-guide/kernel-parameters)."""

NO = {
    "nopti", "nospectre_v1", "nospectre_v2", "nospectre_bhb", "nospec_store_bypass_disable",
    "nokaslr", "nosmep", "nosmap", "no_stf_barrier", "norandmaps", "noibrs", "noibpb", "nospec",
}  # fmt: skip

FALSE = ("0", "no", "off", "false", "n", "f")
FALSY = {
    "kpti": FALSE, "audit": ("0", "off"), "systemd.unified_cgroup_hierarchy": FALSE,
    "rodata": ("off",), "noexec": ("off",), "hardened_usercopy": FALSE,
}  # fmt: skip
"""Parameters that switch off what is on without them. systemd's are read as its booleans."""

CPU_FEATURES = {"smep", "smap", "umip", "295", "308", "514"}
"""What clearcpuid= may not take away: by name, or by number as in older kernels."""

VECTORS = ("no_user_kernel", "no_user_user")
"""Classes of attacks that mitigations= can be told to allow (Linux 6.17): those of containers."""


@control(
    title="The kernel can filter the system calls of containers",
    severity="high",
    fix="Run a kernel with CONFIG_SECCOMP_FILTER; every distribution's own has it.",
)
def test_seccomp_supported(kernel: Kernel) -> None:
    """An engine's seccomp profile keeps some forty dangerous system calls from containers. On a
    kernel that cannot filter, engines run containers without it, and say so only in a warning."""
    able = "there" if kernel.seccomp_filter else "not in this kernel"
    expect(able, equals="there", what="seccomp filtering")


@control(
    title="Control groups are version 2 only",
    severity="medium",
    fix="Boot with systemd.unified_cgroup_hierarchy=1 on a distribution and an engine that know "
    "version 2 (Docker 20.10, Kubernetes 1.25).",
)
def test_cgroup_version(kernel: Kernel) -> None:
    """A version 1 hierarchy has a release_agent: a program that the kernel runs as root on the
    host, and that a container with CAP_SYS_ADMIN can set (CVE-2022-0492). Limits of memory and
    of disk traffic are also weaker there, and rootless containers get none."""
    expect(kernel.cgroups.layout, equals="v2", what="the cgroup layout")


@control(
    title="Engines can limit processors, memory, processes and disk traffic",
    severity="medium",
    fix="Remove cgroup_disable= from the boot line, or add cgroup_enable=memory, and mount the "
    "controllers.",
)
def test_cgroup_controllers(kernel: Kernel) -> None:
    """A limit that is asked for and that the kernel cannot keep is dropped in silence or with a
    warning, and one container can then starve all others."""
    layout = kernel.cgroups.layout
    if layout == "none":
        raise Unknown("no cgroup file system is mounted")
    wanted = WANTED | {"io" if layout == "v2" else "blkio"}
    missing = wanted - kernel.cgroup_controllers
    if layout == "hybrid" and "io" in kernel.cgroup_controllers:
        missing -= {"blkio"}
    expect(missing, equals=set(), what="missing cgroup controllers")


@control(
    title="Root's reach into the kernel is locked down",
    severity="low",
    level=2,
    fix="Boot with Secure Boot, or with lockdown=integrity.",
)
def test_kernel_lockdown(kernel: Kernel) -> None:
    """Lockdown keeps even root, and so whoever leaves a container as root, from changing the
    running kernel through unsigned modules, /dev/mem, kexec and the like."""
    expect(kernel.lockdown, one_of=("integrity", "confidentiality"), what="kernel lockdown")


@control(
    title="Known flaws of the processor are mitigated",
    severity="medium",
    fix="Install the newest kernel and microcode, and remove what switches mitigations off from "
    "the boot line. On a virtual machine, the host below has to pass its microcode's features on.",
)
def test_cpu_vulnerabilities(kernel: Kernel) -> None:
    """Containers run beside one another on the same processors and read one another's memory
    through its flaws, wherever the kernel says of itself that it is vulnerable."""
    exposed = [str(each) for each in kernel.flaws if each.open]
    expect(exposed, equals=[], what="exposed to")
    unsettled = {each.name: each.said for each in kernel.flaws if each.unsettled}
    if unsettled and not exposed:
        raise Manual("ask the hypervisor's operator, or the processor's vendor", unsettled)


@control(
    title="Threads of one core are not shared where the processor leaks between them",
    severity="medium",
    level=2,
    fix="Boot with mitigations=auto,nosmt, or switch Hyper-Threading off in the firmware; on a "
    "virtual machine, the hypervisor's operator has to.",
)
def test_smt(kernel: Kernel) -> None:
    """Of some processors' flaws no software clears what the other thread of the same core left
    behind: a container reads what the neighbour beside it works on. The kernel says so where it
    has mitigated the rest. Without the second threads a host has less power, a third perhaps."""
    flaws = kernel.flaws
    leaking = [str(each) for each in flaws if each.across_threads]
    expect(leaking, equals=[], what="open between the threads of a core")
    unsettled = {each.name: each.said for each in flaws if each.across_threads is None}
    if unsettled and not leaking:
        raise Manual("ask the hypervisor's operator whether guests share cores", unsettled)


@control(
    title="The boot line switches no protection off",
    severity="medium",
    fix="Remove the parameters from the boot loader's configuration and boot again.",
)
def test_mitigations_on(kernel: Kernel) -> None:
    """One word on the kernel's command line turns off what keeps containers from reading one
    another's memory, or what makes the kernel hard to exploit. It is often left from a test."""
    last = {name: values[-1] for name, values in kernel.cmdline.items()}
    off = {f"{name}={OFF[name]}" for name, value in last.items() if OFF.get(name) == value}
    off |= {name for name in NO if last.get(name) == ""}
    off |= {f"{name}={last[name]}" for name in FALSY if last.get(name, "").lower() in FALSY[name]}
    vectors = set(last.get("mitigations", "").replace(";", ",").split(","))
    off |= {f"mitigations={each}" for each in vectors & {"off", *VECTORS}}
    features = {each for value in kernel.cmdline.get("clearcpuid", ()) for each in value.split(",")}
    off |= {f"clearcpuid={each}" for each in features & CPU_FEATURES}
    off |= _modules_off(last, LSM(kernel))
    if last.get("systemd.debug_shell", "0").lower() not in FALSE:
        off.add("systemd.debug_shell (a root shell without a password)")
    expect(off, equals=set(), what="protections that the boot line switches off")


def _modules_off(last: dict[str, str], lsm: LSM) -> set[str]:
    """Return what switches a security module off while the other one is not in its place."""
    found = set()
    for name, other in (("selinux", lsm.apparmor.enabled), ("apparmor", lsm.selinux.enabled)):
        if re.fullmatch(r"0(x?0*)", last.get(name, "")) and not other:
            found.add(f"{name}=0")
    return found


@control(
    title="User namespaces are there for what needs them, and bounded",
    severity="low",
    fix="Set user.max_user_namespaces in a file in /etc/sysctl.d: some ten thousand where rootless "
    "or remapped containers run, less or 0 where none do.",
)
def test_user_namespaces(kernel: Kernel, engines: Engines, processes: Processes) -> None:
    """Rootless engines and remapped users rest on user namespaces: with none allowed, they fail
    or fall back to root. Where the bound has been lifted, one container can use up the kernel's
    memory with them."""
    allowed = kernel.number("user.max_user_namespaces")
    if allowed is None:
        expect(kernel.option("CONFIG_USER_NS"), equals="y", what="CONFIG_USER_NS")
        return
    if _needed(engines, processes):
        expect(allowed, at_least=1, what="user.max_user_namespaces")
    elif not allowed and engines.doubt:
        raise Unknown(f"cannot tell what engines need user namespaces: {engines.doubt}")
    threads = kernel.number("kernel.threads-max") or 0
    bound = max(threads // 2, 1 << 20)
    expect(allowed, at_most=bound, what="user.max_user_namespaces")


@control(
    title="Only privileged users create user namespaces",
    severity="medium",
    level=2,
    fix="Set kernel.apparmor_restrict_unprivileged_userns = 1 and "
    "kernel.apparmor_restrict_unprivileged_unconfined = 1 (Ubuntu), "
    "kernel.unprivileged_userns_clone = 0 (Debian) or, where there is neither, "
    "user.max_user_namespaces = 0 in a file in /etc/sysctl.d.",
)
def test_unprivileged_user_namespaces(
    kernel: Kernel, sysctl: Sysctl, engines: Engines, processes: Processes
) -> None:
    """Most ways to take over the kernel from an ordinary account of late years began with a user
    namespace, in which the account is root. Rootless engines need them; other hosts do not.
    Ubuntu's restriction holds only while a process cannot choose a profile that is free of it."""
    clone = kernel.number("kernel.unprivileged_userns_clone")
    restricted = kernel.number("kernel.apparmor_restrict_unprivileged_userns")
    if any(each.rootless for each in engines.engines):
        raise NotApplicable("a rootless engine needs them")
    if clone is None and restricted is None:
        _none_at_all(kernel, engines, processes)
    elif restricted == 1 or clone is None:
        expect_set(sysctl, "kernel.apparmor_restrict_unprivileged_userns", 1)
        free = "kernel.apparmor_restrict_unprivileged_unconfined"
        if clone != 0 and kernel.number(free) is not None:
            expect_set(sysctl, free, 1)
    else:
        expect_set(sysctl, "kernel.unprivileged_userns_clone", 0)


def _needed(engines: Engines, processes: Processes) -> bool:
    """Whether user namespaces are in use, or will be with the next container."""
    spaces = {each.spaces["user"] for each in processes if "user" in each.spaces}
    remapped = any(each.rootless or "userns" in each.security_options for each in engines.engines)
    return remapped or len(spaces) > 1


def _none_at_all(kernel: Kernel, engines: Engines, processes: Processes) -> None:
    """Judge a kernel that lets either every user create them or none, as most do."""
    if _needed(engines, processes):
        raise NotApplicable("user namespaces are in use, and this kernel allows all users or none")
    allowed = kernel.number("user.max_user_namespaces")
    if allowed is None:
        expect(kernel.option("CONFIG_USER_NS"), equals="n", what="CONFIG_USER_NS")
        return
    if allowed and engines.doubt:
        raise Unknown(f"cannot tell whether user namespaces are in use: {engines.doubt}")
    expect(allowed, equals=0, what="user.max_user_namespaces (this kernel knows no finer setting)")
