"""X.509 certificates in files of a host; what else lies in those files stays there.

A kubelet's ``kubelet-client-current.pem`` holds its key as well: only the lines between the marks
of certificates leave the host, of a kubeconfig the certificates of its users, and whether there is
a private key.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.texts import END, lines_of
from hullcheck.transport import CannotAnswer, Want, session_of, want

__all__ = ["Certificate", "Pem", "certificate_want", "certificates", "pems"]

LONGEST = 1_000
"""Lines of certificates that are read of one file."""

_KEYS = (
    "^-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY-----", "LS0tLS1CRUdJTiBFQyBQUklWQVRF",
    "LS0tLS1CRUdJTiBSU0EgUFJJVkFURS", "LS0tLS1CRUdJTiBQUklWQVRFIE",
)  # fmt: skip
"""How private keys begin; in kubeconfigs and the like in base64."""

_DATA = "client-certificate-data"
_AWK = (
    f'!key && /{"|".join(_KEYS)}/ {{ key = 1; print "k" }} '
    f"/{_DATA}/ {{ print match($0, /{_DATA}[^A-Za-z0-9+\\/=]+[A-Za-z0-9+\\/=]+/) ?"
    ' "c " substr($0, RSTART, RLENGTH) : "c ?" } '
    '{ sub(/\\r$/, "") } /^-----BEGIN (TRUSTED )?CERTIFICATE-----$/ { inside = 1 } '
    f'inside && n++ < {LONGEST} {{ print "| " $0 }} '
    f'n == {LONGEST} {{ print "| more"; exit }} '
    "/^-----END (TRUSTED )?CERTIFICATE-----$/ { inside = 0 }"
)
_VALUE = re.compile(rf"^c {_DATA}[^A-Za-z0-9+/=]+")
_ABSENT = ("No such file or directory", "Not a directory")


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate.

    :param key: kind of its key: RSA, EC, Ed25519, Ed448, DSA; ``bits`` its size.
    :param spki: SHA-256 of its public key, as hexadecimal: equal for equal keys.
    :param digest: the hash of its signature: sha256 …; empty where the kind of key has its own.
    :param authority: whether it may sign others (basicConstraints).
    """

    path: str
    made: x509.Certificate
    key: str
    bits: int
    spki: str
    digest: str
    authority: bool

    @property
    def begins(self) -> datetime:
        return self.made.not_valid_before_utc

    @property
    def ends(self) -> datetime:
        return self.made.not_valid_after_utc

    @property
    def subject(self) -> str:
        return self.made.subject.rfc4514_string()

    @property
    def issuer(self) -> str:
        return self.made.issuer.rfc4514_string()


@dataclass(frozen=True, slots=True)
class Pem:
    """What is in a file.

    :param certificates: as they stand; or why they cannot be read.
    :param key: whether there is a private key; None if that cannot be told.
    """

    path: str
    certificates: list[Certificate] | Unknown
    key: bool | None


def certificate_want(paths: Iterable[str]) -> Want:
    """Return the one command that reads the certificates of some files."""
    listed = _listed(paths)
    script = f"""n=0; for f in {" ".join(["%s"] * len(listed))}; do n=$((n+1)); echo "= $n"
if [ -f "$f" ] && [ -r "$f" ]; then awk '{_AWK}' <"$f" || echo '? it cannot be read'
elif why=$(ls -dL -- "$f" 2>&1 >/dev/null); then echo '? Permission denied'
else echo "? $why"; fi; done; echo '{END}'"""
    return want(script, *listed)


def _listed(paths: Iterable[str]) -> list[str]:
    return sorted(set(paths))


def certificates(host: Host, paths: Iterable[str]) -> dict[str, list[Certificate] | Unknown]:
    """Return the certificates of files, by path; one that does not exist is not in it.

    A file without any is an empty list; one that cannot be read is the reason.

    :raises CannotAnswer: the answer is not whole.
    """
    return {path: each.certificates for path, each in pems(host, paths).items()}


def pems(host: Host, paths: Iterable[str]) -> dict[str, Pem]:
    """Return the same, and which files hold private keys.

    :raises CannotAnswer: the answer is not whole.
    """
    listed = _listed(paths)
    if not listed:
        return {}
    lines = lines_of(session_of(host).ask(certificate_want(listed))[0])
    said: dict[str, list[str]] = {}
    for line in lines[:-1]:
        word, _, rest = line.partition(" ")
        if word == "=" and rest == str(len(said) + 1) and len(said) < len(listed):
            said[listed[len(said)]] = []
        elif word in ("|", "?", "k", "c") and said:
            said[next(reversed(said))].append(line)
        else:
            raise CannotAnswer("what came is nothing of certificates")
    if lines[-1:] != [END] or len(said) != len(listed):
        raise CannotAnswer("the certificates were not read to the end")
    found = {path: _file(path, told) for path, told in said.items()}
    return {path: each for path, each in found.items() if each is not None}


def _file(path: str, lines: list[str]) -> Pem | None:
    complaint = next((line[2:] for line in lines if line.startswith("? ")), None)
    if complaint is not None:
        why = Unknown(f"{path}: {complaint}; it may need root")
        return None if complaint.endswith(_ABSENT) else Pem(path, why, None)
    key = True if "k" in lines else None if "| more" in lines else False
    return Pem(path, _read(path, lines), key)


def _read(path: str, lines: list[str]) -> list[Certificate] | Unknown:
    text = "\n".join(line.removeprefix("| ") for line in lines if line.startswith("| "))
    try:
        made = x509.load_pem_x509_certificates(text.encode()) if text else []
        for line in lines:
            if line.startswith("c "):
                data = base64.b64decode(_VALUE.sub("", line), validate=True)
                made += x509.load_pem_x509_certificates(data)
        return [_certificate(path, each) for each in made]
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as damage:
        return Unknown(f"{path} holds a certificate that cannot be read: {type(damage).__name__}")


def _certificate(path: str, made: x509.Certificate) -> Certificate:
    key = made.public_key()
    packed = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    kind, bits = _kind(key)
    try:
        digest = made.signature_hash_algorithm
    except UnsupportedAlgorithm:
        name = made.signature_algorithm_oid.dotted_string
    else:
        name = digest.name if digest else ""
    try:
        basic = made.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        authority = False
    else:
        authority = basic.value.ca
    return Certificate(path, made, kind, bits, sha256(packed).hexdigest(), name, authority)


def _kind(key: object) -> tuple[str, int]:
    match key:
        case rsa.RSAPublicKey():
            return "RSA", key.key_size
        case ec.EllipticCurvePublicKey():
            return "EC", key.key_size
        case dsa.DSAPublicKey():
            return "DSA", key.key_size
        case ed25519.Ed25519PublicKey():
            return "Ed25519", 256
        case ed448.Ed448PublicKey():
            return "Ed448", 456
    raise ValueError("an unusual kind of key")
