"""What lies in the layers of images, read from the engine's store; nothing of an image is run.

All layers of all images are walked once, in one bounded command. What a later layer deletes or
replaces (overlayfs, kernel Documentation/filesystems/overlayfs.rst: a character device 0:0, or
anything else of that name) is told apart in a second one.
"""

from __future__ import annotations

import contextlib
import hashlib
import posixpath
import re
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.containers import Container
from hullcheck.facts.images import Image
from hullcheck.facts.overlays import lower_directories
from hullcheck.facts.registry import get
from hullcheck.facts.suspects import TEST, Stored, classified
from hullcheck.facts.tree_sweep import END, Entry, sweep, swept
from hullcheck.transport.backend import session_of
from hullcheck.transport.want import Want, want

__all__ = ["files_of", "layers_of"]

MOST = 300_000
"""Names that are looked for in later layers; images of a host have some thousands."""


def layers_of(image: Image) -> list[str]:
    """Return the directories of an image's layers as the host sees them, the uppermost first.

    :raises Unknown: its storage driver keeps them in another way, or does not tell.
    """
    if not image.layers:
        return []
    driver = image.inspect.get("GraphDriver") or {}
    name = str(driver.get("Name") or image.engine.info.get("Driver") or "that is not told")
    if name == "overlay2":
        data = driver.get("Data") or {}
        found = [str(data.get("UpperDir") or ""), *str(data.get("LowerDir") or "").split(":")]
        found = [each for each in found if each]
    elif name == "vfs":
        found = _cached(image)
    elif name == "overlayfs":
        found = _mounted(image)
    else:
        raise Unknown(f"it lies in the storage driver {name}, whose layers are not looked into")
    if len(found) != len(image.layers) or not all(each.startswith("/") for each in found):
        raise Unknown(f"the engine tells where {len(found)} of its {len(image.layers)} layers lie")
    return [image.engine.seen(posixpath.normpath(each)) for each in found]


def _mounted(image: Image) -> list[str]:
    """Return the directories of an image in containerd's store, which does not tell them: those
    that a container of it has mounted. Docker puts a layer of its own above them.

    :raises Unknown: none of its containers runs, or they do not tell.
    """
    ids = {str(each.get("Id")) for each in image.containers}
    for container in get(image.host, "container"):
        if not isinstance(container, Container) or container.id not in ids or not container.running:
            continue
        try:
            roots = [each for each in container.mounts if each.target == "/"]
        except (NotApplicable, Unknown):
            continue
        if roots and roots[0].fstype == "overlay":
            found = lower_directories(roots[0])
            return found[1:] if len(found) == len(image.layers) + 1 else found
    raise Unknown("it lies in containerd's store, which tells only the layers of what runs")


def _cached(image: Image) -> list[str]:
    """Return the directories of the vfs driver, each of which holds all layers up to its own."""
    ids = [answer.text for answer in session_of(image.host).ask(*_cache_wants(image))]
    if not all(re.fullmatch("[0-9a-f]{64}", each) for each in ids):
        raise Unknown("where its layers lie cannot be read; needs root")
    return [f"{image.engine.root_dir}/vfs/dir/{each}" for each in ids]


def _cache_wants(image: Image) -> list[Want]:
    """Return what asks under which names the vfs driver keeps the layers, the uppermost first.

    The engine files them by chain id (OCI image specification, config.md, Layer ChainID).
    """
    base, chain, chains = f"{image.engine.root_dir}/image/vfs/layerdb/sha256", "", []
    for digest in image.layers:
        sum_ = hashlib.sha256(f"{chain} {digest}".encode()).hexdigest()
        chain = f"sha256:{sum_}" if chain else digest
        chains.append(chain.removeprefix("sha256:"))
    paths = [image.engine.seen(f"{base}/{each}/cache-id") for each in reversed(chains)]
    return [want("head -c 65 -- %s", each, meaning=(0, 1)) for each in paths]


# What is in them.


@dataclass(frozen=True)
class _Walk:
    """All layers of all images.

    :param layers: image -> its layers, or why they are not known.
    :param entries: layer -> what is in it.
    :param broken: layer -> why it was not seen whole.
    """

    layers: Mapping[tuple[str, str], list[str] | Unknown]
    entries: Mapping[str, list[Entry]]
    broken: Mapping[str, str]


def files_of(image: Image) -> list[Stored]:
    """Return the files of an image that matter: programs that give rights or do harm, secrets.

    :raises Unknown: not all of its layers could be looked at.
    """
    found = session_of(image.host).recall(("layers", "walk"), lambda: _walk(image.host))
    layers = found.layers.get(_key(image), Unknown("it came to be after the images were listed"))
    if isinstance(layers, Unknown):
        raise Unknown(*layers.args)
    for layer in layers:
        if layer in found.broken:
            raise Unknown(f"a layer of it: {found.broken[layer]}")
    if not layers:
        return []
    if "/vfs/dir/" in layers[0]:
        return _whole(layers, found.entries)
    hidden = session_of(image.host).recall(("layers", "above"), lambda: _above(image.host, found))
    return _merged(layers, found.entries, hidden)


