"""The files that the Docker engines of a host rest on: those really in use, and the default ones.

Each provider gives one thing for each file, so that a control has one finding for each. Paths are
those that the engine sees; a rootless or snap engine has a mount namespace of its own.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from testinfra.host import Host

from hullcheck.control import NotApplicable
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.docker import DockerEngine
from hullcheck.facts.docker.units import wants as unit_wants
from hullcheck.facts.files import File, Files
from hullcheck.facts.processes import Processes
from hullcheck.facts.registry import fact, get, provide_each
from hullcheck.facts.sockets import Sockets
from hullcheck.transport import session_of, want
from hullcheck.verdict import Object

__all__ = ["EngineFile"]

TLS_FILES = {"tlscacert": "ca.pem", "tlscert": "cert.pem", "tlskey": "key.pem"}
INTERNAL = ("/metrics.sock", "/swarm/control.sock")
"""Sockets below the engine's exec-root that do not serve its API (moby, cmd/dockerd)."""

SYSTEM_UNITS = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system")
"""Where a unit counts more than the one that a package installed; see systemd.unit(5)."""

UNITS = ("docker.service", "docker.socket")

USUAL = (
    "/etc/default/docker", "/etc/sysconfig/docker", "/etc/docker/daemon.json", *SYSTEM_UNITS,
    *(f"{place}/{unit}.d" for place in SYSTEM_UNITS for unit in UNITS),
    *(f"/lib/systemd/system/{unit}" for unit in UNITS),
    *(f"/usr/lib/systemd/system/{unit}" for unit in UNITS),
)  # fmt: skip
"""Files that nearly every engine is judged by; to ask for them early saves rounds."""

Paths = Callable[[DockerEngine], Iterable[str]]


@dataclass(frozen=True)
class EngineFile:
    """A file that an engine rests on.

    :param path: as the engine sees it; ``place`` is where the host finds it.
    :param users: the user ids that may own it; ``groups`` the group ids.
    """

    host: Host = field(repr=False)
    path: str
    place: str
    users: frozenset[int]
    groups: frozenset[int]

    @property
    def object(self) -> Object:
        return Object("file", self.path)

    def __str__(self) -> str:
        return self.path

    @fact
    def file(self) -> File:
        """The file, with the way to it."""
        files: Files = get(self.host, "files")
        return files.get(self.place)

    @property
    def is_private_key(self) -> bool:
        """Whether its name says that it holds a private key."""
        return self.path.endswith(".key")


def owners(engine: DockerEngine) -> tuple[frozenset[int], frozenset[int]]:
    """Return the user and group ids that may own an engine's files: root's, and its own."""
    if not engine.rootless:
        return frozenset({0}), frozenset({0})
    process = engine.process
    return frozenset({0, process.uids[1]}), frozenset({0, process.gids[1]})


def _each(host: Host, paths: Paths, none: str, groups: Paths | None = None) -> list[EngineFile]:
    """Return one thing for each path of each engine; a path that engines share, once.

    :raises NotApplicable: there is no path.
    """
    found: dict[str, EngineFile] = {}
    Files(host).foresee(USUAL)
    session_of(host).foresee(*(each for unit in UNITS for each in unit_wants(unit)))
    for engine in get(host, "docker"):
        users, own_groups = owners(engine)
        extra = _mapped(engine, _gids(host, groups(engine))) if groups else frozenset()
        for path in paths(engine):
            place = engine.seen(path)
            made = EngineFile(host, path, place, users, own_groups | extra)
            known = found.setdefault(place, made)
            if known.users - made.users:
                found[place] = made
    if not found:
        raise NotApplicable(none)
    return list(found.values())


def _gids(host: Host, names: Iterable[str]) -> Iterator[int]:
    """Yield the numbers of groups given by name or, like dockerd takes them, by number."""
    accounts: Accounts = get(host, "accounts")
    for name in names:
        group = accounts.group(name)
        if group is not None:
            yield group.gid
        elif name.isdecimal():
            yield int(name)


def _mapped(engine: DockerEngine, gids: Iterable[int]) -> frozenset[int]:
    """Return group ids as the host counts them: a rootless engine has a count of its own.

    ``/proc/PID/gid_map`` has lines of first id inside, first id outside and how many; see
    user_namespaces(7).
    """
    if not engine.rootless:
        return frozenset(gids)
    answer = session_of(engine.host).ask(want("cat %s", f"/proc/{engine.pid}/gid_map"))[0]
    ranges = [[int(part) for part in line.split()] for line in answer.text.splitlines()]
    wanted = set(gids)
    return frozenset(
        outside + gid - inside
        for inside, outside, count in ranges
        for gid in wanted
        if inside <= gid < inside + count
    )


