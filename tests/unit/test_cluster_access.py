"""Who may do what in a cluster, by its roles and bindings."""

from __future__ import annotations

from typing import Any

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.facts.kubernetes.authority import Rule, Subject, everything, powers
from hullcheck.facts.kubernetes.requests import is_of_cluster
from hullcheck.inventory.policy import Policy
from tests.cluster import objects as made
from tests.cluster.objects import CLUSTER_BINDINGS, CLUSTER_ROLES, READ, binding, role, rule
from tests.unit.cluster_fake import cluster_with, statuses, verdict

GRANTS = {
    "cluster-administrators": "everything", "cluster-secrets": "secrets", "cluster-pods": "pods",
    "cluster-pod-access": "exec", "cluster-escalation": "escalation",
    "cluster-node-proxy": "nodes", "cluster-token-creation": "tokens",
    "cluster-certificates": "approval", "cluster-admission": "webhooks",
    "cluster-volumes": "volumes", "cluster-namespace-labels": "namespaces",
}  # fmt: skip


def read(*given: dict[str, Any]) -> list[Rule]:
    return [Rule.read(each) for each in given]


@pytest.mark.parametrize(
    ("given", "power", "has"),
    [
        (rule("get", "secrets"), "secrets", True),
        (rule("list", "secrets"), "secrets", True),
        (rule("get", "secrets", names="one"), "secrets", False),
        (rule("get", "*"), "secrets", True),
        (rule("get", "secrets", "apps"), "secrets", False),
        (rule("create", "pods"), "pods", True),
        (rule("patch", "daemonsets", "apps"), "pods", True),
        (rule("patch", "pods/ephemeralcontainers"), "pods", True),
        (rule("update", "pods"), "pods", False),
        (rule("get", "pods/exec"), "exec", True),
        (rule("create", "*/exec"), "exec", True),
        (rule("create", "pods"), "exec", False),
        (rule("create", "pods/attach", names="one"), "exec", True),
        (rule("get", "nodes/proxy"), "nodes", True),
        (rule("get", "nodes/*"), "nodes", False),
        (rule("get", "nodes/metrics"), "nodes", False),
        (rule("bind", "clusterroles", "rbac.authorization.k8s.io"), "escalation", True),
        (rule("bind", "clusterroles", "rbac.authorization.k8s.io", "view"), "escalation", False),
        (rule("bind", "roles", "rbac.authorization.k8s.io", "cluster-admin"), "escalation", True),
        (rule("impersonate", "groups"), "escalation", True),
        (rule("escalate", "*", "*"), "escalation", True),
        (rule("create", "serviceaccounts/token"), "tokens", True),
        (rule("create", "serviceaccounts"), "tokens", False),
        (rule("approve", "signers", "certificates.k8s.io"), "approval", True),
        (rule("create", "certificatesigningrequests", "certificates.k8s.io"), "approval", False),
        (rule("delete", "mutatingwebhookconfigurations", "admissionregistration.k8s.io"),
         "webhooks", True),
        (rule("get", "mutatingwebhookconfigurations", "admissionregistration.k8s.io"),
         "webhooks", False),
        (rule("create", "persistentvolumes"), "volumes", True),
        (rule("create", "persistentvolumeclaims"), "volumes", False),
        (rule("patch", "namespaces"), "namespaces", True),
    ],
)  # fmt: skip
def test_rules_are_read_as_the_api_server_reads_them(
    given: dict[str, Any], power: str, has: bool
) -> None:
    assert (power in powers(read(given))) is has


def test_everything_may_be_given_in_parts() -> None:
    parts = ("get list watch", "create update patch delete", "escalate bind impersonate")
    assert everything(read(*(rule(verbs, "*", "*") for verbs in parts)))
    assert not everything(read(rule("get list watch", "*", "*")))
    assert not everything(read(rule("*", "*", "*", "one")))


