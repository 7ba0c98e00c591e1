"""The server's process: reads of whom on its standard input, serves until that closes."""

from __future__ import annotations

import asyncio
import errno
import gc
import json
import os
import shlex
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from hullcheck.transport.recording import load
from tests.fleet.answers import Answers
from tests.fleet.faults import Fault, relay
from tests.fleet.shell import Script

PORT, BEHIND = 2222, 2223
"""Where hosts listen, and where those do that have a network with faults before them."""

NETWORKS = range(64, 127)
RECORDINGS = Path(__file__).parents[1] / "recordings"
ZEROS = bytes(1 << 20)

ALGORITHMS: dict[str, Any] = {
    "kex_algs": ["curve25519-sha256", "curve25519-sha256@libssh.org"],
    "encryption_algs": ["aes128-ctr", "aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"],
    "mac_algs": ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-256"],
    "compression_algs": ["none"],
}
"""A few that every OpenSSH has, so that the auditor pays for what it would pay for there."""


@dataclass(frozen=True, slots=True)
class Host:
    """What answers on one address."""

    answers: Answers
    fault: Fault


class Login(asyncssh.SSHServer):
    """One connection; whom it is for, its address says."""

    def __init__(self, hosts: dict[str, Host], authorized: asyncssh.SSHKey) -> None:
        self._hosts = hosts
        self._authorized = authorized

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Note which host was reached."""
        self._host = self._hosts[conn.get_extra_info("sockname")[0]]

    def public_key_auth_supported(self) -> bool:
        """Keys are how one logs in."""
        return True

    def validate_public_key(self, _: str, key: asyncssh.SSHKey) -> bool:
        """Let in who has the key, unless nobody is let in."""
        return not self._host.fault.refuse and key == self._authorized

    def session_requested(self) -> Session:
        """Return a session of the host."""
        return Session(self._host)


class Session(asyncssh.SSHServerSession[bytes]):
    """One channel: a shell that takes scripts, or a single command."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._script: Script | None = None
        self._ready = b""

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """Note the channel."""
        self._chan = chan

    def exec_requested(self, command: str) -> bool:
        """Take a program to start: a shell, one through sudo, or any other command."""
        self._command = command
        return True

    def session_started(self) -> None:
        """Begin to answer."""
        words = shlex.split(self._command) if self._command.startswith("sudo ") else []
        if words[1:2] == ["-S"]:
            prompt = words[words.index("-p") + 1]
            self._ready = words[-1].split()[1].rstrip(";").encode()
            self._chan.write_stderr(prompt.encode())
        if self._command.endswith("/bin/sh -s") or self._ready:
            self._script = Script(self._host.answers)
            if self._host.fault.flood:
                self._flood()
        elif not self._host.fault.mute:
            reply, mark = self._host.answers.reply(self._command.encode())
            self._chan.write(reply.stdout(mark))
            self._chan.write_stderr(reply.stderr)
            self._chan.exit(reply.code)

    def data_received(self, data: bytes, _: object) -> None:
        """Answer what is whole by now of a script; the first line may be sudo's password."""
        if self._ready and b"\n" in data:
            self._chan.write_stderr(self._ready + b"\n")
            self._ready, data = b"", data.partition(b"\n")[2]
        if self._script and not self._host.fault.mute and not self._host.fault.flood:
            out, err = self._script.feed(data)
            self._chan.write(out)
            self._chan.write_stderr(err)

    def eof_received(self) -> bool:
        """End as a shell does at the end of its input."""
        if self._script:
            self._chan.exit(0)
        return True

    def _flood(self) -> None:
        """Write for as long as somebody reads."""
        if not self._chan.is_closing():
            if self._chan.get_write_buffer_size() < len(ZEROS):
                self._chan.write(ZEROS)
                self._chan.write_stderr(ZEROS)
            asyncio.get_running_loop().call_later(0.01, self._flood)


def bound(count: int) -> list[socket.socket]:
    """Return sockets on as many addresses of a network of its own that nobody else uses."""
    start = os.getpid() % len(NETWORKS)
    for step in range(len(NETWORKS)):
        network = NETWORKS[(start + step) % len(NETWORKS)]
        sockets: list[socket.socket] = []
        try:
            for number in range(count):
                address = f"127.{network}.{number // 250}.{number % 250 + 1}"
                sockets.append(listening(address, PORT))
        except OSError as error:
            for each in sockets:
                each.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return sockets
    raise SystemExit("every network from 127.64.0.0/16 to 127.126.0.0/16 is taken")


def listening(address: str, port: int) -> socket.socket:
    """Return a listening socket."""
    made = socket.socket()
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        made.listen(256)
    except OSError:
        made.close()
        raise
    return made


async def serve(order: dict[str, Any], sockets: list[socket.socket]) -> None:
    """Serve the hosts that were ordered until standard input ends."""
    known: dict[str, Answers] = {}
    hosts: dict[str, Host] = {}
    authorized = asyncssh.read_public_key(order["authorized"])
    options = await asyncssh.SSHServerConnectionOptions.construct(
        None, server_factory=lambda: Login(hosts, authorized), encoding=None, login_timeout=60,
        server_host_keys=[order["host_key"]], **ALGORITHMS,
    )  # fmt: skip
    for each, front in zip(order["hosts"], sockets, strict=True):
        recording, fault = each["recording"], Fault(**each["fault"])
        if recording not in known:
            known[recording] = _answers(recording)
        address = front.getsockname()[0]
        hosts[address] = Host(known[recording], fault)
        own = listening(address, BEHIND) if fault.of_the_network else front
        if own is not front:
            await relay(front, BEHIND, fault)
        await asyncssh.listen(sock=own, options=options)
    gc.collect()
    gc.freeze()
    print(json.dumps([each.getsockname()[0] for each in sockets]), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def _answers(recording: str) -> Answers:
    """Read a recording: a file of tests/recordings, by its name, or any other."""
    name = Path(recording)
    return Answers(load(name if name.suffix else RECORDINGS / f"{recording}.jsonl.gz"))


def main() -> None:
    """Serve what standard input says."""
    order = json.loads(sys.stdin.readline())
    asyncio.run(serve(order, bound(len(order["hosts"]))))


if __name__ == "__main__":
    main()
