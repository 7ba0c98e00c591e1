"""Hosts made of a few processes, files of configuration and mounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testinfra.host import Host

from hullcheck.control import control_of
from hullcheck.facts.docker.search import PROGRAMS
from hullcheck.facts.kernel import RELEASE, STATE, VULNERABILITIES
from hullcheck.facts.podman.places import END
from hullcheck.facts.processes import CGROUP, SPACES, STATUS, TIMES
from hullcheck.facts.services import BOOTED, LINKS, UNIT_FILES, UNITS
from hullcheck.facts.texts import sweep
from hullcheck.facts.way import FORMAT
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.transport import Evidence, Session, Want, host_of, read, session_of
from hullcheck.verdict import Verdict
from tests.unit.fake import Reply
from tests.unit.fake import _evidence as evidence

SYS_TIME, SYS_ADMIN, EVERY = 1 << 25, 1 << 21, (1 << 41) - 1
NO_FILE = "No such file or directory"
MOUNTS = (
    "20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n22 20 0:21 / /proc rw - proc proc rw\n"
    "23 20 0:22 / /run rw - tmpfs tmpfs rw\n"
)


@dataclass
class Proc:
    """A process. exe: empty if only root sees it."""

    pid: int
    exe: str
    comm: str = ""
    argv: Sequence[str] = ()
    uid: int = 0
    caps: int = EVERY
    bounding: int = EVERY
    cgroup: str = ""
    ppid: int = 1
    nspid: str = ""
    mnt: int = 200
    user: int = 4
    name: str = ""

    @property
    def lines(self) -> dict[str, str]:
        name = self.comm or self.exe.rpartition("/")[2][:15]
        cgroup = self.cgroup or f"/system.slice/{name}.service"
        status = {
            "Name": name, "State": "S (sleeping)", "Tgid": self.pid, "PPid": self.ppid,
            "TracerPid": 0, "Uid": "\t".join([str(self.uid)] * 4), "Gid": "0\t0\t0\t0",
            "Groups": "", "NSpid": self.nspid or self.pid, "Threads": 1, "CapInh": "0" * 16,
            "CapPrm": f"{self.caps:016x}", "CapEff": f"{self.caps:016x}",
            "CapBnd": f"{self.bounding:016x}", "CapAmb": "0" * 16, "NoNewPrivs": 0, "Seccomp": 0,
        }  # fmt: skip
        own = {"cgroup": 1, "ipc": 2, "mnt": self.mnt, "net": 9, "pid": 3, "user": self.user}
        return {
            STATUS.command: "".join(f"{self.pid}/status:{k}:\t{v}\n" for k, v in status.items()),
            CGROUP.command: f"{self.pid}/cgroup:0::{cgroup}\n",
            TIMES.command: f"{self.pid}/stat:{self.pid} (x) S 1 {'0 ' * 17}100000 0\n",
            SPACES.command: "".join(f"{self.pid}/ns/{k} 4:{v}\n" for k, v in own.items()),
        }


INIT = Proc(1, "/usr/lib/systemd/systemd", cgroup="/init.scope", ppid=0)


def conf_reply(files: Mapping[str, str], denied: Sequence[str] = ()) -> Reply:
    """Return what a sweep of conf_files says of these files; denied are directories."""
    listed = [f"= 0 644 {len(text)} {path}" for path, text in files.items()]
    lines = [f"{path}:{line}" for path, text in files.items() for line in text.splitlines()]
    told = "".join(f"{line}\n" for line in [*listed, *lines, END])
    return 0, told, "".join(f"find: '{path}': Permission denied\n" for path in denied)


class Wire:
    """Answers what is given; of a file's place, that it is there if it is among ``there``."""

    def __init__(self, answers: Mapping[str, Reply], there: Mapping[str, str]) -> None:
        self._answers, self._there = answers, there

    def perform(self, wants: Sequence[Want]) -> list[Evidence]:
        return [evidence(each.command, self._reply(each.command)) for each in wants]

    def _reply(self, command: str) -> Reply:
        if command in self._answers:
            return self._answers[command]
        path = command.rpartition(" ")[2]
        if command.startswith(("stat -c", "stat -L -c")) and FORMAT in command:
            mode = self._there.get(path)
            if mode is None and not any(
                each.startswith(f"{path.rstrip('/')}/") for each in self._there
            ):
                return 1, "", f"stat: cannot statx '{path}': {NO_FILE}\n"
            return f"{mode or '41ed'} 0 0 9 1700000000 1 {abs(hash(path)) % 9999} 1 root:root\n"
        if command.startswith("getfacl"):
            return "user::rw-\ngroup::r--\nother::---\n"
        return 127, "", f"sh: {command[:40]}: not found\n"

    def close(self) -> None:
        pass


def host_running(
    procs: Sequence[Proc] = (),
    also: Mapping[str, Reply] | None = None,
    mounts: str = MOUNTS,
    there: Mapping[str, str] | None = None,
    seeds: Mapping[str, Any] | None = None,
    units: str = "",
    boot: str = "quiet",
    init: Proc = INIT,
    systemd: bool = True,
) -> Host:
    """Return a host. there: files with their raw modes (``81a4``: a plain 0644 one)."""
    everyone = [init, *procs]
    answers: dict[str, Reply] = {
        command: "".join(each.lines[command] for each in everyone) for command in init.lines
    }
    answers[TIMES.command] = f"stat:btime 1700000000\n{answers[TIMES.command]!s}"
    links = "".join(f"'/proc/{p.pid}/exe' -> '{p.exe}'\n" for p in everyone if p.exe)
    answers |= {
        PROGRAMS.command: (1, links),
        "cat /proc/1/mountinfo 2>/dev/null || cat /proc/self/mountinfo": mounts,
        BOOTED.command: "/run/systemd/system\n" if systemd else (1, "", f"stat: x: {NO_FILE}"),
        UNITS.command: units, UNIT_FILES.command: "", LINKS.command: (1, ""),
        sweep(STATE).command: (2, f"/proc/cmdline:{boot}\n"),
        RELEASE.command: "6.1.0-28-amd64\n", VULNERABILITIES.command: (2, ""),
    }  # fmt: skip
    for each in everyone:
        answers[read(f"/proc/{each.pid}/cmdline").command] = "".join(
            f"{word}\0" for word in each.argv or (each.exe,)
        )
    host = host_of(Session(Wire({**answers, **(also or {})}, there or {})), "fake", "fake")
    for name, value in (seeds or {}).items():
        session_of(host).recall(("provider", name), lambda value=value: value)  # type: ignore[misc]
    return host


def judged(test: object, host: Host, **policy: Any) -> Verdict:
    """Judge a control."""
    control = control_of(test)
    assert control is not None
    return judge(control, host, Site("h", Policy(**policy)))


def said(test: object, host: Host, **policy: Any) -> str:
    return str(judged(test, host, **policy).status)
