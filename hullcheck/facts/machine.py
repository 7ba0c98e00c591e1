"""How much a host has: the sizes against which a limit is a limit."""

from __future__ import annotations

import re
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.registry import provide
from hullcheck.transport.backend import session_of
from hullcheck.transport.want import want

__all__ = ["Machine", "machine"]


@dataclass(frozen=True, slots=True)
class Machine:
    """:param memory: bytes. ``pids``: the kernel's highest process number."""

    memory: int
    pids: int


@provide
def machine(host: Host) -> Machine:
    """The host's memory and number of processes. :raises Unknown: the kernel does not tell."""
    asked = want("grep -E '^MemTotal:|^[0-9]' /proc/meminfo /proc/sys/kernel/pid_max")
    text = session_of(host).ask(asked)[0].text
    memory = re.search(r"^/proc/meminfo:MemTotal: +([0-9]+) kB$", text, re.MULTILINE)
    pids = re.search(r"^/proc/sys/kernel/pid_max:([0-9]+)$", text, re.MULTILINE)
    if not memory or not pids:
        raise Unknown("the kernel does not tell how much memory and how many processes it has")
    return Machine(int(memory[1]) * 1024, int(pids[1]))
