"""Hosts that an Ansible inventory names, as targets of our own."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from testinfra.backend.local import LocalBackend
from testinfra.host import Host
from testinfra.utils import ansible_runner

from hullcheck.transport.ssh_options import client_only, parse_arguments
from hullcheck.transport.target import Target, parse_spec
from hullcheck.transport.want import Unreachable

__all__ = ["CONNECTIONS", "SSH_ARGUMENTS", "expand_spec", "from_ansible"]

SSH_ARGUMENTS = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
"""The variables that hold arguments for ssh, in the order in which ssh is given them."""

CONNECTIONS = {
    "smart": "ssh", "ssh": "ssh", "ansible.builtin.ssh": "ssh",
    "paramiko_ssh": "paramiko", "paramiko": "paramiko", "ansible.builtin.paramiko_ssh": "paramiko",
    "local": "local", "ansible.builtin.local": "local",
    "docker": "docker", "community.docker.docker": "docker",
    "podman": "podman", "containers.podman.podman": "podman",
    "lxc": "lxc", "lxd": "lxc",
}  # fmt: skip
"""Ansible's kinds of connections, and ours that do the same."""

# How testinfra reads a setting: the environment, else the inventory, else ansible.cfg.
_SETTINGS = {
    "ansible_become": ("ANSIBLE_BECOME", "privilege_escalation", "become"),
    "ansible_become_user": ("ANSIBLE_BECOME_USER", "privilege_escalation", "become_user"),
    "ansible_port": ("ANSIBLE_REMOTE_PORT", "defaults", "remote_port"),
    "ansible_user": ("ANSIBLE_REMOTE_USER", "defaults", "remote_user"),
    "ansible_ssh_args": ("ANSIBLE_SSH_ARGS", "ssh_connection", "ssh_args"),
    "ansible_ssh_common_args": ("ANSIBLE_SSH_COMMON_ARGS", "ssh_connection", "ssh_common_args"),
    "ansible_ssh_extra_args": ("ANSIBLE_SSH_EXTRA_ARGS", "ssh_connection", "ssh_extra_args"),
}


def expand_spec(text: str) -> list[Target]:
    """Return the targets of a host spec: one, but for a pattern of ``ansible://``.

    :raises ValueError: it is no host spec, or no host matches the pattern.
    """
    target = parse_spec(text)
    if target.scheme != "ansible":
        return [target]
    try:
        names = _runner(target).get_hosts(target.address or "all")
    except Exception as error:  # whatever ansible-inventory and its plugins may raise
        raise ValueError(
            f"{target.display}: the inventory cannot be read: {_line(error)}"
        ) from error
    if not names:
        raise ValueError(f"{target.display}: no host matches")
    return [replace(target, address=name, name=name) for name in names]


def from_ansible(target: Target) -> Target | None:
    """Return how Ansible's inventory says that a host is reached; None: only by Ansible itself.

    :raises Unreachable: the inventory cannot be read, or says what we would have to leave out.
    """
    if dict(target.options).get("force_ansible"):
        return None
    runner = _runner(target)
    try:
        variables = runner.inventory["_meta"].get("hostvars", {}).get(target.address, {})
    except Exception as error:  # whatever ansible-inventory and its plugins may raise
        raise Unreachable("name", f"{target.display}: no inventory: {_line(error)}") from error
    scheme = CONNECTIONS.get(str(variables.get("ansible_connection", "ssh")))
    if scheme is None:
        return None

    def setting(name: str) -> str:
        environment, section, key = _SETTINGS[name]
        value = os.environ.get(environment) or variables.get(name)
        return str(runner.ansible_config.get(section, key, fallback="") if value is None else value)

    become = setting("ansible_become").lower() in ("true", "yes", "on", "1")
    found = replace(
        target, scheme=scheme, address=str(variables.get("ansible_host", target.address)),
        options=(), name=target.name, sudo=target.sudo or become,
        sudo_user=target.sudo_user or setting("ansible_become_user") or None,
    )  # fmt: skip
    if scheme not in ("ssh", "paramiko"):
        return found
    found = _with_arguments(found, " ".join(map(setting, SSH_ARGUMENTS)))
    return _over_ssh(found, variables, setting("ansible_user"), setting("ansible_port"))


def _with_arguments(target: Target, text: str) -> Target:
    try:
        said = parse_arguments(text)
        client = client_only(said.options)
        if client and target.scheme == "paramiko":
            raise ValueError(f"{client} needs the OpenSSH client: say ansible_connection=ssh")
    except ValueError as error:
        raise Unreachable(
            "name", f"{target.display}: its Ansible ssh arguments ({text.strip()}): {error}"
        ) from error
    return replace(
        target, ssh_options=said.options, ssh_config=target.ssh_config or said.config
    )  # fmt: skip


def _over_ssh(found: Target, variables: Mapping[str, Any], user: str, port: str) -> Target:
    key = next(
        (
            str(variables[name])
            for name in ("ansible_ssh_private_key_file", "ansible_private_key_file")
            if name in variables
        ),
        "",
    )
    password = variables.get("ansible_ssh_pass", variables.get("ansible_password"))
    return replace(
        found,
        scheme="paramiko" if password and not key else found.scheme,
        user=found.user or user or None,
        port=found.port or (int(port) if port.isdigit() else None),
        password=str(password) if password and not key else None,
        identity_file=found.identity_file or ((Path(key).expanduser(),) if key else ()),
    )


def _runner(target: Target) -> Any:
    # ansible-inventory is the operator's program: it is run as the operator would.
    ansible_runner.local = Host(LocalBackend())
    return ansible_runner.AnsibleRunner.get_runner(dict(target.options).get("ansible_inventory"))


def _line(error: Exception) -> str:
    """Return what a command of testinfra's said, in one line."""
    said = re.search(r"_stderr=(b'.*?'|b\".*?\")\)", str(error))
    text = said[1][2:-1].replace("\\n", " ") if said else str(error)
    return shlex.quote(" ".join(text.split())[:300])
