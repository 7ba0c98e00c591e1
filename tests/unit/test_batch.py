"""Framing and limits, with this machine's own shells and with shells that fail in many ways."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullcheck.transport import Evidence, Unreachable, Want, want
from hullcheck.transport.batch import KEPT, Batch, Lost, Sink
from hullcheck.transport.local import LocalShell
from hullcheck.transport.merge import jobs
from hullcheck.transport.want import LIMIT

QUICK = -9.3
"""Seconds of a want that is to time out at once: the grace for the network is 10."""


class Via:
    """A local shell of another make."""

    def __init__(self, *argv: str) -> None:
        self.argv = argv

    def stream(self, script: bytes, sink: Sink) -> None:
        done = subprocess.run(self.argv, input=script, capture_output=True, check=False)
        sink.out(done.stdout)
        sink.err(done.stderr)

    def close(self) -> None:
        pass


MAKES = {"sh": ["/bin/sh", "-s"], "dash": ["dash", "-s"], "bash": ["bash", "-s"],
         "posix bash": ["bash", "--posix", "-s"], "busybox": ["busybox", "sh", "-s"]}  # fmt: skip


@pytest.mark.parametrize("make", MAKES)
def test_every_shell_gives_the_same(make: str) -> None:
    argv = MAKES[make]
    if shutil.which(argv[0]) is None:
        pytest.skip(f"there is no {argv[0]} here")
    wants = [
        want("printf '\\000\\377\\n'; printf 'e\\n\\n' >&2"),
        want("exit 3", meaning=(3,)),
        want("cat"),
        want("( exit 4 ); echo $?"),
        want("cd /tmp; x=1; set -e; false", meaning=(1,)),
        want("pwd; echo ${x-unset}"),
        want("echo '"),
        want("echo %s", "it's"),
        want("kill -9 $$"),
        want("echo unreached"),
    ]
    found = list(Batch(Via(*argv)).perform(wants))
    got = {each.command: (each.exit, each.stdout) for each in found}
    assert [each.command for each in found] == [each.command for each in wants]
    assert got[wants[0].command] == (0, b"\x00\xff\n")
    assert found[0].stderr == b"e\n\n"
    assert [got[each.command] for each in wants[1:6]] == [
        (3, b""), (0, b""), (0, b"4\n"), (1, b""), (0, b"/\nunset\n"),
    ]  # fmt: skip
    assert got["echo '"][0] not in (0, None)
    assert got[wants[7].command] == (0, b"it's\n")
    assert got["kill -9 $$"][0] is None
    assert found[8].trouble == "the shell ended before the command did"
    assert got["echo unreached"] == (0, b"unreached\n")


@pytest.mark.parametrize("make", MAKES)
def test_what_a_child_writes_later_is_still_its_own_commands(make: str) -> None:
    """Commands that may leave one, by what they say or as they are not ours, are waited for."""
    argv = MAKES[make]
    if shutil.which(argv[0]) is None:
        pytest.skip(f"there is no {argv[0]} here")
    late = "( sleep 0.2; echo late; printf 'l\\000' >&2 ) &"
    wants = [
        want(f"{late} echo now; exit 3", meaning=(3,)),
        want("echo next"),
        Want("sh -c 'sleep 0.2; echo hidden' & exit 0", None),
        Want("printf 'a\\000'; exit 7", None),
        Want("echo '", None),
        want("echo last"),
    ]
    found = list(Batch(Via(*argv)).perform(wants))
    assert [each.command for each in found] == [each.command for each in wants]
    assert (found[0].exit, found[0].stdout, found[0].stderr) == (3, b"now\nlate\n", b"l\0")
    assert (found[2].exit, found[2].stdout) == (0, b"hidden\n")
    assert (found[3].exit, found[3].stdout) == (7, b"a\0")
    assert found[4].exit not in (0, None)
    assert [found[1].stdout, found[5].stdout] == [b"next\n", b"last\n"]


def perform(*wants: Want) -> list[Evidence]:
    batch = Batch(LocalShell())
    try:
        return list(batch.perform(wants))
    finally:
        batch.close()


def test_a_hung_command_costs_its_own_time_only() -> None:
    hangs = Want("echo so far; sleep 77.7", frozenset({0}), QUICK)
    _, hung, after = perform(want("true"), hangs, want("echo on"))
    assert hung.exit is None
    assert hung.stdout == b"so far\n"
    assert hung.trouble.startswith("timed out")
    assert after.stdout == b"on\n"


def test_a_flood_is_cut_and_told() -> None:
    flood, loud, after = perform(
        want(f"head -c {LIMIT + 1_000_000} /dev/zero"),
        want(f"head -c {LIMIT + 1} /dev/zero >&2; echo short"),
        want("echo on"),
    )
    for each in (flood, loud):
        assert each.trouble == f"gave more than {LIMIT} bytes"
        assert max(len(each.stdout), len(each.stderr)) == KEPT, "of no use, and not cheap"
    assert after.stdout == b"on\n"


def test_what_is_just_small_enough_is_whole() -> None:
    (full,) = perform(want(f"head -c {LIMIT} /dev/zero"))
    assert (len(full.stdout), full.trouble) == (LIMIT, "")


def test_the_environment_of_the_shell_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
    old = ("DOCKER_API_VERSION", "QUOTING_STYLE", "LD_PRELOAD", "LS_COLORS", "CDPATH", "IFS")
    for name in ours + old:
        monkeypatch.setenv(name, "planted")
    monkeypatch.setenv("PATH", f"/planted:{Path('/usr/bin')}")
    (answer,) = perform(want("env"))
    assert b"planted" not in answer.stdout
    assert b"PATH=/usr/sbin:/usr/bin:/sbin:/bin\n" in answer.stdout
    assert b"LC_ALL=C\n" in answer.stdout


class Scripted:
    """A shell whose every start does what the next function says."""

    def __init__(self, *acts: Callable[[bytes, Sink], None]) -> None:
        self.acts = list(acts)
        self.scripts: list[bytes] = []

    def stream(self, script: bytes, sink: Sink) -> None:
        self.scripts.append(script)
        self.acts.pop(0)(script, sink)

    def close(self) -> None:
        pass


def mark(sink: Sink, text: str) -> bytes:
    return f"\n{sink.nonce}{text}\n".encode()


def answers(count: int, *more: bytes) -> Callable[[bytes, Sink], None]:
    """Answer some commands, then break off with a beginning of the next."""

    def act(_: bytes, sink: Sink) -> None:
        for stream in (sink.out, sink.err):
            for number in range(count):
                stream(mark(sink, f"<{number} 12 34") + b"x" + mark(sink, f">{number} 0"))
            stream(mark(sink, f"<{count} 12 34") + b"".join(more))

    return act


def loses(act: Callable[[bytes, Sink], None]) -> Callable[[bytes, Sink], None]:
    def losing(script: bytes, sink: Sink) -> None:
        act(script, sink)
        raise Lost("it broke")

    return losing


def nothing(_: bytes, sink: Sink) -> None:
    sink.err(b"This account is\ncurrently not available.\n")


WANTS = [want("a"), want("b"), want("c")]


def test_after_a_loss_it_goes_on_behind_what_was_running() -> None:
    shell = Scripted(loses(answers(1, b"half")), answers(1))
    first, second, third = Batch(shell).perform(WANTS)
    assert (first.exit, first.stdout) == (0, b"x")
    assert (second.exit, second.stdout) == (None, b"half")
    assert second.trouble == "connection lost: it broke"
    assert third.exit == 0


def test_the_next_shell_ends_what_hung_before_all_else() -> None:
    shell = Scripted(answers(1), answers(1))
    list(Batch(shell).perform(WANTS))
    assert b"hc_stop 12 34\n" not in shell.scripts[0]
    assert b"hc_stop 12 34\n" in shell.scripts[1]


def test_what_ran_when_a_person_interrupted_is_ended_on_closing() -> None:
    def interrupted(script: bytes, sink: Sink) -> None:
        answers(1)(script, sink)
        raise KeyboardInterrupt

    shell = Scripted(interrupted, answers(1))
    batch = Batch(shell)
    with pytest.raises(KeyboardInterrupt):
        list(batch.perform(WANTS))
    batch.close()
    batch.close()
    assert len(shell.scripts) == 2
    assert b"hc_stop 12 34\n" in shell.scripts[1]


def test_two_losses_end_it_and_nothing_is_asked_again() -> None:
    shell = Scripted(loses(answers(1)), loses(answers(0)))
    batch = Batch(shell)
    assert [each.trouble for each in batch.perform(WANTS)] == [
        "", "connection lost: it broke", "connection lost: it broke",
    ]  # fmt: skip
    assert [each.trouble for each in batch.perform(WANTS)] == ["connection lost: it broke"] * 3


def test_a_host_that_is_lost_before_it_answers_is_unreachable() -> None:
    batch = Batch(Scripted(loses(lambda *_: None), loses(lambda *_: None)))
    for _ in range(2):
        with pytest.raises(Unreachable, match="it broke") as caught:
            list(batch.perform(WANTS))
        assert caught.value.kind == "lost"


def test_a_login_without_a_shell_is_unreachable_and_says_what_came() -> None:
    batch = Batch(Scripted(nothing))
    for _ in range(2):
        with pytest.raises(Unreachable, match="This account is currently") as caught:
            list(batch.perform(WANTS))
        assert caught.value.kind == "shell"


def test_a_host_that_answered_once_is_lost_not_unreachable() -> None:
    shell = Scripted(answers(1), nothing, nothing)
    found = list(Batch(shell).perform(WANTS))
    assert [each.exit for each in found] == [0, None, None]
    assert found[2].trouble.startswith("connection lost: no shell any more: This account is")


def test_a_host_that_does_not_let_us_back_in_is_lost_not_unreachable() -> None:
    def refuses(*_: object) -> None:
        raise Unreachable("refused", "no more")

    found = list(Batch(Scripted(loses(answers(1)), refuses)).perform(WANTS))
    assert [each.trouble for each in found][1:] == [
        "connection lost: it broke", "connection lost: no more",
    ]  # fmt: skip


BYTES = st.binary(max_size=60)


@given(
    frames=st.lists(st.tuples(BYTES, BYTES), min_size=1, max_size=5),
    noise=BYTES,
    size=st.integers(1, 50),
    err_first=st.booleans(),
)
def test_frames_come_apart_wherever_they_are_cut(
    frames: list[tuple[bytes, bytes]], noise: bytes, size: int, err_first: bool
) -> None:
    sink = Sink(jobs([want(f"c{number}") for number in range(len(frames))]), "0" * 32)
    streams = [noise, noise]
    for number, frame in enumerate(frames):
        for stream, body in enumerate(frame):
            begin, end = mark(sink, f"<{number} 1 2"), mark(sink, f">{number} 9")
            streams[stream] += begin + body + end
    takers = [(sink.out, streams[0]), (sink.err, streams[1])]
    for take, data in reversed(takers) if err_first else takers:
        for start in range(0, len(data), size):
            take(data[start : start + size])
    assert sink.finished
    assert [(each.exit, each.stdout, each.stderr) for each in sink.done] == [
        (9, out, err) for out, err in frames
    ]


def test_a_mark_with_another_word_is_output() -> None:
    sink = Sink(jobs([want("a")]), "1" * 32)
    forged = b"\n" + b"2" * 32 + b">0 0\n"
    sink.out(mark(sink, "<0 1 2") + forged + mark(sink, ">1 0") + mark(sink, ">0 5"))
    sink.err(mark(sink, "<0 1 2") + mark(sink, ">0 5"))
    assert sink.done[0].exit == 5
    assert sink.done[0].stdout == forged + mark(sink, ">1 0")
