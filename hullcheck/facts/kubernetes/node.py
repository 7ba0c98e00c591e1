"""What kind of node of Kubernetes a host is: whose, of which parts, of which release."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts import foreign_yaml as yaml
from hullcheck.facts.kubernetes.components import Component
from hullcheck.facts.kubernetes.kubelet_settings import KubeletSettings
from hullcheck.facts.kubernetes.programs import (
    API_SERVER,
    CONTROLLER_MANAGER,
    ETCD,
    KUBELET,
    PROXY,
    SCHEDULER,
    SEVERAL,
    Program,
)
from hullcheck.facts.packages import Packages
from hullcheck.facts.registry import Unseen, get, provide
from hullcheck.transport import CannotAnswer, Pending, session_of, want
from hullcheck.verdict import Object

__all__ = ["CONTROL_PLANE", "WORKER", "KubernetesNode", "kubernetes_node"]

CONTROL_PLANE, WORKER = "control plane", "worker"
PART = {
    API_SERVER: CONTROL_PLANE, CONTROLLER_MANAGER: CONTROL_PLANE, SCHEDULER: CONTROL_PLANE,
    ETCD: ETCD, KUBELET: WORKER, PROXY: WORKER,
}  # fmt: skip
"""A worker is what runs pods; most nodes with a control plane are workers too."""

NAMES = {"k3s": "k3s", "rke2": "RKE2", "microk8s": "MicroK8s", "k0s": "k0s",
         "hyperkube": "hyperkube"}  # fmt: skip
TRACES = {
    "/var/lib/rancher/rke2/": "RKE2", "/var/lib/k0s/": "k0s", "/var/snap/microk8s/": "MicroK8s",
    "/etc/kubernetes/pki/": "kubeadm", "/etc/kubernetes/kubelet.conf": "kubeadm",
    "/etc/kubernetes/controller-manager.conf": "kubeadm",
    "/etc/kubernetes/scheduler.conf": "kubeadm",
}  # fmt: skip
"""Places in a command line by which a distribution is known whose components are programs."""

INSTALLED = {
    "/usr/local/bin/k3s": "k3s", "/usr/bin/k3s": "k3s", "/opt/bin/k3s": "k3s",
    "/usr/local/bin/rke2": "RKE2", "/usr/bin/rke2": "RKE2", "/opt/rke2/bin/rke2": "RKE2",
    "/snap/microk8s/current": "MicroK8s", "/var/lib/snapd/snap/microk8s/current": "MicroK8s",
    "/usr/local/bin/k0s": "k0s", "/usr/bin/k0s": "k0s", "/usr/bin/kubelet": "Kubernetes",
    "/usr/local/bin/kubelet": "Kubernetes", "/opt/bin/kubelet": "Kubernetes",
    "/usr/bin/kube-apiserver": "Kubernetes", "/usr/local/bin/kube-apiserver": "Kubernetes",
}  # fmt: skip
LOOK = want("stat -c %n -- " + " ".join(INSTALLED), meaning=(0, 1))

PACKAGES = {
    KUBELET: ("kubelet", "kubernetes-kubelet", "kubernetes-node", "kubernetes"),
    API_SERVER: ("kube-apiserver", "kubernetes-apiserver", "kubernetes-master",
                 "kubernetes-control-plane", "kubernetes"),
    "k3s": ("k3s",), "k3s-server": ("k3s",), "k3s-agent": ("k3s",),
}  # fmt: skip
"""Packages by whose version a program is known, if it lies where packages put programs."""

_ABSENT = ("No such file or directory", "Not a directory")
_MINOR = re.compile(r"v?1\.(\d{1,3})\.\d")
_IN_PATH = re.compile(r"[/_.-]v?(1\.\d{1,3}\.\d[^/]*)")
_PACKAGED = re.compile(r"/(?:usr/)?s?bin/[^/]+")
_SNAP = re.compile(r"(/(?:var/lib/snapd/)?snap/microk8s/[^/]+)/")


@dataclass(frozen=True)
class KubernetesNode:
    """A node.

    :param distribution: kubeadm, k3s, RKE2, MicroK8s, k0s or hyperkube; units where components
        are started by nothing that is known.
    :param components: those that run; none if it is only installed.
    :param doubts: why more may run.
    """

    host: Host = field(repr=False)
    distribution: str
    components: tuple[Component, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def object(self) -> Object:
        return Object("node", self.distribution)

    def __str__(self) -> str:
        rest = "of parts that cannot be told" if self.doubts else "installed, and not running"
        return f"{self.distribution}: {', '.join(self.parts) or rest}"

    @property
    def parts(self) -> list[str]:
        """Which of control plane, etcd and worker certainly run here."""
        return sorted({PART[each.name] for each in self.components})

    def has(self, part: str) -> bool:
        """Whether a part runs here. :raises Unknown: it cannot be told."""
        if part not in self.parts and self.doubts:
            raise Unknown(f"cannot tell whether this is a {part}: {self.doubts[0]}")
        return part in self.parts

    def releases(self) -> dict[str, int | Unknown]:
        """Return the minor number of Kubernetes (34 of 1.34) of its kubelet and API server, by
        what tells it or cannot be told of, without running anything."""
        found: dict[str, int | Unknown] = {}
        pending = False
        for each in self.components:
            if each.name in (KUBELET, API_SERVER):
                try:
                    found[each.name] = _release(each)
                except Pending:
                    pending = True
                except (Unknown, CannotAnswer) as doubt:
                    found[each.name] = Unknown(str(doubt))
        if pending:
            raise Pending
        return found


@provide
def kubernetes_node(host: Host) -> KubernetesNode:
    """What node of Kubernetes this is.

    :raises NotApplicable: Kubernetes is neither running nor installed here.
    """
    session_of(host).foresee(LOOK)
    programs: list[Program] = get(host, "kubernetes_programs")
    every: list[Component | Unseen] = get(host, "kubernetes_components") if programs else []
    running = tuple(each for each in every if isinstance(each, Component))
    doubts = tuple(each.reason for each in every if isinstance(each, Unseen))
    if running or doubts:
        return KubernetesNode(host, _distribution(programs), running, doubts)
    supervised = [each for each in programs if each.name in NAMES]
    if supervised:
        return KubernetesNode(host, NAMES[supervised[0].name])
    return KubernetesNode(host, _installed(host))


def _distribution(programs: Iterable[Program]) -> str:
    kinds = [SEVERAL.get(each.name, each.name) for each in programs]
    known = next((NAMES[each] for each in kinds if each in NAMES), "")
    return known or next(_traced(programs), "units")


def _traced(programs: Iterable[Program]) -> Iterator[str]:
    for program in programs:
        for word in program.words[1:]:
            value = word.partition("=")[2] if word.startswith("-") else word
            yield from (name for trace, name in TRACES.items() if value.startswith(trace))


def _installed(host: Host) -> str:
    """Return whose Kubernetes is installed. :raises NotApplicable: nobody's."""
    answer = session_of(host).ask(LOOK)[0]
    found = [INSTALLED[line] for line in answer.text.splitlines() if line in INSTALLED]
    if found:
        return found[0]
    complaints = answer.evidence.stderr.decode("utf-8", "replace").splitlines()
    odd = [each for each in complaints if not each.endswith(_ABSENT)]
    if odd or not complaints:
        raise Unknown(f"whether Kubernetes is installed cannot be seen: {''.join(odd[:1])[:200]}")
    raise NotApplicable("Kubernetes neither runs here nor is installed")


