"""Settings of the kernel that all containers share."""

from __future__ import annotations

from hullcheck.control import NotApplicable, Unknown, control, expect
from hullcheck.facts.docker import Engines
from hullcheck.facts.files import Files
from hullcheck.facts.kernel import Kernel

SYSCTL = "Write it to a file in /etc/sysctl.d and run sysctl --system."


@control(
    title="Address space is laid out at random for every program",
    severity="medium",
    fix=f"Set kernel.randomize_va_space = 2. {SYSCTL}",
)
def test_aslr(kernel: Kernel) -> None:
    """An exploit of a memory error needs to know where code and data lie. Containers share the
    host's setting; with less than 2, heaps lie where every attacker expects them."""
    expect(kernel.number("kernel.randomize_va_space"), equals=2, what="kernel.randomize_va_space")


@control(
    title="The kernel's log is for administrators only",
    severity="low",
    fix=f"Set kernel.dmesg_restrict = 1. {SYSCTL}",
)
def test_dmesg_restrict(kernel: Kernel) -> None:
    """The kernel's log is not divided among containers. It shows addresses, devices, other
    containers' crashes and firewall hits to any process that can call syslog(2)."""
    expect(kernel.number("kernel.dmesg_restrict"), equals=1, what="kernel.dmesg_restrict")


@control(
    title="Kernel addresses are hidden from unprivileged processes",
    severity="low",
    fix=f"Set kernel.kptr_restrict = 1 (2 hides them from root too). {SYSCTL}",
)
def test_kptr_restrict(kernel: Kernel) -> None:
    """An exploit of the kernel starts with an address, and /proc hands them out in many files
    that containers see as well."""
    expect(kernel.number("kernel.kptr_restrict"), one_of=(1, 2), what="kernel.kptr_restrict")


@control(
    title="Only privileged processes load BPF programs",
    severity="medium",
    fix=f"Set kernel.unprivileged_bpf_disabled = 1 (or 2, which can be taken back). {SYSCTL}",
)
def test_unprivileged_bpf(kernel: Kernel) -> None:
    """The BPF verifier has let unprivileged programs take over the kernel again and again. Where
    a container runs without its seccomp profile, this setting is all that stands before it."""
    value = kernel.number("kernel.unprivileged_bpf_disabled")
    if value is None:
        raise NotApplicable("this kernel has no bpf system call")
    expect(value, one_of=(1, 2), what="kernel.unprivileged_bpf_disabled")


@control(
    title="Processes cannot attach to processes that are not theirs to debug",
    severity="medium",
    fix=f"Set kernel.yama.ptrace_scope = 1 or more; the kernel needs the Yama module. {SYSCTL}",
)
def test_ptrace_scope(kernel: Kernel) -> None:
    """Without Yama, one process that is taken over reads the memory of every other process of
    its user: keys of an agent, tokens of a client, another container with the same user id. A
    kernel without Yama has no restriction at all, so the setting's absence is no excuse."""
    expect(
        kernel.number("kernel.yama.ptrace_scope"), one_of=(1, 2, 3), what="kernel.yama.ptrace_scope"
    )


@control(
    title="Links and files of others in shared folders are not followed",
    severity="medium",
    fix="Set fs.protected_symlinks = 1, fs.protected_hardlinks = 1, fs.protected_fifos = 1 and "
    f"fs.protected_regular = 2. {SYSCTL}",
)
def test_protected_links(kernel: Kernel) -> None:
    """In a folder that everybody may write, such as a bind-mounted /tmp, a user of a container
    plants a link or a file that a privileged program of the host then opens as its own."""
    for name in ("symlinks", "hardlinks"):
        expect(kernel.number(f"fs.protected_{name}"), equals=1, what=f"fs.protected_{name}")
    for name in ("fifos", "regular"):
        value = kernel.number(f"fs.protected_{name}")
        if value is not None or kernel.version >= (4, 19):
            expect(value, one_of=(1, 2), what=f"fs.protected_{name}")


@control(
    title="Privileged programs leave no memory image for their users",
    severity="medium",
    fix=f"Set fs.suid_dumpable = 0. {SYSCTL}",
)
def test_suid_dumpable(kernel: Kernel) -> None:
    """With 1, a setuid program that crashes leaves its memory, with what it read as root, to the
    user who ran it. With 2 only root gets it, if the dump goes to a fixed place or a program."""
    value = kernel.number("fs.suid_dumpable")
    if value == 2:
        pattern = kernel.sysctl("kernel.core_pattern") or ""
        place = "fixed" if pattern.startswith(("/", "|")) else "wherever the process is"
        what = f"the place of dumps (fs.suid_dumpable 2, kernel.core_pattern {pattern.strip()})"
        expect(place, equals="fixed", what=what)
    else:
        expect(value, equals=0, what="fs.suid_dumpable")


@control(
    title="Crashes are handled by the host's own programs and folders",
    severity="critical",
    fix="Point kernel.core_pattern to the distribution's handler or to a folder of root's, and "
    "find out who changed it.",
)
def test_core_pattern(kernel: Kernel, files: Files, engines: Engines) -> None:
    """There is one pattern for the host and all containers, and the kernel runs the program in
    it as root on the host. A container that can write the setting points it to a program in its
    own file system and crashes: the classical way out."""
    pattern = (kernel.sysctl("kernel.core_pattern") or "").strip()
    words = pattern.removeprefix("|").split() or [""]
    target = words[0] if pattern.startswith("|") else pattern.partition("%")[0]
    roots = (*(each.root_dir for each in engines.engines), *CONTAINER_FILES)
    inside = [root for root in roots if f"{target}/".startswith(f"{root}/")]
    expect(inside, equals=[], what=f"container storage that kernel.core_pattern ({pattern}) is in")
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
