"""Every container in every store of Podman's on a host, running or not, from files alone.

A store (containers-storage(5)) is a graphroot with a runroot: ``DRIVER-containers/containers.json``
lists its containers, ``volatile-containers.json`` below the runroot those started with ``--rm``;
``DRIVER-containers/ID/userdata/config.json`` is what the OCI runtime was told at the last start.
conmon(8), the parent of each running container, tells of stores at unusual places.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.podman.conmon import Conmon, conmons
from hullcheck.facts.podman.places import (
    END,
    LARGEST,
    ROOT_STORE,
    Listed,
    Places,
    complaints,
    listed,
    swept,
)
from hullcheck.facts.podman.roots import ROOT_RUN, Roots, roots
from hullcheck.facts.processes import Process, Processes
from hullcheck.facts.registry import get, provide
from hullcheck.transport import Answer, CannotAnswer, Want, session_of, want

__all__ = ["Store", "Stored", "podman_stores", "stored"]

DRIVERS = ("overlay", "vfs", "btrfs", "zfs", "aufs", "devicemapper")
STORES = 200
"""How many stores are read; more would be somebody's attempt to keep the audit busy."""

_ID = re.compile(r"[0-9a-f]{64}")
_FOLDERS = " ".join(f"! -name {driver}-containers" for driver in DRIVERS)
_LISTS = ("containers.json", "volatile-containers.json")


@dataclass(frozen=True, slots=True)
class Stored:
    """One container, as its engine keeps it.

    :param image: the name of its image, else the image's id.
    :param bundle: its OCI specification as last started; {} if ``doubt`` says why there is none.
    :param pid: of its first process, in the host's numbers; None if it does not run.
    :param owner: the user whose Podman it is; ``rootless`` unless that is root.
    """

    id: str
    name: str
    image: str
    bundle: Mapping[str, Any] = field(repr=False)
    pid: int | None
    owner: str
    rootless: bool
    graphroot: str
    runroot: str
    doubt: str = ""

    @property
    def spec(self) -> Mapping[str, Any]:
        """Its specification; {} of one that runs, but has none that can be read.

        :raises Unknown: it does not run, and what it was told cannot be read.
        """
        if self.doubt and self.pid is None:
            raise Unknown(self.doubt)
        return self.bundle


@dataclass(frozen=True, slots=True)
class Store:
    """One graphroot, and what is in it.

    :param exists: whether Podman ever kept anything there.
    :param doubt: why not all of its containers are known; empty if they are.
    """

    graphroot: str
    runroot: str
    uid: int
    owner: str
    exists: bool
    containers: tuple[Stored, ...]
    doubt: str = ""

    @property
    def rootless(self) -> bool:
        return self.uid != 0


def store_want(where: Roots) -> Want:
    """Return the want for all that a store says of its containers."""
    return want(
        "find -H %s %s -mindepth 1 -maxdepth 4"
        f" -type d {_FOLDERS} ! -name userdata -name '*[!0-9a-f]*' -prune"
        " -o -type f \\( -name containers.json -o -name volatile-containers.json"
        " -o -name config.json -o -name pidfile \\)"
        f" -exec stat -c '= %%u %%a %%s %%n' {{}} + -size -{LARGEST + 1}"
        f" -exec grep -aH '' {{}} +; echo '{END}'",
        where.graphroot,
        where.runroot,
    )


@provide
def stored(host: Host) -> list[Stored]:
    """Every container of every Podman of the host.

    :raises Unknown: a store cannot be read (needs root).
    """
    found: list[Store] = get(host, "podman_stores")
    for each in found:
        if each.doubt:
            raise Unknown(each.doubt)
    return [one for each in found for one in each.containers]


