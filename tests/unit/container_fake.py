"""Hosts with one Docker engine and some containers, made of what /proc would say."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from testinfra.host import Host

from hullcheck.control import control_of
from hullcheck.facts.cgroups import limits_want, trees
from hullcheck.facts.confinement import confinement_want
from hullcheck.facts.machine import Machine
from hullcheck.facts.mounts import parse_mountinfo
from hullcheck.facts.process_sweeps import _of_threads
from hullcheck.facts.processes import CGROUP, SPACES, STATUS, TIMES
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.transport import session_of, want
from hullcheck.verdict import Finding
from tests.unit.fake import Reply, host_with

INSPECT = want("inspect")
NAMES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
HOST_SPACES = {name: 4026531830 + number for number, name in enumerate(NAMES)}
HOST_MOUNTS = """\
20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
21 20 0:25 / /run rw shared:5 - tmpfs tmpfs rw
22 20 0:21 / /proc rw - proc proc rw
23 20 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
24 20 0:31 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
25 20 0:32 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
26 20 0:33 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices
"""
OWN_MOUNTS = """\
100 99 0:50 / / ro master:3 - overlay overlay ro
101 100 0:53 / /proc rw - proc proc rw
102 100 0:54 / /dev rw - tmpfs tmpfs rw
103 100 0:56 / /sys ro - sysfs sysfs ro
"""
LIMITS = {
    "memory.limit_in_bytes": "67108864",
    "pids.max": "50",
    "cpu.cfs_quota_us": "50000",
    "cpu.cfs_period_us": "100000",
    "cpu.shares": "512",
    "devices.list": "c 1:3 rwm",
    "cgroup.procs": "100",
}


USUAL = """\
{0}/oom_score_adj:0
{0}/limits:Max open files            1024                 4096                 files
{0}/limits:Max processes             100                  100                  processes
"""


@dataclass
class Fake:
    """A process of a container; ``spaces`` are its own unless told otherwise."""

    pid: int
    container: str = ""
    name: str = "app"
    ppid: int = 50
    uid: int = 1000
    caps: int = 0
    bounding: int = 0
    nnp: int = 1
    seccomp: int = 2
    nested: bool = True
    spaces: dict[str, int] = field(default_factory=dict)
    extra: str = ""
    ticks: int = 5
    root: str = ""
    uid_map: str = "         0     100000      65536"

    def status(self) -> str:
        mask, bounding = f"{self.caps:016x}", f"{self.bounding:016x}"
        nspid = f"{self.pid}\t1" if self.nested else str(self.pid)
        fields = {
            "Name": self.name, "State": "S (sleeping)", "Tgid": self.pid, "PPid": self.ppid,
            "TracerPid": 0, "Uid": "\t".join([str(self.uid)] * 4),
            "Gid": "\t".join([str(self.uid)] * 4), "Groups": self.extra, "NSpid": nspid,
            "CapInh": "0", "CapPrm": mask, "CapEff": mask, "CapBnd": bounding, "CapAmb": "0",
            "NoNewPrivs": self.nnp, "Seccomp": self.seccomp,
            "Seccomp_filters": int(self.seccomp == 2),
        }  # fmt: skip
        return "".join(f"{self.pid}/status:{key}:\t{value}\n" for key, value in fields.items())

    def cgroup(self) -> str:
        path = f"/docker/{self.container}" if self.container else "/system.slice"
        names = ("memory", "pids", "cpu", "devices")
        return "".join(f"{self.pid}/cgroup:{n}:{each}:{path}\n" for n, each in enumerate(names))

    def ns(self) -> str:
        own = {name: self.pid * 100 + number for number, name in enumerate(NAMES)}
        own = (own if self.container else HOST_SPACES) | self.spaces
        root = self.root or (f"7:{self.pid}" if self.container else "8:2")
        lines = [f"{self.pid}/ns/{name} 4:{inode}\n" for name, inode in own.items()]
        return "".join([*lines, f"{self.pid}/root {root}\n"])

    def stat(self) -> str:
        return f"{self.pid}/stat:{self.pid} (x) S 0 " + "0 " * 17 + f"{self.ticks} 0\n"


ALL = (1 << 41) - 1
INIT = Fake(1, name="systemd", ppid=0, uid=0, caps=ALL, bounding=ALL, nnp=0, seccomp=0,
            nested=False)  # fmt: skip
DAEMON = Fake(50, name="dockerd", ppid=1, uid=0, caps=ALL, bounding=ALL, nnp=0, seccomp=0,
              nested=False)  # fmt: skip


def number(name: str) -> str:
    """Return an id made from a name."""
    return (name.encode().hex() * 64)[:64]


def inspect(name: str, pid: int = 0, **parts: Any) -> dict[str, Any]:
    """Return a description; parts: HostConfig values, or Config, State, Mounts … as dicts."""
    whole = {key: parts.pop(key) for key in list(parts) if key in _WHOLE}
    made: dict[str, Any] = {
        "Id": number(name),
        "Name": f"/{name}",
        "State": {"Running": pid > 0, "Pid": pid} | whole.pop("State", {}),
        "HostConfig": parts,
        "Config": whole.pop("Config", {}),
        "Mounts": [],
        "NetworkSettings": {},
    }
    return made | whole


_WHOLE = ("State", "Config", "Mounts", "NetworkSettings", "AppArmorProfile")


class Engine:
    """A rootful engine; attributes are what controls ask of one."""

    def __init__(self, described: list[dict[str, Any]], **settings: Any) -> None:
        self.host: Host
        self.described = described
        self.settings = settings
        self.rootless = bool(settings.get("rootless"))
        self.security_options = settings.get("security_options", {"seccomp": {}})
        self.root_dir, self.pid, self.sockets = "/var/lib/docker", 50, ("/run/docker.sock",)
        self.networks = settings.get("networks", [])
        self.default_bridge = next(iter(self.networks), None)

    @property
    def process(self) -> Any:
        return _processes(self.host).get(50)

    def containers(self) -> list[dict[str, Any]]:
        session_of(self.host).ask(INSPECT)
        return self.described

    def setting(self, name: str) -> Any:
        return SimpleNamespace(value=self.settings.get(name))


def _processes(host: Host) -> Any:
    from hullcheck import facts

    return facts.get(host, "processes")


def fake_host(
    described: list[dict[str, Any]],
    *running: Fake,
    mounts: str = OWN_MOUNTS,
    limits: dict[str, str] | None = None,
    confinement: str = "",
    engine: dict[str, Any] | None = None,
    answers: dict[str, Reply] | None = None,
    seeds: dict[str, Any] | None = None,
) -> Host:
    """Return a host with these containers; the sweeps hold the host's own processes too."""
    everyone = [INIT, DAEMON, *running]
    replies: dict[str, Reply] = {
        STATUS.command: "".join(each.status() for each in everyone),
        CGROUP.command: "".join(each.cgroup() for each in everyone),
        TIMES.command: "".join(each.stat() for each in everyone) + "stat:btime 1\n",
        SPACES.command: "".join(each.ns() for each in everyone),
        "cat /proc/1/mountinfo 2>/dev/null || cat /proc/self/mountinfo": HOST_MOUNTS,
        INSPECT.command: "[]",
    }
    replies |= _asked_again([each for each in everyone if not each.ns()])
    for each in running:
        replies[f"cat /proc/{each.pid}/mountinfo"] = mounts
        replies[f"cat /proc/{each.pid}/uid_map"] = f"{each.uid_map}\n"
        found = trees(parse_mountinfo(HOST_MOUNTS), _cgroups(each))
        known = LIMITS | (limits or {})
        files = [file for tree in found for file in tree.files]
        lines = [f"{file}:{known[file.rpartition('/')[2]]}\n" for file in files
                 if known.get(file.rpartition("/")[2]) and each.container in file]  # fmt: skip
        absent = [f"grep: {file}: No such file or directory\n" for file in files
                  if each.container not in file]  # fmt: skip
        replies[limits_want(found).command] = (2, "".join(lines), "".join(absent))
    groups: dict[str, list[int]] = {}
    for each in running:
        groups.setdefault(each.container, []).append(each.pid)
    for pids in groups.values():
        usual = "".join(USUAL.format(pid) for pid in pids)
        replies[confinement_want(pids).command] = (2, usual + confinement)
    host = host_with(replies | (answers or {}))
    made = Engine(described, **(engine or {}))
    made.host = host
    machine = Machine(1 << 34, 32768)
    known: dict[str, Any] = {"docker": [made], "machine": machine, "bundles": []}
    known |= {"podman_stores": []} | (seeds or {})
    for name, value in known.items():
        session_of(host).recall(("provider", name), lambda value=value: value)  # type: ignore[misc]
    return host


