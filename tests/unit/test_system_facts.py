"""Versions, packages, services, distributions and kernels, as every kind of system tells them."""

from __future__ import annotations

import pytest
from testinfra.host import Host

from checks.host.test_updates import test_kernel_current as kernel_current
from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts import get, kernels, packages, services
from hullcheck.facts.distribution import FALLBACK, OS_RELEASE, parse_os_release
from hullcheck.facts.kernels import FLAGS, IMAGES, PATCHED, RUNNING, Kernels, flavour
from hullcheck.facts.packages import APK, DATABASES, DPKG, PACMAN, RPM
from hullcheck.facts.services import BOOTED, LINKS, UNIT_FILES, UNITS
from hullcheck.facts.versions import compare_apk, compare_dpkg, compare_rpm, numbers
from hullcheck.transport import CannotAnswer
from tests.unit.fake import Reply, host_with
from tests.unit.judged import outcome

MISSING: Reply = (127, "", "sh: 1: dpkg-query: not found\n")
NO_FILE: Reply = (2, "", "grep: /lib/apk/db/installed: No such file or directory\n")


@pytest.mark.parametrize(
    ("compare", "old", "new"),
    [
        (compare_dpkg, "1.0~rc1-1", "1.0-1"),
        (compare_dpkg, "20.10.24+dfsg1-1+deb12u1", "20.10.24+dfsg1-1+deb12u1+b6"),
        (compare_dpkg, "1.1.5+ds1-1+deb12u9", "1.1.5+ds1-1+deb12u10"),
        (compare_dpkg, "9.9", "1:0.1"),
        (compare_dpkg, "6.1.0-9", "6.1.0-28"),
        (compare_rpm, "5.14.0-427.el9", "0:5.14.0-503.11.1.el9_5"),
        (compare_rpm, "1.0~rc1", "1.0"),
        (compare_rpm, "1.0", "1.0^git1"),
        (compare_rpm, "1.0^git1", "1.0.1"),
        (compare_rpm, "1.0a", "1.0.1"),
        (compare_rpm, "4:1.1.12-1.el9_3", "4:1.1.12-2.el9_3"),
        (compare_apk, "1.2.3_rc1-r0", "1.2.3-r0"),
        (compare_apk, "1.2.3-r9", "1.2.3_p1-r0"),
        (compare_apk, "27.3.1-r2", "27.3.1-r10"),
    ],
)
def test_versions(compare: object, old: str, new: str) -> None:
    """What dpkg, rpm and apk themselves say of them."""
    assert callable(compare)
    assert (compare(old, new), compare(new, old), compare(new, new)) == (-1, 1, 0)


def test_numbers_of_a_version() -> None:
    found = [numbers(each) for each in ("v1.3.3-rc.1", "20.10.24+dfsg1", "x", "9" * 99)]
    assert found[:3] == [(1, 3, 3), (20, 10, 24), ()]


