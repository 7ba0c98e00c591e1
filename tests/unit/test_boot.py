"""Secure Boot, boot loaders, the kernel's build, binfmt_misc and core dumps, of several systems."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from testinfra.host import Host

from hullcheck.facts.binfmt import REGISTERED
from hullcheck.facts.boot import CHANGEABLE, FIRMWARE, GLOBAL, LOADERS, SHIM
from hullcheck.facts.core_dumps import LIMITS, LIVE, STORAGE, parse_limits, parse_section
from hullcheck.facts.drop_ins import Piece
from hullcheck.facts.modules import LOADED
from hullcheck.facts.role import BUILD_HOST, Role
from hullcheck.transport import Evidence
from hullcheck.transport.redact import Redactor
from tests.unit.fake import Reply
from tests.unit.kernels import FILES, host, verdict

ON, OFF = "06 00 00 00 01", "06 00 00 00 00"


def efi(**values: str) -> str:
    names = {"SecureBoot": GLOBAL, "SetupMode": GLOBAL, "MokSBStateRT": SHIM}
    lines = (f"{name}-{names[name]}: {value}\n" for name, value in values.items())
    return "=efi\n=variables\n" + "".join(lines)


def status(control: str, answers: Mapping[str, Reply], **more: Any) -> str:
    facts = more.pop("facts", {})
    return str(verdict(f"host.{control}", host(more=answers, **more), **facts).status)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (efi(SecureBoot=ON, SetupMode=OFF), "pass"),
        (efi(SecureBoot=ON, SetupMode=OFF, MokSBStateRT=ON), "fail"),
        (efi(SecureBoot=OFF, SetupMode=ON), "fail"),
        (efi(SecureBoot=OFF), "fail"),
        (efi(), "fail"),
        ("=other\n", "not-applicable"),
        ("=efi\n", "unknown"),
        (efi(SecureBoot=""), "unknown"),
        (efi(SecureBoot=ON)[:-3], "unknown"),
        ("", "unknown"),
    ],
)
def test_secure_boot(told: str, expected: str) -> None:
    """mokutil --disable-validation leaves SecureBoot at 1: shim then starts anything."""
    assert status("secure-boot", {FIRMWARE.command: told}) == expected


NOWHERE = "".join(
    f"find: '{each}/': No such file or directory\n"
    for each in ("/boot/efi", "/boot/firmware", "/efi")
)
CLEAN = "end 1\n//\n"
CLOSED = "find: '/boot/efi': Permission denied\n"
LOOSE = f"81b6 12 900 0 0 /boot/vmlinuz-6.1\n//\n{CLEAN}"
SAFE = '=600 /boot/grub/grub.cfg\nsuperusers="root"\nhash\n=end\n=.\n'


@pytest.mark.parametrize(
    ("found", "loaders", "expected"),
    [
        ((0, CLEAN, NOWHERE), SAFE, "pass"),
        ((0, LOOSE, NOWHERE), SAFE, "fail"),
        ((0, CLEAN, NOWHERE), SAFE.replace("600", "444"), "fail"),
        ((0, CLEAN, NOWHERE), "=444 /boot/grub/grub.cfg\n=end\n=.\n", "pass"),
        ((0, CLEAN, NOWHERE), "=644 /boot/grub2/user.cfg\nvariable\n=end\n=.\n", "fail"),
        ((0, CLEAN, CLOSED), SAFE, "unknown"),
        ((0, LOOSE, CLOSED), SAFE, "fail"),
        ((0, CLEAN, f"/efi: an automount, left alone\n{NOWHERE}"), SAFE, "unknown"),
        ((0, CLEAN, f"find: /boot/: No such file or directory\n{NOWHERE}"), "=.\n",
         "not-applicable"),
        ((0, "end 124\n//\n", ""), SAFE, "unknown"),
        ((0, "", ""), SAFE, "unknown"),
        ((0, CLEAN, NOWHERE), "", "unknown"),
    ],
)  # fmt: skip
def test_boot_files(found: Reply, loaders: str, expected: str) -> None:
    """Debian writes grub.cfg readable for all while it holds no password: nothing leaks there."""
    answers = {CHANGEABLE.command: found, LOADERS.command: loaders}
    assert status("boot-files", answers) == expected


USERS = 'superusers="root"\n'
RED_HAT = f"=600 /boot/grub2/grub.cfg\n{USERS}hash from a variable\n=end\n"
OPEN = "=444 /boot/grub/grub.cfg\n=end\n"
STUB = "=700 /boot/efi/EFI/debian/grub.cfg\nconfigfile\n=end\n"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (f"=400 /boot/grub/grub.cfg\n{USERS}hash\n=end\n{STUB}", "pass"),
        (OPEN, "fail"),
        (f"=400 /boot/grub/grub.cfg\nhash\n=end\n{STUB}", "fail"),
        (f"=400 /boot/grub/grub.cfg\n{USERS}in the clear\n=end\n", "fail"),
        (f"=400 /boot/grub/grub.cfg\n{USERS}hash\nin the clear\n=end\n", "fail"),
        ("=400 /boot/grub/grub.cfg\nsuperusers=\n=end\n", "pass"),
        (RED_HAT, "fail"),
        (f"{RED_HAT}=600 /boot/grub2/user.cfg\nvariable\n=end\n", "pass"),
        (f"{RED_HAT}=600 /boot/grub/user.cfg\nvariable\n=end\n", "fail"),
        (f"{OPEN}=600 /boot/grub/custom.cfg\n{USERS}hash\n=end\n", "pass"),
        ("=755 /efi/loader/loader.conf\neditor no\n=end\n", "pass"),
        ("=755 /boot/loader/loader.conf\neditor no\neditor yes\n=end\n", "fail"),
        ("=755 /boot/loader/loader.conf\n=end\n", "fail"),
        ("=644 /boot/extlinux.conf\nmaster password\n=end\n", "pass"),
        ("=644 /boot/extlinux/extlinux.conf\n=end\n", "fail"),
        ("=755 /boot/firmware/cmdline.txt\n=end\n", "not-applicable"),
        ("", "not-applicable"),
        ("=closed /boot/grub2\n", "unknown"),
        ("=denied /boot/grub/grub.cfg\n", "unknown"),
        ("=400 /boot/grub/grub.cfg\n", "unknown"),
        ("damage\n", "unknown"),
    ],
)  # fmt: skip
def test_the_password_of_the_boot_loader(told: str, expected: str) -> None:
    """Red Hat's grub.cfg has all the words of a password, and none until user.cfg has its hash."""
    assert status("boot-loader-password", {LOADERS.command: f"{told}=.\n"}) == expected


