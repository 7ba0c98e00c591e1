"""The labels and limits that processes carry, from one sweep; see proc(5)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from hullcheck.control import Unknown
from hullcheck.transport.want import Want, want

__all__ = ["Confinement", "confinement_want", "parse_confinement"]

_FILES = ("oom_score_adj", "limits", "attr/current", "attr/apparmor/current")
_LIMIT = re.compile(r"(Max [a-z ]*[a-z]) +([0-9]+|unlimited) +([0-9]+|unlimited)(?: +[a-z]+)?")


@dataclass(frozen=True, slots=True)
class Confinement:
    """The labels and limits that processes carry, by pid, as ``/proc/PID`` shows them.

    :param labels: the security module's label; "" where there is none.
    """

    apparmor: dict[int, str]
    labels: dict[int, str]
    oom_score_adj: dict[int, int]
    limits: dict[int, dict[str, tuple[str, str]]]


def confinement_want(pids: Iterable[int]) -> Want:
    """Return the want that :func:`parse_confinement` reads."""
    names = " ".join(f"{pid}/{name}" for pid in pids for name in _FILES)
    # attr/current cannot be read (EINVAL) where no security module has labels.
    return want(f"cd /proc && grep -aH '' /dev/null {names}", meaning=(0, 1, 2))


def parse_confinement(text: str) -> Confinement:
    """Take apart the lines of :attr:`Container.confinement`, each ``PID/file:line``.

    :raises Unknown: one is damaged.
    """
    found = Confinement({}, {}, {}, {})
    for line in text.split("\n"):
        name, _, value = line.partition(":")
        number, _, file = name.partition("/")
        if not line:
            continue
        if not re.fullmatch(r"[0-9]{1,9}", number) or file not in _FILES:
            raise Unknown(f"what the kernel tells of processes is damaged: {line[:60]!r}")
        pid, value = int(number), value.strip().rstrip("\0")
        if file == "attr/apparmor/current":
            found.apparmor[pid] = value
        elif file == "attr/current":
            found.labels[pid] = value
        elif file == "oom_score_adj":
            if not re.fullmatch(r"-?[0-9]{1,5}", value):
                raise Unknown(f"oom_score_adj of process {pid} is {value[:20]!r}")
            found.oom_score_adj[pid] = int(value)
        else:
            limit = _LIMIT.fullmatch(value)
            if not limit and not value.startswith("Limit "):
                raise Unknown(f"a limit of process {pid} is damaged: {value[:60]!r}")
            if limit:
                found.limits.setdefault(pid, {})[limit[1]] = (limit[2], limit[3])
    return found
