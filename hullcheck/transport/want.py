"""What can be asked of a host, and what came back."""

from __future__ import annotations

import functools
import shlex
from dataclasses import dataclass, field

__all__ = ["Answer", "CannotAnswer", "Evidence", "Pending", "Unreachable", "Want", "read", "want"]

LIMIT = 8 * 1024 * 1024
"""Bytes of one stream of one command that are kept; more makes the answer unusable."""

SECONDS = 20.0
"""How long one command may take on the host."""

FILE_LIMIT = 1024 * 1024
"""Bytes that are read of one file."""


class CannotAnswer(Exception):
    """A probe did not give an answer; the text says why. Judged as unknown."""


class Unreachable(BaseException):
    """A host cannot be audited at all; no control can swallow it.

    :param kind: name, refused, timeout, host-key, authentication, sudo, shell or lost.
    """

    def __init__(self, kind: str, message: str) -> None:
        # Hosts and proxies have their say in it, and a person reads it in a terminal.
        printable = "".join(each if each.isprintable() else " " for each in message)
        super().__init__(" ".join(printable.split())[:2000])
        self.kind = kind


class Pending(BaseException):
    """While gathering: the answer is not known yet, and has been noted to be asked."""


@dataclass(frozen=True, slots=True)
class Want:
    """One thing to learn from a host, as a shell command that stands alone.

    :param meaning: the exit codes that are answers; any other is trouble. None: any code is an
        answer, save those with which a shell says that a command could not be run.
    :param seconds: how long the host may take.
    """

    command: str
    meaning: frozenset[int] | None = frozenset({0})
    seconds: float = SECONDS

    def __hash__(self) -> int:
        return hash(self.command)


@functools.lru_cache(maxsize=20_000)
def want(
    command: str, *args: str, meaning: tuple[int, ...] = (0,), seconds: float = SECONDS
) -> Want:
    """Return a want for a command whose ``%s`` are replaced by the arguments, quoted."""
    quoted = command % tuple(shlex.quote(arg) for arg in args) if args else command
    return Want(quoted, frozenset(meaning), seconds)


def read(path: str) -> Want:
    """Return a want for the content of a file, up to :data:`FILE_LIMIT` bytes.

    Exit code 1 (no such file, permission denied …) is an answer that stderr explains.
    """
    return want(f"head -c {FILE_LIMIT + 1} -- %s", path, meaning=(0, 1))


@dataclass(frozen=True, slots=True)
class Evidence:
    """A command, and what came of it.

    :param exit: its exit code; None when it did not end.
    :param started: seconds since the epoch, by the auditor's clock.
    :param trouble: why the answer is not whole: timed out, cut, connection lost; else empty.
    """

    command: str
    exit: int | None
    stdout: bytes = field(repr=False)
    stderr: bytes = field(repr=False)
    started: float = 0.0
    seconds: float = 0.0
    round: int = 0
    trouble: str = ""

    def in_round(self, number: int) -> Evidence:
        """Return it as the evidence of a round."""
        return Evidence(
            self.command, self.exit, self.stdout, self.stderr, self.started, self.seconds, number,
            self.trouble,
        )  # fmt: skip


@dataclass(slots=True, eq=False)
class Answer:
    """Evidence in the light of what was asked.

    :param trouble: why this is no answer, in one sentence without a full stop; empty if it is one.
    """

    want: Want
    evidence: Evidence
    trouble: str = field(init=False)

    def __post_init__(self) -> None:
        self.trouble = self._why_not()

    def _why_not(self) -> str:
        evidence, meaning = self.evidence, self.want.meaning
        if evidence.trouble:
            return f"{_short(evidence.command)}: {evidence.trouble}"
        code = evidence.exit
        if (code in meaning) if meaning is not None else self._plain_answer:
            return ""
        complaint = _first_line(evidence.stderr)
        return f"{_short(evidence.command)}: {complaint or f'exit code {code}'}"

    @property
    def _plain_answer(self) -> bool:
        """Whether a command of testinfra's own modules gave an answer."""
        code = self.evidence.exit
        if code in (126, 127) and not self.evidence.command.startswith("command -v "):
            return False
        denied = b"ermission denied" in self.evidence.stderr
        return not (code and denied)

    @property
    def exit(self) -> int:
        """The exit code; of an answer, one of those that mean something.

        :raises CannotAnswer: there was trouble.
        """
        if self.trouble or self.evidence.exit is None:
            raise CannotAnswer(self.trouble or f"{_short(self.want.command)}: did not end")
        return self.evidence.exit

    @property
    def output(self) -> bytes:
        """Standard output, byte for byte. :raises CannotAnswer: there was trouble."""
        _ = self.exit
        return self.evidence.stdout

    @property
    def text(self) -> str:
        """Standard output as UTF-8; other bytes become surrogates, so nothing is lost.

        :raises CannotAnswer: there was trouble.
        """
        return self.output.decode("utf-8", "surrogateescape")

    @property
    def complaint(self) -> str:
        """The first line of standard error."""
        return _first_line(self.evidence.stderr)


def _first_line(text: bytes) -> str:
    lines = [line for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[0][:300] if lines else ""


def _short(command: str) -> str:
    return command if len(command) <= 100 else f"{command[:97]}..."
