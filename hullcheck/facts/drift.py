"""What changed in a running container since it was made of its image, and what it runs that no
image has brought. Read from the upper directory of its overlay on the host (overlayfs, kernel
Documentation/filesystems/overlayfs.rst) and from /proc; nothing in it is run.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.containers import Container
from hullcheck.facts.docker.candidates import parse_programs
from hullcheck.facts.docker.search import PROGRAMS
from hullcheck.facts.mounts import Mount, MountTable, covering
from hullcheck.facts.overlays import overlay_option
from hullcheck.facts.processes import Gone, Process
from hullcheck.facts.registry import get
from hullcheck.facts.texts import lines_of
from hullcheck.facts.tree_sweep import Entry, path_test, sweep, swept
from hullcheck.transport.backend import session_of
from hullcheck.transport.want import want

__all__ = ["Drift", "drift_of", "from_writable_mounts", "without_file"]

SETTINGS = {
    "accounts": (
        "etc/passwd|etc/group|etc/shadow|etc/gshadow|etc/sudoers|etc/sudoers[.]d/[^/]*|etc/doas[.]conf"
    ),
    "who may log in": (
        "[.]ssh/authorized_keys|[.]ssh/authorized_keys2|[.]rhosts|[.]shosts|etc/hosts[.]equiv"
        "|etc/ssh/sshd_config|etc/ssh/sshd_config[.]d/[^/]*|etc/pam[.]d/[^/]*"
    ),
    "what runs by itself": (
        "etc/crontab|etc/cron[.][a-z]*/[^/]*|var/spool/cron/.*|etc/init[.]d/[^/]*|etc/rc[.]local"
        "|etc/systemd/system/.*|etc/inittab|etc/profile|etc/profile[.]d/[^/]*"
    ),
    "what is loaded into programs": (
        "etc/ld[.]so[.]preload|etc/ld[.]so[.]conf|etc/ld[.]so[.]conf[.]d/[^/]*"
    ),
    "installed packages": (
        "var/lib/dpkg/status|var/lib/apk/db/installed|lib/apk/db/installed|usr/lib/apk/db/installed"
        "|var/lib/rpm/[^/]*|usr/lib/sysimage/rpm/[^/]*|var/lib/pacman/local/.*"
    ),
}  # fmt: skip
"""What gives access, runs by itself or tells what is installed; below the container's root."""

LIBRARIES = "[^/]*[.]so|[^/]*[.]so[.][0-9.]*"

TEST = (
    "-type f \\( -perm -100 -o -perm -10 -o -perm -1 -o "
    + path_test(LIBRARIES, *SETTINGS.values())
    + " \\)"
)

_LIBRARY = re.compile(f".*/(?:{LIBRARIES})", re.DOTALL)
_SETTINGS = {
    kind: re.compile(rf"/(?:{names})|/(?:root|home/[^/]*)/(?:{names})", re.DOTALL)
    for kind, names in SETTINGS.items()
}
_MEMORY = "/memfd:"
_DELETED = " (deleted)"


@dataclass(frozen=True, slots=True)
class Drift:
    """What is in the writable layer of a container, and so not as its image has it.

    :param programs: executable files and shared libraries; ``settings`` those of
        :data:`SETTINGS`, each with its kind.
    """

    programs: tuple[str, ...]
    settings: tuple[str, ...]


def drift_of(container: Container) -> Drift:
    """Return what was added to a running container, or changed in it, since it was created.

    :raises NotApplicable: it does not run. :raises Unknown: that cannot be seen.
    """
    container.need_running()
    own = _uppers(container)
    found, broken = session_of(container.host).recall(
        ("drift", "sweep"), lambda: _sweep(container.host)
    )
    programs, settings = [], []
    for upper in own:
        if upper in broken or upper not in found:
            raise Unknown(f"its writable layer: {broken.get(upper, 'it was just being made')}")
        for each in found[upper]:
            # The engine leaves empty files where it mounts something.
            if not each.size:
                continue
            kinds = [kind for kind, names in _SETTINGS.items() if names.fullmatch(each.path)]
            settings += [f"{each.path} ({kind})" for kind in kinds]
            if each.mode & 0o111 or _LIBRARY.fullmatch(each.path):
                programs.append(each.path)
    return Drift(tuple(sorted(programs)), tuple(sorted(settings)))


def _sweep(host: Host) -> tuple[Mapping[str, list[Entry]], Mapping[str, str]]:
    """Return what is in the writable layers of all running containers, and which were not seen."""
    every = [each for each in get(host, "container") if isinstance(each, Container)]
    running = [each for each in every if each.running]
    _foresee(host, running)
    uppers: set[str] = set()
    for container in running:
        try:
            uppers.update(_uppers(container))
        except (NotApplicable, Unknown):
            continue  # Its own finding says why.
    roots = sorted(uppers)
    if not roots:
        return {}, {}
    answer = session_of(host).ask(sweep(roots, TEST))[0]
    entries, broken = swept(answer, roots)
    found: dict[str, list[Entry]] = {root: [] for root in roots}
    for entry in entries:
        found[entry.root].append(entry)
    return found, broken


