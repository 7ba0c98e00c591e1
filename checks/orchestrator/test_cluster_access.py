"""Who may do what in a cluster of Kubernetes."""

from __future__ import annotations

from fnmatch import fnmatchcase

from hullcheck.control import Manual, NotApplicable, control, expect
from hullcheck.facts.kubernetes.authority import EVERYTHING, Rule, powers
from hullcheck.facts.kubernetes.cluster_access import (
    Binding,
    Role,
    is_everything,
    is_own,
)
from hullcheck.inventory.policy import Policy

ANYBODY = frozenset({"Group:system:unauthenticated", "User:system:anonymous"})
EVERYBODY = ("Group:system:authenticated", "Group:system:serviceaccounts")

OPEN_URLS = frozenset({
    "/healthz", "/livez", "/readyz", "/version", "/version/", "/livez/*", "/readyz/*",
})  # fmt: skip
KNOWN_URLS = OPEN_URLS | {
    "/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/openid/v1/jwks",
    "/openid/v1/jwks/", "/.well-known/openid-configuration", "/.well-known/openid-configuration/",
    "/swagger-2.0.0.pb-v1", "/swagger.json", "/swaggerapi", "/swaggerapi/*",
}  # fmt: skip
OWN_REVIEWS = frozenset(
    {"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"}
)

WILD = {
    "cluster-admin": ("*",),
    "system:kube-controller-manager": ("list,watch *",),
    "system:controller:generic-garbage-collector": ("delete,get,list,patch,update,watch *",),
    "system:controller:namespace-controller": ("delete,deletecollection,get,list,watch *",),
    "system:controller:resourcequota-controller": ("list,watch *",),
    "system:controller:storage-version-migrator-controller": ("get,list,update,watch *",),
    "system:controller:horizontal-pod-autoscaler": (
        "get,update */scale", "get,list,watch *",
    ),
    "system:controller:disruption-controller": ("get */scale",),
}  # fmt: skip
"""Roles that Kubernetes ships with stars in them, and what its rules with stars then are."""

METRICS = frozenset({"custom.metrics.k8s.io", "external.metrics.k8s.io"})

DEFAULTS = {
    "view": frozenset[str](),
    "edit": frozenset({"secrets", "pods", "exec", "tokens", "impersonate serviceaccounts"}),
    "admin": frozenset({"secrets", "pods", "exec", "tokens", "impersonate serviceaccounts"}),
}
"""The roles that are put together of others, and what Kubernetes itself lets them do."""

KUBELET_ADMIN = "system:kubelet-api-admin"


def _granted(binding: Binding, power: str, policy: Policy) -> None:
    """State that only whom it is due to is given a power.

    :raises Manual: it is a matter of choice, and the site has not said.
    """
    if is_everything(binding) and power != EVERYTHING:
        raise NotApplicable("it gives everything, which a control of its own looks at")
    given = binding.powers.get(power, []) if binding.core or power != EVERYTHING else []
    subjects = [each for each in binding.subjects if given and not is_own(each, power)]
    broad = sorted(str(each) for each in subjects if each.broad)
    what = f"may {', '.join(given)}" if given else "gives it"
    expect(broad, equals=[], what=f"accounts of many: who {what}")
    others = sorted(
        str(each) for each in subjects
        if not each.broad and not _at_home(binding, each.kind, each.namespace)
        and not _trusted(str(each), power, policy)
    )  # fmt: skip
    if not others:
        return
    if policy.cluster_subjects is None:
        raise Manual(
            f"see that they need it, and say in cluster_subjects whom you trust: "
            f"{', '.join(others)} {what}", others
        )  # fmt: skip
    expect(others, equals=[], what=f"subjects: who {what}")


def _at_home(binding: Binding, kind: str, namespace: str) -> bool:
    """Whether a subject only rules over the namespace that it was given."""
    return not binding.core and (kind != "ServiceAccount" or namespace == binding.namespace)


def _trusted(subject: str, power: str, policy: Policy) -> bool:
    for pattern in policy.cluster_subjects or ():
        only, space, who = pattern.rpartition(" ")
        if fnmatchcase(subject, who) and (not space or only == power):
            return True
    return False


@control(
    title="Only whom the site trusts is a cluster's administrator",
    severity="critical",
    fix="Delete the binding, or give a role that names what is needed; name administrators in "
    "cluster_subjects.",
)
def test_cluster_administrators(cluster_binding: Binding, policy: Policy) -> None:
    """Whoever may do everything in a cluster is root on each of its nodes, and reads every secret
    in it. A binding to cluster-admin is the quickest way to make something work, and stays."""
    _granted(cluster_binding, EVERYTHING, policy)


