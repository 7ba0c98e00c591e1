"""Where containers are found: Docker's word, other engines' files, and the kernel's own tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts import namespaces
from hullcheck.facts.bundles import FIRST, Bundle
from hullcheck.facts.containers.container import Container
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

LISTED = ("k8s.io", "moby")
"""Namespaces of containerd whose containers another program lists: a kubelet, Docker."""


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
            if each.namespace != "moby" and each.id not in roots
            if each.id not in users or not each.owner
        ]
        owned = {each.id for each in self.bundled}
        self.stored = [each for each in self.stored if each.id not in owned]
        taken = docker | {each.id for each in self.stored}
        self.ids = taken | {each.id for each in self.bundled}
        places = self._places()
        self.owned = {each.pid: owners(each, places) for each in self.processes}

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
                self.unseen.append(Unseen(about, each.doubt))

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
        found += self._of_nobody([each for each in found if isinstance(each, Container)])
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
            yield self._foreign(keeper, each, each.name, partial(getattr, each, "spec"))

    def _of_bundles(self) -> Iterator[Container | Unseen]:
        for each in self.bundled:
            listed = each.runtime == "cri-o" or each.namespace in LISTED
            keeper = containerd_keeper(each.runtime, each.namespace, listed, each.state_root)
            yield self._foreign(keeper, each, _name(each), partial(getattr, each, "spec"))

    def _foreign(
        self,
        keeper: Keeper,
        told: Stored | Bundle,
        name: str,
        spec: Callable[[], Mapping[str, object]],
    ) -> Container | Unseen:
        init = self._first(told.id, told.pid)
        try:
            inspect = described(spec(), told.id, name, init.pid if init else 0)
            return Container(self.host, keeper, inspect, self.owned, init=init)
        except Unknown as reason:
            return Unseen(Object("container", name, told.id), str(reason), idle=init is None)

    def _first(self, number: str, pid: int | None) -> Process | None:
        """Return the first process of a container, by the pid that its engine wrote down if it
        is still that process."""
        named = self.processes.get(pid) if pid else None
        if named is not None and not named.zombie and self._is(named, number):
            return named
        own = [each for each in self.processes if number in self.owned[each.pid]]
        own = [each for each in own if not each.zombie]
        return first_of(own) if own else None

    def _is(self, process: Process, number: str) -> bool:
        owned = self.owned[process.pid]
        return number in owned or (not owned and self._apart(process))

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
            for path in process.cgroups.values() if process is not None else ():
                if path.rpartition("/")[2] in (each.id, f"{each.runtime}-{each.id}.scope"):
                    found[path] = each.id
        return found

    def _of_nobody(self, told: list[Container]) -> Iterator[Container | Unseen]:
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
        asleep = {each.id for each in told if not each.running}
        known: dict[str, Process | None] = dict.fromkeys(self.ids - asleep)
        known |= {each.id: self.processes.get(each.pid) for each in told if each.running}
        for each in strangers(self.host, self.processes, self.owned, known, engines):
            yield self._stranger(each)

    def _process(self, engine: DockerEngine) -> Process | None:
        try:
            return engine.process
        except Unknown:
            return None

    def _stranger(self, each: Stranger) -> Container:
        keeper = Keeper(each.runtime, "", listed=False)
        inspect = described({}, each.id, each.name, each.init.pid)
        return Container(self.host, keeper, inspect, self.owned, init=each.init, fresh=each.fresh)


def _name(bundle: Bundle) -> str:
    """Return what a container is called: by its pod, by nerdctl, or by its id."""
    told = {} if isinstance(bundle.told, Unknown) else bundle.told
    notes = told.get("annotations")
    notes = notes if isinstance(notes, dict) else {}
    for prefix in ("io.kubernetes.cri.", "io.kubernetes."):
        pod = notes.get(f"{prefix}sandbox-name") or notes.get(f"{prefix}pod.name")
        space = notes.get(f"{prefix}sandbox-namespace") or notes.get(f"{prefix}pod.namespace")
        own = notes.get(f"{prefix}container-name") or notes.get(f"{prefix}container.name")
        if pod:
            return "/".join(str(part) for part in (space, pod, own or "sandbox") if part)
    return str(notes.get("nerdctl/name") or bundle.id)
