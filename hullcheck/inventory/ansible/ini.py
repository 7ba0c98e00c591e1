"""Ansible's INI: ``[group]``, ``[group:children]``, ``[group:vars]``, and hosts with variables."""

from __future__ import annotations

import ast
import re
import shlex
import warnings
from typing import Any

from hullcheck.catalogue import nearest
from hullcheck.inventory.ansible.tree import UNGROUPED, Tree
from hullcheck.inventory.ansible.variables import needed
from hullcheck.inventory.document import DocumentError, Node
from hullcheck.inventory.host import free_name
from hullcheck.inventory.ranges import expanded

__all__ = ["named_hosts", "read_ini"]

_SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?")
_NAME = re.compile(r"([^:\]\s]+)\s*(?:#.*)?")
_PORT = re.compile(r"(?:\[(?P<six>[^\]]+)\]|(?P<host>(?:[^:\[\]]|\[[^\]]*\])*)):(?P<port>[0-9]+)")
_KINDS = ("hosts", "children", "vars")


def read_ini(text: str, file: str, tree: Tree) -> None:
    """Add what a file says to a tree.

    :raises DocumentError: a line cannot be understood, or a group is nowhere to be found.
    """
    reader = _Reader(file, tree)
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and line.strip()[0] not in "#;":
            reader.line(number, line.strip())
    reader.finish()


def named_hosts(at: Node, pattern: str) -> tuple[list[str], Node | None]:
    """Return the hosts that a pattern stands for, and their port, if it says one.

    :param at: where it stands.
    :raises DocumentError: it is no pattern, or no name.
    """
    found = _PORT.fullmatch(pattern)
    port = None
    if found:
        pattern = found["six"] or found["host"]
        port = node_of(int(found["port"]), "ansible_port", at)
    try:
        return [free_name(at, each) for each in expanded(pattern)], port
    except DocumentError:
        raise
    except ValueError as error:
        raise at.error(str(error)) from error


def node_of(value: Any, name: str, at: Node) -> Node:
    """Return a value of Python's as one that knows where it stands."""
    raw = "" if isinstance(value, dict | list) or value is None else str(value)
    if isinstance(value, dict):
        value = {str(key): node_of(each, str(key), at) for key, each in value.items()}
    elif isinstance(value, list | tuple | set):
        value = [node_of(each, f"an item of {name}", at) for each in value]
    elif not isinstance(value, str | int | float | bool | None):
        value = raw
    return Node(at.file, at.line, value, raw, name)


class _Reader:
    def __init__(self, file: str, tree: Tree) -> None:
        self._file = file
        self._tree = tree
        self._group, self._kind = UNGROUPED, "hosts"
        self._children: list[tuple[Node, str, str]] = []
        self._values: list[tuple[Node, str, dict[str, Node]]] = []

    def line(self, number: int, text: str) -> None:
        at = Node(self._file, number, None, text)
        if text.startswith("["):
            section = _SECTION.fullmatch(text)
            if section:
                self._section(at, section[1], section[2] or "hosts")
                return
            if text.endswith("]") or text.partition("#")[0].strip().endswith("]"):
                raise at.error(f"{text!r} is no section; write [GROUP], [GROUP:children] or"
                               " [GROUP:vars], without spaces")  # fmt: skip
        if self._kind == "hosts":
            self._host(at, text)
        elif self._kind == "children":
            self._child(at, text)
        else:
            name, value = _assigned(at, text)
            self._values.append((at, self._group, needed({name: value})))

    def finish(self) -> None:
        """Add what is said of groups, all of which must have a section of their own by now."""
        for at, parent, child in self._children:
            self._tree.check(at, child)
            self._tree.adopt(at, parent, child)
        for at, group, values in self._values:
            self._tree.check(at, group)
            self._tree.say(group, values)

    def _section(self, at: Node, group: str, kind: str) -> None:
        if kind not in _KINDS:
            raise at.error(f"a section is of the kinds {', '.join(_KINDS)}, not {kind!r}"
                           f"{nearest(kind, _KINDS)}")  # fmt: skip
        self._group, self._kind = group, kind
        if kind == "vars":
            self._values.append((at, group, {}))
        else:
            self._tree.group(group)

    def _host(self, at: Node, text: str) -> None:
        try:
            pattern, *words = shlex.split(text, comments=True)
        except ValueError as error:
            raise at.error(f"cannot be split into words: {error}") from error
        hosts, port = named_hosts(at, pattern)
        values = needed(dict(_assigned(at, word) for word in words))
        for host in hosts:
            self._tree.add(at, host, self._group, values, port)

    def _child(self, at: Node, text: str) -> None:
        found = _NAME.fullmatch(text)
        if not found:
            raise at.error(f"{text!r} is no name of a group; write one a line")
        self._children.append((at, self._group, found[1]))


def _assigned(at: Node, text: str) -> tuple[str, Node]:
    """Return a variable and its value, which is Python's where it can be, else a text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise at.error(f"{text!r} is no variable; write NAME=VALUE, in quotes if it has spaces")
    name, value = name.strip(), value.strip()
    return name, node_of(_literal(value), name, at)


def _literal(text: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
