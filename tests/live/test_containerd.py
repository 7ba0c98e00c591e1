"""A containerd of one's own, at odd places: found by its process, its bundle by its shim."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace

import pytest
from testinfra.host import Host

from checks.engine import test_containerd, test_cri
from hullcheck.control import control_of
from hullcheck.facts import get
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from hullcheck.verdict import Verdict
from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.runc import ROOT, runc, unpack

pytestmark = pytest.mark.live

CONFIG = """
version = 2
root = "/srv/odd/root"
state = "/srv/o dd/state"
[grpc]
address = "/srv/odd/c.sock"
tcp_address = "127.0.0.1:23977"
[metrics]
address = "0.0.0.0:23978"
[plugins."io.containerd.grpc.v1.cri"]
unset_seccomp_profile = "runtime/default"
"""
CTR = "ctr --address /srv/odd/c.sock --namespace odd"


@pytest.fixture(scope="module")
def odd() -> Iterator[OverlayHost]:
    with OverlayHost("containerd1") as host:
        unpack(host)
        host.write("/srv/odd/c.toml", CONFIG)
        host.run(
            "cd /srv/odd && setsid containerd --config c.toml >/var/log/odd.log 2>&1 </dev/null & "
            f"n=0; until {CTR} version >/dev/null 2>&1; do sleep 0.1; n=$((n+1)); "
            "[ $n -lt 200 ] || { cat /var/log/odd.log; exit 1; }; done"
        )
        for client, name in ((CTR, "hidden"), (CTR.replace(" odd", " k8s.io"), "pod")):
            wait = shlex.quote("while :; do sleep 1000; done")
            host.run(f"{client} run -d --rootfs --null-io {ROOT} {name} /bin/sh -c {wait}")
        yield host


def connected(host: OverlayHost) -> Host:
    return connect(replace(parse_spec(f"paramiko://{host.name}"), ssh_config=host.ssh_config))


@pytest.fixture(scope="module")
def verdicts(odd: OverlayHost) -> Iterator[dict[str, Verdict]]:
    connection = connected(odd)
    found = [
        control_of(each) for part in (test_containerd, test_cri) for each in vars(part).values()
    ]
    chosen = [each for each in found if each is not None]
    site = Site(odd.name, Policy())
    before = odd.mark()
    gather(chosen, connection, site)
    made = {each.id.removeprefix("engine."): judge(each, connection, site) for each in chosen}
    session_of(connection).close()
    # containerd itself tidies up in its own store.
    own = "/srv/odd/root/"
    assert [each for each in odd.written(before) if own not in each] == []
    yield made


@pytest.mark.parametrize(
    ("control", "status"),
    [
        ("containerd-tcp-api", "fail"),
        ("containerd-listeners", "fail"),
        ("containerd-host-devices", "fail"),
        ("containerd-debug-socket", "pass"),
        ("cri-stream-server", "pass"),
        ("runtime-config-owner", "pass"),
        ("runtime-config-mode", "pass"),
        ("runtime-directory-owner", "pass"),
        ("runtime-directory-mode", "pass"),
    ],
)
def test_what_is_said_of_it(verdicts: dict[str, Verdict], control: str, status: str) -> None:
    found = verdicts[control]
    assert found.status.value == status, found.reason


def test_what_it_listens_on_is_the_kernel_s_word(verdicts: dict[str, Verdict]) -> None:
    (finding,) = verdicts["containerd-listeners"].findings
    assert any("23978" in each for each in finding.observed)


def test_bundles_of_containers_that_no_engine_describes(odd: OverlayHost) -> None:
    pid = runc(odd, "raw1")
    connection = connected(odd)
    found = {each.id: each for each in get(connection, "bundles")}
    session_of(connection).close()
    hidden, raw = found["hidden"], found["raw1"]
    assert (hidden.namespace, hidden.state_root) == ("odd", "/srv/o dd/state")
    listed = odd.run(f"{CTR} task ls").stdout
    assert f" {hidden.pid} " in listed
    assert hidden.spec["process"]["args"][0] == "/bin/sh"
    assert (raw.runtime, raw.pid, raw.path) == ("runc", pid, "/srv/rogue/raw1")
    assert raw.spec["root"]["path"] == ROOT
