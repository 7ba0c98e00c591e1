"""Whether the audit system records what leads out of containers, and whether that is kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.host import test_audit_system as checks
from hullcheck import facts
from hullcheck.control import Unknown, control_of
from hullcheck.facts.audit_rules import enabling
from hullcheck.facts.auditd import LOG, AuditDaemon, parse_auditd
from hullcheck.facts.engine_paths import CONFIGURED, END, INSTALLED, EnginePaths, engine_paths
from hullcheck.facts.files import Files
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.transport import CannotAnswer, read, session_of
from hullcheck.verdict import Verdict
from tests.unit.audit_fake import NO_FILES, NO_TOOL, STATUS, host_like
from tests.unit.fake import Reply
from tests.unit.running_fake import Proc, host_running, judged, said

BOTH = ("-a always,exit -F arch=b64 -S {} -F key=k", "-a always,exit -F arch=b32 -S {} -F key=k")
MODULES, ESCAPES = (
    "init_module,finit_module,delete_module",
    ("mount,move_mount,unshare,setns,bpf,ptrace"),
)
LIMITED = " -F auid>=1000 -F auid!=-1"
RUNC = "-a never,exit -S all -F exe=/usr/sbin/runc"


def verdict(
    name: str, *rules: str, paths: EnginePaths | None = None, policy: Policy | None = None,
    release: str = "6.1.0", **given: Reply,
) -> Verdict:  # fmt: skip
    """Judge a control of rules; the host's files are this machine's."""
    control = control_of(getattr(checks, f"test_audit_{name}"))
    assert control
    text = "".join(f"{rule}\n" for rule in rules) or "No rules\n"
    host = host_like(**{"rules": text, **given})
    none = EnginePaths((), (), (), (), (), "")
    kernel = SimpleNamespace(version=tuple(map(int, release.split(".")[:2])))
    for key, value in {"engine_paths": paths or none, "kernel": kernel}.items():
        session_of(host).recall(("provider", key), lambda value=value: value)  # type: ignore[misc]
    return judge(control, host, Site("h", policy or Policy()))


def both(calls: str, more: str = "") -> list[str]:
    return [rule.format(calls) + more for rule in BOTH]


CALLS: dict[str, tuple[str, list[str], str, str]] = {
    "each arch": ("modules", both(MODULES), "pass", ""),
    "one rule a call": (
        "modules", [rule for call in MODULES.split(",") for rule in both(call)], "pass", ""),
    "without an arch": ("modules", [f"-a always,exit -S {MODULES} -F key=k"], "pass", ""),
    "all calls": ("modules", ["-a always,exit -S all"], "pass", ""),
    "nothing": ("modules", [], "fail", "no rule records init_module"),
    "64 bit only": ("modules", both(MODULES)[:1], "fail", "by 32-bit programs"),
    "one call lacks": ("modules", both("init_module,delete_module"), "fail", "finit_module"),
    "who logged in": ("modules", both(MODULES, LIMITED), "fail", "records only some uses"),
    "successes": ("modules", both(MODULES, " -F success=1"), "fail", "only some"),
    "hidden": (
        "modules", ["-a never,exit -S init_module -F uid=0", *both(MODULES)], "fail", "hides"),
    "hidden by its number": (
        "modules", ["-a never,exit -F arch=b64 -S 313", *both(MODULES)], "fail", "hides"),
    "hidden later": ("modules", [*both(MODULES), "-a never,exit -S all"], "pass", ""),
    "another call is hidden": (
        "modules", ["-a never,exit -S adjtimex", *both(MODULES)], "pass", ""),
    "an exclusion of files": (
        "modules", ["-a never,exit -S all -F dir=/x -F perm=wa", *both(MODULES)], "pass", ""),
    "an exclusion of an engine's data": (
        "escapes", ["-a never,exit -S all -F dir=/var/lib/docker/overlay2", *both(ESCAPES)],
        "pass", ""),
    "an exclusion of all files": (
        "escapes", ["-a never,exit -S all -F dir=/", *both(ESCAPES)], "fail", "hides mount"),
    "an exclusion of a file": (
        "modules", ["-a never,exit -S all -F path=/usr/sbin/dockerd", *both(MODULES)], "pass", ""),
    "a file's own rule": ("modules", ["-w /usr/bin/kmod -p x -k modules"], "fail", "no rule"),
    "no record of calls": (
        "modules", ["-a always,exclude -F msgtype=SYSCALL", *both(MODULES)], "fail", "keeps"),
    "no record of tracefs' paths": (
        "modules", ["-a never,filesystem -F fstype=0xef53", *both(MODULES)], "pass", ""),
    "ways out": ("escapes", both(ESCAPES), "pass", ""),
    "the old way to mount only": (
        "escapes", both(ESCAPES.replace("move_mount,", "")), "fail", "move_mount"),
    "runc hidden, which the host has not": ("escapes", [RUNC, *both(ESCAPES)], "fail", "hides"),
    "systemd hidden": (
        "escapes", ["-a never,exit -S all -F exe=/usr/lib/systemd/systemd", *both(ESCAPES)],
        "pass", ""),
    "a shell hidden": (
        "escapes", ["-a never,exit -S mount -F exe=/bin/sh", *both(ESCAPES)], "fail", "hides"),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_calls(name: str) -> None:
    control, rules, wanted, why = CALLS[name]
    found = verdict(control, *rules)
    assert found.status == wanted, found.reason
    assert why in found.reason


def test_an_old_kernel_has_no_new_mounts() -> None:
    rules = both(ESCAPES.replace("move_mount,", ""))
    assert verdict("escapes", *rules, release="4.19.0").status == "pass"


@pytest.mark.parametrize("name", ["modules", "escapes", "rules_locked", "runtime_programs"])
def test_rules_that_cannot_be_listed(name: str, tmp_path: Path) -> None:
    program = tmp_path.resolve() / "podman"
    program.touch()
    denied = (4, "", "You must be root to run this program.\n")
    paths = paths_of({"programs": [program]})
    assert verdict(name, paths=paths, rules=denied).status == "unknown"
    assert verdict(name, paths=paths, rules=NO_TOOL, place="4026532000").status == "unknown"
    assert verdict(name, paths=paths, rules=NO_TOOL).status == "fail"


def paths_of(found: Mapping[str, list[Path]], hidden: str = "") -> EnginePaths:
    host = host_like()
    kinds = ("docker", "programs", "plugins", "config", "containerd")
    given = (tuple(Files(host).get(str(each)) for each in found.get(kind, [])) for kind in kinds)
    return EnginePaths(*given, hidden)  # type: ignore[call-arg, arg-type]


def test_programs_and_settings_of_engines(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    for name in ("podman", "crio.conf"):
        (root / name).touch()
    (root / "cni").mkdir()
    paths = paths_of({"programs": [root / "podman"], "plugins": [root / "cni"],
                      "config": [root / "crio.conf"]})  # fmt: skip
    podman, cni = f"-w {root}/podman -p wax", f"-w {root}/cni -p wa"
    assert verdict("runtime_programs", podman, cni, paths=paths).status == "pass"
    assert verdict("runtime_programs", podman, paths=paths).status == "fail"
    assert (
        verdict("runtime_programs", podman.replace("wax", "wa"), cni, paths=paths).status == "fail"
    )
    config = f"-w {root}/crio.conf -p wa"
    assert verdict("runtime_config", config, paths=paths).status == "pass"
    assert verdict("runtime_config", cni, paths=paths).status == "fail"
    assert verdict("runtime_config").status == "not-applicable"
    assert verdict("runtime_programs").status == "not-applicable"
    hidden = paths_of({"config": [root / "crio.conf"]}, "/opt/x cannot be looked into")
    assert verdict("runtime_config", config, paths=hidden).status == "unknown"
    assert verdict("runtime_programs", paths=hidden).status == "unknown"


def test_where_engines_lie() -> None:
    absent = "find: '/opt/bin': No such file or directory\n"
    answers: dict[str, Reply] = {
        INSTALLED.command: (0, f"/usr/bin/podman\n/usr/bin/crun\n{END}\n", absent),
        CONFIGURED.command: (0, f"/etc/containers\n/opt/cni/bin\n{END}\n", absent),
    }
    there = {"/usr/bin/podman": "81ed", "/usr/bin/crun": "81ed", "/srv/k/kubelet": "81ed",
             "/etc/containers": "41ed", "/opt/cni/bin": "41ed"}  # fmt: skip
    procs = [Proc(50, "/srv/k/kubelet"), Proc(51, "/in/kubelet", nspid="51\t7")]
    found = engine_paths(host_running(procs, answers, there=there))
    assert [str(each) for each in found.programs] == [
        "/usr/bin/podman", "/usr/bin/crun", "/srv/k/kubelet",
    ]  # fmt: skip
    assert ([*map(str, found.plugins)], [*map(str, found.config)]) == (
        ["/opt/cni/bin"], ["/etc/containers"],
    )  # fmt: skip
    assert found.hidden == ""
    denied = "find: '/var/lib/rancher': Permission denied\n"
    answers[INSTALLED.command] = (0, f"{END}\n", denied)
    assert "may need root" in engine_paths(host_running([], answers)).hidden
    for damage in ("", "/usr/bin/podman\n", f"garbage\n{END}\n"):
        answers[INSTALLED.command] = damage
        with pytest.raises(CannotAnswer):
            engine_paths(host_running([], answers))


def test_rules_that_are_locked() -> None:
    rule, locked = "-w /x -p wa", STATUS.replace("enabled 1", "enabled 2")
    file = "/etc/audit/rules.d/x.rules:-w /x -p wa\n"
    end = "/etc/audit/rules.d/99-end.rules:-e 2\n"
    assert verdict("rules_locked", rule).status == "fail"
    assert verdict("rules_locked", rule, status=locked, files=file + end).status == "pass"
    assert verdict("rules_locked", rule, status=locked, files=NO_FILES).status == "pass"
    by_hand = verdict("rules_locked", rule, status=locked, files=file)
    assert (by_hand.status, "-e 2" in by_hand.reason) == ("fail", True)
    off = verdict("rules_locked", rule, status=STATUS.replace("enabled 1", "enabled 0"))
    assert off.status == "fail"
    assert [enabling(each) for each in ("-e 1\n-e 2\n", "# -e 2\n", "-e 2\n-e 1\n")] == [2, None, 1]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("audit=1 audit_backlog_limit=8192", "pass"), ("audit=on audit_backlog_limit=0", "pass"),
        ("audit=1", "fail"), ("audit=1 audit_backlog_limit=64", "fail"), ("quiet", "fail"),
        ("audit=0 audit=1 audit_backlog_limit=8192", "pass"), ("audit=1 audit=0", "fail"),
        ("audit=1 audit_backlog_limit=many", "unknown"), ("-- audit=1", "fail"),
    ],
)  # fmt: skip
def test_the_boot_line(line: str, wanted: str) -> None:
    assert said(checks.test_audit_boot, host_running(boot=line)) == wanted


DEBIAN = """\
#
# This file controls the configuration of the audit daemon
#

