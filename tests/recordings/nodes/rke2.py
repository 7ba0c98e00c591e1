"""A server of RKE2 1.35: as its quick start leaves it, and with ``profile: cis``.

docs.rke2.io, and command lines of real nodes (rancher/rke2#5899, #4441, kube-bench#1843).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.live.hosts.overlay import OverlayHost
from tests.recordings.nodes.common import EVERYWHERE, LOCAL, Program, laid, lay, node, start
from tests.recordings.nodes.k3s import (
    AUDIT,
    DEFAULTS,
    ENCRYPTION,
    POD_SECURITY,
    TOKEN,
    closing,
    server,
)
from tests.recordings.nodes.kubeadm import manifest

__all__ = ["rke2_default", "rke2_hardened"]

RKE2 = "/var/lib/rancher/rke2"
RELEASE = f"{RKE2}/data/v1.35.2-rke2r1-5b8349de68df"
NETWORK_FIX = "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname"
TLS = f"{RKE2}/server/tls"
CRED = f"{RKE2}/server/cred"
RKE2_API = (
    "kube-apiserver", "--advertise-port=6443", "--allow-privileged=true", "--anonymous-auth=false",
    "--api-audiences=https://kubernetes.default.svc.cluster.local,rke2",
    "--authorization-mode=Node,RBAC", "--bind-address=0.0.0.0",
    f"--cert-dir={TLS}/temporary-certs", f"--client-ca-file={TLS}/client-ca.crt",
    f"--egress-selector-config-file={RKE2}/server/etc/egress-selector-config.yaml",
    "--enable-admission-plugins=NodeRestriction", "--enable-aggregator-routing=true",
    "--enable-bootstrap-token-auth=true",
    f"--encryption-provider-config={CRED}/encryption-config.json",
    "--encryption-provider-config-automatic-reload=true",
    f"--etcd-cafile={TLS}/etcd/server-ca.crt", f"--etcd-certfile={TLS}/etcd/client.crt",
    f"--etcd-keyfile={TLS}/etcd/client.key", "--etcd-servers=https://127.0.0.1:2379",
    f"--kubelet-certificate-authority={TLS}/server-ca.crt",
    f"--kubelet-client-certificate={TLS}/client-kube-apiserver.crt",
    f"--kubelet-client-key={TLS}/client-kube-apiserver.key", NETWORK_FIX, "--profiling=false",
    f"--proxy-client-cert-file={TLS}/client-auth-proxy.crt",
    f"--proxy-client-key-file={TLS}/client-auth-proxy.key",
    "--requestheader-allowed-names=system:auth-proxy",
    f"--requestheader-client-ca-file={TLS}/request-header-ca.crt",
    "--requestheader-extra-headers-prefix=X-Remote-Extra-",
    "--requestheader-group-headers=X-Remote-Group",
    "--requestheader-username-headers=X-Remote-User", "--secure-port=6443",
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    f"--service-account-key-file={TLS}/service.key",
    f"--service-account-signing-key-file={TLS}/service.current.key",
    "--service-cluster-ip-range=10.43.0.0/16", "--service-node-port-range=30000-32767",
    "--storage-backend=etcd3", f"--tls-cert-file={TLS}/serving-kube-apiserver.crt",
    f"--tls-private-key-file={TLS}/serving-kube-apiserver.key",
)  # fmt: skip
RKE2_AUDIT = (
    "--admission-control-config-file=/etc/rancher/rke2/rke2-pss.yaml",
    "--audit-policy-file=/etc/rancher/rke2/audit-policy.yaml", "--audit-log-maxage=30",
    "--audit-log-maxbackup=10", "--audit-log-maxsize=100",
    f"--audit-log-path={RKE2}/server/logs/audit.log",
)  # fmt: skip
RKE2_MANAGER = (
    "kube-controller-manager", "--flex-volume-plugin-dir=/var/lib/kubelet/volumeplugins",
    "--terminated-pod-gc-threshold=1000", "--permit-port-sharing=true",
    "--allocate-node-cidrs=true", f"--authentication-kubeconfig={CRED}/controller.kubeconfig",
    f"--authorization-kubeconfig={CRED}/controller.kubeconfig", "--bind-address=127.0.0.1",
    f"--cert-dir={TLS}/kube-controller-manager", "--cluster-cidr=10.42.0.0/16",
    *(f"--cluster-signing-{each}-{kind}-file={TLS}/{ca}-ca{end}" for each, ca in
      (("kube-apiserver-client", "client"), ("kubelet-client", "client"),
       ("kubelet-serving", "server"), ("legacy-unknown", "server"))
      for kind, end in (("cert", ".crt"), ("key", ".key"))),
    "--configure-cloud-routes=false",
    "--controllers=*,tokencleaner,-service,-route,-cloud-node-lifecycle",
    f"--kubeconfig={CRED}/controller.kubeconfig", "--profiling=false",
    f"--root-ca-file={TLS}/server-ca.crt", "--secure-port=10257",
    f"--service-account-private-key-file={TLS}/service.current.key",
    "--use-service-account-credentials=true",
)  # fmt: skip
RKE2_SCHEDULER = (
    "kube-scheduler", "--permit-port-sharing=true",
    f"--authentication-kubeconfig={CRED}/scheduler.kubeconfig",
    f"--authorization-kubeconfig={CRED}/scheduler.kubeconfig", "--bind-address=127.0.0.1",
    f"--cert-dir={TLS}/kube-scheduler", f"--kubeconfig={CRED}/scheduler.kubeconfig",
    "--profiling=false", "--secure-port=10259",
)  # fmt: skip
RKE2_ETCD = ("etcd", f"--config-file={RKE2}/server/db/etcd/config")
RKE2_KUBELET = (
    "kubelet", "--volume-plugin-dir=/var/lib/kubelet/volumeplugins", "--file-check-frequency=5s",
    "--sync-frequency=30s", "--cloud-provider=external",
    f"--config-dir={RKE2}/agent/etc/kubelet.conf.d",
    "--containerd=/run/k3s/containerd/containerd.sock", "--hostname-override=node1",
    f"--kubeconfig={RKE2}/agent/kubelet.kubeconfig", "--node-ip=10.0.0.10", "--node-labels=",
    "--read-only-port=0",
)  # fmt: skip
RKE2_PROXY = (
    "kube-proxy", "--cluster-cidr=10.42.0.0/16", "--conntrack-max-per-core=0",
    "--conntrack-tcp-timeout-close-wait=0s", "--conntrack-tcp-timeout-established=0s",
    "--healthz-bind-address=127.0.0.1", "--hostname-override=node1",
    f"--kubeconfig={RKE2}/agent/kubeproxy.kubeconfig", "--proxy-mode=iptables",
)  # fmt: skip
ETCD_CONFIG = f"""advertise-client-urls: https://10.0.0.10:2379
client-transport-security:
  cert-file: {TLS}/etcd/server-client.crt
  client-cert-auth: true
  key-file: {TLS}/etcd/server-client.key
  trusted-ca-file: {TLS}/etcd/server-ca.crt
