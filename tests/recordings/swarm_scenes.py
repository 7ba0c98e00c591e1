"""The hosts with swarms that recordings are taken from; to be run by ``scenes.py``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.live.hosts.docker import DockerHost
from tests.live.hosts.swarm import init, join, swarm_host

BOOT = "BOOT_IMAGE=/boot/vmlinuz-6.1.0-28-amd64 root=/dev/vda1 ro quiet"
SWARM = "/var/lib/docker/swarm"

SOUND = f"""
set -e
touch -d '2026-01-01' {SWARM}/certificates/swarm-node.crt
echo y | docker network rm ingress >/dev/null
docker network create -d overlay --ingress --opt encrypted mesh
docker network create -d overlay --opt encrypted app
printf secret | docker secret create db_password -
docker service create -d --no-resolve-image --replicas 0 --name web --network app \
    --secret db_password --env DB_PASSWORD_FILE=/run/secrets/db_password \
    --publish 8443:443 --mount type=volume,src=data,dst=/data \
    busybox@sha256:1111111111111111111111111111111111111111111111111111111111111111
"""

LOOSE = f"""
set -e
touch -d '2020-01-01' {SWARM}/certificates/swarm-node.key
docker network create -d overlay plain
echo hunter2 | docker config create api_secret -
docker service create -d --no-resolve-image --replicas 0 --name web --network plain \
    --config api_secret --env DB_PASSWORD=hunter2 --cap-add SYS_ADMIN \
    --publish mode=host,target=80,published=8089 \
    --mount type=bind,src=/var/run/docker.sock,dst=/sock busybox:1
docker service create -d --no-resolve-image --replicas 0 --name agent --network host busybox:1
docker -H unix:///run/docker-three.sock swarm update \
    --external-ca protocol=cfssl,url=https://ca.example/api/v1/cfssl/sign
cp -r /srv/data/three/swarm /srv/data/three/swarm.old
"""

OPEN = """
useradd mallory
cd /srv/data/two/swarm
chown mallory . certificates/swarm-node.key && chmod 755 . && chmod 644 certificates/swarm-node.key
"""


def old_certificate(begins: datetime, days: int, name: str) -> str:
    """Return a certificate that was made long ago, as PEM; its key is thrown away."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateBuilder(
        issuer_name=subject, subject_name=subject, public_key=key.public_key(), serial_number=7,
        not_valid_before=begins, not_valid_after=begins + timedelta(days=days),
    )  # fmt: skip
    return made.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


def shown(host: DockerHost) -> None:
    """Show the usual command line of the kernel, as all recordings do."""
    host.write("/root/shown/cmdline", f"{BOOT}\n")
    host.run("mount --bind /root/shown/cmdline /proc/cmdline")


@contextmanager
def swarm(name: str) -> Iterator[DockerHost]:
    """A manager that does no work and a worker, all as it should be."""
    with swarm_host(name) as host:
        init(host.engine, "127.0.1.1", "--data-path-addr=127.0.2.1", "--autolock",
             "--availability=drain", "--cert-expiry=720h")  # fmt: skip
        second = host.second_daemon("two")
        join(second, host.engine, "127.0.1.2", "--data-path-addr=127.0.2.2")
        host.run(SOUND)
        shown(host)
        yield host


@contextmanager
def swarm_loose(name: str) -> Iterator[DockerHost]:
    """Every fault of swarms at once: a manager that listens everywhere, a worker with an old
    certificate in everybody's hands, and an engine with a swarm of its own that does not lock."""
    with swarm_host(name) as host:
        init(host.engine, "127.0.1.1", "--autolock", "--cert-expiry=8760h", listen="0.0.0.0:2377")
        second, third = host.second_daemon("two"), host.second_daemon("three")
        join(second, host.engine, "127.0.1.2")
        init(third, "127.0.1.3", listen="127.0.1.3:2378")
        host.run(LOOSE)
        certificates = "/srv/data/two/swarm/certificates"
        made = datetime(2020, 1, 1, tzinfo=UTC)
        host.write(f"{certificates}/swarm-node.crt", old_certificate(made, 90, "node"))
        host.write(f"{certificates}/swarm-root-ca.crt", old_certificate(made, 7300, "swarm-ca"))
        host.run(OPEN)
        shown(host)
        yield host
