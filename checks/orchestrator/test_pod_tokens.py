"""Tokens and secrets that a kubelet has laid down for pods, as the node sees them."""

from __future__ import annotations

import fnmatch

from hullcheck.control import Manual, control, expect
from hullcheck.facts.kubernetes.pod_volumes import PodVolumes
from hullcheck.inventory.policy import Policy


@control(
    title="Only pods that need the API server are given a token for it",
    severity="medium",
    level=2,
    fix="Set automountServiceAccountToken: false in the pod or its service account; list pods that "
    "need a token as namespace/name in token_pods of the policy.",
)
def test_pod_tokens(pod_volumes: PodVolumes, policy: Policy) -> None:
    """Whoever breaks into a pod finds its token and speaks to the API server with all rights of
    its service account. Most pods never use theirs. Pods of kube-system are judged as any other:
    name in the policy those that need one."""
    found = [str(each) for each in pod_volumes.volumes if each.token or each.legacy]
    if found and policy.token_pods is None:
        raise Manual("the policy does not say which pods may have a token", {"mounted": found})
    allowed = policy.token_pods or ()
    if any(fnmatch.fnmatchcase(pod_volumes.name, each) for each in allowed):
        found = []
    expect(found, equals=[], what="volumes with a token that the policy does not allow")


@control(
    title="No pod is given a token that never expires",
    severity="high",
    level=1,
    fix="Delete the Secret of type kubernetes.io/service-account-token and let the pod take a "
    "projected token (serviceAccountToken with expirationSeconds).",
)
def test_legacy_pod_tokens(pod_volumes: PodVolumes) -> None:
    """A token kept in a Secret is valid until somebody deletes the Secret, for whoever copied it,
    from anywhere. One that the kubelet projects ends within hours, and with its pod."""
    found = [str(each) for each in pod_volumes.volumes if each.legacy]
    expect(found, equals=[], what="volumes with a token that never expires")


@control(
    title="Users of a node cannot read the tokens and secrets of its pods",
    severity="critical",
    level=1,
    fix="chmod 0750 the kubelet's root directory (/var/lib/kubelet), its folder pods and each "
    "pod's folder in it.",
)
def test_pod_secret_files(pod_volumes: PodVolumes) -> None:
    """A kubelet writes most tokens and secrets so that everybody may read them, for any user may
    run in the pod. All that keeps users of the host away are the folders above."""
    expect(list(pod_volumes.reachable), equals=[], what="files that every user can read")
