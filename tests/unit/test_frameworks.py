"""Frameworks: numbers by families of controls, and what is only proposed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from hullcheck.benchmarks import load_benchmark, read_benchmark, references
from hullcheck.benchmarks.families import FILE, families, read_families
from hullcheck.catalogue import all_controls
from hullcheck.inventory.document import DocumentError
from hullcheck.report.coverage import coverage_table
from hullcheck.verdict import Status

FRAMEWORKS = {
    "nist-800-190": r"4\.[1-6](\.\d)?",
    "nist-800-53r5": r"[A-Z]{2}-\d+(\(\d+\))?",
    "cis-controls-v8": r"\d+(\.\d+)?",
    "pci-dss-4.0.1": r"\d+(\.\d+){1,3}",
    "iso-27001-2022": r"A\.[58]\.\d+",
}


def test_every_control_is_in_a_family():
    held = {each for name, members in families().items() if name != "host" for each in members}
    assert set(all_controls()) - held == set(), f"add a line to {FILE.name}"


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_has_numbers_and_no_titles(name):
    found = load_benchmark(name)
    assert all(re.fullmatch(FRAMEWORKS[name], item.id) for item in found.items)
    assert not any(item.title for item in found.items)
    assert not any(found.sections.values())


def test_nist_800_190_has_all_its_countermeasures():
    counts = {"4.1": 5, "4.2": 3, "4.3": 5, "4.4": 5, "4.5": 5}
    wanted = [
        f"{part}.{number}" for part, count in counts.items() for number in range(1, count + 1)
    ]
    items = {item.id: item for item in load_benchmark("nist-800-190").items}
    assert sorted(items) == [*wanted, "4.6"]
    assert [each for each in items.values() if not each.confirmed] == [items["4.6"]]


@pytest.mark.parametrize(
    ("name", "item", "confirmed"),
    [
        ("nist-800-53r5", "AC-17", True),
        ("nist-800-53r5", "SI-16", False),
        ("pci-dss-4.0.1", "10.2.1.2", True),
        ("pci-dss-4.0.1", "6.3.1", False),
        ("iso-27001-2022", "A.8.12", True),
        ("iso-27001-2022", "A.8.17", False),
        ("cis-controls-v8", "4.1", False),
    ],
)
def test_what_the_reference_does_not_confirm_is_marked(name, item, confirmed):
    found = next(each for each in load_benchmark(name).items if each.id == item)
    assert found.confirmed is confirmed
    assert found.label == (item if confirmed else f"{item}*")
    path = Path(FILE).parent / f"{name}.yaml"
    written = next(each for each in yaml.safe_load(path.read_text())["items"] if each["id"] == item)
    assert written.get("confirmed", True) is confirmed


def test_an_item_confirmed_for_some_families_is_marked_for_the_controls_of_others():
    storage = references("host.data-root-partition")["nist-800-53r5"]
    access = references("host.engine-group-members")["nist-800-53r5"]
    assert "CM-6" in map(str, storage)
    assert "AC-6" in map(str, storage)
    assert "AC-6*" in map(str, access)


def test_the_coverage_of_a_framework_says_what_the_mark_means():
    table = coverage_table(load_benchmark("nist-800-53r5"))
    assert "SI-16*" in table
    assert "* proposed" in table
    assert "* proposed" not in coverage_table(load_benchmark("cis-docker-1.8.0"))


HEAD = 'title: F\nversion: "1"\nsections: [A]\nitems:\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("  - {id: A.1, families: [sshdd]}\n", "did you mean sshd?"),
        ("  - {id: A.1, controls: [engine.icc]}\n", "has no 'title'"),
        ("  - {id: A.1, confirmed: 1, families: [sshd]}\n", "write true or false"),
    ],
)
def test_mistakes(tmp_path, text, sentence):
    path = tmp_path / "f.yaml"
    path.write_text(HEAD + text)
    with pytest.raises(DocumentError, match=re.escape(sentence)):
        read_benchmark(path)


def test_a_family_without_controls_is_not_covered(tmp_path, monkeypatch):
    monkeypatch.setattr("hullcheck.benchmarks.families", lambda: {"kubelet": ()})
    path = tmp_path / "f.yaml"
    path.write_text(HEAD + "  - {id: A.1, families: [kubelet]}\n")
    (item,) = read_benchmark(path).items
    assert item.uncovered
    assert item.status({}) is None
    assert item.status({}) is not Status.PASS


def test_a_pattern_that_fits_nothing_is_refused(tmp_path):
    path = tmp_path / "families.yaml"
    path.write_text("kernel: [host.aslr, host.nothing-like-*]\n")
    with pytest.raises(DocumentError, match="no control fits"):
        read_families(path)
