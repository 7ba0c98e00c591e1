"""The files that a kube-apiserver's flags name, as that process sees them.

A file that is read once, at start, and changed since is not what the process works with: then what
it holds says nothing.
"""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.files import File, Files
from hullcheck.facts.foreign_yaml import at, documents, items, text
from hullcheck.facts.kubernetes.components import Component
from hullcheck.facts.kubernetes.programs import Program
from hullcheck.facts.mounts import MountTable, names_of, parse_mountinfo, place_of
from hullcheck.facts.registry import Unseen, fact, get, provide_each
from hullcheck.facts.toml_daemon import SLACK
from hullcheck.inventory.document import Node
from hullcheck.transport import CannotAnswer, Pending, Want, session_of, want
from hullcheck.transport.want import FILE_LIMIT
from hullcheck.verdict import Object

__all__ = ["ApiFile", "changed_since_start", "config", "kubeconfig", "named", "plugin_config"]

SECRET, CONFIG, LOG = "secret", "configuration", "log"

FLAGS = {
    "encryption-provider-config": SECRET, "token-auth-file": SECRET, "basic-auth-file": SECRET,
    "authentication-token-webhook-config-file": SECRET, "cloud-config": SECRET,
    "authorization-webhook-config-file": SECRET, "audit-webhook-config-file": SECRET,
    "audit-policy-file": CONFIG, "admission-control-config-file": CONFIG,
    "authentication-config": CONFIG, "authorization-config": CONFIG,
    "authorization-policy-file": CONFIG, "egress-selector-config-file": CONFIG,
    "tracing-config-file": CONFIG, "audit-log-path": LOG,
}  # fmt: skip
"""Flags of kube-apiserver that name a file, and what is in it."""

KEYS = (
    "tls-private-key-file", "service-account-signing-key-file", "kubelet-client-key",
    "etcd-keyfile", "proxy-client-key-file",
)  # fmt: skip
TREES = ("/etc/kubernetes/pki/", "/var/lib/rancher/", "/var/snap/microk8s/")
"""Where distributions keep all keys of a node: judged as a whole, not by flags."""

ONCE = (
    "audit-policy-file", "admission-control-config-file", "authorization-policy-file",
    "token-auth-file", "basic-auth-file", "audit-webhook-config-file",
)  # fmt: skip
"""Files that are read at start alone."""

RELOAD = "encryption-provider-config-automatic-reload"

_QUOTED = r""""[^"]*"?|'[^']*'?"""
_CUT = (
    "s/([\"']?(secret|token|password|client-key-data)[\"']?[[:blank:]]*:[[:blank:]]*)"
    f"({_QUOTED}|[^][:blank:],}}\"'|>&*!{{[][^,}}]*)/\\1none/g;"
    "/^[[:blank:]\"',-]*[A-Za-z0-9+\\/_-]{16,}=*[[:blank:]\"',]*$/{"
    "/[0-9+\\/=]/s/[A-Za-z0-9+\\/_-]{16,}=*/none/;}"
)
"""Takes the values of keys out on the host, and lines that are nothing but a key's text."""


END = "\n= end\n"
"""Without it, an answer that was cut short could pass for a file."""


def _read(path: str, cut: bool) -> Want:
    head = f"head -c {FILE_LIMIT} -- %s"
    if not cut:
        return want(f"{head} && printf '\\n= end\\n'", path, meaning=(0, 1))
    return want(f"{head} | sed -E %s; printf '\\n= end\\n'", path, _CUT)


def named(component: Component, flag: str) -> str | None:
    """Return the path that a flag names, None if it names none."""
    return component.flags.last(flag) or None


def config(
    component: Component, flag: str, *kinds: str, cut: bool = False, reloaded: bool = False
) -> Node | None:
    """Return what a flag's file holds; None if no file is named.

    :param kinds: what ``kind`` may be; whatever it is, if none is given.
    :param cut: it holds keys, which are not to leave the host.
    :param reloaded: the process takes what changes in it, as far as the caller asks for it; not of
        the first form of a file (v1alpha1), with which releases began.
    :raises Unknown: it cannot be read, or is not what the process read.
    """
    path = named(component, flag)
    if path is None:
        return None
    if flag == "encryption-provider-config":
        reloaded = component.flags.flag(RELOAD) is True
    return _document(component, path, kinds, cut, reloaded)


