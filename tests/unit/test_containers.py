"""Which processes are a container's, whose namespaces they are in, what limits and reaches it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullcheck import facts
from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.cgroups import Files, limits_want, trees
from hullcheck.facts.confinement import parse_confinement
from hullcheck.facts.exposures import of_bind, of_mounts, volume_device
from hullcheck.facts.keepers import docker_store
from hullcheck.facts.mounts import parse_mountinfo
from hullcheck.facts.namespaces import INITIAL, is_hosts
from hullcheck.transport import Answer, Evidence
from tests.unit.container_fake import HOST_MOUNTS, Fake, fake_host, inspect, number

APP, OTHER = number("app"), number("other")
MOUNTS = parse_mountinfo(HOST_MOUNTS)
STORE = docker_store("/var/lib/docker", APP)


def container(host, name="app"):
    return next(each for each in facts.get(host, "container") if each.name == name)


def pids(host, name="app"):
    return [process.pid for process in container(host, name).processes]


def test_processes_belong_by_cgroup_namespace_and_descent():
    init = Fake(100, APP)
    space = {"mnt": 10002, "pid": 10004}
    host = fake_host(
        [inspect("app", 100)],
        init,
        Fake(101, APP, ppid=9),
        Fake(102, spaces={"mnt": space["mnt"]}, nested=False),
        Fake(103, spaces={"pid": space["pid"]}),
        Fake(104, ppid=102, nested=False),
        Fake(105, nested=False),
    )
    assert pids(host) == [100, 101, 102, 103, 104]


def test_what_is_another_containers_is_not_its_own():
    """Two containers in one pid namespace, or one in the other's cgroup, stay apart."""
    shared = {"pid": 10004}
    host = fake_host(
        [inspect("app", 100), inspect("other", 200)],
        Fake(100, APP),
        Fake(200, f"{APP}/docker/{OTHER}", spaces=shared),
    )
    assert pids(host) == [100]
    assert pids(host, "other") == [200]


def test_a_container_on_the_hosts_pids_does_not_own_the_host():
    host = fake_host(
        [inspect("app", 100)], Fake(100, APP, spaces={"pid": 4026531834}, nested=False)
    )
    assert pids(host) == [100]


def test_one_that_started_after_the_sweep_is_unknown():
    with pytest.raises(Unknown, match="not there yet"):
        _ = container(fake_host([inspect("app", 777)])).processes


def test_another_process_with_its_old_pid_is_not_taken_for_it():
    host = fake_host([inspect("app", 100)], Fake(100, name="sshd", nested=False))
    with pytest.raises(Unknown):
        _ = container(host).init


def test_what_runc_is_just_starting_is_not_an_intruder():
    """A health check is root with all rights for a moment; under that name for long it is not."""
    init, check = Fake(100, APP), Fake(101, APP, name="runc:[2:INIT]", ticks=900)
    assert pids(fake_host([inspect("app", 100)], init, check)) == [100]
    later = Fake(102, nested=False, ticks=2000)
    assert pids(fake_host([inspect("app", 100)], init, check, later)) == [100, 101]
    with pytest.raises(Unknown, match="being started"):
        _ = pids(fake_host([inspect("app", 101)], check))
    for parent in (100, 1):
        posing = Fake(101, APP, name="runc:[2:INIT]", ppid=parent, ticks=900)
        assert pids(fake_host([inspect("app", 100)], init, posing)) == [100, 101]
    # One that forks anew before it grows old, from a root directory that is not the host's.
    outside = Fake(103, name="sh", root="9:9", ppid=50)
    again = Fake(104, APP, name="runc:[2:INIT]", ppid=103, ticks=900)
    assert 104 in pids(fake_host([inspect("app", 100)], init, outside, again))
    assert 104 not in pids(fake_host([inspect("app", 100)], init, replace(outside, root=""), again))


def test_a_process_in_the_cgroups_of_two_containers_belongs_to_both(monkeypatch):
    """It would be nobody's otherwise: who may write one cgroup could hide from all."""
    both = Fake(101, APP, nested=False)
    line = f"101/cgroup:9:blkio:/docker/{number('other')}\n"
    monkeypatch.setattr(both, "cgroup", lambda: Fake.cgroup(both) + line)
    described = [inspect("app", 100), inspect("other", 200)]
    host = fake_host(described, Fake(100, APP), both, Fake(200, number("other")))
    found = facts.get(host, "container")
    assert [[each.pid for each in one.processes] for one in found] == [[100, 101], [101, 200]]


