"""Tokens and secrets of pods: from the folders of the kubelet, without a look into them."""

from __future__ import annotations

import json
import subprocess

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.facts.acl import acl_want
from hullcheck.facts.bundles import Bundle
from hullcheck.facts.containers.kubelets import name_of, pod_of
from hullcheck.facts.kubernetes.pod_volumes import volumes_want
from hullcheck.facts.way import lstat_want, stat_want
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from tests.unit.test_kubernetes_components import node

ROOT = "/var/lib/kubelet"
POD, OLD = "11111111-aaaa", "22222222-bbbb"
API = f"{POD}/volumes/kubernetes.io~projected/kube-api-access-x"
LEGACY = f"{OLD}/volumes/kubernetes.io~secret/default-token-abcde"
TIME = "..2026_11_01_10_00_00.1"
KEYS = ("token", "ca.crt", "namespace")


def tree(*files, mode=0o750):
    """Return what the sweep says of some files and the folders above them."""
    folders = {
        "/".join(each.split("/")[:n]) for each in files for n in range(1, each.count("/") + 1)
    }
    told = [(0o40000 | mode, each) for each in sorted(folders)]
    told += [(0o100644, each) for each in files]
    return "".join(f"{m:x} 7 9 0 0 {ROOT}/pods/{path}\n//\n" for m, path in told)


def keep(folder, *names):
    return [f"{folder}/{TIME}/{name}" for name in names]


def verdict(control, *files, mode=0o750, above=0o755, err="", end="end 0\n//\n", **more):
    policy = more.pop("policy", Policy())
    answers = {}
    path = ""
    for part in f"{ROOT}/pods".split("/"):
        path = f"{path}/{part}" if part else "/"
        said = (
            f"{0o40000 | (above if path.startswith(ROOT) else 0o755):x} 0 0 1 0 1 1 1 root:root\n"
        )
        answers |= {lstat_want(path).command: said, stat_want(path).command: said}
        path = path.rstrip("/")
    answers[volumes_want(f"{ROOT}/pods").command] = (0, tree(*files, mode=mode) + end, err)
    answers[acl_want(f"{ROOT}/pods").command] = ""
    answers["find -H /var/log/pods -maxdepth 1 -print0"] = (
        f"/var/log/pods\0/var/log/pods/kube-system_dns-7_{POD}\0"
    )
    host = node(("/usr/bin/kubelet", ("kubelet", "--v=2"), {}), **(answers | more))
    return judge(all_controls()[f"orchestrator.{control}"], host, Site(policy=policy))


def status(control, *files, **more):
    return str(verdict(control, *files, **more).status)


def test_who_may_have_a_token():
    mounted = keep(API, *KEYS)
    found = verdict("pod-tokens", *mounted)
    assert str(found.status) == "manual"
    assert found.findings[0].object.name == "kube-system/dns-7"
    assert status("pod-tokens", *mounted, policy=Policy(token_pods=())) == "fail"
    assert status("pod-tokens", *mounted, policy=Policy(token_pods=("kube-system/*",))) == "pass"
    # Of a pod without a name nothing matches, and another audience's token is none.
    assert status("pod-tokens", *keep(LEGACY, *KEYS), policy=Policy(token_pods=("kube-*",))) == (
        "fail"
    )
    other = f"{POD}/volumes/kubernetes.io~projected/aws-token"
    assert status("pod-tokens", *keep(other, "token"), policy=Policy(token_pods=())) == "pass"
    renamed = f"{POD}/volumes/kubernetes.io~projected/mine"
    assert status("pod-tokens", *keep(renamed, *KEYS), policy=Policy(token_pods=())) == "fail"


def test_tokens_without_end():
    assert status("legacy-pod-tokens", *keep(API, *KEYS)) == "pass"
    assert status("legacy-pod-tokens", *keep(LEGACY, *KEYS)) == "fail"
    tls = f"{OLD}/volumes/kubernetes.io~secret/tls"
    assert status("legacy-pod-tokens", *keep(tls, "tls.key", "tls.crt")) == "pass"
    assert status("legacy-pod-tokens", *keep(tls, "token")) == "pass"


