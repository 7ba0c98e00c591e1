"""Which hosts of an inventory: ``--limit`` by names and groups, ``--tag`` by tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from fnmatch import translate
from pathlib import Path

from hullcheck.catalogue import nearest
from hullcheck.inventory.host import InventoryHost

__all__ = ["limited"]

_PARTS = re.compile(r"(?:[^:\[\]]|\[[^\]]*\]|[\[\]])+")


@dataclass(frozen=True, slots=True)
class _Part:
    """One pattern: ``web*``, ``!web3``, ``&prod`` or ``~regex``."""

    sign: str
    pattern: str
    fits: Callable[[str], object]


def limited(
    hosts: Iterable[InventoryHost], limit: str | None, tags: str | None = None
) -> list[InventoryHost]:
    """Return the hosts that patterns choose, in their order.

    ``web*:!web3``: parts separated by ``:`` or ``,``, each a shell pattern for names of hosts and
    groups, or after ``~`` a regular expression. A host is chosen by any of them; ``&`` keeps only
    those that fit this one too, and ``!`` takes away. With nothing but such parts they choose from
    all. ``@FILE`` holds one such pattern a line.

    :param limit: for names of hosts and groups, and the word ``all``.
    :param tags: the same for tags.
    :raises ValueError: a part fits no host, or nothing is left.
    """
    known = list(hosts)
    for option, text, words in (("--limit", limit, _names), ("--tag", tags, _tags)):
        if text is not None:
            known = _chosen(option, text, known, words)
    return known


def _names(host: InventoryHost) -> Collection[str]:
    return (host.name, *host.groups, "all")


def _tags(host: InventoryHost) -> Collection[str]:
    return host.tags


def _chosen(
    option: str,
    text: str,
    hosts: list[InventoryHost],
    words: Callable[[InventoryHost], Collection[str]],
) -> list[InventoryHost]:
    known = {word for host in hosts for word in words(host)}
    parts = [_part(option, each) for each in _split(option, text, known)]
    fitting = []
    for part in parts:
        fits = {word for word in known if part.fits(word)}
        if not fits:
            kind = "tag" if option == "--tag" else "host or group"
            near = nearest(part.pattern, known)
            raise ValueError(f"{option}: no {kind} fits {part.pattern!r}{near}")
        fitting.append((part.sign, fits))
    found = [host for host in hosts if _wanted(fitting, set(words(host)))]
    if not found or not parts:
        raise ValueError(f"{option} {text!r} leaves no host; widen the pattern")
    return found


def _wanted(fitting: list[tuple[str, set[str]]], words: set[str]) -> bool:
    hit = {sign: [bool(fits & words) for each, fits in fitting if each == sign] for sign in "+&!"}
    return (any(hit["+"]) or not hit["+"]) and all(hit["&"]) and not any(hit["!"])


def _split(option: str, text: str, known: Collection[str], depth: int = 0) -> list[str]:
    """Return the parts; a name that holds a colon, as an address does, stays whole."""
    parts: list[str] = []
    for each in (part.strip() for part in text.split(",")):
        whole = each.lstrip("!&") in known or each.startswith(("~", "!~", "&~"))
        for part in [each] if whole else _PARTS.findall(each):
            if part.startswith("@") and not depth:
                parts += _lines(option, part[1:], known)
            elif part.strip().strip("!&~"):
                parts.append(part.strip())
    return parts


def _lines(option: str, file: str, known: Collection[str]) -> list[str]:
    try:
        text = Path(file).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or error
        raise ValueError(f"{option} @{file} cannot be read: {why}") from error
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [part for line in lines if line for part in _split(option, line, known, 1)]


def _part(option: str, text: str) -> _Part:
    sign = text[0] if text[0] in "!&" else "+"
    pattern = text.lstrip("!&")
    try:
        regex = pattern[1:] if pattern.startswith("~") else translate(pattern)
        match = re.compile(regex)
    except re.error as error:
        raise ValueError(f"{option}: {pattern!r} is no regular expression: {error}") from error
    if pattern.startswith("~"):
        return _Part(sign, pattern, match.match)
    return _Part(sign, pattern, lambda word: word == pattern or match.match(word))
