"""Files of a host: what they are, who may write them, and how they are reached."""

from __future__ import annotations

import functools
import posixpath
import stat
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import overload

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.acl import AclEntry, acl_of, acl_want
from hullcheck.facts.registry import fact, get, provide
from hullcheck.facts.way import (
    ABSENT,
    DENIED,
    LOOP,
    Link,
    Status,
    Way,
    eager_wants,
    follow,
    parse_status,
    stat_want,
)
from hullcheck.transport.backend import session_of
from hullcheck.transport.want import FILE_LIMIT, Answer, Want, read, want

__all__ = ["File", "Files", "Link", "Status", "files"]

DEPTH = 6
"""How deep a tree of directories is listed."""


@dataclass(frozen=True)
class File:
    """A path on a host, and what it leads to.

    All of what stat says is of the target of links. Where there is no file, reading it raises
    NotApplicable; where it cannot be seen, Unknown.

    :param state: present, absent (also: a link to nothing, a loop of links) or denied.
    :param reason: why it is not present, in one sentence.
    :param links: the symbolic links that were followed, in order.
    :param is_link: whether the path itself is a symbolic link.
    :param ancestors: every directory that was passed, from / on, those behind links included;
        statuses only.
    """

    host: Host = field(repr=False)
    path: str
    state: str
    reason: str
    status: Status | None
    links: tuple[Link, ...] = ()
    ancestors: tuple[Status, ...] = ()
    is_link: bool = False

    def __str__(self) -> str:
        return self.path

    @property
    def exists(self) -> bool:
        """Whether something is there. :raises Unknown: that cannot be seen."""
        if self.state == "denied":
            raise Unknown(self.reason)
        return self.state == "present"

    @property
    def present(self) -> Status:
        """What stat says. :raises NotApplicable: no such file. :raises Unknown: cannot be seen."""
        if not self.exists or self.status is None:
            raise NotApplicable(self.reason)
        return self.status

    @property
    def dangling(self) -> bool:
        """Whether the path itself is a symbolic link that leads nowhere."""
        return self.is_link and not self.exists

    @property
    def kind(self) -> str:
        """One of file, directory, socket, fifo, character device, block device."""
        return self.present.kind

    @property
    def mode(self) -> int:
        """The twelve permission bits. With an ACL, the group's three are the ACL's mask."""
        return self.present.mode

    @property
    def uid(self) -> int:
        """The owner's number."""
        return self.present.uid

    @property
    def gid(self) -> int:
        """The group's number."""
        return self.present.gid

    @property
    def user(self) -> str:
        """The owner's name; empty if the number has none."""
        return self.present.user

    @property
    def group(self) -> str:
        """The group's name; empty if the number has none."""
        return self.present.group

    @property
    def size(self) -> int:
        """Bytes."""
        return self.present.size

    @property
    def mtime(self) -> float:
        """When the content last changed, seconds since the epoch."""
        return self.present.mtime

    @property
    def resolved(self) -> str:
        """The path without links."""
        return self.present.path

    @property
    def _place(self) -> str:
        """The path to ask by: below /proc/PID/root the kernel would follow links wrongly."""
        return self.resolved if self.links and self.path.startswith("/proc/") else self.path

    @fact
    def acl(self) -> list[AclEntry]:
        """Access given to single users and groups beside owner and group; [] without an ACL.

        :raises Unknown: the host has no tool that could tell.
        """
        return acl_of(self.host, self._place, self.mode)

    @fact
    def data(self) -> bytes:
        """The content. :raises Unknown: it cannot be read, or is longer than 1 MiB."""
        where = self._place if self.exists else self.path
        answer = session_of(self.host).ask(read(where))[0]
        if answer.exit:
            raise _outcome(self.path, answer.complaint)
        if len(answer.output) > FILE_LIMIT or self.present.size > FILE_LIMIT:
            raise Unknown(f"{self.path} is longer than {FILE_LIMIT} bytes")
        return answer.output

    @fact
    def text(self) -> str:
        """The content as UTF-8, other bytes as surrogates. Raises like :attr:`data`."""
        return self.data.decode("utf-8", "surrogateescape")

    def acl_beyond(self, mask: int, groups: Collection[int] = (0,)) -> list[str]:
        """Return what the ACL gives to others beyond a mode, one sentence for each entry.

        :param mask: the permission bits that a mode may have.
        :param groups: groups that may have what the mask gives to the group.
        """
        # The mask of an ACL shows as the group's bits: what these lack, no entry can give.
        if not (self.mode >> 3 & 7) & ~(mask & 7):
            return []
        found = []
        for entry in self.acl:
            root = entry.id == 0 and not entry.of_group
            allowed = mask >> 3 & 7 if entry.of_group and entry.id in groups else mask & 7
            if entry.effective & ~allowed and not root:
                found.append(f"the ACL gives {entry}")
        return found

    def writable_by_others(self, trusted: Collection[int] = (0,)) -> list[str]:
        """Return how anyone but trusted users could change or replace the file.

        The owner, mode and ACL of the file itself count, and those of every directory and link on
        the way to it: who may write a directory may put another file in the place of this one.

        :param trusted: user ids. A group is trusted when all its members are.
        """
        found = self.replaceable_by_others(trusted)
        if not self.exists:
            return found
        return [*_writers(self.host, self.present, trusted, self._place), *found]

    def replaceable_by_others(self, trusted: Collection[int] = (0,)) -> list[str]:
        """Return how others could put another file in its place; see writable_by_others."""
        passed = [*self.ancestors, *(link.status for link in self.links)]
        passed += [self.present] if self.exists else []
        found = []
        for directory in self.ancestors:
            inside = [each for each in passed if posixpath.dirname(each.path) == directory.path]
            # In a sticky directory only the owners of it and of an entry may replace the entry.
            sticky = directory.mode & stat.S_ISVTX and directory.uid in trusted
            if not (sticky and inside and all(each.uid in trusted for each in inside)):
                found += _writers(self.host, directory, trusted, directory.path)
        return found