def _release(component: Component) -> int:
    """Return the minor number of a component. :raises Unknown: nothing tells."""
    program = component.program
    path = program.process.exe
    named = _IN_PATH.search(path)
    if named:
        return _minor(named[1], path)
    snap = _SNAP.match(path)
    if snap:
        content = program.text(f"{snap[1]}/meta/snap.yaml")
        for document in yaml.documents(content or "", "snap.yaml")[:1]:
            return _minor(yaml.text(yaml.at(document, "version")), "the snap's version")
    if program.root:
        return _of_image(component)
    if _PACKAGED.fullmatch(path):
        packages: Packages = get(component.host, "packages")
        for each in packages.among(PACKAGES.get(program.name, ())):
            return _minor(each.version.rpartition(":")[2], f"package {each}")
    raise Unknown(f"nothing but {component} itself tells which release it is")


def _minor(text: str, what: str) -> int:
    found = _MINOR.match(text)
    if found is None:
        raise Unknown(f"{what} names no release of Kubernetes: {text[:60]!r}")
    return int(found[1])


def _of_image(component: Component) -> int:
    """Return the release that the manifest of a static pod names.

    :raises Unknown: there is none where a kubelet of the node has its own.
    """
    kubelets: list[KubeletSettings | Unseen] = get(component.host, "kubelet_settings")
    for each in kubelets:
        folder = "" if isinstance(each, Unseen) else each.path("staticPodPath")
        if isinstance(each, Unseen) or not folder:
            continue
        path = posixpath.join(folder, f"{component.name}.yaml")
        content = each.kubelet.program.text(path)
        for document in yaml.documents(content or "", path)[:1]:
            for container in yaml.items(yaml.at(document, "spec", "containers")):
                image = yaml.text(yaml.at(container, "image")).partition("@")[0]
                if ":" in image.rpartition("/")[2]:
                    return _minor(image.rpartition(":")[2], f"the image in {path}")
    raise Unknown(f"no manifest of a static pod says which release {component} is")
