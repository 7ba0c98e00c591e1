"""What is started in the zoo, and which controls must fail for it, with what word.

Every container is sound but for what its row says, so that a verdict that is missing, or one too
many, is told by its name. Controls stand without "runtime.".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.live.hosts.population import SOUND
from tests.live.hosts.runc import CONTAINERD

ALWAYS = {"host-user-namespace": "the host's"}
"""What everything here fails: no engine remaps users."""

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

INTRUDED = row(
    entered_process="every one",
    entered_as_root="entered as root",
    capabilities="every one",
    seccomp="off",
    no_new_privileges="not set",
    root_user="0",
)

DOCKER: dict[str, Row] = {
    "sound": row(),
    "pid-host": row("--pid=host", host_pid="host"),
    "net-host": row("--network=host", host_network="host"),
    "ipc-host": row("--ipc=host", host_ipc="host"),
    "uts-host": row("--uts=host", host_uts="host"),
    "cgroupns-host": row("--cgroupns=host", host_cgroup_namespace="host"),
    "all-caps": row("--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--user=0",
                    capabilities="CAP_BPF", root_user="0"),
    "odd-spelling": row("--cap-add=cAp_sYs_PtRaCe", capabilities="CAP_SYS_PTRACE"),
    "seccomp-off": row("--security-opt=seccomp=unconfined", seccomp="unconfined"),
    "seccomp-all": row("--security-opt=seccomp=/srv/allow.json", seccomp="allows everything"),
    "nnp-off": row("--security-opt=no-new-privileges=false", no_new_privileges="not set"),
    "other-name": row("--volume=/run/docker.sock:/tmp/app.sock", engine_socket="/run/docker.sock"),
    "behind-link": row("--volume=/srv/app-data:/data:ro", engine_socket="/run/docker.sock",
                       host_paths="/run"),
    "podmans-socket": row("--volume=/run/podman:/p", engine_socket="/run/podman/podman.sock",
                          host_paths="/run/podman"),
    "containerds-socket": row(f"--volume={CONTAINERD}:/c.sock", engine_socket=CONTAINERD,
                              host_paths=CONTAINERD),
    "etc-volume": row("--volume=innocent:/data", host_paths="/etc"),
    "shared-mount": row("--volume=/srv/shared:/shared:shared", mount_propagation="shared"),
    "device": row("--device=/dev/fuse", devices="fuse"),
    "writable-proc": row("--security-opt=systempaths=unconfined", masked_paths="/proc/keys",
                         read_only_paths="/proc/sys"),
    "no-limits": Row((), dict.fromkeys(("memory-limit", "pids-limit", "cpu-limit"), "none"),
                     without=LIMITS),
    "as-root": row("--user=0", root_user="0"),
    "disk-group": row("--group-add=6", supplementary_groups="disk"),
    "nil-nothing": row("--label=docker.bench.security=1", "--cap-add=NET_ADMIN",
                       capabilities="CAP_NET_ADMIN"),
    "borrower": row("--network=container:net-host", "--pid=container:pid-host",
                    "--ipc=container:ipc-host", host_network="host", host_pid="host",
                    host_ipc="host",
                    shared_namespaces="net-host"),
    # As runc would start it: what joins its cgroup has no more rights.
    "twin": row(
        "--user=0",
        "--cap-add=AUDIT_WRITE",
        "--cap-add=KILL",
        "--cap-add=NET_BIND_SERVICE",
        "--security-opt=seccomp=unconfined",
        root_user="0",
        seccomp="unconfined",
        entered_process="pid namespace",
    ),
    "frozen": row("--cap-add=SYS_MODULE", capabilities="CAP_SYS_MODULE"),
    "unhealthy": row(f"--health-cmd={FIRST_FAILS}", "--health-interval=1s", "--health-retries=1",
                     "--health-timeout=24h", health_check="unhealthy"),
    "login": Row((), {"ssh-daemon": "sshd", "administration-ports": "22", "undeclared-ports": "22"},
                 command=("sh", "-c", LOGIN)),
    "entered": INTRUDED,
    "strayed": INTRUDED,
    "imitated": INTRUDED,
    # Its processes were moved to the root of all cgroups, where nothing limits them.
    "escaped": Row((), dict.fromkeys(("memory-limit", "pids-limit", "cpu-limit"), "none")),
    "never-started": Row(("--privileged",), dict.fromkeys(("privileged", "seccomp",
                         "masked-paths", "read-only-paths", "devices"), "privileged")
                         | {"capabilities": "CAP_AUDIT_CONTROL"}, runs=False),
    "spared": Row(("--oom-score-adj=-900",), {"oom-score": "-900"}, runs=False),
    "haunted": Row((), {}, runs=False),
    "many-files": Row(("--ulimit=nofile=9999999:9999999",), {"ulimits": "9999999"}, runs=False),
}  # fmt: skip


PODMAN: dict[str, Row] = {
    "pod-sound": row(
        "--read-only", "--user=1000:1000", "--cap-drop=all", "--security-opt=no-new-privileges",
        "--memory=64m", "--memory-swap=64m", "--pids-limit=50", "--cpu-shares=512",
        "--cgroupns=private",
    ),
    "pod-open": row(
        "--pid=host", "--network=host", "--cap-add=all", "--cap-drop=SYS_RESOURCE",
        "--security-opt=seccomp=unconfined", "--security-opt=unmask=ALL", "--volume=/etc:/data",
        host_pid="host", host_network="host", host_cgroup_namespace="host", host_paths="/etc",
        capabilities="every one", privileged="every one", seccomp="unconfined", root_user="0",
        no_new_privileges="not set", masked_paths="/proc/keys", read_only_paths="/proc/sys",
        read_only_root="writable", memory_limit="none", cpu_limit="none",
    ),
    "pod-stopped": Row(("--privileged",), {}, runs=False),
}  # fmt: skip

UNMANAGED = {
    "registered": "nobody", "memory-limit": "none", "cpu-limit": "none", "pids-limit": "none",
    "host-cgroup-namespace": "the host's", "root-user": "0", "seccomp": "off",
}  # fmt: skip
UNBOUND = UNMANAGED | {
    "capabilities": "every one", "privileged": "every one", "no-new-privileges": "not set",
}  # fmt: skip
UNSHARED = UNBOUND | dict.fromkeys(("host-network", "host-ipc", "host-uts"), "the host's")
OPEN = {
    "masked-paths": "/proc/keys", "read-only-paths": "/proc/sys", "read-only-root": "writable",
}  # fmt: skip

OTHERS: dict[str, Mapping[str, str]] = {
    "plain": UNMANAGED,
    "rtB": UNBOUND | {"read-only-root": "writable"},
    "disguised": UNBOUND | {"read-only-root": "writable"},
    "odd1": UNMANAGED | {"capabilities": "CAP_NET_RAW", "host-network": "the host's",
                         "read-only-root": "writable"},
    "odd2": UNMANAGED | OPEN | {"capabilities": "every one", "privileged": "every one",
                                "devices": "a *:* rwm"},
    # In the cgroup that one of Docker's, haunted, would have if it ran.
    "ghost": UNBOUND | {"read-only-root": "writable"},
    # In the cgroup of what looks after a container, and among the host's processes.
    "watcher": UNBOUND | {"read-only-root": "writable", "host-pid": "the host's"},
    # unshare(1) itself is in the mount namespace, and not in the pid namespace.
    "handmade": UNSHARED | {"entered-process": "pid namespace"},
    "own-pids": UNSHARED | OPEN | {"host-paths": "/run", "engine-socket": "/run/docker.sock",
                                   "mount-propagation": "/srv/shared"},
}  # fmt: skip
"""Raw runc, containerd's own, and what nobody knows but the kernel."""

NAMELESS = ("watcher", "handmade", "own-pids")
