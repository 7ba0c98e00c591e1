"""OSCAL Assessment Results 1.2 (NIST), as JSON.

An observation for each verdict, and a finding for each control over all hosts. A finding is
satisfied only if every verdict of it is pass or not-applicable, and one at least is pass. All else
is not-satisfied: reason ``fail`` where something fails, ``other`` where it is only unknown, broke,
is manual or was not applicable anywhere. A waiver is a risk whose deviation was approved, and the
finding stays not-satisfied; an attestation is among the attestations.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from hullcheck.report.acceptances import Acceptance, review
from hullcheck.report.markdown import plain
from hullcheck.report.source import ControlText, Source
from hullcheck.report.streamed import PLACE, write_lists
from hullcheck.report.text import safe
from hullcheck.verdict import Status, Verdict

__all__ = ["state_of", "write"]

VERSION = "1.2.1"
NAMESPACE = UUID("b5a3f5c2-6c6e-5d3e-9d5d-0c4c2f8d7e11")
"""Of all identifiers here: the same run gives the same ones."""
NS = "urn:hullcheck:oscal"
_NIST = re.compile(r"([A-Z]{2})-(\d+)(?:\((\d+)\))?")


def write(source: Source, path: Path) -> None:
    """Write a run as OSCAL Assessment Results."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for verdict in source.verdicts():
        counts[verdict.control][verdict.status] += 1
    run = source.run
    result: dict[str, Any] = {
        "uuid": _uuid(run["id"], "result"),
        "title": f"Hullcheck run {run['id']}",
        "description": f"{len(source.hosts)} hosts, {len(source.controls)} controls.",
        "start": run["started"],
        "props": [_prop("controls-digest", run["controls_digest"]),
                  _prop("policy-digest", run["policy_digest"])],
        "reviewed-controls": {"control-selections": [_selection(source)]},
        **_acceptances(source),
    }  # fmt: skip
    if run["finished"]:
        result["end"] = run["finished"]
    else:
        result["remarks"] = "The run was not finished: hosts may be missing."
    if source.hosts:
        result["local-definitions"] = {"inventory-items": [_host(source, e) for e in source.hosts]}
    lists: dict[str, Iterator[Any]] = {}
    if counts:
        result["observations"] = [PLACE.format("observations")]
        result["findings"] = [PLACE.format("findings")]
        lists = {
            "observations": _observations(source),
            "findings": (_finding(source, source.controls[e], counts[e]) for e in counts),
        }
    document = {
        "assessment-results": {
            "uuid": _uuid(run["id"], "document"),
            "metadata": {
                "title": f"Audit of container hosts, run {run['id']}",
                "last-modified": run["finished"] or run["started"],
                "version": run["tool"]["version"],
                "oscal-version": VERSION,
            },
            "import-ap": {"href": "#", "remarks": "The controls of Hullcheck, by their digest."},
            "results": [result],
        }
    }
    write_lists(path, document, **lists)


def _uuid(*parts: str) -> str:
    return str(uuid5(NAMESPACE, "\0".join(safe(each) for each in parts)))


def _prop(name: str, value: str) -> dict[str, str]:
    return {"name": name, "ns": NS, "value": safe(value).strip() or "none"}


def _line(text: str) -> str:
    """Return a text as one line of Markdown in which nothing means anything."""
    return plain(text, 600) or "none"


def _selection(source: Source) -> dict[str, Any]:
    """Return the controls of NIST SP 800-53 that were looked at, by OSCAL's ids: ac-6.1."""
    found = set()
    for control in source.controls.values():
        for name in ("nist-800-53r5",):
            for number in (*control.references.get(name, ()), *control.proposed.get(name, ())):
                if match := _NIST.fullmatch(number):
                    more = f".{match[3]}" if match[3] else ""
                    found.add(f"{match[1].lower()}-{match[2]}{more}")
    if not found:
        return {"include-all": {}}
    return {"include-controls": [{"control-id": each} for each in sorted(found)]}


def _host(source: Source, host: dict[str, Any]) -> dict[str, Any]:
    about = ", ".join(str(host["facts"].get(key) or "") for key in ("os", "kernel"))
    props = [_prop("hostname", host["name"]), _prop("state", host["status"])]
    return {
        "uuid": _uuid(source.run["id"], "host", host["name"]),
        "description": _line(about.strip(", ") or host["name"]),
        "props": props,
        **({"remarks": _line(host["reason"])} if host["reason"] else {}),
    }


