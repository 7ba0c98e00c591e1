"""containers.conf(5): what Podman gives to a container that does not say otherwise.

Later files count more: /usr/share, /etc, the drop-ins in /etc, for users those for all rootless
ones, then the user's own. A list replaces a list, unless one of its items is ``{append = true}``.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hullcheck.control import Unknown
from hullcheck.facts.accounts import User
from hullcheck.facts.engines import Told
from hullcheck.facts.podman.places import USER_CONFIG, Places
from hullcheck.facts.podman.roots import parse_toml

__all__ = ["Settings", "direct", "own_directory", "read_settings"]

_KINDS = {bool: "truth value", str: "string", list: "list", int: "number"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Merged files of containers.conf.

    :param values: table -> key -> value; ``sources`` the file that each was last set in.
    :param rival: for root, the same with the files in its home, which but newer versions read.
    """

    values: Mapping[str, Mapping[str, Any]]
    sources: Mapping[tuple[str, str], str]
    rival: Settings | None = field(default=None, repr=False)

    def get(self, name: str, default: Any, table: str = "containers") -> Told:
        """Return a setting.

        :param default: what Podman takes without it; its kind is the setting's.
        :raises Unknown: it is of another kind, or it is the version that decides.
        """
        found = self.values.get(table, {}).get(name)
        told = Told(default, "default")
        if found is not None:
            kind = type(default)
            if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
                raise Unknown(f"{name} in {self._source(table, name)} is no {_KINDS[kind]}")
            told = Told(found, self._source(table, name))
        other = self.rival.get(name, default, table) if self.rival else told
        if other.value != told.value:
            raise Unknown(f"it depends on Podman's version whether {other.source} sets {name}")
        return told

    def _source(self, table: str, name: str) -> str:
        return self.sources.get((table, name), "containers.conf")


def own_directory(user: User) -> str:
    """Return where a user's own configuration lies."""
    return f"{user.home.rstrip('/')}/{USER_CONFIG}"


def direct(places: Places, directory: str) -> list[str]:
    """Return the ``*.conf`` in a directory, not those deeper, in the order of their names."""
    found = places.below(directory, ".conf")
    return [path for path in found if posixpath.dirname(path) == directory]


def read_settings(places: Places, user: User) -> Settings:
    """Return what one user's Podman is set to.

    :raises Unknown: a file cannot be read or parsed.
    """
    system = ["/usr/share/containers/containers.conf", "/etc/containers/containers.conf"]
    system += direct(places, "/etc/containers/containers.conf.d")
    own = [f"{own_directory(user)}/containers.conf"]
    own += direct(places, f"{own_directory(user)}/containers.conf.d")
    if user.uid == 0:
        base = _merged(places, system)
        rival = _merged(places, system + own)
        return Settings(base.values, base.sources, rival)
    base_path = "/etc/containers/containers.rootless.conf"
    rootless = [base_path, *direct(places, f"{base_path}.d")]
    rootless += direct(places, f"{base_path}.d/{user.uid}")
    return _merged(places, system + rootless + own)


def _merged(places: Places, paths: Iterable[str]) -> Settings:
    values: dict[str, dict[str, Any]] = {}
    sources: dict[tuple[str, str], str] = {}
    appending: set[tuple[str, str]] = set()
    for path in paths:
        text = places.text(path)
        for table, given in parse_toml(path, text).items() if text else ():
            for key, value in given.items() if isinstance(given, dict) else ():
                known = values.setdefault(table, {})
                known[key] = _joined(known.get(key), value, (table, key), appending)
                sources[table, key] = path
    return Settings(values, sources)


def _joined(known: Any, value: Any, name: tuple[str, str], appending: set[tuple[str, str]]) -> Any:
    """Return a value after one more file has set it; see "appending to string arrays"."""
    if not isinstance(value, list):
        return value
    for each in value:
        if isinstance(each, dict) and isinstance(each.get("append"), bool):
            (appending.add if each["append"] else appending.discard)(name)
    items = [each for each in value if not isinstance(each, dict)]
    return [*known, *items] if name in appending and isinstance(known, list) else items
