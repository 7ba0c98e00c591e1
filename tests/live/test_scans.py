"""Scans of the images of a real engine: by the report's id, its age, its holes and its writers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from tests.live.hosts.docker import DockerHost
from tests.unit.scan_fake import cyclonedx, envelope, flaw, grype, match, slsa1, trivy

pytestmark = pytest.mark.live

FOLDER = "/srv/scans"
CONTROLS = ("scanned", "scanner-database", "fixable-flaws", "sbom", "provenance",
            "default-attestations")  # fmt: skip
PLUGIN = "/usr/local/lib/docker/cli-plugins/docker-buildx"
POLICY = Policy(scan_reports=(FOLDER,), sboms=True, builders=("https://github.com/acme",))


@pytest.fixture
def host(docker_host: DockerHost) -> Iterator[DockerHost]:
    docker_host.start("scanned", "--network=none")
    docker_host.run(f"mkdir -p {FOLDER} {PLUGIN.rpartition('/')[0]}; touch {PLUGIN}")
    yield docker_host
    docker_host.remove("scanned")
    docker_host.run(f"rm -rf {FOLDER} {PLUGIN}; sed -i /^BUILDX_NO/d /etc/environment")


def audit(host: DockerHost, image: str) -> dict[str, str]:
    """Judge the controls; return what each says of the image, or of the host."""
    there = connect(replace(parse_spec(f"paramiko://{host.name}"), ssh_config=host.ssh_config))
    try:
        site = Site(host.name, POLICY)
        verdicts = [judge(all_controls()[f"build.{name}"], there, site) for name in CONTROLS]
    finally:
        session_of(there).close()
    return {
        verdict.control.removeprefix("build."): str(each.status)
        for verdict in verdicts
        for each in verdict.findings
        if each.object.id in (image, None, "")
    }


def write(host: DockerHost, **documents: Any) -> None:
    host.run(f"rm -rf {FOLDER}/*")
    for name, document in documents.items():
        host.write(f"{FOLDER}/{name}.json", json.dumps(document))


def ago(**time: int) -> str:
    return (datetime.now(UTC) - timedelta(**time)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_each_control_flips(host: DockerHost) -> None:
    image = host.docker("inspect", "-f", "{{.Image}}", "scanned").strip()
    other, now = f"sha256:{'0' * 64}", ago(hours=1)
    tool = grype()["descriptor"] | {"timestamp": now}

    def built(**time: int) -> dict[str, Any]:
        return tool | {"db": {"status": {"built": ago(**time)}}}

    write(
        host, report=trivy(image=image, CreatedAt=now, Metadata={"ImageID": image}),
        other=grype(image=image, descriptor=built(hours=9)), bill=cyclonedx(image),
        provenance=envelope(slsa1(digest=image)),
    )  # fmt: skip
    assert audit(host, image) == dict.fromkeys(CONTROLS, "pass") | {"scanner-database": "unknown"}

    host.run("echo BUILDX_NO_DEFAULT_ATTESTATIONS=1 >>/etc/environment")
    write(
        host, report=grype(match(), image=image, descriptor=built(days=99)), bill=cyclonedx(other),
        provenance=envelope(slsa1("https://evil.example", digest=image)),
    )  # fmt: skip
    assert audit(host, image) == dict.fromkeys(CONTROLS, "fail") | {"scanned": "pass"}

    write(host, report=trivy(flaw(), image=other, CreatedAt=now))
    found = audit(host, image)
    assert (found["scanned"], found["fixable-flaws"]) == ("fail", "not-applicable")

    write(host, report=grype(image=image, descriptor=built(hours=9)))
    assert audit(host, image)["scanner-database"] == "pass"
    host.run(f"chown nobody {FOLDER}/report.json")
    assert audit(host, image)["scanned"] == "fail"
