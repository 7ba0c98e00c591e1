"""What the API server offers to the network, and how it speaks to kubelets."""

from __future__ import annotations

from hullcheck.control import NotApplicable, Unknown, control, expect
from hullcheck.facts.foreign_yaml import at, items, text
from hullcheck.facts.kubernetes.api_files import changed_since_start, config, named
from hullcheck.facts.kubernetes.components import Component
from hullcheck.facts.kubernetes.durations import seconds_of
from hullcheck.facts.kubernetes.flags import truth
from hullcheck.facts.sockets import sockets_of

PORT = 6443
LONGEST = 300.0

OLD = ("VersionTLS10", "VersionTLS11")
STRONG = ("_GCM_SHA256", "_GCM_SHA384", "_CHACHA20_POLY1305_SHA256", "_CHACHA20_POLY1305")
MODERN = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")

GATES = {
    "AllAlpha": True, "AllBeta": True, "KMSv1": True,
    "AllowInsecureKubeletCertificateSigningRequests": True, "PodSecurity": False,
    "BoundServiceAccountTokenVolume": False, "LegacyServiceAccountTokenNoAutoGeneration": False,
    "LegacyServiceAccountTokenTracking": False, "LegacyServiceAccountTokenCleanUp": False,
    "ServiceAccountTokenNodeBindingValidation": False, "AuthorizeNodeWithSelectors": False,
    "ServiceAccountNodeAudienceRestriction": False, "UnauthenticatedHTTP2DOSMitigation": False,
    "ValidatingAdmissionPolicy": False,
}  # fmt: skip
"""Feature gates, and the value with which they take protection away (pkg/features)."""


def _set(component: Component, *flags: str) -> None:
    for flag in flags:
        shown = "set" if named(component, flag) else "not set"
        expect(shown, equals="set", what=f"--{flag}")


@control(
    title="The API server shows a certificate that was made for it",
    severity="high",
    fix="Set --tls-cert-file and --tls-private-key-file to a certificate of the cluster's CA.",
)
def test_api_tls(api_server: Component) -> None:
    """Without one it makes its own at the first start, which no client can verify: people get used
    to skipping the check, and then anybody in between is the API server."""
    _set(api_server, "tls-cert-file", "tls-private-key-file")


@control(
    title="The API server agrees to strong ciphers only",
    severity="medium",
    fix="Set --tls-min-version=VersionTLS12 with --tls-cipher-suites of ECDHE with GCM or "
    "CHACHA20 only, or --tls-min-version=VersionTLS13.",
)
def test_api_ciphers(api_server: Component) -> None:
    """Go's own list, which counts if none is given, still has CBC with SHA-1, and in older builds
    exchanges of keys by RSA, with which recorded traffic can be read once the key is lost.
    TLS 1.3 has none of them."""
    least = named(api_server, "tls-min-version") or "VersionTLS12"
    expect([least], without=OLD, what="--tls-min-version")
    if least == "VersionTLS13":
        return
    suites = api_server.flags.listed("tls-cipher-suites") or []
    expect("set" if suites else "not set", equals="set", what="--tls-cipher-suites")
    weak = [
        each
        for each in suites
        if each not in MODERN and not (each.startswith("TLS_ECDHE_") and each.endswith(STRONG))
    ]
    expect(weak, equals=[], what="weak cipher suites")


@control(
    title="The API server shows kubelets who it is",
    severity="high",
    fix="Set --kubelet-client-certificate and --kubelet-client-key.",
)
def test_api_kubelet_client(api_server: Component) -> None:
    """A kubelet runs commands in any container for whoever may ask. It can tell the API server
    from a stranger only by a certificate; without one, it must let strangers in as well."""
    _set(api_server, "kubelet-client-certificate", "kubelet-client-key")


@control(
    title="The API server makes sure that it speaks to the right kubelet",
    severity="high",
    fix="Set --kubelet-certificate-authority, and let kubelets have serving certificates of that "
    "CA (serverTLSBootstrap: true).",
)
def test_api_kubelet_ca(api_server: Component) -> None:
    """Unless it knows their authority, the API server takes any certificate for a kubelet's: who
    stands between them reads logs and sees what is typed into kubectl exec."""
    _set(api_server, "kubelet-certificate-authority")


