"""Runs that lie beside each other: what each is of, how it went, which can be compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hullcheck.run.directory import VERDICTS, read_document
from hullcheck.run.pruned import NOTE, read_pruned
from hullcheck.run.seal import SUMS
from hullcheck.run.site import read_site

FEW = 20
"""Earlier runs whose hosts are looked at where none has the same."""

__all__ = ["Head", "best_before", "mark_of", "places", "read_head"]


@dataclass(frozen=True, slots=True)
class Head:
    """A run without its verdicts.

    :param directory: its name beside the others. ``finished``: empty if it is not.
    :param hosts: how many. ``lost``: how many of them were not audited, or only partly.
    :param subject: a digest of the names of hosts and controls: what was asked of whom.
    :param judged: a digest of what it was judged by: controls' code, policy, roles, waivers.
    :param pruned: when retention took something out; ``verdicts``: whether they are there.
    """

    directory: str
    id: str
    started: str
    finished: str
    tool: str
    hosts: int
    lost: int
    totals: dict[str, int]
    subject: str
    judged: str
    sealed: bool
    pruned: str
    verdicts: bool

    @property
    def order(self) -> tuple[str, str]:
        """What runs are ordered by: when they started."""
        return self.started, self.id

    def same_scope(self, other: Head) -> bool:
        """Whether both ask the same of the same hosts, and judge alike."""
        return self.subject == other.subject and self.judged == other.judged


def places(home: Path) -> Iterator[Path]:
    """Yield the run directories in a directory, sorted by name; links, such as latest, are none."""
    for each in sorted(home.iterdir()):
        if not each.is_symlink() and (each / "run.json").is_file():
            yield each


def mark_of(path: Path) -> tuple[str, str]:
    """Return what changes when a run is written again: for ``run.json``, and for the rest."""
    marks = [_stat(path / name) for name in ("run.json", VERDICTS, "site.json", SUMS, NOTE)]
    return marks[0], " ".join(marks[1:])


def _stat(path: Path) -> str:
    try:
        found = path.stat()
    except FileNotFoundError:
        return "-"
    return f"{found.st_mtime_ns}:{found.st_size}"


def read_head(path: Path) -> Head:
    """Read the head of a run directory.

    :raises ValueError: it cannot be read.
    """
    document = read_document(path)
    try:
        run, hosts = document["run"], document["hosts"]
        names = sorted(each["name"] for each in hosts)
        ids = sorted(each["id"] for each in document["controls"])
        note = read_pruned(path)
        return Head(
            path.name, run["id"], run["started"], run["finished"] or "", run["tool"]["version"],
            len(hosts), sum(each["status"] != "audited" for each in hosts), document["totals"],
            _digest([names, ids]), _judged(path, run), (path / SUMS).is_file(),
            note.when if note else "", (path / VERDICTS).is_file(),
        )  # fmt: skip
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}/run.json is damaged: {error!r}") from error


def _judged(path: Path, run: dict[str, Any]) -> str:
    try:
        site = read_site(path)
        rest = [str(site.waivers), str(site.attestations), sorted(site.roles.items())]
    except ValueError:
        rest = []
    return _digest([run["controls_digest"], run["policy_digest"], rest])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:32]


def best_before(home: Path, heads: Sequence[Head]) -> Head | None:
    """Return which earlier run the newest is best compared with.

    The last one of the same scope; else of the same hosts and controls; else, of the last few,
    the one that shares most hosts. A copy of the same run is none.

    :param heads: finished runs in a directory, the oldest first.
    """
    newest = heads[-1]
    earlier = [each for each in reversed(heads) if each.id != newest.id]
    for each in earlier:
        if each.same_scope(newest):
            return each
    for each in earlier:
        if each.subject == newest.subject:
            return each
    names = _names(home / newest.directory)
    return max(
        earlier[:FEW],
        key=lambda head: len(names & _names(home / head.directory)) / max(len(names), head.hosts),
        default=None,
    )


def _names(path: Path) -> set[str]:
    return {str(each["name"]) for each in read_document(path)["hosts"]}
