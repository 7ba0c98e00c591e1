"""What pods of a cluster are allowed, as their own settings say."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from hullcheck.control import Manual, NotApplicable, control, expect
from hullcheck.facts.kubernetes.cluster_access import CORE
from hullcheck.facts.kubernetes.cluster_objects import Account
from hullcheck.facts.kubernetes.cluster_workloads import Container, Workload, mapping, truth
from hullcheck.inventory.policy import Policy

BASELINE = frozenset({
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE",
    "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
})  # fmt: skip
"""Capabilities that may be added by the standard baseline (kubernetes.io, Pod Security
Standards)."""

SPACES = ("hostPID", "hostIPC", "hostNetwork")
SECCOMP = ("RuntimeDefault", "Localhost")


def _faults(workload: Workload, policy: Policy, found: list[str], what: str) -> None:
    """State that a workload has no rights of the host, unless the site gave it some.

    :raises Manual: it may be a part of the cluster itself, and the site has not said.
    """
    trusted = policy.cluster_workloads
    if found and any(fnmatchcase(workload.ours, each) for each in trusted or ()):
        raise NotApplicable(f"the site allows it: {', '.join(found)}")
    if found and workload.namespace == CORE and trusted is None:
        raise Manual(
            f"see that it is the cluster's own, and say so in cluster_workloads: {what}: "
            + ", ".join(found), found
        )  # fmt: skip
    expect(found, equals=[], what=what)


def _windows(container: Container) -> bool:
    said = [
        truth(mapping(each.get("windowsOptions")).get("hostProcess"))
        for each in (container.context, container.pod_context)
    ]
    return said[1] is True if said[0] is None else said[0]


@control(
    title="No container of a cluster is privileged",
    severity="critical",
    fix="Take privileged: true (and hostProcess) out of the securityContext; name what must have "
    "it in cluster_workloads.",
)
def test_cluster_privileged(cluster_workload: Workload, policy: Policy) -> None:
    """A privileged container is root on its node, and from there reads the tokens of every pod on
    it. On Windows, a HostProcess container is the same."""
    found = [
        each.name for each in cluster_workload.containers
        if truth(each.setting("privileged")) or _windows(each)
    ]  # fmt: skip
    _faults(cluster_workload, policy, found, "privileged containers")


@control(
    title="No pod is in the process, IPC or network namespace of its host",
    severity="high",
    fix="Take hostPID, hostIPC and hostNetwork out of the pod's spec; name what must have them in "
    "cluster_workloads.",
)
def test_cluster_host_namespaces(cluster_workload: Workload, policy: Policy) -> None:
    """In the host's namespaces a pod sees the host's processes and what they share, and reaches
    what listens on the host's loopback, past every network policy."""
    found = [each for each in SPACES if truth(cluster_workload.spec.get(each))]
    _faults(cluster_workload, policy, found, "namespaces of the host")


@control(
    title="No pod mounts folders of its host",
    severity="high",
    fix="Use a ConfigMap, a Secret, an emptyDir or a claim in place of hostPath; name what must "
    "have it in cluster_workloads.",
)
def test_cluster_host_paths(cluster_workload: Workload, policy: Policy) -> None:
    """A folder of the host in a pod is a way onto the host: by a socket of the runtime, by its
    files of accounts and units, or by links that others of its programs follow."""
    paths = [each["hostPath"] for each in cluster_workload.volumes if each.get("hostPath")]
    found = sorted({str(mapping(each).get("path")) for each in paths})
    _faults(cluster_workload, policy, found, "folders of the host")


@control(
    title="No pod takes ports of its host",
    severity="medium",
    fix="Publish the pod by a Service, and take hostPort out of its ports; name what must have it "
    "in cluster_workloads.",
)
def test_cluster_host_ports(cluster_workload: Workload, policy: Policy) -> None:
    """A hostPort is open on the node's own addresses, past what guards services, and an attacker's
    pod may so sit where a node's own program was expected."""
    found = [
        str(port["hostPort"]) for each in cluster_workload.containers for port in each.ports
        if port.get("hostPort") and cluster_workload.own_network
    ]  # fmt: skip
    _faults(cluster_workload, policy, found, "ports of the host")


@control(
    title="No container is given capabilities beyond the harmless ones",
    severity="high",
    fix="Take them out of capabilities.add; name what must have them in cluster_workloads.",
)
def test_cluster_added_capabilities(cluster_workload: Workload, policy: Policy) -> None:
    """SYS_ADMIN, SYS_PTRACE, NET_ADMIN, ALL and the like lead onto the node, or let a pod pose as
    its neighbours."""
    found = [
        f"{each.name}: {name}" for each in cluster_workload.containers
        for name in sorted(each.capabilities("add") - BASELINE)
    ]  # fmt: skip
    _faults(cluster_workload, policy, found, "capabilities that are added")


