"""What of the host's files a container can reach through its mounts, whatever they are called.

A mount shows a place (file system and path in it). The host's own mounts tell under which names
the host knows that place, and which of its places lie below it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hullcheck.control import Unknown
from hullcheck.facts.keepers import Store
from hullcheck.facts.mounts import Mount, MountTable, Place, names_of, place_of, within
from hullcheck.transport.want import Want, want

__all__ = [
    "Exposure",
    "inode_want",
    "of_bind",
    "of_mounts",
    "socket_inode",
    "volume_device",
]

KERNEL = {
    "proc": "/proc", "sysfs": "/sys", "cgroup": "/sys/fs/cgroup", "cgroup2": "/sys/fs/cgroup",
    "devpts": "/dev", "mqueue": "/dev/mqueue",
}  # fmt: skip
"""File systems that every container has of its own, and where it has them."""

HARMLESS = frozenset(
    f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty", "ptmx")
)
"""Device files that an engine binds where it may not make them (user namespaces)."""

MEMORY = "/dev/shm"  # noqa: S108

_INIT = re.compile(r"(docker-init|tini|tini-static|catatonit)$")
_INITS = ("/sbin/docker-init", "/dev/init", "/run/podman-init")
"""Where engines put an init of their own into a container that asks for one."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """A place of the host that a container sees.

    :param target: where it is in the container.
    :param names: the paths under which the host knows it; none if the host does not see it.
    :param source: what was asked for, of one that is configured; "" of one that is mounted.
    :param inode: device:inode of a socket that was asked for: a hard link has another path.
    """

    target: str
    place: Place
    names: tuple[str, ...]
    writable: bool
    source: str = ""
    inode: str = ""

    def shows(self, place: Place | None) -> bool:
        """Whether a place of the host is this one or lies below it."""
        return (
            place is not None
            and place.device == self.place.device
            and within(place.path, self.place.path)
        )

    def __str__(self) -> str:
        name = self.source or (self.names[0] if self.names else self.place.path)
        return f"{name} at {self.target} ({'writable' if self.writable else 'read-only'})"


def of_mounts(mounts: Iterable[Mount], host: MountTable, store: Store) -> list[Exposure]:
    """Return what a container's mounts show of the host."""
    found: list[Exposure] = []
    for mount in mounts:
        if mount.target == "/" or _usual(mount):
            continue
        found += _exposure(mount.target, mount.place, not mount.read_only, host, store)
    return found


def _own_memory(host: MountTable, place: Place, store: Store) -> bool:
    """Whether a place is a tmpfs that an engine has mounted among its files for a container, and
    that the host has nowhere else: a volume may be a bind of /run."""
    same = [mount for mount in host if mount.device == place.device]
    return bool(same) and all(
        mount.fstype == "tmpfs" and mount.place == place and store.owns(mount.target)
        for mount in same
    )


def _usual(mount: Mount) -> bool:
    home = KERNEL.get(mount.fstype)
    return home is not None and within(mount.target, home)


def of_bind(
    source: str,
    resolved: str,
    target: str,
    writable: bool,
    host: MountTable,
    store: Store,
    below: bool,
) -> Iterator[Exposure]:
    """Yield what a bind shows that has been asked for.

    :param resolved: the source without symlinks.
    :param below: whether the host's mounts below the source would come with it.
    """
    place = place_of(host, resolved)
    if place is not None:
        yield from _exposure(target, place, writable, host, store, source)
    for mount in host if below else ():
        if mount.target != resolved and within(mount.target, resolved):
            inside = target.rstrip("/") + mount.target[len(resolved.rstrip("/")) :]
            open_ = writable and not mount.read_only
            yield from _exposure(inside, mount.place, open_, host, store, mount.target)


def inode_want(path: str) -> Want:
    """Return the want that :func:`socket_inode` reads."""
    return want("stat -L -c '%%F %%d:%%i' -- %s", path, meaning=(0, 1))


def socket_inode(text: str) -> str:
    """Return device:inode if a path is a socket, else ""."""
    kind, _, inode = text.strip().rpartition(" ")
    return inode if kind == "socket" else ""


def volume_device(options: str) -> str:
    """Return the file or directory of the host that a volume is made of; "" if it is none.

    :param options: its ``opts.json`` (moby, volume/local).
    :raises Unknown: that is damaged.
    """
    try:
        device = json.loads(options).get("MountDevice")
    except (ValueError, AttributeError, RecursionError):
        raise Unknown(f"the options of a volume make no sense: {options[:60]!r}") from None
    return device if isinstance(device, str) and device.startswith("/") else ""


def _exposure(
    target: str,
    place: Place,
    writable: bool,
    host: MountTable,
    store: Store,
    source: str = "",
) -> Iterator[Exposure]:
    if store.place(host, place) or _own_memory(host, place, store):
        return
    names = tuple(dict.fromkeys(name for name in names_of(host, place) if not store.owns(name)))
    if any(name in HARMLESS for name in names):
        return
    if target == MEMORY and target in names:
        # The host's shared memory, with its ipc namespace: that has a control of its own.
        return
    if target in _INITS and not writable and any(map(_INIT.search, names)):
        return
    yield Exposure(target, place, names, writable, source)
