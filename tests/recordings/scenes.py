"""The hosts that recordings are taken from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from tests.live.hosts.debian import PlainDebian
from tests.live.hosts.docker import Daemon, DockerHost
from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.population import ALLOW_ALL, SOUND, enter, populate
from tests.live.hosts.systemd import SystemdHost
from tests.live.test_engine import CERTIFICATES, PLUGIN
from tests.recordings.kubernetes_scenes import NODES
from tests.recordings.swarm_scenes import swarm, swarm_loose

Scene = Callable[[str], AbstractContextManager[OverlayHost]]

BOOT = "BOOT_IMAGE=/boot/vmlinuz-6.1.0-28-amd64 root=/dev/vda1 ro quiet"
TLS = {
    "tlscacert": "/etc/docker/tls/ca.pem", "tlscert": "/etc/docker/tls/cert.pem",
    "tlskey": "/etc/docker/tls/key.pem",
}  # fmt: skip
VULNERABILITIES = "/sys/devices/system/cpu/vulnerabilities"

HARDENED = {
    "kernel/randomize_va_space": "2", "kernel/dmesg_restrict": "1", "kernel/kptr_restrict": "1",
    "kernel/unprivileged_bpf_disabled": "2", "fs/suid_dumpable": "0",
    "fs/protected_symlinks": "1", "fs/protected_hardlinks": "1", "fs/protected_fifos": "1",
    "fs/protected_regular": "2", "kernel/core_pattern": "core", "user/max_user_namespaces": "28633",
}  # fmt: skip
LOOSE = {
    "kernel/randomize_va_space": "1", "kernel/dmesg_restrict": "0", "kernel/kptr_restrict": "0",
    "kernel/unprivileged_bpf_disabled": "0", "fs/suid_dumpable": "1",
    "fs/protected_symlinks": "0", "fs/protected_hardlinks": "0", "fs/protected_fifos": "0",
    "fs/protected_regular": "0", "user/max_user_namespaces": "2147483647",
    "kernel/core_pattern": "|/var/lib/docker/overlay2/x/diff/out %P",
}  # fmt: skip

# Spellings of the kernel (cpu/bugs.c) of a processor with its microcode.
MITIGATED = {
    "mds": "Mitigation: Clear CPU buffers; SMT vulnerable", "l1tf": "Not affected",
    "meltdown": "Mitigation: PTI", "spectre_v1":
    "Mitigation: usercopy/swapgs barriers and __user pointer sanitization",
}  # fmt: skip
EXPOSED = {
    **MITIGATED, "meltdown": "Vulnerable",
    "mds": "Vulnerable: Clear CPU buffers attempted, no microcode",
}  # fmt: skip


def show(host: OverlayHost, files: dict[str, str]) -> None:
    """Show other text in files of the host, bound over them in its own mount namespace."""
    for number, (path, text) in enumerate(files.items()):
        place = f"/root/shown/{number}-{path.replace('/', '-')}"
        host.write(place, text)
        host.run(f"mount --bind {place} {path}")


def show_folder(host: OverlayHost, path: str, files: dict[str, str]) -> None:
    """Show a folder with these files and nothing else."""
    host.run(f"mount -t tmpfs none {path}")
    for name, text in files.items():
        host.write(f"{path}/{name}", text)


def kernel(host: OverlayHost, settings: dict[str, str], flaws: dict[str, str], boot: str) -> None:
    """Show settings of the kernel: one kernel serves all hosts of a machine."""
    show(host, {f"/proc/sys/{name}": f"{value}\n" for name, value in settings.items()})
    show(host, {"/proc/cmdline": f"{boot}\n"})
    show_folder(host, VULNERABILITIES, {name: f"{said}\n" for name, said in flaws.items()})


def gate(host: DockerHost) -> None:
    """Start an authorization plugin that lets everything through."""
    host.write("/opt/gate.py", PLUGIN)
    host.run(
        "python3 /opt/gate.py >/dev/null 2>&1 </dev/null & "
        "until [ -S /run/docker/plugins/gate.sock ]; do sleep 0.05; done"
    )


@contextmanager
def bare(name: str) -> Iterator[OverlayHost]:
    """Debian with sshd and no engine running."""
    with OverlayHost(name) as host:
        show(host, {"/proc/cmdline": f"{BOOT}\n"})
        yield host


@contextmanager
def typical(name: str) -> Iterator[DockerHost]:
    """Docker as installed, with the population of tests/live/hosts."""
    with DockerHost(name, bridge=False) as host:
        show(host, {"/proc/cmdline": f"{BOOT}\n"})
        populate(host, quiet=True)
        yield host


@contextmanager
def plain(name: str) -> Iterator[PlainDebian]:
    """A Debian and its Docker, installed and used as their documentation says."""
    with PlainDebian(name, layout="v2", bridge=True) as host:
        host.start("web", "-p", "8080:80", command=["httpd", "-f", "-p", "80"])
        show(host, {"/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory hugetlb pids\n"})
        show(host, {"/proc/cmdline": f"{BOOT}\n"})
        yield host


@contextmanager
def systemd_v2(name: str) -> Iterator[SystemdHost]:
    """The population below systemd on cgroup v2, whose controllers are shown."""
    with SystemdHost(name, layout="v2") as host:
        populate(host, quiet=True)
        # Written, and systemd not told: the next restart changes how the engine runs.
        host.write("/etc/systemd/system/docker.service.d/limits.conf", "[Service]\nTasksMax=4096\n")
        show(host, {"/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory hugetlb pids\n"})
        show(host, {"/proc/cmdline": f"{BOOT}\n"})
        yield host


REMAP = """
useradd -r -s /usr/sbin/nologin dockremap
for f in subuid subgid; do echo dockremap:165536:65536 >>/etc/$f; done
"""

SOUND_CONFIG: dict[str, Any] = {
    "log-level": "info", "no-new-privileges": True, "live-restore": True, "userland-proxy": False,
    "insecure-registries": ["127.0.0.1:5000"], "experimental": False, "log-driver": "syslog",
    "log-opts": {"syslog-address": "udp://10.99.0.1:514"}, "tlsverify": True, **TLS,
    "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 4096}},
    "authorization-plugins": ["gate"], "icc": False, "bridge": "hcrec0",
    "userns-remap": "default",
}  # fmt: skip


@contextmanager
def sound(name: str) -> Iterator[SystemdHost]:
    """All as it should be, as far as this machine can make it so: systemd, Docker with TLS and
    remapped users, one container."""
    with SystemdHost(name, layout="v1") as host:
        host.run(REMAP + CERTIFICATES)
        host.run(
            "chmod 700 /etc/docker/tls; chmod 444 /etc/docker/tls/*.pem;"
            " chmod 400 /etc/docker/tls/*.key /etc/docker/tls/key.pem"
        )
        host.write("/etc/docker/certs.d/registry.example:5000/ca.crt", "certificate\n", 0o444)
        host.write("/etc/sysconfig/docker", "OPTIONS=\n")
        gate(host)
        host.run("ip link add hcrec0 type bridge && ip addr add 10.214.0.1/24 dev hcrec0")
        try:
            host.restart(SOUND_CONFIG, ["-H", "tcp://127.0.0.1:23790"])
            host.engine.load_image("busybox:1", "USER 10001:10001")
            host.start("web", *SOUND, "--network=none", "--health-interval=1h")
            host.docker("create", "--name=next", *SOUND, "--network=none", "busybox:1")
            kernel(host, HARDENED, MITIGATED, BOOT)
            show_folder(host, "/sys/kernel/security", {
                "lockdown": "none [integrity] confidentiality\n",
                "lsm": "lockdown,capability,yama\n",
            })  # fmt: skip
            yield host
        finally:
            host.run("ip link del hcrec0", check=False)


@contextmanager
def remapped(name: str) -> Iterator[DockerHost]:
    """An engine with remapped users, and a container below it."""
    with DockerHost(name, bridge=False) as host:
        host.run(REMAP)
        host.restart({"userns-remap": "default"})
        host.engine.load_image()
        host.start("web", *SOUND, "--network=none", "--health-interval=1h")
        host.docker("create", "--name=next", *SOUND, "--network=none", "busybox:1")
        show(host, {"/proc/cmdline": f"{BOOT}\n"})
        yield host


ROOTLESS = """
apt-get update -qq && apt-get install -y -qq --no-install-recommends rootlesskit uidmap slirp4netns
useradd -m bob && install -d -m 700 -o bob /run/user/$(id -u bob)
su - bob -c '
    PATH=/usr/sbin:/usr/bin:/sbin:/bin XDG_RUNTIME_DIR=/run/user/$(id -u)
    DOCKERD_ROOTLESS_ROOTLESSKIT_NET=host DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER=none
    export PATH XDG_RUNTIME_DIR DOCKERD_ROOTLESS_ROOTLESSKIT_NET
    export DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER
    /usr/share/docker.io/contrib/dockerd-rootless.sh --iptables=false --bridge=none \
        --storage-driver=vfs >/tmp/engine.log 2>&1 </dev/null &'
