"""What lies in the usual places of Kubernetes' own files, from one small sweep.

The places are those of kubeadm, k3s, RKE2, MicroK8s and k0s. What a process names is looked up
where it says; this tells what is there although nothing that runs names it.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.files import File, Files
from hullcheck.facts.kubernetes.programs import Program
from hullcheck.facts.registry import Unseen, fact, get, provide
from hullcheck.transport import Answer, session_of, want
from hullcheck.transport.want import FILE_LIMIT
from hullcheck.verdict import Object

__all__ = [
    "CNI", "DATABASES", "MANIFESTS", "PKI", "PLACES", "Entry", "NodeFile", "Places",
    "file_on_host", "kubernetes_places", "path_on_host", "text_of",
]  # fmt: skip

SECONDS = 20
BYTES = 3_000_000
END = "\n//\n"
"""Ends a record: no path that find prints has two slashes in a row."""

WHOLE = "\n= end\n"
"""Follows a file that was read to its end."""

_RANCHER = ("/var/lib/rancher/k3s", "/var/lib/rancher/rke2")
_SNAP = "/var/snap/microk8s/current"

MANIFESTS = ("/etc/kubernetes/manifests", "/var/lib/rancher/rke2/agent/pod-manifests")
PKI = (
    "/etc/kubernetes/pki", *(f"{each}/server/tls" for each in _RANCHER), f"{_SNAP}/certs",
    "/var/lib/k0s/pki",
)  # fmt: skip
CNI = ("/etc/cni/net.d", "/opt/cni/bin")
DATABASES = (
    *(f"{each}/server/db{more}" for each in _RANCHER for more in ("", "/etcd")), "/var/lib/etcd",
    f"{_SNAP}/var/kubernetes/backend", "/var/lib/k0s/etcd", "/var/lib/k0s/db",
)  # fmt: skip

DEEP = (
    "/etc/kubernetes", "/etc/rancher", *PKI[1:], f"{_SNAP}/credentials", MANIFESTS[1],
    *(f"{each}/server/cred" for each in _RANCHER),
)  # fmt: skip
FLAT = (*CNI, *(f"{each}/agent/etc/cni/net.d" for each in _RANCHER), *DATABASES)


def _find(paths: Iterable[str], depth: int) -> str:
    return (
        f"timeout {SECONDS} find -L {' '.join(paths)} -maxdepth {depth}"
        " -exec stat -L -c '%f %i %d %u %g %s %n\n//' -- {} +"
    )


PLACES = want(
    f"{{ {_find(DEEP, 5)}; deep=$?; {_find(FLAT, 1)}; printf 'end %s %s\\n//\\n' $deep $?; }}"
    f" | head -c {BYTES}",
    seconds=2 * SECONDS + 10,
)

_RECORD = re.compile(r"([0-9a-f]+) (\d+) (\d+) (\d+) (\d+) (\d+) (/.*)", re.DOTALL)
_COMPLAINT = re.compile(r"^\w+: (?:[^/]*?['\"`]?)?(/.*?)['\"]?: ([^:]+)$")
_ABSENT = ("No such file or directory", "Not a directory")


@dataclass(frozen=True, slots=True)
class Entry:
    """What stat says of something, links followed. ``mode`` is type and permissions."""

    path: str
    mode: int
    inode: int
    device: int
    size: int

    @property
    def regular(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def directory(self) -> bool:
        return stat.S_ISDIR(self.mode)


@dataclass(frozen=True, slots=True)
class Places:
    """What was found.

    :param hidden: what could not be looked at, and why.
    """

    entries: Mapping[str, Entry] = field(repr=False)
    hidden: Mapping[str, str]

    def below(self, *roots: str) -> Iterator[Entry]:
        """Yield what there is of some directories, themselves included."""
        for path, entry in self.entries.items():
            if any(path == root or path.startswith(f"{root}/") for root in roots):
                yield entry

    def hidden_at(self, *paths: str) -> list[Unseen]:
        """Return what of some files and directories could not be looked at."""
        found = {}
        for place, why in self.hidden.items():
            for path in paths:
                if place in ("/", path) or _within(place, path) or _within(path, place):
                    about = Object("file", max(place, path, key=len))
                    found[about.name] = Unseen(about, f"{place}: {why}; it may need root")
        return list(found.values())

    def existing(self, paths: Iterable[str]) -> list[str]:
        return [path for path in paths if path in self.entries]


def _within(path: str, directory: str) -> bool:
    return path.startswith(f"{directory.rstrip('/')}/")


@provide
def kubernetes_places(host: Host) -> Places:
    """What lies there. :raises Unknown: the sweep did not come to its end."""
    answer = session_of(host).ask(PLACES)[0]
    *records, rest = answer.text.split(END)
    ended = re.fullmatch(r"end ([01]) ([01])", records.pop()) if records else None
    if ended is None or rest:
        raise Unknown("the places of Kubernetes' files were not looked through to the end")
    found = {each.path: each for each in map(_entry, records)}
    hidden = dict(_hidden(answer))
    if ended[1] + ended[2] != "00" and not answer.evidence.stderr:
        raise Unknown("find broke off in the places of Kubernetes' files, and does not say why")
    return Places(found, hidden)


def _entry(record: str) -> Entry:
    row = _RECORD.fullmatch(record)
    if row is None:
        raise Unknown(f"what stat told of a file is damaged: {record[:80]!r}")
    inode, device, size = int(row[2]), int(row[3]), int(row[6])
    return Entry(row[7], int(row[1], 16), inode, device, size)


def _hidden(answer: Answer) -> Iterator[tuple[str, str]]:
    for line in answer.evidence.stderr.decode("utf-8", "surrogateescape").splitlines():
        told = _COMPLAINT.match(line)
        if told is None:
            yield "/", line[:200]
        elif told[2] not in _ABSENT:
            yield told[1], told[2]


@dataclass(frozen=True, eq=False)
class NodeFile:
    """A file or directory of a node.

    :param path: where the host finds it.
    :param trusted: the users who may read and write it, root being one.
    :param public: whether anybody may read it, as units of systemd.
    """

    host: Host = field(repr=False)
    path: str
    trusted: frozenset[int] = frozenset({0})
    public: bool = False

    @property
    def object(self) -> Object:
        return Object("file", self.path)

    def __str__(self) -> str:
        return self.path

    @fact
    def file(self) -> File:
        """It, with the way to it."""
        files: Files = get(self.host, "files")
        return files.get(self.path)


def file_on_host(program: Program, path: str) -> File:
    """Return a file that a program names, by the host's own way to it if that is the same file.

    What is mounted into a container has another way there than it has on the host; who may pass
    which directories is decided on the host's.

    :raises Unknown: whose files the program sees cannot be told.
    """
    files: Files = get(program.host, "files")
    seen, absolute = program.seen(path), program.absolute(path)
    if seen == absolute:
        return files.get(absolute)
    inside, outside = files.get(seen, absolute)
    if not inside.exists or outside.state != "present":
        return inside
    there, here = inside.present, outside.present
    return outside if (there.device, there.inode) == (here.device, here.inode) else inside


def path_on_host(program: Program, path: str) -> str:
    """Return the path of :func:`file_on_host`."""
    return file_on_host(program, path).path


def text_of(program: Program, path: str) -> str | None:
    """Return the whole content of a file as a program sees it; None if there is none.

    :raises Unknown: it cannot be read, or not to its end.
    """
    asked = want(f"head -c {FILE_LIMIT} -- %s && printf '\\n= end\\n'", program.seen(path),
                 meaning=(0, 1))  # fmt: skip
    answer = session_of(program.host).ask(asked)[0]
    if answer.exit and answer.complaint.endswith(_ABSENT):
        return None
    if answer.exit:
        raise Unknown(f"{path} cannot be read: {answer.complaint}; it may need root")
    if not answer.text.endswith(WHOLE) or len(answer.output) >= FILE_LIMIT:
        raise Unknown(f"{path} was not read to its end")
    return answer.text.removesuffix(WHOLE)
