"""Benchmarks: outside numberings, mapped onto controls.

A benchmark is one YAML file in this folder, named after it::

    title: CIS Docker Benchmark 1.8.0
    version: 1.8.0
    sections:
      "2": The daemon's configuration
    items:
      - id: "2.10"                 # quoted or not: 2.10 stays 2.10
        section: "2"               # may be left out: the longest that the id begins with
        title: In our own words
        level: 1
        controls: [engine.user-namespaces]
      - id: "4.2"
        title: …
        manual: Why a person must decide, in one line.
      - id: "4.5"
        title: …
        uncovered: Why no control answers it yet, in one line.
      - id: "5.1.9"
        title: …
        cluster: Which objects of the cluster tell, in one line.

Each item has controls, or says in ``manual``, ``cluster`` or ``uncovered`` why it has none; one
with controls may say in ``manual`` or ``cluster`` what they leave open. To a run, ``cluster`` is
``manual``: no single node can tell. A framework, of
which numbers alone are printed, has neither titles nor controls of its own, but families of
``families.yaml``; what nobody has confirmed yet is marked::

    sections: [AC, AU]
    items:
      - id: AC-6
        section: AC
        families: [storage]
        unconfirmed: [access]        # families that are proposed for it
      - id: SC-39
        section: SC
        confirmed: false             # all of its families are
        families: [kernel]

Another version of a benchmark that ships needs only say where it differs::

    title: CIS Docker Benchmark 1.6.0
    version: 1.6.0
    base: cis-docker-1.8.0
    renumbered: {"2.8": "2.7"}     # the base's number: this version's
    without: ["2.7"]               # the base's numbers that this version has not
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hullcheck.benchmarks.families import FILE, families
from hullcheck.catalogue import nearest
from hullcheck.inventory.document import DocumentError, Node, load
from hullcheck.verdict import Status, Verdict, worst

__all__ = [
    "UNCONFIRMED", "Benchmark", "Item", "Reference", "load_benchmark", "names", "read_benchmark",
    "references",
]  # fmt: skip

_FOLDER = Path(__file__).parent
_KEYS = (
    "id", "section", "title", "level", "controls", "families", "unconfirmed", "confirmed", "manual",
    "cluster", "uncovered",
)  # fmt: skip
_REASONS = ("manual", "cluster", "uncovered")
_NONE_YET = "no control of this kind is written yet"

UNCONFIRMED = "*"
"""Printed after a number that is proposed and not confirmed."""


@dataclass(frozen=True, slots=True)
class Item:
    """One numbered line of a benchmark.

    :param title: empty where a framework's numbers alone are printed.
    :param controls: ids of the controls that answer it.
    :param gathered: whether they are families of controls, each of which has more to say than a
        part of one number.
    :param proposed: those of them that nobody has confirmed to answer it.
    :param manual: why a person must decide; empty if controls do. ``cluster``: what no node can
        tell, only objects of the cluster; see :attr:`asks`.
    :param uncovered: why nothing answers it yet; empty if something does.
    """

    id: str
    section: str
    title: str
    level: int
    controls: tuple[str, ...] = ()
    manual: str = ""
    uncovered: str = ""
    proposed: frozenset[str] = frozenset()
    confirmed: bool = True
    gathered: bool = False
    cluster: str = ""

    @property
    def asks(self) -> str:
        """What a person must look at beside the verdicts; empty if nothing."""
        return self.manual or self.cluster

    @property
    def label(self) -> str:
        """Its number, marked if it is not confirmed."""
        return self.id if self.confirmed else f"{self.id}{UNCONFIRMED}"

    def status(self, verdicts: Mapping[str, Verdict]) -> Status | None:
        """Return the worst status of the item's controls on one host.

        :param verdicts: that host's verdicts by control.
        :return: manual if a person must decide, unless the host has nothing that it is about;
            None if nothing was judged.
        """
        judged = [verdicts[each].status for each in self.controls if each in verdicts]
        if judged:
            asks = self.asks and set(judged) != {Status.NOT_APPLICABLE}
            return worst([*judged, Status.MANUAL] if asks else judged)
        return Status.MANUAL if self.asks else None


@dataclass(frozen=True, slots=True)
class Benchmark:
    """An outside numbering; ``sections`` are titles by number, in the benchmark's order."""

    name: str
    title: str
    version: str
    sections: Mapping[str, str]
    items: tuple[Item, ...]


def names() -> list[str]:
    """Return the names of the benchmarks that ship."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml") if path != FILE)


@functools.cache
def load_benchmark(name: str) -> Benchmark:
    """Return a benchmark that ships.

    :raises KeyError: there is none of that name; the text says which are near.
    :raises DocumentError: its file is wrong.
    """
    known = names()
    if name not in known:
        near = nearest(name, known) or f"; there are {', '.join(known) or 'none'}"
        raise KeyError(f"there is no benchmark {name!r}{near}")
    return read_benchmark(_FOLDER / f"{name}.yaml")


def read_benchmark(path: Path) -> Benchmark:
    """Read a benchmark's file. :raises DocumentError: it is wrong."""
    root = load(path)
    keys = root.keys(
        ("name", "title", "version", "sections", "items", "base", "renumbered", "without")
    )
    title, version = (_needed(root, keys, key).text() for key in ("title", "version"))
    if "base" in keys:
        return _derived(path.stem, title, version, root, keys)
    sections = _sections(_needed(root, keys, "sections"))
    items: dict[str, Item] = {}
    for node in _needed(root, keys, "items").items():
        item = _item(node, sections)
        if item.id in items:
            raise node.error(f"item {item.id} stands twice; keep one")
        items[item.id] = item
    return Benchmark(path.stem, title, version, sections, tuple(items.values()))


