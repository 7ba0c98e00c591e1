"""A cluster's namespaces, service accounts, services, webhooks and nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.kubernetes.cluster_access import Binding
from hullcheck.facts.kubernetes.cluster_workloads import Workload, mapping, sequence, truth
from hullcheck.facts.kubernetes.requests import (
    ADMISSION,
    HOOKS,
    NAMESPACES,
    NETWORK_POLICIES,
    NODES,
    SERVICE_ACCOUNTS,
    SERVICES,
    Item,
    listing,
    optional,
)
from hullcheck.facts.registry import Unseen, get, provide, provide_each
from hullcheck.inventory.policy import Policy
from hullcheck.verdict import Object

__all__ = ["Account", "Hook", "Namespace", "NetworkPolicy", "Node", "Service"]

_ENFORCE = "pod-security.kubernetes.io/enforce"


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """A NetworkPolicy, for what comes in.

    :param open: whether it lets everything in.
    """

    selector: Item
    ingress: bool
    open: bool

    def selects(self, labels: Item) -> bool:
        """Whether it is about pods with some labels. :raises Unknown: an unknown operator."""
        wanted = mapping(self.selector.get("matchLabels"))
        if any(labels.get(key) != value for key, value in wanted.items()):
            return False
        terms = sequence(self.selector.get("matchExpressions"))
        return all(_matches(mapping(each), labels) for each in terms)


def _matches(term: Item, labels: Item) -> bool:
    key, operator = term.get("key"), term.get("operator")
    values, value = sequence(term.get("values")), labels.get(str(key))
    match operator:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    raise Unknown("a NetworkPolicy selects pods in an unknown way")


@dataclass(frozen=True, slots=True)
class Namespace:
    """:param level: the Pod Security Standard that it enforces by its own label; None: none.

    :param workloads: what runs in it; ``unseen``: pods of it that make no sense.
    :param others: policies of network plug-ins that may be about its pods.
    :param guards: webhooks and admission policies that may refuse its pods.
    """

    name: str
    level: str | None
    workloads: tuple[Workload, ...] = ()
    unseen: tuple[str, ...] = ()
    policies: tuple[NetworkPolicy, ...] = ()
    others: int = 0
    guards: tuple[str, ...] = ()

    @property
    def object(self) -> Object:
        return Object("namespace", self.name)

    def open(self) -> list[str]:
        """Return the workloads that no NetworkPolicy keeps anybody from.

        What is in the network of its host is not, and no policy could.
        """
        found = []
        for workload in self.workloads:
            mine = [each for each in self.policies if each.selects(workload.labels)]
            kept = [each for each in mine if each.ingress]
            if workload.own_network and (not kept or any(each.open for each in kept)):
                found.append(workload.owner)
        return sorted(set(found))


@provide_each
def cluster_namespace(host: Host, policy: Policy) -> list[Namespace | Unseen]:
    """Every namespace, with what runs in it and what guards it."""
    running: list[Workload | Unseen] = get(host, "kubernetes_workloads", policy)
    own, *foreign = NETWORK_POLICIES
    policies = listing(host, policy, own)
    others = [each for path in foreign for each in optional(host, policy, path) or ()]
    hooks: list[Hook | Unseen] = get(host, "cluster_webhook", policy)
    guards = {each.name for each in hooks if isinstance(each, Hook) and each.guards}
    guards |= {each["metadata"]["name"] for each in optional(host, policy, ADMISSION) or ()}
    found: list[Namespace | Unseen] = []
    for item in listing(host, policy, NAMESPACES):
        name = item["metadata"]["name"]
        try:
            found.append(_namespace(item, name, running, policies, others, tuple(sorted(guards))))
        except Unknown as reason:
            found.append(Unseen(Object("namespace", name), str(reason)))
    return found


def _namespace(
    item: Item,
    name: str,
    running: Iterable[Workload | Unseen],
    policies: Iterable[Item],
    others: Iterable[Item],
    guards: tuple[str, ...],
) -> Namespace:
    mine = [each for each in running if each.object.name.partition("/")[0] == name]
    level = mapping(item["metadata"].get("labels")).get(_ENFORCE)
    return Namespace(
        name, None if level is None else str(level),
        tuple(each for each in mine if isinstance(each, Workload)),
        tuple(each.object.name for each in mine if isinstance(each, Unseen)),
        tuple(_policy(each) for each in policies if each["metadata"].get("namespace") == name),
        sum(each["metadata"].get("namespace") in (None, name) for each in others), guards,
    )  # fmt: skip


def _policy(item: Item) -> NetworkPolicy:
    spec = mapping(item.get("spec"))
    kinds = sequence(spec.get("policyTypes"))
    rules = [mapping(each) for each in sequence(spec.get("ingress"))]
    everything = any(not each.get("ports") and _from_all(each.get("from")) for each in rules)
    return NetworkPolicy(
        mapping(spec.get("podSelector")), not kinds or "Ingress" in kinds, everything
    )


def _from_all(peers: Any) -> bool:
    """Whether a rule lets everybody in, or every pod of the cluster."""
    for peer in map(mapping, sequence(peers)):
        block = mapping(peer.get("ipBlock"))
        if block.get("cidr") in ("0.0.0.0/0", "::/0") and not block.get("except"):
            return True
        if peer.get("namespaceSelector") == {} and not peer.get("podSelector"):
            return True
    return not peers


@dataclass(frozen=True, slots=True)
class Account:
    """A service account. :param bindings: those that name it; ``used``: by how many workloads."""

    namespace: str
    name: str
    automount: bool
    bindings: tuple[str, ...]
    used: tuple[str, ...]

    @property
    def object(self) -> Object:
        return Object("service account", f"{self.namespace}/{self.name}")


@provide
def kubernetes_grants(host: Host, policy: Policy) -> dict[str, tuple[str, ...]]:
    """The names of the bindings of each subject. :raises Unknown: one makes no sense."""
    bindings: list[Binding | Unseen] = get(host, "cluster_binding", policy)
    found: dict[str, list[str]] = {}
    for each in bindings:
        if isinstance(each, Unseen):
            raise Unknown(f"{each.object.name}: {each.reason}")
        for subject in each.subjects:
            found.setdefault(str(subject), []).append(each.object.name)
    return {subject: tuple(names) for subject, names in found.items()}


@provide_each
def cluster_account(host: Host, policy: Policy) -> Iterator[Account | Unseen]:
    """Every service account."""
    grants: dict[str, tuple[str, ...]] = get(host, "kubernetes_grants", policy)
    running: list[Workload | Unseen] = get(host, "kubernetes_workloads", policy)
    users: dict[tuple[str, str], list[str]] = {}
    for each in running:
        if isinstance(each, Workload):
            users.setdefault((each.namespace, each.account), []).append(each.owner)
    for item in listing(host, policy, SERVICE_ACCOUNTS):
        name, namespace = item["metadata"]["name"], str(item["metadata"].get("namespace"))
        try:
            automount = truth(item.get("automountServiceAccountToken")) is not False
        except Unknown as reason:
            yield Unseen(Object("service account", f"{namespace}/{name}"), str(reason))
            continue
        bound = grants.get(f"ServiceAccount:{namespace}/{name}", ())
        used = tuple(sorted(users.get((namespace, name), ())))
        yield Account(namespace, name, automount, bound, used)


@provide
def kubernetes_accounts(host: Host, policy: Policy) -> dict[str, Account]:
    """Service accounts by ``namespace/name``. :raises Unknown: one makes no sense."""
    found: list[Account | Unseen] = get(host, "cluster_account", policy)
    for each in found:
        if isinstance(each, Unseen):
            raise Unknown(f"{each.object.name}: {each.reason}")
    return {each.object.name: each for each in found if isinstance(each, Account)}


@dataclass(frozen=True, slots=True)
class Service:
    """:param external: addresses outside the cluster whose traffic it takes."""

    namespace: str
    name: str
    external: tuple[str, ...]

    @property
    def object(self) -> Object:
        return Object("service", f"{self.namespace}/{self.name}")


@provide_each
def cluster_service(host: Host, policy: Policy) -> Iterator[Service | Unseen]:
    """Every service."""
    for item in listing(host, policy, SERVICES):
        made = Service(str(item["metadata"].get("namespace")), item["metadata"]["name"], ())
        try:
            given = sequence(mapping(item.get("spec")).get("externalIPs"))
        except Unknown as reason:
            yield Unseen(made.object, str(reason))
            continue
        yield Service(made.namespace, made.name, tuple(map(str, given)))


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook of admission.

    :param failure: what happens if it does not answer: Fail or Ignore.
    :param guards: whether it validates new pods of all namespaces, and refuses if it fails.
    """

    configuration: str
    name: str
    failure: str
    validates: bool
    guards: bool

    @property
    def object(self) -> Object:
        return Object("webhook", f"{self.configuration}/{self.name}")


