"""Limits, restarts, health and logins where no live host here can go, and the mistakes of peers."""

import pytest

from checks.runtime.test_limits import (
    test_memory_limit as memory_limit,
)
from checks.runtime.test_limits import (
    test_oom_score as oom_score,
)
from checks.runtime.test_limits import (
    test_pids_limit as pids_limit,
)
from checks.runtime.test_limits import (
    test_restart_limit as restart_limit,
)
from checks.runtime.test_limits import (
    test_ulimits as ulimits,
)
from checks.runtime.test_operation import (
    test_health_check as health_check,
)
from checks.runtime.test_operation import (
    test_ssh_daemon as ssh_daemon,
)
from tests.unit.container_fake import APP, Fake, running, status, stopped


def test_limits_count_as_the_kernel_enforces_them():
    assert status(memory_limit, running(Memory=67108864)) == "pass"
    assert status(memory_limit, running(Memory=1048576)) == "fail"
    off = {"memory.limit_in_bytes": "9223372036854771712", "pids.max": "max"}
    assert status(memory_limit, running(limits=off, Memory=67108864)) == "fail"
    assert status(pids_limit, running(limits=off, PidsLimit=50)) == "fail"
    vast = {"memory.limit_in_bytes": str(1 << 40), "pids.max": "4194304"}
    assert status(memory_limit, running(limits=vast)) == "fail"
    assert status(pids_limit, running(limits=vast)) == "fail"
    assert status(pids_limit, running()) == "pass"
    assert status(memory_limit, stopped(Memory=0)) == "fail"
    assert status(memory_limit, stopped(Memory=1 << 26)) == "pass"
    assert status(pids_limit, stopped(PidsLimit=-1)) == "fail"


@pytest.mark.parametrize(
    ("hard", "expected"), [("1048576", "pass"), ("1073741816", "fail"), ("unlimited", "fail")]
)
def test_open_files_are_bounded(hard, expected):
    text = f"100/limits:Max open files            1024                 {hard}      files\n"
    assert status(ulimits, running(confinement=text)) == expected


def test_the_score_in_effect_counts():
    assert status(oom_score, running(confinement="100/oom_score_adj:-998\n")) == "fail"
    assert status(oom_score, running(confinement="100/oom_score_adj:0\n")) == "pass"
    assert status(oom_score, stopped(OomKillDisable=True)) == "fail"


@pytest.mark.parametrize(
    ("name", "retries", "expected"),
    [("no", 0, "pass"), ("", 0, "pass"), ("on-failure", 5, "pass"), ("on-failure", 6, "fail"),
     ("on-failure", 0, "fail"), ("always", 0, "fail"), ("unless-stopped", 0, "fail")],
)  # fmt: skip
def test_restarts_end(name, retries, expected):
    host = stopped(RestartPolicy={"Name": name, "MaximumRetryCount": retries})
    assert status(restart_limit, host) == expected


def test_health_that_is_bad_is_no_health():
    """Peer mistake 55."""
    config = {"Healthcheck": {"Test": ["CMD", "true"]}}
    sick = {"Health": {"Status": "unhealthy"}}
    assert status(health_check, stopped(Config=config)) == "pass"
    assert status(health_check, running(Config=config, State=sick)) == "fail"
    assert status(health_check, running(Config=config, State=sick | {"Paused": True})) == "pass"
    none = {"Healthcheck": {"Test": ["NONE"]}}
    assert status(health_check, stopped(Config=none)) == "fail"


@pytest.mark.parametrize(
    ("exe", "cmdline", "name", "expected"),
    [
        ("/app/run", b"/app/run\0", "run", "pass"),
        ("/usr/sbin/sshd", b"innocent\0", "innocent", "fail"),
        ("/tmp/x (deleted)", b"sshd: /usr/sbin/sshd -D [listener]\0", "x", "fail"),
        ("/usr/sbin/dropbear (deleted)", b"", "x", "fail"),
        ("/x", b"x\0", "sshd", "fail"),
    ],
)
def test_a_login_server_under_any_name(exe, cmdline, name, expected):
    """Peer mistake 47: no program in the container is asked."""
    answers = {
        "head -c 1048577 -- /proc/100/cmdline": cmdline,
        "readlink -nv /proc/100/exe": exe,
    }
    host = running(Fake(100, APP, name=name), answers=answers)
    assert status(ssh_daemon, host) == expected


def test_a_process_that_has_ended_logs_nobody_in():
    gone = (1, "", "readlink: /proc/100/exe: No such file or directory")
    answers = {
        "head -c 1048577 -- /proc/100/cmdline": (1, "", "head: No such file or directory"),
        "readlink -nv /proc/100/exe": gone,
    }
    assert status(ssh_daemon, running(answers=answers)) == "pass"
    denied = (1, "", "readlink: /proc/100/exe: Permission denied")
    answers["readlink -nv /proc/100/exe"] = denied
    assert status(ssh_daemon, running(answers=answers)) == "unknown"
