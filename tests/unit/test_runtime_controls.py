"""The runtime controls where no live host here can go, and the mistakes of peers."""

from types import SimpleNamespace

import pytest

from checks.runtime.test_confinement import (
    test_apparmor_profile as apparmor_profile,
)
from checks.runtime.test_confinement import (
    test_masked_paths as masked_paths,
)
from checks.runtime.test_confinement import (
    test_read_only_paths as read_only_paths,
)
from checks.runtime.test_confinement import (
    test_seccomp as seccomp,
)
from checks.runtime.test_confinement import (
    test_selinux_label as selinux_label,
)
from checks.runtime.test_limits import (
    test_memory_limit as memory_limit,
)
from checks.runtime.test_limits import (
    test_oom_score as oom_score,
)
from checks.runtime.test_limits import (
    test_pids_limit as pids_limit,
)
from checks.runtime.test_limits import (
    test_restart_limit as restart_limit,
)
from checks.runtime.test_limits import (
    test_ulimits as ulimits,
)
from checks.runtime.test_namespaces import (
    test_host_network as host_network,
)
from checks.runtime.test_namespaces import (
    test_host_user_namespace as host_user_namespace,
)
from checks.runtime.test_network import (
    test_default_bridge as default_bridge,
)
from checks.runtime.test_network import (
    test_published_address as published_address,
)
from checks.runtime.test_network import (
    test_published_ports as published_ports,
)
from checks.runtime.test_network import (
    test_published_ports_privileged as published_ports_privileged,
)
from checks.runtime.test_operation import (
    test_health_check as health_check,
)
from checks.runtime.test_operation import (
    test_ssh_daemon as ssh_daemon,
)
from checks.runtime.test_privileges import (
    test_capabilities as capabilities,
)
from checks.runtime.test_privileges import (
    test_entered_process as entered_process,
)
from checks.runtime.test_privileges import (
    test_no_new_privileges as no_new_privileges,
)
from checks.runtime.test_privileges import (
    test_privileged as privileged,
)
from checks.runtime.test_privileges import (
    test_root_user as root_user,
)
from checks.runtime.test_privileges import (
    test_supplementary_groups as supplementary_groups,
)
from hullcheck.inventory.policy import Policy
from tests.unit.container_fake import (
    ALL,
    OWN_MOUNTS,
    Fake,
    fake_host,
    findings,
    inspect,
    number,
    status,
)

APP = number("app")
PRESENT = ("/proc/keys", "/proc/sys", "/sys")
KERNEL_FILES = SimpleNamespace(
    all=lambda paths: [SimpleNamespace(path=each, exists=each in PRESENT) for each in paths]
)
DOCKER = 0xA80425FB
BRIDGE = {"Name": "bridge", "Id": "b", "Options": {
    "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0"}}  # fmt: skip


def running(fake=None, *more, **parts):
    """Return a host with a container that runs, sound unless a process says otherwise."""
    host_parts = {key: parts.pop(key) for key in list(parts) if key in (
        "confinement", "engine", "answers", "seeds", "limits", "mounts")}  # fmt: skip
    first = fake or Fake(100, APP)
    return fake_host([inspect("app", first.pid, **parts)], first, *more, **host_parts)


def stopped(engine=None, seeds=None, **parts):
    return fake_host([inspect("app", **parts)], engine=engine, seeds=seeds)


def modules(apparmor=False, selinux=False):
    return {
        "lsm": SimpleNamespace(
            apparmor=SimpleNamespace(enabled=apparmor), selinux=SimpleNamespace(enabled=selinux)
        )
    }


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("docker-default (enforce)", "pass"),
        ("docker-default (complain)", "fail"),
        ("unconfined", "fail"),
        ("", "unknown"),
    ],
)
def test_apparmor(label, expected):
    """Peer mistake 44: what is enforced is judged, and only where there is AppArmor."""
    text = f"100/attr/current:{label}\n" if label else ""
    host = running(confinement=text, seeds=modules(apparmor=True), AppArmorProfile="docker-default")
    assert status(apparmor_profile, host) == expected
    assert status(apparmor_profile, running(seeds=modules())) == "not-applicable"


