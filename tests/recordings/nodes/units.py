"""A node of 1.29 whose components are plain units, with an etcd of its own: as
kelseyhightower/kubernetes-the-hard-way sets it up (umask 022, all below /var/lib/kubernetes), and
hardened, with users of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tests.live.hosts.overlay import OverlayHost
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

__all__ = ["units_default", "units_hardened"]

OWN, BIN = "/var/lib/kubernetes", "/usr/local/bin"
CIPHERS = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
SECRET = "cGxhbnRlZC11bml0cy1rZXktMDAwMDAwMDAwMDAwMDE="

API_SERVER = (
    f"{BIN}/kube-apiserver", f"--advertise-address={NODE}", "--allow-privileged=true",
    "--apiserver-count=1", "--audit-log-maxage=30", "--audit-log-maxbackup=3",
    "--audit-log-maxsize=100", "--audit-log-path=/var/log/audit.log",
    "--authorization-mode=Node,RBAC", "--bind-address=0.0.0.0", f"--client-ca-file={OWN}/ca.pem",
    "--enable-admission-plugins=NamespaceLifecycle,NodeRestriction,LimitRanger,ServiceAccount,"
    "DefaultStorageClass,ResourceQuota", f"--etcd-cafile={OWN}/ca.pem",
    f"--etcd-certfile={OWN}/kubernetes.pem", f"--etcd-keyfile={OWN}/kubernetes-key.pem",
    f"--etcd-servers=https://{NODE}:2379", "--event-ttl=1h",
    f"--encryption-provider-config={OWN}/encryption-config.yaml",
    f"--kubelet-certificate-authority={OWN}/ca.pem",
    f"--kubelet-client-certificate={OWN}/kubernetes.pem",
    f"--kubelet-client-key={OWN}/kubernetes-key.pem", "--runtime-config=api/all=true",
    f"--service-account-key-file={OWN}/service-account.pem",
    f"--service-account-signing-key-file={OWN}/service-account-key.pem",
    f"--service-account-issuer=https://{NODE}:6443", "--service-cluster-ip-range=10.32.0.0/24",
    "--service-node-port-range=30000-32767", f"--tls-cert-file={OWN}/kubernetes.pem",
    f"--tls-private-key-file={OWN}/kubernetes-key.pem", "--v=2",
)  # fmt: skip
MANAGER = (
    f"{BIN}/kube-controller-manager", "--bind-address=0.0.0.0", "--cluster-cidr=10.200.0.0/16",
    "--cluster-name=kubernetes", f"--cluster-signing-cert-file={OWN}/ca.pem",
    f"--cluster-signing-key-file={OWN}/ca-key.pem",
    f"--kubeconfig={OWN}/kube-controller-manager.kubeconfig", "--leader-elect=true",
    f"--root-ca-file={OWN}/ca.pem",
    f"--service-account-private-key-file={OWN}/service-account-key.pem",
    "--service-cluster-ip-range=10.32.0.0/24", "--use-service-account-credentials=true", "--v=2",
)  # fmt: skip
SCHEDULER = (f"{BIN}/kube-scheduler", "--config=/etc/kubernetes/config/kube-scheduler.yaml",
             "--v=2")  # fmt: skip
ETCD = (
    f"{BIN}/etcd", "--name=controller-0", "--cert-file=/etc/etcd/kubernetes.pem",
    "--key-file=/etc/etcd/kubernetes-key.pem", "--peer-cert-file=/etc/etcd/kubernetes.pem",
    "--peer-key-file=/etc/etcd/kubernetes-key.pem", "--trusted-ca-file=/etc/etcd/ca.pem",
    "--peer-trusted-ca-file=/etc/etcd/ca.pem", "--peer-client-cert-auth", "--client-cert-auth",
    f"--initial-advertise-peer-urls=https://{NODE}:2380", f"--listen-peer-urls=https://{NODE}:2380",
    f"--listen-client-urls=https://{NODE}:2379,https://127.0.0.1:2379",
    f"--advertise-client-urls=https://{NODE}:2379", "--initial-cluster-token=etcd-cluster-0",
    f"--initial-cluster=controller-0=https://{NODE}:2380", "--initial-cluster-state=new",
    "--data-dir=/var/lib/etcd",
)  # fmt: skip
KUBELET = (
    f"{BIN}/kubelet", "--config=/var/lib/kubelet/kubelet-config.yaml",
    "--kubeconfig=/var/lib/kubelet/kubeconfig", "--register-node=true", "--v=2",
)  # fmt: skip
PROXY = (f"{BIN}/kube-proxy", "--config=/var/lib/kube-proxy/kube-proxy-config.yaml")

KUBELET_CONFIG = f"""kind: KubeletConfiguration
apiVersion: kubelet.config.k8s.io/v1beta1
authentication:
  anonymous:
    enabled: false
  webhook:
    enabled: true
  x509:
    clientCAFile: "{OWN}/ca.pem"
authorization:
  mode: Webhook
clusterDomain: "cluster.local"
clusterDNS:
  - "10.32.0.10"
