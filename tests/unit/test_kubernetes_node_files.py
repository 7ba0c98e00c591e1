"""Network plugins, kubeconfigs and databases of a node: which files they are."""

from __future__ import annotations

import pytest

from hullcheck.control import NotApplicable
from hullcheck.facts import get
from hullcheck.facts.kubernetes.node_files import _cni_directories
from hullcheck.facts.registry import Unseen
from tests.unit.runtime_fake import daemon_host
from tests.unit.test_containerd import V2, V3, engine_of, with_file
from tests.unit.test_kubernetes_components import node
from tests.unit.test_kubernetes_control_plane import file_of
from tests.unit.test_kubernetes_etcd import K3S
from tests.unit.test_kubernetes_files import PEOPLE, places, stats

USUAL = ["/etc/cni/net.d", "/opt/cni/bin"]
K3S_CRED = "/var/lib/rancher/k3s/server/cred"
OLD = '[plugins."io.containerd.grpc.v1.cri".cni]\n'
NEW = "[plugins.'io.containerd.cri.v1.runtime'.cni]\n"


@pytest.mark.parametrize(
    ("form", "said", "found"),
    [
        (V2, "", USUAL),
        # As k3s has it: kube-bench 1.1.9 looks where a flag of dockershim says, which is gone.
        (V2, f'{OLD}conf_dir = "/k3s/net.d"\nbin_dir = "/k3s/bin"', ["/k3s/net.d", "/k3s/bin"]),
        (V3, f"{NEW}bin_dirs = ['/a', '/b']", ["/etc/cni/net.d", "/a", "/b"]),
    ],
)
def test_where_containerd_looks(form, said, found):
    assert _cni_directories(engine_of(with_file(form.format(said)))) == found


@pytest.mark.parametrize(
    ("said", "flags", "found"),
    [
        ("", (), USUAL),
        ('network_dir = "/n"\nplugin_dirs = ["/p", "/q"]', (), ["/n", "/p", "/q"]),
        ('network_dir = "/n"', ("--cni-config-dir=/f",), ["/f", "/opt/cni/bin"]),
    ],
)
def test_where_crio_looks(said, flags, found):
    text = f"[crio.network]\n{said}\n"
    host = daemon_host(("crio", *flags), {"/etc/crio/crio.conf": text})
    assert _cni_directories(get(host, "crio")[0]) == found


def paths(host, name):
    return [each.path for each in get(host, name) if not isinstance(each, Unseen)]


def test_no_cluster():
    host = node(("/usr/bin/vi", ("vi",), {}), **places())
    for name in ("scheduler_kubeconfig", "controller_manager_kubeconfig", "cluster_database"):
        with pytest.raises(NotApplicable):
            get(host, name)


def test_kubeconfigs_in_use_come_first():
    """kube-bench #852, #1256: what the process was started with, and what lies in the usual
    place all the same, since it lets in as well."""
    answers = places("/etc/kubernetes/scheduler.conf", f"{K3S_CRED}/controller.kubeconfig")
    answers |= stats("/srv/own.conf") | stats("/f.conf") | PEOPLE
    text = "clientConnection: {kubeconfig: /srv/own.conf}\n"
    scheduler = ("/usr/bin/kube-scheduler",
                 ("kube-scheduler", "--config=/s.yaml", "--kubeconfig=/ignored"), {})  # fmt: skip
    manager = ("/usr/bin/kube-controller-manager",
               ("kube-controller-manager", "--kubeconfig", "/f.conf"), {})  # fmt: skip
    host = node(scheduler, manager, **answers, **file_of("/s.yaml", text))
    assert paths(host, "scheduler_kubeconfig") == [
        "/srv/own.conf",
        "/etc/kubernetes/scheduler.conf",
    ]
    assert paths(host, "controller_manager_kubeconfig") == [
        "/f.conf", f"{K3S_CRED}/controller.kubeconfig",
    ]  # fmt: skip
    host = node(scheduler, **answers, **file_of("/s.yaml", (1, "", "head: Permission denied\n")))
    found = get(host, "scheduler_kubeconfig")
    assert isinstance(found[0], Unseen) and "root" in found[0].reason


def test_databases():
    data = "/var/lib/rancher/k3s/server/db"
    held = places(f"{data}/", f"{data}/state.db", f"{data}/state.db-wal", "/var/lib/etcd/")
    known = stats(f"{data}/state.db") | stats(f"{data}/state.db-wal") | stats(data, "41c0")
    left = stats("/var/lib/etcd", "41c0", 994)
    host = node(("/usr/bin/vi", ("vi",), {}), **(held | known | left))
    found = {each.path: each.trusted for each in get(host, "cluster_database")}
    # What an etcd that does not run has left is its user's: none of a person's.
    assert found == {data: {0}, f"{data}/state.db": {0}, f"{data}/state.db-wal": {0},
                     "/var/lib/etcd": {0, 994}}  # fmt: skip
    host = node(
        ("/usr/bin/vi", ("vi",), {}), **(held | known | stats("/var/lib/etcd", "41c0", 1000))
    )
    assert get(host, "cluster_database")[-1].trusted == {0}
    etcd = ("/usr/bin/etcd", ("etcd", "--config-file=/etc/etcd.yml"), {})
    host = node(etcd, **(places() | stats(f"{data}/etcd", "41c0") | file_of("/etc/etcd.yml", K3S)))
    assert paths(host, "cluster_database") == [f"{data}/etcd"]
