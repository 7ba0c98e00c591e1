"""A controller of k0s 1.33 with a worker on it, as ``k0s install controller --enable-worker`` and
``k0s start`` leave it (k0sproject/k0s, pkg/component; command lines of real nodes)."""

from __future__ import annotations

from collections.abc import Iterator
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
    signed,
    start,
    tokens,
)
from tests.recordings.nodes.kubeadm import PROXY, PROXY_CONFIG, PROXY_FILES, PROXY_KUBECONFIG

__all__ = ["k0s_default"]

DATA = "/var/lib/k0s"
PKI, BIN = f"{DATA}/pki", f"{DATA}/bin"
CIPHERS = (
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,"
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,"
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
)
API_SERVER = (
    f"{BIN}/kube-apiserver", f"--advertise-address={NODE}", "--allow-privileged=true",
    "--anonymous-auth=false",
    "--api-audiences=https://kubernetes.default.svc,system:konnectivity-server",
    "--authorization-mode=Node,RBAC", f"--client-ca-file={PKI}/ca.crt",
    f"--egress-selector-config-file={DATA}/konnectivity.conf",
    "--enable-admission-plugins=NodeRestriction", "--enable-bootstrap-token-auth=true",
    "--endpoint-reconciler-type=none", f"--etcd-cafile={PKI}/etcd/ca.crt",
    f"--etcd-certfile={PKI}/apiserver-etcd-client.crt",
    f"--etcd-keyfile={PKI}/apiserver-etcd-client.key", "--etcd-servers=https://127.0.0.1:2379",
    "--feature-gates=", f"--kubelet-certificate-authority={PKI}/ca.crt",
    f"--kubelet-client-certificate={PKI}/apiserver-kubelet-client.crt",
    f"--kubelet-client-key={PKI}/apiserver-kubelet-client.key",
    "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname", "--profiling=false",
    f"--proxy-client-cert-file={PKI}/front-proxy-client.crt",
    f"--proxy-client-key-file={PKI}/front-proxy-client.key",
    "--requestheader-allowed-names=front-proxy-client",
    f"--requestheader-client-ca-file={PKI}/front-proxy-ca.crt",
    "--requestheader-extra-headers-prefix=X-Remote-Extra-",
    "--requestheader-group-headers=X-Remote-Group",
    "--requestheader-username-headers=X-Remote-User", "--secure-port=6443",
    "--service-account-issuer=https://kubernetes.default.svc",
    "--service-account-jwks-uri=https://kubernetes.default.svc/openid/v1/jwks",
    f"--service-account-key-file={PKI}/sa.pub", f"--service-account-signing-key-file={PKI}/sa.key",
    "--service-cluster-ip-range=10.96.0.0/12", f"--tls-cert-file={PKI}/server.crt",
    f"--tls-cipher-suites={CIPHERS}", "--tls-min-version=VersionTLS12",
    f"--tls-private-key-file={PKI}/server.key", "--v=1",
)  # fmt: skip
MANAGER = (
    f"{BIN}/kube-controller-manager", "--allocate-node-cidrs=true",
    f"--authentication-kubeconfig={PKI}/ccm.conf", f"--authorization-kubeconfig={PKI}/ccm.conf",
    "--bind-address=127.0.0.1", f"--client-ca-file={PKI}/ca.crt", "--cluster-cidr=10.244.0.0/16",
    "--cluster-name=k0s", f"--cluster-signing-cert-file={PKI}/ca.crt",
    f"--cluster-signing-key-file={PKI}/ca.key", "--controllers=*,bootstrapsigner,tokencleaner",
    "--enable-hostpath-provisioner=true", "--feature-gates=", f"--kubeconfig={PKI}/ccm.conf",
    "--leader-elect=true", "--node-cidr-mask-size=24", "--profiling=false",
    f"--requestheader-client-ca-file={PKI}/front-proxy-ca.crt", f"--root-ca-file={PKI}/ca.crt",
    f"--service-account-private-key-file={PKI}/sa.key", "--service-cluster-ip-range=10.96.0.0/12",
    "--terminated-pod-gc-threshold=12500", "--use-service-account-credentials=true", "--v=1",
)  # fmt: skip
SCHEDULER = (
    f"{BIN}/kube-scheduler", f"--authentication-kubeconfig={PKI}/scheduler.conf",
    f"--authorization-kubeconfig={PKI}/scheduler.conf", "--bind-address=127.0.0.1",
    "--feature-gates=", f"--kubeconfig={PKI}/scheduler.conf", "--leader-elect=true",
    "--profiling=false", "--v=1",
)  # fmt: skip
ETCD = (
    f"{BIN}/etcd", "--advertise-client-urls=https://127.0.0.1:2379", "--auth-token=jwt,pub-key="
    f"{PKI}/etcd/jwt.pub,priv-key={PKI}/etcd/jwt.key,sign-method=RS512,ttl=10m",
    f"--cert-file={PKI}/etcd/server.crt", "--client-cert-auth=true", f"--data-dir={DATA}/etcd",
    "--enable-pprof=false", f"--initial-advertise-peer-urls=https://{NODE}:2380",
    f"--key-file={PKI}/etcd/server.key", "--listen-client-urls=https://127.0.0.1:2379",
    f"--listen-peer-urls=https://{NODE}:2380", "--log-level=info", "--name=node1",
    f"--peer-cert-file={PKI}/etcd/peer.crt", "--peer-client-cert-auth=true",
    f"--peer-key-file={PKI}/etcd/peer.key", f"--peer-trusted-ca-file={PKI}/etcd/ca.crt",
    "--tls-min-version=TLS1.2", f"--trusted-ca-file={PKI}/etcd/ca.crt",
)  # fmt: skip
KUBELET = (
    f"{BIN}/kubelet", f"--cert-dir={DATA}/kubelet/pki", f"--config={DATA}/kubelet-config.yaml",
    "--containerd=/run/k0s/containerd.sock", "--hostname-override=node1",
    f"--kubeconfig={DATA}/kubelet.conf", "--kube-reserved-cgroup=system.slice",
    f"--root-dir={DATA}/kubelet", "--runtime-cgroups=/system.slice/containerd.service", "--v=1",
    "--node-labels=node.k0sproject.io/role=control-plane",
)  # fmt: skip
KUBELET_CONFIG = f"""apiVersion: kubelet.config.k8s.io/v1beta1
authentication:
  anonymous: {{enabled: false}}
  webhook: {{cacheTTL: 0s, enabled: true}}
  x509: {{clientCAFile: {PKI}/ca.crt}}
authorization:
  mode: Webhook
cgroupsPerQOS: true
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix:///run/k0s/containerd.sock
eventRecordQPS: 0
failSwapOn: false
kind: KubeletConfiguration
kubeReservedCgroup: system.slice
kubeletCgroups: /system.slice/containerd.service
rotateCertificates: true
serverTLSBootstrap: true
tlsCipherSuites: [{CIPHERS.replace(",", ", ")}]
tlsMinVersion: VersionTLS12
volumePluginDir: /usr/libexec/k0s/kubelet-plugins/volume/exec
"""
CONFIG = """apiVersion: k0s.k0sproject.io/v1beta1
kind: ClusterConfig
metadata: {name: k0s, namespace: kube-system}
spec:
  api: {address: 10.0.0.10, port: 6443}
  storage: {type: etcd}
  telemetry: {enabled: false}
"""
USERS = {"etcd": 52041, "kube-apiserver": 52042, "kube-scheduler": 52043, "konnectivity-server":
         52044}  # fmt: skip