containerRuntimeEndpoint: "unix:///var/run/containerd/containerd.sock"
podCIDR: "10.200.0.0/24"
resolvConf: "/run/systemd/resolve/resolv.conf"
runtimeRequestTimeout: "15m"
tlsCertFile: "/var/lib/kubelet/node-0.pem"
tlsPrivateKeyFile: "/var/lib/kubelet/node-0-key.pem"
"""
HARDENED_KUBELET = f"""readOnlyPort: 0
streamingConnectionIdleTimeout: 5m
protectKernelDefaults: true
makeIPTablesUtilChains: true
eventRecordQPS: 50
rotateCertificates: true
serverTLSBootstrap: false
tlsMinVersion: VersionTLS12
tlsCipherSuites: [{CIPHERS.replace(",", ", ")}]
podPidsLimit: 4096
seccompDefault: true
evictionHard: {{memory.available: 100Mi, nodefs.available: 10%, imagefs.available: 15%}}
enableProfilingHandler: false
"""
PROXY_CONFIG = """kind: KubeProxyConfiguration
apiVersion: kubeproxy.config.k8s.io/v1alpha1
clientConnection:
  kubeconfig: "/var/lib/kube-proxy/kubeconfig"
mode: "iptables"
clusterCIDR: "10.200.0.0/16"
"""
SCHEDULER_CONFIG = f"""apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection:
  kubeconfig: "{OWN}/kube-scheduler.kubeconfig"
leaderElection:
  leaderElect: true
"""
ENCRYPTION = f"""kind: EncryptionConfig
apiVersion: v1
resources:
  - resources:
      - secrets
    providers:
      - aescbc:
          keys:
            - name: key1
              secret: {SECRET}
      - identity: {{}}
