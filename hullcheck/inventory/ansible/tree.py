"""Ansible's groups and hosts, and which of their variables counts for a host.

As Ansible has it: the variables of a group nearer to the host replace those of one further up,
among groups of one depth the priority and then the name decides, and the host's own come last.
What inventory files say of groups comes before all of ``group_vars``, and ``host_vars`` last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hullcheck.catalogue import nearest
from hullcheck.inventory.ansible.variables import FileVariables, Said, none
from hullcheck.inventory.document import Node

__all__ = ["ALL", "UNGROUPED", "Group", "Host", "Tree"]

ALL, UNGROUPED = "all", "ungrouped"


@dataclass(slots=True)
class Group:
    """A group. ``parents`` are the groups that name it among their children."""

    name: str
    values: dict[str, Node] = field(default_factory=dict)
    parents: list[str] = field(default_factory=list)
    priority: int = 1


@dataclass(slots=True)
class Host:
    """A host, and the groups that name it directly."""

    name: str
    file: str
    line: int
    values: dict[str, Node] = field(default_factory=dict)
    groups: list[str] = field(default_factory=list)


class Tree:
    """What some inventory files say together."""

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        self.groups: dict[str, Group] = {ALL: Group(ALL), UNGROUPED: Group(UNGROUPED)}
        self.files: list[FileVariables] = []
        self._merged: dict[tuple[str, ...], Said] = {}

    def group(self, name: str) -> Group:
        """Return a group, made if there was none."""
        return self.groups.setdefault(name, Group(name))

    def check(self, at: Node, group: str) -> None:
        """See that a group exists that is named somewhere. :raises DocumentError: it does not."""
        if group not in self.groups:
            raise at.error(f"there is no group {group!r}{nearest(group, self.groups)}")

    def add(
        self, at: Node, name: str, group: str, values: Mapping[str, Node], port: Node | None = None
    ) -> None:
        """Add what is said of a host in a group.

        :param at: where.
        :param port: the port in its name, which counts where the host is named first.
        """
        host = self.hosts.get(name)
        if host is None:
            host = self.hosts[name] = Host(name, at.file, at.line)
            host.values.update({"ansible_port": port} if port else {})
        host.values.update(values)
        if group not in host.groups:
            host.groups.append(group)

    def say(self, group: str, values: Mapping[str, Node]) -> None:
        """Add variables of a group. :raises DocumentError: its priority is no number."""
        found = self.group(group)
        for name, node in values.items():
            if name == "ansible_group_priority":
                try:
                    found.priority = int(node.raw)
                except ValueError:
                    raise node.error(f"{name} is {node.raw!r}; write a whole number") from None
            else:
                found.values[name] = node

    def adopt(self, at: Node, parent: str, child: str) -> None:
        """Put a group under another. :raises DocumentError: that makes a circle."""
        if child in (ALL, parent) or child in self.above([parent]):
            raise at.error(f"group {child!r} is its own child; break the circle")
        parents = self.group(child).parents
        if parent not in parents:
            parents.append(parent)

    def above(self, names: Iterable[str]) -> set[str]:
        """Return some groups and all those above them, but for ``all``."""
        found: set[str] = set()
        waiting = [*names]
        while waiting:
            name = waiting.pop()
            if name not in found and name != ALL:
                found.add(name)
                waiting += self.groups[name].parents
        return found

    def of(self, host: Host) -> tuple[tuple[str, ...], Said]:
        """Return the groups of a host, and the variables that count for it."""
        within = self.above(host.groups)
        names = within - {UNGROUPED} or {UNGROUPED}
        order = (ALL, *sorted(names, key=self._rank))
        said = self._of_groups(order).updated(Said(host.values))
        for files in self.files:
            said = said.updated(files.host(host.name))
        return order[1:], said

    def _rank(self, name: str) -> tuple[int, int, str]:
        return self._depth(name), self.groups[name].priority, name

    def _depth(self, name: str) -> int:
        parents = [self._depth(each) for each in self.groups[name].parents if each != ALL]
        return 1 + max(parents, default=0)

    def _of_groups(self, order: tuple[str, ...]) -> Said:
        if order not in self._merged:
            said = none()
            for name in order:
                said = said.updated(Said(self.groups[name].values))
            for names in (order[:1], order[1:]):
                for files in self.files:
                    for name in names:
                        said = said.updated(files.group(name))
            self._merged[order] = said
        return self._merged[order]