def _document(
    component: Component, path: str, kinds: tuple[str, ...], cut: bool, reloaded: bool = False
) -> Node:
    place = component.program.seen(path)
    asked = _read(place, cut)
    session = session_of(component.host)
    files: Files = get(component.host, "files")
    if session.gathering:
        session.foresee(asked)
    file = files.get(place)
    answer = session.ask(asked)[0]
    if answer.exit or answer.complaint:
        raise Unknown(f"{path} cannot be read: {answer.complaint}; it may need root")
    if not answer.text.endswith(END):
        raise CannotAnswer(f"{path} was not read to the end")
    if file.exists and file.size > FILE_LIMIT:
        raise Unknown(f"{path} is longer than {FILE_LIMIT} bytes")
    content = answer.text.removesuffix(END)
    found = [each for each in documents(content, path) if each.value is not None]
    if len(found) != 1:
        raise Unknown(f"{path} holds {len(found)} documents")
    first = text(at(found[0], "apiVersion")).endswith("/v1alpha1")
    if (first or not reloaded) and _late(component, file):
        raise Unknown(f"{path} was changed after {component} started; restart it to be sure")
    kind = text(at(found[0], "kind"))
    if kinds and kind not in kinds:
        raise Unknown(f"{path} is of the kind {kind[:60]!r}, not {kinds[0]}")
    return found[0]


def _late(component: Component, file: File) -> bool:
    if not file.exists:
        return True
    times = [file.mtime, *(link.status.mtime for link in file.links)]
    return max(times) > component.program.process.started + SLACK


def changed_since_start(component: Component) -> list[str]:
    """Return the files that a component read at start and that have been changed since."""
    flags = [each for each in ONCE if named(component, each)]
    if named(component, "encryption-provider-config") and not component.flags.flag(RELOAD):
        flags.append("encryption-provider-config")
    paths = [named(component, each) or "" for each in flags]
    files: Files = get(component.host, "files")
    found = files.all(component.program.seen(each) for each in paths)
    return [path for path, file in zip(paths, found, strict=True) if _late(component, file)]


def kubeconfig(component: Component, path: str) -> Node:
    """Return a kubeconfig, without its keys. :raises Unknown: it cannot be read."""
    return _document(component, path, (), True)


def plugin_config(component: Component, name: str) -> Node | None:
    """Return the configuration of an admission plug-in; None if it has none.

    Kubernetes, "Admission control": a ``configuration`` in the file counts more than the ``path``
    to one, which begins where the file lies.
    """
    main = config(component, "admission-control-config-file", "AdmissionConfiguration")
    found = [each for each in items(at(main, "plugins")) if text(at(each, "name")) == name]
    if not found:
        return None
    own = at(found[0], "configuration")
    if own is not None and own.value is not None:
        return own
    path = text(at(found[0], "path"))
    base = posixpath.dirname(named(component, "admission-control-config-file") or "")
    return _document(component, posixpath.join(base, path), (), True) if path else None


