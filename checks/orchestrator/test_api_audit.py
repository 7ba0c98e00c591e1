"""What the API server writes down of what is asked of it."""

from __future__ import annotations

from itertools import product

from hullcheck.control import NotApplicable, Unknown, control, expect
from hullcheck.facts.kubernetes.api_files import named
from hullcheck.facts.kubernetes.audit_policy import Policy, Request, audit_policy
from hullcheck.facts.kubernetes.components import Component

RBAC, CERTIFICATES = "rbac.authorization.k8s.io", "certificates.k8s.io"
READS, WRITES = ("get", "list", "watch"), ("create", "update", "patch", "delete")
MARKS = ("Request", "RequestResponse")

KEPT = [
    *(Request(verb, f"pods/{part}") for verb, part in product(
        ("get", "create"), ("exec", "attach", "portforward", "proxy"))),
    *(Request(verb, each) for verb, each in product(
        ("get", "create"), ("services/proxy", "nodes/proxy"))),
    *(Request(verb, "pods/ephemeralcontainers") for verb in ("update", "patch")),
    *(Request(verb, "secrets") for verb in (*READS, *WRITES)),
    *(Request(verb, "pods") for verb in WRITES),
    *(Request(verb, "deployments", "apps") for verb in WRITES),
    *(Request(verb, each, RBAC) for verb, each in product(
        WRITES, ("roles", "rolebindings", "clusterroles", "clusterrolebindings"))),
    Request("create", "serviceaccounts/token"),
    Request("update", "certificatesigningrequests/approval", CERTIFICATES),
    Request("create", "anything", "example.org"),
]  # fmt: skip
"""What must leave a trace. kubectl exec over a WebSocket is a get, over SPDY a create; the last
stands for whatever no rule names."""

HOLDING = [
    *((Request(verb, "secrets"), MARKS) for verb in ("create", "update", "patch")),
    *((Request(verb, "secrets"), MARKS[1:]) for verb in ("get", "list", "watch", "delete",
                                                        "deletecollection")),
    *((Request(verb, "configmaps"), MARKS) for verb in ("create", "update", "patch")),
    *((Request(verb, "configmaps"), MARKS[1:]) for verb in ("get", "list", "watch")),
    (Request("create", "tokenreviews", "authentication.k8s.io"), MARKS),
    (Request("create", "serviceaccounts/token"), MARKS[1:]),
]  # fmt: skip
"""Requests with secrets in them, and the levels at which these would be logged."""


def _policy(component: Component) -> Policy:
    found = audit_policy(component)
    if found is None:
        raise NotApplicable("nothing is logged, of which another control tells")
    return found


@control(
    title="The API server logs what is asked of it",
    severity="high",
    fix="Set --audit-policy-file, and --audit-log-path or --audit-webhook-config-file.",
)
def test_api_audit_log(api_server: Component) -> None:
    """Only the API server knows who read a secret or opened a shell in a pod. Without a policy and
    a place to write to it keeps none of it, and nothing else can tell afterwards."""
    places = [named(api_server, each) for each in ("audit-log-path", "audit-webhook-config-file")]
    shown = "somewhere" if any(places) else "nowhere"
    expect(shown, equals="somewhere", what="where requests are logged")
    policy = audit_policy(api_server)
    expect("rules" if policy and policy.rules else "none", equals="rules", what="the audit policy")


@control(
    title="The audit policy keeps what secrets say out of the log",
    severity="high",
    fix="Before any broader rule, log secrets, configmaps, serviceaccounts/token and tokenreviews "
    "(of authentication.k8s.io) at the level Metadata.",
)
def test_api_audit_secrets(api_server: Component) -> None:
    """At the levels Request and RequestResponse the log holds the object itself: passwords, keys
    and tokens in the clear, read by whoever reads logs, wherever these are sent."""
    policy = _policy(api_server)
    found = [
        str(request)
        for request, marks in HOLDING
        if any(rule.level in marks for rule in policy.levels(request))
    ]
    expect(found, equals=[], what="requests that are logged with secrets in them")


@control(
    title="The audit policy lets nothing that matters go unseen",
    severity="medium",
    fix="Let no rule of the level None fit what is named, before one of Metadata; end the policy "
    "with a rule of the level Metadata that names nothing, and do not omit ResponseComplete.",
)
def test_api_audit_coverage(api_server: Component) -> None:
    """Shells in pods, reading of secrets, changed rights: these are an intruder's steps. The first
    rule that fits decides, a rule for pods does not fit pods/exec, and what no rule fits is not
    logged."""
    policy = _policy(api_server)
    found = [str(request) for request in KEPT if policy.unlogged(request)]
    expect(found, equals=[], what="requests that may leave no trace")


def _number(component: Component, flag: str) -> int:
    """Return what a flag of the log is set to; 0, which is no limit, without it."""
    path = named(component, "audit-log-path")
    if path in (None, "-"):
        raise NotApplicable("the API server writes no audit log to a file")
    text = named(component, flag) or "0"
    if not text.isdecimal() or len(text) > 9:
        raise Unknown(f"--{flag} is {text[:40]!r}")
    return int(text)


@control(
    title="Audit logs are kept for a month",
    severity="medium",
    fix="Set --audit-log-maxage=30 or more.",
)
def test_api_audit_age(api_server: Component) -> None:
    """Most intrusions are found out weeks later. Without a number the age of a log is no reason to
    delete it."""
    days = _number(api_server, "audit-log-maxage")
    expect(days or 30, at_least=30, what="days that audit logs are kept")


@control(
    title="Ten audit logs are kept beside the one in use",
    severity="medium",
    fix="Set --audit-log-maxbackup=10 or more.",
)
def test_api_audit_backups(api_server: Component) -> None:
    """Whoever wants their traces gone need only make enough noise, if few logs are kept. Without a
    number all are."""
    count = _number(api_server, "audit-log-maxbackup")
    expect(count or 10, at_least=10, what="audit logs that are kept")


@control(
    title="An audit log is a hundred megabytes long before the next begins",
    severity="low",
    fix="Set --audit-log-maxsize=100 or more.",
)
def test_api_audit_size(api_server: Component) -> None:
    """With the number of logs, their size decides how far back they reach when somebody makes
    noise. Without a number it is a hundred."""
    size = _number(api_server, "audit-log-maxsize")
    expect(size or 100, at_least=100, what="megabytes of an audit log")


@control(
    title="Audit logs cannot fill the disk",
    severity="low",
    fix="Set --audit-log-maxbackup and --audit-log-maxage.",
)
def test_api_audit_bounded(api_server: Component) -> None:
    """On a full disk etcd stops, and with it the cluster. Where 0 is set for both, no log is ever
    deleted; where nothing is said, it depends on the release."""
    age = _number(api_server, "audit-log-maxage")
    count = _number(api_server, "audit-log-maxbackup")
    given = [named(api_server, each) for each in ("audit-log-maxage", "audit-log-maxbackup")]
    if not age and not count and None in given:
        raise Unknown("which limits count if none are set depends on the release")
    expect(bool(age or count), equals=True, what="a limit to what is kept")
