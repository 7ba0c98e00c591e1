"""One image made with care, and one with every fault, in the stores of Podman and containerd."""

from __future__ import annotations

import gzip
import shlex

from tests.live.hosts.archives import archive, layer
from tests.live.hosts.docker import DockerHost
from tests.live.hosts.images import WAIT, busybox_tar
from tests.live.hosts.podman import STORE, Podman
from tests.live.hosts.runc import CONTAINERD

SERVICE = {"Cmd": ["sh", "-c", WAIT], "Env": ["PATH=/bin"]}
SECRET = "tk9Xw2mQ7ab"
NAMESPACE = "apps"

BAD = {
    "usr/bin/su2": (b"x", 0o4755), "usr/bin/apt-get": (b"x", 0o755),
    "root/.kube/config": (b"x", 0o600), "app/.env": (f"API_TOKEN={SECRET}\n".encode(), 0o644),
}  # fmt: skip


def good_image(name: str) -> bytes:
    """Return an image without a fault."""
    steps = [
        {"created_by": "ADD busybox.tar.gz / # buildkit"},
        {"created_by": "COPY app.conf /etc/ # buildkit"},
        {"created_by": "USER 10001", "empty_layer": True},
    ]
    health = {"Test": ["CMD", "test", "-e", "/app.conf"]}
    labels = {"org.opencontainers.image.base.name": "registry.example/base:1", "of": name}
    made = archive(
        [name], [busybox_tar(), layer({"app.conf": b"x"})], steps,
        **SERVICE, User="10001", Healthcheck=health, Labels=labels,
    )  # fmt: skip
    return gzip.decompress(made)


def bad_image(name: str) -> bytes:
    """Return an image with a fault for every control."""
    steps = [
        {"created_by": "/bin/sh -c #(nop) ADD file:779074ae505e3ec3df507f85fdd4e5e6 in /opt/x "},
        {"created_by": "RUN /bin/sh -c apt-get update # buildkit"},
        {"created_by": f"RUN /bin/sh -c curl -u bob:{SECRET} http://x.example/i.sh | sh"},
    ]
    layers = [busybox_tar(BAD), layer({"1": b"x"}), layer({"2": b"x"})]
    old, labels = "2019-01-01T00:00:00Z", {"of": name}
    return gzip.decompress(archive([name], layers, steps, created=old, **SERVICE, Labels=labels))


def in_docker(host: DockerHost) -> None:
    """Fill Docker's store. ``moved`` runs what its name no longer stands for."""
    for name, image in (("good", good_image), ("bad", bad_image)):
        host.engine.docker("load", stdin=image(f"doc-{name}:1"))
        host.docker("tag", f"doc-{name}:1", "doc-moved:1")
        named = f"doc-{'moved' if name == 'bad' else 'good'}"
        host.start(named, "--network=none", image=f"{named}:1")
    host.docker("tag", "doc-good:1", "doc-moved:1")


def in_podman(host: DockerHost) -> Podman:
    """The same with root's Podman."""
    podman = Podman(host)
    host.run(STORE)
    for name, image in (("good", good_image), ("bad", bad_image)):
        podman("load", stdin=image(f"localhost/pod-{name}:1"))
    podman("tag", "localhost/pod-bad:1", "localhost/pod-moved:1")
    for name in ("pod-good", "pod-moved"):
        podman("run", "-d", *podman.given(name, ()), f"localhost/{name}:1")
    podman("tag", "localhost/pod-good:1", "localhost/pod-moved:1")
    return podman


def in_containerd(host: DockerHost) -> None:
    """The same with a namespace of Docker's own containerd."""
    names = {name: f"registry.example/ctr-{name}:1" for name in ("good", "bad", "moved")}
    for name, image in (("good", good_image), ("bad", bad_image)):
        _ctr(host, "images", "import", "-", stdin=image(names[name]))
    _ctr(host, "images", "tag", names["bad"], names["moved"])
    for name in ("good", "moved"):
        _ctr(host, "run", "-d", "--null-io", names[name], f"ctr-{name}")
    _ctr(host, "images", "tag", "--force", names["good"], names["moved"])


def _ctr(host: DockerHost, *argv: str, stdin: bytes = b"", address: str = CONTAINERD) -> None:
    client = ["ctr", "--address", address, "--namespace", NAMESPACE, *argv]
    host.run(shlex.join(client), stdin=stdin)


# What stands in the recordings: images alone, the sound one in a store on a file system of its own.


def sound(host: DockerHost) -> None:
    host.run(STORE)
    host.run("podman load", stdin=good_image("registry.example/kept-good:1"))


def rotten(host: DockerHost, containerd: str = "/run/containerd/containerd.sock") -> None:
    image = bad_image("registry.example/kept-bad:1")
    host.run("podman --storage-driver=vfs load", stdin=image)
    _ctr(host, "images", "import", "-", stdin=image, address=containerd)
