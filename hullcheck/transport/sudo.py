"""Becoming root on the host: what is written to a shell, and when.

Without a password ``sudo -n`` runs the shell and the script is sent at once. With one, sudo
prompts with a word that only we know, on standard error; the password is sent when the prompt
has come, and the script when the shell itself has answered, so that neither can end up where
the other belongs, and a wrong password costs one attempt.
"""

from __future__ import annotations

import secrets
import shlex
from dataclasses import dataclass, field

from hullcheck.transport.batch import Sink
from hullcheck.transport.want import Unreachable

__all__ = ["Gate", "Sudo"]


@dataclass(frozen=True, slots=True)
class Sudo:
    """Whether sudo is used, and how.

    :param user: whom to become; "" for root.
    :param password: None: sudo must not need one.
    """

    user: str = ""
    password: str | None = field(default=None, repr=False)


class Gate:
    """One script on its way to a shell, and that shell's output on its way to a sink.

    A pump writes what :meth:`take` gives, hands on what it reads, and ends when ``finished``.
    """

    def __init__(self, script: bytes, sink: Sink, sudo: Sudo | None, name: str = "") -> None:
        self._script = script
        self._sink = sink
        self._sudo = sudo
        self._name = name
        nonce = secrets.token_hex(16)
        self._prompt = f"hc-password-{nonce}"
        self._ready = f"hc-ready-{nonce}"
        self._told = bytearray()
        self._prompts = 0
        self._open = sudo is None or sudo.password is None
        self._outbox = script if self._open else b""

    @property
    def argv(self) -> list[str]:
        """The program to start."""
        if self._sudo is None:
            return ["/bin/sh", "-s"]
        user = ["-u", self._sudo.user] if self._sudo.user else []
        if self._sudo.password is None:
            return ["sudo", "-n", *user, "/bin/sh", "-s"]
        shell = f"echo {self._ready} >&2; exec /bin/sh -s"
        return ["sudo", "-S", "-k", "-p", self._prompt, *user, "/bin/sh", "-c", shell]

    @property
    def command(self) -> str:
        """The program to start, as any login shell understands it."""
        return shlex.join(self.argv)

    @property
    def whole(self) -> bool:
        """Whether the script ran to its end."""
        return self._sink.whole

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to read."""
        return self._sink.finished or self._prompts > 1

    @property
    def deadline(self) -> float:
        """When, by ``time.monotonic``, to stop waiting."""
        return self._sink.deadline

    def take(self) -> bytes:
        """Return what is to be written now, once."""
        outbox, self._outbox = self._outbox, b""
        return outbox

    def out(self, data: bytes) -> None:
        """Take bytes of standard output."""
        self._sink.out(data)

    def err(self, data: bytes) -> None:
        """Take bytes of standard error."""
        if self._open:
            self._sink.err(data)
            return
        self._told += data
        assert self._sudo and self._sudo.password is not None
        prompts = self._told.count(self._prompt.encode())
        if prompts > self._prompts:
            self._prompts = prompts
            if prompts == 1:
                self._outbox += self._sudo.password.encode("utf-8", "surrogateescape") + b"\n"
        _, ready, after = bytes(self._told).partition(f"{self._ready}\n".encode())
        if ready:
            self._open = True
            self._outbox = self._script
            self._sink.err(after)

    def conclude(self) -> None:
        """Say so if the shell never came.

        :raises Unreachable: sudo did not let us; the text says why.
        """
        if self._sudo is None or self._sink.started:
            return
        told = self._told.decode("utf-8", "replace").replace(self._prompt, "")
        said = " ".join(told.split()) or self._sink.preamble
        whom = self._sudo.user or "root"
        raise Unreachable("sudo", f"{self._name}: sudo to {whom} failed: {self._why(said)}")

    def _why(self, said: str) -> str:
        if self._prompts > 1 or "incorrect password" in said or "no password was provided" in said:
            return "the password is wrong"
        if "password is required" in said or "terminal is required" in said:
            return "it wants a password: use --ask-sudo-pass, or allow NOPASSWD for /bin/sh"
        if "must have a tty" in said:
            return "it wants a terminal: take requiretty out of sudoers for this user"
        if "not found" in said or "Unknown command" in said:
            return f"there is no sudo on the host ({said}): drop --sudo if the user is root already"
        return said or "it said nothing"
