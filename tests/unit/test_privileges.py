"""What is said of privileges is what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.cli import main
from hullcheck.inventory.document import DocumentError
from hullcheck.report.privileges import ANYBODY, ROOT, SOME, Need, needs, privileges_table
from hullcheck.verdict import Status, Verdict
from tests.recordings.book import index
from tests.recordings.privileges import _need, measured


def test_the_file_is_up_to_date() -> None:
    assert needs() == measured(), "run python -m tests.recordings verdicts"


def test_every_control_has_its_need(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(needs()) == set(all_controls())
    assert main(["controls", "--privileges"]) == 0
    shown = capsys.readouterr().out
    assert f"{sum(each.who == ROOT for each in needs().values())} decided only for root" in shown


def test_an_ordinary_user_never_acquits_what_root_sees_fail() -> None:
    for entry in index().values():
        if entry.of:
            failed = {each.control for each in index()[entry.of].judged() if each.status == "fail"}
            passed = {each.control for each in entry.judged() if each.status == "pass"}
            assert failed & passed == set(), entry.name


@pytest.mark.parametrize(
    ("pairs", "who"),
    [
        ([("pass", "pass"), ("fail", "fail")], ANYBODY),
        ([("pass", "unknown"), ("fail", "unknown")], ROOT),
        ([("pass", "unknown"), ("fail", "fail")], SOME),
        ([("unknown", "unknown")], ROOT),
        ([("unknown", "unknown"), ("pass", "pass")], ANYBODY),
        ([("fail", "pass")], ROOT),
    ],
)
def test_who_can_decide(pairs: list[tuple[str, str]], who: str) -> None:
    made = [
        tuple(Verdict("h", "a.b", Status(each), "why; more") for each in pair) for pair in pairs
    ]
    assert _need((first, second) for first, second in made).who == who


def test_a_control_that_was_not_measured_counts_as_roots() -> None:
    shown = privileges_table(all_controls(), {"host.aslr": Need(ANYBODY)})
    assert f"{len(all_controls()) - 1} decided only for root" in shown


def test_a_damaged_file(tmp_path: Path) -> None:

    path = tmp_path / "p.yaml"
    path.write_text("host.aslr: {who: everybody}\n")
    with pytest.raises(DocumentError, match=r"p\.yaml:1: there is no who 'everybody'"):
        needs(path)
