"""The host around builds: where jobs can go from it, and what else it is."""

from __future__ import annotations

import ipaddress
import json
from types import SimpleNamespace
from typing import Any

import pytest
from testinfra.host import Host

from checks.build.test_build_hosts import test_build_host_apart as apart
from checks.build.test_build_hosts import test_builds_only as only
from checks.build.test_build_hosts import test_job_egress as egress
from checks.build.test_build_hosts import test_metadata_service as metadata
from hullcheck.control import Unknown
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.clouds import MACHINE, Cloud, cloud, unit_denies, unreachable
from hullcheck.facts.containers import Container
from hullcheck.facts.kubeconfigs import Kubeconfig, kubeconfigs
from hullcheck.facts.packet_filter import PacketFilter
from hullcheck.facts.packet_filter.nft import parse_ruleset
from hullcheck.facts.registry import Unseen
from hullcheck.facts.role import Role
from hullcheck.facts.routes import STATE, Route, parse_routes
from hullcheck.facts.runners.places import AgentPlaces, Seen
from hullcheck.inventory.policy import Policy
from hullcheck.transport import session_of
from hullcheck.verdict import Object
from tests.recordings.parts.build_controllers import kubeconfig
from tests.unit.fake import host_with
from tests.unit.filter_fake import network, rules, saved
from tests.unit.here import host_here
from tests.unit.judged import outcome

ADDRESS = "169.254.169.254"
ROUTES = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
DEFAULT = "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
REJECTED = "*\tFEA9FEA9\t00000000\t0205\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n"
BLACK = "*\tFEA9FEA9\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n"
PASSWD = "root:x:0:0:root:/root:/bin/sh\nci:x:995:995::/home/ci:/bin/sh\n"
BUILDER = Role(frozenset({"build-host"}), "the inventory")
NO_ROLE = Role(frozenset(), "what was seen")


def agent(uid: int = 995, own: bool = True, net: int = 9, cgroup: str = "/") -> Any:
    process = SimpleNamespace(
        pid=7, uids=(uid,) * 4, spaces={"net": (4, net)}, cgroups={"": cgroup}, name="x"
    )
    return SimpleNamespace(kind="github", process=process, own=own)


def host(filters: PacketFilter, *agents: Any, routes: str = ROUTES + DEFAULT, **more: Any) -> Host:
    text = "".join(f"/proc/self/net/route:{line}\n" for line in routes.splitlines())
    made = host_with({
        "getent passwd": PASSWD, "getent group": "root:x:0:\nci:x:995:\n",
        STATE.command: (2, text), **more.pop("answers", {}),
    })  # fmt: skip
    init = SimpleNamespace(spaces={"net": (4, 9)})
    seeds = {
        "packet_filter": filters, "build_agents": list(agents), "accounts": Accounts(made),
        "network": more.pop("network", network()), "processes": {1: init}, **more,
    }  # fmt: skip
    for name, value in seeds.items():
        session_of(made).recall(("provider", name), lambda value=value: value)
    return made


CLOUD = Cloud("Amazon EC2", ADDRESS, True)
DROP = f"-d {ADDRESS}/32 -m owner ! --uid-owner 0 -j REJECT"
BY_NAME = {"nftables": [
    {"table": {"family": "inet", "name": "f"}},
    {"chain": {"family": "inet", "table": "f", "name": "o", "type": "filter", "hook": "output",
               "prio": 0, "policy": "accept"}},
    {"rule": {"family": "inet", "table": "f", "chain": "o", "expr": [
        {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}},
                   "right": ADDRESS}},
        {"match": {"op": "!=", "left": {"meta": {"key": "skuid"}}, "right": "root"}},
        {"drop": None}]}},
]}  # fmt: skip
EMPTY = PacketFilter(())
FORWARD = "*filter\n:FORWARD {} [0:0]\n:OUTPUT DROP [0:0]\n{}COMMIT\n"


