"""Objects as a cluster made by kubeadm has them, sound and with every fault.

The roles and bindings of Kubernetes are those of its bootstrap policy
(plugin/pkg/auth/authorizer/rbac/bootstrappolicy/testdata), those of kubeadm what it makes.
"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

PLANTED = "Tr0ub4dor-of-the-tests"
"""A secret that no run directory may hold."""

Item = dict[str, Any]
Cluster = dict[str, list[Item]]

RBAC = "/apis/rbac.authorization.k8s.io/v1"
PODS, NAMESPACES, NODES = "/api/v1/pods", "/api/v1/namespaces", "/api/v1/nodes"
ACCOUNTS, SERVICES = "/api/v1/serviceaccounts", "/api/v1/services"
ROLES, CLUSTER_ROLES = f"{RBAC}/roles", f"{RBAC}/clusterroles"
BINDINGS, CLUSTER_BINDINGS = f"{RBAC}/rolebindings", f"{RBAC}/clusterrolebindings"
HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
CHANGING = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
POLICIES = "/apis/networking.k8s.io/v1/networkpolicies"

SHIPPED = {"labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}}


def rule(
    verbs: str, resources: str = "", groups: str = "", names: str = "", urls: str = ""
) -> Item:
    """Return a rule; parts of each list stand after one another, ``-`` is the core group."""
    if urls:
        return {"verbs": verbs.split(), "nonResourceURLs": urls.split()}
    made: Item = {
        "verbs": verbs.split(), "apiGroups": [g.replace("-", "") for g in groups.split()] or [""],
        "resources": resources.split(),
    }  # fmt: skip
    return {**made, "resourceNames": names.split()} if names else made


def role(name: str, *rules: Item, namespace: str = "") -> Item:
    about = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {
        "metadata": {**about, **(SHIPPED if name.startswith("system:") else {})},
        "rules": rules,
    }


def binding(name: str, given: str, *subjects: str, namespace: str = "") -> Item:
    """``given``: a ClusterRole, or ``Role/name``; a subject: ``Kind:[namespace/]name``."""
    kind, _, called = given.rpartition("/")
    about = {"name": name, **({"namespace": namespace} if namespace else {})}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind or "ClusterRole"}
    return {
        "metadata": about, "roleRef": {**reference, "name": called},
        "subjects": [_subject(each) for each in subjects] or None,
    }  # fmt: skip


def _subject(text: str) -> Item:
    kind, _, name = text.partition(":")
    if kind == "ServiceAccount":
        namespace, _, name = name.partition("/")
        return {"kind": kind, "name": name, "namespace": namespace}
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}


READ, WRITE = "get list watch", "create delete deletecollection patch update"
EDIT = (
    rule(READ, "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy"),
    rule("impersonate", "serviceaccounts"),
    rule(WRITE, "pods pods/attach pods/exec pods/portforward pods/proxy"),
    rule(WRITE, "configmaps events replicationcontrollers secrets serviceaccounts services"),
    rule("create", "serviceaccounts/token"),
    rule(WRITE, "daemonsets deployments replicasets statefulsets", "apps"),
    rule(WRITE, "cronjobs jobs", "batch"),
)
VIEW = (rule(READ, "configmaps endpoints namespaces pods pods/log serviceaccounts services"),)
ISSUER = "system:service-account-issuer-discovery"
HEALTH = "/healthz /livez /readyz /version /version/"
CONTROLLERS = {
    "generic-garbage-collector": (rule("delete get list patch update watch", "*", "*"),),
    "namespace-controller": (
        rule("delete get list watch", "namespaces"),
        rule("delete deletecollection get list watch", "*", "*"),
    ),
    "resourcequota-controller": (
        rule("list watch", "*", "*"), rule("update", "resourcequotas/status"),
    ),
    "horizontal-pod-autoscaler": (
        rule("get update", "*/scale", "*"), rule(READ, "*", "custom.metrics.k8s.io"),
    ),
    "disruption-controller": (rule("get", "*/scale", "*"),),
    "clusterrole-aggregation-controller": (
        rule("escalate get list patch update watch", "clusterroles", "rbac.authorization.k8s.io"),
    ),
    "certificate-controller": (
        rule("update", "certificatesigningrequests/approval", "certificates.k8s.io"),
        rule("approve", "signers", "certificates.k8s.io", "kubernetes.io/kubelet-serving"),
    ),
    "daemon-set-controller": (rule("create delete list patch watch", "pods"),),
    "deployment-controller": (rule(f"{READ} create patch update", "replicasets", "apps"),),
    "job-controller": (rule("create delete list patch watch", "pods"),),
    "persistent-volume-binder": (
        rule("create delete get list update watch", "persistentvolumes"), rule("create", "pods"),
    ),
}  # fmt: skip


def bootstrap() -> Cluster:
    """Return the roles and bindings that every cluster of kubeadm has."""
    roles = [
        role("cluster-admin", rule("*", "*", "*"), rule("*", urls="*")),
        role("admin", *EDIT, rule(WRITE, "roles rolebindings", "rbac.authorization.k8s.io")),
        role("edit", *EDIT), role("view", *VIEW),
        role("system:discovery", rule("get", urls=f"/api/* /apis/* /openapi/* {HEALTH}")),
        role("system:public-info-viewer", rule("get", urls=HEALTH)),
        role("system:basic-user", rule("create", "selfsubjectaccessreviews selfsubjectrulesreviews",
                                       "authorization.k8s.io")),
        role(ISSUER, rule("get", urls="/.well-known/openid-configuration /openid/v1/jwks")),
        role("system:kube-controller-manager", rule("create delete get update", "secrets"),
             rule("list watch", "*", "*"), rule("create", "serviceaccounts/token")),
        role("system:kube-scheduler", rule("create", "bindings pods/binding")),
        role("system:kubelet-api-admin", rule(READ, "nodes"),
             rule("*", "nodes/proxy nodes/log nodes/stats")),
        role("system:node-proxier", rule("list watch", "services endpoints nodes")),
        role("system:coredns", rule("list watch", "endpoints services pods namespaces")),
        *(role(f"system:controller:{name}", *rules) for name, rules in CONTROLLERS.items()),
    ]  # fmt: skip
    given = [
        binding("cluster-admin", "cluster-admin", "Group:system:masters"),
        binding("kubeadm:cluster-admins", "cluster-admin", "Group:kubeadm:cluster-admins"),
        binding("system:discovery", "system:discovery", "Group:system:authenticated"),
        binding("system:basic-user", "system:basic-user", "Group:system:authenticated"),
        binding("system:public-info-viewer", "system:public-info-viewer",
                "Group:system:authenticated", "Group:system:unauthenticated"),
        binding(ISSUER, ISSUER, "Group:system:serviceaccounts"),
        binding("system:kube-controller-manager", "system:kube-controller-manager",
                "User:system:kube-controller-manager"),
        binding("system:kube-scheduler", "system:kube-scheduler", "User:system:kube-scheduler"),
        binding("system:node", "system:node"),
        binding("kubeadm:node-proxier", "system:node-proxier",
                "ServiceAccount:kube-system/kube-proxy"),
        binding("system:coredns", "system:coredns", "ServiceAccount:kube-system/coredns"),
        *(binding(f"system:controller:{name}", f"system:controller:{name}",
                  f"ServiceAccount:kube-system/{name}") for name in CONTROLLERS),
    ]  # fmt: skip
    info = rule("get", "configmaps", names="cluster-info")
    own = [
        role("kubeadm:bootstrap-signer-clusterinfo", info, namespace="kube-public"),
        role("system:controller:token-cleaner", rule("delete get list watch", "secrets"),
             namespace="kube-system"),
    ]  # fmt: skip
    own_given = [
        binding("kubeadm:bootstrap-signer-clusterinfo", "Role/kubeadm:bootstrap-signer-clusterinfo",
                "User:system:anonymous", namespace="kube-public"),
        binding("system:controller:token-cleaner", "Role/system:controller:token-cleaner",
                "ServiceAccount:kube-system/token-cleaner", namespace="kube-system"),
    ]  # fmt: skip
    return {
        CLUSTER_ROLES: roles, CLUSTER_BINDINGS: given, ROLES: own, BINDINGS: own_given
    }  # fmt: skip


def namespace(name: str, level: str = "") -> Item:
    labels = {"kubernetes.io/metadata.name": name}
    if level:
        labels["pod-security.kubernetes.io/enforce"] = level
    return {"metadata": {"name": name, "labels": labels}}


def account(where: str, name: str, automount: bool | None = None) -> Item:
    said = {} if automount is None else {"automountServiceAccountToken": automount}
    return {"metadata": {"name": name, "namespace": where}, **said}


TOKEN_VOLUME = {
    "name": "kube-api-access-x7k2p",
    "projected": {"sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]},
}  # fmt: skip
SAFE = {
    "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip


def pod(
    where: str, name: str, context: Item | None = None, *, owner: str = "", **spec: Any
) -> Item:
    """Return a pod with one container ``main``; ``container`` holds more of its settings."""
    own = {"name": "main", "image": "registry.example/app@sha256:" + "0" * 64}
    container = {
        **own,
        "securityContext": SAFE if context is None else context,
        **spec.pop("container", {}),
    }
    about: Item = {"name": name, "namespace": where, "labels": spec.pop("labels", {"app": name})}
    if owner:
        kind, _, called = owner.partition(" ")
        about["ownerReferences"] = [{"kind": kind, "name": called, "controller": True}]
    return {
        "metadata": about,
        "spec": {"serviceAccountName": "default", "containers": [container], **spec},
        "status": {"phase": "Running"},
    }  # fmt: skip


def network_policy(where: str, name: str, **spec: Any) -> Item:
    closed = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    return {"metadata": {"name": name, "namespace": where}, "spec": {**closed, **spec}}


def node(name: str, kubelet: str) -> Item:
    return {"metadata": {"name": name}, "status": {"nodeInfo": {"kubeletVersion": kubelet}}}


def webhook(configuration: str, failure: str = "Fail") -> Item:
    about = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"]}
    rules = [{**about, "resources": ["pods"]}]
    hook = {"name": "check.policy.example", "failurePolicy": failure, "rules": rules}
    return {"metadata": {"name": configuration}, "webhooks": [hook]}


def sound() -> Cluster:
    """Return a cluster with nothing wrong in it."""
    proxy = pod("kube-system", "kube-proxy-a1", {"privileged": True},
                owner="DaemonSet kube-proxy", hostNetwork=True, volumes=[TOKEN_VOLUME],
                serviceAccountName="kube-proxy")  # fmt: skip
    kept = ("default", "shop")
    spaces = ["default", "kube-system", "kube-public", "kube-node-lease", "shop"]
    return {
        **bootstrap(),
        NAMESPACES: [namespace(n, "restricted" if n in kept else "") for n in spaces],
        NODES: [node("n1", "v1.33.1")],
        PODS: [proxy, pod("shop", "web-5d7-x1", owner="ReplicaSet web-5d7",
                          serviceAccountName="web", labels={"pod-template-hash": "5d7"})],
        SERVICES: [{"metadata": {"name": "web", "namespace": "shop"}, "spec": {}}],
        ACCOUNTS: [*(account(n, "default", False) for n in spaces),
                   account("kube-system", "kube-proxy"), account("shop", "web", False)],
        HOOKS: [webhook("policy")], CHANGING: [],
        POLICIES: [network_policy("shop", "closed")],
    }  # fmt: skip


OPEN_ROLE = role(
    "helper", rule("create", "pods"), rule("create", "pods/exec"), rule(READ, "secrets"),
    rule("get", "nodes/proxy"), rule("create", "serviceaccounts/token persistentvolumes"),
    rule("impersonate", "users"), rule("patch", "namespaces"),
    rule("update", "certificatesigningrequests/approval", "certificates.k8s.io"),
    rule("update", "validatingwebhookconfigurations", "admissionregistration.k8s.io"),
)  # fmt: skip


def rotten() -> Cluster:
    """Return a cluster with every fault."""
    made = deepcopy(sound())
    mallory = "User:mallory"
    made[CLUSTER_ROLES] += [OPEN_ROLE, role("stars", rule("*", "*", "apps"))]
    for each in made[CLUSTER_ROLES]:
        if each["metadata"]["name"] == "view":
            each["rules"] = [*each["rules"], rule(READ, "secrets")]
    made[CLUSTER_BINDINGS] += [
        binding("quick-fix", "cluster-admin", "ServiceAccount:default/default", mallory),
        binding("helpers", "helper", mallory),
        binding("public", "view", "Group:system:unauthenticated"),
        binding("all", "helper", "Group:system:authenticated"),
        binding("masters", "view", "Group:system:masters"),
    ]  # fmt: skip
    made[NAMESPACES].append(namespace("lab", "privileged"))
    made[ACCOUNTS] += [account("lab", "default")]
    made[NODES].append(node("n2", "v1.28.3"))
    made[SERVICES].append(
        {"metadata": {"name": "trap", "namespace": "lab"}, "spec": {"externalIPs": ["203.0.113.7"]}}
    )
    made[HOOKS] = [webhook("soft", "Ignore")]
    made[PODS] += [
        pod("default", "stray", {"runAsUser": 0, "capabilities": {"add": ["SYS_ADMIN"]},
                                 "seccompProfile": {"type": "Unconfined"}},
            hostPID=True, volumes=[TOKEN_VOLUME, {"name": "root", "hostPath": {"path": "/"}}],
            container={
                "args": ["serve", f"--db-password={PLANTED}"],
                "ports": [{"containerPort": 80, "hostPort": 80}],
                "env": [{"name": "DB_PASSWORD", "value": PLANTED},
                        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "db", "key": "k"}}}],
            }),
        pod("lab", "almighty", {"privileged": True}, volumes=[TOKEN_VOLUME]),
    ]  # fmt: skip
    stray = made[PODS][-2]
    applied = json.dumps({"spec": {"containers": stray["spec"]["containers"]}})
    stray["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": applied}
    return made
