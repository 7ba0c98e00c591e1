"""From the variables that count for a host of Ansible's to a host of ours.

What Ansible would work out (templates) or decrypt (ansible-vault) is not known here. Where that
is needed, the host cannot be audited; elsewhere it does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hullcheck.catalogue import nearest
from hullcheck.inventory.ansible.tree import Tree
from hullcheck.inventory.ansible.variables import NAMES, PREFIX, Said
from hullcheck.inventory.document import DocumentError, Node
from hullcheck.inventory.host import KEYS, InventoryHost, read_values
from hullcheck.inventory.policy import Policy, policy_values
from hullcheck.transport.ansible import CONNECTIONS, SSH_ARGUMENTS
from hullcheck.transport.ssh_options import Arguments, client_only, parse_arguments

__all__ = ["hosts_of"]

_TRUE = ("true", "yes", "on", "y", "t", "1", "1.0")
_FALSE = ("false", "no", "off", "n", "f", "0", "0.0", "")
_SECRETS = {
    "ansible_password": "log in with a key",
    "ansible_ssh_pass": "log in with a key",
    "ansible_ssh_password": "log in with a key",
    "ansible_become_password": "--ask-sudo-pass asks for one",
    "ansible_become_pass": "--ask-sudo-pass asks for one",
    "ansible_sudo_pass": "--ask-sudo-pass asks for one",
}
_KEY_CHECKS = ("ansible_host_key_checking", "ansible_ssh_host_key_checking")
_VAULT = re.compile(r"\s*\$ANSIBLE_VAULT;")


def hosts_of(tree: Tree, base: Policy) -> Iterator[InventoryHost]:
    """Yield the hosts of a tree; what is wrong with one is its problem, until it is chosen.

    :param base: the policy that ``hullcheck_policy`` refines: the command line's.
    :raises DocumentError: a file of variables cannot be read.
    """
    for host in tree.hosts.values():
        groups, said = tree.of(host)
        plain = InventoryHost(host.name, host.file, host.line, groups=groups, policy=base)
        try:
            yield _host(plain, said)
        except DocumentError as problem:
            yield replace(plain, tags=_tags_anyway(said), problem=problem)


def _host(plain: InventoryHost, said: Said) -> InventoryHost:
    own = _own(said.values)
    chosen = {key: own.get(key) for key in KEYS if key not in ("policy", "tags")}
    for key, names in NAMES.items():
        if not chosen[key]:
            chosen[key] = _theirs(key, names, said.values)
    arguments, notes = (Arguments(), []) if "ssh_options" in own else _arguments(said.values)
    connection = chosen["connection"]
    if connection and connection.value in ("docker", "podman"):
        chosen = _in_container(plain, chosen, said.values)
    found = read_values(chosen)
    options = (*found.pop("ssh_options", ()), *arguments.options)
    client = client_only(options)
    if connection and connection.value == "paramiko" and client:
        raise connection.error(f"{client} needs the OpenSSH client; say ansible_connection=ssh")
    config = found.pop("ssh_config", "") or str(arguments.config or "")
    return replace(
        plain,
        **found,
        ssh_options=options,
        ssh_config=config,
        tags=tuple(sorted(set(own["tags"].texts()))) if "tags" in own else (),
        policy=plain.policy.merged(policy_values(own["policy"]) if "policy" in own else {}),
        notes=(*said.notes, *notes, *_left_out(said.values)),
    )


def _own(values: Mapping[str, Node]) -> dict[str, Node]:
    """Return what is said for Hullcheck alone: ``hullcheck: {role: …}``, ``hullcheck_role``."""
    whole = values.get(PREFIX)
    found = _plain(whole, PREFIX).keys(KEYS) if whole else {}
    for name, node in values.items():
        key = name.removeprefix(f"{PREFIX}_")
        if name.startswith(f"{PREFIX}_"):
            if key not in KEYS:
                near = nearest(key, KEYS) or f"; the keys are {', '.join(KEYS)}"
                raise node.error(f"{name}: {PREFIX} has no key {key!r}{near}")
            found[key] = node
    return {key: _own_value(key, _plain(node, node.name)) for key, node in found.items()}


def _own_value(key: str, node: Node) -> Node:
    """Return a value as our YAML has it: INI knows no lists and often no numbers."""
    if key in ("role", "tags") and isinstance(node.value, str):
        words = [word.strip() for word in node.value.split(",") if word.strip()]
        items = [replace(node, value=word, raw=word) for word in words]
        return replace(node, value=items)
    return _typed(key, node)


def _typed(key: str, node: Node) -> Node:
    if key == "port" and re.fullmatch("[0-9]{1,5}", node.raw):
        return replace(node, value=int(node.raw))
    if key == "sudo" and not node.absent and node.raw.lower() in (*_TRUE, *_FALSE):
        return replace(node, value=node.raw.lower() in _TRUE)
    return node


def _theirs(key: str, names: tuple[str, ...], values: Mapping[str, Node]) -> Node | None:
    """Return what Ansible's variables say; of several names of one thing the last counts."""
    said = [_plain(values[name], f"{PREFIX}_{key}") for name in names if name in values]
    said = [node for node in said if node.raw.strip()]
    if not said:
        return None
    node = _typed(key, said[-1])
    if key == "connection":
        text = node.text()
        if text not in CONNECTIONS:
            raise node.error(
                f"{node.name} is {text!r}, by which nothing can be audited; leave the host out"
            )
        return replace(node, value=CONNECTIONS[text], raw=CONNECTIONS[text], name=key)
    if key == "identity_file" and not node.raw.startswith("~"):
        path = str(Path.cwd() / node.text())
        return replace(node, value=path, raw=path)
    return node