local_events = yes
write_logs = yes
log_file = /var/log/audit/audit.log
log_group = adm
log_format = ENRICHED
num_logs = 5
max_log_file = 8
max_log_file_action = ROTATE
space_left = 75
space_left_action = SYSLOG
admin_space_left = 50
admin_space_left_action = SUSPEND
disk_full_action = SUSPEND
disk_error_action = SUSPEND
name_format = NONE
##name = mydomain
"""
AUDITD = Proc(60, "/usr/sbin/auditd", cgroup="/system.slice/auditd.service")


def daemon(
    test: Any, text: Reply = DEBIAN, mode: str = "81a0", procs: Any = (AUDITD,), **policy: Any
) -> str:
    """Judge a control of the daemon's settings."""
    path = "/etc/audit/auditd.conf"
    host = host_running(procs, {read(path).command: text}, there={LOG: mode, path: "81a0"})
    return said(test, host, **policy)


def edited(**settings: str) -> str:
    lines = [line for line in DEBIAN.splitlines() if line.partition(" ")[0] not in settings]
    return "\n".join([*lines, *(f"{name} = {value}" for name, value in settings.items())])


@pytest.mark.parametrize(
    ("test", "settings", "wanted"),
    [
        (checks.test_audit_space_warning, {}, "pass"),
        (checks.test_audit_space_warning, {"space_left_action": "email"}, "pass"),
        (checks.test_audit_space_warning, {"space_left_action": "exec /x"}, "pass"),
        (checks.test_audit_space_warning, {"space_left_action": "ignore"}, "fail"),
        (checks.test_audit_space_warning, {"space_left_action": "suspend"}, "fail"),
        (checks.test_audit_space_warning, {"space_left": "10"}, "fail"),
        (checks.test_audit_space_warning, {"space_left": "25%"}, "pass"),
        (checks.test_audit_full_disk, {}, "fail"),
        (checks.test_audit_full_disk, {"admin_space_left_action": "single",
         "disk_full_action": "HALT", "disk_error_action": "halt"}, "pass"),
        (checks.test_audit_full_disk, {"admin_space_left_action": "single",
         "disk_full_action": "rotate", "disk_error_action": "syslog"}, "fail"),
        (checks.test_audit_log_kept, {}, "manual"),
        (checks.test_audit_log_kept, {"max_log_file_action": "keep_logs"}, "pass"),
        (checks.test_audit_log_kept, {"max_log_file_action": "suspend"}, "fail"),
        (checks.test_audit_log_kept, {"num_logs": "1"}, "pass"),
        (checks.test_audit_log_kept, {"num_logs": "many"}, "unknown"),
        (checks.test_audit_log_file, {}, "pass"),
        (checks.test_audit_log_file, {"write_logs": "no"}, "fail"),
        (checks.test_audit_log_file, {"local_events": "no"}, "fail"),
        (checks.test_audit_log_file, {"log_file": "/var/log/other.log"}, "fail"),
        (checks.test_audit_log_file, {"log_file": "audit.log"}, "unknown"),
        (checks.test_audit_log_file, {"log_group": "root"}, "fail"),
    ],
)  # fmt: skip
def test_the_daemons_settings(test: Any, settings: dict[str, str], wanted: str) -> None:
    assert daemon(test, edited(**settings)) == wanted


