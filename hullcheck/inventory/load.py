"""Inventories: the hosts to audit, how each is reached, and by which site values.

The smallest form is ``hosts: {web1: {}, web2: {}}``. All keys that a host may have, ``defaults``
and groups may have too (but for ``address``). What stands nearest to the host counts: the host,
then its groups, then the groups that have those as ``children``, then ``defaults``. Two groups of
which none is above the other may not say different things of one host, unless the host decides.
A list replaces a list; only ``tags`` add up. Policy values are decided one by one in the same
way, and refine the policy file of the command line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hullcheck.catalogue import nearest
from hullcheck.inventory.document import Node, load
from hullcheck.inventory.policy import Policy, policy_values
from hullcheck.inventory.roles import ROLES
from hullcheck.transport.target import SCHEMES, Target

__all__ = ["InventoryHost", "limited", "load_inventory"]

_VALUES = (
    "user", "port", "sudo", "sudo_user", "connection", "ssh_config", "identity_file", "role",
    "policy", "tags",
)  # fmt: skip
_GROUP = ("hosts", "children", *_VALUES)
_HOST = ("address", *_VALUES)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_PLAIN = re.compile(r"[^\s\x00-\x1f\x7f-][^\s\x00-\x1f\x7f]*")


@dataclass(frozen=True, slots=True)
class InventoryHost:
    """A host to audit. None and "" mean that nothing was said: ``~/.ssh/config`` decides.

    :param address: what to connect to; "" when the name is to be resolved.
    :param identity_file: private keys to try before those of ``~/.ssh/config``.
    :param role: what it is for, some of ROLES; () leaves it to what is seen of the host.
    :param groups: every group it is in, directly or through ``children``.
    """

    name: str
    file: str
    line: int
    address: str = ""
    user: str = ""
    port: int | None = None
    sudo: bool | None = None
    sudo_user: str = ""
    connection: str = "paramiko"
    ssh_config: str = ""
    identity_file: tuple[str, ...] = ()
    role: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    policy: Policy = field(default_factory=Policy)

    @property
    def target(self) -> Target:
        """How to reach it; the auditor's own machine has no address, user or port."""
        local = self.connection == "local"
        return Target(
            scheme=self.connection,
            address="" if local else self.address or self.name,
            port=None if local else self.port,
            user=None if local else self.user or None,
            sudo=bool(self.sudo),
            sudo_user=self.sudo_user or None,
            ssh_config=Path(self.ssh_config) if self.ssh_config else None,
            identity_file=tuple(map(Path, self.identity_file)),
            role=self.role,
            name=self.name,
        )


@dataclass(frozen=True, slots=True)
class _Group:
    node: Node
    values: dict[str, Node]
    children: tuple[str, ...]
    hosts: dict[str, Node]


def load_inventory(
    path: Path | str, base: Policy | None = None, limit: str | None = None
) -> list[InventoryHost]:
    """Return the hosts of an inventory file, in its order.

    :param base: the policy that the inventory's values refine: the command line's.
    :param limit: which hosts, as :func:`limited` says; the whole file must be right all the same.
    :raises DocumentError: the file cannot be read or is wrong somewhere.
    :raises ValueError: the limit fits nothing.
    """
    root = load(path)
    keys = root.keys(("hosts", "groups", "defaults"))
    defaults = keys["defaults"].keys(_VALUES) if "defaults" in keys else {}
    groups = _groups(keys.get("groups"))
    below = {name: _below(name, groups) for name in groups}
    for values in (defaults, *(group.values for group in groups.values())):
        _checked(values)
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
        found.append(_host(nodes[0], layers, base or Policy()))
    return limited(found, limit)


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
        if not _NAME.fullmatch(name):
            raise each.error(
                f"{name!r} cannot name a host; use letters, digits, dots, dashes and"
                " underscores, and say where it is in address"
            )
        each.keys(_HOST)
    return named


