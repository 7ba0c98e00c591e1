"""Controls of a swarm's services."""

from __future__ import annotations

import pytest

from checks.orchestrator import test_swarm_services as made
from hullcheck.facts.swarm_api import service_networks_want, services_want
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
    below = Policy(host_paths=("/proc/", "/sys"))
    assert of(made.test_service_mounts, below, Mounts=[bind("/proc/1/net")]) == "pass"
    assert of(made.test_service_mounts, below, Mounts=[bind("/sysroot"), bind("/")]) == "fail"


def test_ports_are_those_that_the_policy_names():
    port = {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"}
    loose = {"Protocol": "tcp", "TargetPort": 80}
    control = made.test_service_ports
    assert of(control) == "pass"
    assert of(control, ports=[port]) == "manual"
    assert of(control, Policy(published_ports=(8080,)), ports=[port]) == "pass"
    assert of(control, Policy(published_ports=()), ports=[port]) == "fail"
    assert of(control, Policy(published_ports=(8080,)), ports=[port, loose]) == "fail"


def plugin(*privileges, **more):
    """A service that installs a plugin, as the API shows it."""
    told = [{"name": name, "value": value} for name, value in privileges]
    spec = {"name": "x", "remote": "reg/x:1", "privileges": told, **more}
    return {"ID": "s2", "Spec": {"Name": "p", "TaskTemplate": {"PluginSpec": spec}}}


def test_a_service_without_containers_is_left_out():
    for control in (made.test_service_mounts, made.test_service_host_network):
        assert status(control, services=[plugin()]) == "not-applicable"
    assert status(made.test_service_secrets, services=[]) == "not-applicable"


@pytest.mark.parametrize(
    ("privileges", "policy", "expected"),
    [
        ((), {}, "pass"), ((("network", ["host"]),), {}, "fail"),
        ((("mount", ["/"]),), {}, "fail"),
        ((("mount", ["/srv"]),), {"host_paths": ("/srv",)}, "pass"),
        ((("device", ["/dev/fuse"]),), {"devices": ("/dev/fuse",)}, "pass"),
        ((("capabilities", ["CAP_SYS_ADMIN"]),), {}, "fail"),
        ((("capabilities", ["CAP_CHOWN"]),), {}, "pass"),
        ((("allow-all-devices", ["true"]),), {}, "fail"), ((("mount", "/"),), {}, "unknown"),
    ],
)  # fmt: skip
def test_a_plugin_is_not_granted_the_node_unseen(privileges, policy, expected):
    """It is no container: no list of containers or of services' mounts shows it."""
    control = made.test_service_privileges
    assert status(control, Policy(**policy), services=[plugin(*privileges)]) == expected


def test_a_plugin_in_the_words_of_the_apis_description_is_one_too():
    spec = {"Name": "x", "Remote": f"reg/x@{DIGEST}", "PluginPrivilege": [
        {"Name": "mount", "Description": "", "Value": ["/"]}]}  # fmt: skip
    given = {"ID": "s2", "Spec": {"Name": "p", "TaskTemplate": {"PluginSpec": spec}}}
    assert status(made.test_service_privileges, services=[given]) == "fail"
    assert status(made.test_service_image_digest, services=[given]) == "pass"
    for broken in ({"PluginPrivilege": ["mount"]}, {"privileges": {"name": "mount"}}):
        spec.pop("PluginPrivilege", None)
        spec.update(broken)
        assert status(made.test_service_privileges, services=[given]) == "unknown"


def test_a_plugin_is_pinned_and_holds_no_secret_too():
    assert status(made.test_service_image_digest, services=[plugin()]) == "fail"
    pinned = plugin(remote=f"reg/x@{DIGEST}")
    assert status(made.test_service_image_digest, services=[pinned]) == "pass"
    assert status(made.test_service_secrets, services=[plugin(env=["TOKEN=abc"])]) == "fail"
    assert status(made.test_service_secrets, services=[plugin(env=["MODE=x"])]) == "pass"


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({"Args": ["--password=hunter2"]}, "fail"), ({"Args": ["--api-token", "s3cr3t"]}, "fail"),
        ({"Command": ["sh", "-c", "curl https://u:pw@h/"]}, "fail"),
        ({"Args": ["--password-file=/run/secrets/x"]}, "pass"), ({"Args": ["serve"]}, "pass"),
        ({"Args": "serve"}, "unknown"),
    ],
)  # fmt: skip
def test_secrets_are_not_arguments(container, expected):
    assert of(made.test_service_secrets, **container) == expected


