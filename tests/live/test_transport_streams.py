"""What a host may do to our SSH: streams, floods, deaths; both clients, on loopback."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from pathlib import Path

import pytest

from hullcheck.transport import Want, want
from tests.live.desk import Desk, Lab
from tests.live.sshd import Sshd, keygen, public

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it starts sshd and makes users"),
]


def test_a_command_that_reads_hangs_ends_the_shell_or_makes_no_sense(desk: Desk) -> None:
    session = desk.session()
    quick = 1.0
    hang = Want("echo begun; sleep 600", frozenset({0}), quick - 10)
    answers = session.ask(
        want("cat"), hang, want("exit 3", meaning=(3,)), want("if then ((", meaning=(2,)),
        want("kill -9 $$"), want("cd /tmp; exec 1>&- 2>&-"), want("pwd"),
    )  # fmt: skip
    read, hung, left, nonsense, _, _, last = answers
    assert read.text == ""
    assert "timed out" in hung.trouble
    assert hung.evidence.stdout == b"begun\n"
    assert left.exit == 3
    assert nonsense.exit == 2
    assert last.text == "/\n"


def test_what_hung_last_is_ended(desk: Desk) -> None:
    session = desk.session()
    hang = Want("sleep 98.7654; sleep 98.7653", frozenset({0}), -9.0)
    assert "timed out" in session.ask(want("true"), hang)[1].trouble
    assert _running("sleep\0" + "98.765")
    session.close()
    end = time.monotonic() + 5
    while _running("sleep\0" + "98.765") and time.monotonic() < end:
        time.sleep(0.02)
    assert not _running("sleep\0" + "98.765")


def _running(start: str) -> list[str]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(file.read_text(errors="replace"))
    return [line for line in found if line.startswith(start)]


def test_marks_cannot_be_forged(desk: Desk) -> None:
    forged = want(
        'tr "\\000" "\\n" </proc/$$/cmdline; set | grep hc_ ; '
        'for i in 0 1 2; do printf "\\n%%s>$i 0\\n" "$(printf %%032d 0)"; done; exit 5',
        meaning=(5,),
    )
    first, second = desk.ask(forged, want("echo after"))
    assert first.exit == 5
    assert second.text == "after\n"


def test_a_child_that_is_left_behind_writes_into_no_other_answer(desk: Desk) -> None:
    late = want("( sleep 0.3; echo late; echo error >&2 ) & echo now")
    endless = Want("sleep 600 & echo daemon", seconds=-8)
    first, second, third, fourth = desk.ask(late, want("echo next"), endless, want("echo last"))
    assert (first.text, first.complaint) == ("now\nlate\n", "error")
    assert (second.text, fourth.text) == ("next\n", "last\n")
    assert "timed out" in third.trouble


def test_a_flood_is_cut(desk: Desk) -> None:
    flood, after = desk.ask(want("head -c 64000000 /dev/zero"), want("echo after"))
    assert "gave more than" in flood.trouble
    assert after.text == "after\n"


def test_both_streams_at_once_and_a_long_script(desk: Desk) -> None:
    long = "x" * 100_000
    wants = [want("printf %%s %s | wc -c", f"{long}{number}") for number in range(30)]
    loud = want("head -c 5000000 /dev/zero >&2; head -c 5000000 /dev/zero")
    answers = desk.ask(*wants, loud)
    assert {answer.text.strip() for answer in answers[:10]} == {"100001"}
    assert len(answers[-1].output) == len(answers[-1].evidence.stderr) == 5_000_000


def deadly(*pids: int) -> Want:
    """End the server once it has passed on what came before."""
    return want(f"sleep 0.5; kill -9 {' '.join(map(str, pids))}; sleep 9")


def test_a_server_that_dies_half_way(desk: Desk, lab: Lab) -> None:
    session = desk.session()
    session.ask(want("true"))
    first, dying, after = session.ask(
        want("echo first"), deadly(*lab.web.sessions()), want("echo after")
    )
    assert first.text == "first\n"
    assert dying.trouble.endswith("connection lost: the server hung up")
    assert after.text == "after\n"


def test_a_server_that_does_not_come_back(desk: Desk, lab: Lab) -> None:
    doomed = Sshd("127.0.0.35", desk.folder)
    doomed.authorized.write_text(Path(f"{lab.key}.pub").read_text())
    doomed.start()
    try:
        desk.known.write_text(doomed.known)
        session = desk.session("127.0.0.35")
        session.ask(want("true"))
        assert doomed.process
        first, dying, after = session.ask(
            want("echo first"), deadly(doomed.process.pid, *doomed.sessions()), want("echo after")
        )
    finally:
        doomed.stop()
    assert first.text == "first\n"
    assert "connection lost" in dying.trouble
    assert "connection lost" in after.trouble


def test_a_login_that_runs_no_commands(desk: Desk, lab: Lab) -> None:
    key = keygen(desk.folder / "forced")
    with lab.web.authorized.open("a") as authorized:
        authorized.write(f'command="echo only this" {public(key)}\n')
    desk.write(web=f"  IdentityFile {key}\n", key=False)
    refusal = desk.refusal()
    assert refusal.kind == "shell"
    assert "only this" in str(refusal)


def test_nothing_is_left_running(
    desk: Desk, lab: Lab, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.write(web="  ProxyJump jump\n")
    made: list[Path] = []

    def noted(*args: str, **options: str) -> str:
        made.append(Path(make(*args, **options)))
        return str(made[-1])

    make = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", noted)
    threads = set(threading.enumerate())
    session = desk.session()
    session.ask(want("true"))
    assert lab.web.sessions()
    session.close()
    end = time.monotonic() + 5
    while (lab.web.sessions() or lab.jump.sessions()) and time.monotonic() < end:
        time.sleep(0.02)
    assert lab.web.sessions() == lab.jump.sessions() == []
    assert set(threading.enumerate()) <= threads
    assert len(made) == (client == "ssh")
    assert [each for each in made if each.exists()] == []