def _key(image: Image) -> tuple[str, str]:
    return image.engine.address, image.id


def _walk(host: Host) -> _Walk:
    known: dict[tuple[str, str], list[str] | Unknown] = {}
    images = [each for each in get(host, "image") if isinstance(each, Image)]
    for image in images:
        if (image.inspect.get("GraphDriver") or {}).get("Name") == "vfs":
            with contextlib.suppress(Unknown):  # It is raised again where it counts.
                session_of(host).foresee(*_cache_wants(image))
    for image in images:
        try:
            known[_key(image)] = layers_of(image)
        except Unknown as reason:
            known[_key(image)] = reason
    roots = sorted({each for found in known.values() if isinstance(found, list) for each in found})
    entries: dict[str, list[Entry]] = {}
    if not roots:
        return _Walk(known, entries, {})
    told, broken = swept(session_of(host).ask(sweep(roots, TEST))[0], roots)
    for entry in told:
        entries.setdefault(entry.root, []).append(entry)
    return _Walk(known, entries, broken)


def _merged(
    layers: Sequence[str], entries: Mapping[str, list[Entry]], above: Collection[tuple[str, str]]
) -> list[Stored]:
    """Return what is in overlaid layers; what a layer above has in its place counts as deleted."""
    found: list[Stored] = []
    for number, layer in enumerate(layers):
        for each in classified(entries.get(layer, ())):
            places = (each.path, *_ancestors(each.path))
            hidden = any((over, name) in above for over in layers[:number] for name in places)
            found.append(replace(each, deleted=hidden))
    return found


def _whole(layers: Sequence[str], entries: Mapping[str, list[Entry]]) -> list[Stored]:
    """Return what is in layers of which each holds all that those below it hold."""
    found = {(each.kind, each.path): each for each in classified(entries.get(layers[0], ()))}
    for layer in layers[1:]:
        for each in classified(entries.get(layer, ())):
            found.setdefault((each.kind, each.path), replace(each, deleted=True))
    return list(found.values())


def _ancestors(path: str) -> list[str]:
    found = []
    while (path := posixpath.dirname(path)) not in ("/", ""):
        found.append(path)
    return found


def _above(host: Host, walk: _Walk) -> frozenset[tuple[str, str]]:
    """Return (layer, path) of whatever lies in a layer in place of a file of one below it.

    In place of a directory only what is none counts. Not seen: that a directory was deleted and
    made anew in one layer (overlayfs calls it opaque); what it had held counts as still there.
    """
    over: dict[str, set[str]] = {}
    for layers in walk.layers.values():
        if isinstance(layers, Unknown):
            continue
        for number, layer in enumerate(layers):
            if "/vfs/dir/" not in layer:
                over.setdefault(layer, set()).update(layers[:number])
    groups = []
    for layer, uppers in sorted(over.items()):
        paths = {each.path for each in classified(walk.entries.get(layer, ()))}
        if uppers and paths:
            groups.append((sorted(uppers), sorted(paths)))
    if not groups:
        return frozenset()
    if sum(len(uppers) * len(paths) for uppers, paths in groups) > MOST:
        raise Unknown("there is more in the layers of images than can be compared")
    *records, rest = session_of(host).ask(_above_want(groups))[0].text.split(END)
    if not records or records.pop() != "end" or rest:
        raise Unknown("what the layers of images hide of each other was not told whole")
    pairs = (record.rpartition("//") for record in records)
    return frozenset((layer, f"/{path}") for layer, _, path in pairs)


def _above_want(groups: Iterable[tuple[list[str], list[str]]]) -> Want:
    """Return the want for what lies in the layers above others: for each group, in which layers
    and for which paths to look."""
    lines = []
    for uppers, paths in groups:
        parents = sorted({parent for path in paths for parent in _ancestors(path)})
        layers, files, directories = (
            " ".join(map(shlex.quote, each)) for each in (uppers, paths, parents)
        )
        lines.append(
            f"for l in {layers}; do "
            f'for p in {files}; do [ ! -e "$l$p" ] && [ ! -L "$l$p" ] || hit "$l" "$p"; done; '
            f"for p in {directories}; do "
            'if [ -L "$l$p" ] || { [ -e "$l$p" ] && [ ! -d "$l$p" ]; }; then hit "$l" "$p"; fi; '
            "done; done"
        )
    return want(
        'hit() { printf \'%s/%s\\n//\\n\' "$1" "$2"; }; '
        + "; ".join(lines)
        + "; printf 'end\\n//\\n'"
    )
