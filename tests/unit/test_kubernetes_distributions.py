"""Whose node a host is, what its components are told, and what belongs to its distribution."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from checks.orchestrator import test_distribution as checks
from hullcheck.catalogue import all_controls
from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts import get
from hullcheck.facts.conf_files import conf_want
from hullcheck.facts.kubernetes import k3s, microk8s, node, starts
from hullcheck.facts.kubernetes.distribution_files import LOOK
from hullcheck.facts.kubernetes.flags import parse_flags
from hullcheck.facts.kubernetes.node import KubernetesNode
from hullcheck.facts.kubernetes.programs import known_name
from hullcheck.facts.kubernetes.starts import PLACES
from hullcheck.facts.packages import DATABASES, WANTS
from hullcheck.facts.processes import CGROUP
from hullcheck.facts.registry import Unseen
from hullcheck.judge import Site, judge
from hullcheck.transport import CannotAnswer
from tests.unit.container_fake import INIT
from tests.unit.test_kubernetes_components import node as host_of

END = "= end\n"
FILE = "/etc/rancher/k3s/config.yaml"
UNIT = "/etc/systemd/system/k3s.service"
SLICE = INIT.cgroup() + "70/cgroup:0::/system.slice/k3s.service\n"


def swept(files):
    """Answer a sweep of conf_files."""
    told = "".join(f"= {len(text)} 600 0 {path}\n" for path, text in files.items())
    lines = "".join(
        f"{path}:{line}\n" for path, text in files.items() for line in text.splitlines()
    )
    return told + lines + END


def asked_units(unit="k3s.service"):
    names = sorted({unit, f"{unit}.d"})
    places = [f"{place}/{name}" for place in PLACES for name in names]
    return conf_want(places, ["*.service", "*.conf"]).command


def a_k3s(command="", config=None, units=None, environment="", etcd=False, new=True, path=FILE,
          title="/usr/local/bin/k3s server"):  # fmt: skip
    """Return a host on which k3s runs, with its unit and its configuration."""
    unit = f"[Service]\nExecStart=/usr/local/bin/k3s \\\n    server \\\n{command}\n\n"
    there = (1, "", "stat: cannot statx 'x': No such file or directory")
    data = "/var/lib/rancher/k3s"
    return host_of(
        ("/var/lib/rancher/k3s/data/x/bin/k3s", (title,), {}),
        **{
            CGROUP.command: SLICE,
            starts._want(70, "K3S_").command: environment + END,
            asked_units(): swept(units or {UNIT: unit}),
            conf_want([path, f"{path}.d"],
                      ["*.yaml", "*.yml", path.rpartition("/")[2]]).command: swept(config or {}),
            f"stat -c %F -- {data}/server/db/etcd/config": "regular file" if etcd else there,
            f"stat -c %F -- {data}/agent/etc/kubelet.conf.d/00-k3s-defaults.conf":
                "regular file" if new else there,
        },
    )  # fmt: skip


def flags_of(host, name):
    [found] = get(host, name)
    assert not isinstance(found, Unseen), found.reason
    return found.flags


def test_k3s_has_arguments_by_itself():
    """kube-bench#1973: its arguments stand in no process, and the journal is rotated away."""
    host = a_k3s()
    api = flags_of(host, "api_server")
    assert api.last("anonymous-auth") == "false"
    assert api.listed("authorization-mode") == ["Node", "RBAC"]
    assert (api.last("etcd-servers") or "").endswith("kine.sock")
    assert api.last("encryption-provider-config") is None
    assert flags_of(host, "kubelet").last("config-dir")
    assert flags_of(host, "kube_proxy").last("healthz-bind-address") == "127.0.0.1"
    with pytest.raises(NotApplicable):
        get(host, "etcd")


