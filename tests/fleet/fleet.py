"""A fleet on loopback: started, and described as an auditor finds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import yaml

from tests.fleet.faults import Fault
from tests.live.sshd import keygen, public

__all__ = ["PORT", "Fault", "Fleet", "Member"]

PORT = 2222


@dataclass(frozen=True, slots=True)
class Member:
    """One host: what it answers from, and what is wrong with it.

    :param recording: the name of one in tests/recordings, or a path to a file.
    """

    recording: str = "plain"
    fault: Fault = field(default_factory=Fault)


class Fleet:
    """Hosts by name, in a process that ends with this one. Use as a context manager.

    Attributes: .addresses (by name); .key, .known_hosts, .ssh_config, .inventory (paths for
    auditors; every name is an alias in ssh_config).
    """

    def __init__(self, folder: Path, members: Mapping[str, Member]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.key, self.host_key = keygen(folder / "key"), keygen(folder / "host_key")
        self.known_hosts, self.ssh_config = folder / "known_hosts", folder / "ssh_config"
        self.inventory = folder / "inventory.yml"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fleet.server"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            self.addresses = dict(zip(members, self._order(members), strict=True))
        except BaseException:
            self.close()
            raise
        self._describe()

    def _order(self, members: Mapping[str, Member]) -> list[str]:
        assert self._process.stdin and self._process.stdout
        order = {
            "host_key": str(self.host_key),
            "authorized": f"{self.key}.pub",
            "hosts": [asdict(each) for each in members.values()],
        }
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        addresses: list[str] = json.loads(self._process.stdout.readline() or "[]")
        return addresses

    def _describe(self) -> None:
        """Write an auditor's files, a line or block for every host as a real one has them."""
        key = public(self.host_key)
        self.known_hosts.write_text(
            "".join(f"[{address}]:{PORT} {key}\n" for address in self.addresses.values())
        )
        common = (
            f"  Port {PORT}\n  User root\n  IdentityFile {self.key}\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {self.known_hosts}\n  GlobalKnownHostsFile none\n"
        )
        blocks = (f"Host {name}\n  HostName {where}\n" for name, where in self.addresses.items())
        self.ssh_config.write_text(f"{''.join(blocks)}Host *\n{common}")
        self.inventory.write_text(
            yaml.safe_dump(
                {
                    "defaults": {"ssh_config": str(self.ssh_config)},
                    "hosts": {name: {} for name in self.addresses},
                }
            )
        )

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    def cpu(self) -> float:
        """Return the CPU seconds that the server has used so far."""
        values = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End the server."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
