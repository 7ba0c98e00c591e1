"""A connection of our own over paramiko: dialled, host key checked, logged in."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shlex
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from hullcheck.transport.identities import Identities, find_identities
from hullcheck.transport.known_hosts import fingerprint, look_up, verify
from hullcheck.transport.ssh_config import Settings, expand
from hullcheck.transport.want import Unreachable

__all__ = ["Link"]

# What goes wrong is raised; paramiko's own report of it would end up on the terminal.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

CONNECT_SECONDS = 10.0
"""How long a host may take to answer, where neither the user nor ssh_config says."""

AUTH_SECONDS = 30.0
KEEPALIVE = 15


class Link:
    """A chain of SSH connections, one through the other; the last one leads to the host."""

    def __init__(
        self, hops: Sequence[Settings], timeout: float | None, password: str | None
    ) -> None:
        """Connect to the last of some hops.

        :param timeout: seconds for each hop to connect and agree on keys; None: what ssh_config
            says, else 10.
        :param password: for the last hop, tried after all keys.
        :raises Unreachable: why not, and what to do.
        """
        self._hops: list[_Transport] = []
        self._command: _ProxyCommand | None = None
        self.name = hops[-1].alias
        try:
            for position, hop in enumerate(hops):
                last = position == len(hops) - 1
                seconds = timeout or hop.connect_timeout or CONNECT_SECONDS
                self._reach(hop, seconds, password if last else None)
        except BaseException as error:
            self.close()
            # What a hostile server sends may make paramiko raise anything.
            if isinstance(error, Unreachable) or not isinstance(error, Exception):
                raise
            said = str(error) or type(error).__name__
            raise Unreachable("lost", f"{self.name}: the connection broke: {said}") from error

    @property
    def transport(self) -> paramiko.Transport:
        """The connection to the host itself."""
        return self._hops[-1]

    def close(self) -> None:
        """Close every connection of the chain, the host's first."""
        for transport in reversed(self._hops):
            transport.close()
            transport.sock.close()
        if self._command is not None:
            self._command.close()

    def _reach(self, hop: Settings, timeout: float, password: str | None) -> None:
        end = time.monotonic() + timeout
        transport = _Transport(self._dial(hop, timeout))
        self._hops.append(transport)
        # Longer than our own limit, so that a timeout and a hang-up can be told apart.
        transport.banner_timeout = transport.handshake_timeout = timeout + 5
        transport.auth_timeout = AUTH_SECONDS
        _prefer_known(transport, hop)
        try:
            _agree(transport, hop, max(0.1, end - time.monotonic()), timeout)
        except Unreachable as refusal:
            if len(self._hops) == 1 and self._command and (said := self._command.complaint):
                raise Unreachable(
                    refusal.kind, f"{refusal}; its ProxyCommand said: {said}"
                ) from None
            raise
        key = transport.get_remote_server_key()
        label = hop.alias if hop.alias == hop.hostname else f"{hop.alias} ({hop.hostname})"
        verify(label, hop.key_names, hop.known_hosts, key.get_name(), fingerprint(key.asbytes()))
        _log_in(transport, hop, password)
        transport.set_keepalive(KEEPALIVE)

    def _dial(self, hop: Settings, timeout: float) -> Any:
        if self._hops:
            return self._through(hop, timeout)
        if hop.proxy_command:
            self._command = _ProxyCommand(hop)
            return self._command.socket
        return _connect(hop, timeout)

    def _through(self, hop: Settings, timeout: float) -> paramiko.Channel:
        where = (hop.hostname, hop.port)
        try:
            return self._hops[-1].open_channel(
                "direct-tcpip", where, ("127.0.0.1", 0), timeout=timeout
            )
        except paramiko.ChannelException as error:
            kind = "refused" if error.code == 2 else "lost"
            raise Unreachable(
                kind, f"{hop.alias}: its jump host could not reach {hop.place}: {error.text}"
            ) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            kind = "timeout" if "Timeout" in str(error) else "lost"
            raise Unreachable(
                kind, f"{hop.alias}: its jump host did not get through to {hop.place}: {error}"
            ) from error


class _Transport(paramiko.Transport):
    """paramiko's transport, which also tells why the other side hung up."""

    farewell = ""

    def _parse_disconnect(self, m: paramiko.Message) -> None:
        m.get_int()
        self.farewell = m.get_text()


class _ProxyCommand:
    """A ProxyCommand, and the socket whose other end is its standard input and output."""

    def __init__(self, hop: Settings) -> None:
        ours, theirs = socket.socketpair()
        command = expand(hop.proxy_command, hop)
        shell = os.environ.get("SHELL") or "/bin/sh"
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [shell, "-c", f"exec {command}"], stdin=theirs.fileno(), stdout=theirs.fileno(),
                    stderr=self._stderr, start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                ours.close()
                self._stderr.close()
                raise Unreachable(
                    "name",
                    f"{hop.alias}: {shlex.quote(shell)} cannot run its ProxyCommand: {error}",
                ) from error
        self.socket = ours

    @property
    def complaint(self) -> str:
        """The end of what it wrote on standard error."""
        self._stderr.seek(0)
        return self._stderr.read().decode("utf-8", "replace")[-300:].strip()

    def close(self) -> None:
        self.socket.close()
        self._process.terminate()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()


