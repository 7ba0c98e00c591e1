"""What listens on a host beyond loopback, and whose it is: a program's, a container's, an
engine's for a container, or the kernel's own.

A published port may have no socket at all: without its proxy, Docker leaves it to the packet
filter alone. The engine tells of those.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.containers import Container
from hullcheck.facts.docker.candidates import parse_programs, program_name
from hullcheck.facts.docker.search import PROGRAMS
from hullcheck.facts.namespaces import INITIAL
from hullcheck.facts.processes import Process, Processes
from hullcheck.facts.registry import Unseen, get, provide_each
from hullcheck.facts.sockets import InetListener, Sockets
from hullcheck.transport import CannotAnswer, session_of
from hullcheck.verdict import Object

__all__ = ["CLUSTER_PORTS", "Listener", "cluster_listener", "listener"]

CLUSTER_PORTS: dict[tuple[str, int], str] = {
    ("tcp", 2375): "Docker's API in the clear", ("tcp", 2376): "Docker's API",
    ("tcp", 2377): "a swarm's management", ("tcp", 7946): "gossip between a swarm's nodes",
    ("udp", 7946): "gossip between a swarm's nodes", ("udp", 4789): "VXLAN, overlay networks",
    ("udp", 8472): "VXLAN, a cluster's network", ("tcp", 2379): "etcd",
    ("tcp", 2380): "etcd's peers", ("tcp", 6443): "the Kubernetes API",
    ("tcp", 9323): "Docker's metrics", ("tcp", 10248): "the kubelet's health",
    ("tcp", 10249): "kube-proxy's metrics", ("tcp", 10250): "the kubelet",
    ("tcp", 10255): "the kubelet in the clear", ("tcp", 10257): "the controller manager",
    ("tcp", 10259): "the scheduler",
}  # fmt: skip
"""Ports by which engines and clusters are run; IANA, and the projects' own documentation."""

REGISTRY = ("tcp", 5000)
"""A registry's usual port, and that of many a web program: who holds it tells."""

REGISTRIES = frozenset({"registry", "distribution", "zot"})

EPHEMERAL = 32768
"""From here on Linux gives ports to those who ask for none (ip_local_port_range): a UDP socket
there, of a program, is a client's."""

_PROXIES = frozenset({"docker-proxy", "rootlessport", "slirp4netns", "pasta", "pasta.avx2"})
_KERNEL = "the kernel, or a process that cannot be seen"


@dataclass(frozen=True, slots=True)
class Listener:
    """A port on which the host can be reached.

    :param owner: whose it is, for a person.
    :param programs: the programs that hold it, by the names of their files; none if nobody does.
    :param container: for which container; empty if for none that is known. ``image``: the last
        part of its image's name.
    :param doubt: why its owner cannot be told; empty if it can.
    """

    protocol: str
    address: str
    port: int
    owner: str
    programs: frozenset[str] = frozenset()
    container: str = ""
    image: str = ""
    doubt: str = ""

    @property
    def object(self) -> Object:
        return Object("listener", str(self))

    @property
    def any(self) -> bool:
        """Whether it takes what comes for any address of the host."""
        return ipaddress.ip_address(self.address).is_unspecified

    @property
    def client(self) -> bool:
        """Whether it is a client's socket, that waits for answers."""
        return self.protocol == "udp" and self.port >= EPHEMERAL and bool(self.programs)

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.protocol}://{address}:{self.port}"


@dataclass(frozen=True, slots=True)
class _People:
    """Who may hold a socket: the host's processes, and those of containers.

    :param programs: the names of their files, by pid.
    :param inside: the container that a process is in; ``published``: that of a port.
    """

    processes: Processes
    programs: Mapping[int, str]
    inside: Mapping[int, Container]
    published: Mapping[tuple[str, int], Container]

    def program(self, process: Process) -> str:
        """Return the name of a process's file, or its own where that cannot be seen."""
        return program_name(self.programs.get(process.pid, "")) or process.name


def _seen(host: Host) -> list[Container]:
    """Return the containers that can be seen."""
    try:
        found = get(host, "container")
    except (CannotAnswer, NotApplicable, Unknown):
        return []
    return [each for each in found if not isinstance(each, Unseen)]


