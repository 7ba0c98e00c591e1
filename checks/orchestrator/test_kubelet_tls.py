"""The certificates of a kubelet, and how it encrypts."""

from __future__ import annotations

import re
from datetime import datetime

from hullcheck.control import NotApplicable, Unknown, control, expect
from hullcheck.facts.kubernetes.certificates import Certificate, certificates
from hullcheck.facts.kubernetes.kubelet_settings import KubeletSettings

from .kubelet_values import expect_setting

ROTATION = "RotateKubeletServerCertificate"
TLS13, TLS12, OLD = "VersionTLS13", "VersionTLS12", ("VersionTLS10", "VersionTLS11")
STRONG = re.compile(r"TLS_(ECDHE_(RSA|ECDSA)_WITH_)?(AES_\d+_GCM|CHACHA20_POLY1305)(_SHA\d+)?")
OVERDUE = 0.07
"""A kubelet renews a certificate when 70 to 90 % of its time are over (client-go,
util/certificate); what has less left than this was not renewed."""

RENEWED = "/var/lib/rancher/"
"""Below it k3s and RKE2 keep certificates, which they renew themselves when they start."""


def _first(settings: KubeletSettings, path: str) -> Certificate | None:
    """Return the first certificate of a file that a kubelet sees; None if there is no file."""
    place = settings.kubelet.program.seen(path)
    found = certificates(settings.host, [place]).get(place)
    if isinstance(found, Unknown):
        raise found
    return found[0] if found else None


@control(
    title="The kubelet shows a certificate that others can check",
    severity="medium",
    fix="Set serverTLSBootstrap: true and approve the kubelets' requests (kubectl certificate "
    "approve, or an approver), or give tlsCertFile and tlsPrivateKeyFile of the cluster's CA.",
)
def test_kubelet_serving_certificate(kubelet_settings: KubeletSettings) -> None:
    """Left alone the kubelet signs its own certificate. Nobody can tell it from one that somebody
    between API server and node made, who then reads logs and sees what kubectl exec sends."""
    given = kubelet_settings.path("tlsCertFile")
    key = kubelet_settings.path("tlsPrivateKeyFile")
    if not (given and key):
        if kubelet_settings.get("serverTLSBootstrap").value is True:
            gate = kubelet_settings.feature_gates.get(ROTATION, True)
            expect(gate, equals=True, what=f"feature gate {ROTATION}")
            return
        own = _first(kubelet_settings, f"{kubelet_settings.cert_dir}/kubelet.crt")
        observed = f"signed by {own.issuer}" if own else "signed by the kubelet itself"
        expect(observed, one_of=["signed by the cluster's authority"], what="serving certificate")
        return
    shown = _first(kubelet_settings, given)
    if shown is None:
        raise Unknown(f"there is no certificate in {given}")
    expect(
        "itself" if shown.issuer == shown.subject else "another",
        equals="another",
        what=f"who signed {given}",
    )


@control(
    title="The kubelet renews the certificate by which the API server knows it",
    severity="medium",
    fix="Set rotateCertificates: true in the kubelet's configuration and restart it.",
)
def test_kubelet_client_rotation(kubelet_settings: KubeletSettings) -> None:
    """Without it the certificate is made to last for years, and a copy that was taken is good for
    as long; or it ends one day, and the node with it."""
    kubeconfig = kubelet_settings.kubelet.flags.last("kubeconfig") or ""
    if kubeconfig.startswith(RENEWED):
        raise NotApplicable(f"what {kubeconfig} names is renewed when the distribution starts")
    expect_setting(kubelet_settings, "rotateCertificates", equals=True)


@control(
    title="The kubelet renews the certificate that it shows to its clients",
    severity="low",
    fix="Set serverTLSBootstrap: true and leave the feature gate RotateKubeletServerCertificate "
    "on; approve the requests.",
)
def test_kubelet_serving_rotation(kubelet_settings: KubeletSettings) -> None:
    """A serving certificate that nobody renews ends unseen: people then tell their clients not to
    check it, and it is never checked again."""
    gate = kubelet_settings.feature_gates.get(ROTATION, True)
    expect(gate, equals=True, what=f"feature gate {ROTATION}")
    given = kubelet_settings.path("tlsCertFile")
    if not given:
        expect_setting(kubelet_settings, "serverTLSBootstrap", equals=True)
    elif gate:
        raise NotApplicable(f"whoever made {given} renews it")


@control(
    title="The kubelet's client certificate is renewed in time",
    severity="medium",
    fix="See why the kubelet's requests are not signed (kubectl get csr; journalctl -u kubelet), "
    "and let it join again if its certificate has ended.",
)
def test_kubelet_client_certificate(kubelet_settings: KubeletSettings, started: datetime) -> None:
    """A kubelet asks for the next certificate well before the last one ends. One that is nearly
    over shows that this does not work, and that the node will be lost."""
    path = f"{kubelet_settings.cert_dir}/kubelet-client-current.pem"
    shown = _first(kubelet_settings, path)
    if shown is None:
        raise NotApplicable(f"it keeps no client certificate in {path}")
    whole = (shown.ends - shown.begins).total_seconds()
    left = (shown.ends - started).total_seconds() / whole if whole > 0 else 0
    ends = f"ends {shown.ends:%Y-%m-%d}"
    expect(f"overdue: {ends}" if left < OVERDUE else f"in time: {ends}",
           equals=f"in time: {ends}", what=path)  # fmt: skip


@control(
    title="The kubelet agrees to strong ciphers only",
    severity="medium",
    fix="Set tlsMinVersion: VersionTLS12 with tlsCipherSuites of ECDHE with GCM or CHACHA20 only, "
    "or tlsMinVersion: VersionTLS13, in the kubelet's configuration, and restart it.",
)
def test_kubelet_ciphers(kubelet_settings: KubeletSettings) -> None:
    """Go's own list, which counts if none is given, still has CBC with SHA-1, and in older builds
    exchanges of keys by RSA, with which recorded traffic can be read once the key is lost."""
    least = str(kubelet_settings.get("tlsMinVersion").value or TLS12)
    expect([least], without=OLD, what="tlsMinVersion")
    if least == TLS13:
        return
    suites = kubelet_settings.get("tlsCipherSuites").value
    listed = suites if isinstance(suites, list) else []
    expect("set" if listed else "not set", equals="set", what="tlsCipherSuites")
    weak = [each for each in listed if not STRONG.fullmatch(each)]
    expect(weak, equals=[], what="weak cipher suites")
