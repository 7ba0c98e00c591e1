"""Network interfaces of a host, and what the kernel does with what arrives on each.

How ``conf.all`` and ``conf.INTERFACE`` go together differs from setting to setting: see
kernel.org, networking/ip-sysctl, and include/linux/inetdevice.h.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.registry import fact, get, provide
from hullcheck.facts.sysctl import Later, Sysctl, number_of, shown
from hullcheck.facts.texts import texts
from hullcheck.transport import session_of, want

__all__ = ["CONF", "DEVICES", "Interface", "Interfaces", "Value", "interfaces", "parse_devices"]

SETTINGS = {
    "ipv4": (
        "accept_redirects", "accept_source_route", "forwarding", "log_martians",
        "route_localnet", "rp_filter", "send_redirects",
    ),
    "ipv6": (
        "accept_ra", "accept_redirects", "accept_source_route", "disable_ipv6", "forwarding",
    ),
}  # fmt: skip

TOP = "/proc/sys/net"
CONF = want(
    "grep -H '' -- " + " ".join(
        f"{TOP}/{family}/conf/*/{name}" for family, names in SETTINGS.items() for name in names
    ),
    meaning=(0, 1, 2),
)  # fmt: skip
DEVICES = want(
    "grep -H '' -- /sys/class/net/*/brif/*/port_no /sys/class/net/*/uevent "
    "/sys/class/net/*/flags /sys/class/net/*/iflink",
    meaning=(0, 1, 2),
)

COMMON = ("all", "default")
UP = 1
"""IFF_UP, netdevice(7)."""

REAL = re.compile(r"(?:eth\d|en[opsx]|wl|bond|team|ib)")
"""Names that the kernel and udev give to network cards, and administrators to bundles of them."""

ENGINES = frozenset({"veth", "vxlan", "macvlan", "ipvlan", "geneve", "ifb", "netkit"})
"""Kinds of devices that lead to containers or to overlay networks between them, or carry no
traffic of the host's own."""


@dataclass(frozen=True, slots=True)
class Interface:
    """One network interface.

    :param kind: own (the host's traffic comes and goes by it), containers (a bridge that has no
        network card, a container's end of a wire, an overlay network), port (a part of a
        bridge, which has the traffic) or loopback.
    :param bridge: whether it is a bridge; ``ports``: what hangs on it.
    :param whole: whether all of it was read: one that vanishes meanwhile is not.
    """

    name: str
    kind: str
    up: bool = True
    bridge: bool = False
    ports: tuple[str, ...] = ()
    whole: bool = True

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Value:
    """What one setting is for one interface, and for all."""

    own: int
    every: int

    @property
    def both(self) -> bool:
        """The kernel's "and": it holds where the interface and ``all`` say so."""
        return bool(self.own and self.every)

    @property
    def either(self) -> bool:
        """The kernel's "or"."""
        return bool(self.own or self.every)

    @property
    def most(self) -> int:
        """The greater of the two."""
        return max(self.own, self.every)


def parse_devices(files: Mapping[str, str | Unknown]) -> list[Interface]:
    """Return the interfaces that /sys/class/net tells of, by what DEVICES read."""
    names: dict[str, dict[str, str]] = {}
    ports: dict[str, list[str]] = {}
    for path, text in files.items():
        _, _, _, _, name, entry, *more = path.split("/")
        if entry == "brif":
            ports.setdefault(name, []).append(more[0])
        elif not isinstance(text, Unknown):
            names.setdefault(name, {})[entry] = text.strip()
    taken = {each for found in ports.values() for each in found}
    return [
        _interface(name, values, sorted(ports.get(name, ())), name in taken)
        for name, values in sorted(names.items())
    ]


def _interface(
    name: str, values: Mapping[str, str], ports: Iterable[str], taken: bool
) -> Interface:
    fields = dict(line.partition("=")[::2] for line in values.get("uevent", "").splitlines())
    kind, bridge = fields.get("DEVTYPE", ""), fields.get("DEVTYPE") == "bridge"
    cards = [port for port in ports if REAL.match(port)]
    # Both ends of a wire into a container have a number; that of the other end is its iflink.
    elsewhere = not kind and values.get("iflink", "0") not in ("0", fields.get("IFINDEX"))
    inner = kind in ENGINES or name.startswith("ifb") or elsewhere or bridge
    if name == "lo":
        what = "loopback"
    elif taken:
        what = "port"
    elif inner and not cards and not (REAL.match(name) and not bridge):
        what = "containers"
    else:
        what = "own"
    flags = values.get("flags", "")
    up = not re.fullmatch(r"0x[0-9a-f]{1,8}", flags) or bool(int(flags, 16) & UP)
    return Interface(
        name, what, up, bridge, tuple(ports), {*values} >= {"uevent", "flags", "iflink"}
    )


