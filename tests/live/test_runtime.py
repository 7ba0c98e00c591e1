"""The controls of running and stopped containers, on a host that has them with one fault each."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from dataclasses import replace

import pytest

import checks.runtime
from hullcheck.control import Control, control_of
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from hullcheck.verdict import Finding, Status
from tests.live.hosts.docker import DockerHost
from tests.live.hosts.population import ALLOW_ALL, SOUND, enter
from tests.live.hosts.systemd import SystemdHost

pytestmark = pytest.mark.live

ROUNDS = 6
NETWORK = "--network=none"
SAFE = (*(each for each in SOUND if "health" not in each), NETWORK, "--health-cmd=true",
        "--health-interval=1h")  # fmt: skip
ALWAYS = {"runtime.host-user-namespace", "runtime.pinned-image"}
"""What every container here fails: the engine does not remap users, and names images by tags."""

LATE_SSHD = "printf sshd >/proc/self/comm; while :; do sleep 1000; done"

# name -> (options beyond SAFE, controls that fail beside ALWAYS; ids without "runtime.")
ONE_FAULT: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "sound": ((), set()),
    "public-files": (("-v=/etc/localtime:/etc/localtime:ro",), set()),
    "own-data": (("-v=/srv/own:/own", "-v=named:/named"), set()),
    "odd-spelling": (("--cap-add=sYs_PtRaCe",), {"capabilities"}),
    "net-raw": (("--cap-add=NET_RAW",), {"capabilities"}),
    "nnp-false": (("--security-opt=no-new-privileges=false",), {"no-new-privileges"}),
    "seccomp-off": (("--security-opt=seccomp=unconfined",), {"seccomp"}),
    "seccomp-all": (("--security-opt=seccomp=/srv/allow.json",), {"seccomp"}),
    "unmasked": (("--security-opt=systempaths=unconfined",), {"masked-paths", "read-only-paths"}),
    "below-etc": (("-v=/etc/ssh:/data:ro",), {"host-paths"}),
    # Docker makes what holds its data-root a slave: the volume of behind-volume turns up in it,
    # and the container's own /proc, before Docker masks it: core_pattern can be written there.
    "above-engine": (
        ("-v=/var/lib:/data:ro",),
        {"host-paths", "engine-socket", "masked-paths", "read-only-paths"},
    ),
    "own-bind": (("-v=/srv/rebound:/data",), {"host-paths"}),
    "behind-link": (("-v=/srv/app-data:/data:ro",), {"host-paths", "engine-socket"}),
    "behind-volume": (("-v=innocent:/data",), {"host-paths", "engine-socket"}),
    "other-name": (("-v=/run/docker.sock:/tmp/app.sock",), {"engine-socket"}),
    "hard-link": (("-v=/run/app.sock:/tmp/app.sock",), {"engine-socket"}),
    "containerd": (
        ("-v=/run/docker/containerd:/c",),
        {"engine-socket", "host-paths"},
    ),
    "lender": (("--network=host", "--pid=host", "--ipc=host"),
               {"host-network", "host-pid", "host-ipc"}),
    "vanilla-app": (
        ("--network=container:lender", "--pid=container:lender", "--ipc=container:lender",
         "--label=docker.bench.security=1"),
        {"host-network", "host-pid", "host-ipc", "shared-namespaces"},
    ),
    "uts": (("--uts=host",), {"host-uts"}),
    "cgroupns": (("--cgroupns=host",), {"host-cgroup-namespace"}),
    "as-root": (("--user=0",), {"root-user"}),
    "as-group": (("--group-add=6",), {"supplementary-groups"}),
    "device": (("--device=/dev/fuse",), {"devices"}),
    "device-rule": (("--device-cgroup-rule=c 42:* rwm",), {"devices"}),
    "shared-mount": (("-v=/srv/shared:/shared:shared",), {"mount-propagation"}),
    "for-ever": (("--restart=always",), {"restart-limit"}),
    "without-end": (("--restart=on-failure:0",), {"restart-limit"}),
    "too-often": (("--restart=on-failure:6",), {"restart-limit"}),
    "no-health": (("--no-healthcheck",), {"health-check"}),
    "elsewhere": (("--cgroup-parent=/elsewhere",), {"cgroup-parent"}),
}  # fmt: skip

PREPARE = """
mkdir -p /srv/own /srv/shared /srv/rebound
mount --bind /srv/shared /srv/shared && mount --make-shared /srv/shared
mount --bind /etc /srv/rebound
ln -sfn /run /srv/app-data && ln /run/docker.sock /run/app.sock
docker volume create -d local -o type=none -o o=bind -o device=/run innocent
"""


def controls() -> list[Control]:
    modules = pkgutil.iter_modules(checks.runtime.__path__)
    loaded = [importlib.import_module(f"checks.runtime.{each.name}") for each in modules]
    found = [control_of(each) for module in loaded for each in vars(module).values()]
    return [each for each in found if each is not None]


class Audit:
    """Findings of one audit over SSH, by control (without its area) and object."""

    def __init__(self, host: DockerHost, policy: Policy | None = None, *only: str) -> None:
        target = replace(parse_spec(f"paramiko://{host.name}"), ssh_config=host.ssh_config)
        connection = connect(target)
        site = Site(host.name, policy or Policy())
        chosen = [each for each in controls() if not only or each.id in only]
        gather(chosen, connection, site)
        session = session_of(connection)
        self.rounds, self.commands = session.rounds, len(session.recording)
        self.verdicts = {each.id: judge(each, connection, site) for each in chosen}
        self.late = session.late
        session.close()

    def finding(self, control: str, name: str) -> Finding:
        findings = self.verdicts[f"runtime.{control}"].findings
        return next(each for each in findings if each.object.name == name)

    def of(self, name: str, status: Status = Status.FAIL) -> dict[str, str]:
        """Return the controls that a container has this status in, and why."""
        return {
            control: each.reason
            for control, verdict in self.verdicts.items()
            for each in verdict.findings
            if each.object.name == name and each.status is status
        }


@pytest.fixture(scope="module")
def host() -> Iterator[DockerHost]:
    with DockerHost("runtime1") as made:
        made.write("/srv/allow.json", ALLOW_ALL)
        made.run(PREPARE)
        yield made


@pytest.fixture(scope="module")
def audit(host: DockerHost) -> Iterator[Audit]:
    for name, (options, _) in ONE_FAULT.items():
        kept = without_overridden(SAFE, options)
        host.start(name, *kept, *options)
    host.docker("pause", "no-health")
    host.start("late-sshd", *SAFE, command=["sh", "-c", LATE_SSHD])
    host.start("plain")
    host.start("entered", *SAFE)
    enter(host, "entered")
    host.docker("create", "--name=stopped-privileged", "--privileged", "busybox:1")
    host.docker("create", "--name=stopped-volume", *SAFE, "-v=innocent:/data", "busybox:1")
    host.docker("create", "--name=stopped-sound", *SAFE, "busybox:1")
    host.docker("create", "--name=stopped-named", *SAFE, "--user=app", "busybox:1")
    host.docker("create", "--name=stopped-spared", *SAFE, "--oom-score-adj=-900", "busybox:1")
    bridged = [each for each in SAFE if each != NETWORK]
    host.docker("create", "--name=stopped-ports", *bridged, "-p=80:80", "-p=127.0.0.1:8080:80",
                "busybox:1")  # fmt: skip
    made = Audit(host)
    print(f"{made.rounds} rounds, {made.commands} commands")
    yield made
    # What is frozen cannot be killed.
    host.docker("unpause", "no-health", check=False)


def without_overridden(base: tuple[str, ...], options: tuple[str, ...]) -> list[str]:
    """Leave out what docker would refuse to be told twice."""
    once = ("--network", "--cgroupns", "--health", "--user", "--restart", "--pid=")
    given = [each.split("=")[0] for each in options]
    given += ["--health-cmd", "--health-interval"] if "--no-healthcheck" in options else []
    return [each for each in base if not (each.split("=")[0] in given and each.startswith(once))]


def failing(audit: Audit, name: str) -> set[str]:
    """Return what a container fails; that its image is named by a tag is known."""
    return {each.removeprefix("runtime.") for each in audit.of(name)} - {"pinned-image"}


def test_few_rounds_and_nothing_late(audit: Audit) -> None:
    assert audit.late == 0
    assert audit.rounds <= ROUNDS


def test_no_control_breaks(audit: Audit) -> None:
    broken = {control: verdict.reason for control, verdict in audit.verdicts.items()
              if verdict.status is Status.ERROR}  # fmt: skip
    assert broken == {}


@pytest.mark.parametrize("name", ONE_FAULT)
def test_exactly_the_faults_that_were_made_are_found(audit: Audit, name: str) -> None:
    """Peer mistakes 37, 38, 39, 44, 45 and 57, and the evasions behind links, binds, volumes and
    borrowed namespaces."""
    expected = {f"runtime.{each}" for each in ONE_FAULT[name][1]} | ALWAYS
    assert set(audit.of(name)) == expected, json.dumps(audit.of(name), indent=1)
    assert audit.of(name, Status.UNKNOWN) == {}


def test_what_docker_gives_by_default(audit: Audit) -> None:
    """Peer mistake 45: the default capabilities are not few."""
    faults = {
        "capabilities", "no-new-privileges", "root-user", "read-only-root", "memory-limit",
        "pids-limit", "cpu-limit", "health-check", "host-user-namespace", "host-cgroup-namespace",
    }  # fmt: skip
    found = failing(audit, "plain")
    assert faults <= found
    assert found - faults <= {"default-bridge"}


def test_a_login_server_is_found_without_asking_the_container(audit: Audit) -> None:
    """Peer mistake 47."""
    assert failing(audit, "late-sshd") == {"ssh-daemon", "host-user-namespace"}


def test_the_hosts_own_sshd_is_not_a_containers(audit: Audit) -> None:
    """Peer mistake 47: with --pid=host a peer sees the host's."""
    assert audit.finding("ssh-daemon", "lender").status is Status.PASS


