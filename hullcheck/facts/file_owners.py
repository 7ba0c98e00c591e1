"""Which packages some files are of, and with what rights a package has them.

rpm and apk know of each file its mode, rpm its capabilities too; dpkg knows names alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.setuid import names_of
from hullcheck.facts.texts import lines_of
from hullcheck.transport import Answer, Want, session_of, want

__all__ = ["Owned", "Owners", "owners_of", "parse_apk", "parse_dpkg", "parse_rpm"]

MOST = 2000
"""More files than that are not asked for."""

FORMAT = r"[%%{FILEMODES:octal} %%{FILENAMES}%%|FILECAPS?{\t%%{FILECAPS}}|\n]"
APK = want(
    "awk '/^F:/ { d = substr($0, 3) } /^R:/ { f = substr($0, 3) } "
    '/^a:/ && /:[0-7]*[2-7][0-7][0-7][0-7]$/ { print substr($0, 3) " /" d "/" f }\' '
    "/lib/apk/db/installed",
    meaning=(0, 1, 2),
)
"""Alpine's files that are more than readable, writable and to be run (``a:UID:GID:MODE``)."""

PACMAN = "pacman -Qo -- %s"
ABSENT = "No such file or directory"
_DPKG = re.compile(r"[^/]+\.list:(/.*)")
_RPM = re.compile(r"(\d{6,7}) (/[^\t]*)(?:\t(.*))?")
_RPM_NONE = re.compile(r"(?:error: )?file (/.*)(?: is not owned by any package|: No such file .*)")
_APK = re.compile(r"[^:]*:[^:]*:([0-7]{3,5}) /+(.*)")
_MERGED = re.compile(r"/usr(/(?:bin|sbin|lib|lib32|lib64|libx32)/.*)")


@dataclass(frozen=True, slots=True)
class Owned:
    """What a package says of a file.

    :param mode: its permission bits; None if the package manager does not tell.
    :param capabilities: likewise.
    """

    mode: int | None = None
    capabilities: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Owners:
    """What packages say of some files.

    :param managers: the package managers that gave an answer; none on a host without.
    """

    managers: frozenset[str]
    found: Mapping[str, Owned]

    def get(self, path: str) -> Owned | None:
        """Return what a package says of a file; None if it is of none."""
        return self.found.get(path)


def names(path: str) -> list[str]:
    """Return the names that a package may have a file by: /bin is /usr/bin since the merge."""
    merged = _MERGED.fullmatch(path)
    return [path, merged[1]] if merged else [path, f"/usr{path}"]


def parse_dpkg(answer: Answer) -> Iterator[str]:
    """Yield the paths that lists of dpkg's packages name. :raises Unknown: a line is none."""
    for line in lines_of(answer):
        match = _DPKG.fullmatch(line)
        if not match:
            raise Unknown(f"dpkg's lists of files: cannot understand {line[:80]!r}")
        yield match[1]


def parse_rpm(answer: Answer) -> Iterator[tuple[str, Owned]]:
    """Yield what rpm tells of each file of the packages that it found.

    :raises Unknown: a line is none of it.
    """
    for line in lines_of(answer):
        match = _RPM.fullmatch(line)
        if match:
            yield match[2], Owned(int(match[1], 8) & 0o7777, names_of(match[3] or ""))
        elif not _RPM_NONE.fullmatch(line) and line != "(contains no files)":
            raise Unknown(f"rpm: cannot understand {line[:80]!r}")


def parse_apk(answer: Answer) -> Iterator[tuple[str, Owned]]:
    """Yield the setuid and setgid files of Alpine's packages. :raises Unknown: a line is none."""
    for line in lines_of(answer):
        match = _APK.fullmatch(line)
        if not match:
            raise Unknown(f"the database of apk: cannot understand {line[:80]!r}")
        yield f"/{match[2]}", Owned(int(match[1], 8))


def _plain(paths: Iterable[str]) -> list[str]:
    """Return paths that no package manager takes for a pattern."""
    return [path for path in paths if not re.search(r"[*?\[\]\\\n]", path)]


def dpkg_want(paths: Iterable[str]) -> Want:
    """Return a want for which of some paths are in packages of dpkg: its lists are read, for
    dpkg-query reads its whole database."""
    asked = dict.fromkeys(name for path in _plain(paths) for name in names(path))
    return want(
        "cd /var/lib/dpkg/info 2>/dev/null || exit 127; grep -HFx -e "
        + " -e ".join(["%s"] * len(asked)) + " -- *.list",
        *asked, meaning=(0, 1, 2, 127), seconds=60,
    )  # fmt: skip


def rpm_want(paths: Iterable[str]) -> Want:
    """Return a want for all files of the packages of rpm that some paths are in."""
    asked = _plain(paths)
    return want(
        f"rpm -qf --qf '{FORMAT}' -- {_words(asked)}", *asked, meaning=tuple(range(128)), seconds=60
    )


def _words(paths: Collection[str]) -> str:
    return " ".join(["%s"] * len(paths))


def owners_of(host: Host, paths: Collection[str]) -> Owners:
    """Return which packages some files are of.

    :raises Unknown: there are too many of them, or a package manager gives no answer.
    """
    if len(paths) > MOST:
        raise Unknown(f"there are {len(paths)} files to ask package managers for")
    if not _plain(paths):
        return Owners(frozenset({"none"}) if paths else frozenset(), {})
    dpkg, rpm, apk = session_of(host).ask(dpkg_want(paths), rpm_want(paths), APK)
    managers, found = set(), dict[str, Owned]()
    if dpkg.exit == 2 and not dpkg.complaint.endswith(ABSENT):
        raise Unknown(f"dpkg does not tell whose files are: {dpkg.complaint}")
    if dpkg.exit in (0, 1) or dpkg.output:
        managers.add("dpkg")
        found |= dict.fromkeys(parse_dpkg(dpkg), Owned())
    if apk.exit == 0:
        managers.add("apk")
        found |= dict(parse_apk(apk))
    elif not apk.complaint.endswith(ABSENT) and "awk" not in apk.complaint:
        raise Unknown(f"apk does not tell whose files are: {apk.complaint}")
    if rpm.exit != 127:
        told = dict(parse_rpm(rpm))
        if told or not managers:
            managers.add("rpm")
            found |= told
    named = {path: [found[each] for each in names(path) if each in found] for path in paths}
    return Owners(frozenset(managers), {path: each[0] for path, each in named.items() if each})
