"""OSCAL, XCCDF, OCSF and SARIF: valid by each one's own validator, and no status lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import parse

import pytest
from jsonschema_rs import validator_for
from py_ocsf_models.events.findings.compliance_finding import ComplianceFinding

from hullcheck.cli import main
from hullcheck.report import ocsf, sarif, xccdf
from hullcheck.report.formats import FORMATS, write
from hullcheck.report.oscal import state_of
from hullcheck.report.source import Source
from hullcheck.verdict import Status
from tests.unit.hostile import ALIVE, CONTROLS, hostile_run

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT / "tests" / "recordings"
SCHEMAS = ROOT.parent / "shared" / "schemas"
WAIVERS = "- {control: host.kptr-restrict, reason: r, owner: a, expires: 2027-01-01}\n"
NAMES = ("oscal", "xccdf", "ocsf", "sarif")
X = f"{{{xccdf.XMLNS}}}"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A real run with a waiver, and one whose every text is hostile."""
    place = tmp_path_factory.mktemp("runs")
    (place / "waivers.yml").write_text(WAIVERS)
    specs = [f"recording://{RECORDINGS / name}.jsonl.gz" for name in ("typical", "sound")]
    main(["audit", *specs, "--waivers", str(place / "waivers.yml"), "--report-dir",
          str(place / "real")])  # fmt: skip
    return {"real": place / "real", "hostile": hostile_run(place / "hostile")}


@pytest.fixture
def made(runs: dict[str, Path], tmp_path: Path) -> Callable[[str, str], Path]:
    def make(run: str, name: str) -> Path:
        return write(name, Source(runs[run]), tmp_path / FORMATS[name].file)

    return make


def schema(name: str) -> Any:
    path = SCHEMAS / name
    if not path.exists() and not os.environ.get("CI"):
        pytest.skip(f"the published schemas are not beside this clone ({SCHEMAS})")
    return json.loads(path.read_text())


@pytest.mark.parametrize("run", ["real", "hostile"])
@pytest.mark.parametrize(
    ("name", "file"),
    [("oscal", "oscal_assessment-results_schema.json"), ("sarif", "sarif-schema-2.1.0.json")],
)
def test_published_schemas(
    made: Callable[[str, str], Path], run: str, name: str, file: str
) -> None:
    document = json.loads(made(run, name).read_text())
    errors = [each.message for each in validator_for(schema(file)).iter_errors(document)]
    assert errors == []


@pytest.mark.parametrize("run", ["real", "hostile"])
def test_openscap_validates_xccdf_by_schema_and_schematron(
    made: Callable[[str, str], Path], run: str
) -> None:
    if not shutil.which("oscap") and not os.environ.get("CI"):
        pytest.skip("needs oscap: apt-get install openscap-scanner")
    path = made(run, "xccdf")
    done = subprocess.run(
        ["oscap", "xccdf", "validate", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.parametrize("run", ["real", "hostile"])
def test_ocsf_by_its_models(made: Callable[[str, str], Path], run: str) -> None:
    for line in made(run, "ocsf").read_text().splitlines():
        ComplianceFinding.model_validate_json(line)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_hostile_comes_through(made: Callable[[str, str], Path], name: str) -> None:
    text = made("hostile", name).read_text(encoding="utf-8")
    for each in ALIVE[1:]:
        assert each not in text
    assert len(text) < 500_000


def test_statuses_in_xccdf(made: Callable[[str, str], Path]) -> None:
    root = parse(made("hostile", "xccdf")).getroot()
    assert root is not None
    found = [
        [each.findtext(f"{X}result") for each in result.findall(f"{X}rule-result")]
        for result in root.findall(f"{X}TestResult")
    ]
    assert found == [
        ["fail", "unknown", "notchecked", "fail"],
        ["error", "pass", "notapplicable", "pass"],
        ["unknown"] * 4,
    ]
    assert {each.get("idref") for each in root.iter(f"{X}rule-result")} == {
        f"xccdf_org.hullcheck_rule_{name}" for name in CONTROLS
    }


def test_statuses_in_sarif(made: Callable[[str, str], Path]) -> None:
    (run,) = json.loads(made("hostile", "sarif").read_text())["runs"]
    found = [(each["kind"], each["level"], "suppressions" in each) for each in run["results"]]
    assert found == [
        ("fail", "error", False), ("open", "none", False), ("review", "none", False),
        ("fail", "warning", True), ("open", "none", False), ("pass", "none", False),
        ("notApplicable", "none", False), ("pass", "none", False),
    ]  # fmt: skip
    lost = run["invocations"][0]["toolExecutionNotifications"]
    assert lost[0]["message"]["text"].startswith("dead was unreachable")


def test_statuses_in_ocsf(made: Callable[[str, str], Path]) -> None:
    events = [json.loads(line) for line in made("hostile", "ocsf").read_text().splitlines()]
    found = [(each["compliance"]["status_id"], each["status_id"]) for each in events]
    assert found == [
        (3, 1), (2, 99), (99, 99), (3, 3), (2, 99), (1, 4), (99, 99), (1, 4), (2, 99)
    ]  # fmt: skip
    assert events[-1]["status"] == "unreachable"


@pytest.mark.parametrize(
    ("counts", "state"),
    [
        ({"pass": 3}, ("satisfied", "pass")),
        ({"pass": 3, "not-applicable": 1}, ("satisfied", "pass")),
        ({"not-applicable": 2}, ("not-satisfied", "other")),
        ({"pass": 3, "unknown": 1}, ("not-satisfied", "other")),
        ({"pass": 3, "error": 1}, ("not-satisfied", "other")),
        ({"pass": 3, "manual": 1}, ("not-satisfied", "other")),
        ({"pass": 3, "waived": 1}, ("not-satisfied", "fail")),
        ({"pass": 3, "fail": 1, "unknown": 1}, ("not-satisfied", "fail")),
    ],
)
def test_states_in_oscal(counts: dict[str, int], state: tuple[str, str]) -> None:
    assert state_of(Counter(counts)) == state


def test_oscal_has_waivers_as_risks_and_the_same_ids_each_time(
    made: Callable[[str, str], Path],
) -> None:
    first = made("real", "oscal").read_text()
    (result,) = json.loads(first)["assessment-results"]["results"]
    assert [each["status"] for each in result["risks"]] == ["deviation-approved"]
    assert made("real", "oscal").read_text() == first
    controls = result["reviewed-controls"]["control-selections"][0]["include-controls"]
    assert {"control-id": "ac-6.1"} in controls


def test_every_status_is_mapped() -> None:
    for table in (sarif.KINDS, ocsf.COMPLIANCE, xccdf.RESULTS):
        assert set(table) == set(Status)
        for status, word in table.items():
            assert (word in ("pass", 1)) == (status is Status.PASS)