class Interfaces:
    """The interfaces of one host, in the network namespace that the audit comes into."""

    def __init__(self, host: Host) -> None:
        self.host = host
        session_of(host).foresee(CONF, DEVICES)

    @fact
    def all(self) -> list[Interface]:
        """Every interface, by name. One that only /proc/sys knows is the host's own.

        :raises Unknown: neither /sys nor /proc/sys tells of any.
        """
        found = parse_devices(texts(session_of(self.host).ask(DEVICES)[0]))
        conf = {path.split("/")[6] for path in self._conf}
        if broken := next((each for each in found if not each.whole and each.name in conf), None):
            raise Unknown(f"/sys/class/net does not tell all of {broken}")
        found = [each for each in found if each.whole]
        if not any(each.kind == "loopback" for each in found):
            raise Unknown("/sys/class/net does not tell the network interfaces")
        more = conf - {each.name for each in found} - {*COMMON}
        return [*found, *(Interface(name, "own") for name in sorted(more))]

    @property
    def own(self) -> list[str]:
        """The interfaces that are up and that traffic of the host itself comes by, and
        ``default``, from which the next one that appears takes its settings."""
        return [*(each.name for each in self.all if each.kind == "own" and each.up), "default"]

    @property
    def to_containers(self) -> list[Interface]:
        """The bridges that containers hang on."""
        return [each for each in self.all if each.kind == "containers" and each.bridge]

    @fact
    def _conf(self) -> dict[str, str | Unknown]:
        answer = session_of(self.host).ask(CONF)[0]
        found = texts(answer)
        families = list(SETTINGS)
        if not any(path.startswith(f"{TOP}/ipv6/") for path in found):
            if f"grep: {TOP}/ipv6/".encode() not in answer.evidence.stderr:
                raise Unknown("/proc/sys/net does not tell whether there is IPv6")
            families.remove("ipv6")
        for family in families:
            for name in SETTINGS[family]:
                if not {f"{TOP}/{family}/conf/{each}/{name}" for each in COMMON} <= {*found}:
                    raise Unknown(f"/proc/sys/net does not tell all of {family}")
        return found

    def has(self, family: str, interface: str) -> bool:
        """Whether an interface takes part in a family: ipv4, or ipv6 if that is not disabled."""
        place = f"{TOP}/{family}/conf/{interface}/"
        if not any(path.startswith(place) for path in self._conf):
            return False
        return family == "ipv4" or not self.now(family, interface, "disable_ipv6").own

    def now(self, family: str, interface: str, name: str) -> Value:
        """Return what a setting is now. :raises Unknown: it cannot be read."""
        return Value(self._number(family, interface, name), self._number(family, "all", name))

    def _number(self, family: str, interface: str, name: str) -> int:
        path = f"{TOP}/{family}/conf/{interface}/{name}"
        text = shown(self._conf.get(path))
        if text is None:
            raise Unknown(f"{path} does not exist")
        return number_of(text, path)

    def later(self, family: str, interface: str, name: str) -> tuple[Value, list[Later]]:
        """Return what a setting will be after the next boot, and what decides.

        What nothing is known to set stays as it is. An interface takes the setting of
        ``default`` unless it has one of its own.
        """
        sysctl: Sysctl = get(self.host, "sysctl")
        conf = f"net/{family}/conf"
        mine = sysctl.later_by_key(f"{conf}/{interface}/{name}")
        if mine is None:
            mine = sysctl.later_by_key(
                f"{conf}/default/{name}", f"net.{family}.conf.default.{name}"
            )
        every = sysctl.later_by_key(f"{conf}/all/{name}", f"net.{family}.conf.all.{name}")
        now = self.now(family, interface, name)
        value = Value(
            number_of(mine.value, f"{name} in {mine.source}") if mine else now.own,
            number_of(every.value, f"{name} in {every.source}") if every else now.every,
        )
        return value, [each for each in (every, mine) if each]


@provide
def interfaces(host: Host) -> Interfaces:
    """The network interfaces of the host."""
    return Interfaces(host)
