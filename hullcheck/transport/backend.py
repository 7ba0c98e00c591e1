"""testinfra's view of a session: a backend whose every command goes through our own wires."""

from __future__ import annotations

import re
from typing import Any

import testinfra.host
from testinfra.backend.base import BaseBackend, CommandResult

from hullcheck.transport.session import Session
from hullcheck.transport.want import CannotAnswer, Want

__all__ = ["Backend", "host_of", "session_of"]

_TEST = re.compile(r"test -[a-zA-Z] ('[^']*'|[\w./@:+,=-]+)", re.ASCII)


class Backend(BaseBackend):  # type: ignore[misc]
    """Runs testinfra's commands through a :class:`Session`."""

    NAME = "hullcheck"

    def __init__(self, session: Session, name: str, scheme: str) -> None:
        super().__init__(name)
        self.session = session
        self.scheme = scheme
        self._encoding = "utf-8"

    def get_pytest_id(self) -> str:
        return f"{self.scheme}://{self.hostname}"

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:
        """Run a command; any exit code is an answer.

        :raises CannotAnswer: it could not be run, did not end, or its output was cut.
        """
        asked = Want(self.get_command(command, *args), None)
        answer = self.session.ask(asked)[0]
        evidence = answer.evidence
        if evidence.trouble or evidence.exit is None:
            raise CannotAnswer(answer.trouble)
        if evidence.exit == 1 and (tested := _TEST.fullmatch(asked.command)):
            self._really_absent(tested[1])
        return self.result(
            evidence.exit, evidence.command.encode(), evidence.stdout, evidence.stderr
        )

    def _really_absent(self, path: str) -> None:
        """Tell a file that is not there from one that may not be seen: test(1) does not."""
        answer = self.session.ask(Want(f"stat -- {path}", frozenset({0, 1})))[0]
        if answer.trouble or "ermission denied" in answer.complaint:
            raise CannotAnswer(answer.trouble or answer.complaint)


def host_of(session: Session, name: str, scheme: str) -> testinfra.host.Host:
    """Return a testinfra host that speaks through a session."""
    backend = Backend(session, name, scheme)
    host = testinfra.host.Host(backend)
    backend.set_host(host)
    return host


def session_of(host: testinfra.host.Host) -> Session:
    """Return the session behind a host."""
    session: Session = host.backend.session
    return session
