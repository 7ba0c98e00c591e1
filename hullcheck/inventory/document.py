"""YAML documents whose every value knows the file and line it stands on.

Only what JSON could say is read, and a mistake is one sentence that names the file, the line and
the remedy. A key that stands twice, which YAML parsers let the last one win, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hullcheck.catalogue import nearest

__all__ = ["DocumentError", "Node", "load", "parse"]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONSTRUCTOR = yaml.constructor.SafeConstructor()
_TAG = "tag:yaml.org,2002:"
_DEEPEST = 50
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)")


class DocumentError(ValueError):
    """A document cannot be used. Its text is "FILE:LINE: sentence; remedy".

    :param line: from 1; 0 when the whole file is meant.
    """

    def __init__(self, file: str, line: int, message: str) -> None:
        super().__init__(f"{file}:{line}: {message}" if line else f"{file}: {message}")
        self.file = file
        self.line = line
        self.message = message


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands.

    :param value: None, bool, int, float, str, list[Node] or dict[str, Node].
    :param raw: a scalar as it was written: "2.10" where the value is 2.1.
    :param name: what the value is called in a sentence: the key before it.
    """

    file: str
    line: int
    value: Any
    raw: str = ""
    name: str = "the document"

    def error(self, message: str) -> DocumentError:
        """Return the error that something is wrong with this value."""
        return DocumentError(self.file, self.line, message)

    @property
    def absent(self) -> bool:
        """Whether nothing was written, or ``null``."""
        return self.value is None

    def keys(self, known: Collection[str] | None = None) -> dict[str, Node]:
        """Return a mapping's values by key; nothing at all is an empty mapping.

        :param known: the keys that may occur; None: any.
        :raises DocumentError: it is no mapping, or a key is not known.
        """
        if self.absent:
            return {}
        if not isinstance(self.value, dict):
            raise self._wrong("a mapping (key: value)")
        for key, node in self.value.items():
            if known is not None and key not in known:
                near = nearest(key, known) or f"; the keys are {', '.join(known)}"
                raise node.error(f"{self.name} has no key {key!r}{near}")
        return dict(self.value)

    def items(self) -> list[Node]:
        """Return a list's values; nothing at all is an empty list.

        :raises DocumentError: it is no list.
        """
        if self.absent:
            return []
        if not isinstance(self.value, list):
            raise self._wrong("a list ([a, b])")
        return list(self.value)

    def text(self) -> str:
        """Return a text; a number or a date counts as the text it was written as.

        :raises DocumentError: it is something else, or empty.
        """
        if isinstance(self.value, bool):
            raise self.error(f"{self.name} is true or false to YAML; put {self.raw!r} in quotes")
        if self.absent or isinstance(self.value, list | dict):
            raise self._wrong("a text")
        if not self.raw.strip():
            raise self.error(f"{self.name} is empty; write a text or leave the key out")
        return self.raw

    def one_of(self, known: Collection[str]) -> str:
        """Return a text that is one of some words.

        :raises DocumentError: it is not.
        """
        found = self.text()
        if found not in known:
            near = nearest(found, known) or f"; use one of {', '.join(known)}"
            raise self.error(f"there is no {self.name} {found!r}{near}")
        return found

    def texts(self) -> tuple[str, ...]:
        """Return a list of texts. :raises DocumentError: it is something else."""
        return tuple(each.text() for each in self.items())

    def number(self, least: int | None = None, most: int | None = None) -> int:
        """Return a whole number, written in decimal.

        :raises DocumentError: it is something else, or out of bounds.
        """
        if not isinstance(self.value, int) or not _DECIMAL.fullmatch(self.raw):
            raise self._wrong("a whole number")
        if (least is not None and self.value < least) or (most is not None and self.value > most):
            bounds = f"from {least} to {most}" if most is not None else f"of at least {least}"
            raise self.error(f"{self.name} is {self.value}; write a whole number {bounds}")
        return self.value

    def flag(self) -> bool:
        """Return true or false. :raises DocumentError: it is something else."""
        if not isinstance(self.value, bool):
            raise self._wrong("true or false")
        return self.value

    def _wrong(self, wanted: str) -> DocumentError:
        kinds = {dict: "a mapping", list: "a list", type(None): "missing"}
        found = kinds.get(type(self.value)) or f"{self.raw!r}"
        return self.error(f"{self.name} is {found}; write {wanted}")


