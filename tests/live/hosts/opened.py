"""Which files were opened: running a program opens it, whoever does and in whatever container."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

IN_OPEN = 0x20
EVENT = struct.Struct("iIII")


class Opened:
    """Watches files by their inodes (inotify(7)), so under every name and through every mount.

    Use as a context manager around what may open them.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._files = {self._watch(file): file for file in files}

    def _watch(self, file: Path) -> int:
        number: int = self._libc.inotify_add_watch(self._fd, os.fsencode(file), IN_OPEN)
        if number < 0:
            raise OSError(ctypes.get_errno(), "cannot be watched", str(file))
        return number

    def so_far(self) -> set[Path]:
        """Return the files opened since the last call."""
        try:
            events = os.read(self._fd, 1 << 20)
        except BlockingIOError:
            return set()
        return {self._files[number] for number in _watches(events)}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._fd)


def _watches(events: bytes) -> Iterable[int]:
    at = 0
    while at < len(events):
        number, _, _, length = EVENT.unpack_from(events, at)
        yield number
        at += EVENT.size + length
