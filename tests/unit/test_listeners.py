"""What listens on a host, whose it is, and whether it belongs there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hullcheck import facts
from hullcheck.catalogue import all_controls
from hullcheck.facts.containers import Container
from hullcheck.facts.docker import Engines
from hullcheck.facts.docker.search import PROGRAMS
from hullcheck.facts.namespaces import INITIAL
from hullcheck.facts.registry import Unseen
from hullcheck.facts.sockets import InetListener, Owners
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.transport import session_of
from hullcheck.verdict import Object, Verdict
from tests.unit.fake import host_with

HIDDEN = "the open files of 9 processes could not be read (needs root)"


class _Process(SimpleNamespace):
    def __str__(self) -> str:
        return f"{self.pid} ({self.name})"


def container(name: str, *pids: int, image: str = "app:1", **ports: Any) -> Any:
    """A running Docker container, as far as listeners are concerned."""
    published = {
        f"80/{key}": [{"HostIp": ip, "HostPort": str(port)} for ip, port in each]
        for key, each in ports.items()
    }

    class Fake(Container):
        def __init__(self) -> None:
            self.name = name
            self.inspect = {
                "NetworkSettings": {"Ports": published}, "Config": {"Image": image},
                "State": {"Running": True, "Pid": 9}, "HostConfig": {},
            }  # fmt: skip

        @property
        def processes(self) -> Any:
            return [SimpleNamespace(pid=pid) for pid in pids]

    return Fake()


def host(
    *sockets: str,
    containers: list[Any] | None = None,
    hidden: str = "",
    swarm: str = "inactive",
    pid_space: int = INITIAL["pid"],
) -> Any:
    """A host with sockets as ``tcp 0.0.0.0 22 sshd`` (nobody: "-"; several by comma)."""
    made = host_with({PROGRAMS.command: ""})
    own, by_inode, people = (
        [],
        {},
        {1: _Process(pid=1, name="init", spaces={"pid": (4, pid_space)})},
    )
    for at, line in enumerate(sockets, 100):
        protocol, address, port, *names = line.split()
        for number, name in enumerate(() if names == ["-"] else names, at * 10):
            people[number] = _Process(pid=number, name=name, spaces={})
            by_inode[at] = (*by_inode.get(at, ()), number)
        own.append((protocol, address, int(port), at))
    owners = Owners(by_inode, hidden)
    found = [InetListener(*each, owners) for each in own]
    table = SimpleNamespace(
        tcp=tuple(each for each in found if each.protocol == "tcp"),
        udp=tuple(each for each in found if each.protocol == "udp"), holders=owners,
    )  # fmt: skip
    engine = SimpleNamespace(
        info={"Swarm": {"LocalNodeState": swarm}}, object=Object("engine", "docker"), host=made
    )
    given = {
        "sockets": table, "processes": people, "container": containers or [],
        "engines": Engines((engine,), (), (), ""),  # type: ignore[arg-type]
    }  # fmt: skip
    for key, value in given.items():
        session_of(made).recall(("provider", key), lambda value=value: value)
    return made


def verdict(
    control: str,
    here: Any,
    policy: Policy | None = None,
    role: tuple[str, ...] = ("engine-rootful",),
) -> Verdict:
    return judge(all_controls()[f"host.{control}"], here, Site("fake", policy or Policy(), role))


def each(found: Verdict) -> dict[str, str]:
    return {str(finding.object.name): str(finding.status) for finding in found.findings}


def owners(here: Any) -> dict[str, str]:
    return {str(one): one.owner for one in facts.get(here, "listener")}


class TestOwners:
    def test_whose_they_are(self) -> None:
        here = host(
            "tcp 0.0.0.0 22 sshd", "tcp 127.0.0.1 631 cupsd", "tcp :: 80 docker-proxy",
            "tcp 0.0.0.0 9000 app", "udp 0.0.0.0 2049 -",
            containers=[container("web", tcp=[("0.0.0.0", 80)]), container("net", 1030)],
        )  # fmt: skip
        assert owners(here) == {
            "tcp://0.0.0.0:22": "1000 (sshd)",
            "tcp://[::]:80": "1020 (docker-proxy), container web",
            "tcp://0.0.0.0:9000": "1030 (app), container net",
            "udp://0.0.0.0:2049": "the kernel, or a process that cannot be seen",
        }

    def test_published_without_a_socket(self) -> None:
        """Without Docker's proxy only the packet filter knows of the port."""
        web = container("web", tcp=[("0.0.0.0", 8080), ("127.0.0.1", 5432)], udp=[("::", 53)])
        assert owners(host("tcp 0.0.0.0 22 sshd", containers=[web])) == {
            "tcp://0.0.0.0:22": "1000 (sshd)",
            "udp://[::]:53": "the packet filter, container web",
            "tcp://0.0.0.0:8080": "the packet filter, container web",
        }

    def test_what_an_ordinary_user_sees(self) -> None:
        """The ports, and not whose they are: that is enough to compare them with a list."""
        unseen = [Unseen(Object("container", "x"), "denied")]
        here = host("tcp 0.0.0.0 22 -", hidden=HIDDEN, containers=unseen)
        assert each(verdict("listeners", here, Policy(listening_ports=(22,)))) == {
            "tcp://0.0.0.0:22": "pass"
        }

    def test_a_neighbour_on_the_same_stack(self) -> None:
        """In a pid namespace, what nobody holds may be somebody else's; on a whole host, what
        hides is found by that."""
        assert owners(host("tcp 0.0.0.0 4444 -", pid_space=4026532999)) == {}
        assert owners(host("tcp 0.0.0.0 4444 -")) != {}


