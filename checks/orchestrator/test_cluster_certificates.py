"""What a control plane's certificates are like, and whom its authorities are for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown, control, expect
from hullcheck.facts.kubernetes.certificates import Certificate
from hullcheck.facts.kubernetes.components import Component
from hullcheck.facts.kubernetes.pki import AuthorityKey, NodeCertificate, authorities
from hullcheck.facts.registry import Unseen, get
from hullcheck.inventory.policy import Policy

RSA, CURVE = 2048, 256
"""Bits below which a key of RSA or of a curve is too small (NIST SP 800-57 Part 1, table 2)."""

BROKEN = frozenset({"md5", "sha1"})


@control(
    title="Certificates of the control plane are renewed in time",
    severity="medium",
    fix="kubeadm certs renew all and start the control plane anew (k3s, RKE2: start it anew within "
    "90 days of the end); certificate_renewal_days in the policy says how early.",
)
def test_cluster_certificate_expiry(
    node_certificate: NodeCertificate, policy: Policy, started: datetime
) -> None:
    """Where a certificate of the control plane ends, the cluster stands still, and in haste people
    turn checks off. kubeadm's are valid for a year and renewed by upgrades only. Of authorities
    that lie in one file, as while one replaces the other, the last to end counts."""
    soon = started + timedelta(days=policy.certificate_renewal_days)
    made = node_certificate.certificates
    roots = [each for each in made if each.authority]
    last = max(roots, key=lambda each: each.ends, default=None)
    for each in [*(one for one in made if not one.authority), *([last] if last else [])]:
        what = f"{each.subject} in {node_certificate.path}"
        expect(_shown(each.ends), at_least=_shown(soon), what=f"end of {what}")
        expect(_shown(each.begins), at_most=_shown(started), what=f"begin of {what}")


def _shown(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@control(
    title="Certificates of the control plane have strong keys and signatures",
    severity="high",
    fix="Make the certificate anew with RSA of 2048 bits or more, or a curve of 256, and SHA-256 "
    "(kubeadm: encryptionAlgorithm in the ClusterConfiguration, then kubeadm certs renew).",
)
def test_cluster_certificate_strength(node_certificate: NodeCertificate) -> None:
    """A key that is too small can be worked out, and a signature over MD5 or SHA-1 fits a second
    certificate: both make whoever does it the server, or the administrator. The signature of an
    authority over itself proves nothing and does not count."""
    for each in node_certificate.certificates:
        what = f"{each.subject} in {node_certificate.path}"
        if each.key in ("RSA", "DSA"):
            expect(each.key, equals="RSA", what=f"kind of key of {what}")
            expect(each.bits, at_least=RSA, what=f"bits of the key of {what}")
        else:
            expect(each.bits, at_least=CURVE, what=f"bits of the key of {what}")
        if not (each.authority and each.subject == each.issuer):
            expect([each.digest], without=sorted(BROKEN), what=f"signature of {what}")


@control(
    title="No component shows the certificate of an authority as its own",
    severity="high",
    fix="Have the authority sign a certificate for the component (basicConstraints CA:FALSE), and "
    "name that by the flag.",
)
def test_component_certificates(node_certificate: NodeCertificate) -> None:
    """A component that shows an authority's certificate has that authority's key in memory and on
    disk where it serves the network: one leak of it, and anyone can be made an administrator."""
    if not node_certificate.leaf and node_certificate.doubt:
        raise Unknown(node_certificate.doubt)
    if not node_certificate.leaf:
        raise NotApplicable("no component shows it as its own")
    first = node_certificate.certificates[0]
    expect(first.authority, equals=False, what=f"whether {first.subject} may sign others")


@control(
    title="etcd trusts another authority than the API server's clients come from",
    severity="critical",
    fix="Make an authority for etcd alone (kubeadm: /etc/kubernetes/pki/etcd/ca.crt), sign etcd's "
    "and the API server's etcd certificates with it, and name it in etcd's --trusted-ca-file and "
    "--peer-trusted-ca-file and the API server's --etcd-cafile.",
)
def test_etcd_own_authority(api_server: Component, host: Host) -> None:
    """etcd lets in whoever has a certificate of an authority that it trusts, and knows no roles.
    If that is the one of the cluster's clients, every kubelet and every user with a certificate
    reads and writes all secrets. The keys of the authorities in use are compared, not names of
    files, and whether one has signed the other."""
    clients = authorities(api_server, "client-ca-file")
    if not clients:
        raise NotApplicable("the API server takes no certificates of clients")
    trusted = authorities(api_server, "etcd-cafile")
    for each in _etcds(host):
        trusted |= authorities(each, "trusted-ca-file", "peer-trusted-ca-file")
    if not trusted:
        raise NotApplicable("no authority of an etcd is named here")
    shared = _shared(clients.values(), trusted.values())
    expect(shared, equals=[], what="authorities of both clients and etcd")


def _etcds(host: Host) -> list[Component]:
    try:
        found = get(host, "etcd")
    except NotApplicable:
        return []
    return [each for each in found if not isinstance(each, Unseen)]


@control(
    title="The front proxy has another authority than the API server's clients",
    severity="critical",
    fix="Make an authority for the front proxy alone (kubeadm: front-proxy-ca.crt), and name it in "
    "--requestheader-client-ca-file; never the file of --client-ca-file.",
)
def test_front_proxy_authority(api_server: Component) -> None:
    """Who shows a certificate of the front proxy's authority may say in a header who he is, and is
    believed. If clients' certificates come from the same authority, each of them may be anyone:
    --requestheader-allowed-names is then all that stands between."""
    clients = authorities(api_server, "client-ca-file")
    proxies = authorities(api_server, "requestheader-client-ca-file")
    if not (clients and proxies):
        raise NotApplicable("the API server has no authority of a front proxy, or none of clients")
    shared = _shared(clients.values(), proxies.values())
    expect(shared, equals=[], what="authorities of both clients and the front proxy")


def _shared(some: Iterable[Certificate], others: Iterable[Certificate]) -> list[str]:
    """Return the authorities that are on both sides, or have signed one of the other side."""
    mine, theirs = list(some), list(others)
    return sorted(
        {
            one.subject
            for one in mine
            for each in theirs
            if one.spki == each.spki or _signed(one, each) or _signed(each, one)
        }
    )


def _signed(one: Certificate, by: Certificate) -> bool:
    try:
        one.made.verify_directly_issued_by(by.made)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


@control(
    title="Keys of authorities lie on the node only where they sign",
    severity="medium",
    level=2,
    fix="Move the key off the node (kubeadm needs it for kubeadm certs renew and to add nodes of "
    "the control plane: bring it back for that); or sign elsewhere, as kubeadm's external CA mode.",
)
def test_authority_keys(authority_key: AuthorityKey) -> None:
    """With the key of etcd's or the front proxy's authority one makes certificates that nobody
    can call back, from any copy or backup of the node. Nothing that runs needs these keys; only
    the controller manager signs, with the one that --cluster-signing-key-file names."""
    used = bool(authority_key.used)
    if not used and authority_key.doubt:
        raise Unknown(authority_key.doubt)
    expect(used, equals=True, what=f"whether a component signs with {authority_key.path}")
