"""A server of k3s 1.33: as it is installed, and as its CIS guide hardens it.

k3s, pkg/daemons/control and pkg/daemons/agent, its installer and docs.k3s.io (hardening guide).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.pki import Pair
from tests.recordings.nodes.common import (
    EVERYWHERE,
    LOCAL,
    Program,
    authority,
    client,
    laid,
    lay,
    node,
    signed,
    start,
    tokens,
)
from tests.recordings.nodes.kubeadm import FLANNEL

__all__ = ["AUDIT", "DEFAULTS", "ENCRYPTION", "POD_SECURITY", "TOKEN", "closing", "k3s_default",
           "k3s_hardened", "server"]  # fmt: skip

TOKEN = "K10" + "5a" * 32 + "::server:0123planted4567abcd89"
SECRET = "cGxhbnRlZC1rM3MtZW5jcnlwdGlvbi1rZXktMDAwMDE="
K3S = "/var/lib/rancher/k3s"
HASH = "9f1b6c2a7b3d4e5f60718293a4b5c6d7e8f90123456789abcdef0123456789ab"

DEFAULTS = """address: 0.0.0.0
apiVersion: kubelet.config.k8s.io/v1beta1
authentication:
  anonymous:
    enabled: false
  webhook:
    cacheTTL: 0s
    enabled: true
  x509:
    clientCAFile: {0}/agent/client-ca.crt
authorization:
  mode: Webhook
  webhook:
    cacheAuthorizedTTL: 0s
    cacheUnauthorizedTTL: 0s
cgroupDriver: systemd
clusterDNS:
- 10.43.0.10
clusterDomain: cluster.local
containerRuntimeEndpoint: unix:///run/k3s/containerd/containerd.sock
cpuManagerReconcilePeriod: 10s
evictionHard:
  imagefs.available: 5%
  nodefs.available: 5%
evictionMinimumReclaim:
  imagefs.available: 10%
  nodefs.available: 10%
evictionPressureTransitionPeriod: 0s
failSwapOn: false
healthzBindAddress: 127.0.0.1
kind: KubeletConfiguration
protectKernelDefaults: {1}
resolvConf: /etc/resolv.conf
serializeImagePulls: false
staticPodPath: {0}/agent/pod-manifests
streamingConnectionIdleTimeout: 0s
syncFrequency: 0s
tlsCertFile: {0}/agent/serving-kubelet.crt
tlsPrivateKeyFile: {0}/agent/serving-kubelet.key
volumeStatsAggPeriod: 0s
"""
UNIT = """[Unit]
Description=Lightweight Kubernetes
Documentation=https://k3s.io
Wants=network-online.target
After=network-online.target

[Install]
WantedBy=multi-user.target

[Service]
Type=notify
EnvironmentFile=-/etc/default/%N
EnvironmentFile=-/etc/sysconfig/%N
EnvironmentFile=-/etc/systemd/system/k3s.service.env
KillMode=process
Delegate=yes
LimitNOFILE=1048576
Restart=always
RestartSec=5s
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStart=/usr/local/bin/k3s \\
    server \\
"""
HARDENED_K3S = """protect-kernel-defaults: true
secrets-encryption: true
kube-apiserver-arg:
  - "enable-admission-plugins=NodeRestriction,EventRateLimit"
  - "admission-control-config-file=/var/lib/rancher/k3s/server/psa.yaml"
  - "audit-log-path=/var/lib/rancher/k3s/server/logs/audit.log"
  - "audit-policy-file=/var/lib/rancher/k3s/server/audit.yaml"
  - "audit-log-maxage=30"
  - "audit-log-maxbackup=10"
  - "audit-log-maxsize=100"
  - "service-account-extend-token-expiration=false"
kube-controller-manager-arg:
  - "terminated-pod-gc-threshold=10"
kubelet-arg:
  - "streaming-connection-idle-timeout=5m"
"""
CIPHERS = """kubelet-arg+:
  - "tls-cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,\
TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
  - "pod-max-pids=4096"
"""
POD_SECURITY = """apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    defaults:
      enforce: "restricted"
      enforce-version: "latest"
      audit: "restricted"
      audit-version: "latest"
      warn: "restricted"
      warn-version: "latest"
    exemptions:
      usernames: []
      runtimeClasses: []
      namespaces: [kube-system, cis-operator-system]
"""
EVENTS = """- name: EventRateLimit
  configuration:
    apiVersion: eventratelimit.admission.k8s.io/v1alpha1
    kind: Configuration
    limits:
    - {type: Server, qps: 5000, burst: 20000}
"""
AUDIT = """apiVersion: audit.k8s.io/v1
kind: Policy
metadata:
  creationTimestamp: null
