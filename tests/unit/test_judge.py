"""The laws, as the judge keeps them for every control."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from testinfra.host import Host

from hullcheck import facts
from hullcheck.control import (
    Control,
    Manual,
    NotApplicable,
    Unknown,
    control,
    control_of,
    expect,
)
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import Evidence, Session, Unreachable, Want, host_of, session_of, want
from hullcheck.transport.recording import Replay
from hullcheck.verdict import Object, Status
from tests.unit.fake import host_with


def made(function: Callable[..., None]) -> Control:
    """Make a control of a function, in the area of this module's folder."""
    function.__doc__ = function.__doc__ or "Why."
    decorated = control(title="T", severity="low", fix="F")(function)
    found = control_of(decorated)
    assert found
    return found


def ask(host: Host, command: str, *meaning: int) -> Any:
    return session_of(host).ask(want(command, meaning=meaning or (0,)))[0]


def judged(function: Callable[..., None], answers: dict[str, Any]) -> Any:
    return judge(made(function), host_with(answers), Site("web1"))


def test_a_control_that_holds_passes_with_its_evidence_and_values() -> None:
    def test_it(host: Host) -> None:
        expect(ask(host, "cat /x").text, equals="1", what="x")

    verdict = judged(test_it, {"cat /x": "1"})
    assert (verdict.status, verdict.evidence) == (Status.PASS, (0,))
    finding = verdict.findings[0]
    assert (finding.object, finding.expected, finding.observed) == (
        Object("host", "web1"),
        "1",
        "1",
    )


def test_every_expectation_is_kept_not_just_the_first() -> None:
    def test_it(host: Host) -> None:
        text = ask(host, "cat /x").text
        expect(text, equals="2", what="one")
        expect(len(text), equals=1, what="two")
        expect(text, equals="3", what="three")

    verdict = judged(test_it, {"cat /x": "1"})
    assert verdict.status is Status.FAIL
    assert verdict.findings[0].observed == {"one": "1", "three": "1"}
    assert verdict.reason == "one is 1, expected 2; three is 1, expected 3"


def test_a_plain_assert_fails_with_its_text() -> None:
    def test_it(host: Host) -> None:
        assert ask(host, "cat /x").text == "2", "x must be 2"

    verdict = judged(test_it, {"cat /x": "1"})
    assert (verdict.status, verdict.reason) == (Status.FAIL, "x must be 2")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((126, "", "sh: cat: Permission denied"), "Permission denied"),
        ((127, "", "sh: cat: not found"), "not found"),
        ((1, "", "cat: /x: Permission denied"), "Permission denied"),
        ((1, ""), "exit code 1"),
        ((255, "half of it"), "exit code 255"),
    ],
)
def test_law_1_a_probe_that_could_not_run_is_unknown(answer: Any, why: str) -> None:
    def test_it(host: Host) -> None:
        assert "bad" not in ask(host, "cat /x").text

    verdict = judged(test_it, {"cat /x": answer})
    assert verdict.status is Status.UNKNOWN
    assert why in verdict.reason


@pytest.mark.parametrize(
    "trouble", ["timed out after 20 s", "gave more than 8 bytes", "connection lost"]
)
def test_law_1_holds_for_answers_that_are_not_whole(trouble: str) -> None:
    evidence = Evidence("cat /x", 0, b"fine so far", b"", trouble=trouble)

    def test_it(host: Host) -> None:
        assert "bad" not in ask(host, "cat /x").text

    verdict = judge(made(test_it), host_of(Session(Replay([evidence])), "x", "x"), Site())
    assert (verdict.status, trouble in verdict.reason) == (Status.UNKNOWN, True)


def test_law_1_holds_for_an_author_who_swallows_the_error() -> None:
    def test_it(host: Host) -> None:
        try:
            text = ask(host, "cat /x").text
        except Exception:
            text = ""
        assert "bad" not in text

    verdict = judged(test_it, {"cat /x": (1, "", "cat: /x: Permission denied")})
    assert verdict.status is Status.UNKNOWN


def test_law_1_holds_for_plain_testinfra_modules() -> None:
    def test_it(host: Host) -> None:
        assert "bad" not in host.run("cat /x").stdout

    assert judged(test_it, {"cat /x": (127, "")}).status is Status.UNKNOWN
    assert judged(test_it, {"cat /x": (1, "", "Permission denied")}).status is Status.UNKNOWN
    assert judged(test_it, {"cat /y": ""}).status is Status.UNKNOWN
    assert judged(test_it, {"cat /x": "fine"}).status is Status.PASS


def test_an_unreachable_host_is_no_verdict_of_a_control() -> None:
    def test_it(host: Host) -> None:
        try:
            ask(host, "cat /x")
        except Exception:
            return

    with pytest.raises(Unreachable):
        judged(test_it, {})


def test_law_1_a_denied_test_of_a_file_is_not_its_absence() -> None:
    def test_it(host: Host) -> None:
        assert not host.file("/root/key").exists

    denied = {
        "test -e /root/key": (1, ""),
        "uname -s": "Linux",
        "cat /etc/os-release": "ID=debian",
        "uname -m": "x86_64",
        "stat -- /root/key": (1, "", "stat: cannot statx '/root/key': Permission denied"),
    }
    assert judged(test_it, denied).status is Status.UNKNOWN
    absent = {**denied, "stat -- /root/key": (1, "", "stat: …: No such file or directory")}
    assert judged(test_it, absent).status is Status.PASS