def _arguments(values: Mapping[str, Node]) -> tuple[Arguments, list[str]]:
    """Return what Ansible's arguments for ssh say, and what of them is not done."""
    merged, notes = Arguments(), []
    for name in SSH_ARGUMENTS:
        node = values.get(name)
        if node is None or node.absent or not node.raw.strip():
            continue
        node = _plain(node, f"{PREFIX}_ssh_options")
        try:
            found = parse_arguments(node.text())
        except ValueError as error:
            raise node.error(f"{name}: {error}") from error
        merged = replace(
            merged,
            options=(*merged.options, *found.options),
            config=merged.config or found.config,
        )
        notes += [str(node.error(f"{name}: {each}")) for each in found.left_out]
    return merged, notes


def _in_container(
    plain: InventoryHost, chosen: dict[str, Node | None], values: Mapping[str, Node]
) -> dict[str, Node | None]:
    """Return the values of a container of this machine: ``docker exec -u USER NAME``."""
    named = values.get("ansible_docker_host") or chosen["address"]
    name = named.text() if named else plain.name
    user = chosen["user"]
    at = named or user or Node(plain.file, plain.line, None)
    text = f"{user.text()}@{name}" if user else name
    address = replace(at, value=text, raw=text, name="address")
    return {**chosen, "address": address, "user": None, "port": None}


def _left_out(values: Mapping[str, Node]) -> Iterator[str]:
    """Yield sentences about what is said and never done. :raises DocumentError: it must be."""
    for name, node in values.items():
        if name in _SECRETS:
            yield str(node.error(f"{name} is not used; {_SECRETS[name]}"))
        elif name in _KEY_CHECKS and node.raw.lower() in _FALSE:
            yield str(node.error(f"{name} is not heeded: host keys are always checked"))
    become, method = values.get("ansible_become"), values.get("ansible_become_method")
    if become and become.raw.lower() in _TRUE and method:
        said = _plain(method, f"{PREFIX}_sudo").text()
        if said not in ("sudo", "ansible.builtin.sudo"):
            raise method.error(f"{method.name} is {said!r}; only sudo is known here")


def _plain(node: Node, instead: str) -> Node:
    """Return a value that is what it says.

    :param instead: the variable that can say the same in plain words.
    :raises DocumentError: Ansible would decrypt it, or work it out.
    """
    remedy = f"say it as {instead}" if instead != node.name else "write it out"
    inside: Any = node.value if isinstance(node.value, dict) else {}
    if "__ansible_vault" in inside or node.tag.startswith("!vault") or _VAULT.match(node.raw):
        raise node.error(
            f"{node.name} is encrypted, and ansible-inventory leaves it so; {remedy}, in plain"
        )
    if "__ansible_unsafe" in inside:
        unsafe: Node = inside["__ansible_unsafe"]
        return replace(unsafe, name=node.name, tag="!unsafe")
    if re.search(r"\{\{|\{%", node.raw) and node.tag != "!unsafe":
        raise node.error(f"{node.name} is a template, which is not worked out; {remedy}, in plain")
    if inside:
        return replace(node, value={key: _plain(each, instead) for key, each in inside.items()})
    if isinstance(node.value, list):
        return replace(node, value=[_plain(each, instead) for each in node.value])
    return node


def _tags_anyway(said: Said) -> tuple[str, ...]:
    """Return the tags of a host with a problem, so that it can be left out by them."""
    try:
        names = (PREFIX, f"{PREFIX}_tags")
        own = _own({name: said.values[name] for name in names if name in said.values})
        return own["tags"].texts() if "tags" in own else ()
    except DocumentError:
        return ()