def _writers(host: Host, status: Status, trusted: Collection[int], where: str) -> list[str]:
    """Return who may write a file or directory, beside trusted users, one sentence each."""
    found = []
    if status.uid not in trusted:
        found.append(f"{where} belongs to {status.user or f'uid {status.uid}'}")
    if status.mode & 0o002:
        found.append(f"everybody may write {where}")
    if not status.mode & 0o020:
        return found
    known: Accounts = get(host, "accounts")
    trusted_names = {each.name for each in known.users if each.uid in trusted}
    groups = {status.gid}
    for entry in acl_of(host, where, status.mode):
        if entry.effective & 2 and entry.of_group:
            groups.add(entry.id)
        elif entry.effective & 2 and entry.id not in trusted:
            found.append(f"the ACL of {where} lets {known.user(entry.id) or entry.id} write it")
    for gid in sorted(groups):
        members = sorted(known.members(gid) - trusted_names)
        if members:
            name = known.group(gid) or f"gid {gid}"
            found.append(f"members of {name} ({', '.join(members)}) may write {where}")
    return found


def _outcome(path: str, complaint: str) -> NotApplicable | Unknown:
    if complaint.endswith(ABSENT):
        return NotApplicable(f"no such file: {path}")
    return Unknown(f"{path} cannot be read: {complaint}")


@functools.lru_cache(maxsize=10_000)
def _first_wants(path: str) -> tuple[Want, ...]:
    if not path.startswith("/"):
        raise Unknown(f"{path!r} is not an absolute path")
    return (*eager_wants(path), acl_want(path))


