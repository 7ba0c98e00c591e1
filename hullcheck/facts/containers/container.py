"""A container: what was asked for, as its engine tells, and what the kernel enforces (/proc)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts import cgroups, exposures, namespaces
from hullcheck.facts.confinement import Confinement, confinement_want, parse_confinement
from hullcheck.facts.containers.kubelets import pod_of
from hullcheck.facts.containers.membership import members, unborn
from hullcheck.facts.exposures import Exposure
from hullcheck.facts.keepers import Keeper, docker_store, foreign_store
from hullcheck.facts.mounts import MountTable, parse_mountinfo
from hullcheck.facts.processes import Process, Processes
from hullcheck.facts.registry import fact, get
from hullcheck.facts.texts import lines_of
from hullcheck.facts.user_maps import IdRange, parse_map
from hullcheck.transport.backend import session_of
from hullcheck.transport.want import want
from hullcheck.verdict import Object

if TYPE_CHECKING:
    from hullcheck.facts.docker.engine import DockerEngine

__all__ = ["Bind", "Container"]

_ENDED = re.compile(r"(\d+)/[a-z_/]+: No such (?:file or directory|process)$", re.MULTILINE)
SANDBOXES = ("kata", "runsc", "gvisor")
"""Runtimes whose containers the host's kernel does not see into."""

_GONE = ("No such file or directory", "No such process")


@dataclass(frozen=True, slots=True)
class Bind:
    """A mount that was asked for, as inspect tells it.

    :param kind: bind, volume, tmpfs …
    """

    kind: str
    source: str
    target: str
    writable: bool
    propagation: str


