"""Reports, bills of materials and attestations in the form in which tools write them, and a host
whose images are made up and whose files are this machine's.

Models: aquasecurity/trivy integration/testdata, anchore/grype and anchore/syft test fixtures,
docs.docker.com (buildx), slsa.dev.
"""

from __future__ import annotations

import base64
import getpass
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testinfra.host import Host

from hullcheck.facts.docker import DockerEngine
from hullcheck.facts.docker.api import Api
from hullcheck.transport import Evidence, Session, host_of, session_of
from hullcheck.transport.redact import Redactor
from tests.unit.here import Processes
from tests.unit.image_fake import ADDRESS, described, number, used

APP, OTHER = number("app"), number("other")
DIGEST = f"sha256:{'d1' * 32}"
NAME = "registry.example/app"
FRESH = "2026-11-22T10:20:30.123456789Z"
ME = getpass.getuser()


def hosted(*shell: str, **parts: Any) -> Host:
    """Return a host with one image, from which a container runs."""
    image = described("app", RepoTags=[f"{NAME}:1"], RepoDigests=[f"{NAME}@{DIGEST}"]) | parts
    session = Session(Processes(shell or ("/bin/sh",)), Redactor(b"salt"))
    api = Api(None, ADDRESS, True)
    told = {
        api.images_want().command: [image],
        api.containers_want().command: [used("app") | {"Image": image["Id"]}],
    }
    session.preload(Evidence(key, 0, json.dumps(each).encode(), b"") for key, each in told.items())
    host = host_of(session, "fake", "fake")
    engine = DockerEngine(host, ADDRESS, 50, True, ("/run/docker.sock",), (), True)
    session_of(host).recall(("provider", "docker"), lambda: [engine])
    return host


def put(folder: Path, files: Mapping[str, Any]) -> None:
    """Write documents: text as it is, anything else as JSON."""
    for name, document in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        text = document if isinstance(document, str) else json.dumps(document, indent=2)
        path.write_text(text)
        path.chmod(0o644)


def flaw(number_: str = "CVE-2026-1", severity: str = "CRITICAL", **parts: Any) -> dict[str, Any]:
    return {
        "VulnerabilityID": number_, "PkgID": "libssl1.1@1.1.1c-r0", "PkgName": "libssl1.1",
        "PkgIdentifier": {"PURL": "pkg:apk/alpine/libssl1.1@1.1.1c-r0?arch=x86_64&distro=3.10.2"},
        "InstalledVersion": "1.1.1c-r0", "FixedVersion": "1.1.1d-r0", "Status": "fixed",
        "Layer": {"DiffID": OTHER}, "SeveritySource": "nvd",
        "PrimaryURL": "https://avd.example/nvd/cve", "DataSource": {"ID": "alpine"},
        "Title": 'openssl: "disclosure" in {fork()}', "Description": 'A \\ "rewritten" [RNG], }',
        "Severity": severity, "CweIDs": ["CWE-330"],
        "CVSS": {"nvd": {"V3Vector": "CVSS:3.1/AV:N", "V3Score": 5.3}},
        "References": ["https://example.org/1", "https://example.org/2"],
        "PublishedDate": "2026-01-10T17:15:00Z", "LastModifiedDate": "2026-11-21T22:15:00Z",
    } | parts  # fmt: skip


def trivy(*flaws: Any, image: str = APP, **parts: Any) -> dict[str, Any]:
    result = {"Target": "app (alpine 3.22.1)", "Class": "os-pkgs", "Type": "alpine",
              "Packages": [{"ID": "busybox@1", "Name": "busybox"}]}  # fmt: skip
    return {
        "SchemaVersion": 2, "ReportID": "0198-7e", "Trivy": {"Version": "0.68.1"},
        "CreatedAt": FRESH, "ArtifactName": f"{NAME}:1", "ArtifactType": "container_image",
        "Metadata": {
            "Size": 8, "OS": {"Family": "alpine", "Name": "3.22.1"}, "ImageID": image,
            "DiffIDs": [OTHER], "RepoTags": [f"{NAME}:1"], "RepoDigests": [f"{NAME}@{DIGEST}"],
            "ImageConfig": {"architecture": "amd64", "config": {"Env": ["DB_PASSWORD=hunter2x"]}},
        },
        "Results": [result | ({"Vulnerabilities": list(flaws)} if flaws else {})],
    } | parts  # fmt: skip


def grype(*matches: Any, image: str = APP, **parts: Any) -> dict[str, Any]:
    return {
        "matches": list(matches),
        "source": {"type": "image", "target": {
            "userInput": f"{NAME}:1", "imageID": image, "manifestDigest": DIGEST,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "tags": [f"{NAME}:1"], "imageSize": 65, "layers": [{"digest": OTHER, "size": 22}],
            "manifest": "eyJ9", "config": "eyJ9", "repoDigests": [], "os": "linux",
        }},
        "distro": {"name": "debian", "version": "12", "idLike": []},
        "descriptor": {
            "name": "grype", "version": "0.104.0", "timestamp": FRESH,
            "configuration": {"output": ["json"], "exclude": [], "only-fixed": False, "ignore": []},
            "db": {"status": {"schemaVersion": "v6.1.3", "from": "https://grype.example/v6/db.tar",
                              "built": "2026-11-22T06:39:24Z", "path": "/root/.cache/grype/db/6",
                              "valid": True}},
        },
    } | parts  # fmt: skip