class Files:
    """The files of one host."""

    def __init__(self, host: Host) -> None:
        self.host = host

    @overload
    def get(self, path: str, /) -> File: ...
    @overload
    def get(self, path: str, second: str, /, *more: str) -> list[File]: ...
    def get(self, path: str, /, *more: str) -> File | list[File]:
        """Return a file, or several in their order, all asked for together.

        :param path: absolute; it is followed as the kernel would.
        """
        found = self.all((path, *more))
        return found if more else found[0]

    def all(self, paths: Iterable[str]) -> list[File]:
        """Return some files, in their order, all asked for together."""
        session = session_of(self.host)
        return session.gather(
            [
                partial(session.recall, ("file", path), partial(self._followed, path))
                for path in paths
            ]
        )

    def _followed(self, path: str) -> File:
        known: dict[Want, Answer] = {}
        way = Way(needs=list(_first_wants(path)))
        while way.needs:
            answers = session_of(self.host).ask(*way.needs)
            known.update(zip(way.needs, answers, strict=True))
            way = follow(path, known)
        return _file(self.host, path, way, known.get(stat_want(path)))

    def foresee(self, paths: Iterable[str]) -> None:
        """Let the first questions about some paths travel with the next round."""
        session = session_of(self.host)
        if session.gathering:
            session.foresee(*(each for path in paths for each in _first_wants(path)))

    def tree(self, directory: str, depth: int = DEPTH) -> list[str]:
        """Return all paths below a directory, links to directories followed, sorted.

        :raises Unknown: a part of it cannot be listed, or it is deeper than ``depth``.
        """
        command = f"find -L %s -maxdepth {depth + 1} -print0"
        found = self._find(directory, command)
        base = directory.rstrip("/").count("/")
        deep = [path for path in found if path.count("/") - base > depth]
        if deep:
            raise Unknown(f"{directory} is nested deeper than {depth} directories: {deep[0]}")
        return found

    def _find(self, directory: str, command: str) -> list[str]:
        answer = session_of(self.host).ask(want(command, directory, meaning=(0, 1)))[0]
        *found, rest = answer.text.split("\0")
        base = f"{directory.rstrip('/')}/"
        whole = not rest and all(each.startswith(base) for each in found[1:])
        if answer.exit == 0 and found[:1] == [directory] and whole:
            return sorted(found[1:])
        if answer.exit == 0:
            raise Unknown(f"{directory} cannot be listed: what find said of it is not whole")
        if not answer.output and answer.complaint.endswith(ABSENT):
            return []
        raise Unknown(f"{directory} cannot be listed: {answer.complaint}")

    def list(self, directory: str) -> list[str]:
        """Return the full paths of what is in a directory, sorted; [] if there is no directory.

        :raises Unknown: it cannot be listed.
        """
        return self._find(directory, "find -H %s -maxdepth 1 -print0")


def _file(host: Host, path: str, way: Way, target: Answer | None) -> File:
    status, failure = way.end, way.failure
    # What the kernel leads to counts: a link in /proc does not say where it really leads. Only
    # below the root of another process it would follow links from the wrong root.
    if target is not None and way.root == "/":
        failure = target.complaint
        where = way.end.path if way.end else path
        status = None if target.exit else parse_status(where, target.text)
    state, reason = _state(path, way, failure) if status is None else ("present", "")
    ancestors = tuple(way.directories.values())
    links = tuple(way.links)
    return File(host, path, state, reason, status, links, ancestors, way.ends_in_link)


def _state(path: str, way: Way, failure: str) -> tuple[str, str]:
    """Return the state of a path that leads to no file that can be seen, and why, in words."""
    if failure.endswith(LOOP):
        return "absent", f"no such file: {path} is a loop of symbolic links"
    if failure.endswith(ABSENT):
        via = f" ({way.links[-1].path} leads to {way.links[-1].target})" if way.ends_in_link else ""
        return "absent", f"no such file: {path}{via}"
    if failure.endswith(DENIED):
        behind = next(reversed(way.directories), "/")
        return "denied", f"{path} cannot be seen: permission denied in {behind}; it may need root"
    return "denied", f"{path} cannot be seen: {failure}"


@provide
def files(host: Host) -> Files:
    """The files of the host."""
    return Files(host)