@pytest.mark.parametrize(
    ("filters", "made", "expected"),
    [
        (EMPTY, agent(net=8), "fail"),
        (saved(FORWARD.format("DROP", "")), agent(), "pass"),
        (saved(FORWARD.format("ACCEPT", "")), agent(), "fail"),
        (saved(FORWARD.format("ACCEPT", f"-A FORWARD -d {ADDRESS}/32 -j DROP\n")), agent(), "pass"),
        (saved(FORWARD.format("ACCEPT", f"-A FORWARD -d {ADDRESS}/32 -i docker0 -j DROP\n")),
         agent(), "pass"),
        (saved(FORWARD.format("ACCEPT", f"-A FORWARD -d {ADDRESS}/32 -i br-x -j DROP\n")),
         agent(), "fail"),
    ],
)  # fmt: skip
def test_containers_and_the_metadata_service(
    filters: PacketFilter, made: Any, expected: str
) -> None:
    there = host(filters, made)
    assert outcome(metadata, there, CLOUD, [made], NO_ROLE) == expected


@pytest.mark.parametrize(
    ("filters", "uid", "expected"),
    [
        (rules(DROP, policy="ACCEPT", hook="OUTPUT"), 995, "denied"),
        (rules(DROP, policy="ACCEPT", hook="OUTPUT"), 0, "open"),
        (rules(DROP.replace("! --uid-owner 0", "--uid-owner 990-999"), policy="ACCEPT",
               hook="OUTPUT"), 995, "denied"),
        (rules(DROP.replace("! --uid-owner 0", "--uid-owner 1000"), policy="ACCEPT",
               hook="OUTPUT"), 995, "open"),
        (rules(DROP.replace("-m owner ! --uid-owner 0", "-m owner --gid-owner 7"),
               policy="ACCEPT", hook="OUTPUT"), 995, "unknown"),
        (rules("-o lo -j ACCEPT", hook="OUTPUT"), 995, "denied"),
        (rules("-m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT", hook="OUTPUT"), 995, "open"),
        (saved(f"*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -d {ADDRESS}/32 -p tcp -j DNAT "
               "--to-destination 127.0.0.1:8181\nCOMMIT\n"), 995, "denied"),
        (PacketFilter(tuple(parse_ruleset(json.dumps(BY_NAME)))), 995, "denied"),
        (PacketFilter(tuple(parse_ruleset(json.dumps(BY_NAME)))), 0, "open"),
        (EMPTY, 995, "open"),
        (PacketFilter((), ("a table could not be seen",)), 995, "unknown"),
    ],
)  # fmt: skip
def test_what_a_user_may_send(filters: PacketFilter, uid: int, expected: str) -> None:
    owner = (uid, {0: "root", 995: "ci"}[uid])
    assert filters.outgoing(ADDRESS, 80, network(), owner, "").verdict == expected


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        (DEFAULT, ""),
        (DEFAULT + REJECTED, "a route refuses"),
        (DEFAULT + BLACK, "a route refuses"),
        ("", "no route leads"),
    ],
)
def test_routes_that_refuse(routes: str, expected: str) -> None:
    text = ROUTES + routes
    made = host(EMPTY, routes=text)
    net: Any = SimpleNamespace(onward=_onward(parse_routes(text)))
    why = unreachable(made, net, ADDRESS)
    assert why.startswith(expected)
    assert bool(why) == bool(expected)