@pytest.mark.parametrize(("told", "name", "flag", "value"), [
    ({"config": {FILE: "kube-apiserver-arg:\n- anonymous-auth=true\n"}}, "api_server",
     "anonymous-auth", "true"),
    # A later file takes an earlier one's place; with a plus it adds.
    ({"config": {FILE: "kubelet-arg: [v=1]", f"{FILE}.d/a.yaml": "kubelet-arg: [v=2]"}},
     "kubelet", "v", "2"),
    ({"config": {FILE: "kubelet-arg: [read-only-port=10255]",
                 f"{FILE}.d/a.yaml": "kubelet-arg+: [v=2]"}}, "kubelet", "read-only-port", "10255"),
    ({"command": "\t'--kube-apiserver-arg' \\\n\t'profiling=true' \\"}, "api_server",
     "profiling", "true"),
    ({"config": {FILE: "secrets-encryption: true"}}, "api_server", "encryption-provider-config",
     "/var/lib/rancher/k3s/server/cred/encryption-config.json"),
    ({"etcd": True}, "api_server", "etcd-servers", "https://127.0.0.1:2379"),
    ({"etcd": True}, "etcd", "config-file", "/var/lib/rancher/k3s/server/db/etcd/config"),
    ({"config": {FILE: "datastore-endpoint: mysql://x@tcp(db)/k3s"}}, "api_server",
     "etcd-servers", "unix:///var/lib/rancher/k3s/server/kine.sock"),
    ({"new": False}, "kubelet", "anonymous-auth", "false"),
    # What a site names for its kubelet is copied among the drop-ins.
    ({"config": {FILE: "kubelet-arg: [config=/x, v=3]"}}, "kubelet", "config", None),
    ({"environment": "K3S_CONFIG_FILE=/srv/k.yaml\n", "path": "/srv/k.yaml",
      "config": {"/srv/k.yaml": "kubelet-arg: v=4"}}, "kubelet", "v", "4"),
    ({"title": "/usr/local/bin/k3s agent", "units": {UNIT: "[Service]\nExecStart=/x/k3s agent\n"}},
     "kubelet", "read-only-port", "0"),
])  # fmt: skip
def test_k3s_is_told_by_its_unit_and_its_files(told, name, flag, value):
    assert flags_of(a_k3s(**told), name).last(flag) == value


@pytest.mark.parametrize("told", [
    {"config": {FILE: "kubelet-arg: ["}}, {"units": {UNIT: "[Service]\nExecStart=/x/k3s $ARGS\n"}},
    {"units": {UNIT: "[Service]\nExecStart='/x/k3s server\n"}},
    {"units": {UNIT: "[Unit]\n"}}, {"units": {UNIT: "[Service]\nExecStart=/x/k3s watch\n"}},
])  # fmt: skip
def test_k3s_that_cannot_be_read_is_unseen(told):
    for name in ("api_server", "kubelet"):
        assert all(isinstance(each, Unseen) for each in get(a_k3s(**told), name))
    found = get(a_k3s(**told), "kubernetes_node")
    assert found.distribution == "k3s"
    with pytest.raises(Unknown):
        found.has(node.WORKER)


def test_tools_of_k3s_are_no_node():
    host = host_of(("/usr/local/bin/k3s", ("k3s", "kubectl", "get", "pods"), {}))
    with pytest.raises(NotApplicable):
        get(host, "kubelet")
    with pytest.raises(NotApplicable):
        get(host, "rancher")


def test_words_of_microk8s():
    """kube-bench#959: what its files say, quotes, comments and variables as it reads them."""
    text = (
        "--a=${SNAP_DATA}/x\n# --b=1\n\n--c=\"x<1,y\" --d='z'\n--e\n--f=$SNAP_COMMON/run  # more\n"
    )
    flags = parse_flags(microk8s._words(text, "/var/snap/microk8s/77/args/kubelet"))
    assert flags.last("a") == "/var/snap/microk8s/77/x"
    assert (flags.last("b"), flags.last("c"), flags.last("d")) == (None, "x<1,y", "z")
    assert flags.flag("e") is True
    assert flags.last("f") == "/var/snap/microk8s/common/run"
    for odd in ("--a=$OTHER", "--a='x"):
        with pytest.raises(Unknown):
            microk8s._words(odd, "/var/snap/microk8s/77/args/kubelet")


@pytest.mark.parametrize(("name", "is_called"), [
    ("kubelet-v1.31", "kubelet"), ("kubelet.real", "kubelet"), (".kubelet-wrapped", "kubelet"),
    ("kube-apiserver_1.29.4", "kube-apiserver"), ("etcd", "etcd"), ("etcdctl", ""),
    ("kubelet-monitor", ""), ("kube-controller-manager", "kube-controller-manager"),
    ("k0s", "k0s"), ("rke2", "rke2"), ("rke2-killall.sh", ""), ("k3s-uninstall.sh", ""),
])  # fmt: skip
def test_programs_are_known_by_their_file(name, is_called):
    """kube-bench#328: not by a name of 15 characters, nor by a word in somebody's command line."""
    assert known_name(name) == is_called


