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
from hullcheck.transport.sudo import Gate, Sudo
from hullcheck.transport.want import Unreachable

__all__ = ["LocalShell", "run"]

CHUNK = 65536

PATIENCE = 2.0
"""Seconds for a process to be gone once it has nothing left to say, or has been killed."""


class LocalShell:
    """``/bin/sh -s`` on this machine, as this user or through sudo.

    :param prefix: a program that starts it somewhere else, in a container or a directory.
    """

    def __init__(
        self, sudo: Sudo | None = None, prefix: Sequence[str] = (), name: str = "localhost"
    ) -> None:
        self._sudo = sudo
        self._prefix = prefix
        self._name = name

    def stream(self, script: bytes, sink: Sink) -> None:
        """Run a script here. See :class:`hullcheck.transport.batch.Shell`.

        :raises Unreachable: sudo refused.
        """
        gate = Gate(script, sink, self._sudo, self._name)
        try:
            run([*self._prefix, *gate.argv], gate)
        except FileNotFoundError as error:
            if self._sudo is None or self._prefix:
                raise Unreachable(
                    "shell", f"{self._name}: there is no {error.filename} on this machine"
                ) from error
            sink.err(f"{error.filename}: not found".encode())
        gate.conclude()

    def close(self) -> None:
        """There is no connection to close."""


def run(argv: Sequence[str], gate: Gate) -> int | None:
    """Run a program with a gate at its three pipes, in a session of its own.

    :returns: its exit code; None if it had to be killed.
    """
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        bufsize=0,
    )
    code: int | None = None
    try:
        whole = _pump(process, gate)
        if whole and not gate.finished:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(PATIENCE)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        for pipe in (process.stdin, process.stdout, process.stderr):
            assert pipe
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        # What sudo started cannot be killed by us; it must not hold us up either.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
    return code


def _pump(process: subprocess.Popen[bytes], gate: Gate) -> bool:
    """Write what a gate has and give it what comes, all three pipes at once.

    :returns: whether both outputs came to their end.
    """
    assert process.stdin and process.stdout and process.stderr
    left = memoryview(b"")
    takers: dict[int, Callable[[bytes], None]] = {
        process.stdout.fileno(): gate.out,
        process.stderr.fileno(): gate.err,
    }
    os.set_blocking(process.stdin.fileno(), False)
    writing = False
    with selectors.DefaultSelector() as selector:
        for descriptor in takers:
            selector.register(descriptor, selectors.EVENT_READ)
        while takers and not gate.finished and time.monotonic() < gate.deadline:
            left = left or memoryview(gate.take())
            if left and not writing:
                selector.register(process.stdin, selectors.EVENT_WRITE)
                writing = True
            for key, _ in selector.select(max(0.0, gate.deadline - time.monotonic())):
                if key.fileobj is process.stdin:
                    left = _write(process, left)
                    if not left:
                        selector.unregister(process.stdin)
                        writing = False
                        if gate.everything_taken:
                            process.stdin.close()
                    continue
                data = os.read(key.fd, CHUNK)
                if data:
                    takers[key.fd](data)
                else:
                    selector.unregister(key.fd)
                    del takers[key.fd]
    return not takers


def _write(process: subprocess.Popen[bytes], left: memoryview) -> memoryview:
    assert process.stdin
    try:
        return left[os.write(process.stdin.fileno(), left[:CHUNK]) :]
    except BlockingIOError:
        return left
    except BrokenPipeError:
        return left[:0]
