"""What there is to ask: the controls, and which items of a benchmark they answer."""

from __future__ import annotations

from collections.abc import Mapping

from tabulate import tabulate

from hullcheck.benchmarks import UNCONFIRMED, Benchmark, Item, references
from hullcheck.control import Control

__all__ = ["catalogue_markdown", "catalogue_table", "coverage_table", "unconfirmed_note"]

SHOWN = 3
SAID = ("decided by controls", "decided in part", "manual", "not yet covered")
"""Counts that are given though they be 0."""


def catalogue_table(controls: Mapping[str, Control]) -> str:
    """Return the controls by area: id, severity, level and title."""
    rows = [[each.id, each.severity, each.level, each.title] for each in controls.values()]
    table = tabulate(rows, ["control", "severity", "level", "title"], "simple")
    return f"{table}\n\n{len(rows)} controls"


def coverage_table(benchmark: Benchmark) -> str:
    """Return what answers each item of a benchmark, and how many are answered."""
    counts = {"decided by controls": 0, "decided in part": 0, "manual": 0, "by the cluster": 0,
              "not yet covered": 0}  # fmt: skip
    rows = []
    for item in benchmark.items:
        answer = _answer(item)
        if item.controls and item.asks:
            counts["decided in part"] += 1
            answer += f"; and {'a person' if item.manual else 'the cluster'}: {item.asks}"
        elif item.controls:
            counts["decided by controls"] += 1
        elif item.manual:
            counts["manual"] += 1
            answer = f"manual: {item.manual}"
        elif item.cluster:
            counts["by the cluster"] += 1
            answer = f"cluster: {item.cluster}"
        else:
            counts["not yet covered"] += 1
            answer = f"not yet covered: {item.uncovered}"
        rows.append([item.label, item.title, answer])
    table = tabulate(
        rows, [benchmark.name, "title", "answered by"], "simple", disable_numparse=True
    )
    told = ", ".join(f"{count} {what}" for what, count in counts.items() if count or what in SAID)
    return "\n".join([table, "", f"{len(rows)} items: {told}", *unconfirmed_note(benchmark)])


def unconfirmed_note(benchmark: Benchmark) -> list[str]:
    """Return what the mark after a number means, if a benchmark has one."""
    if not any(item.proposed or not item.confirmed for item in benchmark.items):
        return []
    return [f"{UNCONFIRMED} proposed, and not confirmed by whoever signs the mapping."]


def _answer(item: Item) -> str:
    """Return the controls of an item; of a framework's, which has dozens, the first."""
    more = len(item.controls) - SHOWN
    if not item.gathered or more < 2:
        return ", ".join(item.controls)
    return f"{', '.join(item.controls[:SHOWN])} and {more} more"


def catalogue_markdown(controls: Mapping[str, Control]) -> str:
    """Return the whole catalogue as a page: what each control asks, why, and how to mend it."""
    parts = [
        "# The controls",
        "Made by `make docs` from the controls themselves; do not edit.",
        f"There are {len(controls)}. {UNCONFIRMED} marks a framework's number that is proposed and "
        "not confirmed.".replace(UNCONFIRMED, f"\\{UNCONFIRMED}"),
    ]
    area = ""
    for each in controls.values():
        if each.area != area:
            area = each.area
            parts.append(f"## {area}")
        numbers = "; ".join(
            f"{name} {', '.join(map(str, items))}" for name, items in references(each.id).items()
        )
        numbers = numbers.replace(UNCONFIRMED, f"\\{UNCONFIRMED}")
        about = f"`{each.id}` · {each.severity} · level {each.level}"
        parts += [
            f"### {each.title}",
            f"{about} · {numbers}" if numbers else about,
            " ".join(each.rationale.split()),
            f"**Fix:** {each.fix}",
        ]
    return "\n\n".join(parts) + "\n"
