"""What runs in a cluster, and what guards it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.facts.kubernetes.requests import _FIRST, _paged, cluster_version, is_of_cluster
from hullcheck.facts.kubernetes.requests import PODS as ALL_PODS
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.transport import Evidence
from tests.cluster import objects as made
from tests.cluster.objects import ACCOUNTS, NAMESPACES, PODS, SAFE, account, namespace, pod
from tests.unit.cluster_fake import cluster_with, statuses, verdict

OFF = {"privileged": False}
HOST_PROCESS = {"windowsOptions": {"hostProcess": True}}
TOKEN = made.TOKEN_VOLUME


def said(name: str, given: dict[str, Any], policy: Policy | None = None) -> str:
    """Return what a control says of one pod, or of a pod that differs so from a safe one."""
    cluster = made.sound()
    cluster[PODS] = [given]
    (found,) = statuses(verdict(cluster_with(cluster), name, policy)).values()
    return found


@pytest.mark.parametrize(
    ("name", "given", "status"),
    [
        ("privileged", {}, "pass"),
        ("privileged", {"context": OFF}, "pass"),
        ("privileged", {"context": {"privileged": True}}, "fail"),
        ("privileged", {"context": HOST_PROCESS}, "fail"),
        ("privileged", {"securityContext": HOST_PROCESS}, "fail"),
        ("privileged", {"context": {"privileged": "yes"}}, "unknown"),
        ("privileged", {"initContainers": [{"name": "i", "securityContext": {"privileged": True}}]},
         "fail"),
        ("privileged",
         {"ephemeralContainers": [{"name": "e", "securityContext": {"privileged": True}}]}, "fail"),
        ("host-namespaces", {"hostPID": True}, "fail"),
        ("host-namespaces", {"hostIPC": True}, "fail"),
        ("host-namespaces", {"hostNetwork": True}, "fail"),
        ("host-namespaces", {"hostNetwork": False}, "pass"),
        ("host-paths", {"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}, "fail"),
        ("host-paths", {"volumes": [{"name": "x", "emptyDir": {}}]}, "pass"),
        ("host-paths", {"volumes": {"hostPath": 1}}, "unknown"),
        ("host-ports", {"container": {"ports": [{"containerPort": 80, "hostPort": 80}]}}, "fail"),
        ("host-ports", {"container": {"ports": [{"containerPort": 80}]}}, "pass"),
        ("added-capabilities", {"context": {"capabilities": {"add": ["CAP_SYS_ADMIN"]}}}, "fail"),
        ("added-capabilities", {"context": {"capabilities": {"add": ["ALL"]}}}, "fail"),
        ("added-capabilities", {"context": {"capabilities": {"add": ["NET_RAW"]}}}, "fail"),
        ("added-capabilities", {"context": {"capabilities": {"add": ["CHOWN"]}}}, "pass"),
        ("dropped-capabilities", {"context": {"capabilities": {"drop": ["NET_RAW"]}}}, "fail"),
        ("dropped-capabilities", {"context": {"capabilities": {"drop": ["all"]}}}, "pass"),
        ("privilege-escalation", {"context": {}}, "fail"),
        ("privilege-escalation", {"context": SAFE}, "pass"),
        ("root", {"context": {}}, "fail"),
        ("root", {"context": {}, "securityContext": {"runAsUser": 10}}, "pass"),
        ("root", {"context": {"runAsUser": 0}, "securityContext": {"runAsUser": 10}}, "fail"),
        ("root", {"context": {"runAsNonRoot": True, "runAsUser": 0}}, "fail"),
        ("root", {"context": {}, "hostUsers": False}, "pass"),
        ("seccomp", {"context": {}}, "manual"),
        ("seccomp", {"context": {"seccompProfile": {"type": "Unconfined"}}}, "fail"),
        ("seccomp", {"context": {}, "securityContext": {"seccompProfile": {"type": "Localhost"}}},
         "pass"),
        ("seccomp", {"context": {**SAFE, "privileged": True}}, "fail"),
        ("secret-variables", {"container": {"envFrom": [{"secretRef": {"name": "db"}}]}}, "fail"),
        ("secret-variables", {"container": {"envFrom": [{"configMapRef": {"name": "d"}}]}}, "pass"),
        ("plain-secrets", {"container": {"env": [{"name": "A_PASSWORD", "value": "Tr0ub4dor"}]}},
         "fail"),
        ("plain-secrets", {"container": {"env": [{"name": "URL", "value": "db://u:s3cr3t@h/x"}]}},
         "fail"),
        ("plain-secrets", {"container": {"env": [{"name": "MODE", "value": "fast"}]}}, "pass"),
        ("plain-secrets", {"container": {"args": ["--password", "Tr0ub4dor"]}}, "fail"),
        ("plain-secrets", {"container": {"args": ["--password-file=/run/secrets/p"]}}, "pass"),
        ("tokens", {"volumes": [TOKEN]}, "fail"),
        ("tokens", {}, "pass"),
    ],
)  # fmt: skip
def test_pods(name: str, given: dict[str, Any], status: str) -> None:
    assert said(f"cluster-{name}", pod("shop", "web", **given)) == status


def test_the_clusters_own_pods_are_for_a_person_until_the_site_names_them() -> None:
    own = pod("kube-system", "kube-proxy-1", {"privileged": True}, owner="DaemonSet kube-proxy")
    assert said("cluster-privileged", own) == "manual"
    for trusted, status in (
        (("kube-system/kube-proxy",), "not-applicable"), (("kube-system/*",), "not-applicable"),
        ((), "fail"),
    ):  # fmt: skip
        policy = Policy(cluster_workloads=trusted)
        assert said("cluster-privileged", own, policy) == status
    assert said("cluster-privileged", pod("shop", "x", {"privileged": True})) == "fail"


def test_pods_of_one_owner_are_one_unless_they_differ() -> None:
    cluster, label = made.sound(), {"pod-template-hash": "5d7"}
    alike = [
        pod("shop", f"web-5d7-{n}", owner="ReplicaSet web-5d7", labels=label, nodeName=f"n{n}",
            volumes=[{**TOKEN, "name": f"kube-api-access-{n}"}])
        for n in range(3)
    ]  # fmt: skip
    cluster[PODS] = alike
    found = verdict(cluster_with(cluster), "cluster-privileged")
    assert [each.object.name for each in found.findings] == ["shop/web"]
    posing = deepcopy(alike[0])
    posing["metadata"]["name"] = "web-5d7-9"
    posing["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    cluster[PODS] = [*alike, posing]
    found = verdict(cluster_with(cluster), "cluster-privileged")
    assert [each.status for each in found.findings] == ["pass", "fail"]


def test_a_token_is_needed_where_its_account_has_rights() -> None:
    cluster = made.sound()
    cluster[ACCOUNTS].append(account("shop", "reader"))
    cluster[PODS] = [pod("shop", "a", volumes=[TOKEN], serviceAccountName="reader")]
    assert verdict(cluster_with(cluster), "cluster-tokens").status == "fail"
    cluster[made.BINDINGS].append(
        made.binding("r", "view", "ServiceAccount:shop/reader", namespace="shop")
    )
    assert verdict(cluster_with(cluster), "cluster-tokens").status == "pass"
    del cluster[made.BINDINGS][-1]["roleRef"]
    assert verdict(cluster_with(cluster), "cluster-tokens").status == "unknown"


@pytest.mark.parametrize(
    ("level", "pods", "default", "guarded", "status"),
    [
        ("baseline", 1, None, 0, "pass"), ("restricted", 1, None, 0, "pass"),
        ("privileged", 1, None, 0, "fail"), ("Baseline", 1, None, 0, "fail"),
        ("", 1, None, 0, "fail"), ("", 0, None, 0, "fail"), ("", 1, "baseline", 0, "pass"),
        ("privileged", 1, "baseline", 0, "fail"), ("", 1, None, 1, "manual"),
    ],
)  # fmt: skip
def test_pod_security(level: str, pods: int, default: str, guarded: int, status: str) -> None:
    cluster = made.sound()
    cluster[NAMESPACES].append(namespace("lab", level))
    cluster[PODS] += [pod("lab", "x")] * pods
    if not guarded:
        cluster[made.HOOKS] = [made.webhook("soft", "Ignore")]
    policy = Policy(pod_security_default=default)
    found = statuses(verdict(cluster_with(cluster), "cluster-pod-security", policy))
    assert found["lab"] == status
    assert found["kube-system"] == found["kube-public"] == "not-applicable"


def test_an_admission_policy_may_guard_a_namespace() -> None:
    cluster = made.rotten()
    path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
    cluster[path] = [{"metadata": {"name": "no-privileged"}, "spec": {}}]
    found = verdict(cluster_with(cluster), "cluster-pod-security")
    assert statuses(found)["lab"] == "manual"
    assert "no-privileged" in found.reason


ALL, WEB = {"podSelector": {}}, {"podSelector": {"matchLabels": {"app": "web"}}}
TERM = [{"key": "app", "operator": "In", "values": ["web"]}]


@pytest.mark.parametrize(
    ("specs", "status"),
    [
        ([ALL], "pass"), ([WEB], "pass"), ([], "fail"),
        ([{"podSelector": {"matchLabels": {"app": "db"}}}], "fail"),
        ([{"podSelector": {"matchExpressions": TERM}}], "pass"),
        ([{"podSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}], "pass"),
        ([{"podSelector": {"matchExpressions": [{"key": "app", "operator": "Near"}]}}], "unknown"),
        ([{**ALL, "policyTypes": ["Egress"]}], "fail"),
        ([{**ALL, "policyTypes": None}], "pass"),
        ([{**ALL, "ingress": [{}]}], "fail"),
        ([ALL, {**WEB, "ingress": [{}]}], "fail"),
        ([{**ALL, "ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}], "fail"),
        ([{**ALL, "ingress": [{"from": [{"namespaceSelector": {}}]}]}], "fail"),
        ([{**ALL, "ingress": [{"ports": [{"port": 80}]}]}], "pass"),
        ([{**ALL, "ingress": [{"from": [{"podSelector": {}}]}]}], "pass"),
        ([{"podSelector": []}], "unknown"),
    ],
)  # fmt: skip
def test_network_policies(specs: list[dict[str, Any]], status: str) -> None:
    cluster = made.sound()
    cluster[PODS] = [pod("shop", "web")]
    cluster[made.POLICIES] = [
        made.network_policy("shop", f"p{n}", **each) for n, each in enumerate(specs)
    ]
    found = statuses(verdict(cluster_with(cluster), "cluster-network-policies"))
    assert found["shop"] == status


@pytest.mark.parametrize(
    ("path", "where", "status"),
    [
        ("/apis/cilium.io/v2/ciliumnetworkpolicies", "shop", "manual"),
        ("/apis/cilium.io/v2/ciliumnetworkpolicies", "lab", "fail"),
        ("/apis/crd.projectcalico.org/v1/globalnetworkpolicies", None, "manual"),
    ],
)
def test_policies_of_a_network_plug_in_are_for_a_person(
    path: str, where: str | None, status: str
) -> None:
    cluster = made.sound()
    cluster[made.POLICIES] = []
    about = {"name": "p", **({"namespace": where} if where else {})}
    found = verdict(
        cluster_with({**cluster, path: [{"metadata": about}]}), "cluster-network-policies"
    )
    assert statuses(found)["shop"] == status


def test_pods_in_the_hosts_network_need_no_policy() -> None:
    cluster = made.sound()
    cluster[made.POLICIES], cluster[PODS] = [], [pod("shop", "web", hostNetwork=True)]
    assert verdict(cluster_with(cluster), "cluster-network-policies").status == "not-applicable"


def test_the_rest_of_what_is_rotten() -> None:
    sound, rotten = cluster_with(made.sound()), cluster_with(made.rotten())
    for name, fault in {
        "cluster-default-accounts": "default/default", "cluster-external-ips": "lab/trap",
        "cluster-webhook-failure": "soft/check.policy.example", "cluster-kubelet-versions": "n2",
        "cluster-default-namespace": "default", "cluster-masters": "masters",
    }.items():  # fmt: skip
        assert verdict(sound, name).status == "pass", name
        assert statuses(verdict(rotten, name))[fault] == "fail", name
    policy = Policy(cluster_external_ips=("203.0.113.7",))
    assert verdict(rotten, "cluster-external-ips", policy).status == "pass"


@pytest.mark.parametrize(
    ("kubelet", "status"),
    [
        ("v1.33.2", "pass"), ("v1.30.14", "pass"), ("v1.29.0", "fail"), ("v1.34.0", "fail"),
        ("v1.31.5+k3s1", "pass"), ("v1.32.3-eks-473151a", "pass"), ("", "unknown"),
        ("v2.0.0", "unknown"), ("v1.9999999.0", "unknown"),
    ],
)  # fmt: skip
def test_kubelet_versions(kubelet: str, status: str) -> None:
    cluster = made.sound()
    cluster[made.NODES] = [made.node("n", kubelet)]
    assert verdict(cluster_with(cluster), "cluster-kubelet-versions").status == status


LIST = f"GET {_paged(ALL_PODS)}"


@pytest.mark.parametrize(
    "answer",
    [
        Evidence(LIST, 3, b"", b"HTTP 403: pods is forbidden"),
        Evidence(LIST, 4, b"", b"HTTP 404: "),
        Evidence(LIST, 1, b"", b"HTTP 500: "),
        Evidence(LIST, None, b"", b"", trouble="timed out after 20 s"),
        Evidence(LIST, 0, b"", b""),
        Evidence(LIST, 0, b"<html>", b""),
        Evidence(LIST, 0, b"[]", b""),
        Evidence(LIST, 0, b"{}", b""),
        Evidence(LIST, 0, b'{"metadata":{},"items":{}}', b""),
        Evidence(LIST, 0, b'{"items":[]}', b""),
        Evidence(LIST, 0, b'{"metadata":{},"items":[{}]}', b""),
        Evidence(LIST, 0, b'{"metadata":{},"items":[{"metadata":{"name":7}}]}', b""),
        Evidence(LIST, 0, b'{"metadata":{"continue":7},"items":[]}', b""),
        Evidence(LIST, 0, b'{"metadata":{"continue":"more"},"items":[]}', b""),
        Evidence(LIST, 0, b'{"metadata":{},"items":[' + b"[" * 100_000, b""),
        Evidence(LIST, 0, b'{"metadata":{},"items":[' + b"9" * 10_000 + b"]}", b""),
    ],
)
def test_what_could_not_be_asked_never_passes(answer: Evidence) -> None:
    host = cluster_with(made.rotten(), {"/api/v1/pods": answer})
    for name in ("privileged", "network-policies", "pod-security", "tokens", "default-namespace"):
        found = verdict(host, f"cluster-{name}")
        assert found.status == "unknown", (name, found.reason)
    assert verdict(host, "cluster-secrets").status == "fail"


def test_who_may_not_list_is_told_what_is_missing() -> None:
    answer = Evidence(LIST, 3, b"", b"HTTP 403: pods is forbidden")
    host = cluster_with(made.sound(), {"/api/v1/pods": answer})
    reason = verdict(host, "cluster-privileged").reason
    assert "may not list pods of the core group" in reason
    assert "docs/kubernetes.md" in reason


def test_a_cluster_says_its_version() -> None:
    assert cluster_version(cluster_with(made.sound())) == "Kubernetes v1.33.2"


def _spoilt() -> Iterator[tuple[str, Evidence]]:
    """Yield each list of a rotten cluster, spoilt in each way."""
    for path in _FIRST:
        plain, command = path.partition("?")[0], f"GET {_paged(path)}"
        items = made.rotten().get(plain)
        if items is None:
            continue
        whole = json.dumps({"metadata": {}, "items": items}).encode()
        for answer in (
            Evidence(command, 3, b"", b"HTTP 403: no"),
            Evidence(command, None, b"", b"", trouble="timed out after 20 s"),
            Evidence(command, 0, whole[: len(whole) // 2], b""),
            Evidence(command, 0, b'{"metadata":{},"items":[7]}', b""),
        ):
            yield plain, answer


@pytest.mark.parametrize(("path", "answer"), list(_spoilt()))
def test_nothing_that_failed_passes_on_spoilt_evidence(path: str, answer: Evidence) -> None:
    host = cluster_with(made.rotten(), {path: answer})
    for control in FAILED:
        now = judge(control, host, Site("prod", ALL_SAID))
        assert now.status in ("fail", "unknown"), (control.id, now.reason)


ALL_SAID = Policy(cluster_subjects=(), cluster_workloads=())
CLUSTER = [each for each in all_controls().values() if is_of_cluster(each.inputs)]
ROTTEN = cluster_with(made.rotten())
FAILED = [each for each in CLUSTER if judge(each, ROTTEN, Site("prod", ALL_SAID)).status == "fail"]


def test_everything_fails_on_what_is_rotten() -> None:
    assert FAILED == CLUSTER


@pytest.mark.parametrize("field", ["metadata", "spec", "rules", "subjects", "roleRef", "webhooks"])
@pytest.mark.parametrize("value", [None, 7, [[]], {"x": {"y": []}}])
def test_hostile_objects_break_nothing(field: str, value: Any) -> None:
    cluster = made.rotten()
    for path, items in cluster.items():
        if items and field in items[0]:
            about = {**items[0]["metadata"], "name": "odd"}
            extra = {**items[0], "metadata": about, field: value}
            if field == "metadata" and isinstance(value, dict):
                extra["metadata"] = {**about, "labels": value, "namespace": value}
            cluster[path] = [*items, extra]
    host = cluster_with(cluster)
    for control in CLUSTER:
        found = judge(control, host, Site("prod", ALL_SAID))
        assert found.status in ("fail", "unknown"), (control.id, found.status, found.reason)
