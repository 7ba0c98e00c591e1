"""What the kernel's audit rules record, and what only looks as if they did."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from checks.host import test_audit_rules as checks
from hullcheck import facts
from hullcheck.control import Unknown, control_of
from hullcheck.facts import audit as audit_module
from hullcheck.facts.audit import Audit
from hullcheck.facts.way import FORMAT, lstat_want
from hullcheck.judge import Site, judge
from hullcheck.transport import Session, host_of
from hullcheck.verdict import Verdict
from tests.unit.audit_fake import STATUS, Mixed, answers, host_like, looked_at
from tests.unit.docker_fake import SOCKET, Daemon, docker_answers, dockerd


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small file system: etc/docker/daemon.json, bin/dockerd, and links to both."""
    root = tmp_path.resolve()
    for name in ("etc/docker", "bin", "data/overlay2"):
        (root / name).mkdir(parents=True)
    for name in ("etc/docker/daemon.json", "bin/dockerd", "bin/dockerd-rootless", "data/x"):
        (root / name).touch()
    (root / "sbin").symlink_to("bin")
    (root / "bin/engine").symlink_to("dockerd")
    (root / "etc/engine").symlink_to("docker")
    return root


def gaps(tree: Path, target: str, need: str, *rules: str, **more: object) -> list[str]:
    """Return what is amiss; ``@`` stands for the tree's place."""
    text = "".join(f"{rule}\n".replace("@", str(tree)) for rule in rules) or "No rules\n"
    exempt = [str(tree / each) for each in more.pop("exempt", ())]  # type: ignore[attr-defined]
    host = host_like(rules=text, **more)  # type: ignore[arg-type]
    found: Audit = facts.get(host, "audit")
    return found.gaps(facts.get(host, "files").get(str(tree / target)), need, exempt)


DIRECTORY, FILE, PROGRAM = (
    ("etc/docker", "wa"),
    ("etc/docker/daemon.json", "wa"),
    ("bin/dockerd", "wax"),
)

GOOD = {
    "a watch": (PROGRAM, ["-w @/bin/dockerd -p rwxa -k docker"]),
    "no more than is asked for": (PROGRAM, ["-w @/bin/dockerd -p wax"]),
    "two watches": (PROGRAM, ["-w @/bin/dockerd -p wa", "-w @/bin/dockerd -p x"]),
    "a link above it": (PROGRAM, ["-w @/sbin/dockerd -p wax"]),
    "the directory": (DIRECTORY, ["-w @/etc/docker -p wa -k docker"]),
    "one above": (FILE, ["-w @/etc -p wa"]),
    "a dir field": (FILE, ["-a always,exit -S all -F dir=@/etc/docker -F perm=wa -F key=k"]),
    "a path field": (FILE, ["-a always,exit -S all -F path=@/etc/docker/daemon.json"]),
    "both kinds of program": (FILE, [
        f"-a always,exit -F arch={arch} -S all -F path=@/etc/docker/daemon.json -F perm=wa"
        for arch in ("b64", "b32")
    ]),
    "every run, everywhere": (PROGRAM, [
        "-a always,exit -S execve,execveat -F key=exec", "-w @/bin/dockerd -p wa",
    ]),
    "runs in two rules": (PROGRAM, [
        "-a always,exit -S execve", "-a always,exit -S execveat", "-w @/bin/dockerd -p wa",
    ]),
    "an exclusion after it": (FILE, ["-w @/etc/docker -p wa", "-a never,exit -S all -F dir=@/etc"]),
    "an exclusion beside it": (FILE, [
        "-a never,exit -S all -F dir=/dev/shm", "-a never,exit -S all -F path=@/bin/dockerd",
        "-a never,exit -F arch=b64 -S adjtimex -F uid=102", "-w @/etc/docker -p wa",
    ]),
    "an exclusion of reading": (FILE, [
        "-a never,exit -S all -F dir=@/etc -F perm=r", "-w @/etc/docker -p wa",
    ]),
    "an exclusion for a link": (FILE, [
        "-a never,exit -S all -F dir=@/etc/engine", "-w @/etc/docker -p wa",
    ]),
    "records left out that are not needed": (FILE, [
        "-a never,user -F uid=0", "-w @/etc/docker -p wa", "-a always,exclude -F msgtype=CWD",
        "-a never,exclude -F msgtype=1327", "-a never,filesystem -F fstype=tracefs",
    ]),
}  # fmt: skip

