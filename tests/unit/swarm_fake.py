"""A host whose engine is in a swarm, made of what the engine and the kernel would answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from hullcheck.control import control_of
from hullcheck.facts.acl import acl_want
from hullcheck.facts.docker import DockerEngine
from hullcheck.facts.listings import END
from hullcheck.facts.sockets import EVERYWHERE, HOLDERS
from hullcheck.facts.swarm import Swarm
from hullcheck.facts.swarm_api import nodes_want, service_networks_want, services_want
from hullcheck.facts.way import lstat_want, readlink_want, stat_want
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.transport import read
from hullcheck.verdict import Verdict
from tests.unit.docker_fake import SOCKET, WHEN, Daemon, docker_answers, dockerd
from tests.unit.fake import Reply, host_with
from tests.unit.filter_fake import DENY4
from tests.unit.filter_fake import answers as filter_answers

ROOT = "/var/lib/docker/swarm"
KEY = f"{ROOT}/certificates/swarm-node.key"
ADDRESS = f"unix://{SOCKET}"
KEPT = ("certificates", "certificates/swarm-node.crt", "certificates/swarm-node.key",
        "certificates/swarm-root-ca.crt", "docker-state.json", "raft", "raft/snap-v3-encrypted",
        "raft/wal-v3-encrypted", "state.json", "worker", "worker/tasks.db")  # fmt: skip
_PRIVATE = ec.generate_private_key(ec.SECP256R1())


def certificate(begins: datetime, days: float) -> str:
    """Return a certificate, as PEM."""
    made = x509.CertificateBuilder(
        x509.Name([]), x509.Name([]), _PRIVATE.public_key(), 7, begins,
        begins + timedelta(days=days),
    )  # fmt: skip
    return made.sign(_PRIVATE, SHA256()).public_bytes(Encoding.PEM).decode()


CA = certificate(WHEN - timedelta(days=100), 7300)
NODE = certificate(WHEN - timedelta(days=10, hours=1), 90 + 1 / 24)


def header(kind: str = "ENCRYPTED PRIVATE KEY", version: str = "kek-version: 42\n") -> str:
    return f"-----BEGIN {kind}-----\n{version}-----END {kind}-----\n".split("-----END")[0]


def manager(
    *, autolock: bool = True, days: float = 90, spec: Mapping[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """Return what a manager's info says of its swarm."""
    own = {
        "CAConfig": {"NodeCertExpiry": int(days * 86400e9)},
        "EncryptionConfig": {"AutoLockManagers": autolock},
        "Raft": {"KeepOldSnapshots": 0},
        **(spec or {}),
    }
    cluster = {"ID": "c1", "Spec": own, "CreatedAt": "2020-01-01T00:00:00.123456789Z",
               "UpdatedAt": WHEN.isoformat(), "TLSInfo": {"TrustRoot": CA},
               "RootRotationInProgress": False, **more}  # fmt: skip
    return {
        "LocalNodeState": "active", "ControlAvailable": True, "NodeAddr": "10.0.0.1",
        "NodeID": "n1", "Error": "", "RemoteManagers": [{"NodeID": "n1", "Addr": "10.0.0.1:2377"}],
        "Cluster": cluster,
    }  # fmt: skip


WORKER = {
    "LocalNodeState": "active", "ControlAvailable": False, "NodeAddr": "10.0.0.2", "NodeID": "n2",
    "Error": "", "RemoteManagers": [{"NodeID": "n1", "Addr": "10.0.0.1:2377"}],
}  # fmt: skip


def node(number: int, reach: str = "", availability: str = "active") -> dict[str, Any]:
    """Return a node; one that is reachable or unreachable is a manager."""
    return {
        "ID": f"n{number}", "Spec": {"Role": "manager" if reach else "worker",
                                     "Availability": availability},
        "Status": {"State": "ready"}, "Description": {"Hostname": f"host{number}"},
        "ManagerStatus": {"Reachability": reach, "Addr": "10.0.0.1:2377"} if reach else None,
    }  # fmt: skip


def service(ports: Sequence[Any] = (), **container: Any) -> dict[str, Any]:
    """Return a service of a name."""
    own = {"Image": "web:1", **container}
    spec = {"Name": "web", "TaskTemplate": {"ContainerSpec": own},
            "EndpointSpec": {"Mode": "vip", "Ports": list(ports)}}  # fmt: skip
    return {"ID": "s1", "Spec": spec}


def network(name: str, options: Any = None, **more: Any) -> dict[str, Any]:
    return {"Id": f"{name}1", "Name": name, "Driver": "overlay", "Options": options, **more}