def said(engine: DockerEngine, name: str) -> list[str]:
    """Return every value that the command line or the file gives to a string setting."""
    values = [engine.command_line.last(name), engine.configuration.values.get(name)]
    return list(dict.fromkeys(str(value) for value in values if value))


def home(engine: DockerEngine) -> str:
    """Return the engine's home directory."""
    return engine.environment.get("HOME") or ("/root" if not engine.rootless else "")


def user_config(engine: DockerEngine) -> str:
    """Return the directory below which a rootless engine looks for its files."""
    return engine.environment.get("XDG_CONFIG_HOME") or f"{home(engine)}/.config"


def _existing(engine: DockerEngine, paths: Iterable[str]) -> list[str]:
    wanted = list(paths)
    files: Files = get(engine.host, "files")
    seen = files.all([engine.seen(path) for path in wanted])
    return [path for path, file in zip(wanted, seen, strict=True) if file.exists]


def _units(engine: DockerEngine, name: str, system: list[str]) -> list[str]:
    """Return a unit's fragment and drop-ins, and the directories where more could be put.

    A rootless engine's are those of its user's own manager.
    """
    if not engine.rootless:
        more = [*SYSTEM_UNITS, *(f"{place}/{name}.d" for place in SYSTEM_UNITS)]
        return [*system, *_existing(engine, more)] if system else []
    places = (f"{user_config(engine)}/systemd/user", "/etc/systemd/user", "/usr/lib/systemd/user")
    files: Files = get(engine.host, "files")
    fragments = _existing(engine, (f"{place}/{name}" for place in places))[:1]
    drop_ins = [path for place in places for path in files.list(f"{place}/{name}.d")]
    found = fragments + [path for path in drop_ins if path.endswith(".conf")]
    return found + _existing(engine, [places[0], f"{places[0]}/{name}.d"]) if found else []


@provide_each
def unit_file(host: Host) -> list[EngineFile]:
    """Each fragment and drop-in of the unit that runs an engine, or that would, and the
    directories in which another one would count more."""
    none = "no systemd unit runs the engine, and there is no docker.service"
    return _each(
        host, lambda each: _units(each, each.unit or "docker.service", each.unit_files), none
    )


@provide_each
def socket_unit_file(host: Host) -> list[EngineFile]:
    """Each fragment and drop-in of the socket unit that goes with an engine's unit."""
    return _each(
        host,
        lambda each: _units(
            each,
            (each.unit or "docker.service").removesuffix(".service") + ".socket",
            each.socket_unit_files,
        ),
        "no socket unit goes with the engine",
    )


def _directories(engine: DockerEngine) -> list[str]:
    default = "/etc/docker" if not engine.rootless else f"{user_config(engine)}/docker"
    return list(dict.fromkeys([default, posixpath.dirname(engine.config_file)]))


@provide_each
def config_directory(host: Host) -> list[EngineFile]:
    """Each directory that holds an engine's configuration."""
    return _each(host, _directories, "the engine has no directory for its configuration")


@provide_each
def config_file(host: Host) -> list[EngineFile]:
    """Each daemon.json in use, and the one at the default path."""
    return _each(
        host,
        lambda each: dict.fromkeys([each.config_file, f"{_directories(each)[0]}/daemon.json"]),
        "the engine has no configuration file",
    )


def _certificates(engine: DockerEngine) -> Iterator[str]:
    files: Files = get(engine.host, "files")
    directory = f"{_directories(engine)[0]}/certs.d"
    place = engine.seen(directory)
    for path in files.tree(place):
        if path.endswith((".crt", ".cert", ".key")):
            yield directory + path[len(place) :]


@provide_each
def registry_certificate(host: Host) -> list[EngineFile]:
    """Each certificate and key that an engine uses with registries."""
    none = "there are no certificates in certs.d"
    return _each(host, _certificates, none)


def tls(engine: DockerEngine, name: str) -> list[str]:
    """Return the file that an engine uses as its ``tlscacert``, ``tlscert`` or ``tlskey``."""
    named = said(engine, name)
    if named:
        return [engine.placed(each) for each in named]
    values: dict[str, Any] = engine.configuration.values
    flags = [engine.command_line.last(flag) for flag in ("tls", "tlsverify")]
    on = any(flag is not None and flag.lower() not in ("0", "f", "false") for flag in flags)
    variable = bool(engine.environment.get("DOCKER_TLS_VERIFY"))
    if on or variable or values.get("tls") is True or values.get("tlsverify") is True:
        base = engine.environment.get("DOCKER_CERT_PATH") or f"{home(engine)}/.docker"
        return [f"{base}/{TLS_FILES[name]}"]
    return []


