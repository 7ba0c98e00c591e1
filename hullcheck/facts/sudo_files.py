"""The files that sudo and doas take their rules from, read in one sweep and with what they include.

sudoers(5), sudo.conf(5), doas.conf(5). openSUSE keeps a distributor's file below /usr/etc; sudo-rs
prefers a file of its own name; Alpine's doas reads a folder.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.registry import provide
from hullcheck.facts.sudoers import Default, Include, Rule, Sudoers, parse_sudoers
from hullcheck.facts.texts import END, lines_of, texts
from hullcheck.transport import Answer, CannotAnswer, Want, session_of, want

__all__ = ["FIRST", "NAME", "VERSION", "Source", "SudoFiles", "sudo_files", "sudoers_want"]

MAIN = "/etc/sudoers"
ROOTS = (MAIN, "/usr/etc/sudoers", "/usr/local/etc/sudoers", "/etc/sudoers-rs")
FOLDERS = ("/etc/sudoers.d", "/usr/etc/sudoers.d", "/usr/local/etc/sudoers.d", "/etc/doas.d")
DOAS = ("/etc/doas.conf", "/usr/local/etc/doas.conf")
OTHERS = ("/etc/sudo.conf", "/etc/nsswitch.conf")
DIRECTORY = "/var/lib/sss/pipes/sudo"
"""Where sssd answers sudo, if it does; nsswitch.conf names it on hosts that have no sssd too."""

DEEPEST = 16
MOST = 512

# The name of a tag, or of an alias, may look like that of a secret, whose value would be cut out.
_KEPT = (
    r"sed -e 's/PASSWD[[:blank:]]*:[[:blank:]]*/PASSWD:/g'"
    r" -e '/[a-z]_Alias[[:blank:]]/s/[[:blank:]]*=/!=/g'"
)


def sudoers_want(paths: Iterable[str]) -> Want:
    """Return a want for the lines of some files, and of the files in some folders."""
    names = " ".join(map(shlex.quote, paths))
    return want(
        f"find -L {names} -maxdepth 1 -type f -exec grep -aH '' /dev/null {{}} + | {_KEPT};"
        f" stat -c '= %n' {DIRECTORY}; echo '{END}'"
    )


FIRST = sudoers_want((*ROOTS, *FOLDERS, *DOAS, *OTHERS))
VERSION = want("sudo -V | head -n 1", meaning=(0, 127))
NAME = want("uname -n")

_ABSENT = ("No such file or directory", "Not a directory")
_ALIAS = re.compile(r"^[ \t]*\w+_Alias[ \t]")
_COMPLAINT = re.compile(r"(?:find|grep|stat): (?:[^/]*)(/.*?)['\"]?: ([^:]+)$")


@dataclass(frozen=True, slots=True)
class Source:
    """What one sudo reads, in the order in which it reads it.

    :param root: the first file. ``files``: all of them.
    :param parts: every rule. ``defaults`` and ``aliases``: of all files together.
    :param doubts: why there may be more than this; empty if there is not.
    """

    root: str
    files: list[str] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    defaults: list[Default] = field(default_factory=list)
    aliases: dict[tuple[str, str], tuple[object, ...]] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SudoFiles:
    """What decides who may become whom on a host.

    :param doas: the text of each file of doas, in the order in which it is read.
    :param doubts: why there may be more rules than those of the files.
    """

    sources: tuple[Source, ...]
    doas: dict[str, str]
    doubts: tuple[str, ...]


class _Reader:
    """The texts of files, and what has to be asked to know more of them."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.answers = [session_of(host).ask(FIRST, VERSION, NAME)[0]]
        self.read: dict[str, str | Unknown] = {}
        self.asked = {*ROOTS, *FOLDERS, *DOAS, *OTHERS}
        self.hidden: dict[str, str] = {}
        self._take(self.answers[0])

    def _take(self, answer: Answer) -> None:
        lines = lines_of(answer)
        if not lines or lines[-1] != END:
            raise CannotAnswer("the files of sudo were not read to the end")
        self.read |= texts(answer, mark="= ")
        for line in answer.evidence.stderr.decode("utf-8", "surrogateescape").splitlines():
            if line.strip() and not line.endswith(_ABSENT):
                found = _COMPLAINT.match(line)
                path, why = (found[1], found[2]) if found else ("/", line[:200])
                self.hidden[path] = why

    def fetch(self, paths: Iterable[str]) -> None:
        """Read more files or folders."""
        missing = sorted(set(paths) - self.asked)
        if missing:
            self.asked |= set(missing)
            self._take(session_of(self.host).ask(sudoers_want(missing))[0])

    def why_hidden(self, path: str) -> str:
        """Return why a path cannot be seen; empty if it can."""
        parts = {"/", path, posixpath.dirname(path)}
        why = next((self.hidden[each] for each in sorted(parts) if each in self.hidden), "")
        more = "; it needs root" if why == "Permission denied" else ""
        return f"{path} cannot be read: {why}{more}" if why else ""

    def text(self, path: str) -> str | None:
        """Return a file's text, None if it cannot be read or is not there."""
        found = self.read.get(path)
        return None if isinstance(found, Unknown) else found

    def inside(self, folder: str) -> list[str]:
        """Return what sudo reads of a folder: no name with a dot, none that ends in a tilde."""
        prefix = f"{folder.rstrip('/')}/"
        names = (each.removeprefix(prefix) for each in self.read if each.startswith(prefix))
        return [
            f"{prefix}{name}"
            for name in sorted(names, key=lambda each: each.encode("utf-8", "surrogateescape"))
            if "/" not in name and "." not in name and not name.endswith("~")
        ]


