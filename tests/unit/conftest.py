"""What several files of unit tests begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from hullcheck.run.audit import Subject
from hullcheck.transport.recording import dump
from hullcheck.transport.target import parse_spec
from hullcheck.transport.want import Evidence


@pytest.fixture
def subjects(tmp_path: Path) -> list[Subject]:
    """Seven hosts that answer from recordings, one of them with an empty one."""
    made = []
    for number in range(7):
        file = tmp_path / f"web{number}.jsonl.gz"
        dump([Evidence("uname -r", 0, b"6.%d\n" % number, b"")] if number else [], file)
        made.append(Subject(parse_spec(f"recording://{file}")))
    return made


@pytest.fixture
def specs(subjects: list[Subject], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    return [str(each.target) for each in subjects[1:]]
