"""What changed between two runs, for people and as JSON: first what is newly failing."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hullcheck.report.page import Page, tabulated
from hullcheck.report.text import padded, safe, unpadded
from hullcheck.run.changes import Change, Kind, ObjectChange, object_changes
from hullcheck.run.diff import Diff, HostNote
from hullcheck.run.scope import Side
from hullcheck.verdict import Status

__all__ = ["NAMES", "changes_json", "changes_table"]

NAMES = {
    Kind.FAILING: "newly failing", Kind.UNDECIDED: "no longer known", Kind.FIXED: "fixed",
    Kind.OTHER: "otherwise changed", Kind.NEW: "new", Kind.GONE: "gone",
}  # fmt: skip
HOSTS = 10
"""Hosts of one control that are told, unless all are wanted."""

OBJECTS = 3
BY_HOST = 20

_COLOURS = {Kind.FAILING: "1;31", Kind.UNDECIDED: "1;33", Kind.FIXED: "32"}
_NOTES = {
    "lost": "Not seen in B, or not all of it; neither fixed nor gone",
    "found": "Not seen in A, or not all of it",
    "unseen": "Not seen in either run, or not all of it",
    "new": "New hosts",
    "gone": "Hosts that are gone",
}


def changes_table(found: Diff, page: Page) -> str:
    """Return what changed as text."""
    parts = [_heads(found, page), _scope(found, page)]
    parts += _hosts(found, page)
    for kind, changes in itertools.groupby(found.changes, key=lambda change: change.kind):
        parts.append("\n".join(_kind(found, kind, list(changes), page)))
    parts += [_by_host(found, page), _end(found, page)]
    return unpadded("\n\n".join(part for part in parts if part)) + "\n"


def _heads(found: Diff, page: Page) -> str:
    return "\n".join(line for side in (found.a, found.b) for line in page.lines(_head(side)))


def _head(side: Side) -> str:
    run = side.run
    count = len(side.hosts)
    ended = "" if run["finished"] else ", NOT FINISHED"
    told = f"{side.letter} is {run['id']} of {run['started']}, {_number(count, 'host')}{ended}"
    return safe(f"{told}: {side.path}")


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _scope(found: Diff, page: Page) -> str:
    if not found.scope:
        return ""
    lines = [page.paint("The scopes differ: what is told here is no full comparison", "1;33")]
    for each in found.scope:
        lines += page.lines(safe(f"{each.what}: {each.told}"), "  ")
    return "\n".join(lines)


def _hosts(found: Diff, page: Page) -> Iterator[str]:
    for kind, title in _NOTES.items():
        notes = [each for each in found.hosts if each.kind == kind]
        if notes:
            lines = [page.heading(f"{title} ({len(notes)})")]
            for note in notes if page.verbose else notes[:BY_HOST]:
                lines += page.lines(_note(note), "  ")
            if (rest := len(notes) + 1 - len(lines)) > 0 and not page.verbose:
                lines += [f"  and {rest} more: -v"] if len(notes) > BY_HOST else []
            yield "\n".join(lines)


def _note(note: HostNote) -> str:
    counts = ", ".join(f"{note.totals[each]} {each}" for each in Status if note.totals.get(each))
    where = {"lost": "in A" if note.kind == "lost" else "", "found": "in B"}.get(note.kind, "")
    return safe(
        f"{note.host}: {note.told}" + (f" ({counts} {where}".rstrip() + ")" if counts else ""), 600
    )


def _kind(found: Diff, kind: Kind, changes: Sequence[Change], page: Page) -> Iterator[str]:
    title = NAMES[kind]
    heading = f"{title[0].upper()}{title[1:]} ({len(changes)})"
    yield page.paint(heading, _COLOURS.get(kind, "1"))
    for control, group in itertools.groupby(changes, key=lambda change: change.control):
        mine = list(group)
        yield from page.lines(_control(found, control, mine), "  ")
        shown = mine if page.verbose else mine[:HOSTS]
        for change in shown:
            yield from page.lines(_change(found, change, page), "      ")
        if len(mine) > len(shown):
            yield f"      and {_number(len(mine) - len(shown), 'more host')}: -v"


def _control(found: Diff, control: str, changes: Sequence[Change]) -> str:
    about = found.b.controls.get(control) or found.a.controls.get(control) or {}
    count = f", {len(changes)} hosts" if len(changes) > 1 else ""
    return safe(f"{changes[0].severity} {about.get('title', control)} ({control}){count}")


def _change(found: Diff, change: Change, page: Page) -> str:
    before, after = found.verdicts(change)
    told = f"{change.host}: {_arrow(change.before, change.after)}"
    if before is not None and after is not None:
        objects = [
            each
            for each in object_changes(before, after)
            if each.object[0] not in ("host", "engine")
        ]
        limit = len(objects) if page.verbose else OBJECTS
        if objects:
            more = f"; and {len(objects) - limit} more" if len(objects) > limit else ""
            return safe(f"{told}; " + "; ".join(map(_object, objects[:limit])) + more, 2000)
    last = after or before or {}
    return safe(f"{told}; {last.get('reason', '')}".rstrip("; "), 600)


def _arrow(before: Status | None, after: Status | None) -> str:
    if before is after:
        return f"still {after}"
    return " -> ".join(str(each) for each in (before, after) if each)


def _object(change: ObjectChange) -> str:
    kind, name = (safe(each, 200) for each in change.object)
    told = " -> ".join(str(each) if each else "not there" for each in (change.before, change.after))
    if change.before is change.after:
        told = f"more or fewer {change.after}"
    why = f": {safe(change.reason, 200)}" if change.reason and change.kind <= Kind.UNDECIDED else ""
    return f"{kind} {name} {told}{why}"


def _by_host(found: Diff, page: Page) -> str:
    counted: defaultdict[str, Counter[Kind]] = defaultdict(Counter)
    for each in found.changes:
        counted[each.host][each.kind] += 1
    if len(counted) < 2:
        return ""
    kinds = [each for each in Kind if found.counts[each]]
    order = sorted(counted, key=lambda name: ([-counted[name][each] for each in kinds], name))
    shown = order if page.verbose else order[:BY_HOST]
    rows = [
        [padded(safe(name, 60)), *(str(counted[name][each] or "") for each in kinds)]
        for name in shown
    ]
    text = tabulated(rows, ["host", *(NAMES[each] for each in kinds)], right=len(kinds))
    return text + (f"\nand {len(order) - len(shown)} more: -v" if len(order) > len(shown) else "")


def _end(found: Diff, page: Page) -> str:
    counts = [f"{found.counts[each]} {NAMES[each]}" for each in Kind if found.counts[each]]
    notes = Counter(each.kind for each in found.hosts)
    for kind, told in (("lost", "not seen in B"), ("found", "not seen in A"), ("new", "new"),
                       ("gone", "gone")):  # fmt: skip
        counts += [f"{_number(notes[kind], 'host')} {told}"] if notes[kind] else []
    if counts:
        told = f"{', '.join(counts)}; {found.same} verdicts are as they were"
    elif found.scope:
        told = f"No verdict changed, but the scopes differ; {found.same} verdicts are as they were"
    else:
        told = f"Nothing changed: {found.same} verdicts are as they were"
    if found.reworded:
        told += f" ({found.reworded} give another reason or value, which alone is no change)"
    if notes["unseen"]:
        told += f"; {_number(notes['unseen'], 'host')} not seen in either run"
    return "\n".join(page.lines(f"{told}."))


def changes_json(found: Diff) -> Iterator[str]:
    """Yield what changed as the pieces of one JSON document, ``hullcheck.diff/1``."""
    head = {
        "schema": "hullcheck.diff/1",
        "a": _side(found.a),
        "b": _side(found.b),
        "same_scope": not found.scope,
        "scope": [
            {"what": each.what, "told": each.told, "only_a": each.only_a, "only_b": each.only_b}
            for each in found.scope
        ],
        "counts": {_name(kind): found.counts[kind] for kind in Kind},
        "unchanged": found.same,
        "reworded": found.reworded,
        "hosts": [
            {"name": each.host, "what": each.kind, "told": each.told, "totals": dict(each.totals)}
            for each in found.hosts
        ],
    }
    yield json.dumps(head, indent=1)[:-2]
    yield ',\n "changes": ['
    for number, change in enumerate(found.changes):
        yield ("," if number else "") + "\n  " + json.dumps(_document(found, change))
    yield "\n ]\n}\n"


def _side(side: Side) -> dict[str, Any]:
    run: Mapping[str, Any] = side.run
    about = {key: run[key] for key in ("id", "started", "finished")}
    return {"directory": str(side.path), **about, "hosts": len(side.hosts)}


def _name(kind: Kind) -> str:
    return NAMES[kind].replace(" ", "-")


def _document(found: Diff, change: Change) -> dict[str, Any]:
    before, after = found.verdicts(change)
    objects = object_changes(before, after) if before and after else []
    return {
        "what": _name(change.kind), "host": change.host, "control": change.control,
        "severity": change.severity, "before": _verdict(before), "after": _verdict(after),
        "objects": [
            {"what": _name(each.kind), "kind": each.object[0], "name": each.object[1],
             "before": each.before, "after": each.after, "reason": each.reason}
            for each in objects
        ],
    }  # fmt: skip


def _verdict(verdict: dict[str, Any] | None) -> dict[str, Any] | None:
    return verdict and {"status": verdict["status"], "reason": verdict["reason"]}
