"""containers-policy.json(5): which images may be pulled, and by whose signature."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.accounts import User
from hullcheck.facts.podman.places import Places
from hullcheck.facts.podman.settings import own_directory

__all__ = ["Signatures", "read_signatures"]

ANYTHING = "insecureAcceptAnything"
SIGNED = ("reject", "signedBy", "signedBaseLayer", "sigstoreSigned")
"""The other kinds of requirements; a policy with one of no kind is refused as a whole."""

NOTHING = [{"type": "reject"}]
KEYS = ("keyPath", "keyPaths", "caPath", "caRootsPath", "caIntermediatesPath", "rekorPublicKeyPath",
        "rekorPublicKeyPaths")  # fmt: skip
REMOTE = ("docker", "atomic")
"""Transports that bring images from other machines."""


@dataclass(frozen=True, slots=True)
class Signatures:
    """:param anywhere: what takes images from any registry, unsigned: ``default`` or a transport.
    :param scopes: the registries and repositories from which images are taken unsigned.
    :param keys: the files of keys and authorities by which signatures are verified.
    :param attached: the scopes whose signatures are sigstore's, and lie beside their images.
    """

    path: str
    anywhere: tuple[str, ...]
    scopes: tuple[str, ...]
    keys: tuple[str, ...] = ()
    attached: tuple[str, ...] = ()

    def __add__(self, other: Signatures) -> Signatures:
        """Return what two policies say together; what the other takes is told with its path."""
        return Signatures(
            self.path,
            self.anywhere + tuple(f"{each} ({other.path})" for each in other.anywhere),
            self.scopes + tuple(f"{each} ({other.path})" for each in other.scopes),
            self.keys + other.keys,
            self.attached + other.attached,
        )


def read_signatures(places: Places, user: User) -> Signatures:
    """Return the policy that counts for one user; their own file counts in place of /etc's.

    :raises NotApplicable: there is none, and so nothing can be pulled.
    :raises Unknown: it cannot be read, or Podman would refuse it.
    """
    tried = (f"{own_directory(user)}/policy.json", "/etc/containers/policy.json",
             "/usr/share/containers/policy.json")  # fmt: skip
    path = next((each for each in tried if places.text(each) is not None), "")
    if not path:
        raise NotApplicable("there is no policy.json: Podman pulls nothing without one")
    return parse_policy(path, places.text(path) or "")


def parse_policy(path: str, text: str) -> Signatures:
    """Read a policy. :raises Unknown: it is none; duplicate keys make it none too."""
    try:
        values = json.loads(text, object_pairs_hook=_once)
        transports = values.get("transports") or {}
        remote = {name: transports[name] for name in REMOTE if name in transports}
        # A default does not count for a transport that has its own.
        anywhere = [name for name, scopes in remote.items() if _takes(scopes.get("", NOTHING))]
        if _takes(values["default"]) and not all("" in remote.get(name, {}) for name in REMOTE):
            anywhere.insert(0, "default")
        scopes = [
            scope
            for scopes in remote.values()
            for scope, wanted in scopes.items()
            if scope and _takes(wanted)
        ]
        named = [(scope, wanted) for each in remote.values() for scope, wanted in each.items()]
        keys = [key for _, wanted in (("", values["default"]), *named) for key in _keys(wanted)]
        attached = [scope for scope, wanted in named if scope and _of_sigstore(wanted)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Unknown(f"{path} is no policy of signatures") from None
    return Signatures(
        path, tuple(anywhere), tuple(sorted(set(scopes))), tuple(sorted(set(keys))),
        tuple(sorted(set(attached))),
    )  # fmt: skip


def _keys(requirements: Any) -> Iterator[str]:
    """Yield the files that requirements name, of keys, of Fulcio and of Rekor."""
    for each in requirements:
        tables = (each, each.get("fulcio") or {}, each.get("pki") or {})
        for found in (table.get(name) for table in tables for name in KEYS):
            yield from [found] if isinstance(found, str) else map(str, found or ())


def _of_sigstore(requirements: Any) -> bool:
    return any(each["type"] == "sigstoreSigned" for each in requirements)


def _takes(requirements: Any) -> bool:
    """Whether an image without a signature meets all of some requirements."""
    if not isinstance(requirements, list) or not requirements:
        raise TypeError("requirements")
    kinds = [each["type"] for each in requirements]
    if set(kinds) - {ANYTHING, *SIGNED}:
        raise ValueError("a requirement of a kind that is not known")
    return all(each == ANYTHING for each in kinds)


def _once(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found
