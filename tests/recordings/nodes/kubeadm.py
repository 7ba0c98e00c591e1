"""Nodes of kubeadm: a control plane of 1.34 just after ``kubeadm init``, a worker of 1.31.

cmd/kubeadm/app/phases of Kubernetes (controlplane, etcd, kubeconfig, certs, kubelet), the units
of the packages of pkgs.k8s.io, and the flannel that its documentation begins with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.pki import pair
from tests.recordings.nodes.common import (
    EVERYWHERE,
    LOCAL,
    NODE,
    Program,
    authority,
    client,
    laid,
    lay,
    node,
    place,
    signed,
    start,
    tokens,
)
from tests.recordings.parts.packages import add_package

__all__ = ["kubeadm_default", "kubeadm_worker"]

ETC = "/etc/kubernetes"
PKI = f"{ETC}/pki"
CONTROLLERS = f"{ETC}/controller-manager.conf"

API_SERVER = (
    "kube-apiserver", f"--advertise-address={NODE}", "--allow-privileged=true",
    "--authorization-mode=Node,RBAC", f"--client-ca-file={PKI}/ca.crt",
    "--enable-admission-plugins=NodeRestriction", "--enable-bootstrap-token-auth=true",
    f"--etcd-cafile={PKI}/etcd/ca.crt", f"--etcd-certfile={PKI}/apiserver-etcd-client.crt",
    f"--etcd-keyfile={PKI}/apiserver-etcd-client.key", "--etcd-servers=https://127.0.0.1:2379",
    f"--kubelet-client-certificate={PKI}/apiserver-kubelet-client.crt",
    f"--kubelet-client-key={PKI}/apiserver-kubelet-client.key",
    "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
    f"--proxy-client-cert-file={PKI}/front-proxy-client.crt",
    f"--proxy-client-key-file={PKI}/front-proxy-client.key",
    "--requestheader-allowed-names=front-proxy-client",
    f"--requestheader-client-ca-file={PKI}/front-proxy-ca.crt",
    "--requestheader-extra-headers-prefix=X-Remote-Extra-",
    "--requestheader-group-headers=X-Remote-Group",
    "--requestheader-username-headers=X-Remote-User", "--secure-port=6443",
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    f"--service-account-key-file={PKI}/sa.pub",
    f"--service-account-signing-key-file={PKI}/sa.key",
    "--service-cluster-ip-range=10.96.0.0/12", f"--tls-cert-file={PKI}/apiserver.crt",
    f"--tls-private-key-file={PKI}/apiserver.key",
)  # fmt: skip
MANAGER = (
    "kube-controller-manager", "--allocate-node-cidrs=true",
    f"--authentication-kubeconfig={CONTROLLERS}", f"--authorization-kubeconfig={CONTROLLERS}",
    "--bind-address=127.0.0.1", f"--client-ca-file={PKI}/ca.crt", "--cluster-cidr=10.244.0.0/16",
    "--cluster-name=kubernetes", f"--cluster-signing-cert-file={PKI}/ca.crt",
    f"--cluster-signing-key-file={PKI}/ca.key", "--controllers=*,bootstrapsigner,tokencleaner",
    f"--kubeconfig={CONTROLLERS}", "--leader-elect=true",
    f"--requestheader-client-ca-file={PKI}/front-proxy-ca.crt", f"--root-ca-file={PKI}/ca.crt",
    f"--service-account-private-key-file={PKI}/sa.key",
    "--service-cluster-ip-range=10.96.0.0/12", "--use-service-account-credentials=true",
)  # fmt: skip
SCHEDULER = (
    "kube-scheduler", f"--authentication-kubeconfig={ETC}/scheduler.conf",
    f"--authorization-kubeconfig={ETC}/scheduler.conf", "--bind-address=127.0.0.1",
    f"--kubeconfig={ETC}/scheduler.conf", "--leader-elect=true",
)  # fmt: skip
ETCD = (
    "etcd", f"--advertise-client-urls=https://{NODE}:2379", f"--cert-file={PKI}/etcd/server.crt",
    "--client-cert-auth=true", "--data-dir=/var/lib/etcd",
    "--feature-gates=InitialCorruptCheck=true",
    f"--initial-advertise-peer-urls=https://{NODE}:2380",
    f"--initial-cluster=node1=https://{NODE}:2380", f"--key-file={PKI}/etcd/server.key",
    f"--listen-client-urls=https://127.0.0.1:2379,https://{NODE}:2379",
    "--listen-metrics-urls=http://127.0.0.1:2381", f"--listen-peer-urls=https://{NODE}:2380",
    "--name=node1", f"--peer-cert-file={PKI}/etcd/peer.crt", "--peer-client-cert-auth=true",
    f"--peer-key-file={PKI}/etcd/peer.key", f"--peer-trusted-ca-file={PKI}/etcd/ca.crt",
    "--snapshot-count=10000", f"--trusted-ca-file={PKI}/etcd/ca.crt",
    "--watch-progress-notify-interval=5s",
)  # fmt: skip
KUBELET = (
    "/usr/bin/kubelet", f"--bootstrap-kubeconfig={ETC}/bootstrap-kubelet.conf",
    f"--kubeconfig={ETC}/kubelet.conf", "--config=/var/lib/kubelet/config.yaml",
)  # fmt: skip

KUBELET_CONFIG = f"""apiVersion: kubelet.config.k8s.io/v1beta1
authentication:
  anonymous:
    enabled: false
  webhook:
    cacheTTL: 0s
    enabled: true
  x509:
    clientCAFile: {PKI}/ca.crt
