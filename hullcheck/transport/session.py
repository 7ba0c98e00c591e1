"""One host's session: what is known of it so far, and the wire that brings more."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from hullcheck.transport.consulted import Consulted, Consulting
from hullcheck.transport.want import Answer, Evidence, Pending, Want

__all__ = ["Session", "Wire"]

Value = TypeVar("Value")
ROUNDS = 30
"""More rounds than any chain of questions needs; what is still open is asked one by one."""

OF_CLUSTER = "GET /"
"""How begins what only the API of a cluster is asked: so its recordings are told."""

HELD = 64 * 1024 * 1024
"""Bytes that are kept of one host in all: many are audited at once."""

Redactor = Callable[[Evidence], Evidence]


class Wire(Protocol):
    """A way to put wants to a host, many at once."""

    def perform(self, wants: Sequence[Want]) -> Iterator[Evidence]:
        """Yield the evidence of each want, in their order.

        :raises Unreachable: the host cannot be reached, or not as the user that was asked for.
        """
        ...

    def close(self) -> None:
        """End the connection and whatever was started for it."""
        ...


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of a question."""

    value: Any
    error: Exception | None = None

    def get(self) -> Any:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value


@dataclass(frozen=True, slots=True)
class _Remembered:
    outcome: _Outcome
    consulted: Consulted


class Session:
    """The memory of one host. Each command is asked once; all answers are kept, in order.

    While it gathers, a want whose answer is not known is noted and raises
    :class:`Pending`; all that was noted is then asked together.

    :param cluster: whether what answers is the API of a cluster, which runs no commands.
    """

    def __init__(
        self,
        wire: Wire,
        redact: Redactor = lambda evidence: evidence,
        *,
        cluster: bool = False,
    ) -> None:
        self.wire = wire
        self.cluster = cluster
        self.recording: list[Evidence] = []
        self.gathering = False
        self.rounds = 0
        self.late = 0
        self._held = 0
        self._redact = redact
        self._lines: dict[str, int] = {}
        self._noted: dict[str, Want] = {}
        self._open: list[Consulted] = []
        self._memory: dict[Hashable, _Remembered] = {}
        self._stuck: dict[Hashable, Callable[[], object]] = {}

    def preload(self, evidence: Iterable[Evidence]) -> None:
        """Know a recording from the start; its line numbers stay what they are."""
        for each in evidence:
            self._lines[each.command] = len(self.recording)
            self.recording.append(each)
            self.cluster |= each.command.startswith(OF_CLUSTER)

    def ask(self, *wants: Want) -> list[Answer]:
        """Return the answers to some wants; what facts need together, they ask together.

        :raises Pending: gathering, and at least one answer is not known yet.
        """
        missing = [each for each in wants if each.command not in self._lines]
        if missing and self.gathering:
            self._noted.update((each.command, each) for each in missing)
            raise Pending
        if missing:
            self.late += 1
            self._bring(missing)
        return [self._answer(each) for each in wants]

    def foresee(self, *wants: Want) -> None:
        """While gathering, let wants travel with the next round that will be asked for later.

        Nothing is consulted; where it does not gather, nothing happens.
        """
        if self.gathering:
            missing = (each for each in wants if each.command not in self._lines)
            self._noted.update((each.command, each) for each in missing)

    def gather(self, questions: Sequence[Callable[[], Value]]) -> list[Value]:
        """Return the answers to some questions, in as few rounds as they allow.

        Each is tried against what is known; what it would ask is noted, all that was noted is
        asked together, and what was set aside is tried again. Within a question that is being
        tried itself, the rounds are those around it.

        :raises Pending: within such a question, and an answer is not known yet.
        :raises Unreachable: the host cannot be reached.
        """
        outcomes: dict[int, _Outcome] = {}
        within, self.gathering = self.gathering, True
        try:
            for _ in range(ROUNDS):
                for number, question in enumerate(questions):
                    if number not in outcomes:
                        with suppress(Pending):
                            outcomes[number] = _outcome(question)
                if within or not self._fetch():
                    break
        finally:
            self.gathering = within
            if not within:
                self._stuck.clear()
        if within and len(outcomes) < len(questions):
            raise Pending
        return [
            outcomes[number].get() if number in outcomes else question()
            for number, question in enumerate(questions)
        ]

    def _fetch(self) -> bool:
        self._stuck.clear()
        noted, self._noted = self._noted, {}
        missing = [each for each in noted.values() if each.command not in self._lines]
        if missing:
            self._bring(missing)
        return bool(missing)

    def _bring(self, wants: Sequence[Want]) -> None:
        self.rounds += 1
        unique = list({each.command: each for each in wants}.values())
        for evidence in self.wire.perform(unique):
            self._lines[evidence.command] = len(self.recording)
            self.recording.append(self._redact(self._bounded(evidence).in_round(self.rounds)))

    def _bounded(self, evidence: Evidence) -> Evidence:
        self._held += len(evidence.stdout) + len(evidence.stderr)
        if self._held <= HELD:
            return evidence
        told = f"the host gave more than {HELD} bytes in all"
        return replace(evidence, exit=None, stdout=b"", stderr=b"", trouble=told)

    def _answer(self, asked: Want) -> Answer:
        line = self._lines[asked.command]
        answer = Answer(asked, self.recording[line])
        if self._open:
            self._open[-1].note(line, answer.trouble)
        return answer

    def consulting(self) -> Consulting:
        """Note every line of the recording that is looked at inside a ``with``."""
        return Consulting(self._open)

    def recall(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """Compute something once; later calls consult the same evidence and do no work.

        What waits for an answer waits until the next round: until then nothing new is known.

        :raises Pending: gathering, and an answer is not known yet.
        """
        known = self._memory.get(key)
        if known is None:
            if self.gathering and key in self._stuck:
                raise Pending
            with self.consulting() as consulted:
                try:
                    outcome = _outcome(compute)
                except Pending:
                    # It is kept, so that what an id in the key stands for stays alive.
                    self._stuck[key] = compute
                    raise
            known = self._memory[key] = _Remembered(outcome, consulted)
        elif self._open:
            self._open[-1].add(known.consulted)
        result: Value = known.outcome.get()
        return result

    def forget(self) -> None:
        """Let go of all that was computed: it refers to the host, and the host to the session."""
        self._memory.clear()

    def close(self) -> None:
        """End the connection; what is known stays known."""
        self.wire.close()


def _outcome(question: Callable[[], object]) -> _Outcome:
    """Return what came of a question. :raises Pending: it waits for an answer."""
    try:
        return _Outcome(question())
    except Exception as error:
        return _Outcome(None, error)
