"""What a recorded host answers to a command, alone or merged with others of its kind."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hullcheck.transport.want import Evidence

__all__ = ["Answers", "Reply", "unquoted"]

LACKING = 127
"""The exit code with which a shell says that there is no such program."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An exit code and the two streams; a mark with a nonce stands between pieces of stdout."""

    code: int
    pieces: tuple[bytes, ...]
    stderr: bytes = b""

    def stdout(self, mark: bytes = b"") -> bytes:
        """Return standard output."""
        return self.pieces[0] if len(self.pieces) == 1 else mark.join(self.pieces)


Parts = Sequence[tuple[bytes, Reply]]
"""Paths, and what was replied about each."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of command of which many travel as one.

    :param alone: matches the command of one ``path``; what else it says is ``what``.
    :param merged: matches that of many ``paths``, with the ``nonce`` if there is one.
    :param pieces: makes stdout of many, from the parts that were not complained of.
    :param mark: what stands between the pieces, of a nonce.
    """

    name: bytes
    alone: re.Pattern[bytes]
    merged: re.Pattern[bytes]
    pieces: Callable[[Parts], tuple[bytes, ...]]
    mark: bytes = b""


class Answers:
    """The answers of one recording, made ready once for all hosts that give them.

    :raises ValueError: the recording holds a command that did not end.
    """

    def __init__(self, evidence: Iterable[Evidence]) -> None:
        self._alone: dict[bytes, Reply] = {}
        self._parts: dict[tuple[bytes, bytes, bytes], Reply] = {}
        self._many = functools.lru_cache(maxsize=None)(self._merge)
        for each in evidence:
            if each.exit is None or each.trouble:
                raise ValueError(f"{each.command!r} did not end; a host cannot give it again")
            self._learn(each.command.encode("utf-8", "surrogateescape"), each)

    def _learn(self, command: bytes, evidence: Evidence) -> None:
        assert evidence.exit is not None
        reply = Reply(evidence.exit, (evidence.stdout,), evidence.stderr)
        self._alone[command] = reply
        for kind in KINDS:
            if match := kind.alone.fullmatch(command):
                key = (kind.name, unquoted(match["what"]), match["path"])
                known = self._parts.get(key)
                if known is None or not known.stderr:
                    self._parts[key] = reply

    def reply(self, command: bytes) -> tuple[Reply, bytes]:
        """Return the reply to a command, and the mark between its pieces."""
        if known := self._alone.get(command):
            return known, b""
        for kind in KINDS:
            if match := kind.merged.fullmatch(command):
                nonce = match.groupdict().get("nonce", b"")
                what = match["what"].replace(b"'\"'\"'", b"'")
                return self._many(kind, what, match["paths"]), kind.mark.replace(b"%s", nonce)
        return _lacking(command), b""

    def _merge(self, kind: Kind, what: bytes, paths: bytes) -> Reply:
        asked = [path for path in paths.split(b" ") if path != ENVIRONMENT]
        parts = [
            (path, reply) for path in asked if (reply := self._parts.get((kind.name, what, path)))
        ]
        if len(parts) < len(asked) or any(reply.code == LACKING for _, reply in parts):
            return _lacking(kind.name)
        stderr = b"".join(
            reply.stderr or b"%s: %s: No such file or directory\n" % (kind.name, path)
            for path, reply in parts
            if reply.code
        )
        return Reply(1 if stderr else 0, kind.pieces(parts), stderr)


def unquoted(word: bytes) -> bytes:
    """Return what the shell makes of a word that shlex.quote made."""
    if len(word) > 1 and word.startswith(b"'") and word.endswith(b"'"):
        return word[1:-1].replace(b"'\"'\"'", b"'")
    return word


def _lacking(command: bytes) -> Reply:
    program = command.split(b" ", 1)[0][:40]
    return Reply(LACKING, (b"",), b"/bin/sh: 1: %s: not found\n" % program)


def _stats(parts: Parts) -> tuple[bytes, ...]:
    return (b"", *(path + b"\n" + each.stdout() for path, each in parts if not each.code))


def _contents(parts: Parts) -> tuple[bytes, ...]:
    return (b"", *(each.stdout() for _, each in parts), b"")


def _lists(parts: Parts) -> tuple[bytes, ...]:
    header = b"# file: %s\n# owner: 0\n# group: 0\n"
    return (b"".join(header % path + each.stdout() for path, each in parts if not each.code),)


def _links(parts: Parts) -> tuple[bytes, ...]:
    targets = (each.stdout().removesuffix(b"\n") for _, each in parts if not each.code)
    return (b"".join(target + b"\0" for target in targets),)


ENVIRONMENT = b"/proc/self/environ"

_NONCE = rb"(?P<nonce>[0-9a-f]{32})"

KINDS = (
    Kind(
        b"stat",
        re.compile(rb"stat -c (?P<what>'[^']*'|\S+) -- (?P<path>\S+)"),
        re.compile(rb"stat -c '" + _NONCE + rb" %n\n(?P<what>[^\n]*)' -- (?P<paths>.*)"),
        _stats,
        b"%s ",
    ),
    Kind(
        b"stat -L",
        re.compile(rb"stat -L -c (?P<what>'[^']*'|\S+) -- (?P<path>\S+)"),
        re.compile(rb"stat -L -c '" + _NONCE + rb" %n\n(?P<what>[^\n]*)' -- (?P<paths>.*)"),
        _stats,
        b"%s ",
    ),
    Kind(
        b"head",
        re.compile(rb"head -c (?P<what>\d+) -- (?P<path>\S+)"),
        re.compile(
            rb"hc_file=" + _NONCE + rb" head -c (?P<what>\d+) -q -- "
            + ENVIRONMENT + rb" (?P<paths>.*)"
        ),
        _contents,
        b"hc_file=%s\0PATH=/bin\0",
    ),
    Kind(
        b"cat",
        re.compile(rb"(?P<what>cat)(?: --)? (?P<path>\S+)"),
        re.compile(
            rb"hc_file=" + _NONCE + rb" (?P<what>cat) -- " + ENVIRONMENT + rb" (?P<paths>.*)"
        ),
        _contents,
        b"hc_file=%s\0PATH=/bin\0",
    ),
    Kind(
        b"getfacl",
        re.compile(rb"getfacl (?P<what>)-cpn -- (?P<path>\S+)"),
        re.compile(rb"getfacl (?P<what>)-pn -- (?P<paths>.*)"),
        _lists,
    ),
    Kind(
        b"readlink",
        re.compile(rb"readlink (?P<what>)-nv? (?:-- )?(?P<path>\S+)"),
        re.compile(rb"readlink (?P<what>)-z -v -- (?P<paths>.*)"),
        _links,
    ),
    Kind(
        b"readlink -f",
        re.compile(rb"readlink (?P<what>)-f (?:-- )?(?P<path>\S+)"),
        re.compile(rb"readlink (?P<what>)-f -z -v -- (?P<paths>.*)"),
        _links,
    ),
)  # fmt: skip
