"""What lies in the layers of images, read from the engine's store; nothing of an image is run.

All layers of all images are walked once, some at a time, those of images in use and of new ones
first: one image that is too big spoils those that are looked at together with it, and no other.
What a later layer deletes or replaces (overlayfs, kernel Documentation/filesystems/overlayfs.rst: a
character device 0:0, or anything else of that name) is told apart in a second command.
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.images import UNDATED, Image
from hullcheck.facts.registry import get
from hullcheck.facts.suspects import TEST, Stored, classified
from hullcheck.facts.tree_sweep import END, SECONDS, Entry, sweep, swept
from hullcheck.transport.backend import session_of
from hullcheck.transport.want import CannotAnswer, Want, want
from hullcheck.verdict import Object

__all__ = ["files_of", "layers_of"]

MOST = 300_000
"""Names that are looked for in later layers; images of a host have some thousands."""

BIG = 1_000_000_000
"""Bytes of an image whose layers are walked apart from others'."""

TOGETHER = 40
"""Layers that one command walks, or more, so that there are not more than :data:`WALKS` such."""

WALKS, ALONE = 30, 20
"""How many walks there are at most, and how many more of images that are big."""

ALTOGETHER = 150
"""Seconds that all walks may take, unless there are so many that each has but :data:`LEAST`."""

LEAST = 10


def layers_of(image: Image) -> list[str]:
    """Return the directories of an image's layers as the host sees them, the uppermost first.

    :raises Unknown: its storage driver keeps them in another way, or does not tell.
    """
    return image.store.directories(image) if image.layers else []


@dataclass(frozen=True)
class _Walk:
    """All layers of all images.

    :param layers: image -> its layers, or why they are not known.
    :param entries: layer -> what is in it.
    :param broken: layer -> why it was not seen whole.
    """

    layers: Mapping[tuple[Object, str], list[str] | Unknown]
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
    hidden, many = session_of(image.host).recall(
        ("layers", "above"), lambda: _above(image.host, found)
    )
    if many.intersection(layers):
        raise Unknown("there is more in the layers of images than can be compared")
    return _merged(layers, found.entries, hidden)


def _key(image: Image) -> tuple[Object, str]:
    return image.store.object, image.id


def _walk(host: Host) -> _Walk:
    known: dict[tuple[Object, str], list[str] | Unknown] = {}
    images = [each for each in get(host, "image") if isinstance(each, Image)]
    # Those in use first, then the newest; the order is the same whenever the stores are.
    images.sort(key=lambda each: (each.created or UNDATED, each.id), reverse=True)
    images.sort(key=lambda each: not each.containers)
    for image in images:
        session_of(host).foresee(*image.store.wants(image))
    small: list[str] = []
    alone: list[list[str]] = []
    taken: set[str] = set()
    for image in images:
        try:
            known[_key(image)] = found = layers_of(image)
        except (CannotAnswer, Unknown) as reason:
            known[_key(image)] = Unknown(str(reason))
            continue
        fresh = [each for each in found if each not in taken]
        taken.update(fresh)
        if (image.inspect.get("Size") or 0) > BIG and len(alone) < ALONE:
            alone.append(fresh)
        else:
            small += fresh
    size = max(TOGETHER, -(-len(small) // WALKS))
    groups = [small[at : at + size] for at in range(0, len(small), size)]
    return _Walk(known, *_entries(host, [each for each in (*groups, *alone) if each]))


def _entries(
    host: Host, groups: Sequence[list[str]]
) -> tuple[dict[str, list[Entry]], dict[str, str]]:
    """Return what is in layers, and which could not be seen whole and why."""
    entries: dict[str, list[Entry]] = {}
    broken: dict[str, str] = {}
    seconds = min(SECONDS, max(LEAST, ALTOGETHER // max(1, len(groups))))
    groups = [sorted(each) for each in groups]
    answers = session_of(host).ask(*(sweep(each, TEST, seconds) for each in groups))
    for roots, answer in zip(groups, answers, strict=True):
        try:
            told, hidden = swept(answer, frozenset(roots))
        except (CannotAnswer, Unknown) as reason:
            broken |= dict.fromkeys(roots, str(reason))
            continue
        broken |= hidden
        for entry in told:
            entries.setdefault(entry.root, []).append(entry)
    return entries, broken


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


def _above(host: Host, walk: _Walk) -> tuple[frozenset[tuple[str, str]], frozenset[str]]:
    """Return (layer, path) of whatever lies in a layer in place of a file of one below it; and the
    layers with so much in them that it was not looked for.

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
    groups: dict[str, tuple[list[str], list[str]]] = {}
    names, many = 0, set()
    for layer, uppers in over.items():
        paths = {each.path for each in classified(walk.entries.get(layer, ()))}
        if not uppers or not paths:
            continue
        names += len(uppers) * len(paths)
        if names > MOST:
            many.add(layer)
            names -= len(uppers) * len(paths)
        else:
            groups[layer] = sorted(uppers), sorted(paths)
    if not groups:
        return frozenset(), frozenset(many)
    wanted = _above_want([groups[layer] for layer in sorted(groups)])
    *records, rest = session_of(host).ask(wanted)[0].text.split(END)
    if not records or records.pop() != "end" or rest:
        raise Unknown("what the layers of images hide of each other was not told whole")
    pairs = (record.rpartition("//") for record in records)
    return frozenset((layer, f"/{path}") for layer, _, path in pairs), frozenset(many)


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