def _groups(node: Node | None) -> dict[str, _Group]:
    groups = {}
    for name, each in node.keys().items() if node else ():
        keys = each.keys(_GROUP)
        values = {key: value for key, value in keys.items() if key in _VALUES}
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
        _checked(own)
    chosen = {key: layers.decide(key) for key in _HOST if key not in ("policy", "tags")}
    policy = layers.under("policy")
    decided = {key: policy.decide(key) for layer in policy.all() for key in layer}
    site = Node(first.file, first.line, {k: v for k, v in decided.items() if v}, name="policy")
    return InventoryHost(
        layers.host,
        first.file,
        first.line,
        **_read(chosen),
        tags=tuple(sorted({tag for layer in layers.all() for tag in _tags(layer)})),
        groups=tuple(layers.groups),
        policy=base.merged(policy_values(site)),
    )


def _checked(values: Mapping[str, Node]) -> None:
    """Read a layer's values only to see that they are right, whether or not they will count."""
    _read({key: node for key, node in values.items() if key not in ("policy", "tags")})
    _tags(values)
    if "policy" in values:
        policy_values(values["policy"])


def _tags(layer: Mapping[str, Node]) -> tuple[str, ...]:
    return layer["tags"].texts() if "tags" in layer else ()


def _read(chosen: Mapping[str, Node | None]) -> dict[str, Any]:
    """Return the typed values of a host; a key without a value is as if it were not there."""
    return {
        key: _READERS.get(key, _word)(node)
        for key, node in chosen.items()
        if node is not None and not node.absent
    }


def _word(node: Node) -> str:
    """Return a text that no program can take for an option or for two words."""
    text = node.text()
    if not _PLAIN.fullmatch(text):
        raise node.error(f"{node.name} is {text!r}; it may not begin with a dash or hold a space")
    return text


def _path(node: Node) -> str:
    """Return a path; ``~`` is the auditor's home, a relative one begins at the inventory."""
    try:
        return str(Path(node.file).parent / Path(node.text()).expanduser())
    except RuntimeError as error:
        raise node.error(f"{node.name} is {node.text()!r}; there is no such home") from error


def _paths(node: Node) -> tuple[str, ...]:
    return tuple(map(_path, _several(node)))


def _several(node: Node) -> list[Node]:
    """Return the items of a list; what is no list counts as one of one item."""
    return list(node.items()) if isinstance(node.value, list) else [node]


_READERS: dict[str, Callable[[Node], Any]] = {
    "port": lambda node: node.number(1, 65535),
    "sudo": Node.flag,
    "connection": lambda node: node.one_of(SCHEMES),
    "role": lambda node: tuple(each.one_of(ROLES) for each in _several(node)),
    "identity_file": _paths,
    "ssh_config": _path,
}


def limited(hosts: Iterable[InventoryHost], limit: str | None) -> list[InventoryHost]:
    """Return the hosts that a pattern chooses, in their order.

    ``web*:!web3``: parts separated by ``:`` or ``,``, each a shell pattern for names of hosts or
    groups; ``!`` takes away. With nothing but ``!`` parts, they take away from all.

    :raises ValueError: a part fits no host and no group, or nothing is left.
    """
    known = list(hosts)
    if limit is None:
        return known
    parts = [part.strip() for part in re.split("[:,]", limit) if part.strip().strip("!")]
    fitting = {part: {host.name for host in _fitting(known, part.lstrip("!"))} for part in parts}
    for part, names in fitting.items():
        if not names:
            words = {word for host in known for word in (host.name, *host.groups)}
            wanted = part.lstrip("!")
            raise ValueError(f"--limit: no host or group fits {wanted!r}{nearest(wanted, words)}")
    wanted_parts = [part for part in parts if not part.startswith("!")]
    wanted = set().union(*(fitting[part] for part in wanted_parts or ()))
    if not wanted_parts:
        wanted = {host.name for host in known}
    unwanted = set().union(*(fitting[part] for part in parts if part.startswith("!")))
    chosen = [host for host in known if host.name in wanted - unwanted]
    if not chosen or not parts:
        raise ValueError(f"--limit {limit!r} leaves no host; widen the pattern")
    return chosen


def _fitting(hosts: Iterable[InventoryHost], pattern: str) -> Iterator[InventoryHost]:
    for host in hosts:
        if any(fnmatchcase(word, pattern) for word in (host.name, *host.groups)):
            yield host
