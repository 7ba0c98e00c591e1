"""Wants of one kind in one process: many ``stat`` become one, many small reads one sweep.

What comes back for each want is, byte for byte, what its own command would have given; where
that cannot be said for sure, the merged answer is thrown away and the wants are sent one by one.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hullcheck.transport.want import Evidence, Want

__all__ = ["Job", "jobs", "single"]

MOST = 100
"""Wants in one process: enough to make processes rare, few enough to lose little."""

# Names that every tool prints as they are, so that its complaints can be told apart.
_PLAIN = r"(?P<path>/[\w./@:+,=-]*)"


@dataclass(frozen=True, slots=True)
class Job:
    """One command that answers one or more wants.

    :param split: takes its evidence apart; None if that cannot be done for sure.
    """

    command: str
    seconds: float
    wants: tuple[Want, ...]
    split: Callable[[Evidence], list[Evidence] | None]

    @property
    def alone(self) -> bool:
        """Whether it starts one program and no more, so that it needs no subshell of its own."""
        return _ALONE.fullmatch(self.command) is not None

    @property
    def apart(self) -> bool:
        """Whether it may leave a child that goes on writing, so that it needs pipes of its own.

        Commands of facts are known not to, unless they say so; those of others are not known.
        """
        foreign = any(each.meaning is None for each in self.wants)
        return foreign or _BACKGROUND.search(self.command) is not None


_BACKGROUND = re.compile(r"(?<![&>])&(?![&>\d])")

_ALONE = re.compile(
    r"(?:[a-z_]+=[\w./:-]* )*"
    r"(?:awk|cat|docker|dpkg-query|find|getent|getfacl|grep|head|id|ls|readlink|stat|systemctl|uname)"
    r"(?: (?:'[^']*'|(?:[\w./@:+,=%*?!\[\]-]|\\[()])+))*",
    re.ASCII | re.IGNORECASE,
)

Complaints = Sequence[bytes | None]
"""What each path was complained of with; None where nothing was."""

Outputs = list[bytes | None] | None
"""What each path gave; None for one that gave nothing, or in place of all if it is not sure."""

Merged = tuple[str, Callable[[bytes, Complaints], Outputs]]
"""The command for many paths, and how to take its standard output apart."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of command that can be merged.

    :param pattern: matches the command of one path.
    :param merge: makes the command of many paths, from a match and the paths.
    :param silent: whether the command of one path says nothing when it fails.
    """

    pattern: re.Pattern[str]
    merge: Callable[[re.Match[str], Sequence[str]], Merged]
    silent: bool = False


def jobs(wants: Sequence[Want]) -> list[Job]:
    """Return the commands that answer some wants, few where they are of one kind."""
    found: list[Job] = []
    members: dict[tuple[int, str], list[tuple[Want, re.Match[str]]]] = {}
    for each in wants:
        for number, kind in enumerate(KINDS):
            if match := kind.pattern.fullmatch(each.command):
                members.setdefault((number, match["head"]), []).append((each, match))
                break
        else:
            found.append(single(each))
    for (number, _), alike in members.items():
        for start in range(0, len(alike), MOST):
            part = alike[start : start + MOST]
            found.append(single(part[0][0]) if len(part) == 1 else _job(KINDS[number], part))
    return found


def single(want: Want) -> Job:
    """Return the job that sends a want as it is."""
    return Job(want.command, want.seconds, (want,), lambda evidence: [evidence])


def _job(kind: Kind, part: Sequence[tuple[Want, re.Match[str]]]) -> Job:
    wants = tuple(want for want, _ in part)
    paths = [match["path"] for _, match in part]
    command, take_apart = kind.merge(part[0][1], paths)

    def split(evidence: Evidence) -> list[Evidence] | None:
        if evidence.trouble or evidence.exit not in (0, 1):
            return None
        complaints = _complaints(evidence.stderr, paths)
        outputs = take_apart(evidence.stdout, complaints) if complaints is not None else None
        if complaints is None or outputs is None:
            return None
        parts = list(zip(wants, outputs, complaints, strict=True))
        if any(output is None and complaint is None for _, output, complaint in parts):
            return None
        return [
            replace(
                evidence,
                command=want.command,
                exit=1 if complaint else 0,
                stdout=output or b"",
                stderr=b"" if kind.silent or not complaint else complaint,
            )
            for want, output, complaint in parts
        ]

    return Job(command, max(each.seconds for each in wants), wants, split)


def _complaints(stderr: bytes, paths: Sequence[str]) -> Complaints | None:
    """Give each path the complaint that names it; None if one has no place."""
    lines = stderr.splitlines(keepends=True)
    found = [lines.pop(0) if lines and _names(lines[0], path) else None for path in paths]
    return None if lines else found


def _names(complaint: bytes, path: str) -> bool:
    """Whether a complaint of coreutils, busybox or acl is about this path."""
    quoted = re.escape(path.encode())
    return re.search(rb"(?:'%s'|[: ]%s:)" % (quoted, quoted), complaint) is not None


def _stat(match: re.Match[str], paths: Sequence[str]) -> Merged:
    """Print each path's name, after a nonce, before what its own format asks for."""
    nonce = secrets.token_hex(16)
    form = shlex.quote(f"{nonce} %n\n{shlex.split(match['format'])[0]}")
    command = f"{match['stat']}-c {form} -- {' '.join(paths)}"
    return command, lambda output, _: _in_order(output.split(f"{nonce} ".encode()), paths)


