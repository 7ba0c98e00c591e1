"""BuildKit: each buildkitd that runs, each that is set up, and the builders that buildx starts.

What counts is what its command line says, then its file: ``--config``, else
/etc/buildkit/buildkitd.toml, in a user namespace the one in its user's ~/.config (moby/buildkit,
docs/buildkitd.toml.md, cmd/buildkitd). buildx keeps a builder's flags and file in
~/.docker/buildx/instances (docker/buildx, store).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.engines import Engine, Told, engine_kind
from hullcheck.facts.package_files import SWEEP, PackageFile, PackageFiles
from hullcheck.facts.podman.roots import parse_toml
from hullcheck.facts.processes import Gone, Process, Processes
from hullcheck.facts.registry import Unseen, fact, get, provide_each
from hullcheck.facts.runners.agents import BuildAgent
from hullcheck.facts.sockets import InetListener, sockets_of
from hullcheck.facts.toml_daemon import Flags, TomlFile, parse_arguments, wants
from hullcheck.facts.toml_daemon import toml_file as read_answers
from hullcheck.transport import session_of
from hullcheck.verdict import Object

__all__ = ["Buildkit", "buildkit", "instances"]

SYSTEM_FILE = "/etc/buildkit/buildkitd.toml"
DEFAULT_ADDRESS = "unix:///run/buildkit/buildkitd.sock"
BOOLEANS = (
    "debug", "trace", "rootless", "version", "v", "help", "h", "oci-worker", "oci-worker-rootless",
    "oci-worker-no-process-sandbox", "oci-worker-gc", "containerd-worker", "containerd-worker-gc",
    "containerd-worker-rootless", "oci-worker-selinux", "containerd-worker-selinux",
    "otel-ignore-error", "save-cache-debug",
)  # fmt: skip
"""Flags of buildkitd that stand without a value."""

SLACK = 1.5
DEEPEST = 12
Values = Mapping[str, Any]


class Buildkit(Engine):
    """One builder.

    :param flags: of its command line.
    :param process: as it runs; None of one that is only set up.
    :param host_network: whether its network is the host's; None if that cannot be seen.
    """

    def __init__(
        self,
        host: Host,
        label: str,
        flags: Flags,
        process: Process | None = None,
        host_network: bool | None = True,
    ) -> None:
        super().__init__(host, "buildkit", label)
        self.flags = flags
        self.process = process
        self.host_network = host_network

    @property
    def file(self) -> TomlFile:
        """Its file. :raises Unknown: it cannot be read, or is none."""
        raise NotImplementedError

    @fact
    def values(self) -> Values:
        """What its file says, keys in small letters, as Go's decoder takes them."""
        known: TomlFile = self.file
        return lowered(known.values)

    def _table(self, *keys: str) -> Values:
        found: Any = self.values
        for key in keys:
            found = found.get(key) or {}
            if not isinstance(found, Mapping):
                raise Unknown(f"{key} in {self.file.path} is no table")
        table: Values = found
        return table

    def _flag(self, name: str) -> str:
        given = self.flags.get(name) or [""]
        return given[-1]

    @property
    def entitlements(self) -> Told:
        given = self.flags.get("allow-insecure-entitlement")
        if given:
            source, found = "command line", [one for each in given for one in each.split(",")]
        else:
            source, found = self.file.path, self._list(self.values, "insecure-entitlements")
        names = {each.strip() for each in found} - {""}
        if "network.host" in names and self.host_network is None:
            raise Unknown("whether its network is the host's cannot be seen; it needs root")
        if not self.host_network:
            names -= {"network.host"}
        return Told(sorted(names), source)

    def _list(self, table: Values, name: str) -> list[str]:
        value = table.get(name, [])
        if isinstance(value, str):
            return [value]
        if not isinstance(value, list):
            raise Unknown(f"{name} in {self.file.path} is no list")
        return [str(each) for each in value]

    @property
    def addresses(self) -> list[str]:
        """Where its API is to listen."""
        given = self.flags.get("addr")
        return list(given or self._list(self._table("grpc"), "address") or [DEFAULT_ADDRESS])

    @property
    def debug_address(self) -> str:
        """Where its profiler is to listen; empty if nowhere."""
        return self._flag("debugaddr") or str(self._table("grpc").get("debugaddress") or "")

    @property
    def asks_clients(self) -> bool:
        """Whether its API demands a certificate of clients over TCP."""
        tls = self._table("grpc", "tls")
        return all(
            self._flag(flag) or tls.get(key)
            for flag, key in (("tlscert", "cert"), ("tlskey", "key"), ("tlscacert", "ca"))
        )

    @property
    def listeners(self) -> list[InetListener]:
        """The TCP ports it really listens on; none of one that does not run.

        :raises Unknown: only root can see which they are.
        """
        if self.process is None:
            return []
        space, pid = sockets_of(self.host, self.process.pid), self.process.pid
        return [each for each in space.tcp if pid in each.owners]

    @property
    def cache_bounded(self) -> Told:
        off = []
        for worker in ("oci", "containerd"):
            given = self._flag(f"{worker}-worker-gc")
            said = given.lower() != "false" if given else self._table("worker", worker).get("gc")
            if said is False:
                off.append(worker)
        return Told(not off, self.file.path)

    @property
    def _plain(self) -> frozenset[str]:
        tables = self._table("registry")
        return frozenset(
            str(name) for name, each in tables.items()
            if isinstance(each, Mapping)
            and (each.get("http") is True or each.get("insecure") is True)
        )  # fmt: skip

    @property
    def insecure_registries(self) -> Collection[str]:
        return sorted(self._plain)

    @property
    def mirrors(self) -> Collection[str]:
        plain, found = self._plain, []
        for each in self._table("registry").values():
            for mirror in self._list(each, "mirrors") if isinstance(each, Mapping) else ():
                scheme, _, rest = mirror.rpartition("://")
                bare = rest.partition("/")[0]
                open_ = scheme.lower() == "http" or bare in plain or rest in plain
                found.append(f"{'http' if open_ else 'https'}://{rest}")
        return found

    @property
    def remapped(self) -> Told:
        """Whether root in its builds is nobody on the host."""
        if self.process is None:
            raise NotApplicable("it does not run")
        processes: Processes = get(self.host, "processes")
        init = processes.get(1)
        if init is None:
            raise Unknown("the first process of the host cannot be seen")
        own = self.process.namespace("user") != init.namespace("user")
        return Told(own or self.process.uids[1] != 0, f"/proc/{self.process.pid}")


