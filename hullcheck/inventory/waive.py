"""Adding a waiver to a file, properly: checked before it is written, and nothing else changed."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection
from datetime import date
from pathlib import Path

from hullcheck.inventory.document import DocumentError
from hullcheck.inventory.waivers import Waiver, load_waivers

__all__ = ["waive"]

HEADING = "# Failures that somebody accepts, for a reason, until a day. Given with --waivers.\n"
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@")


def waive(
    path: Path, waiver: Waiver, controls: Collection[str], latest: date | None = None
) -> None:
    """Append a waiver to a file, which is made if it is not there.

    :param controls: the ids that exist. ``latest``: the last day that policy allows.
    :raises DocumentError: the file is wrong as it is.
    :raises ValueError: the waiver is wrong, or stands there already.
    :raises OSError: it cannot be written.
    """
    old = path.read_text(encoding="utf-8") if path.exists() else HEADING
    known = load_waivers(path, controls, latest) if path.exists() else []
    for each in known:
        if (each.control, each.host, each.object) == (waiver.control, waiver.host, waiver.object):
            raise ValueError(
                f"{path} has a waiver for that already, by {each.owner} until {each.expires}; "
                "change it there"
            )
    gap = "" if old.endswith("\n\n") or not old else "\n" if old.endswith("\n") else "\n\n"
    new = f"{old}{gap}{_entry(waiver)}"
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    fresh = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(new)
        _checked(fresh, controls, latest)
        fresh.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _checked(path: Path, controls: Collection[str], latest: date | None) -> None:
    try:
        load_waivers(path, controls, latest)
    except DocumentError as error:
        raise ValueError(f"the waiver is refused: {error.message}") from None


def _entry(waiver: Waiver) -> str:
    values = {
        "control": waiver.control, "host": waiver.host, "object": waiver.object, "reason":
        waiver.reason, "owner": waiver.owner, "expires": waiver.expires.isoformat(), "ticket":
        waiver.ticket,
    }  # fmt: skip
    told = {
        key: value for key, value in values.items()
        if value and not (key in ("host", "object") and value == "*")
    }  # fmt: skip
    lines = [
        f"{key}: {value if key == 'expires' else _scalar(value)}" for key, value in told.items()
    ]
    return "- " + "\n  ".join(lines) + "\n"


def _scalar(text: str) -> str:
    """Return a text as YAML reads it back; JSON's strings are YAML's."""
    plain = set(text) <= _PLAIN and any(letter.isalpha() for letter in text)
    return text if plain and text[0].isalpha() else json.dumps(text, ensure_ascii=False)
