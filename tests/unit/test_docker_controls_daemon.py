"""The controls of the daemon's settings: each mistake of a peer's, judged right."""

from __future__ import annotations

import pytest

from checks.engine import test_daemon
from hullcheck.control import control_of
from hullcheck.facts.sysctl import SYSCTLS, sysctl_path
from hullcheck.facts.texts import sweep
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.transport import read
from tests.unit.docker_fake import (
    SOCKET,
    VERSION,
    Daemon,
    Program,
    bridge,
    docker_host,
    dockerd,
    status,
)


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


def test_the_word_userns_elsewhere_remaps_nobody():
    """Weakness 10: it was looked for as text in all that the daemon says."""
    info = security("name=seccomp,profile=/etc/docker/name=userns", "name=cgroupns")
    info |= {"Name": "name=userns", "Labels": ["name=userns"], "DockerRootDir": "/srv/userns"}
    assert status(test_daemon.test_user_namespace, info=info) == "fail"


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


def filtered(value):
    name = "net.bridge.bridge-nf-call-iptables"
    line = f"{sysctl_path(name)}:{value}\n"
    swept = f"{sysctl_path('kernel.ostype')}:Linux\n{line}"
    from hullcheck.facts.kernel import RELEASE, STATE, VULNERABILITIES

    return {
        BRIDGE_FILTER: swept, sweep(STATE).command: "",
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
