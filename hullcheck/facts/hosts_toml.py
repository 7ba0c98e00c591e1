"""How containerd reaches registries: ``hosts.toml`` (docs/hosts.md), and the tables before it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hullcheck.control import Unknown
from hullcheck.facts.podman.roots import parse_toml

__all__ = ["Hosts", "inline", "parse_hosts"]


@dataclass(frozen=True, slots=True)
class Hosts:
    """:param insecure: registries without TLS, or whose certificate nobody looks at.
    :param mirrors: other places that are asked, as URLs; ``http://`` if as above."""

    insecure: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()

    def __add__(self, other: Hosts) -> Hosts:
        return Hosts(self.insecure + other.insecure, self.mirrors + other.mirrors)


def _url(text: str, unverified: bool) -> tuple[str, bool]:
    """Return a place as a URL, and whether it is spoken to without proof of who it is."""
    scheme, _, rest = text.rpartition("://")
    open_ = unverified or scheme.lower() == "http"
    return f"{'http' if open_ else 'https'}://{rest}", open_


def parse_hosts(path: str, text: str) -> Hosts:
    """Return what a ``hosts.toml`` says; the folder it lies in is the registry's name.

    :raises Unknown: it is not TOML, or not such a file.
    """
    registry = posixpath.basename(posixpath.dirname(path))
    values = parse_toml(path, text)
    hosts = values.get("host") or {}
    tables = isinstance(hosts, dict) and all(isinstance(each, dict) for each in hosts.values())
    if not tables or "" in hosts:
        raise Unknown(f"{path} is no configuration of a registry")
    _, plain = _url(str(values.get("server") or registry), values.get("skip_verify") is True)
    found = Hosts((registry,) if plain else ())
    for name, each in hosts.items():
        url, _ = _url(str(name), each.get("skip_verify") is True)
        found += Hosts((), (url,))
    return found


def inline(registry: Any) -> Hosts:
    """Return what the tables ``mirrors`` and ``configs`` of the CRI plugin say.

    :raises Unknown: they are not such tables.
    """
    if not isinstance(registry, Mapping):
        raise Unknown("registry in the configuration of containerd is no table")
    insecure = [
        name for name, each in _tables(registry, "configs")
        if isinstance(each.get("tls"), Mapping) and each["tls"].get("insecure_skip_verify") is True
    ]  # fmt: skip
    endpoints = [table.get("endpoint") or [] for _, table in _tables(registry, "mirrors")]
    if not all(isinstance(each, list) for each in endpoints):
        raise Unknown("endpoint in the configuration of containerd is no list")
    urls = [_url(str(each), False)[0] for listed in endpoints for each in listed]
    return Hosts(tuple(insecure), tuple(urls))


def _tables(registry: Mapping[str, Any], name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    tables = registry.get(name) or {}
    pairs = tables.items() if isinstance(tables, Mapping) else [(name, tables)]
    for key, each in pairs:
        if not isinstance(each, Mapping):
            raise Unknown(f"{name} in the configuration of containerd is no table of tables")
        yield key, each
