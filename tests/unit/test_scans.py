"""Scans, bills of materials and provenance of images in use: what counts, and what does not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from checks.build.test_provenance import test_provenance as provenance
from checks.build.test_provenance import test_sbom as sbom
from checks.build.test_scans import test_fixable_flaws as fixable_flaws
from checks.build.test_scans import test_scanned as scanned
from checks.build.test_scans import test_scanner_database as scanner_database
from hullcheck.facts.scans import about as scans
from hullcheck.facts.scans import attested
from tests.unit.image_fake import number, one
from tests.unit.scan_fake import (
    APP,
    BUILDER,
    DIGEST,
    ME,
    NAME,
    OTHER,
    V1,
    cyclonedx,
    envelope,
    flaw,
    grype,
    hosted,
    match,
    put,
    slsa02,
    slsa1,
    spdx,
    statement,
    trivy,
)


def judged(control: Any, folder: Path, *documents: Any, **policy: Any) -> tuple[str, str]:
    put(folder, {f"{number}.json": each for number, each in enumerate(documents)})
    values = {"scan_reports": (str(folder),), "report_writers": (ME,), "sboms": True} | policy
    return one(control, hosted(), **values)


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else could have written the files: that has its own test, and costs processes."""
    monkeypatch.setattr(scans, "_loose", lambda host, paths, writers: dict.fromkeys(paths, ""))


pytestmark = pytest.mark.usefixtures("trusting")
METADATA = trivy()["Metadata"]


@pytest.mark.parametrize(
    ("documents", "status", "why"),
    [
        ([trivy()], "pass", ""),
        ([grype()], "pass", ""),
        ([], "fail", "is none, expected one about this very image"),
        # Another image of the same name, and one of another name.
        ([trivy(image=OTHER, Metadata={"ImageID": OTHER, "RepoTags": [f"{NAME}:1"]})], "fail",
         "another image of that name"),
        ([trivy(image=OTHER, ArtifactName="x", Metadata={"ImageID": OTHER})], "fail", "is none"),
        # The digest of an index is that of all platforms: the image of another one.
        ([trivy(image=OTHER)], "fail", "another image of that name"),
        ([trivy(Metadata=METADATA | {"ImageID": ""})], "pass", ""),
        ([trivy(CreatedAt="2026-10-01T00:00:00Z")], "fail", "days since"),
        ([trivy(CreatedAt="2027-10-01T00:00:00Z")], "fail", "in the past"),
        ([trivy(CreatedAt="2027-10-01T00:00:00Z"), trivy()], "pass", ""),
        ([trivy(CreatedAt=None)], "unknown", "does not tell when"),
        # Nothing was looked at, or not all.
        ([trivy(Results=None)], "fail", "it looked for no flaws in packages"),
        ([trivy(Results=None, Metadata={"ImageID": APP})], "manual", "no package at all"),
        ([trivy(Results=[{"Target": "a", "Class": "secret"}])], "fail", "no flaws in packages"),
        ([trivy(Results=[{"Target": "a", "Class": "lang-pkgs"}])], "fail", "packages of alpine"),
        ([trivy(Results=[{"Target": "a", "Class": "secret"}]), trivy()], "pass", ""),
        ([grype(distro={"name": ""})], "manual", "no package at all"),
        ([trivy(ArtifactType="filesystem")], "fail", "is none"),
        # No JSON, or not of one mind.
        ([json.dumps(trivy())[:-40]], "fail", "which is no JSON, is none"),
        ([json.dumps(trivy())[:-1] + ',"ArtifactType":"container_image"}'], "fail", "is none"),
        (["[" * 500], "unknown", "cannot be read as a whole"),
        ([json.dumps(trivy()), "[" * 500], "pass", ""),
    ],
)  # fmt: skip
def test_what_counts_as_a_scan(tmp_path: Path, documents: Any, status: str, why: str) -> None:
    found = judged(scanned, tmp_path, *documents)
    assert found[0] == status
    assert why in found[1]


