"""Where containerd keeps layers: a database of bbolt, whole and damaged."""

from __future__ import annotations

import base64
import gzip
import struct

import pytest

from hullcheck.control import Unknown
from hullcheck.facts.image_stores.bolt import Bucket, open_database
from hullcheck.facts.image_stores.snapshots import chains, database_want, directories
from tests.unit.fake import host_with

ROOT = "/var/lib/containerd"
LAYERS = [
    "sha256:036944ca65ed394ae53fc8df4d3261446ec72c576d1f0423e42145b3c901addd",
    "sha256:9ff794824b08fc939d9f4882589581f05a451e0dfac61915960a77c8c00137c8",
]
PACKED = """
H4sIAAAAAAACA+3cPWsUQRzH8bndXB5E9PAVHFglFtmH2b2chQQbCwmIjREb95EcgcuRPUUEIZBObKzEh3dgJ1jY2UTfggg2
NlbpFYt4687sJRs3ErgiId8PHLN/7tjb/HI5+M/MRojClBp3v57fNfKDVlFPi4Nm1HhOHHw+/TI329659FkAAAAAAIATp/Gf
/n+28vq5Sv/fVOPOW/PH9vVnP0kUAAAAAICTxyhHo5wPaI8eK6PHJ1VfbhT1/GjciONFZzFbCxzPv2q5flfKKPC9JHa7Mkg8
N42W4lTGruPbUvpJ1HEir+PHdmpJx02kY0svdKOuZQdxHNdf1HjbwX016XBR1WvqovXExT1RbELQ9W1RTGbo+oaqTVVf23e+
aDMJhkkcDPMXX/j+5umH+W/LC3t7vbjR62/ESTa93uvHZtZ7nGx9bDwYxP98dR6J1JGkvh+Ofs406Fh2GlquY1tu4kVpx4/C
YKnjdtPACv00kJZrJY615NudSFrSD33LCRJf1kcyUx4PKpE8qkSyXokkrERyRz2/oupXlYieHxnRwpP3v/KIjP0RDYLNpD+c
6IejNvXiAvjTBQAAAIBjMWv6/7zb3FL1C9UP5lsCikYvq29TG+VxS51+5e9pjIm2yVk/GGRrG8PMqMxjAAAAAACAw6bK/tks
+39LHFz/d/et/+f1S6O4L+C3YD8A+wFOyH6A/L28xciuD6xZHt+qBLZaCexmJaDlSkDbRwbiXlm9mwdi5kkY4yQm9pk4HEHx
lnybAQAAADhKs2yPDq//v1b1O3GM9f/xQnxbjNf/deee17Ni8vsBDGHqBrDcGqCnNkx+ywAAAACAs266bNwbZf/fEsVyaD4+
tJuEBAAAAADAKad3kbfUnQB6+V4vmuv//z9HVAAAAAAAnFq6v69f/2f7PAAAAAAAp51e19fr//qmeb3rX98fMENUAAAAAAAA
AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIAz7A/Hf/3vAAABAA==
"""
"""The metadata.db of containerd 1.6 after an image of two layers, and a container of it."""

DATA = gzip.decompress(base64.b64decode(PACKED))
SNAPSHOTS = f"{ROOT}/io.containerd.snapshotter.v1.overlayfs/snapshots"


def host_of(text, complaint=""):
    return host_with({database_want(ROOT).command: (0, text, complaint)})


def packed(data):
    return base64.encodebytes(gzip.compress(data, mtime=0)).decode()


def test_layers_are_found_by_their_chain_the_uppermost_first():
    host = host_of(PACKED)
    assert directories(host, ROOT, "odd", LAYERS) == [f"{SNAPSHOTS}/2/fs", f"{SNAPSHOTS}/1/fs"]
    assert directories(host, ROOT, "odd", LAYERS[:1]) == [f"{SNAPSHOTS}/1/fs"]
    for namespace, layers in (("moby", LAYERS), ("odd", LAYERS[::-1])):
        assert directories(host, ROOT, namespace, layers) == []
    assert chains([]) == []


@pytest.mark.parametrize(("text", "complaint"), [
    ("", ""), ("!!", ""), (packed(b""), ""), (packed(DATA[:9000]), ""), (packed(b"x" * 9000), ""),
    (PACKED[:300], ""), (packed(DATA), "head: cannot open 'x' for reading: Permission denied"),
    ("", "sh: 1: gzip: not found"), (packed(bytes(16 * 1024 * 1024 + 1)), ""),
])  # fmt: skip
def test_what_is_not_whole_is_unknown(text, complaint):
    with pytest.raises(Unknown):
        directories(host_of(text, complaint), ROOT, "odd", LAYERS)


def everything(bucket, depth=0):
    for _, value in bucket.items():
        if isinstance(value, Bucket) and depth < 9:
            everything(value, depth + 1)


@pytest.mark.parametrize("value", [0, 0xFF])
def test_no_damage_breaks_it(value):
    """Every 7th byte in turn; what is read is something, or is unknown."""
    used = [at for at in range(0, len(DATA), 7) if DATA[at]]
    for at in used[:1500]:
        damaged = bytearray(DATA)
        damaged[at] = value
        try:
            everything(open_database(bytes(damaged)))
        except Unknown:
            continue


def test_a_tree_that_goes_in_circles_ends():
    """A branch that leads to itself; a page of many pages that is not there."""
    page = struct.pack("<QHHI", 2, 1, 1, 0) + struct.pack("<IIQ", 16, 0, 2)
    data = bytes(8192) + page.ljust(4096, b"\0")
    with pytest.raises(Unknown, match="circles"):
        list(Bucket(data, 4096, 2).items())
    with pytest.raises(Unknown):
        list(Bucket(data, 4096, 1).items())
