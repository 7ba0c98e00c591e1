"""What of its disks a host offers to other machines: over NFS (exports(5), exportfs(8)), as iSCSI
targets of the kernel (LIO) and over NVMe (nvmet)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.registry import provide
from hullcheck.facts.texts import lines_of, texts
from hullcheck.transport import session_of, want

__all__ = ["Export", "Exports", "exports", "parse_exports", "parse_targets"]

ETAB = "/var/lib/nfs/etab"
SIGN = "/proc/sys/kernel/ostype"
"""Always there: without it, grep said nothing of the others either."""

FILES = want(
    f"grep -H '' -- {SIGN} {ETAB} /etc/exports /etc/exports.d/*.exports"
    " /sys/kernel/config/target/core/*/*/udev_path"
    " /sys/kernel/config/nvmet/subsystems/*/namespaces/*/device_path",
    meaning=(0, 1, 2),
)
CLOSED = want(
    "for d in /etc/exports.d /var/lib/nfs /sys/kernel/config; do "
    "if [ -d $d ] && { [ ! -r $d ] || [ ! -x $d ]; }; then echo $d; fi; done"
)
"""Folders that the audit's user cannot look into: no pattern finds a file there."""

_TARGETS = "/sys/kernel/config/"
_WORD = re.compile(r'(?:"[^"]*"|\\.|[^\s"\\])+')
_CLIENT = re.compile(r"([^()]*)\(([^()]*)\)|([^()]+)")
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Export:
    """A directory, file or device that other machines can have.

    :param clients: to whom, as it is written; "iSCSI" or "NVMe" for a disk.
    :param source: where it is read.
    """

    path: str
    clients: str
    options: frozenset[str]
    source: str

    @property
    def whole(self) -> bool:
        """Whether a client's root has all of the file system that it lies on: its handles are not
        looked at for what is below the directory (exports(5), subtree_check)."""
        return "no_root_squash" in self.options and "subtree_check" not in self.options

    def __str__(self) -> str:
        return f"{self.path} to {self.clients} ({self.source})"


@dataclass(frozen=True, slots=True)
class Exports:
    """Everything that is offered, or will be when the server starts.

    :param directories: over NFS; ``disks``: files and devices that are targets.
    :param doubt: what could not be read; empty if all was.
    """

    directories: tuple[Export, ...]
    disks: tuple[Export, ...]
    doubt: str = ""


def parse_exports(text: str, source: str) -> Iterator[Export]:
    """Yield what a file of exports(5), or etab, exports; once for each client.

    :raises Unknown: a line is none.
    """
    for line in text.replace("\\\n", " ").split("\n"):
        words = _WORD.findall(line)
        if not words or words[0].startswith("#"):
            continue
        path = _plain(words[0])
        if not path.startswith("/"):
            raise Unknown(f"{source} has a line that is none: {line[:80]!r}")
        default: frozenset[str] = frozenset()
        clients = 0
        for word in words[1:]:
            if word.startswith("#"):
                break
            if word.startswith("-"):
                default = frozenset(word[1:].split(","))
                continue
            match = _CLIENT.fullmatch(word)
            if match is None:
                raise Unknown(f"{source}: cannot understand {word[:60]!r}")
            options = default | frozenset((match[2] or "").split(","))
            yield Export(path, match[1] or match[3] or "everybody", options - {""}, source)
            clients += 1
        if not clients:
            yield Export(path, "everybody", default - {""}, source)


def _plain(word: str) -> str:
    text = _OCTAL.sub(lambda found: chr(int(found[1], 8)), word.replace('"', ""))
    return posixpath.normpath(text) if text.startswith("/") else text


def parse_targets(files: Iterable[tuple[str, str]]) -> Iterator[Export]:
    """Yield the disks that the kernel offers, from its files of configuration."""
    for path, text in files:
        if text.startswith("/"):
            kind = "iSCSI" if "/target/" in path else "NVMe"
            yield Export(posixpath.normpath(text.strip()), kind, frozenset(), path)


@provide
def exports(host: Host) -> Exports:
    """What the host offers to other machines, by the kernel's and the server's own lists and by
    the files that these are made of."""
    answer, closed = session_of(host).ask(FILES, CLOSED)
    found = texts(answer)
    if found.pop(SIGN, None) != "Linux":
        raise Unknown("what is exported cannot be read")
    doubts = [f"{each} cannot be looked into; it needs root" for each in lines_of(closed)]
    doubts += [str(each) for each in found.values() if isinstance(each, Unknown)]
    read = {path: each for path, each in found.items() if isinstance(each, str)}
    directories = [
        each for path, text in read.items() if not path.startswith(_TARGETS)
        for each in parse_exports(text, path)
    ]  # fmt: skip
    disks = parse_targets((path, text) for path, text in read.items() if path.startswith(_TARGETS))
    return Exports(tuple(directories), tuple(disks), doubts[0] if doubts else "")
