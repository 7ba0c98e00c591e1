"""How the host is started, and how the kernel was built."""

from __future__ import annotations

from hullcheck.control import NotApplicable, Unknown, control, expect
from hullcheck.facts.boot import Boot
from hullcheck.facts.kernel import Kernel

ON = ("1", "on", "y", "yes", "true")


@control(
    title="The firmware starts only what is signed",
    severity="medium",
    level=2,
    fix="Turn Secure Boot on in the firmware (of a virtual machine: in its settings), with a "
    "signed boot loader such as shim, and mokutil --enable-validation if it was disabled.",
)
def test_secure_boot(boot: Boot) -> None:
    """Whoever was root once can replace the kernel or its boot loader, and stays below everything
    that looks for intruders. Secure Boot refuses to start what is not signed, and with it most
    kernels refuse unsigned modules."""
    found = boot.secure
    on = {0: "off", 1: "on"}.get(found.get("SecureBoot", -1), "not known to the firmware")
    expect(on, equals="on", what="Secure Boot")
    if found.get("SetupMode"):
        expect("setup mode", equals="user mode", what="the mode of the firmware's keys")
    if found.get("MokSBStateRT"):
        expect("disabled", equals="enabled", what="shim's validation of what it starts")


@control(
    title="Only root can change what the host boots",
    severity="high",
    fix="Run chown root:root and chmod go-w on it; mount a FAT file system with uid=0,gid=0,"
    "umask=0077 in /etc/fstab; run chmod 600 on a file of the boot loader that has a password.",
)
def test_boot_files(boot: Boot) -> None:
    """The kernel, its first file system and the boot loader's configuration in /boot run before,
    and above, all that is checked here. Who can write one of them owns the host at the next
    boot; who can read a password's hash there can guess it."""
    found = sorted(f"{each.root}{each.path}".rstrip("/") for each in boot.changeable)
    expect(found, equals=[], what="what others than root can change")
    secret = [str(each) for each in boot.configs if each.secret and each.mode & 0o044]
    expect(secret, equals=[], what="passwords of the boot loader that others can read")
    if boot.unseen:
        raise Unknown(f"not all of /boot could be seen, it may need root: {boot.unseen}")


@control(
    title="Nobody at the console changes what is booted without a password",
    severity="low",
    level=2,
    fix="Set superusers and password_pbkdf2 (grub-mkpasswd-pbkdf2) in /etc/grub.d/40_custom and "
    "run update-grub, or run grub2-setpassword; with systemd-boot set editor no in loader.conf.",
)
def test_boot_loader_password(boot: Boot) -> None:
    """Who reaches the console, of a machine or through a cloud's or hypervisor's web page, adds
    one word to the boot line and is root without a password. Worth it where consoles are open to
    more people than root's account is."""
    loaders = [each for each in boot.loaders if each.kind != "the board's own"]
    if not loaders:
        raise NotApplicable("this board's boot loader knows no password")
    for loader in loaders:
        guard = loader.guard or "nothing"
        wanted = ("password", "editor off")
        expect(guard, one_of=wanted, what=f"what guards the boot line in {loader}")
        plain = [str(each) for each in loader.configs if "in the clear" in each.lines]
        expect(plain, equals=[], what="files with a password in the clear")


@control(
    title="The boot line turns on what makes the kernel's memory hard to exploit",
    severity="low",
    level=2,
    fix="Add init_on_alloc=1 slab_nomerge page_alloc.shuffle=1 to GRUB_CMDLINE_LINUX in "
    "/etc/default/grub, run update-grub, and boot again.",
)
def test_boot_hardening(kernel: Kernel) -> None:
    """All containers share one kernel. Memory that is cleared when it is handed out, caches that
    are not merged and pages in random order turn many an error in it from a way out of a
    container into a crash. They cost some speed, a few percent at most."""
    last = {name: values[-1].lower() for name, values in kernel.cmdline.items()}
    clears = last.get("init_on_alloc")
    if clears is None:
        clears = kernel.option("CONFIG_INIT_ON_ALLOC_DEFAULT_ON")
    expect(clears, one_of=ON, what="init_on_alloc")
    apart = "slab_nomerge" in last or "slub_nomerge" in last
    if not apart and "slab_merge" not in last:
        apart = kernel.option("CONFIG_SLAB_MERGE_DEFAULT") == "n"
    expect("apart" if apart else "merged", equals="apart", what="the kernel's slab caches")
    asked = last.get("page_alloc.shuffle") in ON
    try:
        shuffled = kernel.state("/sys/module/page_alloc/parameters/shuffle") == "Y"
    except Unknown:
        if asked:
            raise Unknown("whether pages are shuffled is for root to read; needs root") from None
        shuffled = False
    expect("on" if shuffled else "off", equals="on", what="page_alloc.shuffle")


@control(
    title="The kernel is built with the usual protections",
    severity="low",
    level=2,
    fix="Run the distribution's own kernel; of a kernel that you build, set the options named.",
)
def test_kernel_build(kernel: Kernel) -> None:
    """Distributions build their kernels with what has become usual against exploits: stack
    canaries, memory that cannot be written and run, addresses at random, no way to the memory
    through /dev/mem. Kernels of boards, of clouds and of one's own often lack some."""
    for name in ("STACKPROTECTOR_STRONG", "STRICT_KERNEL_RWX", "HARDENED_USERCOPY"):
        expect(kernel.option(f"CONFIG_{name}"), equals="y", what=f"CONFIG_{name}")
    if kernel.option("CONFIG_MODULES") == "y":
        name = "CONFIG_STRICT_MODULE_RWX"
        expect(kernel.option(name), equals="y", what=name)
    if kernel.option("CONFIG_DEVMEM") == "y":
        name = "CONFIG_STRICT_DEVMEM"
        expect(kernel.option(name), equals="y", what=f"{name} (there is /dev/mem)")
    lockdown = kernel.option("CONFIG_SECURITY_LOCKDOWN_LSM")
    expect(lockdown, equals="y", what="CONFIG_SECURITY_LOCKDOWN_LSM")
    x86 = kernel.option("CONFIG_X86_64") == "y"
    if x86 or kernel.option("CONFIG_ARM64") == "y":
        name = "CONFIG_RANDOMIZE_BASE"
        expect(kernel.option(name), equals="y", what=name)
    if x86 and kernel.option("CONFIG_X86_VSYSCALL_EMULATION") == "y":
        expect(_vsyscall(kernel), one_of=("none", "xonly"), what="the vsyscall page")


def _vsyscall(kernel: Kernel) -> str:
    """Return how the page at a fixed address is there: vsyscall= of kernel-parameters."""
    said = kernel.cmdline.get("vsyscall", ("",))[-1]
    built = ("NONE", "XONLY")
    default = next(
        (each for each in built if _is_set(kernel, f"LEGACY_VSYSCALL_{each}")), "emulate"
    )
    return said or default.lower()


def _is_set(kernel: Kernel, name: str) -> bool:
    return kernel.option(f"CONFIG_{name}") == "y"
