"""Controls of swarms on real ones: two and three engines of one host are their nodes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.facts.swarm_api import (
    SERVICE,
    SERVICE_NETWORK,
    listed,
    nodes_want,
    service_networks_want,
    services_want,
)
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import Evidence, Session, session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from hullcheck.verdict import Verdict
from tests.live.hosts.docker import DockerHost
from tests.live.hosts.overlay import wait_until
from tests.recordings.swarm_scenes import swarm, swarm_loose

pytestmark = pytest.mark.live

SOUND = Policy(
    swarm=True, swarm_unlock_key_days=3650, swarm_token_days=365, published_ports=(8443,)
)
LOOSE = Policy(
    swarm=False, swarm_managers=3, swarm_unlock_key_days=365, swarm_token_days=0,
    swarm_external_cas=(), published_ports=(),
)  # fmt: skip
MANAGER, WORKER = "docker /var/run/docker.sock", "docker /run/docker-two.sock"

CONTROLS = [
    each for each in all_controls().values()
    if each.function.__module__.rpartition(".")[2].startswith("test_swarm")
]  # fmt: skip


def audited(host: DockerHost, policy: Policy) -> tuple[dict[str, Verdict], Session]:
    """Judge the controls of swarms, with nothing redacted."""
    target = replace(parse_spec(f"paramiko://{host.name}"), ssh_config=host.ssh_config)
    there = connect(target, redact=lambda evidence: evidence)
    site = Site(policy=policy, started=datetime.now(UTC))
    gather(CONTROLS, there, site)
    verdicts = {each.id.partition(".")[2]: judge(each, there, site) for each in CONTROLS}
    assert session_of(there).late == 0
    session_of(there).close()
    return verdicts, session_of(there)


def of(verdict: Verdict, name: str) -> str:
    return next(str(each.status) for each in verdict.findings if each.object.name == name)


@pytest.fixture(scope="module")
def host() -> Iterator[DockerHost]:
    with swarm("swarm") as made:
        yield made


def secrets(host: DockerHost) -> list[str]:
    """Return all that must not leave a manager, in the pieces it could leave in; the end of a
    private key is the public one, which the certificate shows."""
    said = host.run(
        "for role in worker manager; do docker swarm join-token -q $role; done; "
        "docker swarm unlock-key -q; "
        "for d in /var/lib/docker /srv/data/two; do "
        "sed -e '/^-----/d' -e '/^kek-version/d' -e 's/^raft-dek: //' "
        "-e '/^$/d' $d/swarm/certificates/swarm-node.key | head -n 2; done"
    ).stdout.split()
    assert [each[:8] for each in said[:3]] == ["SWMTKN-1", "SWMTKN-1", "SWMKEY-1"]
    assert len(said) > 6
    return [each for each in said if len(each) > 8]


def still(host: DockerHost) -> bool:
    """Whether the engines have written nothing for a while; they make networks as they please."""
    mark = host.mark()
    time.sleep(0.7)
    return host.written(mark) == []


def held(evidence: Evidence) -> str:
    return (evidence.stdout + evidence.stderr).decode("utf-8", "replace") + evidence.command


# First, before the host that the other tests share holds the ports of swarms.
def test_every_fault_of_a_swarm_is_found() -> None:
    with swarm_loose("swarm-loose") as host:
        verdicts, session = audited(host, LOOSE)
    missed = {name: str(each.status) for name, each in verdicts.items()}
    assert {name for name, status in missed.items() if status != "fail"} == set()
    assert of(verdicts["swarm-autolock"], MANAGER) == "pass"
    assert of(verdicts["swarm-autolock"], "docker /run/docker-three.sock") == "fail"
    assert of(verdicts["swarm-listeners"], WORKER) == "unknown", "its ports were taken"
    assert of(verdicts["overlay-encryption"], "ingress") == "not-applicable"
    assert "hunter2" in " ".join(map(held, session.recording)), "only the redactor cuts it out"


def test_a_sound_swarm_passes_and_tells_none_of_its_secrets(host: DockerHost) -> None:
    wait_until(lambda: still(host), "the swarm's own networks")
    mark = host.mark()
    verdicts, session = audited(host, SOUND)
    assert host.written(mark) == []
    assert {
        name: each.reason for name, each in verdicts.items() if str(each.status) != "pass"
    } == {}
    assert of(verdicts["swarm-certificate-lifetime"], WORKER) == "pass"
    assert of(verdicts["swarm-autolock"], WORKER) == "not-applicable"
    assert session.rounds <= 5
    for secret in secrets(host):
        told = [each.command for each in session.recording if secret in held(each)]
        assert told == []
    assert any("kek-version" in held(each) for each in session.recording)


def test_the_bare_api_lists_what_the_client_lists(host: DockerHost) -> None:
    target = replace(parse_spec(f"paramiko://{host.name}"), ssh_config=host.ssh_config)
    there = connect(target)
    address = "unix:///var/run/docker.sock"
    for make in (nodes_want, services_want):
        client, bare = session_of(there).ask(make(address, True), make(address, False))
        shape = SERVICE if make is services_want else {"ID": str}
        names = [[each["ID"] for each in listed(one, shape)] for one in (client, bare)]
        assert sorted(names[0]) == sorted(names[1])
        assert names[0]
    # The one service here is in no node's network: only the bare API tells of that network.
    client, bare = (
        listed(each, SERVICE_NETWORK)
        for each in session_of(there).ask(
            service_networks_want(address, True), service_networks_want(address, False)
        )
    )
    assert [each["Driver"] for each in (*client, *bare)] == ["overlay", "host"]
    session_of(there).close()


def test_a_user_without_rights_is_told_so(host: DockerHost) -> None:
    host.add_user("auditor")
    target = replace(parse_spec(f"paramiko://auditor@{host.name}"), ssh_config=host.ssh_config)
    there = connect(target)
    gather(CONTROLS, there, Site())
    found = {str(judge(each, there, Site()).status) for each in CONTROLS}
    assert found == {"unknown"}
    session_of(there).close()


def test_a_manager_that_waits_to_be_unlocked(host: DockerHost) -> None:
    host.restart()
    said = host.docker("info", "--format", "{{.Swarm.LocalNodeState}}")
    assert said.splitlines()[-1] == "locked"
    verdicts, _ = audited(host, SOUND)
    assert of(verdicts["swarm-autolock"], MANAGER) == "pass"
    assert of(verdicts["swarm-managers"], MANAGER) == "unknown"
    assert of(verdicts["service-secrets"], MANAGER) == "unknown"
    assert of(verdicts["swarm-certificate-renewal"], MANAGER) == "pass"