for turn in $(seq 200); do
    ! docker -H unix:///run/user/$(id -u bob)/docker.sock version >/dev/null 2>&1 || exit 0
    sleep 0.05
done
cat /tmp/engine.log; exit 1
"""


@contextmanager
def rootless(name: str) -> Iterator[OverlayHost]:
    """The engine of an ordinary user, with Debian's rootlesskit, and no other."""
    with OverlayHost(name) as host:
        host.run(f"({ROOTLESS}) 2>&1", timeout=200)
        user = host.run("id -u bob").stdout.strip()
        engine = Daemon(host, socket=f"/run/user/{user}/docker.sock")
        engine.load_image()
        limits = ("--memory", "--pids", "--cpu", "--restart", "--cgroupns")
        options = [each for each in SOUND if not each.startswith(limits)]
        engine.docker("run", "-d", "--name=web", *options, "--network=none", "busybox:1")
        show(host, {"/proc/cmdline": f"{BOOT}\n"})
        yield host


ROTTEN_CONFIG: dict[str, Any] = {
    "debug": True, "log-level": "debug", "insecure-registries": ["10.0.0.0/8", "reg.example:5000"],
    "registry-mirrors": ["http://mirror.example"], "cgroup-parent": "/odd", "experimental": True,
    "userland-proxy": True, "no-new-privileges": False, "live-restore": False, "iptables": False,
    "seccomp-profile": "/etc/docker/allow.json", "log-driver": "json-file", "tlsverify": False,
    "tls": True, **TLS, "data-root": "/opt/engine", "bridge": "hcrec1",
}  # fmt: skip

