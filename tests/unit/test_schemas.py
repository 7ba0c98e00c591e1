from __future__ import annotations

import copy
import gzip
import json

import pytest
from jsonschema import Draft202012Validator

from hullcheck.schemas import schema
from hullcheck.transport.recording import dump
from hullcheck.transport.want import Evidence

DIGEST = f"sha256:{'0a' * 32}"
RUN = {
    "schema": "hullcheck.run/1",
    "run": {
        "id": "20261123T163005Z-3fa9", "started": "2026-11-23T16:30:05Z", "finished": None,
        "tool": {"name": "hullcheck", "version": "0.1.0"},
        "controls_digest": DIGEST, "policy_digest": DIGEST, "previous": None,
    },
    "hosts": [
        {
            "name": "web1", "target": "ssh://web1", "status": "audited", "reason": "",
            "facts": {"os": "Debian", "kernel": "6.1",
                      "engines": [{"name": "docker", "version": "20.10.24"}]},
            "recording": "evidence/web1.jsonl.gz", "rounds": 4, "commands": 321, "seconds": 0.9,
            "totals": {"pass": 1, "fail": 1},
        },
        {
            "name": "web2", "target": "ssh://web2", "status": "unreachable", "reason": "refused",
            "facts": {}, "recording": None, "rounds": 0, "commands": 0, "seconds": 0,
            "totals": {},
        },
    ],
    "controls": [
        {
            "id": "runtime.no-new-privileges", "title": "A title", "severity": "high", "level": 1,
            "area": "runtime", "fix": "Do.", "rationale": "Because.",
            "references": {"cis-docker-1.8.0": ["5.26"]},
        }
    ],
    "totals": {"pass": 1, "fail": 1},
}  # fmt: skip
VERDICT = {
    "host": "web1", "control": "runtime.no-new-privileges", "status": "fail", "reason": "bad",
    "findings": [
        {"object": {"kind": "container", "name": "db", "id": "4f"}, "status": "fail",
         "expected": True, "observed": {"a": [None, 1.5]}, "reason": ""}
    ],
    "evidence": [17, 203], "waiver": None,
}  # fmt: skip
WAIVER = {"control": "runtime.*", "reason": "why", "owner": "alice", "expires": "2027-01-31"}
EVIDENCE = {
    "command": "true", "exit": 0, "stdout": "", "stderr": {"base64": "/w=="},
    "started": 1795451405.5, "seconds": 0.1, "round": 1, "trouble": "",
}  # fmt: skip
GOOD = {"run": RUN, "verdict": VERDICT, "evidence": EVIDENCE}
MISSING = object()


def valid(name, document):
    return Draft202012Validator(schema(name)).is_valid(json.loads(json.dumps(document)))


def changed(document, path, value):
    """Return a copy in which the value at a path is another, or gone."""
    copied = copy.deepcopy(document)
    inner = copied
    for key in path[:-1]:
        inner = inner[key]
    if value is MISSING:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return copied


def paths(document, path=()):
    """Yield the path of every key of every mapping."""
    keys = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in keys:
        if isinstance(document, dict):
            yield (*path, key)
        if isinstance(value, dict | list):
            yield from paths(value, (*path, key))


@pytest.mark.parametrize("name", GOOD)
def test_the_schemas_are_schemas_and_accept_what_the_contract_says(name):
    Draft202012Validator.check_schema(schema(name))
    Draft202012Validator(schema(name)).validate(GOOD[name])


FREE = {"facts", "references", "totals", "observed", "engines"}
REQUIRED = [
    (name, path)
    for name, document in GOOD.items()
    for path in paths(document)
    if not FREE & set(path[:-1])
]


@pytest.mark.parametrize(("name", "path"), REQUIRED)
def test_every_key_of_the_contract_is_required(name, path):
    assert len(REQUIRED) > 40
    assert not valid(name, changed(GOOD[name], path, MISSING))


