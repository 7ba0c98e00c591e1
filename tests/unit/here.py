"""This machine as a host, one plain process per command, with coreutils or with busybox."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence

from testinfra.host import Host

from hullcheck.transport import Evidence, Session, Want, host_of

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


class Processes:
    """A wire that runs each command by itself."""

    def __init__(self, shell: Sequence[str]) -> None:
        self._shell = shell

    def perform(self, wants: Sequence[Want]) -> Iterator[Evidence]:
        for each in wants:
            done = subprocess.run(
                [*self._shell, "-c", each.command],
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
            yield Evidence(each.command, done.returncode, done.stdout, done.stderr)

    def close(self) -> None:
        pass


def host_here(*shell: str) -> Host:
    """Return this machine, through ``/bin/sh`` or the shell that is given."""
    return host_of(Session(Processes(shell or ("/bin/sh",))), "here", "local")
