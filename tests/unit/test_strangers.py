"""What runs like a container and belongs to nobody; and what only looks like it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from checks.runtime.test_registered import test_registered as registered
from hullcheck import facts
from hullcheck.facts.bundles import Bundle
from hullcheck.facts.containers.excuses import HELPERS, SNAPS
from hullcheck.facts.podman.store import Store, Stored
from hullcheck.facts.processes import SPACES
from hullcheck.inventory.policy import Policy
from tests.unit import container_fake
from tests.unit.container_fake import APP, HOST_SPACES, Fake, fake_host, findings, inspect, number

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
    command = f"stat -L -c '%d:%i %n' -- {' '.join(HELPERS)} {SNAPS} {programs}"
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


def test_a_host_that_is_a_container_is_none_on_itself(monkeypatch):
    """Its processes are in a cgroup of an id that nobody in it knows."""
    inside = Fake(200, nested=False)
    for each in (container_fake.INIT, inside):
        usual = each.cgroup().replace("/system.slice", f"/libpod_parent/libpod-{number('self')}")
        monkeypatch.setattr(each, "cgroup", lambda usual=usual: usual, raising=False)
    assert found(inside) == {"app": "pass"}


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


KUBELET = Fake(70, name="kubelet", ppid=1, uid=0, nested=False)
PODS = "/run/containerd/io.containerd.runtime.v2.task/k8s.io"


def pod(name: str, pid: int, sandbox: str, **parts) -> Bundle:
    notes = {
        "io.kubernetes.cri.sandbox-name": "web-0", "io.kubernetes.cri.container-name": name,
        "io.kubernetes.cri.sandbox-namespace": "shop",
        "io.kubernetes.cri.sandbox-id": number(sandbox),
    }  # fmt: skip
    told = {"annotations": notes}
    made = Bundle(number(name), "k8s.io", "containerd", PODS, pid, "/run/containerd", told=told)
    return replace(made, **parts)


def test_of_a_kubelets_containers_the_kubelet_knows():
    made = [pod("pause", 200, "pause"), pod("nginx", 201, "pause"),
            pod("odd", 202, "pause", namespace="odd", told={})]  # fmt: skip
    running = [Fake(each.pid, each.id) for each in made]
    wanted = {"app": "pass", "shop/web-0/pause": "pass", "shop/web-0/nginx": "pass"}
    assert found(KUBELET, *running, bundles=made) == {**wanted, number("odd"): "fail"}
    alone = found(*running, bundles=made)
    assert alone["shop/web-0/nginx"] == "fail"


def test_what_ctr_starts_in_a_kubelets_namespace_is_in_no_pod():
    made = [pod("bare", 200, "", told={}), pod("lost", 201, "pause")]
    running = [Fake(each.pid, each.id) for each in made]
    told = found(KUBELET, *running, bundles=made)
    assert told == {"app": "pass", number("bare"): "fail", "shop/web-0/lost": "fail"}


def test_an_annotation_alone_makes_no_container_of_cri_o():
    state = Bundle("rtB", "", "cri-o", "/bundle", 200, "/run/runc",
                   told={"annotations": {"io.container.manager": "cri-o"}})  # fmt: skip
    assert found(KUBELET, Fake(200, spaces=OWN_PID, ppid=60), bundles=[state])["rtB"] == "fail"


def test_a_cgroup_of_an_engines_makes_no_container_of_that_engine():
    """Where the site says who may run containers, whose name a cgroup has is not enough."""
    policy = Policy(engines=("docker",))
    told = found(Fake(200, number("ghost")), answers=helpers(200), policy=policy)
    assert told == {"app": "pass", number("ghost")[:12]: "fail"}


def test_containers_of_an_engine_that_does_not_run():
    """With live-restore they outlive it; only while it runs can it say that one is not its own."""
    task = Bundle(number("kept"), "moby", "containerd", "/b", None, "/run/containerd")
    seeds = {"bundles": [task], "docker": []}
    host = fake_host([], Fake(200, number("kept")), LATER, seeds=seeds)
    assert {str(each.status) for each in findings(registered, host).values()} == {"unknown"}
    policy = Policy(engines=("podman",))
    assert {str(each.status) for each in findings(registered, host, policy).values()} == {"fail"}
    told = found(Fake(200, number("kept")), bundles=[task], answers=helpers(200))
    assert told[number("kept")[:12]] == "fail"


HOSTS = {"user": HOST_SPACES["user"]}


def claim(pid: int | None, name: str = "web", **parts) -> Stored:
    """What a user's own store says of a container."""
    store = ("/home/eve/s", "/run/user/1001/c")
    return Stored(number(name), name, "", {"linux": {}}, pid, "eve", True, *store, **parts)


def claimed(one: Stored | Bundle, *running: Fake, **more):
    seeds = {"podman_stores": [], "bundles": []}
    if isinstance(one, Bundle):
        seeds["bundles"] = [one]
    else:
        seeds["podman_stores"] = [Store("/home/eve/s", "/r", 1001, "eve", True, (one,))]
    everyone = [Fake(100, APP), *running, LATER]
    host = fake_host([inspect("app", 100)], *everyone, seeds=seeds, **more)
    containers = {each.name: each.running for each in facts.get(host, "containers")}
    return containers, {name: str(each.status) for name, each in findings(registered, host).items()}


