"""Whole nodes of Kubernetes: what runs on them is found, and told for what it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from testinfra.host import Host

from hullcheck.catalogue import all_controls
from hullcheck.facts import get
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.redact import Redactor
from hullcheck.transport.target import parse_spec
from tests.live.hosts.overlay import OverlayHost
from tests.recordings.kubernetes_scenes import NODES
from tests.recordings.nodes.k3s import SECRET, TOKEN

pytestmark = pytest.mark.live

CONTROLS = ("distribution-configuration", "join-secrets", "written-kubeconfig", "rke2-profile",
            "network-policies-enforced", "supported-release")  # fmt: skip
ALL = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler",
       "kubelet"]  # fmt: skip


@contextmanager
def reached(host: OverlayHost) -> Iterator[Host]:
    target = replace(parse_spec(f"paramiko://{host.name}"), ssh_config=host.ssh_config)
    there = connect(target, redact=Redactor(b"nodes"))
    try:
        yield there
    finally:
        session_of(there).close()


def statuses(there: Host) -> dict[str, str]:
    controls = [all_controls()[f"orchestrator.{each}"] for each in CONTROLS]
    gather(controls, there, Site("node"))
    return {each.id.partition(".")[2]: str(judge(each, there, Site("node")).status)
            for each in controls}  # fmt: skip


def components(there: Host) -> list[str]:
    return sorted(each.name for each in get(there, "kubernetes_components"))


def test_a_control_plane_of_kubeadm() -> None:
    with NODES["kubeadm-default"]("kadm1") as host, reached(host) as there:
        told = statuses(there)
        node = get(there, "kubernetes_node")
        assert node.distribution == "kubeadm"
        assert node.parts == ["control plane", "etcd", "worker"]
        assert components(there) == ALL
        assert node.releases() == {"kubelet": 34, "kube-apiserver": 34}
        [proxy] = get(there, "kube_proxy")
        assert "KubeProxyConfiguration" in proxy.program.text(proxy.flags.last("config"))
        assert told == dict.fromkeys(CONTROLS, "not-applicable") | {"supported-release": "fail"}


def test_a_server_of_k3s() -> None:
    """Its title hides what it was told: that stands in its unit and two files."""
    with NODES["k3s-hardened"]("k3s1") as host:
        with reached(host) as there:
            told = statuses(there)
            node = get(there, "kubernetes_node")
            assert (node.distribution, node.parts) == ("k3s", ["control plane", "worker"])
            assert components(there) == ALL[1:]
            [api] = get(there, "api_server")
            assert api.flags.last("audit-log-maxage") == "30"
            [kubelet] = get(there, "kubelet")
            assert kubelet.flags.last("pod-max-pids") == "4096"
            assert kubelet.flags.last("streaming-connection-idle-timeout") == "5m"
            kept = b"".join(each.stdout + each.stderr for each in session_of(there).recording)
        good = dict.fromkeys(CONTROLS, "pass")
        assert told == good | {"rke2-profile": "not-applicable", "supported-release": "unknown"}
        host.run(
            "cd /etc/rancher/k3s; chmod 644 config.yaml.d/*; mkdir -p /etc/systemd/system/k3s"
            ".service.d; printf '[Service]\\nExecStart=\\nExecStart=/usr/local/bin/k3s server"
            f' "--token" "{TOKEN}" --write-kubeconfig-mode=644 --disable-network-policy\\n\''
            " >/etc/systemd/system/k3s.service.d/x.conf; cd /var/lib/rancher/k3s;"
            " chmod 755 server; chmod 644 server/token"
        )
        with reached(host) as there:
            spoilt = statuses(there)
            kept += b"".join(each.stdout + each.stderr for each in session_of(there).recording)
        assert spoilt == dict.fromkeys(CONTROLS, "fail") | {
            "rke2-profile": "not-applicable", "supported-release": "unknown"
        }  # fmt: skip
        for secret in (TOKEN, TOKEN.rpartition(":")[2], SECRET):
            assert secret.encode() not in kept
