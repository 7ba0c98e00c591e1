"""The machine Hullcheck runs on."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

from hullcheck.transport.batch import Sink

__all__ = ["LocalShell", "pump"]

CHUNK = 65536


class LocalShell:
    """``/bin/sh -s`` on this machine, or under ``sudo -n``."""

    def __init__(self, argv: Sequence[str] = ("/bin/sh", "-s")) -> None:
        self._argv = list(argv)

    def stream(self, script: bytes, sink: Sink) -> None:
        """Run a script here. See :class:`hullcheck.transport.batch.Shell`."""
        process = subprocess.Popen(
            self._argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
        with process:
            try:
                pump(process, script, sink)
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)

    def close(self) -> None:
        """There is no connection to close."""


def pump(process: subprocess.Popen[bytes], script: bytes, sink: Sink) -> None:
    """Write a script to a process and its output to a sink, all three pipes at once."""
    assert process.stdin and process.stdout and process.stderr
    left = memoryview(script)
    takers: dict[int, Callable[[bytes], None]] = {
        process.stdout.fileno(): sink.out,
        process.stderr.fileno(): sink.err,
    }
    os.set_blocking(process.stdin.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdin, selectors.EVENT_WRITE)
        for descriptor in takers:
            selector.register(descriptor, selectors.EVENT_READ)
        while takers and not sink.finished and time.monotonic() < sink.deadline:
            for key, _ in selector.select(max(0.0, sink.deadline - time.monotonic())):
                if key.fileobj is process.stdin:
                    left = _write(process, left)
                    if not left:
                        selector.unregister(process.stdin)
                        process.stdin.close()
                    continue
                data = os.read(key.fd, CHUNK)
                if data:
                    takers[key.fd](data)
                else:
                    selector.unregister(key.fd)
                    del takers[key.fd]


def _write(process: subprocess.Popen[bytes], left: memoryview) -> memoryview:
    assert process.stdin
    try:
        return left[os.write(process.stdin.fileno(), left[:CHUNK]) :]
    except BlockingIOError:
        return left
    except BrokenPipeError:
        return left[:0]
