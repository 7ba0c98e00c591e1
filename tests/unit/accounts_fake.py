"""Hosts with accounts and files of sudo, for unit tests."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from testinfra.host import Host

from hullcheck.catalogue import all_controls
from hullcheck.facts.sudo_files import FIRST, NAME, VERSION, sudoers_want
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.transport import session_of
from hullcheck.verdict import Verdict
from tests.unit.fake import Reply, host_with

PASSWD = (
    "root:x:0:0::/root:/bin/bash\ndaemon:x:1:1::/usr/sbin:/usr/sbin/nologin\n"
    "alice:x:1000:1000::/home/alice:/bin/bash\nbob:x:1001:27::/home/bob:/bin/bash\n"
    "carol:x:1002:1002::/home/carol:/bin/bash\n"
)
GROUP = "root:x:0:\nsudo:x:27:alice\nalice:x:1000:\ncarol:x:1002:\nops:x:500:carol\n"
ACCOUNTS: dict[str, Reply] = {"getent passwd": PASSWD, "getent group": GROUP}
MISSING = {f"getent group {name}": (2, "") for name in ("admin", "wheel", "gone", "docker")}


def swept(files: Mapping[str, str]) -> str:
    """What the sweep over sudo's files prints of some."""
    lines = (f"{path}:{line}\n" for path, text in files.items() for line in text.split("\n"))
    return "".join(lines) + "= end\n"


def sudo_host(
    files: Mapping[str, str],
    *,
    stderr: str = "",
    version: str = "Sudo version 1.9.13p3\n",
    more: Mapping[str, Mapping[str, str]] | None = None,
    answers: Mapping[str, Reply] | None = None,
) -> Host:
    """A host with these files; ``more``: what is included, by the folder or file asked for."""
    later: dict[str, Reply] = {
        sudoers_want([path]).command: swept(found) for path, found in (more or {}).items()
    }
    return host_with(
        {
            **ACCOUNTS,
            **MISSING,
            FIRST.command: (0, swept(files), stderr),
            VERSION.command: version,
            NAME.command: "web1.example.com\n",
            **later,
            **(answers or {}),
        }
    )


def judged(control: str, host: Host, policy: Policy | None = None, **facts: Any) -> Verdict:
    """Judge a host control, with these facts instead of its own."""
    for name, value in facts.items():
        session_of(host).recall(("provider", name), partial(lambda given: given, value))
    return judge(all_controls()[f"host.{control}"], host, Site(policy=policy or Policy()))