@pytest.mark.parametrize(("programs", "distribution", "parts"), [
    ([("/usr/bin/kubelet", ("kubelet", "--kubeconfig=/etc/kubernetes/kubelet.conf"), {})],
     "kubeadm", ["worker"]),
    ([("/usr/local/bin/etcd", ("etcd", "--cert-file=/etc/kubernetes/pki/etcd/server.crt"), {})],
     "kubeadm", ["etcd"]),
    ([("/usr/local/bin/kube-apiserver", ("kube-apiserver", "--x=/srv/k.pem"), {}),
      ("/opt/bin/kubelet.real", ("kubelet", "--config=/k"), {})], "units",
     ["control plane", "worker"]),
    ([("/usr/local/bin/k0s", ("k0s", "worker"), {}),
      ("/var/lib/k0s/bin/kubelet", ("/var/lib/k0s/bin/kubelet",), {})], "k0s", ["worker"]),
    ([("/data/bin/kubelet", ("kubelet", "--kubeconfig=/var/lib/rancher/rke2/agent/k"), {})],
     "RKE2", ["worker"]),
    ([("/usr/local/bin/rke2", ("/usr/local/bin/rke2 server",), {})], "RKE2", []),
])  # fmt: skip
def test_whose_node_it_is(programs, distribution, parts):
    found = get(host_of(*programs), "kubernetes_node")
    assert (found.distribution, found.parts) == (distribution, parts)


def looked(out="", complaint="stat: cannot statx '/usr/bin/k3s': No such file or directory"):
    return host_of(**{node.LOOK.command: (1, out, complaint)})


def test_nodes_that_do_not_run():
    assert str(get(looked("/usr/local/bin/rke2\n"), "kubernetes_node")).endswith("not running")
    with pytest.raises(NotApplicable):
        get(looked(), "kubernetes_node")
    for spoilt in ("stat: cannot statx '/opt/bin/k3s': Permission denied", ""):
        with pytest.raises(Unknown):
            get(looked("", spoilt), "kubernetes_node")


def release(path, name="kubelet", **more):
    return get(host_of((path, (path,), {}), **more), "kubernetes_node").releases()[name]


def test_releases():
    data = "/var/lib/rancher/rke2/data/v1.31.4-rke2r1-5b8349de68df/bin/kubelet"
    assert release(data) == 31
    assert release("/usr/local/bin/kubelet-v1.29.14") == 29
    assert isinstance(release("/usr/local/bin/kubelet"), Unknown)
    assert isinstance(release("/opt/v2.30.1/kubelet"), Unknown)
    dpkg = "".join(f"installed p{at} 1 all\n" for at in range(40))
    listed = {each.command: (1, "") for each in WANTS.values()} | {
        WANTS["dpkg"].command: f"{dpkg}installed kubelet 1.34.2-1.1 amd64\n",
        DATABASES.command: "/var/lib/dpkg/status\n",
    }
    assert release("/usr/bin/kubelet", **listed) == 34


class Known(KubernetesNode):
    """A node of some releases."""

    def __init__(self, **releases):
        object.__setattr__(self, "_releases", releases)
        object.__setattr__(self, "distribution", "kubeadm")
        object.__setattr__(self, "components", ())
        object.__setattr__(self, "doubts", ())

    def releases(self):
        return self._releases


@pytest.mark.parametrize(("found", "raised"), [
    ({"kubelet": 35}, None), ({"kubelet": 36}, None), ({"kubelet": Unknown("x")}, Unknown),
    ({}, NotApplicable),
])  # fmt: skip
def test_supported_release(found, raised):
    started = datetime(2026, 11, 29, tzinfo=UTC)
    if raised is None:
        checks.test_supported_release(Known(**found), started)
    else:
        with pytest.raises(raised):
            checks.test_supported_release(Known(**found), started)
    with pytest.raises(Unknown, match="not known"):
        checks.test_supported_release(Known(kubelet=36), datetime(2027, 6, 1, tzinfo=UTC))