def lowered(values: Values, depth: int = 0) -> dict[str, Any]:
    """Return tables with their keys in small letters; registries' names are so by themselves.

    :raises Unknown: they are too deep for any file of a builder.
    """
    if depth > DEEPEST:
        raise Unknown("a file of BuildKit has tables that are too deep")
    return {
        key.lower(): lowered(value, depth + 1) if isinstance(value, Mapping) else value
        for key, value in values.items()
    }


class Running(Buildkit):
    """One that runs, seen from its process."""

    def __init__(self, agent: BuildAgent, flags: Flags, host_network: bool | None) -> None:
        self.agent = agent
        where = "" if agent.own else " in a container" if agent.own is False else " somewhere"
        named = (flags.get("config") or [SYSTEM_FILE])[-1]
        super().__init__(agent.host, f"buildkit {named}{where}", flags, agent.process, host_network)

    @property
    def object(self) -> Object:
        return Object("engine", self.label, str(self.agent.process.pid))

    @property
    def path(self) -> str:
        """The file it reads, as it sees it. :raises Unknown: it cannot be told."""
        if named := self._flag("config"):
            if not named.startswith("/"):
                raise Unknown(f"{self.agent} reads {named}, from where it was started")
            return named
        if not self.remapped.value:
            return SYSTEM_FILE
        settings = self.agent.settings
        base = settings.get("XDG_CONFIG_HOME") or f"{settings.get('HOME', '')}/.config"
        return f"{base}/buildkit/buildkitd.toml"

    @fact
    def file(self) -> TomlFile:
        place = self.agent.seen(self.path)
        found = read_answers(self.path, place, *session_of(self.host).ask(*wants(place)))
        if found.exists and found.changed and found.changed > self.agent.process.started + SLACK:
            raise Unknown(f"{self.path} was changed after {self.agent} started; restart it")
        return found