class TestPackages:
    def made(self, **answers: Reply) -> Host:
        base: dict[str, Reply] = {
            "dpkg": MISSING, "rpm": MISSING, "apk": NO_FILE, "pacman": MISSING
        } | answers  # fmt: skip
        base.setdefault("databases", (1, "", "stat: No such file or directory\n"))
        names = {"dpkg": DPKG, "rpm": RPM, "apk": APK, "pacman": PACMAN, "databases": DATABASES}
        return host_with({names[name].command: reply for name, reply in base.items()})

    def test_dpkg(self) -> None:
        text = "installed runc 1.1.5+ds1-1+deb12u1 amd64\nconfig-files vim 2:9 amd64\n"
        found = get(self.made(dpkg=text), "packages")
        assert (found.manager, "vim" in found) == ("dpkg", False)
        assert str(found.get("runc")) == "runc 1.1.5+ds1-1+deb12u1"

    def test_rpm_has_several_kernels(self) -> None:
        text = "".join(
            f"installed kernel-core 0:5.14.0-{each}.el9 x86_64\n" for each in (70, 503, 427)
        )
        found = get(self.made(rpm=text), "packages")
        assert (found.get("kernel-core").version, len(found.every)) == ("0:5.14.0-503.el9", 3)

    def test_apk_and_pacman(self) -> None:
        apk = "P:musl\nV:1.2.4-r2\nA:x86_64\n\nP:runc\nV:1.1.12-r1\nA:x86_64\n"
        assert get(self.made(apk=apk), "packages").get("runc").version == "1.1.12-r1"
        assert get(self.made(pacman="runc 1.3.3-1\n"), "packages").manager == "pacman"

    def test_none(self) -> None:
        """Flatcar has no package manager; that is not a fault, and not an empty answer."""
        with pytest.raises(NotApplicable):
            get(self.made(), "packages")

    @pytest.mark.parametrize(
        "answers",
        [
            {"dpkg": (2, "", "dpkg-query: error: parsing file '/var/lib/dpkg/status'\n")},
            {"dpkg": "installed runc\n"},
            {"dpkg": "installed  1.0 amd64\n"},
            {"dpkg": "installed runc 1.0 am"},
            {"dpkg": (2, "", "dpkg-query: error: cannot read\n"), "rpm": "installed a 0:1-1 x\n"},
            {"rpm": (1, "", "error: rpmdb: damaged header\n")},
            {"databases": (1, "/var/lib/dpkg/status\n")},
            {"dpkg": "", "databases": (1, "/var/lib/dpkg/status\n")},
        ],
    )
    def test_damaged(self, answers: dict[str, Reply]) -> None:
        """A broken database is never a host without packages, whatever another manager has."""
        with pytest.raises((Unknown, CannotAnswer)):
            get(self.made(**answers), "packages")


SYSTEMD: dict[str, Reply] = {BOOTED.command: "/run/systemd/system\n", LINKS.command: (1, "", "")}


class TestServices:
    @pytest.mark.parametrize("mark", ["", "  ", "● ", "* ", "x ", "○ "])
    def test_systemd_of_any_age(self, mark: str) -> None:
        """The mark before a failed unit differs; before 245 unit files have no preset column."""
        units = (
            f"{mark}docker.service loaded active running Docker\n"
            "-.mount loaded active mounted Root Mount\n"
            "gone.service not-found inactive dead gone.service\n"
        )
        files = "docker.service enabled enabled\ncron.service disabled\nx.service masked disabled\n"
        host = host_with(SYSTEMD | {UNITS.command: units, UNIT_FILES.command: files})
        found = get(host, "services")
        docker, cron = found.get("docker"), found.get("cron")
        assert (docker.active, docker.enabled, docker.state) == (True, True, "enabled")
        assert (cron.active, cron.enabled) == (False, False)
        assert (found.get("x").enabled, found.get("nothing")) == (False, None)
        assert found.first("nothing", "cron", "docker") is docker
        assert found.get("-.mount").active

    @pytest.mark.parametrize("state", ["static", "indirect", "masked", "linked", "disabled"])
    def test_states_that_start_nothing(self, state: str) -> None:
        answers: dict[str, Reply] = {
            UNITS.command: "a.service loaded inactive dead A\n",
            UNIT_FILES.command: f"a.service {state} enabled\n",
        }
        assert not get(host_with(SYSTEMD | answers), "services").get("a").enabled

    @pytest.mark.parametrize(
        ("units", "files"),
        [
            ((1, "", "Failed to connect to bus: Permission denied\n"), "a.service enabled\n"),
            ("a.service\n", "a.service enabled\n"),
            ("a.service loaded active running A\n", "enabled\n"),
            ("a.service loaded active running A", "a.service enabled\n"),
            ((127, "", "systemctl: not found\n"), "a.service enabled\n"),
        ],
    )
    def test_damaged(self, units: Reply, files: Reply) -> None:
        host = host_with(SYSTEMD | {UNITS.command: units, UNIT_FILES.command: files})
        with pytest.raises((Unknown, CannotAnswer)):
            get(host, "services")

    def other(self, links: str, complaints: str = "") -> Host:
        none: Reply = (127, "", "systemctl: not found\n")
        return host_with({
            BOOTED.command: (1, "", "stat: No such file\n"), UNITS.command: none,
            UNIT_FILES.command: none, LINKS.command: (1 if complaints else 0, links, complaints),
        })  # fmt: skip

    def test_openrc(self) -> None:
        links = "/etc/runlevels/default/docker\n/etc/runlevels/shutdown/killprocs\n"
        links += "/etc/runlevels/boot/syslog\n/run/openrc/started/syslog\n"
        gone = "find: /etc/rc2.d: No such file or directory\n"
        found = get(self.other(links, gone), "services")
        assert (found.manager, found.get("docker").active) == ("openrc", False)
        assert (found.get("syslog").active, found.get("killprocs")) == (True, None)

    def test_system_v_and_none(self) -> None:
        found = get(self.other("/etc/rc2.d/S01docker\n/etc/rc3.d/K01cups\n"), "services")
        assert (found.manager, found.get("docker").enabled, found.get("cups")) == (
            "sysv", True, None)  # fmt: skip
        assert found.get("docker").active is None
        with pytest.raises(Unknown):
            get(self.other(""), "services").get("docker")
        with pytest.raises(Unknown):
            get(self.other("", "find: '/etc/runlevels': Permission denied\n"), "services")


