"""What a process and all that it starts cost: time, processor and memory."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Cost", "measured"]

SAMPLE_SECONDS = 0.25
SMALL = 16 * 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """What a command cost.

    :param cpu: seconds of it and its children, user and system.
    :param memory: the most that all held at one time, in MB: what is shared counts once (PSS).
    :param highest: the most that each process ever held by itself, in MB (VmHWM), the parent
        first; small helpers are left out.
    """

    code: int
    wall: float
    cpu: float
    memory: float
    highest: tuple[float, ...]


def measured(argv: Sequence[str], log: Path) -> Cost:
    """Run a command to its end, its output into a file, and measure it."""
    begun = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    watch = _Watch(process.pid)
    watch.start()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    watch.stop()
    return Cost(
        process.returncode, wall, usage.ru_utime + usage.ru_stime, watch.most / 1024,
        tuple(each / 1024 for each in watch.highest.values() if each > SMALL),
    )  # fmt: skip


class _Watch(threading.Thread):
    """Looks at the memory of a process and its descendants now and then."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.most = 0
        self.highest: dict[int, int] = {}
        self._pid = pid
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            together = 0
            for pid in _family(self._pid):
                together += _kilobytes(f"/proc/{pid}/smaps_rollup", "Pss")
                high = _kilobytes(f"/proc/{pid}/status", "VmHWM")
                self.highest[pid] = max(high, self.highest.get(pid, 0))
            self.most = max(self.most, together)

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self.join()


def _family(pid: int) -> list[int]:
    """Return a process and its descendants; children may hang on any of its threads."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text().split():
                found += _family(int(child))
    return found


def _kilobytes(file: str, field: str) -> int:
    with contextlib.suppress(OSError):
        if match := re.search(rf"^{field}:\s+(\d+) kB", Path(file).read_text(), re.MULTILINE):
            return int(match[1])
    return 0
