"""What a kubelet goes by: flags, drop-ins, its file, and the defaults that apply."""

from __future__ import annotations

import pytest

from hullcheck.control import Unknown
from hullcheck.facts import get
from hullcheck.facts.conf_files import conf_want
from tests.unit.test_kubernetes_components import node


def settings(*words, files=None, **more):
    told = files or {}
    flags = dict(word.lstrip("-").split("=", 1) for word in words if "=" in word)
    places = [flags[each] for each in ("config", "config-dir") if each in flags]
    names = {"*.conf", flags.get("config", "*.conf").rpartition("/")[2]}
    said = "".join(f"= 0 600 9 {path}\n" for path in told)
    said += "".join(f"{path}:{line}\n" for path, text in told.items() for line in text.split("\n"))
    asked = conf_want(places, sorted(names), depth=9).command
    host = node(
        ("/usr/bin/kubelet", ("/usr/bin/kubelet", *words), {}), **{asked: f"{said}= end\n"}, **more
    )
    [found] = get(host, "kubelet_settings")
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
    asked = conf_want(["/srv/k.yaml"], ["*.conf", "k.yaml"], depth=9).command
    host = node(
        ("/usr/bin/kubelet", ("kubelet", "--config", "k.yaml"), {}),
        **{asked: "= 0 600 9 /srv/k.yaml\n/srv/k.yaml:readOnlyPort: 10255\n= end\n"},
    )
    [found] = get(host, "kubelet_settings")
    assert found.get("readOnlyPort").value == 10255


def test_feature_gates():
    files = {"/k.yaml": "featureGates: {A: true, B: false}"}
    found = settings("--config=/k.yaml", files=files)
    assert found.feature_gates == {"A": True, "B": False}
