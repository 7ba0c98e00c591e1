from __future__ import annotations

import pytest

from hullcheck.transport import Unreachable, want
from hullcheck.transport.batch import Sink
from hullcheck.transport.merge import jobs
from hullcheck.transport.sudo import Gate, Sudo

SCRIPT = b"the script\n"


def gate_for(sudo: Sudo | None) -> tuple[Gate, Sink]:
    sink = Sink(jobs([want("id")]), "f" * 32)
    return Gate(SCRIPT, sink, sudo, "web1"), sink


def words(gate: Gate) -> tuple[bytes, bytes]:
    """The prompt and the word that the shell is up."""
    prompt = gate.argv[gate.argv.index("-p") + 1].encode()
    return prompt, gate.argv[-1].split()[1].encode() + b"\n"


def test_without_sudo_the_script_goes_at_once() -> None:
    gate, _ = gate_for(None)
    assert gate.argv == ["/bin/sh", "-s"]
    assert gate.take() == SCRIPT
    assert gate.take() == b""


def test_without_a_password_too() -> None:
    gate, _ = gate_for(Sudo("web"))
    assert gate.argv == ["sudo", "-n", "-u", "web", "/bin/sh", "-s"]
    assert gate.take() == SCRIPT


def test_the_password_waits_for_the_prompt_and_the_script_for_the_shell() -> None:
    gate, sink = gate_for(Sudo(password="pass word"))
    assert "pass word" not in gate.command
    prompt, ready = words(gate)
    assert gate.take() == b""
    gate.err(b"We trust you have received the usual lecture\n" + prompt[:10])
    assert gate.take() == b""
    gate.err(prompt[10:])
    assert gate.take() == b"pass word\n"
    gate.err(b"\n" + ready[:-1])
    assert gate.take() == b""
    gate.err(ready[-1:] + b"after")
    assert gate.take() == SCRIPT
    assert sink.preamble == "after"


def test_if_sudo_asks_for_nothing_the_password_stays_here() -> None:
    gate, _ = gate_for(Sudo(password="pass word"))
    gate.err(words(gate)[1])
    assert gate.take() == SCRIPT


def test_a_second_prompt_ends_it() -> None:
    gate, _ = gate_for(Sudo(password="pass word"))
    prompt, _ = words(gate)
    gate.err(prompt)
    gate.take()
    gate.err(b"Sorry, try again.\n" + prompt)
    assert gate.finished
    assert gate.take() == b""
    with pytest.raises(Unreachable, match="password is wrong") as caught:
        gate.conclude()
    assert caught.value.kind == "sudo"
    assert "pass word" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("sudo: a password is required", "--ask-sudo-pass"),
        ("sudo: sorry, you must have a tty to run sudo", "requiretty"),
        ("bash: line 1: sudo: command not found", "no sudo on the host"),
        ("ops is not in the sudoers file.", "not in the sudoers file"),
        ("", "it said nothing"),
    ],
)
def test_refusals_say_what_to_do(said: str, means: str) -> None:
    gate, _ = gate_for(Sudo())
    gate.err(said.encode())
    with pytest.raises(Unreachable, match="web1: sudo to root failed") as caught:
        gate.conclude()
    assert means in str(caught.value)


def test_a_shell_that_started_is_no_refusal() -> None:
    gate, sink = gate_for(Sudo())
    gate.out(b"\n%s<0 12 34\n" % sink.nonce.encode())
    gate.conclude()


def test_the_password_is_in_no_representation() -> None:
    assert "pass word" not in repr(Sudo(password="pass word"))