def test_apparmor_asked_for_otherwise():
    host = stopped(seeds=modules(apparmor=True), SecurityOpt=["apparmor:unconfined"])
    assert status(apparmor_profile, host) == "fail"


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("system_u:system_r:container_t:s0:c1,c2", "pass"),
        ("system_u:system_r:spc_t:s0", "fail"),
        ("system_u:system_r:container_t:s0", "fail"),
        ("", "unknown"),
    ],
)
def test_selinux(label, expected):
    """Peer mistake 44: any security option passes there, whatever it says."""
    text = f"100/attr/current:{label}\n" if label else ""
    host = running(confinement=text, seeds=modules(selinux=True), SecurityOpt=["seccomp=x"])
    assert status(selinux_label, host) == expected
    assert status(selinux_label, running(seeds=modules())) == "not-applicable"


def test_capabilities_are_what_the_kernel_says():
    """Peer mistake 45: the default set passes there, and a privileged container too."""
    assert status(capabilities, running(CapDrop=["ALL"])) == "pass"
    default = Fake(100, APP, uid=0, caps=DOCKER, bounding=DOCKER)
    assert status(capabilities, running(default)) == "fail"
    assert status(capabilities, running(default, CapDrop=["net_raw"])) == "fail"
    assert status(capabilities, stopped(CapDrop=["net_raw"])) == "pass"
    assert status(capabilities, stopped(CapAdd=["sys_Admin"], CapDrop=["all"])) == "fail"
    assert status(capabilities, stopped(CapDrop=["ALL"], Privileged=True)) == "fail"
    lifted = Policy(capabilities=("net_raw",))
    assert status(capabilities, running(default), policy=lifted) == "pass"


def test_what_no_program_can_give_is_not_held_against_it():
    bounded = Fake(100, APP, bounding=ALL)
    assert status(capabilities, running(bounded, CapDrop=["ALL"])) == "pass"
    free = Fake(100, APP, bounding=ALL, nnp=0)
    assert status(capabilities, running(free, CapDrop=["ALL"])) == "fail"


def test_a_sandbox_of_its_own_is_not_the_hosts():
    """A browser has every capability in a user namespace that it made."""
    sandbox = Fake(101, APP, ppid=100, caps=ALL, bounding=ALL, nnp=0,
                   spaces={"mnt": 10002, "pid": 10004, "net": 10003, "user": 77})  # fmt: skip
    host = running(None, sandbox, CapDrop=["ALL"])
    assert status(capabilities, host) == "pass"
    assert status(privileged, host) == "pass"


def test_what_is_said_of_many_processes_is_short():
    """One sentence for those that are alike; one that hides what it is hides no other's fault."""
    own = {"user": 10005}
    many = [Fake(pid, APP, ppid=100, nnp=0, caps=DOCKER, spaces=own) for pid in range(101, 140)]
    found = findings(no_new_privileges, running(None, *many))["app"]
    assert found.reason == (
        "no_new_privs of 101 (app), 102 (app), 103 (app) and 36 more is not set, expected set"
    )
    hidden = Fake(140, APP, ppid=100)
    hidden.ns = lambda: ""  # type: ignore[method-assign]
    assert status(capabilities, running(None, hidden, CapDrop=["ALL"])) == "unknown"
    assert status(capabilities, running(None, hidden, many[0], CapDrop=["ALL"])) == "fail"


def test_who_enters_with_every_right_makes_no_privileged_container():
    """It is the intruder that is wrong, not what the container was started with."""
    entered = Fake(101, APP, caps=ALL, bounding=ALL, nnp=0, spaces={"user": 4026531835})
    host = running(None, entered, CapDrop=["ALL"])
    assert status(capabilities, host) == "fail"
    assert status(entered_process, host) == "fail"
    assert status(privileged, host) == "pass"


