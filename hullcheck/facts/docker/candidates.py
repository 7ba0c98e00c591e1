"""Processes that may be a Docker daemon, and what they answer when asked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from hullcheck.facts.processes import Process
from hullcheck.transport import Answer

__all__ = [
    "HELPERS", "Found", "Reply", "containers_of", "dockerish", "internal", "parse_pid_files",
    "parse_programs", "program_name", "reply_of",
]  # fmt: skip

_PROGRAM = re.compile(r"['\"`]/proc/(\d{1,9})/exe['\"] -> ['\"`](.*)['\"]")
_CONTAINER = re.compile(r"(?:^|[/-])([0-9a-f]{64})(?:\.scope)?(?=/|$)")
_INTERNAL = ("/libnetwork/", "/containerd/", "/plugins/", "/metrics.sock")
HELPERS = ("containerd", "docker-proxy", "rootlesskit", "runc", "slirp4netns", "systemd")


@dataclass(frozen=True, slots=True)
class Found:
    """A process that may be a daemon, and where it listens."""

    pid: int | None
    program: str
    unix: tuple[str, ...]
    tcp: tuple[str, ...] | None
    inodes: frozenset[int] = frozenset()

    @property
    def named(self) -> bool:
        """Whether its program is a dockerd by name."""
        return program_name(self.program).startswith("dockerd")

    @property
    def address(self) -> str:
        """Where to ask it: its most likely API socket, else its first TCP listener, else ""."""
        api = [path for path in self.unix if not any(part in path for part in _INTERNAL)]
        likely = sorted(api, key=lambda path: (not dockerish(path), path))
        return f"unix://{likely[0]}" if likely else next(iter(self.tcp or ()), "")

    @property
    def inner(self) -> str:
        """Its address as it is in its own root, for one that may be in a container."""
        if not self.address.startswith("unix:///"):
            return self.address
        return f"unix:///proc/{self.pid}/root{self.address.removeprefix('unix://')}"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came when a socket was asked for a version: whether a server spoke, or access was
    denied."""

    parsed: object
    spoke: bool
    denied: bool


def containers_of(process: Process) -> set[str]:
    return {each for path in process.cgroups.values() for each in _CONTAINER.findall(path)}


def parse_programs(answer: Answer) -> dict[int, str]:
    """Return pid -> path of its program, of all that could be seen."""
    pairs = (_PROGRAM.fullmatch(line) for line in answer.text.splitlines())
    return {int(pair[1]): pair[2] for pair in pairs if pair}


def parse_pid_files(text: str) -> Iterable[tuple[int, str]]:
    for line in text.splitlines():
        pid, _, path = line.partition(" ")
        if re.fullmatch(r"[0-9]{1,9}", pid):
            yield int(pid), path


def program_name(path: str) -> str:
    return path.removesuffix(" (deleted)").rpartition("/")[2]


def dockerish(path: str) -> bool:
    return "docker" in program_name(path)


def internal(path: str) -> bool:
    """Whether a path is that of a socket which every dockerd has for itself, wherever it keeps
    its state (moby, daemon/metrics_unix.go and libnetwork/sandbox_externalkey_unix.go)."""
    folder, _, name = path.rpartition("/")
    return name == "metrics.sock" or folder.endswith("/libnetwork")


def reply_of(answer: Answer) -> Reply:
    try:
        parsed = json.loads(answer.text)
    except (ValueError, RecursionError):
        parsed = None
    spoke = isinstance(parsed, dict) and bool(parsed.get("Server", parsed))
    return Reply(parsed, spoke, "ermission denied" in answer.evidence.stderr.decode("latin-1"))
