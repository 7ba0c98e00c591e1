"""How an audit of several hosts is going: a line that moves on a terminal, else a line a host."""

from __future__ import annotations

import time
from typing import TextIO

from hullcheck.report.text import safe
from hullcheck.verdict import HostRecord, Status

__all__ = ["Progress"]

REFRESH_SECONDS = 0.1


class Progress:
    """Tells of an audit while it goes on.

    :param total: how many hosts there are to audit.
    :param stream: where to; usually standard error, as the table goes to standard output.
    """

    def __init__(self, total: int, stream: TextIO) -> None:
        self._total = total
        self._stream = stream
        self._moving = stream.isatty()
        self._begun = time.monotonic()
        self._shown = 0.0
        self._done = self._failing = self._lost = 0

    def __call__(self, record: HostRecord | None, running: int) -> None:
        """Tell of a host that has ended, or only how it goes."""
        if record is not None:
            self._done += 1
            self._failing += Status.FAIL in record.totals
            self._lost += record.status != "audited"
            if not self._moving:
                print(_line(record), file=self._stream, flush=True)
        if self._moving:
            self._show(running)

    def _show(self, running: int) -> None:
        now = time.monotonic()
        if now - self._shown < REFRESH_SECONDS and self._done < self._total:
            return
        self._shown = now
        print(f"\r\x1b[K{self.told(running)}", end="", file=self._stream, flush=True)

    def told(self, running: int) -> str:
        """Return how it goes, in one line."""
        seconds = max(time.monotonic() - self._begun, 0.001)
        parts = [f"{self._done} of {self._total} hosts", f"{running} running"]
        parts += [f"{self._failing} failing"] if self._failing else []
        parts += [f"{self._lost} lost"] if self._lost else []
        if self._done:
            rate = self._done / seconds
            parts.append(f"{rate:.1f} hosts/s" if rate >= 1 else f"{1 / rate:.1f} s a host")
            parts.append(f"{_clock((self._total - self._done) / rate)} left")
        return ", ".join(parts)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._moving:
            print("\r\x1b[K", end="", file=self._stream, flush=True)


def _line(record: HostRecord) -> str:
    counts = ", ".join(f"{count} {status}" for status, count in record.totals.items())
    told = [] if record.status == "audited" else [f"{record.status.upper()}: {record.reason}"]
    return safe(f"{record.name}: {'; '.join([*told, counts] if counts else told)}", 400)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