@pytest.mark.parametrize(
    ("line", "secrets", "settings"),
    [
        ("", "pass", "pass"),
        ("104 100 0:21 / /host/proc ro - proc proc rw\n", "fail", "pass"),
        ("104 100 0:21 / /host/proc rw - proc proc rw\n", "fail", "fail"),
        ("104 100 0:21 /sys /srv/settings rw - proc proc rw\n", "fail", "fail"),
        ("104 103 0:56 /kernel /sys/kernel rw - sysfs sysfs rw\n", "pass", "fail"),
    ],
)
def test_kernel_files_under_another_name(line, secrets, settings):
    """What is masked at /proc may lie open where the host's /proc is mounted once more."""
    masks = "".join(
        f"{number} 101 0:57 /null {path} ro - tmpfs tmpfs rw\n"
        for number, path in enumerate(("/proc/keys", "/proc/sys"), 110)
    )
    host = running(mounts=OWN_MOUNTS + masks + line, seeds={"files": KERNEL_FILES})
    assert status(masked_paths, host) == secrets
    assert status(read_only_paths, host) == settings


def test_privileged_by_other_means():
    """All capabilities are those of this kernel, not a literal mask."""
    assert status(privileged, running(Fake(100, APP, caps=ALL, bounding=ALL))) == "fail"
    assert status(privileged, stopped(CapAdd=["All"])) == "fail"
    assert status(privileged, stopped(Privileged=True)) == "fail"
    assert status(privileged, stopped()) == "pass"


@pytest.mark.parametrize(
    ("mode", "options", "expected"),
    [
        (2, [], "pass"),
        (1, [], "pass"),
        (0, [], "fail"),
        (0, ['seccomp={"defaultAction":"SCMP_ACT_ERRNO"}'], "fail"),
        (2, ["seccomp:unconfined"], "fail"),
        (2, ['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}'], "fail"),
        (2, ['seccomp={"defaultAction":"SCMP_ACT_ERRNO"}'], "pass"),
        (2, ["seccomp={nonsense"], "unknown"),
    ],
)
def test_seccomp_is_a_filter_on_every_process(mode, options, expected):
    host = running(Fake(100, APP, seccomp=mode), SecurityOpt=options)
    assert status(seccomp, host) == expected


def test_seccomp_of_stopped_containers_follows_the_engine():
    off = {"security_options": {"seccomp": {"profile": "unconfined"}}}
    assert status(seccomp, stopped(engine=off)) == "fail"
    assert status(seccomp, stopped(engine={"security_options": {}})) == "fail"
    assert status(seccomp, stopped()) == "pass"


@pytest.mark.parametrize(
    ("options", "default", "expected"),
    [
        (["no-new-privileges"], False, "pass"),
        (["no-new-privileges:true"], False, "pass"),
        (["no-new-privileges=false"], True, "fail"),
        ([], True, "pass"),
        ([], False, "fail"),
    ],
)
def test_no_new_privileges_is_a_value(options, default, expected):
    """Peer mistake 3: its presence is taken for its being on."""
    host = stopped(engine={"no-new-privileges": default}, SecurityOpt=options)
    assert status(no_new_privileges, host) == expected


@pytest.mark.parametrize(
    ("user", "expected"),
    [("", "fail"), ("0", "fail"), ("00:5", "fail"), ("root:app", "fail"), ("1000", "pass"),
     ("app", "unknown")],
)  # fmt: skip
def test_root_is_who_the_host_takes_for_root(user, expected):
    """Peers look at the name alone: a program that dropped root fails there, and one that became
    root again passes."""
    assert status(root_user, stopped(Config={"User": user})) == expected
    assert status(root_user, running(Fake(100, APP, uid=1000), Config={"User": user})) == "pass"
    assert status(root_user, running(Fake(100, APP, uid=0), Config={"User": user})) == "fail"
    assert status(root_user, stopped({"rootless": True}, Config={"User": user})) == "pass"