class Container:
    """One container, in any state, of any engine or of none.

    What the kernel tells raises NotApplicable if the container has ended since.

    :param inspect: what was asked for, in the words of Docker's ``inspect``; other engines'
        descriptions are translated, and of a container that nobody knows it says nothing.
    :param owned: the ids of the containers that every process belongs to by its cgroups.
    :param docker: the engine, if it is Docker's.
    :param init: its first process, where no engine has told its pid.
    :param fresh: whether it may have been started after the engines were asked.
    """

    def __init__(
        self,
        host: Host,
        keeper: Keeper,
        inspect: Mapping[str, Any],
        owned: Mapping[int, set[str]],
        *,
        docker: DockerEngine | None = None,
        init: Process | None = None,
        fresh: bool = False,
    ) -> None:
        self.host = host
        self.keeper = keeper
        self.inspect = inspect
        self.docker = docker
        self.fresh = fresh
        self._init = init
        self._owners = owned
        self.id = str(inspect.get("Id") or "")
        named = str(inspect.get("Name") or self.id[:12]).removeprefix("/")
        self.name = pod_of(inspect) or named
        for part in ("State", "HostConfig", "Config"):
            if not isinstance(inspect.get(part), dict):
                raise Unknown(f"the engine's description of container {self.name} has no {part}")

    @property
    def object(self) -> Object:
        return Object("container", self.name, self.id)

    def __str__(self) -> str:
        return self.name

    @property
    def engine(self) -> DockerEngine:
        """Docker's engine that it belongs to.

        :raises Unknown: it belongs to another, which cannot be asked what its defaults are.
        """
        if self.docker is None:
            raise Unknown(f"{self.keeper} cannot be asked what it would do")
        return self.docker

    def need_docker(self, what: str) -> None:
        """Leave a control about something that only Docker keeps of a container."""
        if self.docker is None:
            raise NotApplicable(f"only Docker tells the {what} of its containers")

    @property
    def described(self) -> bool:
        """Whether anybody told what was asked for."""
        return bool(self.inspect["HostConfig"])

    @property
    def rootless(self) -> bool:
        """Whether its engine runs without root's rights."""
        return self.docker.rootless if self.docker is not None else self.keeper.rootless

    def asked(self, name: str, default: Any = None) -> Any:
        """Return a value of ``HostConfig``; the default if it is absent or null."""
        value = self.inspect["HostConfig"].get(name)
        return default if value is None else value

    def config(self, name: str, default: Any = None) -> Any:
        """Return a value of ``Config``, which an image sets too."""
        value = self.inspect["Config"].get(name)
        return default if value is None else value

    @property
    def pid(self) -> int:
        """The pid of its first process as its engine tells it; 0 if it does not run."""
        state = self.inspect["State"]
        return int(state.get("Pid") or 0) if state.get("Running") else 0

    @property
    def running(self) -> bool:
        """Whether it ran when the engine was asked; a paused one runs."""
        return self.pid > 0

    def need_running(self) -> None:
        """Leave a control that has nothing to say of a container that does not run."""
        if not self.running:
            raise NotApplicable("the container does not run")

    @property
    def security_options(self) -> list[tuple[str, str]]:
        """Its ``--security-opt``s as (name, value), whichever of = and : separates them."""
        found = []
        for option in self.asked("SecurityOpt", []):
            name, _, value = re.sub("[=:]", "=", str(option), count=1).partition("=")
            found.append((name.strip().lower(), value.strip()))
        return found

    @property
    def privileged(self) -> bool:
        """Whether ``--privileged`` was asked for."""
        return bool(self.asked("Privileged", False))

    # What runs in it.

    @property
    def _all(self) -> Processes:
        found: Processes = get(self.host, "processes")
        return found

    @fact
    def init(self) -> Process:
        """Its first process.

        :raises NotApplicable: it does not run, or has ended since.
        :raises Unknown: it was started after the processes were listed.
        """
        self.need_running()
        if any(each in str(self.asked("Runtime", "")) for each in SANDBOXES):
            raise Unknown("it runs in a sandbox of its own kernel, which /proc does not show")
        if self._init is not None:
            return self._init
        own = self._all.by_cgroup(self.id)
        named = self._all.get(self.pid)
        if named is not None and named in unborn(self._all):
            raise Unknown("it was just being started")
        if named is not None and (named in own or self._just_started(named)):
            return named
        # A rootless engine may count pids in a namespace of its own.
        inside = [each for each in own if self.pid in each.nspid]
        if inside:
            return inside[0]
        if own:
            raise Unknown(f"cannot tell which process is its first: the engine says {self.pid}")
        raise Unknown("its processes were not there yet when the processes were listed")

    def _just_started(self, process: Process) -> bool:
        """Whether a process outside its cgroup is its first nevertheless: someone moved it."""
        return len(process.nspid) > 1 and process.nspid[-1] == 1 and not self._owners[process.pid]

    @fact
    def processes(self) -> list[Process]:
        """Everything that runs in it, entered processes included; [] if it does not run."""
        if not self.running:
            return []
        return members(self.init, self.id, self._all, self._owners)

    def look_up(self) -> None:
        """Bring the command lines and programs of its processes in one ask."""
        self._all.look_up(process.pid for process in self.processes)

    def shares(self, name: str) -> bool:
        """Whether its first process is in a namespace of the host's. See ``namespaces``."""
        user = name == "user" and self.rootless
        docker = self.docker
        engine = None if user or docker is None else self._all.get(docker.pid)
        return namespaces.is_hosts(self.init, name, self._all, engine)

    def outside(self, name: str) -> set[tuple[int, int]]:
        """Return the namespaces of a kind that are the host's or the engine's, if they differ."""
        host = namespaces.of_host(self._all, name)
        found = set() if host is None else {host}
        return found | {self.docker.process.namespace(name)} if self.docker else found

    def sandboxed(self, process: Process) -> bool:
        """Whether a process is in a user namespace that the container made for itself, where
        having every capability means nothing; a browser's sandbox is one."""
        space = process.namespace("user")
        return space != self.init.namespace("user") and space not in self.outside("user")

    @fact
    def every_capability(self) -> int:
        """The mask of what the host's own processes can have at most: all the kernel knows."""
        mask = 0
        for process in self._all:
            mask |= 0 if self._owners[process.pid] else process.caps.bounding_mask
        return mask

    # What it sees.

    @fact
    def mounts(self) -> MountTable:
        """The mounts its first process sees."""
        text = self._text(f"cat /proc/{self.init.pid}/mountinfo")
        return parse_mountinfo(text)

    @property
    def binds(self) -> list[Bind]:
        """The mounts it was created with."""
        return [
            Bind(
                str(each.get("Type") or ""), str(each.get("Source") or ""),
                str(each.get("Destination") or ""), bool(each.get("RW")),
                str(each.get("Propagation") or ""),
            )
            for each in self.inspect.get("Mounts") or []
        ]  # fmt: skip

    @fact
    def exposures(self) -> list[Exposure]:
        """What of the host's files it reaches: as mounted, if it runs, and as configured.

        :raises Unknown: that cannot be seen.
        """
        binds, inodes = self._sources(), self._inodes()
        host: MountTable = get(self.host, "mounts")
        store = (
            docker_store(self.docker.root_dir, self.id)
            if self.docker is not None
            else foreign_store(self.keeper, self.id)
        )
        found = exposures.of_mounts(self.mounts, host, store) if self.running else []
        seen = {(each.target, each.place) for each in found}
        for bind, resolved in binds:
            below = not self.running
            made = exposures.of_bind(
                bind.source, resolved, bind.target, bind.writable, host, store, below
            )
            found += [each for each in made if (each.target, each.place) not in seen]
        return [replace(each, inode=inodes.get(each.target, "")) for each in found]

    def _inodes(self) -> dict[str, str]:
        """Return device:inode of every socket that was asked to be mounted, by its target."""
        binds = [bind for bind in self.binds if bind.kind == "bind" and bind.source]
        answers = session_of(self.host).ask(*(exposures.inode_want(each.source) for each in binds))
        pairs = zip(binds, answers, strict=True)
        return {bind.target: exposures.socket_inode(answer.text) for bind, answer in pairs}

    def _sources(self) -> list[tuple[Bind, str]]:
        """Return the configured binds with their sources, free of symlinks.

        A volume may itself be a bind of any directory: its options, in the engine's store, say so.
        """
        binds = [bind for bind in self.binds if bind.kind == "bind" and bind.source]
        volumes = [bind for bind in self.binds if bind.kind == "volume" and bind.source]
        stats = [exposures.inode_want(bind.source) for bind in binds]
        resolve = [want("readlink -f -- %s", bind.source, meaning=(0, 1)) for bind in binds]
        store = [
            want("head -c 65536 -- %s", bind.source.removesuffix("/_data") + "/opts.json",
                 meaning=(0, 1))
            for bind in volumes
        ]  # fmt: skip
        own = [want(f"cat /proc/{self.init.pid}/mountinfo", meaning=(0, 1))] if self.running else []
        answers = session_of(self.host).ask(*resolve, *store, *own, *stats)
        found = []
        for bind, answer, stat in zip(binds, answers, answers[-len(binds) :], strict=False):
            place = answer.text.removesuffix("\n") if answer.exit == 0 else ""
            if not place and not (stat.exit and stat.complaint.endswith(_GONE)):
                raise Unknown(f"where {bind.source} leads cannot be seen: {stat.complaint}")
            found.append((bind, place or bind.source))
        for bind, answer in zip(volumes, answers[len(binds) :], strict=False):
            if answer.exit and not answer.complaint.endswith(_GONE):
                raise Unknown(f"cannot read the options of volume {bind.source}: needs root")
            device = exposures.volume_device(answer.text) if answer.exit == 0 else ""
            found += [(replace(bind, source=device), device)] if device else []
        return found

    # What limits it.

    @fact
    def limits(self) -> cgroups.Limits:
        """The limits of its cgroups in effect. :raises Unknown: they cannot be seen."""
        init = self.init
        try:
            return cgroups.limits(self.host, init.cgroups)
        except NotApplicable:
            if init.pid in self.confinement.limits:
                raise Unknown(f"the cgroups of process {init} cannot be seen") from None
            raise

    @fact
    def confinement(self) -> Confinement:
        """Labels, resource limits and OOM scores of its processes, but for those that have ended.

        :raises Unknown: those of one cannot be read.
        """
        asked = confinement_want(process.pid for process in self.processes)
        answer = session_of(self.host).ask(asked)[0]
        found = parse_confinement("\n".join(lines_of(answer)))
        over = set(_ENDED.findall(answer.evidence.stderr.decode("utf-8", "replace")))
        for process in self.processes:
            known = process.pid in found.limits and process.pid in found.oom_score_adj
            if not known and str(process.pid) not in over:
                raise Unknown(f"the kernel does not tell the limits of process {process}")
        return found

    @fact
    def user_map(self) -> tuple[IdRange, ...]:
        """Which users of the host those of its user namespace are.

        :raises Unknown: that cannot be seen, or nobody has said it yet.
        """
        found = parse_map(self._text(f"cat /proc/{self.init.pid}/uid_map"))
        if not found:
            raise Unknown("its user namespace has no users yet")
        return found

    def _text(self, command: str) -> str:
        answer = session_of(self.host).ask(want(command, meaning=(0, 1)))[0]
        if answer.exit == 0:
            return answer.text
        if answer.complaint.endswith(_GONE):
            raise NotApplicable("the container ended while it was read")
        raise Unknown(f"cannot read {command.removeprefix('cat ')}: {answer.complaint}; needs root")
