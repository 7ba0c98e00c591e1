"""Repairs that wait, what installs them, and how long the lists tell."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from testinfra.host import Host

from checks.host.test_updates import test_automatic_updates as automatic_control
from checks.host.test_updates import test_security_updates as security_control
from hullcheck.control import Unknown
from hullcheck.facts import automatic, get
from hullcheck.facts.automatic import APT_CONFIG, CRON, FILES, Automatic, matches, parse_apt_config
from hullcheck.facts.distribution import FALLBACK, OS_RELEASE, Distribution
from hullcheck.facts.packages import APK as APK_DB
from hullcheck.facts.packages import DPKG, PACMAN
from hullcheck.facts.packages import RPM as RPM_DB
from hullcheck.facts.services import BOOTED, LINKS, UNIT_FILES, UNITS
from hullcheck.facts.updates import APK, APT, RPM, Archive, Updates
from hullcheck.inventory.policy import Policy
from hullcheck.transport import CannotAnswer
from tests.unit.fake import Reply, host_with
from tests.unit.judged import outcome

STARTED = datetime(2026, 11, 23, 21, 30, tzinfo=UTC)
NOW = int(STARTED.timestamp())
MISSING: Reply = (127, "", "sh: not found\n")
NO_FILE: Reply = (2, "", "grep: /lib/apk/db/installed: No such file or directory\n")

APT_LISTS = """@ {when} .
# deb.debian.org_debian_dists_bookworm_InRelease
Origin: Debian
Label: Debian
Suite: oldstable
Codename: bookworm
# security.debian.org_dists_bookworm-security_InRelease
Origin: Debian
Label: Debian-Security
Suite: oldstable-security
Codename: bookworm-security
Valid-Until: Wed, 25 Nov 2026 22:33:12 UTC
= 2
@@ security.debian.org_dists_bookworm-security_main_binary-amd64_Packages
runc {runc} amd64
"""
DEBIAN = "installed runc 1.1.5+ds1-1+deb12u1 amd64\nconfig-files vim 1 amd64\n"

RPM_LISTS = """/etc/yum.repos.d/rocky.repo:[baseos]
/etc/yum.repos.d/rocky.repo:enabled=1
/etc/yum.repos.d/rocky.repo:[extras]
/etc/yum.repos.d/rocky.repo:enabled = 0
/etc/dnf/modules.d/container-tools.module:name=container-tools
/etc/dnf/modules.d/container-tools.module:stream=rhel8
/etc/dnf/modules.d/container-tools.module:state=enabled
@ {when} /var/cache/dnf/baseos-0123456789abcdef/repodata/repomd.xml
@ 1 /var/cache/dnf/extras-0123456789abcdef/repodata/repomd.xml
= 3
 @@ /var/cache/dnf/extras-0123456789abcdef/repodata/1-updateinfo.xml.gz