@provide_each
def tls_ca(host: Host) -> list[EngineFile]:
    """The certificate authority that an engine trusts for its clients."""
    none = "the engine's API has no TLS certificate authority"
    return _each(host, lambda each: tls(each, "tlscacert"), none)


@provide_each
def tls_certificate(host: Host) -> list[EngineFile]:
    """The certificate that an engine shows to its clients."""
    return _each(host, lambda each: tls(each, "tlscert"), "the engine's API has no TLS certificate")


@provide_each
def tls_key(host: Host) -> list[EngineFile]:
    """The private key of an engine's API."""
    return _each(host, lambda each: tls(each, "tlskey"), "the engine's API has no TLS key")


def _hosts(engine: DockerEngine) -> list[str]:
    """Return where an engine was told to listen, on its command line and in its file."""
    listed = engine.configuration.values.get("hosts")
    in_file = [str(each) for each in listed] if isinstance(listed, list) else []
    return [*engine.command_line.every("host"), *in_file]


def exec_root(engine: DockerEngine) -> str:
    """Return the directory in which an engine keeps its state while it runs."""
    default = "/var/run/docker"
    if engine.rootless:
        default = f"{engine.environment.get('XDG_RUNTIME_DIR', '')}/docker"
    return (said(engine, "exec-root") or [default])[0]


def _api_sockets(engine: DockerEngine) -> list[str]:
    root = exec_root(engine)
    told = {host.removeprefix("unix://") for host in _hosts(engine)}
    inside = {f"{root}{name}" for name in INTERNAL}
    return [
        path
        for path in engine.sockets
        if path in told or not (path in inside or path.startswith(f"{root}/libnetwork/"))
    ]


def _api_groups(engine: DockerEngine) -> list[str]:
    """Return the groups that an engine's socket was to be given to."""
    if not any(host.startswith("fd://") for host in _hosts(engine)):
        return (said(engine, "group") or ["docker"])[:1]
    files: Files = get(engine.host, "files")
    units = [file for file in files.all(engine.socket_unit_files) if file.exists]
    return _socket_group("\n".join(file.text for file in units)) or ["root"]


def _socket_group(text: str) -> list[str]:
    """Return the last SocketGroup= of some socket units; see systemd.socket(5)."""
    lines = [line.strip().partition("=") for line in text.splitlines()]
    named = [value.strip() for key, _, value in lines if key.strip() == "SocketGroup"]
    return [group for group in named[-1:] if group]


@provide_each
def api_socket(host: Host) -> list[EngineFile]:
    """Each Unix socket on which an engine offers its API."""
    return _each(host, _api_sockets, "the engine listens on no Unix socket", _api_groups)


def _environment_files(engine: DockerEngine) -> list[str]:
    """Return the environment files of an engine's unit."""
    unit = engine.service
    listed = unit.properties.get("EnvironmentFiles", "") if unit else ""
    return [part.split(" (ignore_errors")[0] for part in listed.splitlines() if part]


@provide_each
def default_file(host: Host) -> list[EngineFile]:
    """/etc/default/docker, and any environment file of a unit that is at no usual place."""
    return _each(
        host,
        lambda each: dict.fromkeys(
            ["/etc/default/docker"]
            + [path for path in _environment_files(each) if "/sysconfig/" not in path]
        ),
        "there is no environment file",
    )


@provide_each
def sysconfig_file(host: Host) -> list[EngineFile]:
    """/etc/sysconfig/docker, and any other environment file of a unit beside it."""
    return _each(
        host,
        lambda each: dict.fromkeys(
            ["/etc/sysconfig/docker"]
            + [path for path in _environment_files(each) if "/sysconfig/" in path]
        ),
        "there is no environment file",
    )


def _containerd_socket(engine: DockerEngine) -> list[str]:
    """Return the socket of the containerd that an engine uses.

    Without a setting dockerd starts a containerd of its own, unless the system's one is there.
    """
    named = said(engine, "containerd")
    if named:
        return [path.removeprefix("unix://") for path in named]
    own = f"{exec_root(engine)}/containerd/containerd.sock"
    sockets: Sockets = get(engine.host, "sockets")
    processes: Processes = get(engine.host, "processes")
    if engine.rootless:
        return _existing(engine, [own]) or ["/run/containerd/containerd.sock"]
    for listener in sockets.unix:
        if listener.path == own:
            parents = [processes.get(pid) for pid in listener.owners]
            if any(each is not None and each.ppid == engine.pid for each in parents):
                return [own]
    return ["/run/containerd/containerd.sock"]


@provide_each
def containerd_socket(host: Host) -> list[EngineFile]:
    """The socket of the containerd that an engine uses."""
    return _each(host, _containerd_socket, "the engine uses no containerd")
