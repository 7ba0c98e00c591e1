"""A host full of containers, of three engines and of none, each with one fault or one evasion."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from hullcheck.facts.containers.membership import BIRTH
from tests.live.hosts.docker import DockerHost
from tests.live.hosts.exhibits import ALWAYS, DOCKER, NAMELESS, OTHERS, PODMAN, SAFE, Row
from tests.live.hosts.podman import Podman
from tests.live.hosts.population import ALLOW_ALL, enter
from tests.live.hosts.runc import ROOT, apart, ctr, runc, unpack

PREPARE = """
mkdir -p /srv/shared && mount --bind /srv/shared /srv/shared && mount --make-shared /srv/shared
ln -sfn /run /srv/app-data
docker volume create -d local -o type=none -o o=bind -o device=/etc innocent >/dev/null
"""

ESCAPE = """
for pid in $(docker top escaped -eo pid | tail -n +2); do
    for root in /sys/fs/cgroup/*/ /sys/fs/cgroup/; do
        [ ! -e $root/cgroup.procs ] || echo $pid >$root/cgroup.procs
    done
done
"""

UNHEALTHY = """
for turn in $(seq 400); do
    ! grep -lqsz 1000002 /proc/[0-9]*/cmdline || exit 0
    sleep 0.05
done
docker inspect -f '{{json .State}}' unhealthy; exit 1
"""


UNKNOWN_ID = "ab" * 32
HIDDEN = "/run/hidden"


@dataclass
class Zoo:
    """What runs on a host after zoo(). Use as a context manager: what is frozen cannot be killed.

    :param docker: id by name. ``podman``: the same.
    :param others: pid by name, of the containers of containerd, raw runc and nobody.
    :param innocent: pid by name, of what looks like a container and is none.
    :param intruders: pid by name, of what is in a container of Docker's and not of it.
    """

    host: DockerHost
    docker: dict[str, str] = field(default_factory=dict)
    podman: dict[str, str] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)
    innocent: dict[str, int] = field(default_factory=dict)
    intruders: dict[str, int] = field(default_factory=dict)

    def __enter__(self) -> Zoo:
        return self

    def __exit__(self, *_: object) -> None:
        self.host.docker("unpause", "frozen", check=False)

    @property
    def faults(self) -> dict[str, Mapping[str, str]]:
        """What must fail: {name of the object: {control: a part of what is said}}."""
        told = {name: each.faults for name, each in (DOCKER | PODMAN).items()}
        told |= {self.called(name): faults for name, faults in OTHERS.items()}
        return {name: {**ALWAYS, **faults} for name, faults in told.items()}

    def called(self, name: str) -> str:
        """Return what a container that is not Docker's or Podman's is called in findings."""
        if name == "disguised":
            return UNKNOWN_ID[:12]
        if name == "ghost":
            return self.docker["haunted"][:12]
        return f"process {self.others[name]} (sh)" if name in NAMELESS else name


def zoo(host: DockerHost) -> Zoo:
    """Start everything on a host of ours; returns when all runs, and nothing is just starting."""
    made = Zoo(host)
    host.write("/srv/allow.json", ALLOW_ALL)
    host.run(PREPARE)
    unpack(host)
    start_podman(made, Podman(host))
    start_others(made)
    made.innocent = start_innocent(host)
    made.docker = start_docker(host)
    haunted = f"/docker/{made.docker['haunted']}"
    every = every_capability(host)
    made.others["ghost"] = runc(host, "ghost", state=HIDDEN, cgroup=haunted, capabilities=every)
    newest = time.monotonic()
    made.intruders = start_intruders(made)
    host.run(ESCAPE)
    host.run(UNHEALTHY)
    host.docker("pause", "frozen")
    time.sleep(max(0.0, newest + BIRTH + 1 - time.monotonic()))
    return made


def start_docker(host: DockerHost) -> dict[str, str]:
    """Start all of DOCKER, several at once; returns id by name."""
    lenders = [name for name in DOCKER if name.endswith("-host")]
    rest = [name for name in DOCKER if name not in lenders]
    lines = start_at_once(host, lenders) + start_at_once(host, rest)
    return dict(line.split() for line in lines)


def start_at_once(host: DockerHost, names: list[str]) -> list[str]:
    """Start some of DOCKER; returns lines of name and id. Raises AssertionError if one failed."""
    script = []
    for name in names:
        each = DOCKER[name]
        verb = ("run", "-d") if each.runs else ("create",)
        argv = ["docker", *verb, "--name", name, *options_of(each), "busybox:1", *each.command]
        script.append(f'id=$({shlex.join(argv)}) && echo {name} "$id"')
    done = host.run("xargs -0 -n 1 -P 8 sh -c", stdin="\0".join(script).encode(), timeout=120)
    return done.stdout.splitlines()


def options_of(each: Row) -> list[str]:
    """Return SAFE without what the row overrides, and the row's own options."""
    once = ("--network", "--cgroupns", "--health", "--user", "--restart", "--pid=", "--ipc")
    given = {option.split("=")[0] for option in each.options} | set(each.without)
    dropped = [
        option
        for option in SAFE
        if option.split("=")[0] in given and (option.startswith(once) or each.without)
    ]
    return [*(option for option in SAFE if option not in dropped), *each.options]


