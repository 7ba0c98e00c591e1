"""Where images come from, what they are built on, and whether a site approves of that."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from hullcheck.facts.images import Image, parse_reference

__all__ = ["approved", "bases", "claimed_base", "origins", "trusted"]

BASE_NAME = "org.opencontainers.image.base.name"
"""OCI image-spec, annotations.md; builders copy it to a label."""


def origins(image: Image) -> list[str]:
    """Return the repositories that an image was pulled from or pushed to; [] if it was made here.

    Engines of API 1.53 and later verify that themselves (``Identity``); of others a name with a
    digest tells, which a local tag gets too where images are kept by containerd.
    """
    identity = image.inspect.get("Identity")
    if identity:
        pulled = [str(each.get("Repository") or "") for each in identity.get("Pull") or []]
        return sorted({parse_reference(each).repository for each in pulled if each})
    return sorted({parse_reference(each).repository for each in image.digests})


def approved(repository: str, allowed: Iterable[str]) -> bool:
    """Whether a repository is one of some, or below one."""
    return any(
        repository == place or repository.startswith(f"{place}/") for place in map(_place, allowed)
    )


def _place(entry: str) -> str:
    """Return an entry of a policy as repositories are written; a bare ``nginx`` is Docker Hub's."""
    place = entry.strip().removesuffix("*").rstrip("/")
    first, slash, rest = place.partition("/")
    if not (set(first) & set(".:") or first == "localhost"):
        return parse_reference(place).repository
    return f"{first}/{rest.partition('@')[0].partition(':')[0]}" if slash else place


def bases(image: Image, others: Iterable[Image]) -> list[Image]:
    """Return the images of the same store that an image is visibly built on: all their layers
    are its lowest; the nearest first."""
    found = [
        each for each in others
        if each.store is image.store and 0 < len(each.layers) < len(image.layers)
        and image.layers[: len(each.layers)] == each.layers
    ]  # fmt: skip
    return sorted(found, key=lambda each: -len(each.layers))


def claimed_base(image: Image) -> str:
    """Return the repository of the base that an image's label names; empty without one."""
    name = image.labels.get(BASE_NAME, "").strip()
    return parse_reference(name).repository if name else ""


def trusted(image: Image, allowed: Collection[str]) -> bool:
    """Whether an image itself is approved: by its id, or by all places that it comes from."""
    if image.id in allowed:
        return True
    found = origins(image)
    return bool(found) and all(approved(each, allowed) for each in found)
