"""OCSF Compliance Finding (class 2003), one JSON object a line, for a SIEM.

``compliance.status_id`` is Pass for pass and Fail for fail and for a waived failure (whose
``status_id`` is Suppressed); Warning, which OCSF gives to what lacks information, for unknown and
error; Other for manual and not-applicable. ``status_detail`` always has our own word.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hullcheck.report.source import ControlText, Source
from hullcheck.report.text import safe, shown
from hullcheck.verdict import Finding, Status, Verdict

__all__ = ["COMPLIANCE", "write"]

VERSION = "1.5.0"
COMPLIANCE = {
    Status.PASS: 1, Status.FAIL: 3, Status.WAIVED: 3, Status.UNKNOWN: 2, Status.ERROR: 2,
    Status.MANUAL: 99, Status.NOT_APPLICABLE: 99,
}  # fmt: skip
SEVERITIES = {"low": 2, "medium": 3, "high": 4, "critical": 5}
INFORMATIONAL = 1
NEW, SUPPRESSED, RESOLVED, OTHER = 1, 3, 4, 99
FINDINGS = 100


def write(source: Source, path: Path) -> None:
    """Write a run as OCSF events; a host that was not audited is an event of its own."""
    started = datetime.strptime(source.run["started"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    time = int(started.timestamp() * 1000)
    with path.open("w", encoding="ascii") as file:
        for verdict in source.verdicts():
            event = _event(source, verdict, source.controls[verdict.control], time)
            file.write(json.dumps(event, ensure_ascii=True) + "\n")
        for host in source.hosts:
            if host["status"] != "audited":
                file.write(json.dumps(_lost(source, host, time), ensure_ascii=True) + "\n")


def _base(source: Source, host: str, severity: int, time: int) -> dict[str, Any]:
    tool = source.run["tool"]
    return {
        "activity_id": 1, "activity_name": "Create", "category_uid": 2, "category_name":
        "Findings", "class_uid": 2003, "class_name": "Compliance Finding", "type_uid": 200301,
        "type_name": "Compliance Finding: Create", "severity_id": severity, "time": time,
        "metadata": {
            "version": VERSION,
            "product": {"vendor_name": "Hullcheck", **tool},
            "correlation_uid": source.run["id"],
        },
        "resources": [{"name": safe(host), "uid": safe(host), "type": "Host"}],
    }  # fmt: skip


def _event(source: Source, verdict: Verdict, control: ControlText, time: int) -> dict[str, Any]:
    failing = COMPLIANCE[verdict.status] == 3
    severity = SEVERITIES[control.severity] if failing else INFORMATIONAL
    numbers = [f"{name} {number}" for name, found in control.references.items() for number in found]
    requirements = {"requirements": numbers} if numbers else {}
    standards = {"standards": sorted(control.references)} if numbers else {}
    states = {Status.FAIL: NEW, Status.WAIVED: SUPPRESSED, Status.PASS: RESOLVED}
    return {
        **_base(source, verdict.host, severity, time),
        "status_id": states.get(verdict.status, OTHER),
        "status": str(verdict.status),
        "status_detail": f"{verdict.status}: {safe(verdict.reason)}",
        "message": f"{safe(verdict.host)}: {control.title}",
        "finding_info": {
            "uid": f"{source.run['id']}:{safe(verdict.host)}:{control.id}",
            "title": control.title, "desc": control.rationale, "types": [control.area],
        },
        "compliance": {
            "control": control.id, "desc": control.title,
            "status_id": COMPLIANCE[verdict.status], **requirements, **standards,
        },
        "remediation": {"desc": control.fix},
        "evidences": [{"name": "findings", "data": _evidence(verdict)}],
        "unmapped": {
            "proposed_references": dict(control.proposed), "waiver": _plain(verdict.waiver),
            "attestation": _plain(verdict.attestation),
        },
    }  # fmt: skip


def _plain(record: dict[str, Any] | None) -> dict[str, str] | None:
    return record and {key: safe(str(value)) for key, value in record.items()}


def _evidence(verdict: Verdict) -> dict[str, Any]:
    findings = [_finding(each) for each in verdict.findings[:FINDINGS]]
    return {
        "recording_lines": list(verdict.evidence), "findings": findings,
        "more_findings": len(verdict.findings) - len(findings),
    }  # fmt: skip


def _finding(finding: Finding) -> dict[str, str]:
    return {
        "kind": safe(finding.object.kind), "name": safe(finding.object.name, 300), "status":
        str(finding.status), "expected": shown(finding.expected), "observed":
        shown(finding.observed), "reason": safe(finding.reason, 600),
    }  # fmt: skip


def _lost(source: Source, host: dict[str, Any], time: int) -> dict[str, Any]:
    told = f"{host['status']}: {safe(host['reason'])}"
    return {
        **_base(source, host["name"], SEVERITIES["high"], time),
        "status_id": OTHER, "status": host["status"], "status_detail": told,
        "message": f"{safe(host['name'])} was {told}",
        "finding_info": {"uid": f"{source.run['id']}:{safe(host['name'])}",
                         "title": "The host could not be audited"},
        "compliance": {"desc": "The host could not be audited", "status_id": 2},
    }  # fmt: skip
