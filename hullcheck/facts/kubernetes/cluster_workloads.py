"""What runs in a cluster, as the API has it: pods alike of one owner are one workload.

An owner can be named by whoever makes a pod, so only pods whose settings are the same, too, are
taken together. Pods that have ended are not asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.kubernetes.requests import PODS, Item, listing
from hullcheck.facts.registry import Unseen, get, provide, provide_each
from hullcheck.inventory.policy import Policy
from hullcheck.transport.redact import PLACEHOLDER, Redactor
from hullcheck.verdict import Object

__all__ = ["Container", "Workload", "cluster_workload", "mapping", "sequence", "truth"]

_TOKEN_AUDIENCES = (None, "", "https://kubernetes.default.svc", "kubernetes.default.svc")
_KINDS = ("initContainers", "containers", "ephemeralContainers")


def mapping(value: Any) -> Item:
    """Return a mapping that may be absent. :raises Unknown: it is something else."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unknown("it is not written as the API writes it")
    return value


def sequence(value: Any) -> list[Any]:
    """Return a list that may be absent. :raises Unknown: it is something else."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Unknown("it is not written as the API writes it")
    return value


def truth(value: Any) -> bool | None:
    """Return a truth value that may be absent. :raises Unknown: it is something else."""
    if value is None or isinstance(value, bool):
        return value
    raise Unknown("it is not written as the API writes it")


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a pod, with what the pod says of all of its containers."""

    name: str
    image: str
    context: Item
    pod_context: Item
    environment: tuple[Item, ...]
    sources: tuple[Item, ...]
    ports: tuple[Item, ...]
    words: tuple[str, ...] = ()

    @staticmethod
    def read(given: Any, pod: Item) -> Container:
        """:raises Unknown: it makes no sense."""
        spec = mapping(given)
        env, sources, ports = (
            tuple(map(mapping, sequence(spec.get(each)))) for each in ("env", "envFrom", "ports")
        )
        name, image = str(spec.get("name")), str(spec.get("image"))
        context, common = (mapping(each.get("securityContext")) for each in (spec, pod))
        words = tuple(map(str, [*sequence(spec.get("command")), *sequence(spec.get("args"))]))
        return Container(name, image, context, common, env, sources, ports, words)

    def setting(self, name: str) -> Any:
        """Return what counts of a security context: the container's own, else the pod's."""
        own = self.context.get(name)
        return self.pod_context.get(name) if own is None else own

    def capabilities(self, what: str) -> set[str]:
        """Return those that are added or dropped (``add``, ``drop``), without CAP_."""
        listed = sequence(mapping(self.context.get("capabilities")).get(what))
        return {str(each).upper().removeprefix("CAP_") for each in listed}

    @property
    def secrets(self) -> list[str]:
        """The Secrets that are put into its environment."""
        keys = [mapping(each.get("valueFrom")).get("secretKeyRef") for each in self.environment]
        whole = [each.get("secretRef") for each in self.sources]
        return sorted({str(mapping(each).get("name")) for each in [*keys, *whole] if each})

    @property
    def plain_secrets(self) -> list[str]:
        """Variables in which a secret stands itself, and its command line, if one is in it."""
        pairs = ((str(e.get("name")), str(e.get("value") or "")) for e in self.environment)
        found = sorted(name for name, value in pairs if _secret(f"{name}={value}"))
        return found + ["the command line"] * _secret(json.dumps(self.words))


def _secret(text: str) -> bool:
    """Whether there is a secret in a text; one that was cut out is cut out again."""
    clean = Redactor(b"workloads").clean(text.encode("utf-8", "surrogateescape"))
    return PLACEHOLDER.search(clean) is not None


