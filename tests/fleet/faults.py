"""What may be wrong with a host of the fleet, and with the network before it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass

__all__ = ["Fault", "relay"]


@dataclass(frozen=True, slots=True)
class Fault:
    """The faults of one host; none by default.

    :param delay: seconds of round trip.
    :param drop: bytes to the auditor after which every connection is cut; 0: never.
    :param silent: it accepts connections and never says a word.
    :param babble: it sends lines without end where its greeting should be.
    :param refuse: it lets nobody in.
    :param mute: a shell starts and never answers.
    :param flood: a shell answers with zeros without end, on both streams.
    """

    delay: float = 0.0
    drop: int = 0
    silent: bool = False
    babble: bool = False
    refuse: bool = False
    mute: bool = False
    flood: bool = False

    @property
    def of_the_network(self) -> bool:
        """Whether a relay is needed before the host."""
        return bool(self.delay or self.drop or self.silent or self.babble)


async def relay(front: socket.socket, port: int, fault: Fault) -> asyncio.Server:
    """Serve an address with its network's faults; behind it the host listens on another port."""
    address = front.getsockname()[0]

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            if fault.silent:
                await reader.read()
            elif fault.babble:
                await _babble(writer)
            else:
                onward, back = await asyncio.open_connection(address, port)
                await asyncio.gather(
                    _pass_on(reader, back, fault.delay / 2, 0),
                    _pass_on(onward, writer, fault.delay / 2, fault.drop),
                )
                return
        writer.transport.abort()

    return await asyncio.start_server(connected, sock=front)


async def _babble(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"welcome\r\n" * 1000)
        await writer.drain()


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float, drop: int
) -> None:
    """Write chunks as they come, each when its time has come, until as many bytes as may pass."""
    loop = asyncio.get_running_loop()
    passed = 0
    try:
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(65536):
                passed += len(chunk)
                if drop and passed > drop:
                    break
                loop.call_later(delay, _write, writer, chunk)
    finally:
        loop.call_later(delay, writer.transport.abort)


def _write(writer: asyncio.StreamWriter, chunk: bytes) -> None:
    if not writer.transport.is_closing():
        writer.write(chunk)
