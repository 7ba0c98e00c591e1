"""The components of Kubernetes on a host, and their flags."""

from __future__ import annotations

import pytest

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts import get
from hullcheck.facts.kubernetes.flags import parse_flags
from hullcheck.facts.processes import CGROUP, SPACES, STATUS, TIMES
from hullcheck.facts.registry import Unseen
from tests.unit.container_fake import INIT, Fake
from tests.unit.fake import host_with


def node(*programs, **more):
    """Return a host where programs run: (path, words, more of its process)."""
    found = [
        Fake(70 + at, nested=False, ppid=1,
             **{"uid": 0, "name": path.rpartition("/")[2][:15]} | more)
        for at, (path, _, more) in enumerate(programs)
    ]  # fmt: skip
    everyone = [INIT, *found]
    replies = {
        STATUS.command: "".join(each.status() for each in everyone),
        CGROUP.command: "".join(each.cgroup() for each in everyone),
        TIMES.command: "".join(each.stat() for each in everyone) + "stat:btime 1\n",
        SPACES.command: "".join(each.ns() for each in everyone),
    }
    for each, (path, words, _) in zip(found, programs, strict=True):
        replies[f"head -c 1048577 -- /proc/{each.pid}/cmdline"] = "".join(f"{w}\0" for w in words)
        replies[f"readlink -nv /proc/{each.pid}/exe"] = path
        replies[f"readlink -nv /proc/{each.pid}/cwd"] = "/srv"
    return host_with(replies | more)


def test_flags():
    flags = parse_flags(["--a-b", "1", "--a_b=2", "-v", "--yes", "--no=false", "--l=x,y", "--l=z",
                         "--m=a=true,b=false", "--", "--late"])  # fmt: skip
    assert flags.last("a-b") == "2"
    assert flags.flag("yes") is True and flags.flag("no") is False and flags.flag("none") is None
    assert flags.listed("l") == ["x", "y", "z"]
    assert flags.pairs("m") == {"a": "true", "b": "false"}
    assert flags.last("late") is None
    with pytest.raises(Unknown, match="truth"):
        flags.flag("a-b")


def test_components():
    host = node(
        ("/usr/bin/kubelet", ("/usr/bin/kubelet", "--config=k.yaml"), {}),
        ("/usr/local/bin/kube-controller-manager", ("kube-controller-manager", "--x=1"), {}),
        ("/usr/bin/vi", ("vi", "kube-apiserver"), {}),
    )
    [kubelet] = get(host, "kubelet")
    assert kubelet.flags.last("config") == "k.yaml"
    assert kubelet.program.seen("k.yaml") == "/srv/k.yaml"
    [manager] = get(host, "controller_manager")
    assert str(manager) == "kube-controller-manager"
    for name in ("api_server", "etcd", "scheduler", "kube_proxy"):
        with pytest.raises(NotApplicable):
            get(host, name)


def test_several_in_one_are_not_passed_over():
    host = node(("/usr/local/bin/unheard-of/hyperkube", ("hyperkube", "kube-apiserver"), {}))
    assert [each.name for each in get(host, "api_server")] == ["kube-apiserver"]
    host = node(("/usr/local/bin/k3s", ("/usr/local/bin/k3s server",), {}))
    for name in ("api_server", "kubelet"):
        assert all(isinstance(each, Unseen) for each in get(host, name))


def test_a_file_of_another_name():
    loader = "/lib64/ld-linux-x86-64.so.2"
    for path, words in ((loader, ("/usr/bin/kubelet", "--v=2")), ("/usr/local/bi", ("kubelet",))):
        host = node((path, words, {"name": "kubelet"}))
        assert [each.name for each in get(host, "kubelet")] == ["kubelet"]
    with pytest.raises(NotApplicable):
        get(node(("/usr/bin/vi", ("vi", "kubelet"), {"name": "vi"})), "kubelet")


def test_a_command_line_that_is_cut_between_two_words():
    said = "70/stat:70 (kubelet) S " + " ".join(["1"] * 44) + " 1000 {} 0 0\n"
    words = ("/usr/bin/kubelet", "--read-only-port=0", "--anonymous-auth=true")
    whole = sum(len(each) + 1 for each in words)
    for length, found in ((whole, True), (whole + 21, False)):
        times = INIT.stat() + said.format(1000 + length) + "stat:btime 1\n"
        host = node(("/usr/bin/kubelet", words, {}), **{TIMES.command: times})
        if found:
            assert len(get(host, "kubelet")) == 1
        else:
            with pytest.raises(Unknown, match="not whole"):
                get(host, "kubelet")