def _foresee(host: Host, running: list[Container]) -> None:
    for container in running:
        try:
            pid = container.init.pid
        except (NotApplicable, Unknown):
            continue
        session_of(host).foresee(want(f"cat /proc/{pid}/mountinfo", meaning=(0, 1)))


def _uppers(container: Container) -> list[str]:
    """Return the writable directories of all that is mounted on a container's root.

    :raises NotApplicable: its root is the host's own.
    :raises Unknown: what is mounted there is no overlay of its own, or does not tell.
    """
    table: MountTable = get(container.host, "mounts")
    hosts = covering(table, "/")
    found = []
    for mount in container.mounts:
        if mount.target != "/" or mount.fstype == "rootfs":
            continue
        if hosts is not None and mount.place == hosts.place:
            raise NotApplicable("it has no root of its own: it is the host's")
        upper = _upper(container, mount)
        found += [upper] if upper else []
    return found


def _upper(container: Container, mount: Mount) -> str:
    """Return the upper directory of an overlay as the host sees it; "" if it has none."""
    if mount.fstype == "overlay" and mount.root != "/":
        raise Unknown(
            "its root is a directory of another's overlay, which does not tell its changes"
        )
    if mount.fstype != "overlay":
        raise Unknown(f"its root is of the type {mount.fstype}, which does not tell what changed")
    path = overlay_option(mount, "upperdir")
    if not path:
        return ""
    if not path.startswith("/"):
        path = f"{_home(container.host, mount)}/{path}"
    path = posixpath.normpath(path)
    return container.docker.seen(path) if container.docker is not None else path


def _home(host: Host, mount: Mount) -> str:
    """Return what the paths of an overlay are relative to: where the engine keeps the merged view,
    mounted on the host as HOME/ID/merged (moby, daemon/graphdriver/overlay2)."""
    table: MountTable = get(host, "mounts")
    for each in table:
        if each.device == mount.device and each.target.endswith("/merged"):
            return posixpath.dirname(posixpath.dirname(each.target))
    raise Unknown("where its writable layer lies is told relative to a place that cannot be seen")


# What runs.


def without_file(container: Container) -> Iterator[tuple[Process, str]]:
    """Yield the processes whose program is in no file any more, and what the kernel calls it.

    What the engine itself binds read-only into a container (its init) is replaced on the host
    when the engine is upgraded; that is not counted.

    :raises Unknown: after all others, of a process whose program cannot be seen.
    """
    for process, exe in _programs(container):
        if exe.startswith(_MEMORY):
            yield process, "in memory"
        elif exe.endswith(_DELETED):
            path = exe.removesuffix(_DELETED)
            mount = covering(container.mounts, path)
            if not (mount is not None and mount.target == path and mount.read_only):
                yield process, exe


def from_writable_mounts(container: Container) -> Iterator[tuple[Process, str, Mount]]:
    """Yield the processes whose program lies on a mount that can be written, beside the root.

    :raises Unknown: after all others, of a process in another mount namespace.
    """
    apart: Process | None = None
    for process, exe in _programs(container):
        if process.namespace("mnt") != container.init.namespace("mnt"):
            apart = apart or process
            continue
        path = exe.removesuffix(_DELETED)
        mount = covering(container.mounts, path)
        if mount is None:
            raise Unknown(f"where the program of process {process} lies cannot be told")
        if mount.target != "/" and not mount.read_only and not exe.startswith(_MEMORY):
            yield process, path, mount
    if apart is not None:
        raise Unknown(f"process {apart} has other mounts than its container")


def _programs(container: Container) -> Iterator[tuple[Process, str]]:
    """Yield the processes of a container with their programs; what has ended is left out.

    A link's target comes without an end mark. A sweep over all of them tells whether it is whole.

    :raises Unknown: after all others, of a process whose program cannot be seen.
    """
    container.need_running()
    container.look_up()
    sweep_ = session_of(container.host).ask(PROGRAMS)[0]
    lines_of(sweep_)
    whole = parse_programs(sweep_)
    unseen: Unknown | None = None
    for process in container.processes:
        try:
            exe = process.exe
        except Gone:
            continue
        except Unknown as reason:
            unseen = unseen or reason
            continue
        if not exe.startswith("/"):
            unseen = unseen or Unknown(f"the program of process {process} has no path")
            continue
        told = whole.get(process.pid, "")
        yield process, told if told.startswith(exe) else exe
    if unseen is not None:
        raise unseen
