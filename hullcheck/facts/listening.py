"""What listens in containers, and from where it can be reached."""

from __future__ import annotations

from collections.abc import Iterator

from hullcheck.facts.containers import Container
from hullcheck.facts.processes import Process
from hullcheck.facts.sockets import InetListener, sockets_of

__all__ = ["listeners", "reached"]


def listeners(container: Container) -> list[tuple[InetListener, list[Process]]]:
    """Return what listens beyond loopback for a container, and the processes that hold it.

    In whatever network namespace its processes are: what others hold there is theirs. Of a TCP
    listener in a network of the container's own that no process holds, it is the container's.

    :raises Unknown: the kernel does not show the listeners, or not who holds one of them.
    """
    own = {process.pid: process for process in container.processes}
    spaces: dict[tuple[int, int], Process] = {}
    for process in (container.init, *own.values()):
        spaces.setdefault(process.namespace("net"), process)
    found: dict[tuple[str, str, int], tuple[InetListener, list[Process]]] = {}
    for space, process in spaces.items():
        lonely = space not in container.outside("net")
        table = sockets_of(container.host, process.pid)
        for each in (*table.tcp, *table.udp):
            if each.loopback:
                continue
            owners = each.owners
            held = [own[pid] for pid in owners if pid in own]
            if held or (lonely and not owners and each.protocol == "tcp"):
                found[each.protocol, each.address, each.port] = (each, held)
    return [found[key] for key in sorted(found)]


def reached(container: Container, listener: InetListener) -> str:
    """Say from where a listener of a container can be reached."""
    if container.shares("net"):
        return "reachable through the host's network"
    published = sorted(set(_published(container, f"{listener.port}/{listener.protocol}")))
    return f"published as {', '.join(published)}" if published else "in its own network"


def _published(container: Container, inner: str) -> Iterator[str]:
    settings = container.inspect.get("NetworkSettings") or {}
    for binding in (settings.get("Ports") or {}).get(inner) or []:
        yield f"{binding.get('HostIp') or '0.0.0.0'}:{binding.get('HostPort')}"  # noqa: S104
