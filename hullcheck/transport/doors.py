"""How many may log in through one jump host at a time.

sshd turns away at random when ten connections have not logged in yet (MaxStartups in
sshd_config(5), 10:30:100 by default): an audit of many hosts behind one jump host would meet that.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hullcheck.transport.ssh_config import Settings

__all__ = ["door"]

AT_A_TIME = 4
"""By each process; there may be a few."""

_rooms: dict[tuple[str, int], threading.BoundedSemaphore] = {}
_lock = threading.Lock()


@contextmanager
def door(hops: Sequence[Settings]) -> Iterator[None]:
    """Wait for room at the first of several hops, and take it until the login is over."""
    if len(hops) < 2:
        yield
        return
    with _lock:
        place = (hops[0].hostname, hops[0].port)
        room = _rooms.setdefault(place, threading.BoundedSemaphore(AT_A_TIME))
    with room:
        yield
