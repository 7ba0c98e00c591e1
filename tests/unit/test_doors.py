"""A jump host is not stormed; hosts of their own never wait for each other."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from hullcheck.transport.doors import AT_A_TIME, door
from hullcheck.transport.ssh_config import Settings


def hop(name: str) -> Settings:
    return Settings(name, name, 22, "root")


@pytest.mark.parametrize(("jump", "most"), [(True, AT_A_TIME), (False, 10)])
def test_how_many_log_in_at_a_time(jump: bool, most: int) -> None:
    inside, seen, lock = [0], [0], threading.Lock()
    together = threading.Barrier(most)

    def log_in(number: int) -> None:
        hops = [hop("bastion")] if jump else []
        with door([*hops, hop(f"web{number}")]):
            with lock:
                inside[0] += 1
                seen[0] = max(seen[0], inside[0])
            if number < most:
                together.wait(10)
            with lock:
                inside[0] -= 1

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(log_in, range(10)))
    assert seen[0] == most