def load(path: Path | str) -> Node:
    """Read a YAML file.

    :raises DocumentError: it cannot be read, or is not one sound YAML document.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DocumentError(str(path), 0, f"cannot be read: {error.strerror or error}") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DocumentError(str(path), line, "is not UTF-8 text; save it as UTF-8") from error
    return parse(text, str(path))


def parse(text: str, file: str = "<text>") -> Node:
    """Return the document that a YAML text holds. :raises DocumentError: it holds none."""
    try:
        _not_too_deep(text, file)
        root = yaml.compose(text, Loader=_LOADER)
        return Node(file, 1, None) if root is None else _Reader(file).node(root, "the document")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        raise DocumentError(file, line, f"is not sound YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise DocumentError(file, 0, f"is not sound YAML: {str(error).splitlines()[0]}") from error


def _not_too_deep(text: str, file: str) -> None:
    """Refuse a nesting that libyaml would answer by crashing."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            line = event.start_mark.line + 1 if event.start_mark else 0
            raise DocumentError(file, line, "is nested too deeply; flatten it")


class _Reader:
    """Turns PyYAML's nodes into ours."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._open: set[int] = set()

    def node(self, found: yaml.Node, name: str) -> Node:
        line = found.start_mark.line + 1
        if id(found) in self._open:
            raise DocumentError(self.file, line, "contains itself; write the value out")
        self._open.add(id(found))
        try:
            return self._node(found, line, name)
        finally:
            self._open.discard(id(found))

    def _node(self, found: yaml.Node, line: int, name: str) -> Node:
        kind = found.tag.removeprefix(_TAG)
        if isinstance(found, yaml.MappingNode) and kind == "map":
            return Node(self.file, line, self._mapping(found), name=name)
        if isinstance(found, yaml.SequenceNode) and kind == "seq":
            items = [self.node(each, f"an item of {name}") for each in found.value]
            return Node(self.file, line, items, name=name)
        if isinstance(found, yaml.ScalarNode) and kind in ("null", "bool", "int", "float", "str"):
            return Node(self.file, line, self._scalar(found, line), found.value, name)
        if isinstance(found, yaml.ScalarNode) and kind in ("timestamp", "value"):
            return Node(self.file, line, found.value, found.value, name)
        raise DocumentError(self.file, line, f"the tag {found.tag} is not allowed; leave it out")

    def _scalar(self, found: yaml.ScalarNode, line: int) -> Any:
        try:
            return _CONSTRUCTOR.construct_object(found)
        except (ValueError, KeyError) as error:
            raise DocumentError(
                self.file, line, f"{found.value!r} is not a {found.tag.removeprefix(_TAG)}"
            ) from error

    def _mapping(self, found: yaml.MappingNode) -> dict[str, Node]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key, value in found.value:
            line = key.start_mark.line + 1
            if key.tag == f"{_TAG}merge":
                for node in self._merged(value):
                    merged = {**node.keys(), **merged}
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise DocumentError(self.file, line, "a key must be a plain word")
            if key.value in own:
                first = own[key.value].line
                raise DocumentError(
                    self.file, line, f"{key.value!r} stands twice, first in line {first}; keep one"
                )
            node = self.node(value, key.value)
            # A key's line is where a person looks, even if its value begins further down.
            own[key.value] = Node(self.file, line, node.value, node.raw, node.name)
        return {**merged, **own}

    def _merged(self, value: yaml.Node) -> Iterator[Node]:
        several = isinstance(value, yaml.SequenceNode)
        for each in value.value if several else [value]:
            yield self.node(each, "<<")
