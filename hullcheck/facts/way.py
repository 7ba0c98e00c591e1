"""Following a path the way the kernel does (path_resolution(7)), name by name.

Every directory that is passed and every symbolic link on the way is kept: who can write one of
these directories can put another file in the place of the one that is read.
"""

from __future__ import annotations

import functools
import posixpath
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from hullcheck.transport.want import Answer, CannotAnswer, Want, want

__all__ = [
    "ABSENT",
    "DENIED",
    "LOOP",
    "Link",
    "Status",
    "Way",
    "eager_wants",
    "follow",
    "parse_status",
    "stat_want",
]

FORMAT = "%f %u %g %s %Y %d %i %h %U:%G"
"""Understood alike by coreutils, busybox and toybox; a name holds no colon, but may hold spaces."""

LONGEST = 1000
"""Characters of a status; names of accounts have some dozens."""

LINKS = 40
"""How many symbolic links the kernel follows for one path."""

ABSENT = ("No such file or directory", "Not a directory")
LOOP = ("Too many levels of symbolic links", "Symbolic link loop")
DENIED = "Permission denied"
USUAL = {"/var/run": "/run", "/lib": "/usr/lib", "/bin": "/usr/bin", "/sbin": "/usr/sbin"}
"""Links of nearly every host, asked for at once to save a round; nothing is assumed of them."""

_ROOT_OF_PROCESS = re.compile(r"/proc/\d+/root")
"""A directory in the mount namespace of a process; links below it are followed as it would."""

_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


@dataclass(frozen=True, slots=True)
class Status:
    """What stat(2) says of one path. ``mode`` holds the twelve permission bits only."""

    path: str
    kind: str
    mode: int
    uid: int
    gid: int
    user: str
    group: str
    size: int
    mtime: float
    device: int
    inode: int
    hardlinks: int


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link that was followed: where it is, what it says, and who owns it."""

    path: str
    target: str
    status: Status


@dataclass(slots=True)
class Way:
    """How far a path could be followed, and what has to be asked to get further."""

    directories: dict[str, Status] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    root: str = "/"
    ends_in_link: bool = False
    end: Status | None = None
    failure: str = ""
    needs: list[Want] = field(default_factory=list)


@functools.lru_cache(maxsize=20_000)
def lstat_want(path: str) -> Want:
    """Return a want for the status of a path, a link not followed. Exit 1 is explained."""
    return want("stat -c %s -- %s", FORMAT, path, meaning=(0, 1))


@functools.lru_cache(maxsize=20_000)
def stat_want(path: str) -> Want:
    """Return a want for the status of what a path leads to. Exit 1 is explained by stderr."""
    return want("stat -L -c %s -- %s", FORMAT, path, meaning=(0, 1))


@functools.lru_cache(maxsize=20_000)
def readlink_want(path: str) -> Want:
    """Return a want for what a symbolic link says."""
    return want("readlink -n -- %s", path, meaning=(0, 1))


@functools.lru_cache(maxsize=10_000)
def parse_status(path: str, text: str) -> Status:
    """Read what a stat want printed. :raises CannotAnswer: it is not that."""
    try:
        raw, *numbers, names = text.rstrip("\n").split(" ", 8)
        mode = int(raw, 16)
        uid, gid, size, mtime, device, inode, hardlinks = (int(each) for each in numbers)
        if not 0 <= device < 1 << 64 or len(text) > LONGEST:
            raise ValueError(device)
        user, group = ("" if each == "UNKNOWN" else each for each in names.split(":"))
    except ValueError as error:
        raise CannotAnswer(f"stat {path}: cannot understand {text[:100]!r}") from error
    kind = _KINDS.get(stat.S_IFMT(mode), "unknown")
    return Status(
        path, kind, stat.S_IMODE(mode), uid, gid, user, group, size, float(mtime), device, inode,
        hardlinks,
    )  # fmt: skip


def _prefixes(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return ["/" + "/".join(parts[:count]) for count in range(len(parts) + 1)]


def eager_wants(path: str) -> Iterator[Want]:
    """Yield what is asked of every path at once."""
    for prefix in _prefixes(path):
        yield lstat_want(prefix)
    for link, target in USUAL.items():
        if path.startswith(f"{link}/"):
            yield readlink_want(link)
            yield stat_want(path)
            yield from (lstat_want(each) for each in _prefixes(target + path[len(link) :]))


def follow(path: str, known: dict[Want, Answer]) -> Way:
    """Follow a path as far as is known."""
    way = Way()
    todo = _parts(path)
    here = step = "/"
    while True:
        status = _status(step, todo, way, known)
        if status is None:
            return way
        if status.kind == "link":
            said = known.get(readlink_want(step))
            if said is None or stat_want(path) not in known:
                way.needs = [readlink_want(step), stat_want(path)]
                return way
            if said.exit or len(way.links) == LINKS:
                way.failure = said.complaint or LOOP[0]
                return way
            way.ends_in_link = way.ends_in_link or not todo
            way.links.append(Link(step, said.text, status))
            todo += _parts(said.text)
            here = way.root if said.text.startswith("/") else posixpath.dirname(step)
        elif not todo:
            way.end = status
            return way
        elif status.kind != "directory":
            way.failure = ABSENT[1]
            return way
        else:
            here = step
            way.directories[step] = status
        step = here
        while todo and step == here:
            part = todo.pop()
            if part == ".." and here != way.root:
                here = step = posixpath.dirname(here)
            if part != "..":
                step = posixpath.join(here, part)


def _status(step: str, todo: list[str], way: Way, known: dict[Want, Answer]) -> Status | None:
    """Return the status of one step; None with ``way.needs`` or ``way.failure`` set."""
    asked = lstat_want(step)
    if _ROOT_OF_PROCESS.fullmatch(step):
        asked, way.root = stat_want(step), step
    answer = known.get(asked)
    if answer is None:
        rest = ("/".join(reversed(todo[index:])) for index in range(len(todo)))
        way.needs = [asked, *(lstat_want(f"{step}/{each}") for each in rest)]
    elif answer.exit:
        way.failure = answer.complaint
    else:
        return parse_status(step, answer.text)
    return None


def _parts(path: str) -> list[str]:
    """Return the names in a path, last first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]
