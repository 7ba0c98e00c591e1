"""containerd and CRI-O on the recorded hosts: in order on ``sound``, all faults on ``rotten``.

There is no kubelet and no CRI-O for Debian: programs of their names stand in for them, beside real
files; the one for CRI-O listens where it would.
"""

from __future__ import annotations

import json

from tests.live.hosts.overlay import OverlayHost

SOUND = """
version = 2
[metrics]
address = "127.0.0.1:23940"
[plugins."io.containerd.grpc.v1.cri"]
unset_seccomp_profile = "runtime/default"
enable_selinux = true
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "/etc/containerd/certs.d"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
privileged_without_host_devices = true
"""
ROTTEN = """
version = 2
[grpc]
tcp_address = "127.0.0.1:23941"
[metrics]
address = "0.0.0.0:23942"
[debug]
address = "127.0.0.1:23943"
[plugins."io.containerd.grpc.v1.cri"]
stream_server_address = "0.0.0.0"
disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "/etc/containerd/certs.d"
"""
HOSTS = "/etc/containerd/certs.d/docker.io/hosts.toml"

SOUND_CRIO = """
[crio.runtime]
seccomp_use_default_when_empty = true
selinux = true
default_ulimits = ["nofile=1024:4096"]
[crio.image]
signature_policy = "/etc/crio/policy.json"
[crio.metrics]
enable_metrics = true
metrics_port = 23944
"""
ROTTEN_CRIO = """
[crio.api]
stream_address = "0.0.0.0"
[crio.runtime]
seccomp_use_default_when_empty = false
apparmor_profile = "unconfined"
no_pivot = true
allowed_devices = ["/dev/sda"]
default_capabilities = ["SYS_ADMIN"]
[crio.image]
signature_policy = "/etc/crio/policy.json"
insecure_registries = ["reg.example:5000"]
[crio.metrics]
enable_metrics = true
metrics_port = 23945
"""

STAND_IN = """
import os, signal, socket
os.makedirs("/run/crio", exist_ok=True)
unix = socket.socket(socket.AF_UNIX)
unix.bind("/run/crio/crio.sock")
os.chmod("/run/crio/crio.sock", 0o660)
unix.listen()
tcp = socket.create_server(({0!r}, {1}))
signal.pause()
"""


def sound(host: OverlayHost) -> None:
    host.write(HOSTS, '[host."https://mirror.example"]\ncapabilities = ["pull"]\n')
    host.write("/etc/containerd/config.toml", SOUND)
    _restart(host)
    host.run("chmod 711 /var/lib/containers/storage")
    _crio(host, SOUND_CRIO, "reject", ("127.0.0.1", 23944))


def rotten(host: OverlayHost) -> None:
    host.write(HOSTS, '[host."http://mirror.example"]\n')
    host.write("/etc/containerd/config.toml", ROTTEN)
    host.run("chown mallory /etc/containerd/config.toml; chmod 666 /etc/containerd/config.toml")
    # What restarts makes its socket anew; here it is to stay in everybody's hands.
    socket = "/run/containerd/containerd.sock"
    mode = host.run(f"stat -c '%a %u:%g' {socket}").stdout.split()
    _restart(host)
    host.run(f"chown {mode[1]} {socket} && chmod {mode[0]} {socket}")
    host.run("chown mallory /var/lib/containerd && chmod 777 /var/lib/containerd")
    _crio(host, ROTTEN_CRIO, "insecureAcceptAnything", ("0.0.0.0", 23945))


def _restart(host: OverlayHost) -> None:
    """Let containerd read its file, and something that is called a kubelet run."""
    host.run(
        "systemctl restart containerd && cp /usr/bin/sleep /usr/bin/kubelet && "
        "{ setsid kubelet 1000000 </dev/null >/dev/null 2>&1 & }"
    )


def _crio(host: OverlayHost, config: str, policy: str, listens: tuple[str, int]) -> None:
    host.write("/etc/crio/crio.conf", config)
    host.write("/etc/crio/policy.json", json.dumps({"default": [{"type": policy}]}))
    host.write("/root/crio.py", STAND_IN.format(*listens))
    host.run(
        "cp $(readlink -f /usr/bin/python3) /usr/bin/crio && "
        "{ PYTHONHOME=/usr setsid crio </root/crio.py >/var/log/crio.log 2>&1 & }; "
        "n=0; until [ -S /run/crio/crio.sock ]; do sleep 0.05; n=$((n+1)); "
        "[ $n -lt 100 ] || { cat /var/log/crio.log; exit 1; }; done"
    )
