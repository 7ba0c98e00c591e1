"""Public keys as ``authorized_keys`` has them: their kind, size and fingerprint.

The blob's first field names the kind again (RFC 4253, 6.6; RFC 5656; draft-ietf-sshm-ssh-agent);
a line whose two names differ is no key for sshd either.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

__all__ = ["PublicKey", "parse_key_line", "too_weak"]

SMALLEST_RSA = 3072
"""Bits; what ssh-keygen makes by itself, and 128 bits of strength (NIST SP 800-57 Part 1)."""

_KIND = re.compile(r"(?:ssh|ecdsa|sk|webauthn|rsa|x509v3)-[A-Za-z0-9@.-]{2,80}")
_OPTIONS = re.compile(r'(?:[^"\s]|"(?:[^"\\]|\\.)*")+')


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key that lets in.

    :param kind: as its blob names it. :param bits: of its modulus or curve; 0: not known.
    :param options: what stands before it, as it is written.
    """

    kind: str
    bits: int
    fingerprint: str
    options: str = ""
    comment: str = ""

    @property
    def authority(self) -> bool:
        """Whether it signs certificates that let in."""
        return "cert-authority" in self.options.lower()

    def __str__(self) -> str:
        size = f" {self.bits}" if self.bits else ""
        return f"{self.kind}{size} {self.fingerprint}"


def parse_key_line(line: str) -> PublicKey | None:
    """Read a line of authorized_keys (sshd(8)); None if sshd would find no key in it."""
    text, options = line.strip(), ""
    if text.startswith("#"):
        return None
    if not _KIND.match(text) or _key(text) is None:
        before = _OPTIONS.match(text)
        if before is None:
            return None
        options, text = before[0], text[before.end() :].strip()
    found = _key(text)
    if found is None:
        return None
    kind, blob, comment = found
    print_of = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return PublicKey(kind, _bits(kind, blob), f"SHA256:{print_of}", options, comment[:80])


def _key(text: str) -> tuple[str, bytes, str] | None:
    """Return the kind, blob and comment of a key that stands at the beginning of a text."""
    kind, _, rest = text.replace("\t", " ").partition(" ")
    encoded, _, comment = rest.strip().partition(" ")
    if not _KIND.fullmatch(kind):
        return None
    try:
        blob = base64.b64decode(encoded.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        return None
    fields = _fields(blob)
    same = fields and fields[0] == kind.encode()
    return (kind, blob, comment.strip()) if same else None


def _fields(blob: bytes) -> list[bytes]:
    found: list[bytes] = []
    at = 0
    while at + 4 <= len(blob) and len(found) < 8:
        size = int.from_bytes(blob[at : at + 4], "big")
        field = blob[at + 4 : at + 4 + size]
        if len(field) != size:
            break
        found.append(field)
        at += 4 + size
    return found


def _bits(kind: str, blob: bytes) -> int:
    fields = _fields(blob)
    if kind == "ssh-rsa" and len(fields) > 2:
        return int.from_bytes(fields[2], "big").bit_length()
    if kind == "ssh-dss" and len(fields) > 1:
        return int.from_bytes(fields[1], "big").bit_length()
    curve = re.search(r"nistp(\d{3})", kind)
    if curve:
        return int(curve[1])
    return 256 if "ed25519" in kind else 0


def too_weak(kind: str, bits: int) -> str:
    """Say why a key is too weak, by its kind in any notation; empty if it is not."""
    name = kind.lower()
    if ("dsa" in name and "ecdsa" not in name) or "dss" in name:
        return "DSA, whose 1024 bits and SHA-1 are given up"
    if name in ("rsa", "ssh-rsa", "rsa1", "rsa-cert", "ssh-rsa-cert-v01@openssh.com") and (
        bits < SMALLEST_RSA
    ):
        return f"RSA with {bits} bits, less than {SMALLEST_RSA}"
    return ""
