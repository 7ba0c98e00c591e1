"""Every control on every recording: each is seen to pass and to fail, and says what it said.

See docs/testing.md: `python -m tests.recordings verdicts` after a change that was meant,
`python -m tests.recordings take` after one of what facts ask.
"""

from __future__ import annotations

import gzip
import json

import jsonschema
import pytest

from hullcheck.catalogue import all_controls
from hullcheck.schemas import schema
from hullcheck.transport.recording import load
from hullcheck.transport.redact import Redactor
from hullcheck.verdict import Status
from tests.recordings import book

ENTRIES = list(book.index().values())
COMMITTED = book.committed()
FILES = sorted(book.HERE.glob("*.jsonl.gz"))
MOST_KIB = 176


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_verdicts_are_those_committed(entry: book.Entry) -> None:
    """And no control breaks; of what a derived entry is asked, its base need not know all."""
    judged = entry.judged()
    missed = {each.reason for each in judged if each.reason.endswith("not in the recording")}
    assert entry.derived or not missed, (
        f"facts ask what was not recorded: retake it with `python -m tests.recordings take "
        f"{entry.name}`: {sorted(missed)}"
    )
    assert [each.control for each in judged if each.status is Status.ERROR] == []
    now = {each.control: {entry.name: str(each.status)} for each in judged}
    before = {
        control: {name: status for name, status in row.items() if name == entry.name}
        for control, row in COMMITTED.items()
    }
    changed = book.changes(before, now)
    assert not changed, "\n".join(
        ["if this is meant: `python -m tests.recordings verdicts`", *changed]
    )
    if not entry.derived:
        assert entry.judged() == judged, "law 9: judging twice is judging once"


@pytest.mark.parametrize("control", all_controls())
def test_a_control_passes_once_and_fails_once(control: str) -> None:
    """By what is committed, which the test above holds against the recordings."""
    seen = set(COMMITTED.get(control, {}).values())
    lacking = {"pass", "fail"} - seen
    assert lacking == set(book.excused().get(control, {})), (
        f"{control} has only {seen}: let a host of tests/recordings/scenes.py show the other, or "
        "say below `excused` in index.yaml why none can"
    )


def test_every_entry_has_its_file() -> None:
    assert {entry.file for entry in ENTRIES} <= set(FILES)
    assert {name for row in COMMITTED.values() for name in row} == {each.name for each in ENTRIES}


def test_nothing_is_excused_that_does_not_exist() -> None:
    assert set(book.excused()) <= set(all_controls())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_recording_is_valid_small_and_clean(path: book.Path) -> None:
    assert path.stat().st_size < MOST_KIB * 1024
    validator = jsonschema.Draft202012Validator(schema("evidence"))
    text = gzip.decompress(path.read_bytes()).decode()
    for line in text.splitlines():
        validator.validate(json.loads(line))
    redact = Redactor(b"another salt")
    again = [each for each in load(path) if redact(each) != each]
    assert [each.command for each in again] == [], "there is something left to cut out"
    for trace in ("hullcheck-live", "vsock", "/work/", "PRIVATE KEY-----\\nM", "meta-data", "-fc-"):
        assert trace not in text, f"{trace}: of the machine that it was taken on"
