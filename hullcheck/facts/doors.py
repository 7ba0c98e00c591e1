"""The ways in to an engine: every socket and port on which one can be told what to do.

Whoever may connect to a rootful engine is root on the host (Docker's own documentation, "Docker
daemon attack surface"). Connecting to a Unix socket takes write permission on it and search
permission on every directory above it (unix(7)).
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.accounts import Accounts, User
from hullcheck.facts.acl import AclEntry, acl_of
from hullcheck.facts.docker import Api, DockerEngine, Engines
from hullcheck.facts.docker.api import CLIENT
from hullcheck.facts.docker.candidates import parse_programs
from hullcheck.facts.docker.search import PROGRAMS
from hullcheck.facts.files import File, Files
from hullcheck.facts.processes import Process, Processes
from hullcheck.facts.registry import fact, get, provide_each
from hullcheck.facts.sockets import InetListener, Sockets, UnixListener
from hullcheck.facts.way import Status
from hullcheck.transport import session_of
from hullcheck.verdict import Object

__all__ = [
    "ENGINE_GROUPS", "EngineGroup", "EnginePort", "EngineSocket", "engine_group", "engine_port",
    "engine_socket",
]  # fmt: skip

PROGRAMS_OF_ENGINES = frozenset(
    ("dockerd", "containerd", "podman", "crio", "k3s", "k3s-server", "k0s", "rke2", "buildkitd",
     "cri-dockerd", "isulad", "balenad", "balena-engine", "balena-engine-daemon")
)  # fmt: skip

SOCKETS_OF_ENGINES = frozenset(
    ("docker.sock", "containerd.sock", "podman.sock", "crio.sock", "buildkitd.sock",
     "cri-dockerd.sock", "dockershim.sock", "balena-engine.sock", "isulad.sock",
     "lxd/unix.socket", "incus/unix.socket")
)  # fmt: skip
"""How engines call their sockets; systemd may hold one for an engine that it would start."""

ENGINE_GROUPS = ("docker", "lxd", "incus-admin", "microk8s", "snap_microk8s")
"""Groups that give access to an engine by the engines' own defaults."""

DOCKER_PORTS = frozenset((2375, 2376))
"""The ports registered for Docker's API, without and with TLS (IANA)."""

SWARM_PORTS = frozenset((2377, 7946))
"""dockerd's own listeners that are no API for users: both ask for a node's certificate or key."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Who can connect, beside root and the user that the engine runs as.

    :param everybody: an account without any group can, so that anybody can.
    """

    everybody: bool
    users: frozenset[str]


@dataclass(frozen=True)
class EngineSocket:
    """A Unix socket on which an engine listens, or systemd on its behalf."""

    host: Host = field(repr=False)
    listener: UnixListener
    file: File | None

    def __str__(self) -> str:
        return self.listener.path

    @property
    def object(self) -> Object:
        return Object("socket", self.listener.path)

    @fact
    def runs_as(self) -> frozenset[int]:
        """The user ids of the processes behind it.

        :raises Unknown: only root can see which they are.
        """
        processes: Processes = get(self.host, "processes")
        found = (processes.get(pid) for pid in self.listener.owners)
        return frozenset(process.uids[1] for process in found if process)

    @property
    def gid(self) -> int | None:
        """The group that may connect; None if no group but root's may."""
        if self.file is None or not self.file.exists:
            return None
        if not self.file.mode & 0o020 or not self.file.gid:
            return None
        return self.file.gid

    @fact
    def reach(self) -> Reach:
        """Who can connect, by modes, owners and ACLs of the socket and of what leads to it.

        :raises Unknown: a part of the way to it cannot be seen.
        """
        if self.file is None and not self.listener.abstract:
            raise Unknown(f"{self} was bound by a path that begins where its program was started")
        if self.file is None:
            return Reach(True, frozenset())
        if not self.file.exists:
            raise Unknown(f"{self} is not there any more, but served: it may have another name")
        accounts: Accounts = get(self.host, "accounts")
        # Another name of a socket may lie where everybody can go.
        way = self.file.ancestors if self.file.present.hardlinks == 1 else ()
        gates = [_gate(self.host, each, 1) for each in way]
        gates.append(_gate(self.host, self.file.present, 2))
        groups = {user.name: {user.gid} for user in accounts.users}
        for group in accounts.groups:
            for name in group.named & groups.keys():
                groups[name].add(group.gid)
        users = frozenset(
            user.name
            for user in accounts.users
            if user.uid != 0 and user.uid not in self.runs_as
            if all(gate.opens(user, groups[user.name]) for gate in gates)
        )
        nobody = User("", -1, -1, "", "")
        return Reach(all(gate.opens(nobody, set()) for gate in gates), users)