BAD = {
    "nothing": (FILE, [], "no rule records writing and attribute changes"),
    "a key of that name": (FILE, ["-w /etc/passwd -p wa -k @/etc/docker/daemon.json"], "no rule"),
    "a file in the directory": (DIRECTORY, ["-w @/etc/docker/daemon.json -p wa"], "no rule"),
    "a longer name": (PROGRAM, ["-w @/bin/dockerd-rootless -p rwxa"], "no rule"),
    "reading only": (FILE, ["-w @/etc/docker -p r"], "no rule records"),
    "writing only": (FILE, ["-w @/etc/docker -p w"], "no rule records attribute changes"),
    "changes only of a program": (PROGRAM, ["-w @/bin/dockerd -p wa"], "records execution"),
    "runs only of a program": (PROGRAM, ["-w @/bin/dockerd -p x"], "writing and attribute"),
    "an exclusion": (PROGRAM, ["-a never,exit -S all -F path=@/bin/dockerd"], "hides writing"),
    "an exclusion before it": (FILE, [
        "-a never,exit -S all -F dir=@/etc", "-w @/etc/docker -p wa",
    ], "hides"),
    "an exclusion of its directory's inode": (FILE, [
        "-a never,exit -S all -F path=@/etc/docker", "-w @/etc/docker -p wa",
    ], "hides writing"),
    "an exclusion below": (("data", "wa"), [
        "-a never,exit -S all -F dir=@/data/overlay2", "-w @/data -p wa",
    ], "hides"),
    "an exclusion for everything of root": (FILE, [
        "-a never,exit -S all -F uid=0", "-w @/etc/docker -p wa",
    ], "hides"),
    "an exclusion of a program": (FILE, [
        "-a never,exit -S all -F exe=/usr/bin/vi", "-w @/etc/docker -p wa",
    ], "hides"),
    "an exclusion by a call's number": (FILE, [
        "-a never,exit -F arch=b64 -S 999", "-w @/etc/docker -p wa",
    ], "hides"),
    "an exclusion of 32 bit": (FILE, [
        "-a never,exit -F arch=b32 -S all", "-w @/etc/docker -p wa",
    ], "by 32-bit programs"),
    "users who logged in": (FILE, [
        "-a always,exit -S all -F dir=@/etc/docker -F perm=wa -F auid>=1000 -F auid!=-1",
    ], "records only some"),
    "failures": (FILE, [
        "-a always,exit -S all -F path=@/etc/docker/daemon.json -F perm=wa -F success=0",
    ], "records only some"),
    "one comparison": (FILE, [
        "-a always,exit -S all -F dir=@/etc -F perm=wa -C uid!=auid",
    ], "records only some"),
    "some calls": (FILE, [
        "-a always,exit -S open,openat -F dir=@/etc -F perm=wa",
    ], "records only some"),
    "execve without execveat": (PROGRAM, [
        "-a always,exit -S execve", "-w @/bin/dockerd -p wa",
    ], "records only some execution"),
    "64 bit only": (FILE, [
        "-a always,exit -F arch=b64 -S all -F dir=@/etc -F perm=wa",
    ], "no rule records writing and attribute changes by 32-bit programs"),
    "a directory's own inode": (DIRECTORY, [
        "-a always,exit -S all -F path=@/etc/docker -F perm=wa -F uid>=0",
    ], "records only some"),
    "a link to the file": (("bin/engine", "wax"), ["-w @/bin/engine -p rwxa"], "watches that link"),
    "a link to the directory": (FILE, ["-w @/etc/engine -p wa"], "no rule"),
    "all but that directory": (FILE, [
        "-a always,exit -S all -F dir!=@/etc -F perm=wa",
    ], "only some"),
    "no record of new processes": (FILE, [
        "-a never,task", "-w @/etc/docker -p wa",
    ], "keeps records"),
    "no record of calls": (FILE, [
        "-w @/etc/docker -p wa", "-a always,exclude -F msgtype=SYSCALL",
    ], "keeps records"),
    "no record of paths": (FILE, [
        "-w @/etc/docker -p wa", "-a never,exclude -F msgtype>=1300",
    ], "keeps records"),
    "no record of root": (FILE, [
        "-w @/etc/docker -p wa", "-a never,exclude -F uid=0",
    ], "keeps records"),
    "no record of a file system": (FILE, [
        "-w @/etc/docker -p wa", "-a never,filesystem -F fstype=0xef53",
    ], "keeps records"),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_what_covers_a_file(tree: Path, name: str) -> None:
    (target, need), rules = GOOD[name]
    assert gaps(tree, target, need, *rules) == []


@pytest.mark.parametrize("name", BAD)
def test_what_does_not(tree: Path, name: str) -> None:
    (target, need), rules, why = BAD[name]
    found = gaps(tree, target, need, *rules)
    assert found
    assert any(why in each for each in found)


def test_an_engine_may_be_left_out_of_the_record_of_its_own_data(tree: Path) -> None:
    rules = ("-a never,exit -S all -F exe=@/bin/dockerd", "-w @/data -p wa")
    assert gaps(tree, "data", "wa", *rules, exempt=["bin/dockerd"]) == []
    assert gaps(tree, "data", "wa", *rules)
    limited = ("-a never,exit -S all -F exe=@/bin/dockerd -F auid=-1", rules[1])
    assert gaps(tree, "data", "wa", *limited, exempt=["bin/dockerd"])


def test_a_label_that_no_module_gives_hides_nothing(tree: Path) -> None:
    rules = ("-a never,exit -S all -F subj_type=crond_t", "-w @/data -p wa")
    kernel = "hullcheck.facts.kernel.Kernel.filesystems"
    for known, hidden in ((frozenset({"ext4"}), False), (frozenset({"selinuxfs"}), True)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kernel, known)
            assert bool(gaps(tree, "data", "wa", *rules)) == hidden


def test_a_machine_that_runs_no_32_bit_programs_needs_no_rules_for_them(tree: Path) -> None:
    rule = "-a always,exit -F arch=b64 -S all -F dir=@/etc -F perm=wa"
    assert gaps(tree, *FILE, rule, machine="aarch64") == []
    assert gaps(tree, *FILE, rule.replace("b64", "b32"), machine="aarch64")


def test_a_directory_that_came_after_its_rule_may_not_be_watched_below(tree: Path) -> None:
    """A watch on a name where nothing is yet becomes one of an inode (kernel/audit_watch.c)."""
    status = STATUS.replace("pid 0", "pid 1")
    birth = audit_module._birth(str(tree / "data")).command
    watch = "-w @/data -p wa"
    young, old = {birth: "99999999999\n"}, {birth: "5\n"}
    with pytest.raises(Unknown, match="after the audit daemon started"):
        gaps(tree, "data", "wa", watch, status=status, also=young)
    assert gaps(tree, "data", "wa", watch, status=status, also=old) == []
    assert gaps(tree, "data", "wa", watch, also=young) == []
    whole = "-a always,exit -S all -F dir=@/data -F perm=wa"
    assert gaps(tree, "data", "wa", watch, whole, status=status, also=young) == []


def test_auditing_that_is_off_records_nothing(tree: Path) -> None:
    rule = "-w @/etc -p wa"
    off = STATUS.replace("enabled 1", "enabled 0")
    assert "switched off" in gaps(tree, *FILE, rule, status=off)[0]
    locked = STATUS.replace("enabled 1", "enabled 2")
    assert gaps(tree, *FILE, rule, status=locked) == []


def test_a_rule_in_a_file_that_is_not_loaded_is_named(tree: Path) -> None:
    files = "/etc/audit/rules.d/docker.rules:" + f"-w {tree}/etc/docker -p wa -k docker\n"
    found = gaps(tree, *FILE, "-w /etc/passwd -p wa", files=files)
    assert found[0] == "no rule records writing and attribute changes"
    assert "is not loaded" in found[1]


def item(check: str, tree: Path, *rules: str, **info: object) -> Verdict:
    """Judge a control on a host whose engine rests on files of the tree."""
    made = {
        **docker_answers(
            [dockerd()],
            {f"unix://{SOCKET}": Daemon(info={"DockerRootDir": f"{tree}/data", **info})},
        ),
        **answers(rules="".join(f"{rule}\n".replace("@", str(tree)) for rule in rules)),
        "readlink -nv /proc/50/exe": f"{tree}/bin/dockerd",
    }
    control = control_of(getattr(checks, f"test_audit_{check}"))
    assert control
    return judge(control, host_of(Session(Mixed(made)), "fake", "fake"), Site("h"))


def test_the_program_that_runs_counts(tree: Path) -> None:
    assert item("engine_program", tree, "-w @/bin/dockerd -p rwxa").status == "pass"
    usual = item("engine_program", tree, "-w /usr/bin/dockerd -p rwxa", "-w /usr/bin/docker -p x")
    assert usual.status == "fail"
    assert f"{tree}/bin/dockerd" in usual.reason


def test_the_data_root_in_use_counts(tree: Path) -> None:
    assert item("data_root", tree, "-w @/data -p wa").status == "pass"
    assert item("data_root", tree, "-w /var/lib/docker -p wa").status == "fail"


def test_every_runtime_of_the_engine_counts(tree: Path) -> None:
    runtimes = {"runc": {"path": f"{tree}/bin/dockerd"}, "odd": {"path": f"{tree}/data/x"}}
    both = ("-w @/bin/dockerd -p wax", "-w @/data/x -p wax")
    assert item("runc", tree, *both, Runtimes=runtimes).status == "pass"
    assert item("runc", tree, both[0], Runtimes=runtimes).status == "fail"
    assert (
        item("runc", tree, *both, Runtimes={"x": {"path": "/no/such"}}).status == "not-applicable"
    )
    assert item("runc", tree, *both, Runtimes=["runc"]).status in ("unknown", "error")


def test_a_file_in_an_engines_own_mount_namespace_is_the_hosts_or_unknown(tree: Path) -> None:
    inside = f"/proc/{os.getpid()}/root{tree}/etc/docker"
    rules = f"-w {tree}/etc/docker -p wa\n"
    host = host_like(rules=rules)
    assert facts.get(host, "audit").gaps(facts.get(host, "files").get(inside), "wa") == []
    other = looked_at(f"stat -c '{FORMAT}' -- {tree}/bin")
    host = host_like({lstat_want(f"{tree}/etc/docker").command: other or ""}, rules=rules)
    with pytest.raises(Unknown, match="own mount namespace"):
        facts.get(host, "audit").gaps(facts.get(host, "files").get(inside), "wa")
