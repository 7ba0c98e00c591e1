"""What listens on the host for other machines."""

from __future__ import annotations

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.docker import Engines
from hullcheck.facts.listeners import CLUSTER_PORTS, REGISTRY, Listener
from hullcheck.facts.role import KUBERNETES_NODE, Role
from hullcheck.facts.swarm import Swarm
from hullcheck.inventory.policy import Policy

SWARM = frozenset({("tcp", 2377), ("tcp", 7946), ("udp", 7946), ("udp", 4789)})
CLUSTER = frozenset({("tcp", 6443), ("tcp", 10250), ("udp", 8472), ("udp", 4789)})
ETCD = frozenset({("tcp", 2379), ("tcp", 2380)})
"""On a control plane, on one address."""

ENGINES = frozenset({"dockerd", "docker-proxy"})
OF_ENGINES = frozenset({("tcp", 2377), ("tcp", 7946), ("udp", 7946), ("tcp", 9323)})
"""What counts only if an engine holds it: Loki and MetalLB gossip on 7946 as well."""


@control(
    title="Only ports that are meant to be open have a listener",
    severity="medium",
    fix="Stop and disable what need not listen, bind it to 127.0.0.1, or list its port in the "
    "policy's listening_ports.",
)
def test_listeners(listener: Listener, policy: Policy) -> None:
    """Each listener is code that strangers can talk to, and many run with more rights than any
    container. Which ones a host needs only the site knows: without its list a person has to look.
    Sockets by which programs wait for answers (UDP, from port 32768 on) are none; what nobody
    seems to hold is the kernel's own, or a process's that hides."""
    if listener.client:
        return
    if policy.listening_ports is None:
        said = f"the policy does not say whether {listener} of {listener.owner} may be open"
        raise Manual(said, {"listener": str(listener), "owner": listener.owner})
    allowed = set(policy.listening_ports)
    if listener.container:
        allowed |= set(policy.published_ports or ())
    expect([listener.port], within=sorted(allowed), what=f"the port of {listener.owner}")


@control(
    title="Ports that steer engines and clusters are open only where they belong",
    severity="high",
    fix="Bind it to 127.0.0.1 or, on a member of a cluster, to its address in the cluster's own "
    "network; leave the swarm or remove the component that is not used; or list the port in the "
    "policy's listening_ports.",
)
def test_cluster_ports(
    cluster_listener: Listener, engines: Engines, role: Role, policy: Policy
) -> None:
    """Behind these ports are Docker's and Kubernetes' own controls, etcd with all secrets, and
    tunnels that take packets for containers from anybody. On a host that is no member of a swarm
    or cluster they are a mistake or an intruder's; some are never meant for other machines."""
    each = cluster_listener
    place = (each.protocol, each.port)
    if each.port in (policy.listening_ports or ()):
        expect(each.port, one_of=policy.listening_ports or (), what=f"the port of {each}")
        return
    if place in OF_ENGINES and each.programs and not each.programs & ENGINES:
        raise NotApplicable(f"{each.owner} is no engine")
    if place == REGISTRY:
        if each.doubt:
            raise Unknown(f"cannot tell whether a registry listens on {each}: {each.doubt}")
        raise Manual(f"see that the registry on {each} asks for credentials", each.owner)
    if place == ("tcp", 2376):
        expect("every address" if each.any else "one address", equals="one address",
               what=f"where {CLUSTER_PORTS[place]} is offered ({each.owner})")  # fmt: skip
        return
    where = "where it belongs" if _expected(each, engines, role) else "open"
    what = f"{each}, {CLUSTER_PORTS[place]} ({each.owner}),"
    expect(where, equals="where it belongs", what=what)


def _expected(each: Listener, engines: Engines, role: Role) -> bool:
    """Whether a port belongs on a host of this kind. :raises Unknown: the kind cannot be told."""
    place = (each.protocol, each.port)
    if place in SWARM and _in_swarm(engines):
        return True
    if place in CLUSTER:
        return KUBERNETES_NODE in role
    if place in ETCD and not each.any:
        if KUBERNETES_NODE in role:
            return True
        raise Manual(f"see that etcd on {each} asks for certificates", each.owner)
    return False


def _in_swarm(engines: Engines) -> bool:
    if any(Swarm(each).inside for each in engines.engines):
        return True
    if engines.doubt:
        raise Unknown(f"cannot tell whether an engine is in a swarm: {engines.doubt}")
    return False
