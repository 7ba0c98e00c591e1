"""The index of runs, which can always be built again, and what a history tells."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hullcheck.cli import main
from hullcheck.report.trend import BLOCKS, PLAIN, marks_of, sparkline
from hullcheck.run import history, states
from hullcheck.run.heads import Head
from hullcheck.run.history import Overview, Track, overview, tracks
from hullcheck.run.index import NAME, Index, at_home, indexed, remember
from hullcheck.run.lines import LETTERS
from hullcheck.run.states import State, condense
from tests.unit.hostile import ALIVE, hostile_run
from tests.unit.nights import ASLR, PRIVILEGES, ROOTLESS, night

STATUSES = {letter: str(status) for status, letter in LETTERS.items()}


def nights(home: Path, *strips: str) -> None:
    """Make runs of hosts h0, h1 …: a strip holds ASLR's letter of each night, - if unreachable."""
    for number, letters in enumerate(zip(*strips, strict=True)):
        hosts: dict[str, Any] = {
            f"h{host}": "unreachable: refused" if letter == "-"
            else {ASLR: STATUSES[letter], PRIVILEGES: {"db": "pass"}}
            for host, letter in enumerate(letters)
        }  # fmt: skip
        night(home, number, hosts, controls=(ASLR, PRIVILEGES))


def whole(home: Path) -> tuple[Overview, list[Track], list[str]]:
    """Return everything that a history knows of a directory, and what it said."""
    said: list[str] = []

    def use(index: Index) -> tuple[Overview, list[Track]]:
        heads = index.heads()
        index.read(heads)
        return overview(index, heads), tracks(index, heads, controls=(ASLR,))

    return (*indexed(home, use, said.append), said)


@pytest.mark.parametrize(
    ("strip", "since", "earlier", "changes", "days", "flaps"),
    [
        ("PPPP", None, False, 0, [], False),
        ("PPFF", 2, False, 1, [], False),
        ("FFFF", 0, True, 0, [], False),
        ("PFFP", None, False, 2, [2], False),
        ("FFPP", None, False, 1, [], False),
        ("PFPF", 3, False, 3, [1], True),
        ("PFUP", None, False, 3, [2], True),
        ("PFUU", 1, False, 2, [], False),
        ("PFWP", None, False, 3, [], True),
        ("PF-P", None, False, 2, [2], False),
        ("P-FN", None, False, 2, [1], False),
        ("--FF", 2, True, 0, [], False),
        ("PFPFPN", None, False, 5, [1, 1], True),
    ],
)  # fmt: skip
def test_since_when_how_often_how_soon(
    tmp_path: Path, strip: str, since: int | None, earlier: bool, changes: int, days: list[int],
    flaps: bool,
) -> None:  # fmt: skip
    nights(tmp_path, strip)
    _, (track,), _ = whole(tmp_path)
    assert track.strip == strip.replace("-", " ")
    assert (track.since, track.earlier, track.changes) == (since, earlier, changes)
    assert [seconds / 86400 for seconds in track.mended] == days
    assert track.flaps is flaps


def test_only_the_last_runs_count_for_flapping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "WINDOW", 3)
    nights(tmp_path, "PFPFFFF")
    assert whole(tmp_path)[1][0].changes == 0


def test_new_and_fixed_against_the_run_before(tmp_path: Path) -> None:
    nights(tmp_path, "PFFP", "PF-F", "FPPP")
    found = whole(tmp_path)[0]
    # What was lost in the third night is not compared with it in the fourth.
    assert [(each.new, each.fixed) for each in found.nights] == [(0, 0), (2, 1), (0, 0), (0, 1)]
    assert [each.base for each in found.nights] == [None, 0, 1, 2]


def test_runs_of_other_hosts_are_compared_as_far_as_they_go(tmp_path: Path) -> None:
    night(tmp_path, 0, {"a": {ASLR: "pass"}})
    night(tmp_path, 1, {"other": {ASLR: "fail"}})
    night(tmp_path, 2, {"a": {ASLR: "fail"}})
    night(tmp_path, 3, {"a": {ASLR: "pass"}, "b": {ASLR: "fail"}})
    found = whole(tmp_path)[0]
    assert [(each.base, each.same, each.new, each.fixed) for each in found.nights] == [
        (None, True, 0, 0), (0, False, 0, 0), (0, True, 1, 0), (2, False, 0, 1),
    ]  # fmt: skip


def rows(home: Path) -> dict[str, int]:
    with sqlite3.connect(home / NAME) as connection:
        return {
            name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
            for name in ("run", "seen", "state", "roster")
        }


def test_what_does_not_change_is_kept_once(tmp_path: Path) -> None:
    nights(tmp_path, "PPPPPFFFFF", "PPPPPPPPPP")
    whole(tmp_path)
    assert rows(tmp_path) == {"run": 10, "seen": 20, "state": 2, "roster": 1}


