"""Kernel facts of several distributions, as their files and busybox's or GNU grep give them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts import get
from hullcheck.facts.kernel import Kernel, parse_cmdline, parse_config
from hullcheck.facts.lsm import LSM, parse_profiles
from tests.unit.fake import Reply
from tests.unit.kernels import HYBRID, STATUS, SYS, V1, V2, host


class TestSettings:
    def test_values(self) -> None:
        kernel = Kernel(host())
        assert kernel.number("kernel.dmesg_restrict") == 1
        assert kernel.sysctl("kernel.core_pattern") == "|/usr/share/apport/apport -p%p %P"

    def test_absent_and_denied_are_two_answers(self) -> None:
        """A profile that reads a missing Yama as 'not restricted to 0, so fine' is wrong, and so
        is one that takes a file it may not read for a missing one."""
        kernel = Kernel(host(denied=("kernel.kptr_restrict",)))
        assert kernel.sysctl("kernel.yama.ptrace_scope") is None
        with pytest.raises(Unknown, match="Permission denied"):
            kernel.sysctl("kernel.kptr_restrict")

    def test_without_proc_nothing_is_absent(self) -> None:
        with pytest.raises(Unknown):
            Kernel(host(without=("kernel.ostype",))).sysctl("kernel.dmesg_restrict")

    def test_an_empty_value_is_there(self) -> None:
        kernel = Kernel(host(settings={"kernel.core_pattern": ""}))
        assert kernel.sysctl("kernel.core_pattern") == ""

    def test_no_number_is_unknown(self) -> None:
        with pytest.raises(Unknown):
            Kernel(host(settings={"kernel.dmesg_restrict": "²"})).number("kernel.dmesg_restrict")


class TestBuildAndBoot:
    def test_options(self) -> None:
        config = (
            "# from /boot/config-6.1\nCONFIG_PROC_FS=y\nCONFIG_SECCOMP=y\n"
            "# CONFIG_SECCOMP_FILTER is not set\n"
        )
        kernel = Kernel(host(config=config))
        assert kernel.option("CONFIG_SECCOMP") == "y"
        assert kernel.option("CONFIG_SECCOMP_FILTER") == "n"
        assert kernel.option("CONFIG_USER_NS") == "n"

    @pytest.mark.parametrize("config", [(1, ""), "# from /proc/config.gz\n"])
    def test_no_configuration_is_unknown(self, config: Reply) -> None:
        """Neither a host without one, nor one whose gzip is missing, has every option off."""
        with pytest.raises(Unknown):
            Kernel(host(config=config)).option("CONFIG_SECCOMP_FILTER")

    def test_cmdline(self) -> None:
        cmdline = Kernel(host()).cmdline
        assert cmdline["mitigations"] == ("off",)
        assert cmdline["dyndbg"] == ("a b",)
        assert cmdline["ro"] == ("",)
        assert "x" not in cmdline

    def test_the_last_of_several_is_known(self) -> None:
        assert parse_cmdline("l1tf=full  l1tf=off spec-ctrl=1 spec_ctrl=2") == {
            "l1tf": ("full", "off"),
            "spec_ctrl": ("1", "2"),
        }

    @given(st.text())
    def test_any_text_can_be_read(self, text: str) -> None:
        parse_cmdline(text)
        parse_config(text)
        parse_profiles(text)


class TestSeccomp:
    def test_by_the_kernel_itself(self) -> None:
        assert Kernel(host()).seccomp_filter

    def test_an_older_kernel_is_asked_for_its_build(self) -> None:
        """Before 5.9 the status has no Seccomp_filters; that is no lack of them."""
        old = STATUS.removesuffix("\nSeccomp_filters:\t0")
        config = "CONFIG_PROC_FS=y\nCONFIG_SECCOMP_FILTER=y\n"
        files = {"/proc/self/status": old}
        assert Kernel(host(files, release="5.4.0-150-generic", config=config)).seccomp_filter
        assert not Kernel(host(files, config=config)).seccomp_filter
        with pytest.raises(Unknown):
            _ = Kernel(host(files, release="5.4.0-150-generic", config=(1, ""))).seccomp_filter

    def test_none(self) -> None:
        assert not Kernel(host({"/proc/self/status": "Name:\tgrep"})).seccomp_filter


class TestCgroups:
    def test_v2(self) -> None:
        kernel = Kernel(host())
        assert kernel.cgroups.layout == "v2"
        assert kernel.cgroup_version == 2
        assert kernel.cgroup_controllers == {"cpuset", "cpu", "io", "memory", "pids"}
        assert kernel.cgroups.delegated == {"cpu", "memory", "pids"}

    @pytest.mark.parametrize(("mounts", "layout"), [(V1, "v1"), (HYBRID, "hybrid")])
    def test_v1(self, mounts: str, layout: str) -> None:
        """A controller counts if it is mounted and enabled: Debian on a Raspberry Pi boots with
        memory mounted by some tools and disabled by the kernel; pids here is enabled, unmounted."""
        without = ("/sys/fs/cgroup/cgroup.controllers", "/sys/fs/cgroup/cgroup.subtree_control")
        kernel = Kernel(host(without=without, mounts=mounts))
        assert kernel.cgroups.layout == layout
        assert kernel.cgroup_version == 1
        assert kernel.cgroup_controllers == {"cpu", "cpuacct"}

    def test_a_v1_tree_beside_v2_is_not_v2(self) -> None:
        """``stat -f`` of /sys/fs/cgroup says cgroup2; a net_cls hierarchy has release_agent."""
        beside = "40 21 0:40 / /mnt/net_cls rw - cgroup cgroup rw,net_cls\n"
        assert Kernel(host(mounts=V2 + beside)).cgroups.layout == "hybrid"

    def test_none(self) -> None:
        with pytest.raises(Unknown):
            _ = Kernel(host(mounts=SYS)).cgroup_version


class TestSecurityModules:
    def test_listed(self) -> None:
        assert Kernel(host()).lsms[-1] == "apparmor"
        assert Kernel(host()).lockdown == "integrity"

    def test_securityfs_that_is_not_mounted_is_unknown(self) -> None:
        paths = ("/sys/kernel/security/lsm", "/sys/kernel/security/lockdown")
        with pytest.raises(Unknown, match="not mounted"):
            _ = Kernel(host(without=paths)).lsms
        with pytest.raises(Unknown):
            _ = Kernel(host(without=paths)).lockdown
        config = "CONFIG_PROC_FS=y\n# CONFIG_SECURITY_LOCKDOWN_LSM is not set\n"
        assert Kernel(host(without=paths, config=config)).lockdown is None
        with pytest.raises(Unknown):
            _ = Kernel(
                host(without=paths, config="CONFIG_PROC_FS=y\nCONFIG_SECURITY_LOCKDOWN_LSM=y\n")
            ).lockdown
        bare = host({"/proc/filesystems": "nodev\tsysfs"}, without=paths)
        assert Kernel(bare).lsms == ()
        assert Kernel(bare).lockdown is None

    def test_profiles(self) -> None:
        """Names hold spaces, brackets and slashes; the mode is the last bracket."""
        text = (
            "docker-default (enforce)\n/usr/bin/man (complain)\nman//filter (x) (enforce)\n"
            "snap-update-ns.lxd (unconfined)\n"
        )
        assert parse_profiles(text) == {
            "docker-default": "enforce",
            "/usr/bin/man": "complain",
            "man//filter (x)": "enforce",
            "snap-update-ns.lxd": "unconfined",
        }

    def lsm(self, here: Host) -> LSM:
        found: LSM = get(here, "lsm")
        return found

    def test_apparmor(self) -> None:
        enabled = {
            "/sys/module/apparmor/parameters/enabled": "Y",
            "/sys/kernel/security/apparmor/profiles": "docker-default (enforce)\nx (kill)",
        }
        apparmor = self.lsm(host(enabled)).apparmor
        assert apparmor.enabled
        assert apparmor.engine_profiles == {"docker-default": "enforce"}
        off = {**enabled, "/sys/module/apparmor/parameters/enabled": "N"}
        assert self.lsm(host(off)).apparmor.profiles == {}

    def test_profiles_that_only_root_may_read(self) -> None:
        path = "/sys/kernel/security/apparmor/profiles"
        here = host({"/sys/module/apparmor/parameters/enabled": "Y"}, denied=(path,))
        with pytest.raises(Unknown, match="Permission denied"):
            _ = self.lsm(here).apparmor.profiles

    def test_selinux(self) -> None:
        files = {
            "/proc/filesystems": "nodev\tsysfs\nnodev\tselinuxfs",
            "/sys/fs/selinux/enforce": "1",
            "/etc/selinux/config": "# SELINUX=disabled\nSELINUX=permissive\nSELINUXTYPE=targeted",
        }
        selinux = self.lsm(host(files)).selinux
        assert (selinux.enabled, selinux.enforcing) == (True, True)
        assert selinux.configured == "permissive"
        with pytest.raises(Unknown):
            _ = self.lsm(host(files, without=("/sys/fs/selinux/enforce",))).selinux.enforcing
        assert not self.lsm(host()).selinux.enabled

    def test_without_sys_nothing_is_off(self) -> None:
        with pytest.raises(Unknown):
            self.lsm(host(mounts="20 1 0:19 / /proc rw - proc proc rw\n"))


def test_vulnerabilities() -> None:
    top = "/sys/devices/system/cpu/vulnerabilities"
    text = f"{top}/mds:Vulnerable; SMT vulnerable\n{top}/l1tf:Not affected\n"
    assert Kernel(host(vulnerabilities=text)).vulnerabilities == {
        "mds": "Vulnerable; SMT vulnerable",
        "l1tf": "Not affected",
    }
