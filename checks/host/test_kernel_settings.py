"""Settings of the kernel that all containers share."""

from __future__ import annotations

from hullcheck.control import NotApplicable, Unknown, control, expect
from hullcheck.facts.docker import Engines
from hullcheck.facts.files import Files
from hullcheck.facts.kernel import Kernel
from hullcheck.facts.role import KUBERNETES_NODE, Role
from hullcheck.facts.sysctl import Sysctl

from .settings import SYSCTL, expect_set


@control(
    title="Address space is laid out at random for every program",
    severity="medium",
    fix=f"Set kernel.randomize_va_space = 2. {SYSCTL}",
)
def test_aslr(sysctl: Sysctl) -> None:
    """An exploit of a memory error needs to know where code and data lie. Containers share the
    host's setting; with less than 2, heaps lie where every attacker expects them."""
    expect_set(sysctl, "kernel.randomize_va_space", 2)


@control(
    title="The kernel's log is for administrators only",
    severity="low",
    fix=f"Set kernel.dmesg_restrict = 1. {SYSCTL}",
)
def test_dmesg_restrict(sysctl: Sysctl) -> None:
    """The kernel's log is not divided among containers. It shows addresses, devices, other
    containers' crashes and firewall hits to any process that can call syslog(2)."""
    expect_set(sysctl, "kernel.dmesg_restrict", 1)


@control(
    title="Kernel addresses are hidden from unprivileged processes",
    severity="low",
    fix=f"Set kernel.kptr_restrict = 1 (2 hides them from root too). {SYSCTL}",
)
def test_kptr_restrict(sysctl: Sysctl) -> None:
    """An exploit of the kernel starts with an address, and /proc hands them out in many files
    that containers see as well."""
    expect_set(sysctl, "kernel.kptr_restrict", 1, 2)


@control(
    title="Only privileged processes load BPF programs",
    severity="medium",
    fix=f"Set kernel.unprivileged_bpf_disabled = 1 (or 2, which can be taken back). {SYSCTL}",
)
def test_unprivileged_bpf(sysctl: Sysctl) -> None:
    """The BPF verifier has let unprivileged programs take over the kernel again and again. Where
    a container runs without its seccomp profile, this setting is all that stands before it."""
    name = "kernel.unprivileged_bpf_disabled"
    if sysctl.number(name) is None:
        raise NotApplicable("this kernel has no bpf system call")
    expect_set(sysctl, name, 1, 2)


@control(
    title="Processes cannot attach to processes that are not theirs to debug",
    severity="medium",
    fix=f"Set kernel.yama.ptrace_scope = 1 or more; the kernel needs the Yama module. {SYSCTL}",
)
def test_ptrace_scope(sysctl: Sysctl) -> None:
    """Without Yama, one process that is taken over reads the memory of every other process of
    its user: keys of an agent, tokens of a client, another container with the same user id. A
    kernel without Yama has no restriction at all, so the setting's absence is no excuse."""
    expect_set(sysctl, "kernel.yama.ptrace_scope", 1, 2, 3)


@control(
    title="Links and files of others in shared folders are not followed",
    severity="medium",
    fix="Set fs.protected_symlinks = 1, fs.protected_hardlinks = 1, fs.protected_fifos = 1 and "
    f"fs.protected_regular = 2. {SYSCTL}",
)
def test_protected_links(sysctl: Sysctl, kernel: Kernel) -> None:
    """In a folder that everybody may write, such as a bind-mounted /tmp, a user of a container
    plants a link or a file that a privileged program of the host then opens as its own."""
    for name in ("symlinks", "hardlinks"):
        expect_set(sysctl, f"fs.protected_{name}", 1)
    for name in ("fs.protected_fifos", "fs.protected_regular"):
        if sysctl.number(name) is not None or kernel.version >= (4, 19):
            expect_set(sysctl, name, 1, 2)


@control(
    title="Privileged programs leave no memory image for their users",
    severity="medium",
    fix=f"Set fs.suid_dumpable = 0. {SYSCTL}",
)
def test_suid_dumpable(sysctl: Sysctl) -> None:
    """With 1, a setuid program that crashes leaves its memory, with what it read as root, to the
    user who ran it. With 2 only root gets it, if the dump goes to a fixed place or a program."""
    if sysctl.number("fs.suid_dumpable") == 2:
        pattern = sysctl.get("kernel.core_pattern") or ""
        place = "fixed" if pattern.startswith(("/", "|")) else "wherever the process is"
        what = f"the place of dumps (fs.suid_dumpable 2, kernel.core_pattern {pattern.strip()})"
        expect(place, equals="fixed", what=what)
        expect_set(sysctl, "fs.suid_dumpable", 0, 2)
    else:
        expect_set(sysctl, "fs.suid_dumpable", 0, later=(2,))


@control(
    title="Crashes are handled by the host's own programs and folders",
    severity="critical",
    fix="Point kernel.core_pattern to the distribution's handler or to a folder of root's, and "
    "find out who changed it.",
)
def test_core_pattern(sysctl: Sysctl, files: Files, engines: Engines) -> None:
    """There is one pattern for the host and all containers, and the kernel runs the program in
    it as root on the host. A container that can write the setting points it to a program in its
    own file system and crashes: the classical way out."""
    now = (sysctl.get("kernel.core_pattern") or "").strip()
    later = sysctl.later("kernel.core_pattern")
    judge_pattern(now, "kernel.core_pattern", files, engines)
    if later is not None and later.value != now:
        where = f"kernel.core_pattern after the next boot, from {later.source}"
        judge_pattern(later.value, where, files, engines)


