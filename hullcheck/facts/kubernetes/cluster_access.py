"""Who may do what in a cluster: roles, and the bindings that give them to somebody."""

from __future__ import annotations

from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.kubernetes.authority import (
    CLUSTER_WIDE,
    EVERYTHING,
    Rule,
    Subject,
    named,
    powers,
)
from hullcheck.facts.kubernetes.requests import (
    BINDINGS,
    CLUSTER_BINDINGS,
    CLUSTER_ROLES,
    ROLES,
    Item,
    listing,
)
from hullcheck.facts.registry import Unseen, get, provide, provide_each
from hullcheck.inventory.policy import Policy
from hullcheck.verdict import Object

__all__ = ["CORE", "Binding", "Role", "cluster_binding", "cluster_role"]

CORE = "kube-system"
"""The namespace whose secrets and pods are the cluster's own."""


@dataclass(frozen=True, slots=True)
class Role:
    """:param namespace: "" of a ClusterRole."""

    namespace: str
    name: str
    rules: tuple[Rule, ...]

    @property
    def object(self) -> Object:
        kind = "role" if self.namespace else "cluster role"
        return Object(kind, _full(self.namespace, self.name))


@dataclass(frozen=True, slots=True)
class Binding:
    """A role, given to some subjects.

    :param namespace: where it counts; "" for everywhere.
    :param role: what it is called; ``rules``: what it allows, nothing if there is no such role.
    """

    namespace: str
    name: str
    role: str
    rules: tuple[Rule, ...]
    subjects: tuple[Subject, ...]
    powers: dict[str, list[str]] = field(default_factory=dict)

    @property
    def object(self) -> Object:
        kind = "role binding" if self.namespace else "cluster role binding"
        return Object(kind, _full(self.namespace, self.name))

    @property
    def core(self) -> bool:
        """Whether it counts where the cluster's own parts are."""
        return self.namespace in ("", CORE)


def _full(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def _about(item: Item) -> tuple[str, str]:
    about = item["metadata"]
    return str(about.get("namespace") or ""), about["name"]


@provide
def kubernetes_roles(host: Host, policy: Policy) -> dict[tuple[str, str], Role | Unseen]:
    """All roles, by namespace and name. :raises Unknown: they cannot be listed."""
    items = [
        *listing(host, policy, ROLES), *listing(host, policy, CLUSTER_ROLES)
    ]  # fmt: skip
    found: dict[tuple[str, str], Role | Unseen] = {}
    for item in items:
        namespace, name = _about(item)
        empty = Role(namespace, name, ())
        try:
            rules = item.get("rules") or []
            if not isinstance(rules, list):
                raise Unknown("its rules make no sense")
            found[namespace, name] = Role(namespace, name, tuple(map(Rule.read, rules)))
        except Unknown as reason:
            found[namespace, name] = Unseen(empty.object, str(reason))
    return found


@provide_each
def cluster_role(host: Host, policy: Policy) -> list[Role | Unseen]:
    """Every Role and ClusterRole."""
    return list(get(host, "kubernetes_roles", policy).values())


@provide_each
def cluster_binding(host: Host, policy: Policy) -> list[Binding | Unseen]:
    """Every RoleBinding and ClusterRoleBinding."""
    roles: dict[tuple[str, str], Role | Unseen] = get(host, "kubernetes_roles", policy)
    items = [
        *listing(host, policy, CLUSTER_BINDINGS), *listing(host, policy, BINDINGS)
    ]  # fmt: skip
    return [_binding(item, roles) for item in items]


def _binding(item: Item, roles: dict[tuple[str, str], Role | Unseen]) -> Binding | Unseen:
    namespace, name = _about(item)
    empty = Binding(namespace, name, "", (), ())
    try:
        reference = named(item.get("roleRef"))
        if reference is None:
            raise Unknown("it does not say which role it gives")
        kind, role = reference
        found = roles.get(("" if kind == "ClusterRole" else namespace, role))
        if isinstance(found, Unseen):
            raise Unknown(f"of its role {role}: {found.reason}")
        subjects = item.get("subjects") or []
        if not isinstance(subjects, list):
            raise Unknown("its subjects make no sense")
        rules = found.rules if found else ()
        given = powers(rules)
        if namespace:
            given = {key: what for key, what in given.items() if key not in CLUSTER_WIDE}
        read = tuple(Subject.read(each, namespace) for each in subjects)
        return Binding(namespace, name, role, rules, read, given)
    except Unknown as reason:
        return Unseen(empty.object, str(reason))


_CONTROLLERS = {
    "generic-garbage-collector": (
        "secrets", "webhooks", "exec", "nodes", "pods", "approval", "namespaces",
    ),
    "namespace-controller": ("secrets", "webhooks", "exec", "nodes"),
    "resourcequota-controller": ("secrets",),
    "storage-version-migrator-controller": (
        "secrets", "webhooks", "exec", "nodes", "pods", "approval", "namespaces",
    ),
    "clusterrole-aggregation-controller": ("escalation",),
    "certificate-controller": ("approval",),
    "persistent-volume-binder": ("volumes", "pods", "secrets"),
    "bootstrap-signer": ("secrets",), "token-cleaner": ("secrets",),
    **dict.fromkeys((
        "cronjob-controller", "daemon-set-controller", "deployment-controller", "job-controller",
        "replicaset-controller", "replication-controller", "statefulset-controller",
    ), ("pods",)),
}  # fmt: skip
"""The accounts of Kubernetes' own controllers, all in kube-system, and the powers that its
bootstrap policy gives them (plugin/pkg/auth/authorizer/rbac/bootstrappolicy/testdata; the one of
the migrator: KEP-4192). What more a system role is made to allow is somebody else's work."""

OWN: dict[str, frozenset[str]] = {
    **{f"ServiceAccount:{CORE}/{name}": frozenset(p) for name, p in _CONTROLLERS.items()},
    "User:system:kube-controller-manager": frozenset({"secrets", "tokens"}),
    "User:kube-apiserver": frozenset({"nodes"}),
    "User:system:kube-apiserver": frozenset({"nodes"}),
    "User:kube-apiserver-kubelet-client": frozenset({"nodes"}),
}
"""Subjects of Kubernetes itself, each with the powers that are its own."""

ADMINISTRATORS = frozenset({"Group:system:masters", "Group:kubeadm:cluster-admins"})
"""Whom Kubernetes and kubeadm themselves give everything."""


def is_own(subject: Subject, power: str) -> bool:
    """Whether Kubernetes itself gives a power to a subject."""
    name = str(subject)
    return name in ADMINISTRATORS or power in OWN.get(name, ())


def is_everything(binding: Binding) -> bool:
    """Whether a binding gives all that is in the cluster."""
    return EVERYTHING in binding.powers and binding.core
