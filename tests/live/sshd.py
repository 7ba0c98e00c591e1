"""A plain sshd of our own on a loopback address, and what it takes to log in to it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PORT = 2231


def keygen(path: Path, *args: str, passphrase: str = "") -> Path:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", path.name, "-f", path, *args],
        check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return path


def print_of(key: Path) -> str:
    listed = subprocess.run(
        ["ssh-keygen", "-lf", f"{key}.pub"], check=True, capture_output=True, text=True
    )
    return listed.stdout.split()[1]


def public(key: Path) -> str:
    return " ".join(Path(f"{key}.pub").read_text().split()[:2])


@dataclass
class Sshd:
    """One running sshd; every key in ``authorized`` may log in as any user."""

    address: str
    home: Path
    port: int = PORT
    extra: str = ""
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.host_key = keygen(self.home / f"host-{self.address}")
        self.authorized = self.home / f"authorized-{self.address}"
        self.authorized.touch(mode=0o644)

    @property
    def known(self) -> str:
        return f"[{self.address}]:{self.port} {public(self.host_key)}\n"

    def start(self) -> Sshd:
        config = self.home / f"sshd-{self.address}.conf"
        config.write_text(
            f"ListenAddress {self.address}\nPort {self.port}\nHostKey {self.host_key}\n"
            f"AuthorizedKeysFile {self.authorized}\nStrictModes no\nUsePAM no\nPidFile none\n"
            f"PermitRootLogin yes\nAllowAgentForwarding yes\n{self.extra}\n"
        )
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with socket.socket() as probe:
            assert probe.connect_ex((self.address, self.port)), "somebody else listens there"
        self.process = subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-f", config, "-E", self.home / f"log-{self.address}"],
            env={"PATH": os.environ["PATH"]},
        )
        end = time.monotonic() + 10
        while time.monotonic() < end:
            assert self.process.poll() is None, (self.home / f"log-{self.address}").read_text()
            with socket.socket() as probe:
                if not probe.connect_ex((self.address, self.port)):
                    return self
            time.sleep(0.02)
        raise AssertionError(f"sshd on {self.address} did not come up")

    def sessions(self) -> list[int]:
        """The processes that serve connections: the listener's children."""
        assert self.process
        pid = self.process.pid
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(child) for child in listed.split()]

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)


def make_home() -> Path:
    """A directory that every user can look into, as sshd reads a user's keys as that user."""
    home = Path(tempfile.mkdtemp(prefix="hcssh-"))
    home.chmod(0o755)
    return home


def remove_home(home: Path) -> None:
    shutil.rmtree(home)