def judge_pattern(pattern: str, name: str, files: Files, engines: Engines) -> None:
    """Expect a pattern to name a place, or a program, that is root's and no container's."""
    words = pattern.removeprefix("|").split() or [""]
    target = words[0] if pattern.startswith("|") else pattern.partition("%")[0]
    roots = (*(each.root_dir for each in engines.engines), *CONTAINER_FILES)
    inside = [root for root in roots if f"{target}/".startswith(f"{root}/")]
    expect(inside, equals=[], what=f"container storage that {name} ({pattern}) is in")
    kind = "absolute" if target.startswith("/") else "relative"
    if pattern.startswith("|") and expect(
        kind, equals="absolute", what=f"the path of the handler {target!r}"
    ):
        changers = files.get(target).writable_by_others()
        expect(changers, equals=[], what=f"ways for others to change {target}")
    if target.startswith("/") and engines.doubt and not target.startswith(SYSTEM_FILES):
        raise Unknown(f"an engine's storage may be at {target}: {engines.doubt}")


SYSTEM_FILES = ("/usr/", "/lib/", "/sbin/", "/bin/", "/var/crash/", "/var/lib/systemd/")
CONTAINER_FILES = (
    "/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/run/containerd",
    "/var/lib/rancher", "/var/lib/kubelet", "/var/lib/lxd", "/var/lib/incus", "/proc", "/dev",
)  # fmt: skip


@control(
    title="Crashing again and again does not wear the kernel's protection out",
    severity="low",
    level=2,
    fix=f"Set kernel.oops_limit = 100 and kernel.warn_limit = 100. {SYSCTL}",
)
def test_oops_limit(sysctl: Sysctl) -> None:
    """Some attacks let the kernel stumble thousands of times, until a counter of references
    overflows or a guess of an address comes true. A bound stops the host first, and all its
    containers with it; one that crashes at once needs none."""
    for name, instead in (
        ("kernel.oops_limit", "kernel.panic_on_oops"),
        ("kernel.warn_limit", "kernel.panic_on_warn"),
    ):
        if sysctl.number(name) is None or sysctl.number(instead) == 1:
            expect_set(sysctl, instead, 1)
        else:
            expect_set(sysctl, name, at_least=1, at_most=100)


@control(
    title="Address space is laid out with all the chance that the processor allows",
    severity="low",
    level=2,
    fix="Set vm.mmap_rnd_bits and vm.mmap_rnd_compat_bits to the kernel's CONFIG_ARCH_MMAP_RND_"
    f"BITS_MAX and …_COMPAT_BITS_MAX (32 and 16 on x86-64). {SYSCTL}",
)
def test_aslr_entropy(sysctl: Sysctl, kernel: Kernel) -> None:
    """Distributions keep fewer random bits than they could. A service in a container that is
    started again after each crash lets an attacker guess, and each bit doubles the guesses."""
    asked = {
        name: kernel.option(f"CONFIG_ARCH_{name.upper()}_MAX")
        for name in ("mmap_rnd_bits", "mmap_rnd_compat_bits")
        if sysctl.get(f"vm.{name}") is not None
    }
    if not asked:
        raise NotApplicable("this processor's layout has no setting")
    for name, most in asked.items():
        if not most.isdecimal():
            raise Unknown(f"the kernel's build does not tell how great vm.{name} may be")
        expect_set(sysctl, f"vm.{name}", at_least=int(most))


@control(
    title="Memory at address zero cannot be taken",
    severity="medium",
    fix=f"Set vm.mmap_min_addr = 65536 (32768 on ARM). {SYSCTL}",
)
def test_mmap_min_addr(sysctl: Sysctl, kernel: Kernel) -> None:
    """The kernel's commonest fault is to follow a pointer to nothing. Where a process may lay its
    own memory there, it decides what the kernel finds, and a crash becomes a way out of a
    container."""
    least = 32768 if kernel.machine.startswith(("arm", "aarch64")) else 65536
    expect_set(sysctl, "vm.mmap_min_addr", at_least=least)


KUBELET = {
    "vm.overcommit_memory": 1, "vm.panic_on_oom": 0, "kernel.panic": 10,
    "kernel.panic_on_oops": 1, "kernel.keys.root_maxkeys": 1_000_000,
    "kernel.keys.root_maxbytes": 25_000_000,
}  # fmt: skip
"""pkg/kubelet/cm of Kubernetes; it sets them, or with protectKernelDefaults wants them set."""


@control(
    title="A node's kernel is set as the kubelet needs it",
    severity="low",
    fix="Set vm.overcommit_memory = 1, vm.panic_on_oom = 0, kernel.panic = 10, kernel.panic_on_oops"
    f" = 1, kernel.keys.root_maxkeys = 1000000 and kernel.keys.root_maxbytes = 25000000. {SYSCTL}",
)
def test_kubelet_kernel_settings(sysctl: Sysctl, role: Role) -> None:
    """The kubelet's eviction of pods and its limits reckon with these. Where something else has
    set them, one pod that fills memory takes the node down, a kernel that has stumbled goes on
    with its locks held, or containers cannot be given keyrings of their own."""
    other = [name for name, value in KUBELET.items() if sysctl.number(name) != value]
    if other and KUBERNETES_NODE not in role:
        raise NotApplicable("this is no Kubernetes node")
    for name, value in KUBELET.items():
        if name.startswith("kernel.keys."):
            expect_set(sysctl, name, at_least=value, kept=False)
        else:
            expect_set(sysctl, name, value, kept=False)
