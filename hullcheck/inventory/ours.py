"""Hullcheck's own YAML: ``hosts``, ``groups`` and ``defaults``.

The smallest form is ``hosts: {web1: {}, web2: {}}``. All keys that a host may have, ``defaults``
and groups may have too (but for ``address``). What stands nearest to the host counts: the host,
then its groups, then the groups that have those as ``children``, then ``defaults``. Two groups of
which none is above the other may not say different things of one host, unless the host decides.
A list replaces a list; only ``tags`` add up. Policy values and ssh options are decided one by one
in the same way, and policy values refine the policy file of the command line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hullcheck.catalogue import nearest
from hullcheck.inventory.document import Node
from hullcheck.inventory.host import KEYS, VALUES, InventoryHost, read_values, site_name
from hullcheck.inventory.policy import Policy, policy_values

__all__ = ["KINDS", "own_hosts"]

KINDS = ("hosts", "groups", "defaults")
"""What the document holds."""

_GROUP = ("hosts", "children", *VALUES)
_BY_KEY = ("policy", "ssh_options")


@dataclass(frozen=True, slots=True)
class _Group:
    node: Node
    values: dict[str, Node]
    children: tuple[str, ...]
    hosts: dict[str, Node]


def own_hosts(root: Node, base: Policy) -> list[InventoryHost]:
    """Return the hosts of a document, in its order.

    :param base: the policy that its values refine: the command line's.
    :raises DocumentError: it is wrong somewhere.
    """
    keys = root.keys(KINDS)
    defaults = keys["defaults"].keys(VALUES) if "defaults" in keys else {}
    groups = _groups(keys.get("groups"))
    below = {name: _below(name, groups) for name in groups}
    for values in (defaults, *(group.values for group in groups.values())):
        _check(values)
    mentions: dict[str, list[Node]] = {}
    members: dict[str, set[str]] = {}
    for group, hosts in ((None, _hosts(keys.get("hosts"))), *_grouped(groups)):
        for name, node in hosts.items():
            mentions.setdefault(name, []).append(node)
            members.setdefault(name, set()).update([group] if group else [])
    if not mentions:
        raise root.error("has no hosts; write at least hosts: {web1: {}}")
    found = []
    for name, nodes in sorted(mentions.items(), key=lambda each: each[1][0].line):
        within = sorted(g for g in groups if g in members[name] or below[g] & members[name])
        own = [node.keys() for node in nodes]
        layers = _Layers(name, own, {g: groups[g].values for g in within}, defaults, below)
        found.append(_host(nodes[0], layers, base))
    return found


def _grouped(groups: Mapping[str, _Group]) -> Iterator[tuple[str, dict[str, Node]]]:
    for name, group in groups.items():
        yield name, group.hosts


def _hosts(node: Node | None) -> dict[str, Node]:
    """Return what a ``hosts`` key holds: names, or a mapping of names to values."""
    if node is None or node.absent:
        return {}
    named: dict[str, Node] = {}
    if isinstance(node.value, list):
        for each in node.items():
            name = each.text()
            if name in named:
                raise each.error(f"host {name!r} stands twice; keep one")
            named[name] = Node(each.file, each.line, None, name=name)
    else:
        named = node.keys()
    for name, each in named.items():
        site_name(each, name)
        each.keys(KEYS)
    return named


def _groups(node: Node | None) -> dict[str, _Group]:
    groups = {}
    for name, each in node.keys().items() if node else ():
        keys = each.keys(_GROUP)
        values = {key: value for key, value in keys.items() if key in VALUES}
        children = keys["children"].texts() if "children" in keys else ()
        groups[name] = _Group(each, values, children, _hosts(keys.get("hosts")))
    for name, group in groups.items():
        for child in group.children:
            if child not in groups:
                raise group.node.error(f"there is no group {child!r}{nearest(child, groups)}")
        if name in _below(name, groups):
            raise group.node.error(f"group {name!r} is its own child; break the circle")
    return groups


def _below(name: str, groups: Mapping[str, _Group]) -> set[str]:
    """Return the names of all groups under a group."""
    found: set[str] = set()
    waiting = [*groups[name].children]
    while waiting:
        child = waiting.pop()
        if child not in found:
            found.add(child)
            waiting += groups[child].children
    return found


@dataclass(frozen=True, slots=True)
class _Layers:
    """What is said of one host, nearest first: by itself, by its groups, by the defaults."""

    host: str
    own: list[dict[str, Node]]
    groups: dict[str, dict[str, Node]]
    defaults: dict[str, Node]
    below: Mapping[str, set[str]]

    def all(self) -> list[dict[str, Node]]:
        return [*self.own, *self.groups.values(), self.defaults]

    def under(self, key: str) -> _Layers:
        """Return what is said inside a key that holds a mapping."""

        def inside(layer: dict[str, Node]) -> dict[str, Node]:
            return layer[key].keys() if key in layer else {}

        groups = {name: inside(layer) for name, layer in self.groups.items()}
        own = [inside(layer) for layer in self.own]
        return _Layers(self.host, own, groups, inside(self.defaults), self.below)

    def merged(self, key: str, first: Node) -> Node:
        """Return a mapping of which each value was decided by itself.

        :param first: where the host stands.
        """
        inside = self.under(key)
        decided = {each: inside.decide(each) for layer in inside.all() for each in layer}
        values = {each: node for each, node in decided.items() if node}
        return Node(first.file, first.line, values, name=key)

    def decide(self, key: str) -> Node | None:
        """Return the value that counts. :raises DocumentError: two contradict."""
        said = [layer[key] for layer in self.own if key in layer]
        if not said:
            saying = {name: layer[key] for name, layer in self.groups.items() if key in layer}
            said = [node for name, node in saying.items() if not self.below[name] & set(saying)]
        for node in said[1:]:
            if _plain(node) != _plain(said[0]):
                first, second = sorted((said[0], node), key=lambda each: each.line)
                raise second.error(
                    f"{key} of host {self.host!r} contradicts line {first.line};"
                    " say in the host which one counts"
                )
        return said[0] if said else self.defaults.get(key)


def _plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: _plain(each) for key, each in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(each) for each in node.value]
    return node.value if isinstance(node.value, bool | None) else node.raw


def _host(first: Node, layers: _Layers, base: Policy) -> InventoryHost:
    for own in layers.own:
        _check(own)
    chosen = {key: layers.decide(key) for key in KEYS if key not in (*_BY_KEY, "tags")}
    return InventoryHost(
        layers.host,
        first.file,
        first.line,
        **read_values({**chosen, "ssh_options": layers.merged("ssh_options", first)}),
        tags=tuple(sorted({tag for layer in layers.all() for tag in _tags(layer)})),
        groups=tuple(layers.groups),
        policy=base.merged(policy_values(layers.merged("policy", first))),
    )


def _check(values: Mapping[str, Node]) -> None:
    """Read a layer's values only to see that they are right, whether or not they will count."""
    read_values({key: node for key, node in values.items() if key not in ("policy", "tags")})
    _tags(values)
    if "policy" in values:
        policy_values(values["policy"])


def _tags(layer: Mapping[str, Node]) -> tuple[str, ...]:
    return layer["tags"].texts() if "tags" in layer else ()
