"""A large store: 200 images of Docker and Podman, 2 GB of layers, judged by all build controls.

    make bench-store            the table, and bench/results/store.json

Half of the images are Docker's and half Podman's, each on one of ten bases, with 3,000 files each.
Beside it stands what a script in the manner of docker-bench would do for the same facts: of each
image ``inspect``, ``history``, and ``export | tar -tv`` of a container made of it. That is measured
on some images of each store and given for all.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import shlex
import tarfile
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

from tabulate import tabulate

from bench.gathering import clocked, measured
from hullcheck.catalogue import all_controls
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import Session, session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.redact import Redactor
from hullcheck.transport.target import parse_spec
from hullcheck.verdict import Verdict
from tests.live.hosts.archives import Step, documents
from tests.live.hosts.docker import DockerHost
from tests.live.hosts.podman import PODMAN, STORE

IMAGES, BASES, FILES = 100, 10, (2400, 600)
"""Of each store; the files of a base, and of what an image adds to it."""

SIZES = (60_000_000, 4_000_000)
PREFIX = "registry.example/app"
PATIENCE = 900.0
SITE = Site(
    "store", Policy(registries=("registry.example",)), started=datetime(2026, 11, 28, tzinfo=UTC)
)
CONTROLS = [each for name, each in all_controls().items() if name.startswith("build.")]


def tree(name: str, files: int, size: int, chance: random.Random) -> bytes:
    """Return a layer as a tar: files in the folders of a distribution, some of them programs."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for number in range(files):
            kind = ("usr/share/doc", "usr/lib/python3/site-packages", "usr/bin", "etc")[number % 4]
            entry = tarfile.TarInfo(f"{kind}/{name}{number % 40}/file{number}.json")
            if kind == "usr/bin":
                entry.name = f"usr/bin/{name}-{number}"
            entry.mode = 0o4755 if number % 800 == 2 else 0o755 if kind == "usr/bin" else 0o644
            content = chance.randbytes(64) * (size // files // 64)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def archive_of(where: Path, prefix: str) -> int:
    """Write an archive of many images that share bases; returns the bytes of all layers."""
    chance = random.Random(8)
    bases = [tree(f"base{each}", FILES[0], SIZES[0], chance) for each in range(BASES)]
    manifest: list[dict[str, Any]] = []
    total = sum(map(len, bases))
    with tarfile.open(where, "w") as tar:
        for number, base in enumerate(bases):
            _add(tar, f"base{number}.tar", base)
        for number in range(IMAGES):
            own = tree(f"app{number}-", FILES[1], SIZES[1], chance)
            total += len(own)
            steps: list[Step] = [
                {"created_by": "/bin/sh -c #(nop) ADD file:1 in / "},
                {"created_by": "RUN /bin/sh -c apt-get update && apt-get install -y app=1"},
            ]
            steps += [{"created_by": f"ENV A{each}=b", "empty_layer": True} for each in range(20)]
            lowest = number % BASES
            text, name = documents([bases[lowest], own], steps, User="10001", Labels={"of": prefix})
            _add(tar, f"app{number}.tar", own)
            _add(tar, name, text)
            layers = [f"base{lowest}.tar", f"app{number}.tar"]
            manifest.append({"Config": name, "RepoTags": [f"{prefix}{number}:1"], "Layers": layers})
        _add(tar, "manifest.json", json.dumps(manifest).encode())
    return total


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def fill(host: DockerHost) -> int:
    """Fill both stores; returns the bytes of layers in both."""
    place = host.state / "data" / "many.tar"
    total = archive_of(place, PREFIX)
    host.run("docker load -qi /srv/data/many.tar", timeout=PATIENCE)
    host.run(STORE)
    host.run(shlex.join([*PODMAN, "load", "-qi", "/srv/data/many.tar"]), timeout=PATIENCE)
    place.unlink()
    return 2 * total


def audited(host: DockerHost) -> tuple[list[Verdict], Session]:
    """Audit as Hullcheck does, connection included."""
    spec = replace(parse_spec(f"paramiko://{host.name}"), ssh_config=host.ssh_config)
    there = connect(spec, redact=Redactor(b"salt"))
    gather(CONTROLS, there, SITE)
    verdicts = [judge(each, there, SITE) for each in CONTROLS]
    session_of(there).close()
    return verdicts, session_of(there)


def plainly(host: DockerHost, some: int) -> None:
    """Ask about some images one by one, as a script would, over one connection an image."""
    for engine, number in product(("docker", shlex.join(PODMAN)), range(some)):
        name = f"{PREFIX}{number}:1"
        script = (
            f"{engine} inspect {name}; {engine} history --no-trunc {name}; "
            f"c=$({engine} create {name} x) && {engine} export $c | tar -tvf -; {engine} rm $c"
        )
        spec = replace(parse_spec(f"paramiko://{host.name}"), ssh_config=host.ssh_config)
        there = connect(spec)
        there.run(script)
        session_of(there).close()


def main() -> None:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--some", type=int, default=10, help="images of each store for the peer")
    parser.add_argument("--out", type=Path, default=Path("bench/results/store.json"))
    options = parser.parse_args()
    with DockerHost("store1", bridge=False) as host:
        built, total = clocked(lambda: fill(host))
        cpu, processes, (wall, (verdicts, session)) = measured(
            host, lambda: clocked(lambda: audited(host))
        )
        peer_cpu, peer_processes, (peer_wall, _) = measured(
            host, lambda: clocked(lambda: plainly(host, options.some))
        )
    more = IMAGES / options.some
    findings = [each for verdict in verdicts for each in verdict.findings]
    of_images = [each for each in findings if each.object.kind == "image"]
    figures: dict[str, Any] = {
        "images": 2 * IMAGES, "megabytes of layers": total // 1_000_000,
        "files an image": sum(FILES), "controls": len(CONTROLS), "seconds to build": round(built),
        "findings": len(of_images),
        "statuses": dict(Counter(str(each.status) for each in of_images)),
        "unknown": sorted({each.reason for each in findings if str(each.status) == "unknown"})[:9],
        "rounds": session.rounds, "late": session.late, "commands": len(session.recording),
        "bytes": sum(len(each.stdout) + len(each.stderr) for each in session.recording),
        "wall": [round(wall, 2), round(peer_wall * more, 1)],
        "cpu": [round(cpu, 2), round(peer_cpu * more, 1)],
        "processes": [processes, round(peer_processes * more)],
        "dearest": dearest(session),
    }  # fmt: skip
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=1) + "\n")
    print(table(figures))


def dearest(session: Session) -> list[list[Any]]:
    """Return the commands that took longest: seconds, bytes, and how they begin."""
    slow = sorted(session.recording, key=lambda each: -each.seconds)[:6]
    return [[round(each.seconds, 2), len(each.stdout), each.command[:60]] for each in slow]


def table(figures: dict[str, Any]) -> str:
    """Return the figures as a person reads them."""
    rows = [
        [what, ours, theirs, f"{theirs / max(ours, 0.01):.1f}x"]
        for what, (ours, theirs) in ((name, figures[name]) for name in ("wall", "cpu", "processes"))
    ]
    head = [f"{figures['images']} images", "hullcheck", "one by one", "ratio"]
    names = ("findings", "statuses", "unknown", "rounds", "late", "commands", "bytes")
    rest = {each: figures[each] for each in (*names, "megabytes of layers")}
    return f"{tabulate(rows, head, 'github')}\n\n" + "\n".join(
        f"{name}: {value}" for name, value in rest.items()
    )


if __name__ == "__main__":
    main()