@pytest.mark.parametrize(
    ("given", "text", "broad"),
    [
        ({"kind": "User", "name": "system:serviceaccount:shop:web"}, "ServiceAccount:shop/web", 0),
        ({"kind": "User", "name": "system:serviceaccount:shop:default"},
         "ServiceAccount:shop/default", 1),
        ({"kind": "ServiceAccount", "name": "web"}, "ServiceAccount:own/web", 0),
        ({"kind": "Group", "name": "system:serviceaccounts:shop"},
         "Group:system:serviceaccounts:shop", 1),
        ({"kind": "Group", "name": "system:nodes"}, "Group:system:nodes", 1),
        ({"kind": "User", "name": "system:anonymous"}, "User:system:anonymous", 1),
        ({"kind": "User", "name": "default"}, "User:default", 0),
    ],
)  # fmt: skip
def test_a_service_account_is_one_however_it_is_written(
    given: dict[str, Any], text: str, broad: int
) -> None:
    found = Subject.read(given, "own")
    assert (str(found), found.broad) == (text, bool(broad))


def test_nothing_is_wrong_with_what_kubernetes_and_kubeadm_ship() -> None:
    host = cluster_with(made.sound())
    for each in all_controls().values():
        if is_of_cluster(each.inputs) and "cluster_workload" not in each.inputs:
            found = verdict(host, each.id.partition(".")[2])
            assert found.status in ("pass", "not-applicable"), (each.id, found.reason)


@pytest.mark.parametrize("name", GRANTS)
def test_each_power_is_looked_at(name: str) -> None:
    """For a user it is a matter of choice until the site has said; never for everybody."""
    cluster, power = made.rotten(), GRANTS[name]
    cluster[CLUSTER_BINDINGS] = [
        each for each in cluster[CLUSTER_BINDINGS]
        if each["metadata"]["name"] not in ("all", "quick-fix")
    ]  # fmt: skip
    cluster[CLUSTER_BINDINGS].append(binding("quick-fix", "cluster-admin", "User:mallory"))
    host = cluster_with(cluster)
    its = "quick-fix" if power == "everything" else "helpers"
    assert statuses(verdict(host, name))[its] == "manual"
    for trusted, status in (
        ((), "fail"), (("User:mal*",), "pass"), ((f"{power} User:mallory",), "pass"),
        (("other User:mallory",), "fail"), (("Group:mallory",), "fail"),
    ):  # fmt: skip
        found = statuses(verdict(host, name, Policy(cluster_subjects=trusted)))[its]
        assert found == status, trusted
    assert statuses(verdict(cluster_with(made.rotten()), name))[
        "quick-fix" if power == "everything" else "all"
    ] == "fail"  # fmt: skip


def test_a_namespace_may_be_given_to_somebody_of_it() -> None:
    cluster = made.sound()
    cluster[made.BINDINGS] += [
        binding("team", "edit", "Group:shop-team", namespace="shop"),
        binding("own", "edit", "ServiceAccount:shop/deployer", namespace="shop"),
        binding("foreign", "edit", "ServiceAccount:lab/deployer", namespace="shop"),
        binding("default", "edit", "ServiceAccount:shop/default", namespace="shop"),
        binding("core", "edit", "Group:shop-team", namespace="kube-system"),
    ]
    found = statuses(verdict(cluster_with(cluster), "cluster-secrets"))
    names = ("shop/team", "shop/own", "shop/foreign", "shop/default", "kube-system/core")
    assert [found[each] for each in names] == ["pass", "pass", "manual", "fail", "manual"]


def test_a_system_role_that_was_changed_excuses_nobody() -> None:
    """The label of the bootstrap policy, or a name that begins with system:, says nothing."""
    cluster = made.sound()
    for each in cluster[CLUSTER_ROLES]:
        if each["metadata"]["name"] in ("system:basic-user", "system:public-info-viewer"):
            each["rules"] = [*each["rules"], rule(READ, "secrets")]
        if each["metadata"]["name"] == "system:controller:job-controller":
            each["rules"] = [*each["rules"], rule("impersonate", "users")]
    host = cluster_with(cluster)
    assert statuses(verdict(host, "cluster-secrets"))["system:basic-user"] == "fail"
    assert statuses(verdict(host, "cluster-everybody"))["system:basic-user"] == "fail"
    assert statuses(verdict(host, "cluster-anonymous"))["system:public-info-viewer"] == "fail"
    changed = statuses(verdict(host, "cluster-escalation"))
    assert changed["system:controller:job-controller"] == "manual"