def test_an_image_in_containerds_store(tmp_path: Path) -> None:
    """Its id is the digest of a manifest, and the scanner names the configuration."""
    put(tmp_path, {"a.json": trivy(image=OTHER)})
    host = hosted(Id=DIGEST)
    policy = {"scan_reports": (str(tmp_path),), "report_writers": (ME,)}
    assert one(scanned, host, **policy) == ("pass", "")


def test_what_the_site_asks_for(tmp_path: Path) -> None:
    assert judged(scanned, tmp_path, scan_reports=None)[0] == "manual"
    assert judged(scanned, tmp_path, scan_reports=None, scanner="trivy")[0] == "fail"
    assert judged(scanned, tmp_path, scan_reports=(f"{tmp_path}/none",))[0] == "fail"
    status, why = judged(scanned, tmp_path, grype(), scanner="trivy")
    assert (status, "of grype, not of trivy" in why) == ("fail", True)
    assert judged(scanned, tmp_path, grype(), scanner="grype")[0] == "pass"


def test_links_are_not_followed_but_that_of_the_folder(tmp_path: Path) -> None:
    real, folder = tmp_path / "real", tmp_path / "folder"
    put(real, {"a.json": trivy()})
    folder.symlink_to(real)
    assert judged(scanned, tmp_path, scan_reports=(str(folder),))[0] == "pass"
    folder.unlink()
    folder.mkdir(mode=0o755)
    (folder / "a.json").symlink_to(real / "a.json")
    os.mkfifo(folder / "b.json")
    assert judged(scanned, tmp_path, scan_reports=(str(folder),))[0] == "fail"


OLD_DATABASE = {"name": "grype", "timestamp": "2026-11-22T10:00:00Z",
                "db": {"built": "2026-09-01T01:00:00Z", "schemaVersion": 5}}  # fmt: skip


@pytest.mark.parametrize(
    ("documents", "status"),
    [
        ([grype()], "pass"),
        ([grype(descriptor=OLD_DATABASE)], "fail"),
        ([grype(descriptor=OLD_DATABASE | {"db": {}})], "unknown"),
        ([grype(descriptor=OLD_DATABASE | {"db": {"built": "2027-01-01T00:00:00Z"}})], "fail"),
        ([trivy()], "unknown"),
        # What it found was changed the day before: no database is older than what is in it.
        ([trivy(flaw())], "pass"),
        ([trivy(flaw(LastModifiedDate="2026-08-01T00:00:00Z"))], "unknown"),
        ([], "not-applicable"),
    ],
)
def test_how_old_the_database_was(tmp_path: Path, documents: Any, status: str) -> None:
    assert judged(scanner_database, tmp_path, *documents)[0] == status


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ({"UpdatedAt": "2026-11-22T00:48:12.9Z", "DownloadedAt": "2026-11-22T02:00:00Z"}, "pass"),
        ({"UpdatedAt": "2026-09-22T00:48:12Z", "DownloadedAt": "2026-09-22T02:00:00Z"}, "fail"),
        # It was fetched after the scan, which had another.
        ({"UpdatedAt": "2026-11-22T00:48:12Z", "DownloadedAt": "2026-11-22T12:00:00Z"}, "unknown"),
        ({"UpdatedAt": "soon"}, "unknown"),
    ],
)
def test_trivys_cache(tmp_path: Path, state: Any, status: str) -> None:
    put(tmp_path, {"cache/db/metadata.json": {"Version": 2, "NextUpdate": "x"} | state})
    assert judged(scanner_database, tmp_path, trivy())[0] == status


def with_results(**parts: Any) -> dict[str, Any]:
    return trivy(Results=[trivy(flaw())["Results"][0] | parts])


HIDDEN = {"Type": "vulnerability", "Status": "ignored", "Source": ".trivyignore", "Finding": flaw()}
RULE = {"vulnerability": "CVE-2026-2", "namespace": "", "fix-state": ""}


