"""What containerd and CRI-O have in common: a daemon that reads files of TOML when it starts."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.bundles import HERE
from hullcheck.facts.docker.candidates import parse_programs, program_name
from hullcheck.facts.docker.search import PROGRAMS
from hullcheck.facts.engine_files import EngineFile
from hullcheck.facts.engines import Engine, Told
from hullcheck.facts.podman.roots import parse_toml
from hullcheck.facts.processes import Gone, Process, Processes
from hullcheck.facts.registry import fact, get
from hullcheck.facts.sockets import InetListener, sockets_of
from hullcheck.transport import Answer, Want, read, session_of, want

__all__ = [
    "Flags",
    "Settings",
    "TomlDaemon",
    "TomlFile",
    "parse_arguments",
    "running",
    "toml_file",
    "typed",
    "wants",
]

SLACK = 1.5
"""Seconds by which a start time may be off: the kernel tells the boot time in whole seconds."""

FIRST_START = 60.0
"""Seconds within which a starting daemon may still make the folder of its file."""

_OVER = ("No such file or directory", "Not a directory")
_KINDS = {bool: "truth value", str: "string", list: "list", int: "number"}

Flags = Mapping[str, list[str]]


def typed(value: Any, default: Any, what: str) -> Any:
    """Return a value that has its default's type. :raises Unknown: it has another one."""
    kind = type(default)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Unknown(f"{what} is no {_KINDS[kind]}")
    return value


def parse_arguments(argv: list[str], booleans: Collection[str] = ()) -> tuple[Flags, str]:
    """Return the flags of a command line, and the subcommand that follows them, if one does.

    Go's flag package takes one dash or two, and ``=`` or a space before the value.
    """
    found: dict[str, list[str]] = {}
    words = list(argv[1:])
    while words:
        word = words.pop(0)
        name, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("-") or not name:
            return found, word.strip("-") or next(iter(words), "")
        if not equals:
            value = "true" if name in booleans or not words else words.pop(0)
        found.setdefault(name, []).append(value)
    return found, ""


