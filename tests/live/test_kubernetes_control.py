"""A control plane's files, certificates and processes: sound, with every fault, repaired."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from hullcheck.catalogue import all_controls
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from tests.live.hosts.kubernetes import run_program
from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.pki import BEGINS, pair
from tests.recordings.parts.kube_control import kubeadm_sound, lay
from tests.recordings.parts.kube_manifests import API_SERVER, ETCD, PKI

pytestmark = pytest.mark.live

FILES = {
    "api-server-manifest": "chmod 644 {0}/kube-apiserver.yaml && chmod 755 {0}",
    "controller-manager-manifest": "chown 1234 {0}/kube-controller-manager.yaml",
    "scheduler-manifest": "chmod 620 {0}/kube-scheduler.yaml && chgrp games {0}/*scheduler.yaml",
    "etcd-manifest": "setfacl -m u:games:rw {0}/etcd.yaml",
    "cni-files": "chmod 777 /opt/cni/bin/bridge",
    "cni-secrets": "chmod 644 /etc/cni/net.d/10-pods.conflist",
    "cluster-database": "chown games /var/lib/etcd",
    "admin-kubeconfig": "mkdir -p /root/.kube && chmod 755 /root /root/.kube"
    " && cp /etc/kubernetes/admin.conf /root/.kube/config && chmod 644 /root/.kube/config",
    "scheduler-kubeconfig": "chmod 640 /etc/kubernetes/scheduler.conf"
    " && chgrp games /etc/kubernetes/scheduler.conf",
    "controller-manager-kubeconfig": "chmod 604 /etc/kubernetes/controller-manager.conf",
    "pki-files": "chmod 777 {1}/etcd",
    "pki-keys": "cat {1}/apiserver.key >>{1}/front-proxy-client.crt",
    "authority-keys": "cp {1}/ca.key {1}/etcd/ca.key",
}
PROCESSES = {
    "kube-controller-manager": [
        "controller-manager-profiling", "controller-manager-address", "controller-credentials",
        "controller-manager-open-paths", "service-account-files", "serving-certificate-rotation",
        "ended-pods-limit",
    ],
    "kube-scheduler": ["scheduler-profiling", "scheduler-address", "scheduler-open-paths"],
    "etcd": [
        "etcd-client-tls", "etcd-client-authentication", "etcd-peer-tls",
        "etcd-peer-authentication", "etcd-addresses", "etcd-profiling",
    ],
}  # fmt: skip
BAD = {
    "kube-controller-manager": ["--terminated-pod-gc-threshold=0",
                                "--feature-gates=RotateKubeletServerCertificate=false",
                                "--authorization-always-allow-paths=*"],
    "kube-scheduler": ["--profiling", "--authorization-always-allow-paths=/metrics"],
    "etcd": ["--enable-pprof", "--data-dir=/var/lib/etcd",
             "--listen-client-urls=http://0.0.0.0:23790"],
}  # fmt: skip
CERTIFICATES = [
    "cluster-certificate-expiry", "cluster-certificate-strength", "component-certificates",
    "etcd-own-authority", "front-proxy-authority",
]  # fmt: skip


@pytest.fixture(scope="module")
def node() -> Iterator[OverlayHost]:
    with OverlayHost("kubectl1") as host:
        kubeadm_sound(host)
        run_program(host, "/usr/local/bin/kube-apiserver", API_SERVER)
        yield host


def judged(host: OverlayHost, names: list[str]) -> tuple[dict[str, str], bytes]:
    """Return what some controls say, and all that left the host."""
    there = connect(replace(parse_spec(f"paramiko://{host.name}"), ssh_config=host.ssh_config))
    controls = [all_controls()[f"orchestrator.{name}"] for name in names]
    try:
        site = Site(host.name, started=BEGINS.replace(day=29))
        gather(controls, there, site)
        found = {name: judge(each, there, site) for name, each in zip(names, controls, strict=True)}
        said = b"".join(each.stdout + each.stderr for each in session_of(there).recording)
    finally:
        session_of(there).close()
    return {name: str(each.status) for name, each in found.items()}, said


TREES = "etc/kubernetes etc/cni opt/cni var/lib/etcd"


def spoil(node: OverlayHost) -> None:
    """Make every file and certificate wrong, and start a second one of each component."""
    weak = rsa.generate_private_key(65537, 1024)
    old = pair("kube-apiserver", days=40, authority=True, key=weak)
    lay(node, {f"{PKI}/apiserver.crt": old.certificate})
    merged = f"cd {PKI} && cat ca.crt >>etcd/ca.crt && cat front-proxy-ca.crt >>ca.crt\n"
    node.run(merged + "\n".join(FILES.values()).format("/etc/kubernetes/manifests", PKI))
    for name, flags in BAD.items():
        run_program(node, f"/opt/bad/{name}", [name, *flags],
                    listens=[("0.0.0.0", 23790)] if name == "etcd" else [])  # fmt: skip


def repair(node: OverlayHost) -> None:
    node.run(
        "for each in /proc/[0-9]*; do case $(readlink $each/exe) in /opt/bad/*)"
        " kill ${each#/proc/};; esac; done;"
        f"cd / && chmod 700 root && rm -rf root/.kube {TREES} && tar -xpf /run/sound.tar"
    )


def test_each_flips(node: OverlayHost) -> None:
    names = [*FILES, *CERTIFICATES, *(each for several in PROCESSES.values() for each in several)]
    node.run(f"rm -rf /root/.kube; tar -C / -cpf /run/sound.tar {TREES}")
    found, said = judged(node, names)
    assert found == dict.fromkeys(names, "pass")
    for path in ("ca.key", "sa.key", "apiserver.key", "etcd/server.key"):
        secret = (node.root / f"etc/kubernetes/pki/{path}").read_bytes().split(b"\n")[1]
        assert secret not in said
    assert b"client-key-data" not in said
    spoil(node)
    assert judged(node, names)[0] == dict.fromkeys(names, "fail")
    repair(node)
    assert judged(node, names)[0] == dict.fromkeys(names, "pass")


def test_the_files_in_use_count(node: OverlayHost) -> None:
    """The kubelet's own directory of manifests (kube-bench #948, #1853); and data that belong to
    a user called etcd, where etcd runs as root (magnum #28)."""
    node.run(
        "mkdir -p -m 755 /srv/pods && cp /etc/kubernetes/manifests/etcd.yaml /srv/pods/db.yaml"
        " && chmod 644 /srv/pods/db.yaml && mkdir -m 700 /srv/db && useradd -r etcd"
    )
    lay(node, {"/etc/kubelet.yaml": "kind: KubeletConfiguration\nstaticPodPath: /srv/pods\n"})
    run_program(node, "/usr/local/bin/kubelet", ["kubelet", "--config=/etc/kubelet.yaml"])
    run_program(node, "/usr/local/bin/etcd", [*ETCD, "--data-dir=db"], cwd="/srv")
    names = ["api-server-manifest", "etcd-manifest", "cluster-database"]
    expected = ["not-applicable", "fail", "pass"]
    assert judged(node, names)[0] == dict(zip(names, expected, strict=True))
    node.run("chmod 700 /srv/pods; chown etcd:etcd /srv/db; cd /etc/kubernetes;"
             " cp admin.conf admin.conf.bak; chmod 644 admin.conf.bak")  # fmt: skip
    found, _ = judged(node, [*names[1:], "admin-kubeconfig", "pki-keys"])
    assert list(found.values()) == ["pass", "fail", "pass", "fail"]  # the way counts (#1598)
