"""Podman on the recorded hosts: in order on ``sound``, with every fault on ``rotten``."""

from __future__ import annotations

from tests.live.hosts.images import busybox_tar
from tests.live.hosts.overlay import OverlayHost

DIGEST = "4bcff63911fcb4448bd4fdacec207030997caf25e9bea4045fa6c8c44de311d1"
POLICY = """{"default": [{"type": "reject"}], "transports": {"docker": {"registry.example": [
    {"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/etc/pki/registry.gpg"}]}}}
"""
SOUND = {
    "/etc/containers/policy.json": POLICY,
    "/etc/containers/containers.conf": '[containers]\nuserns = "auto"\npids_limit = 512\n',
    "/etc/containers/registries.conf.d/site.conf": """
unqualified-search-registries = ["registry.example"]
short-name-mode = "enforcing"
[[registry]]
location = "registry.example"
[[registry.mirror]]
location = "mirror.example"
""",
    "/etc/containers/systemd/app.container": f"""
[Container]
Image=registry.example/app@sha256:{DIGEST}
DropCapability=ALL
Volume=/srv/app:/data
""",
}

ROTTEN = {
    "/etc/containers/containers.conf": """
[containers]
default_ulimits = ["nofile=-1:-1"]
pids_limit = 0
default_capabilities = ["SYS_ADMIN"]
label = false
pidns = "host"
seccomp_profile = "unconfined"
""",
    "/etc/containers/registries.conf.d/site.conf": """
unqualified-search-registries = ["a.example", "b.example"]
short-name-mode = "disabled"
[[registry]]
location = "r.example"
insecure = true
[[registry.mirror]]
location = "m.example"
insecure = true
""",
    "/etc/systemd/system/podman.socket.d/tcp.conf":
    "[Socket]\nListenStream=0.0.0.0:8080\nSocketMode=0666\n",
    "/etc/containers/systemd/app.container": """
[Container]
Image=r.example/app
AddCapability=SYS_ADMIN
PodmanArgs=--privileged
SecurityLabelDisable=true
Volume=/run/podman/podman.sock:/run/podman.sock
""",
}  # fmt: skip

# A user with settings of their own, and an id range: useradd gives one that is free.
USER = "useradd -m carol && install -d -o carol ~carol/.config/containers"
CONF = "/home/carol/.config/containers/containers.conf"
PODMAN = "podman --runtime=runc --cgroup-manager=cgroupfs --storage-driver=vfs"
LIMITS = "--network=none --ulimit=nofile=1024:1024 --ulimit=nproc=1024:1024"


def _user(host: OverlayHost) -> None:
    host.run(USER)
    host.write(CONF, "[containers]\npids_limit = 128\n")
    host.run(f"chown carol {CONF}")


def sound(host: OverlayHost) -> None:
    """Signed images, one registry, users apart, and a quadlet that asks for nothing."""
    for path, text in SOUND.items():
        host.write(path, text)
    _user(host)


def rotten(host: OverlayHost) -> None:
    """Everything open, ids shared, and a container of root's that runs at an odd place."""
    _user(host)
    host.run("echo eve:100000:999999 >>/etc/subuid")
    place = f"{PODMAN} --root /srv/pods --runroot /run/pods"
    host.run(f"{place} import - localhost/busybox:1", stdin=busybox_tar())
    host.run(
        f"{place} run -d --name=poddy --cap-add=SYS_ADMIN --security-opt=seccomp=unconfined"
        f" --pid=host -v /etc:/host {LIMITS} localhost/busybox:1 sleep 1000000"
    )
    for path, text in ROTTEN.items():
        host.write(path, text)
