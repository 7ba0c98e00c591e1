from __future__ import annotations

import pytest

from hullcheck import benchmarks
from hullcheck.benchmarks import Item, load_benchmark, names, read_benchmark, references
from hullcheck.catalogue import all_controls
from hullcheck.inventory.document import DocumentError
from hullcheck.verdict import Finding, Object, Status, Verdict

# How many items each part of CIS Docker 1.8.0 has; 118 together.
CIS = {"1.1": 18, "1.2": 2, "2": 19, "3": 24, "4": 12, "5": 32, "6": 2, "7": 9}

HEAD = """
title: A benchmark
version: 1.0
sections: {"2": The daemon}
items:
"""
ITEM = "  - {id: 2.10, title: A title, controls: [engine.icc]}\n"


@pytest.fixture
def benchmark(tmp_path):
    def write(text):
        path = tmp_path / "ours-1.yaml"
        path.write_text(text)
        return read_benchmark(path)

    return write


def _items(found):
    return {name: [each.item for each in items] for name, items in found.items()}


def verdict(control, status):
    found = Finding(Object("host", "h"), Status(status))
    return Verdict("h", control, Status(status), "why", (found,), (0,))


def test_cis_docker_has_its_118_items_in_order():
    cis = load_benchmark("cis-docker-1.8.0")
    wanted = [f"{part}.{number}" for part, count in CIS.items() for number in range(1, count + 1)]
    assert [item.id for item in cis.items] == wanted
    assert len(wanted) == 118
    assert cis.version == "1.8.0"


@pytest.mark.parametrize(
    ("name", "decided"), [("cis-docker-1.8.0", 118), ("cis-docker-1.6.0", 117)]
)
def test_what_a_machine_decides(name, decided):
    items = load_benchmark(name).items
    assert sum(bool(item.controls) for item in items) == decided
    assert all(item.controls for item in items)
    assert not [item.id for item in items if item.manual]
    assert not any(item.uncovered for item in items)


def test_the_older_numbering_has_117_items_in_order_and_the_same_controls():
    """1.8.0 put devicemapper in at 2.7 and moved the rest of the section by one."""
    old, new = load_benchmark("cis-docker-1.6.0"), load_benchmark("cis-docker-1.8.0")
    counts = {**CIS, "2": 18}
    wanted = [
        f"{part}.{number}" for part, count in counts.items() for number in range(1, count + 1)
    ]
    assert [item.id for item in old.items] == wanted
    assert len(wanted) == 117
    controls = {item.id: item.controls for item in new.items}
    for item in old.items:
        section, _, rest = item.id.partition(".")
        later = section == "2" and int(rest) > 6
        assert item.controls == controls[f"2.{int(rest) + 1}" if later else item.id], item.id
    assert "engine.storage-driver-devicemapper" not in {
        each for item in old.items for each in item.controls
    }


BASED = "title: A\nversion: 1.0\nbase: cis-docker-1.8.0\n"


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("title: A\nversion: 1.0\nbase: cis-docker-1.8\n", 3, "did you mean cis-docker-1.8.0"),
        (BASED + 'without: ["2.70"]\n', 1, "has no item 2.70"),
        (BASED + 'renumbered: {"9.9": "9.8"}\n', 1, "has no item 9.9"),
        (BASED + 'renumbered: {"2.8": "2.7"}\n', 1, "two items have the same number"),
    ],
)
def test_mistakes_in_another_version(benchmark, text, line, sentence):
    with pytest.raises(DocumentError) as caught:
        benchmark(text)
    assert (caught.value.line, sentence in caught.value.message) == (line, True), caught.value


@pytest.mark.parametrize("name", names())
def test_every_item_is_answered_by_controls_that_exist_or_says_why_not(name):
    known = all_controls()
    for item in load_benchmark(name).items:
        assert item.controls or item.asks or item.uncovered, item.id
        assert [each for each in item.controls if each not in known] == [], item.id
        assert len(set(item.controls)) == len(item.controls), item.id


