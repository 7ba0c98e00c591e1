"""What kubelets of the recorded nodes have laid down for pods, and manifests of static pods.

The kubelets are those of ``kube_kubelet``. There is no engine: pods are containers of runc.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable

from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.pods import ALMIGHTY, run_pod
from tests.live.hosts.runc import unpack

PODS = "/var/lib/kubelet/pods"
PROXY = "0f1e2d3c-0000-4000-8000-000000000001"
SHOP = "0f1e2d3c-0000-4000-8000-000000000002"
TIME = "..2026_11_28_10_00_00.123456789"
KEYS = ("token", "ca.crt", "namespace")

SOUND = {
    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "balancer", "namespace": "kube-system"},
    "spec": {
        "containers": [{
            "name": "haproxy", "image": "docker.io/library/haproxy:3.0.5",
            "env": [{"name": "PASSWORD_FILE", "value": "/etc/haproxy/password"}],
            "volumeMounts": [{"name": "own", "mountPath": "/etc/haproxy", "readOnly": True}],
        }],
        "volumes": [{"name": "own", "hostPath": {"path": "/etc/haproxy", "type": "Directory"}}],
    },
}  # fmt: skip
ROTTEN = {
    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "agent"},
    "spec": {
        "hostPID": True, "hostNetwork": True,
        "containers": [{
            "name": "agent", "image": "reg.example:5000/agent",
            "securityContext": {"privileged": True},
            "env": [{"name": "DB_PASSWORD", "value": "hunter2-but-longer"}],
            "volumeMounts": [{"name": "all", "mountPath": "/host"}],
        }],
        "volumes": [{"name": "all", "hostPath": {"path": "/"}}],
    },
}  # fmt: skip


def lay_pod(host: OverlayHost, name: str, uid: str, volume: str, files: Iterable[str]) -> None:
    """Lay down a pod with one volume, as a kubelet does, and its folder of logs."""
    folder = shlex.quote(f"{PODS}/{uid}/volumes/{volume}")
    made = " ".join(f"{TIME}/{each}" for each in files)
    host.run(
        f"mkdir -p /var/log/pods/{name}_{uid} {folder}/{TIME} && cd {folder} && touch {made} && "
        f"ln -s {TIME} ..data && chmod 644 {made} && "
        f"chmod 750 {PODS} {PODS}/{uid} {PODS}/{uid}/volumes"
    )


def manifest(host: OverlayHost, path: str, pod: object) -> None:
    host.write(path, json.dumps(pod))
    host.run(f"chmod 600 {path}")


def kubeadm_sound(host: OverlayHost) -> None:
    lay_pod(host, "kube-system_kube-proxy-7", PROXY, "kubernetes.io~secret/tls", ["tls.crt"])
    manifest(host, "/var/lib/kubelet/manifests.d/static.json", SOUND)
    unpack(host)
    run_pod(host, "shop", "web-1", "app")


def kubeadm_rotten(host: OverlayHost) -> None:
    lay_pod(host, "kube-system_kube-proxy-7", PROXY,
            "kubernetes.io~projected/kube-api-access-x", KEYS)  # fmt: skip
    lay_pod(host, "shop_web-1", SHOP, "kubernetes.io~secret/default-token-abcde", KEYS)
    host.run(f"chmod 755 /var/lib/kubelet {PODS} {PODS}/{SHOP} {PODS}/{SHOP}/volumes")
    manifest(host, "/srv/pods/agent", ROTTEN)
    unpack(host)
    run_pod(host, "default", "agent", "agent", capabilities=ALMIGHTY,
            shared=("network", "pid", "ipc"), mounts=[("/", "/host")])  # fmt: skip
