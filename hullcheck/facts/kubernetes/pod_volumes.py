"""What a kubelet lays down for its pods: the folders of tokens and secrets, never what is in them.

They lie at ``ROOT/pods/UID/volumes/PLUGIN/NAME``; a projected volume and a secret keep their files
in a folder named after the time, to which ``..data`` leads (Kubernetes, pkg/volume/util,
atomic_writer.go). Whose pod it is, the folders of logs tell: ``NAMESPACE_NAME_UID``.
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.files import Files
from hullcheck.facts.kubernetes.kubelet_settings import KubeletSettings, of_each_kubelet
from hullcheck.facts.registry import Unseen, get, provide_each
from hullcheck.facts.tree_sweep import BYTES, SECONDS, Entry, swept
from hullcheck.transport import CannotAnswer, Pending, Want, session_of, want
from hullcheck.verdict import Object

__all__ = ["PodVolumes", "VolumeFolder", "pod_volumes", "volumes_want"]

ROOT = "/var/lib/kubelet"
PROJECTED, SECRET = "kubernetes.io~projected", "kubernetes.io~secret"
LEGACY = frozenset({"token", "ca.crt", "namespace"})
"""Keys of a Secret of the type kubernetes.io/service-account-token."""

OTHERS = 0o4
PASS = 0o1
_GONE = ("No such file or directory", "Not a directory")


@dataclass(frozen=True, slots=True)
class VolumeFolder:
    """:param files: the names of its files, and the permissions of each."""

    plugin: str
    name: str
    files: dict[str, int] = field(default_factory=dict)

    @property
    def token(self) -> bool:
        """Whether a token for the API server is in it, as the kubelet or a manifest projects it.

        Tokens for other audiences lie alone, without the API server's certificate.
        """
        own = self.name.startswith("kube-api-access-")
        return self.plugin == PROJECTED and (own or {"token", "ca.crt"} <= set(self.files))

    @property
    def legacy(self) -> bool:
        """Whether a Secret with a token that never ends is in it."""
        return self.plugin == SECRET and set(self.files) >= LEGACY

    def __str__(self) -> str:
        return f"{self.plugin}/{self.name}"


@dataclass(frozen=True, slots=True)
class PodVolumes:
    """The volumes of one pod with tokens or secrets.

    :param reachable: files that every user of the host can get at and read.
    """

    uid: str
    name: str
    volumes: tuple[VolumeFolder, ...]
    reachable: tuple[str, ...]

    @property
    def object(self) -> Object:
        return Object("pod", self.name, self.uid)

    def __str__(self) -> str:
        return self.name


def volumes_want(pods: str) -> Want:
    """Return a want for all folders and files of tokens and secrets below a folder of pods.

    Each is a file system of its own. Folders of other volumes, which may be remote, stay closed.
    """
    place = shlex.quote(pods)
    told = "-exec stat -c '%f %i %s %u %g %n\n//' -- {} +"
    look = f"timeout {SECONDS} find -H"
    return want(
        f"{{ {look} {place} -mindepth 1 -maxdepth 3 -type d {told}; a=$?; "
        f"set -- {place}/*/volumes/{PROJECTED} {place}/*/volumes/{SECRET}; "
        'for d do shift; [ ! -d "$d" ] || set -- "$@" "$d"; done; '
        f'[ $# = 0 ] || {look} "$@" -mindepth 1 \\( -type d -o -type f \\) {told}; b=$?; '
        "[ $a != 0 ] || a=$b; printf 'end %s\\n//\\n' $a; } | "
        f"head -c {BYTES}",
        seconds=SECONDS * 2 + 10,
    )


def _entries(host: Host, pods: str) -> list[Entry]:
    answer = session_of(host).ask(volumes_want(pods))[0]
    for line in answer.evidence.stderr.decode("utf-8", "replace").splitlines():
        if line.strip() and not line.endswith(_GONE):
            raise Unknown(f"the volumes of pods cannot be seen: {line[:200]}; needs root")
    return swept(answer, [pods])[0]


def _made(entries: Iterable[Entry], names: dict[str, str], barred: bool) -> list[PodVolumes]:
    known = {each.path: each for each in entries}
    folders: dict[str, dict[tuple[str, str], VolumeFolder]] = {}
    reachable: dict[str, list[str]] = {}
    for path, entry in known.items():
        parts = path.split("/")[1:]
        if len(parts) < 4 or parts[1] != "volumes" or parts[2] not in (PROJECTED, SECRET):
            continue
        uid, _, plugin, name, *rest = parts
        folder = folders.setdefault(uid, {}).setdefault((plugin, name), VolumeFolder(plugin, name))
        if not (entry.regular and rest):
            continue
        inner = rest[1:] if rest[0].startswith("..") else rest
        folder.files["/".join(inner)] = entry.mode & 0o7777
        if not barred and entry.mode & OTHERS and _open(path, known):
            reachable.setdefault(uid, []).append(f"{plugin}/{name}/{'/'.join(inner)}")
    return [
        PodVolumes(uid, names.get(uid, uid), tuple(found.values()),
                   tuple(sorted(reachable.get(uid, ()))))
        for uid, found in sorted(folders.items())
    ]  # fmt: skip


def _open(path: str, known: dict[str, Entry]) -> bool:
    """Whether others pass through every folder on the way; one that went missing bars nobody."""
    above = posixpath.dirname(path)
    while above != "/":
        if above in known and not known[above].mode & PASS:
            return False
        above = posixpath.dirname(above)
    return True


def _names(settings: KubeletSettings) -> dict[str, str]:
    """Return ``namespace/name`` of pods by uid, as far as it can be told."""
    files: Files = get(settings.host, "files")
    try:
        folder = settings.kubelet.program.seen(str(settings.get("podLogsDir").value))
        listed: Collection[str] = files.list(folder)
    except Pending:
        raise
    except (Unknown, CannotAnswer):
        return {}
    found = (posixpath.basename(each).split("_") for each in listed)
    return {parts[2]: f"{parts[0]}/{parts[1]}" for parts in found if len(parts) == 3}


def _of(settings: KubeletSettings) -> list[PodVolumes]:
    told = settings.kubelet.flags.last("root-dir") or ROOT
    pods = f"{settings.kubelet.program.seen(told)}/pods"
    files: Files = get(settings.host, "files")
    session_of(settings.host).foresee(volumes_want(pods))
    folder = files.get(pods)
    if not folder.exists:
        return []
    barred = not all(each.mode & PASS for each in (folder.present, *folder.ancestors))
    return _made(_entries(settings.host, pods), _names(settings), barred)


@provide_each
def pod_volumes(host: Host) -> list[PodVolumes | Unseen]:
    """Each pod that was given tokens or secrets. :raises NotApplicable: none was."""
    return of_each_kubelet(host, _of, "no pod here was given a token or a secret")
