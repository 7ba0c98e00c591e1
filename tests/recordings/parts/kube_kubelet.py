"""The kubelets and kube-proxies of the recorded nodes: in order on ``kubeadm-sound``; on
``kubeadm-rotten`` two of each, set by files and by flags, and all that joining leaves.

A stand-in for containerd runs too, from a file of its own: what a kubelet starts pods through.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.live.hosts.kubernetes import run_program
from tests.live.hosts.overlay import OverlayHost

ETC, LIB, PROXY = "/etc/kubernetes", "/var/lib/kubelet", "/var/lib/kube-proxy"
TOKEN = "abcdef" + "." + "0123456789abcdef"
HEADER = "planted" + "-header-0123456789"
BEGINS = datetime(2026, 11, 1, tzinfo=UTC)
CIPHERS = "[TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]"

SOUND = f"""apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {{enabled: false}}
  webhook: {{cacheTTL: 0s, enabled: true}}
  x509: {{clientCAFile: {ETC}/kubelet-ca.crt}}
authorization: {{mode: Webhook}}
cgroupDriver: systemd
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
enableDebugFlagsHandler: false
enableProfilingHandler: false
enableSystemLogHandler: false
healthzBindAddress: 127.0.0.1
healthzPort: 10248
podPidsLimit: 4096
protectKernelDefaults: true
rotateCertificates: true
seccompDefault: true
serverTLSBootstrap: true
staticPodPath: manifests.d
streamingConnectionIdleTimeout: 0s
tlsCipherSuites: {CIPHERS}
"""
ROTTEN = f"""apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {{enabled: false}}
  x509: {{clientCAFile: {ETC}/kubelet-ca.crt}}
authorization: {{mode: AlwaysAllow}}
allowedUnsafeSysctls: ["kernel.msg*"]
cgroupDriver: cgroupfs
containerLogMaxSize: "-1"
enableSystemLogQuery: true
eventRecordQPS: 0
evictionHard: {{imagefs.available: 15%}}
featureGates: {{RotateKubeletServerCertificate: false}}
healthzBindAddress: 0.0.0.0
makeIPTablesUtilChains: false
staticPodPath: /srv/pods
staticPodURL: http://10.0.0.5/pods.yaml
staticPodURLHeader: {{Authorization: ["Bearer {HEADER}"]}}
tlsCipherSuites: [TLS_RSA_WITH_3DES_EDE_CBC_SHA]
"""
DROP_IN = "authentication: {anonymous: {enabled: true}}\nseccompDefault: false\n"
FLAGS = (
    "/usr/local/bin/kubelet", "--kubeconfig=/var/lib/kubelet/kubeconfig", "--v=2",
    "--hostname_override=other", "--streaming-connection-idle-timeout=0",
)  # fmt: skip

UNIT = """[Service]
ExecStart=/usr/local/bin/kubelet
Restart=always
"""
PROXY_CONFIG = f"""apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
bindAddress: 0.0.0.0
clientConnection:
  kubeconfig: {PROXY}/kubeconfig
metricsBindAddress: "%s"
enableProfiling: %s
"""
CONTAINERD = """version = 2
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
    SystemdCgroup = true
"""
MANIFEST = "apiVersion: v1\nkind: Pod\nmetadata: {name: balancer}\n"


def certificate(name: str, days: int = 365, by: str = "kubernetes") -> str:
    """Return a certificate and its key, as a kubelet keeps them in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject, issuer = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in (name, by)
    )
    made = x509.CertificateBuilder(
        issuer_name=issuer, subject_name=subject, public_key=key.public_key(),
        serial_number=x509.random_serial_number(), not_valid_before=BEGINS,
        not_valid_after=BEGINS + timedelta(days=days),
    ).sign(key, SHA256())  # fmt: skip
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return made.public_bytes(Encoding.PEM).decode() + private.decode()


def kubeconfig(user: str) -> str:
    return f"""apiVersion: v1
kind: Config
clusters: [{{name: k, cluster: {{server: "https://10.0.0.10:6443"}}}}]
contexts: [{{name: k, context: {{cluster: k, user: {user}}}}}]
current-context: k
users:
- name: {user}
  user:
    client-certificate: {LIB}/pki/kubelet-client-current.pem
    client-key: {LIB}/pki/kubelet-client-current.pem
"""


def lay(host: OverlayHost, files: Mapping[str, str], mode: str = "600") -> None:
    """Write files in one step; directories are root's, 755."""
    script = "umask 022\n"
    for path, text in files.items():
        place = shlex.quote(path)
        script += f"mkdir -p $(dirname {place}) && printf %s {shlex.quote(text)} >{place}\n"
        script += f"chmod {mode} {place}\n"
    host.run("sh -e", stdin=script.encode())


