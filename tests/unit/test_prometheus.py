"""Metrics: what Prometheus' own parser reads is what the run says, for any host's name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from hullcheck.report import prometheus
from hullcheck.report.formats import write
from hullcheck.report.source import Source
from hullcheck.report.text import safe
from tests.unit.hostile import NASTY, hostile_run
from tests.unit.november import HIGH, MEDIUM, night

ALERTS = Path(__file__).parents[2] / "docs" / "examples" / "alerts.yml"
LOST = "unreachable: no route"
GOOD = {HIGH: "pass"}


def read(path: Path) -> dict[tuple[str, ...], float]:
    """Return samples by name and labels' values, seeing that the file keeps the rules."""
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    found: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge"
        assert family.documentation.endswith(".")
        assert re.fullmatch(r"hullcheck(_[a-z]+)+", family.name)
        assert not family.name.endswith(("_total", "_count", "_sum", "_bucket", "_gauge"))
        for sample in family.samples:
            assert sample.timestamp is None, "the textfile collector takes no timestamps"
            key = (sample.name, *sample.labels.values())
            assert key not in found, "Prometheus takes no series twice"
            found[key] = sample.value
    return found


def metrics(path: Path, place: Path | None = None) -> dict[tuple[str, ...], float]:
    return read(write("prometheus", Source(path), place))


LAST = "hullcheck_host_last_audit_timestamp_seconds"


def test_what_the_run_says(tmp_path: Path) -> None:
    night(tmp_path, 1, {"web2": GOOD})
    made = night(tmp_path, 2, {
        "web1": {HIGH: "fail a", MEDIUM: "fail b"}, "web2": LOST, "web3": "partial: cut"
    })  # fmt: skip
    found = metrics(made.path)
    assert found["hullcheck_hosts", "audited"] == 1
    assert found["hullcheck_hosts", "partial"] == 1
    assert found["hullcheck_hosts", "unreachable"] == 1
    assert found["hullcheck_hosts_omitted",] == 0
    assert found["hullcheck_verdicts", "fail", "high", "runtime"] == 1
    assert found["hullcheck_verdicts", "fail", "medium", "engine"] == 1
    assert sum(value for key, value in found.items() if key[0] == "hullcheck_verdicts") == 2
    assert sum(key[0] == "hullcheck_verdicts" for key in found) == 7 * 4 * 5
    assert found["hullcheck_run_duration_seconds",] == 300
    assert found["hullcheck_run_finished",] == 1
    assert found["hullcheck_run_info", made.run.id, "0.1.0"] == 1
    assert found["hullcheck_host_state", "web2", "unreachable"] == 1
    assert found["hullcheck_host_state", "web2", "audited"] == 0
    assert found["hullcheck_host_failing_controls", "web1"] == 2
    assert ("hullcheck_host_failing_controls", "web2") not in found, "not known is not none"
    start = found["hullcheck_run_start_timestamp_seconds",]
    assert found[LAST, "web1"] == start
    assert found[LAST, "web2"] == start - 86400, "a lost host keeps the time of its last audit"
    assert found[LAST, "web3"] == 0


def test_a_host_keeps_its_last_audit_through_the_file_alone(tmp_path: Path) -> None:
    odd = 'a"b\\n\\'
    place = tmp_path / "x.prom"
    first = metrics(night(tmp_path / "1", 1, {"web1": GOOD, odd: GOOD}).path, place)
    second = metrics(night(tmp_path / "2", 2, {"web1": LOST, odd: LOST}).path, place)
    assert second[LAST, "web1"] == first[LAST, "web1"] > 0
    assert second[LAST, odd] == first[LAST, odd]
    earlier = metrics(night(tmp_path / "0", 1, {"web1": LOST}).path, place)
    assert earlier[LAST, "web1"] == first[LAST, "web1"]
    place.write_text(f'{LAST}{{host="web1"}} 99999999999\n')
    assert metrics(night(tmp_path / "3", 3, {"web1": LOST}).path, place)[LAST, "web1"] == 0, (
        "a time to come is none"
    )


def test_a_run_that_was_interrupted_has_not_ended(tmp_path: Path) -> None:
    found = metrics(night(tmp_path, 1, {"web1": GOOD}, finished=False).path)
    assert found["hullcheck_run_finished",] == 0
    assert ("hullcheck_run_finish_timestamp_seconds",) not in found


def test_a_large_fleet_is_bounded_and_who_is_lost_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus, "HOSTS", 3)
    hosts: dict[str, Any] = {f"web{number}": GOOD for number in range(9)}
    found = metrics(night(tmp_path, 1, {**hosts, "zzz": LOST}).path)
    assert found["hullcheck_hosts_omitted",] == 7
    assert found["hullcheck_hosts", "audited"] == 9, "the totals are of all"
    assert {key[1] for key in found if key[0] == LAST} == {"web0", "web1", "zzz"}


def test_hostile_names_are_labels_and_nothing_else(tmp_path: Path) -> None:
    alike = ("\x1b", "\\x1b")
    names: dict[str, Any] = {NASTY: GOOD, "a\nhullcheck_hosts 9": GOOD, alike[0]: LOST, alike[1]:
                             GOOD, "x" * 9000: GOOD, "": GOOD}  # fmt: skip
    found = metrics(night(tmp_path, 1, names).path)
    assert found["hullcheck_host_state", safe(NASTY, 200), "audited"] == 1
    assert found["hullcheck_host_state", "\\x1b", "unreachable"] == 1, "of two, the worse"
    assert found["hullcheck_hosts_omitted",] == 1
    assert max(map(len, (key[1] for key in found if key[0] == LAST))) < 1000
    metrics(hostile_run(tmp_path / "hostile"))


def test_alerts_ask_for_metrics_that_there_are(tmp_path: Path) -> None:
    found = metrics(night(tmp_path, 1, {"web1": GOOD}).path)
    labels = {"status", "severity", "area", "state", "host"}
    rules = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
    for rule in rules:
        asked = re.findall(r"hullcheck_\w+", rule["expr"])
        assert asked, rule
        assert set(asked) <= {key[0] for key in found}
        assert set(re.findall(r"(\w+)[=!]=?~?\"", rule["expr"])) <= labels
        assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= labels


def test_the_page_names_metrics_that_there_are(tmp_path: Path) -> None:
    found = {key[0] for key in metrics(night(tmp_path, 1, {"web1": GOOD}).path)}
    table = (ALERTS.parents[1] / "operators.md").read_text().partition("## Metrics and alerts")[2]
    named = set(re.findall(r"`(hullcheck_\w+)", table))
    assert named <= found
    assert len(named) > 7