@control(
    title="Only whom the site trusts reads secrets of the whole cluster",
    severity="high",
    fix="Give a Role in the namespaces that need it, with resourceNames, in place of the "
    "ClusterRoleBinding; name who is trusted in cluster_subjects.",
)
def test_cluster_secrets(cluster_binding: Binding, policy: Policy) -> None:
    """Secrets hold the tokens and passwords of everything that runs. Whoever may get, list or
    watch them (a list shows their contents, too) can become any of it."""
    _granted(cluster_binding, "secrets", policy)


@control(
    title="Only whom the site trusts starts pods everywhere in a cluster",
    severity="high",
    fix="Bind the role in the namespaces where it is needed; name who is trusted in "
    "cluster_subjects.",
)
def test_cluster_pods(cluster_binding: Binding, policy: Policy) -> None:
    """A pod can have any service account of its namespace, mount its secrets and, where nothing
    forbids it, the host. Who may make one in kube-system, or what makes pods, owns the cluster."""
    _granted(cluster_binding, "pods", policy)


@control(
    title="Only whom the site trusts gets into running pods",
    severity="high",
    fix="Bind the role in the namespaces where it is needed; name who is trusted in "
    "cluster_subjects.",
)
def test_cluster_pod_access(cluster_binding: Binding, policy: Policy) -> None:
    """exec, attach and portforward lead into a container that runs: to its secrets, its token and
    its network, past whatever guards its front. A get is enough for them over a WebSocket."""
    _granted(cluster_binding, "exec", policy)


@control(
    title="Nobody can give themselves more rights than they have",
    severity="critical",
    fix="Take the verbs escalate, bind and impersonate out of the role, or name in resourceNames "
    "what may be given.",
)
def test_cluster_escalation(cluster_binding: Binding, policy: Policy) -> None:
    """Kubernetes lets nobody grant what they do not have, except by the verbs escalate and bind;
    impersonate makes a request count as somebody else's. Each leads to everything in one step."""
    _granted(cluster_binding, "escalation", policy)


@control(
    title="Only whom the site trusts speaks to kubelets through the API server",
    severity="high",
    fix="Take nodes/proxy out of the role; nodes/metrics and nodes/stats suffice to monitor.",
)
def test_cluster_node_proxy(cluster_binding: Binding, policy: Policy) -> None:
    """With nodes/proxy one runs commands in every pod of a node through its kubelet: no admission
    sees it, no audit log says what was run, and a get is enough."""
    _granted(cluster_binding, "nodes", policy)


@control(
    title="Only whom the site trusts makes tokens of service accounts",
    severity="high",
    fix="Take serviceaccounts/token out of the role, or bind it in the one namespace where it is "
    "needed.",
)
def test_cluster_token_creation(cluster_binding: Binding, policy: Policy) -> None:
    """Whoever may ask for a token of a service account is that account, for as long as they like,
    and the account cannot be taken away from them without being deleted."""
    _granted(cluster_binding, "tokens", policy)


@control(
    title="Only whom the site trusts has certificates signed",
    severity="high",
    fix="Take certificatesigningrequests/approval and signers out of the role, or name a signer "
    "in resourceNames that lets nobody in.",
)
def test_cluster_certificates(cluster_binding: Binding, policy: Policy) -> None:
    """A certificate that the cluster's authority signs lets its owner in under any name and
    group, until it expires: there is no revoking it."""
    _granted(cluster_binding, "approval", policy)


@control(
    title="Only whom the site trusts changes what admits objects",
    severity="high",
    fix="Take the write verbs on webhook configurations and admission policies out of the role, or "
    "name its own one in resourceNames.",
)
def test_cluster_admission(cluster_binding: Binding, policy: Policy) -> None:
    """A webhook sees every object that it asks for, secrets among them, and may change it on its
    way in. Whoever may write their configuration reads and alters all, or turns the guards off."""
    _granted(cluster_binding, "webhooks", policy)


@control(
    title="Only whom the site trusts makes persistent volumes",
    severity="medium",
    fix="Let a storage class provide volumes; take create on persistentvolumes out of the role.",
)
def test_cluster_volumes(cluster_binding: Binding, policy: Policy) -> None:
    """A persistent volume may be a folder of a host, and a pod that claims it mounts that folder,
    though the standard that its namespace enforces forbids hostPath."""
    _granted(cluster_binding, "volumes", policy)


@control(
    title="Only whom the site trusts relabels namespaces",
    severity="medium",
    level=2,
    fix="Take update and patch on namespaces out of the role.",
)
def test_cluster_namespace_labels(cluster_binding: Binding, policy: Policy) -> None:
    """A namespace's labels say which Pod Security Standard is enforced in it and which network
    policies and webhooks are about it: whoever may change them takes all three off."""
    _granted(cluster_binding, "namespaces", policy)


