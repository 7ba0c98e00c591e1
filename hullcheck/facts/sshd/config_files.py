"""The files an sshd reads its settings from, and whether it has read them as they are now."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.sshd.config_text import Setting, parse_config
from hullcheck.facts.texts import lines_of, texts
from hullcheck.transport import Answer, CannotAnswer, Want, read, session_of, want

__all__ = ["DEFAULTS", "PLACES", "Configuration", "changed_since", "configuration", "ending"]

DIRECTORY = "/etc/ssh"
PLACES = ("/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config")
"""Where sshd looks without -f; the second on SUSE, when the first is not there."""

INCLUDED = "/etc/ssh/sshd_config.d/*.conf"
PID_FILE = "/run/sshd.pid"
END = "hullcheck: end"

SLACK = 1.5
"""Seconds by which a start time may be off."""

_GLOB = re.compile(r"([*?\[\]]+)")


def ending(command: str, meaning: tuple[int, ...] = (0,), seconds: float = 20.0) -> Want:
    """Return a want for a command that says at its end that it got there; see :func:`lines`."""
    return want(f"{command}; echo '{END}'", meaning=meaning, seconds=seconds)


def lines(answer: Answer) -> list[str]:
    """Return the lines of an :func:`ending` want. :raises CannotAnswer: it is not whole."""
    found = lines_of(answer)
    if not found or found.pop() != END:
        raise CannotAnswer(f"{answer.want.command[:100]}: the answer is not whole")
    return found


def _spelled(pattern: str) -> str:
    """Quote all of a pattern for a shell but what makes it one."""
    parts = _GLOB.split(pattern)
    return "".join(each if number % 2 else shlex.quote(each) * bool(each)
                   for number, each in enumerate(parts))  # fmt: skip


def _directory(pattern: str) -> str:
    return posixpath.dirname(_GLOB.split(pattern)[0] + "x")


def content_want(pattern: str) -> Want:
    """Return a want for the lines of the files of a pattern, each after its file's name.

    A shell that may not list a directory finds nothing there, as if there were nothing.
    """
    place = _directory(pattern)
    complaint = shlex.quote(f"grep: {place}: Permission denied")
    place = shlex.quote(place)
    return ending(
        f"grep -aH '' -- /dev/null {_spelled(pattern)};"
        f" [ ! -d {place} ] || [ -r {place} ] || echo {complaint} >&2"
    )


def times_want(patterns: Iterable[str]) -> Want:
    """Return a want for when files, and the directories of patterns, were last changed."""
    given = list(patterns)
    folders = dict.fromkeys(_directory(each) for each in given if _GLOB.search(each))
    names = [*map(shlex.quote, folders), *map(_spelled, given)]
    return ending(f"stat -L -c '%Y %Z %n' -- {' '.join(names)}")


DEFAULTS = (
    *(content_want(each) for each in (PLACES[0], INCLUDED)),
    times_want((PLACES[0], INCLUDED)), read(PID_FILE),
    want("stat -L -c '%%Y' -- %s", PID_FILE, meaning=(0, 1)),
)  # fmt: skip
"""What is asked of nearly every sshd."""


@dataclass(frozen=True)
class Configuration:
    """What the files say.

    :param path: the first file; "" if there is none where sshd looks by itself.
    :param settings: every line that sets something.
    :param files: those that were read; ``patterns``: those of Include lines.
    """

    path: str
    settings: tuple[Setting, ...] = ()
    files: tuple[str, ...] = ()
    patterns: tuple[str, ...] = field(default=(), repr=False)

    @property
    def directories(self) -> list[str]:
        """Where further files would be included from."""
        return list(dict.fromkeys(_directory(each) for each in self.patterns))


def configuration(host: Host, path: str = "") -> Configuration:
    """Read the configuration of an sshd with a given -f, or without.

    :raises Unknown: a part of it cannot be read.
    """
    if not path:
        main = next(((each, text) for each in PLACES if (text := _main(host, each))), None)
        if main is None:
            return Configuration("")
    else:
        text = _main(host, path)
        if text is None:
            raise Unknown(f"{path}, which sshd was started with, is not there or empty")
        main = (path, text)
    seen, patterns = {main[0]: None}, dict[str, None]()

    def load(pattern: str) -> list[tuple[str, str]]:
        full = posixpath.join(DIRECTORY, pattern)
        patterns[full] = None
        found = sorted(_contents(host, full).items())
        seen.update((each, None) for each, _ in found)
        return found

    settings = parse_config(*main, load)
    return Configuration(main[0], tuple(settings), tuple(seen), tuple(patterns))


def _main(host: Host, path: str) -> str | None:
    return _contents(host, path).get(path) if path.startswith("/") else None


def _contents(host: Host, pattern: str) -> dict[str, str]:
    """Return the files of a pattern by path; those that are empty or not there are left out."""
    answer = session_of(host).ask(content_want(pattern))[0]
    if lines_of(answer)[-1:] != [END]:
        raise CannotAnswer(f"{answer.want.command[:100]}: the answer is not whole")
    found: dict[str, str] = {}
    for path, text in texts(answer, mark=END).items():
        if isinstance(text, Unknown):
            why = str(text).rpartition(": ")[2]
            hint = "; needs root" if "ermission denied" in why else ""
            raise Unknown(f"{path}, which sshd reads, cannot be read: {why}{hint}")
        found[path] = text
    return found


def changed_since(host: Host, found: Configuration, started: float, pid: int) -> str:
    """Return which file was changed after a running sshd read it; empty if none was.

    sshd hands every connection the text that it read at its start (sshd.c, send_rexec_state).
    At SIGHUP it runs itself anew, as the same process with the same start time, and writes its
    pid file again: that file's time, not the process's, is when it has read.
    """
    wanted = times_want(dict.fromkeys((found.path or PLACES[0], INCLUDED, *found.patterns)))
    times, named, written = session_of(host).ask(wanted, DEFAULTS[3], DEFAULTS[4])
    when = started
    if named.exit == 0 and named.text.strip() == str(pid) and written.text.strip().isdecimal():
        when = max(when, float(written.text))
    for line in lines(times):
        row = re.fullmatch(r"([0-9]{1,12}) ([0-9]{1,12}) (.*)", line)
        if row is None:
            raise CannotAnswer(f"when {found.path} was last changed cannot be told")
        if max(int(row[1]), int(row[2])) > when + SLACK:
            return row[3]
    return ""
