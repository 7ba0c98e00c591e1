"""The control plane of a node of kubeadm's, without its API server's process: the PKI, the
kubeconfigs and manifests; the controller manager, the scheduler and etcd run."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.live.hosts.kubernetes import run_program
from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.pki import Pair, kubeconfig, pair
from tests.recordings.parts.kube_manifests import (
    API_SERVER,
    ETCD,
    MANAGER,
    PKI,
    SCHEDULER,
    manifest,
)

DECADE = 3650
ORGANIZATIONS = {
    "admin": ("kubernetes-admin", "kubeadm:cluster-admins"),
    "super-admin": ("kubernetes-super-admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "kubelet": ("system:node:node1", "system:nodes"),
}
IMAGES = "registry.k8s.io"
CONFLIST = '{"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "bridge"}]}\n'


def lay(host: OverlayHost, files: Mapping[str, str]) -> None:
    """Write files with mode 600 in one step; new directories are root's, 755."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(path.lstrip("/"))
            content = text.encode()
            member.size, member.mode = len(content), 0o600
            archive.addfile(member, io.BytesIO(content))
    host.run("umask 022; tar -C / -xpmf -", stdin=packed.getvalue())


def pki(cluster: Pair, etcd: Pair, proxy: Pair, days: int = 365) -> dict[str, str]:
    """Return the files of a PKI of kubeadm's, save the keys of two authorities."""
    tokens = rsa.generate_private_key(65537, 2048)
    signed = {
        "apiserver": ("kube-apiserver", cluster, ""),
        "apiserver-kubelet-client": ("kube-apiserver-kubelet-client", cluster,
                                     "kubeadm:cluster-admins"),
        "apiserver-etcd-client": ("kube-apiserver-etcd-client", etcd, ""),
        "front-proxy-client": ("front-proxy-client", proxy, ""),
        "etcd/server": ("node1", etcd, ""),
        "etcd/peer": ("node1", etcd, ""),
        "etcd/healthcheck-client": ("kube-etcd-healthcheck-client", etcd, ""),
    }  # fmt: skip
    made = {name: pair(cn, by, days=days, organization=o) for name, (cn, by, o) in signed.items()}
    public = tokens.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    files = {
        "ca.crt": cluster.certificate, "ca.key": cluster.private,
        "etcd/ca.crt": etcd.certificate, "front-proxy-ca.crt": proxy.certificate,
        "sa.key": Pair(cluster.made, tokens).private, "sa.pub": public.decode(),
    }  # fmt: skip
    for name, each in made.items():
        files |= {f"{name}.crt": each.certificate, f"{name}.key": each.private}
    return {f"{PKI}/{name}": text for name, text in files.items()}


def kubeconfigs(cluster: Pair) -> dict[str, str]:
    """Return all of a control-plane node."""
    return {
        f"/etc/kubernetes/{name}.conf": kubeconfig(
            user, pair(user, cluster, organization=organization), cluster
        )
        for name, (user, organization) in ORGANIZATIONS.items()
    }


def manifests(*commands: Sequence[str]) -> dict[str, str]:
    configs = {"kube-controller-manager": "controller-manager", "kube-scheduler": "scheduler"}
    found = {}
    for words in commands:
        name = words[0]
        mounts = [PKI, "/etc/ssl/certs"]
        if name in configs:
            mounts.append(f"/etc/kubernetes/{configs[name]}.conf")
        if name == "etcd":
            mounts = ["/var/lib/etcd", f"{PKI}/etcd"]
        version = "3.5.16-0" if name == "etcd" else "v1.32.3"
        text = manifest(words, f"{IMAGES}/{name}:{version}", mounts)
        found[f"/etc/kubernetes/manifests/{name}.yaml"] = text
    return found