@dataclass(frozen=True, slots=True)
class Workload:
    """Pods of one owner that are alike.

    :param owner: "Deployment web", "DaemonSet proxy" …, or "Pod one".
    :param labels: those of its first pod.
    """

    namespace: str
    owner: str
    labels: Item
    spec: Item
    containers: tuple[Container, ...]
    pods: int = 1

    @property
    def object(self) -> Object:
        return Object("workload", f"{self.namespace}/{self.owner.partition(' ')[2]}", self.owner)

    @property
    def account(self) -> str:
        """The name of its service account; the API itself puts one in."""
        return str(self.spec.get("serviceAccountName") or "default")

    @property
    def own_network(self) -> bool:
        return not truth(self.spec.get("hostNetwork"))

    @property
    def volumes(self) -> list[Item]:
        return [mapping(each) for each in sequence(self.spec.get("volumes"))]

    @property
    def token(self) -> bool:
        """Whether its containers are given a token for the API.

        The admission of service accounts has put the volume in by the time that a pod is there.
        """
        for volume in self.volumes:
            for source in sequence(mapping(volume.get("projected")).get("sources")):
                given = mapping(source).get("serviceAccountToken")
                if given is not None and mapping(given).get("audience") in _TOKEN_AUDIENCES:
                    return True
        return False

    @property
    def ours(self) -> str:
        """How a site's policy names it: ``namespace/name``."""
        return self.object.name


@provide
def kubernetes_workloads(host: Host, policy: Policy) -> list[Workload | Unseen]:
    """All that runs. :raises Unknown: pods cannot be listed."""
    found: dict[str, Workload | Unseen] = {}
    counts: dict[str, int] = {}
    for item in listing(host, policy, PODS):
        about = item["metadata"]
        namespace, name = str(about.get("namespace")), about["name"]
        try:
            made = _workload(item, namespace, name)
            key = _key(made)
        except Unknown as reason:
            found[f"{namespace}/{name}"] = Unseen(
                Object("workload", f"{namespace}/{name}"), str(reason)
            )
            continue
        counts[key] = counts.get(key, 0) + 1
        found.setdefault(key, made)
    return list(found.values())


@provide_each
def cluster_workload(host: Host, policy: Policy) -> Iterator[Workload | Unseen]:
    """All that runs in the cluster."""
    yield from get(host, "kubernetes_workloads", policy)


def _workload(item: Item, namespace: str, name: str) -> Workload:
    about = item["metadata"]
    spec = mapping(item.get("spec"))
    containers = tuple(
        Container.read(each, spec) for kind in _KINDS for each in sequence(spec.get(kind))
    )
    if not containers:
        raise Unknown("it has no container")
    labels = mapping(about.get("labels"))
    return Workload(namespace, _owner(about, name, labels), labels, spec, containers)


def _owner(about: Item, name: str, labels: Item) -> str:
    owners = [mapping(each) for each in sequence(about.get("ownerReferences"))]
    owner = next((each for each in owners if each.get("controller") is True), {})
    kind, called = str(owner.get("kind", "Pod")), str(owner.get("name", name))
    if kind == "Node":
        return f"Pod {name}"
    suffix = f"-{labels.get('pod-template-hash')}"
    if kind == "ReplicaSet" and called.endswith(suffix):
        return f"Deployment {called.removesuffix(suffix)}"
    if kind == "Job":
        stem, _, number = called.rpartition("-")
        if stem and number.isdigit():
            return f"CronJob {stem}"
    return f"{kind} {called}"


_COUNTED = frozenset({
    "pod-template-hash", "controller-revision-hash", "pod-template-generation", "controller-uid",
    "job-name", "apps.kubernetes.io/pod-index", "statefulset.kubernetes.io/pod-name",
})  # fmt: skip
"""Labels that controllers give each pod anew."""

_VARYING = frozenset(
    {"nodeName", "hostname", "affinity", "tolerations", "priority", "nodeSelector"}
)


def _key(made: Workload) -> str:
    """Return a text that only pods have in common that are alike in all that is judged."""
    labels = {
        key: value for key, value in made.labels.items()
        if key not in _COUNTED and not key.startswith("batch.kubernetes.io/")
    }  # fmt: skip
    spec = {key: value for key, value in made.spec.items() if key not in _VARYING}
    spec["volumes"] = [_unnamed(each) for each in made.volumes]
    spec.update({kind: [_bare(each) for each in sequence(spec.get(kind))] for kind in _KINDS})
    return json.dumps([made.namespace, made.owner, labels, spec], sort_keys=True)


def _unnamed(volume: Item) -> Item:
    generated = str(volume.get("name", "")).startswith("kube-api-access-")
    return {key: value for key, value in volume.items() if not (generated and key == "name")}


def _bare(container: Any) -> Item:
    return {key: value for key, value in mapping(container).items() if key != "volumeMounts"}
