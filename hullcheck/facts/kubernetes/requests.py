"""What a cluster's API is asked: lists of objects, page by page, through whichever way there is.

A target ``kubernetes://`` is the API itself. On a host that runs a kube-apiserver the way is the
host's own kubectl and its administrator's kubeconfig, if the site allows it: ``get --raw`` sends
one GET, and writes nothing (it asks for no discovery, which is what kubectl keeps a cache of).
Nobody asks for Secrets: their annotations may hold what they hold.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.files import Files
from hullcheck.facts.registry import get, provide
from hullcheck.inventory.policy import Policy
from hullcheck.transport import Answer, CannotAnswer, Want, session_of, want
from hullcheck.transport.kubernetes_api import ABSENT, ANSWERS, FORBIDDEN, VERSION

__all__ = [
    "ADMISSION", "BINDINGS", "CLUSTER_BINDINGS", "CLUSTER_ROLES", "HOOKS", "NAMESPACES",
    "NETWORK_POLICIES", "NODES", "PODS", "ROLES", "SERVICES", "SERVICE_ACCOUNTS",
    "cluster_version", "is_of_cluster", "listing", "optional",
]  # fmt: skip

_CORE, _RBAC = "/api/v1", "/apis/rbac.authorization.k8s.io/v1"
NAMESPACES, NODES = f"{_CORE}/namespaces", f"{_CORE}/nodes"
PODS = f"{_CORE}/pods?fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed"
SERVICES, SERVICE_ACCOUNTS = f"{_CORE}/services", f"{_CORE}/serviceaccounts"
ROLES, CLUSTER_ROLES = f"{_RBAC}/roles", f"{_RBAC}/clusterroles"
BINDINGS, CLUSTER_BINDINGS = f"{_RBAC}/rolebindings", f"{_RBAC}/clusterrolebindings"
_HOOK = "/apis/admissionregistration.k8s.io/v1"
HOOKS = (f"{_HOOK}/validatingwebhookconfigurations", f"{_HOOK}/mutatingwebhookconfigurations")
ADMISSION = f"{_HOOK}/validatingadmissionpolicybindings"
NETWORK_POLICIES = (
    "/apis/networking.k8s.io/v1/networkpolicies",
    "/apis/cilium.io/v2/ciliumnetworkpolicies",
    "/apis/cilium.io/v2/ciliumclusterwidenetworkpolicies",
    "/apis/crd.projectcalico.org/v1/networkpolicies",
    "/apis/crd.projectcalico.org/v1/globalnetworkpolicies",
    "/apis/policy.networking.k8s.io/v1alpha1/adminnetworkpolicies",
    "/apis/policy.networking.k8s.io/v1alpha1/baselineadminnetworkpolicies",
)
"""Kubernetes' own first; a cluster has the others if what they belong to is installed."""

_FIRST = (
    NAMESPACES, NODES, PODS, SERVICES, SERVICE_ACCOUNTS, ROLES, CLUSTER_ROLES, BINDINGS,
    CLUSTER_BINDINGS, ADMISSION, *HOOKS, *NETWORK_POLICIES,
)  # fmt: skip

PAGE, PAGES = 250, 200
"""Objects in one answer, and answers of one list that are looked at."""

_LONGEST_TOKEN = 4096
ADVICE = (
    "the audit does not act as the cluster's administrator unasked: audit kubernetes://, or say "
    "cluster_from_node in the policy; see docs/kubernetes.md"
)

KUBECONFIGS = (
    "/etc/kubernetes/admin.conf", "/etc/rancher/k3s/k3s.yaml", "/etc/rancher/rke2/rke2.yaml",
)  # fmt: skip
PROGRAMS = (
    "/usr/bin/kubectl", "/usr/local/bin/kubectl", "/bin/kubectl",
    "/var/lib/rancher/rke2/bin/kubectl",
)  # fmt: skip

_OF_CLUSTER = frozenset({
    "cluster_account", "cluster_binding", "cluster_namespace", "cluster_node", "cluster_role",
    "cluster_service", "cluster_webhook", "cluster_workload",
})  # fmt: skip
"""What controls about a cluster ask for."""

Item = dict[str, Any]
Asking = Callable[[str], Want]


def is_of_cluster(inputs: Collection[str]) -> bool:
    """Whether a control that asks for these facts is about a cluster, not about a host."""
    return bool(_OF_CLUSTER & set(inputs))


def cluster_version(host: Host) -> str:
    """Return what a cluster that is asked by its API says it runs; empty if it does not say."""
    answer = session_of(host).ask(VERSION)[0]
    if answer.trouble or answer.exit:
        return ""
    try:
        said = json.loads(answer.text)
    except (ValueError, RecursionError):
        return ""
    version = said.get("gitVersion") if isinstance(said, dict) else None
    return f"Kubernetes {version}"[:100] if isinstance(version, str) else ""


@dataclass(frozen=True, slots=True)
class Entrance:
    """A program and a kubeconfig on a host, with which to ask the cluster it is part of."""

    program: str
    kubeconfig: str

    def want(self, path: str) -> Want:
        """Return a want for one GET of a path."""
        return want(
            "%s --kubeconfig=%s --request-timeout=15s get --raw=%s",
            self.program, self.kubeconfig, path, meaning=(0, 1),
        )  # fmt: skip


