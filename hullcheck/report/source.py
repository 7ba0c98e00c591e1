"""What every report is made from: a run directory, and nothing else.

Verdicts are read one at a time, so that a fleet's run is never held in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hullcheck.run.directory import read_document, read_verdicts
from hullcheck.run.pruned import read_pruned
from hullcheck.transport.recording import load
from hullcheck.transport.want import Evidence
from hullcheck.verdict import Verdict

__all__ = ["ControlText", "Source"]


@dataclass(frozen=True, slots=True)
class ControlText:
    """What the run says of a control: as it was judged, whatever this version would say.

    :param references: benchmark -> numbers; ``proposed``: those that are not confirmed.
    """

    id: str
    title: str
    severity: str
    level: int
    area: str
    fix: str
    rationale: str
    references: Mapping[str, list[str]]
    proposed: Mapping[str, list[str]]

    def numbers(self, mark: str = "*") -> str:
        """Return its numbers in one line: ``cis-docker-1.8.0 5.26; pci-dss-4.0.1 2.2.6*``."""
        told = []
        for name in sorted({*self.references, *self.proposed}):
            items = [
                *self.references.get(name, []),
                *(f"{each}{mark}" for each in self.proposed.get(name, [])),
            ]
            told.append(f"{name} {', '.join(items)}")
        return "; ".join(told)


class Source:
    """A run directory. :raises ValueError: it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.document: dict[str, Any] = read_document(path)
        self.run: dict[str, Any] = self.document["run"]
        self.hosts: list[dict[str, Any]] = self.document["hosts"]
        self.totals: dict[str, int] = self.document["totals"]

    @cached_property
    def controls(self) -> dict[str, ControlText]:
        """The controls that were judged, by id."""
        return {each["id"]: _control(each) for each in self.document["controls"]}

    def verdicts(self, holding: str = "") -> Iterator[Verdict]:
        """Yield the verdicts, in the order they were written: host by host.

        :param holding: only those whose lines hold this.
        """
        return read_verdicts(self.path, holding)

    def recording(self, host: str) -> list[Evidence]:
        """Return the recording of a host; empty if it has none, or retention took it out."""
        places = {each["name"]: each["recording"] for each in self.hosts}
        kept = places.get(host) and places[host] not in self._pruned
        return load(self.path / places[host]) if kept else []

    @cached_property
    def _pruned(self) -> frozenset[str]:
        note = read_pruned(self.path)
        return frozenset(note.removed if note else ())


def _control(given: dict[str, Any]) -> ControlText:
    return ControlText(
        given["id"], given["title"], given["severity"], given["level"], given["area"], given["fix"],
        given["rationale"], given["references"], given.get("proposed_references", {}),
    )  # fmt: skip
