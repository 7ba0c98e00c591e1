"""Accounts, sudo, cron and logins: in order on ``sound``, with every fault on ``rotten``.

A script of no content stands in for cron's crontab, which this machine lacks: what counts is that
it is there, and its mode.
"""

from __future__ import annotations

from tests.live.hosts.overlay import OverlayHost
from tests.live.test_accounts import BEGIN, FLIPS
from tests.recordings.parts.packages import add_package


def sound(host: OverlayHost) -> None:
    host.run(f"({BEGIN}) 2>&1".replace("mallory", "alfred"))
    host.write("/etc/sudoers.d/alfred", "alfred ALL=(root) /usr/bin/docker restart web\n", 0o440)
    host.run("chgrp crontab /usr/bin/crontab 2>/dev/null || groupadd -r crontab;"
             " chgrp crontab /usr/bin/crontab && chmod 2755 /usr/bin/crontab")  # fmt: skip
    add_package(host, "cron", "3.0pl1-162", "/usr/bin/crontab")


def rotten(host: OverlayHost) -> None:
    # Podman's part has two ranges overlap, and needs those of its own user to be the first.
    faults = [wrong for name, (wrong, _) in FLIPS.items() if name != "subordinate-ids"]
    script = BEGIN + "\n".join(faults) + "\n:"
    host.run(f"({script}) 2>&1".replace("mallory", "ralph"))