def match(number_: str = "CVE-2026-2", severity: str = "Critical", **fix: Any) -> dict[str, Any]:
    return {
        "vulnerability": {
            "id": number_, "dataSource": "", "severity": severity, "urls": ["x"], "cvss": [],
            "fix": {"versions": ["1.2.1"], "state": "fixed"} | fix, "advisories": [], "risk": 1.6,
        },
        "relatedVulnerabilities": [{"id": "x", "severity": "Low"}],
        "matchDetails": [{"type": "exact-direct-match", "fix": {"suggestedVersion": "1.2.1"}}],
        "artifact": {"id": "a2", "name": "package-1", "version": "1.1.1", "type": "deb",
                     "locations": [], "licenses": ["MIT"], "metadata": {"epoch": 2}},
    }  # fmt: skip


def cyclonedx(image: str = APP, **parts: Any) -> dict[str, Any]:
    properties = {"SchemaVersion": "2", "ImageID": image, "RepoTag": f"{NAME}:1"}
    return {
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": {
            "timestamp": FRESH, "tools": {"components": [{"name": "trivy"}]},
            "component": {
                "bom-ref": "ad5bbf9e", "type": "container", "name": f"{NAME}:1",
                "properties": [{"name": f"aquasecurity:trivy:{name}", "value": value}
                               for name, value in properties.items()],
            },
        },
        "components": [{"bom-ref": "x", "name": "package-1", "licenses": [{"license": {}}]}],
        "vulnerabilities": [],
    } | parts  # fmt: skip


def spdx(digest: str = DIGEST, **parts: Any) -> dict[str, Any]:
    """As Syft writes it: the image is the last of the packages."""
    return {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
        "name": NAME, "documentNamespace": "https://anchore.example/syft/image/app-1",
        "creationInfo": {"creators": ["Tool: syft-1.30.0"], "created": FRESH},
        "packages": [
            {"name": "package-1", "SPDXID": "SPDXRef-Package-1", "versionInfo": "1.0.1",
             "licenseDeclared": "MIT", "externalRefs": [{"referenceType": "purl",
             "referenceLocator": "pkg:deb/package-1@1"}]},
            {"name": NAME, "SPDXID": "SPDXRef-DocumentRoot-Image-app", "versionInfo": digest,
             "checksums": [{"algorithm": "SHA256", "checksumValue": digest[7:]}],
             "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
             "referenceLocator": f"pkg:oci/app@{digest.replace(':', '%3A')}?arch=amd64"}],
             "primaryPackagePurpose": "CONTAINER"},
        ],
        "files": [{"fileName": "/etc/passwd"}], "relationships": [{"spdxElementId": "x"}],
    } | parts  # fmt: skip


def statement(predicate: Any, kind: str, digest: str = DIGEST) -> dict[str, Any]:
    return {
        "_type": "https://in-toto.io/Statement/v1", "predicateType": kind,
        "subject": [{"name": f"pkg:docker/{NAME}@1", "digest": {"sha256": digest[7:]}}],
        "predicate": predicate,
    }  # fmt: skip


BUILDER = "https://github.com/acme/app/actions/runs/12"
V1 = "https://slsa.dev/provenance/v1"


def slsa1(builder: str = BUILDER, digest: str = DIGEST) -> dict[str, Any]:
    predicate = {
        "buildDefinition": {"buildType": "https://github.com/moby/buildkit/x", "externalParameters":
                            {"request": {"args": {"build-arg:NPM_TOKEN": "hunter2hunter2"}}}},
        "runDetails": {"builder": {"id": builder}, "metadata": {"finishedOn": FRESH}},
    }  # fmt: skip
    return statement(predicate, V1, digest)


def slsa02(builder: str = BUILDER, digest: str = DIGEST) -> dict[str, Any]:
    predicate = {
        "builder": {"id": builder}, "buildType": "https://mobyproject.org/buildkit@v1",
        "materials": [{"uri": "pkg:docker/alpine@3", "digest": {"sha256": OTHER[7:]}}],
        "invocation": {"parameters": {"args": {"build-arg:TOKEN": "hunter2hunter2"}}},
        "metadata": {"buildFinishedOn": FRESH},
    }  # fmt: skip
    return statement(predicate, "https://slsa.dev/provenance/v0.2", digest)


def envelope(document: Any) -> dict[str, Any]:
    payload = base64.b64encode(json.dumps(document).encode()).decode()
    return {"payloadType": "application/vnd.in-toto+json", "payload": payload,
            "signatures": [{"keyid": "", "sig": "MEUCIQ=="}]}  # fmt: skip
