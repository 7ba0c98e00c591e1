"""Swarms: what each engine that is in one says of it, and what lies below its data root.

An engine knows its own state; nodes, services and the swarm's settings are known to managers only.
Of the node's private key only the armour's headers are read. swarmkit, ca/keyreadwriter.go: the
key encryption key's version stands there in the clear; the header beside it, ``raft-dek``, is the
key to all of the swarm's secrets wherever managers do not lock, and never leaves the host.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.docker import DockerEngine
from hullcheck.facts.engine_files import EngineFile, owners
from hullcheck.facts.files import File, Files
from hullcheck.facts.listings import listed as listed_paths
from hullcheck.facts.listings import listing
from hullcheck.facts.packet_filter.source import LEGACY, LISTED, NFT, SAVE
from hullcheck.facts.registry import fact, get, provide_each
from hullcheck.facts.routes import DEVICES, FORWARDING, STATE
from hullcheck.facts.sockets import MACHINE, InetListener, Sockets
from hullcheck.facts.swarm_api import (
    NODE,
    SERVICE,
    SERVICE_NETWORK,
    SWARM,
    checked,
    listed,
    nodes_want,
    service_networks_want,
    services_want,
)
from hullcheck.transport import CannotAnswer, Want, read, session_of, want
from hullcheck.verdict import Object

__all__ = ["KeyHeader", "Swarm", "certificates", "parse_key_header"]

FILES = ("", "certificates/swarm-node.key", "docker-state.json", "state.json")
"""What an engine keeps to itself below ``swarm`` in its data root."""

GOSSIP, DATA_PORT = 7946, 4789
"""Fixed in libnetwork; and the default of ``docker swarm init --data-path-port``."""

_ROOT, _NODE, _KEY = (
    f"certificates/swarm-{name}" for name in ("root-ca.crt", "node.crt", "node.key")
)
_STATE = "docker-state.json"

DEPTH = 2
"""How far below ``swarm`` lies what an engine keeps of it; deeper are raft's own files."""

FILTER = (LISTED, NFT, *SAVE.values(), *LEGACY.values())

START = {"ListenAddr": str, "AdvertiseAddr?": str, "DataPathAddr?": str, "DataPathPort?": int}

_HEADER = (
    "sed -n -e '/^-----BEGIN [A-Z ]*-----$/p' -e '/^kek-version: [0-9]*$/p' "
    "-e '/^Proc-Type: 4,ENCRYPTED$/p' -- %s"
)
_VERSION = re.compile(r"kek-version: (\d{1,20})")
_BEGIN = re.compile(r"-----BEGIN ((?:ENCRYPTED |EC |RSA )?PRIVATE KEY)-----")


@dataclass(frozen=True, slots=True)
class KeyHeader:
    """What stands in the clear around a node's private key.

    :param version: of the key that it is encrypted with: the swarm's version when that was made.
    """

    encrypted: bool
    version: int | None


def parse_key_header(text: str) -> KeyHeader:
    """Return what some lines of a private key's armour say. :raises Unknown: it is no key."""
    lines = text.splitlines()
    begins = [found[1] for found in map(_BEGIN.fullmatch, lines) if found]
    versions = [int(found[1]) for found in map(_VERSION.fullmatch, lines) if found]
    if len(begins) != 1 or len(versions) > 1:
        raise Unknown("the node's private key is not as an engine writes it")
    encrypted = begins[0].startswith("ENCRYPTED") or "Proc-Type: 4,ENCRYPTED" in lines
    return KeyHeader(encrypted, versions[0] if versions else None)


def certificates(text: str, path: str) -> list[x509.Certificate]:
    """Return the certificates of a PEM file, in their order. :raises Unknown: there are none."""
    try:
        return x509.load_pem_x509_certificates(text.encode("utf-8", "surrogateescape"))
    except ValueError:
        raise Unknown(f"{path} holds no certificate that can be read") from None