def test_an_entered_process_is_found(audit: Audit) -> None:
    """What docker exec --privileged leaves behind shows in no description."""
    assert failing(audit, "entered") >= {
        "entered-process", "entered-as-root", "capabilities", "seccomp", "no-new-privileges",
        "root-user",
    }  # fmt: skip
    assert audit.finding("privileged", "entered").status is Status.PASS


def test_stopped_containers_are_judged_by_what_was_asked_for(audit: Audit) -> None:
    """Peer mistake 39."""
    assert failing(audit, "stopped-privileged") >= {
        "privileged", "capabilities", "seccomp", "masked-paths", "read-only-paths", "devices",
        "memory-limit", "pids-limit", "read-only-root", "no-new-privileges", "root-user",
    }  # fmt: skip
    assert failing(audit, "stopped-volume") == {
        "host-paths", "engine-socket", "host-user-namespace",
    }  # fmt: skip
    assert failing(audit, "stopped-spared") == {"oom-score", "host-user-namespace"}
    assert failing(audit, "stopped-sound") == {"host-user-namespace"}
    assert audit.finding("root-user", "stopped-named").status is Status.UNKNOWN


def test_published_ports(audit: Audit) -> None:
    expected = {"published-ports-privileged", "published-address"}
    assert expected <= failing(audit, "stopped-ports")
    assert audit.finding("published-ports", "stopped-ports").status is Status.MANUAL