def _derived(
    name: str, title: str, version: str, root: Node, keys: Mapping[str, Node]
) -> Benchmark:
    """Return a version of a benchmark that differs from another only in its numbers."""
    try:
        base = load_benchmark(keys["base"].text())
    except KeyError as error:
        raise keys["base"].error(str(error.args[0])) from None
    numbers = {item.id for item in base.items}
    moved = keys["renumbered"].keys() if "renumbered" in keys else {}
    gone = keys["without"].texts() if "without" in keys else ()
    for number in [*moved, *gone]:
        if number not in numbers:
            raise root.error(f"{base.name} has no item {number}")
    items = [
        replace(item, id=moved[item.id].text() if item.id in moved else item.id)
        for item in base.items
        if item.id not in gone
    ]
    if len({item.id for item in items}) != len(items):
        raise root.error("two items have the same number")
    return Benchmark(name, title, version, base.sections, tuple(items))


def _sections(node: Node) -> dict[str, str]:
    """Return titles by number; of a list, numbers without titles."""
    if isinstance(node.value, list):
        return dict.fromkeys(node.texts(), "")
    return {number: title.text() for number, title in node.keys().items()}


def _item(node: Node, sections: Mapping[str, str]) -> Item:
    keys = node.keys(_KEYS)
    number = _needed(node, keys, "id").text()
    section = keys["section"].text() if "section" in keys else _section(number, sections)
    if section not in sections:
        raise node.error(f"item {number} is in section {section!r}; add it to sections")
    told = {key: keys[key].text() for key in _REASONS if key in keys}
    controls = keys["controls"].texts() if "controls" in keys else ()
    confirmed = keys["confirmed"].flag() if "confirmed" in keys else True
    members, proposed = _of_families(keys, confirmed)
    controls = tuple(dict.fromkeys((*controls, *members)))
    if "families" in keys and not (controls or told):
        told["uncovered"] = _NONE_YET
    if not (controls or told) or len(told) > 1 or (controls and "uncovered" in told):
        raise node.error(f"item {number} needs controls, or one of manual, cluster and uncovered")
    title = keys["title"].text() if "title" in keys else ""
    if not title and "families" not in keys:
        raise node.error(f"item {number} has no 'title'; add it")
    return Item(
        number, section, title, keys["level"].number(1, 2) if "level" in keys else 1, controls,
        told.get("manual", ""), told.get("uncovered", ""), proposed, confirmed, "families" in keys,
        told.get("cluster", ""),
    )  # fmt: skip


def _section(number: str, sections: Mapping[str, str]) -> str:
    """Return the longest section that a number begins with; its first part if there is none."""
    parts = number.split(".")
    known = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((each for each in known if each in sections), parts[0])


def _of_families(keys: Mapping[str, Node], confirmed: bool) -> tuple[list[str], frozenset[str]]:
    """Return the controls of an item's families, and those that are only proposed for it."""
    sure, unsure = (
        [each for family in (keys[key].items() if key in keys else ()) for each in _members(family)]
        for key in ("families", "unconfirmed")
    )
    proposed = set(unsure) - set(sure) if confirmed else {*sure, *unsure}
    return [*sure, *unsure], frozenset(proposed)


def _members(family: Node) -> tuple[str, ...]:
    return families()[family.one_of(tuple(families()))]


def _needed(node: Node, keys: Mapping[str, Node], key: str) -> Node:
    if key not in keys:
        raise DocumentError(node.file, node.line, f"{node.name} has no {key!r}; add it")
    return keys[key]


@dataclass(frozen=True, slots=True)
class Reference:
    """A benchmark's item that a control answers, or is proposed to answer."""

    item: str
    confirmed: bool = True

    def __str__(self) -> str:
        return self.item if self.confirmed else f"{self.item}{UNCONFIRMED}"


def references(control: str, benchmarks: Iterable[str] | None = None) -> dict[str, list[Reference]]:
    """Return the items that a control answers, by benchmark; those it does not are left out.

    :param benchmarks: names; None: all that ship.
    """
    found = {}
    for name in names() if benchmarks is None else benchmarks:
        numbers = _by_control(name).get(control)
        if numbers:
            found[name] = list(numbers)
    return found


@functools.cache
def _by_control(name: str) -> Mapping[str, list[Reference]]:
    found: dict[str, list[Reference]] = {}
    for item in load_benchmark(name).items:
        for control in item.controls:
            found.setdefault(control, []).append(
                Reference(item.id, item.confirmed and control not in item.proposed)
            )
    return found