def _parsed(reader: _Reader, path: str) -> Sudoers:
    text = reader.text(path) or ""
    lines = (line.replace("!=", " =") if _ALIAS.match(line) else line for line in text.split("\n"))
    return parse_sudoers(path, "\n".join(lines))


def _walk(reader: _Reader, source: Source, path: str, short: str, depth: int = 0) -> None:
    """Add what a file says, and what it includes, to a source."""
    why = reader.why_hidden(path)
    if why:
        source.doubts.append(why)
    if depth > DEEPEST or len(source.files) > MOST:
        source.doubts.append(f"{path} is included deeper, or with more others, than anybody needs")
        return
    source.files.append(path)
    found = _parsed(reader, path)
    source.defaults.extend(found.defaults)
    source.aliases.update(found.aliases)
    source.doubts.extend(f"{each} cannot be understood" for each in found.troubles)
    wanted = [_place(each, path, short) for each in found.parts if isinstance(each, Include)]
    reader.fetch(wanted)
    for part in found.parts:
        if isinstance(part, Rule):
            source.rules.append(part)
            continue
        place = _place(part, path, short)
        inside = reader.inside(place) if part.folder else [place]
        if part.folder and reader.why_hidden(place):
            source.doubts.append(reader.why_hidden(place))
        for each in inside:
            _walk(reader, source, each, short, depth + 1)


def _place(include: Include, path: str, short: str) -> str:
    where = include.path.replace("%h", short)
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), where))


def _roots(reader: _Reader) -> Iterator[str]:
    """Yield the first file of each sudo that a host may have."""
    conf = reader.text("/etc/sudo.conf") or ""
    named = re.findall(r"^[ \t]*Plugin[ \t].*\bsudoers_file=(/\S+)", conf, re.MULTILINE)
    reader.fetch(named)
    there = [each for each in ROOTS if each in reader.read or reader.why_hidden(each)]
    yield from dict.fromkeys(named)
    if MAIN in there:
        there = [each for each in there if each != "/usr/etc/sudoers"]
    yield from (each for each in there if each not in named)


def _doubts(reader: _Reader) -> Iterator[str]:
    conf = reader.text("/etc/sudo.conf") or ""
    for plugin in re.findall(r"^[ \t]*Plugin[ \t]+\S*policy\S*[ \t]+(\S+)", conf, re.MULTILINE):
        if posixpath.basename(plugin) != "sudoers.so":
            yield f"sudo decides by a plugin of its own, {plugin}"
    for path in OTHERS:
        if reader.why_hidden(path):
            yield reader.why_hidden(path)
    switch = re.search(r"^sudoers:(.*)$", reader.text("/etc/nsswitch.conf") or "", re.MULTILINE)
    sources = re.sub(r"\[.*?\]|#.*", "", switch[1]).split() if switch else []
    served = f"= {DIRECTORY}" in lines_of(reader.answers[0]) or DIRECTORY in reader.hidden
    for source in sources:
        if source not in ("files", "sss") or (source == "sss" and served):
            yield f"rules of sudo come from {source} too, not from files alone"


@provide
def sudo_files(host: Host) -> SudoFiles:
    """The rules of sudo and of doas, as they are written."""
    reader = _Reader(host)
    short = session_of(host).ask(NAME)[0].text.strip().partition(".")[0]
    sources = []
    for root in _roots(reader):
        source = Source(root)
        _walk(reader, source, root, short)
        sources.append(source)
    doubts = list(_doubts(reader))
    doas = {}
    named = [each for each in sorted(reader.read) if each.startswith("/etc/doas.d/")]
    for path in (*DOAS, *(each for each in named if each.endswith(".conf"))):
        if reader.why_hidden(path) or reader.why_hidden("/etc/doas.d"):
            doubts.append(reader.why_hidden(path) or reader.why_hidden("/etc/doas.d"))
        text = reader.text(path)
        if text is not None:
            doas[path] = text
    return SudoFiles(tuple(sources), doas, tuple(dict.fromkeys(doubts)))
