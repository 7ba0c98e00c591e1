"""What guards the namespaces of a cluster, and what reaches into it."""

from __future__ import annotations

import re

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.kubernetes.cluster_access import CORE
from hullcheck.facts.kubernetes.cluster_objects import Account, Hook, Namespace, Node, Service
from hullcheck.inventory.policy import Policy

LEVELS = ("baseline", "restricted")
OWN = frozenset({CORE, "kube-public", "kube-node-lease"})
OLDEST, SINCE = 3, 28
"""Minor versions that a kubelet may be behind its API server, and since which one of that; two
before (kubernetes.io, version skew policy)."""


@control(
    title="Namespaces enforce a Pod Security Standard",
    severity="high",
    fix="kubectl label namespace NAME pod-security.kubernetes.io/enforce=baseline (or restricted); "
    "say in pod_security_default what the API server enforces of itself.",
)
def test_cluster_pod_security(cluster_namespace: Namespace, policy: Policy) -> None:
    """Without it, whoever may start a pod in a namespace may start a privileged one, or one that
    mounts the host's root, and is root on that host. Without a label, nothing is enforced, unless
    the API server was told otherwise."""
    namespace = cluster_namespace
    if namespace.name == CORE:
        raise NotApplicable("the cluster's own parts run in it, with the hosts' rights")
    if namespace.name in OWN and not (namespace.workloads or namespace.unseen):
        raise NotApplicable("Kubernetes made it, and nothing runs in it")
    level = namespace.level or policy.pod_security_default
    if level not in LEVELS and namespace.guards:
        raise Manual(
            "see that these webhooks and policies of admission refuse privileged pods in it: "
            + ", ".join(namespace.guards), {"enforce": level, "guards": namespace.guards}
        )  # fmt: skip
    expect(level, one_of=LEVELS, what="the standard that is enforced")


@control(
    title="Network policies keep pods from each other",
    severity="medium",
    fix="Give the namespace a NetworkPolicy with podSelector: {} and policyTypes: [Ingress, "
    "Egress], and others for what is needed.",
)
def test_cluster_network_policies(cluster_namespace: Namespace) -> None:
    """Without one, every pod of a cluster reaches every other. A policy counts for a pod that it
    selects, and not at all if any that selects it lets everybody in. Pods in the network of their
    host are out of its reach."""
    namespace = cluster_namespace
    if namespace.unseen:
        raise Unknown(f"pods of it make no sense: {', '.join(namespace.unseen)}")
    if not any(each.own_network for each in namespace.workloads):
        raise NotApplicable("no pod runs in it that has a network of its own")
    found = namespace.open()
    if found and namespace.others:
        raise Manual("see that policies of the network plug-in are about these pods", found)
    expect(found, equals=[], what="workloads that everybody reaches")


@control(
    title="Nothing runs in the namespace default",
    severity="low",
    level=2,
    fix="Move it to a namespace of its own, with rights, quotas and policies of its own.",
)
def test_cluster_default_namespace(cluster_namespace: Namespace) -> None:
    """What lands in default was not told where to go: it shares service account, secrets and
    network policies with all else that was not."""
    if cluster_namespace.name != "default":
        raise NotApplicable("it is another")
    found = [each.owner for each in cluster_namespace.workloads]
    expect([*found, *cluster_namespace.unseen], equals=[], what="what runs in it")


@control(
    title="Default service accounts are given to nothing",
    severity="medium",
    fix="Delete the binding; kubectl patch serviceaccount default -n NAMESPACE -p "
    "'{\"automountServiceAccountToken\": false}'.",
)
def test_cluster_default_accounts(cluster_account: Account) -> None:
    """Every pod that names no account runs as its namespace's default. What is bound to it, all of
    them have; and where its token is mounted by default, so has whoever breaks into one."""
    if cluster_account.name != "default":
        raise NotApplicable("it was made for something")
    expect(list(cluster_account.bindings), equals=[], what="bindings to it")
    expect(cluster_account.automount, equals=False, what="automountServiceAccountToken")


@control(
    title="Webhooks that validate refuse what they cannot look at",
    severity="medium",
    level=2,
    fix="Set failurePolicy: Fail, after the webhook runs more than once and leaves out its own "
    "namespace.",
)
def test_cluster_webhook_failure(cluster_webhook: Hook) -> None:
    """With failurePolicy Ignore, what a webhook would refuse comes in whenever it does not answer
    in time: who can slow it down, or stop its pods, walks past it."""
    if not cluster_webhook.validates:
        raise NotApplicable("it changes objects, and refuses none")
    expect(cluster_webhook.failure, equals="Fail", what="failurePolicy")


@control(
    title="Services take no traffic of foreign addresses",
    severity="medium",
    fix="Take externalIPs out of the service and use a load balancer; turn on the plug-in "
    "DenyServiceExternalIPs; name what is meant in cluster_external_ips.",
)
def test_cluster_external_ips(cluster_service: Service, policy: Policy) -> None:
    """Every node sends what goes to an address in externalIPs to the service instead, whosever
    address that is: whoever may make a service listens in on others (CVE-2020-8554)."""
    expect(cluster_service.external, within=policy.cluster_external_ips, what="externalIPs")


@control(
    title="Kubelets are not older than their API server supports",
    severity="medium",
    fix="Upgrade the node's kubelet to the minor version of the API server.",
)
def test_cluster_kubelet_versions(cluster_node: Node) -> None:
    """A kubelet may be three minor versions behind its API server and never ahead. One that is
    further behind is left without fixes, as those versions no longer get any."""
    minors = [_minor(each) for each in (cluster_node.server, cluster_node.kubelet)]
    oldest = OLDEST if minors[0] >= SINCE else OLDEST - 1
    behind = minors[0] - minors[1]
    expect(behind, one_of=range(oldest + 1), what="minor versions that its kubelet is behind")


def _minor(version: str) -> int:
    found = re.match(r"v?1\.(\d{1,3})(?!\d)", version)
    if not found:
        raise Unknown(f"{version[:40]!r} is no version of Kubernetes")
    return int(found[1])