@pytest.mark.parametrize("doubt", ["", "never started"])
@pytest.mark.parametrize("pid", [None, 200])
def test_a_users_store_cannot_make_known_what_root_runs(pid, doubt):
    hidden = Fake(200, number("web"), spaces=HOSTS)
    containers, told = claimed(claim(pid, doubt=doubt), hidden, answers=helpers(200))
    assert containers.get("web", False) is False
    assert told[number("web")[:12]] == "fail"


def test_what_a_users_engine_runs_is_in_users_of_its_own():
    containers, told = claimed(claim(200), Fake(200, number("web")))
    assert (containers["web"], told["web"]) == (True, "pass")


def test_a_users_state_cannot_make_a_container_of_a_service():
    """Its name is the name of the service's cgroup, and its pid that of a process of the service,
    which is another user's."""
    service = Fake(200, nested=False, ppid=1, uid=33, spaces=HOST_SPACES)
    state = Bundle("system.slice", "", "runc", "/b", 200, "/run/user/1001/runc", owner=1001)
    containers, _ = claimed(state, service)
    assert containers == {"app": True}
    assert claimed(replace(state, owner=0), service)[0]["system.slice"] is True


def sandbox(uid_map: str, **parts):
    """A browser's sandbox, with pids and users of its own."""
    alone = Fake(200, spaces=OWN_PID | {"user": 7003}, ppid=1, **parts)
    maps = "cd /proc && grep -aH '' /dev/null 200/uid_map"
    told = found(alone, answers={**helpers(200), maps: f"200/uid_map:{uid_map}\n"})
    return "process 200 (app)" in told


def test_a_sandbox_of_a_user_who_is_alone_in_it():
    alone = "      1000       1000          1"
    assert not sandbox(alone)
    assert not sandbox("         0       1000          1")
    assert sandbox("         0       1000          2")
    assert sandbox(f"{alone}\n200/uid_map:         1     100000          1")
    assert sandbox(alone, uid=0), "who entered it with root's rights is no browser"
    assert sandbox("         0          0          1", uid=0)


def test_a_snaps_mounts():
    alone = Fake(200, spaces=OWN_MNT, root="9:9", nested=False, ppid=1)
    ((asked, (code, lines)),) = helpers(200).items()
    snap = {asked: (code, f"4:{OWN_MNT['mnt']} /run/snapd/ns/lxd.mnt\n{lines}")}
    assert found(alone, answers=snap) == {"app": "pass"}
    other = {asked: (code, f"4:1 /run/snapd/ns/lxd.mnt\n{lines}")}
    assert found(alone, answers=other)["process 200 (app)"] == "fail"


@pytest.mark.parametrize(
    ("unit", "excused"),
    [
        ("RootDirectory=/srv/web", True), ("RootImage=/srv/web.raw", True),
        ("TemporaryFileSystem=/var /:ro", True),
        ("TemporaryFileSystem=/var:ro /srv", False),
        ("PrivatePIDs=yes", True), ("PrivatePIDs=no", False), ("RootDirectory=", False),
        ("RootDirectory=/srv/web\nMainPID=99", False),
        ("RootDirectory=/srv/web\nControlGroup=/system.slice/db.service", False),
    ],
)  # fmt: skip
def test_a_service_of_systemd_with_a_root_of_its_own(unit: str, excused: bool):
    class Service(Fake):
        def cgroup(self) -> str:
            unit = f"{self.pid}/cgroup:9:name=systemd:/system.slice/web.service\n"
            return super().cgroup() + unit

    alone = Service(200, spaces=OWN_MNT | HOSTS, root="9:9", nested=False, ppid=1)
    child = Service(201, spaces=OWN_MNT | HOSTS, root="9:9", nested=False, ppid=200)
    shown = "ControlGroup,MainPID,TemporaryFileSystem,RootDirectory,RootImage,PrivatePIDs"
    text = f"MainPID=200\nControlGroup=/system.slice/web.service\n{unit}\n"
    asked = {f"systemctl show -p {shown} -- web.service": text}
    told = found(alone, child, answers={**helpers(200), **asked})
    assert ("process 200 (app)" not in told) is excused


def test_a_pid_in_a_state_that_is_another_process_by_now():
    state = Bundle("rtB", "", "runc", "/bundle", 201, "/run/runc")
    host = fake_host([], Fake(201, nested=False), LATER, seeds={"bundles": [state]})
    assert facts.get(host, "containers") == []


def test_without_root_there_may_be_more():
    seen = "1/ns/mnt 4:1\n50/ns/mnt 4:1\n100/ns/mnt 4:2\n"
    refused = (123, seen, "stat: cannot stat '90/ns/mnt': Permission denied\n")
    answers = {SPACES.command: refused}
    host = fake_host([inspect("app", 100)], Fake(100, APP), LATER, answers=answers)
    told = findings(registered, host)
    assert told["(any that no engine knows)"].status == "unknown"
    assert told["app"].status == "pass"
