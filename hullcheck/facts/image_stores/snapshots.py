"""Where containerd's overlayfs snapshotter keeps the layers of images.

Its metadata.db (bbolt; containerd, snapshots/storage/bolt.go) says the number of each snapshot:
``v1/snapshots/NAMESPACE/SEQUENCE/CHAIN-ID`` has ``id``; what the layer added lies below
``snapshots/ID/fs``. It holds no names of images and nothing of containers.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Mapping, Sequence

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.containerd import Containerd
from hullcheck.facts.image_stores.bolt import Bucket, open_database
from hullcheck.facts.registry import Unseen, get
from hullcheck.transport.backend import session_of
from hullcheck.transport.want import CannotAnswer, Want, want

__all__ = ["MOBY", "chains", "database_want", "directories", "snapshots_of"]

MOBY = "moby"
"""Docker's namespace of containerd."""

SNAPSHOTTER = "io.containerd.snapshotter.v1.overlayfs"
LARGEST = 16 * 1024 * 1024
"""Bytes of a database; that of a thousand images has some two million."""

_GONE = ("No such file or directory", "Not a directory")
_KEY = re.compile(rb"([^/]+)/\d+/(sha256:[0-9a-f]{64})")

Snapshots = Mapping[tuple[str, str], int]
"""(namespace, chain id) -> the number of the snapshot."""


def chains(layers: Sequence[str]) -> list[str]:
    """Return the chain ids of layers, the lowest first (OCI image specification, config.md)."""
    found: list[str] = []
    for digest in layers:
        sum_ = hashlib.sha256(f"{found[-1] if found else ''} {digest}".encode()).hexdigest()
        found.append(f"sha256:{sum_}" if found else digest)
    return found


def database_want(root: str) -> Want:
    """Return the want for a snapshotter's database: packed, in letters."""
    return want(
        f"head -c {LARGEST + 1} -- %s | gzip -cn | base64",
        f"{root}/{SNAPSHOTTER}/metadata.db",
    )


def snapshots_in(host: Host, root: str) -> Snapshots:
    """Return the snapshots below a containerd's directory. :raises Unknown: it cannot be read."""
    return session_of(host).recall(("snapshots", root), lambda: _read(host, root))


def _read(host: Host, root: str) -> Snapshots:
    answer = session_of(host).ask(database_want(root))[0]
    if answer.complaint:
        gone = answer.complaint.endswith(_GONE)
        raise Unknown(
            "no snapshots of overlayfs are there" if gone
            else f"where layers lie cannot be read: {answer.complaint}; it may need root"
        )  # fmt: skip
    try:
        packed = base64.b64decode(answer.text)
        data = zlib.decompressobj(wbits=31).decompress(packed, LARGEST + 1)
    except (binascii.Error, zlib.error, ValueError):
        raise Unknown("where layers lie was not told whole") from None
    if len(data) > LARGEST:
        raise Unknown(f"the database of snapshots has more than {LARGEST} bytes")
    kept = open_database(data).at("v1", "snapshots")
    return dict(_numbered(kept)) if kept else {}


def _numbered(kept: Bucket) -> list[tuple[tuple[str, str], int]]:
    found = []
    for key, each in kept.items():
        named = _KEY.fullmatch(key)
        if named and isinstance(each, Bucket):
            number = _varint(each.values().get(b"id", b""))
            found.append(((named[1].decode("utf-8", "replace"), named[2].decode()), number))
    return found


def _varint(text: bytes) -> int:
    value = 0
    for place, byte in enumerate(text[:10]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value
    raise Unknown("a snapshot has no number")


def directories(host: Host, root: str, namespace: str, layers: Sequence[str]) -> list[str]:
    """Return where the layers of an image lie, the uppermost first; [] if not all do.

    :raises Unknown: it cannot be read.
    """
    known = snapshots_in(host, root)
    numbers = [known.get((namespace, chain)) for chain in chains(layers)]
    if None in numbers:
        return []
    return [f"{root}/{SNAPSHOTTER}/snapshots/{number}/fs" for number in reversed(numbers)]


def snapshots_of(host: Host, namespace: str, layers: Sequence[str]) -> list[str]:
    """Return where the layers of an image lie in any containerd of the host.

    :raises Unknown: nowhere, as far as can be seen.
    """
    try:
        daemons: list[Containerd | Unseen] = get(host, "containerd")
        seen = [each for each in daemons if isinstance(each, Containerd)]
        roots = [each.seen(each.directories[0]) for each in seen]
    except (CannotAnswer, NotApplicable, Unknown) as reason:
        raise Unknown(f"where its layers lie is not told: {reason}") from None
    session_of(host).foresee(*map(database_want, roots))
    for root in roots:
        if found := directories(host, root, namespace, layers):
            return found
    raise Unknown("its layers are unpacked nowhere where they are looked for")
