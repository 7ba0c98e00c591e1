"""Hosts with packet filters, for unit tests."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from testinfra.host import Host

from hullcheck.catalogue import all_controls
from hullcheck.facts.packet_filter import PacketFilter
from hullcheck.facts.packet_filter.iptables import parse_save
from hullcheck.facts.packet_filter.loaders import FILES, HINTS
from hullcheck.facts.packet_filter.nft import parse_ruleset
from hullcheck.facts.packet_filter.source import LEGACY, LISTED, NFT, SAVE
from hullcheck.facts.routes import DEVICES, FORWARDING, STATE, Network, Route
from hullcheck.facts.services import Service, Services
from hullcheck.facts.sockets import MACHINE
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.transport import session_of
from hullcheck.verdict import Verdict
from tests.unit.fake import Reply, host_with

SAMPLES = Path(__file__).parent.parent / "samples" / "packet_filter"

ROUTE = (
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "eth0\t00000000\t016433C6\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    "docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    "eth0\t006433C6\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0"
)
TRIE = (
    "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n"
    "     |-- 172.17.0.1\n        /32 host LOCAL\n     |-- 198.51.100.2\n        /32 host LOCAL"
)
DEV = "Inter-|   Receive\n face |bytes\n    lo: 0 0\n  eth0: 0 0\ndocker0: 0 0"
V6 = {
    "if_inet6": "20010db8000000000000000000000002 02 40 00 80     eth0\n"
    "00000000000000000000000000000001 01 80 10 80       lo",
    "ipv6_route": f"{'0' * 32} 00 {'0' * 32} 00 fe800000000000000000000000000001 00000400 00000001 "
    "00000000 00000003     eth0",
}
FORWARDS = "/proc/sys/net/ipv4/ip_forward:1\n/proc/sys/net/ipv4/conf/eth0/forwarding:1\n"
OPEN4 = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\nCOMMIT\n"
DENY4 = OPEN4.replace("ACCEPT", "DROP")
ABSENT = "# not in the kernel\n"
NO_NFT = "# no nft\n"


def network(*bridges: str, v6: bool = False) -> Network:
    """A host's network: eth0 to the outside, and container bridges beside docker0."""
    plain = ipaddress.ip_network
    routes = [
        Route("eth0", plain("0.0.0.0/0"), direct=False),
        Route("eth0", plain("198.51.100.0/24"), direct=True),
        Route("docker0", plain("172.17.0.0/16"), direct=True),
        Route("eth0", plain("::/0"), direct=False),
        *(Route(name, plain("192.0.2.0/24"), direct=True) for name in bridges),
    ]
    own = {4: (int(ipaddress.ip_address("198.51.100.2")),),
           6: (int(ipaddress.ip_address("2001:db8::2")),) if v6 else ()}  # fmt: skip
    return Network(("lo", "eth0", "docker0"), tuple(routes), own, {4: ("all",), 6: ()})


def sample(name: str) -> str:
    """The text of a real tool's output."""
    return (SAMPLES / name).read_text()


def saved(text: str, family: int = 4) -> PacketFilter:
    """What iptables-save printed."""
    return PacketFilter(parse_save(text, family).tables)


def rules(*lines: str, policy: str = "DROP", hook: str = "INPUT", extra: str = "") -> PacketFilter:
    """A filter table with these rules at one hook."""
    body = "".join(f"-A {hook} {line}\n" for line in lines)
    return saved(f"*filter\n:{hook} {policy} [0:0]\n{extra}{body}COMMIT\n")


def listed(name: str) -> PacketFilter:
    """What nft listed."""
    return PacketFilter(tuple(parse_ruleset(sample(name))))


def answers(
    save4: Reply = OPEN4,
    save6: Reply = "",
    nft: Reply = NO_NFT,
    legacy: tuple[Reply, Reply] = (ABSENT, ABSENT),
    names: Reply = "ip none\nip6 none\n",
    forwarding: Reply = FORWARDS,
    files: dict[str, str] | None = None,
    hints: Reply = (1, ""),
    v6: bool = False,
    dev: str = DEV,
) -> dict[str, Reply]:
    """All that a host says of its packet filter and its network."""
    tables = {"dev": dev, "route": ROUTE, "fib_trie": TRIE, **(V6 if v6 else {})}
    state = "".join(
        f"/proc/self/net/{name}:{line}\n" for name, text in tables.items()
        for line in text.split("\n")
    )  # fmt: skip
    held = "".join(
        f"{path}:{line}\n" for path, text in (files or {}).items() for line in text.splitlines()
    )
    return {
        LISTED.command: names, NFT.command: nft,
        SAVE[4].command: _ended(save4), SAVE[6].command: _ended(save6),
        LEGACY[4].command: _ended(legacy[0]), LEGACY[6].command: _ended(legacy[1]),
        STATE.command: state,
        FORWARDING.command: forwarding, DEVICES.command: "/sys/class/net/eth0/device\n",
        MACHINE.command: "x86_64\n", FILES.command: (2, held), HINTS.command: hints,
    }  # fmt: skip


def _ended(reply: Reply) -> Reply:
    """What the rest of the command says after the rules."""
    told = isinstance(reply, str) and not reply.startswith("# no")
    return f"{reply}# that was all\n" if told else reply


def host(also: dict[str, Reply] | None = None, **parts: Any) -> Host:
    """A host that gives these answers."""
    return host_with({**answers(**parts), **(also or {})})


def services(enabled: Iterable[str] = (), idle: Iterable[str] = ()) -> Services:
    """systemd's services, as far as loaders are concerned."""
    return Services("systemd", [
        *(Service(f"{name}.service", True, True, "enabled") for name in enabled),
        *(Service(f"{name}.service", False, False, "disabled") for name in idle),
    ])  # fmt: skip


def verdict(
    control: str,
    here: Host,
    policy: Policy | None = None,
    role: tuple[str, ...] = ("engine-rootful",),
    running: Iterable[str] = (),
    **facts: Any,
) -> Verdict:
    """Judge a control, with these facts instead of the host's own."""
    given = {
        "processes": [SimpleNamespace(name=name) for name in running], "services": services(),
        **facts,
    }  # fmt: skip
    for name, value in given.items():
        session_of(here).recall(("provider", name), lambda value=value: value)
    return judge(all_controls()[f"host.{control}"], here, Site("fake", policy or Policy(), role))


def status(control: str, *args: Any, **parts: Any) -> str:
    """The status of a control on a host with these answers."""
    keys = ("policy", "role", "running", "services", "also")
    judged = {key: parts.pop(key) for key in keys if key in parts}
    return str(verdict(control, host(judged.pop("also", None), **parts), *args, **judged).status)
