"""MicroK8s 1.32: as the snap leaves it, and as its CIS add-on hardens it.

canonical/microk8s, microk8s-resources/default-args and addons/cis-hardening.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.live.hosts.overlay import OverlayHost
from tests.recordings.nodes.common import (
    EVERYWHERE,
    LOCAL,
    Program,
    authority,
    laid,
    lay,
    node,
    place,
    signed,
    start,
    tokens,
)

__all__ = ["SECRETS", "microk8s_default", "microk8s_hardened"]

SNAP, REVISION = "/snap/microk8s/8511", "/var/snap/microk8s/8511"
COMMON = "/var/snap/microk8s/common"
SECRETS = ("cGxhbnRlZC1hZG1pbi10b2tlbi0wMDE", "planted-cluster-token-0002-aa")

API_SERVER = """--cert-dir=${SNAP_DATA}/certs
--service-cluster-ip-range=10.152.183.0/24
--authorization-mode=AlwaysAllow
--service-account-key-file=${SNAP_DATA}/certs/serviceaccount.key
--client-ca-file=${SNAP_DATA}/certs/ca.crt
--tls-cert-file=${SNAP_DATA}/certs/server.crt
--tls-private-key-file=${SNAP_DATA}/certs/server.key
--kubelet-client-certificate=${SNAP_DATA}/certs/apiserver-kubelet-client.crt
--kubelet-client-key=${SNAP_DATA}/certs/apiserver-kubelet-client.key
--secure-port=16443
--etcd-servers="unix://${SNAP_DATA}/var/kubernetes/backend/kine.sock:12379"
--allow-privileged=true
--service-account-issuer='https://kubernetes.default.svc'
--service-account-signing-key-file=${SNAP_DATA}/certs/serviceaccount.key
--event-ttl=5m
--profiling=false

# Enable the aggregation layer
--requestheader-client-ca-file=${SNAP_DATA}/certs/front-proxy-ca.crt
--requestheader-allowed-names=front-proxy-client
--requestheader-extra-headers-prefix=X-Remote-Extra-
--requestheader-group-headers=X-Remote-Group
--requestheader-username-headers=X-Remote-User
--proxy-client-cert-file=${SNAP_DATA}/certs/front-proxy-client.crt
--proxy-client-key-file=${SNAP_DATA}/certs/front-proxy-client.key
#~Enable the aggregation layer
--enable-admission-plugins=EventRateLimit
--admission-control-config-file=${SNAP_DATA}/args/admission-control-config-file.yaml
"""
KUBELET = """--kubeconfig=${SNAP_DATA}/credentials/kubelet.config
--cert-dir=${SNAP_DATA}/certs
--client-ca-file=${SNAP_DATA}/certs/ca.crt
--anonymous-auth=false
--root-dir=${SNAP_COMMON}/var/lib/kubelet
--fail-swap-on=false
--eviction-hard="memory.available<100Mi,nodefs.available<1Gi,imagefs.available<1Gi"
--container-runtime-endpoint=${SNAP_COMMON}/run/containerd.sock
--containerd=${SNAP_COMMON}/run/containerd.sock
--node-labels="microk8s.io/cluster=true,node.kubernetes.io/microk8s-controlplane=microk8s"
--authentication-token-webhook=true
--read-only-port=0
--serialize-image-pulls=false
--cluster-domain=cluster.local
--cluster-dns=10.152.183.10
"""
MANAGER = """--kubeconfig=${SNAP_DATA}/credentials/controller.config
--service-account-private-key-file=${SNAP_DATA}/certs/serviceaccount.key
--root-ca-file=${SNAP_DATA}/certs/ca.crt
--cluster-signing-cert-file=${SNAP_DATA}/certs/ca.crt
--cluster-signing-key-file=${SNAP_DATA}/certs/ca.key
--use-service-account-credentials
--leader-elect-lease-duration=60s
--leader-elect-renew-deadline=30s
--profiling=false
"""
SCHEDULER = """--kubeconfig=${SNAP_DATA}/credentials/scheduler.config
--leader-elect-lease-duration=60s
--leader-elect-renew-deadline=30s
--profiling=false
"""
PROXY = """--kubeconfig=${SNAP_DATA}/credentials/proxy.config
--cluster-cidr=10.1.0.0/16
--healthz-bind-address=127.0.0.1
--profiling=false
"""
HARDENED_API = """--anonymous-auth=false
--service-account-lookup=true
--kubelet-certificate-authority=${SNAP_DATA}/certs/ca.crt
--audit-log-path=/var/log/apiserver/audit.log
--audit-log-maxage=30
--audit-log-maxbackup=10
--audit-log-maxsize=100
--audit-policy-file=${SNAP_DATA}/args/audit-policy.yaml
--encryption-provider-config=${SNAP_DATA}/args/encryption-config.yaml
--tls-cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
"""
HARDENED_KUBELET = """--authorization-mode=Webhook
--protect-kernel-defaults=true
--streaming-connection-idle-timeout=5m
--event-qps=0
--rotate-certificates=true
--tls-cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
--tls-cert-file=${SNAP_DATA}/certs/kubelet.crt
--tls-private-key-file=${SNAP_DATA}/certs/kubelet.key
"""
ADMISSION = f"""apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: EventRateLimit
  path: {REVISION}/args/eventconfig.yaml