@control(
    title="Whoever has not logged in learns nothing but a cluster's health",
    severity="critical",
    fix="Delete the binding; take system:anonymous and system:unauthenticated out of its subjects.",
)
def test_cluster_anonymous(cluster_binding: Binding) -> None:
    """What is bound to system:anonymous or system:unauthenticated is open to whoever reaches the
    API server. Kubernetes gives its version and health so, kubeadm the address of the cluster."""
    _only(cluster_binding, ANYBODY, OPEN_URLS)


@control(
    title="Accounts have no rights for being accounts",
    severity="high",
    fix="Bind the role to those who need it instead of system:authenticated or "
    "system:serviceaccounts.",
)
def test_cluster_everybody(cluster_binding: Binding) -> None:
    """Everybody with any token is in system:authenticated, and each pod in system:serviceaccounts.
    With a cloud's logins, that can be everybody with an address there."""
    bound = {str(each) for each in cluster_binding.subjects}
    wanted = frozenset(
        each for each in bound if each in EVERYBODY or each.startswith(f"{EVERYBODY[1]}:")
    )
    _only(cluster_binding, wanted, KNOWN_URLS)


def _only(binding: Binding, subjects: frozenset[str], urls: frozenset[str]) -> None:
    """State that some subjects are given nothing but paths that are harmless, and the like."""
    found = sorted(subjects & {str(each) for each in binding.subjects})
    more = [str(each) for each in binding.rules if not _harmless(each, binding, urls)]
    expect(
        more if found else [], equals=[], what=f"what {', '.join(found) or 'nobody'} may do beyond"
    )


def _harmless(rule: Rule, binding: Binding, urls: frozenset[str]) -> bool:
    if not rule.resources:
        return not rule.urls or (set(rule.verbs) <= {"get", "head"} and set(rule.urls) <= urls)
    if set(rule.resources) <= OWN_REVIEWS and rule.verbs == ("create",) and urls is KNOWN_URLS:
        return True
    info = rule.resources == ("configmaps",) and rule.names == ("cluster-info",)
    return info and rule.verbs == ("get",) and binding.namespace == "kube-public"


@control(
    title="Roles say what they allow, without stars",
    severity="medium",
    level=2,
    fix="Name the verbs, groups and resources that are needed; delete a role that nobody needs.",
)
def test_cluster_role_stars(cluster_role: Role) -> None:
    """A star allows what a later version or an operator will add, too: new resources, escalate,
    impersonate. Of the roles that Kubernetes itself ships with stars, only those are let pass."""
    known = WILD.get(cluster_role.name, ()) if not cluster_role.namespace else ()
    found = [
        f"{rule} ({', '.join(rule.wild)})" for rule in cluster_role.rules
        if rule.wild and not _shipped(rule, known, cluster_role.name)
    ]  # fmt: skip
    expect(found, equals=[], what="rules with stars")


def _shipped(rule: Rule, known: tuple[str, ...], name: str) -> bool:
    if known == ("*",):
        return True
    if name == KUBELET_ADMIN:
        return rule.groups == ("",) and all(each.startswith("nodes/") for each in rule.resources)
    text = f"{','.join(sorted(rule.verbs))} {','.join(rule.resources)}"
    if "horizontal" in name and "*" in rule.resources:
        return text in known and set(rule.groups) <= METRICS
    return text in known


@control(
    title="The roles view, edit and admin allow what Kubernetes meant them to",
    severity="high",
    fix="Take the label rbac.authorization.k8s.io/aggregate-to-view (-edit, -admin) off the "
    "ClusterRole that adds it.",
)
def test_cluster_aggregated_roles(cluster_role: Role) -> None:
    """These three are put together of all ClusterRoles with a certain label, and are given to
    people for what their names promise. A label on another role makes each viewer more."""
    allowed = DEFAULTS.get(cluster_role.name)
    if allowed is None or cluster_role.namespace:
        raise NotApplicable("it is none of the three")
    found = [
        what for power, listed in powers(cluster_role.rules).items()
        for what in listed if power not in allowed and what not in allowed
    ]  # fmt: skip
    expect(found, equals=[], what="what it allows beyond")


@control(
    title="The group system:masters is bound to nothing but cluster-admin",
    severity="medium",
    fix="Bind the role to a group of its own; members of system:masters are let through whatever "
    "RBAC says.",
)
def test_cluster_masters(cluster_binding: Binding) -> None:
    """No binding can be taken away from system:masters, as the API server lets its members do
    everything: one that names it shows that people are in a group whose certificates nobody can
    revoke."""
    named = "Group:system:masters" in {str(each) for each in cluster_binding.subjects}
    known = cluster_binding.name == "cluster-admin" and not cluster_binding.namespace
    expect(named and not known, equals=False, what="system:masters among its subjects")