def test_no_question_is_taken_for_a_secret() -> None:
    redact = Redactor(b"salt")
    for asked in (FIRMWARE, CHANGEABLE, LOADERS, REGISTERED, STORAGE, LIMITS, LIVE):
        evidence = Evidence(asked.command, 0, b"", b"")
        assert redact(evidence) == evidence


DEBIAN = (
    "# from /boot/config-6.1.0-50-amd64\nCONFIG_PROC_FS=y\nCONFIG_X86_64=y\nCONFIG_MODULES=y\n"
    "CONFIG_STACKPROTECTOR_STRONG=y\nCONFIG_STRICT_KERNEL_RWX=y\nCONFIG_STRICT_MODULE_RWX=y\n"
    "CONFIG_HARDENED_USERCOPY=y\nCONFIG_DEVMEM=y\nCONFIG_STRICT_DEVMEM=y\nCONFIG_RANDOMIZE_BASE=y\n"
    "CONFIG_SECURITY_LOCKDOWN_LSM=y\nCONFIG_X86_VSYSCALL_EMULATION=y\n"
    "# CONFIG_LEGACY_VSYSCALL_XONLY is not set\nCONFIG_LEGACY_VSYSCALL_NONE=y\n"
    "CONFIG_INIT_ON_ALLOC_DEFAULT_ON=y\nCONFIG_SLAB_MERGE_DEFAULT=y\n"
)