def test_one_that_ended_while_it_was_read_is_no_failure():
    gone = (1, "", "cat: /proc/100/mountinfo: No such file or directory")
    host = fake_host([inspect("app", 100)], Fake(100, APP),
                     answers={"cat /proc/100/mountinfo": gone})  # fmt: skip
    with pytest.raises(NotApplicable, match="ended"):
        _ = container(host).mounts
    denied = (1, "", "cat: /proc/100/mountinfo: Permission denied")
    host = fake_host([inspect("app", 100)], Fake(100, APP),
                     answers={"cat /proc/100/mountinfo": denied})  # fmt: skip
    with pytest.raises(Unknown, match="root"):
        _ = container(host).mounts


def test_what_is_mounted_over_a_process_hides_it():
    mounts = HOST_MOUNTS + "30 22 0:99 / /proc/101 rw - tmpfs none rw\n"
    key = "cat /proc/1/mountinfo 2>/dev/null || cat /proc/self/mountinfo"
    with pytest.raises(Unknown, match="/proc/101"):
        facts.get(
            fake_host([inspect("app", 100)], Fake(100, APP), answers={key: mounts}), "container"
        )


def test_two_namespaces_that_cannot_be_seen_are_never_equal():
    host = fake_host([inspect("app", 100)], Fake(100, APP))
    processes = facts.get(host, "processes")
    process, first, engine = processes.get(100), processes.get(1), processes.get(50)
    assert not is_hosts(process, "net", processes, engine)
    process.spaces["net"] = first.spaces["net"]
    assert is_hosts(process, "net", processes, engine)
    first.spaces.clear()
    assert is_hosts(process, "net", processes, engine)
    engine.spaces.clear()
    with pytest.raises(Unknown, match="host's net"):
        is_hosts(process, "net", processes, engine)
    process.spaces["pid"] = (4, INITIAL["pid"])
    assert is_hosts(process, "pid", processes, engine)
    process.spaces.clear()
    with pytest.raises(Unknown):
        is_hosts(process, "net", processes, engine)


def limits(contents, cgroups=None, complaints=""):
    names = ("memory", "pids", "cpu", "devices")
    found = trees(MOUNTS, cgroups or dict.fromkeys(names, f"/docker/{APP}"))
    text = "".join(f"{file}:{line}\n" for file, line in contents.items())
    evidence = Evidence("grep", 2, text.encode(), complaints.encode())
    return found, Files(found, Answer(limits_want(found), evidence))


def test_limits_are_numbers_none_or_unknown():
    base = f"/sys/fs/cgroup/memory/docker/{APP}"
    file = f"{base}/memory.limit_in_bytes"
    assert limits({file: "67108864"})[1].number(file) == 67108864
    assert limits({file: "9223372036854771712"})[1].number(file) is None
    assert limits({file: "max"})[1].number(file) is None
    missing = f"grep: {file}: No such file or directory\n"
    assert limits({}, complaints=missing)[1].number(file) is None
    for damage in ("", "64m", "0x10", "9" * 30):
        with pytest.raises(Unknown):
            limits({file: damage})[1].number(file)
    with pytest.raises(Unknown, match="denied"):
        limits({}, complaints=f"grep: {file}: Permission denied\n")
    marks = [base.replace("memory", name) for name in ("memory", "pids", "cpu", "devices")]
    ended = [f"grep: {mark}/cgroup.procs: No such file or directory\n" for mark in marks]
    with pytest.raises(NotApplicable, match="ended"):
        limits({}, complaints="".join(ended))
    with pytest.raises(Unknown, match="not to be seen"):
        limits({}, complaints=ended[0])


def test_limits_of_the_cgroups_above_count_too():
    host = fake_host([inspect("app", 100)], Fake(100, APP), limits={"memory.limit_in_bytes": ""})
    with pytest.raises(Unknown):
        _ = container(host).limits
    found = trees(MOUNTS, dict.fromkeys(("memory", "pids", "cpu"), "/a.slice/b.slice/c")
                  | {"devices": "/x"})  # fmt: skip
    root = "/sys/fs/cgroup/memory/a.slice"
    assert found[0].directories == (f"{root}/b.slice/c", f"{root}/b.slice", root)


