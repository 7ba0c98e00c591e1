"""Ansible's YAML inventories, and what ``ansible-inventory --list`` prints."""

from __future__ import annotations

from hullcheck.inventory.ansible.ini import named_hosts
from hullcheck.inventory.ansible.tree import ALL, Tree
from hullcheck.inventory.ansible.variables import needed
from hullcheck.inventory.document import Node
from hullcheck.inventory.host import free_name

__all__ = ["read_list", "read_yaml"]


def read_yaml(root: Node, tree: Tree) -> None:
    """Add what a document of groups says to a tree. :raises DocumentError: it is wrong."""
    for name, node in root.keys().items():
        _group(name, node, tree)


def _group(name: str, node: Node, tree: Tree) -> None:
    tree.group(name)
    parts = node.keys(("hosts", "children", "vars"))
    for pattern, said in _named(parts.get("hosts")).items():
        hosts, port = named_hosts(said, pattern)
        for host in hosts:
            tree.add(said, host, name, needed(said.keys()), port)
    for child, said in _named(parts.get("children")).items():
        _group(child, said, tree)
        tree.adopt(said, name, child)
    if "vars" in parts:
        tree.say(name, needed(parts["vars"].keys()))


def _named(node: Node | None) -> dict[str, Node]:
    """Return a mapping by names; one name alone counts too."""
    if node is None or node.absent:
        return {}
    if isinstance(node.value, str):
        return {node.value: Node(node.file, node.line, None, name=node.value)}
    if isinstance(node.value, list):
        raise node.error(f"{node.name} is a list; Ansible wants a mapping, each name with a colon")
    return node.keys()


def read_list(root: Node, tree: Tree) -> None:
    """Add what ``ansible-inventory --list`` says to a tree. :raises DocumentError: it is wrong."""
    groups = {name: node for name, node in root.keys().items() if name not in ("_meta", "_")}
    for name, node in groups.items():
        tree.group(name)
        parts = {"hosts": node} if isinstance(node.value, list) else node.keys()
        for each in parts["hosts"].items() if "hosts" in parts else ():
            tree.add(each, free_name(each, each.text()), name, {})
        if "vars" in parts:
            tree.say(name, needed(parts["vars"].keys()))
    for name, node in groups.items():
        parts = {} if isinstance(node.value, list) else node.keys()
        for each in parts["children"].items() if "children" in parts else ():
            tree.adopt(each, name, each.text())
    meta = root.keys().get("_meta")
    values = meta.keys().get("hostvars") if meta else None
    for name, node in values.keys().items() if values else ():
        known = tree.hosts.get(name)
        group = known.groups[0] if known else ALL
        tree.add(node, free_name(node, name), group, needed(node.keys()))