RLSA-2020:1 runc 9 9.9 1.el9 x86_64 -
@@ /var/cache/dnf/baseos-0123456789abcdef/repodata/2-updateinfo.xml.gz
"""
ROCKY = (
    "installed runc 4:1.1.12-1.el9 x86_64\ninstalled kernel-core 0:5.14.0-70.el9 x86_64\n"
    "installed kernel-core 0:5.14.0-503.el9 x86_64\n"
    "installed podman 3:4.9.4-1.module+el8.10.0 x86_64\n"
)


def host(installed: dict[str, Reply], **more: Reply) -> Host:
    answers: dict[str, Reply] = {
        DPKG.command: MISSING, RPM_DB.command: MISSING, APK_DB.command: NO_FILE,
        PACMAN.command: MISSING, APT.command: (3, "", "cd: can't cd to /var/lib/apt/lists\n"),
        RPM.command: (3, ""), APK.command: (3, ""), OS_RELEASE.command: "ID=debian\n"
        "VERSION_CODENAME=bookworm\n", FALLBACK.command: "", CRON.command: (1, ""),
        APT_CONFIG.command: MISSING, FILES.command: (2, ""),
    }  # fmt: skip
    names = {"services_units": UNITS, "files": UNIT_FILES, "config": APT_CONFIG, "sweep": FILES,
             "cron": CRON, "links": LINKS, "booted": BOOTED}  # fmt: skip
    return host_with(
        answers | installed | {names[name].command: reply for name, reply in more.items()}
    )


def apt(lists: Reply) -> Host:
    return host({DPKG.command: DEBIAN, APT.command: lists})


def rpm(rows: str, when: int = NOW) -> Host:
    return host({RPM_DB.command: ROCKY, RPM.command: RPM_LISTS.format(when=when) + rows})


def apk(text: str, err: str = "", code: int = 0) -> Host:
    db = "P:runc\nV:1.1.12-r1\nA:x86_64\n"
    return host({APK_DB.command: db, APK.command: (code, text, err)})


INDEX = f"@ {NOW} /var/cache/apk/APKINDEX.1.tar.gz\nInstalled:    Available:\n"
FIXED, OLD, WEEK = "1.1.5+ds1-1+deb12u1", "1.1.5+ds1-1+deb12u2", NOW - 7 * 86400


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (apt(APT_LISTS.format(when=NOW, runc=FIXED)), "pass"),
        (apt(APT_LISTS.format(when=NOW, runc=OLD)), "fail"),
        (apt(APT_LISTS.format(when=WEEK, runc=FIXED)), "unknown"),
        (apt(APT_LISTS.format(when=WEEK, runc=OLD)), "fail"),
        (apt(APT_LISTS.format(when=NOW + WEEK, runc=FIXED)), "unknown"),
        (apt(APT_LISTS.format(when=NOW, runc=FIXED) + "!! x_Packages.lz4\n"), "unknown"),
        (apt(APT_LISTS.format(when=NOW, runc=FIXED).partition("@@")[0]), "unknown"),
        (apt(APT_LISTS.format(when=NOW, runc=FIXED).partition("@ ")[2]), "unknown"),
        (apt(APT_LISTS.format(when=NOW, runc=FIXED).replace("= 2", "= 0")), "unknown"),
        (apt(APT_LISTS.format(when=NOW, runc=FIXED).replace("25 Nov", "18 Nov")), "unknown"),
        (apt(APT_LISTS.format(when=NOW, runc=FIXED).replace("25 Nov", "99 Nov")), "unknown"),
        (apt(APT_LISTS.format(when=NOW, runc=FIXED).replace("Origin: D", "Origin: Not-D")),
         "unknown"),
        (apt("= 2\n"), "unknown"),
        (apt((3, "", "cd: can't cd to /var/lib/apt/lists\n")), "unknown"),
        (apt("@ 1 .\n# x_Release\nLabel: security\n= 2\n@@ x\nrunc 1"), "unknown"),
        (apt("@ 1 .\n# x_Release\nLabel: security\n= 2\n@@ x\nrunc 1\n"), "unknown"),
        (rpm(""), "pass"),
        (rpm("RLSA-2024:0670 runc 4 1.1.12 1.el9 x86_64 -\n"), "pass"),
        (rpm("RLSA-2024:0670 runc 4 1.1.12 9.el9 x86_64 -\n"), "fail"),
        (rpm("RLSA-2024:0670 runc 4 1.1.12 9.el9 aarch64 -\n"), "pass"),
        (rpm("RLSA-2024:1 kernel-core - 5.14.0 427.el9 x86_64 -\n"), "pass"),
        (rpm("RLSA-2024:1 kernel-core - 5.14.0 570.el9 x86_64 -\n"), "fail"),
        (rpm("RLSA-2024:9 podman 3 5.0 1.module+el8 x86_64 container-tools:4.0\n"), "pass"),
        (rpm("RLSA-2024:9 podman 3 5.0 1.module+el8 x86_64 container-tools:rhel8\n"), "fail"),
        (rpm("RLSA-2024:9 podman 3 5.0 1.el8 x86_64 -\n"), "pass"),
        (rpm("", WEEK), "unknown"),
        (rpm(" !! /var/cache/dnf/x.gz\n"), "unknown"),
        (rpm("RLSA-2024:9 podman\n"), "unknown"),
        (host({RPM_DB.command: ROCKY, RPM.command: "= 4\n"}), "unknown"),
        (host({RPM_DB.command: ROCKY}), "unknown"),
        (apk(INDEX), "pass"),
        (apk(INDEX + "runc-1.1.12-r1                         < 1.1.12-r4\n"), "fail"),
        (apk("Installed:  Available:\n", "WARNING: opening x: No such file\n"), "unknown"),
        (apk("Installed:  Available:\n"), "unknown"),
        (apk(INDEX + "nonsense\n"), "unknown"),
        (host({PACMAN.command: "runc 1.3.3-1\n"}), "unknown"),
    ],
)  # fmt: skip
def test_repairs_that_wait(made: Host, expected: str) -> None:
    """A switched-off repository, another module stream, an older of several kernels: no alarm.
    Lists that are old, cut, unreadable or of no security archive: no pass."""
    try:
        found: Updates = get(made, "updates")
    except (Unknown, CannotAnswer):
        assert expected == "unknown"
    else:
        assert outcome(security_control, found, Policy(), STARTED) == expected


def test_a_site_says_how_old_lists_may_be() -> None:
    found = get(apt(APT_LISTS.format(when=WEEK, runc=FIXED)), "updates")
    policy = Policy(maximum_update_list_age=8)
    assert outcome(security_control, found, policy, STARTED) == "pass"


CONFIG = """APT "";
APT::Periodic "";
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "{on}";
Unattended-Upgrade::Origins-Pattern "";
Unattended-Upgrade::Origins-Pattern:: "origin=Debian,codename=${{distro_codename}}{which}";
"""
SECURITY = "-security,label=Debian-Security"
RUN = "apt-daily{0} loaded {1} waiting x\napt-daily-upgrade{0} loaded {1} waiting x\n"
TIMERS = RUN.format(".timer", "active")
FILES_ON = "apt-daily.timer enabled enabled\napt-daily-upgrade.timer enabled enabled\n"
UPGRADES = DEBIAN + "installed unattended-upgrades 2.9.1 all\n"


def debian(
    on: str = "1", which: str = SECURITY, packages: str = UPGRADES, units: str = TIMERS,
    files: str = FILES_ON, lists: str = APT_LISTS, config: str = CONFIG,
) -> Host:  # fmt: skip
    return host(
        {DPKG.command: packages, APT.command: lists.format(when=NOW, runc=FIXED)},
        config=config.format(on=on, which=which), services_units=units, files=files,
        booted="/run/systemd/system\n", links=(1, ""),
    )  # fmt: skip


def other(unit: str, text: str = "", state: str = "enabled", active: str = "active") -> Host:
    """A host of another kind, with one unit and one file of settings."""
    return host(
        {RPM_DB.command: ROCKY}, services_units=f"{unit} loaded {active} waiting x\n",
        files=f"{unit} {state} disabled\n", booted="/run/systemd/system\n", links=(1, ""),
        sweep=(2, text),
    )  # fmt: skip


DNF = "/etc/dnf/automatic.conf:[commands]\n/etc/dnf/automatic.conf:apply_updates = {}\n"


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (debian(), "pass"),
        (debian(which=",label=Debian"), "fail"),
        (debian(which="*"), "pass"),
        (debian(on="0"), "manual"),
        (debian(on="always"), "pass"),
        (debian(config=CONFIG + 'APT::Periodic::Enable "0";\n'), "manual"),
        (debian(config=CONFIG.replace('Lists "1"', 'Lists "0"')), "fail"),
        (debian(config=CONFIG.lower().replace("unattended-upgrade::", "Unattended-Upgrade::")
                .replace("debian-security", "Debian-Security").replace("=debian", "=Debian")),
         "pass"),
        (debian(config=CONFIG + 'Unattended-Upgrade::Package-Blacklist:: ".*";\n'), "fail"),
        (debian(config=CONFIG + 'Unattended-Upgrade::Package-Blacklist:: "docker";\n'), "pass"),
        (debian(packages=DEBIAN), "fail"),
        (debian(packages=DEBIAN, on="0"), "manual"),
        (debian(units=RUN.format(".timer", "inactive")), "fail"),
        (debian(files=FILES_ON.replace("enabled", "masked", 1)), "fail"),
        (debian(files=FILES_ON.replace("upgrade.timer enabled", "upgrade.timer disabled")), "fail"),
        (debian(units="x.timer loaded active waiting x\n", files="x.timer enabled x\n"), "fail"),
        (debian(lists="= 2\n"), "unknown"),
        (debian(lists="# x_InRelease\nOrigin: Debian\nLabel: Debian\n= 2\n"), "unknown"),
        (debian(config="nonsense\n"), "unknown"),
        (other("dnf-automatic-install.timer"), "pass"),
        (other("dnf-automatic-install.timer", state="disabled"), "fail"),
        (other("dnf-automatic.timer", DNF.format("yes")), "pass"),
        (other("dnf-automatic.timer", DNF.format("no")), "manual"),
        (other("dnf5-automatic.timer", DNF.format("true")), "pass"),
        (other("dnf5-automatic.timer"), "manual"),
        (other("transactional-update.timer"), "pass"),
        (other("rpm-ostreed-automatic.timer",
               "/etc/rpm-ostreed.conf:AutomaticUpdatePolicy=stage\n"), "pass"),
        (other("rpm-ostreed-automatic.timer", "/etc/rpm-ostreed.conf:[Daemon]\n"), "manual"),
        (other("update-engine.service"), "pass"),
        (other("update-engine.service", active="inactive", state="masked"), "fail"),
        (other("update-engine.service", "/etc/flatcar/update.conf:SERVER=disabled\n"), "fail"),
        (other("zincati.service"), "pass"),
        (other("docker.service"), "manual"),
    ],
)  # fmt: skip
def test_what_installs_them(made: Host, expected: str) -> None:
    try:
        found: Automatic = get(made, "automatic_updates")
    except (Unknown, CannotAnswer):
        assert expected == "unknown"
    else:
        assert outcome(automatic_control, found, Policy()) == expected


def test_without_systemd_cron_runs_it() -> None:
    for cron, faults in (("/etc/cron.daily/apt-compat\n", 0), ((1, ""), 1)):
        made = host(
            {DPKG.command: UPGRADES, APT.command: APT_LISTS.format(when=NOW, runc=FIXED)},
            config=CONFIG.format(on="1", which=SECURITY), cron=cron, booted=(1, ""),
            links="/etc/rc2.d/S01cron\n", services_units=MISSING, files=MISSING,
        )  # fmt: skip
        assert len(get(made, "automatic_updates").faults) == faults


def test_a_site_says_who_installs_updates() -> None:
    nothing = Automatic("", note="not installed")
    for policy, expected in ((None, "manual"), (True, "fail"), (False, "not-applicable")):
        assert outcome(automatic_control, nothing, Policy(automatic_updates=policy)) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("o=Ubuntu,a=noble-security", True),
        ("origin=${distro_id},suite=${distro_codename}-security", True),
        ("origin=Ubuntu,archive=noble", False),
        ("origin=Ubuntu", True),
        ("o=*,n=*-security", False),
        (r"origin=Google\, Inc.", False),
        ("site=security.ubuntu.com,component=main", True),
        ("site=www.example.com", False),
        ("nonsense", False),
        ("", False),
    ],
)
def test_patterns_of_origins(pattern: str, expected: bool) -> None:
    archive = Archive("Ubuntu", "Ubuntu", "noble-security", "noble", site="security.ubuntu.com")
    ubuntu = Distribution("ubuntu", ("debian",), "24.04", {"VERSION_CODENAME": "noble"})
    assert matches(pattern, archive, ubuntu) is expected


def test_allowed_origins_and_several_lines() -> None:
    found = parse_apt_config(['A::b:: "x";', 'a::B:: "y";', 'Dir "/";', ""])
    assert found["a::b::"] == ["x", "y"]
    assert automatic.automatic_updates.__name__ == "automatic_updates"