# Every file that decides about the engine, in everybody's hands.
ROTTEN_FILES = """
useradd mallory && usermod -aG docker mallory
mkdir -p /etc/systemd/system/docker.service.d /etc/systemd/system/docker.socket.d
echo '[Service]' >/etc/systemd/system/docker.service.d/x.conf
echo '[Socket]' >/etc/systemd/system/docker.socket.d/x.conf
systemctl daemon-reload
mkdir -p /etc/docker/certs.d/reg.example:5000 /etc/sysconfig
echo x >/etc/docker/certs.d/reg.example:5000/ca.crt; echo OPTIONS= >/etc/sysconfig/docker
for f in /etc/docker /etc/docker/daemon.json /etc/docker/tls /etc/docker/tls/*.pem \
    /etc/docker/certs.d/reg.example:5000/ca.crt /etc/default/docker /etc/sysconfig/docker \
    /etc/systemd/system/docker.service.d/x.conf /etc/systemd/system/docker.socket.d/x.conf; do
    chown mallory "$f" && chmod a+rw "$f"
done
chmod 777 /etc/docker
systemctl restart docker.socket docker
"""

ROTTEN_SOCKETS = """
for f in /var/run/docker.sock /run/containerd/containerd.sock; do
    chown mallory "$f" && chmod a+rw "$f"
done
"""

