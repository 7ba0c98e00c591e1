"""What a running program is: by its name, its file, its arguments, whichever of them tells.

A process gives itself a name (prctl(2)) and may overwrite its arguments; the link
``/proc/PID/exe`` it cannot change. To be taken for something, one of them is enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.containers import Container
from hullcheck.facts.processes import TIMES, Gone, Process
from hullcheck.facts.registry import get
from hullcheck.transport.backend import session_of

__all__ = ["Program", "catalogue", "parent", "program", "programs", "terminals", "tracer"]

COMM = 15
"""Bytes of a name that the kernel keeps."""

_MANY = re.compile(r"(?:busybox|toybox).*|dropbearmulti|coreutils")
_LOADER_VALUED = ("--library-path", "--argv0", "--preload", "--inhibit-rpath")
_LOADER = re.compile(r"ld-linux.*|ld-musl.*|ld\.so.*|ld[0-9.]*-.*\.so.*|qemu-[a-z0-9_]+(-static)?")


@dataclass(frozen=True, slots=True)
class _Family:
    """Interpreters of one kind: which options hold the code itself, and which take a value."""

    names: re.Pattern[str]
    inline: re.Pattern[str]
    valued: frozenset[str]
    module: re.Pattern[str] = re.compile("(?!)")


_FAMILIES = (
    _Family(re.compile("(?:ba|da|a|k|z|mk|fi|c|tc|pw)?sh|ksh93|elvish|nu"),
            re.compile("-[A-Za-z]*[cC][A-Za-z]*"),
            frozenset({"-o", "+o", "--rcfile", "--init-file"})),
    _Family(re.compile("(?:python|pypy)[0-9.]*"), re.compile("-[A-Za-z]*c"),
            frozenset({"-X", "-W", "-Q"}), re.compile("-[A-Za-z]*m")),
    _Family(re.compile("node|nodejs"), re.compile("-e|-p|-pe|--eval|--print"),
            frozenset({"-r", "--require", "--import", "--loader", "-C", "--conditions"})),
    _Family(re.compile("(?:perl|ruby|lua)[0-9.]*"), re.compile("-[A-Za-z0]*[eE]"),
            frozenset({"-I", "-r"})),
    _Family(re.compile("php[0-9.]*"), re.compile("-r"), frozenset({"-d", "-c"})),
)  # fmt: skip
_SUFFIX = re.compile(r"\.(?:py[cz]?|[cm]?js|pl|rb|php|phar|sh)$")
_VERSION = re.compile(r"(?:[-_.]?[0-9]+(?:\.[0-9]+)+|[-_][0-9]+)$")
_TTY = re.compile(r"(\d+)/stat:.*\) [A-Za-z] -?\d+ -?\d+ -?\d+ (-?\d+) ")
_ALSO = {"npm-cli": "npm", "npx-cli": "npx", "pip3": "pip", "dnf5": "dnf", "berry": "yarn"}


@dataclass(frozen=True, slots=True)
class Program:
    """A running program.

    :param names: all that it may be called, without directories and versions.
    :param arguments: what it was told, after its own name.
    :param title: its command line in one piece, as it may have rewritten it.
    :param scripted: whether it is an interpreter or shell that was told what to run.
    :param hidden: why not everything could be seen; empty if it could.
    """

    names: frozenset[str]
    arguments: tuple[str, ...]
    title: str = field(repr=False)
    scripted: bool = False
    hidden: str = ""


def catalogue(*names: str) -> frozenset[str]:
    """Return names of programs, and what the kernel keeps of the long ones."""
    return frozenset(names) | {name[:COMM] for name in names}


def programs(container: Container) -> list[tuple[Process, Program]]:
    """Return what runs in a container, asked for all its processes together."""

    def compute() -> list[tuple[Process, Program]]:
        container.look_up()
        return [(process, program(process)) for process in container.processes]

    return session_of(container.host).recall(("programs", container.init.pid), compute)


def program(process: Process) -> Program:
    """Return what a process runs. What has ended, or may not be seen, has fewer names."""
    names, hidden, words = _variants(re.split(r"[\s:]", process.name)[0]), "", []
    try:
        words = _words(process.cmdline)
    except Gone:
        pass
    except Unknown as reason:
        hidden = str(reason)
    try:
        names |= _variants(process.exe.removesuffix(" (deleted)"))
    except Gone:
        pass
    except Unknown as reason:
        hidden = hidden or str(reason)
    called = _called(words)
    return Program(
        names | called.names, tuple(called.arguments), " ".join(words), called.scripted, hidden
    )


def tracer(process: Process) -> str:
    """Name who traces a process: "7 (gdb)"."""
    return _named(process.host, process.tracer)


def parent(process: Process) -> str:
    """Name who started a process, or took it over."""
    return _named(process.host, process.ppid)


def _named(host: Host, pid: int) -> str:
    found = get(host, "processes").get(pid)
    return str(found) if found is not None else f"{pid}, which is gone"


def terminals(host: Host) -> Mapping[int, int]:
    """Return the terminal of every process, as its device number; 0 is none (proc(5), stat).

    A process whose name has a newline in it is left out.
    """
    return session_of(host).recall(
        ("programs", "terminals"),
        lambda: {
            int(row[1]): int(row[2])
            for row in map(_TTY.match, session_of(host).ask(TIMES)[0].text.split("\n"))
            if row is not None
        },
    )


def _words(arguments: list[str]) -> list[str]:
    """Return the words of a command line; one that was rewritten is a single argument."""
    while arguments and not arguments[-1]:
        arguments = arguments[:-1]
    return arguments[0].split() if len(arguments) == 1 else arguments


class _Called(NamedTuple):
    names: frozenset[str]
    arguments: list[str]
    scripted: bool = False


def _called(words: list[str]) -> _Called:
    """Return what a command line calls its program, and the arguments after that.

    Programs that are many (busybox), the dynamic loader and interpreters are told, by an
    argument, which program they are.
    """
    names: frozenset[str] = frozenset()
    while words:
        # sshd calls itself "sshd: /usr/sbin/sshd -D [listener] …".
        own = _base(words[0].rstrip(":")).lstrip("-")
        names |= _variants(own)
        words = words[1:]
        family = next((each for each in _FAMILIES if each.names.fullmatch(own)), None)
        if family is not None:
            script = _script(words, family)
            return _Called(names | script.names, script.arguments, script.scripted)
        if not _MANY.fullmatch(own) and not _LOADER.fullmatch(own):
            break
        words = _after_options(words, _LOADER_VALUED)
    return _Called(names, words)


def _script(words: list[str], family: _Family) -> _Called:
    """Return what an interpreter was told to run: a file, a module or, without a name, code."""
    at = 0
    while at < len(words) and words[at].startswith(("-", "+")):
        if family.inline.fullmatch(words[at]):
            return _Called(frozenset(), words[at + 1 :], scripted=True)
        if family.module.fullmatch(words[at]):
            named = words[at + 1 : at + 2]
            names = [_variants(each.partition(".")[0]) for each in named]
            return _Called(frozenset().union(*names), words[at + 2 :], scripted=True)
        at += 2 if words[at] in family.valued else 1
    if at >= len(words):
        return _Called(frozenset(), [])
    path = words[at].removesuffix("/__main__.py").removesuffix("/__main__.pyc")
    return _Called(_variants(path), words[at + 1 :], scripted=True)


def _after_options(words: list[str], valued: Iterable[str]) -> list[str]:
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in valued else 1
    return words[at:]


def _variants(path: str) -> frozenset[str]:
    """Return a program's name, and the same without a suffix or a version."""
    name = _base(path).lstrip("-")
    bare = _SUFFIX.sub("", name)
    plain = _VERSION.sub("", bare)
    found = {name, bare, plain, _ALSO.get(bare, bare), _ALSO.get(plain, plain)}
    return frozenset(each for each in found if each)


def _base(path: str) -> str:
    return path.rpartition("/")[2]
