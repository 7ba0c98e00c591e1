"""Three containers to judge: one sound, one with a dozen faults, one that hides its faults."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.live.hosts.docker import DockerHost

SOUND = (
    "--read-only", "--tmpfs=/tmp:rw,noexec,nosuid,nodev,size=16m", "--user=1000:1000",
    "--cap-drop=ALL", "--security-opt=no-new-privileges", "--memory=64m", "--memory-swap=64m",
    "--pids-limit=50", "--cpus=0.5", "--cpu-shares=512", "--restart=on-failure:5",
    "--health-cmd=true", "--cgroupns=private",
)  # fmt: skip

FAULTY = (
    "--pid=host", "--network=host", "--ipc=host", "--uts=host", "--userns=host",
    "--cap-add=SYS_ADMIN", "--cap-add=NET_ADMIN", "--cap-add=SYS_PTRACE", "--cap-add=SYS_MODULE",
    "--cap-add=DAC_READ_SEARCH", "--security-opt=seccomp=unconfined",
    "--security-opt=systempaths=unconfined", "--volume=/var/run/docker.sock:/var/run/docker.sock",
    "--volume=/:/host", "--volume=/srv/shared:/shared:shared", "--device=/dev/fuse",
    "--restart=always", "--cgroup-parent=elsewhere.slice", "--pids-limit=-1",
)  # fmt: skip

# What lends its namespaces to the one that hides.
HELPER = ("--pid=host", "--network=host", "--ipc=host")

HIDING = (
    "--pid=container:helper", "--network=container:helper", "--ipc=container:helper",
    "--cap-drop=ALL", "--cap-add=cap_sys_admin", "--cap-add=Net_Admin",
    "--cap-add=CAP_DAC_READ_SEARCH", "--security-opt=no-new-privileges=false",
    "--security-opt=seccomp=/srv/allow.json", "--volume=/srv/app-data:/data:ro", "--read-only",
    "--user=0", "--memory=1t", "--pids-limit=0", "--restart=unless-stopped",
    "--label=docker.bench.security=1",
)  # fmt: skip

ALLOW_ALL = json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []})

# nsenter into the container and its cgroups, as `exec --privileged` and an intruder do.
ENTER = """
pid=$(docker inspect -f '{{.State.Pid}}' %s) || exit 1
setsid sh -c '
    while IFS=: read -r _ controllers path; do
        for base in "/sys/fs/cgroup/${controllers#name=}" /sys/fs/cgroup/unified /sys/fs/cgroup; do
            [ -n "$controllers" ] || [ "$base" != /sys/fs/cgroup/ ] || continue
            [ ! -e "$base$path/cgroup.procs" ] || { echo 0 >"$base$path/cgroup.procs"; break; }
        done
    done </proc/$1/cgroup
    exec nsenter -t "$1" -m -- /bin/sleep 1000001' - "$pid" </dev/null >/dev/null 2>&1 &
name='*'$(docker inspect -f '{{.Id}}' %s)'*'
for turn in $(seq 200); do
    for one in $(cat $(find /sys/fs/cgroup -name cgroup.procs -path "$name")); do
        said=$(tr '\\0' ' ' <"/proc/$one/cmdline")
        [ "$said" != "/bin/sleep 1000001 " ] || { echo "$one"; exit 0; }
    done
    sleep 0.02
done
exit 1
"""

HEALTHY = """
for turn in $(seq 200); do
    [ "$(docker inspect -f '{{.State.Health.Status}}' sound)" != healthy ] || exit 0
    sleep 0.05
done
docker inspect -f '{{json .State}}' sound
exit 1
"""


@dataclass(frozen=True)
class Population:
    """The ids of the containers; intruder is the pid, on the host, of what was moved into hiding.

    The names are sound, faulty, vanilla-app (it hides) and helper (lends its namespaces); front
    publishes ports, where the host owns docker0, else its id is "".
    """

    sound: str
    faulty: str
    hiding: str
    helper: str
    intruder: int
    front: str = ""


def populate(host: DockerHost, *, quiet: bool = False) -> Population:
    """Start the containers on a host of ours; returns when all run and sound is healthy.

    quiet: its health is not checked for an hour (and stays "starting"), so that a health check's
    own writes below /run are not among what a test sees written.
    """
    host.write("/srv/allow.json", ALLOW_ALL)
    host.run(
        """mkdir -p /srv/shared && mount --bind /srv/shared /srv/shared
        mount --make-shared /srv/shared && ln -sfn /run /srv/app-data"""
    )
    sound = host.start(
        "sound", *_network(host), *_can(host, SOUND), f"--health-interval={'1h' if quiet else '1s'}"
    )
    faulty = host.start("faulty", *FAULTY)
    helper = host.start("helper", *HELPER)
    hiding = host.start("vanilla-app", *HIDING)
    front = ""
    if host.bridge:
        front = host.start("front", "--publish=18022:22", "--publish=0.0.0.0:81:80")
    intruder = enter(host, "vanilla-app")
    if not quiet:
        host.run(HEALTHY)
    return Population(sound, faulty, hiding, helper, intruder, front)


def enter(host: DockerHost, container: str) -> int:
    """Move a process with all rights into a container; returns its pid on the host."""
    return int(host.run(ENTER % (container, container)).stdout)


def _can(host: DockerHost, options: tuple[str, ...]) -> list[str]:
    """Leave out what Docker refuses, not ignores, where v2 has no controllers."""
    return [each for each in options if host.cgroup_layout == "v1" or not each.startswith("--cpus")]


def _network(host: DockerHost) -> list[str]:
    if not host.bridge:
        return ["--network=none"]
    host.docker("network", "create", "app")
    return ["--network=app"]
