"""Inventories of Ansible's: files, and directories of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from hullcheck.inventory.ansible.documents import read_list, read_yaml
from hullcheck.inventory.ansible.ini import read_ini
from hullcheck.inventory.ansible.tree import Tree
from hullcheck.inventory.ansible.variables import FileVariables
from hullcheck.inventory.document import DocumentError
from hullcheck.inventory.forms import STDIN, Form, Source, read_source

__all__ = ["ANSIBLE", "read_ansible", "read_directory"]

ANSIBLE = (Form.ANSIBLE_INI, Form.ANSIBLE_YAML, Form.ANSIBLE_LIST)

_NO_INVENTORY = re.compile(
    r"\.|(host_vars|group_vars|vars_plugins)$|.*(~|\.(pyc|pyo|swp|bak|rpm|md|txt|rst|orig|cfg|retry))$"
)


def read_ansible(source: Source, tree: Tree) -> None:
    """Add a file to a tree, and the ``group_vars`` and ``host_vars`` beside it.

    :raises DocumentError: it is wrong; the text says what it was read as.
    """
    _read(source, tree)
    if source.form is not Form.ANSIBLE_LIST and source.file != STDIN:
        tree.files.append(FileVariables(Path(source.file).parent))


def read_directory(folder: Path, tree: Tree) -> None:
    """Add the inventory files of a directory, in the order of their names.

    :raises DocumentError: one of them is wrong or of another kind, or there is none.
    """
    before = len(tree.hosts)
    _walk(folder, tree)
    tree.files.append(FileVariables(folder))
    if len(tree.hosts) == before:
        raise DocumentError(str(folder), 0, "is a directory without any inventory that has hosts")


def _walk(folder: Path, tree: Tree) -> None:
    for path in sorted(folder.iterdir()):
        if _NO_INVENTORY.match(path.name):
            continue
        if path.is_dir():
            _walk(path, tree)
            continue
        source = read_source(str(path), ansible=True)
        if source.form not in ANSIBLE:
            raise DocumentError(
                str(path), 0,
                f"is {source.form}, not Ansible's, whose directory this seems to be; give the file"
                " that you mean with -i",
            )  # fmt: skip
        _read(source, tree)


def _read(source: Source, tree: Tree) -> None:
    read: dict[Form, Callable[[], None]] = {
        Form.ANSIBLE_INI: lambda: read_ini(source.text, source.file, tree),
        Form.ANSIBLE_YAML: lambda: read_yaml(source.root, tree) if source.root else None,
        Form.ANSIBLE_LIST: lambda: read_list(source.root, tree) if source.root else None,
    }
    read[source.form]()