rules:
- level: Metadata
"""
ENCRYPTION = (
    '{"kind":"EncryptionConfiguration","apiVersion":"apiserver.config.k8s.io/v1","resources":'
    '[{"resources":["secrets"],"providers":[{"aescbc":{"keys":[{"name":"aescbckey","secret":"'
    + SECRET + '"}]}},{"identity":{}}]}]}'
)  # fmt: skip


def server(data: str, admin: str) -> dict[str, str]:
    """Return the secrets and keys of a server and its agent, the modes apart.

    :param admin: where its administrator's kubeconfig is written to.
    """
    made = {
        name: authority(f"k3s-{name}@1793491200")
        for name in (
            "server-ca",
            "client-ca",
            "request-header-ca",
            "etcd-server-ca",
            "etcd-peer-ca",
        )
    }
    by, serving = made["client-ca"], made["server-ca"]
    files: dict[str, str] = {}
    for name, each in made.items():
        place = name.replace("etcd-", "etcd/")
        files |= {f"server/tls/{place}.crt": each.certificate,
                  f"server/tls/{place}.key": each.private}  # fmt: skip
    private, _ = tokens()
    files |= {"server/tls/service.key": private, "server/tls/service.current.key": private}
    files |= laid(_certificates(made), "server/tls")
    people = {
        "server/cred/admin": ("system:admin", "system:masters"),
        "server/cred/controller": ("system:kube-controller-manager", ""),
        "server/cred/scheduler": ("system:kube-scheduler", ""),
        "server/cred/supervisor": ("system:supervisor", "system:masters"),
        "agent/kubelet": ("system:node:node1", "system:nodes"),
        "agent/kubeproxy": ("system:kube-proxy", ""),
    }
    for path, (user, group) in people.items():
        files[f"{path}.kubeconfig"] = client(user, group, by, serving)
    files |= laid(signed(serving, {"serving-kubelet": ("node1", "")}), "agent")
    files |= laid(signed(by, {"client-kubelet": ("system:node:node1", "system:nodes")}), "agent")
    files |= {"agent/client-ca.crt": by.certificate, "agent/server-ca.crt": serving.certificate,
              "server/token": f"{TOKEN}\n", "server/cred/passwd": _passwd(),
              "agent/etc/cni/net.d/10-flannel.conflist": FLANNEL}  # fmt: skip
    return laid(files, data) | {admin: client("default", "system:masters", by, serving)}


def _passwd() -> str:
    secret = TOKEN.rpartition(":")[2]
    return f"{secret},node,node,k3s:agent\n{secret},server,server,k3s:server\n"


def _certificates(made: Mapping[str, Pair]) -> dict[str, str]:
    found = signed(made["client-ca"], {
        "client-admin": ("system:admin", "system:masters"),
        "client-kube-apiserver": ("system:apiserver", "system:masters"),
        "client-controller": ("system:kube-controller-manager", ""),
        "client-scheduler": ("system:kube-scheduler", ""),
        "client-kube-proxy": ("system:kube-proxy", ""),
    })  # fmt: skip
    found |= signed(made["server-ca"], {"serving-kube-apiserver": ("kube-apiserver", "")})
    front = made["request-header-ca"]
    found |= signed(front, {"client-auth-proxy": ("system:auth-proxy", "")})
    found |= signed(made["etcd-server-ca"], {"etcd/server-client": ("etcd-server", ""),
                                             "etcd/client": ("etcd-client", "")})  # fmt: skip
    return found | signed(made["etcd-peer-ca"],
                          {"etcd/peer-server-client": ("etcd-peer", "")})  # fmt: skip


def closing(data: str) -> str:
    """Return what sets the modes of a server's files as k3s makes them."""
    return f"""
        ln -sf {data}/server/token {data}/server/node-token
        ln -sf {data}/server/token {data}/server/agent-token
        chmod 644 $(find {data} -name '*.crt') {data}/agent/etc/cni/net.d/*
        mkdir -p {data}/server/db {data}/agent/pod-manifests
        chmod 700 {data}/server {data}/server/tls {data}/server/cred {data}/server/db
        chmod 700 {data}/agent/pod-manifests {data}/agent/etc/kubelet.conf.d
    """


def _k3s(host: OverlayHost, files: Mapping[str, str], words: Sequence[str], then: str) -> None:
    protected = "true" if "/etc/rancher/k3s/config.yaml" in files else "false"
    arguments = "".join(f"\t'{each}' \\\n" for each in words)
    lay(host, {
        **server(K3S, "/etc/rancher/k3s/k3s.yaml"), **files,
        f"{K3S}/agent/etc/kubelet.conf.d/00-k3s-defaults.conf": DEFAULTS.format(K3S, protected),
        f"{K3S}/server/db/state.db": "SQLite format 3\n",
        "/etc/systemd/system/k3s.service.env": "",
        "/etc/systemd/system/k3s.service": UNIT + arguments + "\n",
    }, then=f"""{closing(K3S)}
        chmod 644 /etc/systemd/system/k3s.service {K3S}/server/db/state.db
        mkdir -p {K3S}/data/{HASH}/bin /usr/local/bin; cd {K3S}/data
        ln -s {HASH} current; ln -s k3s {HASH}/bin/k3s-server
        {then}
    """)  # fmt: skip
    ports = [(EVERYWHERE, each) for each in (6443, 10250)]
    ports += [(LOCAL, each) for each in (6444, 10248, 10249, 10256, 10257, 10258, 10259)]
    start(host, Program(("/usr/local/bin/k3s server",), f"{K3S}/data/{HASH}/bin/k3s-server", ports,
                        unit="k3s.service"))  # fmt: skip


@contextmanager
def k3s_default(name: str) -> Iterator[OverlayHost]:
    """A single server of k3s, installed by its script, with the option that every tutorial has."""
    with node(name) as host:
        _k3s(host, {}, ["--write-kubeconfig-mode", "644"], "chmod 644 /etc/rancher/k3s/k3s.yaml")
        yield host


@contextmanager
def k3s_hardened(name: str) -> Iterator[OverlayHost]:
    """The same by its CIS hardening guide, with a second file of configuration that adds."""
    with node(name) as host:
        files = {
            "/etc/rancher/k3s/config.yaml": HARDENED_K3S,
            "/etc/rancher/k3s/config.yaml.d/10-kubelet.yaml": CIPHERS,
            f"{K3S}/server/psa.yaml": POD_SECURITY + EVENTS,
            f"{K3S}/server/audit.yaml": AUDIT,
            f"{K3S}/server/cred/encryption-config.json": ENCRYPTION,
            f"{K3S}/server/logs/audit.log": "",
        }
        _k3s(host, files, [], f"chmod 600 {K3S}/server/db/state.db; chmod 700 {K3S}/server/logs")
        yield host