def _onward(routes: list[Route]) -> Any:
    def onward(_: int, number: int) -> str:
        fit = [each for each in routes if ipaddress.ip_address(number) in each.network]
        return max(fit, key=lambda each: each.network.prefixlen).device if fit else ""

    return onward


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("IPAddressDeny=169.254.169.254/32\nIPAddressAllow=\n", True),
        ("IPAddressDeny=0.0.0.0/0 ::/0\nIPAddressAllow=10.0.0.0/8\n", True),
        ("IPAddressDeny=0.0.0.0/0 ::/0\nIPAddressAllow=169.254.0.0/16\n", False),
        ("IPAddressDeny=\n\nIPAddressDeny=169.254.169.254\n", True),
        ("IPAddressDeny=damaged\n", False),
        ("", False),
    ],
)
def test_units_that_deny(told: str, expected: bool) -> None:
    made = agent(cgroup="/system.slice/actions.runner.service")
    command = (
        "[ ! -d /run/systemd/system ] || systemctl show -p IPAddressDeny -p IPAddressAllow"
        " -- 'system.slice' 'actions.runner.service'"
    )
    assert unit_denies(host_with({command: told}), made, ADDRESS) is expected


@pytest.mark.parametrize(
    ("lines", "name", "told"),
    [
        ("/sys/class/dmi/id/sys_vendor:Amazon EC2\n", "Amazon EC2", True),
        ("/sys/class/dmi/id/sys_vendor:Microsoft Corporation\n"
         "/sys/class/dmi/id/chassis_asset_tag:7783-7084-3265-9085-8269-3286-77\n", "Azure", True),
        ("/sys/class/dmi/id/sys_vendor:Microsoft Corporation\n", "", True),
        ("/sys/class/dmi/id/sys_vendor:Google\n/sys/class/dmi/id/product_name:Eve\n", "", True),
        ("/sys/hypervisor/uuid:ec2e1916-9099-7caf-fd21-012345abcdef\n", "Amazon EC2", False),
        ("/run/cloud-init/cloud-id:gce\n", "Google Cloud", False),
        ("/run/cloud-init/cloud-id:nocloud\n", "", False),
        ("", "", False),
    ],
)  # fmt: skip
def test_clouds(lines: str, name: str, told: bool) -> None:
    found = cloud(host_with({MACHINE.command: (2, lines)}))
    assert (found.name, found.told) == (name, told)


def test_metadata_of_no_cloud() -> None:
    there = host(EMPTY, agent())
    assert outcome(metadata, there, CLOUD, [], NO_ROLE) == "not-applicable"
    for told, expected in ((True, "not-applicable"), (False, "unknown")):
        said = outcome(metadata, there, Cloud("", ADDRESS, told), [agent()], BUILDER)
        assert said == expected


def test_an_agent_that_does_not_run_is_no_reason_to_pass() -> None:
    for filters, expected in ((EMPTY, "fail"), (saved(FORWARD.format("DROP", "")), "pass")):
        assert outcome(metadata, host(filters), CLOUD, [], BUILDER) == expected
    root = agent(uid=0)
    root.kind = "gitlab-runner"
    kept = rules(DROP, policy="ACCEPT", hook="OUTPUT", extra=":FORWARD DROP [0:0]\n")
    assert outcome(metadata, host(kept, root), CLOUD, [root], BUILDER) == "pass"
    lonely = SimpleNamespace(
        inner=lambda _: {}, forwarding={4: ()}, addresses={}, onward=lambda *_: "eth0"
    )
    made = agent(net=8)
    assert outcome(metadata, host(EMPTY, made, network=lonely), CLOUD, [made], BUILDER) == "fail"


def test_rules_for_ipv4_alone_are_no_rules() -> None:
    there = host(saved(FORWARD.format("DROP", "")), agent(), network=network(v6=True))
    assert outcome(egress, there, [agent()], BUILDER, Policy(job_egress=False)) == "fail"


def test_egress_is_the_sites_to_say() -> None:
    shut = saved(FORWARD.format("DROP", ""))
    for filters, value, expected in (
        (EMPTY, None, "manual"), (EMPTY, False, "fail"), (EMPTY, True, "not-applicable"),
        (shut, None, "pass"), (shut, False, "pass"),
    ):  # fmt: skip
        there = host(filters, agent())
        assert outcome(egress, there, [agent()], BUILDER, Policy(job_egress=value)) == expected


