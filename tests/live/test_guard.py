"""A live test that does not run is a skip for a newcomer and a failure in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

GUARD = (Path(__file__).parents[1] / "conftest.py").read_text()
LACKING = "\nmissing = lambda: 'live tests need: apt-get install docker.io'\n"
TEST = "import pytest\n\n@pytest.mark.live\ndef test_real():\n    {body}\n"


def session(directory: Path, guard: str, body: str, **environment: str) -> tuple[int, str]:
    """Run one live test under a guard, in a project of its own: exit code and output."""
    (directory / "conftest.py").write_text(guard)
    (directory / "pytest.ini").write_text("[pytest]\nmarkers =\n    live: real\n")
    (directory / "test_one.py").write_text(TEST.format(body=body))
    inherited = {name: value for name, value in os.environ.items() if name != "CI"}
    inherited["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    argv = [sys.executable, "-m", "pytest", "-q", "-rs"]
    done = subprocess.run(
        argv,
        cwd=directory,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_a_newcomer_is_told_what_is_missing(tmp_path: Path) -> None:
    code, said = session(tmp_path, GUARD + LACKING, "raise SystemError")
    assert code == 0
    assert "1 skipped" in said
    assert "apt-get install docker.io" in said


def test_ci_fails_where_something_is_missing(tmp_path: Path) -> None:
    code, said = session(tmp_path, GUARD + LACKING, "raise SystemError", CI="true")
    assert code == 1
    assert "CI must run every live test" in said
    assert "apt-get install docker.io" in said


@pytest.mark.parametrize(
    "body", ["pytest.skip('not today')", "pytest.importorskip('nosuchmodule')"]
)
def test_ci_fails_where_a_test_skips_itself(tmp_path: Path, body: str) -> None:
    here = GUARD + "\nmissing = lambda: None\n"
    assert session(tmp_path, here, body)[0] == 0
    assert session(tmp_path, here, body, CI="true")[0] == 1
