"""The controls of what the daemon speaks to: registries, and where its logs go."""

from __future__ import annotations

import pytest

from checks.engine import test_remotes
from hullcheck.inventory.policy import Policy
from tests.unit.docker_fake import INFO, status


def registries(cidrs=(), indexes=None, mirrors=()):
    config = {
        "InsecureRegistryCIDRs": ["127.0.0.0/8", "::1/128", *cidrs],
        "IndexConfigs": {
            **INFO["RegistryConfig"]["IndexConfigs"],
            **{name: {"Name": name, "Secure": secure} for name, secure in (indexes or {}).items()},
        },
        "Mirrors": list(mirrors),
    }
    return {"RegistryConfig": config}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (registries(), "pass"),
        (registries(["10.0.0.0/8"]), "fail"),
        (registries(["127.0.0.0/7"]), "fail"),
        (registries(["0.0.0.0/0"]), "fail"),
        (registries(indexes={"registry.local:5000": False}), "fail"),
        (registries(indexes={"registry.local:5000": True}), "pass"),
        (registries(indexes={"localhost:5000": False, "127.0.0.1:5000": False}), "pass"),
        (registries(indexes={"[::1]:5000": False}), "pass"),
        (registries(indexes={"localhost.evil.example": False}), "fail"),
        ({"RegistryConfig": None}, "unknown"),
    ],
)
def test_insecure_registries(given, expected):
    """Weaknesses 7 and 25: the implicit loopback network was warned of, others passed."""
    assert status(test_remotes.test_insecure_registries, info=given) == expected


def test_insecure_registries_of_the_policy():
    allowed = Policy(insecure_registries=("registry.local:5000",))
    info = registries(indexes={"registry.local:5000": False})
    assert status(test_remotes.test_insecure_registries, info=info, policy=allowed) == "pass"


@pytest.mark.parametrize(
    ("mirror", "expected"),
    [
        ("http://mirror:5000/", "fail"),
        ("https://mirror/", "pass"),
        ("http://127.0.0.1:5000/", "pass"),
    ],
)
def test_registry_mirrors(mirror, expected):
    info = registries(mirrors=[mirror])
    assert status(test_remotes.test_registry_mirrors, info=info) == expected


@pytest.mark.parametrize(
    ("driver", "options", "expected"),
    [
        ("json-file", {}, "fail"), ("local", {}, "fail"), ("none", {}, "fail"),
        ("journald", {}, "manual"), ("syslog", {}, "manual"), ("awslogs", {}, "pass"),
        ("syslog", {"syslog-address": "tcp://10.0.0.1:514"}, "pass"),
        ("syslog", {"syslog-address": "tcp+tls://logs.example.com:6514"}, "pass"),
        ("syslog", {"syslog-address": "udp://127.0.0.1:514"}, "manual"),
        ("syslog", {"syslog-address": "unixgram:///dev/log"}, "manual"),
        ("fluentd", {"fluentd-address": "logs.example.com"}, "pass"),
        ("fluentd", {"fluentd-address": ":24224"}, "manual"),
        ("grafana/loki-docker-driver:latest", {}, "manual"),
    ],
)  # fmt: skip
def test_log_driver_by_where_it_sends(driver, options, expected):
    found = status(
        test_remotes.test_log_driver, config={"log-opts": options}, info={"LoggingDriver": driver}
    )
    assert found == expected


def test_log_driver_of_the_policy():
    policy = Policy(log_drivers=("journald",))
    info = {"LoggingDriver": "journald"}
    assert status(test_remotes.test_log_driver, info=info, policy=policy) == "pass"
