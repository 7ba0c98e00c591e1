"""The plain formats: what each says of every status, and that nothing hostile comes through."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from xml.etree.ElementTree import parse

import pytest
from openpyxl import load_workbook

from hullcheck.cli import main
from hullcheck.report import formats
from hullcheck.report.formats import FORMATS, Format, write
from hullcheck.report.source import Source
from tests.unit.hostile import ALIVE, CONTROLS, hostile_run

TEXT = [name for name in FORMATS if name in ("csv", "markdown", "junit", "json")]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_run(tmp_path_factory.mktemp("hostile") / "run")


def made(run: Path, name: str, tmp_path: Path) -> Path:
    return write(name, Source(run), tmp_path / FORMATS[name].file)


@pytest.mark.parametrize("name", TEXT)
def test_nothing_hostile_comes_through(run: Path, name: str, tmp_path: Path) -> None:
    path = made(run, name, tmp_path)
    data = path.read_text(encoding="utf-8")
    harmless = ("<script>alert",) if name in ("json", "csv") else ()
    for each in ALIVE:
        assert each in harmless or each not in data, each
    if name != "json":
        assert path.stat().st_size < 1_000_000


def test_csv_has_a_row_for_each_finding_and_no_formula(run: Path, tmp_path: Path) -> None:
    with made(run, "csv", tmp_path).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9 + 3 + 4
    for row in rows:
        for text in row.values():
            assert not text.lstrip().startswith(("=", "+", "-", "@")), text
    assert {row["verdict"] for row in rows} == {
        "fail", "unknown", "manual", "waived", "error", "pass", "not-applicable"
    }  # fmt: skip
    waived = next(row for row in rows if row["verdict"] == "waived")
    assert waived["waived until"] == "2027-01-01"
    assert "cis-docker-1.8.0 5.26" in rows[0]["numbers"]


def test_junit_passes_nothing_silently(run: Path, tmp_path: Path) -> None:
    root = parse(made(run, "junit", tmp_path)).getroot()
    assert root is not None
    found = {}
    for suite in root:
        for case in suite.findall("testcase"):
            kinds = [child.tag for child in case if child.tag != "properties"]
            found[suite.get("name"), case.get("name")] = kinds
    evil = next(name for name, _ in found if str(name).startswith("=evil"))
    assert [found[evil, each] for each in CONTROLS] == [
        ["failure"], ["error"], ["skipped"], ["skipped"]
    ]  # fmt: skip
    assert [found["calm", each] for each in CONTROLS] == [["error"], [], ["skipped"], []]
    assert found["dead", "reaching dead"] == ["error"]
    suite = next(each for each in root if each.get("name") == "calm")
    assert [suite.get(key) for key in ("tests", "failures", "errors", "skipped")] == list("4011")


def test_json_is_the_whole_run(run: Path, tmp_path: Path) -> None:
    document = json.loads(made(run, "json", tmp_path).read_text())
    lines = (run / "verdicts.jsonl").read_text().splitlines()
    assert document["verdicts"] == [json.loads(line) for line in lines]
    assert document["run"]["id"] == "20261128T000000Z-aaaa"


def test_the_workbook_holds_texts_and_numbers_only(run: Path, tmp_path: Path) -> None:
    book = load_workbook(made(run, "xlsx", tmp_path))
    assert book.sheetnames == ["Summary", "Hosts", "Controls", "Acceptances", "Findings"]
    for sheet in book:
        for row in sheet.iter_rows():
            for each in row:
                assert each.data_type in ("s", "n"), each.value
                assert not str(each.value or "").lstrip().startswith(("=", "+", "@"))
    findings = book["Findings"]
    assert findings.max_row == 1 + 9 + 3 + 4
    assert findings.auto_filter.ref == f"A1:U{findings.max_row}"
    assert {row[0].value: row[2].value for row in book["Hosts"].iter_rows(min_row=2)}["dead"] == (
        "unreachable"
    )


def test_markdown_tells_what_needs_somebody(run: Path, tmp_path: Path) -> None:
    text = made(run, "markdown", tmp_path).read_text()
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == ["## Fails", "## Broke", "## Not known", "## For a person", "## Waived"]
    assert "| dead | unreachable\\: refused" in text
    # Three rows of hosts below the heading, whatever their names hold.
    assert sum(line.startswith("| ") for line in text.splitlines()) == 4


def test_the_report_command(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", str(run), "--format", "csv"]) == 0
    assert (tmp_path / "report.csv").exists()
    assert main(["report", str(run), "--format", "junit", "-o", "ci.xml"]) == 0
    assert capsys.readouterr().out.split() == ["report.csv", "ci.xml"]
    assert main(["report", str(tmp_path), "--format", "csv"]) == 2
    assert "no readable run directory" in capsys.readouterr().err


def test_a_missing_library_is_named_with_its_remedy(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    heavy = Format("csv", "x", "x", "needs_what_is_not_there", "heavy")
    monkeypatch.setitem(formats.FORMATS, "csv", heavy)
    assert main(["report", str(run), "--format", "csv"]) == 2
    assert "pip install 'hullcheck[heavy]'" in capsys.readouterr().err
    assert main(["audit", "local://", "--report", "csv"]) == 2
