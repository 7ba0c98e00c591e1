"""Services of a host: which run, and which will be started at the next boot.

systemd is asked, and where it is not process 1, OpenRC's and System V's links are read. What
runs is also to be seen among the processes, whoever started it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.registry import provide
from hullcheck.facts.texts import lines_of
from hullcheck.transport import Answer, session_of, want

__all__ = ["Service", "Services", "parse_unit_files", "parse_units", "services"]

BOOTED = want("stat -c %n /run/systemd/system", meaning=(0, 1))
_ASKED = "[ ! -d /run/systemd/system ] || systemctl"
"""Only the systemd that runs is asked: without it systemctl makes the list of unit files itself, in
more than half a second of the host's processor."""

UNITS = want(
    f"{_ASKED} list-units --all --full --plain --no-legend --no-pager", meaning=(0, 1, 127)
)
UNIT_FILES = want(f"{_ASKED} list-unit-files --full --no-legend --no-pager", meaning=(0, 1, 127))
LINKS = want(
    "find /etc/runlevels /run/openrc/started /etc/rc2.d /etc/rc3.d /etc/rc5.d"
    " -mindepth 1 ! -type d -print",
    meaning=(0, 1),
)
"""OpenRC's runlevels and what it has started, and System V's links (``S20name``)."""

STARTED = frozenset({"enabled", "enabled-runtime", "generated", "alias"})
"""States of unit files that something starts by itself; systemctl(1), ``is-enabled``. A unit that
is ``indirect`` or ``static`` is started by another one, which says so itself."""

_SUFFIXES = (".service", ".socket", ".timer", ".path", ".mount", ".target", ".automount")
_RUNLEVEL = re.compile("/etc/runlevels/(?!shutdown/)[^/]+/([^/]+)")
_STARTED = re.compile("/run/openrc/started/([^/]+)")
_SYSV = re.compile(r"/etc/rc[235]\.d/S\d\d([^/]+)")
_COMPLAINT = re.compile(r"find: '?([^':]+)'?: (.*)")
_ABSENT = "No such file or directory"


@dataclass(frozen=True, slots=True)
class Service:
    """One unit of systemd, or one service of another init system.

    :param active: whether it runs (a timer: whether it waits); None where the init system does
        not tell.
    :param enabled: whether it is started at the next boot by itself; a socket or a timer of the
        same name may start it all the same.
    :param state: systemd's own word for the unit's file, or empty: static, masked, enabled …
    """

    name: str
    active: bool | None
    enabled: bool
    state: str = ""

    def __str__(self) -> str:
        return self.name


_ACTIVE = frozenset({"active", "reloading", "activating", "refreshing"})
_NAMED = re.compile(r"[^\s/]+\.[a-z]+")


def parse_units(answer: Answer) -> dict[str, bool]:
    """Return each unit that systemd has loaded, and whether it is active."""
    found = {}
    for line in lines_of(answer):
        # Before the name may stand a mark of one letter: of what failed, or is not found.
        fields = re.sub(r"^\s*(?:\S )?\s*", "", line).split()
        if not fields:
            continue
        if len(fields) < 4 or not _NAMED.fullmatch(fields[0]):
            raise Unknown(f"systemctl list-units: cannot understand {line[:80]!r}")
        found[fields[0]] = fields[2] in _ACTIVE
    return found


def parse_unit_files(answer: Answer) -> dict[str, str]:
    """Return the state of each unit file that systemd finds."""
    found = {}
    for line in lines_of(answer):
        fields = line.split()
        if not fields:
            continue
        if len(fields) < 2 or not _NAMED.fullmatch(fields[0]):
            raise Unknown(f"systemctl list-unit-files: cannot understand {line[:80]!r}")
        found[fields[0]] = fields[1]
    return found


class Services:
    """The services of a host, by name; for systemd ``.service`` may be left out.

    :param manager: systemd, openrc, sysv, or empty: none could be seen.
    """

    def __init__(self, manager: str, found: Iterable[Service]) -> None:
        self.manager = manager
        self._found = {each.name: each for each in found}

    def __iter__(self) -> Iterator[Service]:
        return iter(self._found.values())

    def get(self, name: str) -> Service | None:
        """Return a service; None if the host has none of that name.

        :raises Unknown: the host has no init system that could be asked.
        """
        if not self.manager:
            raise Unknown(f"cannot tell whether {name} is started: no init system was found")
        if self.manager == "systemd" and not name.endswith(_SUFFIXES):
            name = f"{name}.service"
        return self._found.get(name)

    def first(self, *names: str) -> Service | None:
        """Return the first of some services that is there: an active one before others."""
        found = [each for each in map(self.get, names) if each]
        return next((each for each in found if each.active), found[0] if found else None)


@provide
def services(host: Host) -> Services:
    """The services of the host. :raises Unknown: its init system gives no answer."""
    booted, units, files, links = session_of(host).ask(BOOTED, UNITS, UNIT_FILES, LINKS)
    if booted.exit == 0:
        return Services("systemd", _of_systemd(units, files))
    paths = lines_of(links)
    for line in links.evidence.stderr.decode("utf-8", "replace").splitlines():
        complaint = _COMPLAINT.fullmatch(line)
        if complaint is None or complaint[2] != _ABSENT:
            raise Unknown(f"cannot tell which services are started: {line[:200]}")
    if any(each.startswith("/etc/runlevels/") for each in paths):
        enabled, active = _names(_RUNLEVEL, paths), _names(_STARTED, paths)
        found = [
            Service(name, name in active, name in enabled) for name in sorted({*enabled, *active})
        ]
        return Services("openrc", found)
    names = _names(_SYSV, paths)
    return Services("sysv" if names else "", [Service(name, None, True) for name in names])


def _names(pattern: re.Pattern[str], paths: Iterable[str]) -> list[str]:
    return sorted({found[1] for path in paths if (found := pattern.fullmatch(path))})


def _of_systemd(units: Answer, files: Answer) -> list[Service]:
    for each in (units, files):
        if each.exit:
            raise Unknown(f"systemd does not answer: {each.complaint or 'no reason given'}")
    active, states = parse_units(units), parse_unit_files(files)
    return [
        Service(name, active.get(name, False), states.get(name, "") in STARTED,
                states.get(name, ""))
        for name in sorted({*active, *states})
    ]  # fmt: skip