def test_how_much_is_kept_is_the_sites_matter() -> None:
    kept = checks.test_audit_log_kept
    assert daemon(kept, audit_log_megabytes=40) == "pass"
    assert daemon(kept, audit_log_megabytes=41) == "fail"


def test_who_reads_the_log() -> None:
    file = checks.test_audit_log_file
    modes = {"8180": "pass", "81a0": "fail", "81a4": "fail", "8190": "fail"}
    text = edited(log_group="root")
    assert {mode: daemon(file, text, mode) for mode in modes} == modes
    assert daemon(file, DEBIAN, "81a4") == "fail"
    assert daemon(file, DEBIAN, "81b0") == "fail"


@pytest.mark.parametrize("test", [
    checks.test_audit_log_file, checks.test_audit_space_warning, checks.test_audit_full_disk,
    checks.test_audit_log_kept,
])  # fmt: skip
def test_no_daemon_and_no_settings(test: Any) -> None:
    assert daemon(test, procs=()) == "not-applicable"
    in_container = Proc(60, "/usr/sbin/auditd", nspid="60\t7")
    assert daemon(test, procs=(in_container,)) == "not-applicable"
    denied = (1, "", "head: cannot open '/etc/audit/auditd.conf' for reading: Permission denied")
    assert daemon(test, denied) == "unknown"
    assert daemon(test, "local_events yes\n") == "unknown"
    elsewhere = Proc(60, "/usr/sbin/auditd", argv=("auditd", "-c", "/srv/audit"))
    assert daemon(test, procs=(elsewhere,)) == "unknown"


@given(st.text(alphabet="logspace_ft= 1#\n%", max_size=60) | st.text(max_size=40))
def test_any_text_is_settings_or_is_refused(text: str) -> None:
    try:
        made = AuditDaemon(None, parse_auditd(text))  # type: ignore[arg-type]
        made.word("space_left_action")
        made.number("num_logs")
    except Unknown:
        pass


def test_it_is_provided() -> None:
    assert {"audit_daemon", "engine_paths"} <= set(facts.PROVIDERS)
    assert judged(checks.test_audit_boot, host_running(boot="audit=1")).status == "fail"