def _gate(host: Host, status: Status, bit: int) -> _Gate:
    # An ACL's mask shows as the group's bits: what they lack, no entry can give.
    listed = acl_of(host, status.path, status.mode) if status.mode >> 3 & bit else []
    return _Gate(status, bit, tuple(listed))


@dataclass(frozen=True, slots=True)
class _Gate:
    """One folder or socket, and the permission that it takes to get through it."""

    status: Status
    bit: int
    acl: tuple[AclEntry, ...]

    def opens(self, user: User, groups: set[int]) -> bool:
        """Whether the kernel lets an account through, by the algorithm of acl(5)."""
        mode, bit = self.status.mode, self.bit
        if user.uid == self.status.uid:
            return bool(mode >> 6 & bit)
        for entry in self.acl:
            if not entry.of_group and entry.id == user.uid:
                return bool(entry.effective & bit)
        classes = [entry.effective for entry in self.acl if entry.of_group and entry.id in groups]
        if self.status.gid in groups:
            classes.append(mode >> 3 & 7)
        return any(each & bit for each in classes) if classes else bool(mode & bit)


@provide_each
def engine_socket(host: Host) -> list[EngineSocket]:
    """Each Unix socket of the host on which an engine listens.

    One that a container's process bound counts if the host has a socket at the same path. One that
    an engine of the host serves counts even if its path has gone: a hard link may be left.

    :raises Unknown: not every network namespace could be searched.
    """
    sockets: Sockets = get(host, "sockets")
    engines: Engines = get(host, "engines")
    files: Files = get(host, "files")
    programs = _programs(host)
    known = {path for each in engines.engines for path in each.sockets}
    chosen: dict[str, UnixListener] = {}
    for listener in (each for space in sockets.everywhere() for each in space.unix):
        if listener.path in known or _is_engine(listener, programs):
            chosen.setdefault(listener.path, listener)
    if not chosen and engines.doubt:
        raise Unknown(f"cannot tell whether an engine listens: {engines.doubt}")
    served = {path for each in engines.engines if _at_home(each) for path in each.sockets}
    placed = [path for path in chosen if path.startswith("/")]
    # /var/run is a link nearly everywhere; the ACLs of what it leads to will be asked for.
    names = (path.removeprefix("/var") for path in placed if path.startswith("/var/run/"))
    files.foresee(("/", "/run", "/var", *names))
    found = dict(zip(placed, files.all(placed), strict=True))
    return [
        EngineSocket(host, listener, found.get(path))
        for path, listener in sorted(chosen.items())
        if not path.startswith("/")
        or path in served
        or (path in found and found[path].exists and found[path].kind == "socket")
    ]


def _at_home(engine: DockerEngine) -> bool:
    """Whether an engine is seen to have the host's own view of its files."""
    try:
        return engine.seen("/") == "/"
    except Unknown:
        return False


def _programs(host: Host) -> dict[int, str]:
    paths = parse_programs(session_of(host).ask(PROGRAMS)[0])
    return {pid: posixpath.basename(path.removesuffix(" (deleted)")) for pid, path in paths.items()}


def _holders(host: Host, inode: int) -> tuple[int, ...]:
    sockets: Sockets = get(host, "sockets")
    return sockets.holders.by_inode.get(inode, ())


def _is_engine(listener: UnixListener, programs: dict[int, str]) -> bool:
    holders = listener.holders.by_inode.get(listener.inode, ())
    if any(programs.get(pid) in PROGRAMS_OF_ENGINES for pid in holders):
        return True
    if listener.abstract:
        return False
    name = posixpath.basename(listener.path)
    folder = posixpath.basename(posixpath.dirname(listener.path))
    return name in SOCKETS_OF_ENGINES or f"{folder}/{name}" in SOCKETS_OF_ENGINES


@dataclass(frozen=True, slots=True)
class EngineGroup:
    """A group whose members reach an engine that runs as root."""

    name: str
    members: frozenset[str]

    def __str__(self) -> str:
        return f"group {self.name}"

    @property
    def object(self) -> Object:
        return Object("group", self.name)


