"""What form an inventory has, told by its content."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from hullcheck.catalogue import nearest
from hullcheck.inventory.document import DocumentError, Node, decoded, parse
from hullcheck.inventory.ours import KINDS

__all__ = ["DECRYPTED", "LISTED", "STDIN", "Form", "Source", "read_source"]

STDIN = "standard input"
LISTED = "ansible-inventory -i INVENTORY --list | hullcheck audit -i -"
DECRYPTED = "ansible-inventory -i INVENTORY --list --ask-vault-pass | hullcheck audit -i -"

_VAULT = "$ANSIBLE_VAULT;"
_YAML = re.compile(r"""---|[{&!%]|-\s|["']?[\w. /-]+["']?\s*:(\s|$)""")
_SECTION = re.compile(r"\[[^\[\],]+\]\s*(#.*)?")
_SSH = re.compile(r"(Host|Match|Include)\s+[^\s=]+(\s+[^\s=]+)*", re.I)
_SETTING = re.compile(r"[^#]*\s[\w.]+=")
_OURS = re.compile(r"^[\"']?(hosts|groups|defaults)[\"']?\s*:", re.M)
_PAIR = re.compile(r"\\\\|\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.I)
_GROUP = {"hosts", "children", "vars"}


class Form(StrEnum):
    """A form that an inventory may have, as a person calls it."""

    OURS = "Hullcheck's own YAML"
    ANSIBLE_YAML = "an Ansible inventory in YAML"
    ANSIBLE_INI = "an Ansible inventory in INI"
    ANSIBLE_LIST = "the output of ansible-inventory --list"
    PLAIN = "a plain list of hosts"
    SSH = "a configuration of ssh's"


@dataclass(frozen=True, slots=True)
class Source:
    """An inventory file, read.

    :param root: its document, where its form is YAML.
    """

    file: str
    text: str
    form: Form
    root: Node | None = None


def read_source(file: str, *, ansible: bool = False) -> Source:
    """Read an inventory file, or standard input.

    :param ansible: it lies in a directory of Ansible's, so that a plain list is a small INI.
    :raises DocumentError: it cannot be read, or is nothing that could be an inventory.
    """
    text = _text(file)
    suffix = Path(file).suffix.lower()
    if suffix == ".toml":
        raise DocumentError(file, 0, f"is TOML; have Ansible read it: {LISTED}")
    lines = [line for line in map(str.strip, text.splitlines()) if line and line[0] not in "#;"]
    if suffix in (".yml", ".yaml", ".json") or (lines and _YAML.match(lines[0])):
        return _yaml(file, _as_yaml(text))
    return Source(file, text, _form_of_lines(lines, ansible or _beside_variables(file, text)))


def _form_of_lines(lines: list[str], ansible: bool) -> Form:
    if any(map(_SECTION.fullmatch, lines)):
        return Form.ANSIBLE_INI
    if any(map(_SSH.fullmatch, lines)) and not ansible:
        return Form.SSH
    return Form.ANSIBLE_INI if ansible or any(map(_SETTING.match, lines)) else Form.PLAIN


def _yaml(file: str, text: str) -> Source:
    foreign = not _OURS.search(text)
    root = parse(text, file, foreign=foreign)
    form = _yaml_form(root)
    if foreign is (form is Form.OURS):
        root = parse(text, file, foreign=not foreign)
    return Source(file, text, form, root)


def _text(file: str) -> str:
    """Return what a file holds; what would have to be run or decrypted is refused."""
    try:
        data = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
    except FileNotFoundError as error:
        folder = Path(file).parent
        names = [each.name for each in folder.iterdir()] if folder.is_dir() else []
        near = nearest(Path(file).name, names)
        raise DocumentError(file, 0, f"cannot be read: {error.strerror}{near}") from error
    except OSError as error:
        raise DocumentError(file, 0, f"cannot be read: {error.strerror or error}") from error
    if data.startswith((b"#!", b"\x7fELF")):
        raise DocumentError(
            file, 0, f"is a program, which is not run; have Ansible run it: {LISTED}"
        )
    text = decoded(data, file)
    if text.startswith(_VAULT):
        raise DocumentError(
            file, 1, f"is encrypted with ansible-vault; have Ansible decrypt it: {DECRYPTED}"
        )
    return text


def _as_yaml(text: str) -> str:
    """Return a JSON text as YAML reads it: characters in one piece, none that it forbids."""
    if not text.lstrip().startswith("{"):
        return text

    def character(found: re.Match[str]) -> str:
        pair = bytes.fromhex(found[1] + found[2]) if found[1] else b""
        return pair.decode("utf-16-be") or found[0]

    return re.sub("[\x7f-\x84\x86-\x9f]", "\ufffd", _PAIR.sub(character, text))


def _yaml_form(root: Node) -> Form:
    if not isinstance(root.value, dict):
        return Form.OURS
    plugin = root.value.get("plugin")
    if plugin is not None and isinstance(plugin.value, str):
        raise plugin.error(
            f"sets up Ansible's plugin {plugin.raw!r}, which is not run; have Ansible run it:"
            f" {LISTED}"
        )
    if "_meta" in root.value:
        return Form.ANSIBLE_LIST
    whole = {"all", "ungrouped"} & set(root.value)
    if set(root.value) & {*KINDS} and not whole:
        return Form.OURS
    groups = [each for each in root.value.values() if not each.absent]
    if groups and all(isinstance(each.value, dict) and _GROUP & set(each.value) for each in groups):
        lists = any(isinstance(part.value, list) for each in groups for part in each.value.values())
        return Form.ANSIBLE_LIST if lists else Form.ANSIBLE_YAML
    return Form.ANSIBLE_YAML if whole else Form.OURS


def _beside_variables(file: str, text: str) -> bool:
    """Whether Ansible would give variables to hosts of a list of names."""
    folder = Path(file).parent
    if file == STDIN or re.search(r"://|@", text):
        return False
    return any((folder / each).is_dir() for each in ("group_vars", "host_vars"))