def common(days: int) -> dict[str, str]:
    authority = certificate("kubernetes").partition("-----BEGIN EC")[0]
    return {
        f"{ETC}/kubelet.conf": kubeconfig("system:node:node1"),
        f"{ETC}/kubelet-ca.crt": authority,
        f"{LIB}/pki/kubelet-client-2026.pem": certificate("system:node:node1", days),
        f"{PROXY}/kubeconfig": kubeconfig("kube-proxy"),
        "/etc/containerd/config.toml": CONTAINERD,
        "/etc/systemd/system/kubelet.service": UNIT,
        "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf": "[Service]\nRestartSec=10\n",
    }


def link(host: OverlayHost) -> None:
    host.run(f"ln -sfn kubelet-client-2026.pem {LIB}/pki/kubelet-client-current.pem")


def sound_files(host: OverlayHost) -> None:
    lay(host, common(365) | {
        f"{LIB}/config.yaml": SOUND,
        f"{PROXY}/config.conf": PROXY_CONFIG % ("", "false"),
        f"{LIB}/manifests.d/balancer.yaml": MANIFEST,
        f"{LIB}/kubeadm-flags.env": 'KUBELET_KUBEADM_ARGS="--v=1"\n',
    })  # fmt: skip
    link(host)
    # What kubeadm does: the way is closed, so the modes of files behind it matter less.
    host.run(f"chmod 644 {LIB}/config.yaml {ETC}/kubelet-ca.crt /etc/systemd/system/kubelet.service"
             f"; chmod 700 {LIB} {LIB}/manifests.d; chmod 400 {ETC}/kubelet.conf")  # fmt: skip


def kubeadm_sound(host: OverlayHost) -> None:
    sound_files(host)
    run_program(host, "/usr/local/bin/containerd", ("/usr/local/bin/containerd",))
    run_program(host, "/usr/local/bin/kubelet", (
        "/usr/local/bin/kubelet", f"--bootstrap-kubeconfig={ETC}/bootstrap-kubelet.conf",
        f"--kubeconfig={ETC}/kubelet.conf", "--config", f"{LIB}/config.yaml", "--v=1",
    ))  # fmt: skip
    run_program(host, "/usr/local/bin/kube-proxy", (
        "/usr/local/bin/kube-proxy", f"--config={PROXY}/config.conf",
        "--metrics-bind-address=0.0.0.0", "--hostname-override=node1",
    ))  # fmt: skip


def rotten_files(host: OverlayHost) -> None:
    lay(host, common(27) | {
        f"{LIB}/config.yaml": ROTTEN,
        f"{LIB}/kubeconfig": kubeconfig("system:node:other"),
        f"{ETC}/kubelet.conf.d/20-site.conf": DROP_IN,
        f"{ETC}/bootstrap-kubelet.conf": f"users: [{{name: tls, user: {{token: {TOKEN}}}}}]\n",
        "/root/kubeadm-join.sh": f"kubeadm join 10.0.0.10:6443 --token {TOKEN}\n",
        f"{PROXY}/config.conf": PROXY_CONFIG % ("0.0.0.0", "true"),
        "/srv/pods/balancer.yaml": MANIFEST,
        "/srv/pods/balancer.yaml.bak": MANIFEST,
    })  # fmt: skip
    link(host)
    host.run(
        f"chmod 755 {LIB} {LIB}/pki; chmod 666 {LIB}/config.yaml {ETC}/kubelet-ca.crt"
        f" {PROXY}/config.conf /etc/systemd/system/kubelet.service.d/10-kubeadm.conf;"
        f" chmod 644 {ETC}/kubelet.conf {PROXY}/kubeconfig {LIB}/pki/*.pem; chmod 777 /srv/pods"
    )


def kubeadm_rotten(host: OverlayHost) -> None:
    rotten_files(host)
    run_program(host, "/usr/local/bin/containerd", ("/usr/local/bin/containerd",))
    run_program(host, "/usr/local/bin/kubelet", (
        "/usr/local/bin/kubelet", f"--kubeconfig={ETC}/kubelet.conf", "--config=config.yaml",
        f"--config-dir={ETC}/kubelet.conf.d",
    ), cwd=LIB)  # fmt: skip
    run_program(host, "/usr/local/bin/kubelet", FLAGS, listens=[("127.0.78.1", 10255)])
    # A file that was changed since its kubelet started: what it says is not what counts.
    lay(host, {"/var/lib/third/config.yaml": SOUND})
    run_program(host, "/usr/local/bin/kubelet", (
        "/usr/local/bin/kubelet", "--config=/var/lib/third/config.yaml",
        "--pod-manifest-path=/etc/kubernetes/manifests",
    ))  # fmt: skip
    host.run("touch -d 2030-01-01 /var/lib/third/config.yaml")
    run_program(host, "/usr/local/bin/kube-proxy", (
        "/usr/local/bin/kube-proxy", f"--config={PROXY}/config.conf",
    ))  # fmt: skip