def _observations(source: Source) -> Iterator[dict[str, Any]]:
    places = {each["name"]: each["recording"] for each in source.hosts}
    for verdict in source.verdicts():
        control = source.controls[verdict.control]
        made: dict[str, Any] = {
            "uuid": _observation(source, verdict),
            "title": _line(control.title),
            "description": _line(f"{verdict.host}: {verdict.status}: {verdict.reason}"),
            "props": [_prop("status", verdict.status), _prop("control", control.id)],
            "methods": ["EXAMINE", "INTERVIEW"] if verdict.attestation else ["TEST"],
            "types": ["control-objective"],
            "subjects": [
                {"subject-uuid": _uuid(source.run["id"], "host", verdict.host), "type":
                 "inventory-item", "title": _line(verdict.host)}
            ],
            "collected": source.run["started"],
        }  # fmt: skip
        if verdict.evidence and places.get(verdict.host):
            lines = ", ".join(map(str, verdict.evidence))
            made["relevant-evidence"] = [
                {"href": places[verdict.host], "description": f"Lines {lines}, from 0."}
            ]
        yield made


def _observation(source: Source, verdict: Verdict) -> str:
    return _uuid(source.run["id"], "observation", verdict.host, verdict.control)


def state_of(counts: Counter[str]) -> tuple[str, str]:
    """Return OSCAL's state and reason for what the hosts said of one control."""
    if counts[Status.FAIL] or counts[Status.WAIVED]:
        return "not-satisfied", "fail"
    if any(counts[each] for each in (Status.ERROR, Status.UNKNOWN, Status.MANUAL)):
        return "not-satisfied", "other"
    return ("satisfied", "pass") if counts[Status.PASS] else ("not-satisfied", "other")


def _finding(source: Source, control: ControlText, counts: Counter[str]) -> dict[str, Any]:
    state, reason = state_of(counts)
    told = ", ".join(f"{counts[each]} {each}" for each in Status if counts[each])
    related = [
        {"observation-uuid": _uuid(source.run["id"], "observation", host["name"], control.id)}
        for host in source.hosts
        if host["recording"]
    ]
    props = [_prop("severity", control.severity), _prop("level", str(control.level))]
    props += [_prop("reference", f"{name} {each}") for name, numbers in control.references.items()
              for each in numbers]  # fmt: skip
    props += [_prop("proposed-reference", f"{name} {each}")
              for name, numbers in control.proposed.items() for each in numbers]  # fmt: skip
    return {
        "uuid": _uuid(source.run["id"], "finding", control.id),
        "title": _line(control.title),
        "description": plain(control.rationale, 2000),
        "props": props,
        "target": {
            "type": "objective-id", "target-id": control.id,
            "status": {"state": state, "reason": reason, "remarks": told},
        },
        **({"related-observations": related} if related else {}),
        "remarks": f"Fix: {plain(control.fix, 2000)}",
    }  # fmt: skip


def _acceptances(source: Source) -> dict[str, Any]:
    found = review(source)
    risks = [_risk(source, each) for each in found if each.kind == "waiver"]
    said = [
        {"parts": [{"name": "attestation", "ns": NS, "title": _line(each.scope),
                    "prose": _told(each)}]}
        for each in found
        if each.kind == "attestation"
    ]  # fmt: skip
    return {**({"risks": risks} if risks else {}), **({"attestations": said} if said else {})}


def _risk(source: Source, each: Acceptance) -> dict[str, Any]:
    live = not any(note.startswith("expired") for note in each.notes)
    return {
        "uuid": _uuid(source.run["id"], "waiver", each.scope, each.who, str(each.entry.expires)),
        "title": _line(f"Waiver: {each.scope}"),
        "description": _told(each),
        "statement": _line(each.entry.reason),
        "status": "deviation-approved" if live else "open",
        "deadline": f"{each.entry.expires}T23:59:59Z",
    }


def _told(each: Acceptance) -> str:
    notes = f" {'; '.join(each.notes)}." if each.notes else ""
    return _line(f"By {each.who}, until {each.entry.expires}: {each.entry.reason}.{notes}")
