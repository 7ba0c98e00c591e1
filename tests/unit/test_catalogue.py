"""The controls as a whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hullcheck.catalogue import all_controls, nearest, select
from hullcheck.control import SEVERITIES
from hullcheck.facts import PROVIDERS
from hullcheck.report.coverage import catalogue_markdown

ROOT = Path(__file__).parents[2]
GIVEN = {"host", "policy", "role", "started"}


def test_there_are_at_least_sixty() -> None:
    assert len(all_controls()) >= 60


@pytest.mark.parametrize("control", all_controls().values(), ids=lambda each: str(each.id))
def test_a_control_asks_for_facts_that_exist_and_speaks_to_a_person(control: object) -> None:
    from hullcheck.control import Control

    assert isinstance(control, Control)
    assert set(control.inputs) <= GIVEN | set(PROVIDERS)
    assert control.severity in SEVERITIES
    assert 40 <= len(control.rationale) <= 700
    assert len(control.title) <= 80
    assert not control.title.endswith(".")
    assert control.fix.endswith(".")


def test_the_catalogue_page_is_up_to_date() -> None:
    page = (ROOT / "docs" / "controls.md").read_text()
    assert page == catalogue_markdown(all_controls()), "run make docs"


def test_a_wrong_id_is_answered_with_the_nearest() -> None:
    with pytest.raises(KeyError, match=r"runtime\.host-network"):
        select(["runtime.host-networks"])
    assert nearest("zzz", ["abc"]) == ""


def test_installed_controls_lie_below_hullcheck(tmp_path: Path) -> None:
    """As the wheel has them: there is no package called checks."""
    root = Path(__file__).parents[2]
    (tmp_path / "hullcheck").mkdir()
    for each in (*(root / "hullcheck").iterdir(), root / "checks"):
        (tmp_path / "hullcheck" / each.name).symlink_to(each)
    script = (
        "import sys\n"
        f"sys.path = [{str(tmp_path)!r}, *(each for each in sys.path if each != {str(root)!r})]\n"
        "from hullcheck.catalogue import all_controls\n"
        "print(len(all_controls()), 'checks' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == (f"{len(all_controls())} False\n", "")
