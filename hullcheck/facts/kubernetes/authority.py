"""What rules of RBAC allow, as the API server itself reads them.

Kubernetes, pkg/apis/rbac/v1/evaluation_helpers.go: a star stands for every verb, group or resource,
``*/scale`` for one subresource of all; a resource does not include its subresources.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hullcheck.control import Unknown

__all__ = [
    "CLUSTER_WIDE", "EVERYTHING", "POWERS", "Rule", "Subject", "everything", "named", "powers",
]  # fmt: skip

EVERYTHING = "everything"
_CORE, _RBAC, _HOOKS = "", "rbac.authorization.k8s.io", "admissionregistration.k8s.io"
_CERTIFICATES = "certificates.k8s.io"
_WRITE = ("create", "update", "patch")
_CHANGE = (*_WRITE, "delete", "deletecollection")


@dataclass(frozen=True, slots=True)
class Right:
    """Verbs on some resources of a group that give a power.

    :param named: whether they give it on single named objects, too.
    """

    power: str
    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    named: bool = False


_RIGHTS = (
    Right("secrets", _CORE, ("secrets",), ("get", "list", "watch")),
    Right("pods", _CORE, ("pods",), ("create",)),
    Right("pods", _CORE, ("pods/ephemeralcontainers",), ("update", "patch")),
    Right("pods", _CORE, ("replicationcontrollers",), _WRITE),
    Right("pods", "apps", ("deployments", "daemonsets", "statefulsets", "replicasets"), _WRITE),
    Right("pods", "batch", ("jobs", "cronjobs"), _WRITE),
    Right("exec", _CORE, ("pods/exec", "pods/attach", "pods/portforward"), ("create", "get"), True),
    Right("nodes", _CORE, ("nodes/proxy",), ("get", "create", "update", "patch", "delete"), True),
    Right("escalation", _RBAC, ("roles", "clusterroles"), ("escalate",), True),
    Right("escalation", _RBAC, ("roles", "clusterroles"), ("bind",)),
    Right("escalation", _CORE, ("users", "groups", "serviceaccounts"), ("impersonate",), True),
    Right("tokens", _CORE, ("serviceaccounts/token",), ("create",), True),
    Right("approval", _CERTIFICATES, ("certificatesigningrequests/approval",), ("update", "patch")),
    Right("approval", _CERTIFICATES, ("signers",), ("approve", "sign"), True),
    Right("webhooks", _HOOKS, (
        "validatingwebhookconfigurations", "mutatingwebhookconfigurations",
        "validatingadmissionpolicies", "validatingadmissionpolicybindings",
        "mutatingadmissionpolicies", "mutatingadmissionpolicybindings",
    ), _CHANGE),
    Right("volumes", _CORE, ("persistentvolumes",), ("create",)),
    Right("namespaces", _CORE, ("namespaces",), ("update", "patch")),
)  # fmt: skip

POWERS = (EVERYTHING, *dict.fromkeys(each.power for each in _RIGHTS))

CLUSTER_WIDE = frozenset({"nodes", "approval", "webhooks", "volumes", "namespaces"})
"""Powers over what lies in no namespace: a RoleBinding does not give them."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a role.

    :param names: the only objects that it is about; none: all.
    :param urls: paths of the API server that are no objects.
    """

    verbs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()

    @staticmethod
    def read(given: Any) -> Rule:
        """Return a rule as the API writes it. :raises Unknown: it makes no sense."""
        if not isinstance(given, dict):
            raise Unknown("a rule of a role makes no sense")
        fields = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
        return Rule(*(_texts(given.get(each)) for each in fields))

    def allows(self, verb: str, group: str, resource: str) -> bool:
        """Whether it allows something, of some object at least."""
        _, slash, part = resource.partition("/")
        return (
            _has(self.verbs, verb)
            and _has(self.groups, group)
            and (_has(self.resources, resource) or bool(slash and f"*/{part}" in self.resources))
        )

    def rights(self) -> list[tuple[str, str]]:
        """Return the powers it gives, each with the verb and resource that do."""
        found = []
        for right in _RIGHTS:
            if self.names and not (right.named or self._names_administrator(right)):
                continue
            for resource in right.resources:
                verbs = [v for v in right.verbs if self.allows(v, right.group, resource)]
                found += [(right.power, f"{verb} {resource}") for verb in verbs]
        return found

    def _names_administrator(self, right: Right) -> bool:
        return "bind" in right.verbs and "cluster-admin" in self.names

    @property
    def wild(self) -> list[str]:
        """Where a star stands for everything."""
        parts = {
            "verbs": self.verbs, "apiGroups": self.groups, "resources": self.resources,
            "nonResourceURLs": self.urls,
        }  # fmt: skip
        found = [name for name, values in parts.items() if "*" in values]
        return found + ["resources"] * any(each.startswith("*/") for each in self.resources)

    @property
    def all(self) -> bool:
        """Whether it allows everything to every object."""
        return not self.names and all(
            "*" in each for each in (self.verbs, self.groups, self.resources)
        )

    def __str__(self) -> str:
        what = [*self.resources, *self.urls]
        return f"{','.join(self.verbs)} {','.join(what)}"


def _has(values: Iterable[str], wanted: str) -> bool:
    return any(each in ("*", wanted) for each in values)


def _texts(given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise Unknown("a rule of a role makes no sense")
    return tuple(given)


def everything(rules: Iterable[Rule]) -> bool:
    """Whether rules together allow everything to every object, maybe each for some verbs."""
    whole = [
        each for each in rules if not each.names and "*" in each.groups and "*" in each.resources
    ]
    verbs = {verb for each in whole for verb in each.verbs}
    return "*" in verbs or {"get", "list", "create", "update", "escalate", "bind"} <= verbs


def powers(rules: Iterable[Rule]) -> dict[str, list[str]]:
    """Return the powers that rules give, and by what."""
    found: dict[str, set[str]] = {}
    known = tuple(rules)
    for rule in known:
        for power, what in rule.rights():
            found.setdefault(power, set()).add(what)
    if everything(known):
        found[EVERYTHING] = {"everything"}
    return {power: sorted(what) for power, what in found.items()}


def named(given: Any) -> tuple[str, str] | None:
    """Return kind and name of a reference to something; None if it is none."""
    if not isinstance(given, dict):
        return None
    kind, name = given.get("kind"), given.get("name")
    return (kind, name) if isinstance(kind, str) and isinstance(name, str) else None


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a binding gives something: ``User:alice``, ``ServiceAccount:shop/web`` …"""

    kind: str
    name: str
    namespace: str = ""

    @staticmethod
    def read(given: Any, own: str) -> Subject:
        """Return a subject as the API writes it, a service account always as one.

        :param own: the binding's namespace. :raises Unknown: it makes no sense.
        """
        found = named(given)
        if not found:
            raise Unknown("a subject of a binding makes no sense")
        kind, name = found
        parts = name.split(":")
        if kind == "User" and name.startswith("system:serviceaccount:") and len(parts) == 4:
            return Subject("ServiceAccount", parts[3], parts[2])
        namespace = given.get("namespace")
        if kind != "ServiceAccount":
            namespace = ""
        return Subject(kind, name, namespace if isinstance(namespace, str) else own)

    @property
    def broad(self) -> bool:
        """Whether it is nobody in particular, or whoever has not been given an account."""
        if self.kind == "Group":
            every = ("system:authenticated", "system:unauthenticated", "system:nodes")
            many = ("system:serviceaccounts", "system:bootstrappers")
            return self.name in every or any(
                self.name == each or self.name.startswith(f"{each}:") for each in many
            )
        if self.kind == "User":
            return self.name == "system:anonymous"
        return self.kind == "ServiceAccount" and self.name == "default"

    def __str__(self) -> str:
        return f"{self.kind}:{self.namespace}{'/' if self.namespace else ''}{self.name}"
