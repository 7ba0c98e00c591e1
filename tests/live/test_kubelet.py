"""Kubelets and kube-proxies on a real host: in order, with all faults, and seen by a user."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from checks.orchestrator import (
    test_kubelet_access,
    test_kubelet_files,
    test_kubelet_pods,
    test_kubelet_tls,
)
from hullcheck.control import control_of
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.redact import Redactor
from hullcheck.transport.target import parse_spec
from tests.live.hosts.kubernetes import run_program
from tests.live.hosts.overlay import OverlayHost
from tests.recordings.parts import kube_kubelet as parts

pytestmark = pytest.mark.live

MODULES = (test_kubelet_access, test_kubelet_files, test_kubelet_pods, test_kubelet_tls)
CONTROLS = {
    found.id.removeprefix("orchestrator."): found
    for module in MODULES for each in vars(module).values() if (found := control_of(each))
}  # fmt: skip
ADDRESS = "127.0.78.9"


@pytest.fixture(scope="module")
def made() -> Iterator[OverlayHost]:
    """A host of this module's own: programs run on it until it ends."""
    with OverlayHost("hostkubelet") as host:
        host.add_user("auditor")
        yield host


def audited(host: OverlayHost, *names: str, user: str = "root") -> tuple[dict[str, str], bytes]:
    """Return what controls say, by their names, and all that came back of the host."""
    target = replace(parse_spec(f"paramiko://{user}@{host.name}"), ssh_config=host.ssh_config)
    there = connect(target, redact=Redactor(b"salt"))
    session = session_of(there)
    try:
        meant = [CONTROLS[each] for each in names or CONTROLS]
        before = host.mark()
        gather(meant, there, Site(host.name))
        found = {
            each.id.removeprefix("orchestrator."): str(judge(each, there, Site(host.name)).status)
            for each in meant
        }
        assert host.written(before) == []
        return found, b"".join(each.stdout + each.stderr for each in session.recording)
    finally:
        session.close()


def stop(host: OverlayHost) -> None:
    host.run("kill $(pidof kubelet kube-proxy containerd)")


def test_everything_flips(made: OverlayHost) -> None:
    parts.kubeadm_sound(made)
    # What it is named, or what has the word in its command line, makes no user's process one.
    run_program(made, "/srv/kubelet", ("kubelet", "--anonymous-auth=true"), uid=4242)
    found, _ = audited(made)
    assert {name: each for name, each in found.items() if each != "pass"} == {}
    by_user, _ = audited(made, "kubelet-anonymous", "kubelet-unit-files", user="auditor")
    assert set(by_user.values()) == {"unknown"}
    stop(made)
    parts.kubeadm_rotten(made)
    found, came = audited(made)
    assert {name: each for name, each in found.items() if each != "fail"} == {}
    for secret in (parts.TOKEN, parts.HEADER, "PRIVATE KEY-----\nM"):
        assert secret.encode() not in came
    stop(made)


def test_what_the_kernel_shows_counts(made: OverlayHost) -> None:
    """Ports that are open although the settings say no."""
    name = "kubelet-read-only-port"
    word = "--read-only-port=0"
    path = "/usr/local/bin/kubelet"
    run_program(made, path, (path, word), listens=[(ADDRESS, 10250)])
    assert audited(made, name)[0][name] == "pass"
    stop(made)
    run_program(made, path, (path, word), listens=[("::1", 10255)])
    assert audited(made, name)[0][name] == "fail"
    stop(made)


def test_modes_behind_a_closed_way(made: OverlayHost) -> None:
    """kube-bench #1598, #541, #1853: the way counts, tighter is fine, and the file in use is it."""
    name = "kubelet-config-files"
    path = "/usr/local/bin/kubelet"
    parts.lay(made, {"/srv/own/k.yaml": "kind: KubeletConfiguration\n"}, "644")
    run_program(made, path, (path, "--config=k.yaml"), cwd="/srv/own")
    for command, verdict in (
        ("chmod 755 /srv/own", "fail"),
        ("chmod 700 /srv/own", "pass"),
        ("chmod 755 /srv/own; chmod 400 /srv/own/k.yaml", "pass"),
    ):
        made.run(command)
        assert audited(made, name)[0][name] == verdict, command
    stop(made)
