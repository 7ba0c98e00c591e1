"""Where engines keep what containers are made of, as each engine itself says; and what they keep
there that tells how.

Asked are Docker, containerd, CRI-O and Podman's stores (root's and users'); the kubelet, Rancher's
distributions and LXC have places that are not theirs to choose, or say nothing of them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.files import File, Files
from hullcheck.facts.mounts import within
from hullcheck.facts.registry import Unseen, fact, get, provide, provide_each
from hullcheck.facts.texts import lines_of
from hullcheck.transport import Answer, CannotAnswer, Want, session_of, want
from hullcheck.verdict import Object

__all__ = ["DataRoot", "DataRoots", "Room", "data_root", "data_roots", "docker_roots", "parse_room"]

FIXED = {
    "/var/lib/kubelet": "kubelet", "/var/lib/rancher": "Rancher", "/var/lib/lxc": "LXC",
    "/var/snap/microk8s/common": "MicroK8s", "/var/lib/k0s": "k0s",
}  # fmt: skip
"""Places that count where they exist and hold anything."""

ABSENT = ("No such file or directory", "Not a directory")
HELD = want(f"stat -L -c '%F:%h:%n' -- {' '.join(FIXED)}", meaning=(0, 1))
"""What the fixed places are. A directory with two names has no directory in it."""

END = "= end"

_SNAPSHOTTER = re.compile(r".*/io\.containerd\.snapshotter\.v1\.([a-z-]+)/snapshots")
_STORED = re.compile(r".*/([a-z0-9-]+)-(containers|images)/\2\.json")
_ROOM = re.compile(r"(\d+) (\d+) (\d+) (\d+) (\d+) (/.*)")


@dataclass(frozen=True, slots=True)
class Room:
    """How full a file system is, in percent of what ordinary users may use; None: no limit."""

    space: float
    inodes: float | None


@dataclass(frozen=True)
class DataRoot:
    """A directory in which an engine keeps images, volumes and containers.

    :param owner: the engine, as findings name it.
    :param path: as the engine says it.
    :param uid: whose engine it is.
    :param driver: how Docker keeps layers, "overlay2"; empty if the directory has to tell.
    :param lent: containerd's, when Docker runs on it: it may hold nothing at all.
    """

    host: Host = field(repr=False)
    owner: str
    path: str
    uid: int = 0
    driver: str = ""
    lent: bool = False

    @property
    def object(self) -> Object:
        return Object("data root", self.path)

    def __str__(self) -> str:
        return self.path

    @property
    def file(self) -> File:
        """The directory, as the host sees it."""
        files: Files = get(self.host, "files")
        return files.get(self.path)

    @property
    def there(self) -> File:
        """The directory. :raises Unknown: it is not there as the host sees it."""
        if not self.file.exists:
            raise Unknown(f"{self.path} of {self.owner} is not to be found on the host")
        return self.file

    @property
    def needs(self) -> Want:
        """What :attr:`drivers` asks."""
        return want(
            "find -H %s -mindepth 1 -maxdepth 3 -type d ! -name 'io.containerd.snapshotter.v1.*'"
            " ! -name '*-containers' ! -name '*-images' ! -name snapshots -prune -print"
            " -o \\( -name containers.json -o -name images.json \\) -size +2c -print"
            " | sed 's|/snapshots/[^/]*$|/snapshots|' | sort -u"
            f"; echo '{END}'",
            self.path,
        )

    @fact
    def drivers(self) -> frozenset[str]:
        """How layers are kept that are there, by the names that engines have for it.

        :raises Unknown: they cannot be seen.
        """
        if self.driver:
            return frozenset({self.driver})
        answer = session_of(self.host).ask(self.needs)[0]
        *lines, end = lines_of(answer) or [""]
        if end != END or not all(within(line, self.path) for line in lines):
            raise Unknown(f"what lies in {self.path} was not listed to its end")
        found = set()
        for line in lines:
            match = _SNAPSHOTTER.fullmatch(line) or _STORED.fullmatch(line)
            if match:
                found.add(match[1])
        for line in answer.evidence.stderr.decode("utf-8", "replace").splitlines():
            if not found and not line.endswith(ABSENT):
                raise Unknown(f"what lies in {self.path} cannot be seen: {line[:200]}; needs root")
        return frozenset(found)

    @fact
    def room(self) -> Room:
        """How full its file system is. :raises Unknown: it does not tell."""
        _ = self.there
        return parse_room(session_of(self.host).ask(room_want(self.path))[0], self.path)


def room_want(path: str) -> Want:
    """Return a want for how full the file system of a path is; statfs(2)."""
    return want("stat -f -c '%%b %%f %%a %%c %%d %%n' -- %s", path)


def parse_room(answer: Answer, path: str) -> Room:
    """Return what ``stat -f`` says. :raises Unknown: it says nothing that is understood."""
    found = _ROOM.fullmatch(answer.text.removesuffix("\n"))
    if found is None or found[6] != path:
        raise Unknown(f"how full the file system of {path} is cannot be told")
    blocks, free, available, nodes, unused = (int(found[at]) for at in range(1, 6))
    used = blocks - free
    if used < 0 or unused > nodes or not used + available:
        raise Unknown(f"what the file system of {path} tells of its size makes no sense")
    # Btrfs and others make inodes as they need them, and tell of none.
    inodes = 100 * (nodes - unused) / nodes if nodes else None
    return Room(100 * used / (used + available), inodes)


def docker_roots(host: Host) -> Iterator[DataRoot]:
    """Yield the data roots of Docker's engines."""
    for engine in get(host, "docker"):
        uid = 0
        if engine.rootless:
            uid = engine.process.uids[1]
        driver = str(engine.info.get("Driver") or "")
        status = dict(row[:2] for row in engine.info.get("DriverStatus") or [] if len(row) > 1)
        if driver == "devicemapper" and "Data loop file" in status:
            driver = "devicemapper on a loop device"
        yield DataRoot(host, str(engine), engine.root_dir, uid, driver)


