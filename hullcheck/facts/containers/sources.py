"""Where containers are found: Docker's word, other engines' files, and the kernel's own tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts import namespaces
from hullcheck.facts.bundles import FIRST, Bundle
from hullcheck.facts.containers.container import Container
from hullcheck.facts.containers.kubelets import lister, name_of
from hullcheck.facts.containers.membership import owners
from hullcheck.facts.containers.oci import described
from hullcheck.facts.containers.strangers import Stranger, first_of, strangers
from hullcheck.facts.keepers import Keeper, containerd_keeper, podman_keeper
from hullcheck.facts.mounts import hidden_processes
from hullcheck.facts.processes import Process, Processes
from hullcheck.facts.registry import Unseen, get, provide, provide_each
from hullcheck.transport.backend import session_of
from hullcheck.verdict import Object

if TYPE_CHECKING:
    from hullcheck.facts.docker.engine import DockerEngine
    from hullcheck.facts.podman.store import Store, Stored

__all__ = ["container", "containers"]

MOBY = "moby"
"""Docker's namespace of containerd."""

DATA_ROOTS = ("/var/lib/docker", "/var/snap/docker/common/var-lib-docker")
"""Where Docker keeps its data if nobody has told it otherwise."""

AWAY = "no engine of Docker's runs that could say whether it is its own (live-restore)"


@provide
def containers(host: Host) -> list[Container]:
    """All containers at once, but for such as do not run and of which nothing can be told.

    :raises Unknown: there may be running ones that cannot be seen.
    """
    found: list[Container | Unseen] = get(host, "container")
    for each in found:
        if isinstance(each, Unseen) and not each.idle:
            raise Unknown(each.reason)
    return [each for each in found if isinstance(each, Container)]


@provide_each
def container(host: Host) -> Sequence[Container | Unseen]:
    """Every container of the host, in any state, whoever runs it.

    :raises NotApplicable: there is certainly none, nor an engine that could run one.
    """
    session_of(host).foresee(*FIRST)
    hidden = hidden_processes(get(host, "mounts"))
    if hidden:
        raise Unknown(f"not all that runs can be seen: {hidden}")
    return _Search(host).result()


