"""One host of an inventory, whatever form that has, and the values it may be given."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hullcheck.inventory.document import DocumentError, Node
from hullcheck.inventory.policy import Policy
from hullcheck.inventory.roles import ROLES
from hullcheck.transport.ssh_options import Options, checked_option, client_only
from hullcheck.transport.target import SCHEMES, SSH_SCHEMES, Target, home_path

__all__ = ["KEYS", "VALUES", "InventoryHost", "free_name", "read_values", "site_name"]

VALUES = (
    "user", "port", "sudo", "sudo_user", "connection", "ssh_config", "ssh_options",
    "identity_file", "role", "policy", "tags",
)  # fmt: skip
"""What a host, its groups and the defaults may say."""

KEYS = ("address", *VALUES)
"""What a host may say."""

_SITE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_FREE_NAME = re.compile(r"[^\s\x00-\x1f\x7f/-][^\s\x00-\x1f\x7f/]*")
_WORD = re.compile(r"[^\s\x00-\x1f\x7f-][^\s\x00-\x1f\x7f]*")
_SEVERAL = ("IdentityFile", "CertificateFile")


@dataclass(frozen=True, slots=True)
class InventoryHost:
    """A host to audit. None and "" mean that nothing was said: ``~/.ssh/config`` decides.

    :param address: what to connect to; "" when the name is to be resolved.
    :param connection: "" for paramiko, or for the OpenSSH client where an option needs it.
    :param identity_file: private keys to try before those of ``~/.ssh/config``.
    :param ssh_options: what goes before the rest of ``~/.ssh/config``.
    :param role: what it is for, some of ROLES; () leaves it to what is seen of the host.
    :param groups: every group it is in, directly or through ``children``.
    :param spec: the whole target, where a host spec gave it.
    :param problem: why it cannot be audited, if it is chosen.
    :param notes: what was said of it and is not done.
    """

    name: str
    file: str
    line: int
    address: str = ""
    user: str = ""
    port: int | None = None
    sudo: bool | None = None
    sudo_user: str = ""
    connection: str = ""
    ssh_config: str = ""
    ssh_options: Options = ()
    identity_file: tuple[str, ...] = ()
    role: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    policy: Policy = field(default_factory=Policy)
    spec: Target | None = None
    problem: DocumentError | None = None
    notes: tuple[str, ...] = ()

    @property
    def target(self) -> Target:
        """How to reach it; what is not reached over SSH has no user, port or options of SSH."""
        if self.spec:
            return replace(self.spec, name=self.name, role=self.role)
        scheme = self.connection or ("ssh" if client_only(self.ssh_options) else "paramiko")
        local, over_ssh = scheme == "local", scheme in SSH_SCHEMES
        return Target(
            scheme=scheme,
            address="" if local else self.address or self.name,
            port=None if local else self.port,
            user=None if local else self.user or None,
            sudo=bool(self.sudo),
            sudo_user=self.sudo_user or None,
            ssh_config=Path(self.ssh_config) if self.ssh_config else None,
            ssh_options=self.ssh_options if over_ssh else (),
            identity_file=tuple(map(Path, self.identity_file)),
            role=self.role,
            name=self.name,
        )


def site_name(node: Node, name: str) -> str:
    """Return a name that a person chose for a host. :raises DocumentError: it is none."""
    if not _SITE_NAME.fullmatch(name):
        raise node.error(
            f"{name!r} cannot name a host; use letters, digits, dots, dashes and"
            " underscores, and say where it is in address"
        )
    return name


def free_name(node: Node, name: str) -> str:
    """Return a name as another program has it: an address, too. :raises DocumentError: not so."""
    if not _FREE_NAME.fullmatch(name):
        raise node.error(
            f"{name!r} cannot name a host; it may not begin with a dash or hold a space or slash"
        )
    return name


def read_values(chosen: Mapping[str, Node | None]) -> dict[str, Any]:
    """Return the typed values of a host; a key without a value is as if it were not there.

    :param chosen: values by their key; ``policy`` and ``tags`` are not among them.
    :raises DocumentError: one is wrong.
    """
    found = {
        key: _READERS.get(key, _word)(node)
        for key, node in chosen.items()
        if node is not None and not node.absent
    }
    client = client_only(found.get("ssh_options", ()))
    connection = chosen.get("connection")
    if client and connection is not None and found.get("connection") == "paramiko":
        raise connection.error(f"{client} needs the OpenSSH client; say connection: ssh")
    return found


def _word(node: Node) -> str:
    """Return a text that no program can take for an option or for two words."""
    text = node.text()
    if not _WORD.fullmatch(text):
        raise node.error(f"{node.name} is {text!r}; it may not begin with a dash or hold a space")
    return text


def _path(node: Node) -> str:
    """Return a path; ``~`` is the auditor's home, a relative one begins at the inventory."""
    text = node.text()
    try:
        return str(Path(node.file).parent / home_path(text))
    except ValueError as error:
        raise node.error(f"{node.name} is {error}") from error


def _paths(node: Node) -> tuple[str, ...]:
    return tuple(map(_path, _several(node)))


def _several(node: Node) -> list[Node]:
    """Return the items of a list; what is no list counts as one of one item."""
    return list(node.items()) if isinstance(node.value, list) else [node]


def _ssh_options(node: Node) -> Options:
    """Return options of ssh_config(5), as a mapping of its keywords."""
    found: list[tuple[str, str]] = []
    for keyword, said in node.keys().items():
        for value in [] if said.absent else _option_values(keyword, said):
            try:
                option = checked_option(keyword, value)
            except ValueError as error:
                raise said.error(str(error)) from error
            if option[0] != keyword:
                raise said.error(f"{keyword!r} is no ssh option; write {option[0]}")
            found.append(option)
    proxies = [node.keys()[key] for key, _ in found if key in ("ProxyJump", "ProxyCommand")]
    if len(proxies) > 1:
        raise max(proxies, key=lambda each: each.line).error(
            "ProxyJump and ProxyCommand exclude each other; keep one, and say null for the other"
        )
    return tuple(found)


def _option_values(keyword: str, said: Node) -> list[str]:
    if isinstance(said.value, bool):
        return ["yes" if said.value else "no"]
    values = [each.text() for each in _several(said)]
    if keyword == "ProxyJump":
        return [",".join(values)]
    if len(values) > 1 and keyword not in _SEVERAL:
        raise said.error(f"{keyword} is a list; write a text")
    return values


_READERS: dict[str, Callable[[Node], Any]] = {
    "port": lambda node: node.number(1, 65535),
    "sudo": Node.flag,
    "connection": lambda node: node.one_of(SCHEMES),
    "role": lambda node: tuple(each.one_of(ROLES) for each in _several(node)),
    "identity_file": _paths,
    "ssh_config": _path,
    "ssh_options": _ssh_options,
}