@provide_each
def cluster_webhook(host: Host, policy: Policy) -> list[Hook | Unseen]:
    """Every webhook that admits or changes objects."""
    found: list[Hook | Unseen] = []
    for path in HOOKS:
        validates = "validating" in path
        for item in listing(host, policy, path):
            called = item["metadata"]["name"]
            try:
                hooks = [mapping(each) for each in sequence(item.get("webhooks"))]
                found += [_hook(each, called, validates) for each in hooks]
            except Unknown as reason:
                found.append(Unseen(Object("webhook", called), str(reason)))
    return found


def _hook(given: Item, called: str, validates: bool) -> Hook:
    failure = str(given.get("failurePolicy", "Fail"))
    rules = [mapping(each) for each in sequence(given.get("rules"))]
    pods = any(_covers_pods(each) for each in rules)
    guards = validates and failure == "Fail" and pods
    return Hook(called, str(given.get("name")), failure, validates, guards)


def _covers_pods(rule: Item) -> bool:
    lists = [sequence(rule.get(each)) for each in ("apiGroups", "resources", "operations")]
    wanted: list[set[Any]] = [{"", "*"}, {"pods", "*", "*/*"}, {"CREATE", "*"}]
    return all(set(map(str, have)) & want for have, want in zip(lists, wanted, strict=True))


@dataclass(frozen=True, slots=True)
class Node:
    """:param kubelet: its kubelet's version; ``server``: that of the control plane."""

    name: str
    kubelet: str
    server: str

    @property
    def object(self) -> Object:
        return Object("node", self.name)


@provide_each
def cluster_node(host: Host, policy: Policy) -> Iterator[Node | Unseen]:
    """Every node, with the versions of its kubelet and of the newest control plane."""
    server = str(get(host, "kubernetes_server", policy))
    for item in listing(host, policy, NODES):
        name = item["metadata"]["name"]
        try:
            said = mapping(mapping(item.get("status")).get("nodeInfo")).get("kubeletVersion")
        except Unknown as reason:
            yield Unseen(Object("node", name), str(reason))
            continue
        yield Node(name, str(said or ""), server)
