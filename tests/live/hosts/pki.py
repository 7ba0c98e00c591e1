"""Certificates of a cluster, made on the spot: authorities, and what they sign."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

__all__ = ["BEGINS", "Pair", "kubeconfig", "pair"]

BEGINS = datetime(2026, 11, 1, tzinfo=UTC)
"""Some weeks before the date at which recordings are judged."""

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    made: x509.Certificate
    key: Key

    @property
    def certificate(self) -> str:
        return self.made.public_bytes(Encoding.PEM).decode()

    @property
    def private(self) -> str:
        return self.key.private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        ).decode()


def pair(
    name: str,
    by: Pair | None = None,
    *,
    days: int = 365,
    authority: bool | None = None,
    organization: str = "",
    key: Key | None = None,
) -> Pair:
    """Return a certificate that another one signs; without one, an authority of its own.

    :param authority: whether it may sign others; if not given, that of one without ``by``.
    """
    own = key or ec.generate_private_key(ec.SECP256R1())
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if organization:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    subject = x509.Name(parts)
    builder = x509.CertificateBuilder(
        issuer_name=by.made.subject if by else subject, subject_name=subject,
        public_key=own.public_key(), serial_number=x509.random_serial_number(),
        not_valid_before=BEGINS, not_valid_after=BEGINS + timedelta(days=days),
    )  # fmt: skip
    may = by is None if authority is None else authority
    builder = builder.add_extension(x509.BasicConstraints(may, None), critical=True)
    return Pair(builder.sign(by.key if by else own, SHA256()), own)


def kubeconfig(user: str, shown: Pair, by: Pair) -> str:
    """Return a kubeconfig as kubeadm writes it."""

    def data(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    return f"""apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {data(by.certificate)}
    server: https://10.0.0.10:6443
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: {user}
  name: {user}@kubernetes
current-context: {user}@kubernetes
kind: Config
preferences: {{}}
users:
- name: {user}
  user:
    client-certificate-data: {data(shown.certificate)}
    client-key-data: {data(shown.private)}
"""