class SetUp(Buildkit):
    """One that does not run, or not here: a file, or what buildx keeps of a builder."""

    def __init__(
        self, host: Host, label: str, file: TomlFile | Unknown, flags: Flags, network: bool
    ) -> None:
        super().__init__(host, label, flags, None, network)
        self._file = file

    @property
    def file(self) -> TomlFile:
        if isinstance(self._file, Unknown):
            raise Unknown(*self._file.args)
        return self._file


def _file_of(path: str, text: str) -> TomlFile | Unknown:
    try:
        return TomlFile(path, True, parse_toml(path, text))
    except Unknown as reason:
        return reason


def instances(host: Host, file: PackageFile) -> Iterator[SetUp]:
    """Yield the builders of a file of buildx's that run a buildkitd of their own.

    :raises Unknown: it is none.
    """
    try:
        values = json.loads(file.text)
        driver = str(values.get("Driver") or "docker-container")
        nodes = values.get("Nodes") or []
        rows = [
            (str(each.get("Name", "")), str(each.get("Endpoint", "")),
             {str(k): str(v) for k, v in (each.get("DriverOpts") or {}).items()},
             [str(one) for one in each.get("Flags") or []],
             (each.get("Files") or {}).get("buildkitd.toml") or "")
            for each in nodes
        ]  # fmt: skip
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise Unknown(f"{file.path} is no builder of buildx") from None
    for name, endpoint, options, words, encoded in rows:
        label = f"buildx {name} ({file.path})"
        if driver == "remote":
            keys = {"cert": "tlscert", "key": "tlskey", "cacert": "tlscacert"}
            tls = {flag: [options[key]] for key, flag in keys.items() if options.get(key)}
            yield SetUp(host, label, TomlFile(file.path, True), {"addr": [endpoint], **tls}, True)
        elif driver in ("docker-container", "kubernetes"):
            flags, _ = parse_arguments(["buildkitd", *words], BOOLEANS)
            network = options.get("network") == "host"
            yield SetUp(host, label, _decoded(file.path, encoded), flags, network)


def _decoded(path: str, encoded: object) -> TomlFile | Unknown:
    try:
        text = base64.b64decode(str(encoded), validate=True).decode()
    except (binascii.Error, ValueError):
        return Unknown(f"the file of buildkitd in {path} cannot be understood")
    return _file_of(path, text)


@provide_each
def buildkit(host: Host) -> Sequence[Buildkit | Unseen]:
    """Every buildkitd that runs, and what is set up to be one.

    :raises NotApplicable: there is none.
    """
    session_of(host).foresee(SWEEP)
    files: PackageFiles = get(host, "package_files")
    agents: list[BuildAgent] = get(host, "build_agents")
    found: list[Buildkit | Unseen] = []
    used: set[str] = set()
    for agent in agents:
        if agent.kind == "buildkit":
            try:
                made = _running(agent)
            except Gone:
                continue
            except Unknown as reason:
                found.append(Unseen(agent.object, str(reason)))
                continue
            found.append(made)
            with suppress(Unknown):
                used.add(agent.seen(made.path))
    for file in files.of("buildkitd"):
        if file.path not in used:
            read = _file_of(file.path, file.text)
            found.append(SetUp(host, f"buildkit {file.path} (set up)", read, {}, True))
    for file in files.of("buildx"):
        try:
            found += instances(host, file)
        except Unknown as reason:
            found.append(Unseen(Object("engine", f"buildx ({file.path})"), str(reason)))
    if not found:
        raise NotApplicable("there is no BuildKit on this host beside Docker's own")
    return found


def _running(agent: BuildAgent) -> Running:
    flags, _ = parse_arguments(agent.arguments, BOOLEANS)
    processes: Processes = get(agent.host, "processes")
    init = processes.get(1)
    own, first = agent.process.spaces.get("net"), init.spaces.get("net") if init else None
    return Running(agent, flags, own == first if own and first else None)


engine_kind("buildkit")
