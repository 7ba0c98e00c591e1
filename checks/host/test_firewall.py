"""What strangers' packets come through to: the host, and what it forwards to."""

from __future__ import annotations

from collections.abc import Iterable

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.packet_filter import Fate, Loaders, PacketFilter, Published
from hullcheck.facts.processes import Processes
from hullcheck.facts.role import KUBERNETES_NODE, Role
from hullcheck.facts.routes import Network
from hullcheck.inventory.policy import Policy

IP = {4: "IPv4", 6: "IPv6"}
BPF = ("cilium_", "bpfin.cali", "bpfout.cali")
"""How plug-ins that filter by BPF programs, which no list of rules shows, call interfaces."""


@control(
    title="The host forwards only packets that a rule allows",
    severity="medium",
    fix="Set the policy of FORWARD to DROP (iptables -P FORWARD DROP, ip6tables likewise; in "
    "nftables a chain with hook forward and policy drop), where ufw, firewalld or nftables.conf "
    "loads it at boot.",
)
def test_forward_denied(
    packet_filter: PacketFilter, network: Network, processes: Processes, role: Role
) -> None:
    """A host with bridged containers is a router. Without a denial at the end of its rules, any
    machine beside it reaches ports of containers that were never published, and passes through
    it from one network into the next. Imaginary packets of strangers are sent through the rules
    as the kernel has them, for each protocol that is forwarded."""
    doubts = []
    for family, on in network.forwarding.items():
        if not on or (family == 6 and not network.addresses[6]):
            continue
        fates = packet_filter.passing(family, network)
        open_ = [place for place, each in fates.items() if each.verdict == "open"]
        if open_:
            _need_sight(packet_filter, processes)
            if KUBERNETES_NODE in role:
                raise Manual(
                    "see that the cluster's network policies deny by default: the node forwards "
                    f"{IP[family]} to {', '.join(open_)}",
                    open_,
                )
        expect(open_, equals=[], what=f"where strangers' {IP[family]} packets are forwarded to")
        doubts += [each for each in fates.values() if each.verdict == "unknown"]
    _raise(doubts)


def _need_sight(packet_filter: PacketFilter, processes: Processes) -> None:
    """:raises Unknown: something that filters may be there which could not be seen."""
    if packet_filter.blind and any(each.name == "firewalld" for each in processes):
        raise Unknown("firewalld runs, and nft is not there to show its tables")


def _raise(doubts: Iterable[Fate]) -> None:
    for each in doubts:
        raise Unknown(f"cannot tell what the packet filter denies: {each.why}")


@control(
    title="The host's own ports are closed to strangers unless a rule opens them",
    severity="medium",
    fix="Deny incoming packets by default, and open what is needed: ufw default deny incoming and "
    "ufw allow 22/tcp; or firewalld; or nftables with hook input and policy drop. IPv6 as well.",
)
def test_input_denied(packet_filter: PacketFilter, network: Network, processes: Processes) -> None:
    """What listens on a host changes with every update, and a container with the host's network
    opens ports at will. A filter that denies what no rule names keeps a mistake from being
    reachable. A rule set for IPv4 alone leaves every door open to those who come by IPv6."""
    doubts = []
    for family in (4, 6):
        if family == 6 and not network.addresses[6]:
            continue
        found = packet_filter.incoming(family, network)
        if found.verdict == "unknown":
            doubts.append(found)
            continue
        if found.verdict == "open":
            _need_sight(packet_filter, processes)
            if any(each.startswith(BPF) for each in network.interfaces):
                raise Unknown("a network plug-in filters by BPF programs, which no rule shows")
        what = f"what strangers send by {IP[family]} to a port that no rule names"
        expect("let in" if found.verdict == "open" else "denied", equals="denied", what=what)
    _raise(doubts)


@control(
    title="The filter that guards the host also guards what containers publish",
    severity="high",
    fix="Publish on 127.0.0.1 or another inner address; or deny in the chain DOCKER-USER what may "
    "not reach containers; or list the port in the policy's published_ports.",
)
def test_published_ports_filtered(
    packet_filter: PacketFilter, network: Network, role: Role, policy: Policy
) -> None:
    """Engines translate a published port before the chains that guard the host see it. Who has
    told ufw to deny everything believes a database closed that the whole world reaches. A port
    that the filter opens for the host too, or that the site lists, is meant to be open."""
    if KUBERNETES_NODE in role:
        raise NotApplicable("a cluster's services are opened by the cluster")
    open_ = [
        each for each in packet_filter.published(network) if _open(packet_filter, each, network)
    ]
    listed = policy.published_ports
    loose = [each for each in open_ if each.port not in (listed or ())]
    past = [str(each) for each in loose if not _meant(packet_filter, each, network)]
    guarded = [
        each for each in loose if packet_filter.incoming(each.family, network).verdict == "denied"
    ]
    if listed is None and loose and not guarded:
        shown = [str(each) for each in loose]
        raise Manual(f"no filter guards what is published: {', '.join(shown)}", shown)
    expect(past if listed is None else [str(each) for each in loose], equals=[],
           what="published ports that strangers reach past the host's filter")  # fmt: skip


def _open(packet_filter: PacketFilter, port: Published, network: Network) -> bool:
    """Whether strangers reach a published port. :raises Unknown: it cannot be told."""
    found = packet_filter.worst(
        (
            each
            for each in packet_filter.strangers_at(port.port, port.family, network)
            if each.protocol == port.protocol
        ),
        network,
    )
    if found.verdict == "unknown":
        _raise([found])
    return found.verdict == "open"


def _meant(packet_filter: PacketFilter, port: Published, network: Network) -> bool:
    """Whether the host's own filter would let a port's packets in, if they were the host's."""
    return packet_filter.guest(port, network).verdict == "open"


@control(
    title="The packet filter in force will be in force after the next boot",
    severity="medium",
    fix="systemctl enable what loads it (ufw, firewalld, nftables, netfilter-persistent), and save "
    "there what is loaded now: netfilter-persistent save, or nft list ruleset >/etc/nftables.conf.",
)
def test_filter_lasts(
    packet_filter: PacketFilter, network: Network, filter_loaders: Loaders
) -> None:
    """A rule that was typed in is gone after a crash or an update of the kernel, and the host
    then serves everybody until somebody notices. What denies now has to be what is loaded at
    boot: the service is to be enabled, and its file to deny as well."""
    families = [
        family
        for family in (4, 6)
        if packet_filter.incoming(family, network).verdict == "denied"
        and (family == 4 or network.addresses[6])
    ]
    if not families:
        raise NotApplicable("no filter denies what strangers send to the host")
    loaders = filter_loaders
    if not loaders.enabled and (loaders.hints or not loaders.idle):
        said = ", ".join(loaders.hints) or "no service that is known"
        raise Manual(f"see what loads the packet filter at boot: {said}", loaders.hints)
    if not loaders.enabled:
        expect(f"not enabled ({', '.join(loaders.idle)})", equals="enabled",
               what="what loads the packet filter at boot")  # fmt: skip
        return
    for family in families:
        after = loaders.denies(family, network)
        if after == "unsure":
            raise Manual(
                f"see that {', '.join(loaders.enabled)} will deny at boot what is denied now"
            )
        expect(
            after, equals="denied", what=f"what strangers send by {IP[family]} after the next boot"
        )
