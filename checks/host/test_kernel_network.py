"""What the kernel does with packets that nobody asked for."""

from __future__ import annotations

from testinfra.host import Host

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts import Unseen, get
from hullcheck.facts.interfaces import Interfaces, Value
from hullcheck.facts.role import KUBERNETES_NODE, ROOTFUL, Role
from hullcheck.facts.sysctl import Sysctl
from hullcheck.inventory.policy import Policy

from .settings import SYSCTL, expect_each, expect_set

BOTH = ("ipv4", "ipv6")


@control(
    title="A host without containers on networks of their own does not forward packets",
    severity="medium",
    fix=f"Set net.ipv4.ip_forward = 0 and net.ipv6.conf.all.forwarding = 0. {SYSCTL}",
)
def test_packet_forwarding(sysctl: Sysctl, interfaces: Interfaces, role: Role, host: Host) -> None:
    """A host that forwards is a router: whoever reaches one of its networks can try the others
    through it. Containers on a bridge need that; a rootless engine, or none, does not."""
    names = ["net.ipv4.ip_forward"]
    if interfaces.has("ipv6", "all"):
        names.append("net.ipv6.conf.all.forwarding")
    later = [each.value for each in map(sysctl.later, names) if each]
    if not any(sysctl.number(each) for each in names) and set(later) <= {"0"}:
        expect([sysctl.number(each) for each in names], one_of=([0], [0, 0]), what=", ".join(names))
        return
    if interfaces.to_containers or ROOTFUL in role or KUBERNETES_NODE in role or _podman(host):
        raise NotApplicable("containers need it; what may pass is for the packet filter to say")
    for name in names:
        expect_set(sysctl, name, 0)


def _podman(host: Host) -> bool:
    """Whether there is a Podman of root's, which bridges its containers when it starts any."""
    try:
        found = get(host, "podman")
    except NotApplicable:
        return False
    if unseen := next((each for each in found if isinstance(each, Unseen)), None):
        raise Unknown(unseen.reason)
    return any(not each.rootless for each in found)


@control(
    title="Services on the loopback address are out of the network's reach",
    severity="high",
    fix="Set net.ipv4.conf.all.route_localnet = 0, and route_localnet = 0 for each interface; run "
    f"kube-proxy with --iptables-localhost-nodeports=false. {SYSCTL}",
)
def test_route_localnet(interfaces: Interfaces, role: Role) -> None:
    """What listens on 127.0.0.1 trusts whoever comes. With route_localnet the kernel takes packets
    for that address from a neighbour on the wire, too (CVE-2020-8558). Engines set it on their
    own bridges to publish ports, which is not counted here."""
    opened = [each for each in interfaces.own if interfaces.has("ipv4", each)
              and interfaces.now("ipv4", each, "route_localnet").either]  # fmt: skip
    if opened and KUBERNETES_NODE in role:
        raise Manual(
            "kube-proxy opens 127.0.0.1 for node ports: see that the chain KUBE-FIREWALL drops "
            "what comes for 127.0.0.0/8 from elsewhere, or switch it off",
            {"interfaces": opened},
        )
    expect_each(interfaces, "ipv4", "route_localnet", _either,
                "interfaces from which 127.0.0.1 can be reached")  # fmt: skip


@control(
    title="Packets with a false sender are dropped as they arrive",
    severity="medium",
    fix="Set net.ipv4.conf.all.rp_filter = 1, or 2 where answers may take another way (several "
    f"uplinks, some container networks), and the same for default. {SYSCTL}",
)
def test_reverse_path_filter(interfaces: Interfaces) -> None:
    """Without it a neighbour sends packets in the name of a container or of the host itself, and
    passes every rule that goes by addresses. The greater of the values for all and for the
    interface counts."""
    expect_each(interfaces, "ipv4", "rp_filter", lambda value, _: value.most not in (1, 2),
                "interfaces that take packets from anybody")  # fmt: skip


@control(
    title="Neighbours cannot divert the host's traffic with redirects",
    severity="medium",
    fix="Set accept_redirects = 0 below net.ipv4.conf and net.ipv6.conf, for all, for default and "
    f"for each interface: for IPv6, all has no effect. {SYSCTL}",
)
def test_icmp_redirects(interfaces: Interfaces) -> None:
    """An ICMP redirect tells a host to send its traffic to another router. Anyone on the network
    can forge one and read or change what goes by. A host that forwards IPv4 takes it only where
    both the interface and all allow it, any other where one of them does."""
    expect_each(
        interfaces, "ipv4", "accept_redirects",
        lambda value, forwards: value.both if forwards else value.either,
        "interfaces that take redirects", forwarders_kept=False,
    )  # fmt: skip
    expect_each(
        interfaces, "ipv6", "accept_redirects",
        lambda value, forwards: bool(value.own) and not forwards,
        "interfaces that take redirects",
    )  # fmt: skip


@control(
    title="The host tells nobody of other routers",
    severity="low",
    fix="Set send_redirects = 0 below net.ipv4.conf, for all, for default and for each interface: "
    f"either is enough to send them. {SYSCTL}",
)
def test_send_redirects(interfaces: Interfaces) -> None:
    """A host that forwards for its containers is a router only for them. Redirects that it sends
    show how its networks hang together, and lead neighbours and containers past its packet
    filter."""
    expect_each(interfaces, "ipv4", "send_redirects",
                lambda value, forwards: forwards and value.either,
                "interfaces that send redirects")  # fmt: skip


