"""What is said of how an image was made, and of what: bills of materials and provenance.

Formats: SPDX 2.x JSON and 3.0 JSON-LD, CycloneDX JSON, Syft's own JSON; in-toto statements with
SLSA provenance 0.2 and 1 (slsa.dev), bare, in a DSSE envelope or in a Sigstore bundle, and the
file that ``docker buildx build --metadata-file`` writes. No signature is verified here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from hullcheck.facts.scans.reports import (
    Subject,
    digests_in,
    entry,
    listed,
    subject_of,
    text_of,
    when,
)

__all__ = ["Provenance", "Sbom", "provenance_of", "sbom_of"]

CONTAINERS = ("pkg:oci/", "pkg:docker/")


@dataclass(frozen=True, slots=True)
class Sbom:
    """A bill of materials.

    :param kind: SPDX, CycloneDX or Syft.
    :param lists: whether it lists anything beside the image itself.
    """

    subject: Subject
    kind: str
    lists: bool


@dataclass(frozen=True, slots=True)
class Provenance:
    """:param builder: the id of what built it; empty if that is not told."""

    subject: Subject
    builder: str
    build_type: str
    finished: datetime | None


def sbom_of(document: Any) -> Sbom | None:
    """Return the bill of materials that a document is; None if it is none."""
    if not isinstance(document, dict):
        return None
    if document.get("bomFormat") == "CycloneDX":
        return _cyclonedx(document)
    if text_of(document.get("spdxVersion")).startswith("SPDX-2"):
        return _spdx(document)
    if "@graph" in document and "spdx.org" in str(document.get("@context")):
        return _spdx3(document)
    if entry(document, "descriptor", "name") == "syft" and "artifacts" in document:
        return _syft(document)
    found = sbom_of(document.get("predicate")) if "predicateType" in document else None
    return replace(found, subject=subject_of(document)) if found else None


def _syft(document: Mapping[str, Any]) -> Sbom:
    about = entry(document, "source", "metadata")
    digests = [entry(about, "manifestDigest"), *listed(entry(about, "repoDigests"))]
    subject = Subject(
        frozenset(digests_in([entry(about, "imageID")])), frozenset(digests_in(digests)),
        (text_of(entry(about, "userInput")),),
    )  # fmt: skip
    return Sbom(subject, "Syft", bool(document["artifacts"]))


def _cyclonedx(document: Mapping[str, Any]) -> Sbom:
    about = entry(document, "metadata", "component")
    told = {
        text_of(entry(each, "name")): text_of(entry(each, "value"))
        for each in listed(entry(about, "properties"))
    }
    of_trivy = "aquasecurity:trivy:"
    name, version = text_of(entry(about, "name")), text_of(entry(about, "version"))
    places = [name, version, told.get(f"{of_trivy}RepoDigest"), told.get("syft:image:digest")]
    for key in ("purl", "bom-ref"):
        if text_of(entry(about, key)).startswith(CONTAINERS):
            places.append(text_of(entry(about, key)))
    for each in listed(entry(about, "hashes")):
        if entry(each, "alg") == "SHA-256":
            places.append(entry(each, "content"))
    subject = Subject(
        frozenset(digests_in([told.get(f"{of_trivy}ImageID")])), frozenset(digests_in(places)),
        (name, told.get(f"{of_trivy}RepoTag", "")),
    )  # fmt: skip
    return Sbom(subject, "CycloneDX", bool(document.get("components")))


def _spdx(document: Mapping[str, Any]) -> Sbom:
    packages = listed(document.get("packages"))
    ids: set[str] = set()
    digests: set[str] = set()
    names = []
    for each in packages:
        if not isinstance(each, dict) or not _contains(each):
            continue
        names += [text_of(each.get("name"))]
        notes = [text_of(note) for note in listed(each.get("attributionTexts"))]
        notes += [text_of(entry(note, "comment")) for note in listed(each.get("annotations"))]
        ids |= digests_in(note for note in notes if note.startswith("ImageID:"))
        digests |= digests_in(note for note in notes if note.startswith("RepoDigest:"))
        digests |= digests_in([each.get("versionInfo"), each.get("name"), *_references(each)])
        digests |= digests_in(
            entry(sum_, "checksumValue")
            for sum_ in listed(each.get("checksums"))
            if entry(sum_, "algorithm") == "SHA256"
        )
    subject = Subject(frozenset(ids), frozenset(digests), tuple(names))
    return Sbom(subject, "SPDX", len(packages) > len(names))


def _contains(package: Mapping[str, Any]) -> bool:
    """Whether it is the image, not something in it."""
    return (
        package.get("primaryPackagePurpose") == "CONTAINER"
        or text_of(package.get("SPDXID")).startswith("SPDXRef-DocumentRoot")
        or any(True for _ in _references(package))
    )


def _references(package: Mapping[str, Any]) -> Iterator[str]:
    for each in listed(package.get("externalRefs")):
        place = text_of(entry(each, "referenceLocator"))
        if place.startswith(CONTAINERS):
            yield place


def _spdx3(document: Mapping[str, Any]) -> Sbom:
    elements = listed(document["@graph"])
    digests: set[str] = set()
    names = []
    for each in elements:
        if entry(each, "software_primaryPurpose") == "container":
            names += [text_of(entry(each, "name"))]
            digests |= digests_in([
                entry(each, "software_packageVersion"), entry(each, "software_packageUrl"),
                *(entry(sum_, "hashValue") for sum_ in listed(entry(each, "verifiedUsing"))
                  if entry(sum_, "algorithm") == "sha256"),
            ])  # fmt: skip
    subject = Subject(digests=frozenset(digests), names=tuple(names))
    return Sbom(subject, "SPDX", 0 in elements)


def provenance_of(document: Any) -> Provenance | None:
    """Return the provenance that a document is; None if it is none."""
    if not isinstance(document, dict):
        return None
    if text_of(document.get("predicateType")).startswith("https://slsa.dev/provenance/"):
        return _provenance(subject_of(document), document.get("predicate"))
    if isinstance(found := document.get("buildx.build.provenance"), dict):
        subject = Subject(
            frozenset(digests_in([document.get("containerimage.config.digest")])),
            frozenset(digests_in([document.get("containerimage.digest")])),
            tuple(text_of(document.get("image.name")).split(",")),
        )
        return _provenance(subject, found)
    return None


def _provenance(subject: Subject, predicate: Any) -> Provenance:
    if "runDetails" in (predicate if isinstance(predicate, dict) else ()):
        run = entry(predicate, "runDetails")
        return Provenance(
            subject, text_of(entry(run, "builder", "id")),
            text_of(entry(predicate, "buildDefinition", "buildType")),
            when(entry(run, "metadata", "finishedOn")),
        )  # fmt: skip
    return Provenance(
        subject, text_of(entry(predicate, "builder", "id")),
        text_of(entry(predicate, "buildType")),
        when(entry(predicate, "metadata", "buildFinishedOn")),
    )  # fmt: skip