@dataclass(frozen=True, slots=True)
class TomlFile:
    """One file, where its daemon sees it.

    :param changed: when it, or of an absent one its folder, was last changed; None if never.
    """

    path: str
    exists: bool
    values: Mapping[str, Any] = field(default_factory=dict)
    changed: float | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What some files say together.

    :param variants: the merged values, in each way in which a release of the daemon may merge
        them.
    """

    files: tuple[TomlFile, ...]
    variants: tuple[Mapping[str, Any], ...]

    def get(self, *keys: str) -> Any:
        """Return what is at a path of keys, or None. :raises Unknown: the release decides it."""
        found = [_at(each, keys) for each in self.variants]
        if any(each != found[0] for each in found):
            raise Unknown(f"it depends on the release what is merged for {'.'.join(keys)}")
        return found[0]

    def source(self, *keys: str) -> str:
        """Return the last file that says something there."""
        said = [each.path for each in self.files if _at(each.values, keys) is not None]
        return said[-1] if said else "default"


def _at(values: Any, keys: Iterable[str]) -> Any:
    for key in keys:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


class TomlDaemon(Engine):
    """One running daemon.

    :param flags: of its command line.
    """

    default_file = ""

    def __init__(self, host: Host, kind: str, process: Process, flags: Flags) -> None:
        self.process = process
        self.flags = flags
        super().__init__(host, kind, f"{kind} {self.config_file}")

    def profile(self, path: str) -> str:
        answer = session_of(self.host).ask(read(self.seen(path)))[0]
        if answer.exit:
            raise Unknown(f"{path} cannot be read: {answer.complaint}")
        return answer.text

    def flag(self, *names: str) -> str | None:
        """Return the value that counts of a flag, by any of its names."""
        values = [value for name in names for value in self.flags.get(name, ())]
        return values[-1] if values else None

    @property
    def config_file(self) -> str:
        """The file it was told to read, as it was written, else the default one."""
        return self.flag("config", "c") or self.default_file

    def absolute(self, path: str) -> str:
        """Return a path that may begin where the daemon was started."""
        if path.startswith("/"):
            return path
        answer = session_of(self.host).ask(
            want(f"readlink -n /proc/{self.process.pid}/cwd", meaning=(0, 1))
        )[0]
        if answer.exit:
            raise Unknown(f"where process {self.process} was started cannot be seen (needs root)")
        return posixpath.normpath(posixpath.join(answer.text, path))

    def seen(self, path: str) -> str:
        """Return where the host finds what the daemon sees at a path."""
        if "\0" in path or not path.startswith("/"):
            raise Unknown(f"{path!r} in the configuration of {self.kind} is no absolute path")
        here = session_of(self.host).ask(HERE)[0].text.strip()
        own = self.process.spaces.get("mnt")
        at_home = own is None or "{}:{}".format(*own) == here
        return path if at_home else f"/proc/{self.process.pid}/root{path}"

    def placed(self, path: str) -> str:
        return self.seen(path)

    def read(self, paths: Collection[str]) -> list[TomlFile]:
        """Return some files, as the daemon sees them. :raises Unknown: one cannot be read."""
        places = [self.seen(path) for path in paths]
        answers = session_of(self.host).ask(*(each for place in places for each in wants(place)))
        pairs = zip(answers[::2], answers[1::2], strict=True)
        return [
            toml_file(path, place, *pair)
            for path, place, pair in zip(paths, places, pairs, strict=True)
        ]

    @property
    def settings(self) -> Settings:
        """What its files say now. :raises Unknown: one cannot be read or parsed."""
        raise NotImplementedError

    @property
    def stale(self) -> str:
        """Why the files may not be what the daemon read when it started; empty if they are."""
        for file in self.settings.files:
            slack = SLACK if file.exists else FIRST_START
            if file.changed is not None and file.changed > self.process.started + slack:
                what = file.path if file.exists else f"the folder of {file.path}"
                return f"{what} was changed after {self.kind} started; restart it"
        return ""

    def told(self, default: Any, *keys: str) -> Told:
        """Return a setting of the files, which has its default's type.

        :raises Unknown: it has another type, or the files changed since the daemon started.
        """
        if self.stale:
            raise Unknown(self.stale)
        value, source = self.settings.get(*keys), self.settings.source(*keys)
        if value is None:
            return Told(default, "default")
        return Told(typed(value, default, f"{keys[-1]} in {source}"), source)

    @fact
    def listeners(self) -> list[InetListener]:
        """The TCP ports it really listens on, in its own network namespace.

        :raises Unknown: only root can see which they are.
        """
        space = sockets_of(self.host, self.process.pid)
        return [each for each in space.tcp if self.process.pid in each.owners]

    def file(self, path: str) -> EngineFile:
        """Return one of its files or directories, and who may own it."""
        own = frozenset({0, self.process.uids[1]})
        groups = frozenset({0, self.process.gids[1]})
        return EngineFile(self.host, path, self.seen(path), own, groups)


def wants(path: str) -> tuple[Want, Want]:
    """Return what must be asked to read a file: its content, when it last changed, its size."""
    folder = posixpath.dirname(path) or "/"
    changed = want("stat -L -c '%%Y %%Z %%s %%n' -- %s %s", path, folder, meaning=(0, 1))
    return read(path), changed


def toml_file(path: str, place: str, content: Answer, changed: Answer) -> TomlFile:
    """Return the file that :func:`wants` asked for at a place of the host.

    :raises Unknown: it cannot be read, or is not TOML.
    """
    lines = [re.fullmatch(r"(\d+) (\d+) (\d+) (.*)", line) for line in changed.text.splitlines()]
    times = {each[4]: float(max(int(each[1]), int(each[2]))) for each in lines if each}
    if content.exit == 0:
        if place not in times:
            raise Unknown(f"when {path} was last changed cannot be told")
        if not content.text and any(each and each[4] == place and int(each[3]) for each in lines):
            raise Unknown(f"{path} is not empty, but nothing came of it")
        return TomlFile(path, True, parse_toml(path, content.text), times[place])
    if content.complaint.endswith(_OVER):
        return TomlFile(path, False, {}, times.get(posixpath.dirname(place) or "/"))
    raise Unknown(f"{path} cannot be read: {content.complaint}; it may need root")


def running(
    host: Host, program: str, booleans: Collection[str] = ()
) -> Iterator[tuple[Process, Flags]]:
    """Yield the processes of a daemon that belong to the host, and their flags.

    Not one in a container, which is a host of its own, nor what runs a subcommand and ends.
    """
    session_of(host).foresee(HERE)
    answer = session_of(host).ask(PROGRAMS)[0]
    processes: Processes = get(host, "processes")
    programs = parse_programs(answer)
    found = [
        each for each in processes
        if len(each.nspid) < 2 and not each.zombie
        and program in (each.name, program_name(programs.get(each.pid, "")))
    ]  # fmt: skip
    session_of(host).foresee(*(read(f"/proc/{each.pid}/cmdline") for each in found))
    for process in found:
        try:
            flags, subcommand = parse_arguments(process.whole_cmdline, booleans)
        except Gone:
            continue
        if not subcommand:
            yield process, flags
