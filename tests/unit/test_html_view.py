"""What the HTML report leaves out of large runs, and that it says so."""

from __future__ import annotations

from pathlib import Path

from hullcheck.report.html.page import render
from hullcheck.report.html.view import Limits, gather
from hullcheck.report.source import Source
from tests.recordings.sample import SAMPLE
from tests.unit.nights import ASLR, night


def test_what_is_left_out_is_said() -> None:
    view = gather(Source(SAMPLE), Limits(hosts=1, matrix=2, findings=1, evidence=100))
    assert view.left_out == len(view.hosts) == 3
    assert not view.evidence
    page = render(view)
    assert "The evidence of 3 hosts is not in this file" in page
    assert "and 2 more hosts: see all verdicts" in page
    assert "The 2 hosts with most failures of 3." in page


def test_all_is_in_a_small_run_and_what_fails_comes_first() -> None:
    view = gather(Source(SAMPLE))
    assert view.left_out == 0
    assert len(view.evidence) == 3
    assert "hosts is not in this file" not in render(view)
    first = view.controls[0]
    assert (str(first.status), first.control.severity) == ("fail", "critical")
    assert sum(sum(each.values()) for each in view.areas.values()) == 3 * len(view.controls)


def trend_of(run: Path) -> str:
    page = render(gather(Source(run)))
    return page[page.index("<h3>Trend") : page.index("<h3>By area")] if "<h3>Trend" in page else ""


def test_the_trend_is_of_the_runs_of_the_same_hosts_until_this_one(tmp_path: Path) -> None:
    runs = [night(tmp_path, number, {"a": {ASLR: told}}, digests=("sha256:c", digest))
            for number, (told, digest) in enumerate(
                (("fail", "x"), ("unknown", "x"), ("fail", "y")))]  # fmt: skip
    night(tmp_path, 3, {"another": {ASLR: "fail"}})
    picture = trend_of(runs[2])
    assert "3 runs from 2026-09-01 to 2026-09-03: fail 1 at first, 1 now; unknown 0" in picture
    assert picture.count("<rect") == 3
    assert "2026-09-02 02:00: 0 fail, 0 error, 1 unknown" in picture
    assert picture.count("<line") == 1
    assert trend_of(runs[0]) == ""
    # Neither a later run nor an index changes it.
    before = trend_of(runs[1])
    night(tmp_path, 4, {"a": {ASLR: "pass"}})
    (tmp_path / "latest").symlink_to(runs[2].name)
    assert trend_of(runs[1]) == before != ""
    assert not (tmp_path / runs[1].name / "history.sqlite").exists()


def test_no_trend_where_the_other_runs_cannot_be_read(tmp_path: Path) -> None:
    one, other = (night(tmp_path, each, {"a": {ASLR: "fail"}}) for each in (0, 1))
    (one / "run.json").write_text("nonsense")
    assert trend_of(other) == ""
