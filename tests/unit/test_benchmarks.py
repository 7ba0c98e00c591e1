from __future__ import annotations

import pytest

from hullcheck import benchmarks
from hullcheck.benchmarks import Item, load_benchmark, names, read_benchmark, references
from hullcheck.catalogue import all_controls
from hullcheck.inventory.document import DocumentError
from hullcheck.report.coverage import coverage_table
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


KUBERNETES = {
    "1.1": 21, "1.2": 30, "1.3": 7, "1.4": 2, "2": 7, "3.1": 3, "3.2": 2, "4.1": 10, "4.2": 14,
    "4.3": 1, "5.1": 13, "5.2": 12, "5.3": 2, "5.4": 2, "5.5": 1, "5.6": 4,
}  # fmt: skip
"""How many items each part of CIS Kubernetes 1.12 has; 131 together."""


def test_cis_kubernetes_has_its_131_items_in_order_each_in_its_part():
    cis = load_benchmark("cis-kubernetes-1.12")
    wanted = [
        f"{part}.{number}" for part, count in KUBERNETES.items() for number in range(1, count + 1)
    ]
    assert [item.id for item in cis.items] == wanted
    assert [item.section for item in cis.items] == [each.rpartition(".")[0] for each in wanted]
    assert (len(wanted), cis.version) == (131, "1.12")
    assert not [item.id for item in cis.items if item.uncovered]


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


def test_what_only_the_cluster_tells_is_for_a_person_beside_what_controls_say(benchmark):
    text = "  - {id: 2.1, title: A, cluster: See the roles}\n"
    more = "  - {id: 2.2, title: A, controls: [engine.icc], cluster: See the pods}\n"
    alone, beside = benchmark(HEAD + text + more).items
    assert (alone.cluster, alone.asks, alone.status({})) == ("See the roles",) * 2 + (
        Status.MANUAL,
    )
    for told, wanted in (("pass", "manual"), ("fail", "fail")):
        assert beside.status({"engine.icc": verdict("engine.icc", told)}) == wanted
    table = coverage_table(benchmark(HEAD + text + more))
    assert "cluster: See the roles" in table
    assert "1 decided in part, 0 manual, 1 by the cluster, 0 not yet covered" in table


def test_the_longest_section_that_a_number_begins_with_is_its_own(benchmark):
    head = HEAD.replace('{"2": The daemon}', '{"2": A, "2.1": B, "2.10": C}')
    rows = [f"  - {{id: {each}, title: A, manual: b}}\n" for each in ("2.1.1", "2.10.1", "2.2")]
    found = benchmark(head + "".join(rows)).items
    assert [item.section for item in found] == ["2.1", "2.10", "2"]


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
        (["pass", "not-applicable"], "a person too", "manual"),
        (["not-applicable"], "a person too", "not-applicable"),
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