@control(
    title="Senders do not choose the way of their packets",
    severity="medium",
    fix="Set accept_source_route = 0 below net.ipv4.conf and net.ipv6.conf, for all and for "
    f"default. {SYSCTL}",
)
def test_source_routing(interfaces: Interfaces) -> None:
    """A packet that carries its own route reaches networks behind the host, those of containers
    among them, that no router outside leads to, and brings the answers back the same way."""
    for family in BOTH:
        expect_each(interfaces, family, "accept_source_route",
                    lambda value, _: min(value.own, value.every) > 0,
                    "interfaces that take packets with a route of their own")  # fmt: skip


@control(
    title="Floods of half-open connections and forged pings do not stop the network",
    severity="medium",
    fix="Set net.ipv4.tcp_syncookies = 1, net.ipv4.icmp_echo_ignore_broadcasts = 1 and "
    f"net.ipv4.icmp_ignore_bogus_error_responses = 1. {SYSCTL}",
)
def test_flood_protection(sysctl: Sysctl) -> None:
    """One sender with false addresses fills a listener's queue unless the kernel answers with
    cookies; pings to all make the host one of many that flood a third; answers that no router
    should send fill its log."""
    expect_set(sysctl, "net.ipv4.tcp_syncookies", 1, 2)
    expect_set(sysctl, "net.ipv4.icmp_echo_ignore_broadcasts", 1)
    expect_set(sysctl, "net.ipv4.icmp_ignore_bogus_error_responses", 1)


@control(
    title="Packets with impossible addresses are logged",
    severity="low",
    level=2,
    fix=f"Set net.ipv4.conf.all.log_martians = 1, and the same for default. {SYSCTL}",
)
def test_log_martians(interfaces: Interfaces) -> None:
    """Somebody who forges senders, or a container that tries another's address, is dropped in
    silence otherwise. On a busy network this can be much to log."""
    expect_each(interfaces, "ipv4", "log_martians", lambda value, _: not value.either,
                "interfaces whose forged packets nobody hears of")  # fmt: skip


def _either(value: Value, _: bool) -> bool:
    return value.either


def _takes_advertisements(interfaces: Interfaces, name: str) -> bool:
    """Whether an interface believes routers: with 1 unless it forwards, with 2 in any case."""
    if not interfaces.has("ipv6", name):
        return False
    value = interfaces.now("ipv6", name, "accept_ra").own
    return value == 2 or (value != 0 and not interfaces.now("ipv6", name, "forwarding").own)


@control(
    title="Containers cannot make themselves the host's router",
    severity="high",
    fix="Set net.ipv6.conf.BRIDGE.accept_ra = 0 for the bridges of containers; Docker does so "
    "since 19.03.11, the CNI plugins since 0.8.6.",
)
def test_bridge_router_advertisements(interfaces: Interfaces) -> None:
    """A container that may send raw packets announces itself as an IPv6 router on its bridge. A
    host that believes it sends its own traffic through the container, DNS first
    (CVE-2020-13401, CVE-2020-10749)."""
    bridges = [each.name for each in interfaces.to_containers]
    if not bridges:
        raise NotApplicable("there is no bridge that only containers hang on")
    believing = [each for each in bridges if _takes_advertisements(interfaces, each)]
    expect(believing, equals=[], what="bridges whose containers the host takes for routers")


@control(
    title="Nobody on the network can announce an IPv6 route to the host",
    severity="medium",
    fix="Set accept_ra = 0 below net.ipv6.conf, for default and for each interface (all has no "
    "effect), and give the host its addresses by hand or by DHCPv6; or say in the policy that "
    "router_advertisements are wanted.",
)
def test_router_advertisements(interfaces: Interfaces, policy: Policy) -> None:
    """Any neighbour can announce itself as a router, and a host that listens sends its traffic
    there, even where nobody meant to use IPv6. Where addresses come from such announcements they
    are needed, and the switch has to keep false ones away."""
    own = [each for each in interfaces.own if interfaces.has("ipv6", each)]
    if not own:
        raise NotApplicable("no interface takes part in IPv6")
    if policy.router_advertisements:
        raise NotApplicable("the site takes IPv6 addresses from what routers announce")
    believing = [each for each in own if _takes_advertisements(interfaces, each)]
    if believing and policy.router_advertisements is None:
        raise Manual(
            "see whether the host needs what routers announce, and say so in the policy "
            "(router_advertisements)", {"interfaces that take it": believing},
        )  # fmt: skip
    expect_each(interfaces, "ipv6", "accept_ra",
                lambda value, forwards: value.own == 2 or (value.own != 0 and not forwards),
                "interfaces that take what routers announce")  # fmt: skip


@control(
    title="Packet filters see the traffic between pods of a node",
    severity="high",
    fix="Load br_netfilter (a file in /etc/modules-load.d) and set "
    f"net.bridge.bridge-nf-call-iptables = 1 and …-ip6tables = 1. {SYSCTL}",
)
def test_bridge_filter(sysctl: Sysctl, interfaces: Interfaces, role: Role) -> None:
    """Where pods hang on a bridge, the traffic between them passes by iptables unless the kernel
    is told to show it: services then do not answer, and network policies are not kept. Engines'
    own bridges without Kubernetes are judged where containers must not reach each other."""
    if not any(each.ports for each in interfaces.to_containers):
        raise NotApplicable("no pods hang on a bridge")
    if KUBERNETES_NODE not in role:
        raise NotApplicable("this is no Kubernetes node")
    expect_set(sysctl, "net.bridge.bridge-nf-call-iptables", 1, kept=False)
    if interfaces.has("ipv6", "all"):
        expect_set(sysctl, "net.bridge.bridge-nf-call-ip6tables", 1, kept=False)
