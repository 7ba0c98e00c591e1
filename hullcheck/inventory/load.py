"""Inventories of every form: the hosts to audit, how each is reached, and by which site values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from hullcheck.inventory.ansible.read import ANSIBLE, read_ansible, read_directory
from hullcheck.inventory.ansible.tree import Tree
from hullcheck.inventory.ansible.values import hosts_of
from hullcheck.inventory.document import DocumentError
from hullcheck.inventory.forms import STDIN, Form, Source, read_source
from hullcheck.inventory.host import InventoryHost
from hullcheck.inventory.limit import limited
from hullcheck.inventory.ours import own_hosts
from hullcheck.inventory.plain import listed_hosts
from hullcheck.inventory.policy import Policy
from hullcheck.inventory.ssh_aliases import alias_hosts

__all__ = ["load_inventory"]


def load_inventory(
    paths: Path | str | Sequence[Path | str],
    base: Policy | None = None,
    limit: str | None = None,
    tags: str | None = None,
) -> list[InventoryHost]:
    """Return the chosen hosts of some inventories, in their order.

    :param paths: files of any form that :class:`Form` knows, Ansible's directories, and ``-`` for
        standard input. Ansible's are one inventory together, as they are to Ansible.
    :param base: the policy that the inventories' values refine: the command line's.
    :param limit: which hosts, as :func:`limited` says; whole files must be right all the same.
    :param tags: the same by tags.
    :raises DocumentError: a file cannot be read or is wrong, or a chosen host cannot be audited.
    :raises ValueError: the limit fits nothing.
    """
    several = [paths] if isinstance(paths, Path | str) else paths
    hosts = list(_hosts(map(str, several), base or Policy()))
    chosen = limited(_one_each(hosts), limit, tags)
    _without_problem(chosen)
    return chosen


def _hosts(paths: Iterable[str], base: Policy) -> Iterator[InventoryHost]:
    tree = Tree()
    for path in paths:
        file = STDIN if path == "-" else path
        if Path(file).is_dir():
            read_directory(Path(file), tree)
            continue
        source = read_source(file)
        try:
            if source.form in ANSIBLE:
                read_ansible(source, tree)
            else:
                yield from _of(source, base)
        except DocumentError as error:
            if source.form is Form.OURS or error.file != file:
                raise
            raise DocumentError(
                error.file, error.line, f"{error.message} (this was read as {source.form})"
            ) from error
    yield from hosts_of(tree, base)


def _of(source: Source, base: Policy) -> list[InventoryHost]:
    if source.form is Form.OURS and source.root:
        return own_hosts(source.root, base)
    if source.form is Form.SSH:
        return alias_hosts(source.text, source.file, base)
    return listed_hosts(source.text, source.file, base)


def _one_each(hosts: Iterable[InventoryHost]) -> list[InventoryHost]:
    """Return hosts once, though several inventories name them.

    :raises DocumentError: they are not to be reached in one way, or not judged by one policy.
    """
    found: dict[str, InventoryHost] = {}
    for host in hosts:
        first = found.setdefault(host.name, host)
        if first is host:
            continue
        if (first.target, first.policy) != (host.target, host.policy):
            raise DocumentError(
                host.file, host.line,
                f"host {host.name!r} is another in {first.file}:{first.line}; keep one of them",
            )  # fmt: skip
        found[host.name] = replace(
            first,
            tags=_union(first.tags, host.tags),
            groups=_union(first.groups, host.groups),
            notes=_union(first.notes, host.notes),
            problem=first.problem or host.problem,
        )
    return list(found.values())


def _union(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*one, *other)))


def _without_problem(hosts: Sequence[InventoryHost]) -> None:
    """See that all hosts can be audited. :raises DocumentError: the first that cannot."""
    problems = [(host.name, host.problem) for host in hosts if host.problem]
    if problems:
        name, first = problems[0]
        others = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise DocumentError(
            first.file, first.line,
            f"{first.message} (host {name}{others}; --limit '!{name}' leaves it out)",
        )  # fmt: skip