authorization:
  mode: Webhook
  webhook:
    cacheAuthorizedTTL: 0s
    cacheUnauthorizedTTL: 0s
cgroupDriver: systemd
clusterDNS:
- 10.96.0.10
clusterDomain: cluster.local
containerRuntimeEndpoint: "%s"
cpuManagerReconcilePeriod: 0s
evictionPressureTransitionPeriod: 0s
fileCheckFrequency: 0s
healthzBindAddress: 127.0.0.1
healthzPort: 10248
httpCheckFrequency: 0s
imageMinimumGCAge: 0s
kind: KubeletConfiguration
logging:
  flushFrequency: 0
  options:
    json:
      infoBufferSize: "0"
    text:
      infoBufferSize: "0"
  verbosity: 0
memorySwap: {{}}
nodeStatusReportFrequency: 0s
nodeStatusUpdateFrequency: 0s
rotateCertificates: true
runtimeRequestTimeout: 0s
shutdownGracePeriod: 0s
shutdownGracePeriodCriticalPods: 0s
staticPodPath: {ETC}/manifests
streamingConnectionIdleTimeout: 0s
syncFrequency: 0s
volumeStatsAggPeriod: 0s
"""
PROXY_CONFIG = """apiVersion: kubeproxy.config.k8s.io/v1alpha1
bindAddress: 0.0.0.0
bindAddressHardFail: false
clientConnection:
  acceptContentTypes: ""
  burst: 0
  contentType: ""
  kubeconfig: /var/lib/kube-proxy/kubeconfig.conf
  qps: 0
clusterCIDR: 10.244.0.0/16
configSyncPeriod: 0s
enableProfiling: false
healthzBindAddress: ""
hostnameOverride: ""
kind: KubeProxyConfiguration
metricsBindAddress: ""
mode: ""
"""
PROXY_KUBECONFIG = """apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
    server: https://10.0.0.10:6443
  name: default
contexts:
- context:
    cluster: default
    namespace: default
    user: default
  name: default
current-context: default
users:
- name: default
  user:
    tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
