"""SARIF 2.1.0 (OASIS), for code scanning.

A result for each verdict. Its ``kind`` is SARIF's word for the status: fail; pass; notApplicable;
review for manual; open for unknown and error, "the result could not be determined". A waived
failure is a fail with an accepted suppression. Only a fail has a level above none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hullcheck.report.source import ControlText, Source
from hullcheck.report.streamed import PLACE, write_lists
from hullcheck.report.text import safe
from hullcheck.verdict import Status, Verdict

__all__ = ["KINDS", "write"]

KINDS = {
    Status.FAIL: "fail", Status.WAIVED: "fail", Status.PASS: "pass", Status.NOT_APPLICABLE:
    "notApplicable", Status.MANUAL: "review", Status.UNKNOWN: "open", Status.ERROR: "open",
}  # fmt: skip
LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
SCORES = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "3.0"}
"""GitHub sorts by ``security-severity``: the bands of CVSS."""

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
OBJECTS = 50
"""Locations of one result."""


def write(source: Source, path: Path) -> None:
    """Write a run as SARIF."""
    run = source.run
    rules = list(source.controls.values())
    tool = {
        "name": "hullcheck", "version": run["tool"]["version"], "rules": [_rule(e) for e in rules],
    }  # fmt: skip
    invocation: dict[str, Any] = {
        "executionSuccessful": bool(run["finished"]), "startTimeUtc": run["started"],
        "toolExecutionNotifications": [_lost(each) for each in source.hosts
                                       if each["status"] != "audited"],
    }  # fmt: skip
    if run["finished"]:
        invocation["endTimeUtc"] = run["finished"]
    document = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": tool},
                "automationDetails": {"id": f"hullcheck/{run['id']}"},
                "invocations": [invocation],
                "results": [PLACE.format("results")],
            }
        ],
    }
    numbers = {each.id: number for number, each in enumerate(rules)}
    write_lists(path, document, results=_results(source, numbers))


def _rule(control: ControlText) -> dict[str, Any]:
    return {
        "id": control.id,
        "shortDescription": {"text": control.title},
        "fullDescription": {"text": control.rationale},
        "help": {"text": control.fix},
        "defaultConfiguration": {"level": LEVELS[control.severity]},
        "properties": {
            "tags": ["security", control.area, f"level-{control.level}"],
            "security-severity": SCORES[control.severity],
            "references": dict(control.references),
            "proposedReferences": dict(control.proposed),
        },
    }


def _lost(host: dict[str, Any]) -> dict[str, Any]:
    told = f"{safe(host['name'])} was {host['status']}: {safe(host['reason'])}"
    return {"level": "error", "message": {"text": told}}


def _results(source: Source, numbers: dict[str, int]) -> Iterator[dict[str, Any]]:
    for verdict in source.verdicts():
        control = source.controls[verdict.control]
        failing = KINDS[verdict.status] == "fail"
        result: dict[str, Any] = {
            "ruleId": control.id,
            "ruleIndex": numbers[control.id],
            "kind": KINDS[verdict.status],
            "level": LEVELS[control.severity] if failing else "none",
            "message": {"text": f"{safe(verdict.host)}: {safe(verdict.reason) or verdict.status}"},
            "locations": _locations(verdict),
            "partialFingerprints": {"hullcheck/1": f"{safe(verdict.host)}:{control.id}"},
            "properties": {
                "status": str(verdict.status), "evidence": list(verdict.evidence),
                "attestation": verdict.attestation and
                {key: safe(value) for key, value in verdict.attestation.items()},
            },
        }  # fmt: skip
        if verdict.status is Status.WAIVED and verdict.waiver:
            why = f"{safe(verdict.waiver['owner'])}, until {verdict.waiver['expires']}: "
            result["suppressions"] = [
                {"kind": "external", "status": "accepted",
                 "justification": why + safe(verdict.waiver["reason"])}
            ]  # fmt: skip
        yield result


def _locations(verdict: Verdict) -> list[dict[str, Any]]:
    """Return where it was found: the host, as an artifact, and each object in it."""
    place = {"artifactLocation": {"uri": f"hosts/{quote(safe(verdict.host), safe='')}"}}
    telling = [each.object for each in verdict.findings if each.status is verdict.status]
    found = [
        {"fullyQualifiedName": f"{safe(verdict.host)}/{safe(each.kind)}/{safe(each.name, 300)}"}
        for each in telling[:OBJECTS]
    ]
    return [{"physicalLocation": place, **({"logicalLocations": found} if found else {})}]
