"""The files that the control plane's components are started from: manifests of static pods, units
of systemd and the files of arguments of MicroK8s.

The kubelet that runs says where it takes static pods from. A relative path in one of its files
begins in that file's directory (pkg/kubelet/kubeletconfig/configfiles).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts import foreign_yaml as yaml
from hullcheck.facts.conf_files import ConfFiles, conf_files, conf_want
from hullcheck.facts.kubernetes.components import Component
from hullcheck.facts.kubernetes.etcd_settings import settings_of
from hullcheck.facts.kubernetes.flags import parse_flags
from hullcheck.facts.kubernetes.kubelet_settings import KubeletSettings
from hullcheck.facts.kubernetes.places import (
    MANIFESTS,
    NodeFile,
    Places,
    path_on_host,
)
from hullcheck.facts.kubernetes.programs import (
    API_SERVER,
    CONTROLLER_MANAGER,
    ETCD,
    SCHEDULER,
    Program,
)
from hullcheck.facts.kubernetes.starts import unit_files, unit_of
from hullcheck.facts.registry import Unseen, get, provide, provide_each
from hullcheck.transport import CannotAnswer, Pending, session_of
from hullcheck.verdict import Object

__all__ = ["components_in", "manifest_directories"]

NAMES = (API_SERVER, CONTROLLER_MANAGER, SCHEDULER, ETCD)
_FACTS = {API_SERVER: "api_server", CONTROLLER_MANAGER: "controller_manager",
          SCHEDULER: "scheduler", ETCD: "etcd"}  # fmt: skip
_ARGUMENTS = {API_SERVER: "apiserver-args-file", SCHEDULER: "scheduler-args-file",
              CONTROLLER_MANAGER: "controller-manager-args-file"}  # fmt: skip


@provide
def manifest_directories(host: Host) -> list[str]:
    """Where the kubelets that run take static pods from; without any, the usual places.

    :raises Unknown: one does not tell.
    """
    found: list[str] = []
    try:
        kubelets: list[KubeletSettings | Unseen] = get(host, "kubelet_settings")
    except NotApplicable:
        return list(MANIFESTS)
    session_of(host).foresee(conf_want(MANIFESTS, ("*",)))
    for each in kubelets:
        if isinstance(each, Unseen):
            raise Unknown(each.reason)
        path = each.path("staticPodPath")
        if path:
            found.append(path_on_host(each.kubelet.program, path))
    return list(dict.fromkeys(found))


def components_in(content: str, name: str) -> set[str]:
    """Return which components a manifest starts, by the names in it: of the pod, its label, its
    containers, their images and their commands. :raises Unknown: it is not sound YAML."""
    found: set[str] = set()
    for document in yaml.documents(content, name):
        said = [yaml.text(yaml.at(document, "metadata", "name")),
                yaml.text(yaml.at(document, "metadata", "labels", "component"))]  # fmt: skip
        for container in yaml.items(yaml.at(document, "spec", "containers")):
            keys = ("name", "image")
            said += [yaml.text(yaml.at(container, key)) for key in keys]
            for key in ("command", "args"):
                said += [word for text in yaml.texts(yaml.at(container, key))
                         for word in text.split() if not word.startswith("-")]  # fmt: skip
        found |= {each for word in said if (each := _component(word))}
    return found


def _component(word: str) -> str:
    base = word.rstrip("/").rpartition("/")[2].partition("@")[0].partition(":")[0]
    return next((each for each in NAMES if base == each or base.startswith(f"{each}-")), "")


def _manifests(host: Host, name: str) -> Iterator[str]:
    """Yield the manifests of a component. :raises Unknown: some cannot be seen."""
    directories: list[str] = get(host, "manifest_directories")
    places: Places = get(host, "kubernetes_places")
    usual = set(directories) <= set(MANIFESTS)
    if not directories or (usual and not any(places.below(*directories))):
        for hidden in places.hidden_at(*directories) if directories else ():
            raise Unknown(hidden.reason)
        return
    found: ConfFiles = conf_files(host, conf_want(MANIFESTS if usual else directories, ("*",)))
    for directory in directories:
        found.need(directory)
    for path, content in found.files.items():
        if posixpath.dirname(path) not in directories:
            continue
        base = posixpath.basename(path)
        try:
            if isinstance(content, Unknown):
                raise content
            meant = components_in(content, path)
        except Unknown:
            meant = {_component(base.partition(".")[0])}
        if name in meant:
            yield path


def _arguments(host: Host, name: str) -> Iterator[str]:
    """Yield the files from which a program of several components takes one's arguments."""
    programs: list[Program] = get(host, "kubernetes_programs")
    for each in programs:
        flag = _ARGUMENTS.get(name)
        path = parse_flags(each.words[1:]).last(flag) if flag and each.name == "kubelite" else None
        if path:
            yield path_on_host(each, path)


