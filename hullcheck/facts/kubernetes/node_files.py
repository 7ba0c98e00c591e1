"""Files of a control plane that let in: kubeconfigs, the database, the network plugins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts import foreign_yaml as yaml
from hullcheck.facts.containerd import Containerd
from hullcheck.facts.crio import Crio
from hullcheck.facts.files import Files
from hullcheck.facts.kubeconfigs import Kubeconfig
from hullcheck.facts.kubernetes.components import Component
from hullcheck.facts.kubernetes.etcd_settings import settings_of
from hullcheck.facts.kubernetes.places import (
    CNI,
    DATABASES,
    NodeFile,
    Places,
    file_on_host,
    text_of,
)
from hullcheck.facts.registry import Unseen, get, provide_each
from hullcheck.transport import CannotAnswer, Pending
from hullcheck.verdict import Object

__all__ = ["ADMIN", "MANAGER", "SCHEDULER"]

_RANCHER = tuple(f"/var/lib/rancher/{each}/server/cred" for each in ("k3s", "rke2"))
_SNAP = "/var/snap/microk8s/current/credentials"
_K0S = "/var/lib/k0s/pki"

ADMIN = (
    "/etc/kubernetes/admin.conf", "/etc/kubernetes/super-admin.conf", "/etc/rancher/k3s/k3s.yaml",
    "/etc/rancher/rke2/rke2.yaml", *(f"{each}/admin.kubeconfig" for each in _RANCHER),
    f"{_SNAP}/client.config", f"{_K0S}/admin.conf",
)  # fmt: skip
SCHEDULER = (
    "/etc/kubernetes/scheduler.conf", *(f"{each}/scheduler.kubeconfig" for each in _RANCHER),
    f"{_SNAP}/scheduler.config", f"{_K0S}/scheduler.conf",
)  # fmt: skip
MANAGER = (
    "/etc/kubernetes/controller-manager.conf",
    *(f"{each}/controller.kubeconfig" for each in _RANCHER), f"{_SNAP}/controller.config",
    f"{_K0S}/ccm.conf",
)  # fmt: skip
FLAGS = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
PEOPLE = 1000
"""From here on users are people (login.defs(5), UID_MIN)."""

NO_CLUSTER = "there is nothing of Kubernetes here"


def _unique(found: Iterable[NodeFile | Unseen], none: str) -> list[NodeFile | Unseen]:
    made: dict[str, NodeFile | Unseen] = {}
    for each in found:
        made.setdefault(each.object.name, each)
    if not made:
        raise NotApplicable(none)
    return list(made.values())


def _usual(host: Host, paths: Iterable[str]) -> Iterator[NodeFile | Unseen]:
    places: Places = get(host, "kubernetes_places")
    wanted = tuple(paths)
    yield from (NodeFile(host, each) for each in places.existing(wanted))
    yield from places.hidden_at(*wanted)


def _named(component: Component) -> Iterator[str]:
    """Yield the kubeconfigs that a component uses.

    A scheduler with ``--config`` takes its own from that file, and ignores ``--kubeconfig``.
    """
    config = component.flags.last("config") if component.name == "kube-scheduler" else None
    for flag in FLAGS:
        if (path := component.flags.last(flag)) and not (config and flag == "kubeconfig"):
            yield path
    content = text_of(component.program, config) if config else None
    for document in yaml.documents(content, config) if content and config else ():
        if path := yaml.text(yaml.at(document, "clientConnection", "kubeconfig")):
            yield path


def _of_components(host: Host, name: str) -> Iterator[NodeFile | Unseen]:
    try:
        running: list[Component | Unseen] = get(host, name)
    except NotApplicable:
        return
    pending = False
    for each in running:
        if isinstance(each, Unseen):
            yield each
            continue
        users = frozenset({0, each.program.process.uids[1]})
        try:
            for path in dict.fromkeys(_named(each)):
                yield NodeFile(host, file_on_host(each.program, path).path, users)
        except Pending:
            pending = True
        except (Unknown, CannotAnswer) as doubt:
            yield Unseen(each.object, str(doubt))
    if pending:
        raise Pending


@provide_each
def scheduler_kubeconfig(host: Host) -> list[NodeFile | Unseen]:
    """Each kubeconfig of a scheduler. :raises NotApplicable: there is none."""
    found = [*_of_components(host, "scheduler"), *_usual(host, SCHEDULER)]
    return _unique(found, "there is no kubeconfig of a scheduler")


@provide_each
def controller_manager_kubeconfig(host: Host) -> list[NodeFile | Unseen]:
    """Each kubeconfig of a controller manager. :raises NotApplicable: there is none."""
    found = [*_of_components(host, "controller_manager"), *_usual(host, MANAGER)]
    return _unique(found, "there is no kubeconfig of a controller manager")


@provide_each
def admin_kubeconfig(host: Host) -> list[NodeFile | Unseen]:
    """Each kubeconfig of a cluster's administrator, and the copies of it in homes.

    A copy is its owner's. :raises NotApplicable: there is none.
    """
    found = list(_usual(host, ADMIN))
    try:
        copies: list[Kubeconfig] = get(host, "kubeconfigs")
    except (Unknown, CannotAnswer):
        why = "not every kubeconfig in the usual places can be read; it may need root"
        found.append(Unseen(Object("file", "kubeconfigs in homes"), why))
    else:
        files: Files = get(host, "files")
        paths = [each.path for each in copies if each.administrator and each.path not in ADMIN]
        for file in files.all(paths) if paths else ():
            owner = file.uid if file.state == "present" else 0
            found.append(NodeFile(host, file.path, frozenset({0, owner})))
    return _unique(found, "there is no kubeconfig of a cluster's administrator")


@provide_each
def cluster_database(host: Host) -> list[NodeFile | Unseen]:
    """Each directory and file in which an etcd, or what k3s and MicroK8s have in its place, keeps
    a cluster's state. :raises NotApplicable: there is none."""
    found: list[NodeFile | Unseen] = []
    try:
        running: list[Component | Unseen] = get(host, "etcd")
    except NotApplicable:
        running = []
    pending = False
    for each in running:
        if isinstance(each, Unseen):
            found.append(each)
            continue
        try:
            told = settings_of(each)
            users = frozenset({0, each.program.process.uids[1]})
            for path in filter(None, (told.data, told.text("wal-dir"))):
                found.append(NodeFile(host, file_on_host(each.program, path).path, users))
        except Pending:
            pending = True
        except (Unknown, CannotAnswer) as doubt:
            found.append(Unseen(each.object, str(doubt)))
    if pending:
        raise Pending
    return _unique([*found, *_stored(host)], "no database of a cluster lies here")


