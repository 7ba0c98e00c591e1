"""Which admission plug-ins of a kube-apiserver are on, and what they are set to.

pkg/kubeapiserver/options/plugins.go has those that are on without a word: so since 1.25, the oldest
release with PodSecurity for good. What is enabled by name is on even if it is disabled as well
(DisabledPlugins in apiserver/pkg/server/options/admission.go).
"""

from __future__ import annotations

from hullcheck.control import Unknown
from hullcheck.facts.kubernetes.components import Component

__all__ = ["ON", "plugins"]

ON = frozenset({
    "NamespaceLifecycle", "LimitRanger", "ServiceAccount", "DefaultStorageClass",
    "PersistentVolumeClaimResize", "DefaultTolerationSeconds", "MutatingAdmissionWebhook",
    "ValidatingAdmissionWebhook", "ResourceQuota", "StorageObjectInUseProtection", "Priority",
    "TaintNodesByCondition", "RuntimeClass", "CertificateApproval", "CertificateSigning",
    "ClusterTrustBundleAttest", "CertificateSubjectRestriction", "DefaultIngressClass",
    "PodSecurity", "ValidatingAdmissionPolicy", "MutatingAdmissionPolicy",
})  # fmt: skip
"""Those on which a control may ask; later releases have more."""


def plugins(component: Component) -> frozenset[str]:
    """Return the plug-ins that are on.

    :raises Unknown: the old flag is used, which says of all plug-ins which ones are on.
    """
    flags = component.flags
    if flags.listed("admission-control") is not None:
        raise Unknown("--admission-control decides, of releases that are long out of support")
    enabled = frozenset(flags.listed("enable-admission-plugins") or ())
    disabled = frozenset(flags.listed("disable-admission-plugins") or ())
    return (ON - disabled) | enabled
