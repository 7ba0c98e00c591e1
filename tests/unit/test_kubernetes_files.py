"""The files of a control plane: where they lie, what they are, who may use them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from checks.orchestrator import test_cluster_certificates as certificates
from checks.orchestrator import test_control_plane_files as files
from hullcheck.control import NotApplicable, Unknown, control_of
from hullcheck.facts import get
from hullcheck.facts.conf_files import conf_want
from hullcheck.facts.kubernetes.certificates import pems
from hullcheck.facts.kubernetes.manifests import components_in
from hullcheck.facts.kubernetes.pki import _KEPT, AuthorityKey, Named, NodeCertificate, Pki
from hullcheck.facts.kubernetes.places import MANIFESTS, PLACES
from hullcheck.facts.kubernetes.starts import PLACES as UNITS
from hullcheck.facts.processes import CGROUP
from hullcheck.facts.registry import Unseen
from hullcheck.judge import Site, judge
from tests.live.hosts.pki import BEGINS, kubeconfig, pair
from tests.recordings.parts.kube_manifests import ETCD, MANAGER, manifest
from tests.unit.fake import host_with
from tests.unit.here import host_here
from tests.unit.judged import outcome
from tests.unit.test_kubernetes_components import node
from tests.unit.test_kubernetes_control_plane import file_of

GONE = "find: '/etc/rancher': No such file or directory\n"
DIRECTORY = MANIFESTS[0]
FORM = "'%f %u %g %s %Y %d %i %h %U:%G'"


def record(path, mode="81a4", inode=5, size=10):
    return f"{mode} {inode} 1 0 0 {size} {path}\n//\n"


def places(*paths, said=GONE, codes="1 1", **more):
    told = "".join(record(path, "41ed" if path.endswith("/") else "81a4") for path in paths)
    return {PLACES.command: (0, told.replace("/\n//", "\n//") + f"end {codes}\n//\n", said)} | more


def swept(*paths, **more):
    return get(host_with(places(*paths, **more)), "kubernetes_places")


def stats(path, mode="8180", uid=0):
    """Return what stat and getfacl say of a file of some mode below directories of root's."""
    parts = path.split("/")
    above = ["/".join(parts[:at]) or "/" for at in range(1, len(parts))]
    told = {each: f"41ed 0 0 1 1 1 {at} 1 root:root" for at, each in enumerate(above, 2)}
    told[path] = f"{mode} {uid} 0 9 1 1 99 1 x:root"
    found = {f"stat -c {FORM} -- {each}": f"{text}\n" for each, text in told.items()}
    return found | {f"getfacl -cpn -- {each}": (127, "") for each in told}


PEOPLE = {
    "getent passwd": "root:x:0:0::/root:/bin/sh\neve:x:1000:1000::/home/eve:/bin/sh\n",
    "getent group": "root:x:0:\neve:x:1000:\n",
}


def test_places():
    found = swept("/etc/kubernetes/pki/", "/etc/kubernetes/pki/a\nb.key", "/etc/kubernetes2")
    assert [each.path for each in found.below("/etc/kubernetes")] == [
        "/etc/kubernetes/pki", "/etc/kubernetes/pki/a\nb.key",
    ]  # fmt: skip
    assert found.hidden == {} and found.entries["/etc/kubernetes/pki"].directory
    found = swept(said=GONE + "find: '/etc/kubernetes/pki': Permission denied\n")
    for path in ("/etc/kubernetes/pki", "/etc/kubernetes/pki/etcd", "/etc/kubernetes"):
        assert "root" in found.hidden_at(path)[0].reason
    assert found.hidden_at("/var/lib/etcd") == []
    assert swept(said="find: what is this\n").hidden_at("/var/lib/etcd") != []


