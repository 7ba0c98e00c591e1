"""The wrong verdicts of peers, each held against a test in which ours is right.

``tests/peers/weaknesses.yaml`` names them by their numbers in the project's reference on CIS
Docker, section 2, which leaves out those that were merged into others.
"""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from hullcheck.transport.want import Evidence
from hullcheck.verdict import Status
from tests.recordings import book

TESTS = Path(__file__).parents[1]
NUMBERS = {
    *range(1, 11), *range(12, 23), *range(25, 30), *range(33, 40), 41, 43, 44, 45, 47,
    55, 56, 57, *range(59, 65),
}  # fmt: skip
LONGEST = 200
ENTRIES: dict[int, dict[str, Any]] = yaml.safe_load((TESTS / "peers/weaknesses.yaml").read_text())


@functools.cache
def named_in(file: str) -> frozenset[str]:
    """Return the names of the tests in a file, those of a class as Class::test."""
    body = ast.parse((TESTS / file).read_text()).body
    found = {each.name for each in body if isinstance(each, ast.FunctionDef)}
    for each in body:
        if isinstance(each, ast.ClassDef):
            inner = [one.name for one in each.body if isinstance(one, ast.FunctionDef)]
            found |= {f"{each.name}::{one}" for one in inner}
    return frozenset(each for each in found if "test_" in each)


def test_every_weakness_has_its_entry() -> None:
    assert set(ENTRIES) == NUMBERS


@pytest.mark.parametrize("number", sorted(ENTRIES))
def test_an_entry_says_in_a_line_what_goes_wrong_and_names_tests_that_exist(number: int) -> None:
    entry = ENTRIES[number]
    assert set(entry) == {"wrong", "right"}
    assert 20 < len(entry["wrong"]) <= LONGEST
    assert "\n" not in entry["wrong"]
    assert entry["right"]
    for named in entry["right"]:
        file, _, test = named.partition("::")
        assert test in named_in(file), named


@pytest.fixture(scope="module")
def recorded() -> list[Evidence]:
    """What the recorded hosts with an engine were asked."""
    files = (book.HERE / f"{name}.jsonl.gz" for name in ("typical", "rotten", "populated"))
    return [each for file in files for each in book.load(file)]


CLIENT = re.compile(r"(?<![\w./'*-])(docker|podman|nerdctl|ctr|crictl|kubectl) +(-|[a-z])")
"""A client at the place of a program in a command."""

NAMES = re.compile(r"-name \S+|\bfor \w+ in [^;]*;")
"""Where names stand that are looked for, or gone through, and not run."""


def test_every_question_to_an_engine_says_which(recorded: list[Evidence]) -> None:
    """Weakness 64: DOCKER_HOST decided which engine answered, beside this host's own files."""
    asked = {NAMES.sub("", each.command) for each in recorded}
    calls = [
        command[found.start() :]
        for command in asked
        for found in CLIENT.finditer(command)
    ]  # fmt: skip
    assert len(calls) > 5
    named = r"docker -H (unix://[^ ]+|tcp://(127\.0\.0\.\d+|\[::1\]):\d+) |docker --version"
    here = re.compile(named)
    assert [each for each in calls if not here.match(each)] == []
    plain = [each for each in asked if "docker --version" in each]
    assert all("DOCKER_HOST=unix:///nonexistent docker --version" in each for each in plain)


@pytest.mark.parametrize("name", ["bare", "typical", "sound"])
def test_a_pass_shows_what_it_saw_and_where(name: str) -> None:
    """Weakness 63: a pass came with no observed value and no command."""
    entry = book.index()[name]
    passed = [each for each in entry.judged() if each.status is Status.PASS]
    assert passed
    for verdict in passed:
        assert verdict.evidence, verdict.control
        shown = [each for each in verdict.findings if each.status is Status.PASS]
        assert shown, verdict.control
        for each in shown:
            assert each.expected is not None or each.observed is not None, verdict.control
