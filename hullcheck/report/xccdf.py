"""XCCDF 1.2 (NIST IR 7275): a benchmark of our controls, and a TestResult for each host.

pass, fail, unknown, error and not-applicable are XCCDF's own words; manual is notchecked. A waived
failure stays fail, with a message that says who accepted it until when: an ``override`` would
oblige every other result to have one too (openscap's schematron).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

from hullcheck.report.source import ControlText, Source
from hullcheck.report.text import safe
from hullcheck.run.directory import recording_name
from hullcheck.verdict import Status, Verdict

__all__ = ["RESULTS", "write"]

XMLNS = "http://checklists.nist.gov/xccdf/1.2"
RESULTS = {
    Status.PASS: "pass", Status.FAIL: "fail", Status.WAIVED: "fail", Status.UNKNOWN: "unknown",
    Status.ERROR: "error", Status.MANUAL: "notchecked", Status.NOT_APPLICABLE: "notapplicable",
}  # fmt: skip
SEVERITIES = {"low": "low", "medium": "medium", "high": "high", "critical": "high"}
BENCHMARK = "xccdf_org.hullcheck_benchmark_controls"
SYSTEM = "urn:hullcheck:control"
HEAD = """\
<title>Hullcheck: hosts and engines that carry containers</title>
<description>The controls of Hullcheck, each with what answers it on every host.</description>
<platform idref="cpe:/o:linux:linux_kernel"/>
"""
METADATA = """\
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:creator>Hullcheck</dc:creator>\
<dc:publisher>Hullcheck</dc:publisher><dc:source>run.json</dc:source></metadata>
"""
FINDINGS = 50


def write(source: Source, path: Path) -> None:
    """Write a run as XCCDF."""
    with path.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\n')
        file.write(f'<Benchmark xmlns="{XMLNS}" id="{BENCHMARK}" resolved="1">\n')
        day = source.run["started"][:10]
        file.write(f'<status date="{day}">incomplete</status>\n')
        file.write(HEAD)
        file.write(f"<version>{source.run['tool']['version']}</version>\n{METADATA}")
        file.writelines(_text(_rule(each)) for each in source.controls.values())
        file.writelines(_text(each) for each in _results(source))
        file.write("</Benchmark>\n")


def _text(element: Element) -> str:
    return tostring(element, encoding="unicode") + "\n"


def _child(parent: Element, tag: str, text: str, **attributes: str) -> Element:
    child = SubElement(parent, tag, attributes)
    child.text = text
    return child


def _id(kind: str, name: str) -> str:
    """Return an XCCDF id: its last part takes letters, digits, dots and dashes."""
    plain = re.sub(r"[^A-Za-z0-9.-]", lambda found: f"_{ord(found[0]):x}_", name)
    return f"xccdf_org.hullcheck_{kind}_{plain}"


def _rule(control: ControlText) -> Element:
    rule = Element("Rule", id=_id("rule", control.id), severity=SEVERITIES[control.severity],
                   selected="true")  # fmt: skip
    _child(rule, "title", control.title)
    _child(rule, "rationale", control.rationale)
    for name, numbers in control.references.items():
        for number in numbers:
            _child(rule, "ident", number, system=f"urn:hullcheck:benchmark:{name}")
    for name, numbers in control.proposed.items():
        for number in numbers:
            _child(rule, "ident", number, system=f"urn:hullcheck:proposed:{name}")
    _child(rule, "fixtext", control.fix)
    check = SubElement(rule, "check", {"system": SYSTEM})
    SubElement(check, "check-content-ref", {"href": "verdicts.jsonl", "name": control.id})
    return rule


def _results(source: Source) -> Iterator[Element]:
    left = {each["name"]: each for each in source.hosts}
    for name, verdicts in groupby(source.verdicts(), lambda each: each.host):
        host = left.pop(name, None)
        if host is not None:
            result = _result(source, host["name"], host["target"], host["facts"])
            for verdict in verdicts:
                result.append(_rule_result(source, verdict))
            SubElement(result, "score", {"system": "urn:hullcheck:none", "maximum": "0"}).text = "0"
            yield result
    for name, host in left.items():
        result = _result(source, name, host["target"], {})
        for control in source.controls.values():
            lost = SubElement(result, "rule-result", {"idref": _id("rule", control.id)})
            _child(lost, "result", "unknown")
            _child(lost, "message", f"{host['status']}: {safe(host['reason'])}", severity="error")
            SubElement(lost, "check", {"system": SYSTEM})
        SubElement(result, "score", {"system": "urn:hullcheck:none", "maximum": "0"}).text = "0"
        yield result


def _result(source: Source, name: str, target: str, facts: dict[str, object]) -> Element:
    run = source.run
    result = Element(
        "TestResult", id=_id("testresult", f"{run['id']}.{safe(name)}"), attrib={
            "start-time": run["started"], "end-time": run["finished"] or run["started"],
            "test-system": f"cpe:/a:hullcheck:hullcheck:{run['tool']['version']}", "version":
            run["tool"]["version"],
        },
    )  # fmt: skip
    SubElement(result, "benchmark", {"href": "#", "id": BENCHMARK})
    _child(result, "title", f"{run['id']} on {safe(name)}")
    _child(result, "target", safe(name))
    SubElement(result, "target-address").text = safe(target)
    about = SubElement(result, "target-facts")
    for key in ("os", "kernel"):
        if facts.get(key):
            _child(about, "fact", safe(str(facts[key])), name=f"urn:hullcheck:fact:{key}",
                   type="string")  # fmt: skip
    return result


def _rule_result(source: Source, verdict: Verdict) -> Element:
    control = source.controls[verdict.control]
    made = Element("rule-result", {
        "idref": _id("rule", control.id), "severity": SEVERITIES[control.severity],
        "time": source.run["started"],
    })  # fmt: skip
    _child(made, "result", RESULTS[verdict.status])
    level = "error" if verdict.status is Status.ERROR else "info"
    _child(made, "message", f"{verdict.status}: {safe(verdict.reason)}", severity=level)
    for finding in verdict.findings[:FINDINGS]:
        about = f"{safe(finding.object.kind)} {safe(finding.object.name, 300)}"
        told = f"{about}: {finding.status}: {safe(finding.reason, 600)}"
        _child(made, "message", told, severity="info")
    check = SubElement(made, "check", {"system": SYSTEM})
    lines = " ".join(map(str, verdict.evidence))
    place = recording_name(verdict.host)
    SubElement(check, "check-content-ref", {"href": place, "name": f"lines {lines or 'none'}"})
    return made
