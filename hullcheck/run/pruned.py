"""What retention leaves of a run: its checksums, its summary, and a note of what was taken out.

``pruned.json`` lies beside the seal, which is as it was: the files that are left still fit it,
and the next run's chain still ends in it. The note may be signed as the seal is; without a
signature anybody could have written it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hullcheck.run.directory import replace_text
from hullcheck.run.seal import SUMS, digest_of

__all__ = ["NOTE", "NOTE_SIGNATURE", "Pruned", "read_pruned", "write_pruned"]

NOTE, NOTE_SIGNATURE = "pruned.json", "pruned.json.sig"
SCHEMA = "hullcheck.pruned/1"


@dataclass(frozen=True, slots=True)
class Pruned:
    """The note of a run that retention took something out of.

    :param run: its id. ``sums``: the digest of its SHA256SUMS, which ties the note to it.
    :param when: RFC 3339 in UTC. ``rule``: what was asked to be kept, in words.
    :param removed: the names of all files that were taken out, as SHA256SUMS has them.
    """

    run: str
    sums: str
    when: str
    rule: str
    removed: tuple[str, ...]

    @property
    def told(self) -> str:
        """It in a few words."""
        return f"pruned on {self.when[:10]} by retention ({self.rule})"


def read_pruned(path: Path) -> Pruned | None:
    """Return the note of a run directory; None if nothing was taken out of it.

    :raises ValueError: it is damaged, or it is another run's.
    """
    try:
        text = (path / NOTE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path / NOTE} cannot be read: {error}") from error
    try:
        document: dict[str, Any] = json.loads(text)
        if document.pop("schema") != SCHEMA:
            raise ValueError(f"its schema is not {SCHEMA}")
        note = Pruned(**{**document, "removed": tuple(map(str, document["removed"]))})
        if not all(isinstance(each, str) for each in (note.run, note.when, note.rule)):
            raise ValueError("a value is no text")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path / NOTE} is damaged: {error}") from error
    if not (path / SUMS).is_file() or note.sums != f"sha256:{digest_of(path / SUMS)}":
        raise ValueError(f"{path / NOTE} is not of the run that lies there")
    return note


def write_pruned(path: Path, note: Pruned) -> None:
    """Write the note into a run directory."""
    document = {
        "schema": SCHEMA, "run": note.run, "sums": note.sums, "when": note.when,
        "rule": note.rule, "removed": list(note.removed),
    }  # fmt: skip
    replace_text(path / NOTE, json.dumps(document, indent=1))
