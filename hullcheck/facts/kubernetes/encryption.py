"""How a kube-apiserver encrypts what it stores: the whole EncryptionConfiguration.

Kubernetes, "Encrypting Confidential Data at Rest"; encryptionconfig/config.go: a resource that is
named counts before its group (``*.apps``, ``*.`` the core group), that before all (``*.*``, since
1.27). Blocks that name the same have their providers in a row. The first one writes. What is named
nowhere is stored as it is. Keys stay on the host.
"""

from __future__ import annotations

from dataclasses import dataclass

from hullcheck.control import Unknown
from hullcheck.facts.foreign_yaml import at, items, keys, text
from hullcheck.facts.kubernetes.api_files import config
from hullcheck.facts.kubernetes.components import Component
from hullcheck.inventory.document import Node

__all__ = ["IDENTITY", "Encryption", "encryption"]

IDENTITY = "identity"
PROVIDERS = (IDENTITY, "aescbc", "aesgcm", "secretbox", "kms")
Kind = tuple[str, str]
"""A group and a resource."""


@dataclass(frozen=True, slots=True)
class Encryption:
    """:param providers: of each kind that is named, in their order: aescbc, kms v2 …"""

    providers: dict[Kind, list[str]]

    def of(self, resource: str, group: str = "") -> list[str]:
        """Return the providers of a kind of resource; identity, if none is named."""
        for kind in ((group, resource), (group, "*"), ("*", "*")):
            if kind in self.providers:
                return self.providers[kind] or [IDENTITY]
        return [IDENTITY]

    @property
    def plain(self) -> list[str]:
        """The kinds that are named and yet stored as they are."""
        firsts = {kind: (each or [IDENTITY])[0] for kind, each in self.providers.items()}
        return sorted(_shown(kind) for kind, first in firsts.items() if first == IDENTITY)


def _shown(kind: Kind) -> str:
    group, resource = kind
    return f"{resource}.{group}" if group or resource == "*" else resource


def encryption(component: Component) -> Encryption | None:
    """Return how a component encrypts; None if it does not.

    :raises Unknown: the file cannot be read, or holds what no release knows.
    """
    kinds = ("EncryptionConfiguration", "EncryptionConfig")
    found = config(component, "encryption-provider-config", *kinds, cut=True)
    if found is None:
        return None
    providers: dict[Kind, list[str]] = {}
    for block in items(at(found, "resources")):
        listed = [_provider(each) for each in items(at(block, "providers"))]
        for each in items(at(block, "resources")):
            resource, _, group = text(each).partition(".")
            providers.setdefault((group, resource), []).extend(listed)
    return Encryption(providers)


def _provider(said: Node) -> str:
    known = [each for each in PROVIDERS if each in keys(said)]
    if len(known) != 1:
        raise Unknown(f"line {said.line} names {len(known)} providers that are known")
    if known[0] != "kms":
        return known[0]
    return f"kms {text(at(said, 'kms', 'apiVersion')) or 'v1'}"