def _asked_again(hidden: list[Fake]) -> dict[str, Reply]:
    """What the threads of those say whose namespaces are not shown: they live, and no more."""
    threads = " ".join(f"{each.pid}/task/[0-9]*" for each in hidden)
    told = {
        STATUS: "".join(each.status() for each in hidden),
        CGROUP: "".join(each.cgroup() for each in hidden),
        TIMES: "".join(each.stat() for each in hidden),
        SPACES: "",
    }
    return {
        _of_threads(sweep, threads).command: re.sub(r"(?m)^(\d+)/", r"\1/task/\1/", text)
        for sweep, text in told.items()
        if hidden
    }


def _cgroups(process: Fake) -> dict[str, str]:
    lines = [line.split(":") for line in process.cgroup().splitlines()]
    return {line[2]: line[3] for line in lines}


def findings(function: Any, host: Host, policy: Policy | None = None) -> dict[str, Finding]:
    """Judge a control; return its findings by the object's name."""
    control = control_of(function)
    assert control is not None
    verdict = judge(control, host, Site("fake", policy or Policy()))
    return {each.object.name: each for each in verdict.findings}


def status(function: Any, host: Host, name: str = "app", policy: Policy | None = None) -> str:
    """Return the status of one container."""
    return str(findings(function, host, policy)[name].status)


APP = number("app")


def running(fake=None, *more, **parts):
    """Return a host with a container that runs, sound unless a process says otherwise."""
    host_parts = {key: parts.pop(key) for key in list(parts) if key in (
        "confinement", "engine", "answers", "seeds", "limits", "mounts")}  # fmt: skip
    first = fake or Fake(100, APP)
    return fake_host([inspect("app", first.pid, **parts)], first, *more, **host_parts)


def stopped(engine=None, seeds=None, **parts):
    return fake_host([inspect("app", **parts)], engine=engine, seeds=seeds)
