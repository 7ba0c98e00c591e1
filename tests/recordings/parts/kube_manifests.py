"""The command lines of a control plane, and the manifests of its static pods, as kubeadm 1.32
writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["API_SERVER", "ETCD", "MANAGER", "PKI", "SCHEDULER", "manifest"]

PKI = "/etc/kubernetes/pki"
NODE = "10.0.0.10"
CONFIGS = "/etc/kubernetes"

API_SERVER = [
    "kube-apiserver", f"--advertise-address={NODE}", "--allow-privileged=true",
    "--authorization-mode=Node,RBAC", f"--client-ca-file={PKI}/ca.crt",
    "--enable-admission-plugins=NodeRestriction", "--enable-bootstrap-token-auth=true",
    f"--etcd-cafile={PKI}/etcd/ca.crt", f"--etcd-certfile={PKI}/apiserver-etcd-client.crt",
    f"--etcd-keyfile={PKI}/apiserver-etcd-client.key", "--etcd-servers=https://127.0.0.1:2379",
    f"--kubelet-client-certificate={PKI}/apiserver-kubelet-client.crt",
    f"--kubelet-client-key={PKI}/apiserver-kubelet-client.key",
    f"--proxy-client-cert-file={PKI}/front-proxy-client.crt",
    f"--proxy-client-key-file={PKI}/front-proxy-client.key",
    "--requestheader-allowed-names=front-proxy-client",
    f"--requestheader-client-ca-file={PKI}/front-proxy-ca.crt", "--secure-port=6443",
    f"--service-account-key-file={PKI}/sa.pub",
    f"--service-account-signing-key-file={PKI}/sa.key",
    f"--tls-cert-file={PKI}/apiserver.crt", f"--tls-private-key-file={PKI}/apiserver.key",
]  # fmt: skip
MANAGER = [
    "kube-controller-manager", "--allocate-node-cidrs=true",
    f"--authentication-kubeconfig={CONFIGS}/controller-manager.conf",
    f"--authorization-kubeconfig={CONFIGS}/controller-manager.conf", "--bind-address=127.0.0.1",
    f"--client-ca-file={PKI}/ca.crt", "--cluster-cidr=10.244.0.0/16", "--cluster-name=kubernetes",
    f"--cluster-signing-cert-file={PKI}/ca.crt", f"--cluster-signing-key-file={PKI}/ca.key",
    "--controllers=*,bootstrapsigner,tokencleaner",
    f"--kubeconfig={CONFIGS}/controller-manager.conf", "--leader-elect=true", "--profiling=false",
    f"--requestheader-client-ca-file={PKI}/front-proxy-ca.crt", f"--root-ca-file={PKI}/ca.crt",
    f"--service-account-private-key-file={PKI}/sa.key", "--use-service-account-credentials=true",
]  # fmt: skip
SCHEDULER = [
    "kube-scheduler", f"--authentication-kubeconfig={CONFIGS}/scheduler.conf",
    f"--authorization-kubeconfig={CONFIGS}/scheduler.conf", "--bind-address=127.0.0.1",
    f"--kubeconfig={CONFIGS}/scheduler.conf", "--leader-elect=true", "--profiling=false",
]  # fmt: skip
ETCD = [
    "etcd", f"--advertise-client-urls=https://{NODE}:2379", f"--cert-file={PKI}/etcd/server.crt",
    "--client-cert-auth=true", "--data-dir=/var/lib/etcd",
    f"--initial-advertise-peer-urls=https://{NODE}:2380",
    f"--initial-cluster=node1=https://{NODE}:2380", f"--key-file={PKI}/etcd/server.key",
    f"--listen-client-urls=https://127.0.0.1:2379,https://{NODE}:2379",
    "--listen-metrics-urls=http://127.0.0.1:2381", f"--listen-peer-urls=https://{NODE}:2380",
    "--name=node1", f"--peer-cert-file={PKI}/etcd/peer.crt", "--peer-client-cert-auth=true",
    f"--peer-key-file={PKI}/etcd/peer.key", f"--peer-trusted-ca-file={PKI}/etcd/ca.crt",
    "--snapshot-count=10000", f"--trusted-ca-file={PKI}/etcd/ca.crt",
]  # fmt: skip


def manifest(words: Sequence[str], image: str, mounts: Iterable[str]) -> str:
    """Return the manifest of a static pod that runs a command, with paths of the node mounted."""
    name, *flags = words
    command = "".join(f"    - {each}\n" for each in (name, *flags))
    paths = list(mounts)
    mounted = "".join(
        f"    - mountPath: {path}\n      name: v{at}\n" for at, path in enumerate(paths)
    )
    volumes = "".join(
        f"  - hostPath:\n      path: {path}\n      type: {_kind(path)}\n    name: v{at}\n"
        for at, path in enumerate(paths)
    )
    return f"""apiVersion: v1
kind: Pod
metadata:
  labels:
    component: {name}
    tier: control-plane
  name: {name}
  namespace: kube-system
spec:
  containers:
  - command:
{command}    image: {image}
    imagePullPolicy: IfNotPresent
    name: {name}
    resources:
      requests:
        cpu: 100m
    volumeMounts:
{mounted}  hostNetwork: true
  priority: 2000001000
  priorityClassName: system-node-critical
  securityContext:
    seccompProfile:
      type: RuntimeDefault
  volumes:
{volumes}"""


def _kind(path: str) -> str:
    return "FileOrCreate" if path.endswith(".conf") else "DirectoryOrCreate"
