"""What is done in running containers, and who tries to hide it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.runtime import test_behaviour as behaviour
from checks.runtime.test_operation import test_ssh_daemon as ssh_daemon
from hullcheck.facts import get
from hullcheck.facts.programs import program
from hullcheck.inventory.policy import Policy
from tests.unit.container_fake import (
    APP,
    HOST_SPACES,
    Fake,
    fake_host,
    findings,
    inspect,
    running,
    status,
    stopped,
)

GONE = (1, "", "readlink: /proc/100/exe: No such file or directory")


def process(exe="/app/run", *argv, pid=100):
    """Return the answers that tell of a process's program; argv as it is, or "" for none."""
    line = "".join(f"{each}\0" for each in argv)
    return {
        f"head -c 1048577 -- /proc/{pid}/cmdline": line,
        f"readlink -nv /proc/{pid}/exe": exe,
    }


def judged(control, exe, *argv, name="app"):
    return status(control, running(Fake(100, APP, name=name), answers=process(exe, *argv)))


SSH = ssh_daemon
REMOTE = behaviour.test_remote_desktops_and_shells
PACKAGES = behaviour.test_package_manager
DEBUGGERS = behaviour.test_debuggers
CLIENTS = behaviour.test_engine_clients
SESSIONS = behaviour.test_shells_from_outside
AGE = behaviour.test_container_age

HIDDEN = {
    # Peer mistake 47: no ps is run, so an image without one hides nothing; dropbear counts.
    "dropbear": (SSH, "/usr/sbin/dropbear", ("/usr/sbin/dropbear", "-F"), "dropbear"),
    "comm renamed": (SSH, "/usr/sbin/sshd", ("nginx: master process",), "nginx"),
    "argv rewritten": (SSH, "/x", ("sshd: root@pts/0", "", ""), "x"),
    "deleted": (SSH, "/tmp/sshd (deleted)", ("innocent",), "innocent"),
    "through the loader": (
        SSH, "/lib/ld-linux-x86-64.so.2",
        ("/lib64/ld-linux-x86-64.so.2", "--library-path", "/x", "/tmp/sshd", "-D"), "ld",
    ),
    "emulated": (SSH, "/usr/bin/qemu-aarch64-static", ("/usr/bin/qemu-aarch64-static",
                 "/usr/sbin/sshd"), "qemu-aarch64-st"),
    "a copy of sshd": (SSH, "/tmp/x", ("x: /tmp/x -D [listener] 0 of 10-100 startups",), "x"),
    "its session": (SSH, "/tmp/x", ("x: root [priv]",), "x"),
    "a version in its name": (SSH, "/opt/sshd-9.6", ("a",), "a"),
    "busybox by name": (REMOTE, "/bin/busybox", ("telnetd", "-F"), "telnetd"),
    "busybox by argument": (REMOTE, "/bin/busybox", ("/bin/busybox", "telnetd"), "busybox"),
    "busybox, copied": (REMOTE, "/tmp/busybox2 (deleted)", ("/tmp/busybox2", "telnetd"), "x"),
    "toybox": (REMOTE, "/bin/toybox", ("toybox", "telnetd"), "x"),
    "shell in a browser": (REMOTE, "/usr/bin/ttyd", ("ttyd", "-p", "80", "sh"), "ttyd"),
    "desktop": (REMOTE, "/usr/bin/Xtigervnc", ("Xvnc", ":1"), "Xtigervnc"),
    "webmin": (REMOTE, "/usr/bin/perl", ("/usr/bin/perl", "/usr/share/webmin/miniserv.pl"), "perl"),
    "bind shell": (REMOTE, "/bin/busybox", ("nc", "-lk", "-p", "4444", "-e", "sh"), "nc"),
    "bind shell, in short": (REMOTE, "/usr/bin/nc.traditional", ("nc", "-lpe", "/bin/sh"), "nc"),
    "bind shell's command": (REMOTE, "/usr/bin/ncat", ("nc", "-l", "-c", "sh"), "nc"),
    "socat": (REMOTE, "/usr/bin/socat", ("socat", "TCP-LISTEN:1", "EXEC:sh,pty"), "socat"),
    "long name, cut": (REMOTE, "/x", (), "openvscode-serv"),
    "apt": (PACKAGES, "/usr/bin/apt-get", ("apt-get", "update"), "apt-get"),
    "pip": (PACKAGES, "/usr/bin/python3.11", ("python3", "-m", "pip", "install", "x"), "python3"),
    "pip, alone": (PACKAGES, "/usr/bin/python3.11", ("python3", "-Im", "pip"), "python3"),
    "pip, warned": (PACKAGES, "/usr/bin/python3", ("python3", "-W", "ignore", "/usr/bin/pip3.11"),
                    "python3"),
    "dnf": (PACKAGES, "/usr/bin/python3.9", ("/usr/libexec/platform-python", "/usr/bin/dnf-3"),
            "dnf-3"),
    "pip by its directory": (PACKAGES, "/usr/bin/python3", ("python3", "/x/pip/__main__.py"), "py"),
    "npm": (PACKAGES, "/usr/bin/node", ("node", "/usr/bin/npm", "install"), "node"),
    "npm by its title": (PACKAGES, "/usr/bin/node", ("npm install left-pad", ""), "npm install"),
    "npm by its file": (PACKAGES, "/usr/bin/node",
                        ("node", "-r", "/x.js", "/usr/lib/npm/bin/npm-cli.js", "ci"), "node"),
    "npm elsewhere": (PACKAGES, "/usr/bin/node", ("node", "/usr/bin/npm", "--prefix", "/a", "ci"),
                      "node"),
    "yarn": (PACKAGES, "/usr/bin/node", ("node", "/opt/yarn/bin/yarn.js"), "node"),
    "apk in busybox's image": (PACKAGES, "/sbin/apk", ("apk", "add", "x"), "apk"),
    "gdb": (DEBUGGERS, "/usr/bin/gdb", ("gdb", "-p", "1"), "gdb"),
    "perf": (DEBUGGERS, "/usr/bin/perf_5.10", ("x",), "x"),
    "pdb": (DEBUGGERS, "/usr/bin/python3", ("python3", "-m", "pdb", "x.py"), "python3"),
    "docker": (CLIENTS, "/usr/local/bin/docker", ("x", "ps"), "x"),
    "kubectl": (CLIENTS, "/tmp/k (deleted)", ("kubectl", "get", "secrets"), "k"),
}  # fmt: skip


