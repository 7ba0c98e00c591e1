"""How hosts are started, on real hosts: made wrong, audited, repaired, audited again.

For what this machine is without, files stand in; see tests/recordings/parts/boot.py.
"""

from __future__ import annotations

import pytest

from tests.live.hosts.overlay import OverlayHost
from tests.live.test_host import audit, folder, over, status
from tests.recordings.parts.boot import (
    BUILT,
    DEBIAN,
    EFI,
    GLOBAL_ON,
    GRUB,
    MODULES,
    SECURE,
    folder_at,
    index,
    with_modules,
)

pytestmark = pytest.mark.live

MODPROBE = "/etc/modprobe.d/x.conf"
BLOCKED = "".join(f"install {each} /bin/false\n" for each in ("dccp", "sctp", "rds", "tipc"))
OTHERS = (
    "install hfs* /bin/true\ninstall udf :\ninstall jffs2 /bin/false\ninstall freevxfs exit 1\n"
    "install usb-storage /bin/true\n"
)
BINFMT = "/proc/sys/fs/binfmt_misc"


def test_modules(overlay_host: OverlayHost) -> None:
    host = overlay_host
    assert status(host, "rare-protocols") == "pass", "this machine's kernel has none"
    index(host)
    try:
        with with_modules(host):
            assert status(host, "rare-protocols") == "fail"
            for text, expected in (
                (BLOCKED, "pass"),
                (f"blacklist sctp\n{BLOCKED.replace('install sctp', '#')}", "fail"),
                (f"install sctp /sbin/modprobe --ignore-install sctp\n{BLOCKED}", "fail"),
            ):
                host.write(MODPROBE, text)
                assert status(host, "rare-protocols") == expected, text
            host.write("/usr/lib/modprobe.d/y.conf", BLOCKED)
            host.run(f"rm {MODPROBE}")
            assert status(host, "rare-protocols") == "pass"
            host.run("ln -s /dev/null /etc/modprobe.d/y.conf")
            assert status(host, "rare-protocols") == "fail"
            others = ("usb-storage", "rare-file-systems")
            assert [each.status for each in audit(host, *others)] == ["fail", "fail"]
            host.write(MODPROBE, OTHERS)
            assert [each.status for each in audit(host, *others)] == ["pass", "pass"]
        with with_modules(host, f"{MODULES}tipc 1 0 - Live 0x0\n"):
            host.write(MODPROBE, BLOCKED)
            assert status(host, "rare-protocols") == "fail"
        index(host, built_in=True)
        assert status(host, "rare-protocols") == "fail"
    finally:
        host.run("rm -rf /lib/modules /etc/modprobe.d /usr/lib/modprobe.d/y.conf")


def test_module_signatures(overlay_host: OverlayHost) -> None:
    assert status(overlay_host, "module-signatures") == "pass", "this kernel loads none"
    with with_modules(overlay_host):
        for lockdown, expected in (("none [integrity]", "pass"), ("[none] integrity", "fail")):
            files = {"lockdown": f"{lockdown} confidentiality\n", "lsm": "lockdown\n"}
            with folder(overlay_host, "/sys/kernel/security", **files):
                assert status(overlay_host, "module-signatures") == expected


def test_secure_boot(overlay_host: OverlayHost) -> None:
    assert status(overlay_host, "secure-boot") == "not-applicable"
    shim = f"{EFI}MokSBStateRT-605dab50-e046-4300-abb6-3dd810dd8b23"
    for files, expected in (
        ({SECURE: GLOBAL_ON}, "pass"),
        ({SECURE: GLOBAL_ON, shim: GLOBAL_ON}, "fail"),
        ({"efi/fw_platform_size": "64\n"}, "unknown"),
    ):
        with folder_at(overlay_host, "/sys/firmware", files):
            assert status(overlay_host, "secure-boot") == expected, files