def test_a_role_that_does_not_exist_gives_nothing_and_one_made_later_does() -> None:
    cluster = made.sound()
    cluster[CLUSTER_BINDINGS].append(binding("later", "ghost", "User:mallory"))
    assert statuses(verdict(cluster_with(cluster), "cluster-secrets"))["later"] == "pass"
    cluster[CLUSTER_ROLES].append(role("ghost", rule("*", "*", "*")))
    found = statuses(verdict(cluster_with(cluster), "cluster-administrators"))
    assert found["later"] == "manual"


def test_kube_bench_passes_what_is_called_cluster_admin() -> None:
    """It looks at names of bindings (5.1.1) and asks for system:authenticated alone (5.1.2)."""
    cluster = made.sound()
    for each in cluster[CLUSTER_BINDINGS]:
        if each["metadata"]["name"] == "cluster-admin":
            each["subjects"] = [{"kind": "User", "name": "mallory"}]
    cluster[CLUSTER_ROLES].append(role("reader", rule("list", "secrets")))
    cluster[CLUSTER_BINDINGS].append(binding("x", "reader", "Group:system:serviceaccounts"))
    host = cluster_with(cluster)
    policy = Policy(cluster_subjects=())
    found = statuses(verdict(host, "cluster-administrators", policy))
    assert found["cluster-admin"] == "fail"
    assert found["kubeadm:cluster-admins"] == "pass"
    assert statuses(verdict(host, "cluster-secrets"))["x"] == "fail"


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (rule("*", "*", "*"), "fail"),
        (rule("get", "*", "apps"), "fail"),
        (rule("*", "pods"), "fail"),
        (rule("get", "*/scale", "*"), "fail"),
        (rule("get", urls="*"), "fail"),
        (rule("get", urls="/healthz/*"), "pass"),
        (rule("get list", "pods"), "pass"),
    ],
)
def test_stars(given: dict[str, Any], status: str) -> None:
    cluster = made.sound()
    cluster[CLUSTER_ROLES] += [role("mine", given)]
    cluster[made.ROLES] += [role("cluster-admin", given, namespace="shop")]
    found = statuses(verdict(cluster_with(cluster), "cluster-role-stars"))
    assert (found["mine"], found["shop/cluster-admin"], found["cluster-admin"]) == (
        status, status, "pass",
    )  # fmt: skip


def test_view_with_a_labelled_role_is_seen() -> None:
    found = verdict(cluster_with(made.rotten()), "cluster-aggregated-roles")
    assert statuses(found)["view"] == "fail"
    assert "secrets" in found.reason


@pytest.mark.parametrize(
    "spoil",
    [
        {"rules": "x"}, {"rules": [7]}, {"rules": [{"verbs": "get"}]},
        {"rules": [{"verbs": [1]}]},
    ],
)  # fmt: skip
def test_a_role_that_makes_no_sense_is_unknown_and_so_is_what_gives_it(spoil: Any) -> None:
    cluster = made.sound()
    cluster[CLUSTER_ROLES].append({"metadata": {"name": "odd"}, **spoil})
    cluster[CLUSTER_BINDINGS].append(binding("odd", "odd", "User:mallory"))
    host = cluster_with(cluster)
    assert statuses(verdict(host, "cluster-role-stars"))["odd"] == "unknown"
    assert statuses(verdict(host, "cluster-secrets"))["odd"] == "unknown"
    assert statuses(verdict(host, "cluster-secrets"))["system:coredns"] == "pass"