@pytest.mark.parametrize(
    ("name", "path"),
    [("run", ()), ("run", ("run",)), ("run", ("run", "tool")), ("run", ("hosts", 0)),
     ("run", ("controls", 0)), ("run", ("totals",)), ("run", ("hosts", 0, "totals")),
     ("verdict", ()), ("verdict", ("findings", 0)), ("verdict", ("findings", 0, "object")),
     ("evidence", ()), ("evidence", ("stderr",))],
)  # fmt: skip
def test_closed_objects_take_no_other_key(name, path):
    assert not valid(name, changed(GOOD[name], (*path, "extra"), 1))


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("run", ("schema",), "hullcheck.run/2"),
        ("run", ("run", "id"), "../x"),
        ("run", ("run", "started"), "2026-11-23 16:30:05"),
        ("run", ("run", "started"), "2026-11-23T16:30:05+01:00"),
        ("run", ("run", "started"), "2026-13-23T16:30:05Z"),
        ("run", ("run", "finished"), ""),
        ("run", ("run", "controls_digest"), ""),
        ("run", ("run", "policy_digest"), "sha256:xyz"),
        ("run", ("run", "previous"), "md5:00"),
        ("run", ("totals",), {"passed": 1}),
        ("run", ("totals",), {"pass": -1}),
        ("run", ("hosts", 0, "status"), "ok"),
        ("run", ("hosts", 0, "status"), "partial"),
        ("run", ("hosts", 1, "reason"), ""),
        ("run", ("hosts", 1, "totals"), {"pass": 1}),
        ("run", ("hosts", 0, "recording"), None),
        ("run", ("hosts", 0, "recording"), "evidence/../../x.jsonl.gz"),
        ("run", ("hosts", 0, "facts", "engines"), [{"name": "docker"}]),
        ("run", ("controls", 0, "severity"), "urgent"),
        ("run", ("controls", 0, "level"), 3),
        ("run", ("controls", 0, "id"), "no_new_privileges"),
        ("run", ("controls", 0, "references"), {"cis": []}),
        ("run", ("controls", 0, "references"), {"cis": [5.26]}),
        ("verdict", ("status",), "skipped"),
        ("verdict", ("status",), "waived"),
        ("verdict", ("waiver",), WAIVER),
        ("verdict", ("findings",), []),
        ("verdict", ("findings", 0, "status"), "warn"),
        ("verdict", ("evidence",), []),
        ("verdict", ("evidence",), [-1]),
        ("verdict", ("evidence",), [1, 1]),
        ("verdict", ("reason",), ""),
        ("evidence", ("exit",), None),
        ("evidence", ("exit",), "0"),
        ("evidence", ("stdout",), {"base64": "not base64"}),
        ("evidence", ("stdout",), None),
    ],
)
def test_wrong_values_are_refused(name, path, value):
    assert not valid(name, changed(GOOD[name], path, value))


@pytest.mark.parametrize("expires", ["2027/01/31", "2027-13-01", "soon"])
def test_a_waived_verdict_names_its_waiver(expires):
    waived = {**VERDICT, "status": "waived", "waiver": WAIVER}
    assert valid("verdict", waived)
    assert not valid("verdict", {**waived, "waiver": {**WAIVER, "expires": expires}})
    assert not valid("verdict", {**waived, "waiver": {**WAIVER, "owner": ""}})


def test_an_error_needs_no_evidence_and_a_pass_no_reason():
    assert valid("verdict", {**VERDICT, "status": "error", "evidence": []})
    assert valid("verdict", {**VERDICT, "status": "pass", "reason": ""})
    assert not valid("verdict", {**VERDICT, "status": "pass", "evidence": []})


def test_a_real_recording_is_valid(tmp_path):
    path = tmp_path / "h.jsonl.gz"
    dump(
        [
            Evidence("cat /x", 0, b"\xff\x00", b"", 1.0, 0.1, 1),
            Evidence("sleep 99", None, b"", "é".encode(), 1.0, 20.0, 2, "timed out"),
        ],
        path,
    )
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    assert len(lines) == 2
    for line in lines:
        Draft202012Validator(schema("evidence")).validate(json.loads(line))