def around(*names: str, configs: list[Any] | None = None, hidden: Any = (), net: int = 9) -> Any:
    init = SimpleNamespace(name="systemd", spaces={"net": (4, 9)})
    found = [SimpleNamespace(name=each, spaces={"net": (4, net)}) for each in names]

    class Processes(list[Any]):
        get = staticmethod(lambda _: init)

    places = AgentPlaces((), tuple(hidden))
    made = host(EMPTY, agent_places=places, kubeconfigs=configs or [])
    return made, Processes(found)


ADMIN = Kubeconfig("/root/.kube/config", frozenset({"system:masters"}), frozenset())
TOKEN = Kubeconfig("/home/ci/.kube/config", frozenset(), frozenset({"token"}))
USER = Kubeconfig("/home/ci/.kube/config", frozenset({"developers"}), frozenset())


@pytest.mark.parametrize(
    ("there", "own", "expected"),
    [
        (around(), True, "pass"),
        (around("kubelet"), True, "fail"),
        (around("k3s-server"), False, "fail"),
        (around("kubelet"), False, "manual"),
        (around("kubelet", "kube-apiserver"), False, "fail"),
        (around("kubelet", "kube-apiserver", net=5), True, "pass"),
        (around(configs=[ADMIN]), True, "fail"),
        (around(configs=[USER]), True, "pass"),
        (around(configs=[TOKEN]), True, "manual"),
        (around(hidden=[("/root", "Permission denied")]), True, "unknown"),
        (around("kubelet", hidden=[("/root", "Permission denied")]), True, "fail"),
    ],
)
def test_apart_from_clusters(there: Any, own: bool, expected: str) -> None:
    made, processes = there
    assert outcome(apart, made, [agent(own=own)], processes, BUILDER) == expected


@pytest.mark.parametrize(
    ("text", "administrator"),
    [
        (kubeconfig("system:masters"), True),
        (kubeconfig("kubeadm:cluster-admins"), True),
        (kubeconfig("developers"), False),
        ("users:\n- name: x\n  user:\n    client-certificate-data: AAAA\n", None),
    ],
)
def test_certificates_of_kubeconfigs(tmp_path: Any, text: str, administrator: bool | None) -> None:
    (tmp_path / "config").write_text(text)
    there = host_here()
    places = AgentPlaces((Seen(f"{tmp_path}/config", 0),), ())
    session_of(there).recall(("provider", "agent_places"), lambda: places)
    if administrator is None:
        with pytest.raises(Unknown):
            kubeconfigs(there)
        return
    (found,) = kubeconfigs(there)
    assert found.administrator is administrator
    assert not any(b"p1anted" in each.stdout for each in session_of(there).recording)


class Kept(Container):
    """A container by its name alone."""

    def __init__(self, name: str, pid: int = 99) -> None:
        self.name, self._pid = name, pid

    @property
    def running(self) -> bool:
        return True

    @property
    def processes(self) -> Any:
        return [SimpleNamespace(pid=self._pid)]


@pytest.mark.parametrize(
    ("found", "allowed", "expected"),
    [
        ([], None, "pass"),
        ([Kept("shop-db")], None, "manual"),
        ([Kept("shop-db")], (), "fail"),
        ([Kept("shop-db")], ("shop-*",), "pass"),
        ([Kept("agent", pid=7)], (), "pass"),
        ([Kept("runner-t3x-project-9-concurrent-0-1f-build-2")], (), "pass"),
        ([Unseen(Object("container", "?"), "hidden")], (), "unknown"),
    ],
)
def test_nothing_but_builds(found: list[Any], allowed: Any, expected: str) -> None:
    there = host(EMPTY, agent(), container=found)
    policy = Policy(build_host_workloads=allowed)
    assert outcome(only, there, [agent()], BUILDER, policy) == expected
