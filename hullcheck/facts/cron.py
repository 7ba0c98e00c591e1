"""What cron, anacron and at run, whose files these are, and who may leave jobs.

cron(8), crontab(1) and (5), anacron(8), at(1) of Debian, cronie and busybox: their places differ.
"""

from __future__ import annotations

import posixpath
import re
import shlex

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.distribution import Distribution
from hullcheck.facts.listings import Listing, listed, listing
from hullcheck.facts.registry import fact, get, provide
from hullcheck.facts.texts import END, lines_of, whole
from hullcheck.transport import CannotAnswer, session_of, want

__all__ = ["EVERYBODY", "Cron", "cron"]

TABLES = ("/etc/crontab", "/etc/anacrontab")
FOLDERS = (
    "/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly", "/etc/cron.monthly",
    "/etc/cron.yearly", "/etc/periodic/15min", "/etc/periodic/hourly", "/etc/periodic/daily",
    "/etc/periodic/weekly", "/etc/periodic/monthly",
)  # fmt: skip
SPOOLS = ("/var/spool/cron", "/var/spool/cron/crontabs", "/var/spool/cron/tabs", "/etc/crontabs")
PLACES = listing((*TABLES, *FOLDERS, *SPOOLS))

LISTS = ("/etc/cron.allow", "/etc/cron.deny", "/etc/at.allow", "/etc/at.deny")
TOOLS = {"cron": ("/usr/bin/crontab", "/bin/crontab"), "at": ("/usr/bin/at", "/bin/at")}
_TOOLS = tuple(each for some in TOOLS.values() for each in some)
ALLOWED = want("grep -aH '' -- /dev/null " + " ".join(LISTS) + f"; echo '{END}'")
THERE = want(
    "stat -L -c '%a %n' -- " + " ".join((*LISTS, *_TOOLS)) + f"; echo '{END}'",
)

_PROGRAM = (
    "{ if ($0 ~ /^[ \\t]*[#A-Za-z_]/ && FILENAME !~ /anacrontab$/) next;"
    ' n = ($1 ~ /^@/) ? 2 : 6; u = "root";'
    " if (FILENAME ~ /anacrontab$/) n = 4; else if (FILENAME !~ /\\/root$/) { u = $n; n++ }"
    ' if (u == "root" && $n ~ /^\\/[A-Za-z0-9_.\\/+-]+$/) print FILENAME "\\t" $n }'
)
PROGRAMS = want(
    "for f in /etc/crontab /etc/anacrontab /etc/cron.d/* /var/spool/cron/root"
    " /var/spool/cron/crontabs/root /var/spool/cron/tabs/root /etc/crontabs/root;"
    ' do [ ! -f "$f" ] || awk ' + shlex.quote(_PROGRAM) + ' "$f"; done; echo \'' + END + "'"
)  # fmt: skip
"""The programs that root's jobs begin with, by path; not their arguments, which may be secret."""

EVERYBODY = "everybody"
_ABSENT = ("No such file or directory", "Not a directory")


class Cron:
    """Cron on one host."""

    def __init__(self, host: Host, found: Listing) -> None:
        self.host, self._found = host, found

    @property
    def system(self) -> list[str]:
        """The files and folders that root's jobs are made of.

        :raises Unknown: some cannot be listed.
        """
        inside = (*TABLES, *FOLDERS, *SPOOLS)
        self._found.need(*TABLES, *FOLDERS)
        return [each for each in self._found.paths
                if each in inside or posixpath.dirname(each) in FOLDERS]  # fmt: skip

    @property
    def users(self) -> dict[str, str]:
        """Each user's own table by its path, and whose it is.

        :raises Unknown: they cannot be listed.
        """
        self._found.need(*SPOOLS)
        found = {}
        for path in self._found.paths:
            folder, name = posixpath.split(path)
            other = path in SPOOLS or name.startswith(("at", "cron", ".", "tmp"))
            if folder in SPOOLS and not other and name != "lastrun":
                found[path] = name
        return found

    @fact
    def programs(self) -> dict[str, str]:
        """The programs that root's jobs begin with, and the table that says so."""
        answer = session_of(self.host).ask(PROGRAMS)[0]
        lines = lines_of(answer)
        if not lines or lines[-1] != END:
            raise CannotAnswer("cron's tables were not read to the end")
        complaint = answer.complaint
        if complaint and not complaint.endswith(_ABSENT):
            raise Unknown(f"cron's tables cannot be read: {complaint}; it may need root")
        found: dict[str, str] = {}
        for line in lines[:-1]:
            table, tab, program = line.partition("\t")
            if not tab or not program.startswith("/"):
                raise CannotAnswer("a line of cron's tables is none")
            found.setdefault(posixpath.normpath(program), table)
        return found

    def allowed(self, tool: str) -> set[str]:
        """Return who beside root may leave jobs with cron or at; EVERYBODY for all.

        :raises NotApplicable: the host does not have it. :raises Unknown: a list is unreadable.
        """
        lists, there = session_of(self.host).ask(ALLOWED, THERE)
        found = self._modes(lines_of(there))
        modes = [found[each] for each in TOOLS[tool] if each in found]
        if not modes:
            raise NotApplicable(f"this host has no {tool}")
        # Without the file's own rights, only root can write into the spool.
        if not any(mode & 0o6000 and mode & 0o011 for mode in modes):
            return set()
        allow, deny = f"/etc/{tool}.allow", f"/etc/{tool}.deny"
        if allow in found:
            text = whole(lists).get(allow, "")
            if isinstance(text, Unknown):
                raise Unknown(f"{text}; it may need root")
            return {line.strip() for line in text.split("\n")} - {"", "root"}
        if deny in found or (tool == "cron" and self._open):
            return {EVERYBODY}
        return set()

    def _modes(self, lines: list[str]) -> dict[str, int]:
        if not lines or lines[-1] != END:
            raise CannotAnswer("what there is of cron was not listed to the end")
        found: dict[str, int] = {}
        for line in lines[:-1]:
            row = re.fullmatch(r"([0-7]{1,5}) (/\S+)", line)
            if row is None:
                raise CannotAnswer("what there is of cron is listed in a way that is not known")
            found[row[2]] = int(row[1], 8)
        return found

    @property
    def _open(self) -> bool:
        """Whether crontab(1) lets everybody in where there is no list: all do but cronie."""
        there: Distribution = get(self.host, "distribution")
        return there.family not in ("rhel", "suse", "arch")


@provide
def cron(host: Host) -> Cron:
    """Cron on the host. :raises NotApplicable: it has none."""
    session_of(host).foresee(PROGRAMS, ALLOWED, THERE)
    found = listed(session_of(host).ask(PLACES)[0])
    if not found.paths and not found.hidden:
        raise NotApplicable("this host has no cron")
    return Cron(host, found)