@pytest.mark.parametrize(
    ("old", "new", "words", "expected"),
    [
        ("", "", "", "pass"),
        ("CONFIG_STRICT_DEVMEM=y", "# CONFIG_STRICT_DEVMEM is not set", "", "fail"),
        ("CONFIG_DEVMEM=y\nCONFIG_STRICT_DEVMEM=y", "# CONFIG_DEVMEM is not set", "", "pass"),
        ("CONFIG_STRICT_MODULE_RWX=y", "", "", "fail"),
        ("CONFIG_MODULES=y", "", "", "pass"),
        ("CONFIG_LEGACY_VSYSCALL_NONE=y", "", "", "fail"),
        ("CONFIG_LEGACY_VSYSCALL_NONE=y", "", "vsyscall=none", "pass"),
        ("", "", "vsyscall=emulate", "fail"),
        ("CONFIG_X86_64=y\n", "CONFIG_S390=y\n", "", "pass"),
        ("CONFIG_RANDOMIZE_BASE=y", "", "", "fail"),
        ("CONFIG_PROC_FS=y", "", "", "unknown"),
    ],
)
def test_the_kernels_build(old: str, new: str, words: str, expected: str) -> None:
    files = {"/proc/cmdline": f"ro quiet {words}"}
    assert status("kernel-build", {}, files=files, config=DEBIAN.replace(old, new)) == expected


@pytest.mark.parametrize(
    ("words", "shuffle", "expected"),
    [
        ("slab_nomerge page_alloc.shuffle=1", "Y", "pass"),
        ("init_on_alloc=1 slab_nomerge page_alloc.shuffle=1", "Y", "pass"),
        ("init_on_alloc=0 slab_nomerge page_alloc.shuffle=1", "Y", "fail"),
        ("slab_nomerge page_alloc.shuffle=1", "N", "fail"),
        ("slab_nomerge page_alloc.shuffle=1", "", "unknown"),
        ("slab_nomerge", "", "fail"),
        ("page_alloc.shuffle=1", "Y", "fail"),
        ("", "N", "fail"),
    ],
)
def test_hardening_by_the_boot_line(words: str, shuffle: str, expected: str) -> None:
    """Whether pages are shuffled only root may read (mm/shuffle.c)."""
    path = "/sys/module/page_alloc/parameters/shuffle"
    files = {"/proc/cmdline": f"ro {words}", **({path: shuffle} if shuffle else {})}
    denied = () if shuffle else (path,)
    assert status("boot-hardening", {}, files=files, config=DEBIAN, denied=denied) == expected