@control(
    title="The API server's way to the nodes is encrypted",
    severity="high",
    fix="In the file of --egress-selector-config-file give each tcp transport an https url and a "
    "tlsConfig with caBundle, or use a socket (uds).",
)
def test_api_egress(api_server: Component) -> None:
    """Where a proxy carries the API server's connections to kubelets, webhooks and etcd, whoever
    poses as the proxy has all of them. Without TLS anybody between the two can."""
    kind = "EgressSelectorConfiguration"
    found = config(api_server, "egress-selector-config-file", kind)
    if found is None:
        raise NotApplicable("the API server connects without a proxy")
    plain = []
    for each in items(at(found, "egressSelections")):
        tcp = at(each, "connection", "transport", "tcp")
        secure = text(at(tcp, "url")).lower().startswith("https://")
        if tcp is not None and not (secure and text(at(tcp, "tlsConfig", "caBundle"))):
            plain.append(text(at(each, "name")))
    expect(plain, equals=[], what="connections that the proxy is not verified for")


@control(
    title="The API server does not show its memory and profile",
    severity="low",
    fix="Set --profiling=false, and no --debug-socket-path.",
)
def test_api_profiling(api_server: Component) -> None:
    """Profiles tell about requests of others, and to take one slows the server down. They are
    served unless that is turned off; a debugging socket serves them to whoever can open it."""
    profiling = api_server.flags.flag("profiling")
    expect(profiling is not False, equals=False, what="profiling")
    socket = named(api_server, "debug-socket-path") or "not set"
    expect(socket, equals="not set", what="--debug-socket-path")


@control(
    title="Slow requests cannot hold the API server for long",
    severity="low",
    fix="Remove --request-timeout (a minute), or set it to 300s at most.",
)
def test_api_request_timeout(api_server: Component) -> None:
    """A request holds memory and a place among those that are served at the same time until it
    ends. With a long limit a few slow clients are enough to keep all others waiting."""
    limit = named(api_server, "request-timeout") or "1m"
    seconds = seconds_of(limit, "--request-timeout")
    expect(seconds, at_most=LONGEST, what="seconds that a request may take")


@control(
    title="The API server listens on its secure port only",
    severity="critical",
    fix="Remove --insecure-port and --insecure-bind-address, restart the API server, and see what "
    "opened any other port that is named.",
)
def test_api_listeners(api_server: Component) -> None:
    """The insecure port asked nobody who they are and allowed everything; releases before 1.20
    opened it by themselves. Whatever else this process listens on, no setting accounts for."""
    flag = named(api_server, "insecure-port") or "0"
    expect(flag, equals="0", what="--insecure-port")
    if api_server.program.name not in (api_server.name, "hyperkube"):
        raise NotApplicable(f"the ports of {api_server.program} belong to other components as well")
    secure = named(api_server, "secure-port") or str(PORT)
    pid = api_server.program.process.pid
    own = [each for each in sockets_of(api_server.host, pid).tcp if pid in each.owners]
    if not own:
        raise Unknown(f"no port can be seen on which {api_server} listens")
    others = [str(each) for each in own if str(each.port) != secure]
    expect(others, equals=[], what="ports beside the secure one")


@control(
    title="No feature gate takes protection away from the API server",
    severity="medium",
    fix="Remove what is named from --feature-gates.",
)
def test_api_feature_gates(api_server: Component) -> None:
    """AllAlpha and AllBeta turn on what is not finished. Other gates can be used to go back to
    before a protection was introduced: tokens that never end, nodes that read of other nodes."""
    given = api_server.flags.pairs("feature-gates")
    risky = [
        f"{name}={value}"
        for name, value in given.items()
        if name in GATES and truth(value, name) is GATES[name]
    ]
    expect(risky, equals=[], what="feature gates")


@control(
    title="The API server works with its configuration as it is now",
    severity="medium",
    fix="Restart the API server: move its manifest out of the manifests' folder and back, or "
    "restart its unit.",
)
def test_api_configuration_current(api_server: Component) -> None:
    """A policy for auditing, the plug-ins' settings and the keys of encryption are read once, at
    start. What was changed or removed afterwards looks as if it counted and does not, until a
    restart brings a surprise."""
    expect(changed_since_start(api_server), equals=[], what="files changed since it started")
