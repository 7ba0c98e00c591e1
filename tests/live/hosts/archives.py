"""Images of any history, date and configuration, as archives that ``docker load`` takes."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any

Step = Mapping[str, Any]


def layer(files: Mapping[str, bytes] | None = None) -> bytes:
    """Return a layer with these files."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in (files or {}).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def archive(
    tags: Sequence[str],
    layers: Sequence[bytes],
    steps: Sequence[Step],
    *,
    created: str = "2026-11-20T10:00:00Z",
    **config: Any,
) -> bytes:
    """Return an image: steps are of its history (``created_by``, ``empty_layer`` …), of which as
    many are not empty as there are layers; config are values of its configuration."""
    text, name = documents(layers, steps, created=created, **config)
    paths = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": name, "RepoTags": list(tags), "Layers": paths}]
    files = {name: text, **dict(zip(paths, layers, strict=True)),
             "manifest.json": json.dumps(manifest).encode()}  # fmt: skip
    return gzip.compress(layer(files), 1)


def documents(
    layers: Sequence[bytes],
    steps: Sequence[Step],
    *,
    created: str = "2026-11-20T10:00:00Z",
    **config: Any,
) -> tuple[bytes, str]:
    """Return an image's configuration, and the name of its file in an archive."""
    whole = {
        "architecture": "amd64", "os": "linux", "created": created, "config": config,
        "rootfs": {"type": "layers", "diff_ids": [_digest(each) for each in layers]},
        "history": [{"created": created, **step} for step in steps],
    }  # fmt: skip
    text = json.dumps(whole).encode()
    return text, f"{hashlib.sha256(text).hexdigest()}.json"


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
