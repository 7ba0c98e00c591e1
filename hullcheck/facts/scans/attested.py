"""What BuildKit attested of images, as containerd's content store keeps it beside them.

An index lists manifests; one that is annotated as an attestation tells of which other manifest,
and its layers are in-toto statements (docs.docker.com, image attestation storage). Blobs lie under
their digests; that of an index is the image's own, so that nobody can have put another in place.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.images import Image
from hullcheck.facts.registry import get
from hullcheck.facts.scans.documents import LEFT_OUT, Told, program, told
from hullcheck.facts.scans.evidence import EvidenceFile, complaints
from hullcheck.facts.scans.reports import digests_in, entry, listed, text_of
from hullcheck.transport import Want, session_of, want

__all__ = ["attested", "foresee_attested"]

ROOTS = (
    "/var/lib/containerd", "/var/lib/docker/containerd/daemon",
    "/var/lib/rancher/k3s/agent/containerd",
)  # fmt: skip
BLOBS = "io.containerd.content.v1.content/blobs/sha256"
LARGEST = 4_000_000
MOST = 300
REFERENCE = "vnd.docker.reference."

_LOOK = (
    f"for r in {' '.join(ROOTS)}; do d=$r/{BLOBS};"
    ' for p in "$r" "${d%/*/*}" "${d%/*}" "$d"; do'
    ' [ ! -d "$p" ] || [ -x "$p" ] || echo "= denied $p"; done;'
    ' for h in $H; do [ ! -f "$d/$h" ] || set -- "$@" "$d/$h"; done; done; '
)


def attested(host: Host) -> list[tuple[str, EvidenceFile]]:
    """Return the statements about the images that containers use, each with the digest of the
    index that it belongs to.

    :raises Unknown: the store is there and cannot be read.
    """
    return session_of(host).recall(("attested",), lambda: list(_statements(host)))


def foresee_attested(host: Host) -> None:
    """Let the first question travel with the next round."""
    names = _names(_in_use(host))
    if names:
        session_of(host).foresee(_blobs_want(names, statements=False))


def _in_use(host: Host) -> set[str]:
    images = [each for each in get(host, "image") if isinstance(each, Image) and each.containers]
    return {digest for each in images for digest in digests_in([each.id, *each.digests])}


def _names(digests: Iterable[str]) -> list[str]:
    return sorted({each[7:] for each in digests if re.fullmatch("sha256:[0-9a-f]{64}", each)})


def _statements(host: Host) -> Iterator[tuple[str, EvidenceFile]]:
    indexes = _read(host, _in_use(host))
    about = {
        text_of(each.get("digest")): (digest, text_of(entry(notes, f"{REFERENCE}digest")))
        for digest, (_, index) in indexes.items()
        for each in listed(entry(index, "manifests"))
        if isinstance(each, dict) and isinstance(notes := each.get("annotations"), dict)
        if notes.get(f"{REFERENCE}type") == "attestation-manifest"
    }
    if not about:
        return
    places = {
        text_of(entry(layer, "digest")): about[digest]
        for digest, (_, manifest) in _read(host, about).items()
        for layer in listed(entry(manifest, "layers"))
        if entry(layer, "mediaType") == "application/vnd.in-toto+json"
    }
    for digest, (path, statement) in _read(host, places, statements=True).items():
        index, manifest = places[digest]
        told = [entry(each, "digest", "sha256") for each in listed(entry(statement, "subject"))]
        if manifest in digests_in(told):
            yield index, EvidenceFile(path, 0, 0, (statement,))


def _read(
    host: Host, digests: Iterable[str], statements: bool = False
) -> Mapping[str, tuple[str, Any]]:
    """Return the path and the content of those blobs that are there."""
    names = _names(digests)
    if not names:
        return {}
    if len(names) > MOST:
        raise Unknown(f"more than {MOST} blobs would have to be read")
    answer = session_of(host).ask(_blobs_want(names, statements))[0]
    found = told(answer.text)
    unread = [*complaints(answer.evidence.stderr.decode("utf-8", "replace")), *found.others]
    unread += [f"{each} cannot be read; it may need root" for each in sorted(found.hidden)]
    if unread or not found.ended:
        raise Unknown((unread or ["the content store was not read to the end"])[0])
    return {
        f"sha256:{path.rpartition('/')[2]}": (path, document)
        for path in found.texts
        for document in _document(found, path)
    }


def _document(found: Told, path: str) -> list[Any]:
    try:
        return found.documents(path)[:1]
    except ValueError:
        return []


def _blobs_want(names: Iterable[str], statements: bool) -> Want:
    before, run = program(LARGEST, LEFT_OUT if statements else "")
    return want(f"H={shlex.quote(' '.join(names))}; {before} {_LOOK} {run}")
