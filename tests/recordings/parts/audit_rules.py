"""Audit rules. The kernel lists its own to no pid namespace but the first, so on these hosts a
script stands in for auditctl(8) and prints what the real one (3.0.9) prints of such rules."""

from __future__ import annotations

from collections.abc import Iterable

from tests.live.hosts.overlay import OverlayHost

__all__ = ["EVERYTHING", "install", "rotten", "sound"]

SCRIPT = """\
#!/bin/sh
[ "$(id -u)" = 0 ] || { echo 'You must be root to run this program.' >&2; exit 4; }
case $1 in
    -l) exec cat /usr/local/share/audit/loaded ;;
    -s) exec cat /usr/local/share/audit/status ;;
esac
exit 1
"""

STATUS = """\
enabled {enabled}
failure 1
pid {pid}
rate_limit 0
backlog_limit 8192
lost {lost}
backlog 0
backlog_wait_time 60000
backlog_wait_time_actual 0
loginuid_immutable 0 unlocked
"""

PROGRAMS = (
    "/usr/sbin/dockerd", "/usr/bin/containerd", "/usr/bin/containerd-shim",
    "/usr/bin/containerd-shim-runc-v1", "/usr/bin/containerd-shim-runc-v2", "/usr/sbin/runc",
)  # fmt: skip

FILES = (
    "/run/containerd", "/var/lib/docker", "/etc/docker", "/lib/systemd/system/docker.service",
    "/etc/systemd/system/docker.service.d", "/lib/systemd/system/docker.socket",
    "/etc/default/docker", "/etc/sysconfig/docker", "/etc/containerd/config.toml",
)  # fmt: skip

EVERYTHING = (
    *(f"-w {path} -p rwxa -k docker" for path in PROGRAMS),
    *(f"-w {path} -p wa -k docker" for path in FILES),
)

LOOKALIKES = (
    "-a never,exit -S all -F path=/usr/sbin/dockerd -F key=docker",
    "-w /etc/docker/daemon.json -p r -k docker",
    "-a always,exit -S all -F path=/usr/bin/containerd -F perm=x -F auid>=1000 -F auid!=-1",
    "-w /var/lib/docker -p wa -k docker",
)
"""What a search of the list for a name takes for rules."""


CONFIG = "f=/etc/containerd/config.toml; [ -e $f ] || install -D /dev/null $f"


def install(
    host: OverlayHost,
    loaded: Iterable[str],
    written: Iterable[str] = (),
    enabled: int = 1,
    lost: int = 0,
    daemon: bool = True,
) -> str:
    """Let a host have an audit system with these rules loaded, and these in its files.

    :returns: the pid of what stands in for auditd, or 0.
    """
    pid = "0"
    if daemon:
        started = "bash -c 'exec -a auditd sleep infinity' >/dev/null 2>&1 </dev/null & echo $!"
        pid = host.run(started).stdout.strip()
    place = "/usr/local/share/audit"
    host.write(f"{place}/loaded", "".join(f"{rule}\n" for rule in loaded) or "No rules\n")
    host.write(f"{place}/status", STATUS.format(enabled=enabled, pid=pid, lost=lost))
    text = "".join(f"{rule}\n" for rule in ("-D", "-b 8192", *written))
    host.write("/etc/audit/rules.d/docker.rules", text, 0o640)
    host.write("/usr/sbin/auditctl", SCRIPT, 0o755)
    return pid


def sound(host: OverlayHost) -> None:
    host.run(
        "[ -e /etc/containerd/config.toml ] || install -D /dev/null /etc/containerd/config.toml"
    )
    install(host, EVERYTHING, EVERYTHING)


def rotten(host: OverlayHost) -> None:
    host.run(
        "[ -e /etc/containerd/config.toml ] || install -D /dev/null /etc/containerd/config.toml"
    )
    install(host, LOOKALIKES, EVERYTHING, lost=12, daemon=False)