def test_the_sites_policy_counts(host: DockerHost, audit: Audit) -> None:
    policy = Policy(
        capabilities=("sys_ptrace",), host_paths=("/etc/ssh",), devices=("/dev/fuse",),
        published_ports=(80, 8080), cgroup_parents=("/elsewhere",),
    )  # fmt: skip
    again = Audit(host, policy)
    for control, name in {
        "capabilities": "odd-spelling", "host-paths": "below-etc", "devices": "device",
        "published-ports": "stopped-ports", "published-ports-privileged": "stopped-ports",
        "cgroup-parent": "elsewhere",
    }.items():  # fmt: skip
        assert again.finding(control, name).status is Status.PASS, control
    assert again.finding("capabilities", "net-raw").status is Status.FAIL
    assert again.finding("devices", "device-rule").status is Status.FAIL
    assert again.finding("host-paths", "above-engine").status is Status.FAIL


FLIPS = {
    "memory-limit": (
        "echo -1 >/sys/fs/cgroup/memory/docker/$id/memory.memsw.limit_in_bytes; "
        "echo -1 >/sys/fs/cgroup/memory/docker/$id/memory.limit_in_bytes",
        "docker update --memory=64m --memory-swap=64m flip",
    ),
    "pids-limit": (
        "echo max >/sys/fs/cgroup/pids/docker/$id/pids.max",
        "echo 50 >/sys/fs/cgroup/pids/docker/$id/pids.max",
    ),
    "cpu-limit": (
        "echo -1 >/sys/fs/cgroup/cpu/docker/$id/cpu.cfs_quota_us; "
        "echo 1024 >/sys/fs/cgroup/cpu/docker/$id/cpu.shares",
        "echo 50000 >/sys/fs/cgroup/cpu/docker/$id/cpu.cfs_quota_us; "
        "echo 512 >/sys/fs/cgroup/cpu/docker/$id/cpu.shares",
    ),
    "read-only-root": (
        "nsenter -t $pid -m -p -r /bin/mount -o remount,rw /",
        "nsenter -t $pid -m -p -r /bin/mount -o remount,ro /",
    ),
    "masked-paths": (
        "nsenter -t $pid -m -p -r /bin/umount /proc/keys",
        "nsenter -t $pid -m -p -r /bin/mount --bind /dev/null /proc/keys",
    ),
    "read-only-paths": (
        "nsenter -t $pid -m -p -r /bin/mount -o remount,rw,bind /proc/sys",
        "nsenter -t $pid -m -p -r /bin/mount -o remount,ro,bind /proc/sys",
    ),
}


