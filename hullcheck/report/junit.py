"""JUnit XML, as CI servers read it: a suite for each host, a case for each control.

fail is a failure. error and unknown are errors: nobody knows, and that is no success. manual,
waived and not-applicable are skipped, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

from hullcheck.report.source import Source
from hullcheck.report.text import safe
from hullcheck.verdict import Status, Verdict

__all__ = ["ELEMENTS", "write"]

ELEMENTS = {
    Status.FAIL: "failure", Status.ERROR: "error", Status.UNKNOWN: "error", Status.MANUAL:
    "skipped", Status.WAIVED: "skipped", Status.NOT_APPLICABLE: "skipped",
}  # fmt: skip


def write(source: Source, path: Path) -> None:
    """Write a run as JUnit XML; a host that was not audited is a suite with one error."""
    reasons = {host["name"]: host["reason"] for host in source.hosts}
    with path.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\n<testsuites name="hullcheck">\n')
        for host, verdicts in groupby(source.verdicts(), lambda each: each.host):
            reasons.pop(host, None)
            file.write(_text(_suite(host, [_case(each, source) for each in verdicts], source)))
        for host, reason in reasons.items():
            file.write(_text(_suite(host, [_lost(host, reason)], source)))
        file.write("</testsuites>\n")


def _text(element: Element) -> str:
    return tostring(element, encoding="unicode") + "\n"


def _suite(host: str, cases: Iterable[Element], source: Source) -> Element:
    suite = Element("testsuite", name=safe(host), hostname=safe(host))
    suite.extend(cases)
    kinds = [child.tag for case in suite for child in case]
    suite.set("tests", str(len(suite)))
    for kind, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(name, str(kinds.count(kind)))
    suite.set("timestamp", source.run["started"])
    return suite


def _lost(host: str, reason: str) -> Element:
    case = Element("testcase", classname="host", name=f"reaching {safe(host)}")
    SubElement(case, "error", type="unreachable", message=safe(reason))
    return case


def _case(verdict: Verdict, source: Source) -> Element:
    control = source.controls[verdict.control]
    case = Element("testcase", classname=control.area, name=control.id)
    properties = SubElement(case, "properties")
    about = {
        "status": str(verdict.status), "severity": control.severity, "level": str(control.level),
        "numbers": control.numbers(), "evidence": " ".join(map(str, verdict.evidence)),
    }  # fmt: skip
    if verdict.attestation:
        about["attestation"] = safe(verdict.reason)
    for key, value in about.items():
        SubElement(properties, "property", name=key, value=value)
    if kind := ELEMENTS.get(verdict.status):
        message = f"{verdict.status}: {safe(verdict.reason)}"
        told = SubElement(case, kind, type=str(verdict.status), message=message)
        lines = [
            f"{safe(each.object.kind)} {safe(each.object.name)}: {each.status}: {safe(each.reason)}"
            for each in verdict.findings
        ]
        told.text = "\n".join([control.title, *lines, f"fix: {control.fix}"])
    return case