@pytest.mark.parametrize(
    "answer",
    [
        "", record("/x"), "end 124 0\n//\n", "end 1 1\n//\nx", "x\n//\nend 0 0\n//\n",
        (0, "end 1 0\n//\n", ""),
    ],
)  # fmt: skip
def test_places_that_are_not_whole(answer):
    with pytest.raises(Unknown):
        get(host_with({PLACES.command: answer}), "kubernetes_places")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (manifest(ETCD, "registry.k8s.io/etcd:3.5.16-0", ["/var/lib/etcd"]), {"etcd"}),
        (manifest(MANAGER, "x", []), {"kube-controller-manager"}),
        # kops starts it by a shell; the image may be named by its digest
        ("spec: {containers: [{command: [/bin/sh, -c, exec /usr/bin/kube-apiserver --a]}]}",
         {"kube-apiserver"}),
        ("spec: {containers: [{image: 'r.example/kube-scheduler-amd64@sha256:00'}]}",
         {"kube-scheduler"}),
        ("metadata: {name: web}\nspec: {containers: [{args: [--data-dir=/var/lib/etcd]}]}", set()),
        ("- 1", set()), ("", set()),
    ],
)  # fmt: skip
def test_manifests(content, found):
    assert components_in(content, "x") == found


def specs(name, *programs, text=ETCD, mode="8180", path=f"{DIRECTORY}/etcd.yaml", **more):
    content = manifest(text, "etcd", [])
    lines = "".join(f"{path}:{line}\n" for line in content.splitlines())
    told = f"= 0 600 {len(content)} {path}\n{lines}= end\n"
    answers = places(f"{DIRECTORY}/", path) | stats(path, mode) | PEOPLE
    answers |= {conf_want(MANIFESTS, ("*",)).command: told}
    return node(*programs, **(answers | more)), name


@pytest.mark.parametrize(
    ("mode", "status"),
    # 400 is tighter than 600 (kube-bench #541); a group's bits may be an ACL's mask
    [("8180", "pass"), ("8100", "pass"), ("81a4", "fail"), ("8182", "fail"), ("8190", "unknown")],
)
def test_modes_of_manifests(mode, status):
    host, _ = specs("etcd", mode=mode)
    verdict = judge(control_of(files.test_etcd_manifest), host, Site("h"))
    assert str(verdict.status) == status
    none = judge(control_of(files.test_scheduler_manifest), host, Site("h"))
    assert str(none.status) == "not-applicable"  # missing is not failing (kube-bench #160, #940)


def test_a_component_that_is_no_static_pod():
    etcd = ("/usr/bin/etcd", ("etcd", "--config-file=/e"), {})
    host = node(etcd, **places(), **stats("/e"), **file_of("/e", "name: x"))
    assert [str(each) for each in get(host, "etcd_spec")] == ["/e"]
    scheduler = ("/usr/bin/kube-scheduler", ("kube-scheduler",), {})
    with pytest.raises(NotApplicable, match="no static pod"):
        get(node(scheduler, **places()), "scheduler_spec")
    unit = "/etc/systemd/system/kube-scheduler.service"
    text = "[Service]\nEnvironmentFile=-/etc/default/scheduler\nExecStart=/usr/bin/kube-scheduler"
    lines = "".join(f"{unit}:{line}\n" for line in text.splitlines())
    cgroup = "1/cgroup:0::/init.scope\n70/cgroup:0::/system.slice/kube-scheduler.service\n"
    names = ("kube-scheduler.service", "kube-scheduler.service.d")
    asked = conf_want((f"{place}/{name}" for place in UNITS for name in names),
                      ["*.service", "*.conf"])  # fmt: skip
    answers = {CGROUP.command: cgroup, asked.command: f"= 0 644 99 {unit}\n{lines}= end\n"}
    for mode, status in (("81a4", "pass"), ("81a6", "fail")):
        known = stats("/etc/default/scheduler", "81a4") | stats(unit, mode) | PEOPLE | answers
        host = node(scheduler, **places(), **known)
        assert [each.path for each in get(host, "scheduler_spec")] == [
            unit, "/etc/default/scheduler",
        ]  # fmt: skip
        verdict = judge(control_of(files.test_scheduler_manifest), host, Site("h"))
        assert str(verdict.status) == status


def test_manifests_that_are_hidden():
    said = f"{GONE}find: '{DIRECTORY}': Permission denied\n"
    found = get(node(**places(said=said)), "api_server_spec")
    assert isinstance(found[0], Unseen) and "root" in found[0].reason


