"""Plain testinfra as a wire: its own paramiko backend, as it ships, every command a channel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from testinfra.backend.paramiko import ParamikoBackend

from hullcheck.transport import Evidence, Want

__all__ = ["PlainWire"]


class PlainWire:
    """Asks a host, an alias of an ssh_config, one command after the other."""

    def __init__(self, name: str, ssh_config: Path) -> None:
        self._backend = ParamikoBackend(name, ssh_config=str(ssh_config), timeout=60)

    def perform(self, wants: Sequence[Want]) -> Iterator[Evidence]:
        """Run one command after the other."""
        for each in wants:
            done = self._backend.run(each.command)
            yield Evidence(each.command, done.rc, done.stdout_bytes, done.stderr_bytes)

    def close(self) -> None:
        """Close the connection."""
        self._backend.client.close()
