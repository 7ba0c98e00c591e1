"""Verdicts on how kernels were booted, on their processors' flaws and their security modules."""

from __future__ import annotations

import pytest

from hullcheck.facts.lsm import DECISIONS
from tests.unit.fake import Reply
from tests.unit.kernels import engine, host, verdict

APPARMOR = {
    "/sys/module/apparmor/parameters/enabled": "Y",
    "/sys/kernel/security/apparmor/profiles": "docker-default (enforce)\n/usr/sbin/x (complain)",
}
SELINUX = {
    "/proc/filesystems": "nodev\tsysfs\nnodev\tsecurityfs\nnodev\tselinuxfs",
    "/sys/fs/selinux/enforce": "1",
    "/etc/selinux/config": "SELINUX=enforcing\nSELINUXTYPE=targeted",
}
ENFORCED = "container_t 0 ffffffff 0 ffffffff 12 0\n"
CONFINED = engine(security_options={"apparmor": {}, "seccomp": {}})


def boot(words: str) -> dict[str, str]:
    return {"/proc/cmdline": f"BOOT_IMAGE=/vmlinuz ro {words}"}


class TestBoot:
    @pytest.mark.parametrize(
        "words",
        [
            "mitigations=off",
            "quiet mitigations=auto,no_user_kernel",
            "nopti",
            "nokaslr splash",
            "l1tf=full l1tf=off",
            "spec-store-bypass-disable=off",
            "audit=0",
            "selinux=0",
            "apparmor=0x0",
            "systemd.unified_cgroup_hierarchy=no",
            "norandmaps",
            "kpti=0",
            "clearcpuid=smap,umip",
            "systemd.debug-shell",
            "systemd.debug_shell=tty3",
        ],
    )
    def test_off(self, words: str) -> None:
        assert verdict("host.mitigations-on", host(boot(words))).status == "fail"

    @pytest.mark.parametrize(
        "words",
        [
            "quiet splash",
            "mitigations=auto,nosmt",
            "mitigations=auto,no_guest_host,no_guest_guest",
            "mitigations=off mitigations=auto",
            "root=LABEL=nopti init=/nokaslr -- nopti",
            "audit=1 selinux=1 systemd.unified_cgroup_hierarchy=yes systemd.debug_shell=0",
            "audit_backlog_limit=0 clearcpuid=rdrand",
        ],
    )
    def test_on(self, words: str) -> None:
        """The last value counts, and a substring in another parameter does not."""
        assert verdict("host.mitigations-on", host(boot(words))).status == "pass"

    def test_a_module_in_the_place_of_the_other(self) -> None:
        """Debian with SELinux has apparmor=0 on its boot line, as its wiki says."""
        for words, files in (("apparmor=0", SELINUX), ("selinux=0", APPARMOR)):
            here = host({**files, **boot(words)})
            assert verdict("host.mitigations-on", here).status == "pass"


class TestVulnerabilities:
    TOP = "/sys/devices/system/cpu/vulnerabilities"

    def test_vulnerable(self) -> None:
        said = f"{self.TOP}/mds:Vulnerable: Clear CPU buffers attempted, no microcode\n"
        assert verdict("host.cpu-vulnerabilities", host(vulnerabilities=said)).status == "fail"

    def test_mitigated(self) -> None:
        """'SMT vulnerable' behind a mitigation, and what only virtual machines could abuse, are
        not 'vulnerable' to a plain grep's taste."""
        said = (
            f"{self.TOP}/mds:Mitigation: Clear CPU buffers; SMT vulnerable\n"
            f"{self.TOP}/itlb_multihit:KVM: Vulnerable\n{self.TOP}/l1tf:Not affected\n"
        )
        assert verdict("host.cpu-vulnerabilities", host(vulnerabilities=said)).status == "pass"

    @pytest.mark.parametrize(
        ("said", "threads", "expected"),
        [
            ("Mitigation: Retpolines; IBPB: conditional; BHI: Vulnerable", "pass", "fail"),
            ("Mitigation: Enhanced IBRS, PBRSB-eIBRS: Vulnerable", "pass", "fail"),
            ("Mitigation: Retpolines; BHI: Vulnerable, KVM: SW loop", "pass", "fail"),
            ("Mitigation: PTE Inversion; VMX: vulnerable, SMT vulnerable", "pass", "pass"),
            ("Mitigation: Clear CPU buffers; SMT vulnerable", "fail", "pass"),
            ("Mitigation: Clear CPU buffers; SMT Host state unknown", "manual", "pass"),
            ("Vulnerable: Clear CPU buffers attempted; SMT vulnerable", "fail", "fail"),
            ("Mitigation: Clear CPU buffers; SMT disabled", "pass", "pass"),
            ("Unknown: Dependent on hypervisor status", "pass", "manual"),
            ("Not affected", "pass", "pass"),
        ],
    )  # fmt: skip
    def test_words_of_kernels(self, said: str, threads: str, expected: str) -> None:
        """A part after the first one tells too; what is said of VMX is of guests."""
        here = host(vulnerabilities=f"{self.TOP}/x:{said}\n")
        assert verdict("host.cpu-vulnerabilities", here).status == expected
        assert verdict("host.smt", here).status == threads

    def test_silence_is_not_health(self) -> None:
        assert verdict("host.cpu-vulnerabilities", host()).status == "unknown"