"""
NEW_ENCRYPTION = ENCRYPTION.replace("EncryptionConfig", "EncryptionConfiguration").replace(
    "apiVersion: v1", "apiVersion: apiserver.config.k8s.io/v1"
)
AUDIT = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"
CNI = '{"cniVersion": "1.0.0", "name": "bridge", "type": "bridge", "isGateway": true}\n'
HARDENED_API = (
    "--audit-log-path=/var/log/kubernetes/audit.log", "--audit-log-maxbackup=10",
    f"--audit-policy-file={OWN}/audit-policy.yaml", "--anonymous-auth=false", "--profiling=false",
    "--service-account-extend-token-expiration=false", f"--tls-cipher-suites={CIPHERS}",
    f"--etcd-cafile={OWN}/etcd-ca.pem", f"--etcd-certfile={OWN}/etcd-client.pem",
    f"--etcd-keyfile={OWN}/etcd-client-key.pem", "--runtime-config=",
    "--enable-admission-plugins=NodeRestriction,AlwaysPullImages,DenyServiceExternalIPs",
    f"--kubelet-client-certificate={OWN}/kubelet-client.pem",
    f"--kubelet-client-key={OWN}/kubelet-client-key.pem",
    f"--service-account-issuer=https://{NODE}:6443",
)  # fmt: skip
LOOPBACK = "--bind-address=127.0.0.1"
HARDENED_MANAGER = (LOOPBACK, "--profiling=false",
                    "--terminated-pod-gc-threshold=100")  # fmt: skip
HARDENED_ETCD = ("--auto-tls=false", "--peer-auto-tls=false", "--tls-min-version=TLS1.2")


def _pem(files: Mapping[str, str], folder: str) -> dict[str, str]:
    """Return certificates under the names that cfssl gives them."""
    names = {name: name.replace(".crt", ".pem").replace(".key", "-key.pem") for name in files}
    return {f"{folder}/{names[name]}": text for name, text in files.items()}


def _configs() -> dict[str, str]:
    return {
        "/var/lib/kubelet/kubelet-config.yaml": KUBELET_CONFIG,
        "/var/lib/kube-proxy/kube-proxy-config.yaml": PROXY_CONFIG,
        "/etc/kubernetes/config/kube-scheduler.yaml": SCHEDULER_CONFIG,
        f"{OWN}/encryption-config.yaml": ENCRYPTION,
        "/var/lib/etcd/member/snap/db": "bolt\n", "/var/log/audit.log": "",
        "/etc/cni/net.d/10-bridge.conf": CNI,
        **dict.fromkeys(laid({"bridge": "", "loopback": ""}, "/opt/cni/bin"), "#!/bin/false\n"),
    }  # fmt: skip


def _keys(apart: bool) -> dict[str, str]:
    """Return certificates and kubeconfigs.

    :param apart: etcd has an authority of its own.
    """
    cluster = authority("Kubernetes")
    etcd = authority("etcd") if apart else cluster
    private, public = tokens()
    files = signed(cluster, {"kubernetes": ("kubernetes", "Kubernetes"), "kubelet-client":
                             ("kube-apiserver", "system:masters")})  # fmt: skip
    files |= signed(etcd, {"etcd-client": ("kube-apiserver", "")})
    files |= {"ca.crt": cluster.certificate, "ca.key": cluster.private,
              "etcd-ca.crt": etcd.certificate}  # fmt: skip
    found = _pem(files, OWN)
    found |= _pem(signed(etcd, {"kubernetes": ("controller-0", "")}), "/etc/etcd")
    found |= _pem(signed(cluster, {"node-0": ("system:node:node-0", "system:nodes")}),
                  "/var/lib/kubelet")  # fmt: skip
    found |= {"/etc/etcd/ca.pem": etcd.certificate, f"{OWN}/service-account.pem": public,
              f"{OWN}/service-account-key.pem": private}  # fmt: skip
    for path, user, group in (
        (f"{OWN}/kube-controller-manager.kubeconfig", "system:kube-controller-manager", ""),
        (f"{OWN}/kube-scheduler.kubeconfig", "system:kube-scheduler", ""),
        ("/var/lib/kubelet/kubeconfig", "system:node:node-0", "system:nodes"),
        ("/var/lib/kube-proxy/kubeconfig", "system:kube-proxy", "system:node-proxier"),
    ):
        found[path] = client(user, group, cluster)
    return found


def _replaced(words: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
    """Return a command line in which some flags have other values."""
    names = {each.partition("=")[0] for each in more}
    return (*(each for each in words if each.partition("=")[0] not in names), *more)


def _unit(words: Sequence[str], user: str) -> str:
    command = " \\\n  ".join(words)
    more = f"User={user}\n" if user else ""
    return f"[Service]\n{more}ExecStart={command}\nRestart=on-failure\nRestartSec=5\n"


def _start(host: OverlayHost, commands: Sequence[Sequence[str]], users: Mapping[str, int]) -> None:
    names = {words[0].rpartition("/")[2]: words for words in commands}
    lay(host, {f"/etc/systemd/system/{name}.service": _unit(words, name if name in users else "")
               for name, words in names.items()}, "644")  # fmt: skip
    ports = {
        "kube-apiserver": [(EVERYWHERE, 6443)], "kube-scheduler": [(EVERYWHERE, 10259)],
        "kube-controller-manager": [(LOCAL if users else EVERYWHERE, 10257)],
        "etcd": [(LOCAL, 2379)], "kubelet": [(EVERYWHERE, 10250), (LOCAL, 10248)],
        "kube-proxy": [(LOCAL, 10249), (EVERYWHERE, 10256)],
    }  # fmt: skip
    if users:
        ports["kube-scheduler"] = [(LOCAL, 10259)]
    start(host, *(
        Program(words, unit=f"{name}.service", uid=users.get(name, 0), listens=ports[name])
        for name, words in names.items()
    ))  # fmt: skip


@contextmanager
def units_default(name: str) -> Iterator[OverlayHost]:
    """The hard way to the letter: one authority and one certificate for all, as root."""
    with node(name) as host:
        lay(host, _keys(apart=False) | _configs(), "644",
            then="chmod 755 /opt/cni/bin/*; chmod 700 /var/lib/etcd; chmod 600 /etc/etcd/*-key.pem"
            f" {OWN}/*-key.pem /var/lib/kubelet/*-key.pem /var/log/audit.log")  # fmt: skip
        _start(host, (API_SERVER, MANAGER, SCHEDULER, ETCD, KUBELET, PROXY), {})
        yield host


@contextmanager
def units_hardened(name: str) -> Iterator[OverlayHost]:
    """The same, as it should be: etcd with a user and an authority of its own; the kubelet's
    program is named after its release."""
    with node(name) as host:
        kubelet = (f"{BIN}/kubelet", *KUBELET[1:])
        place(host, f"{BIN}/kubelet-v1.29.14")
        lay(host, _keys(apart=True) | _configs() | {
            "/var/lib/kubelet/kubelet-config.yaml": KUBELET_CONFIG + HARDENED_KUBELET,
            "/etc/kubernetes/config/kube-scheduler.yaml":
                SCHEDULER_CONFIG + "enableProfiling: false\n",
            f"{OWN}/encryption-config.yaml": NEW_ENCRYPTION,
            f"{OWN}/audit-policy.yaml": AUDIT, "/var/log/kubernetes/audit.log": "",
        }, then=f"""
            ln -s kubelet-v1.29.14 {BIN}/kubelet; useradd -r -M -s /sbin/nologin -u 52051 etcd
            chown -R etcd:etcd /var/lib/etcd /etc/etcd
            chmod 700 /var/lib/etcd /var/log/kubernetes {OWN}
            chmod 755 /opt/cni/bin/*; rm /var/log/audit.log
        """)  # fmt: skip
        _start(host, (
            _replaced(API_SERVER, HARDENED_API), _replaced(MANAGER, HARDENED_MANAGER),
            (*SCHEDULER, LOOPBACK),
            _replaced(ETCD, HARDENED_ETCD), kubelet, PROXY,
        ), {"etcd": 52051})  # fmt: skip
        host.run("chmod 600 /etc/systemd/system/kube*.service /etc/systemd/system/etcd.service")
        yield host
