"""What a node shows of its pods, on a real host: static pods, tokens, secrets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.redact import Redactor
from hullcheck.transport.target import parse_spec
from tests.live.hosts.kubernetes import WAITER
from tests.live.hosts.overlay import OverlayHost, wait_until
from tests.recordings.parts.kube_workloads import (
    KEYS,
    PODS,
    PROXY,
    ROTTEN,
    SHOP,
    SOUND,
    lay_pod,
    manifest,
)

pytestmark = pytest.mark.live

STATIC = [f"static-pod-{each}" for each in ("rights", "host-paths", "secrets", "images")]
TOKENS = ["pod-tokens", "legacy-pod-tokens", "pod-secret-files"]
PROGRAM = "/usr/local/bin/kubelet"


@pytest.fixture
def node(overlay_host: OverlayHost) -> Iterator[OverlayHost]:
    """A host with a kubelet that keeps its pods and manifests where it should."""
    host = overlay_host
    host.run(f"cat >{PROGRAM} && chmod 755 {PROGRAM}", stdin=WAITER)
    host.run(
        "cd /srv && { setsid sh -c 'echo $$ >/root/kubelet.pid; "
        f"exec {PROGRAM} --pod_manifest_path=manifests' </dev/null >/dev/null 2>&1 & }}; "
        "until [ -s /root/kubelet.pid ]; do sleep 0.02; done"
    )
    wait_until(
        lambda: PROGRAM in host.run("readlink /proc/$(cat /root/kubelet.pid)/exe").stdout, "kubelet"
    )
    yield host
    host.run(
        f"kill -9 $(cat /root/kubelet.pid); "
        f"rm -rf {PROGRAM} {PODS} /srv/manifests /var/log/pods /root/kubelet.pid; "
        "[ ! -d /var/lib/kubelet ] || rmdir --ignore-fail-on-non-empty /var/lib/kubelet"
    )


def statuses(host: OverlayHost, names: list[str], policy: Policy | None = None) -> list[str]:
    spec = replace(parse_spec(f"paramiko://{host.name}"), ssh_config=host.ssh_config)
    there = connect(spec, redact=Redactor(b"salt"))
    try:
        site = Site(host.name, policy or Policy())
        found = [judge(all_controls()[f"orchestrator.{name}"], there, site) for name in names]
        assert not any(b"hunter2" in each.stdout for each in session_of(there).recording)
        return [str(each.status) for each in found]
    finally:
        session_of(there).close()


def test_pods_flip(node: OverlayHost) -> None:
    assert statuses(node, STATIC + TOKENS) == ["not-applicable"] * 7
    node.run("mkdir -p /srv/manifests")
    manifest(node, "/srv/manifests/static.json", SOUND)
    lay_pod(node, "kube-system_kube-proxy-7", PROXY, "kubernetes.io~secret/tls", ["tls.crt"])
    assert statuses(node, STATIC + TOKENS) == ["pass"] * 7
    manifest(node, "/srv/manifests/agent", ROTTEN)
    manifest(node, "/srv/manifests/.hidden", "not: [read")
    lay_pod(node, "shop_web-1", SHOP, "kubernetes.io~secret/default-token-abcde", KEYS)
    node.run(f"chmod 755 /var/lib/kubelet {PODS} {PODS}/{SHOP} {PODS}/{SHOP}/volumes")
    allowed = Policy(token_pods=("kube-system/*",))
    assert statuses(node, STATIC + TOKENS, allowed) == ["fail"] * 7