def kubeadm_sound(host: OverlayHost) -> None:
    cluster = pair("kubernetes", days=DECADE)
    etcd, proxy = pair("etcd-ca", days=DECADE), pair("front-proxy-ca", days=DECADE)
    files = pki(cluster, etcd, proxy) | kubeconfigs(cluster)
    files |= manifests(API_SERVER, MANAGER, SCHEDULER, ETCD)
    files["/etc/cni/net.d/10-pods.conflist"] = CONFLIST
    files["/var/lib/etcd/member/snap/db"] = "bolt\n"
    files["/opt/cni/bin/bridge"] = "#!/bin/false\n"
    lay(host, files)
    host.run(
        f"rm -f /etc/cni/net.d/87-podman*; chmod 644 {PKI}/*.crt {PKI}/etcd/*.crt;"
        " chmod 700 /etc/kubernetes/manifests /var/lib/etcd; chmod 755 /opt/cni/bin/*"
    )
    for words, port in ((MANAGER, 10257), (SCHEDULER, 10259), (ETCD, 2379)):
        path = f"/usr/local/bin/{words[0]}"
        run_program(host, path, words, listens=[(host.address, port)])


def kubeadm_rotten(host: OverlayHost) -> None:
    """One authority for all, weak and old certificates, open files, and no etcd with TLS."""
    weak = rsa.generate_private_key(65537, 1024)
    cluster = pair("kubernetes", days=DECADE, key=weak)
    twin = {name: pair(name, days=DECADE, key=weak) for name in ("etcd-ca", "front-proxy-ca")}
    files = pki(cluster, twin["etcd-ca"], twin["front-proxy-ca"], days=35) | kubeconfigs(cluster)
    files |= {f"{PKI}/front-proxy-ca.key": cluster.private, f"{PKI}/etcd/ca.key": cluster.private}
    own = pair("node1", cluster, authority=True)
    files |= {f"{PKI}/etcd/peer.crt": own.certificate, f"{PKI}/etcd/peer.key": own.private}
    manager = ["kube-controller-manager", "--kubeconfig=/etc/kubernetes/controller-manager.conf",
               f"--cluster-signing-key-file={PKI}/ca.key",
               f"--service-account-private-key-file={PKI}/ca.key", "--feature-gates=AllBeta=false",
               "--terminated-pod-gc-threshold=0",
               "--authorization-always-allow-paths=/healthz,/metrics"]  # fmt: skip
    scheduler = ["kube-scheduler", "--config=/etc/kubernetes/scheduler.yaml", "--profiling=false",
                 "--authorization-always-allow-paths=*"]  # fmt: skip
    bare = ["etcd", "--data-dir=/var/lib/etcd", "--listen-client-urls=http://0.0.0.0:2379",
            "--listen-peer-urls=http://0.0.0.0:2380", "--enable-pprof", "--auto-tls"]  # fmt: skip
    files |= manifests(API_SERVER, manager, scheduler, bare)
    files["/etc/kubernetes/scheduler.yaml"] = (
        "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"
        "clientConnection:\n  kubeconfig: /etc/kubernetes/scheduler.conf\n"
    )
    files["/etc/cni/net.d/10-pods.conflist"] = CONFLIST
    files["/var/lib/etcd/member/snap/db"] = "bolt\n"
    files["/opt/cni/bin/bridge"] = "#!/bin/false\n"
    lay(host, files)
    host.run(
        f"chmod 666 {PKI}/ca.crt {PKI}/apiserver.key; chmod 644 /etc/kubernetes/*.conf"
        " /etc/cni/net.d/* /etc/kubernetes/manifests/*; chmod 777 /opt/cni/bin /opt/cni/bin/*"
    )
    run_program(host, "/usr/local/bin/kube-controller-manager", manager,
                listens=[("0.0.0.0", 10257)])  # fmt: skip
    run_program(host, "/usr/local/bin/kube-scheduler", scheduler, listens=[("0.0.0.0", 10259)])
    run_program(host, "/usr/local/bin/etcd", bare, listens=[("0.0.0.0", 2379)])
    run_program(host, "/usr/local/bin/etcd", [*ETCD, "--data-dir=/var/lib/etcd"])
