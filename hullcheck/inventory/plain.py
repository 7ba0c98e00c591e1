"""Plain lists: a host or a host spec a line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hullcheck.inventory.document import DocumentError
from hullcheck.inventory.host import InventoryHost
from hullcheck.inventory.policy import Policy
from hullcheck.inventory.ranges import expanded
from hullcheck.transport.target import Target, parse_spec

__all__ = ["listed_hosts"]


def listed_hosts(text: str, file: str, base: Policy) -> list[InventoryHost]:
    """Return the hosts of a list; after ``#`` stands a comment.

    :raises DocumentError: a line is no host, or stands twice.
    """
    found: dict[str, InventoryHost] = {}
    for number, line in enumerate(text.splitlines(), 1):
        for target in _targets(line, file, number):
            if target.name in found:
                first = found[target.name].line
                raise DocumentError(
                    file, number, f"{target.name!r} stands twice, first in line {first}; keep one"
                )
            found[target.name] = InventoryHost(
                target.name, file, number, policy=base, spec=target
            )  # fmt: skip
    if not found:
        raise DocumentError(file, 0, "has no hosts; write a host or a spec (ssh://web1) a line")
    return list(found.values())


def _targets(line: str, file: str, number: int) -> Iterator[Target]:
    words = line.partition(" #")[0].split()
    if not words or words[0].startswith("#"):
        return
    try:
        if len(words) > 1:
            raise ValueError(f"{words[1]!r} is too much; write one host or spec a line")
        for each in expanded(words[0]):
            yield _beside(parse_spec(each), Path(file).parent)
    except ValueError as error:
        raise DocumentError(file, number, str(error)) from error


def _beside(target: Target, folder: Path) -> Target:
    """Return a target whose relative paths begin at the list."""
    if target.scheme == "ansible":
        raise ValueError("ansible:// is many hosts; give its inventory with -i")
    if target.password is not None:
        raise ValueError(f"{target.name} has a password; take it out and use a key")
    paths = [folder / each for each in target.identity_file]
    config = target.ssh_config and folder / target.ssh_config
    address = str(folder / target.address) if target.scheme == "recording" else target.address
    return replace(target, address=address, identity_file=tuple(paths), ssh_config=config)
