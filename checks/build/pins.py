"""How certain it is which image a name brings."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hullcheck.facts.build_files.dockerfile import Base
from hullcheck.facts.images import parse_reference

__all__ = ["by_no_digest", "by_no_version", "settled"]

MOVING = frozenset({"latest", "edge", "nightly", "main", "master", "rolling", "canary", "develop"})
DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


def by_no_digest(name: str) -> bool:
    """Whether a registry may give something else under a name tomorrow."""
    return DIGEST.fullmatch(parse_reference(name.removeprefix("docker://")).digest) is None


def by_no_version(name: str) -> bool:
    """Whether a name means whatever is newest."""
    reference = parse_reference(name.removeprefix("docker://"))
    return by_no_digest(name) and (reference.tag in MOVING or not reference.tag)


def settled(bases: Iterable[Base]) -> tuple[list[Base], list[Base]]:
    """Return the images whose names a file settles, and those that the build's caller chooses."""
    all_of_them = list(bases)
    return [each for each in all_of_them if each.name], [e for e in all_of_them if not e.name]
