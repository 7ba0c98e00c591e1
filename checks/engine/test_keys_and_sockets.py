"""Who owns the keys, certificates and sockets of a Docker engine, and who else may use them."""

from __future__ import annotations

from hullcheck.control import control
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.engine_files import EngineFile

from .ownership import expect_mode, expect_owner


@control(
    title="Only root can replace the certificates for registries",
    severity="high",
    level=1,
    fix="chown root:root every file below /etc/docker/certs.d, and take the directories on the "
    "way from others.",
)
def test_registry_certificates_owner(registry_certificate: EngineFile, accounts: Accounts) -> None:
    """A certificate here decides which server is taken for a registry. Whoever can replace one
    can serve images of their own making under trusted names."""
    expect_owner(registry_certificate, accounts)


@control(
    title="Certificates for registries are read-only, and their keys private",
    severity="high",
    level=1,
    fix="chmod 0444 the .crt and .cert files below /etc/docker/certs.d, and chmod 0400 the .key "
    "files.",
)
def test_registry_certificates_mode(registry_certificate: EngineFile) -> None:
    """Certificates are public, but nobody should write them. A client key proves to the
    registry that this host is asking: only the engine needs to read it."""
    expect_mode(registry_certificate, 0o400 if registry_certificate.is_private_key else 0o444)


@control(
    title="Only root can replace the authority that vouches for API clients",
    severity="critical",
    level=1,
    fix="chown root:root the file that tlscacert names, and take the directories on the way from "
    "others.",
)
def test_tls_ca_owner(tls_ca: EngineFile, accounts: Accounts) -> None:
    """Each certificate that this authority signs opens the engine's API. Whoever can put their
    own authority in its place can sign their own way to root."""
    expect_owner(tls_ca, accounts)


@control(
    title="The authority that vouches for API clients is read-only",
    severity="high",
    level=1,
    fix="chmod 0444 the file that tlscacert names, or tighter.",
)
def test_tls_ca_mode(tls_ca: EngineFile) -> None:
    """The certificate is public and may be read; a write to it changes who may command the
    engine."""
    expect_mode(tls_ca, 0o444)


@control(
    title="Only root can replace the certificate of the engine's API",
    severity="high",
    level=1,
    fix="chown root:root the file that tlscert names, and take the directories on the way from "
    "others.",
)
def test_tls_certificate_owner(tls_certificate: EngineFile, accounts: Accounts) -> None:
    """Clients know the engine by this certificate. Whoever replaces it, with the key, can stand
    between them and the engine."""
    expect_owner(tls_certificate, accounts)


@control(
    title="The certificate of the engine's API is read-only",
    severity="medium",
    level=1,
    fix="chmod 0444 the file that tlscert names, or tighter.",
)
def test_tls_certificate_mode(tls_certificate: EngineFile) -> None:
    """The certificate is public and may be read; nobody has a reason to write it between two
    renewals."""
    expect_mode(tls_certificate, 0o444)


@control(
    title="Only root owns the private key of the engine's API",
    severity="critical",
    level=1,
    fix="chown root:root the file that tlskey names, and take the directories on the way from "
    "others.",
)
def test_tls_key_owner(tls_key: EngineFile, accounts: Accounts) -> None:
    """With the key anybody can pose as this engine to its clients. Its owner can read it
    whatever its mode says."""
    expect_owner(tls_key, accounts)


@control(
    title="Nobody but root can read the private key of the engine's API",
    severity="critical",
    level=1,
    fix="chmod 0400 the file that tlskey names; setfacl -b FILE.",
)
def test_tls_key_mode(tls_key: EngineFile) -> None:
    """With the key anybody can pose as this engine to its clients, and read what they send."""
    expect_mode(tls_key, 0o400)


@control(
    title="The engine's socket belongs to root and to the group meant for it",
    severity="critical",
    level=1,
    fix="chown root:docker the socket (or the group that the engine's group setting names), and "
    "correct the setting or SocketGroup= that made it so.",
)
def test_api_socket_owner(api_socket: EngineFile, accounts: Accounts) -> None:
    """Whoever can write to the socket is root on this host. Its group is a list of people with
    root's rights: it must be the one that was chosen for that."""
    expect_owner(api_socket, accounts)


@control(
    title="Only the owner and group of the engine's socket can use it",
    severity="critical",
    level=1,
    fix="chmod 0660 the socket; setfacl -b SOCKET; and correct SocketMode= in the socket unit.",
)
def test_api_socket_mode(api_socket: EngineFile) -> None:
    """Whoever can write to the socket is root on this host: they start a container that mounts
    the host's root file system."""
    expect_mode(api_socket, 0o660)


@control(
    title="The socket of containerd belongs to root",
    severity="critical",
    level=1,
    fix="chown root:root the socket, and set uid and gid to 0 under grpc in containerd's "
    "config.toml.",
)
def test_containerd_socket_owner(containerd_socket: EngineFile, accounts: Accounts) -> None:
    """containerd starts containers for whoever can write to its socket and asks nothing of the
    engine above it: no authorization plugin, no log of the engine."""
    expect_owner(containerd_socket, accounts)


@control(
    title="Only the owner and group of containerd's socket can use it",
    severity="critical",
    level=1,
    fix="chmod 0660 the socket, or tighter; setfacl -b SOCKET.",
)
def test_containerd_socket_mode(containerd_socket: EngineFile) -> None:
    """Whoever can write to the socket can start a container with every right, past all that the
    engine forbids."""
    expect_mode(containerd_socket, 0o660)