"""
EVENTS = """apiVersion: eventratelimit.admission.k8s.io/v1alpha1
kind: Configuration
limits:
- {type: Server, burst: 20000, qps: 5000}
"""
AUDIT = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"
ENCRYPTION = """apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - aescbc: {keys: [{name: key1, secret: cGxhbnRlZC1taWNyb2s4cy1rZXktMDAwMDAwMDAwMDE=}]}
  - identity: {}
"""
CNI = '{"name": "k8s-pod-network", "cniVersion": "0.3.1", "plugins": [{"type": "calico"}]}\n'


def _credentials() -> dict[str, str]:
    """Return kubeconfigs with certificates beside them, as 1.28 and later make them."""
    users = {"client": "admin", "controller": "system:kube-controller-manager", "kubelet":
             "system:node:node1", "proxy": "system:kube-proxy", "scheduler":
             "system:kube-scheduler"}  # fmt: skip
    return {f"{name}.config": f"""apiVersion: v1
clusters:
- cluster:
    certificate-authority: {REVISION}/certs/ca.crt
    server: https://127.0.0.1:16443
  name: microk8s-cluster
contexts:
- context: {{cluster: microk8s-cluster, user: {user}}}
  name: microk8s
current-context: microk8s
kind: Config
users:
- name: {user}
  user:
    client-certificate: {REVISION}/certs/{name}.crt
    client-key: {REVISION}/certs/{name}.key
