"""Images of every engine's local store; see :class:`hullcheck.facts.images.Image`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.containers import Container
from hullcheck.facts.image_stores import containerd, docker, podman
from hullcheck.facts.image_stores.docker import DockerImages
from hullcheck.facts.images import Image, ImageStore
from hullcheck.facts.registry import Unseen, get, provide, provide_each
from hullcheck.transport.want import CannotAnswer
from hullcheck.verdict import Object

__all__ = ["Made", "image", "image_store", "images", "made_from"]

KINDS = tuple(
    each.__name__
    for each in (docker.docker_images, podman.podman_images, containerd.containerd_images)
)
"""The facts that tell the stores of one kind of engine."""


@provide_each
def image_store(host: Host) -> list[Any]:
    """Where each engine keeps its images. :raises NotApplicable: there is no engine."""
    found: list[Any] = []
    reasons: list[str] = []
    for kind in KINDS:
        try:
            found += get(host, kind)
        except NotApplicable as reason:
            reasons.append(str(reason))
        except (CannotAnswer, Unknown) as reason:
            of = kind.removesuffix("_images")
            found.append(Unseen(Object("engine", f"(any of {of})"), str(reason)))
    if not found:
        raise NotApplicable("; ".join(reasons) or "there is no store of images on this host")
    return found


@provide_each
def image(host: Host) -> list[Image | Unseen]:
    """Every image of every store; what Docker only keeps to build faster is none.

    :raises NotApplicable: there is no engine.
    """
    found: list[Image | Unseen] = []
    for store in get(host, "image_store"):
        if isinstance(store, Unseen):
            found.append(Unseen(Object("image", store.object.name), store.reason))
            continue
        try:
            found += store.images
        except (CannotAnswer, Unknown) as reason:
            found.append(Unseen(Object("image", f"(any of {store})"), str(reason)))
    return found


@provide
def images(host: Host) -> list[Image]:
    """All images at once. :raises Unknown: those of a store cannot be seen."""
    found: list[Image | Unseen] = get(host, "image")
    for each in found:
        if isinstance(each, Unseen):
            raise Unknown(each.reason)
    return [each for each in found if isinstance(each, Image)]


@dataclass(frozen=True, slots=True)
class Made:
    """What a container was made from.

    :param asked: the image's name as it was asked for; "" if that is not told.
    :param number: the image's id.
    :param images: all images of the store that it is in.
    """

    asked: str
    number: str
    images: list[Image]


def made_from(container: Container) -> Made:
    """Return the image that a container was made from.

    :raises NotApplicable: it was made from none.
    :raises Unknown: it cannot be told.
    """
    hidden = ""
    for store in get(container.host, "image_store"):
        if isinstance(store, Unseen):
            hidden = hidden or store.reason
        elif isinstance(store, DockerImages):
            if store.engine is container.docker:
                told = container.inspect
                asked = str(container.config("Image", ""))
                return Made(asked, str(told.get("Image") or ""), store.images)
        elif container.docker is None:
            try:
                if made := _of(store, container):
                    return made
            except (CannotAnswer, Unknown) as reason:
                hidden = hidden or str(reason)
    if hidden:
        raise Unknown(hidden)
    raise NotApplicable(f"it was made from no image that a store knows ({container.keeper})")


def _of(store: ImageStore, container: Container) -> Made | None:
    for image in store.images:
        for each in image.containers:
            if each.get("Id") == container.id:
                return Made(str(each["Config"]["Image"]), image.id, store.images)
    for each in store.orphans:
        if each.get("Id") == container.id:
            return Made(str(each["Config"]["Image"]), str(each["Image"]), store.images)
    return None
