"""Reports of vulnerability scanners: of which image, when and by what they were made, and what
they found.

Formats: Trivy (pkg/types/report.go, SchemaVersion 2), Grype (grype/presenter/models), the report
for GitLab's container scanning that Trivy and ``docker scout cves --format gitlab`` write, and
cosign's predicate for vulnerabilities, which holds one of the first two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from hullcheck.facts.images import Image, moment

__all__ = [
    "Flaw",
    "Report",
    "Subject",
    "digests_in",
    "entry",
    "listed",
    "report_of",
    "subject_of",
    "text_of",
    "when",
]

_DIGEST = re.compile(r"(?:\A|sha256:)([0-9a-f]{64})(?![0-9a-f])")


@dataclass(frozen=True, slots=True)
class Subject:
    """The image that a document is about.

    :param ids: digests of its configuration, which are the ids of Docker and Podman.
    :param digests: other digests that it names: of manifests, of indexes.
    :param names: what it is called.
    """

    ids: frozenset[str] = frozenset()
    digests: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", ".join(each[:19] for each in sorted(self.ids or self.digests)) or "no digest"

    def fits(self, image: Image) -> bool:
        """Whether it is about this image.

        The digest of an index is that of the images of all platforms: where a document names a
        configuration too, and the engine's ids are of configurations, that must be the same.
        """
        own, named = digests_in([image.id]), digests_in(image.digests)
        if own & (self.ids | self.digests):
            return True
        return bool(named & self.digests) and (not self.ids or bool(own & named))

    def resembles(self, image: Image) -> bool:
        """Whether it is about an image that is called the same."""
        called = {image.name, *(each.partition("@")[0] for each in image.digests)}
        mine = {each for name in self.names for each in _spelt(name)}
        return bool(mine & {each for name in called for each in _spelt(name)})


def _spelt(name: str) -> set[str]:
    """Return a name in the ways that tools write it, without its tag and digest."""
    bare = re.sub(r":[^:/]*\Z", "", name.partition("@")[0])
    bare = re.sub(r"\A(index\.)?docker\.io/", "", bare).removeprefix("library/")
    return {bare} - {""}


@dataclass(frozen=True, slots=True)
class Flaw:
    """A vulnerability that a scanner found in a package.

    :param fix: the version that is free of it; empty if none is known.
    :param since: since when it is known, or its fix; None if that is not told.
    """

    id: str
    package: str
    severity: str
    fix: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Report:
    """:param scanner: trivy, grype or what a report names.

    :param created: when it was made; None if it does not tell.
    :param database: when its database was built; None if it does not tell.
    :param latest: when the youngest entry that it found was changed: no database is older.
    :param looked: whether it shows that packages were looked at; None if it cannot be told.
    :param partial: what it leaves out, as a sentence; empty if nothing that can be seen.
    :param ended: whether the distribution in it gets no fixes any more.
    :param hidden: what it found, and was told to leave out.
    """

    subject: Subject
    scanner: str
    created: datetime | None
    flaws: tuple[Flaw, ...]
    hidden: tuple[Flaw, ...] = ()
    database: datetime | None = None
    latest: datetime | None = None
    looked: bool | None = True
    partial: str = ""
    ended: bool = False


def report_of(document: Any) -> Report | None:
    """Return the report that a document is; None if it is none."""
    if not isinstance(document, dict):
        return None
    if "SchemaVersion" in document and "ArtifactType" in document:
        return _trivy(document)
    if "matches" in document and entry(document, "descriptor", "name") == "grype":
        return _grype(document)
    if "scan" in document and entry(document, "scan", "type") == "container_scanning":
        return _gitlab(document)
    kind = text_of(document.get("predicateType"))
    if kind.startswith("https://cosign.sigstore.dev/attestation/vuln/"):
        return _attested(document)
    return None


def _trivy(document: Mapping[str, Any]) -> Report | None:
    if document["ArtifactType"] != "container_image":
        return None
    about = entry(document, "Metadata")
    results = [each for each in listed(document.get("Results")) if isinstance(each, dict)]
    seen = {text_of(each.get("Class")) for each in results}
    system = text_of(entry(about, "OS", "Family")).removeprefix("none")
    partial = ""
    if not seen & {"os-pkgs", "lang-pkgs"} and (system or results):
        partial = "it looked for no flaws in packages"
    elif system and "os-pkgs" not in seen:
        partial = f"it left out the packages of {system}"
    names = [document.get("ArtifactName"), *listed(entry(about, "RepoTags"))]
    flaws = [
        each for result in results for each in listed(result.get("Vulnerabilities"))
        if isinstance(each, dict)
    ]  # fmt: skip
    ignored = [
        each for result in results for each in listed(result.get("ExperimentalModifiedFindings"))
        if isinstance(each, dict) and each.get("Status") == "ignored"
    ]  # fmt: skip
    return Report(
        Subject(
            frozenset(digests_in([entry(about, "ImageID")])),
            frozenset(digests_in(listed(entry(about, "RepoDigests")))),
            tuple(map(text_of, names)),
        ),
        "trivy", when(document.get("CreatedAt")), tuple(map(_of_trivy, flaws)),
        tuple(_of_trivy(found) for each in ignored if (found := entry(each, "Finding"))),
        latest=max(filter(None, (when(each.get("LastModifiedDate")) for each in flaws)),
                   default=None),
        looked=True if seen & {"os-pkgs", "lang-pkgs"} else None,
        partial=partial, ended=entry(about, "OS", "EOSL") is True,
    )  # fmt: skip


def _of_trivy(told: Mapping[str, Any]) -> Flaw:
    fix = text_of(told.get("FixedVersion"))
    return Flaw(
        text_of(told.get("VulnerabilityID")), text_of(told.get("PkgName")),
        text_of(told.get("Severity")).lower(), fix, when(told.get("PublishedDate")),
    )  # fmt: skip


def _grype(document: Mapping[str, Any]) -> Report | None:
    if entry(document, "source", "type") != "image":
        return None
    about, tool = entry(document, "source", "target"), entry(document, "descriptor")
    matches = [each for each in listed(document.get("matches")) if isinstance(each, dict)]
    ignored = [
        each for each in listed(document.get("ignoredMatches"))
        if isinstance(each, dict) and not any(map(_own, listed(each.get("appliedIgnoreRules"))))
    ]  # fmt: skip
    excluded = [text_of(each) for each in listed(entry(tool, "configuration", "exclude"))]
    if entry(tool, "configuration", "only-notfixed") is True:
        excluded.append("flaws that have a fix")
    asked = text_of(entry(about, "userInput"))
    built = entry(tool, "db", "status", "built") or entry(tool, "db", "built")
    distribution = text_of(entry(document, "distro", "name"))
    return Report(
        Subject(
            frozenset(digests_in([entry(about, "imageID")])),
            frozenset(digests_in([entry(about, "manifestDigest"), asked,
                                  *listed(entry(about, "repoDigests"))])),
            (asked, *map(text_of, listed(entry(about, "tags")))),
        ),
        "grype", when(entry(tool, "timestamp")), tuple(map(_of_grype, matches)),
        tuple(map(_of_grype, ignored)), database=when(built),
        looked=True if matches or ignored or distribution else None,
        partial=f"it left out {', '.join(excluded)}" if excluded else "",
        ended=any(entry(alert, "type") == "distro-eol"
                  for each in listed(document.get("alertsByPackage"))
                  for alert in listed(entry(each, "alerts"))),
    )  # fmt: skip


def _own(rule: Any) -> bool:
    """Whether Grype ignores by a rule of its own, or by a VEX document, not because it was told.

    It knows that a distribution has mended a package, and that headers are no kernel.
    """
    mended = entry(rule, "reason") in ("DistroPackageFixed", "Explicit APK NAK")
    return bool(mended or entry(rule, "vex-status") or entry(rule, "match-type"))


def _of_grype(told: Mapping[str, Any]) -> Flaw:
    fix = entry(told, "vulnerability", "fix")
    versions = [text_of(each) for each in listed(entry(fix, "versions"))]
    fixed = entry(fix, "state") == "fixed" or bool(versions)
    dates = [when(entry(each, "date")) for each in listed(entry(fix, "available"))]
    return Flaw(
        text_of(entry(told, "vulnerability", "id")), text_of(entry(told, "artifact", "name")),
        text_of(entry(told, "vulnerability", "severity")).lower(),
        ", ".join(versions) or ("some version" if fixed else ""),
        min(filter(None, dates), default=None),
    )  # fmt: skip


def _gitlab(document: Mapping[str, Any]) -> Report:
    told = [each for each in listed(document.get("vulnerabilities")) if isinstance(each, dict)]
    images = {text_of(entry(each, "location", "image")) for each in told}
    flaws = []
    for each in told:
        names = [text_of(entry(one, "name")) for one in listed(each.get("identifiers"))]
        advice = text_of(each.get("solution"))
        flaws.append(Flaw(
            next(filter(None, names), text_of(each.get("id"))),
            text_of(entry(each, "location", "dependency", "package", "name")),
            text_of(each.get("severity")).lower(),
            advice if advice.startswith("Upgrade") else "", None,
        ))  # fmt: skip
    return Report(
        Subject(digests=frozenset(digests_in(images)), names=tuple(sorted(images))),
        text_of(entry(document, "scan", "scanner", "id")).lower(),
        when(entry(document, "scan", "end_time")), tuple(flaws),
    )  # fmt: skip


def _attested(document: Mapping[str, Any]) -> Report | None:
    predicate = entry(document, "predicate")
    found = report_of(entry(predicate, "scanner", "result"))
    if found is None:
        return None
    return replace(
        found, subject=subject_of(document),
        created=when(entry(predicate, "metadata", "scanFinishedOn")) or found.created,
        database=when(entry(predicate, "scanner", "db", "lastUpdate")) or found.database,
    )  # fmt: skip


def subject_of(statement: Mapping[str, Any]) -> Subject:
    """Return what an in-toto statement is about."""
    told = [each for each in listed(statement.get("subject")) if isinstance(each, dict)]
    digests = digests_in(entry(each, "digest", "sha256") for each in told)
    names = (re.sub(r"\Apkg:(oci|docker)/", "", text_of(each.get("name"))) for each in told)
    return Subject(digests=frozenset(digests), names=tuple(unquote(each) for each in names))


# Reading what anybody may have written.


def entry(value: Any, *keys: str) -> Any:
    """Return what lies below some keys; None if there is nothing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def listed(value: Any) -> Sequence[Any]:
    """Return a list; an empty one in place of anything else."""
    return value if isinstance(value, list) else []


def text_of(value: Any) -> str:
    """Return a text; an empty one in place of anything else."""
    return value if isinstance(value, str) else ""


def when(value: Any) -> datetime | None:
    """Return a time; None if there is none. A fraction may have any length (RFC 3339)."""
    found = moment(re.sub(r"(\.\d{6})\d+", r"\1", text_of(value)))
    return found if found and found.year > 1970 else None


def digests_in(values: Iterable[Any]) -> set[str]:
    """Return the digests in some texts: ``sha256:…``, ``name@sha256:…``, or bare."""
    return {f"sha256:{found}" for found in _found(values)}


def _found(values: Iterable[Any]) -> Iterator[str]:
    for each in values:
        yield from _DIGEST.findall(unquote(text_of(each)))