def _stored(host: Host) -> Iterator[NodeFile | Unseen]:
    """Yield those of the usual places; an etcd that does not run leaves its data to its user."""
    places: Places = get(host, "kubernetes_places")
    entries = list(places.below(*DATABASES))
    bare = {each.path for each in entries if each.path.endswith("/server/db")} - {
        each.path.rpartition("/")[0] for each in entries if each.regular
    }
    for entry in entries:
        base = entry.path.rpartition("/")[2]
        if entry.path in bare:
            continue
        if entry.path in DATABASES or (entry.regular and base.startswith(("state.db", "snapshot"))):
            files: Files = get(host, "files")
            file = files.get(entry.path)
            owner = file.uid if file.state == "present" and base == "etcd" else 0
            yield NodeFile(host, entry.path, frozenset({0, owner if owner < PEOPLE else 0}))
    yield from places.hidden_at(*DATABASES)


@provide_each
def cni_file(host: Host) -> list[NodeFile | Unseen]:
    """Each directory and file by which pods get a network: configurations and plugins.

    :raises NotApplicable: there are none.
    """
    found: list[NodeFile | Unseen] = []
    pending = False
    daemons = _runtimes(host)
    for each in daemons:
        if isinstance(each, Unseen):
            found.append(each)
            continue
        try:
            found += [NodeFile(host, path) for path in _cni_files(each)]
        except Pending:
            pending = True
        except (Unknown, CannotAnswer) as doubt:
            found.append(Unseen(Object("engine", str(each)), str(doubt)))
    if pending:
        raise Pending
    if not daemons:
        if not get(host, "kubernetes_programs"):
            raise NotApplicable(NO_CLUSTER)
        places: Places = get(host, "kubernetes_places")
        found += [NodeFile(host, each.path) for each in places.below(*CNI)]
        found += places.hidden_at(*CNI)
    return _unique(found, "there are no network plugins here")


def _runtimes(host: Host) -> list[Containerd | Crio | Unseen]:
    try:
        found: list[Containerd | Crio | Unseen] = get(host, "cri")
    except NotApplicable:
        return []
    return found


def _cni_files(daemon: Containerd | Crio) -> Iterator[str]:
    files: Files = get(daemon.host, "files")
    for place in map(daemon.seen, _cni_directories(daemon)):
        listed = files.list(place)
        if listed or files.get(place).exists:
            yield place
        yield from listed


def _cni_directories(daemon: Containerd | Crio) -> list[str]:
    """Return where a runtime looks (containerd, docs/cri/config.md; crio.conf(5))."""
    if isinstance(daemon, Containerd):
        found = [str(daemon.cri(CNI[0], "cni", "conf_dir").value)]
        several = [str(each) for each in daemon.cri([], "cni", "bin_dirs").value]
        return found + (several or [str(daemon.cri(CNI[1], "cni", "bin_dir").value)])
    config = daemon.setting(CNI[0], "network", "network_dir", "cni-config-dir")
    plugins = daemon.setting([], "network", "plugin_dirs", "cni-plugin-dir").value
    return [str(config.value), *(map(str, plugins) if plugins else CNI[1:])]
