"""Keep one host up for a person to try: python -m tests.live.hosts docker --address 127.0.0.21"""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import ExitStack

from tests.live.hosts.docker import DockerHost
from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.population import populate
from tests.live.hosts.systemd import SystemdHost
from tests.live.hosts.zoo import zoo

KINDS = ("overlay", "docker", "zoo", "systemd-v1", "systemd-v2")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.live.hosts", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--address", help="a loopback address; a free one when not given")
    parser.add_argument("--port", type=int, default=2222)
    parser.add_argument("--name", help="its hostname")
    parser.add_argument("--bridge", action="store_true", help="own docker0 (one host at a time)")
    parser.add_argument("--populate", action="store_true", help="start sound, faulty and hiding")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ExitStack() as ends:
        host = ends.enter_context(make(given))
        if given.kind == "zoo" and isinstance(host, DockerHost):
            ends.enter_context(zoo(host))
        if given.populate and isinstance(host, DockerHost):
            populate(host)
        print(host.describe(), flush=True)
        try:
            while True:
                signal.pause()
        except KeyboardInterrupt:
            return 0


def make(given: argparse.Namespace) -> OverlayHost:
    where = given.name or given.kind, given.address, given.port
    if given.kind == "overlay":
        return OverlayHost(*where)
    if given.kind in ("docker", "zoo"):
        return DockerHost(*where, bridge=given.bridge)
    return SystemdHost(*where, layout=given.kind[-2:], bridge=given.bridge)


if __name__ == "__main__":
    sys.exit(main())