@pytest.mark.parametrize("name", names())
def test_sections_have_items_and_titles_are_one_line(name):
    found = load_benchmark(name)
    assert {item.section for item in found.items} == set(found.sections)
    for text in (*found.sections.values(), *(item.title for item in found.items)):
        assert text == " ".join(text.split())


def test_references_go_from_a_control_to_its_items(benchmark, monkeypatch):
    found = benchmark(HEAD + ITEM + "  - {id: 2.2, title: B, controls: [engine.icc, engine.b]}\n")
    monkeypatch.setattr(benchmarks, "load_benchmark", lambda name: found)
    monkeypatch.setattr(benchmarks, "names", lambda: ["ours-1"])
    benchmarks._by_control.cache_clear()
    assert _items(references("engine.icc")) == {"ours-1": ["2.10", "2.2"]}
    assert _items(references("engine.b")) == {"ours-1": ["2.2"]}
    assert references("engine.c") == {}
    benchmarks._by_control.cache_clear()


def test_a_number_is_kept_as_it_was_written(benchmark):
    found = benchmark(HEAD + ITEM)
    assert (found.name, found.version) == ("ours-1", "1.0")
    assert found.items == (Item("2.10", "2", "A title", 1, ("engine.icc",)),)


def test_an_unknown_benchmark_is_told_the_nearest():
    with pytest.raises(KeyError) as caught:
        load_benchmark("cis-docker-1.8")
    assert caught.value.args[0].startswith(
        "there is no benchmark 'cis-docker-1.8'; did you mean cis-docker-1.8.0 or cis-docker-1.6.0"
    )
    with pytest.raises(KeyError, match="there are cis-controls-v8, cis-docker"):
        load_benchmark("zzzzzz")


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        (HEAD + ITEM + ITEM, 7, "item 2.10 stands twice"),
        (HEAD + "  - {id: 2.1, title: A}\n", 6, "needs controls, or one of manual, cluster and"),
        (HEAD + "  - {id: 2.1, title: A, controls: []}\n", 6, "needs controls, or one of"),
        (HEAD + "  - {id: 2.1, title: A, manual: a, uncovered: b}\n", 6, "needs controls, or one"),
        (HEAD + "  - {id: 2.1, title: A, controls: [a.b], uncovered: b}\n", 6, "needs controls"),
        (HEAD + "  - {id: 9.1, title: A, manual: a}\n", 6, "in section '9'; add it to sections"),
        (HEAD + "  - {id: 2.1, manual: a}\n", 6, "has no 'title'; add it"),
        (HEAD + "  - {id: 2.1, title: A, level: 3, manual: a}\n", 6, "from 1 to 2"),
        (HEAD + "  - {id: 2.1, title: A, control: [a.b]}\n", 6, "did you mean controls"),
        ("title: A\nsections: {}\nitems: []\n", 1, "has no 'version'"),
    ],
)
def test_mistakes(benchmark, text, line, sentence):
    with pytest.raises(DocumentError) as caught:
        benchmark(text)
    assert (caught.value.line, sentence in caught.value.message) == (line, True), caught.value


@pytest.mark.parametrize(
    ("statuses", "manual", "told"),
    [
        (["pass", "fail"], "", "fail"),
        (["pass", "unknown"], "", "unknown"),
        (["pass", "not-applicable"], "", "pass"),
        (["pass"], "a person too", "manual"),
        (["fail"], "a person too", "fail"),
        ([], "a person", "manual"),
        ([], "", None),
    ],
)
def test_an_item_is_as_bad_as_its_worst_control(statuses, manual, told):
    controls = tuple(f"engine.c{number}" for number in range(len(statuses)))
    verdicts = {
        name: verdict(name, status) for name, status in zip(controls, statuses, strict=True)
    }
    item = Item("1", "1", "A", 1, (*controls, "engine.not-judged"), manual)
    assert item.status(verdicts) == told
