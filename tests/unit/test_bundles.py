"""Bundles of containerd, CRI-O and raw runtimes, from what a host lists and its files say."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hullcheck.control import Unknown
from hullcheck.facts import get
from hullcheck.facts.bundles import CRIO, HERE, LIST
from hullcheck.facts.processes import CGROUP, SPACES, STATUS, TIMES
from hullcheck.transport import CannotAnswer, read
from tests.unit.fake import host_with

TASK = "io.containerd.runtime.v2.task"
STATE = f"/run/containerd/{TASK}"
SHIM = f"/proc/20/cwd/../../../{TASK}"
LISTED = "root 0:5 0 {0}\n{0}/default/web/config.json\n{0}/default/web/init.pid\n"
SPEC = json.dumps({"ociVersion": "1.0.2", "process": {"args": ["sleep"]}})
SPACE = ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup"]


def process(pid, name, ppid=1, cgroup="/", nspid=None, uid=0, mnt=1):
    status = {
        "Name": name, "State": "S (sleeping)", "Tgid": pid, "PPid": ppid, "TracerPid": 0,
        "Uid": f"{uid}\t{uid}\t{uid}\t{uid}", "Gid": "0\t0\t0\t0", "Groups": "",
        "NSpid": nspid or pid, "CapInh": "0", "CapPrm": "0", "CapEff": "0", "CapBnd": "0",
        "CapAmb": "0", "NoNewPrivs": "0", "Seccomp": "0",
    }  # fmt: skip
    return (
        "".join(f"{pid}/status:{key}:\t{value}\n" for key, value in status.items()),
        f"{pid}/cgroup:0::{cgroup}\n",
        f"{pid}/stat:{pid} ({name}) S {ppid}{' 0' * 17} 100\n",
        "".join(f"{pid}/ns/{each} 0:{mnt if each == 'mnt' else 1}\n" for each in SPACE),
    )


def found(listed, files, *running, complaints=""):
    rows = [process(1, "init"), *(process(**each) for each in running)]
    sweeps = ["".join(parts) for parts in zip(*rows, strict=True)]
    sweeps[2] += "stat:btime 1000\n"
    asked = (each.command for each in (STATUS, CGROUP, TIMES, SPACES))
    answers = dict(zip(asked, sweeps, strict=True))
    for path, text in files.items():
        folder = "/"
        for part in path.split("/")[1:]:
            kind = "8180" if folder + part == path else "41c0"
            name = f"{folder}{part}".rstrip("/")
            answers[f"stat -c '%f %u %g %s %Y %d %i %h %U:%G' -- {name}"] = (
                f"{kind} 0 0 10 0 1 1 1 root:root\n"
            )
            folder += f"{part}/"
        answers["stat -c '%f %u %g %s %Y %d %i %h %U:%G' -- /"] = "41ed 0 0 1 0 1 1 1 root:root\n"
        answers[f"getfacl -cpn -- {path}"] = ""
        answers[read(path).command] = text
    host = host_with(
        {**answers, LIST.command: (0, listed, complaints), HERE.command: "0:1\n",
         read("/proc/30/cmdline").command: files.get("cmdline", "")}
    )  # fmt: skip
    return get(host, "bundles")


def task(root=STATE, pid="30\n"):
    return {f"{root}/default/web/config.json": SPEC, f"{root}/default/web/init.pid": pid}


def test_a_task_of_containerd():
    running = {"pid": 30, "name": "sleep", "cgroup": "/default/web"}
    (one,) = found(LISTED.format(STATE), task(), running)
    assert (one.id, one.namespace, one.runtime) == ("web", "default", "containerd")
    assert (one.path, one.state_root) == (f"{STATE}/default/web", "/run/containerd")
    assert one.pid == 30
    assert one.spec["process"] == {"args": ["sleep"]}


@pytest.mark.parametrize(
    ("running", "pid"),
    [
        ({"cgroup": "/default/web"}, 30),
        ({"nspid": "30\t1"}, 30),
        ({"ppid": 20}, None),  # 20 is no shim of this directory
        ({}, None),  # the number was used again
    ],
)
def test_a_pid_counts_while_it_is_the_containers(running, pid):
    (one,) = found(LISTED.format(STATE), task(), {"pid": 30, "name": "x", **running})
    assert one.pid == pid


@pytest.mark.parametrize(
    ("shim", "first", "path", "pid", "owner"),
    [
        ({}, {}, f"/s t/{TASK}", 30, 0),
        ({"mnt": 2, "uid": 1000}, {}, f"/proc/20/root/s t/{TASK}", 30, 1000),
        ({"mnt": 2}, {"ppid": 1, "nspid": "30\t1"}, f"/proc/20/root/s t/{TASK}", None, 65534),
        ({"nspid": "20\t7"}, {}, None, None, None),  # of a containerd in a container
    ],
)
def test_a_state_directory_that_only_its_shim_knows(shim, first, path, pid, owner):
    listed = f"{LISTED.format(SHIM)}cwd /proc/20/cwd /s t/{TASK}/default/web\n"
    running = {"pid": 30, "name": "sleep", "ppid": 20, **first}
    made = found(listed, task(SHIM), {"pid": 20, "name": "containerd-shim", **shim}, running)
    expected = [(f"{path}/default/web", pid, owner)] if path else []
    assert [(each.path, each.pid, each.owner) for each in made] == expected


def test_what_docker_describes_is_not_read():
    (one,) = found(f"root 0:5 0 {STATE}\n{STATE}/moby/{'a' * 64}/config.json\n", {})
    assert (one.namespace, one.pid, dict(one.spec)) == ("moby", None, {})


def test_a_spec_that_is_no_json_is_unknown_for_its_bundle_alone():
    (one,) = found(LISTED.format(STATE), task() | {f"{STATE}/default/web/config.json": "{"})
    with pytest.raises(Unknown, match="not JSON"):
        _ = one.spec


def test_a_directory_that_cannot_be_read():
    with pytest.raises(Unknown, match="needs root"):
        found("", {}, complaints=f"find: '{STATE}/default': Permission denied\n")


def test_cri_o():
    folder = f"{CRIO}/0a1b/userdata"
    files = {f"{folder}/config.json": SPEC, f"{folder}/pidfile": "30"}
    listed = f"{folder}/config.json\n{folder}/pidfile\n{CRIO}/cafe/userdata/pidfile\n"
    running = {"pid": 30, "name": "pause", "cgroup": "/kubepods.slice/crio-0a1b.scope"}
    (one,) = found(listed, files | {f"{CRIO}/cafe/userdata/pidfile": "31"}, running)
    assert (one.id, one.runtime, one.path, one.pid) == ("0a1b", "cri-o", folder, 30)


RUNC = {
    "id": "raw", "init_process_pid": 30, "config": {"labels": ["bundle=/srv/b"]},
    "cgroup_paths": {"memory": "/sys/fs/cgroup/memory/odd"},
}  # fmt: skip
CRUN = {"pid": 30, "bundle": "/srv/b", "cgroup-path": "/odd", "systemd-cgroup": False}


@pytest.mark.parametrize(
    ("path", "state", "runtime"),
    [
        ("/run/runc/raw/state.json", RUNC, "runc"),
        ("/run/crun/raw/status", CRUN, "crun"),
    ],
)
def test_raw_runtimes(path, state, runtime):
    files = {path: json.dumps(state), "/srv/b/config.json": SPEC}
    (one,) = found(f"{path}\n", files, {"pid": 30, "name": "sleep", "cgroup": "/odd"})
    assert (one.id, one.runtime, one.path, one.pid) == ("raw", runtime, "/srv/b", 30)
    assert one.spec["ociVersion"] == "1.0.2"


@pytest.mark.parametrize("manager", ["libpod", "cri-o"])
def test_the_manager_is_named_by_annotations(manager):
    noted = json.dumps({"annotations": {"io.container.manager": manager}})
    files = {"/run/crun/raw/status": json.dumps(CRUN), "/srv/b/config.json": noted}
    (one,) = found("/run/crun/raw/status\n", files)
    expected = ("crun", "libpod") if manager == "libpod" else ("cri-o", "")
    assert (one.runtime, one.namespace) == expected


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    st.dictionaries(st.sampled_from(("bundle", "pid", "init_process_pid", "config", "x")), ANY)
    | st.fixed_dictionaries({"config": st.fixed_dictionaries({"labels": ANY})})
    | st.fixed_dictionaries({"bundle": st.just("/\ud800\0")})
    | ANY
)
@settings(max_examples=60, deadline=None)
def test_no_state_breaks_the_list(state):
    try:
        made = found("/run/runc/raw/state.json\n", {"/run/runc/raw/state.json": json.dumps(state)})
    except CannotAnswer:  # what it points at is not among the answers
        return
    assert all(each.pid is None for each in made)


def test_what_a_user_points_at_is_not_read_and_not_root_s():
    path = "/run/user/1000/runc/raw/state.json"
    running = {"pid": 30, "name": "sshd", "cgroup": "/odd"}
    (one,) = found(f"{path}\n", {path: json.dumps(RUNC)}, running)
    assert (one.owner, one.pid, dict(one.spec)) == (1000, None, {})


def test_a_bundle_that_only_conmon_knows():
    words = ["conmon", "-b", "/srv/b", "-c", "f00", "-r", "/usr/bin/crun"]
    files = {"/srv/b/config.json": SPEC, "cmdline": "\0".join(words) + "\0"}
    (one,) = found("", files, {"pid": 30, "name": "conmon"})
    assert (one.id, one.runtime, one.path) == ("f00", "crun", "/srv/b")
    assert one.spec["ociVersion"] == "1.0.2"


def test_no_name_poses_as_a_line():
    with pytest.raises(Exception, match="in the midst of a line"):
        found("root 0:5 0 /x", {})
