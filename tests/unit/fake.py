"""Hosts made of a few answers, for tests without a host."""

from __future__ import annotations

from collections.abc import Mapping

from testinfra.host import Host

from hullcheck.transport import Evidence, Session, host_of
from hullcheck.transport.recording import Replay

Reply = str | bytes | tuple[int, str | bytes] | tuple[int, str | bytes, str | bytes]


def host_with(answers: Mapping[str, Reply]) -> Host:
    """Return a host that answers these commands: output, (exit, output) or (exit, out, err)."""
    return host_of(Session(Replay(_evidence(*pair) for pair in answers.items())), "fake", "fake")


def _evidence(command: str, reply: Reply) -> Evidence:
    code, out, err = (0, reply, "") if isinstance(reply, str | bytes) else (*reply, "")[:3]
    return Evidence(command, code, _bytes(out), _bytes(err))


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
