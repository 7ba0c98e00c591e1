"""Controls of swarms: who runs them and how; each mistake of a peer's, judged right."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.orchestrator import test_swarm as run
from checks.orchestrator import test_swarm_keys as keys
from checks.orchestrator import test_swarm_network as net
from checks.orchestrator import test_swarm_services as made
from hullcheck import facts
from hullcheck.catalogue import all_controls
from hullcheck.control import Unknown, control_of
from hullcheck.facts.swarm import parse_key_header
from hullcheck.facts.swarm_api import nodes_want, services_want
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.transport import read, session_of
from tests.unit.docker_fake import INFO, WHEN, Daemon, docker_answers, docker_host, dockerd
from tests.unit.fake import host_with
from tests.unit.here import host_here
from tests.unit.swarm_fake import (
    ADDRESS,
    CA,
    KEPT,
    KEY,
    ROOT,
    WORKER,
    certificate,
    header,
    in_swarm,
    judged,
    key_want,
    manager,
    network,
    node,
    service,
    status,
)

CONTROLS = [
    each for each in all_controls().values()
    if each.function.__module__.rpartition(".")[2].startswith("test_swarm")
]  # fmt: skip
SHELLS = [("/bin/sh",), ("/bin/busybox", "sh")]
DAYS = 86400


@pytest.mark.parametrize("control", CONTROLS, ids=lambda each: each.id)
def test_without_a_swarm_nothing_is_said_but_that(control):
    """Weakness 59: nine passes for a host that is in no swarm."""
    verdict = judge(control, docker_host([dockerd()]), Site(started=WHEN))
    if control.function is run.test_swarm_use:
        assert str(verdict.status) == "pass"
    else:
        assert str(verdict.status) == "not-applicable"
        assert verdict.reason == "no engine on this host is in a swarm"


@pytest.mark.parametrize("control", CONTROLS, ids=lambda each: each.id)
def test_a_worker_is_not_blamed_for_what_only_managers_know(control):
    """Weakness 60: warnings on every worker."""
    told = {"said": WORKER, "tcp": [("10.0.0.1", 7946)], "nodes": (), "written": (0, 0),
            "kept": KEPT[:5]}  # fmt: skip
    found = str(judge(control, host_with(in_swarm(**told)), Site(started=WHEN)).status)
    own = {"swarm-use": "manual", "swarm-listeners": "pass", "swarm-data-path": "fail",
           "swarm-certificate-lifetime": "pass", "swarm-certificate-renewal": "pass",
           "swarm-root-ca-age": "pass", "swarm-ports-filtered": "pass",
           "swarm-old-state": "pass"}  # fmt: skip
    if "files" not in control.id:
        assert found == own.get(control.id.partition(".")[2], "not-applicable")


@pytest.mark.parametrize(
    ("allowed", "more", "expected"),
    [
        (True, {}, "pass"), (False, {}, "fail"), (None, {}, "fail"),
        (None, {"nodes": [node(1, "reachable"), node(2)]}, "manual"),
        (None, {"services": [service()]}, "manual"), (None, {"said": WORKER}, "manual"),
        (False, {"said": WORKER}, "fail"),
        (False, {"said": {"LocalNodeState": "locked"}}, "fail"),
        (None, {"said": {"LocalNodeState": "pending"}}, "manual"),
    ],
)  # fmt: skip
def test_a_swarm_is_used_where_the_site_says_so(allowed, more, expected):
    assert status(run.test_swarm_use, Policy(swarm=allowed), **more) == expected


def test_an_engine_that_does_not_say_whether_it_is_in_a_swarm_is_unknown():
    host = docker_host([dockerd()], {ADDRESS: Daemon(info={"Swarm": None})})
    assert str(judge(control_of(run.test_swarm_use), host, Site()).status) == "unknown"


@pytest.mark.parametrize(
    ("managers", "workers", "expected"),
    [(1, 0, "pass"), (1, 1, "pass"), (1, 2, "fail"), (2, 0, "fail"), (2, 5, "fail"), (3, 0, "pass"),
     (4, 3, "fail"), (5, 0, "pass"), (7, 0, "pass"), (9, 0, "fail")],
)  # fmt: skip
def test_managers_are_counted_not_leaders(managers, workers, expected):
    """Weakness 60: the one leader was counted, so that any swarm passed."""
    nodes = [node(n, "reachable") for n in range(managers)]
    nodes += [node(50 + n) for n in range(workers)]
    assert status(run.test_swarm_managers, nodes=nodes) == expected
    assert status(run.test_swarm_managers, Policy(swarm_managers=managers), nodes=nodes) == "pass"


def test_a_manager_that_does_not_answer_is_named():
    nodes = [node(1, "reachable"), node(2, "reachable"), node(3, "unreachable")]
    verdict = judged(run.test_swarm_managers, nodes=nodes)
    assert str(verdict.status) == "fail"
    assert "host3" in verdict.reason


def test_who_is_no_longer_or_not_yet_a_manager_is_one():
    """One that was demoted is in the quorum until its raft lets it go; one that was promoted and
    has not joined it does not answer."""
    three = [node(1, "reachable"), node(2, "reachable"), node(3, "reachable")]
    three[2]["Spec"]["Role"] = "worker"
    assert status(run.test_swarm_managers, nodes=three) == "pass"
    three[2] = node(3)
    three[2]["Spec"]["Role"] = "manager"
    verdict = judged(run.test_swarm_managers, nodes=three)
    assert (str(verdict.status), "host3" in verdict.reason) == ("fail", True)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "pass"),
        ({"tcp": [("0.0.0.0", 2377), ("10.0.0.1", 7946)]}, "fail"),
        ({"tcp": [("::", 2377), ("10.0.0.1", 7946)]}, "fail"),
        ({"tcp": [("10.0.0.1", 2377), ("0.0.0.0", 7946)]}, "fail"),
        ({"udp": [("0.0.0.0", 7946)]}, "fail"),
        ({"kernel": [("0.0.0.0", 4789)]}, "pass"),
        ({"kernel": [("0.0.0.0", 4789)], "udp": [("0.0.0.0", 7946)]}, "fail"),
        ({"said": manager(DataPathPort=9789), "kernel": [("0.0.0.0", 9789)]}, "pass"),
        ({"state": {"ListenAddr": "0.0.0.0:2378"}}, "unknown"),
        ({"state": {"ListenAddr": "0.0.0.0:2377"}}, "pass"),
        ({"state": {"ListenAddr": "x:2378"}, "tcp": [("0.0.0.0", 2378), ("10.0.0.1", 7946)]},
         "fail"),
        ({"udp": []}, "unknown"),
        ({"state": {"DataPathPort": {"x": 1}}}, "unknown"),
        ({"said": {"LocalNodeState": "pending"}}, "unknown"),
    ],
)  # fmt: skip
def test_listeners_are_those_of_the_kernel_on_every_port(more, expected):
    """Weakness 60: only port 2377 was looked at."""
    assert status(net.test_swarm_listeners, **more) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [("", "fail"), ("10.0.0.1", "fail"), ("192.168.0.1", "pass")],
)
def test_data_takes_a_path_of_its_own(address, expected):
    assert status(net.test_swarm_data_path, state={"DataPathAddr": address}) == expected


def test_managers_work_only_where_there_is_nobody_else():
    alone, worker = node(1, "reachable"), node(2)
    control = run.test_swarm_managers_drained
    assert status(control, nodes=[alone]) == "not-applicable"
    assert status(control, nodes=[alone, worker]) == "fail"
    assert status(control, nodes=[node(1, "reachable", "pause"), worker]) == "fail"
    assert status(control, nodes=[node(1, "reachable", "drain"), worker]) == "pass"


@pytest.mark.parametrize(
    ("setting", "kind", "expected"),
    [(True, "ENCRYPTED PRIVATE KEY", "pass"), (False, "PRIVATE KEY", "fail"),
     (True, "PRIVATE KEY", "fail"), (False, "ENCRYPTED PRIVATE KEY", "fail")],
)  # fmt: skip
def test_the_lock_is_set_and_the_key_on_disk_encrypted(setting, kind, expected):
    said = manager(autolock=setting)
    assert status(keys.test_swarm_autolock, said=said, key=header(kind)) == expected


def test_a_locked_manager_proves_its_lock():
    assert status(keys.test_swarm_autolock, said={"LocalNodeState": "locked"}) == "pass"


@pytest.mark.parametrize(
    "key",
    ["", (2, "", "sed: can't read x: Permission denied"), header("CERTIFICATE"), header() * 2,
     header("PRIVATE KEY", "kek-version: 1\nkek-version: 2\n")],
)  # fmt: skip
def test_a_key_that_cannot_be_read_is_no_locked_one(key):
    assert status(keys.test_swarm_autolock, key=key) == "unknown"


@pytest.mark.parametrize(
    ("days", "written", "expected"),
    [
        (None, (-5 * DAYS, -9 * DAYS), "manual"), (30, (-5 * DAYS, -9 * DAYS), "pass"),
        (30, (-40 * DAYS, -50 * DAYS), "fail"), (30, (-40 * DAYS, -40 * DAYS), "fail"),
        (30, (-5 * DAYS, -5 * DAYS), "manual"), (30, (-5 * DAYS, 0), "manual"),
    ],
)  # fmt: skip
def test_the_unlock_key_is_as_old_as_the_files_can_tell(days, written, expected):
    policy = Policy(swarm_unlock_key_days=days)
    assert status(keys.test_swarm_unlock_key_age, policy, written=written) == expected
    unlocked = {"written": written, "key": header("PRIVATE KEY")}
    assert status(keys.test_swarm_unlock_key_age, policy, **unlocked) == "not-applicable"


@pytest.mark.parametrize(
    ("days", "expected"), [(2, "pass"), (90, "pass"), (91, "fail"), (365, "fail")]
)
def test_certificates_live_as_long_as_the_policy_lets_them(days, expected):
    """Weakness 60: only "2 days" passed."""
    control, name = keys.test_swarm_certificate_lifetime, "certificates/swarm-node.crt"
    own = certificate(WHEN - timedelta(hours=1), days + 1 / 24)
    assert status(control, files={name: own}) == expected
    assert status(control, said=manager(days=days)) == expected
    assert status(control, Policy(swarm_certificate_days=365), said=manager(days=days)) == "pass"


@pytest.mark.parametrize(("age", "expected"), [(1, "pass"), (80, "pass"), (85, "fail")])
def test_a_certificate_is_renewed_before_it_ends(age, expected):
    text = certificate(WHEN - timedelta(days=age), 90)
    files = {"certificates/swarm-node.crt": text + CA}
    assert status(keys.test_swarm_certificate_renewal, files=files) == expected


def test_the_authority_is_not_too_old_and_the_one_that_managers_tell():
    control, name = keys.test_swarm_root_ca_age, "certificates/swarm-root-ca.crt"
    other = certificate(WHEN - timedelta(days=9), 7300)
    assert status(control) == "pass"
    assert status(control, Policy(swarm_ca_days=30)) == "fail"
    assert status(control, files={name: other}) == "fail", "another than the managers'"
    rotating = manager(RootRotationInProgress=True)
    assert status(control, said=rotating, files={name: CA + other}) == "pass"
    ended = certificate(WHEN - timedelta(days=9), 8)
    assert status(control, said=WORKER, files={name: ended}) == "fail"
    for broken in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        assert status(control, files={name: broken}) == "unknown"


def test_a_manager_without_answers_is_unknown():
    denied = {nodes_want(ADDRESS, True).command: (1, "", "Error response: no leader")}
    assert status(run.test_swarm_managers, also=denied) == "unknown"
    assert status(run.test_swarm_managers, nodes=[]) == "unknown", "it is a node itself"
    assert status(run.test_swarm_managers, nodes=[{"ID": "n1"}]) == "unknown"
    lost = {**manager(), "Cluster": None}
    assert status(keys.test_swarm_autolock, said=lost) == "unknown"
    odd = {**manager(), "Cluster": {"ID": "c1", "Spec": {"CAConfig": {"NodeCertExpiry": "90d"}}}}
    assert status(keys.test_swarm_certificate_lifetime, said=odd) == "unknown"


def test_a_node_that_goes_meanwhile_is_left_out():
    text = json.dumps(node(1, "reachable")) + "\n"
    gone = {nodes_want(ADDRESS, True).command: (1, text, "Error: No such node: n2\n")}
    assert status(run.test_swarm_managers, also=gone) == "pass"


def test_an_engine_that_cannot_be_asked_does_not_hide_behind_another():
    info = next(command for command in in_swarm() if " info " in command)
    second = docker_answers(
        [dockerd(), dockerd(pid=60, unix=("/run/two.sock",))],
        {ADDRESS: Daemon(), "unix:///run/two.sock": Daemon(info={"Swarm": manager()})},
    )
    broken = {info: json.dumps({**INFO, "ServerErrors": ["dial unix: no such host"]})}
    two = nodes_want("unix:///run/two.sock", True).command
    told = {two: json.dumps(node(1, "reachable")) + "\n"}
    verdict = judge(
        control_of(run.test_swarm_managers), host_with({**second, **told, **broken}), Site()
    )
    assert [str(each.status) for each in verdict.findings] == ["unknown", "pass"]
    assert str(verdict.status) == "unknown"


def test_without_a_client_the_api_is_asked_and_lists_are_whole():
    nodes, services = nodes_want(ADDRESS, False), services_want(ADDRESS, False)
    assert nodes.command.endswith("http://docker/nodes")
    assert services.command.endswith("http://docker/services")
    listing = json.dumps([node(1, "reachable"), node(2)])
    also = {nodes_want(ADDRESS, True).command: listing}
    assert status(run.test_swarm_managers, also=also) == "pass"


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_of_a_private_key_only_its_headers_leave_the_host(shell, tmp_path: Path):
    path = tmp_path / "swarm/certificates/swarm-node.key"
    path.parent.mkdir(parents=True)
    body = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg"
    path.write_text(
        f"-----BEGIN PRIVATE KEY-----\nkek-version: 7\nraft-dek: {body}\n"
        f"kek-version: 7 {body}\n\n{body}\n-----END PRIVATE KEY-----\n"
    )
    answer = session_of(host_here(*shell)).ask(key_want(str(path)))[0]
    assert answer.text == "-----BEGIN PRIVATE KEY-----\nkek-version: 7\n"
    path.unlink()
    missing = session_of(host_here(*shell)).ask(key_want(str(path)))[0]
    assert missing.exit in (1, 2)
    assert "No such file" in missing.complaint


def test_nothing_asks_for_tokens_or_for_the_unlock_key():
    asked = {each for each in in_swarm() if "docker" in each or "swarm" in each}
    assert asked
    words = ("swarm inspect", "join-token", "unlock-key", "secret ", "config inspect", "swarm ca")
    assert [each for each in asked if any(word in each for word in words)] == []
    assert read(KEY).command not in asked
    assert "PreviousSpec" not in services_want(ADDRESS, True).command


@given(st.text(alphabet="-BEGIN PRVATKYCD:\nkek-version0123456789", max_size=80))
def test_damaged_headers_break_nothing_and_lock_nothing(text):
    try:
        found = parse_key_header(text)
    except Unknown:
        return
    assert "PRIVATE KEY-----" in text
    assert found.encrypted is ("BEGIN ENCRYPTED" in text or "Proc-Type" in text)


@pytest.mark.parametrize(
    ("networks", "overlay", "ingress"),
    [
        ([network("ingress", {}, Ingress=True)], "not-applicable", "fail"),
        ([network("ingress", {})], "not-applicable", "fail"),
        ([network("ingress", {}, Ingress=False)], "fail", "not-applicable"),
        ([network("mesh", {"encrypted": ""}, Ingress=True)], "not-applicable", "pass"),
        ([network("app", {"encrypted": ""}), network("ingress", {}, Ingress=True)], "pass", "fail"),
        ([network("app", {"encrypted": ""}), network("db", None)], "fail", "not-applicable"),
        ([network("app", {"encrypted": "false"})], "pass", "not-applicable"),
        ([], "not-applicable", "not-applicable"),
    ],
)  # fmt: skip
def test_overlays_are_encrypted_the_mesh_apart(networks, overlay, ingress):
    """Weakness 60: the network that every swarm comes with was flagged. To the engine it is the
    option's presence that counts, whatever value somebody gave it."""
    assert status(made.test_overlay_encryption, networks=networks) == overlay
    assert status(made.test_ingress_encryption, networks=networks) == ingress


def test_a_file_of_a_swarm_is_below_the_data_root():
    info = {"Swarm": manager(), "DockerRootDir": "/srv/engine"}
    host = docker_host([dockerd()], {ADDRESS: Daemon(info=info)})
    paths = [each.path for each in facts.get(host, "swarm_file")]
    assert paths[0] == "/srv/engine/swarm"
    assert f"{paths[0]}/certificates/swarm-node.key" in paths
    assert ROOT not in paths
