"""Recordings: all the evidence of one host, one JSON object a line, and judging from them."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hullcheck.transport.want import Evidence, Unreachable, Want

__all__ = ["Replay", "dump", "dumps", "load"]

LEVEL = 6
"""Of gzip: 9 takes nearly twice the time to save a fiftieth."""

_encoded = json.JSONEncoder(ensure_ascii=False).encode


def dumps(evidence: Iterable[Evidence]) -> bytes:
    """Return a recording, gzipped, the same bytes for the same evidence."""
    text = "".join(_encoded(_record(each)) + "\n" for each in evidence)
    return gzip.compress(text.encode("utf-8", "backslashreplace"), LEVEL, mtime=0)


def dump(evidence: Iterable[Evidence], path: Path) -> None:
    """Write a recording."""
    path.write_bytes(dumps(evidence))


def load(path: Path) -> list[Evidence]:
    """Read a recording, gzipped or not.

    :raises ValueError: it is damaged; the text names the file and the line.
    """
    data = path.read_bytes()
    try:
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a whole recording: {error}") from error
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            found.append(_evidence(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}:{number}: not a line of a recording: {error}") from error
    return found


def _record(evidence: Evidence) -> dict[str, Any]:
    return {
        "command": evidence.command,
        "exit": evidence.exit,
        "stdout": _pack(evidence.stdout),
        "stderr": _pack(evidence.stderr),
        "started": round(evidence.started, 3),
        "seconds": evidence.seconds,
        "round": evidence.round,
        "trouble": evidence.trouble,
    }


def _evidence(record: dict[str, Any]) -> Evidence:
    return Evidence(
        record["command"],
        record["exit"],
        _unpack(record["stdout"]),
        _unpack(record["stderr"]),
        record["started"],
        record["seconds"],
        record["round"],
        record["trouble"],
    )


def _pack(data: bytes) -> str | dict[str, str]:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}


def _unpack(packed: str | dict[str, str]) -> bytes:
    if isinstance(packed, str):
        return packed.encode("utf-8")
    return base64.b64decode(packed["base64"], validate=True)


class Replay:
    """A wire that answers from a recording; what is not in it has no answer."""

    def __init__(self, evidence: Iterable[Evidence]) -> None:
        self._known = {each.command: each for each in evidence}

    def perform(self, wants: Sequence[Want]) -> Iterator[Evidence]:
        """Yield what was recorded. See :class:`hullcheck.transport.session.Wire`.

        :raises Unreachable: the recording is empty.
        """
        if not self._known:
            raise Unreachable("lost", "the recording is empty")
        for each in wants:
            nothing = Evidence(each.command, None, b"", b"", trouble="not in the recording")
            yield self._known.get(each.command, nothing)

    def close(self) -> None:
        """There is nothing to close."""