class TestBinfmt:
    TOP = "/proc/sys/fs/binfmt_misc"
    KNOWN: ClassVar = {"/proc/filesystems": FILES["/proc/filesystems"] + "\nnodev\tbinfmt_misc"}
    REGISTER = f"grep: {TOP}/register: Invalid argument\n"

    def entry(self, name: str, interpreter: str, flags: str = "", state: str = "enabled") -> str:
        lines = (
            state,
            f"interpreter {interpreter}",
            f"flags: {flags}",
            "offset 0",
            "magic 7f454c46",
        )
        return "".join(f"{self.TOP}/{name}:{line}\n" for line in lines)

    def told(self, *entries: str, state: str = "enabled") -> Reply:
        return (0, "".join([*entries, f"{self.TOP}/status:{state}\n", "=.\n"]), self.REGISTER)

    def status(self, told: Reply, role: str = "", **files: Any) -> str:
        names = frozenset({role} - {""})
        facts = {"files": Places(), "role": Role(names, "test")}
        answers = {REGISTERED.command: told, LOADED.command: "binfmt_misc 24576 1 - Live 0x0\n=.\n"}
        here: dict[str, Any] = {"files": self.KNOWN, "facts": facts, **files}
        return status("binfmt-handlers", {**answers, **here.pop("answers", {})}, **here)

    def test_the_hosts_own(self) -> None:
        assert self.status(self.told(self.entry("python3.11", "/usr/bin/python3.11"))) == "pass"
        assert self.status(self.told(self.entry("qemu-arm", "/usr/bin/qemu-arm", "OF"))) == "pass"
        assert self.status(self.told(self.entry("WSLInterop", "/init", "PF"))) == "pass"
        assert self.status(self.told()) == "pass"

    def test_credentials(self) -> None:
        """A handler for setuid programs that runs with their rights: the old root kit's way."""
        qemu = self.told(self.entry("qemu-aarch64", "/usr/bin/qemu-aarch64", "OCF"))
        assert self.status(qemu) == "fail"
        assert self.status(qemu, BUILD_HOST) == "pass"
        off = self.told(self.entry("x", "/usr/bin/x", "OC", state="disabled"))
        assert self.status(off) == "pass"
        assert self.status(self.told(self.entry("x", "/tmp/x"), state="disabled")) == "pass"

    @pytest.mark.parametrize(
        "interpreter",
        ["/tmp/x", "/var/lib/docker/overlay2/1/diff/x", "x", "/usr/bin/gone", "/usr/bin/loose"],
    )
    def test_somebody_elses(self, interpreter: str) -> None:
        assert self.status(self.told(self.entry("x", interpreter, "F")), BUILD_HOST) == "fail"

    def test_nothing_mounted(self) -> None:
        """Before 6.7 handlers outlive the mount, but not the module; and a look would mount."""
        unmounted = "=unmounted\n=.\n"
        idle = {LOADED.command: "binfmt_misc 24576 0 - Live 0x0\n=.\n"}
        assert self.status(unmounted) == "unknown"
        assert self.status(unmounted, answers=idle) == "pass"
        assert self.status(unmounted, release="6.8.0-31-generic") == "pass"
        other = "=unmounted\n/proc/812/mountinfo\n=.\n"
        assert self.status(other, release="6.8.0-31-generic") == "unknown"
        denied = (0, unmounted, "grep: /proc/1/mountinfo: Permission denied\n")
        assert self.status(denied, release="6.8.0-31-generic") == "unknown"

    def test_a_kernel_without(self) -> None:
        assert self.status((127, ""), files=None) == "pass"

    @pytest.mark.parametrize(
        "told",
        [
            "",
            "=.\n",
            f"{TOP}/status:enabled\n",
            f"{TOP}/x:enabled\n{TOP}/status:enabled\n=.\n",
            (0, f"{TOP}/status:enabled\n=.\n", f"grep: {TOP}/x: Permission denied\n"),
        ],
    )
    def test_what_cannot_be_read(self, told: Reply) -> None:
        assert self.status(told) == "unknown"


class Places:
    """Files of a host: /usr/bin/gone is not there, others may write /usr/bin/loose."""

    def all(self, paths: Any) -> list[SimpleNamespace]:
        return [self.get(path) for path in paths]

    def get(self, path: str) -> SimpleNamespace:
        ways = ["everybody may write it"] if path.endswith("loose") else []
        return SimpleNamespace(
            path=path, exists=not path.endswith("gone"), resolved=path,
            writable_by_others=lambda: ways,
        )  # fmt: skip