def test_the_boot_loader(overlay_host: OverlayHost) -> None:
    """The patterns that read its files, on what grub-mkconfig and grub2-setpassword write."""
    names = ("boot-files", "boot-loader-password")
    host = overlay_host

    def said() -> list[str]:
        return [str(each.status) for each in audit(host, *names)]

    red_hat = (
        'if [ -n "${GRUB2_PASSWORD}" ]; then\n  set superusers="root"\n  export superusers\n'
        "  password_pbkdf2 root ${GRUB2_PASSWORD}\nfi\n"
    )
    plain = GRUB.replace("password_pbkdf2 root grub.pbkdf2.sha512.10000.0000.1111",
                         "password root secret")  # fmt: skip
    host.run("mkdir -p /boot && mount -t tmpfs -o mode=755 none /boot")
    try:
        assert said() == ["pass", "not-applicable"]
        for path, mode, text, expected in (
            ("grub/grub.cfg", 0o600, GRUB, ["pass", "pass"]),
            ("grub/grub.cfg", 0o644, GRUB, ["fail", "pass"]),
            ("grub/grub.cfg", 0o444, "menuentry x {\n}\n", ["pass", "fail"]),
            ("grub/grub.cfg", 0o400, plain, ["pass", "fail"]),
            ("grub2/grub.cfg", 0o600, red_hat, ["pass", "fail"]),
            ("loader/loader.conf", 0o755, "timeout 0\neditor  no\n", ["pass", "pass"]),
        ):
            host.write(f"/boot/{path}", text, mode)
            assert said() == expected, (path, oct(mode))
            if "grub2" in path:
                host.write("/boot/grub2/user.cfg", "GRUB2_PASSWORD=grub.pbkdf2.sha512.1.2\n", 0o600)
                assert said() == ["pass", "pass"]
            host.run("rm -r /boot/*")
        host.run("touch /boot/vmlinuz && chown nobody /boot/vmlinuz")
        assert said() == ["fail", "not-applicable"]
    finally:
        host.run("umount /boot")


def test_the_kernels_build_and_boot_line(overlay_host: OverlayHost) -> None:
    host = overlay_host
    for config, expected in ((DEBIAN, "pass"), (BUILT, "fail")):
        host.write("/root/config", f"{config}\n")
        host.run("gzip -kf /root/config && mount --bind /root/config.gz /proc/config.gz")
        try:
            assert status(host, "kernel-build") == expected
        finally:
            host.run("umount /proc/config.gz; rm /root/config*")
    hard = "ro init_on_alloc=1 slab_nomerge page_alloc.shuffle=1\n"
    shuffle = "/sys/module/page_alloc/parameters/shuffle"
    for words, yes, expected in ((hard, "Y", "pass"), (hard, "N", "fail")):
        with over(host, **{"/proc/cmdline": words, shuffle: f"{yes}\n"}):
            assert status(host, "boot-hardening") == expected
    for said, expected in (("SMT vulnerable", "fail"), ("SMT disabled", "pass")):
        place = "/sys/devices/system/cpu/vulnerabilities"
        with folder(host, place, mds=f"Mitigation: Clear CPU buffers; {said}\n"):
            assert status(host, "smt") == expected


def test_binfmt(overlay_host: OverlayHost) -> None:
    """Nothing is mounted here, and is not by the audit; a folder stands for what is registered."""
    host = overlay_host
    assert status(host, "binfmt-handlers") in ("pass", "unknown")
    assert BINFMT not in host.run("cat /proc/self/mountinfo").stdout
    entry = "enabled\ninterpreter {}\nflags: {}\noffset 0\nmagic 7f454c46\n"
    for name, interpreter, flags, expected in (
        ("python3", "/usr/bin/python3", "", "pass"),
        ("sh", "/bin/sh", "OCF", "fail"),
        (".x", "/tmp/x", "", "fail"),
    ):
        files = {"status": "enabled\n", name: entry.format(interpreter, flags)}
        host.run("touch /tmp/x")
        with folder_at(host, BINFMT, files):
            assert status(host, "binfmt-handlers") == expected, (name, interpreter, flags)
    host.run("rm /tmp/x")


def test_core_dumps(overlay_host: OverlayHost) -> None:
    host, pattern = overlay_host, "/proc/sys/kernel/core_pattern"
    with over(host, **{pattern: "|/bin/false\n"}):
        assert status(host, "core-dumps") == "pass"
    with over(host, **{pattern: "|/lib/systemd/systemd-coredump %P %u\n"}):
        assert status(host, "core-dumps") == "fail"
        host.write("/etc/systemd/coredump.conf.d/x.conf", "[Coredump]\nStorage=none\n")
        assert status(host, "core-dumps") == "pass"
        host.run("rm -r /etc/systemd/coredump.conf.d")
    with over(host, **{pattern: "core\n"}):
        assert status(host, "core-dumps") == "fail"
        host.write("/etc/security/limits.d/x.conf", "* hard core 0\n")
        try:
            assert status(host, "core-dumps") == "pass"
            pid = host.run("ulimit -c 4; sleep 100 >/dev/null 2>&1 </dev/null & echo $!").stdout
            [found] = audit(host, "core-dumps")
            host.run(f"kill {pid}")
            assert (found.status, "sleep" in found.reason) == ("fail", True)
        finally:
            host.run("rm /etc/security/limits.d/x.conf")
