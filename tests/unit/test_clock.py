"""Who keeps a host's clock, and whether it follows another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from checks.host import test_time as checks
from hullcheck.facts.clock import CHRONY, KERNEL, MARK, NTP, OPENNTP
from tests.unit.fake import Reply
from tests.unit.running_fake import INIT, NO_FILE, SYS_TIME, Proc, host_running, judged

CHRONYD = Proc(30, "/usr/sbin/chronyd", argv=("/usr/sbin/chronyd", "-F", "1"), uid=101,
               caps=SYS_TIME | 1 << 10, mnt=301, cgroup="/system.slice/chrony.service")  # fmt: skip
TIMESYNCD = Proc(31, "/usr/lib/systemd/systemd-timesyncd", "systemd-timesyn", uid=102,
                 caps=SYS_TIME, mnt=302,
                 cgroup="/system.slice/systemd-timesyncd.service")  # fmt: skip
NTPD = Proc(32, "/usr/sbin/ntpd", uid=103, caps=SYS_TIME)
BUSYBOX = Proc(33, "/bin/busybox", "ntpd", ("ntpd", "-N", "-p", "pool.ntp.org"), cgroup="/x")
POWERLESS = replace(CHRONYD, caps=0, cgroup=f"/system.slice/docker-{'a' * 64}.scope")

KEEPERS: dict[str, tuple[Sequence[Proc], str]] = {
    "chrony": ([CHRONYD, replace(CHRONYD, pid=40)], "pass"), "timesyncd": ([TIMESYNCD], "pass"),
    "ntpd": ([NTPD], "pass"), "busybox": ([BUSYBOX], "pass"), "nobody": ([], "fail"),
    "two": ([CHRONYD, TIMESYNCD], "fail"),
    "one without the right to": ([POWERLESS], "fail"),
    "one in a user namespace": ([replace(CHRONYD, user=77)], "fail"),
    "one that only watches": ([replace(CHRONYD, argv=("chronyd", "-F", "1", "-x"))], "fail"),
    "a container with the right to": (
        [replace(CHRONYD, cgroup=f"/docker/{'a' * 64}", nspid="30\t1")], "pass"),
    "a name only": ([Proc(30, "/usr/bin/python3", "chronyd")], "fail"),
    "a guest's tools": ([Proc(30, "/usr/bin/vmtoolsd")], "manual"),
    "a unit's, seen by a user": ([replace(TIMESYNCD, exe="")], "pass"),
    "seen by a user": ([replace(BUSYBOX, exe="")], "unknown"),
}  # fmt: skip


@pytest.mark.parametrize("name", KEEPERS)
def test_one_keeps_it(name: str) -> None:
    procs, wanted = KEEPERS[name]
    found = judged(checks.test_clock_keeper, host_running(procs, answers()))
    assert found.status == wanted, found.reason


def test_a_host_that_may_not_set_it() -> None:
    init = replace(INIT, bounding=0)
    for test in (checks.test_clock_keeper, checks.test_clock_synchronised):
        assert judged(test, host_running([], answers(), init=init)).status == "not-applicable"


TRACKING = (
    "C0248F97,192.36.143.151,2,1764290000.123,-0.000012,0.000002,0.000012,-20.1,0.001,0.02,"
    "0.0061,0.0004,64.2,{}\n"
)
ADJTIMEX = "    mode:         0\n    status:       {}\n-p  timeconstant: 2\n"
NONE: Reply = (127, "", "sh: 1: x: not found\n")
REFUSED: Reply = (1, "506 Cannot talk to daemon\n", "")


def answers(
    mark: Reply = (1, "", f"stat: x: {NO_FILE}"), chrony: Reply = NONE, ntp: Reply = NONE,
    openntp: Reply = NONE, kernel: Reply = NONE,
) -> dict[str, Reply]:  # fmt: skip
    given = {MARK: mark, CHRONY: chrony, NTP: ntp, OPENNTP: openntp, KERNEL: kernel}
    return {want.command: reply for want, reply in given.items()}


GOOD, BAD = ADJTIMEX.format("8193 (PLL)"), ADJTIMEX.format("64 (UNSYNC)")
SYNCED: dict[str, tuple[Proc, dict[str, Reply], str]] = {
    "chrony": (CHRONYD, answers(chrony=TRACKING.format("Normal")), "pass"),
    "chrony without rtcsync": (
        CHRONYD, answers(chrony=TRACKING.format("Normal"), kernel=BAD), "pass"),
    "chrony follows nothing": (
        CHRONYD, answers(chrony=TRACKING.format("Not synchronised")), "fail"),
    "chrony follows itself": (
        CHRONYD, answers(chrony=TRACKING.format("Normal").replace("C0248F97", "7F7F0101")), "fail"),
    "chrony does not answer": (CHRONYD, answers(chrony=REFUSED), "unknown"),
    "chrony does not answer, the kernel does": (
        CHRONYD, answers(chrony=REFUSED, kernel=GOOD), "pass"),
    "chrony does not answer, the kernel cannot tell": (
        CHRONYD, answers(chrony=REFUSED, kernel=BAD), "unknown"),
    "chrony's answer is cut": (CHRONYD, answers(chrony="C0248F97,192.36"), "unknown"),
    "timesyncd": (TIMESYNCD, answers(mark="/run/systemd/timesync/synchronized\n"), "pass"),
    "timesyncd reaches nobody": (TIMESYNCD, answers(), "fail"),
    "timesyncd did once": (
        TIMESYNCD, answers(mark="/run/systemd/timesync/synchronized\n", kernel=BAD), "fail"),
    "ntpsec": (NTPD, answers(ntp="leap=00, stratum=2\n"), "pass"),
    "ntp": (NTPD, answers(ntp="associd=0 status=0615 leap_none\nleap=00, stratum=3\n"), "pass"),
    "ntp follows nothing": (NTPD, answers(ntp="leap=11, stratum=16\n"), "fail"),
    "openntpd": (NTPD, answers(openntp="4/4 peers valid, clock synced, stratum 3\n"), "pass"),
    "openntpd unsynced": (NTPD, answers(openntp="0/4 peers valid, clock unsynced\n"), "fail"),
    "busybox": (BUSYBOX, answers(kernel=GOOD), "pass"),
    "busybox follows nothing": (BUSYBOX, answers(kernel=BAD), "fail"),
    "nobody tells": (NTPD, answers(), "unknown"),
    "nobody keeps it": (POWERLESS, answers(kernel=GOOD), "not-applicable"),
}  # fmt: skip


@pytest.mark.parametrize("name", SYNCED)
def test_it_follows_another(name: str) -> None:
    proc, given, wanted = SYNCED[name]
    found = judged(checks.test_clock_synchronised, host_running([proc], given))
    assert found.status == wanted, found.reason
