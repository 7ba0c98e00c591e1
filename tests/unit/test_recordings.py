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
from hullcheck.verdict import Verdict
from tests.recordings import book

ENTRIES = list(book.index().values())
FILES = sorted(book.HERE.glob("*.jsonl.gz"))
MOST_KIB = 176

pytestmark = pytest.mark.xdist_group("recordings")
"""All are judged once, in one worker."""


@pytest.fixture(scope="module")
def verdicts() -> dict[str, list[Verdict]]:
    return {entry.name: entry.judged() for entry in ENTRIES}


@pytest.fixture(scope="module")
def statuses(verdicts: dict[str, list[Verdict]]) -> book.Statuses:
    found: book.Statuses = {name: {} for name in all_controls()}
    for recording, judged in verdicts.items():
        for each in judged:
            found[each.control][recording] = str(each.status)
    return found


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_what_the_facts_ask_is_in_it(entry: book.Entry, verdicts: dict[str, list[Verdict]]) -> None:
    """Of what a derived entry would be asked, its base need not know all."""
    missed = {
        each.reason for each in verdicts[entry.name] if each.reason.endswith("not in the recording")
    }
    assert entry.derived or not missed, (
        f"facts ask what was not recorded: retake it with `python -m tests.recordings take "
        f"{entry.name}`: {sorted(missed)}"
    )


def test_verdicts_are_those_committed(statuses: book.Statuses) -> None:
    changed = book.changes(book.committed(), statuses)
    assert not changed, "\n".join(
        ["if this is meant: `python -m tests.recordings verdicts`", *changed]
    )


def test_no_control_breaks(statuses: book.Statuses) -> None:
    assert [name for name, row in statuses.items() if "error" in row.values()] == []


@pytest.mark.parametrize("control", all_controls())
def test_a_control_passes_once_and_fails_once(control: str, statuses: book.Statuses) -> None:
    seen = set(statuses[control].values())
    lacking = {"pass", "fail"} - seen
    assert lacking == set(book.excused().get(control, {})), (
        f"{control} has only {seen}: let a host of tests/recordings/scenes.py show the other, or "
        "say below `excused` in index.yaml why none can"
    )


def test_every_entry_has_its_file() -> None:
    assert {entry.file for entry in ENTRIES} <= set(FILES)


def test_nothing_is_excused_that_does_not_exist() -> None:
    assert set(book.excused()) <= set(all_controls())


def test_judging_twice_is_judging_once(verdicts: dict[str, list[Verdict]]) -> None:
    """Law 9."""
    for entry in (each for each in ENTRIES if not each.derived):
        assert entry.judged() == verdicts[entry.name], entry.name


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
