"""Files of the host that processes of containers hold open.

The kernel tells of every open file on which mount it is (``mnt_id`` in ``/proc/PID/fdinfo/N``,
proc(5)), and of every mount in which namespace it is (mountinfo). Names tell nothing: the link of
a file outside of a container looks like one inside. Looking at the ids touches no file system, so
that none can keep the audit waiting, save for the working and root directories, which must be
opened to be told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hullcheck.control import Unknown
from hullcheck.facts.containers import Container
from hullcheck.facts.environment import everyone
from hullcheck.facts.mounts import MountTable, covering
from hullcheck.facts.processes import Process
from hullcheck.facts.registry import get
from hullcheck.facts.texts import lines_of
from hullcheck.transport import Want, session_of, want

__all__ = ["Descriptor", "descriptors_want", "foreign", "parse_descriptors"]

_STANDARD = ("0", "1", "2")
_SHUTTING = ("fuse", "nfs", "cifs", "smb3", "9p", "ceph", "afs", "gfs", "lustre")
_WORDS = {"cwd": "the working directory", "root": "the root directory"}
_ROW = re.compile(r"(\d+) (cwd|root|[0-9]+|seen|denied) (\d+|-) [a-z0-9]+")
_DIRECTORY_OR_DISK = ("directory", "block special file")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One open file of a process.

    :param name: its number, or ``cwd`` or ``root``.
    :param mount: the id of the mount it is on; 0 if that directory may not be opened.
    """

    pid: int
    name: str
    mount: int


def descriptors_want(pids: Iterable[int]) -> Want:
    """Return the want for the mounts of what some processes hold open: ``PID NAME MOUNT``.

    Of several descriptors on one mount, one beyond the standard streams stands for all.
    """
    listed = " ".join(map(str, pids))
    folders = " ".join(f"{pid}/fdinfo" for pid in listed.split())
    tell = 'while read -r k v; do [ "$k" != mnt_id: ] || echo "$p $d $v $d"; done'
    return want(
        f"cd /proc; for p in {listed}; do for d in cwd root; do "
        f"{{ {tell} </proc/self/fdinfo/9; }} 2>/dev/null 9<$p/$d || "
        "{ [ ! -d $p ] || grep -q '^State:.[ZX]' $p/status || "
        'echo "$p $d - shut"; }; done; done; '
        f"find {folders} -type d -print -o -type f -exec grep -aH '^mnt_id:' {{}} + 2>&1 | sed -n"
        r" -e 's|^\([0-9]*\)/fdinfo$|\1 seen - seen|p;t'"
        r" -e 's|^\([0-9]*\)/fdinfo/\([0-2]\):mnt_id:[[:space:]]*\([0-9]*\)$|\1 \2 \3 \2|p;t'"
        r" -e 's|^\([0-9]*\)/fdinfo/\([0-9]*\):mnt_id:[[:space:]]*\([0-9]*\)$|\1 \2 \3 more|p;t'"
        r" -e 's|^[a-z]*: .\{0,1\}\([0-9]*\)/fdinfo.*ermission denied$|\1 denied - denied|p'"
        " | sort -u -k1,1 -k3,4; echo end",
        seconds=60,
    )


def parse_descriptors(lines: list[str]) -> Mapping[int, list[Descriptor] | None]:
    """Return the descriptors of each process; None where denied.

    :raises Unknown: the answer is damaged.
    """
    if lines[-1:] != ["end"]:
        raise Unknown("the open files of processes could not be read to the end")
    found: set[int] = set()
    own: dict[int, list[Descriptor]] = {}
    denied: set[int] = set()
    rows = [_ROW.fullmatch(line) for line in lines[:-1]]
    for row in rows:
        if row is None:
            raise Unknown("the open files of processes could not be read")
        pid, name, mount = int(row[1]), row[2], row[3]
        if name == "denied":
            denied.add(pid)
        elif name == "seen":
            found.add(pid)
        else:
            number = int(mount) if mount.isdecimal() else 0
            own.setdefault(pid, []).append(Descriptor(pid, name, number))
    if not any(each.name.isdecimal() for listed in own.values() for each in listed):
        raise Unknown("the kernel does not tell on which mounts open files are")
    return {pid: None if pid in denied else own.get(pid, []) for pid in found | denied}


def foreign(container: Container) -> list[str]:
    """Return what processes of a container hold open on mounts of the host, and none of its own.

    Files and terminals that are standard streams are not told: who starts a container gives it
    those. A file on a mount that only another namespace has is not found.

    :raises Unknown: the open files of one process cannot be read.
    """
    if not container.processes:
        return []
    session = session_of(container.host)
    asked = descriptors_want(everyone(container.host))
    session.foresee(asked)
    host: MountTable = get(container.host, "mounts")
    outside = {mount.id for mount in host} - {mount.id for mount in container.mounts}
    answer = session.ask(asked)[0]
    known = session.recall(
        ("descriptors", answer.want), lambda: parse_descriptors(lines_of(answer))
    )
    found, hidden = [], ""
    for process in container.processes:
        own = known.get(process.pid)
        if own is None:
            # One that ended meanwhile has no directory any more, and is not told of.
            ended = process.pid not in known and process is not container.init
            hidden = hidden if ended else f"the open files of process {process} cannot be read"
        found += [(process, each) for each in own or () if each.mount in outside or not each.mount]
    said = _described(container, [each for each in found if each[1].mount])
    hidden = hidden or _shut(container, [each for each in found if not each[1].mount])
    if hidden and not said:
        raise Unknown(f"{hidden} (needs root)")
    return said


def _shut(container: Container, found: list[tuple[Process, Descriptor]]) -> str:
    """Say which directory cannot be judged, as even root may not open it; "" if all can be.

    The file systems of a user (FUSE) or of another host may shut out root, the host's own may not.
    """
    links = [
        want("readlink -nv %s", f"/proc/{each.pid}/{each.name}", meaning=(0, 1))
        for _, each in found
    ]
    for (process, each), answer in zip(found, session_of(container.host).ask(*links), strict=True):
        mount = covering(container.mounts, answer.text if answer.exit == 0 else "")
        if mount is None or not mount.fstype.startswith(_SHUTTING):
            return f"{_WORDS[each.name]} of process {process} cannot be seen"
    return ""


def _described(container: Container, found: list[tuple[Process, Descriptor]]) -> list[str]:
    """Say what foreign descriptors lead to, and leave out what a standard stream may be."""
    paths = [
        f"/proc/{each.pid}/{'' if each.name in ('cwd', 'root') else 'fd/'}{each.name}"
        for _, each in found
    ]
    links = [want("readlink -nv %s", path, meaning=(0, 1)) for path in paths]
    kinds = [want("stat -L -c %%F %s", path, meaning=(0, 1)) for path in paths]
    answers = session_of(container.host).ask(*links, *kinds)
    said = []
    for at, (process, each) in enumerate(found):
        kind = answers[len(found) + at].text.strip()
        if each.name in _STANDARD and kind and kind not in _DIRECTORY_OR_DISK:
            continue
        path = answers[at].text or "a file that is gone"
        said.append(f"{process} has {path} of the host as {_WORDS.get(each.name, each.name)}")
    return sorted(said)
