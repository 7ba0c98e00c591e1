"""daemon.json: the file a dockerd was started with, parsed, and whether it is still that file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hullcheck.control import Unknown
from hullcheck.transport import Answer, Want, read, want

_ABSENT = ("No such file or directory", "Not a directory")

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
    """Return the want for when a file and its directory were last changed: ``%Y %Z %s %n``."""
    directory = path.rpartition("/")[0] or "/"
    return want("stat -L -c '%%Y %%Z %%s %%n' -- %s %s", path, directory, meaning=(0, 1))


def wants(path: str) -> tuple[Want, Want]:
    """Return what must be asked to read a daemon.json."""
    return read(path), changed_want(path)


def read_configuration(path: str, content: Answer, changed: Answer) -> Configuration:
    """Make a configuration of the answers to :func:`wants`.

    :raises Unknown: it cannot be read or parsed.
    """
    if content.exit == 0:
        when, size = _changed(changed, path)
        if size and not content.output:
            raise Unknown(f"{path} cannot be read: it came back empty, and is not")
        values, twice = parse_configuration(path, content.text)
        return Configuration(path, True, values, twice, when)
    if "No such file" in content.complaint or "Not a directory" in content.complaint:
        directory = path.rpartition("/")[0] or "/"
        return Configuration(path, False, changed=_changed(changed, directory)[0])
    if "ermission denied" in content.complaint:
        raise Unknown(f"{path} cannot be read (needs root)")
    raise Unknown(f"{path} cannot be read: {content.complaint}")


def _changed(answer: Answer, path: str) -> tuple[float | None, int]:
    """Return when a file or directory was last changed, and its size; None if it is not there.

    :raises Unknown: that was not answered.
    """
    for line in answer.text.splitlines():
        found = re.fullmatch(r"([0-9]+) ([0-9]+) ([0-9]+) (.*)", line)
        if found and found[4] == path:
            return float(max(int(found[1]), int(found[2]))), int(found[3])
    if any(f"{path}'" in line and line.endswith(_ABSENT) for line in _complaints(answer)):
        return None, 0
    raise Unknown(f"when {path} was last changed cannot be told")


def _complaints(answer: Answer) -> list[str]:
    return answer.evidence.stderr.decode("utf-8", "surrogateescape").splitlines()


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