@pytest.mark.parametrize(
    ("group", "expected"), [("6", "fail"), ("06", "fail"), ("66", "pass"), ("disk", "unknown")]
)
def test_groups_are_numbers_and_a_name_is_the_images(group, expected):
    groups = SimpleNamespace(groups=[SimpleNamespace(gid=6, name="disk")])
    host = stopped(seeds={"accounts": groups}, GroupAdd=[group])
    assert status(supplementary_groups, host) == expected


def test_user_namespaces_are_not_assumed():
    """Peer mistake 57: without remapping every container is in the host's."""
    shared = Fake(100, APP, spaces={"user": 4026531835})
    assert status(host_user_namespace, running(shared)) == "fail"
    assert status(host_user_namespace, running()) == "pass"
    assert status(host_user_namespace, stopped()) == "fail"
    remap = {"security_options": {"userns": {}}}
    assert status(host_user_namespace, stopped(remap)) == "pass"
    assert status(host_user_namespace, stopped(remap, UsernsMode="host")) == "fail"
    assert status(host_user_namespace, stopped({"rootless": True})) == "pass"


def test_a_namespace_that_cannot_be_seen_is_unknown():
    hidden = Fake(100, APP)
    hidden.ns = lambda: ""  # type: ignore[method-assign]
    assert status(host_network, running(hidden)) == "unknown"
    assert status(host_network, running(hidden, NetworkMode="host")) == "fail"


def test_limits_count_as_the_kernel_enforces_them():
    assert status(memory_limit, running(Memory=67108864)) == "pass"
    assert status(memory_limit, running(Memory=1048576)) == "fail"
    off = {"memory.limit_in_bytes": "9223372036854771712", "pids.max": "max"}
    assert status(memory_limit, running(limits=off, Memory=67108864)) == "fail"
    assert status(pids_limit, running(limits=off, PidsLimit=50)) == "fail"
    vast = {"memory.limit_in_bytes": str(1 << 40), "pids.max": "4194304"}
    assert status(memory_limit, running(limits=vast)) == "fail"
    assert status(pids_limit, running(limits=vast)) == "fail"
    assert status(pids_limit, running()) == "pass"
    assert status(memory_limit, stopped(Memory=0)) == "fail"
    assert status(memory_limit, stopped(Memory=1 << 26)) == "pass"
    assert status(pids_limit, stopped(PidsLimit=-1)) == "fail"


@pytest.mark.parametrize(
    ("hard", "expected"), [("1048576", "pass"), ("1073741816", "fail"), ("unlimited", "fail")]
)
def test_open_files_are_bounded(hard, expected):
    text = f"100/limits:Max open files            1024                 {hard}      files\n"
    assert status(ulimits, running(confinement=text)) == expected


def test_the_score_in_effect_counts():
    assert status(oom_score, running(confinement="100/oom_score_adj:-998\n")) == "fail"
    assert status(oom_score, running(confinement="100/oom_score_adj:0\n")) == "pass"
    assert status(oom_score, stopped(OomKillDisable=True)) == "fail"


@pytest.mark.parametrize(
    ("name", "retries", "expected"),
    [("no", 0, "pass"), ("", 0, "pass"), ("on-failure", 5, "pass"), ("on-failure", 6, "fail"),
     ("on-failure", 0, "fail"), ("always", 0, "fail"), ("unless-stopped", 0, "fail")],
)  # fmt: skip
def test_restarts_end(name, retries, expected):
    host = stopped(RestartPolicy={"Name": name, "MaximumRetryCount": retries})
    assert status(restart_limit, host) == expected


def test_health_that_is_bad_is_no_health():
    """Peer mistake 55."""
    config = {"Healthcheck": {"Test": ["CMD", "true"]}}
    sick = {"Health": {"Status": "unhealthy"}}
    assert status(health_check, stopped(Config=config)) == "pass"
    assert status(health_check, running(Config=config, State=sick)) == "fail"
    none = {"Healthcheck": {"Test": ["NONE"]}}
    assert status(health_check, stopped(Config=none)) == "fail"