def test_a_run_that_changed_is_read_again_and_one_that_has_gone_is_forgotten(
    tmp_path: Path,
) -> None:
    nights(tmp_path, "PPF")
    whole(tmp_path)
    first, _, last = sorted(each for each in tmp_path.iterdir() if each.is_dir())
    shutil.rmtree(last)
    text = (first / "verdicts.jsonl").read_text()
    (first / "verdicts.jsonl").write_text(text.replace('"pass"', '"fail"'))
    _, (track,), said = whole(tmp_path)
    assert (track.strip, said) == ("FP", [])
    assert rows(tmp_path) == {"run": 2, "seen": 2, "state": 2, "roster": 1}


def garbage(path: Path) -> None:
    path.write_bytes(b"nonsense" * 1000)


def middle(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:4096] + os.urandom(len(data) - 4096))


def older(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 0")


def no_table(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE seen")


def wrong_state(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE state SET data = x'00'")


@pytest.mark.parametrize("spoil", [garbage, middle, older, no_table, wrong_state])
def test_a_damaged_or_older_index_is_built_anew(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    nights(tmp_path, "PFFP")
    expected = whole(tmp_path)[1]
    spoil(tmp_path / NAME)
    _, found, said = whole(tmp_path)
    assert found == expected
    assert said[0].endswith("it is built anew from the runs")
    assert whole(tmp_path)[2] == []


def test_an_empty_file_is_no_damage(tmp_path: Path) -> None:
    nights(tmp_path, "PF")
    (tmp_path / NAME).touch()
    assert whole(tmp_path)[2] == []


def test_another_programs_file_is_left_alone(tmp_path: Path) -> None:
    nights(tmp_path, "PF")
    with sqlite3.connect(tmp_path / NAME) as connection:
        connection.execute("CREATE TABLE places (url TEXT)")
    _, (track,), said = whole(tmp_path)
    assert (track.strip, len(said)) == ("PF", 1)
    with sqlite3.connect(tmp_path / NAME) as connection:
        assert connection.execute("SELECT count(*) FROM places").fetchone() == (0,)


def test_where_it_cannot_be_written_it_is_built_in_memory(tmp_path: Path) -> None:
    nights(tmp_path, "PF")
    (tmp_path / NAME).mkdir()
    _, (track,), said = whole(tmp_path)
    assert track.strip == "PF"
    assert "cannot be used" in said[0]


def test_a_run_that_cannot_be_read_is_told_and_left_out(tmp_path: Path) -> None:
    nights(tmp_path, "PFP")
    one, two, _ = sorted(each for each in tmp_path.iterdir() if each.is_dir())
    (one / "run.json").write_text("{}")
    (two / "verdicts.jsonl").write_text("nonsense\n")
    found, (track,), said = whole(tmp_path)
    assert (len(found.nights), track.strip) == (2, " P")
    assert [each.split(":")[0] for each in said] == ["left out", "left out"]


def test_a_run_that_is_not_finished_is_listed_and_not_compared(tmp_path: Path) -> None:
    night(tmp_path, 0, {"a": {ASLR: "pass"}})
    night(tmp_path, 1, {"a": {ASLR: "fail"}}, finished=False)
    night(tmp_path, 2, {"a": {ASLR: "fail"}})
    found = whole(tmp_path)[0]
    assert [each.head.finished != "" for each in found.nights] == [True, False, True]
    assert [(each.base, each.new) for each in found.nights] == [(None, 0), (None, 0), (0, 1)]


def test_two_that_finish_at_once(tmp_path: Path) -> None:
    nights(tmp_path, "PFPFPF", "PPPPPP")
    code = (
        "import sys; from pathlib import Path; from hullcheck.run.index import indexed\n"
        "indexed(Path(sys.argv[1]), lambda i: i.read(i.heads()), print)"
    )
    argv = [sys.executable, "-c", code, str(tmp_path)]
    running = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for each in running:
        assert "damaged" not in each.communicate()[0]
        assert each.returncode == 0
    assert rows(tmp_path) == {"run": 6, "seen": 12, "state": 2, "roster": 1}
    assert whole(tmp_path)[1][0].strip == "PFPFPF"


def test_an_audits_run_is_remembered_only_where_there_is_a_history(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    one = night(home, 0, {"a": {ASLR: "fail"}})
    (home / "latest").symlink_to(one.name)
    other = night(elsewhere, 0, {"a": {ASLR: "fail"}})
    assert (remember(one), remember(other)) == ("", "")
    assert (at_home(home), rows(home)["seen"]) == (True, 1)
    assert not (elsewhere / NAME).exists()


def test_trouble_with_the_index_fails_no_audit(tmp_path: Path) -> None:
    one = night(tmp_path, 0, {"a": {ASLR: "fail"}})
    (tmp_path / NAME).mkdir()
    assert "cannot be used" in remember(one)


def test_states_come_back_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "MANY", 5)
    things = {f"c{number}": "fail" for number in range(7)}
    run = night(tmp_path, 0, {"a": {ASLR: "unknown", PRIVILEGES: things, ROOTLESS: "pass"}})
    ((name, state),) = condense(run)
    assert (name, state.letters, state.counts) == ("a", "PUF", (1, 5))
    assert State.unpack(state.controls, state.pack()) == state
    assert state.objects() == {ASLR: 1, PRIVILEGES: 5}


def test_verdicts_of_a_host_that_do_not_stand_together(tmp_path: Path) -> None:
    run = night(tmp_path, 0, {"a": {ASLR: "pass"}, "b": {ASLR: "pass"}})
    path = run / "verdicts.jsonl"
    path.write_text(path.read_text() + path.read_text())
    with pytest.raises(ValueError, match="of a do not stand together"):
        list(condense(run))


def test_marks() -> None:
    assert sparkline([0, 7, None, 3], BLOCKS) == "▁█ ▄"
    assert sparkline([5, 5], BLOCKS) == "▄▄"
    assert sparkline([], BLOCKS) == ""
    assert marks_of("utf-8") is BLOCKS
    assert marks_of("ascii") is marks_of(None) is PLAIN
    assert PLAIN.levels.isascii()


def shown(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(["history", *argv]) == 0
    return capsys.readouterr().out


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nights(tmp_path, "PFPFP", "PPPFF", "FFFFF")
    text = shown(capsys, str(tmp_path))
    lines = text.splitlines()
    assert lines[3].split()[2:] == ["20260902T020000Z-aaaa", "3", "2", "██████", "+1", "-0"]
    assert "h0 host.aslr: 4 changes, now pass" in text
    assert "Time to fix: 1 d (median of 2 that were fixed)" in text
    assert "fail    ▁▄▁█▄  1 at first, 2 now, at most 3" in text
    text = shown(capsys, str(tmp_path), "--last", "2")
    assert len(text.splitlines()) == 9
    assert "+2   -0" in text
    assert len(shown(capsys, str(tmp_path), "--since", "2026-09-05").splitlines()) == 6
    text = shown(capsys, str(tmp_path), "--host", "h1")
    assert "host.aslr fail 2026-09-04 1 d 1 ···██" in " ".join(text.split())
    text = shown(capsys, str(tmp_path), "--control", ASLR)
    assert [line.split()[0] for line in text.splitlines()[6:9]] == ["h2", "h1", "h0"]
    assert "h2 fail <2026-09-01 4 d" in " ".join(text.split())
    assert "4 ~" in text


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nights(tmp_path, "PFP", "PPF")
    runs = json.loads(shown(capsys, str(tmp_path), "--json"))
    assert [each["newly_failing"] for each in runs["runs"]] == [0, 1, 1]
    assert runs["median_seconds_to_fix"] == 86400
    one = json.loads(shown(capsys, str(tmp_path), "--host", "h1", "--json"))
    (track,) = one["tracks"]
    assert track["failing_since"] == one["runs"][2]["started"] == "2026-09-03T02:00:00Z"
    assert track["statuses"] == ["pass", "pass", "fail"]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["none"], "none: No such file"),
        (["empty"], "empty holds no run"),
        (["runs", "--host", "hh"], "has a host 'hh'"),
        (["runs", "--control", "host.aslrr"], "did you mean host.aslr"),
        (["runs", "--since", "2031-01-01"], "no run since 2031-01-01"),
        (["runs/20260901T020000Z-aaaa"], "is a run; name the directory in which it lies"),
    ],
)
def test_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    argv: list[str], words: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    nights(Path("runs"), "PF")
    Path("empty").mkdir()
    assert main(["history", *argv]) == 2
    assert words in capsys.readouterr().err
    assert not list(Path("runs").glob(f"*/{NAME}"))


def test_hostile_texts_do_not_act(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile_run(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    document = json.loads((tmp_path / "two" / "run.json").read_text())
    document["run"].update(id="20261129T000000Z-bbbb", started="2026-11-29T00:00:00Z")
    (tmp_path / "two" / "run.json").write_text(json.dumps(document))
    name = "=evil<b>\u202e"
    told = shown(capsys, str(tmp_path)) + shown(capsys, str(tmp_path), "--host", name)
    told += shown(capsys, str(tmp_path), "--control", "runtime.no-new-privileges")
    assert "=evil<b>\\u202e" in told
    assert not any(each in told for each in ALIVE)


def test_a_renamed_control_keeps_its_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night(tmp_path, 0, {"a": {ASLR: "pass"}}, controls=(ASLR,))
    night(tmp_path, 1, {"a": {ROOTLESS: "fail"}}, controls=(ROOTLESS,))
    monkeypatch.setattr(history, "_present_ids", lambda: {ROOTLESS: ASLR})
    found = whole(tmp_path)
    assert [each.strip for each in found[1]] == ["PF"]
    assert found[0].nights[1].new == 1


def test_heads_have_an_order(tmp_path: Path) -> None:
    night(tmp_path, 1, {"a": {ASLR: "pass"}}, name="early")
    night(tmp_path, 0, {"a": {ASLR: "pass"}}, name="late")
    heads: list[Head] = indexed(tmp_path, lambda index: index.heads(), print)
    assert [each.directory for each in heads] == ["late", "early"]
