"""The controls of the API and of what the daemon says of itself, against peers' mistakes."""

from __future__ import annotations

import json

import pytest

from checks.engine import test_api
from hullcheck.facts.docker.api import Api
from hullcheck.inventory.policy import Policy
from tests.unit.docker_fake import SOCKET, VERSION, dockerd, status, verdict

OPEN = [("0.0.0.0", 2375)]


WARNING = "WARNING: API is accessible on http://0.0.0.0:2375 without encryption.\n   Access to …"


@pytest.mark.parametrize(
    ("words", "config", "tcp", "expected"),
    [
        (["-H", "tcp://0.0.0.0:2375"], {}, OPEN, "fail"),
        ([], {"hosts": ["unix:///run/docker.sock", "tcp://0.0.0.0:2375"]}, OPEN, "fail"),
        ([], {"hosts": ["tcp://0.0.0.0:2376"], "tlsverify": True}, [("::", 2376)], "pass"),
        (["-H=tcp://:2376", "--tlsverify"], {}, [("::", 2376)], "pass"),
        (["-H=tcp://:2376", "--tlsverify=false"], {}, [("::", 2376)], "fail"),
        (["-H=tcp://:2376", "--tls"], {}, [("::", 2376)], "fail"),
        ([], {"tls": True}, [("::1", 2376)], "fail"),
        (["-H=fd://"], {}, [], "not-applicable"),
        (["-H=unix:///run/docker.sock", "-H", "ssh://x"], {}, [], "not-applicable"),
        (["-H=fd://"], {}, OPEN, "fail"),
        (["-H=tcp://:2376", "--tlsverify"], {}, [], "unknown"),
    ],
)
def test_every_tcp_listener_demands_certificates(words, config, tcp, expected):
    """Weaknesses 18 to 21: a dead branch, a pattern that wanted one line, a query that never
    parsed, and tlsverify=false: an API open to all was "not listening"."""
    assert status(test_api.test_api_tls, *words, config=config, tcp=tcp) == expected


def test_what_the_daemon_itself_calls_open_is_open():
    info = {"Warnings": [WARNING]}
    found = verdict(test_api.test_api_tls, "--tlsverify", tcp=OPEN, info=info)
    assert str(found.status) == "fail" and "http://0.0.0.0:2375" in found.reason


def test_swarm_and_metrics_do_not_serve_the_api():
    active = {"Swarm": {"LocalNodeState": "active"}}
    tcp = [("::", 2377), ("::", 7946), ("127.0.0.1", 9323)]
    words = ["--metrics-addr", "127.0.0.1:9323"]
    assert status(test_api.test_api_tls, *words, tcp=tcp, info=active) == "not-applicable"
    assert status(test_api.test_api_tls, *words, tcp=tcp) == "fail"


@pytest.mark.parametrize(
    ("clear", "tls", "expected"),
    [
        ((0, json.dumps({"Server": VERSION})), (1, "", "x"), "fail"),
        ((1, "{}", "Client sent an HTTP request to an HTTPS server."),
         (1, "{}", "error: remote error: tls: bad certificate"), "pass"),
        ((1, "{}", "Client sent an HTTP request to an HTTPS server."),
         (0, json.dumps({"Server": VERSION})), "fail"),
        ((1, "{}", "i/o timeout"), (1, "{}", "i/o timeout"), "unknown"),
    ],
)  # fmt: skip
def test_a_stranger_is_refused(clear, tls, expected):
    wants = Api(None, f"unix://{SOCKET}", True).strangers("tcp://127.0.0.1:2375")
    also = dict(zip((each.command for each in wants), (clear, tls), strict=True))
    assert status(test_api.test_api_refuses_strangers, tcp=OPEN, also=also) == expected


def test_a_setting_that_two_sources_disagree_on_is_drift():
    """Weakness 5: that flag and file disagree went unseen."""
    control = test_api.test_configuration_drift
    assert status(control, "--log-level=info", config={"log-level": "info"}) == "pass"
    assert status(control, "--log-level=info", config={"log-level": "debug"}) == "fail"
    assert status(control, config={"live-restore": True}) == "fail"
    remapped = {"DockerRootDir": "/srv/docker/165536.165536"}
    assert status(control, "--data-root=/srv/docker/", info=remapped) == "pass"
    assert status(control, config='{"mtu": 1, "mtu": 2}') == "fail"


def test_warnings_are_for_a_person():
    assert status(test_api.test_warnings, info={"Warnings": ["WARNING: No swap"]}) == "manual"
    assert status(test_api.test_warnings, info={"Warnings": []}) == "pass"


@pytest.mark.parametrize(
    ("version", "built", "policy", "expected"),
    [
        ("20.10.24+dfsg1", "2026-05-07T21:09:36.000000000+00:00", None, "manual"),
        ("20.10.24", "2023-04-04T18:17:06.000000000+00:00", None, "fail"),
        ("28.2.2", "Fri May 30 12:07:14 2025", None, "unknown"),
        ("28.2.2", "2025-05-30T12:07:18Z", "28.2", "pass"),
        ("28.2.2", "2025-05-30T12:07:18Z", "28.5.1", "fail"),
        ("9.1.0", "2025-05-30T12:07:18Z", "28", "fail"),
    ],
)
def test_versions(version, built, policy, expected):
    """Weakness 17: any engine numbered 27 or more was current."""
    said = {**VERSION, "Version": version, "BuildTime": built}
    wanted = Policy(minimum_engine_version=policy)
    assert status(test_api.test_version, version=said, policy=wanted) == expected


def test_an_engine_in_a_container_is_told():
    inner = dockerd(pid=55, nspid="55\t1", net=103)
    assert status(test_api.test_no_nested_engine, programs=[inner]) == "fail"
    assert status(test_api.test_no_nested_engine) == "pass"
