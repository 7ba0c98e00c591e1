"""testinfra's own hosts over our wires: ``host`` in any testinfra test is then strict, too.

testinfra's paramiko backend never checks a host key, and its ssh backend connects anew for each
command. :func:`adopt` replaces both, and ``local``, for the whole process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from testinfra.backend import BACKENDS

from hullcheck.transport.backend import Backend, session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.session import Session, Wire
from hullcheck.transport.target import SSH_SCHEMES, Target, parse_spec
from hullcheck.transport.want import Evidence, Want

__all__ = ["adopt"]


class LazyWire:
    """Connects with the first question, so that collecting tests contacts no host."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._wire: Wire | None = None

    def perform(self, wants: Sequence[Want]) -> Iterator[Evidence]:
        """Connect if need be, and ask. See :class:`Wire`."""
        if self._wire is None:
            self._wire = session_of(connect(self._target)).wire
        return self._wire.perform(wants)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._wire is not None:
            self._wire.close()


class Adopted(Backend):
    """What testinfra makes of a host spec, with a session behind it."""

    def __init__(self, host: str = "", connection: str = "local", **said: Any) -> None:
        target = replace(
            parse_spec(f"{connection}://{host}"),
            sudo=bool(said.get("sudo")),
            sudo_user=said.get("sudo_user"),
            ssh_config=said.get("ssh_config"),
            identity_file=said.get("ssh_identity_file") or (),
            timeout=float(said["timeout"]) if said.get("timeout") else None,
        )
        super().__init__(Session(LazyWire(target)), target.name, connection)


def adopt() -> None:
    """Make testinfra reach this machine and SSH hosts through Hullcheck."""
    for scheme in ("local", *SSH_SCHEMES):
        BACKENDS[scheme] = f"{__name__}.Adopted"