@dataclass(frozen=True)
class ApiFile:
    """A file that an API server was told to use.

    :param path: as its process sees it.
    :param what: secret, configuration or log.
    """

    host: Host = field(repr=False)
    program: Program
    path: str
    what: str

    @property
    def object(self) -> Object:
        return Object("file", self.path)

    def __str__(self) -> str:
        return self.path

    @property
    def trusted(self) -> frozenset[int]:
        """Root, and the user that the API server runs as."""
        return frozenset({0, self.program.process.uids[1]})

    @property
    def place(self) -> str:
        """Where the host finds it, in the process's own root."""
        return self.program.seen(self.path)

    @property
    def file(self) -> File:
        """The file, as the process reaches it."""
        files: Files = get(self.host, "files")
        return files.get(self.place)

    @fact
    def names(self) -> list[File]:
        """The file under each name that the host has for it: each is a way to it.

        A pod sees it through a mount, and the directories that close it to others stay outside.
        What only the pod has is as the process reaches it.
        """
        return self._names([self.path])[0]

    @fact
    def logs(self) -> list[list[File]]:
        """The log and the ones before it, which bear its name and a time; likewise.

        :raises NotApplicable: there is none.
        """
        folder, _, base = self.path.rpartition("/")
        stem, kind = posixpath.splitext(base)
        files: Files = get(self.host, "files")
        listed = files.list(self.program.seen(folder or "/"))
        names = [each.rpartition("/")[2] for each in listed]
        older = (kind, f"{kind}.gz")
        found = [
            f"{folder}/{each}"
            for each in names
            if each == base or (each.startswith(f"{stem}-") and each.endswith(older))
        ]
        if not found:
            raise NotApplicable(f"there is no {self.path} yet")
        return self._names(found)

    def _names(self, paths: list[str]) -> list[list[File]]:
        files: Files = get(self.host, "files")
        seen = files.all(self.program.seen(each) for each in paths)
        root = self.program.root
        if not root:
            return [[each] for each in seen]
        own = parse_mountinfo(session_of(self.host).ask(_mounts(self.program))[0].text)
        outside: MountTable = get(self.host, "mounts")
        tried = []
        for file in seen:
            inside = file.resolved.removeprefix(root) if file.exists else ""
            place = place_of(own, inside) if inside else None
            tried.append(list(dict.fromkeys(names_of(outside, place))) if place else [])
        flat = [each for names in tried for each in names]
        known = dict(zip(flat, files.all(flat), strict=True))
        return [
            [known[each] for each in names if _same(known[each], file)] or [file]
            for names, file in zip(tried, seen, strict=True)
        ]


def _mounts(program: Program) -> Want:
    return want(f"cat /proc/{program.process.pid}/mountinfo")


def _same(one: File, other: File) -> bool:
    if one.state != "present" or other.state != "present":
        return False
    mine, theirs = one.present, other.present
    return (mine.device, mine.inode) == (theirs.device, theirs.inode)


def _webhooks(component: Component) -> Iterator[str]:
    """Yield the kubeconfigs that other files of a component name."""
    kind = "AuthorizationConfiguration"
    chain = config(component, "authorization-config", kind, reloaded=True)
    for each in items(at(chain, "authorizers")):
        yield text(at(each, "webhook", "connectionInfo", "kubeConfigFile"))
    policy = plugin_config(component, "ImagePolicyWebhook")
    yield text(at(policy, "imagePolicy", "kubeConfigFile"))


@provide_each
def api_server_file(host: Host) -> list[ApiFile | Unseen]:
    """Each file that a kube-apiserver was told to use. :raises NotApplicable: none runs here."""
    found: dict[tuple[str | None, str], ApiFile | Unseen] = {}
    pending = False
    for component in get(host, "api_server"):
        if isinstance(component, Unseen):
            found["", component.object.id] = component
            continue
        try:
            for path, what in _of(component):
                key = component.program.root, path
                found[key] = ApiFile(host, component.program, path, what)
        except Pending:
            pending = True
        except (Unknown, CannotAnswer) as reason:
            about = Object("file", f"others that {component} uses")
            found["", about.name] = Unseen(about, str(reason))
    if pending:
        raise Pending
    files: Files = get(host, "files")
    known = [each for each in found.values() if isinstance(each, ApiFile)]
    with contextlib.suppress(Unknown):
        files.foresee(each.place for each in known)
    return list(found.values())


def _of(component: Component) -> Iterator[tuple[str, str]]:
    for flag, what in FLAGS.items():
        path = named(component, flag)
        if path and path != "-":
            yield component.program.absolute(path), what
    for flag in KEYS:
        path = named(component, flag)
        if path and not component.program.absolute(path).startswith(TREES):
            yield component.program.absolute(path), SECRET
    for path in _webhooks(component):
        if path:
            yield component.program.absolute(path), SECRET