@pytest.mark.parametrize("case", HIDDEN)
def test_what_runs_is_found_whatever_it_is_called(case):
    control, exe, argv, name = HIDDEN[case]
    assert judged(control, exe, *argv, name=name) == "fail"


HARMLESS = {
    "an application": ("/app/run", ("/app/run", "--sshd", "apt-get"), "run"),
    "starting with npm": ("/usr/bin/node", ("npm start", "", ""), "npm start"),
    "running with npm": ("/usr/bin/node", ("node", "/usr/bin/npm", "run", "install"), "node"),
    "running with bundler": ("/usr/bin/ruby", ("ruby", "/usr/bin/bundle", "exec", "puma"), "ruby"),
    "running with conda": ("/opt/conda/bin/python", ("python", "/opt/conda/bin/conda", "run", "-n",
                           "x", "python"), "conda"),
    "running with poetry": ("/usr/bin/python3", ("python3", "/usr/bin/poetry", "run", "x"), "x"),
    "a shell's code": ("/bin/busybox", ("sh", "-c", "apt-get"), "sh"),
    "a shell's code, as a login": ("/bin/bash", ("bash", "-lc", "docker"), "bash"),
    "perl's code": ("/usr/bin/perl", ("perl", "-ne", "gdb"), "perl"),
    "tini": ("/sbin/docker-init", ("/sbin/docker-init", "--", "/app"), "docker-init"),
    "a test of ports": ("/bin/busybox", ("nc", "-z", "db", "5432"), "nc"),
    "TLS": ("/usr/bin/nc.openbsd", ("nc", "-c", "example.org", "443"), "nc"),
    "a simulator": ("/opt/gem5", ("gem5",), "gem5"),
    "nothing at all": ("/x", (), "x"),
}  # fmt: skip


@pytest.mark.parametrize("control", [SSH, REMOTE, PACKAGES, DEBUGGERS, CLIENTS])
@pytest.mark.parametrize("case", HARMLESS)
def test_what_merely_sounds_alike_is_none(control, case):
    exe, argv, name = HARMLESS[case]
    assert judged(control, exe, *argv, name=name) == "pass"


@pytest.mark.parametrize("control", [SSH, REMOTE, PACKAGES, DEBUGGERS, CLIENTS])
def test_what_may_not_be_seen_is_unknown_and_what_has_ended_is_nothing(control):
    denied = process() | {
        "readlink -nv /proc/100/exe": (1, "", "readlink: /proc/100/exe: Permission denied")
    }
    assert status(control, running(answers=denied)) == "unknown"
    over = {
        "head -c 1048577 -- /proc/100/cmdline": (1, "", "head: x: No such file or directory"),
        "readlink -nv /proc/100/exe": GONE,
    }
    assert status(control, running(answers=over)) == "pass"
    assert status(control, stopped()) == "not-applicable"


def test_a_name_is_enough_where_the_program_may_not_be_seen():
    denied = process("", "/usr/bin/gdb") | {
        "readlink -nv /proc/100/exe": (1, "", "readlink: /proc/100/exe: Permission denied")
    }
    assert status(DEBUGGERS, running(answers=denied)) == "fail"


