"""Shells over our own paramiko connection."""

from __future__ import annotations

import contextlib
import queue
import selectors
import threading
import time

import paramiko

from hullcheck.transport.batch import Lost, Sink
from hullcheck.transport.doors import door
from hullcheck.transport.paramiko_link import Link
from hullcheck.transport.ssh_config import resolve, route
from hullcheck.transport.sudo import Gate, Sudo
from hullcheck.transport.target import Target
from hullcheck.transport.want import Unreachable

__all__ = ["ParamikoShell"]

CHUNK = 65536
CHANNEL_SECONDS = 30.0

LOOK_AGAIN = 0.05
"""Seconds after which a channel is looked at unasked: paramiko's pipe that stands for both of its
streams is not locked (pipe.OrPipe), and now and then does not tell of what has come on one."""


class ParamikoShell:
    """``/bin/sh -s`` on a host, over one connection and, while all goes well, one channel."""

    def __init__(self, target: Target, sudo: Sudo | None, timeout: float | None) -> None:
        self._target = target
        self._sudo = sudo
        self._timeout = timeout
        self._link: Link | None = None
        self._channel: paramiko.Channel | None = None

    def open(self) -> None:
        """Connect, unless connected. :raises Unreachable: why not, and what to do."""
        if self._link is not None and self._link.transport.is_active():
            return
        self.close()
        hops = route(resolve(self._target))
        with door(hops):
            self._link = Link(hops, self._timeout, self._target.password)

    def close(self) -> None:
        """Close the connection, and those it goes through."""
        link, self._link, self._channel = self._link, None, None
        if link is not None:
            link.close()

    def stream(self, script: bytes, sink: Sink) -> None:
        """Run a script on the host. See :class:`hullcheck.transport.batch.Shell`."""
        self.open()
        kept, self._channel = self._channel, None
        if kept is not None and (kept.closed or kept.eof_received):
            kept = None
        gate = Gate(script, sink, None if kept else self._sudo, self._target.name)
        try:
            channel = kept or self._start(gate.command)
            try:
                _pump(channel, gate)
            finally:
                if sink.whole:
                    self._channel = channel
                else:
                    channel.close()
        except Lost:
            self.close()
            raise
        if not sink.started:
            self.close()
        gate.conclude()

    def _start(self, command: str) -> paramiko.Channel:
        assert self._link
        transport = self._link.transport
        try:
            channel = transport.open_session(timeout=CHANNEL_SECONDS)
            channel.exec_command(command)
        except paramiko.ChannelException as error:
            raise Unreachable(
                "shell", f"{self._target.name}: the server opens no session: {error.text}"
            ) from error
        except Exception as error:  # whatever a hostile server makes paramiko raise
            if transport.is_active() and "closed" in str(error):
                raise Unreachable(
                    "shell", f"{self._target.name}: the server does not run commands"
                ) from error
            raise Lost(str(error) or "no reply") from error
        return channel


def _pump(channel: paramiko.Channel, gate: Gate) -> None:
    """Write what a gate has and give it what comes, until it has all or its time is up."""
    outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    writer = threading.Thread(target=_write, args=(channel, outbox), daemon=True)
    writer.start()
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(channel.fileno(), selectors.EVENT_READ)
            _submit(gate, outbox)
            while not gate.finished and time.monotonic() < gate.deadline:
                selector.select(min(LOOK_AGAIN, max(0.0, gate.deadline - time.monotonic())))
                ended = channel.eof_received or channel.closed
                if not _drain(channel, gate) and ended:
                    break
                _submit(gate, outbox)
    finally:
        outbox.put(None)
    if not gate.finished and channel.closed and not channel.eof_received:
        raise Lost("the server hung up")


def _submit(gate: Gate, outbox: queue.SimpleQueue[bytes | None]) -> None:
    """Pass on what is to be written."""
    data = gate.take()
    if data:
        outbox.put(data)


def _drain(channel: paramiko.Channel, gate: Gate) -> bool:
    """Read what is there; return whether there was anything."""
    found = False
    while channel.recv_ready() and not gate.finished:
        gate.out(channel.recv(CHUNK))
        found = True
    while channel.recv_stderr_ready() and not gate.finished:
        gate.err(channel.recv_stderr(CHUNK))
        found = True
    return found


def _write(channel: paramiko.Channel, outbox: queue.SimpleQueue[bytes | None]) -> None:
    """Write to a channel whose window may be shut, which only a thread can wait for."""
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
        while (data := outbox.get()) is not None:
            channel.sendall(data)