def _people(host: Host) -> _People:
    inside: dict[int, Container] = {}
    published: dict[tuple[str, int], Container] = {}
    for each in _seen(host):
        with suppress(CannotAnswer, NotApplicable, Unknown):
            inside |= {process.pid: each for process in each.processes}
        for protocol, _, port in _bindings(each):
            published.setdefault((protocol, port), each)
    paths = parse_programs(session_of(host).ask(PROGRAMS)[0])
    return _People(get(host, "processes"), paths, inside, published)


def _bindings(container: Container) -> Iterator[tuple[str, str, int]]:
    """Yield (protocol, address, port) of the host, as an engine has published them."""
    settings = container.inspect.get("NetworkSettings")
    ports = settings.get("Ports") if container.running and isinstance(settings, dict) else None
    for inner, bindings in (ports or {}).items():
        for each in bindings or []:
            number = str(each.get("HostPort") or "")
            if number.isdecimal():
                protocol = str(inner).rpartition("/")[2] or "tcp"
                yield protocol, str(each.get("HostIp") or "0.0.0.0"), int(number)  # noqa: S104


@provide_each
def listener(host: Host) -> list[Listener]:
    """Each TCP and UDP port on which the host can be reached from elsewhere.

    :raises Unknown: the kernel does not tell.
    """
    sockets: Sockets = get(host, "sockets")
    own = [each for each in (*sockets.tcp, *sockets.udp) if not each.loopback]
    people = _people(host)
    alone = not _shared(people.processes)
    found: dict[str, Listener] = {}
    for each in own:
        made = _listener(each, people, sockets.holders.hidden, alone)
        if made is not None:
            found.setdefault(str(made), made)
    for made in _unheld(host, found.values()):
        found.setdefault(str(made), made)
    return sorted(found.values(), key=lambda each: (each.port, each.protocol, each.address))


def _shared(processes: Processes) -> bool:
    """Whether the host is itself in a pid namespace: what listens and belongs to nobody may then
    be another's on the same network stack."""
    init = processes.get(1)
    space = init.spaces.get("pid") if init else None
    return space is not None and space[1] != INITIAL["pid"]


def _listener(socket: InetListener, people: _People, hidden: str, alone: bool) -> Listener | None:
    place = (socket.protocol, socket.address, socket.port)
    pids = socket.holders.by_inode.get(socket.inode, ())
    if not pids and hidden:
        return Listener(*place, "somebody who cannot be seen", doubt=hidden)
    if not pids:
        return Listener(*place, _KERNEL) if alone else None
    holders = [each for each in map(people.processes.get, pids) if each]
    programs = frozenset(map(people.program, holders))
    owner = ", ".join(map(str, holders[:3])) or "a process that has ended"
    container = next((people.inside[pid] for pid in pids if pid in people.inside), None)
    if container is None and programs & _PROXIES:
        container = people.published.get((socket.protocol, socket.port))
    if container is None:
        return Listener(*place, owner, programs)
    owner = f"{owner}, container {container.name}"
    return Listener(*place, owner, programs, container.name, _image(container))


def _image(container: Container) -> str:
    """Return the last part of an image's name, without its tag."""
    return str(container.config("Image", "")).rpartition("/")[2].partition(":")[0].partition("@")[0]


def _unheld(host: Host, found: Iterable[Listener]) -> Iterator[Listener]:
    """Yield what an engine has published and nobody listens on."""
    held = {(each.protocol, each.port) for each in found}
    for each in _seen(host):
        for protocol, address, port in _bindings(each):
            try:
                place = ipaddress.ip_address(address.strip("[]"))
            except ValueError:
                continue
            if not place.is_loopback and (protocol, port) not in held:
                owner = f"the packet filter, container {each.name}"
                yield Listener(protocol, str(place), port, owner, frozenset(), each.name,
                               _image(each))  # fmt: skip


@provide_each
def cluster_listener(host: Host) -> list[Listener]:
    """Each of those by which an engine or a cluster is run, or that a registry holds.

    :raises NotApplicable: there is none.
    """
    found = [
        each
        for each in get(host, "listener")
        if (each.protocol, each.port) in CLUSTER_PORTS or _may_be_registry(each)
    ]
    if not found:
        raise NotApplicable("nothing listens on a port of an engine's or a cluster's")
    return found


def _may_be_registry(each: Listener) -> bool:
    return (each.protocol, each.port) == REGISTRY and (
        bool(each.doubt) or REGISTRIES & {*each.programs, each.image} != set()
    )