def _acl(_: re.Match[str], paths: Sequence[str]) -> Merged:
    """Let the header of each path stay, which ``-c`` leaves out, to tell them apart."""

    def take_apart(output: bytes, _: Complaints) -> Outputs:
        records = output.split(b"# file: ")
        return _in_order([_HEADER.sub(b"", each) for each in records], paths)

    return f"getfacl -pn -- {' '.join(paths)}", take_apart


_HEADER = re.compile(rb"^# (?:owner|group|flags): .*\n", re.MULTILINE)


def _in_order(records: Sequence[bytes], paths: Sequence[str]) -> Outputs:
    """Give each path the record that begins with its name; nothing else may be there."""
    if records[0]:
        return None
    left = list(records[1:])
    outputs: list[bytes | None] = []
    for path in paths:
        name = f"{path}\n".encode()
        found = bool(left) and left[0].startswith(name)
        outputs.append(left.pop(0)[len(name) :] if found else None)
    return None if left else outputs


def _content(match: re.Match[str], paths: Sequence[str]) -> Merged:
    """Read many files with one process; before, between and after them its own environment.

    ``/proc/self/environ`` is the same each time, so it is a mark, made without a process or a
    temporary file. A variable in it holds a nonce; the shell sets that variable itself, so that
    it stands in no command line, where those whose files are read might see it.
    """
    nonce = f"hc_file={secrets.token_hex(16)}"
    quiet = " -q" if match["head"].startswith("head") else ""
    sequence = " ".join(f"{path} /proc/self/environ" for path in paths)
    known = f"{nonce}\0".encode()

    def take_apart(output: bytes, _: Complaints) -> Outputs:
        mark = output.partition(known)[0] + known + output.rpartition(known)[2]
        parts = output.split(mark)
        if len(parts) != len(paths) + 2 or parts[0] or parts[-1]:
            return None
        return [*parts[1:-1]]

    return f"{nonce} {match['head']}{quiet} -- /proc/self/environ {sequence}", take_apart


def _links(match: re.Match[str], paths: Sequence[str]) -> Merged:
    """Read many links with one process, each ended by a NUL; those that fail are complained of."""
    newline = b"" if "n" in match["flags"] else b"\n"
    canonical = "-f " if "f" in match["flags"] else ""

    def take_apart(output: bytes, complaints: Complaints) -> Outputs:
        values = output.split(b"\0")
        if values.pop() or len(values) != complaints.count(None):
            return None
        return [None if failed else values.pop(0) + newline for failed in complaints]

    return f"readlink {canonical}-z -v -- {' '.join(paths)}", take_apart


KINDS = (
    Kind(
        re.compile(
            rf"(?P<head>(?P<stat>stat (?:-L )?)-c (?P<format>'[^']*'|\S+)) -- {_PLAIN}", re.ASCII
        ),
        _stat,
    ),
    Kind(re.compile(rf"(?P<head>head -c \d{{4,}}) -- {_PLAIN}", re.ASCII), _content),
    Kind(re.compile(rf"(?P<head>cat)(?: --)? {_PLAIN}", re.ASCII), _content),
    Kind(re.compile(rf"(?P<head>getfacl -cpn) -- {_PLAIN}", re.ASCII), _acl),
    Kind(re.compile(rf"(?P<head>readlink -(?P<flags>nv)) (?:-- )?{_PLAIN}", re.ASCII), _links),
    Kind(
        re.compile(rf"(?P<head>readlink -(?P<flags>[fn])) (?:-- )?{_PLAIN}", re.ASCII),
        _links,
        silent=True,
    ),
)
