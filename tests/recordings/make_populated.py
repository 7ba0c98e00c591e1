"""Record a live host with as many faults as fit on one, for tests/unit/test_law_one.py.

    python -m tests.recordings.make_populated [ADDRESS]

Needs root on the test machine. The recording lands beside this file.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from hullcheck.catalogue import all_controls
from hullcheck.inventory.policy import Policy
from hullcheck.run.audit import Plan, Subject, audit_host
from hullcheck.transport.recording import dump
from hullcheck.transport.target import Target
from tests.live.hosts.docker import DockerHost
from tests.live.hosts.population import populate
from tests.live.hosts.runc import CONTAINERD
from tests.recordings.parts import (
    accounts,
    audit_rules,
    auditlog,
    behaviour,
    build_builders,
    build_controllers,
    build_credentials,
    build_files,
    build_runners,
    build_scans,
    image_stores,
    images,
    kernel,
    layers,
    network,
    packages,
    podman,
    sshd,
    storage,
    user_ranges,
)
from tests.recordings.scenes import BOOT, show
from tests.recordings.take import own

HERE = Path(__file__).parent

TLS = """
umask 022 && mkdir -p /srv/tls /etc/docker/certs.d/registry && cd /srv/tls
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=x \
    -keyout key.pem -out cert.pem 2>/dev/null
cp cert.pem ca.pem && cp key.pem /etc/docker/certs.d/registry/client.key
cp cert.pem /etc/docker/certs.d/registry/ca.crt
chmod 666 *.pem /etc/docker/certs.d/registry/* && chown bob *.pem /etc/docker/certs.d/registry/*
"""

LOOSE = """
mkdir -p /etc/systemd/system/docker.service.d /etc/sysconfig
cp /lib/systemd/system/docker.service /lib/systemd/system/docker.socket /etc/systemd/system/
touch /etc/systemd/system/docker.service.d/a.conf /etc/sysconfig/docker /etc/default/docker
for file in /etc/systemd/system/docker.* /etc/systemd/system/docker.service.d/a.conf \
    /etc/docker /etc/docker/two.json /etc/sysconfig/docker /etc/default/docker \
    /run/docker.sock /run/docker/containerd/containerd.sock; do
    chown bob "$file" && chmod 777 "$file"
done
usermod -aG docker bob
"""

CONFIG = {
    "icc": True, "debug": True, "iptables": False, "log-level": "debug",
    "insecure-registries": ["registry:5000"], "registry-mirrors": ["http://mirror"],
    "experimental": True,
}  # fmt: skip

BUILDING = (build_builders, build_controllers, build_credentials, build_files, build_runners)

POLICY = Policy(build_directories=("/srv/build",), scan_reports=("/srv/scans",), sboms=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", nargs="?")
    address = parser.parse_args().address
    flags = [f"-H=tcp://{address or '127.0.0.1'}:12375", "-H=unix:///var/run/docker.sock"]
    with DockerHost("populated", address, bridge=False, config=CONFIG, flags=flags) as host:
        populate(host, quiet=True)
        asleep = [
            "--name=asleep",
            "--privileged",
            "--ulimit=nofile=9999999",
            "--oom-score-adj=-900",
        ]
        host.docker("create", *asleep, "--publish=0.0.0.0:22:22", "busybox:1")
        host.start("grouped", "--user=9:9", "--group-add=6")
        host.add_user("bob")
        host.run(TLS)
        keys = [f"--tls{name}=/srv/tls/{name}.pem" for name in ("key", "cert")]
        more = ["-H=tcp://127.0.0.1:12376", "--tls", "--tlscacert=/srv/tls/ca.pem", *keys]
        host.second_daemon("two", {"seccomp-profile": "/srv/allow.json"}, more)
        host.run(f"{LOOSE}\nuseradd mallory; mkdir -p /opt/engine")
        for part in (
            accounts, audit_rules, auditlog, behaviour, images, kernel, layers, network, packages,
            podman, sshd, storage, user_ranges,
        ):  # fmt: skip
            part.rotten(host)
        image_stores.rotten(host, CONTAINERD)
        build_scans.rotten(host)
        for part in BUILDING:
            part.builder_rotten(host)
        target = Target("ssh", host.name, ssh_config=host.ssh_config)
        plan = Plan(tuple(all_controls().values()), datetime.now(UTC))
        show(host, {"/proc/cmdline": f"{BOOT}\n"})
        audit = audit_host(Subject(target, POLICY), plan)
        dump(own(audit.evidence, host), HERE / "populated.jsonl.gz")
    for verdict in audit.verdicts:
        print(f"{verdict.status:15}{verdict.control:40}{verdict.reason[:100]}")


if __name__ == "__main__":
    main()
