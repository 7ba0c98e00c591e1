"""Clusters, audited as a person does it: by kubernetes://, and from a node of theirs."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.cli import main
from hullcheck.facts.kubernetes.requests import is_of_cluster
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from hullcheck.verdict import Verdict
from tests.cluster import objects as made
from tests.cluster.server import VERSION, ApiServer, Faults
from tests.live.hosts.kubernetes import run_program
from tests.live.hosts.overlay import OverlayHost

pytestmark = pytest.mark.live

KUBECTL = """#!/bin/sh
for each; do case $each in --raw=*) path=${each#--raw=} ;; esac; done
file=/srv/api/$(echo "${path%%[?]*}" | tr / _)
[ -e "$file" ] && exec cat "$file"
[ "$path" = "${path#*/nodes}" ] || {
    echo 'Error from server (Forbidden): nodes is forbidden: User "u" cannot list' >&2; exit 1
}
echo "Error from server (NotFound): the server could not find the requested resource" >&2; exit 1
"""
"""Says what ``kubectl get --raw`` says, from files: the real one was tried by hand (1.20), and
cannot be installed by tests."""

FIRST = [
    f"orchestrator.cluster-{each}"
    for each in (
        "secrets",
        "privileged",
        "administrators",
        "plain-secrets",
        "external-ips",
        "kubelet-versions",
    )
]
CONTROLS = [each for each in all_controls().values() if is_of_cluster(each.inputs)]


def test_a_cluster_is_audited_and_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ApiServer(made.rotten(), tmp_path, Faults(pages=5)) as cluster:
        assert main(["audit", cluster.spec, "--report-dir", str(tmp_path / "run")]) == 1
    assert "not-applicable" not in capsys.readouterr().out
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    (host,) = run["hosts"]
    assert host["facts"] == {"os": "Kubernetes v1.33.2", "kernel": "", "engines": []}
    assert (host["name"], host["target"]) == ("prod", "kubernetes://prod")
    assert {each["id"] for each in run["controls"]} == {each.id for each in CONTROLS}
    assert host["totals"].keys() <= {"fail", "manual", "pass"}
    assert main(["replay", str(tmp_path / "run"), "--report-dir", str(tmp_path / "again")]) == 1
    first, second = ((tmp_path / each / "verdicts.jsonl").read_bytes() for each in ("run", "again"))
    assert first == second
    for each in (tmp_path / "run").rglob("*"):
        if each.is_file():
            data = each.read_bytes()
            data = gzip.decompress(data) if each.suffix == ".gz" else data
            assert b"Tr0ub4dor" not in data, each
            assert b"auditor-token" not in data, each


@pytest.fixture
def node(overlay_host: OverlayHost) -> Iterator[OverlayHost]:
    host = overlay_host
    run_program(host, "/usr/local/bin/kube-apiserver", ["kube-apiserver", "--v=2"])
    yield host
    host.run("pkill -x kube-apiserver; rm -rf /usr/local/bin/kube-apiserver /usr/local/bin/kubectl "
             "/etc/kubernetes/admin.conf /srv/api", check=False)  # fmt: skip


def audited(host: OverlayHost, policy: Policy, controls: int = 2) -> dict[str, Verdict]:
    target = replace(parse_spec(f"paramiko://root@{host.name}"), ssh_config=host.ssh_config)
    there = connect(target)
    site = Site(policy=policy)
    chosen = [all_controls()[each] for each in FIRST][:controls]
    gather(chosen, there, site)
    found = {each.id.partition(".")[2]: judge(each, there, site) for each in chosen}
    assert session_of(there).late == 0
    session_of(there).close()
    return found


def test_a_node_asks_its_cluster_if_the_site_lets_it(node: OverlayHost) -> None:
    found = audited(node, Policy())
    assert {each.status for each in found.values()} == {"unknown"}
    assert "cluster_from_node" in found["cluster-secrets"].reason
    policy = Policy(cluster_from_node=True)
    node.write("/usr/local/bin/kubectl", KUBECTL, 0o755)
    node.write("/etc/kubernetes/admin.conf", "apiVersion: v1\nkind: Config\n", 0o600)
    answers = {path.replace("/", "_"): {"metadata": {}, "items": items}
               for path, items in made.rotten().items() if path != made.NODES}  # fmt: skip
    answers["_version"] = VERSION
    script = (
        f"import json\nfor n, v in {answers!r}.items(): json.dump(v, open('/srv/api/' + n, 'w'))"
    )
    node.run("mkdir -p /srv/api && python3 -", stdin=script.encode())
    before = node.mark()
    found = audited(node, policy, len(FIRST))
    assert node.written(before) == []
    node.run("chmod 666 /etc/kubernetes/admin.conf")
    assert "no kubectl" in audited(node, policy)["cluster-secrets"].reason
    assert found["cluster-administrators"].status == "fail"
    assert found["cluster-plain-secrets"].status == "fail"
    assert found["cluster-external-ips"].status == "fail"
    assert "may not list nodes" in found["cluster-kubelet-versions"].reason


def test_a_host_without_an_api_server_is_not_asked(overlay_host: OverlayHost) -> None:
    found = audited(overlay_host, Policy(cluster_from_node=True))
    assert {each.status for each in found.values()} == {"not-applicable"}
