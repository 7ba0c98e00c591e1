from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from hullcheck.inventory.document import DocumentError
from hullcheck.inventory.waivers import Waiver, apply, load_waivers
from hullcheck.schemas import schema
from hullcheck.verdict import Finding, Object, Status, Verdict

EXAMPLE = Path(__file__).parents[2] / "inventories" / "waivers.yml"
TODAY = date(2026, 11, 23)
WAIVER = Waiver("runtime.no-new-privileges", "The vendor", "alice", TODAY)

ENTRY = """
- control: runtime.no-new-privileges
  host: web*
  object: legacy-*
  reason: The vendor's image needs su.
  owner: alice@example.com
  expires: 2027-01-31
"""


@pytest.fixture
def waivers(tmp_path):
    def write(text, controls=None):
        path = tmp_path / "waivers.yml"
        path.write_text(text)
        return load_waivers(path, controls)

    return write


def finding(name, status=Status.FAIL, identifier="", kind="container"):
    return Finding(Object(kind, name, identifier), status, True, False, f"{name} is {status}")


def verdict(*findings, status=Status.FAIL, host="web1"):
    reason = f"container {findings[0].object.name}: bad"
    return Verdict(host, "runtime.no-new-privileges", status, reason, findings, (1, 2))


def test_a_waiver_as_it_is_written(waivers):
    assert waivers(ENTRY) == [
        Waiver(
            "runtime.no-new-privileges", "The vendor's image needs su.", "alice@example.com",
            date(2027, 1, 31), "web*", "legacy-*",
        )
    ]  # fmt: skip
    assert waivers("") == []


@pytest.mark.parametrize(
    "day",
    ["2015/10/21", "2027-1-31", "2027-02-30", "20270131", "2027-W04-7", "31.01.2027", "soon",
     "2027-01-31T00:00:00Z", "'2027-01-31 '",
     "\u0662\u0660\u0662\u0667-01-31"],
)  # fmt: skip
def test_a_day_is_strict(waivers, day):
    with pytest.raises(DocumentError, match="write a day that exists as YYYY-MM-DD") as caught:
        waivers(ENTRY.replace("2027-01-31", day))
    assert caught.value.line == 7


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        (ENTRY.replace("  owner: alice@example.com\n", ""), 2, "add owner"),
        (ENTRY.replace("owner: alice@example.com", "owner: ''"), 6, "owner is empty"),
        (ENTRY.replace("owner:", "ownr:"), 6, "has no key 'ownr'; did you mean owner or"),
        (ENTRY.replace("expires: 2027-01-31", "expires:"), 7, "expires is missing"),
        (ENTRY + ENTRY.replace("reason: The vendor's", "reason: [x]\n  # "), 12, "write a text"),
        ("control: a\n", 1, "the document is a mapping; write a list"),
        ("- runtime.no-new-privileges\n", 1, "write a mapping"),
    ],
)
def test_mistakes(waivers, text, line, sentence):
    with pytest.raises(DocumentError) as caught:
        waivers(text)
    assert (caught.value.line, sentence in caught.value.message) == (line, True), caught.value


def test_a_control_that_does_not_exist_is_refused_but_a_pattern_may_wait(waivers):
    known = {"runtime.no-new-privileges"}
    assert waivers(ENTRY, known)
    assert waivers(ENTRY.replace("no-new-privileges", "*"), known)
    with pytest.raises(DocumentError, match=r"did you mean runtime\.no-new-privileges"):
        waivers(ENTRY.replace("no-new-privileges", "no-new-privilege"), known)


def test_a_failure_that_is_covered_is_waived_and_says_by_whom():
    judged = apply(verdict(finding("db"), finding("ok", Status.PASS)), [WAIVER], TODAY)
    assert judged.status is Status.WAIVED
    assert [each.status for each in judged.findings] == [Status.WAIVED, Status.PASS]
    assert judged.waiver == {
        "control": "runtime.no-new-privileges", "reason": "The vendor", "owner": "alice",
        "expires": "2026-11-23",
    }  # fmt: skip
    assert judged.reason == "container db: bad; waived until 2026-11-23 by alice: The vendor"
    assert judged.findings[0].reason.startswith("db is fail; waived until")
    assert (judged.findings[0].expected, judged.findings[0].observed) == (True, False)
    Draft202012Validator(schema("verdict")).validate(json.loads(json.dumps(asdict(judged))))


