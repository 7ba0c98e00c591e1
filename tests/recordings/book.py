"""The recordings: whole hosts, kept so that every control is judged on all of them, offline.

``index.yaml`` says what each is, ``derived/`` by subject what was made of them with answers of
other systems, and ``verdicts.yaml`` what every control says of each.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from hullcheck.catalogue import all_controls
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site
from hullcheck.run.replay import rejudge
from hullcheck.transport.recording import load
from hullcheck.transport.want import Evidence
from hullcheck.verdict import Verdict

HERE = Path(__file__).parent
INDEX, VERDICTS = HERE / "index.yaml", HERE / "verdicts.yaml"
DERIVED = HERE / "derived"

Statuses = dict[str, dict[str, str]]
"""control -> {recording: status}"""


@dataclass(frozen=True)
class Edit:
    """Answers of a recording that are replaced by those of another system.

    command: a pattern of the commands meant. stdout, stderr: pattern -> replacement, each of
    which must be found. source: where the other answers come from.
    """

    command: str
    source: str
    stdout: Mapping[str, str] = field(default_factory=dict)
    stderr: Mapping[str, str] = field(default_factory=dict)

    def applied(self, evidence: list[Evidence]) -> list[Evidence]:
        """Return the recording with this edit made; ValueError when it finds nothing to edit."""
        wanted = re.compile(self.command)
        if not any(wanted.search(each.command) for each in evidence):
            raise ValueError(f"no command is like {self.command!r}")
        missed = {*self.stdout, *self.stderr}
        made = list(evidence)
        for line, each in enumerate(evidence):
            if wanted.search(each.command):
                out, found = _replaced(each.stdout, self.stdout)
                err, more = _replaced(each.stderr, self.stderr)
                missed -= found | more
                made[line] = replace(each, stdout=out, stderr=err)
        if missed:
            raise ValueError(f"{self.command!r} has nothing like {', '.join(sorted(missed))}")
        return made


def _replaced(data: bytes, patterns: Mapping[str, str]) -> tuple[bytes, set[str]]:
    text, found = data.decode("utf-8", "surrogateescape"), set()
    for pattern, new in patterns.items():
        text, count = re.subn(pattern, new, text, flags=re.MULTILINE)
        found |= {pattern} if count else set()
    return text.encode("utf-8", "surrogateescape"), found


@dataclass(frozen=True)
class Entry:
    """One recording. See index.yaml for what its fields mean."""

    name: str
    about: str
    started: datetime
    policy: Policy = field(default_factory=Policy)
    role: tuple[str, ...] = ()
    shown: str = ""
    derived: str = ""
    of: str = ""
    user: str = "root"
    answers: tuple[Edit, ...] = ()

    @property
    def file(self) -> Path:
        """Where the evidence lies; a derived entry has none of its own."""
        return HERE / f"{self.derived or self.name}.jsonl.gz"

    @functools.cached_property
    def evidence(self) -> list[Evidence]:
        """The evidence, with the answers of other systems in their places."""
        found = load(self.file)
        for edit in self.answers:
            found = edit.applied(found)
        return found

    @property
    def site(self) -> Site:
        """What it is judged by."""
        return Site(self.name, self.policy, self.role, self.started)

    def judged(self) -> list[Verdict]:
        """Judge every control on it, from nothing."""
        return rejudge(self.evidence, all_controls().values(), self.site, ())


@functools.cache
def index() -> dict[str, Entry]:
    """Read index.yaml and derived/."""
    started = datetime.fromisoformat(_documents()[0]["started"]).astimezone(UTC)
    given: dict[str, dict[str, Any]] = _united("recordings")
    site = ("policy", "role")
    for each in given.values():
        base = given.get(each.get("derived") or each.get("of", ""), {})
        each.update({key: base[key] for key in site if key in base and key not in each})
    return {name: _entry(name, each, started) for name, each in given.items()}


def excused() -> dict[str, dict[str, str]]:
    """Return which controls have no recording of "pass" or of "fail", and why."""
    return _united("excused")


@functools.cache
def _documents() -> list[dict[str, Any]]:
    paths = [INDEX, *sorted(DERIVED.glob("*.yaml"))]
    return [yaml.safe_load(path.read_text()) for path in paths]


def _united(key: str) -> dict[str, Any]:
    """Return one mapping of all documents together. ValueError: a name stands in two."""
    found: dict[str, Any] = {}
    for document in _documents():
        more = document.get(key) or {}
        if twice := found.keys() & more.keys():
            raise ValueError(f"{', '.join(sorted(twice))}: in two files of the index")
        found.update(more)
    return found


def _entry(name: str, given: dict[str, Any], started: datetime) -> Entry:
    values = dict(given)
    values["answers"] = tuple(Edit(**each) for each in values.get("answers", ()))
    values["role"] = tuple(values.get("role", ()))
    policy = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in values.pop("policy", {}).items()
    }
    return Entry(name, policy=Policy(**policy), started=started, **values)


def committed() -> Statuses:
    """Read verdicts.yaml."""
    found: Statuses = yaml.safe_load(VERDICTS.read_text()) if VERDICTS.exists() else {}
    return found


def statuses(entries: Iterable[Entry]) -> Statuses:
    """Judge every control on some recordings."""
    found: Statuses = {}
    for entry in entries:
        for verdict in entry.judged():
            found.setdefault(verdict.control, {})[entry.name] = str(verdict.status)
    return found


def write(found: Statuses) -> None:
    """Write verdicts.yaml, a control a line."""
    lines = [
        "# Made by `python -m tests.recordings verdicts`; read the difference, then commit it.\n"
    ]
    for control, row in found.items():
        shown = ", ".join(f"{name}: {status}" for name, status in row.items())
        lines.append(f"{control}: {{{shown}}}\n")
    VERDICTS.write_text("".join(lines))


def changes(before: Statuses, after: Statuses) -> list[str]:
    """Return what differs, a sentence for each verdict."""
    cells = {(c, r) for each in (before, after) for c, row in each.items() for r in row}
    found = []
    for control, name in sorted(cells):
        old, new = (each.get(control, {}).get(name, "absent") for each in (before, after))
        if old != new:
            found.append(f"{control} on {name}: {old} -> {new}")
    return found
