"""What a plain Debian has that these hosts leave out, as they share a clock and a firewall."""

from __future__ import annotations

from tests.live.hosts.overlay import OverlayHost

TIMESYNCD = "/etc/systemd/system/systemd-timesyncd.service.d/here.conf"


def plain(host: OverlayHost) -> None:
    # Debian's systemd brings /var/log/journal, which hosts like these start without.
    host.run("mkdir -p /var/log/journal && systemd-tmpfiles --create --prefix /var/log/journal")
    host.run("journalctl --flush")
    # timesyncd does not start in containers, as this one says it is; here it hears nobody.
    host.write(TIMESYNCD, "[Unit]\nConditionVirtualization=\n")
    host.write("/etc/systemd/timesyncd.conf.d/here.conf", "[Time]\nNTP=127.0.0.1\nFallbackNTP=\n")
    host.run("systemctl daemon-reload && systemctl start systemd-timesyncd")
    host.run("touch /run/systemd/timesync/synchronized")
    # dockerd does it where it is the one that switches forwarding on: not on this machine.
    host.run("iptables -P FORWARD DROP")
