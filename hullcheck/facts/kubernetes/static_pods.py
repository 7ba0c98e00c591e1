"""Static pods: what a kubelet starts from manifests on its node, without an API server's consent.

A kubelet reads each file of ``staticPodPath`` whose name begins with no dot, whatever it ends with,
and none in folders below; the path may also be a single file (Kubernetes, pkg/kubelet/config,
file.go). Of several documents in a file it takes one; all are looked at.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.conf_files import conf_files, conf_want
from hullcheck.facts.foreign_yaml import at, documents, items, text
from hullcheck.facts.kubernetes.kubelet_settings import KubeletSettings, of_each_kubelet
from hullcheck.facts.kubernetes.programs import SINGLE
from hullcheck.facts.registry import Unseen, provide_each
from hullcheck.inventory.document import Node
from hullcheck.transport import CannotAnswer
from hullcheck.verdict import Object

__all__ = ["HostPath", "StaticPod", "pods_in", "static_pod", "true"]

_TRUE = frozenset({"true", "yes", "on", "y"})
"""go-yaml takes YAML 1.1's words for a truth value."""

CONTROL_PLANE = frozenset(SINGLE) - {"kubelet"} | {"cloud-controller-manager"}


def true(node: Node | None) -> bool:
    """Whether a manifest says yes."""
    return text(node).lower() in _TRUE


@dataclass(frozen=True, slots=True)
class HostPath:
    path: str
    writable: bool

    def __str__(self) -> str:
        return f"{self.path} ({'writable' if self.writable else 'read-only'})"


@dataclass(frozen=True, slots=True)
class StaticPod:
    """One pod of a manifest.

    :param path: of the manifest.
    """

    name: str
    path: str
    spec: Node | None

    @property
    def object(self) -> Object:
        return Object("static-pod", self.name, self.path)

    def __str__(self) -> str:
        return f"{self.name} ({self.path})"

    @property
    def containers(self) -> Mapping[str, Node]:
        """Its containers by name, those included that only begin or are there to look."""
        kinds = ("initContainers", "containers", "ephemeralContainers")
        every = [each for kind in kinds for each in items(at(self.spec, kind))]
        return {text(at(node, "name")) or f"container {n}": node for n, node in enumerate(every)}

    @property
    def control_plane(self) -> bool:
        """Whether each of its containers runs a component of Kubernetes."""
        found = [_program(node) for node in self.containers.values()]
        return bool(found) and CONTROL_PLANE.issuperset(found)

    @property
    def host_paths(self) -> list[HostPath]:
        """What of the host its containers mount."""
        mounts: dict[str, bool] = {}
        for container in self.containers.values():
            for each in items(at(container, "volumeMounts")):
                name = text(at(each, "name"))
                mounts[name] = mounts.get(name, False) or not true(at(each, "readOnly"))
        found = []
        for volume in items(at(self.spec, "volumes")):
            path, name = text(at(volume, "hostPath", "path")), text(at(volume, "name"))
            if path and name in mounts:
                place = "/" + posixpath.normpath(path).lstrip("/")
                found.append(HostPath(place, mounts[name]))
        return found


def _program(container: Node) -> str:
    words = [text(each) for each in items(at(container, "command"))]
    return posixpath.basename(words[0]) if words else text(at(container, "name"))


def pods_in(content: str, path: str) -> list[StaticPod]:
    """Return the pods of a manifest, those of lists too.

    :raises Unknown: it makes no sense.
    """
    waiting = documents(content, path)
    found = []
    while waiting:
        node = waiting.pop(0)
        if text(at(node, "kind")).endswith("List"):
            waiting += items(at(node, "items"))
        elif text(at(node, "kind")) == "Pod":
            name = text(at(node, "metadata", "name")) or posixpath.basename(path)
            space = text(at(node, "metadata", "namespace")) or "default"
            found.append(StaticPod(f"{space}/{name}", path, at(node, "spec")))
    return found


def _of(settings: KubeletSettings) -> Iterator[StaticPod | Unseen]:
    path = settings.path("staticPodPath")
    if not path:
        return
    place = settings.kubelet.program.seen(path)
    asked = conf_want([place], ["[!.]*", posixpath.basename(place)])
    found = conf_files(settings.host, asked)
    found.need(f"{place}/x")
    for path in sorted(found.files):
        try:
            yield from pods_in(found.text(path) or "", path)
        except (Unknown, CannotAnswer) as reason:
            yield Unseen(Object("static-pod", path, path), str(reason))


@provide_each
def static_pod(host: Host) -> list[StaticPod | Unseen]:
    """Each pod in the manifests of each kubelet. :raises NotApplicable: there is none."""
    return of_each_kubelet(host, _of, "no kubelet here has static pods")
