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

__all__ = ["LocalShell", "Program"]

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
        self._program = Program()

    def stream(self, script: bytes, sink: Sink) -> None:
        """Run a script here. See :class:`hullcheck.transport.batch.Shell`.

        :raises Unreachable: sudo refused.
        """
        gate = Gate(script, sink, None if self._program.kept else self._sudo, self._name)
        try:
            self._program.run([*self._prefix, *gate.argv], gate)
        except FileNotFoundError as error:
            if self._sudo is None or self._prefix:
                raise Unreachable(
                    "shell", f"{self._name}: there is no {error.filename} on this machine"
                ) from error
            sink.err(f"{error.filename}: not found".encode())
        gate.conclude()

    def close(self) -> None:
        """End the shell."""
        self._program.end()


class Program:
    """A shell's process, in a session of its own, kept from one script to the next."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def kept(self) -> bool:
        """Whether it waits for another script."""
        return self._process is not None and self._process.poll() is None

    def run(self, argv: Sequence[str], gate: Gate) -> int | None:
        """Run a script, with a gate at the three pipes of the process kept or of a new one.

        It is kept only if the script ran to its end.

        :returns: the exit code of a process that ended by itself; None of any other.
        """
        if not self.kept:
            self.end()
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                bufsize=0,
            )
        process = self._process
        assert process
        code: int | None = None
        whole = False
        try:
            ended = _pump(process, gate)
            whole = gate.whole
            if ended and not gate.finished:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = process.wait(PATIENCE)
        finally:
            if not whole:
                self.end()
        return code

    def end(self) -> None:
        """Kill it, with all that it started."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        for pipe in (process.stdin, process.stdout, process.stderr):
            assert pipe
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        # What sudo started cannot be killed by us; it must not hold us up either.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)


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
