"""Packages, updates, kernels and old services on real hosts: made wrong, audited, mended.

dpkg's and apt's own databases and lists are written to in their own forms; nothing is installed.
For a host of the Red Hat family a script that prints what rpm prints stands in for rpm.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from hullcheck.inventory.policy import Policy
from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.systemd import SystemdHost
from tests.live.test_host import audit, status
from tests.recordings.parts.packages import (
    APT_CONF,
    COMPILERS,
    INSTALLED,
    LISTS,
    PATTERN,
    add_package,
    fetch_lists,
    offered,
    timers,
)

pytestmark = pytest.mark.live

CONTROLS = ("engine-programs-intact", "engine-program-versions", "kernel-current",
            "engine-restarted", "security-updates", "automatic-updates", "legacy-services",
            "compilers")  # fmt: skip


@pytest.fixture(scope="module")
def host() -> Iterator[SystemdHost]:
    """Debian 12 with its own docker.io below systemd: this module's own, as it is changed a lot.

    What the test machine has beside Debian's packages is taken away.
    """
    with SystemdHost("hostpkg", layout="v2") as made:
        made.run(f"rm -f /usr/local/bin/docker; {COMPILERS}")
        yield made


def several(host: OverlayHost, *controls: str, policy: Policy | None = None) -> dict[str, str]:
    found = audit(host, *controls, policy=policy)
    return {each.control.removeprefix("host."): str(each.status) for each in found}


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def test_debian_as_documented(host: SystemdHost) -> None:
    """What is wrong there is wrong: its runc never got the repairs of November 2025. Nothing is
    written by any of this, whoever asks."""
    fetch_lists(host, INSTALLED, now())
    since = host.mark()
    expected = {
        "engine-programs-intact": "pass", "engine-program-versions": "fail",
        "kernel-current": "not-applicable", "engine-restarted": "pass", "security-updates": "pass",
        "automatic-updates": "manual", "legacy-services": "pass", "compilers": "pass",
    }  # fmt: skip
    assert several(host, *CONTROLS) == expected
    assert host.written(since) == []


def test_programs_that_were_changed(host: SystemdHost) -> None:
    name = "engine-programs-intact"
    sums = "/var/lib/dpkg/info/conmon.md5sums"
    strip = f"cp -p {sums} /root/ && sed -i '/bin.conmon$/d' {sums}"
    back = "cp -p /root/conmon /usr/bin/conmon"
    divert = "mv /usr/bin/conmon /usr/bin/conmon.distrib; cp /usr/bin/true /usr/bin/conmon"
    other = "printf '%s\\n' /usr/bin/conmon /usr/bin/conmon.distrib : >>/var/lib/dpkg/diversions"
    restore = f"sed -i '/conmon/,+2d' /var/lib/dpkg/diversions; rm -f /usr/bin/conmon*; {back}"
    for wrong, right, expected in (
        ("printf x >>/usr/bin/conmon", back, "fail"),
        ("rm /usr/bin/conmon", back, "fail"),
        ("rm -r /usr/share/doc/docker.io", "true", "pass"),
        ("printf x >>/etc/default/docker", "true", "pass"),
        (strip, f"mv /root/conmon.md5sums {sums}", "unknown"),
        (f"{divert}; {other}", restore, "pass"),
        (f"{divert}; {other}; printf x >>/usr/bin/conmon.distrib", restore, "fail"),
    ):
        host.run(f"cp -p /usr/bin/conmon /root/; {wrong}")
        found = status(host, name)
        host.run(right)
        assert found == expected, wrong


def test_versions_that_are_repaired(host: SystemdHost) -> None:
    """A static program of today's in the place of Debian's, and one that others may write."""
    host.run("cp -p /usr/sbin/runc /root/runc && rm /usr/sbin/runc")
    try:
        host.write("/usr/sbin/runc", "#!/bin/sh\necho runc version 1.4.1\n", 0o755)
        [found] = audit(host, "engine-program-versions")
        assert {each.object.name: str(each.status) for each in found.findings} == {
            "/usr/bin/containerd": "manual", "/usr/bin/podman": "manual",
            "/usr/sbin/dockerd": "manual", "/usr/sbin/runc": "pass",
        }  # fmt: skip
        host.write("/usr/sbin/runc", "#!/bin/sh\ntouch /root/ran\n", 0o757)
        assert status(host, "engine-program-versions") == "unknown"
        host.run("test ! -e /root/ran")
    finally:
        host.run("mv /root/runc /usr/sbin/runc")


def test_what_waits_for_a_restart(host: SystemdHost) -> None:
    """A newer kernel beside the one that runs, an update's mark, and programs that were replaced:
    of the engine itself, which its restart mends."""
    host.run("touch /boot/vmlinuz-$(uname -r)")
    replace = "f=/usr/bin/containerd; cp -p $f $f.new && mv $f.new $f"
    assert status(host, "kernel-current") == "pass"
    host.run(f"touch /boot/vmlinuz-99.$(uname -r); {replace}")
    both = ("kernel-current", "engine-restarted")
    assert several(host, *both) == {"kernel-current": "fail", "engine-restarted": "fail"}
    host.run("rm /boot/vmlinuz-99.*; echo libc6 >/run/reboot-required.pkgs")
    host.run("touch /run/reboot-required; systemctl restart containerd")
    assert several(host, *both) == {"kernel-current": "fail", "engine-restarted": "pass"}
    host.run("rm /run/reboot-required*")


def test_repairs_that_wait(host: SystemdHost) -> None:
    name = "security-updates"
    fetch_lists(host, offered("runc 1.1.5+ds1-1+deb12u9 amd64"), now())
    assert status(host, name) == "fail"
    fetch_lists(host, INSTALLED, "2026-01-01")
    assert status(host, name) == "unknown"
    assert status(host, name, Policy(maximum_update_list_age=100_000)) == "pass"
    host.run(f"mv {LISTS} {LISTS}.off")
    assert status(host, name) == "unknown"
    host.run(f"mv {LISTS}.off {LISTS}")


def test_what_installs_them(host: SystemdHost) -> None:
    name = "automatic-updates"
    fetch_lists(host, INSTALLED, now())
    host.write("/etc/apt/apt.conf.d/20auto-upgrades", APT_CONF.format(security=PATTERN))
    add_package(host, "unattended-upgrades", "2.9.1+nmu3")
    timers(host, "disable --now")
    [found] = audit(host, name)
    assert found.status == "fail"
    assert "apt-daily-upgrade.timer does not run" in found.reason
    timers(host, "enable --now")
    assert status(host, name) == "pass"


def test_old_services_and_compilers(host: SystemdHost) -> None:
    """By what runs, not by what it calls itself; by a unit that will be started."""
    both = ("legacy-services", "compilers")
    host.run("cp /usr/bin/sleep /usr/sbin/in.telnetd; cp /usr/bin/sleep /usr/local/bin/clang-15")
    pids = host.run("in.telnetd 1000 >/dev/null 2>&1 </dev/null & echo $!").stdout.strip()
    found = several(host, *both)
    host.run(f"kill {pids}; rm /usr/sbin/in.telnetd; chmod o-x /usr/local/bin/clang-15")
    assert found == {"legacy-services": "fail", "compilers": "fail"}
    pretends = "setpriv --reuid 65534 bash -c 'printf telnetd >/proc/self/comm; read x' <>/dev/zero"
    pids = host.run(f"{pretends} >/dev/null 2>&1 & echo $!", check=False).stdout.strip()
    unit = "[Socket]\nListenDatagram=127.0.0.1:6969\n[Install]\nWantedBy=sockets.target\n"
    host.write("/etc/systemd/system/tftp.socket", unit)
    host.run("systemctl daemon-reload && systemctl enable tftp.socket")
    allowed, refused = Policy(services_allowed=("tftp",)), Policy()
    assert status(host, "legacy-services", allowed) == "pass"
    assert several(host, *both, policy=refused) == {both[0]: "fail", both[1]: "pass"}
    host.run(f"kill {pids} 2>/dev/null", check=False)


RPM = r"""#!/bin/sh
# Prints what rpm 4.16 prints on Rocky Linux 9.
case "$*" in
--version) echo "RPM version 4.16.1.3" ;;
*installed*) echo "installed runc 4:1.1.9-1.el9 x86_64" ;;
-qa*) echo runc ;;
-qf*) case "$*" in */usr/sbin/runc) case "$3" in *" "*) echo "runc $4" ;; *) echo runc ;; esac ;;
      *) echo "file is not owned by any package"; exit 1 ;; esac ;;
