"""Where messages go: one route, and whether its end is another host."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass

__all__ = ["FILE", "PROGRAM", "REMOTE", "Route", "elsewhere", "host_of_target", "selects"]

REMOTE, FILE, PROGRAM = "remote", "file", "program"

LOGINS = frozenset({"*", "auth", "authpriv", "security"})
"""Facilities of what tells of logins, su and sudo; syslog(3)."""

ALL = frozenset({"*", "debug", "info"})
"""Priorities from which on logins are told of."""


@dataclass(frozen=True, slots=True)
class Route:
    """A way that messages take.

    :param kind: remote, file or program. ``target``: a host, a path or a program.
    :param whole: whether what tells of logins takes it, whatever else a message says.
    :param via: the daemon that sends them.
    """

    kind: str
    target: str
    whole: bool
    via: str

    def __str__(self) -> str:
        some = "" if self.whole else " (some messages)"
        return f"{self.via} to {self.target}{some}"


def elsewhere(target: str, own: Collection[str] = ()) -> bool:
    """Whether a host's name or address is another host's.

    :param own: names of this host.
    """
    name = target.strip().strip("[]").rstrip(".").lower()
    if not name or name in ("localhost", "localhost.localdomain", "ip6-localhost", "(null)"):
        return False
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        names = {each.lower() for each in own}
        return name not in names and name.partition(".")[0] not in names
    mapped = getattr(address, "ipv4_mapped", None) or address
    return not (mapped.is_loopback or mapped.is_unspecified)


def host_of_target(text: str) -> str:
    """Return the host in ``host``, ``host:port``, ``[v6]:port`` or a URL."""
    rest = text.strip().partition("://")[2] or text.strip()
    rest = rest.partition("/")[0].rpartition("@")[2]
    if rest.startswith("["):
        return rest[1:].partition("]")[0]
    return rest.rpartition(":")[0] if re.search(r"^[^:]*:\d+$", rest) else rest


def selects(selector: str) -> bool:
    """Whether a selector of syslog.conf(5) takes all that tells of logins.

    Its parts count one after another: ``*.*;auth.none`` leaves logins out.
    """
    taken: dict[str, bool] = {}
    for part in selector.split(";"):
        facilities, dot, priority = part.strip().rpartition(".")
        if not dot:
            return False
        for each in facilities.lower().split(","):
            name = each.strip()
            if name in LOGINS:
                names = LOGINS - {"*"} if name == "*" else {name}
                taken.update(dict.fromkeys(names, priority.strip().lower() in ALL))
    # su, sudo and PAM are authpriv; some systems' sshd is auth.
    return taken.get("authpriv", False) and taken.get("auth", True)