data-dir: {RKE2}/server/db/etcd
election-timeout: 5000
experimental-initial-corrupt-check: true
heartbeat-interval: 500
initial-advertise-peer-urls: https://10.0.0.10:2380
initial-cluster: node1-0e5d2c1f=https://10.0.0.10:2380
initial-cluster-state: new
listen-client-http-urls: https://127.0.0.1:2382
listen-client-urls: https://127.0.0.1:2379,https://10.0.0.10:2379
listen-metrics-urls: http://127.0.0.1:2381
listen-peer-urls: https://127.0.0.1:2380,https://10.0.0.10:2380
log-outputs:
- stderr
logger: zap
name: node1-0e5d2c1f
peer-transport-security:
  cert-file: {TLS}/etcd/peer-server-client.crt
  client-cert-auth: true
  key-file: {TLS}/etcd/peer-server-client.key
  trusted-ca-file: {TLS}/etcd/peer-ca.crt
snapshot-count: 10000
"""
EGRESS = "apiVersion: apiserver.k8s.io/v1beta1\nkind: EgressSelectorConfiguration\n"


def _rke2(host: OverlayHost, config: str, api: Sequence[str], etcd: int) -> None:
    image = "index.docker.io/rancher/hardened-{}"
    pods = {
        f"{words[0]}.yaml": manifest(words, image.format(tag), [TLS, f"{RKE2}/server/db/etcd"])
        for words, tag in (
            (api, "kubernetes:v1.35.2-rke2r1"), (RKE2_MANAGER,
            "kubernetes:v1.35.2-rke2r1"), (RKE2_SCHEDULER,
            "kubernetes:v1.35.2-rke2r1"), (RKE2_ETCD, "etcd:v3.6.7-k3s1"),
            (RKE2_PROXY, "kubernetes:v1.35.2-rke2r1"))
    }  # fmt: skip
    protected = "true" if "profile" in config else "false"
    lay(host, {
        **server(RKE2, "/etc/rancher/rke2/rke2.yaml"), **laid(pods, f"{RKE2}/agent/pod-manifests"),
        f"{RKE2}/agent/etc/kubelet.conf.d/00-rke2-defaults.conf": DEFAULTS.format(RKE2, protected),
        f"{RKE2}/server/db/etcd/config": ETCD_CONFIG, f"{CRED}/encryption-config.json": ENCRYPTION,
        f"{RKE2}/server/db/etcd/member/snap/db": "bolt\n",
        f"{RKE2}/server/etc/egress-selector-config.yaml": EGRESS,
        **({"/etc/rancher/rke2/config.yaml": config} if config else {}),
        "/etc/rancher/rke2/rke2-pss.yaml": POD_SECURITY,
        **({"/etc/rancher/rke2/audit-policy.yaml": AUDIT, f"{RKE2}/server/logs/audit.log": ""}
           if "profile" in config else {}),
        "/usr/local/lib/systemd/system/rke2-server.service":
            "[Service]\nType=notify\nEnvironmentFile=-/etc/default/%N\n"
            "ExecStart=/usr/local/bin/rke2 server\n",
    }, then=f"""{closing(RKE2)}
        chmod 644 /usr/local/lib/systemd/system/rke2-server.service
        useradd -r -s /sbin/nologin -M -u {etcd or 52} etcd
        chmod 700 {RKE2}/server/db/etcd {RKE2}/server/db/etcd/member
        [ {etcd} = 0 ] || chown -R etcd:etcd {RKE2}/server/db/etcd {TLS}/etcd
        chmod 711 {RKE2}/server {RKE2}/server/db {TLS}
        [ ! -d {RKE2}/server/logs ] || chmod 700 {RKE2}/server/logs
    """)  # fmt: skip
    pods_running = [
        Program(words, f"/usr/local/bin/{words[0]}", ports, contained=True, unit="kubepods",
                uid=etcd if words is RKE2_ETCD else 0)
        for words, ports in (
            (api, [(EVERYWHERE, 6443)]), (RKE2_MANAGER, [(LOCAL, 10257)]),
            (RKE2_SCHEDULER, [(LOCAL, 10259)]), (RKE2_ETCD, [(LOCAL, 2379), (LOCAL, 2381)]),
            (RKE2_PROXY, [(LOCAL, 10249), (LOCAL, 10256)]))
    ]  # fmt: skip
    unit = "rke2-server.service"
    kubelet = Program(RKE2_KUBELET, f"{RELEASE}/bin/kubelet", unit=unit,
                      listens=[(EVERYWHERE, 10250), (LOCAL, 10248)])  # fmt: skip
    start(host, Program(("/usr/local/bin/rke2 server",), "/usr/local/bin/rke2", unit=unit,
                        listens=[(EVERYWHERE, 9345)], children=[kubelet]),
          *pods_running)  # fmt: skip


@contextmanager
def rke2_default(name: str) -> Iterator[OverlayHost]:
    """A server of RKE2 as its quick start leaves it."""
    with node(name) as host:
        api = ("kube-apiserver", RKE2_AUDIT[0], *RKE2_API[1:])
        _rke2(host, "", api, 0)
        yield host


@contextmanager
def rke2_hardened(name: str) -> Iterator[OverlayHost]:
    """A server of RKE2 with ``profile: cis``, and what its guide asks for beside it."""
    with node(name) as host:
        config = f"profile: cis\ntoken: {TOKEN}\nselinux: false\n"
        _rke2(host, config, ("kube-apiserver", *RKE2_AUDIT, *RKE2_API[1:]), 52034)
        yield host