@pytest.mark.parametrize(
    ("socket", "policy", "expected"),
    [
        ("tcp 0.0.0.0 22 sshd", Policy(), "manual"),
        ("tcp 0.0.0.0 22 sshd", Policy(listening_ports=(22,)), "pass"),
        ("tcp :: 22 sshd", Policy(listening_ports=()), "fail"),
        ("tcp 10.0.0.1 111 rpcbind", Policy(listening_ports=(22,)), "fail"),
        ("udp 0.0.0.0 111 rpcbind", Policy(listening_ports=(22,)), "fail"),
        ("udp 0.0.0.0 41234 chronyd", Policy(listening_ports=()), "pass"),
        ("udp 0.0.0.0 51820 -", Policy(listening_ports=()), "fail"),
        ("tcp 0.0.0.0 41234 nc", Policy(listening_ports=()), "fail"),
        ("tcp 0.0.0.0 80 docker-proxy", Policy(listening_ports=(), published_ports=(80,)), "pass"),
        ("tcp 0.0.0.0 80 nginx", Policy(listening_ports=(), published_ports=(80,)), "fail"),
    ],
)
def test_listeners(socket: str, policy: Policy, expected: str) -> None:
    web = container("web", tcp=[("0.0.0.0", 80)])
    here = host(socket, containers=[web] if "docker-proxy" in socket else [])
    assert verdict("listeners", here, policy).status == expected


NODE = ("kubernetes-node",)


@pytest.mark.parametrize(
    ("socket", "more", "expected"),
    [
        ("tcp 0.0.0.0 22 sshd", {}, "not-applicable"),
        ("tcp 127.0.0.1 2375 dockerd", {}, "not-applicable"),
        ("tcp 0.0.0.0 2375 dockerd", {}, "fail"),
        ("tcp 0.0.0.0 2375 socat", {}, "fail"),
        ("tcp 0.0.0.0 2375 -", {"hidden": HIDDEN}, "fail"),
        ("tcp :: 2376 dockerd", {}, "fail"),
        ("tcp 10.0.0.1 2376 dockerd", {}, "pass"),
        ("tcp :: 2377 dockerd", {}, "fail"),
        ("tcp :: 2377 dockerd", {"swarm": "active"}, "pass"),
        ("tcp :: 7946 dockerd", {"swarm": "locked"}, "pass"),
        ("tcp :: 7946 speaker", {}, "not-applicable"),
        ("udp 0.0.0.0 4789 -", {}, "fail"),
        ("udp 0.0.0.0 4789 -", {"swarm": "active"}, "pass"),
        ("udp 0.0.0.0 8472 -", {"role": NODE}, "pass"),
        ("udp 0.0.0.0 8472 -", {}, "fail"),
        ("tcp :: 10250 kubelet", {"role": NODE}, "pass"),
        ("tcp :: 10250 kubelet", {}, "fail"),
        ("tcp :: 10255 kubelet", {"role": NODE}, "fail"),
        ("tcp :: 10249 kube-proxy", {"role": NODE}, "fail"),
        ("tcp 10.0.0.1 2379 etcd", {"role": NODE}, "pass"),
        ("tcp 10.0.0.1 2379 etcd", {}, "manual"),
        ("tcp :: 2379 etcd", {"role": NODE}, "fail"),
        ("tcp :: 9323 dockerd", {}, "fail"),
        ("tcp :: 5000 python3", {}, "not-applicable"),
        ("tcp :: 5000 registry", {}, "manual"),
        ("tcp :: 5000 -", {"hidden": HIDDEN}, "unknown"),
        ("tcp :: 2375 dockerd", {"policy": Policy(listening_ports=(2375,))}, "pass"),
    ],
)
def test_ports_of_clusters(socket: str, more: dict[str, Any], expected: str) -> None:
    judged = {key: more[key] for key in ("policy", "role") if key in more}
    rest = {key: value for key, value in more.items() if key not in judged}
    assert verdict("cluster-ports", host(socket, **rest), **judged).status == expected


def test_a_registry_in_a_container() -> None:
    mirror = container("mirror", image="registry.example/library/registry:2", tcp=[("::", 5000)])
    here = host("tcp :: 5000 docker-proxy", containers=[mirror])
    assert verdict("cluster-ports", here).status == "manual"