class Swarm:
    """What an engine that is in a swarm knows of it."""

    def __init__(self, engine: DockerEngine) -> None:
        self.engine = engine
        self.host = engine.host

    @property
    def object(self) -> Object:
        return self.engine.object

    def __str__(self) -> str:
        return f"the swarm of {self.engine}"

    @fact
    def info(self) -> dict[str, Any]:
        """``.Swarm`` of the engine's info. :raises Unknown: it does not say."""
        said = self.engine.info.get("Swarm")
        if not isinstance(said, dict):
            raise Unknown(f"{self.engine} does not say whether it is in a swarm")
        found: dict[str, Any] = checked(said, SWARM)
        return found

    @property
    def state(self) -> str:
        """One of inactive, pending, active, error, locked."""
        return str(self.info["LocalNodeState"])

    @property
    def inside(self) -> bool:
        """Whether the engine is in a swarm, be it up or not. :raises Unknown: it does not say."""
        return self.state not in ("inactive", "")

    def need_active(self) -> None:
        """:raises Unknown: the engine does not take part now, and so cannot tell."""
        if self.state != "active":
            why = str(self.info.get("Error") or "").split("\n")[0][:200]
            raise Unknown(f"{self.engine} is not up in its swarm ({self.state}) {why}".strip())

    @property
    def manager(self) -> bool:
        """Whether it manages the swarm. :raises Unknown: it is not up."""
        self.need_active()
        return self.info.get("ControlAvailable") is True

    def need_manager(self) -> None:
        """:raises NotApplicable: it is a worker. :raises Unknown: it is not up."""
        if not self.manager:
            raise NotApplicable("the engine is a worker of its swarm: only a manager knows")

    @property
    def managers(self) -> list[str]:
        """The addresses of the managers that it knows, be it one or a worker."""
        return [str(each.get("Addr")) for each in self.info.get("RemoteManagers") or []]

    @property
    def cluster(self) -> dict[str, Any]:
        """What a manager knows of the whole. Raises like :meth:`need_manager`."""
        self.need_manager()
        found: dict[str, Any] | None = self.info.get("Cluster")
        if not found or not found.get("ID"):
            raise Unknown(f"{self.engine} manages a swarm and does not know it (no quorum?)")
        return found

    def setting(self, group: str, name: str) -> Any:
        """Return a setting of the whole swarm, such as CAConfig's NodeCertExpiry.

        :raises Unknown: the manager does not say.
        """
        value = ((self.cluster.get("Spec") or {}).get(group) or {}).get(name)
        if value is None:
            raise Unknown(f"{self.engine} does not tell its swarm's {name}")
        return value

    @fact
    def nodes(self) -> list[dict[str, Any]]:
        """Every node of the swarm. Raises like :meth:`need_manager`."""
        self.need_manager()
        found = listed(session_of(self.host).ask(self.wants()[0])[0], NODE)
        if not found:
            raise Unknown(f"{self.engine} manages a swarm and lists no node")
        return found

    @fact
    def services(self) -> list[dict[str, Any]]:
        """Every service of the swarm. Raises like :meth:`need_manager`."""
        self.need_manager()
        return listed(session_of(self.host).ask(self.wants()[1])[0], SERVICE)

    @fact
    def host_networks(self) -> frozenset[str]:
        """Ids by which services are put into the network of the node they run on. Raises like
        :meth:`need_manager`."""
        self.need_manager()
        found = listed(session_of(self.host).ask(self.wants()[2])[0], SERVICE_NETWORK)
        return frozenset(each["Id"] for each in found if each["Driver"] == "host")

    def wants(self) -> tuple[Want, Want, Want]:
        """The questions that only a manager can answer."""
        address, client = self.engine.address, self.engine.api.client
        makers = (nodes_want, services_want, service_networks_want)
        nodes, services, networks = (make(address, client) for make in makers)
        return nodes, services, networks

    def path(self, name: str) -> str:
        """Return where the engine keeps something of its swarm, as it sees it."""
        return f"{self.engine.root_dir}/swarm/{name}".rstrip("/")

    def foresee(self) -> None:
        """Let all that is asked of a swarm travel in one round."""
        session = session_of(self.host)
        if not session.gathering:
            return
        if self.manager:
            session.foresee(*self.wants())
        seen = [self.engine.seen(self.path(name)) for name in (_ROOT, _NODE, _STATE)]
        session.foresee(*map(read, seen), self._key_want(), *self._listing_wants())
        session.foresee(*FILTER, STATE, FORWARDING, DEVICES, MACHINE)
        Files(self.host).foresee(self.engine.seen(self.path(name)) for name in (*FILES, _NODE))

    @property
    def certificate(self) -> x509.Certificate:
        """The node's own. :raises Unknown: it cannot be read."""
        path = self.path(_NODE)
        return certificates(self.engine.text(path), path)[0]

    @property
    def roots(self) -> list[x509.Certificate]:
        """The authority that the node trusts. :raises Unknown: it cannot be read."""
        path = self.path(_ROOT)
        return certificates(self.engine.text(path), path)

    @property
    def trust(self) -> list[x509.Certificate]:
        """The authority that a manager tells. Raises like :meth:`need_manager`."""
        told = (self.cluster.get("TLSInfo") or {}).get("TrustRoot") or ""
        return certificates(told, f"what {self.engine} tells of its swarm")

    @property
    def start_settings(self) -> dict[str, Any]:
        """With what addresses the engine starts its node: docker-state.json, which it writes when
        it joins (moby, daemon/cluster, nodeStartConfig). :raises Unknown: it cannot be read."""
        path = self.path(_STATE)
        try:
            found = json.loads(self.engine.text(path))
        except (ValueError, RecursionError):
            raise Unknown(f"{path} is no JSON") from None
        settings: dict[str, Any] = checked(found, START)
        return settings

    def _key_want(self) -> Want:
        return want(_HEADER, self.engine.seen(self.path(_KEY)), meaning=(0, 1, 2, 4))

    @property
    def key_header(self) -> KeyHeader:
        """What stands around the node's private key. :raises Unknown: it cannot be read."""
        answer = session_of(self.host).ask(self._key_want())[0]
        if answer.exit:
            raise Unknown(f"{self.path(_KEY)} cannot be read: {answer.complaint}")
        return parse_key_header(answer.text)

    def _listing_wants(self) -> tuple[Want, Want]:
        root = self.engine.seen(self.engine.root_dir)
        own = listing([self.engine.seen(self.path(""))], depth=DEPTH)
        return own, listing([root], "-name 'swarm*'")

    @property
    def kept(self) -> list[str]:
        """The names of all that lies below ``swarm``, to a depth of two; ``raft/wal``.

        :raises Unknown: not all of it can be seen.
        """
        top = self.engine.seen(self.path(""))
        found = listed_paths(session_of(self.host).ask(*self._listing_wants())[0]).below(top)
        if not found:
            raise Unknown(f"{self.engine} is in a swarm and keeps nothing below {top}")
        return [each.removeprefix(f"{top}/") for each in found]

    @property
    def copies(self) -> list[str]:
        """What lies beside ``swarm`` and is named after it, such as swarm.bak.

        :raises Unknown: it cannot be seen.
        """
        root = self.engine.seen(self.engine.root_dir)
        found = listed_paths(session_of(self.host).ask(*self._listing_wants())[1]).below(root)
        return [each for each in found if each != self.engine.seen(self.path(""))]

    @property
    def written(self) -> tuple[float, float]:
        """When the node's private key and its certificate were last written."""
        paths = [self.engine.seen(self.path(name)) for name in (_KEY, _NODE)]
        files: Files = get(self.host, "files")
        key, certificate = files.all(paths)
        return _time(key), _time(certificate)

    def listeners(self) -> list[InetListener]:
        """Return what the engine listens on for its swarm: management, by TCP, of a manager;
        and gossip, by TCP and UDP.

        :raises Unknown: it cannot be seen, or one is missing.
        """
        manager = self.manager
        port = self.start_settings["ListenAddr"].rpartition(":")[2]
        wanted = {("tcp", GOSSIP), ("udp", GOSSIP)}
        if manager:
            wanted.add(("tcp", int(port) if port.isdecimal() else 0))
        sockets: Sockets = get(self.host, "sockets")
        space = sockets.of(self.engine.pid)
        found = [
            each
            for each in (*space.tcp, *space.udp)
            if (each.protocol, each.port) in wanted and self.engine.pid in each.owners
        ]
        missing = wanted - {(each.protocol, each.port) for each in found}
        if missing:
            shown = ", ".join(f"{port}/{protocol}" for protocol, port in sorted(missing))
            raise Unknown(f"{self.engine} is in a swarm and does not listen on {shown}")
        return found

    def data_listeners(self) -> list[InetListener]:
        """Return the kernel's own sockets that take the traffic of overlay networks (VXLAN)."""
        ports = {DATA_PORT, self.start_settings.get("DataPathPort") or DATA_PORT}
        if self.manager:
            ports.add(self.cluster.get("DataPathPort") or DATA_PORT)
        sockets: Sockets = get(self.host, "sockets")
        space = sockets.of(self.engine.pid)
        return [each for each in space.udp if each.port in ports and not each.owners]


def _time(file: File) -> float:
    if not file.exists:
        raise Unknown(file.reason)
    return file.mtime


@provide_each
def swarm(host: Host) -> list[Swarm]:
    """Each engine that is in a swarm, or that may be.

    :raises NotApplicable: none is.
    """
    found = [each for each in map(Swarm, get(host, "docker")) if _may_be(each)]
    if not found:
        raise NotApplicable("no engine on this host is in a swarm")
    for each in found:
        with suppress(CannotAnswer, Unknown):
            each.foresee()
    return found


def _may_be(each: Swarm) -> bool:
    """Whether an engine is in a swarm, or does not tell: then what is asked of it says why."""
    try:
        return each.inside
    except (CannotAnswer, Unknown):
        return True


@provide_each
def swarm_file(host: Host) -> list[EngineFile]:
    """Each file and directory in which an engine keeps its part of a swarm to itself."""
    found = []
    for each in get(host, "swarm"):
        users, groups = owners(each.engine)
        for path in map(each.path, FILES):
            found.append(EngineFile(host, path, each.engine.seen(path), users, groups))
    return found
