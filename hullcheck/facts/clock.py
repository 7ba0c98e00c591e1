"""Who sets a host's clock, and whether it goes right.

What may set it has CAP_SYS_TIME in the host's own user namespace (settimeofday(2)): a process
that only has the name of such a program does nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.processes import Gone, Process, Processes
from hullcheck.facts.registry import fact, get, provide
from hullcheck.facts.running import Running, Sight, running_programs
from hullcheck.transport import Answer, session_of, want

__all__ = ["Clock", "clock"]

TIMESYNCD = "systemd-timesyncd"
KEEPERS = (TIMESYNCD, "chronyd", "ntpd", "openntpd", "ptp4l")
GUESTS = ("vmtoolsd", "VBoxService")
"""Programs that take the time from the machine below, if they are told to."""

# chronyc speaks to the daemon over loopback: over its socket root would make a file in /run.
MARK = want("stat -c %n /run/systemd/timesync/synchronized", meaning=(0, 1))
CHRONY = want("chronyc -n -c -h 127.0.0.1 tracking", meaning=(0, 1, 127))
NTP = want("ntpq -n -c 'rv 0 leap,stratum' 127.0.0.1", meaning=(0, 1, 127))
OPENNTP = want("ntpctl -s status", meaning=(0, 1, 127))
KERNEL = want("busybox adjtimex", meaning=(0, 1, 127))
WANTS = (MARK, CHRONY, NTP, OPENNTP, KERNEL)

UNSYNC = 0x40
"""STA_UNSYNC in linux/timex.h."""
LOCAL = "7F7F0101"
"""chrony's reference where it believes its own clock."""
NOWHERE = 16
"""The stratum of a clock that follows none (RFC 5905)."""


@dataclass(frozen=True)
class Clock:
    """The clock of a host, as its keepers tell.

    :param settable: whether anything on the host may set it at all.
    """

    host: Host = field(repr=False)
    sight: Sight
    settable: bool

    @property
    def keepers(self) -> list[Running]:
        """What sets it. :raises Unknown: it cannot be told whether one does."""
        first = get(self.host, "processes").get(1)
        found = [each for each in self.sight.named(KEEPERS) if _may_set(each.process, first)]
        return [each for each in found if not _watches_only(each)]

    @property
    def guests(self) -> list[Running]:
        return self.sight.named(GUESTS)

    @fact
    def synchronised(self) -> tuple[bool, str]:
        """Whether it follows another clock, and who says so.

        :raises Unknown: nobody tells.
        """
        answers = dict(zip(WANTS, session_of(self.host).ask(*WANTS), strict=True))
        names = {each.name for each in self.keepers}
        if "chronyd" in names and (told := _of_chrony(answers[CHRONY])) is not None:
            return told, "chronyc"
        if "ntpd" in names or "openntpd" in names:
            for asked, reader in ((NTP, _of_ntp), (OPENNTP, _of_openntp)):
                if (told := reader(answers[asked])) is not None:
                    return told, asked.command.split()[0]
        kernel = _of_kernel(answers[KERNEL])
        # chronyd without rtcsync leaves the kernel's mark as it is.
        if kernel or (kernel is False and "chronyd" not in names):
            return kernel, "the kernel"
        if TIMESYNCD in names:
            return answers[MARK].exit == 0, "systemd-timesyncd"
        why = next((each.complaint for each in answers.values() if _refused(each)), "")
        raise Unknown(
            f"nobody tells whether the clock follows another one{f': {why}' if why else ''}"
        )


def _refused(answer: Answer) -> bool:
    return bool(answer.exit) and answer.exit != 127 and answer.want is not MARK


def _may_set(process: Process, first: Process | None) -> bool:
    """Whether a process has the right to set the host's clock."""
    here, there = process.spaces.get("user"), first.spaces.get("user") if first else None
    if here is not None and there is not None and here != there:
        return False
    return "CAP_SYS_TIME" in process.caps.permitted


def _watches_only(keeper: Running) -> bool:
    """Whether it was told not to set the clock: ``-x`` of chronyd(8), as in containers."""
    if keeper.name != "chronyd":
        return False
    try:
        words = keeper.process.cmdline
    except Gone:
        return False
    return any(re.fullmatch(r"-[a-zA-Z46]*[xQq][a-zA-Z46]*", each) for each in words[1:])


def _of_chrony(answer: Answer) -> bool | None:
    """Read ``tracking``: reference, name, stratum, … and the leap status last."""
    fields = answer.text.strip().split(",")
    if answer.exit or len(fields) < 14 or not fields[2].isdecimal():
        return None
    follows = fields[-1] in ("Normal", "Insert second", "Delete second")
    return follows and fields[0].upper() != LOCAL and 0 < int(fields[2]) < NOWHERE


def _of_ntp(answer: Answer) -> bool | None:
    leap = re.search(r"\bleap=([0-3]{1,2}|leap_\w+)", answer.text) if not answer.exit else None
    stratum = re.search(r"\bstratum=(\d{1,2})", answer.text) if not answer.exit else None
    if not leap or not stratum:
        return None
    return leap[1] not in ("11", "3", "leap_alarm") and int(stratum[1]) < NOWHERE


def _of_openntp(answer: Answer) -> bool | None:
    found = re.search(r"\bclock (un)?synced\b", answer.text) if not answer.exit else None
    return None if found is None else not found[1]


def _of_kernel(answer: Answer) -> bool | None:
    found = re.search(r"^\s*status:\s+(\d{1,6})\b", answer.text, re.M) if not answer.exit else None
    return None if found is None else not int(found[1]) & UNSYNC


@provide
def clock(host: Host) -> Clock:
    """The host's clock. :raises Unknown: processes are hidden."""
    session_of(host).foresee(*WANTS)
    sight = running_programs(host, [*KEEPERS, *GUESTS])
    processes: Processes = get(host, "processes")
    first = processes.get(1)
    settable = first is None or "CAP_SYS_TIME" in first.caps.bounding
    return Clock(host, sight, settable)