def an_rke2(config):
    path = "/etc/rancher/rke2/config.yaml"
    asked = conf_want([path, f"{path}.d"], ["*.yaml", "*.yml", "config.yaml"])
    return host_of(
        ("/usr/local/bin/rke2", ("/usr/local/bin/rke2", "server"), {}),
        **{starts._want(70, "RKE2_").command: END, asked.command: swept({path: config})},
    )


MODE = "write-kubeconfig-mode"


@pytest.mark.parametrize(("control", "config", "status"), [
    ("written-kubeconfig", "", "pass"), ("written-kubeconfig", f'{MODE}: "0600"', "pass"),
    ("written-kubeconfig", f"{MODE}: 644", "fail"), ("written-kubeconfig", f"{MODE}: 640", "pass"),
    ("written-kubeconfig", f"{MODE}: 640\nwrite-kubeconfig-group: dev", "fail"),
    ("written-kubeconfig", f"{MODE}: u=rw", "unknown"),
    ("rke2-profile", "", "not-applicable"),
    ("network-policies-enforced", "", "pass"),
    ("network-policies-enforced", "disable-network-policy: true", "fail"),
    ("network-policies-enforced", "disable-network-policy: false", "pass"),
    ("network-policies-enforced", "disable-network-policy: true\nflannel-backend: none",
     "not-applicable"),
    ("network-policies-enforced", "disable-network-policy: maybe", "unknown"),
    ("network-policies-enforced", "[", "unknown"),
])  # fmt: skip
def test_options_of_k3s(control, config, status):
    assert judged(control, a_k3s(config={FILE: config or "{}"})) == status


def test_an_agent_writes_no_kubeconfig():
    agent = a_k3s(title="k3s agent", units={UNIT: "[Service]\nExecStart=/x/k3s agent\n"})
    assert judged("written-kubeconfig", agent) == "not-applicable"


def judged(control, host):
    return str(judge(all_controls()[f"orchestrator.{control}"], host, Site("h")).status)


@pytest.mark.parametrize(("config", "status"), [
    ("{}", "fail"), ("profile: cis", "pass"), ("profile: cis-1.23", "pass"),
    ("profile: etcd", "fail"), ("profile: [", "unknown"),
])  # fmt: skip
def test_profile_of_rke2(config, status):
    assert judged("rke2-profile", an_rke2(config)) == status
    assert judged("network-policies-enforced", an_rke2("{}")) == "not-applicable"


def test_options_of_a_running_one():
    [found] = get(a_k3s("\t'--write-kubeconfig-mode' \\\n\t'644' \\"), "rancher")
    assert found.server and found.options.flags.last("write-kubeconfig-mode") == "644"
    assert str(found) == "k3s server"
    assert k3s.is_tool(found.program) is False


LISTED = """/etc/rancher/k3s/config.yaml
/etc/rancher/k3s/config.yaml.d/x.yaml
/etc/rancher/k3s/k3s.yaml
/etc/k0s/k0s.yaml
/etc/k0s/worker-token
/var/snap/microk8s/current/args/kubelet
/var/snap/microk8s/current/credentials/known_tokens.csv
/var/lib/rancher/rke2/server/node-token
/etc/systemd/system/k3s.service.env
/etc/systemd/system/k3s.service
"""


def paths(name, out=LISTED + END, complaint=""):
    passwd = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/:/bin/sh\n"
    replies = {LOOK.command: (0, out, complaint), "getent passwd": passwd,
               "getent group": "root:x:0:\nmicrok8s:x:990:ann\n"}  # fmt: skip
    return get(host_of(**replies), name)


def test_files_of_distributions():
    configs = {each.path: each.trusted for each in paths("distribution_config")}
    assert len(configs) == 4 and "/etc/rancher/k3s/k3s.yaml" not in configs
    # The group microk8s is root's equal, by the snap's design.
    assert configs["/var/snap/microk8s/current/args/kubelet"] == {0, 1000}
    assert configs[FILE] == {0}
    assert len(paths("join_secret")) == 4
    with pytest.raises(NotApplicable):
        paths("join_secret", END)
    with pytest.raises(CannotAnswer):
        paths("join_secret", "/etc/k0s/x\n")
    hidden = paths("join_secret", END, "find: '/var/lib/rancher/k3s/server': Permission denied")
    assert [type(each) for each in hidden] == [Unseen]
