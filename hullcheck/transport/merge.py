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
_STAT = re.compile(rf"(?P<head>stat (?:-L )?)-c (?P<format>'[^']*'|\S+) -- {_PLAIN}", re.ASCII)
_HEAD = re.compile(rf"(?P<head>head -c (?P<limit>\d+)) -- {_PLAIN}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Job:
    """One command that answers one or more wants.

    :param split: takes its evidence apart; None if that cannot be done for sure.
    """

    command: str
    seconds: float
    wants: tuple[Want, ...]
    split: Callable[[Evidence], list[Evidence] | None]


def jobs(wants: Sequence[Want]) -> list[Job]:
    """Return the commands that answer some wants, few where they are of one kind."""
    kinds: dict[tuple[str, ...], list[tuple[Want, str]]] = {}
    found: list[Job] = []
    for each in wants:
        if match := _STAT.fullmatch(each.command):
            kind: tuple[str, ...] = ("stat", match["head"], shlex.split(match["format"])[0])
        elif (match := _HEAD.fullmatch(each.command)) and int(match["limit"]) > 1000:
            kind = ("head", match["head"])
        else:
            found.append(single(each))
            continue
        kinds.setdefault(kind, []).append((each, match["path"]))
    for kind, members in kinds.items():
        for start in range(0, len(members), MOST):
            part = members[start : start + MOST]
            merge = _stats if kind[0] == "stat" else _heads
            found.append(single(part[0][0]) if len(part) == 1 else merge(kind, part))
    return found


def single(want: Want) -> Job:
    """Return the job that sends a want as it is."""
    return Job(want.command, want.seconds, (want,), lambda evidence: [evidence])


def _stats(kind: tuple[str, ...], members: Sequence[tuple[Want, str]]) -> Job:
    nonce = secrets.token_hex(16)
    paths = [path for _, path in members]
    form = shlex.quote(f"{nonce} %n\n{kind[2]}")
    command = f"{kind[1]}-c {form} -- {' '.join(paths)}"

    def split(evidence: Evidence) -> list[Evidence] | None:
        if evidence.trouble or evidence.exit not in (0, 1):
            return None
        records = iter(evidence.stdout.split(nonce.encode() + b" ")[1:])
        outputs: list[bytes | None] = []
        record = next(records, None)
        for path in paths:
            name = path.encode() + b"\n"
            if record is not None and record.startswith(name):
                outputs.append(record[len(name) :])
                record = next(records, None)
            else:
                outputs.append(None)
        if record is not None:
            return None
        return _assemble(evidence, members, outputs)

    return Job(command, max(want.seconds for want, _ in members), _wants(members), split)


def _heads(kind: tuple[str, ...], members: Sequence[tuple[Want, str]]) -> Job:
    """Read many files with one ``head``; before, between and after them its own environment.

    ``/proc/self/environ`` is the same each time, so it is a mark, made without a process or a
    temporary file. A variable in it holds a nonce; the shell sets that variable itself, so that
    it stands in no command line, where those whose files are read might see it.
    """
    nonce = f"hc_file={secrets.token_hex(16)}"
    sequence = " ".join(f"{path} /proc/self/environ" for _, path in members)
    command = f"{nonce} {kind[1]} -q -- /proc/self/environ {sequence}"
    known = f"{nonce}\0".encode()

    def split(evidence: Evidence) -> list[Evidence] | None:
        if evidence.trouble or evidence.exit not in (0, 1):
            return None
        before, _, _ = evidence.stdout.partition(known)
        _, _, after = evidence.stdout.rpartition(known)
        parts = evidence.stdout.split(before + known + after)
        if len(parts) != len(members) + 2 or parts[0] or parts[-1]:
            return None
        return _assemble(evidence, members, list(parts[1:-1]))

    return Job(command, max(want.seconds for want, _ in members), _wants(members), split)


def _wants(members: Sequence[tuple[Want, str]]) -> tuple[Want, ...]:
    return tuple(want for want, _ in members)


def _assemble(
    evidence: Evidence, members: Sequence[tuple[Want, str]], outputs: Sequence[bytes | None]
) -> list[Evidence] | None:
    """Give each want its output and the complaint about its path, if every one has its place."""
    complaints = iter(evidence.stderr.splitlines(keepends=True))
    complaint = next(complaints, None)
    found = []
    for (want, path), output in zip(members, outputs, strict=True):
        failed = complaint is not None and _names(complaint, path)
        if output is None and not failed:
            return None
        error, code = (complaint or b"", 1) if failed else (b"", 0)
        found.append(
            replace(evidence, command=want.command, exit=code, stdout=output or b"", stderr=error)
        )
        if failed:
            complaint = next(complaints, None)
    return found if complaint is None else None


def _names(complaint: bytes, path: str) -> bool:
    """Whether a complaint of coreutils or busybox is about this path."""
    quoted = re.escape(path.encode())
    return re.search(rb"(?:'%s'|[: ]%s:)" % (quoted, quoted), complaint) is not None
