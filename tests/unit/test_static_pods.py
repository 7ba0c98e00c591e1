"""Static pods, from manifests as they are written."""

from __future__ import annotations

import json

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.control import Unknown
from hullcheck.facts.conf_files import conf_want
from hullcheck.facts.kubernetes.static_pods import pods_in
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from tests.unit.kubelet_fake import kubelet_host
from tests.unit.test_kubernetes_components import node

FOLDER = "/etc/kubernetes/manifests"
SCHEDULER = """---
apiVersion: v1
kind: Pod
metadata: {name: kube-scheduler, namespace: kube-system}
spec:
  hostNetwork: true
  containers:
  - name: kube-scheduler
    command: [kube-scheduler, --kubeconfig=/etc/kubernetes/scheduler.conf]
    image: registry.k8s.io/kube-scheduler:v1.32.1
    volumeMounts: [{name: k, mountPath: /k, readOnly: true}, {name: c, mountPath: /c}]
  securityContext: {seccompProfile: {type: RuntimeDefault}}
  volumes:
  - {name: k, hostPath: {path: /etc/kubernetes/scheduler.conf, type: FileOrCreate}}
  - {name: c, hostPath: {path: /usr/libexec/kubernetes/kubelet-plugins/volume/exec}}
"""


def pod(spec=None, volume="", writable=True, **container):
    """Return a manifest in JSON."""
    one = {"name": "app", "image": "reg.example:5000/app:1.0", **container}
    made = {"containers": [one], **(spec or {})}
    if volume:
        made["volumes"] = [{"name": "v", "hostPath": {"path": volume}}]
        one["volumeMounts"] = [{"name": "v", "mountPath": "/v", "readOnly": not writable}]
    return json.dumps({"kind": "Pod", "metadata": {"name": "app"}, "spec": made})


def verdict(control, *manifests, err="", end="= end\n", policy=None, flag=True):
    said = ""
    for number, text in enumerate(manifests):
        path = f"{FOLDER}/{number}"
        said += f"= 0 600 9 {path}\n" + "".join(f"{path}:{line}\n" for line in text.split("\n"))
    asked = conf_want([FOLDER], ["[!.]*", "manifests"]).command
    words = ("kubelet", f"--pod-manifest-path={FOLDER}") if flag else ("kubelet",)
    host = node(("/usr/bin/kubelet", words, {}), **{asked: (0, said + end, err)})
    found = all_controls()[f"orchestrator.static-pod-{control}"]
    return judge(found, host, Site(policy=policy or Policy()))


def status(control, *manifests, **more):
    return str(verdict(control, *manifests, **more).status)


CONTROLS = ("rights", "host-paths", "secrets", "images")


@pytest.mark.parametrize("control", CONTROLS)
def test_what_kubeadm_writes_passes(control):
    assert status(control, SCHEDULER) == "pass"
    assert status(control, SCHEDULER, pod()) == "pass"


@pytest.mark.parametrize(
    "manifest",
    [
        pod(securityContext={"privileged": True}),
        pod({"hostPID": True}),
        pod({"hostIPC": True}),
        pod({"hostNetwork": True}),
        pod({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}),
        pod(securityContext={"appArmorProfile": {"type": "Unconfined"}}),
        pod(securityContext={"procMount": "Unmasked"}),
        pod(securityContext={"capabilities": {"add": ["NET_RAW"]}}),
        pod(securityContext={"capabilities": {"add": ["ALL"]}}),
        pod({"initContainers": [{"name": "i", "securityContext": {"privileged": True}}]}),
        SCHEDULER.replace("hostNetwork: true", "hostPID: yes"),
        SCHEDULER + pod(securityContext={"privileged": True}).join(("---\n", "")),
        json.dumps({"kind": "List", "items": [json.loads(pod({"hostPID": True}))]}),
        # A name of the control plane does not make another program one.
        SCHEDULER.replace("[kube-scheduler, --", "[/bin/sh, --"),
        "\ufeff" + pod({"hostPID": True}),
    ],
)
def test_rights(manifest):
    assert status("rights", SCHEDULER, manifest) == "fail"


