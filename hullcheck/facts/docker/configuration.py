"""daemon.json: the file a dockerd was started with, parsed, and whether it is still that file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hullcheck.control import Unknown
from hullcheck.transport import Answer, Want, read, want

__all__ = ["Configuration", "changed_want", "parse_configuration", "read_configuration"]


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a daemon.json says.

    :param path: where it is, whether or not it exists.
    :param values: its keys; empty when there is no file.
    :param twice: keys that stand in it more than once; the daemon takes the last.
    :param changed: when the file (of an absent one, its directory) was last changed in any way,
        in seconds since the epoch; None if that is not known.
    """

    path: str
    exists: bool
    values: dict[str, Any] = field(default_factory=dict)
    twice: tuple[str, ...] = ()
    changed: float | None = None


def changed_want(path: str) -> Want:
    """Return the want for when a file and its directory were last changed: ``%Y %Z %n``."""
    directory = path.rpartition("/")[0] or "/"
    return want("stat -L -c '%%Y %%Z %%n' -- %s %s", path, directory, meaning=(0, 1))


def wants(path: str) -> tuple[Want, Want]:
    """Return what must be asked to read a daemon.json."""
    return read(path), changed_want(path)


def read_configuration(path: str, content: Answer, changed: Answer) -> Configuration:
    """Make a configuration of the answers to :func:`wants`.

    :raises Unknown: it cannot be read or parsed.
    """
    if content.exit == 0:
        values, twice = parse_configuration(path, content.text)
        return Configuration(path, True, values, twice, _changed(changed, path))
    if "No such file" in content.complaint or "Not a directory" in content.complaint:
        directory = path.rpartition("/")[0] or "/"
        return Configuration(path, False, changed=_changed(changed, directory))
    if "ermission denied" in content.complaint:
        raise Unknown(f"{path} cannot be read (needs root)")
    raise Unknown(f"{path} cannot be read: {content.complaint}")


def _changed(answer: Answer, path: str) -> float | None:
    for line in answer.text.splitlines():
        modified, _, rest = line.partition(" ")
        changed, _, name = rest.partition(" ")
        if name == path and modified.isdigit() and changed.isdigit():
            return float(max(int(modified), int(changed)))
    return None


def parse_configuration(path: str, text: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the keys of a daemon.json, and those that occur twice.

    :raises Unknown: it is not a JSON object.
    """
    twice: list[str] = []

    def pairs(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in items:
            if key in made:
                twice.append(key)
            made[key] = value
        return made

    bare = text.removeprefix("\ufeff").strip()
    if not bare:
        return {}, ()
    try:
        parsed = json.loads(bare, object_pairs_hook=pairs)
    except (ValueError, RecursionError) as error:
        raise Unknown(f"{path} is not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise Unknown(f"{path} is not a JSON object")
    return parsed, tuple(dict.fromkeys(twice))
