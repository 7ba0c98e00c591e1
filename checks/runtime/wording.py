"""How the runtime controls say what they found of many processes, or of none that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hullcheck.control import Unknown, expect
from hullcheck.facts.containers import Container
from hullcheck.facts.processes import Process

__all__ = ["alike", "expect_unprivileged", "named", "remapped"]

SHOWN = 3


def alike(container: Container, tell: Callable[[Process], Any]) -> Iterator[tuple[Any, str]]:
    """Yield each (hashable) value that processes of a container have, and who has it.

    A container may have thousands of processes; what is said of it stays short.

    :raises Unknown: it cannot be told of one of them; after what can be told of the others.
    """
    found: dict[Any, list[Process]] = {}
    unknown: Unknown | None = None
    for process in container.processes:
        try:
            found.setdefault(tell(process), []).append(process)
        except Unknown as reason:
            unknown = unknown or reason
    for value, processes in found.items():
        yield value, named(processes)
    if unknown is not None:
        raise unknown


def named(processes: list[Process]) -> str:
    """Return the names of some processes, the first few of many."""
    more = len(processes) - SHOWN
    shown = processes[:SHOWN] if more > 1 else processes
    names = ", ".join(map(str, shown))
    return f"{names} and {more} more" if more > 1 else names


def remapped(container: Container) -> bool:
    """Whether a user namespace is what its engine gives, or would give, to a container."""
    if container.docker is None:
        return container.rootless or container.asked("UsernsMode") == ""
    return container.rootless or "userns" in container.docker.security_options


def expect_unprivileged(container: Container, gives: str) -> None:
    """Expect that --privileged was not asked for.

    :param gives: what that would give it: "all devices".
    """
    observed = f"privileged, and so with {gives}" if container.privileged else "unprivileged"
    expect(observed, equals="unprivileged", what="what it was asked to be")
