"""Audit policies: rule by rule, as the API server goes through them."""

from __future__ import annotations

import pytest

from checks.orchestrator import test_api_audit as audit
from hullcheck.facts.kubernetes.audit_policy import NONE, Request, audit_policy
from hullcheck.facts.registry import get
from tests.unit.api_server_fake import says, server, verdict

FILE = "/k/policy.yaml"
WORDS = (f"--audit-policy-file={FILE}", "--audit-log-path=/var/log/audit.log")

# In the form of the one that Kubernetes' own scripts for GCE write, and kubespray after it.
CLOUD = """
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- {level: None, users: ["system:kube-proxy"], verbs: [watch],
   resources: [{group: "", resources: [endpoints, services, services/status]}]}
- {level: None, users: ["system:unsecured"], namespaces: [kube-system], verbs: [get],
   resources: [{group: "", resources: [configmaps]}]}
- {level: None, userGroups: ["system:nodes"], verbs: [get],
   resources: [{group: "", resources: [nodes, nodes/status]}]}
- {level: None, users: ["system:kube-controller-manager", "system:serviceaccount:kube-system:x"],
   verbs: [get, update], namespaces: [kube-system],
   resources: [{group: "", resources: [endpoints]}]}
- {level: None, users: ["system:apiserver"], verbs: [get],
   resources: [{group: "", resources: [namespaces, namespaces/status]}]}
- {level: None, nonResourceURLs: ["/healthz*", /version]}
- {level: None, resources: [{group: "", resources: [events]}]}
- {level: Request, userGroups: ["system:nodes"], verbs: [update, patch], omitStages:
   [RequestReceived], resources: [{group: "", resources: [nodes/status, pods/status]}]}
- {level: Request, users: ["system:serviceaccount:kube-system:namespace-controller"],
   verbs: [deletecollection], omitStages: [RequestReceived]}
- level: Metadata
  resources:
  - {group: "", resources: [secrets, configmaps, serviceaccounts/token]}
  - {group: authentication.k8s.io, resources: [tokenreviews]}
  omitStages: [RequestReceived]
- level: Request
  verbs: [get, list, watch]
  resources: &known [{group: ""}, {group: apps}, {group: rbac.authorization.k8s.io}]
- {level: RequestResponse, resources: *known}
- {level: Metadata, omitStages: [RequestReceived]}
"""
# In the form of the example in Kubernetes' documentation.
DOCS = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: ["RequestReceived"]
rules:
- {level: RequestResponse, resources: [{group: "", resources: [pods]}]}
- {level: Metadata, resources: [{group: "", resources: ["pods/log", "pods/status"]}]}
- {level: None, resources: [{group: "", resources: [configmaps], resourceNames: [leader]}]}
- {level: None, userGroups: ["system:authenticated"], nonResourceURLs: ["/api*", "/version"]}
- {level: Request, resources: [{group: "", resources: [configmaps]}], namespaces: [kube-system]}
- {level: Metadata, resources: [{group: "", resources: [secrets, configmaps]}]}
- {level: Request, resources: [{group: ""}, {group: extensions}]}
- {level: Metadata, omitStages: [RequestReceived]}
"""
ALL = "- level: Metadata\n"
MUTE = "- {level: Metadata, omitStages: [ResponseComplete]}\n"
SECRETS = (
    '- {level: Metadata, resources: [{group: "", resources: [secrets, configmaps, '
    "serviceaccounts/token]}, {group: authentication.k8s.io, resources: [tokenreviews]}]}\n"
)


def policy(rules: str) -> str:
    return f"kind: Policy\nrules:\n{rules}"


@pytest.mark.parametrize(
    ("text", "secrets", "coverage"),
    [
        (CLOUD, "pass", "pass"),
        (DOCS, "fail", "pass"),
        (policy(ALL), "pass", "pass"),
        (policy(f"{SECRETS}- level: RequestResponse\n"), "pass", "pass"),
        (policy("- level: Request\n"), "fail", "pass"),
        (policy("- level: RequestResponse\n"), "fail", "pass"),
        (policy("- level: None\n"), "pass", "fail"),
        # No rule for the rest: nothing of it is logged.
        (policy(SECRETS), "pass", "fail"),
        # Too late: the first rule has decided.
        (policy(f"- level: Request\n{SECRETS}"), "fail", "pass"),
        # pods is not pods/exec, and the rest is left out.
        (policy('- {level: Metadata, resources: [{group: "", resources: [pods]}]}\n'), "pass",
         "fail"),
        (policy('- {level: None, verbs: [get], resources: [{group: "", resources: [pods/exec]}]}\n'
                f"{ALL}"), "pass", "fail"),
        (policy('- {level: None, resources: [{group: "", resources: ["*/exec"]}]}\n' + ALL),
         "pass", "fail"),
        (policy('- {level: None, resources: [{group: "", resources: ["pods/*"]}]}\n' + ALL),
         "pass", "fail"),
        (policy(f"- {{level: None, verbs: [get, list, watch]}}\n{ALL}"), "pass", "fail"),
        # Somebody of whom nothing is logged; and Kubernetes' own reading, which is noise.
        (policy(f"- {{level: None, users: [mallory]}}\n{ALL}"), "pass", "fail"),
        (policy(f'- {{level: None, userGroups: ["system:masters"]}}\n{ALL}'), "pass", "fail"),
        (policy('- {level: None, userGroups: ["system:nodes"], verbs: [get], resources: [{group: '
                f'"", resources: [nodes, pods]}}]}}\n{ALL}'), "pass", "pass"),
        (policy(f'- {{level: None, userGroups: ["system:nodes"], verbs: [get]}}\n{ALL}'), "pass",
         "fail"),
        (policy(f'- {{level: None, users: ["system:kube-proxy"]}}\n{ALL}'), "pass", "pass"),
        (policy(f'- {{level: None, users: ["system:apiserver"]}}\n{ALL}'), "pass", "fail"),
        (policy(f"- {{level: None, namespaces: [hidden]}}\n{ALL}"), "pass", "fail"),
        # Secrets in one namespace, or of one name, are secrets.
        (policy(f"- {{level: Request, namespaces: [a]}}\n{ALL}"), "fail", "pass"),
        (policy('- {level: Request, resources: [{group: "", resources: ["*"], resourceNames: '
                f"[a]}}]}}\n{ALL}"), "fail", "pass"),
        (policy('- {level: Request, verbs: [get], resources: [{group: "", resources: [secrets]}]}\n'
                f"{ALL}"), "pass", "pass"),
        (policy('- {level: RequestResponse, resources: [{group: "", resources: '
                f"[serviceaccounts/token]}}]}}\n{ALL}"), "fail", "pass"),
        # What has ended is not told of.
        ("omitStages: [RequestReceived]\n" + policy(MUTE), "pass", "fail"),
        ("kind: Policy\nrules: []\n", "pass", "fail"),
        (policy("- level: metadata\n"), "unknown", "unknown"),
        (policy("- {}\n"), "unknown", "unknown"),
        ("kind: List\n", "unknown", "unknown"),
    ],
)  # fmt: skip
def test_policies(text, secrets, coverage):
    files = {FILE: text}
    assert says(audit.test_api_audit_secrets, *WORDS, files=files) == secrets
    assert says(audit.test_api_audit_coverage, *WORDS, files=files) == coverage


def test_json_is_yaml_too():
    text = '{"kind": "Policy", "rules": [{"level": "Metadata"}]}'
    assert says(audit.test_api_audit_coverage, *WORDS, files={FILE: text}) == "pass"


@pytest.mark.parametrize(
    ("words", "text", "status"),
    [
        ((), None, "fail"),
        (WORDS, policy(ALL), "pass"),
        # A place and no policy: nothing is logged.
        (WORDS[1:], None, "fail"),
        (WORDS[:1], policy(ALL), "fail"),
        (WORDS, "kind: Policy\nrules: []\n", "fail"),
        ((WORDS[0], "--audit-webhook-config-file=/k/hook"), policy(ALL), "pass"),
        (WORDS, (1, "", "head: x: Permission denied\n"), "unknown"),
        ((*WORDS, "--audit-policy-file="), policy(ALL), "fail"),
    ],
)
def test_logging(words, text, status):
    """kube-bench asks for the path alone."""
    assert says(audit.test_api_audit_log, *words, files={FILE: text} if text else {}) == status


def test_without_a_policy_there_is_nothing_to_say():
    assert says(audit.test_api_audit_secrets) == "not-applicable"
    assert says(audit.test_api_audit_coverage) == "not-applicable"


def test_a_policy_changed_since_is_not_the_one_in_use():
    found = verdict(
        audit.test_api_audit_coverage, *WORDS, files={FILE: policy(ALL)}, changed=[FILE]
    )
    assert str(found.status) == "unknown"


def test_what_decides():
    [component] = get(server(*WORDS, files={FILE: CLOUD}), "api_server")
    found = audit_policy(component)
    rules = list(found.levels(Request("delete", "events")))
    assert [each.level for each in rules] == [NONE]
    rules = list(found.levels(Request("deletecollection", "secrets")))
    assert [each.level for each in rules] == ["Request", "Metadata"]