def test_who_can_read_them():
    mounted = keep(API, *KEYS)
    assert status("pod-secret-files", *mounted) == "pass"
    assert status("pod-secret-files", *mounted, mode=0o755) == "fail"
    assert status("pod-secret-files", *mounted, mode=0o755, above=0o750) == "pass"
    # A folder that may be passed but not listed keeps nobody who knows a name.
    assert status("pod-secret-files", *mounted, mode=0o711) == "fail"


CONTROLS = ("pod-tokens", "legacy-pod-tokens", "pod-secret-files")


@pytest.mark.parametrize("control", CONTROLS)
def test_law_one(control):
    mounted = keep(API, *KEYS)
    denied = f"find: '{ROOT}/pods': Permission denied\n"
    found = verdict(control, *mounted, err=denied)
    assert str(found.status) == "unknown" and "root" in found.reason
    assert status(control, *mounted, end="") == "unknown"
    assert status(control, *mounted, end="end 124\n//\n") == "unknown"
    assert status(control) == "not-applicable"
    gone = f"find: '{ROOT}/pods/x': No such file or directory\n"
    policy = Policy(token_pods=("*",))
    assert status(control, *mounted, err=gone, end="end 1\n//\n", policy=policy) in (
        "pass", "unknown",
    )  # fmt: skip


@pytest.mark.parametrize("shell", ["dash", "busybox sh"])
def test_the_sweep_itself(tmp_path, shell):
    pods = tmp_path / "it's [a]" / "pods"
    for each in (*keep(API, *KEYS), f"{POD}/volumes/kubernetes.io~nfs/far/{TIME}/token",
                 f"{POD}/volumes/kubernetes.io~empty-dir/a/b"):  # fmt: skip
        (pods / each).parent.mkdir(parents=True, exist_ok=True)
        (pods / each).write_text("never read")
    (pods / API / "..data").symlink_to(TIME)
    run = subprocess.run(
        [*shell.split(), "-c", volumes_want(str(pods)).command], capture_output=True, check=False
    )
    said = run.stdout.decode()
    assert run.stderr == b"" and said.endswith("end 0\n//\n")
    assert [f"{API}/{TIME}/{each}\n" in said for each in KEYS] == [True] * 3
    assert "kubernetes.io~nfs\n" in said and "far" not in said and "..data" not in said
    assert "never read" not in said


def bundle(runtime, **notes):
    told = {"annotations": {f"io.kubernetes.{k}": v for k, v in notes.items()}}
    return Bundle("id1", "k8s.io", runtime, "/b", None, "/", told=told)


def test_names_of_pods():
    cri = {"cri.sandbox-name": "web", "cri.sandbox-namespace": "shop", "cri.container-name": "app"}
    crio = {"pod.name": "web", "pod.namespace": "shop", "container.name": "app"}
    assert name_of(bundle("containerd", **cri)) == "shop/web/app"
    assert name_of(bundle("cri-o", **crio)) == "shop/web/app"
    # A pod's own annotations reach the bundle of CRI-O.
    posing = {"cri.sandbox-name": "dns", "cri.sandbox-namespace": "kube-system"}
    assert name_of(bundle("cri-o", **crio, **posing)) == "shop/web/app"


def test_names_of_cri_dockerd():
    labels = {"io.kubernetes.pod.name": "web", "io.kubernetes.pod.namespace": "kube-system",
              "io.kubernetes.pod.uid": "u1", "io.kubernetes.container.name": "app"}  # fmt: skip
    made = {"Name": "/k8s_app_web_kube-system_u1_0", "Config": {"Labels": labels}}
    assert pod_of(made) == "kube-system/web/app"
    # Labels come with an image of anybody's.
    assert pod_of({**made, "Name": "/app"}) == ""
    sandbox = {**labels, "io.kubernetes.container.name": "POD"}
    made = {"Name": "/k8s_POD_web_kube-system_u1_3", "Config": {"Labels": sandbox}}
    assert pod_of(json.loads(json.dumps(made))) == "kube-system/web/sandbox"