"""
UNIT = """[Unit]
Description=kubelet: The Kubernetes Node Agent
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
"""
DROP_IN = f"""[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig={ETC}/bootstrap-kubelet.conf\
 --kubeconfig={ETC}/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS\
 $KUBELET_EXTRA_ARGS
"""
FLANNEL = """{
  "name": "cbr0",
  "cniVersion": "0.3.1",
  "plugins": [
    {"type": "flannel", "delegate": {"hairpinMode": true, "isDefaultGateway": true}},
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
"""
PROXY_POD = "/var/lib/kubelet/pods/5d8fbb7c-6a3c-4b8e-9d0a-0c7f7f1a2b3c/volumes"
PROXY_FILES = f"{PROXY_POD}/kubernetes.io~configmap/kube-proxy"


def manifest(words: Sequence[str], image: str, mounts: Sequence[str]) -> str:
    """Return a static pod as kubeadm writes it."""
    name = words[0]
    lines = [
        "apiVersion: v1", "kind: Pod", "metadata:", "  labels:", f"    component: {name}",
        "    tier: control-plane", f"  name: {name}", "  namespace: kube-system", "spec:",
        "  containers:", "  - command:", *(f"    - {each}" for each in words),
        f"    image: {image}", "    imagePullPolicy: IfNotPresent", f"    name: {name}",
        "    resources:", "      requests:", "        cpu: 100m", "    volumeMounts:",
    ]  # fmt: skip
    for at, path in enumerate(mounts):
        lines += [f"    - mountPath: {path}", f"      name: v{at}"]
        lines += ["      readOnly: true"] * (path != "/var/lib/etcd")
    lines += ["  hostNetwork: true", "  priority: 2000001000",
              "  priorityClassName: system-node-critical", "  securityContext:",
              "    seccompProfile:", "      type: RuntimeDefault", "  volumes:"]  # fmt: skip
    for at, path in enumerate(mounts):
        kind = "FileOrCreate" if path.endswith(".conf") else "DirectoryOrCreate"
        lines += ["  - hostPath:", f"      path: {path}", f"      type: {kind}", f"    name: v{at}"]
    return "\n".join([*lines, "status: {}", ""])


def pki() -> dict[str, str]:
    """Return what ``kubeadm init`` leaves below /etc/kubernetes, the modes apart."""
    cluster, etcd, front = map(authority, ("kubernetes", "etcd-ca", "front-proxy-ca"))
    private, public = tokens()
    admins = "kubeadm:cluster-admins"
    found = {"sa.key": private, "sa.pub": public}
    for name, each in (("ca", cluster), ("etcd/ca", etcd), ("front-proxy-ca", front)):
        found |= {f"{name}.crt": each.certificate, f"{name}.key": each.private}
    found |= signed(cluster, {"apiserver": ("kube-apiserver", ""), "apiserver-kubelet-client":
                              ("kube-apiserver-kubelet-client", admins)})  # fmt: skip
    found |= signed(front, {"front-proxy-client": ("front-proxy-client", "")})
    found |= signed(etcd, {
        "etcd/server": ("node1", ""), "etcd/peer": ("node1", ""),
        "etcd/healthcheck-client": ("kube-etcd-healthcheck-client", ""),
        "apiserver-etcd-client": ("kube-apiserver-etcd-client", ""),
    })  # fmt: skip
    configs = {
        "admin": ("kubernetes-admin", admins),
        "super-admin": ("kubernetes-super-admin", "system:masters"),
        "controller-manager": ("system:kube-controller-manager", ""),
        "scheduler": ("system:kube-scheduler", ""),
    }
    node_pair = pair("system:node:node1", cluster, organization="system:nodes")
    return {
        **laid(found, PKI),
        **{f"{ETC}/{name}.conf": client(user, group, cluster)
           for name, (user, group) in configs.items()},
        f"{ETC}/kubelet.conf": kubelet_kubeconfig(),
        **kubelet_pki(node_pair.certificate + node_pair.private),
    }  # fmt: skip


def kubelet_kubeconfig() -> str:
    """Return that of a node that has joined: its certificate is a file that is renewed."""
    current = "/var/lib/kubelet/pki/kubelet-client-current.pem"
    return PROXY_KUBECONFIG.replace(
        "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt", f"{PKI}/ca.crt"
    ).replace(
        "    tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token\n",
        f"    client-certificate: {current}\n    client-key: {current}\n",
    )


def kubelet_pki(own: str) -> dict[str, str]:
    serving = pair("node1@1793491200", authority("node1-ca@1793491200"))
    return laid({
        "kubelet-client-2026-11-01-00-00-00.pem": own, "kubelet.crt": serving.certificate,
        "kubelet.key": serving.private,
    }, "/var/lib/kubelet/pki")  # fmt: skip


def _kubelet(host: OverlayHost, version: str, endpoint: str, flags: str) -> None:
    """Lay what is the kubelet's, as the packages and kubeadm do."""
    place(host, "/usr/bin/kubelet", "/usr/bin/kubeadm")
    add_package(host, "kubelet", f"{version}-1.1", "/usr/bin/kubelet")
    add_package(host, "kubeadm", f"{version}-1.1", "/usr/bin/kubeadm")
    lay(host, {
        "/usr/lib/systemd/system/kubelet.service": UNIT,
        "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf": DROP_IN,
        "/var/lib/kubelet/config.yaml": KUBELET_CONFIG % endpoint,
        "/var/lib/kubelet/kubeadm-flags.env": f'KUBELET_KUBEADM_ARGS="{flags}"\n',
        "/etc/default/kubelet": "KUBELET_EXTRA_ARGS=\n",
        "/etc/cni/net.d/10-flannel.conflist": FLANNEL,
        f"{PROXY_FILES}/config.conf": PROXY_CONFIG,
        f"{PROXY_FILES}/kubeconfig.conf": PROXY_KUBECONFIG,
        **dict.fromkeys(laid({"bridge": "", "flannel": "", "portmap": ""}, "/opt/cni/bin"),
                        "#!/bin/false\n"),
    }, "644", then="""chmod 755 /opt/cni/bin/*; cd /var/lib/kubelet/pki
        ln -sf /var/lib/kubelet/pki/kubelet-client-2026-11-01-00-00-00.pem \
            kubelet-client-current.pem
        chmod 600 *.pem *.key; chmod 644 kubelet.crt; chmod 700 /var/lib/kubelet
        chmod 750 /var/lib/kubelet/pods/*
    """)  # fmt: skip


PROXY = Program(
    ("/usr/local/bin/kube-proxy", "--config=/var/lib/kube-proxy/config.conf",
     "--hostname-override=node1"), unit="kubepods", contained=True,
    binds=[(PROXY_FILES, "/var/lib/kube-proxy")],
    listens=[(LOCAL, 10249), (EVERYWHERE, 10256)],
)  # fmt: skip


@contextmanager
def kubeadm_default(name: str) -> Iterator[OverlayHost]:
    """A control plane of kubeadm 1.34, as ``kubeadm init`` leaves it."""
    with node(name) as host:
        images = "registry.k8s.io"
        mounts = {"kube-apiserver": ["/etc/ssl/certs", PKI], "kube-scheduler": [f"{ETC}/scheduler"
                  ".conf"], "kube-controller-manager": ["/etc/ssl/certs", PKI, CONTROLLERS],
                  "etcd": ["/var/lib/etcd", f"{PKI}/etcd"]}  # fmt: skip
        pods = {
            f"{words[0]}.yaml": manifest(
                words, f"{images}/{words[0]}:{'3.6.4-0' if words is ETCD else 'v1.34.2'}",
                mounts[words[0]],
            )
            for words in (API_SERVER, MANAGER, SCHEDULER, ETCD)
        }  # fmt: skip
        lay(host, pki() | laid(pods, f"{ETC}/manifests")
            | {"/var/lib/etcd/member/snap/db": "bolt\n", "/var/lib/etcd/member/wal/0.wal": "wal\n"},
            then=f"chmod 644 $(find {PKI} -name '*.crt'); chmod 700 {ETC}/manifests"
            " /var/lib/etcd /var/lib/etcd/member /var/lib/etcd/member/*")  # fmt: skip
        socket = "unix:///var/run/containerd/containerd.sock"
        _kubelet(host, "1.34.2", socket, "")
        ports = {"kube-apiserver": [(EVERYWHERE, 6443)], "kube-scheduler": [(LOCAL, 10259)],
                 "kube-controller-manager": [(LOCAL, 10257)],
                 "etcd": [(LOCAL, 2379), (LOCAL, 2381)]}  # fmt: skip
        pods_running = [
            Program(words, f"/usr/local/bin/{words[0]}", ports[words[0]], unit="kubepods",
                    contained=True)
            for words in (API_SERVER, MANAGER, SCHEDULER, ETCD)
        ]  # fmt: skip
        kubelet = Program(KUBELET, unit="kubelet.service",
                          listens=[(EVERYWHERE, 10250), (LOCAL, 10248)])  # fmt: skip
        start(host, kubelet, PROXY, *pods_running)
        yield host


@contextmanager
def kubeadm_worker(name: str) -> Iterator[OverlayHost]:
    """A worker of kubeadm 1.31, as ``kubeadm join`` leaves it."""
    with node(name) as host:
        cluster = authority("kubernetes")
        own = pair("system:node:node2", cluster, organization="system:nodes")
        lay(host, {f"{ETC}/kubelet.conf": kubelet_kubeconfig(),
                   f"{PKI}/ca.crt": cluster.certificate,
                   **kubelet_pki(own.certificate + own.private)},
            then=f"chmod 644 {PKI}/ca.crt; mkdir -m 700 {ETC}/manifests")  # fmt: skip
        flags = ("--container-runtime-endpoint=unix:///var/run/containerd/containerd.sock",
                 "--pod-infra-container-image=registry.k8s.io/pause:3.10")  # fmt: skip
        _kubelet(host, "1.31.4", "", " ".join(flags))
        kubelet = Program((*KUBELET, *flags), unit="kubelet.service",
                          listens=[(EVERYWHERE, 10250), (LOCAL, 10248)])  # fmt: skip
        start(host, kubelet, PROXY)
        yield host