def _containerd_roots(host: Host) -> Iterator[DataRoot]:
    for daemon in get(host, "containerd"):
        if isinstance(daemon, Unseen):
            continue
        root = str(daemon.directories[0])
        yield DataRoot(host, str(daemon), root, daemon.process.uids[1], lent=True)


def _crio_roots(host: Host) -> Iterator[DataRoot]:
    for daemon in get(host, "crio"):
        if not isinstance(daemon, Unseen):
            yield DataRoot(host, str(daemon), daemon.directories[0], daemon.process.uids[1])


def _podman_roots(host: Host) -> Iterator[DataRoot | Unseen]:
    for store in get(host, "podman_stores"):
        label = f"podman ({store.owner})"
        if store.exists:
            yield DataRoot(host, label, store.graphroot, store.uid)
        elif store.doubt:
            yield Unseen(Object("data root", store.graphroot), store.doubt)


def _fixed_roots(host: Host) -> Iterator[DataRoot | Unseen]:
    answer = session_of(host).ask(HELD)[0]
    for line in lines_of(answer):
        kind, links, path = line.split(":", 2) if line.count(":") > 1 else (line, "", "")
        if path not in FIXED:
            raise Unknown(f"stat: cannot understand {line[:80]!r}")
        if kind == "directory" and links != "2":
            yield DataRoot(host, FIXED[path], path)
    for line in answer.evidence.stderr.decode("utf-8", "replace").splitlines():
        if not line.endswith(ABSENT):
            yield Unseen(Object("data root", "(of others)"), f"{line[:200]}; it may need root")


KINDS: dict[str, Any] = {
    "docker": docker_roots, "containerd": _containerd_roots, "cri-o": _crio_roots,
    "podman": _podman_roots, "others": _fixed_roots,
}  # fmt: skip


def _each(host: Host, kind: str) -> Sequence[DataRoot | Unseen]:
    try:
        return list(KINDS[kind](host))
    except NotApplicable:
        return []
    except (Unknown, CannotAnswer) as reason:
        return [Unseen(Object("data root", f"(of any {kind})"), str(reason))]


@provide_each
def data_root(host: Host) -> list[DataRoot | Unseen]:
    """Each data root of the host; one inside another is part of that one.

    :raises NotApplicable: no engine keeps anything here.
    """
    session_of(host).foresee(HELD)
    found = [each for kind in KINDS for each in _each(host, kind)]
    if not found:
        raise NotApplicable("no engine keeps anything on this host")
    known = [each for each in found if isinstance(each, DataRoot)]
    outer = {each.path: each for each in reversed(list(_plain(known)))}
    return [
        *(each for each in outer.values() if not _inside(each, outer)),
        *(each for each in found if isinstance(each, Unseen)),
    ]


def _plain(roots: Iterable[DataRoot]) -> Iterator[DataRoot]:
    for each in roots:
        if each.path.startswith("/") and "\0" not in each.path:
            yield replace(each, path=posixpath.normpath(each.path))


def _inside(root: DataRoot, others: Iterable[str]) -> bool:
    return any(within(root.path, each) and root.path != each for each in others)


@dataclass(frozen=True, slots=True)
class DataRoots:
    """All data roots that are known.

    :param doubt: why there may be more; empty if there are not.
    """

    found: tuple[DataRoot, ...]
    doubt: str

    def paths(self, *, rootful: bool = False) -> list[str]:
        """Return where they are, without links; of engines of root alone, if asked so."""
        return [
            each.file.resolved for each in self.found
            if (not rootful or each.uid == 0) and each.file.state == "present"
        ]  # fmt: skip


@provide
def data_roots(host: Host) -> DataRoots:
    """The data roots of the host that can be seen."""
    try:
        found: list[DataRoot | Unseen] = get(host, "data_root")
    except NotApplicable:
        found = []
    doubts = [each.reason for each in found if isinstance(each, Unseen)]
    known = tuple(each for each in found if isinstance(each, DataRoot))
    get(host, "files").foresee(each.path for each in known)
    return DataRoots(known, doubts[0] if doubts else "")
