"""Compose files of a host: those of projects that run, and those among the build files.

Format: compose-spec (docs.docker.com, compose-file). Values are taken as they are written; ``${X}``
is filled in only by its default, as what the shell of a start will hold is not in the file.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.build_files.dockerfile import Base, expand
from hullcheck.facts.build_files.dockerfiles import COMPOSE, unseen_places
from hullcheck.facts.build_files.files import (
    NOWHERE,
    BuildFiles,
    compose_paths,
    parse_sweep,
    read_want,
)
from hullcheck.facts.foreign_yaml import at, documents, items, keys, line_of, text
from hullcheck.facts.registry import Unseen, get, provide_each
from hullcheck.inventory.document import Node
from hullcheck.inventory.policy import Policy
from hullcheck.transport import session_of
from hullcheck.verdict import Object

__all__ = ["ComposeFile", "Service", "Setting", "compose_file"]


@dataclass(frozen=True, slots=True)
class Setting:
    """A variable or argument.

    :param value: None if it is taken from where the command is given.
    """

    name: str
    value: str | None
    number: int


@dataclass(frozen=True, slots=True)
class Service:
    """One service of a compose file."""

    name: str
    node: Node = field(repr=False)

    def __str__(self) -> str:
        return f"{self.name} (line {self.node.line})"

    def get(self, *path: str) -> Node | None:
        return at(self.node, *path)

    @property
    def build(self) -> Node | None:
        """How it is built, if that is more than a folder."""
        return self.get("build")

    @property
    def image(self) -> Base | None:
        """The image that is pulled for it; None if it is built here."""
        node = self.get("image")
        if not text(node) or self.build is not None:
            return None
        return Base(_filled(text(node)) or "", text(node), line_of(node))

    def settings(self, *path: str) -> Iterator[Setting]:
        """Yield what a mapping, or a list of NAME=VALUE, sets."""
        node = self.get(*path)
        for name, value in keys(node).items():
            if not isinstance(value.value, dict | list):
                yield Setting(name, None if value.absent else value.raw, value.line)
            elif value.value:
                # A placeholder without quotes, or no compose file at all.
                yield Setting(name, "", value.line)
        if node is not None and isinstance(node.value, list):
            for each in node.value:
                name, equals, told = text(each).partition("=")
                yield Setting(name.strip(), told if equals else None, each.line)

    def volumes(self) -> Iterator[tuple[str, int]]:
        """Yield the paths of the host that it mounts."""
        for each in items(self.get("volumes")):
            told = text(each).partition(":")[0] if text(each) else text(at(each, "source"))
            source = _filled(told) or told
            if source.startswith(("/", "~", "..")):
                yield posixpath.normpath(source), each.line


def _filled(word: str) -> str | None:
    return expand(word.replace("$$", "\\$"), {})


@dataclass(frozen=True, eq=False)
class ComposeFile:
    """:param runs: whether containers say that they were made from it."""

    path: str
    documents: tuple[Node, ...] = field(repr=False)
    runs: bool = False

    @property
    def object(self) -> Object:
        return Object("compose-file", self.path)

    def __str__(self) -> str:
        return self.path

    @cached_property
    def services(self) -> list[Service]:
        """Its services, and what they take over with YAML's merges.

        :raises NotApplicable: it has none: it includes others, or adds networks and the like.
        """
        found = {
            name: Service(name, node)
            for document in self.documents
            for name, node in keys(at(document, "services")).items()
            if not name.startswith("x-") and isinstance(node.value, dict)
        }
        if not found:
            # The first format had no heading.
            found = {
                name: Service(name, node)
                for document in self.documents
                for name, node in keys(document).items()
                if at(node, "image") is not None or at(node, "build") is not None
            }
        if not found:
            raise NotApplicable("it describes no service")
        return list(found.values())


@provide_each
def compose_file(host: Host, policy: Policy) -> list[ComposeFile | Unseen]:
    """Every compose file that containers were made from, or that is among the build files.

    :raises NotApplicable: none is known.
    """
    try:
        files: BuildFiles = get(host, "build_files", policy)
    except NotApplicable:
        files = BuildFiles(())
    running, doubt = compose_paths(host)
    more = [each for each in running if each not in files.texts]
    if more:
        answer = session_of(host).ask(read_want(more))[0]
        files = files.joined(parse_sweep(answer, [posixpath.dirname(each) for each in more]))
    found: list[ComposeFile | Unseen] = []
    named = files.named(COMPOSE)
    for path in sorted({*named, *(each for each in running if each in files.texts)}):
        try:
            told = tuple(documents(files.text(path) or "", path))
            found.append(ComposeFile(path, told, path in running))
        except Unknown as reason:
            found.append(Unseen(Object("compose-file", path), f"{path}: {reason}"))
    found += unseen_places(files, "compose-file")
    if doubt:
        found.append(Unseen(Object("compose-file", "(of projects that run)"), doubt))
    if not found:
        raise NotApplicable(NOWHERE)
    return found