NESTED = """
mkdir -p /srv/data/in
echo "{}" >/etc/docker/in.json
unshare -p -m --fork --mount-proc --kill-child=KILL dockerd \
    --config-file=/etc/docker/in.json --data-root=/srv/data/in --exec-root=/run/in \
    --pidfile=/run/in.pid --bridge=none -H unix:///run/in.sock \
    >/run/in.log 2>&1 </dev/null & n=0
until docker -H unix:///run/in.sock version >/dev/null 2>&1; do
    sleep 0.1; n=$((n+1)); [ $n -lt 100 ] || { cat /run/in.log; exit 1; }
done
"""

SSHD = "printf sshd >/proc/self/comm; while :; do sleep 1000; done"
OPEN = ("--pid=host", "--network=host", "--ipc=host", "--uts=host")


@contextmanager
def rotten(name: str) -> Iterator[SystemdHost]:
    """Every fault at once that this machine can make."""
    with SystemdHost(name, layout="v1") as host:
        host.run(CERTIFICATES)
        host.write("/etc/docker/allow.json", ALLOW_ALL)
        host.run("ip link add hcrec1 type bridge && ip addr add 10.215.0.1/24 dev hcrec1")
        try:
            host.restart(ROTTEN_CONFIG, ["-H", "tcp://127.0.0.1:23791"])
            # A file that changes after the engine's start counts as unknown, even by its owner.
            host.run(ROTTEN_FILES)
            host.engine.wait()
            host.engine.load_image()
            populate(host, quiet=True)
            host.start("bridged", "--group-add=6", command=["sh", "-c", SSHD])
            host.docker("create", "--name=greedy", "--oom-score-adj=-900",
                        "--ulimit=nofile=2000000:2000000", "busybox:1")  # fmt: skip
            enter(host, "sound")
            host.docker("create", "--name=almighty", "--privileged", *OPEN, "busybox:1")
            host.docker("create", "--name=ports", "-p=80:80", "-p=8080:8080", "busybox:1")
            host.run(NESTED)
            host.run(ROTTEN_SOCKETS)
            kernel(host, LOOSE, EXPOSED, f"{BOOT} mitigations=off")
            show_folder(host, "/sys/kernel/security", {
                "lockdown": "[none] integrity confidentiality\n", "lsm": "capability\n",
            })  # fmt: skip
            yield host
        finally:
            host.run("ip link del hcrec1", check=False)


@contextmanager
def builder(name: str) -> Iterator[OverlayHost]:
    """A host without engine for what runs builds; parts/build_*.py bring what it has."""
    with OverlayHost(name) as host:
        show(host, {"/proc/cmdline": f"{BOOT}\n"})
        yield host


@contextmanager
def node(name: str) -> Iterator[OverlayHost]:
    """A node of Kubernetes without engine; parts/kube_*.py bring the components and their files."""
    with OverlayHost(name) as host:
        show(host, {"/proc/cmdline": f"{BOOT}\n"})
        yield host


SCENES: dict[str, Scene] = {
    "bare": bare,
    "typical": typical,
    "plain": plain,
    "systemd-v2": systemd_v2,
    "sound": sound,
    "remapped": remapped,
    "rootless": rootless,
    "rotten": rotten,
    "builder-sound": builder,
    "builder-rotten": builder,
    "kubeadm-sound": node,
    "kubeadm-rotten": node,
    **NODES,
    "swarm": swarm,
    "swarm-loose": swarm_loose,
}
