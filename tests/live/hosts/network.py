"""Loopback addresses and docker0: things of the machine that one host at a time may hold."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from pathlib import Path

LOCKS = Path("/run/lock/hullcheck-live")
NETWORK = Path("/proc/self/ns/net")


class Busy(RuntimeError):
    """Somebody else holds what was asked for."""


def lock(name: str, patience: float = 0) -> int:
    """Return an open descriptor that holds this lock until every copy of it is closed.

    A network beside the machine's own (tests/live/apart) has locks of its own.
    Raises Busy when another has held it for all of patience, in seconds.
    """
    LOCKS.mkdir(parents=True, exist_ok=True)
    path = LOCKS / f"{NETWORK.stat().st_ino}-{name}"
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(held)
                raise Busy(f"another live test holds {name}") from None
            time.sleep(0.05)
        else:
            return held


def take_address(wanted: str | None, port: int) -> tuple[str, int]:
    """Lock a loopback address whose port is free; return (address, lock descriptor)."""
    for address in [wanted] if wanted else [f"127.0.0.{last}" for last in range(41, 250)]:
        try:
            held = lock(address)
        except Busy:
            continue
        if not answers(address, port):
            return address, held
        os.close(held)
    raise Busy(f"{wanted or 'every loopback address'} port {port} is taken")


def answers(address: str, port: int) -> bool:
    """Say whether anybody listens there."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((address, port)) == 0
