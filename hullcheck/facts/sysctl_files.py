"""What the files of sysctl.d set at the next boot, put together as the boot does it.

Sources: sysctl.d(5) and src/sysctl/sysctl.c of systemd; sysctl(8) and src/sysctl.c of procps,
whose ``--system`` OpenRC and System V start.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from hullcheck.control import Unknown
from hullcheck.transport import Answer, want

__all__ = [
    "CONTENTS", "DIRECTORIES", "LAST", "LISTED", "READER", "Line", "Plan", "Reader", "in_order",
    "key_of", "parse_lines", "parse_listed", "parse_reader", "plan_of",
]  # fmt: skip

DIRECTORIES = (
    "/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
)  # fmt: skip
"""Where the files lie; of two with one name, that in the earlier directory counts."""

LAST = "/etc/sysctl.conf"
"""Read after all others, and only by procps; systemd knows it where a link leads to it."""

LISTED = want(
    f"find -H {' '.join(DIRECTORIES)} -mindepth 1 -maxdepth 1 -name '*.conf' -print0",
    meaning=(0, 1),
)
CONTENTS = want(
    "grep -aHEv '^[[:space:]]*([#;]|$)' -- "
    f"{' '.join(f'{each}/*.conf' for each in DIRECTORIES)} {LAST}",
    meaning=(0, 1, 2),
)
"""Every line but comments."""

BOOTED = "/run/systemd/system"
MASKS = tuple(
    f"{each}/systemd-sysctl.service"
    for each in ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system")
)
RUNLEVELS = "/etc/runlevels"
STARTS = tuple(f"{RUNLEVELS}/{each}/sysctl" for each in ("sysinit", "boot", "default"))
ASKED = (BOOTED, *MASKS, RUNLEVELS, *STARTS)
READER = want(f"stat -c %N -- {' '.join(ASKED)}", meaning=(0, 1))
"""What tells who reads the files at boot: systemd, unless it is masked, or OpenRC, if told to."""

_ABSENT = ("No such file or directory", "Not a directory")


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads the files at boot.

    :param name: systemd, openrc, or empty for any other.
    :param idle: why nobody does, in a few words; empty if somebody does.
    """

    name: str
    idle: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One assignment; without a value it keeps patterns from setting the key."""

    key: str
    value: str | None
    file: str


def key_of(name: str) -> str:
    """Return the path below /proc/sys that a name means.

    If its first separator is a dot, dots and slashes change their places: an interface eth0.5 is
    ``net.ipv4.conf.eth0/5.rp_filter``.
    """
    first = re.search(r"[./]", name)
    if first and first[0] == ".":
        name = name.translate(str.maketrans("./", "/."))
    parts = [each for each in name.split("/") if each]
    return "/".join(parts[2:] if parts[:2] == ["proc", "sys"] else parts)


def parse_lines(text: str, file: str) -> list[Line]:
    """Return the assignments of one file; what is none is left out, as the boot does."""
    found = []
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        name, equals, value = line.partition("=")
        if equals:
            key = key_of(name.removeprefix("-").strip())
            found.append(Line(key, " ".join(value.split()), file))
        elif line.startswith("-"):
            found.append(Line(key_of(line[1:].strip()), None, file))
    return found


def parse_listed(answer: Answer) -> list[str]:
    """Return the files of all directories.

    :raises Unknown: a directory cannot be listed, or a name would blur what was read.
    """
    *paths, rest = answer.text.split("\0")
    for line in answer.evidence.stderr.decode("utf-8", "replace").splitlines():
        if not line.endswith(_ABSENT):
            raise Unknown(f"sysctl.d cannot be listed ({line}); it may need root")
    if rest:
        raise Unknown("sysctl.d cannot be listed: what find said of it is not whole")
    for path in paths:
        if posixpath.dirname(path) not in DIRECTORIES:
            raise Unknown(f"sysctl.d cannot be listed: {path[:80]!r} is not in it")
        if ":" in path or "\n" in path:
            raise Unknown(f"the name {path!r} makes it unclear what stands in which file")
    return paths


def in_order(paths: Iterable[str]) -> list[str]:
    """Return the files that are read, in their order: by name, whatever the directory."""
    by_name: dict[str, str] = {}
    for path in sorted(paths, key=lambda each: DIRECTORIES.index(posixpath.dirname(each))):
        by_name.setdefault(posixpath.basename(path), path)
    return [by_name[name] for name in sorted(by_name) if not name.startswith(".")]


def parse_reader(answer: Answer) -> Reader:
    """Return who reads the files at boot."""
    found = {}
    for line in answer.text.splitlines():
        link = re.fullmatch(r"'?(?P<path>/[^']*?)'?(?: -> [`']?(?P<target>[^']*)'?)?", line)
        if not link:
            raise Unknown(f"cannot tell who reads sysctl.d at boot: stat says {line[:80]!r}")
        found[link["path"]] = link["target"] or ""
    complaints = answer.evidence.stderr.decode("utf-8", "replace").splitlines()
    for line in complaints:
        if not line.endswith(_ABSENT):
            raise Unknown(f"cannot tell who reads sysctl.d at boot: {line[:120]}")
    if len(found) + len(complaints) != len(ASKED):
        raise Unknown("cannot tell who reads sysctl.d at boot: the answer is not whole")
    if BOOTED in found:
        masked = any(found.get(each) == "/dev/null" for each in MASKS)
        return Reader("systemd", "systemd-sysctl is masked" if masked else "")
    if RUNLEVELS in found:
        started = any(each in found for each in STARTS)
        return Reader("openrc", "" if started else "the service sysctl is in no runlevel")
    return Reader("")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is set at boot, by key; patterns included, each in its place.

    :param places: where in the order of files each key was last set.
    :param blind: files that could not be read, by their place.
    """

    lines: Mapping[str, Line]
    places: Mapping[str, int]
    blind: Mapping[int, str]

    def of(self, key: str) -> Line | None:
        """Return the line that decides about a key.

        :raises Unknown: a file that could not be read may decide otherwise.
        """
        if key in self.lines:
            # What comes later may set it again; what comes earlier has no say.
            self._seen(self.places[key])
            found = self.lines[key]
            return found if found.value is not None else None
        self._seen(-1)
        matching = [each for each in self.lines.values() if _matches(each.key, key)]
        return matching[-1] if matching else None

    def _seen(self, after: int) -> None:
        for place, reason in self.blind.items():
            if place > after:
                raise Unknown(f"what the next boot sets is not all to be seen: {reason}")


def _matches(pattern: str, key: str) -> bool:
    """Whether a key of the file is a pattern (glob(7)) that a key fits."""
    if not re.search(r"[*?\[]", pattern):
        return False
    parts, names = pattern.split("/"), key.split("/")
    return len(parts) == len(names) and all(map(fnmatchcase, names, parts))


def plan_of(paths: Iterable[str], contents: Mapping[str, str | Unknown]) -> Plan:
    """Put files together in their order: the last line for a key counts.

    :param contents: by path; of a file that is empty, or a link to nothing, there is none.
    """
    lines: dict[str, Line] = {}
    places: dict[str, int] = {}
    blind: dict[int, str] = {}
    for place, path in enumerate(paths):
        text = contents.get(path, "")
        if isinstance(text, Unknown):
            blind[place] = f"{text}; it may need root"
            continue
        for line in parse_lines(text, path):
            lines.pop(line.key, None)
            lines[line.key] = line
            places[line.key] = place
    # A pattern whose value was taken back by an exclusion of the same words sets nothing.
    kept = {key: line for key, line in lines.items()
            if line.value is not None or not re.search(r"[*?\[]", key)}  # fmt: skip
    return Plan(kept, places, blind)
