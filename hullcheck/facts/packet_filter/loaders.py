"""What loads the packet filter when the host boots, and what it would load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.packet_filter.iptables import parse_save
from hullcheck.facts.packet_filter.nft_file import incoming
from hullcheck.facts.packet_filter.ruleset import PacketFilter
from hullcheck.facts.registry import get, provide
from hullcheck.facts.routes import Network
from hullcheck.facts.services import Service, Services
from hullcheck.facts.texts import known, lines_of, sweep, texts
from hullcheck.transport import session_of, want

__all__ = ["FILES", "HINTS", "Loaders", "filter_loaders"]


class _Rules(NamedTuple):
    """A file that a service restores: its path, and the protocol it is of."""

    path: str
    family: int


SAVED: dict[str, tuple[_Rules, ...]] = {
    "netfilter-persistent": (
        _Rules("/etc/iptables/rules.v4", 4), _Rules("/etc/iptables/rules.v6", 6),
    ),
    "iptables": (
        _Rules("/etc/sysconfig/iptables", 4), _Rules("/etc/iptables/rules-save", 4),
        _Rules("/var/lib/iptables/rules-save", 4), _Rules("/etc/iptables/iptables.rules", 4),
    ),
    "ip6tables": (
        _Rules("/etc/sysconfig/ip6tables", 6), _Rules("/etc/iptables/rules6-save", 6),
        _Rules("/var/lib/ip6tables/rules-save", 6), _Rules("/etc/iptables/ip6tables.rules", 6),
    ),
}  # fmt: skip
"""What services of Debian, Red Hat, Alpine, Gentoo and Arch restore, as iptables-save writes it."""

NFT_FILES = ("/etc/nftables.conf", "/etc/sysconfig/nftables.conf", "/etc/nftables.nft",
             "/var/lib/nftables/rules-save")  # fmt: skip
UFW = ("/etc/ufw/ufw.conf", "/etc/default/ufw")

OTHERS = ("firewalld", "shorewall", "shorewall6", "ferm", "SuSEfirewall2", "awall", "csf", "apf",
          "arno-iptables-firewall", "firehol", "vuurmuur", "iptables-restore-rules")  # fmt: skip
"""Services that keep a rule set of their own form, and load it."""

HINTS = want(
    "find -L /etc/rc.local /etc/rc.d/rc.local /etc/network /etc/network/interfaces.d "
    "/etc/network/if-*.d /etc/networkd-dispatcher/*.d /etc/NetworkManager/dispatcher.d "
    "/etc/systemd/system /etc/local.d /usr/local/bin /usr/local/sbin /opt/bin "
    "-maxdepth 1 -type f -size -128k -exec grep -lsE "
    "-e '^[[:blank:]]*(/[a-z/]*/)?(iptables|ip6tables|nft)(-[a-z0-9]+)*[[:blank:]]' "
    "-e '^[[:blank:]]*(ExecStart[A-Za-z]*=|(pre-|post-)?up |if ).*(ip6?tables|nft|firewall)' {} + "
    "| grep -vE '/(ip6?tables|x?tables|nft)[^/]*$' | sort -u",
    meaning=(0, 1),
)
"""Administrators' own scripts, by a line that starts such a tool. It only says whom to ask."""

FILES = sweep((*(each.path for group in SAVED.values() for each in group), *NFT_FILES, *UFW))


@dataclass(frozen=True, slots=True)
class Loaders:
    """The services that load a packet filter.

    :param enabled: those that the next boot starts; ``idle``: those it does not.
    :param files: what they would load, by path.
    :param hints: other files that may load one.
    """

    enabled: tuple[str, ...]
    idle: tuple[str, ...]
    files: Mapping[str, str | Unknown]
    hints: tuple[str, ...]

    def denies(self, family: int, network: Network) -> str:
        """Return what will become at the next boot of what strangers send to ports that nobody
        named: denied, open, or unsure.

        :raises Unknown: a file cannot be read.
        """
        found = [self._of(name, family, network) for name in self.enabled]
        return next((each for each in ("denied", "unsure") if each in found), "open")

    def _of(self, name: str, family: int, network: Network) -> str:
        if name in OTHERS:
            return "denied" if name == "firewalld" else "unsure"
        if name == "ufw":
            return self._ufw(family)
        if name == "nftables":
            return self._nft(family)
        texts_ = [known(self.files.get(each.path)) for each in SAVED[name] if each.family == family]
        for text in filter(None, texts_):
            saved = PacketFilter(parse_save(f"{text}\n", family).tables)
            return saved.incoming(family, network).verdict.replace("unknown", "unsure")
        return "open"

    def _ufw(self, family: int) -> str:
        values = {}
        for path in UFW:
            for line in (known(self.files.get(path)) or "").splitlines():
                name, equals, value = line.partition("=")
                if equals and not line.startswith("#"):
                    values[name.strip()] = value.strip().strip("\"'").lower()
        on = values.get("ENABLED") == "yes" and (family == 4 or values.get("IPV6") == "yes")
        return (
            "denied" if on and values.get("DEFAULT_INPUT_POLICY") in ("drop", "reject") else "open"
        )

    def _nft(self, family: int) -> str:
        texts_ = [known(self.files.get(path)) for path in NFT_FILES]
        found = [incoming(text, family) for text in texts_ if text]
        return next((each for each in ("denied", "unsure") if each in found), "open")


@provide
def filter_loaders(host: Host) -> Loaders:
    """What loads the packet filter at boot. :raises Unknown: the init system does not tell."""
    session_of(host).foresee(FILES, HINTS)
    services: Services = get(host, "services")
    enabled: list[str] = []
    idle: list[str] = []
    for name in (*SAVED, "nftables", "ufw", *OTHERS):
        found: Service | None = services.get(name)
        # systemd lists as well what others only name, and is not there.
        if found is not None and (found.enabled or found.active or found.state):
            (enabled if found.enabled else idle).append(name)
    files, hints = session_of(host).ask(FILES, HINTS)
    units = {f"/etc/systemd/system/{name}.service" for name in (*enabled, *idle)}
    others = tuple(each for each in lines_of(hints) if each not in units)
    return Loaders(tuple(enabled), tuple(idle), texts(files), others)
