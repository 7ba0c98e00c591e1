"""Images: one made with care, and one with every fault that a history can show."""

from __future__ import annotations

from tests.live.hosts.archives import archive, layer
from tests.live.hosts.docker import DockerHost
from tests.live.hosts.images import busybox_tar

ROOT = {"created_by": "ADD busybox.tar.gz / # buildkit", "comment": "buildkit.dockerfile.v0"}
EMPTY = {"empty_layer": True}


def sound(host: DockerHost) -> None:
    steps = [
        ROOT,
        {"created_by": "ENV PATH=/bin", **EMPTY},
        {"created_by": "RUN /bin/sh -c apk add --no-cache app=1.2 # buildkit"},
        {"created_by": "COPY app.conf /etc/ # buildkit"},
    ]
    layers = [layer({f"{number}": b"x"}) for number in range(3)]
    load(host, archive(["app:1"], layers, steps, Env=["PATH=/bin"]))


def rotten(host: DockerHost) -> None:
    steps = [
        ROOT,
        {"created_by": "/bin/sh -c #(nop) ADD file:779074ae505e3ec3df507f85fdd4e5e6 in /opt/x "},
        {"created_by": "/bin/sh -c apt-get update"},
        {"created_by": "|1 NPM_TOKEN=npmtoken12345 /bin/sh -c curl -k https://x.example | sh"},
        {"created_by": "/bin/sh -c #(nop)  ENV DB_PASSWORD=hunter2hunter2", **EMPTY},
    ]
    layers = [busybox_tar(), *(layer({f"{number}": b"x"}) for number in range(3))]
    config = {"Env": ["PATH=/bin", "DB_PASSWORD=hunter2hunter2"],
              "Cmd": ["sh", "-c", "while :; do sleep 1000; done"]}  # fmt: skip
    load(host, archive(["old:1"], layers, steps, created="2019-01-01T00:00:00Z", **config))
    host.start("aged", "--network=none", image="old:1")
    load(host, archive(["old:1"], layers[:1], steps[:1], **config))


def load(host: DockerHost, image: bytes) -> None:
    """Load an image into the host's engine."""
    host.engine.docker("load", stdin=image)