@provide
def kubernetes_entrance(host: Host) -> Entrance:
    """The way into the cluster from one of its own hosts, both files in root's hands alone.

    :raises Unknown: there is none.
    """
    files: Files = get(host, "files")
    files.foresee([*PROGRAMS, *KUBECONFIGS])
    found = [_safe(files, each) for each in (PROGRAMS, KUBECONFIGS)]
    if not found[0] or not found[1]:
        raise Unknown(
            "there is no kubectl and no administrator's kubeconfig that only root may write; "
            "audit kubernetes://"
        )
    return Entrance(found[0], found[1])


def _safe(files: Files, paths: Collection[str]) -> str:
    for file in files.all(paths):
        if file.exists and not (file.writable_by_others() or file.replaceable_by_others()):
            return file.path
    return ""


def _asking(host: Host, policy: Policy) -> Asking:
    """Return how the cluster is asked. :raises NotApplicable: this is no host that could ask.

    :raises Unknown: the site has not allowed it.
    """
    if session_of(host).cluster:
        return lambda path: Want(f"GET {path}", ANSWERS)
    try:
        get(host, "api_server")
    except NotApplicable:
        raise NotApplicable("no kube-apiserver runs here, and a cluster is asked once") from None
    if not policy.cluster_from_node:
        raise Unknown(ADVICE)
    entrance: Entrance = get(host, "kubernetes_entrance")
    return entrance.want


def listing(host: Host, policy: Policy, path: str) -> list[Item]:
    """Return all objects of a kind. :raises Unknown: they cannot be told, or not all of them."""
    found = optional(host, policy, path)
    if found is None:
        raise Unknown(f"the cluster has no {_kind(path)}")
    return found


def optional(host: Host, policy: Policy, path: str) -> list[Item] | None:
    """Return the same; None if the cluster has no such kind of object."""
    asking = _asking(host, policy)
    session_of(host).foresee(asking("/version"), *(asking(_paged(each)) for each in _FIRST))
    return session_of(host).recall(
        ("cluster", path, policy.cluster_from_node), lambda: _all(host, asking, path)
    )


def _all(host: Host, asking: Asking, path: str) -> list[Item] | None:
    found: list[Item] = []
    token, seen = "", {""}
    for _ in range(PAGES):
        answer = session_of(host).ask(asking(_paged(path, token)))[0]
        page = _page(answer, path)
        if page is None:
            return None
        found += _items(page, path)
        token = _token(page, path)
        if not token:
            return found
        if token in seen:
            break
        seen.add(token)
    raise Unknown(f"the list of {_kind(path)} does not end")


def _paged(path: str, token: str = "") -> str:
    more = f"&continue={quote(token, safe='')}" if token else ""
    return f"{path}{'&' if '?' in path else '?'}limit={PAGE}{more}"


def _kind(path: str) -> str:
    return path.partition("?")[0].rpartition("/")[2]


def _page(answer: Answer, path: str) -> Item | None:
    """Return what a list's page holds; None if there is no such kind."""
    kind = _kind(path)
    if answer.exit:
        said = " ".join(answer.evidence.stderr.decode("utf-8", "replace").split())[:300]
        if answer.exit == FORBIDDEN or " is forbidden" in said:
            group = path.split("/")[2] if path.startswith("/apis") else "the core group"
            raise Unknown(
                f"the audit's account may not list {kind} of {group}: give it the ClusterRole of "
                "docs/kubernetes.md"
            )
        if answer.exit == ABSENT or "could not find the requested resource" in said:
            return None
        raise Unknown(f"{kind}: {said or 'no answer'}")
    try:
        page = json.loads(answer.text)
    except (ValueError, RecursionError):
        raise Unknown(f"the list of {kind} is not sound JSON") from None
    if not isinstance(page, dict):
        raise CannotAnswer(f"the list of {kind} makes no sense")
    return page


def _items(page: Item, path: str) -> Iterator[Item]:
    items = page.get("items", ())
    if items is None:
        return
    if not isinstance(items, list):
        raise Unknown(f"the list of {_kind(path)} holds no items")
    for item in items:
        about = item.get("metadata") if isinstance(item, dict) else None
        if not isinstance(about, dict) or not isinstance(about.get("name"), str):
            raise Unknown(f"the list of {_kind(path)} holds what has no name")
        yield item


def _token(page: Item, path: str) -> str:
    about = page.get("metadata")
    token = about.get("continue", "") if isinstance(about, dict) else None
    if not isinstance(token, str) or len(token) > _LONGEST_TOKEN:
        raise Unknown(f"the list of {_kind(path)} does not say whether it is whole")
    return token


@provide
def kubernetes_server(host: Host, policy: Policy) -> str:
    """The version of the API server, "v1.33.2". :raises Unknown: it does not say."""
    asking = _asking(host, policy)
    answer = session_of(host).ask(VERSION if session_of(host).cluster else asking("/version"))[0]
    try:
        said = {} if answer.exit else json.loads(answer.text)
    except (ValueError, RecursionError):
        said = {}
    version = said.get("gitVersion") if isinstance(said, dict) else None
    if not isinstance(version, str):
        raise Unknown("the API server does not say its version")
    return version