""" for name, user in users.items()}  # fmt: skip


def _certificates() -> dict[str, str]:
    cluster, front = authority("10.152.183.1"), authority("front-proxy-ca")
    found = signed(cluster, {
        "server": ("127.0.0.1", "Canonical"), "client": ("admin", "system:masters"),
        "apiserver-kubelet-client": ("kube-apiserver-kubelet-client", "system:masters"),
        "controller": ("system:kube-controller-manager", ""),
        "scheduler": ("system:kube-scheduler", ""), "proxy": ("system:kube-proxy", ""),
        "kubelet": ("system:node:node1", "system:nodes"),
    })  # fmt: skip
    found |= signed(front, {"front-proxy-client": ("front-proxy-client", "")})
    for name, each in (("ca", cluster), ("front-proxy-ca", front)):
        found |= {f"{name}.crt": each.certificate, f"{name}.key": each.private}
    return found | {"serviceaccount.key": tokens()[0]}


def _microk8s(host: OverlayHost, args: Mapping[str, str], then: str) -> None:
    place(host, f"{SNAP}/kubelite", f"{SNAP}/bin/k8s-dqlite")
    lay(host, {
        **laid(args, f"{REVISION}/args"), **laid(_credentials(), f"{REVISION}/credentials"),
        **laid(_certificates(), f"{REVISION}/certs"),
        f"{REVISION}/credentials/known_tokens.csv": f"{SECRETS[0]},admin,admin,system:masters\n",
        f"{REVISION}/credentials/cluster-tokens.txt": f"{SECRETS[1]}|1793491200\n",
        f"{REVISION}/var/kubernetes/backend/cluster.key": tokens()[0],
        f"{REVISION}/args/cni-network/10-calico.conflist": CNI,
        f"{SNAP}/meta/snap.yaml": "name: microk8s\nversion: v1.32.9\nsummary: Kubernetes\n",
    }, mode="660", then=f"""
        groupadd -r microk8s; cd {REVISION}; chgrp -R microk8s args certs credentials var
        chmod 770 args certs credentials var/kubernetes/backend; chmod 644 {SNAP}/meta/snap.yaml
        ln -s 8511 /snap/microk8s/current; ln -s 8511 /var/snap/microk8s/current
        {then}
    """)  # fmt: skip
    names = {"scheduler": "kube-scheduler", "controller-manager": "kube-controller-manager",
             "proxy": "kube-proxy", "kubelet": "kubelet",
             "apiserver": "kube-apiserver"}  # fmt: skip
    words = [f"--{flag}-args-file={REVISION}/args/{file}" for flag, file in names.items()]
    kubelite = (f"{SNAP}/kubelite", *words, f"--kubeconfig-file={REVISION}/credentials/client"
                ".config", "--start-control-plane=true")  # fmt: skip
    dqlite = (f"{SNAP}/bin/k8s-dqlite", f"--storage-dir={REVISION}/var/kubernetes/backend/",
              f"--listen=unix://{REVISION}/var/kubernetes/backend/kine.sock:12379")  # fmt: skip
    where = LOCAL if "--bind-address=127.0.0.1" in args["kube-scheduler"] else EVERYWHERE
    ports = [(EVERYWHERE, 16443), (EVERYWHERE, 10250), (where, 10257), (where, 10259)]
    ports += [(LOCAL, each) for each in (10248, 10249, 10256)]
    start(
        host,
        Program(kubelite, listens=ports, unit="snap.microk8s.daemon-kubelite.service"),
        Program(dqlite, unit="snap.microk8s.daemon-k8s-dqlite.service"),
    )  # fmt: skip


@contextmanager
def microk8s_default(name: str) -> Iterator[OverlayHost]:
    """MicroK8s as ``snap install microk8s --classic`` leaves it."""
    with node(name) as host:
        _microk8s(host, {
            "kube-apiserver": API_SERVER, "kubelet": KUBELET, "kube-controller-manager": MANAGER,
            "kube-scheduler": SCHEDULER, "kube-proxy": PROXY,
            "admission-control-config-file.yaml": ADMISSION, "eventconfig.yaml": EVENTS,
        }, "")  # fmt: skip
        yield host


@contextmanager
def microk8s_hardened(name: str) -> Iterator[OverlayHost]:
    """The same with RBAC and the CIS add-on."""
    with node(name) as host:
        api = API_SERVER.replace("AlwaysAllow", "Node,RBAC").replace(
            "plugins=EventRateLimit", "plugins=EventRateLimit,AlwaysPullImages,NodeRestriction"
        )
        local = "--bind-address=127.0.0.1\n"
        _microk8s(host, {
            "kube-apiserver": api + HARDENED_API, "kubelet": KUBELET + HARDENED_KUBELET,
            "kube-controller-manager": f"{MANAGER}{local}--terminated-pod-gc-threshold=10\n",
            "kube-scheduler": SCHEDULER + local, "kube-proxy": PROXY,
            "admission-control-config-file.yaml": ADMISSION, "eventconfig.yaml": EVENTS,
            "audit-policy.yaml": AUDIT, "encryption-config.yaml": ENCRYPTION,
        }, f"""rm credentials/known_tokens.csv; mkdir -m 700 -p /var/log/apiserver
            chgrp -R root {REVISION}; chmod -R go-rwx args certs credentials var
        """)  # fmt: skip
        yield host
