"""Hosts with Docker engines on them, made of what the kernel and a daemon would answer."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from testinfra.host import Host

from hullcheck.control import control_of
from hullcheck.facts.docker import engine as engines
from hullcheck.facts.docker import search
from hullcheck.facts.docker.api import CLIENT, Api, probe_want, version_want
from hullcheck.facts.docker.configuration import wants as config_wants
from hullcheck.facts.docker.units import wants as unit_wants
from hullcheck.facts.processes import CGROUP, SPACES, STATUS, TIMES
from hullcheck.facts.sockets import EVERYWHERE, HOLDERS, MACHINE, OWN
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from tests.unit.fake import Reply, host_with
from tests.unit.podman_fake import no_podman

SOCKET = "/run/docker.sock"
BOOT = 1_700_000_000
STARTED = BOOT + 1000
"""When every process started, in seconds since the epoch."""

VERSION = {
    "Components": [{"Name": "Engine", "Version": "20.10.24", "Details": {}}],
    "Version": "20.10.24", "ApiVersion": "1.41", "BuildTime": "2026-05-07T21:09:36.000000000+00:00",
}  # fmt: skip

INFO: dict[str, Any] = {
    "Driver": "overlay2", "DriverStatus": [], "Debug": False, "LoggingDriver": "json-file",
    "Plugins": {"Authorization": None}, "DockerRootDir": "/var/lib/docker",
    "RegistryConfig": {
        "IndexConfigs": {"docker.io": {"Name": "docker.io", "Secure": True, "Mirrors": []}},
        "InsecureRegistryCIDRs": ["127.0.0.0/8", "::1/128"], "Mirrors": [],
    },
    "ExperimentalBuild": False, "LiveRestoreEnabled": False, "Warnings": None,
    "Swarm": {"LocalNodeState": "inactive"}, "SecurityOptions": ["name=seccomp,profile=default"],
}  # fmt: skip

_NO_TABLE = "grep: /proc/self/net/udp6: No such file or directory\n"

MOUNTS = "20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n22 20 0:21 / /proc rw - proc proc rw\n"

NO_UNIT = "stat: cannot statx 'x': No such file or directory\n"

NO_FILE = (1, "", "head: cannot open 'x' for reading: No such file or directory")


def bridge(icc: str = "true") -> dict[str, Any]:
    """Return the default bridge, inspected."""
    options = {
        "com.docker.network.bridge.default_bridge": "true",
        "com.docker.network.bridge.enable_icc": icc,
        "com.docker.network.bridge.name": "docker0",
    }
    return {"Id": "b" * 64, "Name": "bridge", "Driver": "bridge", "Options": options}


@dataclass
class Program:
    """A process: what it is, what it listens on, and where it lives."""

    pid: int
    exe: str
    argv: Sequence[str] = ()
    unix: Sequence[str] = ()
    tcp: Sequence[tuple[str, int]] = ()
    ppid: int = 1
    uid: int = 0
    name: str = ""
    nspid: str = ""
    cgroup: str = "/system.slice/x.service"
    net: int = 100
    mnt: int = 200


@dataclass
class Daemon:
    """What a daemon answers on one address."""

    info: Mapping[str, Any] = field(default_factory=dict)
    version: Mapping[str, Any] | None = None
    networks: Sequence[Mapping[str, Any]] = field(default_factory=lambda: [bridge()])
    containers: Sequence[Mapping[str, Any]] = ()
    images: Sequence[Mapping[str, Any]] = ()
    env: str = ""


def dockerd(*flags: str, pid: int = 50, **more: Any) -> Program:
    """Return a dockerd that listens on its usual socket."""
    unix, exe = more.pop("unix", (SOCKET,)), more.pop("exe", "/usr/bin/dockerd")
    return Program(pid, exe, ("dockerd", *flags), unix, **more)


def docker_answers(
    programs: Sequence[Program] = (),
    daemons: Mapping[str, Daemon] | None = None,
    config: Reply = NO_FILE,
    config_file: str = "/etc/docker/daemon.json",
    changed: int = BOOT,
    pid_files: str = "",
    link: Reply = (1, ""),
    client: bool = True,
    uid: int = 0,
    hidden: Sequence[int] = (),
) -> dict[str, Reply]:
    """Return all that a host with these programs and daemons answers when engines are sought.

    :param daemons: what answers on an address; without it, one default daemon per dockerd.
    :param config: the answer to reading the daemon.json, and when it was ``changed``.
    :param hidden: pids whose open files and program the audit's user may not see.
    """
    everyone = [Program(1, "/usr/lib/systemd/systemd", ("/sbin/init",), cgroup="/init.scope")]
    everyone += list(programs)
    answers = {**no_podman(), **_kernel(everyone, set(hidden))}
    if daemons is None:
        daemons = {f"unix://{path}": Daemon() for each in programs for path in each.unix}
    for address, daemon in daemons.items():
        answers.update(_daemon(address, daemon, client))
        for each in everyone:
            if address.removeprefix("unix://") in each.unix:
                inner = f"unix:///proc/{each.pid}/root{address.removeprefix('unix://')}"
                asked = probe_want(inner, client).command
                answers[asked] = answers[version_want(address, client).command]
    for each in everyone:
        base = f"/proc/{each.pid}"
        answers[f"head -c 262144 {base}/cmdline"] = "".join(f"{word}\0" for word in each.argv)
        environment = f"grep -aE '^({engines._ENVIRONMENT})='"
        env = next((known.env for known in daemons.values() if known.env), "")
        answers[f"tr '\\0' '\\n' <{base}/environ | {environment}"] = env or (1, "")
        answers[f"readlink -n {base}/cwd"] = "/"
    mentions = [each for each in everyone if any("docker" in word for word in each.argv)]
    for path in {config_file, "/etc/docker/daemon.json"}:
        content, when = config_wants(path)
        answers[content.command] = config if path == config_file else NO_FILE
        there = config is not NO_FILE and path == config_file
        place = path if there else path.rpartition("/")[0]
        answers[when.command] = (0 if there else 1, f"{changed} {changed} 9 {place}\n")
    seen = [each for each in everyone if each.pid not in hidden]
    links = "".join(f"'/proc/{each.pid}/exe' -> '{each.exe}'\n" for each in seen)
    answers.update({
        search.PROGRAMS.command: (1, links),
        search.MENTIONS.command: (
            0 if mentions else 1,
            "".join(f"/proc/{each.pid}/cmdline\n" for each in mentions),
        ),
        search.PID_FILES.command: pid_files,
        search.WHO.command: str(uid),
        search.LINK.command: link,
        CLIENT.command: "Docker version 20.10.24" if client else (127, ""),
        engines.HERE.command: "4:200",
        "cat /proc/1/mountinfo 2>/dev/null || cat /proc/self/mountinfo": MOUNTS,
        engines.NETWORK.command: "4:100",
        **{each.command: (1, "", NO_UNIT)
           for name in ("docker.service", "docker.socket", "x.service")
           for each in unit_wants(name)},
    })  # fmt: skip
    return answers


def docker_host(*args: Any, also: Mapping[str, Reply] | None = None, **more: Any) -> Host:
    """Return a host; see :func:`docker_answers`. ``also`` are further answers."""
    return host_with({**docker_answers(*args, **more), **(also or {})})


def _daemon(address: str, daemon: Daemon, client: bool) -> dict[str, Reply]:
    api = Api(None, address, client)  # type: ignore[arg-type]
    version, info, networks = api.wants()
    said = daemon.version if daemon.version is not None else VERSION
    answered = {**copy.deepcopy(INFO), **daemon.info}
    return {
        version.command: json.dumps({"Client": {}, "Server": said} if client else said),
        info.command: json.dumps(answered),
        networks.command: json.dumps(list(daemon.networks)),
        probe_want(address, client).command: json.dumps({"Server": said}),
        api.containers_want().command: json.dumps(list(daemon.containers)),
        api.images_want().command: json.dumps(list(daemon.images)),
    }


def _kernel(programs: Sequence[Program], hidden: set[int]) -> dict[str, Reply]:
    inode, rows, held = 1000, {}, []
    for each in programs:
        held.append(f"{each.pid} {'denied' if each.pid in hidden else 'seen'}")
        for path in each.unix:
            inode += 1
            line = f"0000000000000000: 00000002 00000000 00010000 0001 01 {inode} {path}"
            rows.setdefault(each.net, []).append(("unix", line))
            held += [] if each.pid in hidden else [f"{each.pid} {inode}"]
        for address, port in each.tcp:
            inode += 1
            table, packed = _packed(address)
            line = f"0: {packed}:{port:04X} {'0' * len(packed)}:0000 0A 0:0 0:0 0 0 0 {inode} 1"
            rows.setdefault(each.net, []).append((table, line))
            held += [] if each.pid in hidden else [f"{each.pid} {inode}"]
    header = [
        ("unix", "Num       RefCount Protocol Flags    Type St Inode Path"),
        ("tcp", "  sl  local_address rem_address   st"),
    ]
    first = {each.net: each.pid for each in reversed(programs)}
    everywhere = [f"ns {each.net} {each.pid}" for each in programs]
    everywhere += [
        f"/proc/{pid}/net/{table}:{line}"
        for net, pid in first.items()
        for table, line in [*header, *rows.get(net, [])]
    ]
    own = [f"/proc/self/net/{table}:{line}" for table, line in [*header, *rows.get(100, [])]]
    return {
        OWN.command: (2, "".join(f"{line}\n" for line in own), _NO_TABLE),
        HOLDERS.command: "".join(f"{line}\n" for line in held),
        MACHINE.command: "x86_64",
        EVERYWHERE.command: (123, "".join(f"{line}\n" for line in everywhere)),
        STATUS.command: "".join(map(_status, programs)),
        CGROUP.command: "".join(f"{each.pid}/cgroup:0::{each.cgroup}\n" for each in programs),
        TIMES.command: f"stat:btime {BOOT}\n" + "".join(map(_times, programs)),
        SPACES.command: "".join(map(_spaces, programs)),
    }


def _packed(address: str) -> tuple[str, str]:
    if ":" in address:
        return "tcp6", {"::": "0" * 32, "::1": "0" * 24 + "01000000"}[address]
    numbers = [int(part) for part in address.split(".")]
    return "tcp", "".join(f"{number:02X}" for number in reversed(numbers))


def _status(each: Program) -> str:
    name = each.name or each.exe.rpartition("/")[2][:15]
    lines = {
        "Name": name, "State": "S (sleeping)", "Tgid": each.pid, "PPid": each.ppid,
        "TracerPid": 0, "Uid": "\t".join([str(each.uid)] * 4), "Gid": "0\t0\t0\t0", "Groups": "",
        "NSpid": each.nspid or each.pid, "CapInh": "0" * 16, "CapPrm": "0" * 16,
        "CapEff": "0" * 16, "CapBnd": "0" * 16, "CapAmb": "0" * 16, "NoNewPrivs": 0, "Seccomp": 0,
    }  # fmt: skip
    return "".join(f"{each.pid}/status:{key}:\t{value}\n" for key, value in lines.items())


def _times(each: Program) -> str:
    ticks = (STARTED - BOOT) * 100
    return f"{each.pid}/stat:{each.pid} (x) S {each.ppid} {' '.join(['0'] * 17)} {ticks} 0\n"


def _spaces(each: Program) -> str:
    own = {"cgroup": 1, "ipc": 2, "mnt": each.mnt, "net": each.net, "pid": 3, "user": 4, "uts": 5}
    return "".join(f"{each.pid}/ns/{name} 4:{inode}\n" for name, inode in own.items())


WHEN = datetime(2026, 11, 23, tzinfo=UTC)


def verdict(function, *words, config=None, policy=None, programs=(), also=None, tcp=(), **daemon):
    """Judge a control on a host whose daemon was started with some flags and file."""
    daemons = {f"unix://{SOCKET}": Daemon(**daemon)}
    text = config if isinstance(config, str) else json.dumps(config or {}, indent=1)
    host = docker_host([dockerd(*words, tcp=tcp), *programs], daemons, text, also=also)
    return judge(control_of(function), host, Site(policy=policy or Policy(), started=WHEN))


def status(*args, **more):
    return str(verdict(*args, **more).status)
