"""Which services a host asks for accounts and groups; nsswitch.conf(5)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.registry import provide
from hullcheck.facts.texts import known, sweep, texts
from hullcheck.transport import session_of

__all__ = ["SWITCH", "NameServices", "name_services"]

PATHS = ("/etc/nsswitch.conf", "/usr/etc/nsswitch.conf", "/etc/passwd")
SWITCH = sweep(PATHS)

LOCAL = frozenset({"files", "compat", "db", "systemd", "altfiles", "extrausers", "cache",
                   "mymachines", "usrfiles", "sss"})  # fmt: skip
"""What knows of no uid 0 but the files'. sssd is one of them: it filters root out (sssd.conf(5),
``min_id``)."""


@dataclass(frozen=True, slots=True)
class NameServices:
    """:param sources: of each table, in order. ``local``: the names in /etc/passwd itself."""

    sources: dict[str, tuple[str, ...]]
    local: frozenset[str]

    def directories(self, table: str) -> list[str]:
        """Return those that may add any account at all to a table."""
        return [each for each in self.sources.get(table, ()) if each not in LOCAL]


@provide
def name_services(host: Host) -> NameServices:
    """What the host asks for its accounts. :raises Unknown: it cannot be read."""
    found = texts(session_of(host).ask(SWITCH)[0])
    text = next((each for path in PATHS[:2] if (each := known(found.get(path))) is not None), "")
    sources = {}
    for line in text.split("\n"):
        table, colon, rest = line.partition("#")[0].partition(":")
        if colon:
            plain = re.sub(r"\[[^\]]*\]", " ", rest)
            sources[table.strip()] = tuple(plain.split())
    passwd = known(found.get("/etc/passwd"))
    if passwd is None:
        raise Unknown("/etc/passwd cannot be read")
    return NameServices(sources, frozenset(each.partition(":")[0] for each in passwd.split("\n")))
