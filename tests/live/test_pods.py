"""Pods that run: runtime controls name them as namespace/pod/container, and waivers match that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from hullcheck.verdict import Verdict
from tests.live.hosts.kubernetes import run_program
from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.pods import ALMIGHTY, run_pod
from tests.live.hosts.runc import unpack

pytestmark = pytest.mark.live

SOUND, BAD = "shop/web-1/app", "kube-system/agent-x/agent"
FAULTS = ("registered", "host-network", "host-pid", "host-paths", "capabilities",
          "no-new-privileges", "seccomp", "read-only-root")  # fmt: skip


@pytest.fixture(scope="module")
def node() -> Iterator[OverlayHost]:
    with OverlayHost("podnode") as host:
        run_program(host, "/usr/bin/kubelet", ["/usr/bin/kubelet", "--v=2"])
        unpack(host)
        run_pod(host, "shop", "web-1", "app")
        run_pod(host, "kube-system", "agent-x", "agent", capabilities=ALMIGHTY,
                shared=("network", "pid"), mounts=[("/", "/host")])  # fmt: skip
        yield host


@pytest.fixture(scope="module")
def verdicts(node: OverlayHost) -> dict[str, Verdict]:
    there = connect(replace(parse_spec(f"paramiko://{node.name}"), ssh_config=node.ssh_config))
    controls = [all_controls()[f"runtime.{name}"] for name in FAULTS]
    try:
        gather(controls, there, Site(node.name))
        return {name: judge(each, there, Site(node.name))
                for name, each in zip(FAULTS, controls, strict=True)}  # fmt: skip
    finally:
        session_of(there).close()


@pytest.mark.parametrize("name", FAULTS)
def test_pods_are_named(verdicts: dict[str, Verdict], name: str) -> None:
    said = {each.object.name: str(each.status) for each in verdicts[name].findings if each.object}
    assert set(said) >= {SOUND, BAD}, said
    known = name == "registered"
    assert said[BAD] == ("pass" if known else "fail")
    # runc's own specification has no seccomp profile: what a kubelet without seccompDefault gives.
    assert said[SOUND] == ("fail" if name == "seccomp" else "pass")
