"""Whose namespaces a process is in: the host's, an engine's, or its own; see namespaces(7)."""

from __future__ import annotations

from hullcheck.control import Unknown
from hullcheck.facts.processes import Process, Processes

__all__ = ["INITIAL", "is_hosts", "of_host"]

INITIAL = {
    "cgroup": 4026531835, "pid": 4026531836, "user": 4026531837, "uts": 4026531838,
    "ipc": 4026531839,
}  # fmt: skip
"""Inodes of the namespaces the kernel starts with (include/linux/proc_ns.h); others vary."""


def of_host(processes: Processes, name: str) -> tuple[int, int] | None:
    """Return a namespace of the host, as (device, inode); None if the kernel hides it.

    It is that of process 1. Reading that needs every capability process 1 has, so root may be
    denied; the kernel's first thread is in the same namespaces and can always be asked.
    """
    thread = processes.get(2)
    known = [processes.get(1)]
    if thread is not None and thread.name == "kthreadd" and thread.ppid == 0:
        known.append(thread)
    found = (each.spaces.get(name) for each in known if each is not None)
    return next((space for space in found if space is not None), None)


def is_hosts(
    process: Process, name: str, processes: Processes, engine: Process | None = None
) -> bool:
    """Whether a process shares a namespace with the host, or with an engine that runs there.

    :param name: cgroup, ipc, mnt, net, pid, user or uts.
    :param engine: the daemon; a rootless one has namespaces of its own, and a container that is
        said to use "the host's" network uses the daemon's.
    :raises Unknown: one of the two cannot be seen. Two that cannot be seen are never equal.
    """
    own = process.namespace(name)
    host = of_host(processes, name)
    engines = engine.spaces.get(name) if engine is not None else None
    if own in (host, engines) or (host is None and own[1] == INITIAL.get(name)):
        return True
    if host is None and engines is None:
        raise Unknown(f"cannot see the host's {name} namespace")
    return False
