"""Accounts, sudo, cron and logins: in order on ``sound``, with every fault on ``rotten``.

A script of no content stands in for cron's crontab, which this machine lacks: what counts is that
it is there, and its mode.
"""

from __future__ import annotations

from tests.live.hosts.overlay import OverlayHost
from tests.live.test_accounts import BEGIN, FLIPS


def sound(host: OverlayHost) -> None:
    host.run(f"({BEGIN}) 2>&1".replace("mallory", "alfred"))
    host.write("/etc/sudoers.d/alfred", "alfred ALL=(root) /usr/bin/docker restart web\n", 0o440)


def rotten(host: OverlayHost) -> None:
    # Podman's part has two ranges overlap, and needs those of its own user to be the first.
    faults = [wrong for name, (wrong, _) in FLIPS.items() if name != "subordinate-ids"]
    script = BEGIN + "\n".join(faults) + "\n:"
    host.run(f"({script}) 2>&1".replace("mallory", "ralph"))
