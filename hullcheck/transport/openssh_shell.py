"""Shells over the OpenSSH client: for FIDO keys, GSSAPI, host certificates and old servers."""

from __future__ import annotations

import contextlib
import math
import shlex
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

from hullcheck.transport.batch import Lost, Sink
from hullcheck.transport.doors import door
from hullcheck.transport.local import Program
from hullcheck.transport.openssh_log import explain
from hullcheck.transport.paramiko_link import AUTH_SECONDS, CONNECT_SECONDS
from hullcheck.transport.ssh_config import Settings, own_options, resolve, route
from hullcheck.transport.sudo import Gate, Sudo
from hullcheck.transport.target import Target
from hullcheck.transport.want import Unreachable

__all__ = ["OpenSSHShell"]

STRICT = (
    "BatchMode=yes", "StrictHostKeyChecking=yes", "ForwardAgent=no", "ForwardX11=no",
    "ClearAllForwardings=yes", "PermitLocalCommand=no", "RemoteCommand=none", "RequestTTY=no",
    "Tunnel=no", "UpdateHostKeys=no", "AddKeysToAgent=no", "VisualHostKey=no",
    "ServerAliveInterval=15", "ServerAliveCountMax=2",
)  # fmt: skip

SOCKET = "s"

IDLE_SECONDS = 600
"""After how long without use a forgotten master ends by itself."""


class OpenSSHShell:
    """``/bin/sh -s`` on a host, over one master connection that lives until :meth:`close`."""

    def __init__(self, target: Target, sudo: Sudo | None, timeout: float | None) -> None:
        self._target = target
        self._sudo = sudo
        self._timeout = timeout
        self._hops: list[Settings] = []
        self._directory: Path | None = None
        self._end: Callable[[], object] | None = None
        self._program = Program()

    def open(self) -> None:
        """Connect, unless connected. :raises Unreachable: why not, and what to do."""
        if self._directory is not None:
            return
        self._hops = route(resolve(self._target))
        # Sockets may have paths of 104 bytes at most; macOS's own temporary ones are long.
        short = "/tmp" if Path("/tmp").is_dir() else None  # noqa: S108
        self._directory = Path(tempfile.mkdtemp(prefix="hc-", dir=short))
        self._end = weakref.finalize(self, _end, self._directory)
        try:
            with door(self._hops):
                self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        command = self._ssh("ControlMaster=yes", f"ControlPersist={IDLE_SECONDS}")
        budget = AUTH_SECONDS + sum(self._seconds(hop) for hop in self._hops)
        log = self._log(len(self._hops) - 1)
        with self._stderr.open("wb") as stderr:
            try:
                done = subprocess.run(
                    [*command, "-v", "-E", str(log), "-f", "-N", "--", self._target.address],
                    check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    stderr=stderr, timeout=budget, start_new_session=True,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                raise Unreachable(
                    "timeout", f"{self._target.address}: no login within {budget:g} s"
                ) from None
        if done.returncode != 0:
            raise self._failure()

    def _failure(self) -> Unreachable:
        logs = [self._log(position) for position in range(len(self._hops))]
        texts = [_text(log) for log in logs]
        texts[-1] += _text(self._stderr)
        return explain(list(zip(self._hops, texts, strict=True)))

    def stream(self, script: bytes, sink: Sink) -> None:
        """Run a script on the host. See :class:`hullcheck.transport.batch.Shell`."""
        self.open()
        sudo = None if self._program.kept else self._sudo
        gate = Gate(script, sink, sudo, self._target.name)
        command = self._ssh("ControlMaster=no", "LogLevel=ERROR")
        code = self._program.run([*command, "--", self._target.address, gate.command], gate)
        if code == 255 and not gate.finished and not _control(self._socket, "check"):
            self.close()
            raise Lost("the server hung up")
        if not sink.started:
            self.close()
        gate.conclude()

    def close(self) -> None:
        """End the master connection and remove its socket; at the latest when Python ends."""
        self._program.end()
        self._directory = None
        if self._end is not None:
            self._end()

    @property
    def _socket(self) -> Path:
        assert self._directory
        return self._directory / SOCKET

    @property
    def _stderr(self) -> Path:
        assert self._directory
        return self._directory / "stderr"

    def _log(self, position: int) -> Path:
        assert self._directory
        return self._directory / f"log{position}"

    def _seconds(self, hop: Settings) -> float:
        return self._timeout or hop.connect_timeout or CONNECT_SECONDS

    def _ssh(self, *options: str) -> list[str]:
        """Return the client's command line for the host, up to its name."""
        command = _command([*options, f"ControlPath={self._socket}"], self._target.ssh_config)
        command += ["-o", f"ConnectTimeout={math.ceil(self._seconds(self._hops[-1]))}"]
        if len(self._hops) > 1:
            command += ["-o", f"ProxyCommand={self._proxy()}"]
        if self._target.port is not None:
            command += ["-p", str(self._target.port)]
        if self._target.user is not None:
            command += ["-l", self._target.user]
        return [*command, *own_options(self._target)]

    def _proxy(self) -> str:
        """Return a ProxyCommand that goes through all hops before the last.

        ssh's own ProxyJump would leave each hop to what the user's configuration says of
        host keys.
        """
        through = ""
        for position, hop in enumerate(self._hops[:-1]):
            command = _command(
                ["ControlMaster=no", "ControlPath=none", "LogLevel=DEBUG1"], hop.config
            )
            command += ["-o", f"ConnectTimeout={math.ceil(self._seconds(hop))}"]
            if through:
                command += ["-o", f"ProxyCommand={through}"]
            command += ["-E", str(self._log(position)), "-p", str(hop.port), "-l", hop.user]
            words = [*(word.replace("%", "%%") for word in command), "-W", "[%h]:%p", "--"]
            through = shlex.join([*words, hop.alias.replace("%", "%%")])
        return through


def _command(options: Sequence[str], config: Path | None) -> list[str]:
    flags = [flag for option in (*STRICT, *options) for flag in ("-o", option)]
    return ["ssh", "-T", "-a", "-x", *flags, *(["-F", str(config)] if config else [])]


def _end(directory: Path) -> None:
    if (directory / SOCKET).exists():
        _control(directory / SOCKET, "exit")
    shutil.rmtree(directory, ignore_errors=True)


def _control(path: Path, request: str) -> bool:
    """Ask a master connection something; return whether it agreed."""
    command = ["ssh", "-F", "none", "-S", str(path), "-O", request, "--", "host"]
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, timeout=5,
        )  # fmt: skip
        return done.returncode == 0
    return False


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except FileNotFoundError:
        return ""
