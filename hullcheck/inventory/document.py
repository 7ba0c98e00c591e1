"""YAML documents whose every value knows the file and line it stands on.

Only what JSON could say is read, and a mistake is one sentence that names the file, the line and
the remedy. A key that stands twice, which YAML parsers let the last one win, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from hullcheck.catalogue import nearest

__all__ = ["DocumentError", "Node", "decoded", "load", "parse", "parse_all", "read_text"]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONSTRUCTOR = yaml.constructor.SafeConstructor()
_RESOLVER: Any = yaml.resolver.Resolver()
_TAG = "tag:yaml.org,2002:"
_DEEPEST = 50
_MERGED = 100_000
"""Keys that merges (``<<``) may bring in all: each brings all keys of another mapping."""
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
    :param tag: a tag of its own, such as Ansible's ``!vault``.
    """

    file: str
    line: int
    value: Any
    raw: str = ""
    name: str = "the document"
    tag: str = ""

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
    return parse(read_text(path), str(path))


def read_text(path: Path | str) -> str:
    """Return what a file holds. :raises DocumentError: it cannot be read, or is no UTF-8."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DocumentError(str(path), 0, f"cannot be read: {error.strerror or error}") from error
    return decoded(data, str(path))


def decoded(data: bytes, file: str) -> str:
    """Return a file's bytes as text. :raises DocumentError: they are no UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DocumentError(file, line, "is not UTF-8 text; save it as UTF-8") from error


def parse(text: str, file: str = "<text>", *, foreign: bool = False) -> Node:
    """Return the document that a YAML text holds.

    :param foreign: it was written for another program (Ansible): tags of its own are kept, and
        of a key that stands twice the last counts.
    :raises DocumentError: it holds none.
    """
    with _told(file):
        return _Reader(text, file, foreign).document()


def parse_all(text: str, file: str = "<text>") -> list[Node]:
    """Return all documents that a YAML text of another program holds; see :func:`parse`.

    :raises DocumentError: it is not sound.
    """
    with _told(file):
        return list(_Reader(text, file, True).documents())


@contextmanager
def _told(file: str) -> Iterator[None]:
    """Say in one sentence what libyaml finds wrong."""
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        raise DocumentError(file, line, f"is not sound YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise DocumentError(file, 0, f"is not sound YAML: {str(error).splitlines()[0]}") from error


class _Reader:
    """Makes values of libyaml's events, one by one, so that a large document costs little.

    libyaml's own composer crashes on a deep nesting, and keeps every value twice.
    """

    def __init__(self, text: str, file: str, foreign: bool) -> None:
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))
        self._file = file
        self._foreign = foreign
        self._depth = 0
        self._anchors: dict[str, Node | None] = {}
        self._merged = 0

    def documents(self) -> Iterator[Node]:
        next(self._events)
        while not isinstance(next(self._events), yaml.StreamEndEvent):
            self._anchors = {}
            yield self._node(next(self._events), "the document")
            next(self._events)

    def document(self) -> Node:
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return Node(self._file, 1, None)
        found = self._node(next(self._events), "the document")
        next(self._events)
        more: Any = next(self._events)
        if not isinstance(more, yaml.StreamEndEvent):
            raise self._error(more, "is not sound YAML: a second document begins; keep one")
        return found

    def _node(self, event: Any, name: str, line: int = 0) -> Node:
        """Return the value that begins with an event.

        :param line: where a person looks for it: its key's, even if it begins further down.
        """
        line = line or _line(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, name, line)
        if event.anchor:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            found = self._scalar(event, name, line)
        else:
            found = self._collection(event, name, line)
        if event.anchor:
            self._anchors[event.anchor] = found
        return found

    def _alias(self, event: Any, name: str, line: int) -> Node:
        if event.anchor not in self._anchors:
            raise self._error(event, f"is not sound YAML: there is no anchor {event.anchor!r}")
        found = self._anchors[event.anchor]
        if found is None:
            raise self._error(event, "contains itself; write the value out")
        return replace(found, line=line, name=name)

    def _collection(self, event: Any, name: str, line: int) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._error(event, "is nested too deeply; flatten it")
        mapping = isinstance(event, yaml.MappingStartEvent)
        usual = (None, "!", f"{_TAG}{'map' if mapping else 'seq'}")
        tag = "" if event.tag in usual else event.tag
        if tag and not self._foreign:
            raise self._error(event, f"the tag {tag} is not allowed; leave it out")
        value = self._mapping() if mapping else self._items(name)
        self._depth -= 1
        return Node(self._file, line, value, name=name, tag=tag)

    def _items(self, name: str) -> list[Node]:
        found = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self._node(event, f"an item of {name}"))
        return found

    def _mapping(self) -> dict[str, Node]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self._error(event, "a key must be a plain word")
            key, line = event.value, _line(event)
            if key == "<<" and event.implicit[0]:
                merge = self._node(next(self._events), "<<")
                for each in merge.value if isinstance(merge.value, list) else [merge]:
                    self._merged += len(each.keys()) + len(merged)
                    if self._merged > _MERGED:
                        raise self._error(event, "merges more than anybody writes; write it out")
                    merged = {**each.keys(), **merged}
                continue
            if key in own and not self._foreign:
                first = own[key].line
                raise self._error(event, f"{key!r} stands twice, first in line {first}; keep one")
            if event.anchor:
                self._anchors[event.anchor] = self._scalar(event, key, line)
            own[key] = self._node(next(self._events), key, line)
        return {**merged, **own} if merged else own

    def _scalar(self, event: Any, name: str, line: int) -> Node:
        tag, raw = event.tag, event.value
        if tag in (None, "!"):
            tag = _RESOLVER.resolve(yaml.ScalarNode, raw, event.implicit)
        kind = tag.removeprefix(_TAG)
        if kind in ("str", "timestamp", "value", "merge"):
            return Node(self._file, line, raw, raw, name)
        if kind == "null":
            return Node(self._file, line, None, raw, name)
        if kind in ("bool", "int", "float"):
            return Node(self._file, line, self._constructed(event, tag), raw, name)
        if self._foreign:
            return Node(self._file, line, raw, raw, name, tag)
        raise self._error(event, f"the tag {tag} is not allowed; leave it out")

    def _constructed(self, event: Any, tag: str) -> Any:
        try:
            return _CONSTRUCTOR.construct_object(yaml.ScalarNode(tag, event.value))
        except (ValueError, KeyError) as error:
            wrong = f"{event.value!r} is not a {tag.removeprefix(_TAG)}"
            raise self._error(event, wrong) from error

    def _error(self, event: Any, message: str) -> DocumentError:
        return DocumentError(self._file, _line(event), message)


def _line(event: Any) -> int:
    line: int = event.start_mark.line
    return line + 1