def start_podman(made: Zoo, podman: Podman) -> None:
    podman.prepare()
    podman.serve()
    for name, each in PODMAN.items():
        start = podman.start if each.runs else podman.create
        made.podman[name] = start(name, *each.options)


def start_others(made: Zoo) -> None:
    """Start what Docker and Podman do not know."""
    host = made.host
    every = every_capability(host)
    disguise = f"/docker/{UNKNOWN_ID}"
    made.others = {
        "plain": runc(host, "plain"),
        "rtB": runc(host, "rtB", capabilities=every),
        "disguised": runc(host, "disguised", state=HIDDEN, cgroup=disguise, capabilities=every),
        "watcher": runc(
            host,
            "watcher",
            state=HIDDEN,
            cgroup="/lxc.monitor.x/supervisor",
            capabilities=every,
            shared="pid",
        ),
        "odd1": ctr(host, "odd1", "--net-host"),
        "odd2": ctr(host, "odd2", "--privileged"),
        "handmade": apart(host, "handmade", "unshare", "-p", "-m", "-f", "chroot", ROOT),
        "own-pids": apart(host, "own-pids", "unshare", "-p", "-f"),
    }


def start_innocent(host: DockerHost) -> dict[str, int]:
    """Start what is no container: as services of systemd are set apart, and as Postfix is."""
    wanted = {
        "private-tmp": ("unshare", "-m"),
        "private-network": ("unshare", "-m", "-n"),
        "chrooted": ("chroot", ROOT),
        "postfix-like": ("chroot", "--userspec=1000:1000", ROOT),
    }
    return {name: apart(host, name, *argv) for name, argv in wanted.items()}


def start_intruders(made: Zoo) -> dict[str, int]:
    """Put into containers of Docker's what is not of them: by cgroup, by namespaces, and
    containers that say they are others."""
    host, cgroup = made.host, "/docker/{}".format
    every = every_capability(host)
    return {
        "entered": enter(host, "entered"),
        "strayed": stray(host, "strayed"),
        "imitated": runc(host, "imitator", state=HIDDEN, cgroup=cgroup(made.docker["imitated"]),
                         capabilities=every),
        "twin": runc(host, "quiet", state=HIDDEN, cgroup=cgroup(made.docker["twin"])),
    }  # fmt: skip


def stray(host: DockerHost, container: str) -> int:
    """Move a process into a container's namespaces, but not its cgroups; returns its pid."""
    pid = host.docker("inspect", "-f", "{{.State.Pid}}", container)
    return apart(host, f"in-{container}", "nsenter", "-t", pid, "-m", "-p", "-n", "-i", "-u", "--")


def every_capability(host: DockerHost) -> int:
    """Return the mask of what root on this host can have at most."""
    return int(host.run("sed -n 's/^CapBnd:.//p' /proc/1/status").stdout, 16)
