"""Whether audit rules can be listed, are understood, and are in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.host import test_audit_rules as checks
from hullcheck.control import control_of
from hullcheck.facts.audit_rules import configured_rules, parse_rule, parse_rules
from hullcheck.facts.sockets import HOLDERS
from hullcheck.judge import Site, judge
from hullcheck.verdict import Verdict
from tests.unit.audit_fake import HEADING, KERNEL, NO_FILES, NO_TOOL, STATUS, host_like
from tests.unit.docker_fake import Program
from tests.unit.fake import Reply

LISTED = """\
-a never,user -F uid=0
-a never,task
-a never,exit -S all -F path=/srv/t/f
-w /srv/t/f -p wa -k one
-w /srv/t/dir -p rwxa -k two -k three
-a always,exit -S all -F path=/srv/t/f -F perm=x -F auid>=1000 -F auid!=-1 -F key=priv
-a always,exit -F arch=b64 -S all -F path=/srv/t/f -F perm=wa -F key=archk
-a always,exit -F arch=b32 -S open,openat -F dir=/srv/t/dir -F success=0 -F key=sysc
-a always,exit -S all -F path=/srv/t/f -F perm=wa -F exe=/usr/bin/vi -F key=e
-a always,exit -F arch=b64 -S execve -F key=exec
-a always,exit -F arch=b64 -S all -F path=/srv/t/f -F a0&=0x1 -F subj_type=x_t -F perm=wa
-a always,exit -F arch=b64 -S all -F path=/srv/t/f -F obj_uid=0 -C uid!=auid -F perm=wa
-w /srv/t/sp ace -p wa -k spa ced
-w /usr/bin/dockerd -p wa
-a always,exit -S all -F inode=12 -F devmajor=1 -F perm=wa
-a always,exclude -F msgtype=CWD
-a never,filesystem -F fstype=tracefs
"""
"""Printed by auditctl 3.0.9 (Debian 12) on Linux 6.18 after these rules were loaded there."""

DENIED: dict[str, Reply] = {
    "no root": (4, "", "You must be root to run this program.\n"),
    "pid namespace": (255, "", "Error sending rule list data request (Operation not permitted)\n"),
    "user namespace": (255, "", "The audit system is disabled\n"),
    "old tool": "LIST_RULES: exit,always watch=/etc/docker perm=rwa key=docker\n",
    "no answer": "",
    "cut": "-w /etc/docker -p rwxa\n-w /etc/do",
    "a strange line": "No rules\n-w /etc/docker -p rwxa\n",
}


@pytest.mark.parametrize("name", DENIED)
def test_rules_that_cannot_be_listed_are_unknown(name: str) -> None:
    assert recording(rules=DENIED[name]).status == "unknown"


@pytest.mark.parametrize("status", ["", "enabled 1\n", "enabled 1\npid", (255, "", "Error\n")])
def test_a_state_that_cannot_be_told_is_unknown(status: Reply) -> None:
    assert recording(rules="No rules\n", status=status).status == "unknown"


def recording(
    also: Mapping[str, Reply] | None = None, programs: Sequence[Program] = (), **given: Reply
) -> Verdict:
    control = control_of(checks.test_audit_recording)
    assert control
    return judge(control, host_like(also, programs, **given), Site("h"))


def test_no_tool_and_nothing_else_that_loads_rules_is_a_failure() -> None:
    assert recording(rules=NO_TOOL).status == "fail"
    assert recording(rules=NO_TOOL, place="4026532000").status == "unknown"
    assert recording(rules=NO_TOOL, files="/etc/audit/audit.rules:-D\n").status == "fail"
    assert recording(rules=NO_TOOL, files="/etc/audit/audit.rules:-w /x\n").status == "unknown"
    denied = (2, "", "grep: /etc/audit/rules.d/x.rules: Permission denied\n")
    assert recording(rules=NO_TOOL, files=denied).status == "unknown"


@pytest.mark.parametrize(
    ("name", "status"), [("dbus-daemon", "fail"), ("systemd-journal", "fail"), ("beat", "unknown")]
)
def test_who_holds_an_audit_socket_may_have_loaded_rules(name: str, status: str) -> None:
    row = KERNEL.replace("9   0 ", "9   50").replace("1037", "4711")
    holder = Program(50, "/usr/bin/x", name=name)
    given: dict[str, Reply] = {"rules": NO_TOOL, "netlink": HEADING + KERNEL + row}
    held = {HOLDERS.command: "1 seen\n50 4711\n"}
    assert recording(held, [holder], **given).status == status
    closed = {HOLDERS.command: "1 seen\n50 seen\n"}
    assert recording(closed, [holder], **given).status == "fail"
    hidden = {HOLDERS.command: "1 seen\n50 denied\n"}
    assert recording(hidden, [holder], **given).status == "unknown"


def test_a_thread_that_watches_directories_shows_that_there_were_rules() -> None:
    thread = Program(50, "", name="audit_prune_tree", ppid=2)
    assert recording(rules=NO_TOOL, programs=[thread]).status == "unknown"


def test_a_kernel_without_audit_records_nothing() -> None:
    verdict = recording(rules=NO_TOOL, netlink=HEADING)
    assert (verdict.status, "cannot audit" in verdict.reason) == ("fail", True)
    assert recording(rules=NO_TOOL, netlink="").status == "unknown"
    assert recording(rules=NO_TOOL, netlink="garbage\n").status == "unknown"


def test_records_want_a_reader_and_none_may_be_lost() -> None:
    reader = KERNEL.replace("9   0          00000000", "9   1          00000001")
    heard = STATUS.replace("pid 0", "pid 812")
    assert recording(status=heard).status == "pass"
    assert recording(netlink=HEADING + KERNEL + reader).status == "pass"
    assert "nobody" in recording().reason
    assert recording(status=heard.replace("lost 0", "lost 12")).status == "fail"
    assert recording(status=heard.replace("backlog 0", "backlog 8192")).status == "fail"


def test_rules_in_files_and_in_the_kernel_are_compared() -> None:
    control = control_of(checks.test_audit_rules_loaded)
    assert control

    def said(rules: str, files: Reply) -> tuple[str, str]:
        verdict = judge(control, host_like(rules=rules, files=files), Site("h"))
        return str(verdict.status), verdict.reason

    text = "/etc/audit/rules.d/d.rules:-D\n/etc/audit/rules.d/d.rules:-w /etc/docker/ -p wa -k d\n"
    assert said("-w /etc/docker -p wa -k d\n", text)[0] == "pass"
    assert said("No rules\n", text) == (
        "fail", "paths with a rule that is not loaded: /etc/docker",
    )  # fmt: skip
    more = "-w /etc/docker -p wa -k d\n-a never,exit -S all -F dir=/srv\n"
    assert said(more, text) == ("fail", "paths with a rule in no file: /srv (never)")
    assert said("-w /etc/docker -p wa -k d\n", NO_FILES)[0] == "unknown"
    assert said("No rules\n", NO_FILES)[0] == "not-applicable"
    assert said("No rules\n", "/etc/audit/rules.d/d.rules:-w x -a y\n")[0] == "unknown"


def test_what_auditctl_prints_is_understood() -> None:
    rules = parse_rules(LISTED)
    assert len(rules) == LISTED.count("\n")
    assert "\n".join(map(str, rules)) == LISTED.rstrip("\n")
    assert [rule.list for rule in rules[:3]] == ["user", "task", "exit"]
    one, two = rules[3:5]
    assert (one.kind, one.path, one.perms) == ("watch", "/srv/t/f", frozenset("wa"))
    assert two.perms == frozenset("rwxa")
    assert rules[5].filters == ("auid>=1000", "auid!=-1")
    assert (rules[6].arches, rules[6].calls) == (frozenset({"b64"}), None)
    assert rules[7].calls == frozenset({"open", "openat"})
    assert rules[11].filters == ("obj_uid=0", "uid!=auid")
    assert rules[12].path == "/srv/t/sp ace"
    assert rules[14].filters == ("inode=12", "devmajor=1")
    assert [rule for rule in rules if rule.blinds] == [rules[1]]
    assert parse_rules("No rules\n") == ()


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("-w /etc/docker/", "-w /etc/docker -p rwxa"),
        ("-k docker -p wa -w /x", "-w /x -p wa -k docker"),
        ("-a exit,always -F path=/x -p wa", "-a always,exit -S all -F path=/x -F perm=wa"),
        ("-a always,exit -F arch=x86_64 -S a -S b", "-a always,exit -F arch=b64 -S a,b"),
        ("-A never,exit -F arch!=b64", "-a never,exit -F arch=b32 -S all"),
    ],
)
def test_a_rule_may_be_written_in_many_ways(written: str, printed: str) -> None:
    first, second = (parse_rule(text) for text in (written, printed))
    for name in ("action", "list", "kind", "path", "perms", "arches", "calls", "filters"):
        if name != "kind" or first.kind != "watch":
            assert getattr(first, name) == getattr(second, name)


def test_a_rules_file_has_other_lines_too() -> None:
    text = "# -w /a -p wa\n-D\n-b 8192\n--backlog_wait_time 60000\n\n  -w /b -p wa\n-e 2\n"
    assert [rule.path for rule in configured_rules(text)] == ["/b"]


@given(st.text(alphabet="-waFSpk =,!<>/exitnvralys\n", max_size=60) | st.text(max_size=40))
def test_any_text_is_a_rule_or_is_refused(text: str) -> None:
    try:
        rule = parse_rule(text)
    except ValueError:
        return
    assert rule.action in ("always", "never")
    assert rule.arches <= {"b64", "b32"}