def test_a_variable_that_only_seems_secret_is_named_by_the_policy():
    allowed = Policy(plain_variables=("API_KEY",))
    assert of(made.test_service_secrets, allowed, Env=["API_KEY=hunter2"]) == "pass"
    assert of(made.test_service_secrets, allowed, Env=["API_TOKEN=hunter2"]) == "fail"


def with_options(**options):
    return {"Type": "volume", "Source": "data", "Target": "/x",
            "VolumeOptions": {"DriverConfig": {"Name": "local", "Options": options}}}  # fmt: skip


@pytest.mark.parametrize(
    ("mount", "expected"),
    [
        (with_options(type="ext4", device="/dev/sda1"), "fail"),
        (with_options(type="ext4", device="/dev/mapper/root"), "fail"),
        (with_options(type="overlay", device="overlay", o="lowerdir=/srv/x:/,workdir=/w"), "fail"),
        (with_options(type="overlay", device="overlay", o="lowerdir=/srv/x,upperdir=/y"), "pass"),
        (with_options(type="proc", device="p"), "fail"),
        (with_options(type="nfs", device=":/export", o="addr=10.0.0.9,rw"), "pass"),
        (with_options(type="tmpfs", device="tmpfs", o="size=1m"), "pass"),
        ({**bind("/etc/localtime"), "ReadOnly": True}, "pass"),
        ({**bind("/etc/nginx"), "ReadOnly": True}, "pass"), (bind("/etc/cron.d"), "fail"),
        ({**bind("/etc/docker/key.json"), "ReadOnly": True}, "fail"), (bind("/usr/bin"), "fail"),
        ({**bind("/root/.ssh"), "ReadOnly": True}, "fail"), (bind("/dev/sda"), "fail"),
        ({**bind("/home"), "ReadOnly": True}, "fail"), (bind("/home/app/data"), "pass"),
        ({**bind("/var/lib/docker/volumes"), "ReadOnly": True}, "pass"),
        ({**bind("/var/lib"), "ReadOnly": True}, "fail"),
    ],
)  # fmt: skip
def test_a_node_is_not_mounted_in_parts_or_layers(mount, expected):
    assert of(made.test_service_mounts, Mounts=[mount]) == expected


@pytest.mark.parametrize(
    ("place", "target", "expected"),
    [("TaskTemplate", "h1", "fail"), ("TaskTemplate", "o1", "pass"), (None, "h1", "fail"),
     ("TaskTemplate", "host", "fail"),
     (None, "o1", "pass")],
)  # fmt: skip
def test_a_service_is_not_in_its_nodes_network(place, target, expected):
    """Its id is not that of any network that is listed."""
    given = service()
    (given["Spec"][place] if place else given["Spec"])["Networks"] = [{"Target": target}]
    assert status(made.test_service_host_network, services=[given]) == expected


def test_networks_that_are_not_told_are_unknown():
    given = service()
    given["Spec"]["Networks"] = [{"Target": "h1"}]
    for said in ("", "nonsense", (1, "", "Error: no leader")):
        also = {service_networks_want(ADDRESS, True).command: said}
        assert status(made.test_service_host_network, services=[given], also=also) == "unknown"
    assert status(made.test_service_host_network, services=[service()]) == "pass"


@pytest.mark.parametrize("said", ["", "nonsense", '{"ID": "s1"}', (1, "", "Error: no leader")])
def test_services_that_are_not_told_are_unknown(said):
    also = {services_want(ADDRESS, True).command: said}
    assert status(made.test_service_secrets, also=also) == "unknown"