-V*) cat /root/verify ;;
esac
"""
UPDATEINFO = """<?xml version="1.0" encoding="UTF-8"?>
<updates><update from="releng@rockylinux.org" status="final" type="security" version="2.0">
  <id>RLSA-2024:0670</id><severity>Important</severity>
  <pkglist><collection short="appstream"><name>Rocky Linux 9</name>
    <package name="runc" version="1.1.12" release="1.el9_3" epoch="4" arch="x86_64"
      src="runc-1.1.12-1.el9_3.src.rpm"><filename>runc-1.1.12-1.el9_3.x86_64.rpm</filename></package>
    <package name="other" version="9" release="1" epoch="0" arch="x86_64"/>
  </collection></pkglist></update>
</updates>
"""
CACHE = "/var/cache/dnf/appstream-0123456789abcdef/repodata"


def test_a_host_of_the_red_hat_family() -> None:
    with OverlayHost("rocky") as host:
        host.write("/etc/os-release", 'ID="rocky"\nID_LIKE="rhel centos fedora"\n')
        host.run(
            "rm -rf /var/lib/dpkg; mkdir /var/lib/rpm; rm /usr/local/bin/docker;"
            " cd /usr/bin && rm -f docker podman containerd* conmon runc ../sbin/docker*"
        )
        host.write("/usr/bin/rpm", RPM, 0o755)
        host.write("/root/verify", "S.5....T.  c /etc/runc.conf\n")
        host.write("/etc/yum.repos.d/rocky.repo", "[appstream]\nname=x\nenabled=1\n")
        host.write(f"{CACHE}/1-updateinfo.xml", UPDATEINFO)
        host.run(f"gzip {CACHE}/1-updateinfo.xml")
        both = ("security-updates", "engine-programs-intact")
        found = audit(host, *both)
        assert [str(each.status) for each in found] == ["fail", "pass"], found
        newer = re.sub(r"1\.1\.9-1", "1.1.12-1", RPM).replace("el9 x86", "el9_3 x86")
        host.write("/usr/bin/rpm", newer, 0o755)
        host.write("/root/verify", "S.5....T.    /usr/sbin/runc\n")
        assert several(host, *both) == {both[0]: "pass", both[1]: "fail"}