def test_v2_counts_where_nobody_uses_v1():
    v1 = dict.fromkeys(("memory", "pids", "cpu", "devices"), "/")
    mounts = parse_mountinfo("30 20 0:40 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    found = trees(mounts, v1 | {"": "/system.slice/x.scope"})
    assert [(tree.controller, tree.version) for tree in found] == [
        ("memory", 2), ("pids", 2), ("cpu", 2),
    ]  # fmt: skip
    assert found[0].directories[0] == "/sys/fs/cgroup/system.slice/x.scope"


def test_v1_counts_where_v2_is_not_mounted():
    """Every kernel that knows v2 names its root; a rootless engine on v1 leaves all at the root."""
    names = ("memory", "pids", "cpu", "devices")
    found = trees(MOUNTS, dict.fromkeys((*names, ""), "/"))
    assert [(tree.controller, tree.version, tree.directories) for tree in found] == [
        (name, 1, ()) for name in names
    ]


def test_a_cgroup_out_of_sight_is_unknown():
    with pytest.raises(Unknown, match="outside"):
        trees(MOUNTS, {"memory": "/../other", "pids": "/", "cpu": "/"})
    with pytest.raises(Unknown, match="not mounted"):
        trees(MOUNTS, {"": "/x"})


def shown(line):
    return [each.names for each in of_mounts(parse_mountinfo(line + "\n"), MOUNTS, STORE)]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("1 2 8:1 /etc/ssh /x ro - ext4 a rw", [("/etc/ssh",)]),
        ("1 2 0:25 /docker.sock /tmp/any ro - tmpfs a rw", [("/run/docker.sock",)]),
        ("1 2 0:21 / /host/proc rw - proc proc rw", [("/proc",)]),
        ("1 2 0:21 / /proc rw - proc proc rw", []),
        ("1 2 8:1 /var/lib/docker/volumes/v/_data /v rw - ext4 a rw", []),
        (f"1 2 8:1 /var/lib/docker/containers/{APP}/hosts /etc/hosts rw - ext4 a rw", []),
        (
            f"1 2 8:1 /var/lib/docker/containers/{OTHER}/app.log /l ro - ext4 a rw",
            [(f"/var/lib/docker/containers/{OTHER}/app.log",)],
        ),
        ("1 2 8:1 /var/lib/docker/volumes /v rw - ext4 a rw", [("/var/lib/docker/volumes",)]),
        ("1 2 8:99 / /disk rw - ext4 a rw", [()]),
    ],
)
def test_a_place_is_known_by_the_hosts_names(line, names):
    assert shown(line) == names


def test_shared_memory_is_the_containers_own_or_it_is_the_hosts():
    """A mount is not innocent because it is at /dev/shm: any directory can be mounted there."""
    own = f"40 20 0:99 / /var/lib/docker/containers/{APP}/mounts/shm rw - tmpfs shm rw\n"
    host = parse_mountinfo(HOST_MOUNTS + own)

    def seen(line):
        mounts = parse_mountinfo(line + "\n")
        return [each.names for each in of_mounts(mounts, host, STORE)]

    assert seen("1 2 0:99 / /dev/shm rw - tmpfs shm rw") == []
    assert seen("1 2 8:1 /etc /dev/shm rw - ext4 a rw") == [("/etc",)]
    assert seen("1 2 0:25 / /dev/shm rw - tmpfs tmpfs rw") == [("/run",)]
    host = parse_mountinfo(HOST_MOUNTS + "40 20 0:99 / /dev/shm rw - tmpfs tmpfs rw\n")
    assert seen("1 2 0:99 / /dev/shm rw - tmpfs tmpfs rw") == [], "the ipc namespace is judged"
    assert seen("1 2 0:99 / /memory rw - tmpfs tmpfs rw") == [("/dev/shm",)]
    bound = "41 20 0:25 / /var/lib/docker/volumes/v/_data rw - tmpfs tmpfs rw\n"
    host = parse_mountinfo(HOST_MOUNTS + bound)
    assert seen("1 2 0:25 / /v rw - tmpfs tmpfs rw") == [("/run",)]


def test_a_volume_made_of_a_directory_is_that_directory():
    host = parse_mountinfo(
        HOST_MOUNTS + "40 20 8:1 /etc /var/lib/docker/volumes/v/_data rw - ext4 a rw\n"
    )
    line = parse_mountinfo("1 2 8:1 /etc /v rw - ext4 a rw\n")
    assert [each.names for each in of_mounts(line, host, STORE)] == [("/etc",)]
    assert volume_device('{"MountType":"none","MountDevice":"/etc"}') == "/etc"
    assert volume_device('{"MountType":"nfs","MountDevice":":/share"}') == ""
    for damage in ("", "[]", "nonsense", "{" * 9999):
        with pytest.raises(Unknown):
            volume_device(damage)


def test_a_configured_bind_brings_the_mounts_below_it():
    found = list(of_bind("/", "/", "/host", False, MOUNTS, STORE, True))
    assert {"/host", "/host/run", "/host/proc"} <= {each.target for each in found}
    assert not any(each.writable for each in found)
    alone = list(of_bind("/", "/", "/host", True, MOUNTS, STORE, False))
    assert [each.target for each in alone] == ["/host"]


@given(st.text(max_size=200))
def test_labels_and_limits_of_any_text(text):
    try:
        found = parse_confinement(text)
    except Unknown:
        return
    assert all(isinstance(score, int) for score in found.oom_score_adj.values())
