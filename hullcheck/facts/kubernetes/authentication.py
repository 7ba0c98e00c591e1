"""How a kube-apiserver learns who asks: flags, or an AuthenticationConfiguration in their place.

Kubernetes, "Authenticating"; pkg/kubeapiserver/options/authentication.go: what the file says of
``anonymous`` and ``jwt`` excludes the flags of the same; where it says nothing, the flags count.
What changes in the file is taken over of ``jwt`` alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from hullcheck.control import Unknown
from hullcheck.facts.foreign_yaml import at, items, text
from hullcheck.facts.kubernetes.api_files import config, named
from hullcheck.facts.kubernetes.components import Component
from hullcheck.inventory.document import Node

__all__ = ["Anonymous", "Issuer", "anonymous", "issuers"]

FLAG, KIND = "authentication-config", "AuthenticationConfiguration"


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Whether requests without credentials are taken.

    :param paths: the only ones on which they are; None if on all.
    """

    enabled: bool
    paths: tuple[str, ...] | None
    source: str


@dataclass(frozen=True, slots=True)
class Issuer:
    """An identity provider.

    :param users: what is put before the names that it gives; ``groups`` before those of groups.
        None where it gives none, or where an expression makes them.
    :param rules: whether expressions make names, or refuse some.
    """

    url: str
    claim: str
    users: str | None
    groups: str | None
    rules: bool


def anonymous(component: Component) -> Anonymous:
    """Return how anonymous requests are treated. :raises Unknown: it cannot be told."""
    said = at(config(component, FLAG, KIND), "anonymous")
    if said is None or said.value is None:
        allowed = component.flags.flag("anonymous-auth")
        source = "default" if allowed is None else "--anonymous-auth"
        return Anonymous(allowed is not False, None, source)
    enabled = at(said, "enabled")
    value = enabled.value if enabled is not None else None
    if value is not None and not isinstance(value, bool):
        raise Unknown(f"anonymous.enabled is {text(enabled)[:40]!r}")
    paths = tuple(text(at(each, "path")) for each in items(at(said, "conditions")))
    return Anonymous(bool(value), paths or None, named(component, FLAG) or FLAG)


def issuers(component: Component) -> list[Issuer]:
    """Return the identity providers. :raises Unknown: the file cannot be read."""
    said = config(component, FLAG, KIND, reloaded=True)
    found = [_issuer(each) for each in items(at(said, "jwt"))]
    url = named(component, "oidc-issuer-url")
    return [*found, _of_flags(component, url)] if url else found


def _issuer(jwt: Node) -> Issuer:
    mappings = at(jwt, "claimMappings")
    users, groups = at(mappings, "username"), at(mappings, "groups")
    made = any(text(at(each, "expression")) for each in (users, groups))
    return Issuer(
        text(at(jwt, "issuer", "url")),
        text(at(users, "claim")),
        text(at(users, "prefix")) if text(at(users, "claim")) else None,
        text(at(groups, "prefix")) if text(at(groups, "claim")) else None,
        made or bool(items(at(jwt, "userValidationRules"))),
    )


def _of_flags(component: Component, url: str) -> Issuer:
    flags = component.flags
    claim = flags.last("oidc-username-claim") or "sub"
    prefix = flags.last("oidc-username-prefix") or ("" if claim == "email" else f"{url}#")
    groups = flags.last("oidc-groups-prefix") or ""
    given = flags.last("oidc-groups-claim")
    return Issuer(url, claim, "" if prefix == "-" else prefix, groups if given else None, False)
