"""The host around the builds: what else is on it, and where jobs can go from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from testinfra.host import Host

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.agent_places import AgentPlaces
from hullcheck.facts.build_agents import BuildAgent
from hullcheck.facts.clouds import METADATA, Cloud, unit_denies, unreachable
from hullcheck.facts.containers.kubelets import LISTERS
from hullcheck.facts.kubeconfigs import Kubeconfig
from hullcheck.facts.packet_filter import Fate, PacketFilter
from hullcheck.facts.processes import Process, Processes
from hullcheck.facts.registry import get
from hullcheck.facts.role import BUILD_HOST, Role
from hullcheck.facts.routes import Network
from hullcheck.inventory.policy import Policy

FAR = ("4.15.77.3", "103.66.201.14", "190.12.84.21")
"""Addresses far apart: what a site allows by address does not hold them all."""

HTTP, HTTPS, HIGH = 80, 443, 48_123

PLANE = frozenset({"kube-apiserver", "kube-controller", "kube-scheduler"})
"""Of a control plane, as the kernel names the processes."""

BRIDGES = ("docker", "br-", "cni", "podman", "nerdctl")
"""How engines call the interfaces that lead to containers."""


def _needs_builds(role: Role, agents: Iterable[BuildAgent]) -> list[BuildAgent]:
    found = list(agents)
    if not found and BUILD_HOST not in role:
        raise NotApplicable("nothing runs builds on this host")
    return found


def _fates(
    host: Host, packet_filter: PacketFilter, network: Network, target: str, port: int
) -> Iterator[tuple[str, Fate]]:
    """Yield who may try to reach an address, and what becomes of it."""
    accounts: Accounts = get(host, "accounts")
    init: Process | None = get(host, "processes").get(1)
    for agent in get(host, "build_agents"):
        process = agent.process
        if init and process.spaces.get("net") == init.spaces.get("net"):
            user = accounts.user(process.uids[1])
            owner = (process.uids[1], user.name if user else "")
            fate = packet_filter.outgoing(target, port, network, owner, "")
            if fate.verdict != "denied" and not unit_denies(host, agent, target):
                yield f"jobs of {agent}", fate
    for device in network.inner(4):
        if device.startswith(BRIDGES) and network.forwarding[4]:
            yield (
                f"containers behind {device}",
                packet_filter.outgoing(target, port, network, None, device),
            )


def _open(found: Iterable[tuple[str, Fate]]) -> list[str]:
    """Return who gets through. :raises Unknown: nobody does for certain, and somebody may."""
    seen = list(found)
    through = sorted({who for who, fate in seen if fate.verdict == "open"})
    doubt = next((fate.why for _, fate in seen if fate.verdict == "unknown"), "")
    if doubt and not through:
        raise Unknown(f"cannot tell what the packet filter lets jobs reach: {doubt}")
    return through


@control(
    title="Jobs cannot reach the cloud's metadata service",
    severity="critical",
    fix="Refuse it to all but root: iptables -I OUTPUT -d 169.254.169.254 -m owner ! --uid-owner 0 "
    "-j REJECT, and -I DOCKER-USER -d 169.254.169.254 -j REJECT for containers; or "
    "IPAddressDeny=169.254.169.254 in the agent's unit.",
)
def test_metadata_service(
    host: Host, role: Role, build_agents: list[BuildAgent], cloud: Cloud, network: Network
) -> None:
    """A cloud gives whoever asks at 169.254.169.254 the machine's own credentials. A job that may
    ask has the rights of the build host in the cloud: often its registries, its buckets and other
    machines. It is the first thing that attackers of pipelines try."""
    _needs_builds(role, build_agents)
    refused = unreachable(host, network)
    if not cloud.name:
        if refused or cloud.told:
            raise NotApplicable(refused or "nothing says that this host is a cloud's")
        raise Unknown("neither firmware nor cloud-init tells whether this host is a cloud's")
    if refused:
        return
    packet_filter: PacketFilter = get(host, "packet_filter")
    through = _open(_fates(host, packet_filter, network, METADATA, HTTP))
    expect(through, equals=[], what=f"who reaches the metadata service of {cloud}")


@control(
    title="Jobs can connect only to where the site lets them",
    severity="medium",
    level=2,
    fix="Deny what the users of jobs and their containers send (chains OUTPUT and DOCKER-USER), "
    "but to a proxy, the repositories and the registries; where a network outside does it, say so "
    "with job_egress: true in the policy.",
)
def test_job_egress(
    host: Host, role: Role, build_agents: list[BuildAgent], network: Network, policy: Policy
) -> None:
    """What a job has read it can send anywhere, and what it runs it can fetch from anywhere: both
    ends of every attack on a pipeline. A short list of places to go stops most of them and shows
    the rest."""
    _needs_builds(role, build_agents)
    if policy.job_egress:
        raise NotApplicable("the site says that jobs may connect, or that a network restricts them")
    packet_filter: PacketFilter = get(host, "packet_filter")
    found = [
        each
        for target in FAR
        for port in (HTTPS, HIGH)
        for each in _fates(host, packet_filter, network, target, port)
    ]
    through = _open(found)
    if through and policy.job_egress is None:
        raise Manual(
            "see that a network around this host restricts where jobs connect: its own filter "
            f"lets {', '.join(through)} reach any address",
            through,
        )
    expect(through, equals=[], what="who can connect to any address")


@control(
    title="Builds run on no node of a cluster, and hold no key to one",
    severity="high",
    fix="Move the agent to a host of its own; take admin.conf and the like away from it, and give "
    "deployments an account that may do only what they do.",
)
def test_build_host_apart(
    role: Role,
    build_agents: list[BuildAgent],
    processes: Processes,
    kubeconfigs: list[Kubeconfig],
    agent_places: AgentPlaces,
) -> None:
    """Builds are the least trusted work there is. On a node, a job that breaks out has the node's
    pods and their secrets; on a control plane, or with an administrator's kubeconfig, it has the
    cluster. Clusters in containers, which tests start, do not count."""
    _needs_builds(role, build_agents)
    init = processes.get(1)
    nodes = [each for each in processes if each.name in PLANE | LISTERS | {"kubelet"}]
    own = [each for each in nodes if _of_host(each, init)]
    of_kubelet = own and all(each.own is False for each in build_agents)
    kubelets = sorted({each.name for each in own})
    admins = sorted(each.path for each in kubeconfigs if each.administrator)
    expect(admins, equals=[], what="kubeconfigs of a cluster's administrator")
    plane = sorted({each.name for each in nodes if each.name in PLANE} if own else set())
    expect(plane, equals=[], what="parts of a control plane")
    if of_kubelet:
        raise Manual(
            "see that this node takes nothing but builds (a taint, a pool of its own)", kubelets
        )
    expect(kubelets, equals=[], what="what makes this host a node")
    agent_places.need()
    others = {each.path: sorted(each.others) for each in kubeconfigs if each.others}
    if others:
        raise Manual(f"see what {', '.join(others)} may do in its cluster", others)


def _of_host(process: Process, init: Process | None) -> bool:
    """Whether it works on the host itself: not so a kubelet in a container with a network of its
    own, as kind starts it."""
    if init is None or "net" not in process.spaces or "net" not in init.spaces:
        raise Unknown(f"whose {process} is cannot be seen; it needs root")
    return process.spaces["net"] == init.spaces["net"]