@provide_each
def engine_group(host: Host) -> list[EngineGroup]:
    """Each group that opens an engine's socket, or does so by the engine's defaults.

    :raises NotApplicable: there is none. :raises Unknown: see :func:`engine_socket`.
    """
    accounts: Accounts = get(host, "accounts")
    gids = {each.gid: each.name for each in accounts.groups if each.name in ENGINE_GROUPS}
    for socket in get(host, "engine_socket"):
        if socket.gid is not None and 0 in socket.runs_as:
            group = accounts.group(socket.gid)
            gids[socket.gid] = group.name if group else f"gid {socket.gid}"
    if not gids:
        raise NotApplicable("no group opens an engine's socket")
    return [EngineGroup(name, accounts.members(gid)) for gid, name in sorted(gids.items())]


@dataclass(frozen=True)
class EnginePort:
    """A TCP port on which an engine listens, or that is registered for an engine's API.

    :param engine: the Docker engine behind it, if it is one.
    :param processes: what listens there; ``serving``: Podman's service, or buildkitd.
    """

    host: Host = field(repr=False)
    listener: InetListener
    engine: DockerEngine | None
    processes: tuple[Process, ...]
    serving: bool

    def __str__(self) -> str:
        return str(self.listener)

    @property
    def object(self) -> Object:
        return Object("port", str(self.listener))

    @fact
    def answers(self) -> bool:
        """Whether a Docker daemon answers there to a client without a certificate, asked from
        the host itself.

        :raises Unknown: a known engine gives neither an answer nor a refusal.
        """
        if self.engine is not None:
            return self.engine.answers_stranger(str(self.listener))
        place = str(self.listener).replace("//0.0.0.0:", "//127.0.0.1:").replace("[::]", "[::1]")
        client = session_of(self.host).ask(CLIENT)[0]
        api = Api(self.host, place, client.exit == 0 and client.text.startswith("Docker"))
        return any(map(api.answered, session_of(self.host).ask(*api.strangers(place))))

    @property
    def known(self) -> bool:
        """Whether what listens is an engine whose settings can be read."""
        return self.engine is not None or self.serving

    @property
    def verified(self) -> bool:
        """Whether the program was told to ask for a client's certificate.

        :raises Unknown: its settings cannot be read.
        """
        if self.engine is not None:
            return bool(self.engine.setting("tlsverify").value)
        lines = [process.cmdline for process in self.processes]
        return bool(lines) and all(
            any(word.split("=")[0] in ("--tls-client-ca", "--tlscacert") for word in line)
            for line in lines
        )


@provide_each
def engine_port(host: Host) -> list[EnginePort]:
    """Each TCP port of the host on which an engine takes orders, or might.

    Not a port of dockerd's that serves no API: a Swarm's, or the metrics'. Of other engines only
    Podman's service and buildkitd: what containerd and CRI-O listen on carries streams, each
    behind a secret of its own.

    :raises Unknown: who listens cannot be seen.
    """
    sockets: Sockets = get(host, "sockets")
    engines: Engines = get(host, "engines")
    processes: Processes = get(host, "processes")
    programs = _programs(host)
    found = {}
    for listener in sockets.tcp:
        holders = _holders(host, listener.inode)
        engine = next((each for each in engines.engines if _number(each) in holders), None)
        serving = [pid for pid in holders if programs.get(pid) in ("podman", "buildkitd")]
        # What nobody holds, if all are seen, belongs to another host on the same network stack.
        somebody = bool(holders) or bool(sockets.holders.hidden)
        registered = listener.port in DOCKER_PORTS and somebody
        if registered or serving or (engine and _serves(engine, listener)):
            held = tuple(each for each in map(processes.get, holders) if each)
            found[str(listener)] = EnginePort(host, listener, engine, held, bool(serving))
    unseen = [each for each in sockets.tcp if not _holders(host, each.inode)]
    if not found and unseen and sockets.holders.hidden:
        raise Unknown(f"who listens on {unseen[0]} cannot be seen: {sockets.holders.hidden}")
    if not found and engines.doubt:
        raise Unknown(f"cannot tell whether an engine listens: {engines.doubt}")
    return list(found.values())


def _number(engine: DockerEngine) -> int | None:
    try:
        return engine.pid
    except Unknown:
        return None


def _serves(engine: DockerEngine, listener: InetListener) -> bool:
    if listener.port in SWARM_PORTS:
        return False
    metrics = engine.command_line.last("metrics-addr") or str(
        engine.configuration.values.get("metrics-addr") or ""
    )
    return not metrics.endswith(f":{listener.port}")
