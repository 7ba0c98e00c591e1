"""Reports of scanners, bills of materials and provenance: of all images in use on ``sound``, and
on ``rotten`` of none, or such as prove nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.live.hosts.docker import DockerHost
from tests.unit.scan_fake import cyclonedx, envelope, grype, match, slsa1

FOLDER = "/srv/scans"
PLUGIN = "/usr/local/lib/docker/cli-plugins/docker-buildx"
STALE = {"name": "grype", "version": "0.74.0", "timestamp": "2026-11-28T02:10:00Z",
         "db": {"built": "2026-03-01T01:29:31Z", "schemaVersion": 5}}  # fmt: skip
NIGHTLY = STALE | {"db": {"status": {"schemaVersion": "v6.1.3", "built": "2026-11-27T06:39:24Z"}}}


def sound(host: DockerHost) -> None:
    host.run(f"install -D -m 755 /dev/null {PLUGIN}")
    for number, image in enumerate(in_use(host)):
        write(host, str(number), {
            "grype.json": grype(image=image, descriptor=NIGHTLY),
            "cdx.json": cyclonedx(image),
            "intoto.jsonl": envelope(slsa1(digest=image)),
        })  # fmt: skip


def rotten(host: DockerHost) -> None:
    host.run(f"install -D -m 755 /dev/null {PLUGIN}")
    host.run("echo export BUILDX_NO_DEFAULT_ATTESTATIONS=1 >/etc/profile.d/buildx.sh")
    first, *_ = in_use(host)
    write(host, "a", {
        "grype.json": grype(match(), image=first, descriptor=STALE),
        "cdx.json": cyclonedx(first, components=[]),
        "slsa.json": slsa1("https://laptop.example/bob", digest=first),
    })  # fmt: skip


def in_use(host: DockerHost) -> list[str]:
    """Return the ids of the images that containers were made from."""
    found = host.run("docker inspect -f '{{.Image}}' $(docker ps -aq) | sort -u").stdout
    return found.split()


def write(host: DockerHost, folder: str, documents: Mapping[str, Any]) -> None:
    for name, document in documents.items():
        host.write(f"{FOLDER}/{folder}.{name}", json.dumps(document), 0o644)
