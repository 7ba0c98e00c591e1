"""Where the kernel swaps to, and whether that is encrypted: proc_swaps(5), and what of the block
devices sysfs tells (Documentation/ABI/testing/sysfs-block-dm, sysfs-block-zram)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.mounts import MountTable, covering
from hullcheck.facts.registry import get, provide
from hullcheck.facts.texts import known, lines_of, texts
from hullcheck.transport import session_of, want

__all__ = ["Disks", "Swap", "disks", "parse_swaps", "swaps"]

SWAPS = "/proc/swaps"
TEXTS = want(
    f"grep -H '' -- {SWAPS} /sys/block/*/dm/uuid /sys/block/*/dm/name /sys/block/*/dev"
    " /sys/block/*/*/dev /sys/block/*/backing_dev",
    meaning=(0, 1, 2),
)
BELOW = want("find /sys/block/*/slaves -mindepth 1 -maxdepth 1 -print", meaning=(0, 1))
"""``/sys/block/DISK/slaves/PART``: what a disk is made of."""

ENCRYPTED = "CRYPT-"
"""Begins the uuid that cryptsetup gives to its devices."""

_ESCAPE = re.compile(r"\\([0-7]{3})")
_LINE = re.compile(r"(/\S*|\S+)\s+(partition|file)\s+\d+\s+\d+\s+-?\d+")
_ABSENT = re.compile(rf"^grep: {SWAPS}: No such file or directory$", re.MULTILINE)
"""A kernel without swap has no such file."""

_HEADING = "Filename"
DEPTH = 8


@dataclass(frozen=True, slots=True)
class Swap:
    """One place that memory is written to.

    :param where: kept: "in memory", "encrypted", or "in the clear".
    """

    path: str
    where: str

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True)
class Disks:
    """What block devices are made of.

    :param uuids: of the device mapper's devices; ``names`` maps what it calls them to theirs.
    :param numbers: major:minor to device. ``below``: the devices that one lies on.
    :param backing: where zram writes what it does not keep in memory.
    :param whole: the disk that a partition is of.
    """

    uuids: Mapping[str, str] = field(repr=False)
    names: Mapping[str, str] = field(repr=False)
    numbers: Mapping[str, str] = field(repr=False)
    below: Mapping[str, frozenset[str]] = field(repr=False)
    backing: Mapping[str, str] = field(repr=False)
    whole: Mapping[str, str] = field(repr=False)

    def under(self, device: str, depth: int = DEPTH) -> frozenset[str]:
        """Return a device and all that it lies on: partitions, disks, parts of a volume."""
        found = {device, self.whole.get(device, device)}
        for each in self.below.get(device, ()) if depth else ():
            found |= self.under(each, depth - 1)
        return frozenset(found)

    def where(self, device: str, depth: int = DEPTH) -> str:
        """Return how what is written to a device ("dm-0", "sda3") is kept."""
        if re.fullmatch(r"zram\d+", device):
            backing = self.backing.get(device, "none")
            plain = backing in ("", "none")
            return "in memory" if plain else self.where(posixpath.basename(backing), depth - 1)
        if self.uuids.get(device, "").startswith(ENCRYPTED):
            return "encrypted"
        below = self.below.get(device, frozenset())
        if below and depth and all(self.where(each, depth - 1) == "encrypted" for each in below):
            return "encrypted"
        return "in the clear"

    def device(self, path: str) -> str:
        """Return the device that a path in /dev is for."""
        name = posixpath.basename(path)
        return self.names.get(name, name)


def parse_swaps(text: str) -> list[tuple[str, bool]]:
    """Return the path of each swap, and whether it is a file. :raises Unknown: a line is none."""
    lines = text.split("\n")
    if not lines[0].startswith(_HEADING):
        raise Unknown(f"{SWAPS} has no heading")
    found = []
    for line in lines[1:]:
        match = _LINE.fullmatch(line.strip().replace("\\040(deleted)", ""))
        if match is None:
            raise Unknown(f"{SWAPS}: cannot understand {line[:80]!r}")
        found.append((_ESCAPE.sub(lambda each: chr(int(each[1], 8)), match[1]), match[2] == "file"))
    return found


@provide
def disks(host: Host) -> Disks:
    """What the host's block devices are made of."""
    answer, below = session_of(host).ask(TEXTS, BELOW)
    found = texts(answer)
    return _disks({path: text for path, text in found.items() if isinstance(text, str)},
                  lines_of(below))  # fmt: skip


@provide
def swaps(host: Host) -> list[Swap]:
    """What the kernel swaps to now. :raises Unknown: it does not tell."""
    answer = session_of(host).ask(TEXTS, BELOW)[0]
    text = known(texts(answer).get(SWAPS))
    if text is None:
        if not _ABSENT.search(answer.evidence.stderr.decode("utf-8", "replace")):
            raise Unknown(f"{SWAPS} does not tell what the kernel swaps to")
        return []
    mounts: MountTable = get(host, "mounts")
    parts: Disks = get(host, "disks")
    return [Swap(path, _where(path, file, parts, mounts)) for path, file in parse_swaps(text)]


def _where(path: str, file: bool, disks: Disks, mounts: MountTable) -> str:
    if not file:
        return disks.where(disks.device(path))
    mount = covering(mounts, path)
    if mount is None:
        raise Unknown(f"what {path} lies on cannot be told")
    if mount.fstype in ("tmpfs", "ramfs"):
        return "in memory"
    device = disks.numbers.get(mount.device) or disks.device(mount.source)
    return disks.where(device)


def _disks(found: Mapping[str, str], below: Iterable[str]) -> Disks:
    uuids, names, numbers, backing, whole = {}, {}, {}, {}, {}
    for path, text in found.items():
        match path.split("/")[3:]:
            case [disk, "dm", "uuid"]:
                uuids[disk] = text
            case [disk, "dm", "name"]:
                names[text] = disk
            case [disk, "backing_dev"]:
                backing[disk] = text
            case [disk, "dev"]:
                numbers[text] = disk
            case [disk, part, "dev"]:
                numbers[text] = part
                whole[part] = disk
    on: dict[str, set[str]] = {}
    for line in below:
        fields = line.split("/")
        if len(fields) == len(["", "sys", "block", "x", "slaves", "y"]):
            on.setdefault(fields[3], set()).add(fields[5])
    below_each = {disk: frozenset(each) for disk, each in on.items()}
    return Disks(uuids, names, numbers, below_each, backing, whole)
