"""A plain Debian with Docker, installed from nothing as their documentation says.

The other hosts are laid over the root of the test machine, which has compilers, repositories and
accounts of its own. This one has what Debian's installer and ``apt install docker.io`` bring.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tests.live.hosts.overlay import STATES
from tests.live.hosts.seed import put
from tests.live.hosts.systemd import SystemdHost

__all__ = ["PlainDebian", "plain_root"]

PACKAGES = (
    "openssh-server", "sudo", "docker.io", "apparmor", "dbus", "systemd-sysv", "systemd-timesyncd",
    "libpam-systemd", "cron", "logrotate", "iptables", "ca-certificates", "unattended-upgrades",
)  # fmt: skip
SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
RELEASE = "bookworm"

UPDATED = """
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq && apt-get dist-upgrade -qq -y >/dev/null && apt-get clean
printf 'APT::Periodic::Update-Package-Lists "1";\nAPT::Periodic::Unattended-Upgrade "1";\n' \
    >/etc/apt/apt.conf.d/20auto-upgrades
"""


def plain_root() -> Path:
    """Return the root file system of a plain Debian; made once (two minutes, and a network)."""
    place = STATES / "plain-debian"
    if not place.exists():
        made = STATES / "plain-debian.new"
        shutil.rmtree(made, ignore_errors=True)
        found = re.search(r"^URIs: (\S+)", SOURCES.read_text(), re.MULTILINE)
        if found is None:
            raise RuntimeError(f"{SOURCES} names no mirror")
        include = f"--include={','.join(PACKAGES)}"
        argv = ["debootstrap", include, RELEASE, str(made), found[1]]
        subprocess.run(argv, check=True, capture_output=True)
        (made / "etc/apt/sources.list").unlink(missing_ok=True)
        shutil.copy(SOURCES, made / "etc/apt/sources.list.d/debian.sources")
        shutil.copy("/etc/resolv.conf", made / "etc/resolv.conf")
        subprocess.run(["chroot", str(made), "sh", "-c", UPDATED], check=True, capture_output=True)
        made.rename(place)
    return place


class PlainDebian(SystemdHost):
    """Debian with systemd, sshd and docker.io, and nothing else."""

    def seed(self, root: Path) -> None:
        self.lower = plain_root()
        super().seed(root)
        # Debian's own settings of sshd, and the place where this host listens.
        place = f"Port {self.port}\nListenAddress {self.address}\n"
        put(root, "etc/ssh/sshd_config.d/address.conf", place)
        put(root, "etc/ssh/sshd_config", (self.lower / "etc/ssh/sshd_config").read_text())