class _Search:
    """Asks everybody, and keeps apart what could not be asked."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.unseen: list[Unseen] = []
        self.none = ""
        stores: list[Store] = self._try("podman_stores")
        bundled: list[Bundle] = self._try("bundles")
        self.engines = self._docker()
        self.described = [(each, one) for each in self.engines for one in each.containers()]
        self.processes: Processes = get(host, "processes")
        docker = {str(one.get("Id")) for _, one in self.described}
        self._doubts(stores)
        self.stored = [one for each in stores for one in each.containers if one.id not in docker]
        # What a user's own files claim takes nothing from what root's tell.
        roots = docker | {each.id for each in self.stored if not each.rootless}
        users = {each.id for each in self.stored if each.rootless}
        self.bundled = [
            each
            for each in bundled
            if (each.namespace != MOBY or not self.engines) and each.id not in roots
            if each.id not in users or not each.owner
        ]
        theirs = {each.id for each in self.bundled}
        self.stored = [each for each in self.stored if each.id not in theirs]
        taken = docker | {each.id for each in self.stored}
        self.ids = taken | {each.id for each in self.bundled}
        places = self._places()
        owned = {each.pid: owners(each, places) for each in self.processes}
        # What is audited may be a container itself: its own cgroup is no container on it.
        own = owned.get(1, set()) - self.ids
        self.owned = {pid: numbers - own for pid, numbers in owned.items()}

    def _try(self, provider: str) -> list[Any]:
        try:
            return list(get(self.host, provider))
        except NotApplicable:
            return []
        except Unknown as reason:
            self.unseen.append(Unseen(Object("container", f"(any of {provider})"), str(reason)))
            return []

    def _doubts(self, stores: list[Store]) -> None:
        for each in stores:
            if each.doubt:
                about = Object("container", f"(any in {each.graphroot})")
                # What runs of it the kernel shows; a user must not blind the audit of others'.
                self.unseen.append(Unseen(about, each.doubt, idle=each.rootless))

    def _docker(self) -> list[DockerEngine]:
        try:
            found: list[DockerEngine] = get(self.host, "docker")
        except NotApplicable as reason:
            self.none = str(reason)
            return []
        return found

    def result(self) -> list[Container | Unseen]:
        """:raises NotApplicable: there is no container, and no engine of Docker's."""
        found: list[Container | Unseen] = [*self._of_docker(), *self._of_podman()]
        found += self._of_bundles()
        found += self._of_nobody(found)
        found += self.unseen
        if not found and self.none:
            raise NotApplicable(f"no container on this host; {self.none}")
        return found

    def _of_docker(self) -> Iterator[Container | Unseen]:
        for engine, description in self.described:
            keeper = Keeper("docker", str(engine))
            try:
                yield Container(self.host, keeper, description, self.owned, docker=engine)
            except Unknown as reason:
                yield Unseen(Object("container", str(description.get("Name"))), str(reason))

    def _of_podman(self) -> Iterator[Container | Unseen]:
        for each in self.stored:
            keeper = podman_keeper(each.owner, each.rootless, each.graphroot, each.runroot)
            init = self._first(each.id, each.pid, each.rootless)
            yield self._foreign(keeper, each, each.name, init)

    def _of_bundles(self) -> Iterator[Container | Unseen]:
        """Yield those that run: a state that lies about from another time is no container."""
        for each in self.bundled:
            init = self._first(each.id, each.pid, bool(each.owner))
            if init is None:
                continue
            listed = lister(each, self.bundled, self.processes)
            keeper = containerd_keeper(each.runtime, each.namespace, listed, each.state_root)
            if each.namespace == MOBY:
                keeper = replace(keeper, kind="docker", away=AWAY, roots=DATA_ROOTS)
            yield self._foreign(keeper, each, name_of(each), init)

    def _foreign(
        self, keeper: Keeper, told: Stored | Bundle, name: str, init: Process | None
    ) -> Container | Unseen:
        try:
            inspect = described(told.spec, told.id, name, init.pid if init else 0)
            return Container(self.host, keeper, inspect, self.owned, init=init)
        except Unknown as reason:
            return Unseen(Object("container", name, told.id), str(reason), idle=init is None)

    def _first(self, number: str, pid: int | None, by_user: bool) -> Process | None:
        """Return the first process of a container, by the pid that its engine wrote down if it
        is still that process.

        :param by_user: whether a user's own files say so: he may claim what runs with his rights
            alone, whatever cgroup it is in.
        """
        named = self.processes.get(pid) if pid else None
        if by_user and (named is None or not self._in_own_users(named)):
            return None
        if named is not None and not named.zombie and self._is(named, number):
            return named
        own = [each for each in self.processes if number in self.owned[each.pid]]
        own = [each for each in own if not each.zombie]
        return first_of(own) if own else None

    def _is(self, process: Process, number: str) -> bool:
        owned = self.owned[process.pid]
        return number in owned or (not owned and self._apart(process))

    def _in_own_users(self, process: Process) -> bool:
        """Whether a process is in another user namespace than the host, as all that an engine
        without root's rights starts."""
        hosts = namespaces.of_host(self.processes, "user")
        return process.spaces.get("user") not in (None, hosts)

    def _apart(self, process: Process) -> bool:
        """Whether a process in no container's cgroup is apart from the host all the same."""
        mnt, host = process.spaces.get("mnt"), namespaces.of_host(self.processes, "mnt")
        return len(process.nspid) > 1 or (mnt is not None and mnt != host)

    def _places(self) -> dict[str, str]:
        """Return the cgroups that have a name of anybody's choice, as runc's have: those of a
        first process that end in its container's id."""
        found = {}
        for each in self.bundled:
            process = self.processes.get(each.pid) if each.pid else None
            if process is None or (each.owner and not self._in_own_users(process)):
                continue
            for path in process.cgroups.values():
                if path.rpartition("/")[2] in (each.id, f"{each.runtime}-{each.id}.scope"):
                    found[path] = each.id
        return found

    def _of_nobody(self, told: Sequence[Container | Unseen]) -> Iterator[Container | Unseen]:
        denied = sorted(self.processes.denied - {1})
        hosts = namespaces.of_host(self.processes, "mnt")
        if denied or hosts is None:
            who = self.processes.get(denied[0]) if denied else None
            whose = f"process {who}" if who else "the host"
            yield Unseen(
                Object("container", "(any that no engine knows)"),
                f"cannot see the namespaces of {whose}; needs root",
            )
        engines = [each for each in map(self._process, self.engines) if each is not None]
        # What runs in the cgroup of one that does not run is somebody else's.
        running = [each for each in told if isinstance(each, Container) and each.running]
        known: dict[str, Process | None] = dict.fromkeys(self.ids - self._asleep(told))
        known |= {each.id: self.processes.get(each.pid) for each in running}
        for each in strangers(self.host, self.processes, self.owned, known, engines):
            yield self._stranger(each)

    def _asleep(self, told: Sequence[Container | Unseen]) -> set[str]:
        """Return the ids of what was told of and does not run."""
        own = {each.object.id for each in told}
        idle = {
            each.object.id
            for each in told
            if (each.idle if isinstance(each, Unseen) else not each.running)
        }
        return idle | {each.id for each in self.bundled if each.id not in own}

    def _process(self, engine: DockerEngine) -> Process | None:
        try:
            return engine.process
        except Unknown:
            return None

    def _stranger(self, each: Stranger) -> Container:
        keeper = Keeper(each.runtime, "", listed=False, told=False)
        inspect = described({}, each.id, each.name, each.init.pid)
        return Container(self.host, keeper, inspect, self.owned, init=each.init, fresh=each.fresh)