def test_the_hosts_own_sshd_is_not_a_containers():
    """Peer mistake 47: with --pid=host the host's processes are seen inside."""
    shared = Fake(100, APP, nested=False, spaces={"pid": HOST_SPACES["pid"]})
    own = Fake(60, name="sshd", ppid=1, uid=0, nested=False)
    host = running(shared, own, answers=process() | process("/usr/sbin/sshd", "sshd", pid=60))
    assert status(SSH, host) == "pass"


def test_a_tracer_is_named_wherever_it_is(monkeypatch):
    traced = Fake(100, APP)
    said = traced.status().replace("TracerPid:\t0", "TracerPid:\t70")
    monkeypatch.setattr(traced, "status", lambda: said)
    host = running(traced, Fake(70, name="innocent", ppid=1, nested=False), answers=process())
    finding = findings(DEBUGGERS, host)["app"]
    assert str(finding.status) == "fail"
    assert "70 (innocent)" in finding.reason


@given(st.lists(st.text(max_size=12) | st.sampled_from(["-m", "-c", "python3", "busybox", "sh"])))
def test_any_command_line_is_some_program(words):
    """What a process writes over its arguments breaks nothing, and hides not what its file is."""
    answers = {"head -c 1048577 -- /proc/100/cmdline": "\0".join(words),
               "readlink -nv /proc/100/exe": "/usr/sbin/sshd"}  # fmt: skip
    found = program(get(running(answers=answers), "processes").get(100))
    assert "sshd" in found.names
    assert all(found.names)


def terminal(fake, number):
    text = fake.stat().replace(" S 0 0 0 0 ", f" S 0 0 0 {number} ")
    fake.stat = lambda: text  # type: ignore[method-assign]
    return fake


@pytest.mark.parametrize(
    ("entered", "argv", "tty", "expected"),
    [
        (Fake(101, APP, name="sh"), ("sh",), 34817, "fail"),
        (Fake(101, APP, name="psql"), ("psql",), 34816, "fail"),
        (Fake(101, APP, name="bash"), ("-bash",), 0, "fail"),
        (Fake(101, APP, name="bash"), ("bash", "-i"), 0, "fail"),
        (Fake(101, APP, name="sh"), ("nginx:", "worker", "process"), 0, "fail"),
        (Fake(101, APP, name="fish"), ("fish", "-c", "x"), 0, "pass"),
        (Fake(101, APP, name="sh"), ("/bin/sh", "-c", "curl -f localhost"), 0, "pass"),
        (Fake(101, APP, name="sh"), ("/bin/sh", "/healthy.sh"), 0, "pass"),
        (Fake(101, APP, name="wget"), ("wget", "-q", "localhost"), 0, "pass"),
        (Fake(101, APP, name="busybox"), ("busybox", "sh"), 0, "fail"),
        (Fake(101, APP, name="sh", ppid=100), ("sh",), 34817, "pass"),
        (Fake(101, APP, name="x\\ny"), ("x",), None, "fail"),
    ],
)
def test_a_session_of_a_person(entered, argv, tty, expected):
    entered.spaces = {name: 10000 + at for at, name in enumerate(HOST_SPACES)}
    if tty is None:
        entered.stat = lambda: "101/stat:101 (x\n"
    else:
        terminal(entered, tty)
    answers = process() | process("/bin/busybox", *argv, pid=101)
    answers["cd /proc && grep -aH '' /dev/null 101/stat"] = (
        "101/stat:101 (x\n101/stat:y) S 0 " + "0 " * 17 + "5 0\n"
    )
    assert status(SESSIONS, running(Fake(100, APP), entered, answers=answers)) == expected


NOW = datetime(2026, 11, 23, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("days", "created", "limit", "expected"),
    [
        (1, "", None, "pass"),
        (91, "", None, "fail"),
        (90, "", None, "pass"),
        (1, "2026-11-22T00:00:00.123456789Z", None, "pass"),
        # Started again yesterday; as old as it ever was.
        (1, "2020-01-01T00:00:00.123456789Z", None, "fail"),
        (1, "0001-01-01T00:00:00Z", None, "pass"),
        (1, "yesterday", None, "unknown"),
        (1, "2031-01-01T00:00:00Z", None, "unknown"),
        (3, "", 2, "fail"),
        (3, "", 3, "pass"),
        (91, "", 365, "pass"),
    ],
)
def test_age(days, created, limit, expected):
    """By the host's own clock, of which its newest process tells."""
    first = Fake(100, APP, ticks=int(NOW - 1 - days * 86400) * 100)
    audit = Fake(70, name="sh", ppid=1, nested=False, ticks=int(NOW - 1) * 100)
    host = fake_host([inspect("app", 100) | {"Created": created}], first, audit)
    assert status(AGE, host, policy=Policy(maximum_container_age=limit)) == expected