def _files() -> dict[str, str]:
    cluster, etcd, front = map(authority, ("kubernetes-ca", "etcd-ca", "kubernetes-front-proxy-ca"))
    private, public = tokens()
    found = {"sa.key": private, "sa.pub": public, "etcd/jwt.key": private, "etcd/jwt.pub": public}
    for name, each in (("ca", cluster), ("etcd/ca", etcd), ("front-proxy-ca", front)):
        found |= {f"{name}.crt": each.certificate, f"{name}.key": each.private}
    found |= signed(cluster, {
        "server": ("kubernetes", "kubernetes"), "apiserver-kubelet-client":
        ("apiserver-kubelet-client", "system:masters"), "k0s-api": ("k0s-api", "kubernetes"),
        "admin": ("kubernetes-admin", "system:masters"),
    })  # fmt: skip
    found |= signed(etcd, {"etcd/server": ("etcd-server", ""), "etcd/peer": ("node1", ""),
                           "apiserver-etcd-client": ("apiserver-etcd-client", "")})  # fmt: skip
    found |= signed(front, {"front-proxy-client": ("front-proxy-client", "front-proxy-client")})
    people = {"admin": ("kubernetes-admin", "system:masters"), "ccm":
              ("system:kube-controller-manager", ""), "scheduler": ("system:kube-scheduler", ""),
              "konnectivity": ("kubernetes-konnectivity", "system:masters")}  # fmt: skip
    for name, (user, group) in people.items():
        found[f"{name}.conf"] = client(user, group, cluster)
    own = pair("system:node:node1", cluster, organization="system:nodes")
    return laid(found, PKI) | {
        f"{DATA}/kubelet/pki/kubelet-client-2026-11-01-00-00-00.pem": own.certificate + own.private,
        f"{DATA}/kubelet.conf": client("system:node:node1", "system:nodes", cluster),
        f"{DATA}/kubelet-config.yaml": KUBELET_CONFIG, "/etc/k0s/k0s.yaml": CONFIG,
        f"{DATA}/etcd/member/snap/db": "bolt\n",
        f"{DATA}/konnectivity.conf": "apiVersion: apiserver.k8s.io/v1beta1\n"
                                     "kind: EgressSelectorConfiguration\n",
    }  # fmt: skip


