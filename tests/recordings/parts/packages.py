"""Packages, their updates, kernels and old services: all in order on ``sound``, none on
``rotten``.

No packages are installed: entries in dpkg's own database, in its form, stand for them. The lists of
apt on ``sound`` are written in apt's form, of the day of the recordings' run; what is from
security.debian.org in them is what is installed.
"""

from __future__ import annotations

from datetime import timedelta

from tests.live.hosts.overlay import OverlayHost
from tests.recordings.book import index

STANZA = """
Package: {name}
Status: install ok installed
Maintainer: Nobody <nobody@example.org>
Architecture: all
Version: {version}
Description: stands for the package

"""
RELEASE = """Origin: Debian
Label: {label}
Suite: {suite}
Codename: {codename}
"""
LISTS = "/var/lib/apt/lists"
SECURITY = f"{LISTS}/security.debian.org_debian-security_dists_bookworm-security"
MAIN = f"{LISTS}/deb.debian.org_debian_dists_bookworm"

APT_CONF = """APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
Unattended-Upgrade::Origins-Pattern {{
        "origin=Debian,codename=${{distro_codename}},label=Debian";
{security}}};
"""
PATTERN = '        "origin=Debian,codename=${distro_codename}-security,label=Debian-Security";\n'

QUIET = "[Service]\nExecStart=\nExecStart=/bin/true\nExecStartPre=\n"
"""What apt's timers start on a recorded host: nothing that fetches or installs."""

COMPILERS = (
    "find -L /usr/local/bin /usr/bin -maxdepth 1 -type f -perm -001 '(' -name cc -o -name 'gcc*'"
    " -o -name 'c++*' -o -name 'g++*' -o -name '*-linux-*' -o -name as -o -name go"
    " -o -name 'clang*' -o -name rustc -o -name tcc -o -name nasm -o -name javac ')'"
    " -exec chmod o-x {} + 2>/dev/null; true"
)


def add_package(host: OverlayHost, name: str, version: str, *files: str) -> None:
    """Enter a package into dpkg's database as the one that has brought some files."""
    host.run("cat >>/var/lib/dpkg/status", stdin=STANZA.format(name=name, version=version).encode())
    info = f"/var/lib/dpkg/info/{name}"
    host.write(f"{info}.list", "".join(f"{each}\n" for each in ("/.", *files)))
    plain = " ".join(each.removeprefix("/") for each in files)
    host.run(f"cd / && {{ [ -z '{plain}' ] || md5sum {plain}; }} >{info}.md5sums")


def fetch_lists(host: OverlayHost, stanzas: str, when: str = "") -> None:
    """Let a host have lists of apt with these packages in the archive of security updates.

    :param when: they were fetched; some hours before the recordings are judged, if left out.
    """
    judged = next(iter(index().values())).started
    when = when or (judged - timedelta(hours=15)).isoformat()
    host.run(f"rm -rf {LISTS}/* && mkdir -p {LISTS}/partial")
    main = RELEASE.format(label="Debian", suite="oldstable", codename="bookworm")
    host.write(f"{MAIN}_InRelease", main)
    security = RELEASE.format(
        label="Debian-Security", suite="oldstable-security", codename="bookworm-security"
    )
    host.write(f"{SECURITY}_InRelease", security)
    host.write(f"{SECURITY}_main_binary-amd64_Packages", stanzas)
    host.run(f"touch -d {when} {LISTS} {LISTS}/*; rm -f /var/lib/apt/periodic/*stamp")


def offered(*packages: str) -> str:
    """Return stanzas of packages, given as NAME VERSION ARCHITECTURE."""
    rows = (each.split() for each in packages)
    return "".join(
        f"Package: {name}\nVersion: {version}\nInstalled-Size: 9\nArchitecture: {architecture}\n\n"
        for name, version, architecture in rows
    )


INSTALLED = offered("containerd 1.6.20~ds1-1+deb12u2 amd64", "runc 1.1.5+ds1-1+deb12u1 amd64")


def timers(host: OverlayHost, action: str) -> None:
    for name in ("apt-daily", "apt-daily-upgrade"):
        host.write(f"/etc/systemd/system/{name}.service.d/quiet.conf", QUIET)
    host.run(
        "[ -d /run/systemd/system ] || exit 0; systemctl daemon-reload && "
        f"systemctl {action} apt-daily.timer apt-daily-upgrade.timer"
    )


def sound(host: OverlayHost) -> None:
    host.run("rm -f /usr/local/bin/docker; touch /boot/vmlinuz-$(uname -r)")
    add_package(host, "cri-o", "1.34.0-1.1", "/usr/bin/crio")
    add_package(host, "kubelet", "1.34.0-1.1", "/usr/bin/kubelet")
    add_package(host, "unattended-upgrades", "2.9.1+nmu3")
    fetch_lists(host, INSTALLED)
    host.write("/etc/apt/apt.conf.d/20auto-upgrades", APT_CONF.format(security=PATTERN))
    timers(host, "enable --now")
    host.run(COMPILERS)


def rotten(host: OverlayHost) -> None:
    host.run(
        "r=$(uname -r); touch /boot/vmlinuz-$r;"
        " touch /boot/vmlinuz-99.$r /run/reboot-required; echo libc6 >/run/reboot-required.pkgs"
    )
    host.run("printf x >>/usr/bin/conmon")
    # What runs goes on with the old file.
    host.run("f=/usr/bin/containerd-shim-runc-v2; cp -p $f $f.new && mv $f.new $f")
    add_package(host, "telnetd", "0.17+2.4-2+deb12u1")
    fetch_lists(host, offered("runc 1.1.5+ds1-1+deb12u9 amd64"))
    host.write("/etc/apt/apt.conf.d/20auto-upgrades", APT_CONF.format(security=""))
    timers(host, "disable --now")


def plain(host: OverlayHost) -> None:
    """Start what Debian's preset starts, and hosts with a systemd of their own leave out."""
    timers(host, "enable --now")