def _units(running: list[Component]) -> Iterator[str]:
    """Yield the unit files of components that systemd starts, with their drop-ins, and the files
    from which these take their environment. :raises Unknown: some may be hidden."""
    for each in running:
        unit = unit_of(each.program) if each.name == each.program.name else ""
        for path, content in unit_files(each.host, unit) if unit else ():
            yield path
            yield from _environment_files(content)


def _environment_files(content: str) -> Iterator[str]:
    for line in content.splitlines():
        name, _, value = line.strip().partition("=")
        path = value.strip().removeprefix("-")
        if name.strip() == "EnvironmentFile" and path.startswith("/") and "*" not in path:
            yield path


def _running(host: Host, name: str) -> list[Component]:
    try:
        found = get(host, _FACTS[name])
    except NotApplicable:
        return []
    return [each for each in found if isinstance(each, Component)]


def _specs(host: Host, name: str) -> list[NodeFile | Unseen]:
    found: list[NodeFile | Unseen] = []
    reason = ""
    try:
        found += [NodeFile(host, path) for path in _manifests(host, name)]
    except (Unknown, CannotAnswer) as doubt:
        reason = str(doubt)
    found += [NodeFile(host, path) for path in _arguments(host, name)]
    running = _running(host, name)
    try:
        if not any(_in_pod(each) for each in running):
            found += [NodeFile(host, path, public=True) for path in _units(running)]
    except (Unknown, CannotAnswer) as doubt:
        reason = reason or str(doubt)
    if not found and any(_in_pod(each) for each in running):
        reason = reason or f"{name} runs in a pod, and no manifest of it was found"
    if reason:
        found.append(Unseen(Object("file", f"manifest of {name}"), reason))
    if not found and running:
        raise NotApplicable(f"{name} is no static pod, and no unit: {running[0].source}")
    if not found:
        raise NotApplicable(f"there is no {name} here, and no manifest of one")
    return found


def _in_pod(component: Component) -> bool:
    paths = component.program.process.cgroups.values()
    return any("kubepods" in path for path in paths)


@provide_each
def api_server_spec(host: Host) -> list[NodeFile | Unseen]:
    """Each file that a kube-apiserver is started from. :raises NotApplicable: there is none."""
    return _specs(host, API_SERVER)


@provide_each
def controller_manager_spec(host: Host) -> list[NodeFile | Unseen]:
    """The same of kube-controller-managers."""
    return _specs(host, CONTROLLER_MANAGER)


@provide_each
def scheduler_spec(host: Host) -> list[NodeFile | Unseen]:
    """The same of kube-schedulers."""
    return _specs(host, SCHEDULER)


@provide_each
def etcd_spec(host: Host) -> list[NodeFile | Unseen]:
    """The same of etcds, and the files that set them (``--config-file``)."""
    found: list[NodeFile | Unseen] = []
    none: NotApplicable | None = None
    try:
        found += _specs(host, ETCD)
    except NotApplicable as reason:
        none = reason
    pending = False
    for each in _running(host, ETCD):
        try:
            config = settings_of(each).config
            users = frozenset({0, each.program.process.uids[1]})
            found += [NodeFile(host, path_on_host(each.program, config), users)] if config else []
        except Pending:
            pending = True
        except (Unknown, CannotAnswer) as doubt:
            found.append(Unseen(each.object, str(doubt)))
    if pending:
        raise Pending
    if not found and none:
        raise none
    return found
