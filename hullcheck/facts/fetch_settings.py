"""What tools that fetch code for users are set to: package managers of languages, curl and wget.

Each tool reads files of its own format; what comes out here is one list of settings, each named as
its tool's documentation names it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from xml.parsers import expat

import yaml
from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.package_archives import parse_ini
from hullcheck.facts.package_files import NAMES, SWEEP, PackageFile, PackageFiles
from hullcheck.facts.podman.roots import parse_toml
from hullcheck.facts.processes import Gone
from hullcheck.facts.registry import get, provide
from hullcheck.facts.runners.agents import BuildAgent
from hullcheck.transport import CannotAnswer, session_of

__all__ = ["READERS", "FetchSettings", "Setting", "fetch_settings", "parse_settings"]

DEEPEST = 12
"""So deep a document may be; YAML's aliases must not make it larger than it is."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One value that a tool is told.

    :param tool: pip, npm, go … or ``env``, for a variable of the environment.
    """

    path: str
    tool: str
    name: str
    value: str

    def __str__(self) -> str:
        return f"{self.path}: {self.name}={self.value}" if self.value else (
            f"{self.path}: {self.name}")  # fmt: skip


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """:param doubts: why there may be more."""

    settings: tuple[Setting, ...]
    doubts: tuple[str, ...]


Pairs = Iterator[tuple[str, str]]


def _ini(file: PackageFile) -> Pairs:
    """pip's: a section for each command; a value may go on over several lines."""
    for values in parse_ini(file).values():
        for name, value in values.items():
            for word in value.split() or [""]:
                yield name.replace("_", "-"), word


def _toml(file: PackageFile) -> Pairs:
    yield from _flat(parse_toml(file.path, file.text))


def _yaml(file: PackageFile) -> Pairs:
    if re.search(r"(^|[\s\[{,])[&*]\w", re.sub(r"['\"][^'\"]*['\"]", "", file.text)):
        raise Unknown(f"{file.path} has aliases of YAML, which are not followed")
    # RubyGems' names are symbols, with a colon before them.
    text = re.sub(r"^( *):(\w+):", r"\1\2:", file.text, flags=re.MULTILINE)
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise Unknown(f"{file.path} is no YAML") from None
    yield from _flat(values)


def _json(file: PackageFile) -> Pairs:
    try:
        values = json.loads(file.text)
    except (ValueError, RecursionError):
        raise Unknown(f"{file.path} is no JSON") from None
    yield from _flat(values)


def _flat(values: Any, name: str = "", depth: int = 0) -> Pairs:
    """Yield every value of a document by the last key above it."""
    if depth > DEEPEST:
        raise Unknown("a document of settings is too deep")
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from _flat(value, str(key), depth + 1)
    elif isinstance(values, list):
        for value in values:
            yield from _flat(value, name, depth + 1)
    elif isinstance(values, bool):
        yield name, "true" if values else "false"
    elif values is not None:
        yield name, str(values)


def _npm(file: PackageFile) -> Pairs:
    """npm's and pnpm's ``key=value``, and ``key "value"`` of Yarn 1."""
    for line in file.text.splitlines():
        found = re.match(r"\s*\"?([^\s=\"]+)\"?\s*(?:=|\s)\s*(.*)", line)
        if found:
            yield found[1], found[2].strip().strip("'\"")


def _pairs(file: PackageFile) -> Pairs:
    for line in file.text.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            yield name.strip(), value.strip().strip("'\"")


def _wget(file: PackageFile) -> Pairs:
    """Names are the same in any case, with dashes, underscores or without; wget(1), Wgetrc."""
    for name, value in _pairs(file):
        yield re.sub("[-_]", "", name).lower(), value


def _curl(file: PackageFile) -> Pairs:
    """One option a line, its dashes optional; curl(1), -K."""
    for line in file.text.splitlines():
        word = re.split(r"[\s=:]", line.strip(), maxsplit=1)[0]
        if word and not word.startswith("#"):
            short = word.startswith("-") and not word.startswith("--")
            yield word if short else f"--{word.lstrip('-')}", ""


