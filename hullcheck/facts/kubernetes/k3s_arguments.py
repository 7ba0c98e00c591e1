"""What k3s gives each of its components by itself.

k3s, pkg/daemons/control/server.go, pkg/daemons/control/deps and pkg/daemons/agent/agent_linux.go;
of the kubelet, what older releases gave as flags, and newer ones write into a drop-in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hullcheck.facts.kubernetes.flags import Flags

__all__ = ["given"]

LOCAL = "127.0.0.1"


def given(
    name: str, data_dir: str, told: Flags, kubelet_file: bool
) -> Mapping[str, tuple[str, ...]]:
    """Return the arguments that a component has by itself.

    :param told: the options of k3s, some of which change them.
    :param kubelet_file: whether the kubelet's settings stand in a drop-in.
    """
    made: Callable[[str, Flags], dict[str, str]] = {
        "kube-apiserver": _api_server, "kube-controller-manager": _controller_manager,
        "kube-scheduler": _scheduler, "etcd": _etcd, "kube-proxy": _proxy,
        "kubelet": _kubelet if kubelet_file else _old_kubelet,
    }[name]  # fmt: skip
    return {flag: (value,) for flag, value in made(data_dir, told).items()}


def _api_server(data_dir: str, told: Flags) -> dict[str, str]:
    tls = f"{data_dir}/server/tls"
    found = {
        "allow-privileged": "true", "authorization-mode": "Node,RBAC", "anonymous-auth": "false",
        "profiling": "false", "enable-admission-plugins": "NodeRestriction",
        "bind-address": LOCAL, "secure-port": "6444",
        "client-ca-file": f"{tls}/client-ca.crt",
        "tls-cert-file": f"{tls}/serving-kube-apiserver.crt",
        "tls-private-key-file": f"{tls}/serving-kube-apiserver.key",
        "kubelet-certificate-authority": f"{tls}/server-ca.crt",
        "kubelet-client-certificate": f"{tls}/client-kube-apiserver.crt",
        "kubelet-client-key": f"{tls}/client-kube-apiserver.key",
        "service-account-key-file": f"{tls}/service.key",
        "service-account-signing-key-file": f"{tls}/service.current.key",
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "api-audiences": "https://kubernetes.default.svc.cluster.local,k3s",
        "requestheader-client-ca-file": f"{tls}/request-header-ca.crt",
        "requestheader-allowed-names": "system:auth-proxy",
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": f"{tls}/client-auth-proxy.crt",
        "proxy-client-key-file": f"{tls}/client-auth-proxy.key",
        "storage-backend": "etcd3",
    }  # fmt: skip
    endpoint = told.last("datastore-endpoint") or ""
    if endpoint.startswith(("http://", "https://")):
        found["etcd-servers"] = endpoint
        for flag in ("cafile", "certfile", "keyfile"):
            if told.last(f"datastore-{flag}"):
                found[f"etcd-{flag}"] = told.last(f"datastore-{flag}") or ""
    elif told.flag("cluster-init") or told.last("server"):
        found |= {
            "etcd-servers": f"https://{LOCAL}:2379", "etcd-cafile": f"{tls}/etcd/server-ca.crt",
            "etcd-certfile": f"{tls}/etcd/client.crt", "etcd-keyfile": f"{tls}/etcd/client.key",
        }  # fmt: skip
    else:
        found["etcd-servers"] = f"unix://{data_dir}/server/kine.sock"
    if told.flag("secrets-encryption"):
        found["encryption-provider-config"] = f"{data_dir}/server/cred/encryption-config.json"
    return found


def _controller_manager(data_dir: str, told: Flags) -> dict[str, str]:
    tls, own = f"{data_dir}/server/tls", f"{data_dir}/server/cred/controller.kubeconfig"
    return {
        "kubeconfig": own, "authentication-kubeconfig": own, "authorization-kubeconfig": own,
        "service-account-private-key-file": f"{tls}/service.current.key",
        "root-ca-file": f"{tls}/server-ca.crt", "profiling": "false", "bind-address": LOCAL,
        "secure-port": "10257", "use-service-account-credentials": "true",
        "cluster-signing-kubelet-serving-cert-file": f"{tls}/server-ca.crt",
        "cluster-signing-kubelet-serving-key-file": f"{tls}/server-ca.key",
    }  # fmt: skip


def _scheduler(data_dir: str, told: Flags) -> dict[str, str]:
    own = f"{data_dir}/server/cred/scheduler.kubeconfig"
    return {
        "kubeconfig": own, "authentication-kubeconfig": own, "authorization-kubeconfig": own,
        "profiling": "false", "bind-address": LOCAL, "secure-port": "10259",
    }  # fmt: skip


def _etcd(data_dir: str, told: Flags) -> dict[str, str]:
    return {"config-file": f"{data_dir}/server/db/etcd/config"}


def _kubelet(data_dir: str, told: Flags) -> dict[str, str]:
    agent = f"{data_dir}/agent"
    return {
        "config-dir": f"{agent}/etc/kubelet.conf.d", "kubeconfig": f"{agent}/kubelet.kubeconfig",
        "read-only-port": "0",
    }  # fmt: skip


def _old_kubelet(data_dir: str, told: Flags) -> dict[str, str]:
    agent = f"{data_dir}/agent"
    found = {
        "kubeconfig": f"{agent}/kubelet.kubeconfig", "anonymous-auth": "false",
        "authentication-token-webhook": "true", "authorization-mode": "Webhook",
        "client-ca-file": f"{agent}/client-ca.crt", "read-only-port": "0",
        "healthz-bind-address": LOCAL, "pod-manifest-path": f"{agent}/pod-manifests",
        "tls-cert-file": f"{agent}/serving-kubelet.crt",
        "tls-private-key-file": f"{agent}/serving-kubelet.key",
        "container-runtime-endpoint": "unix:///run/k3s/containerd/containerd.sock",
        "eviction-hard": "imagefs.available<5%,nodefs.available<5%", "fail-swap-on": "false",
        "cgroup-driver": "cgroupfs",
    }  # fmt: skip
    if told.flag("protect-kernel-defaults"):
        found["protect-kernel-defaults"] = "true"
    return found


def _proxy(data_dir: str, told: Flags) -> dict[str, str]:
    return {"kubeconfig": f"{data_dir}/agent/kubeproxy.kubeconfig", "healthz-bind-address": LOCAL}
