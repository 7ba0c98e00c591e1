"""--fail-on: which fails make exit code 1, that nothing lost is ever green, and why it is said."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.cli import main
from hullcheck.commands._ending import ending
from hullcheck.run.earlier import last_audits
from hullcheck.run.options import UsageError
from tests.unit.november import CRITICAL, HIGH, MEDIUM, night

LOST = "unreachable: no route"


def code(place: Path, tonight: int, *fail_on: str, **hosts: dict[str, str] | str) -> int:
    made = night(place, tonight, hosts)
    return ending(Namespace(fail_on=list(fail_on), metrics=None)).code(made)


def test_the_severities_are_what_the_names_say() -> None:
    known = all_controls()
    assert [known[each].severity for each in (MEDIUM, HIGH, CRITICAL)] == [
        "medium", "high", "critical"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fail_on", "before", "now", "expected"),
    [
        ("any", None, {HIGH: "pass"}, 0),
        ("any", None, {MEDIUM: "fail"}, 1),
        ("any", {MEDIUM: "fail"}, {MEDIUM: "fail"}, 1),
        ("high", None, {MEDIUM: "fail", HIGH: "pass"}, 0),
        ("high", None, {HIGH: "fail"}, 1),
        ("high", None, {CRITICAL: "fail"}, 1),
        ("high", None, {MEDIUM: "fail", HIGH: "unknown"}, 3),
        ("high", None, {MEDIUM: "fail", HIGH: "error"}, 3),
        ("new", None, {MEDIUM: "fail"}, 1),
        ("new", {MEDIUM: "fail"}, {MEDIUM: "fail"}, 0),
        ("new", {MEDIUM: "pass"}, {MEDIUM: "fail"}, 1),
        ("new", {MEDIUM: "waived"}, {MEDIUM: "fail"}, 1),
        ("new", {MEDIUM: "unknown"}, {MEDIUM: "fail"}, 1),
        ("new", {MEDIUM: "fail a,b"}, {MEDIUM: "fail b"}, 0),
        ("new", {MEDIUM: "fail a"}, {MEDIUM: "fail a,b"}, 1),
        ("new", {MEDIUM: "fail"}, {MEDIUM: "fail", HIGH: "unknown"}, 3),
        ("new", LOST, {MEDIUM: "fail"}, 1),
        ("new", "partial: cut off", {MEDIUM: "fail"}, 1),
        ("new,high", {HIGH: "pass"}, {MEDIUM: "fail", HIGH: "pass"}, 0),
        ("new,high", {HIGH: "fail"}, {MEDIUM: "fail", HIGH: "fail"}, 0),
        ("new,high", {HIGH: "pass"}, {HIGH: "fail"}, 1),
        ("any", {HIGH: "pass"}, LOST, 3),
        ("new,high", {HIGH: "pass"}, LOST, 3),
    ],
)  # fmt: skip
def test_exit_codes(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    fail_on: str,
    before: dict[str, str] | str | None,
    now: dict[str, str] | str,
    expected: int,
) -> None:
    if before is not None:
        night(tmp_path, 1, {"web1": before})
    assert code(tmp_path, 2, fail_on, web1=now) == expected
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith(f"hullcheck: exit code {expected}: ")
    strange = "new" in fail_on and not isinstance(before, dict)
    assert len(said) == (2 if strange and isinstance(now, dict) else 1)


def test_a_lost_host_is_never_green_and_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    night(tmp_path, 1, {"web1": {HIGH: "fail"}, "web2": {HIGH: "fail"}})
    assert code(tmp_path, 2, "new", web1={HIGH: "fail"}, web2=LOST) == 3
    said = capsys.readouterr().err
    assert "1 host lost or cut off (web2)" in said
    assert "1 failing do not count (--fail-on new)" in said


def test_each_host_is_compared_with_its_own_last_audit(tmp_path: Path) -> None:
    night(tmp_path, 1, {"web1": {HIGH: "fail"}, "web2": {HIGH: "pass"}})
    night(tmp_path, 2, {"web1": LOST, "web2": {HIGH: "fail"}})
    night(tmp_path, 3, {"db9": {HIGH: "fail"}})
    night(tmp_path, 4, {"web1": {HIGH: "pass"}, "web2": {HIGH: "pass"}}, finished=False)
    assert code(tmp_path, 5, "new", web1={HIGH: "fail"}, web2={HIGH: "fail"}) == 0


@pytest.mark.parametrize("odd", ["other target", "later", "damaged"])
def test_what_is_no_earlier_run_of_this_host_excuses_nothing(tmp_path: Path, odd: str) -> None:
    fails = {"web1": {HIGH: "fail"}}
    other = night(tmp_path, 9 if odd == "later" else 1, fails,
                  target="ssh://elsewhere-{}" if odd == "other target" else "ssh://{}")  # fmt: skip
    if odd == "damaged":
        (other.path / "run.json").write_text("{}")
    (tmp_path / "latest").symlink_to(other.path.name)
    assert code(tmp_path, 5, "new", **fails) == 1


def test_a_run_under_any_name_is_an_earlier_one(tmp_path: Path) -> None:
    made = night(tmp_path, 1, {"web1": {HIGH: "fail"}})
    made.path.rename(tmp_path / "baseline")
    assert code(tmp_path, 2, "new", web1={HIGH: "fail"}) == 0


def test_the_last_audit_of_each_host(tmp_path: Path) -> None:
    good = {HIGH: "pass"}
    night(tmp_path, 1, {"web1": good, "web2": good})
    night(tmp_path, 2, {"web1": good, "web2": LOST})
    tonight = night(tmp_path, 3, {
        "web1": "partial: cut", "web2": LOST, "web3": LOST, "web4": good
    }, target="{}")  # fmt: skip
    assert last_audits(tonight.path, tonight.run) == {
        "web1": "2026-11-02T02:15:00Z", "web2": "2026-11-01T02:15:00Z",
        "web4": "2026-11-03T02:15:00Z",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fail_on", "metrics", "word"),
    [
        (["newer"], None, "newer"),
        (["new, lots"], None, "lots"),
        ([""], None, "any, high, new"),
        ([], "metrics.txt", "*.prom"),
        ([], "none/x.prom", "folder"),
    ],
)
def test_what_cannot_be_done_is_said_before(
    tmp_path: Path, fail_on: list[str], metrics: str | None, word: str
) -> None:
    place = tmp_path / metrics if metrics else None
    with pytest.raises(UsageError, match=word.replace("*", r"\*")):
        ending(Namespace(fail_on=fail_on, metrics=place))


def test_the_command_takes_them_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["audit", "local://", "--fail-on", "new", "--fail-on", "soon"]) == 2
    assert "--fail-on soon" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
