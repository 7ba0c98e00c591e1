"""The certificates and keys of a control plane: those that its components name, what lies beside
them, and what lies in the usual directories.

Which file is a key is told by what is in it, not by its name, and told on the host.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.files import File, Files
from hullcheck.facts.kubernetes.certificates import Certificate, Pem, pems
from hullcheck.facts.kubernetes.components import Component
from hullcheck.facts.kubernetes.etcd_settings import SECURITY, settings_of
from hullcheck.facts.kubernetes.node_files import ADMIN, MANAGER
from hullcheck.facts.kubernetes.node_files import SCHEDULER as SCHEDULERS
from hullcheck.facts.kubernetes.places import DEEP, PKI, NodeFile, Places, path_on_host
from hullcheck.facts.kubernetes.programs import API_SERVER, CONTROLLER_MANAGER, ETCD, SCHEDULER
from hullcheck.facts.registry import Unseen, get, provide, provide_each
from hullcheck.transport import CannotAnswer, Pending
from hullcheck.verdict import Object

__all__ = ["AuthorityKey", "Named", "NodeCertificate", "Pki", "authorities"]

_SERVES = ("client-ca-file", "requestheader-client-ca-file", "tls-cert-file",
           "tls-private-key-file")  # fmt: skip
_SIGNS = tuple(
    f"cluster-signing-{signer}{kind}-file"
    for signer in ("", "kube-apiserver-client-", "kubelet-client-", "kubelet-serving-",
                   "legacy-unknown-")
    for kind in ("cert", "key")
)  # fmt: skip
FLAGS = {
    API_SERVER: (
        *_SERVES, "etcd-cafile", "etcd-certfile", "etcd-keyfile", "kubelet-certificate-authority",
        "kubelet-client-certificate", "kubelet-client-key", "proxy-client-cert-file",
        "proxy-client-key-file", "service-account-key-file", "service-account-signing-key-file",
    ),
    CONTROLLER_MANAGER: (*_SERVES, *_SIGNS, "root-ca-file", "service-account-private-key-file"),
    SCHEDULER: _SERVES,
}  # fmt: skip
"""The flags that name certificates and keys."""

ETCD_FILES = tuple(f"{side}{name}" for side in ("", "peer-") for name in SECURITY
                   if name.endswith("-file"))  # fmt: skip

SHARED = frozenset(
    ("/", "/etc", "/etc/kubernetes", "/etc/ssl", "/etc/ssl/certs", "/etc/ssl/private", "/etc/pki",
     "/etc/pki/tls", "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted/pem",
     "/usr/share/ca-certificates", "/root", "/run", "/var", "/var/lib", "/opt", "/srv", "/home")
)  # fmt: skip
"""Directories that hold other things too: of them only the files count that are named."""

LARGEST = 1_000_000
MOST = 2_000
KUBECONFIGS = frozenset(
    (*ADMIN, *SCHEDULERS, *MANAGER, "/etc/kubernetes/kubelet.conf",
     "/etc/kubernetes/bootstrap-kubelet.conf")
)  # fmt: skip
NONE = "there are no certificates of a control plane here"

_KEPT = re.compile(r"(^|[/._-])(old|bak|backups?|saved?|orig|expired|tmp)\b|~$", re.IGNORECASE)
"""How people call what they keep beside the file that is in use."""


@dataclass(frozen=True, slots=True)
class Named:
    """A file that a component names by a flag; ``path`` is where the host finds it."""

    component: Component
    flag: str
    path: str


@dataclass(frozen=True, slots=True)
class Pki:
    """:param named: what components name.

    :param entries: the files and directories of certificates and keys; ``files`` of those to read.
    :param others: files beside them, kubeconfigs and copies of manifests among them.
    :param unseen: what could not be looked at.
    """

    named: tuple[Named, ...]
    entries: tuple[str, ...]
    files: tuple[str, ...]
    others: tuple[str, ...] = ()
    unseen: tuple[Unseen, ...] = ()

    @property
    def blind(self) -> str:
        """Why not all is known of what components name; empty if it is."""
        return next((each.reason for each in self.unseen if each.object.kind == "component"), "")

    def users(self, path: str) -> frozenset[int]:
        """Return who may have a file or directory: root, the users of the components that name
        it, and the one user besides root whose components have their keys in that directory."""
        own = {_user(each) for each in self.named if each.path == path}
        return frozenset({0} | own | self._keeper(path) | self._keeper(posixpath.dirname(path)))

    def _keeper(self, folder: str) -> set[int]:
        users = {
            _user(each) for each in self.named
            if each.flag.endswith(("key-file", "keyfile", "-key"))
            and posixpath.dirname(each.path) == folder
        }  # fmt: skip
        return users - {0} if len(users - {0}) == 1 else set()


def _user(named: Named) -> int:
    return named.component.program.process.uids[1]


def _components(host: Host) -> Iterator[Component | Unseen]:
    for name in ("api_server", "controller_manager", "scheduler", "etcd"):
        try:
            yield from get(host, name)
        except NotApplicable:
            continue


def _flags(component: Component) -> Iterator[tuple[str, str]]:
    if component.name == ETCD:
        settings = settings_of(component)
        yield from ((name, text) for name in ETCD_FILES if (text := settings.text(name)))
        return
    for name in FLAGS.get(component.name, ()):
        for text in component.flags.values.get(name, ()):
            if text:
                yield name, text


def _named(host: Host) -> tuple[list[Named], list[Unseen]]:
    found: list[Named] = []
    unseen: dict[str, Unseen] = {}
    pending = False
    for each in _components(host):
        if isinstance(each, Unseen):
            unseen[str(each.object)] = each
            continue
        try:
            for flag, path in _flags(each):
                try:
                    found.append(Named(each, flag, path_on_host(each.program, path)))
                except Pending:
                    pending = True
        except Pending:
            pending = True
        except (Unknown, CannotAnswer) as doubt:
            unseen[str(each.object)] = Unseen(each.object, str(doubt))
    if pending:
        raise Pending
    return found, list(unseen.values())


@provide
def pki(host: Host) -> Pki:
    """All of it; where there is none, it is empty."""
    places: Places = get(host, "kubernetes_places")
    named, unseen = _named(host)
    folders = {posixpath.dirname(each.path) for each in named} - SHARED
    entries = {each.path: each for each in places.below(*PKI, *folders)}
    beside = [each for each in places.below(*DEEP) if each.regular and each.path not in entries]
    small = {each.path for each in (*entries.values(), *beside) if each.size <= LARGEST}
    regular = {path for path, each in entries.items() if each.regular}
    large = sorted(regular - small)
    unseen += [Unseen(Object("file", each), f"{each} is too large for a key") for each in large]
    unseen += places.hidden_at(*PKI, *folders)
    outside = sorted(each for each in folders if not _swept(each))
    far, beyond = _outside(host, outside, {each.path for each in named} - set(entries))
    every = sorted({*entries, *outside, *(each.path for each in far)})
    if len(every) + len(beside) > MOST:
        raise Unknown(f"there are more than {MOST} files beside the certificates")
    regular |= {each.path for each in far if _readable(each)}
    return Pki(
        tuple(named), tuple(every), tuple(sorted(regular - set(large))),
        tuple(sorted({each.path for each in beside} & small)), (*unseen, *beyond),
    )  # fmt: skip


def _outside(host: Host, folders: list[str], more: set[str]) -> tuple[list[File], list[Unseen]]:
    """Return the files of directories that the sweep has not seen, and others."""
    files: Files = get(host, "files")
    paths = set(more)
    unseen = []
    for folder in folders:
        try:
            paths |= set(files.list(folder))
        except (Unknown, CannotAnswer) as doubt:
            unseen.append(Unseen(Object("file", folder), f"{doubt}; it may need root"))
    return files.all(sorted(paths)) if paths else [], unseen


def _readable(file: File) -> bool:
    return file.state == "present" and file.kind == "file" and file.size <= LARGEST


def _swept(folder: str) -> bool:
    return any(folder == each or folder.startswith(f"{each}/") for each in DEEP)


def _files(host: Host) -> tuple[Pki, dict[str, Pem]]:
    found: Pki = get(host, "pki")
    return found, pems(host, (*found.files, *found.others))


@provide_each
def pki_file(host: Host) -> list[NodeFile | Unseen]:
    """Each file and directory, kubeconfigs in their usual places left out.

    :raises NotApplicable: there is none.
    """
    known: Pki = get(host, "pki")
    found = [
        NodeFile(host, each, known.users(each)) for each in known.entries if each not in KUBECONFIGS
    ]
    if not found and not known.unseen:
        raise NotApplicable(NONE)
    return [*found, *known.unseen]


@provide_each
def pki_key(host: Host) -> list[NodeFile | Unseen]:
    """Each file with a private key, kubeconfigs in their usual places left out: those are asked
    for by themselves. :raises NotApplicable: there is none."""
    known, contents = _files(host)
    found: list[NodeFile | Unseen] = list(known.unseen)
    for path, each in contents.items():
        if path in KUBECONFIGS:
            continue
        if each.key is None:
            found += [Unseen(Object("file", path), str(each.certificates))]
        elif each.key:
            found.append(NodeFile(host, path, known.users(path)))
    if not found:
        raise NotApplicable(NONE)
    return found


@dataclass(frozen=True, eq=False)
class NodeCertificate:
    """The certificates of one file.

    :param leaf: whether a component shows it as its own.
    :param doubt: why that cannot be told; empty if it can.
    """

    host: Host = field(repr=False)
    path: str
    certificates: list[Certificate]
    leaf: bool
    doubt: str = ""

    @property
    def object(self) -> Object:
        return Object("certificate", self.path)


_OWN = frozenset(
    ("tls-cert-file", "etcd-certfile", "kubelet-client-certificate", "proxy-client-cert-file",
     "cert-file", "peer-cert-file")
)  # fmt: skip


@provide_each
def node_certificate(host: Host) -> list[NodeCertificate | Unseen]:
    """Each file with certificates, kubeconfigs of components and administrators among them; no
    copy that is kept beside it and that no component names.

    :raises NotApplicable: there is none.
    """
    known, contents = _files(host)
    found: list[NodeCertificate | Unseen] = list(known.unseen)
    named = {each.path for each in known.named}
    own = {each.path for each in known.named if each.flag in _OWN}
    configs = {each for each in known.others if each in KUBECONFIGS}
    for path, each in contents.items():
        if path in known.others and path not in configs:
            continue
        if path not in named and _KEPT.search(path):
            continue
        if isinstance(each.certificates, Unknown):
            found.append(Unseen(Object("certificate", path), str(each.certificates)))
        elif each.certificates:
            made = NodeCertificate(host, path, each.certificates, path in own, known.blind)
            found.append(made)
    if not found:
        raise NotApplicable(NONE)
    return found


def authorities(component: Component, *flags: str) -> dict[str, Certificate]:
    """Return the authorities that a component trusts by some flags, by their keys.

    :raises Unknown: a file cannot be read.
    """
    told = settings_of(component) if component.name == ETCD else None
    named = [told.text(each) if told else component.flags.last(each) for each in flags]
    paths = [path_on_host(component.program, each) for each in named if each]
    _, contents = _files(component.host)
    rest = [path for path in paths if path not in contents]
    contents |= pems(component.host, rest)
    found: dict[str, Certificate] = {}
    for path in paths:
        each = contents.get(path)
        if each is None:
            raise Unknown(f"{path}, which {component} was started with, is gone")
        if isinstance(each.certificates, Unknown):
            raise Unknown(str(each.certificates))
        if not each.certificates:
            raise Unknown(f"there is no certificate in {path}")
        found |= {one.spki: one for one in each.certificates}
    return found


@dataclass(frozen=True, eq=False)
class AuthorityKey:
    """The private key of an authority.

    :param used: the flags by which components sign with it.
    :param doubt: why not all of them are known; empty if they are.
    """

    host: Host = field(repr=False)
    path: str
    used: tuple[str, ...]
    doubt: str = ""

    @property
    def object(self) -> Object:
        return Object("file", self.path)


@provide_each
def authority_key(host: Host) -> list[AuthorityKey | Unseen]:
    """Each private key that lies with an authority's certificate of its name, or in one file.

    k3s, RKE2 and k0s sign themselves as nodes join, and need theirs.

    :raises NotApplicable: there is none.
    """
    known, contents = _files(host)
    found: list[AuthorityKey | Unseen] = list(known.unseen)
    signed = {_stem(path) for path, each in contents.items() if _authority(each)}
    for path, each in contents.items():
        if each.key is None:
            found.append(Unseen(Object("file", path), str(each.certificates)))
        elif each.key and _stem(path) in signed and not path.startswith("/var/lib/"):
            flags = (f"--{one.flag}" for one in known.named if _snap(one.path) == _snap(path))
            used = tuple(flag for flag in flags if flag.startswith("--cluster-signing-"))
            found.append(AuthorityKey(host, path, used, known.blind))
    if not found:
        raise NotApplicable("no private key of an authority lies here that could lie elsewhere")
    return found


def _authority(pem: Pem) -> bool:
    made = pem.certificates
    return not isinstance(made, Unknown) and any(each.authority for each in made)


def _snap(path: str) -> str:
    """Return a path by its snap's revision and by the link to the revision in use as one."""
    return re.sub(r"^/var/snap/microk8s/(current|x?\d+)/", "/var/snap/microk8s/*/", path)


def _stem(path: str) -> str:
    folder, base = posixpath.split(path)
    stem = base.rpartition(".")[0] or base
    return posixpath.join(folder, stem.removesuffix("-key").removesuffix("_key"))
