"""What changed between two runs: every kind of change, and what is none."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from hullcheck.cli import main
from hullcheck.inventory.policy import Policy
from hullcheck.inventory.waivers import Waiver
from hullcheck.report.changes import NAMES
from hullcheck.run.diff import diff
from hullcheck.run.directory import read_verdicts
from hullcheck.verdict import Status
from tests.unit.hostile import ALIVE, hostile_run
from tests.unit.nights import ASLR, PRIVILEGES, ROOTLESS, Told, night

RECORDINGS = Path(__file__).parents[1] / "recordings"
GOOD: dict[str, Any] = {ASLR: "pass", PRIVILEGES: {"db": "pass"}, ROOTLESS: "not-applicable"}


def pair(place: Path, one: Told, other: Told) -> list[tuple[str, str, str]]:
    """Return kind, control and arrow of what changed on one host."""
    found = diff(night(place, 0, {"web1": one}), night(place, 1, {"web1": other}))
    assert found.scope == []
    assert found.code == int(bool(found.changes))
    return [
        (NAMES[each.kind], each.control, f"{each.before}>{each.after}") for each in found.changes
    ]


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("pass", "fail", "newly failing"),
        ("not-applicable", "fail", "newly failing"),
        ("unknown", "fail", "newly failing"),
        ("waived", "fail", "newly failing"),
        ("pass", "unknown", "no longer known"),
        ("fail", "unknown", "no longer known"),
        ("fail", "error", "no longer known"),
        ("fail", "pass", "fixed"),
        ("fail", "not-applicable", "fixed"),
        ("fail", "waived", "otherwise changed"),
        ("fail", "manual", "otherwise changed"),
        ("unknown", "pass", "otherwise changed"),
        ("unknown", "error", "otherwise changed"),
        ("pass", "not-applicable", "otherwise changed"),
    ],
)
def test_a_status_that_changed(tmp_path: Path, before: str, after: str, kind: str) -> None:
    changes = pair(tmp_path, {**GOOD, ASLR: before}, {**GOOD, ASLR: after})
    assert changes == [(kind, ASLR, f"{before}>{after}")]


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ({"db": "fail"}, {"db": "fail", "web": "fail"}, "newly failing"),
        ({"db": "fail", "web": "pass"}, {"db": "fail", "web": "fail"}, "newly failing"),
        ({"db": "fail", "old": "fail"}, {"db": "fail", "new": "fail"}, "newly failing"),
        ({"db": "fail", "web": "fail"}, {"db": "fail"}, "fixed"),
        ({"db": "fail", "web": "fail"}, {"db": "fail", "web": "pass"}, "fixed"),
        ({"db": "fail", "web": "pass"}, {"db": "fail", "web": "unknown"}, "no longer known"),
        ({"db": "fail", "web": "fail"}, {"db": "fail", "web": "waived"}, "otherwise changed"),
        ({"db": "waived"}, {"db": "waived", "web": "waived"}, "otherwise changed"),
        ({"db": "unknown"}, {"db": "unknown", "web": "unknown"}, "no longer known"),
        ({"db": "fail", "web": "pass"}, {"db": "fail"}, None),
        ({"db": "fail: so"}, {"db": "fail: and so"}, None),
        ({"db": "pass: so"}, {"db": "pass: and so", "web": "pass"}, None),
    ],
)  # fmt: skip
def test_objects_behind_a_verdict_that_did_not_change(
    tmp_path: Path, before: dict[str, str], after: dict[str, str], kind: str | None
) -> None:
    changes = pair(tmp_path, {**GOOD, PRIVILEGES: before}, {**GOOD, PRIVILEGES: after})
    assert [each[0] for each in changes] == ([kind] if kind else [])


def test_order_newly_failing_and_most_severe_first(tmp_path: Path) -> None:
    changes = pair(
        tmp_path,
        {ASLR: "fail", PRIVILEGES: {"db": "pass"}, ROOTLESS: "pass"},
        {ASLR: "pass", PRIVILEGES: {"db": "fail"}, ROOTLESS: "fail"},
    )
    assert [each[1] for each in changes] == [PRIVILEGES, ROOTLESS, ASLR]


def shown(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    code = main(["diff", *argv])
    return code, capsys.readouterr().out


def test_no_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = night(tmp_path, 0, {"web1": GOOD})
    other = night(tmp_path, 1, {"web1": {**GOOD, ASLR: "pass: worded otherwise"}})
    code, text = shown(capsys, str(one), str(other))
    assert code == 0
    assert "Nothing changed: 3 verdicts are as they were (1 give another reason" in text


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"hosts": {"web1": GOOD, "web2": GOOD}}, "hosts: only in B: web2"),
        ({"hosts": {}}, "hosts: only in A: web1"),
        ({"controls": (ASLR, PRIVILEGES)}, f"controls: only in A: {ROOTLESS}"),
        ({"digests": ("sha256:x", "sha256:p")}, "controls: the same by their ids, but what"),
        ({"digests": ("sha256:c", "sha256:x")}, "policy: its digests differ"),
        ({"policy": Policy(trusted_users=("root",))}, "policy: trusted_users of web1"),
        ({"waivers": (Waiver("host.*", "x", "y", date(2027, 1, 1)),)},
         "waivers: only in B: host.* on * until 2027-01-01"),
        ({"finished": False}, "finished: B was not finished"),
    ],
)  # fmt: skip
def test_unequal_scope_is_said_and_is_never_no_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, Any], words: str
) -> None:
    one = night(tmp_path, 0, {"web1": GOOD})
    other = night(tmp_path, 1, **{"hosts": {"web1": GOOD}, **changed})
    code, text = shown(capsys, str(one), str(other))
    assert code == 3
    assert "The scopes differ" in "\n".join(text.splitlines()[:6])
    assert words in " ".join(text.split())
    assert "Nothing changed" not in text
    code, text = shown(capsys, "--json", str(one), str(other))
    assert (code, json.loads(text)["same_scope"]) == (3, False)


def test_a_host_that_was_not_seen_is_neither_fixed_nor_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = {**GOOD, ASLR: "fail"}
    lost = "unreachable: refused"
    cut = {ASLR: "fail", "state": "partial: took too long"}
    one = night(tmp_path, 0, {"a": bad, "b": lost, "c": lost, "d": bad})
    other = night(tmp_path, 1, {"a": lost, "b": bad, "c": lost, "d": cut})
    found = diff(one, other)
    assert found.changes == []
    assert [(each.host, each.kind) for each in found.hosts] == [
        ("b", "found"), ("a", "lost"), ("d", "lost"), ("c", "unseen"),
    ]  # fmt: skip
    code, text = shown(capsys, str(one), str(other))
    assert code == 1
    assert "a: unreachable in B: refused (1 fail, 1 pass, 1 not-applicable in A)" in text
    assert "fixed nor gone" in text


def test_the_same_host_lost_twice_is_no_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [night(tmp_path, each, {"a": GOOD, "b": "unreachable: refused"}) for each in (0, 1)]
    code, text = shown(capsys, *map(str, runs))
    assert code == 0
    assert "1 host not seen in either run" in text


def test_new_and_gone_controls(tmp_path: Path) -> None:
    one = night(tmp_path, 0, {"a": {ASLR: "fail"}}, controls=(ASLR,))
    other = night(tmp_path, 1, {"a": {ROOTLESS: "fail"}}, controls=(ROOTLESS,))
    found = diff(one, other)
    assert [(NAMES[each.kind], each.control) for each in found.changes] == [
        ("new", ROOTLESS), ("gone", ASLR),
    ]  # fmt: skip
    assert found.code == 3


def test_a_run_that_was_interrupted_names_what_it_did_not_come_to(tmp_path: Path) -> None:
    one = night(tmp_path, 0, {"a": GOOD, "b": GOOD})
    other = night(tmp_path, 1, {"a": GOOD}, finished=False)
    with (other / "verdicts.jsonl").open("a") as file:
        file.write('{"host": "b", "control": "ho')
    found = diff(one, other)
    assert found.changes == []
    assert [(each.host, each.kind, each.told) for each in found.hosts] == [
        ("b", "lost", "B was not finished")
    ]


def test_the_file_may_be_written_otherwise(tmp_path: Path) -> None:
    one = night(tmp_path, 0, {"a": GOOD})
    other = night(tmp_path, 1, {"a": GOOD})
    lines = (other / "verdicts.jsonl").read_text().splitlines()
    compact = [json.dumps(json.loads(line), separators=(",", ":")) for line in reversed(lines)]
    (other / "verdicts.jsonl").write_text("\n".join(compact))
    found = diff(one, other)
    assert (found.code, found.same) == (0, 3)


@pytest.mark.parametrize(
    "line", ["nonsense\n", '{"host": "a"}\n', '{"host": "a", "control": "x", "status": "fine", }\n']
)
def test_a_damaged_line_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    one, other = (night(tmp_path, each, {"a": GOOD}) for each in (0, 1))
    with (other / "verdicts.jsonl").open("a") as file:
        file.write(line)
    assert main(["diff", str(one), str(other)]) == 2
    assert "verdicts.jsonl:4: is damaged" in capsys.readouterr().err


def test_json_has_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = night(tmp_path, 0, {"a": {**GOOD, PRIVILEGES: {"db": "pass"}}})
    other = night(tmp_path, 1, {"a": {**GOOD, PRIVILEGES: {"db": "fail: it may", "x": "fail"}}})
    code, text = shown(capsys, "--json", str(one), str(other))
    document = json.loads(text)
    assert (code, document["schema"], document["unchanged"]) == (1, "hullcheck.diff/1", 2)
    assert document["counts"]["newly-failing"] == 1
    (change,) = document["changes"]
    assert (change["host"], change["after"]["status"]) == ("a", "fail")
    assert {each["name"]: each["before"] for each in change["objects"]} == {"db": "pass", "x": None}


def test_hostile_texts_do_not_act(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = hostile_run(tmp_path / "one"), hostile_run(tmp_path / "two")
    text = (other / "verdicts.jsonl").read_bytes()
    (other / "verdicts.jsonl").write_bytes(text.replace(b'"status": "waived"', b'"status": "fail"'))
    code, told = shown(capsys, "-v", str(one), str(other))
    assert code == 1
    assert "waived -> fail" in told
    assert not any(each in told for each in ALIVE if each != "<script>alert")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "name two run directories"),
        (["one"], "name two run directories"),
        (["one", "two"], "one is no readable run directory"),
        (["--last", "a", "b"], "name one directory"),
        (["--last", "none"], "none: No such file"),
    ],
)
def test_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    argv: list[str], words: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["diff", *argv]) == 2
    assert words in capsys.readouterr().err


def test_two_real_hosts_as_one_that_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, name in enumerate(("sound", "rotten")):
        (tmp_path / str(number)).mkdir()
        recording = tmp_path / str(number) / "web1.jsonl.gz"
        shutil.copy(RECORDINGS / f"{name}.jsonl.gz", recording)
        run = tmp_path / "runs" / f"run-{number}"
        main(["audit", f"recording://{recording}", "--report-dir", str(run)])
    one, other = tmp_path / "runs" / "run-0", tmp_path / "runs" / "run-1"
    assert main(["diff", str(one), str(one)]) == 0
    capsys.readouterr()
    code, text = shown(capsys, "--json", str(one), str(other))
    document = json.loads(text)
    assert (code, document["scope"], document["hosts"]) == (1, [], [])
    before, after = ({each.control: each for each in read_verdicts(run)} for run in (one, other))
    newly = {name for name, each in after.items()
             if each.status is Status.FAIL is not before[name].status}  # fmt: skip
    fixed = {name for name, each in before.items()
             if each.status is Status.FAIL and str(after[name].status) in
             ("pass", "not-applicable")}  # fmt: skip
    assert newly
    told = {what: {each["control"] for each in document["changes"] if each["what"] == what}
            for what in ("newly-failing", "fixed")}  # fmt: skip
    assert told["newly-failing"] >= newly
    # What fails in both is newly failing only for an object that did not fail before.
    assert all(before[name].status is Status.FAIL for name in told["newly-failing"] - newly)
    assert told["fixed"] >= fixed


class TestLast:
    """``--last`` takes the newest run and the best one before it."""

    def told(self, home: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str], str]:
        code = main(["diff", "--last", str(home)])
        said = capsys.readouterr()
        return (
            code,
            [line.split()[2] for line in said.out.splitlines()[:4] if " is " in line],
            said.err,
        )

    def test_the_last_of_the_same_scope(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        night(tmp_path, 0, {"a": GOOD, "b": GOOD})
        night(tmp_path, 1, {"laptop": GOOD})
        night(tmp_path, 2, {"a": GOOD, "b": {**GOOD, ASLR: "fail"}})
        night(tmp_path, 3, {"a": GOOD}, finished=False)
        code, ids, said = self.told(tmp_path, capsys)
        assert (code, ids) == (1, ["20260901T020000Z-aaaa", "20260903T020000Z-aaaa"])
        assert said == ""

    def test_else_what_it_took_is_said(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        night(tmp_path, 0, {"a": GOOD, "b": GOOD})
        night(tmp_path, 1, {"laptop": GOOD})
        night(tmp_path, 2, {"a": GOOD, "b": GOOD, "c": GOOD})
        code, ids, said = self.told(tmp_path, capsys)
        assert (code, ids[0]) == (3, "20260901T020000Z-aaaa")
        assert "no earlier run has the scope of 20260903T020000Z-aaaa" in said

    def test_one_run_alone(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        night(tmp_path, 0, {"a": GOOD})
        assert main(["diff", "--last", str(tmp_path)]) == 2
        assert "one finished run" in capsys.readouterr().err