def _maven(file: PackageFile) -> Pairs:
    """The places that Maven fetches from. Without a declaration there can be no entity."""
    if "<!" in file.text:
        raise Unknown(f"{file.path} has declarations of XML, which are not followed")
    found: list[tuple[str, dict[str, str]]] = []
    open_: list[str] = []

    def start(tag: str, _: object) -> None:
        open_.append(tag.rpartition(":")[2])
        if open_[-1] in ("mirror", "repository", "pluginRepository"):
            found.append((open_[-1], {}))

    def end(_: str) -> None:
        open_.pop()

    def text(data: str) -> None:
        if found and open_[-2:-1] == [found[-1][0]]:
            own = found[-1][1]
            own[open_[-1]] = own.get(open_[-1], "") + data.strip()

    reader = expat.ParserCreate()
    reader.StartElementHandler, reader.EndElementHandler = start, end
    reader.CharacterDataHandler = text
    try:
        reader.Parse(file.text.strip().encode("utf-8", "replace"), True)
    except (expat.ExpatError, ValueError):
        raise Unknown(f"{file.path} is no XML") from None
    yield from ((kind, own.get("url", "")) for kind, own in found if own.get("blocked") != "true")


def _env(file: PackageFile) -> Pairs:
    """Assignments; the last of a name counts."""
    found: dict[str, str] = {}
    for line in file.text.splitlines():
        row = re.match(r"[^A-Za-z_]?([A-Za-z_]\w*)=(.*)", line)
        if row:
            value = row[2]
            try:
                value = " ".join(shlex.split(value))
            except ValueError:
                value = value.strip("'\"")
            found[row[1].upper()] = value
    yield from found.items()


READERS: Mapping[str, Callable[[PackageFile], Pairs]] = {
    "pip": _ini, "uv": _toml, "npm": _npm, "yarn": _yaml, "go": _pairs, "cargo": _toml,
    "maven": _maven, "composer": _json, "bundle": _yaml, "gem": _yaml, "conda": _yaml,
    "helm": _yaml, "curl": _curl, "wget": _wget, "env": _env,
}  # fmt: skip


def parse_settings(file: PackageFile) -> list[Setting]:
    """Return what a file says. :raises Unknown: it cannot be understood."""
    return [Setting(file.path, file.kind, *pair) for pair in READERS[file.kind](file)]


@provide
def fetch_settings(host: Host) -> FetchSettings:
    """What tools that fetch code are set to, for all users and for each.

    :raises NotApplicable: no such tool is set to anything.
    """
    session_of(host).foresee(SWEEP)
    files: PackageFiles = get(host, "package_files")
    found: list[Setting] = []
    doubts: list[str] = []
    for file in files.of(*READERS):
        if file.text.strip():
            try:
                found += parse_settings(file)
            except Unknown as reason:
                doubts.append(str(reason))
    try:
        files.need(*READERS)
    except Unknown as reason:
        doubts.append(str(reason))
    found += _of_agents(host, doubts)
    if not found and not doubts:
        raise NotApplicable("no tool that fetches code is set to anything here")
    return FetchSettings(tuple(found), tuple(doubts))


def _of_agents(host: Host, doubts: list[str]) -> Iterator[Setting]:
    """Yield the variables with which what runs builds was started."""
    try:
        agents: list[BuildAgent] = get(host, "build_agents")
    except (Unknown, CannotAnswer) as reason:
        doubts.append(str(reason))
        return
    for agent in agents:
        try:
            variables = agent.settings
        except Gone:
            continue
        except (Unknown, CannotAnswer) as reason:
            doubts.append(str(reason))
            continue
        for name in sorted(set(NAMES) & set(variables)):
            yield Setting(f"environment of {agent}", "env", name, variables[name])
