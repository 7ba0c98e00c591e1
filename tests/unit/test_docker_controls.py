"""The controls of the engine: each mistake of a peer's, judged right."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from checks.engine import test_api, test_daemon, test_remotes
from hullcheck.control import control_of
from hullcheck.facts.docker.api import Api
from hullcheck.facts.kernel import SYSCTLS, sysctl_path
from hullcheck.facts.texts import sweep
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.transport import read
from tests.unit.docker_fake import (
    INFO,
    SOCKET,
    VERSION,
    Daemon,
    Program,
    bridge,
    docker_host,
    dockerd,
)

WHEN = datetime(2026, 11, 23, tzinfo=UTC)


def verdict(function, *words, config=None, policy=None, programs=(), also=None, tcp=(), **daemon):
    """Judge a control on a host whose daemon was started with some flags and file."""
    daemons = {f"unix://{SOCKET}": Daemon(**daemon)}
    text = config if isinstance(config, str) else json.dumps(config or {}, indent=1)
    host = docker_host([dockerd(*words, tcp=tcp), *programs], daemons, text, also=also)
    return judge(control_of(function), host, Site(policy=policy or Policy(), started=WHEN))


def status(*args, **more):
    return str(verdict(*args, **more).status)


def security(*options):
    return {"SecurityOptions": list(options)}


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["--no-new-privileges=false"], "fail"), (["--no-new-privileges"], "pass")],
)
def test_no_new_privileges_is_a_value(words, expected):
    """Weakness 3: presence counted as enabled."""
    assert status(test_daemon.test_no_new_privileges_default, *words) == expected
    config = {"no-new-privileges": expected == "pass"}
    assert status(test_daemon.test_no_new_privileges_default, config=config) == expected


def test_live_restore_is_what_the_daemon_says():
    """Weakness 3: --live-restore=false passed. In a swarm the setting does not exist."""
    control = test_daemon.test_live_restore
    assert status(control, "--live-restore=false") == "fail"
    assert status(control, "--live-restore", info={"LiveRestoreEnabled": True}) == "pass"
    swarm = {"Swarm": {"LocalNodeState": "active"}}
    assert status(control, info=swarm) == "not-applicable"


def test_empty_values_are_not_set():
    """Weakness 3: --userns-remap= and --authorization-plugin= passed."""
    assert status(test_daemon.test_user_namespace, "--userns-remap=") == "fail"
    assert status(test_daemon.test_authorization_plugin, "--authorization-plugin=") == "fail"


@pytest.mark.parametrize(
    ("option", "expected"),
    [("name=userns", "pass"), ("name=rootless", "pass"), ("name=cgroupns", "fail")],
)
def test_users_are_remapped_by_either_means(option, expected):
    """Weakness 29: rootless was not recognised."""
    info = security("name=seccomp,profile=default", option)
    assert status(test_daemon.test_user_namespace, info=info) == expected


def test_rootless_is_looked_at():
    """Weakness 29: 2.1 never looked."""
    control = test_daemon.test_rootless
    assert status(control) == "fail"
    assert status(control, info=security("name=userns")) == "manual"
    kit = Program(70, "/usr/bin/rootlesskit", ("rootlesskit",), uid=1000)
    own = docker_host(
        [kit, dockerd(ppid=70, uid=1000)],
        {f"unix://{SOCKET}": Daemon(security("name=rootless"))},
    )
    assert str(judge(control_of(control), own, Site()).status) == "pass"


BRIDGE_FILTER = sweep(map(sysctl_path, SYSCTLS)).command
OWN_FILTER = sweep([sysctl_path("net.bridge.bridge-nf-call-iptables")]).command


def filtered(value):
    name = "net.bridge.bridge-nf-call-iptables"
    line = f"{sysctl_path(name)}:{value}\n"
    swept = f"{sysctl_path('kernel.ostype')}:Linux\n{line}"
    from hullcheck.facts.kernel import RELEASE, STATE, VULNERABILITIES

    return {
        BRIDGE_FILTER: swept, OWN_FILTER: line, sweep(STATE).command: "",
        RELEASE.command: "6.1.0", VULNERABILITIES.command: "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "network", "bridged", "expected"),
    [
        (["--icc=false"], bridge("false"), 1, "pass"),
        (["--icc=false"], bridge("true"), 1, "fail"),
        ([], bridge("true"), 1, "fail"),
        (["--icc=false"], bridge("false"), 0, "fail"),
    ],
)
def test_traffic_between_containers_is_what_the_bridge_says(words, network, bridged, expected):
    """Weaknesses 1, 5 and 7: the command line or nothing decided. And a bridge whose traffic
    the packet filter does not see is open whatever it says."""
    control = test_daemon.test_inter_container_traffic
    also = filtered(bridged)
    assert status(control, *words, networks=[network], also=also) == expected


def test_without_a_default_bridge_there_is_no_traffic_on_it():
    """Weakness 56: a missing or renamed bridge."""
    assert status(test_daemon.test_inter_container_traffic, networks=[]) == "not-applicable"


@pytest.mark.parametrize(
    ("words", "config", "info", "expected"),
    [
        (["--log-level=debug"], {}, {}, "fail"),
        (["-D"], {}, {"Debug": True}, "fail"),
        ([], {"debug": True}, {"Debug": True}, "fail"),
        ([], {"log-level": "warn"}, {}, "fail"),
        (["-l", "info"], {}, {}, "pass"),
        ([], {}, {}, "pass"),
    ],
)
def test_log_level_by_every_way(words, config, info, expected):
    """Weakness 22: the command line was never looked at."""
    assert status(test_daemon.test_log_level, *words, config=config, info=info) == expected


@pytest.mark.parametrize(("value", "expected"), [(False, "fail"), (True, "pass")])
def test_packet_filter(value, expected):
    """Weakness 7: under dash the file was ignored."""
    control = test_daemon.test_packet_filter
    assert status(control, config={"iptables": value}) == expected
    assert status(control, f"--iptables={value}") == expected


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
    ("driver", "version", "expected"),
    [
        ("aufs", "20.10.24", "fail"), ("overlay2", "20.10.24", "pass"),
        ("overlay2", "28.2.2", "not-applicable"), ("aufs", "28.2.2", "fail"),
    ],
)  # fmt: skip
def test_drivers_that_an_engine_no_longer_has(driver, version, expected):
    """Weakness 28: what was removed upstream passed for ever."""
    said = {**VERSION, "Version": version}
    more = {"info": {"Driver": driver}, "version": said}
    assert status(test_daemon.test_storage_driver_aufs, **more) == expected
    if driver == "overlay2":
        assert status(test_daemon.test_storage_driver_devicemapper, **more) == expected
    assert status(test_daemon.test_base_device_size, **more) == "not-applicable"


def test_devicemapper_and_its_base_size():
    info = {"Driver": "devicemapper"}
    assert status(test_daemon.test_storage_driver_devicemapper, info=info) == "fail"
    control = test_daemon.test_base_device_size
    assert status(control, info=info) == "pass"
    assert status(control, "--storage-opt", "dm.basesize=50G", info=info) == "fail"
    assert status(control, config={"storage-opts": ["dm.basesize=50G"]}, info=info) == "fail"


@pytest.mark.parametrize(
    ("words", "config", "expected"),
    [
        ([], {}, "fail"),
        (["--default-ulimit=nofile=1024:2048"], {}, "pass"),
        (["--default-ulimit", "nofile=-1:-1"], {}, "fail"),
        (["--default-ulimit=nproc=100"], {}, "fail"),
        ([], {"default-ulimits": {"nofile": {"Name": "nofile", "Hard": 64000}}}, "pass"),
        ([], {"default-ulimits": {"nofile": {"Name": "nofile", "Hard": -1, "Soft": 100}}}, "fail"),
        ([], {"default-ulimits": {"nofile": {"Name": "nofile"}}}, "unknown"),
    ],
)  # fmt: skip
def test_default_ulimits_limit_something(words, config, expected):
    assert status(test_daemon.test_default_ulimits, *words, config=config) == expected


@pytest.mark.parametrize(
    ("parent", "expected"),
    [("/foobar", "fail"), ("/docker", "pass"), ("system.slice", "pass"), ("", "pass")],
)
def test_cgroup_parent(parent, expected):
    assert status(test_daemon.test_cgroup_parent, f"--cgroup-parent={parent}") == expected


def test_cgroup_parent_of_the_policy():
    policy = Policy(cgroup_parents=("apps.slice",))
    words = ["--cgroup-parent", "apps.slice"]
    assert status(test_daemon.test_cgroup_parent, *words, policy=policy) == "pass"


def test_authorization_plugins():
    control = test_daemon.test_authorization_plugin
    using = {"Plugins": {"Authorization": ["opa"]}}
    assert status(control, info=using) == "pass"
    assert status(control, info=using, policy=Policy(authorization_plugins=("opa",))) == "pass"
    assert status(control, info=using, policy=Policy(authorization_plugins=("casbin",))) == "fail"
    assert status(control, policy=Policy(authorization_plugins=("opa",))) == "fail"
    # A file that names one which the daemon does not use counts for nothing.
    assert status(control, config={"authorization-plugins": ["opa"]}) == "fail"


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


def test_userland_proxy():
    control = test_daemon.test_userland_proxy
    assert status(control) == "fail"
    assert status(control, "--userland-proxy=false") == "pass"
    proxy = Program(60, "/usr/bin/docker-proxy", ("docker-proxy",), ppid=50)
    assert status(control, "--userland-proxy=false", programs=[proxy]) == "fail"


PROFILE = "/etc/docker/seccomp.json"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["name=seccomp,profile=default"], "pass"), (["name=seccomp,profile=builtin"], "pass"),
        (["name=seccomp,profile=unconfined"], "fail"), ([], "fail"), (None, "fail"),
    ],
)  # fmt: skip
def test_seccomp_profile_of_the_daemon(options, expected):
    """Weakness 26: builtin was not known, and unconfined only a note."""
    assert status(test_daemon.test_seccomp_default, info={"SecurityOptions": options}) == expected


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}', "fail"),
        ('{"defaultAction": "SCMP_ACT_LOG"}', "fail"),
        ('{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"]}]}', "manual"),
        ("no profile", "unknown"),
        ('{"syscalls": []}', "unknown"),
    ],
)
def test_a_profile_of_ones_own_must_refuse_something(profile, expected):
    info = security(f"name=seccomp,profile={PROFILE}")
    also = {read(PROFILE).command: profile}
    assert status(test_daemon.test_seccomp_default, info=info, also=also) == expected


@pytest.mark.parametrize(
    ("info", "expected"),
    [({"ExperimentalBuild": True}, "fail"), ({"ExperimentalBuild": False}, "pass")],
)
def test_experimental_on_every_version(info, expected):
    """Weakness 27: engines after 19.03 were never judged."""
    assert status(test_daemon.test_experimental, info=info) == expected


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