@contextmanager
def k0s_default(name: str) -> Iterator[OverlayHost]:
    """A controller of k0s that is a worker too; its file was written by a shell, as the
    documentation has it."""
    with node(name) as host:
        users = "".join(
            f"useradd -r -M -s /sbin/nologin -u {uid} {user}\n" for user, uid in USERS.items()
        )
        lay(host, _files() | {f"{PROXY_FILES}/config.conf": PROXY_CONFIG,
                              f"{PROXY_FILES}/kubeconfig.conf": PROXY_KUBECONFIG},
            then=f"""{users}
            chmod 644 $(find {PKI} -name '*.crt') /etc/k0s/k0s.yaml {DATA}/kubelet-config.yaml
            chmod 755 {DATA} /etc/k0s; chmod 751 {PKI} {PKI}/etcd; chmod 700 {DATA}/etcd
            cd {PKI}; chmod 640 *.key *.conf; chown kube-apiserver sa.key ca.key server.key \
                apiserver-*.key front-proxy-client.key ccm.conf
            chown kube-scheduler scheduler.conf; chown -R etcd {DATA}/etcd etcd
            chown root etcd/ca.*
            chmod 600 admin.conf etcd/ca.key
            chown kube-apiserver {DATA}/konnectivity.conf
            cd {DATA}/kubelet/pki
            ln -s kubelet-client-2026-11-01-00-00-00.pem kubelet-client-current.pem
        """)  # fmt: skip
        unit = "k0scontroller.service"
        api = USERS["kube-apiserver"]
        children = [
            Program(ETCD, uid=USERS["etcd"], unit=unit, listens=[(LOCAL, 2379)]),
            Program(API_SERVER, uid=api, unit=unit, listens=[(EVERYWHERE, 6443)]),
            Program(MANAGER, uid=api, unit=unit, listens=[(LOCAL, 10257)]),
            Program(SCHEDULER, uid=USERS["kube-scheduler"], unit=unit, listens=[(LOCAL, 10259)]),
            Program(KUBELET, unit=unit, listens=[(EVERYWHERE, 10250), (LOCAL, 10248)]),
        ]
        words = ("/usr/local/bin/k0s", "controller", "--config=/etc/k0s/k0s.yaml",
                 "--enable-worker=true")  # fmt: skip
        start(host, Program(words, unit=unit, children=children, listens=[(EVERYWHERE, 9443)]),
              PROXY)  # fmt: skip
        yield host