class TestDistribution:
    @pytest.mark.parametrize(
        ("text", "family", "version"),
        [
            ('ID=debian\nVERSION_ID="12"\n', "debian", "12"),
            ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', "debian", ""),
            ('ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n', "rhel", "9.4"),
            ('ID="sles"\nID_LIKE="suse"\nVERSION_ID="15.6"\n', "suse", "15.6"),
            ("ID=opensuse-leap\nID_LIKE='suse opensuse'\n", "suse", ""),
            ("ID=alpine\nVERSION_ID=3.20.3\n", "alpine", "3.20.3"),
            ("ID=flatcar\nID_LIKE=coreos\nVERSION_ID=4081.2.0\n", "image", "4081.2.0"),
            ("ID=bottlerocket\n", "image", ""),
            ("ID=plan9\n", "", ""),
        ],
    )
    def test_families(self, text: str, family: str, version: str) -> None:
        found = get(host_with({OS_RELEASE.command: text, FALLBACK.command: ""}), "distribution")
        assert (found.family, found.version) == (family, version)

    def test_damaged(self) -> None:
        assert parse_os_release("ID=\"a\nX\n=1\nname=x\nV='a b' \n") == {"ID": '"a', "V": "a b"}
        none: Reply = (1, "", "cat: /etc/os-release: Permission denied\n")
        for first, second in ((none, none), ("NAME=x\n", "")):
            with pytest.raises(Unknown):
                get(host_with({OS_RELEASE.command: first, FALLBACK.command: second}),
                    "distribution")  # fmt: skip
        moved = {OS_RELEASE.command: none, FALLBACK.command: "ID=alpine\n"}
        assert get(host_with(moved), "distribution").id == "alpine"


DEBIAN = "6.1.0-28-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22)\n"


def boot(
    images: Reply, running: str = DEBIAN, flags: Reply = (1, "", ""), patched: Reply = (2, "", "")
) -> Host:
    return host_with({
        IMAGES.command: images, RUNNING.command: running, FLAGS.command: flags,
        kernels.PACKAGES.command: (2, "", ""), PATCHED.command: patched,
        OS_RELEASE.command: "ID=debian\n", FALLBACK.command: "", RPM.command: MISSING,
        DPKG.command: "installed linux-image-6.1.0-28-amd64 6.1.119-1 amd64\n",
        APK.command: NO_FILE, PACMAN.command: MISSING, DATABASES.command: (1, ""),
    })  # fmt: skip


