"""Over which addresses a swarm's nodes talk to each other, and who else reaches them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import replace

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown, control, expect
from hullcheck.facts.packet_filter import Fate, PacketFilter
from hullcheck.facts.processes import Processes
from hullcheck.facts.registry import get
from hullcheck.facts.routes import OUTSIDE, Network
from hullcheck.facts.sockets import InetListener
from hullcheck.facts.swarm import Swarm
from hullcheck.inventory.policy import Policy

SHARED = "that of management"
SAME_DEVICE = "another address of the same interface"


@control(
    title="A swarm listens on chosen interfaces only",
    severity="high",
    fix="Leave the swarm and join again with --listen-addr ADDRESS of the interface that is meant "
    "for it.",
)
def test_swarm_listeners(swarm: Swarm) -> None:
    """Management and gossip between nodes are no business of any other network. What is bound
    counts, not what was configured. The traffic of overlay networks cannot be bound to an
    interface: whether a packet filter keeps strangers from it is asked apart."""
    everywhere = [str(each) for each in swarm.listeners() if each.any]
    expect(everywhere, equals=[], what="what the swarm listens on, on every address")


@control(
    title="Strangers do not reach the ports of a swarm",
    severity="high",
    fix="Let the host's packet filter admit only the other nodes to 2377/tcp (managers), 7946/tcp, "
    "7946/udp and 4789/udp (or the swarm's --data-path-port); or, where a firewall before the host "
    "does, list the ports in listening_ports in the policy.",
)
def test_swarm_ports_filtered(swarm: Swarm, policy: Policy) -> None:
    """VXLAN, which carries overlay networks from node to node, asks nobody who they are: whoever
    reaches its port puts packets into the midst of containers, unless the network is encrypted.
    The kernel takes them from every address. Management asks for certificates, but every flaw in
    that is then one for all the world."""
    swarm.need_active()
    _need_host_network(swarm)
    known = policy.listening_ports or ()
    own = [
        each
        for each in (*swarm.listeners(), *swarm.data_listeners())
        if not each.loopback and each.port not in known
    ]
    fates = {str(each): _from_outside(swarm.host, each) for each in own}
    reached = [name for name, fate in fates.items() if fate.verdict == "open"]
    if expect(reached, equals=[], what="ports that strangers reach"):
        unsure = [f"{name} ({fate.why})" for name, fate in fates.items()
                  if fate.verdict == "unknown"]  # fmt: skip
        if unsure:
            raise Unknown(f"cannot tell whether the packet filter shuts {', '.join(unsure)}")


def _need_host_network(swarm: Swarm) -> None:
    """:raises NotApplicable: the engine has a network of its own, as rootless ones have."""
    processes: Processes = get(swarm.host, "processes")
    init, engine = processes.get(1), processes.get(swarm.engine.pid)
    if init is None or engine is None:
        raise Unknown(f"{swarm.engine} has ended, or cannot be seen")
    try:
        apart = engine.namespace("net") != init.namespace("net")
    except Unknown as why:
        raise Unknown(f"{why}; it needs root") from None
    if apart:
        raise NotApplicable("the engine has a network of its own, apart from the host's")


def _from_outside(host: Host, listener: InetListener) -> Fate:
    """Return the worst that becomes of what strangers send to a listener."""
    packet_filter: PacketFilter = get(host, "packet_filter")
    network: Network = get(host, "network")
    found = [
        packet_filter.worst(
            (
                each if target is None else replace(each, target=target)
                for each in packet_filter.strangers_at(listener.port, family, network)
                if each.protocol == listener.protocol
            ),
            network,
        )
        for family, target in _places(listener, network)
    ]
    ranks = ("open", "unknown", "denied")
    return min(found, key=lambda each: ranks.index(each.verdict), default=Fate("denied"))


def _places(listener: InetListener, network: Network) -> Iterator[tuple[int, int | None]]:
    """Yield family and address by which a listener can be reached from outside; None: any."""
    address = ipaddress.ip_address(listener.address)
    family = address.version
    if listener.any:
        yield 4, None
        if family == 6 and network.addresses.get(6):
            yield 6, None
        return
    device, outer = network.onward(family, int(address)), network.outer(family)
    if device in outer or OUTSIDE in outer or not device:
        yield family, int(address)


@control(
    title="A swarm's data and its management go through different interfaces",
    severity="low",
    level=2,
    fix="Leave the swarm and join again with --data-path-addr, an address of another interface.",
)
def test_swarm_data_path(swarm: Swarm) -> None:
    """Containers that flood the network they share with the managers can cut these off from each
    other; and the network that carries containers' traffic need not reach the managers."""
    swarm.need_active()
    settings = swarm.start_settings
    own = {
        _plain(each)
        for each in (swarm.info.get("NodeAddr") or "", _host(settings.get("AdvertiseAddr") or ""))
    }
    used = _plain(settings.get("DataPathAddr") or "") or SHARED
    if used not in own | {SHARED} and _devices([used], swarm) & _devices(own, swarm):
        used = f"{used}, {SAME_DEVICE}"
        own.add(used)
    expect([used], without=own | {SHARED}, what="the address for data")


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def _plain(address: str) -> str:
    """Return an address in its one form; other text as it is."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address


def _devices(addresses: Iterable[str], swarm: Swarm) -> set[str]:
    """Return the interfaces that have some addresses of the host; of those on loopback, and of
    what is no address of the host, none."""
    network: Network = get(swarm.host, "network")
    found = set()
    for each in addresses:
        try:
            address = ipaddress.ip_address(each)
        except ValueError:
            continue
        if int(address) in network.addresses.get(address.version, ()):
            found.add(network.onward(address.version, int(address)))
    return found - {""}
