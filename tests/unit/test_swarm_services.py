"""Controls of a swarm's services."""

from __future__ import annotations

import pytest

from checks.orchestrator import test_swarm_services as made
from hullcheck.facts.swarm_api import services_want
from hullcheck.inventory.policy import Policy
from hullcheck.transport.redact import Redactor
from tests.unit.swarm_fake import ADDRESS, service, status

DIGEST = "sha256:" + "1" * 64


def bind(source, kind="bind"):
    return {"Type": kind, "Source": source, "Target": "/x"}


def volume(device, o="bind"):
    options = {"type": "none", "o": o, "device": device}
    return {"Type": "volume", "Source": "data", "Target": "/x",
            "VolumeOptions": {"DriverConfig": {"Name": "local", "Options": options}}}  # fmt: skip


def of(control, policy=None, ports=(), **container):
    return status(control, policy, services=[service(ports, **container)])


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (["DB_PASSWORD=hunter2"], "fail"), (["DB_PASSWORD_FILE=/run/secrets/db"], "pass"),
        (["DB_PASSWORD=/run/secrets/db"], "pass"), (["DB_PASSWORD="], "pass"), ([], "pass"),
        (["DATABASE_URL=postgres://app:hunter2@db/app"], "fail"), (["KEYBOARD=de"], "pass"),
        (["MONKEY=banana"], "pass"), (["AUTH_ENABLED=true"], "pass"), (["TOKEN"], "pass"),
    ],
)  # fmt: skip
def test_secrets_are_not_variables(variables, expected):
    """As they come, and as they come after what is secret was cut out. A peer asked whether the
    swarm has any secret at all."""
    cut = [Redactor(b"x").clean(each.encode()).decode() for each in variables]
    assert of(made.test_service_secrets, Env=variables) == expected
    assert of(made.test_service_secrets, Env=cut) == expected
    kept = [{"SecretName": "db", "SecretID": "1"}]
    assert of(made.test_service_secrets, Env=variables, Secrets=kept) == expected


def test_secrets_are_not_configs():
    configs = [{"ConfigName": "api_secret", "ConfigID": "1"}]
    assert of(made.test_service_secrets, Configs=configs) == "fail"
    assert of(made.test_service_secrets, Configs=[{"ConfigName": "nginx"}]) == "pass"


@pytest.mark.parametrize(
    ("image", "expected"),
    [("web:1", "fail"), ("web", "fail"), (f"web@{DIGEST}", "pass"), (DIGEST, "pass"),
     (f"reg:5000/web:1@{DIGEST}", "pass"), ("web:sha256", "fail"), (f"web@{DIGEST[:-1]}", "fail"),
     (f"web@{DIGEST}\n", "fail")],
)  # fmt: skip
def test_an_image_is_named_by_digest(image, expected):
    assert of(made.test_service_image_digest, Image=image) == expected


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({}, "pass"), ({"CapabilityAdd": ["cap_sys_admin"]}, "fail"),
        ({"CapabilityAdd": ["ALL"]}, "fail"), ({"CapabilityAdd": ["CHOWN"]}, "pass"),
        ({"Privileges": {"Seccomp": {"Mode": "unconfined"}}}, "fail"),
        ({"Privileges": {"Seccomp": {"Mode": "custom"}, "AppArmor": None}}, "pass"),
        ({"Privileges": {"AppArmor": {"Mode": "disabled"}}}, "fail"),
        ({"Privileges": {"SELinuxContext": {"Disable": True}}}, "fail"),
        ({"Privileges": {"SELinuxContext": {"Disable": False}}}, "pass"),
        ({"Privileges": {"Seccomp": "unconfined"}}, "unknown"),
    ],
)  # fmt: skip
def test_rights_are_those_that_every_container_has(container, expected):
    assert of(made.test_service_privileges, **container) == expected
    allowed = Policy(capabilities=("SYS_ADMIN", "ALL"))
    if "CapabilityAdd" in container:
        assert of(made.test_service_privileges, allowed, **container) == "pass"


@pytest.mark.parametrize(
    ("mount", "expected"),
    [
        (bind("/var/run/docker.sock"), "fail"), (bind("/run//./docker.sock"), "fail"),
        (bind("/"), "fail"), (bind("//"), "fail"), (bind("/srv/../"), "fail"),
        (bind("/var"), "fail"), (bind("/var/run"), "fail"), (bind("/run"), "fail"),
        (bind("/run/user/1000/docker.sock"), "fail"), (bind("/proc/1/root"), "fail"),
        (bind("/etc"), "fail"), (bind("/var/lib/docker"), "fail"), (bind("/srv/data"), "pass"),
        (bind("/var/log/app"), "pass"), (bind("data", "volume"), "pass"), (volume("/"), "fail"),
        (volume("/var/run", "ro,rbind"), "fail"), (volume("/srv/data"), "pass"),
        (volume("/", "size=1m"), "pass"),
    ],
)  # fmt: skip
def test_a_node_is_not_mounted_by_any_name(mount, expected):
    assert of(made.test_service_mounts, Mounts=[mount]) == expected


def test_a_path_that_the_policy_names_may_be_mounted():
    allowed = Policy(host_paths=("/run/docker.sock",))
    assert of(made.test_service_mounts, allowed, Mounts=[bind("/var/run/docker.sock")]) == "pass"
    assert of(made.test_service_mounts, allowed, Mounts=[bind("/run")]) == "fail"


def test_ports_are_those_that_the_policy_names():
    port = {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"}
    loose = {"Protocol": "tcp", "TargetPort": 80}
    control = made.test_service_ports
    assert of(control) == "pass"
    assert of(control, ports=[port]) == "manual"
    assert of(control, Policy(published_ports=(8080,)), ports=[port]) == "pass"
    assert of(control, Policy(published_ports=()), ports=[port]) == "fail"
    assert of(control, Policy(published_ports=(8080,)), ports=[port, loose]) == "fail"


def test_a_service_without_containers_is_left_out():
    plugin = {"ID": "s2", "Spec": {"Name": "p", "TaskTemplate": {"PluginSpec": {"Name": "x"}}}}
    assert status(made.test_service_secrets, services=[plugin]) == "not-applicable"
    assert status(made.test_service_secrets, services=[]) == "not-applicable"


@pytest.mark.parametrize("said", ["", "nonsense", '{"ID": "s1"}', (1, "", "Error: no leader")])
def test_services_that_are_not_told_are_unknown(said):
    also = {services_want(ADDRESS, True).command: said}
    assert status(made.test_service_secrets, also=also) == "unknown"
