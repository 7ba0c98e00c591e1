"""Unit files (systemd.syntax(7)) of Podman: its API's socket and service."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hullcheck.control import Unknown
from hullcheck.facts.accounts import User
from hullcheck.facts.podman.places import UNIT_PLACES, USER_UNITS, Places

__all__ = ["ApiUnit", "Entries", "api_unit", "parse_unit", "words"]

Entries = list[tuple[str, str, str]]
"""Section, key and value of each assignment, in order."""


@dataclass(frozen=True, slots=True)
class ApiUnit:
    """What podman.socket and podman.service are set to.

    :param listens: every ListenStream; ``mode`` the SocketMode, 0o666 without one.
    :param served: what the service is told to listen on by itself.
    """

    path: str
    listens: tuple[str, ...]
    mode: int
    served: tuple[str, ...]


def parse_unit(text: str) -> Entries:
    """Read a unit file: comments left out, lines that end in a backslash joined."""
    found: Entries = []
    section, begun = "", ""
    for raw in text.split("\n"):
        line = raw.strip()
        if line.startswith(("#", ";")) or (not line and not begun):
            continue
        line = f"{begun} {line}".strip() if begun else line
        if line.endswith("\\"):
            begun = line[:-1].rstrip()
            continue
        begun = ""
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif "=" in line:
            key, _, value = line.partition("=")
            found.append((section, key.strip(), value.strip()))
    if begun and "=" in begun:
        key, _, value = begun.partition("=")
        found.append((section, key.strip(), value.strip()))
    return found


def values(entries: Iterable[tuple[str, str, str]], section: str, key: str) -> list[str]:
    """Return the values of a list setting; an empty one forgets those before it."""
    found: list[str] = []
    for where, name, value in entries:
        if (where, name) == (section, key):
            found = [*found, value] if value else []
    return found


def words(text: str) -> list[str]:
    """Split a value like a command line. :raises Unknown: a quote is not closed."""
    try:
        return shlex.split(text)
    except ValueError:
        raise Unknown(f"{text[:60]!r} is not a whole command line") from None


def api_unit(places: Places, user: User) -> ApiUnit | None:
    """Return how one user's Podman offers its API by systemd; None if there is no such unit.

    :raises Unknown: a file cannot be read.
    """
    path, socket = _unit(places, user, "podman.socket")
    if not path:
        return None
    _, service = _unit(places, user, "podman.service")
    modes = values(socket, "Socket", "SocketMode")
    try:
        mode = int(modes[-1], 8) if modes else 0o666
    except ValueError:
        raise Unknown(f"SocketMode of {path} is {modes[-1][:40]!r}") from None
    commands = values(service, "Service", "ExecStart")
    served = tuple(each for command in commands for each in served_at(words(command)))
    return ApiUnit(path, tuple(values(socket, "Socket", "ListenStream")), mode, served)


def served_at(command: list[str]) -> Iterator[str]:
    """Yield where ``podman system service`` is told to listen: ``tcp://…`` or ``unix://…``."""
    if "service" in command:
        yield from (each for each in command[command.index("service") + 1 :] if "://" in each)


def _unit(places: Places, user: User, name: str) -> tuple[str, Entries]:
    kind = "user" if user.uid else "system"
    folders = [f"{place}/{kind}" for place in UNIT_PLACES]
    if user.uid:
        folders.insert(0, f"{user.home.rstrip('/')}/{USER_UNITS}")
    fragment = next(
        (path for path in (f"{each}/{name}" for each in folders) if places.text(path) is not None),
        "",
    )
    drop_ins: dict[str, str] = {}
    for folder in folders:
        for path in places.below(f"{folder}/{name}.d", ".conf"):
            drop_ins.setdefault(posixpath.basename(path), path)
    if not fragment:
        return "", []
    chosen = [fragment, *(drop_ins[base] for base in sorted(drop_ins))]
    return fragment, [each for path in chosen for each in parse_unit(places.text(path) or "")]
