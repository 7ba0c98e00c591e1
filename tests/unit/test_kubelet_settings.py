"""What a kubelet goes by: flags, drop-ins, its file, and the defaults that apply."""

from __future__ import annotations

import pytest

from hullcheck.control import Unknown
from hullcheck.facts import get
from tests.unit.kubelet_fake import kubelet_host


def settings(*words, **more):
    [found] = get(kubelet_host(*words, **more), "kubelet_settings")
    return found


def values(found, *names):
    return [found.get(each).value for each in names]


RISKY = ("authentication.anonymous.enabled", "authorization.mode", "readOnlyPort")


def test_defaults_depend_on_how_it_is_configured():
    assert values(settings("--v=2"), *RISKY) == [True, "AlwaysAllow", 10255]
    file = settings("--config=/k.yaml", files={"/k.yaml": "kind: KubeletConfiguration"})
    assert values(file, *RISKY) == [False, "Webhook", 0]
    drops = settings("--config-dir=/d", files={"/d/1.conf": "readOnlyPort: 0"})
    assert values(drops, *RISKY) == [True, "AlwaysAllow", 0]


def test_order():
    files = {
        "/k.yaml": "podPidsLimit: 1\nseccompDefault: false\nevictionHard: {a: 1%, b: 2%}",
        "/d/20-x.conf": "podPidsLimit: 3\nevictionHard: {b: 3%}\nseccompDefault: null",
        "/d/10-x.conf": "podPidsLimit: 2",
        "/d/README": "podPidsLimit: 9",
        "/d/sub/1.conf": "maxPods: 7",
    }
    found = settings("--config=/k.yaml", "--config-dir=/d", "--pod_max_pids=4", files=files)
    assert found.get("podPidsLimit").value == 4
    assert found.get("podPidsLimit").source == "--pod-max-pids"
    assert found.get("maxPods").source == "/d/sub/1.conf"
    assert found.get("evictionHard").value == {"a": "1%", "b": "3%"}
    found = settings("--config=/k.yaml", "--config-dir=/d", files=files)
    assert str(found.get("podPidsLimit")) == "3 (/d/20-x.conf)"
    assert found.get("seccompDefault").value is False


def test_zero_in_the_file_is_not_said():
    name = "streamingConnectionIdleTimeout"
    said = {"/k.yaml": f"{name}: 0s\nport: 0"}
    assert settings("--config=/k.yaml", files=said).get(name).value == "4h0m0s"
    found = settings("--config=/k.yaml", "--streaming-connection-idle-timeout=0", files=said)
    assert found.get(name).value == "0"
    assert found.get("port").value == 10250


@pytest.mark.parametrize("text", [": [", "podPidsLimit: much", "podPidsLimit: [1]"])
def test_nonsense(text):
    with pytest.raises(Unknown):
        settings("--config=/k.yaml", files={"/k.yaml": text}).get("podPidsLimit")


def test_a_file_that_is_gone():
    with pytest.raises(Unknown, match="is not there"):
        settings("--config=/k.yaml").get("podPidsLimit")


def test_relative_to_where_it_runs():
    files = {"/srv/k.yaml": "readOnlyPort: 10255\nstaticPodPath: pods"}
    found = settings("--config", "k.yaml", files=files)
    assert found.get("readOnlyPort").value == 10255
    assert found.path("staticPodPath") == "/srv/pods"


def test_paths_of_the_file_begin_where_it_lies():
    files = {"/etc/k/k.yaml": "staticPodPath: pods"}
    found = settings("--config=/etc/k/k.yaml", files=files)
    assert found.path("staticPodPath") == "/etc/k/pods"


def test_a_file_that_was_changed_since():
    files = {"/k.yaml": "readOnlyPort: 0"}
    found = settings("--config=/k.yaml", "--anonymous-auth=false", files=files, changed=["/k.yaml"])
    assert found.changed == ["/k.yaml"]
    assert found.get("authentication.anonymous.enabled").value is False
    with pytest.raises(Unknown, match="restart"):
        found.get("readOnlyPort")


def test_flags_of_eviction():
    found = settings("--eviction-hard=memory.available<5%,nodefs.available<10%")
    expected = {"memory.available": "5%", "nodefs.available": "10%"}
    assert found.get("evictionHard").value == expected


def test_feature_gates():
    files = {"/k.yaml": "featureGates: {A: true, B: false}"}
    found = settings("--config=/k.yaml", files=files)
    assert found.feature_gates == {"A": True, "B": False}


def test_feature_gates_of_flags_and_file_are_joined():
    files = {"/k.yaml": "featureGates: {A: true, B: false}"}
    found = settings("--config=/k.yaml", "--feature-gates=B=true", files=files)
    assert found.feature_gates == {"A": True, "B": True}
