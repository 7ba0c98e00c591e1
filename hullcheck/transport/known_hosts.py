"""Which key a host is known by: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT."""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import re
import shlex
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hullcheck.transport.want import Unreachable

__all__ = ["KnownKey", "fingerprint", "look_up", "verify"]


@dataclass(frozen=True, slots=True)
class KnownKey:
    """One line of a known_hosts file that speaks of the host in question.

    :param marker: "", "@revoked" or "@cert-authority".
    """

    marker: str
    kind: str
    fingerprint: str
    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.kind} {self.fingerprint} ({self.file}:{self.line})"


def fingerprint(blob: bytes) -> str:
    """Return the fingerprint of a public key as OpenSSH shows it."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode()
    return "SHA256:" + digest.rstrip("=")


def look_up(files: Sequence[Path], name: str) -> list[KnownKey]:
    """Return every line about a host.

    :param name: in lower case; with a port other than 22 it is ``[name]:port``.
    :raises Unreachable: a file is there and can't be read.
    """
    return [key for file in files for key in _lines(file, name)]


def _lines(file: Path, name: str) -> Iterator[KnownKey]:
    try:
        data = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise Unreachable("host-key", f"{file}: cannot be read: {error.strerror}") from error
    plain, others = _parsed(data)
    found = [*plain.get(name, ()), *(each for each in others if _matches(each.hosts, name))]
    for each in sorted(found, key=lambda line: line.number):
        try:
            blob = base64.b64decode(each.key, validate=True)
        except binascii.Error:
            continue
        yield KnownKey(each.marker, each.kind, fingerprint(blob), file, each.number)


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    marker: str
    hosts: str
    kind: str
    key: str


@functools.lru_cache(maxsize=8)
def _parsed(data: bytes) -> tuple[dict[str, list[_Line]], list[_Line]]:
    """Return a file's lines by name, and those whose names are patterns or hashes.

    A fleet's file has a line for each host, and each host is looked up in it.
    """
    plain: dict[str, list[_Line]] = defaultdict(list)
    others: list[_Line] = []
    for number, text in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        fields = text.split()
        marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
        if len(fields) < 3 or fields[0].startswith("#"):
            continue
        line = _Line(number, marker, *fields[:3])
        if re.search(r"[*?!|]", line.hosts):
            others.append(line)
            continue
        for name in set(line.hosts.lower().split(",")):
            plain[name].append(line)
    return dict(plain), others


def _matches(patterns: str, name: str) -> bool:
    if patterns.startswith("|1|"):
        return _hashed(patterns, name)
    found = False
    for pattern in patterns.lower().split(","):
        text = re.escape(pattern.removeprefix("!")).replace(r"\*", ".*").replace(r"\?", ".")
        if re.fullmatch(text, name, re.DOTALL):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def _hashed(field: str, name: str) -> bool:
    parts = _unpacked(field)
    return parts is not None and hmac.digest(parts[0], name.encode(), "sha1") == parts[1]


@functools.lru_cache(maxsize=20_000)
def _unpacked(field: str) -> tuple[bytes, bytes] | None:
    """Return the salt and the digest of a hashed name; None if it is none."""
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in field[3:].split("|"))
    except ValueError:
        return None
    return salt, digest


def verify(
    host: str,
    names: Sequence[str],
    files: Sequence[Path],
    kind: str,
    print_: str,
    client: str = "paramiko",
) -> None:
    """Return if a host may be trusted by the key it offers.

    :param host: how messages call it. :param names: its names in the files, the right one
        first; as in OpenSSH, a key may also be known by a name without the port.
    :param kind: the offered key's type. :param print_: its fingerprint.
    :param client: who looks; only "ssh" can check certificates.
    :raises Unreachable: the key is unknown, changed or revoked; the text says it all.
    """
    known = {name: look_up(files, name) for name in names}
    everything = [key for name in names for key in known[name]]
    offered = f"{host} offered the {kind} host key {print_}"
    for key in everything:
        if key.marker == "@revoked" and key.fingerprint == print_:
            raise Unreachable(
                "host-key",
                f"{offered}, which {key.file}:{key.line} says is revoked: do not trust this host "
                "until its owner has given it a new key",
            )
    plain = [key for key in everything if not key.marker]
    if any(key.fingerprint == print_ for key in plain):
        return
    authorities = [key for key in everything if key.marker == "@cert-authority"]
    if plain:
        reason = _changed(plain, names[0], kind)
    elif authorities:
        reason = _uncertified(authorities, client)
    else:
        looked = ", ".join(map(str, files)) or "no file"
        reason = (
            f"and no key of {names[0]} is known (looked in {looked}): compare the fingerprint "
            "with the host's owner, then connect once with ssh to learn it"
        )
    raise Unreachable("host-key", f"{offered}, {reason}")


def _changed(plain: Sequence[KnownKey], name: str, kind: str) -> str:
    stale = [key for key in plain if key.kind == kind] or plain
    forget = f"ssh-keygen -R {shlex.quote(name)} -f {shlex.quote(str(stale[0].file))}"
    return (
        f"but it is known by {', '.join(map(str, stale))}: someone may be in between; if its owner "
        f"confirms the new key, run {forget} and connect once with ssh to learn it"
    )


def _uncertified(authorities: Sequence[KnownKey], client: str) -> str:
    where = ", ".join(f"{key.file}:{key.line}" for key in authorities)
    trusted = f"but only certificates of an authority are trusted for it ({where})"
    if client == "ssh":
        return f"{trusted}, and it showed none: have its owner renew the host's certificate"
    return f"{trusted}, which paramiko cannot check: use ssh:// for this host"
