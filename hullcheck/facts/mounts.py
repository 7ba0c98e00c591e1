"""Mounts as the kernel lists them; see proc_pid_mountinfo(5)."""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.registry import provide
from hullcheck.transport.backend import session_of
from hullcheck.transport.want import want

__all__ = ["Mount", "Place", "covering", "mounts", "parse_mountinfo", "place_of", "within"]

_OCTAL = re.compile(r"\\([0-7]{3})")
_PROCESS = re.compile(r"/proc/[0-9]+(/|$)")
_FEWEST = 9


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of a mountinfo.

    :param device: major:minor of the file system, "0:25".
    :param root: the directory or file of that file system which is mounted.
    :param target: where it is mounted, as the process sees it.
    :param options: of this mount ("ro", "nosuid" …); ``super_options`` are the file system's.
    :param optional: propagation: "shared:12", "master:3", "unbindable".
    """

    id: int
    parent: int
    device: str
    root: str
    target: str
    options: frozenset[str]
    optional: tuple[str, ...]
    fstype: str
    source: str
    super_options: frozenset[str]

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written through it."""
        return "ro" in self.options or "ro" in self.super_options

    @property
    def shared(self) -> int | None:
        """The peer group it shares mounts with, if it does."""
        groups = [tag for tag in self.optional if tag.startswith("shared:")]
        return int(groups[0].removeprefix("shared:")) if groups else None

    @property
    def place(self) -> Place:
        """What is mounted, whatever it is called."""
        return Place(self.device, self.root)

    def __str__(self) -> str:
        return self.target


@dataclass(frozen=True, slots=True)
class Place:
    """A file or directory by file system and path in it: the same one under every name."""

    device: str
    path: str


def within(path: str, directory: str) -> bool:
    """Whether a normal absolute path is a directory or lies below it."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")


class MountTable(list[Mount]):
    """The mounts of a mount namespace, in the order they were made."""

    @functools.cached_property
    def by_target(self) -> dict[str, Mount]:
        """The mounts by where they are; of several in one place the one mounted last."""
        return {mount.target: mount for mount in self}

    @functools.cached_property
    def places(self) -> dict[str, Place | None]:
        """The places that were asked for, by path."""
        return {}


def parse_mountinfo(text: str) -> MountTable:
    """Return the mounts of a mountinfo, in order. :raises Unknown: a line is damaged."""
    found = MountTable(_mount(line) for line in text.split("\n") if line)
    if not found:
        raise Unknown("the list of mounts is empty")
    if not text.endswith("\n"):
        raise Unknown("the list of mounts ends in the midst of a line")
    return found


def hidden_processes(mounts: Iterable[Mount]) -> str:
    """Say what of which process is mounted over, and so not to be seen; empty if nothing is."""
    over = (mount.target for mount in mounts if _PROCESS.match(mount.target))
    return next((f"something is mounted over {target}" for target in over), "")


def _mount(line: str) -> Mount:
    fields = line.split(" ")
    try:
        dash = fields.index("-", 6)
        fstype, source, super_options = fields[dash + 1 : dash + 4]
        number, parent, device, root, target, options = fields[:6]
        if not re.fullmatch(r"\d+:\d+", device) or not root or not target.startswith("/"):
            raise ValueError(device)
        tags = tuple(fields[6:dash])
        mount = Mount(
            int(number), int(parent), device, _plain(root), _plain(target),
            frozenset(options.split(",")), tags, fstype, _plain(source),
            frozenset(super_options.split(",")),
        )  # fmt: skip
        _ = mount.shared
    except ValueError:
        raise Unknown(f"this line of a mountinfo is damaged: {line[:200]!r}") from None
    return mount


def _plain(text: str) -> str:
    """Undo the kernel's octal escapes (space, tab, newline, backslash, #)."""
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)


def covering(mounts: MountTable, path: str) -> Mount | None:
    """Return the mount that a normal path is on: the deepest, of those the one mounted last."""
    while path not in mounts.by_target:
        if path in ("/", ""):
            return None
        path = posixpath.dirname(path)
    return mounts.by_target[path]


def place_of(mounts: MountTable, path: str) -> Place | None:
    """Return the place of a normal path that has no symlink in it."""
    if path not in mounts.places:
        mount = covering(mounts, path)
        mounts.places[path] = (
            Place(mount.device, _moved(path, mount.target, mount.root)) if mount else None
        )
    return mounts.places[path]


def names_of(mounts: MountTable, place: Place) -> Iterator[str]:
    """Yield the paths under which a place is seen; hidden ones (mounted over) included."""
    for mount in mounts:
        if mount.device == place.device and within(place.path, mount.root):
            yield _moved(place.path, mount.root, mount.target)


def _moved(path: str, directory: str, to: str) -> str:
    """Return a path below one directory as the same path below another."""
    rest = path[len(directory) :].strip("/")
    return f"{to.rstrip('/')}/{rest}" if rest else to


@provide
def mounts(host: Host) -> MountTable:
    """The mounts of the host: those of process 1, or of the audit's own shell if that is denied.

    :raises Unknown: the list is damaged.
    """
    answer = session_of(host).ask(
        want("cat /proc/1/mountinfo 2>/dev/null || cat /proc/self/mountinfo")
    )[0]
    return parse_mountinfo(answer.text)