class TestCoreDumps:
    ROW = "/proc/{}/limits:Max core file size        {:<20} unlimited            bytes     \n"
    NONE, SOME = ROW.format(1, 0), ROW.format(77, "unlimited")
    LINE = "* hard core 0\n"

    def here(self, pattern: str, conf: str = "", limits: str = "", live: Reply = NONE) -> Host:
        return host(
            settings={"kernel.core_pattern": pattern},
            more={
                STORAGE.command: self.file("/etc/systemd/coredump.conf", conf),
                LIMITS.command: self.file("/etc/security/limits.conf", limits),
                LIVE.command: live,
            },
        )

    def file(self, path: str, text: str) -> Reply:
        return (0, "".join(f"{path}:{line}\n" for line in text.splitlines()) + "=.\n", "")

    def status(self, *given: Any, **more: Any) -> str:
        facts = {"processes": {77: "dockerd (77)"}}
        return str(verdict("host.core-dumps", self.here(*given, **more), **facts).status)

    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("|/bin/false", "pass"),
            ("|/usr/bin/true %p", "pass"),
            ("/dev/null", "pass"),
            ("", "pass"),
            ("|/tmp/false", "manual"),
            ("|/usr/share/apport/apport -p%p", "fail"),
            ("|/usr/libexec/abrt-hook-ccpp %s", "fail"),
            ("|/opt/collector %P", "manual"),
            ("core", "fail"),
        ],
    )
    def test_patterns(self, pattern: str, expected: str) -> None:
        assert self.status(pattern) == expected

    @pytest.mark.parametrize(
        ("conf", "expected"),
        [
            ("[Coredump]\nStorage=none\nProcessSizeMax=0", "pass"),
            ("[Coredump]\n Storage = None ", "pass"),
            ("[Coredump]\n#Storage=none", "fail"),
            ("Storage=none", "fail"),
            ("[Other]\nStorage=none", "fail"),
            ("[Coredump]\nStorage=none\nStorage=journal", "fail"),
            ("[Coredump]\nExternalSizeMax=0\nProcessSizeMax=0", "pass"),
            ("[Coredump]\nProcessSizeMax=0", "fail"),
            ("", "fail"),
        ],
    )
    def test_systemd(self, conf: str, expected: str) -> None:
        assert self.status("|/lib/systemd/systemd-coredump %P %u", conf) == expected

    def test_drop_ins_of_systemd(self) -> None:
        main, late = "/etc/systemd/coredump.conf", "/usr/lib/systemd/coredump.conf.d/90.conf"
        text = f"={late}\n{main}:[Coredump]\n{main}:Storage=none\n{late}:[Coredump]\n"
        for value, expected in (("external", "fail"), ("none", "pass")):
            made = host(
                settings={"kernel.core_pattern": "|/lib/systemd/systemd-coredump %P"},
                more={STORAGE.command: (0, f"{text}{late}:Storage={value}\n=.\n", "")},
            )
            assert verdict("host.core-dumps", made).status == expected

    @pytest.mark.parametrize(
        ("limits", "expected"),
        [
            (LINE, "pass"),
            ("* - core 0", "pass"),
            ("*\thard\tcore\t0 # none", "pass"),
            ("* soft core 0", "fail"),
            ("#* hard core 0", "fail"),
            (f"{LINE}* hard core unlimited", "fail"),
            (f"{LINE}@dev hard core 1000", "fail"),
            (f"{LINE}root - core -1", "fail"),
            (f"{LINE}root soft core 0\n* hard nofile 9", "pass"),
        ],
    )
    def test_limits(self, limits: str, expected: str) -> None:
        assert self.status("core", limits=limits) == expected

    def test_processes(self) -> None:
        """dockerd's unit has LimitCORE=infinity, and containers have what it has."""
        assert self.status("core", limits=self.LINE, live=self.NONE + self.SOME) == "fail"
        gone = (2, self.NONE, "grep: /proc/9/limits: No such process\n")
        assert self.status("core", limits=self.LINE, live=gone) == "pass"
        denied = (2, self.NONE, "grep: /proc/9/limits: Permission denied\n")
        for live in (denied, "", self.SOME[:-9], "x\n"):
            assert self.status("core", limits=self.LINE, live=live) == "unknown"

    @given(st.text())
    def test_any_text_can_be_read(self, text: str) -> None:
        parse_limits([Piece("/x", text)])
        parse_section([Piece("/x", text)], "Coredump")
