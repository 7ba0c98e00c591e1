"""The host around the builds: what else is on it, and where jobs can go from it."""

from __future__ import annotations

import fnmatch
import ipaddress
from collections.abc import Iterable, Iterator

from testinfra.host import Host

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.clouds import Cloud, unit_denies, unreachable
from hullcheck.facts.containers import Container
from hullcheck.facts.containers.kubelets import LISTERS
from hullcheck.facts.kubeconfigs import Kubeconfig
from hullcheck.facts.packet_filter import Fate, PacketFilter
from hullcheck.facts.processes import Process, Processes
from hullcheck.facts.registry import Unseen, get
from hullcheck.facts.role import BUILD_HOST, Role
from hullcheck.facts.routes import Network
from hullcheck.facts.runners.agents import OTHERS, BuildAgent
from hullcheck.facts.runners.places import AgentPlaces
from hullcheck.inventory.policy import Policy

FAR = ("4.15.77.3", "103.66.201.14", "190.12.84.21")
FAR6 = ("2001:41d0:7:3::9", "2404:9c8:11::5", "2803:d10:9::6")
"""Addresses far apart: what a site allows by address does not hold them all."""

HTTP, HTTPS, HIGH = 80, 443, 48_123
ANYBODY = (65_533, "")

PLANE = frozenset({"kube-apiserver", "kube-controller", "kube-scheduler"})
"""Of a control plane, as the kernel names the processes."""

PODS = frozenset({"kubelet", "k3s-agent", "k3s", "k0s", "rke2", "kubelite", "hyperkube"})
"""What starts pods, and need not be a control plane."""

JOBS = ("runner-*-project-*-concurrent-*", "buildx_buildkit_*")
"""How GitLab's runner and buildx call containers of jobs."""

BRIDGES = ("docker", "br-", "cni", "podman", "nerdctl")
"""How engines call the interfaces that lead to containers."""


def _need_builds(role: Role, agents: list[BuildAgent]) -> None:
    if not agents and BUILD_HOST not in role:
        raise NotApplicable("nothing runs builds on this host")


def _fates(host: Host, target: str, port: int) -> Iterator[tuple[str, Fate]]:
    """Yield who may try to reach an address, and what becomes of it.

    Agents send as their users; those in a network of their own through a bridge, or without one
    through a helper of their user's. While none runs, or where jobs have other users than their
    agent, any user of the host stands for them.
    """
    packet_filter: PacketFilter = get(host, "packet_filter")
    network: Network = get(host, "network")
    accounts: Accounts = get(host, "accounts")
    init: Process | None = get(host, "processes").get(1)
    family = ipaddress.ip_address(target).version
    bridges = [each for each in network.inner(family) if each.startswith(BRIDGES)]
    bridges = bridges if network.forwarding[family] else []
    asked = False
    for agent in get(host, "build_agents"):
        process = agent.process
        apart = init is None or process.spaces.get("net") != init.spaces.get("net")
        if agent.kind in OTHERS or (bridges and apart):
            continue
        asked = True
        user = accounts.user(process.uids[1])
        owner = (process.uids[1], user.name if user else "")
        fate = packet_filter.outgoing(target, port, network, owner, "")
        if fate.verdict != "denied" and not unit_denies(host, agent, target):
            yield f"jobs of {agent}", fate
    if not asked:
        yield "any user", packet_filter.outgoing(target, port, network, ANYBODY, "")
    for device in bridges:
        fate = packet_filter.outgoing(target, port, network, None, device)
        yield f"containers behind {device}", fate


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
    host: Host, cloud: Cloud, build_agents: list[BuildAgent], role: Role
) -> None:
    """A cloud gives whoever asks at 169.254.169.254 the machine's own credentials. A job that may
    ask has the rights of the build host in the cloud: often its registries, its buckets and other
    machines. It is the first thing that attackers of pipelines try."""
    _need_builds(role, build_agents)
    if not cloud.name and not cloud.told:
        raise Unknown("neither firmware nor cloud-init tells whether this host is a cloud's")
    if not cloud.name:
        raise NotApplicable("nothing says that this host is a cloud's")
    if unreachable(host, get(host, "network"), cloud.address):
        return
    through = _open(_fates(host, cloud.address, HTTP))
    expect(through, equals=[], what=f"who reaches the metadata service of {cloud}")