@pytest.mark.parametrize(
    ("document", "status"),
    [
        (trivy(), "pass"),
        (trivy(flaw()), "fail"),
        (trivy(flaw(severity="HIGH")), "pass"),
        (trivy(flaw(FixedVersion="", Status="affected")), "pass"),
        (trivy(flaw("CVE-2026-9")), "pass"),
        # Known for less than a month; and not told since when.
        (trivy(flaw(PublishedDate="2026-11-10T00:00:00Z")), "pass"),
        (trivy(flaw(PublishedDate=None)), "fail"),
        (with_results(Vulnerabilities=None, ExperimentalModifiedFindings=[HIDDEN]), "fail"),
        (with_results(Vulnerabilities=None,
                      ExperimentalModifiedFindings=[HIDDEN | {"Status": "not_affected"}]), "pass"),
        (trivy(Metadata=METADATA | {"OS": {"Family": "alpine", "EOSL": True}}), "fail"),
        (trivy(Results=None), "unknown"),
        (grype(match()), "fail"),
        (grype(alertsByPackage=[{"package": {}, "alerts": [{"type": "distro-eol"}]}]), "fail"),
        (grype(match(state="not-fixed", versions=[])), "pass"),
        (grype(match(available=[{"version": "1.2.1", "date": "2026-11-20"}])), "pass"),
        (grype(match(available=[{"version": "1.2.1", "date": "2026-01-20"}])), "fail"),
        (grype(ignoredMatches=[match() | {"appliedIgnoreRules": [RULE]}]), "fail"),
        (grype(ignoredMatches=[match() | {"appliedIgnoreRules": [{"package": {"name": "a"}}]}]),
         "fail"),
        *((grype(ignoredMatches=[match() | {"appliedIgnoreRules": [own]}]), "pass") for own in (
            RULE | {"reason": "DistroPackageFixed", "include-aliases": True},
            {"namespace": "vex", "vex-status": "not_affected"},
            {"package": {"name": "kernel-headers"}, "match-type": "exact-indirect-match"},
        )),
        (grype(descriptor=grype()["descriptor"] | {"configuration": {"only-notfixed": True}}),
         "unknown"),
    ],
)  # fmt: skip
def test_flaws_that_can_be_fixed(tmp_path: Path, document: Any, status: str) -> None:
    assert judged(fixable_flaws, tmp_path, document, accepted_flaws=("CVE-2026-9",))[0] == status


def test_what_the_site_says_of_flaws(tmp_path: Path) -> None:
    both = [trivy(flaw(severity="HIGH")), grype(match(), descriptor=OLD_DATABASE)]
    status, why = judged(fixable_flaws, tmp_path, *both)
    assert (status, "CVE-2026-2 (critical) in package-1, fixed in 1.2.1" in why) == ("fail", True)
    accepted = {"accepted_flaws": ("CVE-2026-2",)}
    assert judged(fixable_flaws, tmp_path, **accepted)[0] == "pass"
    assert judged(fixable_flaws, tmp_path, **accepted, fixable_severities=("high",))[0] == "fail"
    assert judged(fixable_flaws, tmp_path, **accepted, fix_grace=999, fixable_severities=("high",))[
        0
    ] == ("pass")


SYFT = {
    "artifacts": [{"id": "x"}], "descriptor": {"name": "syft"}, "schema": {"version": "16"},
    "source": {"type": "image", "metadata": {"userInput": NAME, "imageID": APP, "layers": []}},
}  # fmt: skip
SPDX3 = {"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": [
    {"type": "SpdxDocument"}, {"type": "software_Package", "name": "busybox"},
    {"type": "software_Package", "software_primaryPurpose": "container", "name": NAME,
     "software_packageUrl": f"pkg:oci/app@{DIGEST}"},
]}  # fmt: skip


@pytest.mark.parametrize(
    ("document", "status"),
    [
        (cyclonedx(), "pass"),
        (cyclonedx(components=[]), "fail"),
        (cyclonedx(OTHER), "fail"),
        (spdx(), "pass"),
        (spdx(OTHER), "fail"),
        (spdx(packages=spdx()["packages"][1:]), "fail"),
        (SPDX3, "pass"),
        (SYFT, "pass"),
        (SYFT | {"artifacts": []}, "fail"),
        (statement(spdx(OTHER), "https://spdx.dev/Document"), "pass"),
        (envelope(statement(spdx(), "https://spdx.dev/Document")), "pass"),
        (statement(spdx(), "https://spdx.dev/Document", OTHER), "fail"),
        (trivy(), "fail"),
        ("", "fail"),
    ],
)
def test_bills_of_materials(tmp_path: Path, document: Any, status: str) -> None:
    assert judged(sbom, tmp_path, document)[0] == status
    if not document:
        assert judged(sbom, tmp_path, sboms=None)[0] == "manual"
        assert judged(sbom, tmp_path, sboms=False)[0] == "not-applicable"


