"""What runs like a container and belongs to nobody; and what only looks like it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from checks.runtime.test_registered import test_registered as registered
from hullcheck import facts
from hullcheck.facts.bundles import Bundle
from hullcheck.facts.containers.strangers import HELPERS
from hullcheck.facts.processes import SPACES
from hullcheck.inventory.policy import Policy
from tests.unit.container_fake import APP, Fake, fake_host, findings, inspect, number

LATER = Fake(90, name="young", ticks=100_000)
"""Started long after the others, so that none of them is just being started."""

OWN_PID, OWN_MNT = {"pid": 7001}, {"mnt": 7002}
SHIM = Fake(60, name="shim", nested=False, ppid=1)


def found(*running: Fake, bundles: Sequence[Bundle] = (), policy: Policy | None = None, **more):
    everyone = [SHIM, Fake(100, APP), *running, LATER]
    host = fake_host([inspect("app", 100)], *everyone, seeds={"bundles": list(bundles)}, **more)
    told = findings(registered, host, policy)
    assert "fake" not in told, told["fake"].reason
    return {name: str(each.status) for name, each in told.items()}


def helpers(*pids: int, known: str = "") -> dict[str, tuple[int, str]]:
    """What the helpers' programs are asked for, and answers: the one that is known is pid's."""
    programs = " ".join(f"/proc/{pid}/exe" for pid in pids)
    command = f"stat -L -c '%d:%i %n' -- {' '.join(HELPERS)} {programs}"
    lines = "".join(f"8:{pid} /proc/{pid}/exe\n" for pid in pids)
    return {command: (1, (f"8:{pids[0]} {known}\n" if known else "") + lines)}


def test_a_container_that_docker_lists_is_no_stranger():
    assert found() == {"app": "pass"}


def test_a_cgroup_of_an_id_that_nobody_knows():
    told = found(Fake(200, number("ghost")), answers=helpers(200))
    assert told == {"app": "pass", number("ghost")[:12]: "fail"}


def test_a_container_that_was_stopped_meanwhile_is_no_stranger():
    (command,) = helpers(200)
    gone = "stat: cannot statx '/proc/200/exe': No such file or directory\n"
    assert found(Fake(200, number("ghost")), answers={command: (1, "", gone)}) == {"app": "pass"}


def test_a_name_of_a_helper_does_not_excuse_what_is_in_a_containers_cgroup():
    told = found(Fake(200, number("ghost")), answers=helpers(200, known="/usr/bin/pasta"))
    assert told[number("ghost")[:12]] == "fail"


def test_a_pid_namespace_of_its_own():
    alone = Fake(200, spaces=OWN_PID, ppid=60)
    child = Fake(201, spaces=OWN_PID, ppid=200)
    told = found(alone, child, answers=helpers(200))
    assert told == {"app": "pass", "process 200 (app)": "fail"}


def test_a_mount_namespace_with_another_root():
    alone = Fake(200, spaces=OWN_MNT, root="9:9", nested=False, ppid=1)
    assert found(alone, answers=helpers(200))["process 200 (app)"] == "fail"


def test_a_service_with_a_private_tmp_has_the_hosts_root():
    assert found(Fake(200, spaces=OWN_MNT, nested=False, ppid=1)) == {"app": "pass"}


def test_a_service_in_a_chroot_has_the_hosts_mounts():
    assert found(Fake(200, root="9:9", nested=False, ppid=1)) == {"app": "pass"}


def test_a_networks_helper_is_told_by_its_file_not_by_its_name():
    alone = Fake(200, name="pasta", spaces=OWN_MNT, root="9:9", nested=False, ppid=1)
    assert found(alone, answers=helpers(200, known="/usr/bin/pasta")) == {"app": "pass"}
    assert found(alone, answers=helpers(200))["process 200 (pasta)"] == "fail"


def test_what_left_its_cgroup_stays_its_containers():
    """Moved to another cgroup it is still in the namespaces that its container has."""
    spaces = {"pid": 100 * 100 + 4, "mnt": 100 * 100 + 2}
    host = fake_host([inspect("app", 100)], Fake(100, APP), Fake(200, spaces=spaces), LATER)
    container = facts.get(host, "containers")[0]
    assert [process.pid for process in container.processes] == [100, 200]
    assert len(facts.get(host, "containers")) == 1


def test_what_was_just_started_may_be_known_by_now():
    fresh = Fake(200, number("ghost"), ticks=99_900)
    assert found(fresh, answers=helpers(200))[number("ghost")[:12]] == "unknown"


def test_raw_runc_is_known_by_its_state_and_listed_by_nobody():
    state = Bundle("rtB", "", "runc", "/bundle", 200, "/run/runc")
    own = Fake(200, name="sh", spaces=OWN_PID | OWN_MNT, root="9:9", ppid=60)
    assert found(own, bundles=[state]) == {"app": "pass", "rtB": "fail"}
    assert found(own, bundles=[state], policy=Policy(engines=("docker", "runc"))) == {
        "app": "pass", "rtB": "pass",
    }  # fmt: skip


def test_of_a_kubelets_containers_the_kubelet_knows():
    spec = {"annotations": {
        "io.kubernetes.cri.sandbox-name": "web-0", "io.kubernetes.cri.container-name": "nginx",
        "io.kubernetes.cri.sandbox-namespace": "shop",
    }}  # fmt: skip
    path = "/run/containerd/io.containerd.runtime.v2.task/k8s.io"
    pod = Bundle(number("pod"), "k8s.io", "containerd", path, 200, "/run/containerd", told=spec)
    odd = replace(pod, id=number("odd"), namespace="odd", pid=201, told={})
    told = found(Fake(200, number("pod")), Fake(201, number("odd")), bundles=[pod, odd])
    assert told == {"app": "pass", "shop/web-0/nginx": "pass", number("odd"): "fail"}


def test_a_pid_in_a_state_that_is_another_process_by_now():
    state = Bundle("rtB", "", "runc", "/bundle", 201, "/run/runc")
    host = fake_host([], Fake(201, nested=False), LATER, seeds={"bundles": [state]})
    assert [each.running for each in facts.get(host, "containers")] == [False]


def test_without_root_there_may_be_more():
    refused = (123, "1/ns/mnt 4:1\n", "stat: cannot stat '90/ns/mnt': Permission denied\n")
    answers = {SPACES.command: refused}
    host = fake_host([inspect("app", 100)], Fake(100, APP), LATER, answers=answers)
    told = findings(registered, host)
    assert told["(any that no engine knows)"].status == "unknown"
    assert told["app"].status == "pass"