def test_the_kernel_is_believed_and_not_the_description(host: DockerHost, audit: Audit) -> None:
    """What was asked for stays the same; what is in effect is taken away and given back."""
    host.start("flip", *SAFE)
    shell = (
        "id=$(docker inspect -f '{{.Id}}' flip); pid=$(docker inspect -f '{{.State.Pid}}' flip);"
    )
    only = tuple(f"runtime.{each}" for each in FLIPS)
    assert failing(Audit(host, None, *only), "flip") == set()
    for break_it, _ in FLIPS.values():
        host.run(f"{shell} {break_it}")
    assert failing(Audit(host, None, *only), "flip") == set(FLIPS)
    for _, repair in FLIPS.values():
        host.run(f"{shell} {repair}")
    assert failing(Audit(host, None, *only), "flip") == set()


def test_limits_on_a_host_with_systemd_and_v1(systemd_v1: SystemdHost) -> None:
    with_limits(systemd_v1, SAFE)
    audit = Audit(systemd_v1)
    systemd_v1.remove("limited")
    assert failing(audit, "limited") == {"host-user-namespace"}
    assert audit.of("limited", Status.UNKNOWN) == {}


def test_a_limit_that_the_kernel_never_got(systemd_v2: SystemdHost) -> None:
    """Without the controller Docker drops a limit with a warning: the kernel has none."""
    with_limits(systemd_v2, tuple(each for each in SAFE if not each.startswith("--cpus")))
    audit = Audit(systemd_v2)
    systemd_v2.remove("limited")
    controllers = systemd_v2.run("cat /sys/fs/cgroup/cgroup.controllers").stdout.split()
    missing = {name for name in ("memory", "cpu", "pids") if name not in controllers}
    expected = {f"{name}-limit" for name in missing} | {"host-user-namespace"}
    assert failing(audit, "limited") == expected
    assert audit.of("limited", Status.UNKNOWN) == {}


def with_limits(host: DockerHost, options: tuple[str, ...]) -> None:
    host.remove("limited")
    host.start("limited", *options)


def test_root_in_a_remapped_container_is_nobody(host: DockerHost, audit: Audit) -> None:
    """What fails for every container here holds once the engine remaps users. (On the test
    machine no remapped container can run: root lacks a capability. So they are not started.)"""
    host.docker("unpause", "no-health", check=False)
    host.restart({"userns-remap": "default"})
    host.engine.load_image()
    host.docker("create", "--name=remapped", NETWORK, "busybox:1")
    host.docker("create", "--name=exempt", NETWORK, "--userns=host", "busybox:1")
    again = Audit(host, None, "runtime.host-user-namespace", "runtime.root-user")
    assert failing(again, "remapped") == set()
    assert failing(again, "exempt") == {"host-user-namespace", "root-user"}