def test_law_2_no_evidence_is_an_error_whatever_the_control_says() -> None:
    def test_it(host: Host) -> None:
        pass

    def test_fails(host: Host) -> None:
        raise AssertionError

    def test_not_applicable(host: Host) -> None:
        raise NotApplicable("because")

    for function in (test_it, test_fails, test_not_applicable):
        verdict = judged(function, {})
        assert (verdict.status, verdict.reason) == (
            Status.ERROR,
            "the control consulted no evidence",
        )


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (NotApplicable("no swarm"), Status.NOT_APPLICABLE),
        (Unknown("needs root"), Status.UNKNOWN),
        (Manual("look", {"a": 1}), Status.MANUAL),
        (ZeroDivisionError("x"), Status.ERROR),
    ],
)
def test_outcomes_are_exceptions(raised: Exception, status: Status) -> None:
    def test_it(host: Host) -> None:
        ask(host, "cat /x")
        raise raised

    verdict = judged(test_it, {"cat /x": "1"})
    assert verdict.status is status
    assert str(raised) in verdict.reason


def test_a_failed_expectation_outweighs_what_is_unknown_after_it() -> None:
    def test_it(host: Host) -> None:
        expect(ask(host, "cat /x").text, equals="2", what="x")
        raise Unknown("needs root")

    verdict = judged(test_it, {"cat /x": "1"})
    assert verdict.status is Status.FAIL
    assert verdict.reason == "x is 1, expected 2; needs root"


class Thing:
    def __init__(self, host: Host, name: str) -> None:
        self.host = host
        self.object = Object("thing", name)

    @facts.fact
    def text(self) -> str:
        return str(ask(self.host, f"cat /{self.object.name}").text)


@pytest.fixture
def things(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register things named in /things."""

    def thing(host: Host) -> list[Thing]:
        return [Thing(host, name) for name in ask(host, "cat /things").text.split()]

    provider = replace_provider(thing)
    monkeypatch.setitem(facts.PROVIDERS, "thing", provider)


def replace_provider(function: Callable[..., Any]) -> Any:
    some = next(iter(facts.PROVIDERS.values()))
    return replace(some, name="thing", function=function, each=True)


@pytest.mark.usefixtures("things")
def test_things_give_a_finding_each_and_the_verdict_is_the_worst() -> None:
    def test_it(thing: Thing) -> None:
        expect(thing.text, equals="good", what="text")

    verdict = judged(
        test_it, {"cat /things": "a b c", "cat /a": "good", "cat /b": "bad", "cat /c": (1, "")}
    )
    assert [finding.status for finding in verdict.findings] == ["pass", "fail", "unknown"]
    assert verdict.status is Status.FAIL
    assert verdict.reason == "thing b: text is bad, expected good"
    assert verdict.evidence == (0, 1, 2, 3)


@pytest.mark.usefixtures("things")
def test_no_things_are_not_applicable_but_only_if_the_search_was_whole() -> None:
    def test_it(thing: Thing) -> None:
        raise AssertionError

    assert judged(test_it, {"cat /things": ""}).status is Status.NOT_APPLICABLE
    assert judged(test_it, {"cat /things": (1, "")}).status is Status.UNKNOWN


class Counting(Replay):
    """Counts the rounds it is asked in."""

    def __init__(self, answers: dict[str, str]) -> None:
        super().__init__([Evidence(k, 0, v.encode(), b"") for k, v in answers.items()])
        self.rounds: list[list[str]] = []

    def perform(self, wants: Any) -> Any:
        self.rounds.append([each.command for each in wants])
        return super().perform(wants)


@pytest.mark.usefixtures("things")
def test_gathering_asks_everything_of_a_round_together() -> None:
    def test_it(thing: Thing) -> None:
        expect(thing.text, equals="good", what="text")

    def test_other(host: Host) -> None:
        assert ask(host, "cat /other").text

    wire = Counting({"cat /things": "a b", "cat /a": "good", "cat /b": "good", "cat /other": "1"})
    host = host_of(Session(wire), "x", "x")
    controls = [made(test_it), made(test_other)]
    gather(controls, host, Site())
    assert [sorted(each) for each in wire.rounds] == [
        ["cat /other", "cat /things"],
        ["cat /a", "cat /b"],
    ]
    assert [judge(each, host, Site()).status for each in controls] == ["pass", "pass"]
    assert session_of(host).late == 0
    assert len(wire.rounds) == 2


def test_gathered_and_plain_verdicts_are_the_same() -> None:
    def test_it(host: Host) -> None:
        if ask(host, "cat /x").text == "1":
            expect(ask(host, "cat /y").text, equals="2", what="y")

    answers = {"cat /x": "1", "cat /y": "3"}
    plainly = judged(test_it, answers)
    host = host_with(answers)
    gather([made(test_it)], host, Site("web1"))
    assert judge(made(test_it), host, Site("web1")) == plainly


def test_what_is_remembered_counts_as_consulted_again(things: None) -> None:
    host = host_with({"cat /a": "good"})
    thing = Thing(host, "a")
    for _ in range(2):
        with session_of(host).consulting() as consulted:
            assert thing.text == "good"
        assert list(consulted.lines) == [0]


def test_a_want_keeps_what_its_exit_codes_mean() -> None:
    host = host_with({"test -e /x": (1, "")})
    session = session_of(host)
    assert session.ask(want("test -e /x", meaning=(0, 1)))[0].exit == 1
    assert session.ask(Want("test -e /x"))[0].trouble == "test -e /x: exit code 1"