def _connect(hop: Settings, timeout: float) -> socket.socket:
    end = time.monotonic() + timeout
    try:
        places = socket.getaddrinfo(hop.hostname, hop.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", "") or str(error)
        raise Unreachable(
            "name",
            f"{hop.alias}: the name {hop.hostname} does not resolve ({reason}): correct it, or "
            "give the host an address in ~/.ssh/config or in the inventory",
        ) from error
    failure: OSError = TimeoutError()
    for left, (family, kind, protocol, _, address) in zip(
        range(len(places), 0, -1), places, strict=True
    ):
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(max(0.1, (end - time.monotonic()) / left))
        try:
            connection.connect(address)
        except OSError as error:
            connection.close()
            failure = error
            continue
        _tune(connection)
        return connection
    raise _no_connection(hop, failure, timeout) from failure


def _tune(connection: socket.socket) -> None:
    """Send at once, and notice within half a minute that the other side is gone."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)


def _no_connection(hop: Settings, failure: OSError, timeout: float) -> Unreachable:
    if isinstance(failure, TimeoutError):
        return _silent(hop, timeout)
    if failure.errno == errno.ECONNREFUSED:
        return Unreachable(
            "refused",
            f"{hop.alias}: {hop.place} refused the connection: see that sshd runs there, and that "
            "the port is right",
        )
    return Unreachable("refused", f"{hop.alias}: {hop.place}: {failure.strerror or failure}")


def _silent(hop: Settings, timeout: float) -> Unreachable:
    return Unreachable(
        "timeout",
        f"{hop.alias}: {hop.place} did not answer as an SSH server within {timeout:g} s: see that "
        "the host is up and that no firewall is in between, or allow more with --connect-timeout",
    )


def _prefer_known(transport: paramiko.Transport, hop: Settings) -> None:
    """Ask for a host key of a type that is known, where there is one."""
    known = {key.kind for name in hop.key_names for key in look_up(hop.known_hosts, name)}
    if "ssh-rsa" in known:
        known |= {"rsa-sha2-512", "rsa-sha2-256"}
    options = transport.get_security_options()
    preferred = [kind for kind in options.key_types if kind in known]
    options.key_types = (*preferred, *(kind for kind in options.key_types if kind not in known))


def _agree(transport: _Transport, hop: Settings, left: float, timeout: float) -> None:
    try:
        transport.start_client(timeout=left)
    except IncompatiblePeer as error:
        raise Unreachable(
            "lost", f"{hop.alias}: paramiko and this server have no method in common ({error}): "
            "use ssh:// for this host",
        ) from error  # fmt: skip
    except (paramiko.SSHException, EOFError, OSError) as error:
        said = transport.farewell or str(error) or "it closed the connection"
        raise Unreachable(
            "lost", f"{hop.alias}: {hop.place} broke off before keys were agreed on: {said}"
        ) from error
    if not transport.initial_kex_done:
        raise _silent(hop, timeout)


def _log_in(transport: _Transport, hop: Settings, password: str | None) -> None:
    identities = find_identities(hop)
    try:
        _try_all(transport, hop, identities, password)
    finally:
        identities.close()


def _try_all(
    transport: _Transport, hop: Settings, identities: Identities, password: str | None
) -> None:
    """Try every key, then the password.

    :raises Unreachable: none of them was accepted; the text names them.
    """
    tried: list[str] = []
    allowed: list[str] = []
    for identity in identities.keys:
        tried.append(identity.label)
        try:
            allowed = transport.auth_publickey(hop.user, identity.key)
        except paramiko.BadAuthenticationType as error:
            allowed = error.allowed_types
            break
        except (paramiko.SSHException, EOFError, OSError) as error:
            if not transport.is_active() or "timeout" in str(error):
                raise _turned_away(transport, hop, identities, tried, error) from error
            continue
        if transport.is_authenticated():
            return
        break
    if password is not None:
        tried.append("the password")
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
            transport.auth_password(hop.user, password)
        if transport.is_authenticated():
            return
    elif allowed:
        tried.append(f"but the server wants {' or '.join(allowed)}")
    raise _turned_away(transport, hop, identities, tried, None)


def _turned_away(
    transport: _Transport,
    hop: Settings,
    identities: Identities,
    tried: Sequence[str],
    error: Exception | None,
) -> Unreachable:
    offers = f"tried {', '.join(tried)}" if tried else "there was no key to try"
    if identities.skipped:
        offers += f"; left aside {', '.join(identities.skipped)}"
    who = f"{hop.alias}: {hop.hostname} did not let {hop.user} in"
    if "oo many authentication failures" in transport.farewell:
        return Unreachable(
            "authentication",
            f"{who}: too many keys were offered before the right one ({offers}): name the key with "
            "IdentityFile and set IdentitiesOnly yes for this host",
        )
    if error is not None and "timeout" in str(error):
        return Unreachable(
            "timeout", f"{hop.alias}: the login took more than {AUTH_SECONDS:g} s ({offers})"
        )
    if error is not None and not transport.farewell and not isinstance(
        error, paramiko.AuthenticationException
    ):  # fmt: skip
        return Unreachable("lost", f"{who}: the connection broke during login: {error}")
    reason = f" ({transport.farewell})" if transport.farewell else ""
    return Unreachable(
        "authentication",
        f"{who}{reason}: {offers}; see which user and key ssh {shlex.quote(hop.alias)} uses",
    )
