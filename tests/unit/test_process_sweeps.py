"""Processes whose first thread has ended: the kernel calls them zombies, and they go on."""

from __future__ import annotations

import pytest

from hullcheck.control import Unknown
from hullcheck.facts import get
from hullcheck.facts.processes import CGROUP, SPACES, STATUS, TIMES
from tests.unit.container_fake import Fake
from tests.unit.fake import host_with

INIT = Fake(1, name="init", ppid=0, nested=False)
FIRST = Fake(200, ppid=1, spaces={"pid": 7})
THREAD = Fake(203, ppid=1, spaces={"pid": 7})
CHILD = Fake(300, ppid=200, spaces={"pid": 7})
OVER = "stat: cannot statx '200/ns/pid': No such file or directory\n"


def dead(process, threads):
    return process.status().replace("S (sleeping)", "Z (zombie)") + (
        f"{process.pid}/status:Threads:\t{threads}\n"
    )


def sweeps(threads):
    everyone = [INIT, CHILD]
    return {
        STATUS.command: "".join(each.status() for each in everyone) + dead(FIRST, threads),
        CGROUP.command: "".join(each.cgroup() for each in (*everyone, FIRST)),
        TIMES.command: "".join(each.stat() for each in (*everyone, FIRST)) + "stat:btime 1\n",
        SPACES.command: (123, "".join(each.ns() for each in everyone), OVER),
    }


def of_threads():
    """What is told of the threads 200, 203 and 204 alone, which is another that has ended."""
    another = Fake(204)
    status = THREAD.status().replace("Tgid:\t203", "Tgid:\t200").replace("203\t1", "203\t4")
    told = [
        (STATUS, dead(FIRST, 3) + status + dead(another, 3).replace("Tgid:\t204", "Tgid:\t200")),
        (CGROUP, FIRST.cgroup() + THREAD.cgroup() + another.cgroup()),
        (TIMES, FIRST.stat() + THREAD.stat() + another.stat()),
        (SPACES, THREAD.ns()),
    ]
    found = {}
    for sweep, text in told:
        command = sweep.command.replace("for p in [0-9]*;", "for p in 200/task/[0-9]*;")
        command = command.replace(" [0-9]*/", " 200/task/[0-9]*/")
        lines = "".join(f"200/task/{line}\n" for line in text.splitlines())
        found[command] = (0, lines, "")
    return found


def test_another_thread_stands_for_the_process():
    found = get(host_with(sweeps(3) | of_threads()), "processes")
    process = found.get(200)
    assert process.pid == 203
    assert not process.zombie
    assert (process.nspid, process.spaces["pid"]) == ((200, 1), (4, 7))
    assert found.get(300).ppid == 203
    assert [each.pid for each in found] == [1, 300, 203]


def test_what_has_no_thread_left_is_a_zombie():
    found = get(host_with(sweeps(1)), "processes")
    assert found.get(200).zombie
    assert found.get(300).ppid == 200


def no_threads():
    gone = "{}: {}'200/task/[0-9]*/{}': No such file or directory\n"
    return {
        command: (2, "", gone.format("grep", "", "status").replace("'", ""))
        if command.startswith("cd /proc && grep")
        else (123, "", gone.format("stat", "cannot statx ", "ns/pid"))
        for command in of_threads()
    }


def test_a_process_that_was_just_ending_is_gone_when_its_threads_are_asked_for():
    found = get(host_with(sweeps(3) | no_threads()), "processes")
    assert found.get(200).zombie


def alive(spaces=""):
    """The sweep over namespaces, which comes last, is the first that does not find 200."""
    everyone = (INIT, CHILD, FIRST)
    status = "".join(each.status() for each in everyone)
    return sweeps(1) | {STATUS.command: status} | ({SPACES.command: spaces} if spaces else {})


def test_a_process_that_ended_between_the_sweeps_is_left_out():
    found = get(host_with(alive() | no_threads()), "processes")
    assert [each.pid for each in found] == [1, 300]


def test_a_process_whose_first_thread_ended_between_the_sweeps_goes_on():
    assert get(host_with(alive() | of_threads()), "processes").get(200).pid == 203


def test_who_cannot_be_seen_has_not_ended():
    """Nor has anybody where no namespace at all is told."""
    denied = "stat: cannot statx '200/ns/pid': Permission denied\n"
    spaces = "".join(each.ns() for each in (INIT, CHILD))
    for answer in ((123, spaces, denied), (123, "", OVER)):
        process = get(host_with(alive(answer)), "processes").get(200)
        with pytest.raises(Unknown, match="pid namespace"):
            process.namespace("pid")
