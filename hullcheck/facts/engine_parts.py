"""What a Docker engine is made of: its programs, and the containerd and runc that it uses."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.docker import DockerEngine
from hullcheck.facts.engine_files import EngineFile
from hullcheck.facts.files import File, Files
from hullcheck.facts.processes import Process, Processes
from hullcheck.facts.registry import fact, get, provide_each
from hullcheck.facts.sockets import Sockets
from hullcheck.transport import read, session_of, want
from hullcheck.verdict import Object

__all__ = [
    "EngineContainerd",
    "data_root",
    "engine_program",
    "own_programs",
    "runtime_programs",
    "unit_paths",
]

PLACES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""The PATH of a systemd service (systemd.exec(5)); containerd and its shims look along it."""

CONFIG = "/etc/containerd/config.toml"
STATE = "/run/containerd"
USUAL = ("containerd", "containerd-shim", "containerd-shim-runc-v1", "containerd-shim-runc-v2",
         "runc")  # fmt: skip


@dataclass(frozen=True)
class EngineContainerd:
    """The containerd that an engine uses.

    :param socket: the one that the engine reaches it by.
    """

    host: Host = field(repr=False)
    socket: EngineFile

    @property
    def object(self) -> Object:
        return Object("containerd", self.socket.path)

    def __str__(self) -> str:
        return f"containerd at {self.socket}"

    @fact
    def process(self) -> Process | None:
        """The process that listens on the socket; None if none does."""
        sockets: Sockets = get(self.host, "sockets")
        processes: Processes = get(self.host, "processes")
        file = self.socket.file
        names = {self.socket.path, file.resolved} if file.exists else {self.socket.path}
        for listener in sockets.unix:
            if listener.path in names:
                found = [processes.get(pid) for pid in listener.owners]
                return next((each for each in found if each is not None and each.pid != 1), None)
        return None

    def seen(self, path: str) -> str:
        """Return the path under which the host finds what containerd sees at ``path``."""
        return self.socket.place.removesuffix(self.socket.path) + path

    @fact
    def programs(self) -> list[File]:
        """The program that runs, or those that could be started if none does."""
        if self.process is None:
            return installed(self.host, "containerd", self.seen)
        files: Files = get(self.host, "files")
        return files.all([self.seen(_existing(self.process.exe))])

    def named(self, name: str) -> list[File]:
        """Return where a program is that containerd starts: along its PATH, or beside its own."""
        own = [posixpath.dirname(_existing(self.process.exe))] if self.process else []
        return installed(self.host, name, self.seen, own)

    @property
    def directories(self) -> list[File]:
        """Where its sockets and the state of its containers are."""
        files: Files = get(self.host, "files")
        own = posixpath.dirname(self.socket.path)
        return files.all(map(self.seen, dict.fromkeys([own, STATE])))

    @property
    def config(self) -> File:
        """Its configuration file, wherever its command line says that this is."""
        files: Files = get(self.host, "files")
        words = self.process.whole_cmdline[1:] if self.process else []
        path = _option(words, ("--config", "-config", "-c", "--c")) or CONFIG
        if not path.startswith("/"):
            raise Unknown(f"{self} has its configuration in {path}, wherever it was started")
        return files.get(self.seen(path))


@provide_each
def engine_containerd(host: Host) -> Sequence[EngineContainerd]:
    """Each containerd that a Docker engine uses."""
    Files(host).foresee([CONFIG, STATE, *_places(USUAL)])
    processes: Processes = get(host, "processes")
    for each in processes:
        if each.name == "containerd":
            base = f"/proc/{each.pid}"
            exe = want(f"readlink -nv {base}/exe", meaning=(0, 1))
            session_of(host).foresee(read(f"{base}/cmdline"), exe)
    return [EngineContainerd(host, socket) for socket in get(host, "containerd_socket")]


def engine_program(engine: DockerEngine) -> File:
    """Return the program of an engine that runs."""
    return _file(engine, _existing(engine.process.exe))


def own_programs(engine: DockerEngine) -> list[File]:
    """Return the programs that write an engine's data: its own, and every containerd's."""
    found: list[EngineContainerd] = get(engine.host, "engine_containerd")
    return [engine_program(engine), *(file for each in found for file in each.programs)]


def data_root(engine: DockerEngine) -> File:
    """Return the directory in which an engine keeps images, volumes and containers."""
    return _file(engine, engine.root_dir)


def unit_paths(engine: DockerEngine, names: Iterable[str]) -> list[File]:
    """Return the files of a unit that are there, of those that systemd names."""
    files: Files = get(engine.host, "files")
    return [each for each in files.all(map(engine.seen, names)) if each.exists]


def runtime_programs(engine: DockerEngine) -> list[File]:
    """Return the programs that an engine has for starting containers: runc, and what else is
    configured as a runtime by its path.

    :raises Unknown: ``docker info`` does not say which in a way that is understood.
    """
    runtimes: Any = engine.info.get("Runtimes") or {"runc": {"path": "runc"}}
    if not isinstance(runtimes, dict):
        raise Unknown("docker info does not tell the engine's runtimes")
    found: dict[str, File] = {}
    for runtime in runtimes.values():
        path = runtime.get("path") if isinstance(runtime, dict) else None
        if isinstance(path, str) and path.startswith("/"):
            found.setdefault(path, _file(engine, path))
        elif isinstance(path, str) and path and "/" not in path:
            found.update({file.path: file for file in installed(engine.host, path, engine.seen)})
    return list(found.values())


def installed(host: Host, name: str, seen: Any = str, also: Iterable[str] = ()) -> list[File]:
    """Return the programs of a name, each once however many links lead to it."""
    paths = [seen(f"{place}/{name}") for place in dict.fromkeys([*also, *PLACES])]
    found: dict[str, File] = {}
    for file in get(host, "files").all(paths):
        if file.exists:
            found.setdefault(file.resolved, file)
    return list(found.values())


def _places(names: Iterable[str]) -> Iterator[str]:
    return (f"{place}/{name}" for name in names for place in PLACES)


def _file(engine: DockerEngine, path: str) -> File:
    files: Files = get(engine.host, "files")
    return files.get(engine.seen(path))


def _existing(exe: str) -> str:
    """Return the path of a program; one that was replaced while it ran has a mark at its end."""
    return exe.removesuffix(" (deleted)")


def _option(words: Sequence[str], names: Sequence[str]) -> str:
    """Return the last value of an option, written as ``NAME VALUE`` or ``NAME=VALUE``."""
    value = ""
    for word, following in pairwise([*words, ""]):
        name, equals, inside = word.partition("=")
        if name in names:
            value = inside if equals else following
    return value