METADATA_FILE = {
    "buildx.build.provenance": slsa02()["predicate"], "buildx.build.ref": "default/default/x",
    "containerimage.config.digest": APP, "containerimage.digest": OTHER, "image.name": NAME,
}  # fmt: skip


@pytest.mark.parametrize(
    ("document", "status"),
    [
        (slsa1(), "pass"),
        (slsa02(), "pass"),
        (envelope(slsa1()), "pass"),
        ({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
          "verificationMaterial": {"certificate": {"rawBytes": "x"}},
          "dsseEnvelope": envelope(slsa02())}, "pass"),
        (METADATA_FILE, "pass"),
        (slsa1("https://github.com/acme"), "pass"),
        (slsa1("https://github.com/acmeX/app"), "fail"),
        (slsa1("https://github.com/acme/../evil/app"), "fail"),
        (slsa1(""), "fail"),
        (slsa02(""), "fail"),
        (slsa1(digest=OTHER), "fail"),
        (envelope(slsa1(digest=OTHER)), "fail"),
        (statement([], V1), "fail"),
        (statement({"runDetails": []}, V1), "fail"),
        ("", "fail"),
    ],
)  # fmt: skip
def test_who_built_it(tmp_path: Path, document: Any, status: str) -> None:
    builders = ("https://github.com/acme/",)
    assert judged(provenance, tmp_path, document, builders=builders)[0] == status
    assert judged(provenance, tmp_path, builders=(BUILDER,), scan_reports=None)[0] == "fail"
    assert judged(provenance, tmp_path, builders=None)[0] in ("manual", "fail")


def index(attestation: str, manifest: str = OTHER) -> dict[str, Any]:
    """As BuildKit writes it."""
    kind = "application/vnd.oci.image"
    notes = {"vnd.docker.reference.digest": manifest,
             "vnd.docker.reference.type": "attestation-manifest"}  # fmt: skip
    return {
        "schemaVersion": 2, "mediaType": f"{kind}.index.v1+json",
        "manifests": [
            {"mediaType": f"{kind}.manifest.v1+json", "digest": manifest, "size": 9,
             "platform": {"architecture": "amd64", "os": "linux"}},
            {"mediaType": f"{kind}.manifest.v1+json", "digest": attestation, "size": 8,
             "annotations": notes, "platform": {"architecture": "unknown", "os": "unknown"}},
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("about", "builder", "status"),
    [
        (OTHER, BUILDER, "pass"),
        (APP, BUILDER, "fail"),
        (OTHER, "https://laptop.example", "fail"),
        (None, "", "fail"),
    ],
)
def test_what_the_content_store_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, about: str | None, builder: str, status: str
) -> None:
    root, folder = tmp_path / "containerd", tmp_path / "containerd" / attested.BLOBS
    look = attested._LOOK.replace(attested.ROOTS[0], str(root))
    monkeypatch.setattr(attested, "_LOOK", look)
    note, layer = number("note"), number("layer")
    manifest = {"config": {}, "layers": [{"mediaType": "application/vnd.in-toto+json",
                                          "digest": layer}]}  # fmt: skip
    blobs = {DIGEST: index(note), note: manifest, layer: slsa1(builder, about or OTHER)}
    put(folder, {key[7:]: blob for key, blob in blobs.items() if about})
    folder.mkdir(parents=True, exist_ok=True)
    policy = {"builders": (BUILDER,), "report_writers": (ME,)}
    for parts in ({"Id": DIGEST}, {}):
        found = one(provenance, hosted(**parts), **policy)
        assert found[0] == status, found
    if os.getuid():
        folder.chmod(0)
        assert one(provenance, hosted(), **policy)[0] == "unknown"
        folder.chmod(0o755)
