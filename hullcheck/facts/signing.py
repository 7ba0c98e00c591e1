"""What signatures of images are verified with, beside policy.json: where they lie
(containers-registries.d(5)) and what notation trusts (notaryproject/specifications, trust store
and trust policy).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.package_files import PackageFile, PackageFiles
from hullcheck.facts.registry import Unseen, get, provide_each
from hullcheck.verdict import Object

__all__ = ["NotationPolicy", "Places", "Trust", "lookasides", "notation_policy", "parse_notation"]

SYSTEM = "/etc/containers/registries.d/"
OWN = "/.config/containers/registries.d/"
LOOKASIDES = ("lookaside", "sigstore", "lookaside-staging", "sigstore-staging")


@dataclass(frozen=True, slots=True)
class Places:
    """Where signatures lie, by registry or part of one; "" is any other.

    :param attached: whether sigstore's are looked for beside the images.
    :param plain: places that are reached by plain HTTP.
    """

    attached: Mapping[str, bool]
    plain: tuple[str, ...]

    def looks_beside(self, scope: str) -> bool:
        """Whether the signatures of a scope are looked for beside its images."""
        way = scope
        while way:
            if way in self.attached:
                return self.attached[way]
            way = way.rpartition("/")[0]
        host = scope.partition("/")[0]
        while "." in host:
            host = host.removeprefix("*.").partition(".")[2]
            if f"*.{host}" in self.attached:
                return self.attached[f"*.{host}"]
        return self.attached.get("", False)


def lookasides(files: PackageFiles, home: str) -> Places:
    """Return where signatures lie for a user; what the user says counts more than the system.

    :raises Unknown: a file cannot be read, or is none of its kind.
    """
    files.need("lookaside")
    attached: dict[str, bool] = {}
    plain: list[str] = []
    for start in (SYSTEM, f"{home.rstrip('/')}{OWN}"):
        for file in files.of("lookaside"):
            if file.path.startswith(start):
                for scope, values in _scopes(file):
                    if "use-sigstore-attachments" in values:
                        attached[scope] = values["use-sigstore-attachments"] is True
                    urls = (str(values.get(name) or "") for name in LOOKASIDES)
                    plain += [f"{each} ({file.path})" for each in urls
                              if each.lower().startswith("http:")]  # fmt: skip
    return Places(attached, tuple(plain))


def _scopes(file: PackageFile) -> Iterator[tuple[str, Mapping[str, Any]]]:
    wrong = Unknown(f"{file.path} is no configuration of registries")
    if len(file.text) > LARGEST or "&" in file.text:
        raise wrong
    try:
        values = yaml.safe_load(file.text) or {}
        rows = [("", values.get("default-docker") or {}), *(values.get("docker") or {}).items()]
    except (yaml.YAMLError, AttributeError, ValueError, RecursionError):
        raise wrong from None
    for scope, table in rows:
        if table is not None and not isinstance(table, Mapping):
            raise wrong
        yield str(scope), table or {}


LARGEST = 100_000


@dataclass(frozen=True, slots=True)
class Trust:
    """One policy of a file of notation's.

    :param level: strict, permissive, audit or skip; ``overrides`` what single checks do instead.
    :param stores: the trust stores it names, ``ca:NAME``.
    """

    name: str
    level: str
    overrides: Mapping[str, str]
    stores: tuple[str, ...]
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class NotationPolicy:
    """A file of policies, of one user."""

    path: str
    policies: tuple[Trust, ...]

    @property
    def object(self) -> Object:
        return Object("file", self.path)

    def store(self, name: str) -> str:
        """Return the folder of a trust store."""
        kind, _, rest = name.partition(":")
        return f"{self.path.rpartition('/')[0]}/truststore/x509/{kind}/{rest}"


def parse_notation(file: PackageFile) -> NotationPolicy:
    """Read a trust policy. :raises Unknown: it is none."""
    try:
        values = json.loads(file.text)
        found = [
            Trust(
                str(each["name"]), str(each["signatureVerification"]["level"]),
                {str(k): str(v)
                 for k, v in (each["signatureVerification"].get("override") or {}).items()},
                tuple(map(str, each.get("trustStores") or ())),
                tuple(map(str, each.get("registryScopes") or ())),
            )
            for each in values["trustPolicies"]
        ]  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Unknown(f"{file.path} is no trust policy") from None
    return NotationPolicy(file.path, tuple(found))


@provide_each
def notation_policy(host: Host) -> Sequence[NotationPolicy | Unseen]:
    """Each trust policy of notation's, of every user.

    :raises NotApplicable: there is none.
    """
    files: PackageFiles = get(host, "package_files")
    found: list[NotationPolicy | Unseen] = []
    for file in files.of("notation"):
        try:
            found.append(parse_notation(file))
        except Unknown as reason:
            found.append(Unseen(Object("file", file.path), str(reason)))
    try:
        files.need("notation")
    except Unknown as reason:
        found.append(Unseen(Object("file", "(notation's trust policies of others)"), str(reason)))
    if not found:
        raise NotApplicable("no trust policy of notation's is on this host")
    return found
