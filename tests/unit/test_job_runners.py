"""Which runners are found, and what the controls say of them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from checks.build import test_job_isolation as isolation
from checks.build import test_job_runners as runners
from hullcheck.control import Unknown
from hullcheck.facts.accounts import Group, User
from hullcheck.facts.files import File
from hullcheck.facts.mounts import Place
from hullcheck.facts.runners.jobs import (
    BESIDE,
    CONTAINERS,
    DRIVER,
    HOST,
    MACHINES,
    OTHERS,
    Jobs,
    Mount,
)
from hullcheck.facts.runtime_sockets import RuntimeSockets
from hullcheck.facts.way import Status
from hullcheck.inventory.policy import Policy
from hullcheck.transport import session_of
from tests.unit.fake import host_with
from tests.unit.judged import outcome

ANY = ("**",)
FS = "8:1"
ENGINE = RuntimeSockets(
    {"/opt/engine/api": Place("0:9", "/engine/api")}, {"/opt/engine/api": "9:1"}
)


def status(path, kind="directory", mode=0o755, uid=0, gid=0):
    return Status(path, kind, mode, uid, gid, "u", "g", 1, 0.0, 8, 1, 1)


def file(path, kind="directory", resolved="", state="present", **more):
    where = status(resolved or path, kind, **more) if state == "present" else None
    reason = "" if where else f"{path}: permission denied; it needs root"
    return File(None, path, state, reason, where, ancestors=(status("/"), status("/etc")))


def runner(where=CONTAINERS, sources=(), launch=None, sockets=ENGINE, places=None, **jobs):
    made = Jobs("r", where, **jobs)
    known = {each.path: each for each in sources}
    absent = {each.source: file(each.source, state="absent") for each in made.mounts}
    return SimpleNamespace(
        jobs=made, sources=absent | known, launch=launch, uid=launch and launch.uid,
        engine_sockets=sockets, place=(places or {}).get, secrets=(), files=(),
        elsewhere=frozenset(),
    )  # fmt: skip


def mounts(*specs):
    return tuple(Mount(each.partition(":")[0], "/x", ":ro" in each) for each in specs)


@pytest.mark.parametrize(
    ("jobs", "allowed", "status"),
    [
        ({}, (), "pass"),
        ({"privileged": ANY}, (), "fail"),
        ({"privileged": ("docker:*-dind",)}, (), "fail"),
        ({"privileged": ("docker:*-dind",)}, ("docker:*-dind",), "pass"),
        ({"privileged": ("docker:*-dind", "**")}, ("docker:*-dind",), "fail"),
        ({"privileged": ANY, "fresh": True}, (), "not-applicable"),
        ({"where": HOST, "privileged": ANY}, (), "not-applicable"),
        ({"where": BESIDE, "privileged": ("a",)}, (), "fail"),
        ({"unread": "pod_spec"}, (), "unknown"),
        ({"unread": "pod_spec", "privileged": ANY}, (), "fail"),
    ],
)
def test_privileged(jobs, allowed, status):
    policy = Policy(privileged_job_images=allowed)
    assert outcome(isolation.test_runner_privileged, runner(**jobs), policy) == status


@pytest.mark.parametrize(
    ("mount", "sources", "status"),
    [
        ("/var/run/docker.sock", (), "fail"),
        ("/run", (), "fail"),
        ("/var/run", (), "fail"),
        ("/", (), "fail"),
        ("/run/podman:ro", (), "fail"),
        ("/srv/any.sock", (), "fail"),
        ("/srv/cache", (), "pass"),
        ("volume", (), "pass"),
        ("/srv/link", (file("/srv/link", resolved="/run/docker.sock", kind="socket"),), "fail"),
        ("/srv/link", (file("/srv/link", resolved="/run"),), "fail"),
        ("/srv/api", (file("/srv/api", kind="socket"),), "fail"),
        ("/opt/engine", (file("/opt/engine"),), "fail"),
        ("/srv/other", (file("/srv/other"),), "pass"),
        ("/srv/hidden", (file("/srv/hidden", state="denied"),), "unknown"),
    ],
)
def test_engine_socket(mount, sources, status):
    found = runner(mounts=mounts(mount) if mount != "volume" else (Mount(mount, "/x"),),
                   sources=sources)  # fmt: skip
    assert outcome(isolation.test_runner_engine_socket, found) == status


def test_a_folder_that_is_mounted_from_where_an_engine_listens():
    bind = {"/srv/bound": Place("0:9", "/engine"), "/srv/else": Place("0:9", "/other")}
    for path, status in (("/srv/bound", "fail"), ("/srv/else", "pass")):
        found = runner(mounts=mounts(path), sources=(file(path),), places=bind)
        assert outcome(isolation.test_runner_engine_socket, found) == status


@pytest.mark.parametrize(
    ("mount", "allowed", "status"),
    [
        ("/etc", (), "fail"),
        ("/etc/ssl/certs:ro", (), "pass"),
        ("/etc/ssl/certs", (), "fail"),
        ("/home/ann/.ssh:ro", (), "fail"),
        ("/srv/cache", (), "pass"),
        ("/usr/share/x:ro", (), "fail"),
        ("/usr/share/x:ro", ("/usr/share/x",), "pass"),
        ("/", (), "fail"),
    ],
)
def test_host_mounts(mount, allowed, status):
    found = runner(mounts=mounts(mount))
    policy = Policy(host_paths=allowed)
    assert outcome(isolation.test_runner_host_mounts, found, policy) == status


@pytest.mark.parametrize(
    ("jobs", "policy", "status"),
    [
        ({}, {}, "pass"),
        ({"capabilities": ("chown", "CAP_KILL")}, {}, "pass"),
        ({"capabilities": ("SYS_ADMIN",)}, {}, "fail"),
        ({"capabilities": ("all",)}, {}, "fail"),
        ({"capabilities": ("net_admin",)}, {"capabilities": ("NET_ADMIN",)}, "pass"),
        ({"rights": ("security_opt seccomp=unconfined",)}, {}, "fail"),
        ({"devices": ("/dev/kvm",)}, {}, "fail"),
        ({"devices": ("/dev/kvm",)}, {"devices": ("/dev/kvm",)}, "pass"),
    ],
)
def test_rights(jobs, policy, status):
    assert outcome(isolation.test_runner_rights, runner(**jobs), Policy(**policy)) == status


def test_namespaces():
    assert outcome(isolation.test_runner_host_namespaces, runner()) == "pass"
    found = runner(namespaces=("network",))
    assert outcome(isolation.test_runner_host_namespaces, found) == "fail"


class Plain(File):
    """A file without an ACL."""

    acl = ()


class Known:
    """Three accounts; ci is in docker."""

    users = (User("root", 0, 0, "/root", ""), User("ci", 7, 7, "", ""), User("job", 8, 8, "", ""))
    groups = (Group("docker", 99, frozenset({"ci"})), Group("job", 8, frozenset()))

    def user(self, who):
        return next((each for each in self.users if who in (each.name, each.uid)), None)

    def group(self, which):
        return next((each for each in self.groups if which in (each.name, each.gid)), None)

    def members(self, which):
        group = which if isinstance(which, Group) else self.group(which)
        return group.named if group else frozenset()


def running(uid, groups=(), own=True):
    process = SimpleNamespace(uids=(uid,) * 4, gids=(uid,) * 4, groups=frozenset(groups),
                              namespace=lambda name: 5)  # fmt: skip
    return SimpleNamespace(uid=uid, agent=SimpleNamespace(process=process, own=own))


IDLE = SimpleNamespace(uid=8, agent=None)


@pytest.mark.parametrize(
    ("jobs", "launch", "status"),
    [
        ({"where": HOST}, running(0), "fail"),
        ({"where": HOST}, running(8), "pass"),
        ({"where": HOST}, running(8, [99]), "fail"),
        ({"where": HOST, "user": "ci"}, running(0), "fail"),
        ({"where": HOST, "user": "job"}, running(0), "pass"),
        ({"where": HOST, "user": "root"}, running(0, own=False), "fail"),
        ({"where": HOST, "user": "job"}, running(0, own=False), "unknown"),
        ({"where": HOST, "user": "nobody-knows"}, running(0), "unknown"),
        ({"where": HOST}, IDLE, "pass"),
        ({"where": HOST}, None, "unknown"),
        ({"where": OTHERS, "target": "root@build1"}, None, "fail"),
        ({"where": OTHERS, "target": "ci@build1"}, None, "manual"),
        ({"where": DRIVER}, None, "manual"),
        ({"where": MACHINES, "fresh": True}, None, "pass"),
        ({"where": MACHINES}, None, "fail"),
        ({}, None, "not-applicable"),
    ],
)
def test_host_jobs(jobs, launch, status):
    found = runner(launch=launch, **jobs)
    assert outcome(isolation.test_runner_host_jobs, found, Known()) == status


@pytest.mark.parametrize(
    ("patterns", "status"),
    [
        (None, "fail"), (("*",), "fail"), (("**",), "fail"), (("*/*:*",), "fail"),
        (("**/*:latest",), "fail"), (("[a-z]*",), "fail"), (("{*,a}*",), "fail"),
        (("registry.example/**",), "pass"), (("ruby:*", "docker:*-dind"), "pass"),
        (("ruby:*", "*/*"), "fail"), (("registry.example:5000/*",), "pass"),
    ],
)  # fmt: skip
def test_allowed_images(patterns, status):
    found = runner(images=(("allowed_images", patterns), ("allowed_services", ("a",))))
    assert outcome(runners.test_runner_allowed_images, found) == status
    found = runner(images=(("allowed_images", patterns),), any_entrypoint=True)
    assert outcome(runners.test_runner_allowed_images, found) == "fail"


def test_pull_policies():
    for policies, status in (((("always",)), "pass"), (("if-not-present",), "fail"),
                             (("always", "never"), "fail"), (None, "not-applicable")):  # fmt: skip
        found = runner(pull_policies=policies)
        assert outcome(runners.test_runner_pull_policies, found) == status


def test_tls_and_secrets():
    assert outcome(runners.test_runner_tls, runner()) == "pass"
    assert outcome(runners.test_runner_tls, runner(plain=("x",), near=("y",))) == "fail"
    assert outcome(runners.test_runner_tls, runner(near=("gitlab",))) == "manual"
    for plain, status in (((), "fail"), (("A_TOKEN",), "pass")):
        found = runner(secrets=("A_TOKEN",))
        assert outcome(runners.test_runner_secrets, found, Policy(plain_variables=plain)) == status


def test_debug_port():
    processes = SimpleNamespace(get=lambda pid: SimpleNamespace(namespace=lambda name: 5))
    for address, status in (
        ("127.0.0.1:9252", "pass"), ("localhost:1", "pass"), ("[::1]:1", "pass"), (":9252", "fail"),
        ("0.0.0.0:9252", "fail"), ("[::]:9252", "fail"), ("odd", "unknown"), (":443", "pass"),
    ):  # fmt: skip
        found = runner(debug=(address,), launch=running(0))
        policy = Policy(listening_ports=(443,))
        assert outcome(runners.test_runner_debug_port, found, processes, policy) == status


def test_shared_cache():
    found = runner(mounts=mounts("/srv/a", "/srv/b:ro"))
    for other, allowed, status in (
        ((), (), "manual"), (("/srv/a",), (), "fail"), (("/srv/b",), (), "manual"),
        (("/srv/a",), ("/srv",), "pass"),
    ):  # fmt: skip
        found.elsewhere = frozenset(other)
        policy = Policy(host_paths=allowed)
        assert outcome(runners.test_runner_shared_cache, found, policy) == status
    assert outcome(runners.test_runner_shared_cache, runner(shared_cache=True), Policy()) == "fail"


@pytest.mark.parametrize(
    ("mode", "gid", "closed", "state"),
    [(0o600, 0, False, "pass"), (0o640, 99, False, "fail"), (0o640, 8, False, "pass"),
     (0o644, 0, False, "fail"), (0o644, 0, True, "pass"), (0o602, 0, True, "fail")],
)  # fmt: skip
def test_files(mode, gid, closed, state):
    found = runner(launch=running(0))
    folder = status("/etc/r", mode=0o700 if closed else 0o755)
    itself = status("/etc/r/c", "file", mode, gid=gid)
    bare = "user::rwx\ngroup::r-x\nother::r-x\n"
    host = host_with({f"getfacl -cpn -- {path}": bare for path in ("/", "/etc/r", "/etc/r/c")})
    session_of(host).recall(("provider", "accounts"), Known)
    found.secrets = (Plain(host, "/etc/r/c", "present", "", itself, (), (status("/"), folder)),)
    assert outcome(runners.test_runner_files, found) == state


def test_files_that_cannot_be_seen_are_unknown():
    found = runner(launch=running(0))
    found.secrets = (file("/etc/x", state="denied"),)
    with pytest.raises(Unknown):
        runners.test_runner_files(found)
