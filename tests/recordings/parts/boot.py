"""How a host was started. This machine has neither UEFI firmware nor a boot loader, and a kernel
that loads no modules, so that files in their places stand for one that has; a script stands in
for cat, and prints /proc/modules as Debian 12 has it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from tests.live.hosts.overlay import OverlayHost

EFI = "efi/efivars/"
SECURE = f"{EFI}SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
GLOBAL_ON, GLOBAL_OFF = "\x06\0\0\0\x01", "\x06\0\0\0\0"

GRUB = """\
set superusers="root"
export superusers
password_pbkdf2 root grub.pbkdf2.sha512.10000.0000.1111
menuentry 'Debian GNU/Linux' --unrestricted {
    linux /boot/vmlinuz-6.1.0-50-amd64 root=/dev/vda1 ro quiet
}
"""
"""grub.cfg as grub-mkconfig 2.06 writes it, in short."""

MDS = "/sys/devices/system/cpu/vulnerabilities/mds"

MODULES = "overlay 163840 12 - Live 0x0000000000000000\n"

RARE = {
    "dccp": "net/dccp", "sctp": "net/sctp", "rds": "net/rds", "tipc": "net/tipc", "udf": "fs/udf",
    "hfs": "fs/hfs", "hfsplus": "fs/hfsplus", "jffs2": "fs/jffs2", "freevxfs": "fs/freevxfs",
    "usb-storage": "drivers/usb/storage",
}  # fmt: skip
"""Where Debian's kernels have them."""

# What Debian 12 builds into its kernel, with the options that a control asks for.
DEBIAN = "\n".join(
    f"CONFIG_{name}=y" for name in (
        "PROC_FS", "X86_64", "MODULES", "STACKPROTECTOR_STRONG", "STRICT_KERNEL_RWX",
        "STRICT_MODULE_RWX", "HARDENED_USERCOPY", "DEVMEM", "STRICT_DEVMEM", "RANDOMIZE_BASE",
        "SECURITY_LOCKDOWN_LSM", "X86_VSYSCALL_EMULATION", "LEGACY_VSYSCALL_NONE",
        "INIT_ON_ALLOC_DEFAULT_ON", "SLAB_MERGE_DEFAULT", "SECCOMP", "SECCOMP_FILTER", "USER_NS",
    )
) + "\nCONFIG_ARCH_MMAP_RND_BITS_MAX=32\nCONFIG_ARCH_MMAP_RND_COMPAT_BITS_MAX=16"  # fmt: skip
BUILT = DEBIAN.replace("CONFIG_STRICT_DEVMEM=y", "").replace("_NONE=y", "_EMULATE=y")

CAT = """\
#!/bin/sh
if [ "$*" = /proc/modules ]; then printf %s {}; exit; fi
[ ! -x /usr/bin/busybox ] || exec /usr/bin/busybox cat "$@"
exec /usr/bin/head -q -c 99999999 "$@"
"""


def index(host: OverlayHost, *, built_in: bool = False) -> None:
    """Give the host a folder of modules for the running kernel, with all the rare ones."""
    lines = [f"kernel/{folder}/{name}.ko" for name, folder in RARE.items()]
    place = f"/lib/modules/{host.run('uname -r').stdout.strip()}"
    both = "".join(f"{line}:\n" for line in lines), "".join(f"{line}\n" for line in lines)
    host.write(f"{place}/modules.dep", "kernel/fs/overlayfs/overlay.ko:\n" + both[0])
    host.write(f"{place}/modules.builtin", "kernel/fs/proc.ko\n" + (both[1] if built_in else ""))


def shown(host: OverlayHost, path: str, text: str, mode: int = 0o644) -> None:
    """Show other text in a file, until it is unmounted."""
    place = f"/root/boot/{path.replace('/', '-')}"
    host.write(place, text, mode)
    host.run(f"mount --bind {place} {path}")


def built(host: OverlayHost, config: str) -> None:
    """Show another build configuration of the kernel."""
    host.write("/root/boot/config", f"{config}\n")
    host.run("gzip -kf /root/boot/config && mount --bind /root/boot/config.gz /proc/config.gz")


@contextmanager
def folder_at(host: OverlayHost, path: str, files: dict[str, str]) -> Iterator[None]:
    """Show a folder with these files for a while."""
    host.run(f"mount -t tmpfs none {path}")
    try:
        for name, text in files.items():
            host.write(f"{path}/{name}", text)
        yield
    finally:
        host.run(f"umount {path}")


@contextmanager
def with_modules(host: OverlayHost, listed: str = MODULES) -> Iterator[None]:
    """Let the host's kernel seem to load modules, for a while."""
    shown(host, "/usr/bin/cat", CAT.format(shlex.quote(listed)), 0o755)
    try:
        yield
    finally:
        host.run("umount /usr/bin/cat")


def firmware(host: OverlayHost, variable: str) -> None:
    """Show UEFI firmware with Secure Boot on or off."""
    host.run("mount -t tmpfs none /sys/firmware")
    host.write(f"/sys/firmware/{SECURE}", variable)


def sound(host: OverlayHost) -> None:
    firmware(host, GLOBAL_ON)
    host.write("/boot/grub/grub.cfg", GRUB, 0o600)
    built(host, DEBIAN)
    line = host.run("cat /proc/cmdline").stdout.strip()
    shown(host, "/proc/cmdline", f"{line} slab_nomerge page_alloc.shuffle=1\n")
    shown(host, "/sys/module/page_alloc/parameters/shuffle", "Y\n")
    shown(host, "/proc/sys/kernel/core_pattern", "|/bin/false\n")
    host.write(MDS, "Mitigation: Clear CPU buffers; SMT disabled\n")
    for name in RARE:
        host.run(f"mkdir -p /etc/modprobe.d; echo install {name} /bin/false "
                 ">>/etc/modprobe.d/rare.conf")  # fmt: skip
    index(host)
    shown(host, "/usr/bin/cat", CAT.format(shlex.quote(MODULES)), 0o755)


HANDLER = """\
enabled
interpreter /tmp/.x
flags: OC
offset 0
magic 7f454c4602010100
"""


def rotten(host: OverlayHost) -> None:
    firmware(host, GLOBAL_OFF)
    host.write("/boot/grub/grub.cfg", "menuentry 'Debian GNU/Linux' {\n}\n", 0o666)
    built(host, BUILT)
    host.write(MDS, "Vulnerable: Clear CPU buffers attempted, no microcode; SMT vulnerable\n")
    host.run("mount -t tmpfs none /proc/sys/fs/binfmt_misc")
    host.write("/proc/sys/fs/binfmt_misc/status", "enabled\n")
    host.write("/proc/sys/fs/binfmt_misc/.x", HANDLER)
    host.write("/etc/modprobe.d/rare.conf", "blacklist sctp\n")
    index(host)
    shown(host, "/usr/bin/cat", CAT.format(shlex.quote(MODULES)), 0o755)


def plain(host: OverlayHost) -> None:
    """What Debian's installer leaves: its kernel with all modules, and GRUB without a password."""
    host.write("/boot/grub/grub.cfg", "menuentry 'Debian GNU/Linux' {\n}\n", 0o444)
    built(host, DEBIAN)
    index(host)
    shown(host, "/usr/bin/cat", CAT.format(shlex.quote(MODULES)), 0o755)