def test_it_holds_through_its_last_day_and_not_one_more():
    failing = verdict(finding("db"))
    assert apply(failing, [WAIVER], TODAY).status is Status.WAIVED
    after = apply(failing, [WAIVER], TODAY + timedelta(days=1))
    assert (after.status, after.waiver) == (Status.FAIL, None)
    assert after.reason == "container db: bad; the waiver of alice expired on 2026-11-23"
    assert after.findings == failing.findings


def test_one_failure_that_is_not_covered_keeps_the_verdict_failing():
    waiver = replace(WAIVER, object="legacy-*")
    judged = apply(verdict(finding("legacy-1"), finding("db")), [waiver], TODAY)
    assert (judged.status, judged.waiver) == (Status.FAIL, None)
    assert [each.status for each in judged.findings] == [Status.WAIVED, Status.FAIL]
    assert judged.reason == "container db: db is fail"


def test_two_waivers_together_cover_and_the_first_to_end_is_shown():
    later = replace(WAIVER, object="a", expires=TODAY + timedelta(days=9), owner="bob")
    judged = apply(verdict(finding("a"), finding("b")), [later, replace(WAIVER, object="b")], TODAY)
    assert judged.status is Status.WAIVED
    assert judged.waiver is not None
    assert judged.waiver["owner"] == "alice"


@pytest.mark.parametrize(
    "status", [Status.UNKNOWN, Status.ERROR, Status.MANUAL, Status.PASS, Status.NOT_APPLICABLE]
)
def test_nothing_but_a_failure_is_touched(status):
    judged = verdict(finding("db", status), status=status)
    assert apply(judged, [WAIVER], TODAY) is judged


@pytest.mark.parametrize("left", [Status.UNKNOWN, Status.ERROR, Status.MANUAL])
def test_what_a_failure_hid_comes_to_light_when_it_is_waived(left):
    judged = apply(verdict(finding("db"), finding("other", left)), [WAIVER], TODAY)
    assert (judged.status, judged.waiver) == (left, None)
    assert judged.reason == f"container other: other is {left}"
    assert judged.findings[1].status is left


@pytest.mark.parametrize(
    ("change", "covered"),
    [
        ({}, True),
        ({"control": "runtime.*"}, True),
        ({"control": "engine.*"}, False),
        ({"control": "Runtime.no-new-privileges"}, False),
        ({"host": "web?"}, True),
        ({"host": "db*"}, False),
        ({"object": "leg*"}, True),
        ({"object": "4f00*"}, True),
        ({"object": "leg"}, False),
        ({"object": "[::]:2375"}, False),
        ({"object": ""}, False),
    ],
)
def test_patterns(change, covered):
    failing = verdict(finding("legacy", identifier="4f00aa"))
    judged = apply(failing, [replace(WAIVER, **change)], TODAY)
    assert judged.status is (Status.WAIVED if covered else Status.FAIL)
    if not covered:
        assert judged == failing


def test_an_object_without_an_id_is_not_covered_by_an_empty_pattern():
    assert apply(verdict(finding("db")), [replace(WAIVER, object="")], TODAY).status is Status.FAIL


def test_a_name_with_brackets_fits_itself():
    listener = verdict(finding("[::]:2375", kind="listener"))
    judged = apply(listener, [replace(WAIVER, object="[::]:2375")], TODAY)
    assert judged.status is Status.WAIVED


def test_an_expired_waiver_for_something_else_is_not_mentioned():
    lapsed = replace(WAIVER, object="other", expires=TODAY - timedelta(days=1))
    assert apply(verdict(finding("db")), [lapsed], TODAY) == verdict(finding("db"))


def test_the_example_is_right():
    assert load_waivers(EXAMPLE)[0].ticket == "OPS-1234"