@provide
def podman_stores(host: Host) -> list[Store]:
    """Every store of Podman's: root's, the users', and those that running containers are in.

    A store that another program uses as well (CRI-O, Buildah) counts with Podman's containers
    alone. Without podman on the host, homes that cannot be seen are taken to hold none. A store at
    a place of nobody's configuration (``podman --root``) shows while a container of it runs.

    :raises Unknown: the processes or the users' homes cannot be seen.
    """
    session_of(host).foresee(store_want(Roots(ROOT_STORE, ROOT_RUN, 0)))
    places: Places = get(host, "podman_places")
    processes: Processes = get(host, "processes")
    accounts: Accounts = get(host, "accounts")
    known, doubts = roots(places, accounts)
    doubts += [(each, f"more than {STORES} stores of containers") for each in known[STORES:]]
    known = known[:STORES]
    asked = [store_want(each) for each in known]
    monitors = conmons(host, processes, *asked)
    answers = session_of(host).ask(*asked)
    seen = {each.graphroot for each in known}
    odd = {each.roots.graphroot: each.roots for each in monitors if each.roots}
    more = [where for graphroot, where in odd.items() if graphroot not in seen][:STORES]
    answers += session_of(host).ask(*map(store_want, more))
    found = [
        _store(where, answer, _Running(processes, monitors), accounts)
        for where, answer in zip([*known, *more], answers, strict=True)
    ]
    found = _completed(found, monitors, _Running(processes, monitors))
    if places.programs or monitors:
        read = {each.graphroot for each in found}
        unread = [(each, why) for each, why in doubts if each.graphroot not in read]
        found += [_unread(each, accounts, why) for each, why in unread]
    return found


def _completed(found: list[Store], monitors: tuple[Conmon, ...], running: _Running) -> list[Store]:
    """Add to stores the running containers that conmon alone tells of."""
    known = {one.id for each in found for one in each.containers}
    lost = [each for each in monitors if each.id not in known and _ID.fullmatch(each.id)]
    made = []
    for store in found:
        own = [each for each in lost if each.roots and each.roots.graphroot == store.graphroot]
        told = tuple(_told(store, each, running) for each in own)
        made.append(replace(store, containers=(*store.containers, *told)))
    return made


def _told(store: Store, monitor: Conmon, running: _Running) -> Stored:
    uid = monitor.process.uids[1]
    pid = running.first(monitor.id, "", uid)
    why = store.doubt or f"no list in {store.graphroot} has it"
    return Stored(
        monitor.id, monitor.name or monitor.id[:12], "", {}, pid, store.owner, store.rootless,
        store.graphroot, store.runroot, why,
    )  # fmt: skip


def _unread(where: Roots, accounts: Accounts, why: str) -> Store:
    owner = _owner(accounts, where.uid)
    return Store(where.graphroot, where.runroot, where.uid, owner, False, (), why)


def _owner(accounts: Accounts, uid: int) -> str:
    user = accounts.user(uid)
    return user.name if user else f"uid {uid}"


@dataclass(frozen=True)
class _Running:
    """Tells which process is a container's first."""

    processes: Processes
    monitors: tuple[Conmon, ...]

    def first(self, number: str, told: str, uid: int) -> int | None:
        """Return the pid of a container's first process.

        :param told: what is written in its pidfile, which stays when it has ended.
        :param uid: the user whose store says so: what is another's is none of its.
        """
        parents = {
            each.process.pid
            for each in self.monitors
            if each.id == number and each.process.uids[1] == uid
        }
        own = [
            each
            for each in self.processes.by_cgroup(number)
            if not self._helper(each) and self._in_reach(each, number, uid)
        ]
        started = sorted(
            (each for each in self.processes if each.ppid in parents and not each.zombie),
            key=lambda each: each.started,
        )
        named = self.processes.get(int(told)) if told.isdecimal() and len(told) < 9 else None
        if named in own or named in started:
            return named.pid if named else None
        oldest = sorted(own, key=lambda each: (each.started, each.pid))
        return next((each.pid for each in (*started, *oldest)), None)

    def _helper(self, process: Process) -> bool:
        return process.zombie or process.name == "conmon"

    def _in_reach(self, process: Process, number: str, uid: int) -> bool:
        """Whether a user can have started what is in a container's cgroup."""
        above = (path for path in process.cgroups.values() if number in path)
        return uid == 0 or any(f"/user-{uid}.slice/" in path for path in above)


