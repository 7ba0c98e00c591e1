"""Parts of the kernel that every process of every container can reach, and need not."""

from __future__ import annotations

from hullcheck.control import Manual, NotApplicable, control, expect
from hullcheck.facts.kernel import Kernel
from hullcheck.facts.sysctl import Sysctl

from .settings import SYSCTL, expect_set

LOCKED = ("integrity", "confidentiality")


@control(
    title="Machine code made from packet filters holds no bytes of an attacker's choice",
    severity="low",
    level=2,
    fix=f"Set net.core.bpf_jit_harden = 2; Cilium and the like become slower. {SYSCTL}",
)
def test_bpf_jit_harden(sysctl: Sysctl) -> None:
    """The kernel compiles the seccomp and socket filters of every process, containers' as well.
    Constants in a filter then stand in executable memory of the kernel, where an exploit jumps
    to them as to code of its own."""
    name = "net.core.bpf_jit_harden"
    if sysctl.number(name) is None:
        raise NotApplicable("this kernel does not compile BPF")
    expect_set(sysctl, name, 2)


@control(
    title="Only privileged processes measure the kernel's performance",
    severity="low",
    fix=f"Set kernel.perf_event_paranoid = 2, or 3 where the kernel knows it. {SYSCTL}",
)
def test_perf_events(sysctl: Sysctl) -> None:
    """Counters of the processor show what other containers and the kernel do on it, addresses
    and keys included, and the interface to them is large and has had its holes."""
    name = "kernel.perf_event_paranoid"
    if sysctl.number(name) is None:
        raise NotApplicable("this kernel has no performance events")
    expect_set(sysctl, name, at_least=2)


@control(
    title="Not every process may use io_uring",
    severity="medium",
    level=2,
    fix="Set kernel.io_uring_disabled = 2, or 1 and kernel.io_uring_group to the group of those "
    f"who need it (Linux 6.6). {SYSCTL}",
)
def test_io_uring(sysctl: Sysctl, kernel: Kernel) -> None:
    """For years most exploits of the kernel in contests came through io_uring, and what is asked
    through it passes by seccomp filters and by much that watches system calls."""
    name = "kernel.io_uring_disabled"
    if sysctl.number(name) is not None:
        expect_set(sysctl, name, 1, 2)
        return
    if kernel.version < (5, 1) or kernel.option("CONFIG_IO_URING") == "n":
        raise NotApplicable("this kernel has no io_uring")
    raise Manual(
        "this kernel has io_uring and no setting that limits it: see that every container runs "
        "with a seccomp profile that leaves io_uring out, as Docker's own does since version 25",
        {"kernel": kernel.release},
    )


@control(
    title="Only privileged processes may stop the kernel at a page fault",
    severity="medium",
    fix=f"Set vm.unprivileged_userfaultfd = 0. {SYSCTL}",
)
def test_userfaultfd(sysctl: Sysctl, kernel: Kernel) -> None:
    """userfaultfd(2) lets a process hold the kernel in the midst of copying its memory, as long as
    it likes: what makes a race that is hard to win a sure way to take over the kernel."""
    name = "vm.unprivileged_userfaultfd"
    absent = sysctl.number(name) is None
    if absent and (kernel.version >= (5, 2) or kernel.option("CONFIG_USERFAULTFD") == "n"):
        raise NotApplicable("this kernel has no userfaultfd system call")
    expect_set(sysctl, name, 0)


@control(
    title="The running kernel cannot be replaced by another one",
    severity="medium",
    level=2,
    fix="Set kernel.kexec_load_disabled = 1, after the crash kernel is loaded where there is one; "
    f"or boot with lockdown=integrity. {SYSCTL}",
)
def test_kexec(sysctl: Sysctl, kernel: Kernel) -> None:
    """kexec starts a kernel of root's choice without a word to firmware or boot loader: whoever
    leaves a container as root is then below everything that checks, for good."""
    name = "kernel.kexec_load_disabled"
    value = sysctl.number(name)
    if value is None:
        raise NotApplicable("this kernel cannot start another one")
    if value == 0 and kernel.lockdown in LOCKED:
        expect(kernel.lockdown, one_of=LOCKED, what="kernel lockdown, which wants signed kernels")
        return
    expect_set(sysctl, name, 1)


@control(
    title="Keys pressed at the console give the kernel no commands",
    severity="low",
    level=2,
    fix=f"Set kernel.sysrq = 0, or 16, which only writes what is unwritten to disk. {SYSCTL}",
)
def test_sysrq(sysctl: Sysctl) -> None:
    """Whoever reaches the console, be it by a management board or a hypervisor's serial line,
    kills processes, dumps memory or boots the host with a key, and need not log in."""
    name = "kernel.sysrq"
    if sysctl.number(name) is None:
        raise NotApplicable("this kernel takes no commands from keys")
    expect_set(sysctl, name, 0, 16)


@control(
    title="A process cannot have drivers for terminals loaded",
    severity="medium",
    fix=f"Set dev.tty.ldisc_autoload = 0. {SYSCTL}",
)
def test_line_disciplines(sysctl: Sysctl, kernel: Kernel) -> None:
    """Every container with a terminal can ask for another line discipline, and the kernel then
    loads a module for modems and field buses that nobody has looked at for decades. Several
    were ways to become root (CVE-2017-2636)."""
    name = "dev.tty.ldisc_autoload"
    if sysctl.number(name) is None and kernel.version >= (5, 1):
        raise NotApplicable("this kernel has no terminals")
    expect_set(sysctl, name, 0)


@control(
    title="A process cannot type into the terminal it was started from",
    severity="medium",
    fix=f"Set dev.tty.legacy_tiocsti = 0. {SYSCTL}",
)
def test_terminal_injection(sysctl: Sysctl) -> None:
    """With TIOCSTI a process puts characters into its terminal's input. A program that root runs
    in a container, or as another user, leaves a command line behind that root's own shell then
    reads."""
    name = "dev.tty.legacy_tiocsti"
    if sysctl.number(name) is None:
        raise NotApplicable("this kernel has no setting for it: Linux has had one since 6.2")
    expect_set(sysctl, name, 0)
