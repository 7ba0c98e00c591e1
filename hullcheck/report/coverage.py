"""What there is to ask: the controls, and which items of a benchmark they answer."""

from __future__ import annotations

from collections.abc import Mapping

from tabulate import tabulate

from hullcheck.benchmarks import Benchmark, references
from hullcheck.control import Control

__all__ = ["catalogue_markdown", "catalogue_table", "coverage_table"]


def catalogue_table(controls: Mapping[str, Control]) -> str:
    """Return the controls by area: id, severity, level and title."""
    rows = [[each.id, each.severity, each.level, each.title] for each in controls.values()]
    table = tabulate(rows, ["control", "severity", "level", "title"], "simple")
    return f"{table}\n\n{len(rows)} controls"


def coverage_table(benchmark: Benchmark) -> str:
    """Return what answers each item of a benchmark, and how many are answered."""
    counts = {"decided by controls": 0, "decided in part": 0, "manual": 0, "not yet covered": 0}
    rows = []
    for item in benchmark.items:
        answer = ", ".join(item.controls)
        if item.controls and item.manual:
            counts["decided in part"] += 1
            answer += f"; and a person: {item.manual}"
        elif item.controls:
            counts["decided by controls"] += 1
        elif item.manual:
            counts["manual"] += 1
            answer = f"manual: {item.manual}"
        else:
            counts["not yet covered"] += 1
            answer = f"not yet covered: {item.uncovered}"
        rows.append([item.id, item.title, answer])
    table = tabulate(
        rows, [benchmark.name, "title", "answered by"], "simple", disable_numparse=True
    )
    told = ", ".join(f"{count} {what}" for what, count in counts.items())
    return f"{table}\n\n{len(rows)} items: {told}"


def catalogue_markdown(controls: Mapping[str, Control]) -> str:
    """Return the whole catalogue as a page: what each control asks, why, and how to mend it."""
    parts = [
        "# The controls",
        "Made by `make docs` from the controls themselves; do not edit.",
        f"There are {len(controls)}.",
    ]
    area = ""
    for each in controls.values():
        if each.area != area:
            area = each.area
            parts.append(f"## {area}")
        numbers = "; ".join(
            f"{name} {', '.join(items)}" for name, items in references(each.id).items()
        )
        about = f"`{each.id}` · {each.severity} · level {each.level}"
        parts += [
            f"### {each.title}",
            f"{about} · {numbers}" if numbers else about,
            " ".join(each.rationale.split()),
            f"**Fix:** {each.fix}",
        ]
    return "\n\n".join(parts) + "\n"
