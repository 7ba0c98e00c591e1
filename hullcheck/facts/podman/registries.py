"""containers-registries.conf(5): which registries Podman speaks to, and how.

A user's own file counts in place of /etc's with its drop-ins; root's home counts too. Drop-ins
replace the ``[[registry]]`` of the same prefix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hullcheck.control import Unknown
from hullcheck.facts.accounts import User
from hullcheck.facts.podman.places import Places
from hullcheck.facts.podman.roots import parse_toml
from hullcheck.facts.podman.settings import direct, own_directory

__all__ = ["Registries", "Registry", "read_registries"]

SYSTEM = "/etc/containers/registries.conf"


@dataclass(frozen=True, slots=True)
class Registry:
    """One place that images are pulled from."""

    location: str
    insecure: bool
    blocked: bool
    mirrors: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class Registries:
    """What all files say together.

    :param search: where a name without a registry is looked for, in this order.
    :param mode: what is done if there are several: enforcing, permissive or disabled.
    """

    path: str
    search: tuple[str, ...]
    mode: str
    tables: tuple[Registry, ...]

    @property
    def insecure(self) -> list[str]:
        """Registries that need no certificate, without those that are blocked."""
        return [each.location for each in self.tables if each.insecure and not each.blocked]

    @property
    def mirrors(self) -> list[str]:
        """All mirrors, as URLs; ``http://`` if they need no certificate."""
        return [
            f"{'http' if insecure else 'https'}://{location}"
            for each in self.tables
            if not each.blocked
            for location, insecure in each.mirrors
        ]


def read_registries(places: Places, user: User) -> Registries:
    """Return what one user's Podman knows of registries.

    :raises Unknown: a file cannot be read, or is not what it should be.
    """
    own = f"{own_directory(user)}/registries.conf"
    first = own if places.text(own) is not None else SYSTEM
    drop_ins = [] if first == own else direct(places, f"{SYSTEM}.d")
    drop_ins += direct(places, f"{own}.d")
    search: list[str] = []
    mode = ""
    tables: dict[str, Registry] = {}
    for path in (first, *drop_ins):
        text = places.text(path)
        values = parse_toml(path, text) if text else {}
        try:
            given = values.get("unqualified-search-registries", _old(values, "search"))
            search = search if given is None else [str(each) for each in given]
            mode = str(values.get("short-name-mode") or mode)
            tables.update(_tables(values))
        except (AttributeError, TypeError, KeyError):
            raise Unknown(f"{path} is no configuration of registries") from None
    return Registries(first, tuple(search), mode or "permissive", tuple(tables.values()))


def _tables(values: Mapping[str, Any]) -> Iterator[tuple[str, Registry]]:
    for each in values.get("registry") or []:
        prefix = str(each.get("prefix") or each["location"])
        location = str(each.get("location") or prefix)
        mirrors = tuple(
            (str(one["location"]), _flag(one, "insecure")) for one in each.get("mirror") or []
        )
        made = Registry(location, _flag(each, "insecure"), _flag(each, "blocked"), mirrors)
        yield prefix, made
    blocked = set(_old(values, "block") or [])
    for name in _old(values, "insecure") or []:
        yield str(name), Registry(str(name), True, name in blocked, ())


def _flag(table: Mapping[str, Any], name: str) -> bool:
    value = table.get(name, False)
    if not isinstance(value, bool):
        raise TypeError(name)
    return value


def _old(values: Mapping[str, Any], name: str) -> list[str] | None:
    """Return a list of version 1 of the format, ``[registries.search]`` and the like."""
    old = values.get("registries")
    table = old.get(name) if isinstance(old, dict) else None
    found = table.get("registries") if isinstance(table, dict) else None
    return list(found) if isinstance(found, list) else None
