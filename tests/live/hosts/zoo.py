"""A host full of containers, of four engines and of none, each with one fault or one evasion.

Every one is sound but for what its row says, so that a verdict that is missing, or one too many,
is told by its name.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.live.hosts.docker import DockerHost
from tests.live.hosts.podman import Podman
from tests.live.hosts.population import ALLOW_ALL, SOUND, enter
from tests.live.hosts.runc import CONTAINERD, ROOT, apart, ctr, runc, unpack

SAFE = (
    *(each for each in SOUND if "health" not in each), "--network=none", "--health-cmd=true",
    "--health-interval=1h",
)  # fmt: skip

LIMITS = ("--memory", "--memory-swap", "--pids-limit", "--cpus", "--cpu-shares")


@dataclass(frozen=True)
class Row:
    """One container of Docker's: what it is started with, and the controls that fail for it.

    :param faults: control (without "runtime."): a part of what the finding says.
    :param without: options of SAFE that it does not get.
    """

    options: tuple[str, ...]
    faults: Mapping[str, str]
    without: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    runs: bool = True


def row(*options: str, **faults: str) -> Row:
    return Row(options, {name.replace("_", "-"): said for name, said in faults.items()})


FIRST_FAILS = "[ -e /tmp/x ] && exec sleep 1000002; : >/tmp/x; exit 1"
"""A health check that fails once, and then takes for ever: quiet, and there is a second process
that nobody may take for an intruder."""

LOGIN = "printf sshd >/proc/self/comm; nc -l -p 22 & trap 'exit 0' TERM; while :; do wait; done"

DOCKER: dict[str, Row] = {
    "sound": row(),
    "pid-host": row("--pid=host", host_pid="host"),
    "net-host": row("--network=host", host_network="host"),
    "ipc-host": row("--ipc=host", host_ipc="host"),
    "uts-host": row("--uts=host", host_uts="host"),
    "cgroupns-host": row("--cgroupns=host", host_cgroup_namespace="host"),
    "all-caps": row("--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--user=0",
                    capabilities="every one", privileged="every one", root_user="0"),
    "odd-spelling": row("--cap-add=cAp_sYs_PtRaCe", capabilities="CAP_SYS_PTRACE"),
    "seccomp-off": row("--security-opt=seccomp=unconfined", seccomp=""),
    "seccomp-all": row("--security-opt=seccomp=/srv/allow.json", seccomp=""),
    "nnp-off": row("--security-opt=no-new-privileges=false", no_new_privileges="not set"),
    "other-name": row("--volume=/run/docker.sock:/tmp/app.sock", engine_socket="/run/docker.sock"),
    "behind-link": row("--volume=/srv/app-data:/data:ro", engine_socket="/run/docker.sock",
                       host_paths="/run"),
    "podmans-socket": row("--volume=/run/podman:/p", engine_socket="/run/podman/podman.sock",
                          host_paths=""),
    "containerds-socket": row(f"--volume={CONTAINERD}:/c.sock", engine_socket=CONTAINERD),
    "etc-volume": row("--volume=innocent:/data", host_paths="/etc"),
    "shared-mount": row("--volume=/srv/shared:/shared:shared", mount_propagation="shared"),
    "device": row("--device=/dev/fuse", devices="fuse"),
    "writable-proc": row("--security-opt=systempaths=unconfined", masked_paths="",
                         read_only_paths="/proc/sys"),
    "no-limits": Row((), dict.fromkeys(("memory-limit", "pids-limit", "cpu-limit"), "none"),
                     without=LIMITS),
    "as-root": row("--user=0", root_user="0"),
    "disk-group": row("--group-add=6", supplementary_groups="disk"),
    "nil-nothing": row("--label=docker.bench.security=1", "--cap-add=NET_ADMIN",
                       capabilities="CAP_NET_ADMIN"),
    "borrower": row("--network=container:net-host", "--pid=container:pid-host",
                    "--ipc=container:ipc-host", host_network="host", host_pid="host",
                    host_ipc="host", shared_namespaces=""),
    "frozen": row("--cap-add=SYS_MODULE", capabilities="CAP_SYS_MODULE"),
    "unhealthy": row(f"--health-cmd={FIRST_FAILS}", "--health-interval=1s", "--health-retries=1",
                     "--health-timeout=24h", health_check="unhealthy"),
    "login": Row((), {"ssh-daemon": "sshd"}, command=("sh", "-c", LOGIN)),
    "entered": row(entered_process="every one", capabilities="every one", seccomp="",
                   no_new_privileges="not set", root_user="0", entered_as_root=""),
    "strayed": row(entered_process="every one", capabilities="every one", seccomp="",
                   no_new_privileges="not set", root_user="0", entered_as_root=""),
    "imitated": row(),
    "never-started": Row(("--privileged",), {"privileged": "privileged", "capabilities": "",
                         "seccomp": "", "masked-paths": "", "read-only-paths": "", "devices": ""},
                         runs=False),
    "spared": Row(("--oom-score-adj=-900",), {"oom-score": "-900"}, runs=False),
    "many-files": Row(("--ulimit=nofile=9999999:9999999",), {"ulimits": "9999999"}, runs=False),
}  # fmt: skip

PREPARE = """
mkdir -p /srv/shared && mount --bind /srv/shared /srv/shared && mount --make-shared /srv/shared
ln -sfn /run /srv/app-data
docker volume create -d local -o type=none -o o=bind -o device=/etc innocent >/dev/null
"""

UNHEALTHY = """
for turn in $(seq 400); do
    ! grep -lqsz 1000002 /proc/[0-9]*/cmdline || exit 0
    sleep 0.05