def test_what_is_a_key(tmp_path):
    root = pair("kubernetes")
    user = pair("admin", root, organization="system:masters")
    texts = {
        "ca.crt": root.certificate, "ca.pem": root.certificate + root.private,
        "sa.pub": "-----BEGIN PUBLIC KEY-----\n", "strange name'": user.private,
        "admin.conf": kubeconfig("admin", user, root),
        "one-line.json": '{"users": [{"user": {"client-certificate-data": "QUFB"}}]}',
        "folded.conf": "    client-certificate-data: >-\n      QUFB\n",
    }  # fmt: skip
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    paths = [str(tmp_path / name) for name in texts]
    found = {path.rpartition("/")[2]: each for path, each in pems(host_here(), paths).items()}
    keys = {name for name, each in found.items() if each.key}
    assert keys == {"ca.pem", "strange name'", "admin.conf"}
    [shown] = found["admin.conf"].certificates
    assert shown.spki != found["ca.crt"].certificates[0].spki and "masters" in shown.subject
    assert isinstance(found["one-line.json"].certificates, Unknown)
    assert isinstance(found["folded.conf"].certificates, Unknown)


def made(tmp_path, *pairs, leaf=False, doubt=""):
    (tmp_path / "c.crt").write_text("".join(each.certificate for each in pairs))
    host = host_here()
    [pem] = pems(host, [str(tmp_path / "c.crt")]).values()
    return NodeCertificate(host, "c.crt", pem.certificates, leaf, doubt)


def test_expiry(tmp_path):
    policy, started = Site().policy, BEGINS.replace(day=29)
    check = certificates.test_cluster_certificate_expiry
    root = pair("ca", days=3650)
    for days, status in ((365, "pass"), (60, "pass"), (57, "fail"), (1, "fail")):
        assert outcome(check, made(tmp_path, pair("x", root, days=days)), policy, started) == status
    later = policy.merged({"certificate_renewal_days": 10})
    assert outcome(check, made(tmp_path, pair("x", root, days=57)), later, started) == "pass"
    # An authority that is being replaced may end; a leaf beside it may not.
    assert outcome(check, made(tmp_path, pair("old", days=1), root), policy, started) == "pass"
    early = BEGINS.replace(year=2025)
    assert outcome(check, made(tmp_path, root), policy, early) == "fail"


def test_who_signs(tmp_path):
    root = pair("ca")
    check = certificates.test_component_certificates
    assert outcome(check, made(tmp_path, pair("x", root), root, leaf=True)) == "pass"
    assert outcome(check, made(tmp_path, root, leaf=True)) == "fail"
    assert outcome(check, made(tmp_path, root)) == "not-applicable"
    assert outcome(check, made(tmp_path, root, doubt="why")) == "unknown"
    keys = certificates.test_authority_keys
    assert outcome(keys, AuthorityKey(None, "/k", ("--cluster-signing-key-file",))) == "pass"
    assert outcome(keys, AuthorityKey(None, "/k", ())) == "fail"
    assert outcome(keys, AuthorityKey(None, "/k", (), "why")) == "unknown"


def test_what_is_kept_beside():
    kept = ("/pki/apiserver.crt.bak", "/etc/kubernetes/tmp/kubeadm-backup-1/ca.crt", "/pki/old/x",
            "/pki/apiserver-old.crt", "/pki/ca.crt~", "/pki/backup-2025/ca.crt")  # fmt: skip
    used = ("/pki/apiserver.crt", "/pki/golden.crt", "/pki/template.pem", "/pki/folder/ca.crt")
    assert all(map(_KEPT.search, kept)) and not any(map(_KEPT.search, used))


def run_by(uid):
    return SimpleNamespace(program=SimpleNamespace(process=SimpleNamespace(uids=(uid,) * 4)))


def test_whose_files_they_are():
    etcd, api = run_by(994), run_by(0)
    known = Pki(
        (Named(etcd, "key-file", "/pki/etcd/s.key"), Named(api, "client-ca-file", "/pki/ca.crt"),
         Named(api, "etcd-cafile", "/pki/etcd/ca.crt")), (), (),
    )  # fmt: skip
    # RKE2's profile cis gives etcd the whole folder of its keys.
    for path in ("/pki/etcd", "/pki/etcd/s.key", "/pki/etcd/peer.key"):
        assert known.users(path) == {0, 994}
    # A user of etcd's is root for nobody else (vexxhost/magnum #28).
    for path in ("/pki", "/pki/ca.crt", "/pki/other.key"):
        assert known.users(path) == {0}