@control(
    title="Jobs can connect only to where the site lets them",
    severity="medium",
    level=2,
    fix="Deny what the users of jobs and their containers send (chains OUTPUT and DOCKER-USER), "
    "but to a proxy, the repositories and the registries; where a network outside does it, say so "
    "with job_egress: true in the policy.",
)
def test_job_egress(host: Host, role: Role, build_agents: list[BuildAgent], policy: Policy) -> None:
    """What a job has read it can send anywhere, and what it runs it can fetch from anywhere: both
    ends of every attack on a pipeline. A short list of places to go stops most of them and shows
    the rest."""
    _need_builds(role, build_agents)
    if policy.job_egress:
        raise NotApplicable("the site says that jobs may connect, or that a network restricts them")
    network: Network = get(host, "network")
    places = (*FAR, *(FAR6 if network.addresses[6] else ()))
    found = [
        each for target in places for port in (HTTPS, HIGH) for each in _fates(host, target, port)
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
    host: Host, build_agents: list[BuildAgent], processes: Processes, role: Role
) -> None:
    """Builds are the least trusted work there is. On a node, a job that breaks out has the node's
    pods and their secrets; on a control plane, or with an administrator's kubeconfig, it has the
    cluster. Clusters in containers, which tests start, do not count."""
    _need_builds(role, build_agents)
    init = processes.get(1)
    nodes = [each for each in processes if each.name in PLANE | LISTERS]
    kubelets = sorted({each.name for each in nodes if _of_host(each, init)})
    pods = bool(build_agents) and all(each.own is False for each in build_agents)
    plane = [each for each in kubelets if each not in PODS]
    plane += [each.name for each in nodes if each.name in PLANE and kubelets]
    wrong = sorted({*plane} if pods else {*plane, *kubelets})
    expect(wrong, equals=[], what="what makes this host a part of a cluster")
    places: AgentPlaces = get(host, "agent_places")
    configs: list[Kubeconfig] = get(host, "kubeconfigs")
    admins = sorted(each.path for each in configs if each.administrator)
    expect(admins, equals=[], what="kubeconfigs of a cluster's administrator")
    places.need()
    others = {each.path: sorted(each.others) for each in configs if each.others}
    if others:
        raise Manual(f"see what {', '.join(others)} may do in its cluster", others)
    if kubelets:
        raise Manual(
            "see that this node takes nothing but builds (a taint, a pool of its own)", kubelets
        )


def _of_host(process: Process, init: Process | None) -> bool:
    """Whether it works on the host itself: not so a kubelet in a container with a network of its
    own, as kind starts it."""
    if init is None or "net" not in process.spaces or "net" not in init.spaces:
        raise Unknown(f"whose {process} is cannot be seen; it needs root")
    return process.spaces["net"] == init.spaces["net"]


@control(
    title="Nothing but builds runs on a build host",
    severity="medium",
    level=2,
    fix="Move what is not part of building to another host, or name its containers in "
    "build_host_workloads of the policy.",
)
def test_builds_only(
    host: Host, build_agents: list[BuildAgent], role: Role, policy: Policy
) -> None:
    """Jobs are foreign code, and some of them get out. What else runs on their host is then in
    their hands: a site's production, its database, its monitoring. What belongs there only the
    site knows."""
    _need_builds(role, build_agents)
    agents = {each.process.pid for each in build_agents}
    try:
        found = get(host, "container")
    except NotApplicable:
        found = []
    unseen = [each.reason for each in found if isinstance(each, Unseen)]
    allowed = (*JOBS, *(policy.build_host_workloads or ()))
    others = sorted(
        each.name
        for each in found
        if isinstance(each, Container) and each.running
        if not any(fnmatch.fnmatchcase(each.name, pattern) for pattern in allowed)
        if not agents & {process.pid for process in each.processes}
    )
    if others and policy.build_host_workloads is None:
        raise Manual(f"see that nothing of {', '.join(others)} is production", others)
    expect(others, equals=[], what="containers that are no part of building")
    if unseen:
        raise Unknown(unseen[0])