def test_the_default_network_by_membership():
    """Peer mistake 56: the network counts, not the name of its bridge."""
    engine = {"networks": [BRIDGE]}
    joined = {"Networks": {"bridge": {"NetworkID": "b"}}}
    assert status(default_bridge, running(engine=engine, NetworkSettings=joined)) == "fail"
    unused = {"Networks": {"bridge": {"NetworkID": ""}}}
    assert status(default_bridge, running(engine=engine, NetworkSettings=unused)) == "pass"
    assert status(default_bridge, stopped(engine)) == "fail"
    assert status(default_bridge, stopped()) == "pass"
    assert status(default_bridge, stopped(engine, NetworkMode="app")) == "pass"


@pytest.mark.parametrize(
    ("binding", "low", "everywhere"),
    [
        ({"HostIp": "", "HostPort": "80"}, "fail", "fail"),
        ({"HostIp": "::", "HostPort": "8080"}, "pass", "fail"),
        ({"HostIp": "10.0.0.1", "HostPort": "1000-1030"}, "fail", "pass"),
        ({"HostIp": "127.0.0.1", "HostPort": ""}, "pass", "pass"),
    ],
)
def test_ports(binding, low, everywhere):
    asked = stopped({"networks": [BRIDGE]}, PortBindings={"80/tcp": [binding]})
    assert status(published_ports_privileged, asked) == low
    assert status(published_address, asked) == everywhere
    assert status(published_ports, asked) == "manual"
    assert status(published_ports, stopped()) == "pass"
    real = running(NetworkSettings={"Ports": {"80/tcp": [binding | {"HostIp": "10.0.0.1"}]}})
    assert status(published_address, real) == "pass"
    assert status(published_ports_privileged, real) == low


@pytest.mark.parametrize(
    ("exe", "cmdline", "name", "expected"),
    [
        ("/app/run", b"/app/run\0", "run", "pass"),
        ("/usr/sbin/sshd", b"innocent\0", "innocent", "fail"),
        ("/tmp/x (deleted)", b"sshd: /usr/sbin/sshd -D [listener]\0", "x", "fail"),
        ("/usr/sbin/dropbear (deleted)", b"", "x", "fail"),
        ("/x", b"x\0", "sshd", "fail"),
    ],
)
def test_a_login_server_under_any_name(exe, cmdline, name, expected):
    """Peer mistake 47: no program in the container is asked."""
    answers = {
        "head -c 1048577 -- /proc/100/cmdline": cmdline,
        "readlink -nv /proc/100/exe": exe,
    }
    host = running(Fake(100, APP, name=name), answers=answers)
    assert status(ssh_daemon, host) == expected


def test_a_process_that_has_ended_logs_nobody_in():
    gone = (1, "", "readlink: /proc/100/exe: No such file or directory")
    answers = {
        "head -c 1048577 -- /proc/100/cmdline": (1, "", "head: No such file or directory"),
        "readlink -nv /proc/100/exe": gone,
    }
    assert status(ssh_daemon, running(answers=answers)) == "pass"
    denied = (1, "", "readlink: /proc/100/exe: Permission denied")
    answers["readlink -nv /proc/100/exe"] = denied
    assert status(ssh_daemon, running(answers=answers)) == "unknown"


def test_no_container_leaves_the_audit():
    """Peer mistakes 37, 38 and 39: a name, a label or a state do not hide a container."""
    described = [
        inspect("vanilla-app", Privileged=True),
        inspect("optout", Config={"Labels": {"docker.bench.security": "1"}}, Privileged=True),
        inspect("created", State={"Status": "created"}, Privileged=True),
    ]
    host = fake_host(described)
    for each in ("vanilla-app", "optout", "created"):
        assert status(privileged, host, each) == "fail"
