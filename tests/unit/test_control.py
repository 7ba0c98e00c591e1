"""Controls and expectations."""

from __future__ import annotations

from typing import Any

import pytest

from hullcheck.control import control, control_of, expect, expectations


@pytest.mark.parametrize(
    ("observed", "relation", "holds"),
    [
        (1, {"equals": 1}, True),
        (False, {"equals": True}, False),
        (5, {"at_most": 5}, True),
        (6, {"at_most": 5}, False),
        (4, {"at_least": 5}, False),
        ("a", {"one_of": ["a", "b"]}, True),
        (["a"], {"within": ["a", "b"]}, True),
        (["a", "c"], {"within": ["a", "b"]}, False),
        (["a", "c"], {"without": ["b"]}, True),
        (["a", "c"], {"without": ["c"]}, False),
        (["a", "c"], {"contains": "a"}, True),
    ],
)
def test_expect(observed: Any, relation: dict[str, Any], holds: bool) -> None:
    with expectations() as stated:
        assert expect(observed, what="x", **relation) is holds
    assert stated[0].holds is holds
    if not holds:
        with pytest.raises(AssertionError, match="x is"):
            expect(observed, what="x", **relation)


def test_expect_needs_exactly_one_relation() -> None:
    with pytest.raises(TypeError, match="exactly one"):
        expect(1, what="x")
    with pytest.raises(TypeError, match="exactly one"):
        expect(1, what="x", equals=1, at_most=2)


def test_expectations_are_json_data() -> None:
    with expectations() as stated:
        expect({"b", "a"}, what="x", within=frozenset({"a"}))
    assert (stated[0].observed, stated[0].expected) == (["a", "b"], ["a"])
    assert stated[0].sentence == "x is a, b, expected nothing but a"


def test_a_sentence_reads_well() -> None:
    with expectations() as stated:
        expect(["b", "a"], equals=[], what="missing")
        expect({"b", "a"}, within=(), what="missing")
        expect(["host", "c"], without=("host", "d"), what="network")
        expect("c", one_of=("a",), what="driver")
        expect(range(20), equals=[], what="ports")
    assert [each.sentence for each in stated] == [
        "missing: b, a",
        "missing: a, b",
        "network is host, expected anything else",
        "driver is c, expected a",
        "ports: 0, 1, 2, 3, 4, 5 and 14 more",
    ]
    assert stated[4].observed == list(range(20)), "the data is whole"


def test_a_control_is_named_after_its_place() -> None:
    @control(title="T", severity="high", fix="F", aliases=["unit.older"])
    def test_a_good_thing(host: object) -> None:
        """Why."""

    made = control_of(test_a_good_thing)
    assert made
    assert (made.id, made.area, made.rationale) == ("unit.a-good-thing", "unit", "Why.")
    assert made.inputs == ("host",)


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [({"severity": "huge"}, "severity"), ({"title": ""}, "title"), ({"fix": ""}, "fix")],
)
def test_a_control_must_be_whole(parts: dict[str, str], complaint: str) -> None:
    def test_it() -> None:
        """Why."""

    with pytest.raises(ValueError, match=complaint):
        control(**{"title": "T", "severity": "low", "fix": "F", **parts})(test_it)  # type: ignore[arg-type]
