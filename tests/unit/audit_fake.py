"""Hosts with an audit system, whose files are this machine's."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from testinfra.host import Host

from hullcheck.facts import audit as audit_module
from hullcheck.facts.way import FORMAT
from hullcheck.transport import Evidence, Session, Want, host_of
from tests.unit.docker_fake import Program, docker_answers
from tests.unit.fake import Reply
from tests.unit.fake import _evidence as evidence
from tests.unit.here import Processes

STATUS = """\
enabled 1
failure 1
pid 0
rate_limit 0
backlog_limit 8192
lost 0
backlog 0
backlog_wait_time 15000
backlog_wait_time_actual 0
loginuid_immutable 0 unlocked
"""

HEADING = (
    "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n"
)
KERNEL = "0000000097cd1313 9   0          00000000 0        0        0     2        0        1037\n"
NO_FILES = (2, "", "grep: /etc/audit/audit.rules: No such file or directory\n")
NO_TOOL = (127, "", "sh: 1: auditctl: not found\n")


class Mixed(Processes):
    """This machine, with some answers in place of its own; its files are looked at in here."""

    def __init__(self, answers: Mapping[str, Reply]) -> None:
        super().__init__(("/bin/sh",))
        self._answers = answers

    def perform(self, wants: Sequence[Want]) -> Iterator[Evidence]:
        for each in wants:
            reply = self._answers.get(each.command, looked_at(each.command))
            if reply is None:
                yield from super().perform([each])
                continue
            yield evidence(each.command, reply)


def looked_at(command: str) -> Reply | None:
    """Return what stat, readlink and getfacl say of one file; None for another command."""
    name, *options, path = shlex.split(command) if "-- /" in command else ("", "")
    try:
        if name == "readlink":
            return str(Path(path).readlink())
        if name == "stat" and FORMAT in options:
            found = Path(path).stat(follow_symlinks="-L" in options)
            numbers = (found.st_uid, found.st_gid, found.st_size, int(found.st_mtime))
            last = (found.st_dev, found.st_ino, found.st_nlink)
            return f"{found.st_mode:x} {' '.join(map(str, (*numbers, *last)))} me:mine\n"
    except OSError as error:
        return 1, "", f"{name}: {path}: {error.strerror}\n"
    return (127, "", "sh: getfacl: not found\n") if name == "getfacl" else None


def answers(
    rules: Reply = "No rules\n",
    status: Reply = STATUS,
    files: Reply = NO_FILES,
    netlink: str = HEADING + KERNEL,
    place: str = audit_module.FIRST,
    machine: str = "x86_64",
) -> dict[str, Reply]:
    given = (rules, status, netlink, place, machine, files)
    return {want.command: reply for want, reply in zip(audit_module.WANTS, given, strict=True)}


def host_like(
    also: Mapping[str, Reply] | None = None, programs: Sequence[Program] = (), **given: Reply
) -> Host:
    made = {**docker_answers(programs), **answers(**given), **(also or {})}  # type: ignore[arg-type]
    return host_of(Session(Mixed(made)), "fake", "fake")
