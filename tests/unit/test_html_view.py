"""What the HTML report leaves out of large runs, and that it says so."""

from __future__ import annotations

from hullcheck.report.html.page import render
from hullcheck.report.html.view import Limits, gather
from hullcheck.report.source import Source
from tests.recordings.sample import SAMPLE


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
