"""The keys a person may log in with: what the agent holds, and private key files."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from paramiko.agent import AgentSSH
from paramiko.message import Message
from paramiko.pkey import PublicBlob, UnknownKeyType

from hullcheck.transport.ssh_config import Settings

__all__ = ["Identities", "Identity", "find_identities"]


@dataclass(frozen=True, slots=True)
class Identity:
    """One key to try, and how messages call it."""

    key: paramiko.PKey
    label: str


@dataclass(slots=True)
class Identities:
    """Keys in the order in which they are tried, and what was left aside, and why."""

    keys: list[Identity] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    agent: _Agent | None = None

    def close(self) -> None:
        """Close the connection to the agent."""
        if self.agent is not None:
            self.agent.close()


class _Agent(AgentSSH):
    """The agent behind a socket; paramiko's own knows only SSH_AUTH_SOCK."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout)
            connection.connect(path)
            self._connect(connection)  # type: ignore[attr-defined]
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        self._close()  # type: ignore[attr-defined]


AGENT_SECONDS = 30.0
"""How long an agent may take to sign: a person may have to confirm."""


def find_identities(settings: Settings) -> Identities:
    """Collect the keys as ssh does: those of the agent that are configured, the agent's other
    keys unless IdentitiesOnly, then the key files; each with its certificate first, if any.
    """
    found = Identities()
    certificates = _certificates(settings, found)
    public = [blob for file in settings.identity_files if (blob := _public(file))]
    held = _agent_keys(settings, found)
    wanted = {*public, *(blob for blob, _ in certificates)}
    configured = [key for key in held if key.asbytes() in wanted]
    others = [key for key in held if key not in configured]
    for key in [*configured, *([] if settings.identities_only else others)]:
        found.keys += _with_certificates(key, f"agent key {key.comment or key.name}", certificates)
    offered = {each.key.asbytes() for each in found.keys}
    for file in settings.identity_files:
        loaded = _private(file, found, offered)
        if loaded is not None:
            found.keys += _with_certificates(loaded, str(file), certificates)
    return found


def _agent_keys(settings: Settings, found: Identities) -> list[paramiko.AgentKey]:
    path = settings.identity_agent or os.environ.get("SSH_AUTH_SOCK", "")
    if path in ("", "none"):
        return []
    try:
        found.agent = _Agent(path, AGENT_SECONDS)
    except (OSError, paramiko.SSHException) as error:
        found.skipped.append(f"agent {path} ({_reason(error)})")
        return []
    return list(found.agent.get_keys())


def _with_certificates(
    key: paramiko.PKey, label: str, certificates: Iterable[tuple[bytes, PublicBlob]]
) -> list[Identity]:
    """Return a key, and before it the same key once for each certificate made for it."""
    own = getattr(key, "public_blob", None)
    if own is not None:
        return [Identity(key, label)]
    found = []
    for blob, certificate in certificates:
        if blob == key.asbytes():
            found.append(Identity(_Certified(key, certificate), f"{label} with its certificate"))
    return [*found, Identity(key, label)]


class _Certified(paramiko.PKey):
    """A key that presents itself by a certificate, and signs as it always did."""

    def __init__(self, key: paramiko.PKey, certificate: PublicBlob) -> None:
        self._key = key
        self.public_blob = certificate

    def asbytes(self) -> bytes:
        return bytes(self._key.asbytes())

    def get_name(self) -> str:
        return str(self._key.get_name())

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> Message:
        return self._key.sign_ssh_data(data, algorithm)


def _certificates(settings: Settings, found: Identities) -> list[tuple[bytes, PublicBlob]]:
    """Return certificates, each with the public key that it is for."""
    beside = [Path(f"{file}-cert.pub") for file in settings.identity_files]
    certificates = []
    for file in [*settings.certificate_files, *beside]:
        try:
            certificate = PublicBlob.from_file(str(file))
            certificates.append((_certified_key(certificate), certificate))
        except FileNotFoundError:
            if file in settings.certificate_files:
                found.skipped.append(f"{file} (no such file)")
        except Exception as error:  # a damaged certificate may make its parser raise anything
            found.skipped.append(f"{file} ({_reason(error)})")
    return certificates


def _certified_key(certificate: PublicBlob) -> bytes:
    """Return the public key inside a certificate (OpenSSH's PROTOCOL.certkeys)."""
    message = Message(certificate.key_blob)
    kind = message.get_text().replace("-cert-v01@openssh.com", "")
    message.get_binary()
    plain = Message()
    plain.add_string(kind)
    for _ in range(1 if kind == "ssh-ed25519" else 2):
        plain.add_string(message.get_binary())
    return plain.asbytes()


def _public(file: Path) -> bytes | None:
    """Return the public half of a key file, which is there even if the key is locked."""
    for path in (Path(f"{file}.pub"), file):
        with contextlib.suppress(OSError, ValueError):
            return bytes(PublicBlob.from_file(str(path)).key_blob)
    return None


def _private(file: Path, found: Identities, offered: set[bytes]) -> paramiko.PKey | None:
    """Return the key of a file, unless there is none or the agent has offered it already."""
    if _public(file) in offered:
        return None
    try:
        key = paramiko.PKey.from_path(str(file))
    except FileNotFoundError:
        if file.parent != Path.home() / ".ssh":
            found.skipped.append(f"{file} (no such file)")
        return None
    except (paramiko.PasswordRequiredException, TypeError):
        found.skipped.append(f"{file} (it has a passphrase: add it to the agent)")
        return None
    except (UnknownKeyType, UnsupportedAlgorithm):
        found.skipped.append(f"{file} (paramiko cannot use this type of key: try ssh://)")
        return None
    except Exception as error:  # a damaged key file may make its parsers raise anything
        found.skipped.append(f"{file} ({_reason(error)})")
        return None
    key.public_blob = None
    return None if key.asbytes() in offered else key


def _reason(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) else ""
    return said or str(error)[:120] or type(error).__name__
