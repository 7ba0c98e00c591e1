from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from hullcheck.transport import CannotAnswer, Evidence, Pending, Session, Want, want


class Counting:
    """A wire that answers every command with its own text, and knows what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.closed = False

    def perform(self, wants: Sequence[Want]) -> Iterator[Evidence]:
        self.asked.append([each.command for each in wants])
        for each in reversed(wants):
            code = 1 if each.command.startswith("fail") else 0
            yield Evidence(each.command, code, each.command.encode(), b"no\n")

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def wire() -> Counting:
    return Counting()


@pytest.fixture
def session(wire: Counting) -> Session:
    return Session(wire)


def test_answers_come_in_the_order_of_the_questions_and_are_asked_once(
    session: Session, wire: Counting
) -> None:
    assert [each.text for each in session.ask(want("a"), want("b"), want("a"))] == ["a", "b", "a"]
    assert session.ask(want("b"))[0].text == "b"
    assert wire.asked == [["a", "b"]]
    assert (session.rounds, session.late) == (1, 1)


def test_one_evidence_in_the_light_of_two_questions(session: Session) -> None:
    strict, lax = session.ask(want("fail x"), want("fail x", meaning=(0, 1)))
    with pytest.raises(CannotAnswer, match="no"):
        _ = strict.text
    assert lax.text == "fail x"


def test_gathering_asks_together_what_was_noted_apart(session: Session, wire: Counting) -> None:
    def chain() -> None:
        first = session.ask(want("a"))[0].text
        session.ask(want(f"{first}{first}"))

    session.gather([chain, lambda: session.ask(want("b"), want("c")), chain])
    assert wire.asked == [["a", "b", "c"], ["aa"]]
    assert session.late == 0


def test_while_gathering_what_is_not_known_is_pending(session: Session) -> None:
    session.gathering = True
    with pytest.raises(Pending):
        session.ask(want("a"))


def test_what_was_consulted_is_known_with_its_trouble(session: Session) -> None:
    session.ask(want("before"))
    with session.consulting() as outer:
        session.ask(want("a"))
        with session.consulting() as inner:
            session.ask(want("fail"))
    commands = [session.recording[line].command for line in outer.lines]
    assert commands == ["a", "fail"]
    assert len(inner.lines) == 1
    assert inner.troubles == outer.troubles == ["fail: no"]


def test_recall_computes_once_and_consults_every_time(session: Session) -> None:
    calls = []

    def compute() -> str:
        calls.append(1)
        return session.ask(want("a"))[0].text

    for _ in range(2):
        with session.consulting() as consulted:
            assert session.recall("key", compute) == "a"
        assert list(consulted.lines) == [0]
    assert calls == [1]


def test_recall_keeps_failures_and_never_what_is_pending(session: Session) -> None:
    def compute() -> str:
        return session.ask(want("fail"))[0].text

    session.gathering = True
    with pytest.raises(Pending):
        session.recall("key", compute)
    session.gathering = False
    for _ in range(2):
        with session.consulting() as consulted, pytest.raises(CannotAnswer):
            session.recall("key", compute)
        assert consulted.troubles == ["fail: no"]


def test_a_preloaded_recording_keeps_its_line_numbers(session: Session, wire: Counting) -> None:
    session.preload([Evidence("x", 0, b"1", b""), Evidence("y", 0, b"2", b"")])
    with session.consulting() as consulted:
        assert session.ask(want("y"))[0].text == "2"
    assert list(consulted.lines) == [1]
    assert wire.asked == []


def test_what_arrives_is_redacted_before_anyone_sees_it(wire: Counting) -> None:
    session = Session(wire, lambda each: Evidence(each.command, each.exit, b"***", b""))
    assert session.ask(want("secret"))[0].text == "***"
    assert session.recording[0].stdout == b"***"


def test_closing_closes_the_wire_and_keeps_what_is_known(session: Session, wire: Counting) -> None:
    session.ask(want("a"))
    session.close()
    assert wire.closed
    assert session.ask(want("a"))[0].text == "a"


def test_a_host_that_gives_too_much_in_all_gives_no_more_answers(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had given before stands."""
    monkeypatch.setattr("hullcheck.transport.session.HELD", 40)
    first, much, later = (session.ask(want(each))[0] for each in ("short", "x" * 50, "short too"))
    told = "short too: the host gave more than 40 bytes in all"
    assert (first.text, later.trouble) == ("short", told)
    with pytest.raises(CannotAnswer, match="more than 40 bytes in all"):
        _ = much.text
    assert sum(len(each.stdout) for each in session.recording) == 5


def test_answers_of_questions_come_back_in_their_order(session: Session) -> None:
    def late() -> str:
        return session.ask(want(session.ask(want("a"))[0].text * 2))[0].text

    assert session.gather([late, lambda: session.ask(want("b"))[0].text]) == ["aa", "b"]
