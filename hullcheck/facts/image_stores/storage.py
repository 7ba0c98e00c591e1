"""What a store of containers-storage(5) says of its images and layers: Podman's, Buildah's and
CRI-O's, root's and each user's; from its files alone.

``DRIVER-images/images.json`` lists the images, ``DRIVER-layers/layers.json`` the layers with their
parents, ``DRIVER-containers/containers.json`` who uses them; ``DRIVER-images/ID`` holds what came
with an image, by names in base64 (containers/storage, images.go, containers.go, bigdata.go).
"""

from __future__ import annotations

import base64
import json
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hullcheck.control import Unknown
from hullcheck.facts.podman.places import END, complaints, listed, swept
from hullcheck.transport import Answer, CannotAnswer, Want, want

__all__ = ["CONFIG_LIMIT", "Kept", "Listing", "contents_want", "listing_of", "listing_want"]

LARGEST = 12_288
"""Lists of more blocks of 512 bytes are not read: that would be more than ten thousand layers."""

CONFIG_LIMIT = 256 * 1024
"""Bytes of a configuration; its history is most of it."""

_ID = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LISTS = re.compile(r"/([a-z]+)-(images|layers|containers)/(?:volatile-)?\2\.json$")
_KINDS = ("images", "layers", "containers")


@dataclass(frozen=True, slots=True)
class Kept:
    """One image, as a store lists it.

    :param place: of what came with it.
    :param top: its uppermost layer; empty if it has none.
    :param config: the name of its configuration's file; empty if there is none.
    """

    id: str
    names: tuple[str, ...]
    digest: str
    created: str
    driver: str
    place: str
    top: str
    config: str
    size: int

    @property
    def files(self) -> list[str]:
        """What is read of it: its configuration and its manifest."""
        return [f"{self.place}/{each}" for each in (self.config, "manifest") if each]


@dataclass(frozen=True, slots=True)
class Listing:
    """What one directory of a store lists.

    :param parents: (driver, layer) -> the layer below it, or "".
    :param users: image -> the containers made from it, in Docker's words.
    """

    root: str
    images: tuple[Kept, ...] = ()
    parents: Mapping[tuple[str, str], str] = field(default_factory=dict)
    users: Mapping[str, list[Mapping[str, Any]]] = field(default_factory=dict)


def listing_want(root: str, run: str) -> Want:
    """Return the want for all lists of a store."""
    names = [(kind, f"{way}{kind}.json") for kind in _KINDS for way in ("", "volatile-")]
    tests = " -o ".join(f"-path '*-{kind}/{name}'" for kind, name in names)
    others = " ".join(f"! -name '*-{kind}'" for kind in _KINDS)
    return want(
        f"find -H %s %s -mindepth 1 -maxdepth 2 -type d {others} -prune"
        f" -o -type f \\( {tests} \\) -exec stat -c '= %%u %%a %%s %%n' {{}} +"
        f" -size -{LARGEST + 1} -exec grep -aH '' {{}} +; echo '{END}'",
        root,
        run,
    )


def listing_of(root: str, answer: Answer) -> Listing:
    """Return what the lists of a store say.

    :raises Unknown: one cannot be read.
    """
    try:
        texts, sizes = swept(answer), listed(answer)
    except CannotAnswer as reason:
        raise Unknown(f"{root}: {reason}") from None
    hidden = next(complaints(answer), None)
    if hidden:
        raise Unknown(f"{hidden[0]} cannot be read: {hidden[1]}; it may need root")
    images: dict[str, Kept] = {}
    parents: dict[tuple[str, str], str] = {}
    users: dict[str, list[Mapping[str, Any]]] = {}
    for path in sorted(sizes):
        kind = _LISTS.search(path)
        for each in _entries(path, texts[path]) if kind else ():
            number = str(each["id"])
            if kind and kind[2] == "images":
                images[number] = _kept(f"{posixpath.dirname(path)}/{number}", kind[1], each)
            elif kind and kind[2] == "layers":
                parents[kind[1], number] = _text(each, "parent")
            else:
                users.setdefault(_text(each, "image"), []).append(_user(number, each))
    return Listing(root, tuple(images.values()), parents, users)


def _entries(path: str, text: str | Unknown) -> Iterator[Mapping[str, Any]]:
    if isinstance(text, Unknown):
        raise Unknown(*text.args)
    try:
        found = json.loads(text or "[]")
    except (ValueError, RecursionError):
        raise Unknown(f"{path} is not JSON") from None
    for each in (found if isinstance(found, list) else [None]) if found is not None else ():
        if not isinstance(each, dict) or not _ID.fullmatch(_text(each, "id")):
            raise Unknown(f"{path} lists something without an id")
        yield each


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    return value if isinstance(value, str) else ""


def _kept(place: str, driver: str, each: Mapping[str, Any]) -> Kept:
    number = _text(each, "id")
    sizes = each.get("big-data-sizes")
    sizes = sizes if isinstance(sizes, dict) else {}
    named = each.get("big-data-names")
    digests = [one for one in named if isinstance(one, str)] if isinstance(named, list) else []
    digests = [one for one in digests if _DIGEST.fullmatch(one)]
    own = f"sha256:{number}"
    name = own if own in digests else next(iter(digests), "") if len(digests) == 1 else ""
    size = sizes.get(name)
    names = each.get("names")
    names = names if isinstance(names, list) else []
    return Kept(
        number, tuple(one for one in names if isinstance(one, str)),
        _text(each, "digest"), _text(each, "created"), driver, place,
        top if _ID.fullmatch(top := _text(each, "layer")) else "",
        f"={base64.b64encode(name.encode()).decode()}" if name else "",
        size if type(size) is int else 0,
    )  # fmt: skip


def _user(number: str, each: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a container of a list; Podman and CRI-O note the name that was asked for."""
    try:
        notes = json.loads(_text(each, "metadata") or "{}")
    except (ValueError, RecursionError):
        notes = {}
    asked = _text(notes, "image-name") if isinstance(notes, dict) else ""
    return {"Id": number, "Config": {"Image": asked}, "Image": f"sha256:{_text(each, 'image')}"}


def contents_want(images: Sequence[Kept]) -> Want:
    """Return the want for the configurations and manifests of some images; links are not read."""
    paths = " ".join(["%s"] * sum(len(each.files) for each in images))
    return want(
        f"find {paths} -maxdepth 0 -type f -size -{CONFIG_LIMIT // 512 + 1}"
        f" -exec grep -aH '' {{}} +; echo '{END}'",
        *(path for each in images for path in each.files),
    )