@control(
    title="Containers of a cluster drop the capabilities they do not need",
    severity="medium",
    level=2,
    fix="Set capabilities.drop: [ALL], and add back what is needed: NET_BIND_SERVICE.",
)
def test_cluster_dropped_capabilities(cluster_workload: Workload, policy: Policy) -> None:
    """What is not dropped, root in the container has: NET_RAW to forge packets of its neighbours,
    DAC_OVERRIDE to read what others own. Most programs need none of them."""
    found = [each.name for each in cluster_workload.containers if not _drops(each)]
    _faults(cluster_workload, policy, found, "containers that keep capabilities")


def _drops(container: Container) -> bool:
    return "ALL" in container.capabilities("drop") and (
        container.capabilities("add") <= {"NET_BIND_SERVICE"}
    )


@control(
    title="Processes in a cluster's containers gain no privileges",
    severity="medium",
    level=2,
    fix="Set allowPrivilegeEscalation: false in the container's securityContext.",
)
def test_cluster_privilege_escalation(cluster_workload: Workload, policy: Policy) -> None:
    """Where it is not said, a setuid program in an image makes root of any user in the container:
    allowPrivilegeEscalation is true by default."""
    found = [
        each.name for each in cluster_workload.containers
        if truth(each.setting("allowPrivilegeEscalation")) is not False
        or truth(each.setting("privileged"))
    ]  # fmt: skip
    _faults(cluster_workload, policy, found, "containers that allow it")


@control(
    title="Containers of a cluster do not run as root",
    severity="medium",
    level=2,
    fix="Set runAsNonRoot: true and, if the image names no user by number, runAsUser.",
)
def test_cluster_root(cluster_workload: Workload, policy: Policy) -> None:
    """Root in a container is root to the kernel unless users are mapped, and one flaw away from
    the node. Where neither runAsNonRoot nor a user is set, the image decides."""
    if truth(cluster_workload.spec.get("hostUsers")) is False:
        found: list[str] = []
    else:
        found = [each.name for each in cluster_workload.containers if not _not_root(each)]
    _faults(cluster_workload, policy, found, "containers that may be root")


def _not_root(container: Container) -> bool:
    user = container.setting("runAsUser")
    if user == 0:
        return False
    return isinstance(user, int) or truth(container.setting("runAsNonRoot")) is True


@control(
    title="Containers of a cluster have a seccomp profile",
    severity="medium",
    level=2,
    fix="Set seccompProfile: {type: RuntimeDefault} in the pod's securityContext, or set "
    "seccompDefault in the kubelets' configuration.",
)
def test_cluster_seccomp(cluster_workload: Workload, policy: Policy) -> None:
    """Without a profile, a container may try every call of the kernel. Kubernetes sets none of
    itself, unless its kubelets do."""
    found, unsaid = [], []
    for each in cluster_workload.containers:
        kind = mapping(each.setting("seccompProfile")).get("type")
        if truth(each.setting("privileged")) or kind not in (None, *SECCOMP):
            found.append(each.name)
        elif kind is None:
            unsaid.append(each.name)
    if unsaid and not found:
        raise Manual("see that the kubelets set a profile of themselves (seccompDefault)", unsaid)
    _faults(cluster_workload, policy, found, "containers without one")


@control(
    title="Pods get their secrets as files",
    severity="low",
    level=2,
    fix="Mount the Secret as a volume, and let the program read the file.",
)
def test_cluster_secret_variables(cluster_workload: Workload) -> None:
    """The environment is inherited by every process, stands in crash reports, and is shown to
    whoever may look at the process; a file can be read by one user, and is renewed."""
    found = [
        f"{each.name}: {name}" for each in cluster_workload.containers for name in each.secrets
    ]  # fmt: skip
    expect(found, equals=[], what="Secrets in the environment")


@control(
    title="No secret stands in a pod's own spec",
    severity="high",
    fix="Put it into a Secret, mount that as a file, and make a new one: whoever may list pods has "
    "read this one.",
)
def test_cluster_plain_secrets(cluster_workload: Workload) -> None:
    """Whoever may look at pods, and that is everybody with the role view, reads what is in their
    specs; so does whoever has the manifests."""
    found = [
        f"{each.name}: {name}" for each in cluster_workload.containers
        for name in each.plain_secrets
    ]  # fmt: skip
    expect(found, equals=[], what="where a secret stands")


@control(
    title="Only pods that use the API are given a token for it",
    severity="medium",
    fix="Set automountServiceAccountToken: false in the pod's spec or on its service account.",
)
def test_cluster_tokens(
    cluster_workload: Workload, kubernetes_accounts: Mapping[str, Account]
) -> None:
    """Whoever breaks into a container finds the token and speaks to the API as its account. One
    whose account has no rights has no use for it, but the attacker has: it logs them in."""
    account = kubernetes_accounts.get(f"{cluster_workload.namespace}/{cluster_workload.account}")
    unused = cluster_workload.token and not (account and account.bindings)
    expect(unused, equals=False, what="a token is mounted that nothing is bound to")