class TestKernels:
    @pytest.mark.parametrize(
        ("release", "kind"),
        [
            ("6.1.0-28-cloud-amd64", "cloud-amd64"), ("6.12.9+bpo-amd64", "amd64"),
            ("6.12.41+deb13-amd64", "amd64"), ("5.14.0-503.11.1.el9_5.x86_64", ""),
            ("5.14.0-70.el9.x86_64+rt", "rt"), ("5.15.0-206.153.7.1.el9uek.x86_64", "uek"),
            ("6.8.9-300.fc40.x86_64", ""), ("6.6.30-0-lts", "lts"), ("6.9.1-zen1-1-zen", "zen"),
            ("6.4.0-150600.21-default", "default"), ("6.1.79-99.164.amzn2023.x86_64", ""),
        ],
    )  # fmt: skip
    def test_flavours(self, release: str, kind: str) -> None:
        assert flavour(release) == kind

    @pytest.mark.parametrize(
        ("images", "expected"),
        [
            ("/boot/vmlinuz-6.1.0-28-amd64\n/boot/vmlinuz-6.1.0-9-amd64\n", "pass"),
            ("/boot/vmlinuz-6.1.0-28-amd64\n/boot/vmlinuz-6.1.0-31-amd64\n", "fail"),
            ("/boot/vmlinuz-6.1.0-28-amd64\n/boot/vmlinuz-6.1.0-31-rt-amd64\n", "pass"),
            ("/boot/vmlinuz-6.1.0-28-amd64\n/boot/vmlinuz-6.12.41+deb13-amd64\n", "fail"),
            ("/boot/vmlinuz-6.1.0-28-amd64\n/boot/vmlinuz-6.1.0-31-amd64.old\n", "pass"),
            ("/boot/vmlinuz-6.1.0-28-amd64\n/lib/modules/6.1.0-31-amd64/modules.dep\n", "pass"),
            ("/lib/modules/6.1.0-31-amd64/vmlinuz\n", "fail"),
            ("/boot/vmlinuz-6.1.0-31-cloud-amd64\n", "unknown"),
            ((2, "", "ls: cannot access '/boot/vmlinuz-*': No such file or directory\n"),
             "not-applicable"),
        ],
    )  # fmt: skip
    def test_the_newest(self, images: Reply, expected: str) -> None:
        assert outcome(kernel_current, get(boot(images), "kernels")) == expected

    def test_what_else_tells(self) -> None:
        image = "/boot/vmlinuz-6.1.0-28-amd64\n"
        newer = image + "/boot/vmlinuz-6.1.0-31-amd64\n"
        rebuilt = DEBIAN.replace("6.1.119-1", "6.1.115-1")
        for host, expected in (
            (boot(image, rebuilt), "fail"),
            (boot(image, flags="/run/reboot-required\n"), "fail"),
            (boot(newer, patched="/sys/kernel/livepatch/kpatch_1/enabled:1\n"), "manual"),
            (boot(newer, patched="/sys/kernel/livepatch/kpatch_1/enabled:0\n"), "fail"),
            (boot((2, "", "x"), flags="/run/reboot-required\n"), "unknown"),
        ):
            try:
                found: Kernels = get(host, "kernels")
            except Unknown:
                assert expected == "unknown"
            else:
                assert outcome(kernel_current, found) == expected

    @pytest.mark.parametrize(
        "host",
        [
            boot((2, "", "ls: cannot open directory '/boot': Permission denied\n")),
            boot("/boot/vmlinuz-6.1.0-28-am"),
            boot("/boot/vmlinuz-1\n", "nonsense\n"),
            boot("/tmp/vmlinuz\n"),
            boot("", flags=(1, "", "stat: cannot statx '/run/x': Permission denied\n")),
        ],
    )
    def test_damaged(self, host: Host) -> None:
        with pytest.raises((Unknown, CannotAnswer)):
            get(host, "kernels")


def test_facts_are_registered() -> None:
    assert packages.packages.__name__ == "packages"
    assert services.services.__name__ == "services"