def test_what_the_site_allows():
    added = pod(securityContext={"capabilities": {"add": ["NET_ADMIN", "CHOWN"]}})
    assert status("rights", added) == "fail"
    assert status("rights", added, policy=Policy(capabilities=("NET_ADMIN",))) == "pass"
    mounted = pod(volume="/etc/kubernetes/admin.conf", writable=False)
    allowed = Policy(host_paths=("/etc/kubernetes/admin.conf",))
    assert status("host-paths", mounted, policy=allowed) == "pass"


@pytest.mark.parametrize(
    ("path", "writable", "expected"),
    [
        ("/", False, "fail"),
        ("//", False, "fail"),
        ("/etc", False, "fail"),
        ("/var", True, "fail"),
        ("/var/run/containerd/containerd.sock", True, "fail"),
        ("/run/k0s/containerd.sock", True, "fail"),
        ("/var/run", False, "fail"),
        ("/srv/own.sock", True, "fail"),
        ("/etc/kubernetes/admin.conf", False, "fail"),
        ("/var/lib/kubelet/pods/", False, "fail"),
        ("/var/log", True, "fail"),
        ("/etc/haproxy/haproxy.cfg", False, "pass"),
        ("/etc/ssl/certs", False, "pass"),
        ("/var/log/pods-of-mine", True, "pass"),
        ("/lib/modules", False, "pass"),
        ("/srv/data", True, "pass"),
    ],
)
def test_host_paths(path, writable, expected):
    assert status("host-paths", pod(volume=path, writable=writable)) == expected


def test_the_control_plane_has_its_keys_and_no_more():
    for path, expected in (
        ("/etc/kubernetes/pki", "pass"), ("/etc/kubernetes", "fail"),
        ("/etc/kubernetes/manifests", "fail"), ("/etc/kubernetes/super-admin.conf", "fail"),
    ):  # fmt: skip
        assert status("host-paths", SCHEDULER.replace("/etc/kubernetes/scheduler.conf, type",
                                                      f"{path}, type")) == expected  # fmt: skip


def test_secrets():
    cut = "[redacted:9:0123456789ab]"
    secret = pod(env=[{"name": "DB_PASSWORD", "value": cut}])
    assert status("secrets", secret) == "fail"
    assert status("secrets", secret, policy=Policy(plain_variables=("DB_PASSWORD",))) == "pass"
    assert status("secrets", pod(args=[f"--password={cut}"])) == "fail"
    assert status("secrets", pod(env=[{"name": "PASSWORD_FILE", "value": "/run/p"}])) == "pass"


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("app", "fail"),
        ("reg.example:5000/app", "fail"),
        ("app:latest", "fail"),
        ("reg.example:5000/app:2", "pass"),
        (f"app@sha256:{'0' * 64}", "pass"),
    ],
)
def test_images(image, expected):
    assert status("images", pod(image=image)) == expected


@pytest.mark.parametrize("control", CONTROLS)
def test_law_one(control):
    assert status(control, pod(), "kind: [Pod") == "unknown"
    denied = f"find: '{FOLDER}': Permission denied\n"
    found = verdict(control, err=denied)
    assert str(found.status) == "unknown" and "root" in found.reason
    assert status(control, pod(), end="") in ("unknown", "error")
    assert status(control) == "not-applicable"
    assert status(control, flag=False) == "not-applicable"


def test_a_path_in_a_file_begins_where_the_file_lies():
    config, folder = "/var/lib/kubelet/config.yaml", "/var/lib/kubelet/own"
    bad = f"= 0 600 9 {folder}/a\n{folder}/a:{pod({'hostPID': True})}\n= end\n"
    asked = conf_want([folder], ["[!.]*", "own"]).command
    host = kubelet_host(f"--config={config}", files={config: "staticPodPath: own"}, **{asked: bad})
    judged = judge(all_controls()["orchestrator.static-pod-rights"], host, Site())
    assert str(judged.status) == "fail"


def test_merged_parts_count():
    merged = "x: &a {hostPID: true}\nkind: Pod\nmetadata: {name: m}\nspec: {<<: *a}\n"
    assert status("rights", merged) == "fail"


def test_hostile_manifests():
    for text in (
        "[" * 5000,
        "a: &a [*a]",
        "kind: Pod\nspec: 7",
        "kind: Pod\nspec: {containers: x}",
    ):
        try:
            for each in pods_in(text, "/m"):
                assert each.host_paths == [] and each.control_plane is False
        except Unknown:
            pass
