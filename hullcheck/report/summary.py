"""A run in a few lines, for mail or chat: who is lost, what is new, what fails, where it lies.

At most LINES lines of COLUMNS columns. Nothing that a host sent can be a mention, a link or
markup: in Slack, Teams, Matrix or a mail program.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hullcheck.control import SEVERITIES
from hullcheck.report.source import Source
from hullcheck.report.text import safe, width, wrap
from hullcheck.run.directory import read_run
from hullcheck.run.earlier import FAILING, Known, known_before
from hullcheck.verdict import Status

__all__ = ["COLUMNS", "LINES", "lines", "plain", "write"]

LINES, COLUMNS = 20, 78
SHOWN = 3
"""How many hosts or controls a list names."""

_LOST = ("unreachable", "partial")
_ACTIVE = re.compile(
    r"[^\w .,:;/()=+%'-]|(?<!\w)_|_(?!\w)|(?<!\w)[-+=](?=\s)|'(?=')|(?<!\w):(?=\w)"
)
_LINK = re.compile(r"(?<=\w)\.(?=[^\W\d])|:(?=//)")


def plain(text: str, limit: int = 200) -> str:
    """Return a host's words as no chat takes them for more than words.

    ``?`` stands for each character that could mention somebody, format or quote, and ``(.)`` for
    a dot that could make a link.
    """
    return _LINK.sub(lambda found: f"({found[0]})", _ACTIVE.sub("?", safe(text, limit)))


def write(source: Source, path: Path) -> None:
    """Write a run as a few lines of text."""
    path.write_text("\n".join(lines(source)) + "\n", encoding="utf-8")


def lines(source: Source) -> list[str]:
    """Return a run as a few lines of text."""
    known = known_before(source.path, read_run(source.path))
    failing: dict[str, set[str]] = defaultdict(set)
    new: dict[str, set[str]] = defaultdict(set)
    for verdict in source.verdicts(FAILING):
        if verdict.status is Status.FAIL:
            failing[verdict.control].add(verdict.host)
            if known.is_new(verdict):
                new[verdict.control].add(verdict.host)
    told = [
        _headline(source, failing, new),
        _when(source),
        *_lost(source.hosts),
        _hosts(source.hosts),
        *wrap(f"Verdicts: {_counted(source.totals) or 'none'}", COLUMNS),
        *_new(source, known, new),
        *_controls(source, failing, "Fails, the worst first"),
        *_where(source.path),
    ]
    return [_cut(each) for each in told][:LINES]


def _headline(source: Source, failing: Mapping[str, set[str]], new: Mapping[str, set[str]]) -> str:
    parts = []
    lost = sum(each["status"] in _LOST for each in source.hosts)
    if lost or not source.hosts:
        parts.append(f"{lost} of {_many(len(source.hosts), 'host')} lost")
    doubts = source.totals.get(Status.UNKNOWN, 0) + source.totals.get(Status.ERROR, 0)
    if failing:
        verb = "fails" if len(failing) == 1 else "fail"
        parts.append(f"{_many(len(failing), 'control')} {verb} ({len(new)} new)")
    elif doubts:
        parts.append(f"nothing fails, but {_many(doubts, 'verdict')} not known")
    whole = bool(source.run["finished"])
    clear = f"all clear on {_many(len(source.hosts), 'host')}" if whole else "nothing fails so far"
    return f"Hullcheck{'' if whole else ' INTERRUPTED'}: {'; '.join(parts) or clear}"


def _when(source: Source) -> str:
    run = source.run
    began, ended = run["started"], run["finished"]
    day, clock = began[:10], began[11:16]
    last = f" to {ended[11:16]} UTC" if ended and ended[:10] == day else " UTC"
    return f"Run {plain(run['id'], 40)}, {day} {clock}{last}"


def _lost(hosts: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    found = sorted(
        (each for each in hosts if each["status"] in _LOST),
        key=lambda each: _LOST.index(each["status"]),
    )
    if found:
        yield f"Lost or cut off{_of(len(found))}:"
    for each in found[:SHOWN]:
        yield f"  {_name(each['name'])}, {each['status']}: {plain(each['reason'])}"


def _hosts(hosts: Iterable[Mapping[str, Any]]) -> str:
    counts: dict[str, int] = defaultdict(int)
    for each in hosts:
        counts[each["status"]] += 1
    return f"Hosts: {_counted(dict(sorted(counts.items()))) or 'none'}"


def _new(source: Source, known: Known, new: Mapping[str, set[str]]) -> Iterator[str]:
    first = len(known.strangers)
    if first and first == len(source.hosts):
        yield "New: all of it; there is no earlier audit of these hosts beside this one"
        return
    also = f" ({_many(first, 'host')} for the first time)" if first else ""
    yield from _controls(source, new, f"New since each host's last audit{also}")


def _controls(source: Source, found: Mapping[str, set[str]], heading: str) -> Iterator[str]:
    """Yield the worst of some controls, with on how many hosts each is met."""
    if not found:
        return
    yield f"{heading}{_of(len(found))}:"
    known = source.controls
    names = sorted(found, key=lambda name: (
        -SEVERITIES.index(known[name].severity), -len(found[name]), name))  # fmt: skip
    for name in names[:SHOWN]:
        hosts = found[name]
        where = _name(next(iter(hosts))) if len(hosts) == 1 else f"{len(hosts)} hosts"
        yield f"  {known[name].severity}, {where}: {known[name].title}"


def _where(path: Path) -> Iterator[str]:
    """Yield where the evidence lies, broken anywhere if it must be, and how it is checked."""
    place = f"Evidence: {safe(str(path.resolve()), 2 * COLUMNS - 40)}"
    yield from (place[start : start + COLUMNS] for start in (0, COLUMNS) if place[start:])
    yield "Check it there: hullcheck verify . --signers FILE"


def _name(text: str) -> str:
    return _ACTIVE.sub("?", safe(text, 40)).replace("://", "(:)//")


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.items())


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _of(count: int) -> str:
    """Return how many of a list are shown."""
    return f", {SHOWN} of {count}" if count > SHOWN else f" ({count})"


def _cut(line: str) -> str:
    """Return a line that fits, told if it was cut."""
    if width(line) <= COLUMNS:
        return line
    while width(line) > COLUMNS - 4:
        line = line[:-1]
    return f"{line.rstrip()} ..."