done
docker inspect -f '{{json .State}}' unhealthy; exit 1
"""


@dataclass
class Zoo:
    """What runs on a host after zoo(). Use as a context manager: what is frozen cannot be killed.

    :param docker: id by name. ``podman``: the same. ``raw``, ``containerd``: pid by name.
    :param unknown: pid by name, of containers that no engine and no runtime knows.
    :param innocent: pid by name, of what looks like a container and is none.
    :param intruders: pid by name of the Docker container that it is in.
    """

    host: DockerHost
    docker: dict[str, str] = field(default_factory=dict)
    podman: dict[str, str] = field(default_factory=dict)
    raw: dict[str, int] = field(default_factory=dict)
    containerd: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    innocent: dict[str, int] = field(default_factory=dict)
    intruders: dict[str, int] = field(default_factory=dict)

    def __enter__(self) -> Zoo:
        return self

    def __exit__(self, *_: object) -> None:
        self.host.docker("unpause", "frozen", check=False)


def zoo(host: DockerHost) -> Zoo:
    """Start everything on a host of ours; returns when all runs."""
    made = Zoo(host)
    host.write("/srv/allow.json", ALLOW_ALL)
    host.run(PREPARE)
    podman = Podman(host)
    podman.prepare()
    podman.serve()
    unpack(host)
    made.docker = start_docker(host)
    start_podman(made, podman)
    start_rogues(made)
    start_innocent(made)
    made.intruders = {"entered": enter(host, "entered"), "strayed": stray(host, "strayed")}
    host.run(UNHEALTHY)
    host.docker("pause", "frozen")
    return made


def stray(host: DockerHost, container: str) -> int:
    """Move a process into a container's namespaces, but not its cgroups; returns its pid."""
    pid = host.docker("inspect", "-f", "{{.State.Pid}}", container)
    return apart(host, f"in-{container}", "nsenter", "-t", pid, "-m", "-p", "-n", "-i", "-u", "--")


def start_docker(host: DockerHost) -> dict[str, str]:
    """Start all of DOCKER in one shell; returns id by name."""
    script = ["set -e"]
    for name, each in DOCKER.items():
        verb = ("run", "-d") if each.runs else ("create",)
        argv = ["docker", *verb, "--name", name, *options_of(each), "busybox:1", *each.command]
        script.append(f'id=$({shlex.join(argv)}); echo {name} "$id"')
    out = host.run("\n".join(script)).stdout
    return dict(line.split() for line in out.splitlines())


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


PODMAN_SOUND = (
    "--read-only", "--user=1000:1000", "--cap-drop=all", "--security-opt=no-new-privileges",
    "--memory=64m", "--memory-swap=64m", "--pids-limit=50", "--cpu-shares=512",
    "--health-cmd=true", "--health-interval=disable", "--cgroupns=private",
)  # fmt: skip

PODMAN_OPEN = (
    "--pid=host", "--network=host", "--cap-add=all", "--cap-drop=SYS_RESOURCE",
    "--security-opt=seccomp=unconfined", "--security-opt=unmask=ALL", "--volume=/etc:/host-etc",
)  # fmt: skip


def start_podman(made: Zoo, podman: Podman) -> None:
    made.podman["pod-sound"] = podman.start("pod-sound", *PODMAN_SOUND)
    made.podman["pod-open"] = podman.start("pod-open", *PODMAN_OPEN)
    made.podman["pod-stopped"] = podman.create("pod-stopped", "--privileged")


UNKNOWN_ID = "ab" * 32


def start_rogues(made: Zoo) -> None:
    host = made.host
    bounding = host.run("sed -n 's/^CapBnd:.//p' /proc/1/status").stdout
    every = int(bounding, 16)
    hidden = "/run/hidden"
    made.raw["rtB"] = runc(host, "rtB", capabilities=every)
    made.raw["plain"] = runc(host, "plain")
    made.raw["disguised"] = runc(
        host, "disguised", state=hidden, cgroup=f"/docker/{UNKNOWN_ID}", capabilities=every
    )
    imitated = f"/docker/{made.docker['imitated']}"
    made.raw["imitator"] = runc(host, "imitator", state=hidden, cgroup=imitated, capabilities=every)
    made.containerd["odd1"] = ctr(host, "odd1", "--net-host")
    made.containerd["odd2"] = ctr(host, "odd2", "--privileged")
    made.unknown["handmade"] = apart(host, "handmade", "unshare", "-p", "-m", "-f", "chroot", ROOT)
    made.unknown["own-pids"] = apart(host, "own-pids", "unshare", "-p", "-f")


def start_innocent(made: Zoo) -> None:
    host = made.host
    for name, argv in {
        "private-tmp": ("unshare", "-m"),
        "private-network": ("unshare", "-m", "-n"),
        "chrooted": ("chroot", ROOT),
        "postfix-like": ("chroot", "--userspec=1000:1000", ROOT),
    }.items():
        made.innocent[name] = apart(host, name, *argv)