class TestSecurityModules:
    def test_apparmor(self) -> None:
        assert verdict("host.lsm-enforcing", host(APPARMOR), CONFINED).status == "pass"
        assert verdict("host.apparmor-profiles", host(APPARMOR)).status == "pass"
        assert verdict("host.selinux-enforcing", host(APPARMOR)).status == "not-applicable"

    def test_an_engine_that_does_not_use_it(self) -> None:
        """Without apparmor_parser on the host dockerd runs containers unconfined, and the kernel
        still says Y."""
        assert verdict("host.lsm-enforcing", host(APPARMOR), engine()).status == "fail"

    def test_a_profile_that_only_complains(self) -> None:
        path = "/sys/kernel/security/apparmor/profiles"
        files = {**APPARMOR, path: "docker-default (complain)"}
        assert verdict("host.lsm-enforcing", host(files), CONFINED).status == "fail"
        assert verdict("host.apparmor-profiles", host(files)).status == "fail"

    def test_profiles_that_cannot_be_read(self) -> None:
        here = {"/sys/module/apparmor/parameters/enabled": "Y"}
        path = "/sys/kernel/security/apparmor/profiles"
        for control in ("host.lsm-enforcing", "host.apparmor-profiles"):
            assert verdict(control, host(here, denied=(path,)), CONFINED).status == "unknown"

    def test_selinux(self) -> None:
        """One module is enough: docker-bench warns of AppArmor's absence on every SELinux host."""
        labels = engine(security_options={"selinux": {}})
        assert verdict("host.lsm-enforcing", host(SELINUX), labels).status == "pass"
        assert verdict("host.selinux-enforcing", host(SELINUX)).status == "pass"
        assert verdict("host.apparmor-profiles", host(SELINUX)).status == "not-applicable"

    @pytest.mark.parametrize(
        "change",
        [
            {"/sys/fs/selinux/enforce": "0"},
            {"/etc/selinux/config": "SELINUX=permissive"},
            boot("enforcing=0"),
            boot("selinux=0"),
        ],
    )
    def test_selinux_that_lets_go(self, change: dict[str, str]) -> None:
        assert verdict("host.selinux-enforcing", host({**SELINUX, **change})).status == "fail"

    def test_an_engine_that_does_not_label(self) -> None:
        """Docker's own packages leave selinux-enabled off: containers then run without a label."""
        found = verdict("host.lsm-enforcing", host(SELINUX), engine())
        assert (found.status, "not in use" in found.reason) == ("fail", True)
        rootless = engine(rootless=True)
        assert verdict("host.lsm-enforcing", host(SELINUX), rootless).status == "pass"

    def test_both_at_once(self) -> None:
        assert verdict("host.lsm-enforcing", host({**SELINUX, **APPARMOR})).status == "fail"

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            (ENFORCED, "pass"),
            (f"{ENFORCED}container_init_t 0 ffffffff 0 ffffffff 12 1\n", "fail"),
            ("container_t 0 ffffffff 0 ffffffff 12 3\n", "fail"),
            ((0, ENFORCED, "sh: 1: printf: I/O error: Invalid argument\n"), "pass"),
            ((0, ENFORCED, "sh: cannot create: Permission denied\n"), "unknown"),
            ((0, "", "printf: write error: Invalid argument\n"), "unknown"),
            ((1, ""), "unknown"),
            ("container_t 3f 1", "unknown"),
            ("x\n", "unknown"),
        ],
    )  # fmt: skip
    def test_permissive_types(self, answer: Reply, expected: str) -> None:
        """semanage permissive -a container_t, and getenforce still says Enforcing."""
        here = host(SELINUX, more={DECISIONS.command: answer})
        assert verdict("host.selinux-exceptions", here).status == expected
        assert verdict("host.selinux-exceptions", host()).status == "not-applicable"

    def test_selinux_switched_off(self) -> None:
        off = {"/etc/selinux/config": "SELINUX=disabled"}
        assert verdict("host.selinux-enforcing", host(off)).status == "fail"
        assert verdict("host.lsm-enforcing", host(off)).status == "fail"

    def test_neither(self) -> None:
        assert verdict("host.lsm-enforcing", host(), engine()).status == "fail"
        assert verdict("host.selinux-enforcing", host()).status == "not-applicable"
