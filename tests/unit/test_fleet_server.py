"""The fleet of tests/fleet answers as the recorded hosts did, and has the faults it is given."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.transport import Unreachable, Want, session_of, want
from hullcheck.transport.batch import Batch, Sink
from hullcheck.transport.connect import connect
from hullcheck.transport.recording import load
from hullcheck.transport.session import Session
from hullcheck.transport.target import parse_spec
from tests.fleet.answers import Answers
from tests.fleet.fleet import Fault, Fleet, Member
from tests.fleet.shell import Script

RECORDINGS = Path(__file__).parents[1] / "recordings"
WHOLE = ("rotten",)


class ScriptShell:
    """A shell of ours that reads scripts in chunks of an awkward size."""

    def __init__(self, answers: Answers, chunk: int) -> None:
        self._script = Script(answers)
        self._chunk = chunk
        self.scripts = 0

    def stream(self, script: bytes, sink: Sink) -> None:
        self.scripts += 1
        for start in range(0, len(script), self._chunk):
            out, err = self._script.feed(script[start : start + self._chunk])
            sink.out(out)
            sink.err(err)

    def close(self) -> None:
        pass


def recorded(name: str) -> Path:
    return RECORDINGS / f"{name}.jsonl.gz"


@pytest.mark.parametrize("chunk", [1_000_000, 4096, 61])
@pytest.mark.parametrize("name", ["rotten", "plain", "unprivileged", "populated", "rootless"])
def test_every_command_is_answered_as_it_was_recorded(name: str, chunk: int) -> None:
    evidence = load(recorded(name))
    shell = ScriptShell(Answers(evidence), chunk)
    asked = [Want(each.command, frozenset(range(256))) for each in evidence]
    got = {each.command: each for each in Batch(shell).perform(asked)}
    for each in evidence:
        answer = got[each.command]
        assert (answer.exit, answer.stdout, answer.stderr, answer.trouble) == (
            each.exit, each.stdout, each.stderr, "",
        ), each.command  # fmt: skip
    lacking = any(each.exit == 127 and each.command.startswith("getfacl ") for each in evidence)
    assert shell.scripts == 1 + lacking, "what travels together was sent again one by one"


def test_what_the_recording_lacks_is_a_program_that_is_not_there() -> None:
    session = Session(Batch(ScriptShell(Answers(load(recorded("bare"))), 512)))
    stat, program, shell = session.ask(
        Want("stat -c %a -- /nowhere"), want("nosuch --version"), want("if true; then id; fi & :")
    )
    assert stat.trouble == "stat -c %a -- /nowhere: /bin/sh: 1: stat: not found"
    assert program.trouble == "nosuch --version: /bin/sh: 1: nosuch: not found"
    assert shell.evidence.exit == 127


def test_a_recording_of_a_command_that_hung_is_refused() -> None:
    hung = load(recorded("bare"))[:1]
    object.__setattr__(hung[0], "exit", None)
    with pytest.raises(ValueError, match="did not end"):
        Answers(hung)


FAULTS = {
    "slow": Fault(delay=0.1),
    "cut": Fault(drop=200_000),
    "silent": Fault(silent=True),
    "babbler": Fault(babble=True),
    "closed": Fault(refuse=True),
    "flooder": Fault(flood=True),
    "mute": Fault(mute=True),
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    if sys.platform != "linux":
        pytest.skip("only Linux has all of 127.0.0.0/8 without asking")
    members = {name: Member(name) for name in (*WHOLE, "plain")}
    members |= {name: Member("plain", fault) for name, fault in FAULTS.items()}
    with Fleet(tmp_path_factory.mktemp("fleet"), members) as made:
        yield made


def audit(directory: Path, *args: str) -> list[str]:
    """Run an audit; return its verdicts as they stand in the run, in any order."""
    argv = [sys.executable, "-m", "hullcheck", "audit", *args, "--report-dir", str(directory)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1, 3), done.stderr
    return sorted((directory / "verdicts.jsonl").read_text().splitlines())


def test_the_verdicts_are_those_of_the_recordings(fleet: Fleet, tmp_path: Path) -> None:
    """Byte for byte, of recordings that hold all that is asked today: those of a first audit."""
    audit(tmp_path / "first", "-i", str(fleet.inventory), "--limit", ":".join(WHOLE))
    files = {name: tmp_path / f"first/evidence/{name}.jsonl.gz" for name in WHOLE}
    replayed = audit(tmp_path / "replayed", *(f"recording://{file}" for file in files.values()))
    members = {name: Member(str(file)) for name, file in files.items()}
    with Fleet(tmp_path / "fleet", members) as second:
        over_ssh = audit(tmp_path / "ssh", "-i", str(second.inventory))
    assert over_ssh == replayed
    judged = [json.loads(line)["status"] for line in over_ssh]
    assert {"pass", "fail"} < set(judged)
    assert len(judged) == len(WHOLE) * len(all_controls())


def ask(fleet: Fleet, name: str, *wants: Want, scheme: str = "paramiko") -> Session:
    """Put questions to a host; return its session, closed."""
    target = parse_spec(f"{scheme}://{name}?ssh_config={fleet.ssh_config}&timeout=2")
    session = session_of(connect(target))
    try:
        session.ask(*wants)
    finally:
        session.close()
    return session


@pytest.mark.parametrize("scheme", ["paramiko", "ssh"])
def test_it_is_slow_where_it_shall_be(fleet: Fleet, scheme: str) -> None:
    quick, slow = (
        ask(fleet, name, want("uname -r"), scheme=scheme).recording[0] for name in ("plain", "slow")
    )
    assert slow.stdout == quick.stdout != b""
    assert slow.seconds > quick.seconds + 0.09


@pytest.mark.parametrize("name", ["silent", "babbler", "closed"])
def test_it_lets_nobody_in(fleet: Fleet, name: str) -> None:
    with pytest.raises(Unreachable) as refused:
        ask(fleet, name, want("uname -r"))
    kinds = {"silent": "timeout", "babbler": ("lost", "timeout"), "closed": "authentication"}
    assert refused.value.kind in kinds[name]


def test_it_breaks_off(fleet: Fleet) -> None:
    everything = [Want(each.command, frozenset(range(256))) for each in load(recorded("plain"))]
    found = ask(fleet, "cut", *everything).recording
    assert any(not each.trouble for each in found)
    assert any("connection lost" in each.trouble for each in found)


def test_it_floods(fleet: Fleet) -> None:
    with pytest.raises(Unreachable, match="did not run /bin/sh -s"):
        ask(fleet, "flooder", want("uname -r"))


def test_a_password_for_sudo_is_asked_for(fleet: Fleet) -> None:
    for password in (None, "any word"):
        target = parse_spec(f"plain?sudo=true&ssh_config={fleet.ssh_config}")
        session = session_of(connect(target, sudo_password=password))
        assert session.ask(want("uname -r"))[0].text.startswith("6.")
        assert session.ask(want("uname -m"))[0].text == "x86_64\n"
        session.close()


def test_a_single_command_is_answered_too(fleet: Fleet) -> None:
    argv = ["ssh", "-F", str(fleet.ssh_config), "plain"]
    done = [subprocess.run([*argv, command], capture_output=True, check=False)
            for command in ("uname -m", "nosuch")]  # fmt: skip
    assert [(each.returncode, each.stdout) for each in done] == [(0, b"x86_64\n"), (127, b"")]
