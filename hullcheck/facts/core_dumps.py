"""Where the memory of a process that crashes is kept: core(5), coredump.conf(5), limits.conf(5)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.drop_ins import Piece, drop_ins, merged
from hullcheck.facts.kernel import Kernel
from hullcheck.facts.registry import fact, get, provide
from hullcheck.facts.texts import lines_of
from hullcheck.transport import CannotAnswer, session_of, want

__all__ = ["CoreDumps", "Limit", "core_dumps", "parse_limits", "parse_section"]

_ROOTS = ("/etc", "/run", "/usr/local/lib", "/usr/lib")
STORAGE_MAIN = tuple(f"{each}/systemd/coredump.conf" for each in _ROOTS)
STORAGE = drop_ins([f"{each}.d" for each in STORAGE_MAIN], STORAGE_MAIN)

LIMITS_MAIN = ("/etc/security/limits.conf", "/usr/etc/security/limits.conf")
LIMITS = drop_ins(["/etc/security/limits.d", "/usr/etc/security/limits.d"], LIMITS_MAIN)

LIVE = want("grep -H '^Max core file size' /proc/[0-9]*/limits", meaning=(0, 2))

UNLIMITED = 1 << 62
_GONE = ("No such file or directory", "No such process")


@dataclass(frozen=True, slots=True)
class Limit:
    """A line of limits.conf(5) about core files.

    :param kind: hard, soft, or - for both. ``kib``: 0 is none, :data:`UNLIMITED` any.
    """

    domain: str
    kind: str
    kib: int


def parse_limits(pieces: Iterable[Piece]) -> list[Limit]:
    """Return the limits of core files, in the order they are read."""
    found = []
    for piece in pieces:
        for line in piece.text.split("\n"):
            words = line.partition("#")[0].split()
            if len(words) == 4 and words[1] in ("hard", "soft", "-") and words[2] == "core":
                number = re.fullmatch(r"[0-9]{1,18}", words[3])
                kib = int(number[0]) if number else UNLIMITED
                found.append(Limit(words[0], words[1], kib))
    return found


def parse_section(pieces: Iterable[Piece], section: str) -> dict[str, str]:
    """Return the settings of one section of systemd's files; the last one of a name counts."""
    found: dict[str, str] = {}
    for piece in pieces:
        inside = False
        for line in piece.text.replace("\\\n", " ").split("\n"):
            stripped = line.strip()
            if stripped.startswith("["):
                inside = stripped == f"[{section}]"
            elif inside and stripped[:1] not in ("#", ";"):
                name, equals, value = stripped.partition("=")
                if equals and value.strip():
                    found[name.strip()] = value.strip()
    return found


class CoreDumps:
    """What becomes of the memory of processes that crash."""

    def __init__(self, host: Host) -> None:
        self.host = host

    @property
    def pattern(self) -> str:
        """``kernel.core_pattern``. :raises Unknown: this kernel has none."""
        kernel: Kernel = get(self.host, "kernel")
        pattern = kernel.sysctl("kernel.core_pattern")
        if pattern is None:
            raise Unknown("the kernel does not tell kernel.core_pattern")
        return pattern.strip()

    @property
    def storage(self) -> str:
        """Where systemd-coredump keeps them: none, external or journal; none too if it may keep
        nothing for want of size."""
        values = parse_section(
            merged(session_of(self.host).ask(STORAGE)[0], STORAGE_MAIN), "Coredump"
        )
        kind = values.get("Storage", "external").lower()
        most = {"external": "ExternalSizeMax", "journal": "JournalSizeMax"}.get(kind, "")
        if most and values.get(most) == values.get("ProcessSizeMax") == "0":
            return "none"
        return kind

    @property
    def limits(self) -> list[Limit]:
        """What logins are limited to."""
        return parse_limits(merged(session_of(self.host).ask(LIMITS)[0], LIMITS_MAIN))

    @fact
    def leaving(self) -> list[int]:
        """The processes whose soft limit lets them leave a core file, in order.

        :raises Unknown: that of some cannot be read.
        """
        answer = session_of(self.host).ask(LIVE)[0]
        found = []
        for line in lines_of(answer) or [""]:
            row = re.fullmatch(r"/proc/(\d+)/limits:Max core file size +(\S+) +\S+ +bytes *", line)
            if not row:
                raise CannotAnswer("what the kernel tells of core files makes no sense")
            if row[2] != "0":
                found.append(int(row[1]))
        for line in answer.evidence.stderr.decode("utf-8", "replace").splitlines():
            if not line.endswith(_GONE):
                raise Unknown(f"the limits of some process cannot be read: {line[:120]}")
        return sorted(found)


@provide
def core_dumps(host: Host) -> CoreDumps:
    """What becomes of the memory of processes that crash."""
    session_of(host).foresee(STORAGE, LIMITS, LIVE)
    return CoreDumps(host)