def in_swarm(
    said: Mapping[str, Any] | None = None,
    *,
    nodes: Sequence[Any] = (node(1, "reachable"),),
    services: Sequence[Any] = (),
    networks: Sequence[Any] = (),
    key: Reply | None = None,
    files: Mapping[str, str] | None = None,
    state: Mapping[str, Any] | None = None,
    written: tuple[float, float] = (0, 0),
    tcp: Sequence[tuple[str, int]] = (("10.0.0.1", 2377), ("10.0.0.1", 7946)),
    udp: Sequence[tuple[str, int]] = (("10.0.0.1", 7946),),
    kernel: Sequence[tuple[str, int]] = (),
    kept: Sequence[str] = KEPT,
    copies: Sequence[str] = (),
    host_network: str = "h1",
    packets: Mapping[str, Any] | None = None,
    network_space: int = 100,
    also: Mapping[str, Reply] | None = None,
) -> dict[str, Reply]:
    """Return what a host answers whose engine is in a swarm.

    :param kept: what lies below the swarm's directory; ``copies``: beside it.
    :param packets: see ``filter_fake.answers``; without it strangers are denied.
    :param network_space: the engine's network namespace; the host's is 100.

    :param written: when the private key and the certificate were, in seconds since the epoch.
    :param kernel: the UDP sockets of the kernel itself.
    """
    daemon = Daemon(info={"Swarm": said or manager()}, networks=networks)
    answers = docker_answers([dockerd(tcp=tcp, net=network_space)], {ADDRESS: daemon})
    _udp(answers, [*((each, True) for each in udp), *((each, False) for each in kernel)])
    answers |= filter_answers(**(packets or {"save4": DENY4}))
    below, beside = wants()
    answers[below.command] = _paths(ROOT, *(f"{ROOT}/{each}" for each in kept))
    answers[beside.command] = _paths(ROOT, *(f"{ROOT[:-6]}/{each}" for each in copies))
    answers[service_networks_want(ADDRESS, True).command] = (
        json.dumps({"Id": host_network, "Driver": "host"}) + "\n"
    )
    settings = {"ListenAddr": "10.0.0.1:2377", "AdvertiseAddr": "10.0.0.1:2377",
                "DataPathAddr": "", **(state or {})}  # fmt: skip
    texts = {"certificates/swarm-root-ca.crt": CA, "certificates/swarm-node.crt": NODE,
             "docker-state.json": json.dumps(settings), **(files or {})}  # fmt: skip
    answers |= {read(f"{ROOT}/{name}").command: text for name, text in texts.items()}
    answers[nodes_want(ADDRESS, True).command] = _lines(nodes)
    answers[services_want(ADDRESS, True).command] = _lines(services)
    answers[key_want().command] = header() if key is None else key
    for path, when in zip((KEY, f"{ROOT}/certificates/swarm-node.crt"), written, strict=True):
        answers |= _stats(path, int(WHEN.timestamp() + when))
    return {**answers, **(also or {})}


def key_want(path: str = KEY) -> Any:
    """Return the want for the header of a private key."""
    return _alone(path.removesuffix("/swarm/certificates/swarm-node.key"))._key_want()


def wants() -> Any:
    """Return the wants for what lies below and beside the swarm's directory."""
    return _alone(ROOT.removesuffix("/swarm"))._listing_wants()


def _alone(root: str) -> Swarm:
    class Engine:
        host, root_dir = None, root

        def seen(self, path: str) -> str:
            return path

    return Swarm(cast(DockerEngine, Engine()))


def _paths(*paths: str) -> str:
    return "".join(f"{each}\0" for each in (*paths, END))


def _lines(members: Sequence[Any]) -> str:
    return "".join(json.dumps(each) + "\n" for each in members) or "[]\n"


def _udp(answers: dict[str, Reply], sockets: Sequence[tuple[tuple[str, int], bool]]) -> None:
    everywhere = answers[EVERYWHERE.command][1]
    rows, held = [], []
    for inode, ((address, port), owned) in enumerate(sockets, start=9000):
        packed = "".join(f"{int(part):02X}" for part in reversed(address.split(".")))
        rows.append(f"/proc/1/net/udp: 1: {packed}:{port:04X} 00000000:0000 07 0:0 0:0 0 0 0 "
                    f"{inode} 2\n")  # fmt: skip
        held += [f"50 {inode}\n"] if owned else []
    answers[EVERYWHERE.command] = (123, str(everywhere) + "".join(rows))
    answers[HOLDERS.command] = str(answers[HOLDERS.command]) + "".join(held)


def _stats(path: str, when: int) -> dict[str, Reply]:
    parts = path.split("/")
    found: dict[str, Reply] = {acl_want(path).command: (127, "")}
    for count in range(1, len(parts) + 1):
        step = "/".join(parts[:count]) or "/"
        mode = "8180" if step == path else "41c0"
        said = f"{mode} 0 0 100 {when} 1 {count} 1 root:root\n"
        found |= {lstat_want(step).command: said, stat_want(step).command: said}
        found[readlink_want(step).command] = (1, "")
    return found


def judged(control: Any, policy: Policy | None = None, **more: Any) -> Verdict:
    """Judge a control on a host in a swarm; see :func:`in_swarm`."""
    site = Site(policy=policy or Policy(), started=WHEN)
    made = control_of(control)
    assert made is not None
    return judge(made, host_with(in_swarm(**more)), site)


def status(control: Any, policy: Policy | None = None, **more: Any) -> str:
    return str(judged(control, policy, **more).status)


__all__ = [
    "ADDRESS", "CA", "KEPT", "KEY", "NODE", "ROOT", "WORKER", "certificate", "header", "in_swarm",
    "judged", "key_want", "manager", "network", "node", "service", "status", "wants",
]  # fmt: skip
