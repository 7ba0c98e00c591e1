"""Takes the recordings from live hosts: python -m tests.recordings take [NAME…]"""

from __future__ import annotations

import platform
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from hullcheck.catalogue import all_controls
from hullcheck.judge import gather, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.recording import dump
from hullcheck.transport.redact import Redactor
from hullcheck.transport.target import Target, parse_spec
from hullcheck.transport.want import Evidence
from tests.cluster import objects
from tests.cluster.server import ApiServer
from tests.live.hosts.overlay import OverlayHost
from tests.recordings.book import Entry, index
from tests.recordings.parts import add_parts
from tests.recordings.scenes import SCENES

CLUSTERS = {"cluster-sound": objects.sound, "cluster-rotten": objects.rotten}

SALT = b"recordings"
"""Known, so that what is retaken stays comparable: no recording holds a secret of anybody."""


def take_all(names: Sequence[str] = ()) -> None:
    """Retake some recordings, or all that are taken from a host.

    Those of one host are taken together, so that they tell of the same host.
    """
    own = [name for name, entry in index().items() if not entry.derived]
    for scene in dict.fromkeys(index()[name].of or name for name in names or own):
        clock = time.monotonic()
        entries = [index()[name] for name in own if scene in (name, index()[name].of)]
        if scene in CLUSTERS:
            take_cluster(entries[0])
            continue
        with SCENES[scene](scene) as host:
            add_parts(host, scene)
            for user in sorted({each.user for each in entries} - {"root"}):
                host.add_user(user)
            known: set[str] = set()
            for entry in sorted(entries, key=lambda each: each.user != "root"):
                evidence = record(host, entry, known)
                dump(evidence, entry.file)
                size = entry.file.stat().st_size // 1024
                print(f"{entry.name}: {len(evidence)} commands, {size} KiB", file=sys.stderr)
        print(f"{scene}: {time.monotonic() - clock:.1f} s", file=sys.stderr)


def take_cluster(entry: Entry) -> None:
    """Record a cluster that the tests' own API server serves."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ApiServer(CLUSTERS[entry.name](), Path(folder)) as cluster,
    ):
        evidence = _audited(parse_spec(cluster.spec), entry)
    dump((replace(each, started=0.0, seconds=0.0) for each in evidence), entry.file)
    print(f"{entry.name}: {len(evidence)} commands", file=sys.stderr)


def record(host: OverlayHost, entry: Entry, known: set[str]) -> list[Evidence]:
    """Audit a host with every control and return what it said, without the machine's own.

    :param known: inodes of the host's sockets; root's audit, which sees them all, adds to it.
    """
    target = replace(parse_spec(f"paramiko://{entry.user}@{host.name}"), ssh_config=host.ssh_config)
    evidence = own(_audited(target, entry), host, known)
    return [replace(each, started=0.0, seconds=0.0) for each in evidence]


def _audited(target: Target, entry: Entry) -> list[Evidence]:
    there = connect(target, redact=Redactor(SALT))
    session = session_of(there)
    try:
        controls = list(all_controls().values())
        gather(controls, there, entry.site)
        for each in controls:
            judge(each, there, entry.site)
        if session.late:
            raise AssertionError(f"{entry.name}: {session.late} commands came late")
        return session.recording
    finally:
        session.close()


def own(
    recording: Iterable[Evidence], host: OverlayHost, known: set[str] | None = None
) -> list[Evidence]:
    """Return a recording without what is not the host's own: the hosts of this machine share one
    network namespace, so each sees the sockets of all, and paths name where its root lies."""
    found = list(recording)
    inodes = set() if known is None else known
    inodes |= {
        line.split()[-1]
        for each in found
        if "/fd" in each.command and "socket:" in each.command
        for line in each.stdout.decode("utf-8", "replace").splitlines()
    }
    return [_tidied(each, inodes, host) for each in found]


def _tidied(evidence: Evidence, inodes: set[str], host: OverlayHost) -> Evidence:
    out = evidence.stdout
    if "/net/" in evidence.command and b"/net/unix:" in out:
        lines = out.decode("utf-8", "surrogateescape").splitlines(keepends=True)
        kept = "".join(line for line in lines if _host_line(line, inodes))
        out = kept.encode("utf-8", "surrogateescape")
    return replace(evidence, stdout=_neutral(out, host), stderr=_neutral(evidence.stderr, host))


def _neutral(data: bytes, host: OverlayHost) -> bytes:
    """Return text without the place of the host's root, and the maker of the machine's kernel."""
    release = platform.release()
    number = re.match(r"[\d.]+", release)
    plain = data.replace(str(host.state).encode(), b"/var/tmp/host")
    if host.lower != Path("/"):
        plain = plain.replace(str(host.lower).encode(), b"/")
    return plain.replace(release.encode(), number[0].encode()) if number else plain


def _host_line(line: str, inodes: set[str]) -> bool:
    """Whether a line of /proc/net/unix, tcp or udp is a heading or of a socket that a process of
    the host holds; lines of other files are the host's."""
    path, colon, rest = line.partition(":")
    kind = path.rpartition("/net/")[2] if colon and "/net/" in path else ""
    position = {"unix": 6, "tcp": 9, "tcp6": 9, "udp": 9, "udp6": 9}.get(kind)
    if position is None:
        return True
    fields = rest.split()
    return "Num" in fields or "sl" in fields or (
        len(fields) > position and fields[position] in inodes
    )  # fmt: skip
