"""Variables of Ansible's: those that are needed here, and ``group_vars`` and ``host_vars``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hullcheck.inventory.document import Node, parse, read_text
from hullcheck.inventory.forms import DECRYPTED
from hullcheck.transport.ansible import SSH_ARGUMENTS

__all__ = ["NAMES", "PREFIX", "FileVariables", "Said", "needed", "none"]

PREFIX = "hullcheck"

NAMES: dict[str, tuple[str, ...]] = {
    "address": ("ansible_host", "ansible_ssh_host"),
    "user": ("ansible_user", "ansible_ssh_user"),
    "port": ("ansible_port", "ansible_ssh_port"),
    "identity_file": ("ansible_private_key_file", "ansible_ssh_private_key_file"),
    "connection": ("ansible_connection",),
    "sudo": ("ansible_become",),
    "sudo_user": ("ansible_become_user", "ansible_sudo_user"),
}
"""Our keys, and the variables that say the same; of several the last counts."""

_OTHERS = (
    *SSH_ARGUMENTS, "ansible_become_method", "ansible_docker_host", "ansible_password",
    "ansible_ssh_pass", "ansible_ssh_password", "ansible_become_password", "ansible_become_pass",
    "ansible_sudo_pass", "ansible_host_key_checking", "ansible_ssh_host_key_checking",
    "ansible_group_priority",
)  # fmt: skip
_NEEDED = frozenset([*_OTHERS, *(name for names in NAMES.values() for name in names)])
_EXTENSIONS = ("", ".yml", ".yaml", ".json")


def needed(values: Mapping[str, Node]) -> dict[str, Node]:
    """Return those variables that say something to Hullcheck."""
    return {
        name: node
        for name, node in values.items()
        if name in _NEEDED or name == PREFIX or name.startswith(f"{PREFIX}_")
    }


@dataclass(frozen=True, slots=True)
class Said:
    """Variables, and sentences about files whose variables could not be read."""

    values: Mapping[str, Node]
    notes: tuple[str, ...] = ()

    def updated(self, nearer: Said) -> Said:
        """Return these, replaced by those that are nearer to the host."""
        if not nearer.values and not nearer.notes:
            return self
        return Said({**self.values, **nearer.values}, (*self.notes, *nearer.notes))


def none() -> Said:
    """Return no variables."""
    return Said({})


class FileVariables:
    """The ``group_vars`` and ``host_vars`` beside an inventory."""

    def __init__(self, folder: Path) -> None:
        self._folders = {kind: folder / f"{kind}_vars" for kind in ("group", "host")}
        self._names = {kind: _names(path) for kind, path in self._folders.items()}

    def group(self, name: str) -> Said:
        """Return what they say of a group. :raises DocumentError: a file is wrong."""
        return self._said("group", name)

    def host(self, name: str) -> Said:
        """Return what they say of a host. :raises DocumentError: a file is wrong."""
        return self._said("host", name)

    def _said(self, kind: str, name: str) -> Said:
        said = none()
        present = [name + end for end in _EXTENSIONS if name + end in self._names[kind]]
        for path in _files(self._folders[kind] / present[0]) if present else ():
            said = said.updated(_read(path))
        return said


def _names(folder: Path) -> frozenset[str]:
    return frozenset(each.name for each in folder.iterdir()) if folder.is_dir() else frozenset()


def _files(path: Path) -> Iterator[Path]:
    """Yield a file, or what Ansible would read of a directory."""
    if not path.is_dir():
        yield path
        return
    for each in sorted(path.iterdir()):
        if each.name.startswith(".") or each.name.endswith("~"):
            continue
        if each.is_dir() and not each.suffix:
            yield from _files(each)
        elif each.is_file() and each.suffix in _EXTENSIONS:
            yield each


def _read(path: Path) -> Said:
    text = read_text(path)
    if text.startswith("$ANSIBLE_VAULT;"):
        note = (
            f"{path}: is encrypted and was left out; should it say how a host is reached, have"
            f" Ansible read it: {DECRYPTED}"
        )
        return Said({}, (note,))
    return Said(needed(parse(text, str(path), foreign=True).keys()))