def _store(where: Roots, answer: Answer, running: _Running, accounts: Accounts) -> Store:
    owner = _owner(accounts, where.uid)
    empty = Store(where.graphroot, where.runroot, where.uid, owner, False, ())
    whose = f"{where.graphroot} (Podman of {owner})"
    try:
        files, sizes = swept(answer), listed(answer)
    except CannotAnswer as reason:
        return replace(empty, doubt=f"{whose}: {reason}")
    hidden = next(complaints(answer), None)
    try:
        if hidden:
            raise Unknown(f"{hidden[0]} cannot be read: {hidden[1]}; it may need root")
        containers = tuple(_containers(where, files, sizes, running, accounts))
    except Unknown as reason:
        return replace(empty, exists=True, doubt=f"{whose}: {reason}")
    return replace(empty, exists=bool(files), containers=containers)


def _containers(
    where: Roots,
    files: Mapping[str, str | Unknown],
    sizes: Mapping[str, Listed],
    running: _Running,
    accounts: Accounts,
) -> Iterator[Stored]:
    """Yield the containers of one store. :raises Unknown: a list of them cannot be read."""
    for path in sorted(files):
        name = posixpath.basename(path)
        if name not in _LISTS:
            continue
        for number, names, image in _listed(path, files[path]):
            bundle, doubt = _bundle(number, files)
            told = _of(number, "pidfile", files)
            uid = sizes[path].uid
            yield Stored(
                number, names[0] if names else number[:12], image, bundle,
                running.first(number, told.strip() if isinstance(told, str) else "", uid),
                _owner(accounts, uid), uid != 0, where.graphroot, where.runroot, doubt,
            )  # fmt: skip


def _listed(path: str, text: str | Unknown) -> Iterator[tuple[str, list[str], str]]:
    """Yield id, names and image of each of Podman's containers in a list of a store's."""
    if isinstance(text, Unknown):
        raise Unknown(*text.args)
    entries = _parsed(path, text or "[]")
    if not isinstance(entries, list):
        raise Unknown(f"{path} is no list of containers")
    for each in entries:
        number = each.get("id") if isinstance(each, dict) else None
        if not (isinstance(number, str) and _ID.fullmatch(number)):
            raise Unknown(f"{path} lists a container without an id")
        notes = each.get("metadata") or "{}"
        told = _parsed(path, notes) if isinstance(notes, str) else {}
        if isinstance(told, dict) and _of_podman(told):
            names = each.get("names")
            image = told.get("image-name") or each.get("image") or ""
            yield number, _texts([told.get("name"), *_texts(names)]), str(image)


def _of_podman(notes: Mapping[str, Any]) -> bool:
    """Whether what is noted of a container is Podman's: CRI-O notes its pod, Buildah nothing."""
    return bool(notes.get("image-name") or notes.get("name")) and "pod-id" not in notes


def _texts(values: object) -> list[str]:
    found = values if isinstance(values, list) else []
    return [each for each in found if isinstance(each, str) and each]


def _of(number: str, name: str, files: Mapping[str, str | Unknown]) -> str | Unknown | None:
    """Return a file that the store has of a container, below its graphroot or its runroot."""
    ending = f"-containers/{number}/userdata/{name}"
    return next((files[path] for path in sorted(files) if path.endswith(ending)), None)


def _bundle(number: str, files: Mapping[str, str | Unknown]) -> tuple[Mapping[str, Any], str]:
    """Return a container's specification, or why there is none."""
    text = _of(number, "config.json", files)
    if text is None:
        return {}, "it was never started: only Podman's own database says what it would be"
    try:
        if isinstance(text, Unknown):
            raise text
        parsed = _parsed("config.json", text)
    except Unknown as reason:
        return {}, str(reason)
    if not isinstance(parsed, dict) or not parsed:
        return {}, "its config.json is no OCI specification"
    return parsed, ""


def _parsed(path: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Unknown(f"{path} is not JSON") from None
