"""Images of Docker engines, as their daemons tell of them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.containers import Container
from hullcheck.facts.image_stores.snapshots import MOBY, chains, snapshots_of
from hullcheck.facts.images import Image, Step
from hullcheck.facts.overlays import lower_directories
from hullcheck.facts.registry import fact, get, provide
from hullcheck.transport.backend import session_of
from hullcheck.transport.want import Want, want
from hullcheck.verdict import Object

if TYPE_CHECKING:
    from hullcheck.facts.docker.engine import DockerEngine

__all__ = ["DockerImages", "docker_images"]


class DockerImages:
    """The images of one engine; what is only kept to build faster is none."""

    def __init__(self, engine: DockerEngine) -> None:
        self.host: Host = engine.host
        self.engine = engine

    @property
    def object(self) -> Object:
        return self.engine.object

    def __str__(self) -> str:
        return str(self.engine)

    @fact
    def images(self) -> list[Image]:
        """:raises Unknown: the engine does not tell them."""
        users: dict[str, list[Mapping[str, Any]]] = {}
        for each in self.engine.containers():
            users.setdefault(str(each.get("Image") or ""), []).append(each)
        described = {str(each["Id"]): each for each in self.engine.images()}
        # One that has children and no name is not listed, and may be run all the same.
        asked = sorted(set(users) - {""} - set(described))
        further = self.engine.further_images(asked)
        if len(further) == len(asked):
            # The id of a manifest leads to the index that it is in.
            for number, each in zip(asked, further, strict=True):
                if number != each["Id"]:
                    users.setdefault(str(each["Id"]), []).extend(users[number])
        described |= {str(each["Id"]): each for each in further}
        return [Image(self.host, self, each, users.get(key, ())) for key, each in described.items()]

    @property
    def orphans(self) -> list[Mapping[str, Any]]:
        return []

    def history(self, image: Image) -> list[Step]:
        told = self.engine.api.history(image.id, sorted(each.id for each in self.images))
        return [_step(each) for each in reversed(told)]

    def runs(self, container: Mapping[str, Any]) -> bool:
        return bool((container.get("State") or {}).get("Running"))

    def directories(self, image: Image) -> list[str]:
        driver = image.inspect.get("GraphDriver") or {}
        name = str(driver.get("Name") or self.engine.info.get("Driver") or "that is not told")
        if name == "overlay2":
            data = driver.get("Data") or {}
            found = [str(data.get("UpperDir") or ""), *str(data.get("LowerDir") or "").split(":")]
            found = [each for each in found if each]
        elif name == "vfs":
            found = self._cached(image)
        elif name == "overlayfs":
            found = self._mounted(image) or snapshots_of(self.host, MOBY, image.layers)
        else:
            raise Unknown(f"it lies in the storage driver {name}, whose layers are not looked into")
        if len(found) != len(image.layers) or not all(each.startswith("/") for each in found):
            told = f"{len(found)} of its {len(image.layers)} layers lie"
            raise Unknown(f"the engine tells where {told}")
        return [self.engine.seen(posixpath.normpath(each)) for each in found]

    def wants(self, image: Image) -> list[Want]:
        driver = (image.inspect.get("GraphDriver") or {}).get("Name")
        return self._cache_wants(image) if driver == "vfs" else []

    def _mounted(self, image: Image) -> list[str]:
        """Return the directories of an image in containerd's store, which does not tell them:
        those that a container of it has mounted. Docker puts a layer of its own above them."""
        ids = {str(each.get("Id")) for each in image.containers}
        for container in get(self.host, "container") if ids else ():
            if not isinstance(container, Container) or container.id not in ids:
                continue
            if not container.running:
                continue
            try:
                roots = [each for each in container.mounts if each.target == "/"]
            except (NotApplicable, Unknown):
                continue
            if roots and roots[0].fstype == "overlay":
                found = lower_directories(roots[0])
                return found[1:] if len(found) == len(image.layers) + 1 else found
        return []

    def _cached(self, image: Image) -> list[str]:
        """Return the directories of the vfs driver, each of which holds all layers up to its
        own."""
        ids = [answer.text for answer in session_of(self.host).ask(*self._cache_wants(image))]
        if not all(re.fullmatch("[0-9a-f]{64}", each) for each in ids):
            raise Unknown("where its layers lie cannot be read; needs root")
        return [f"{self.engine.root_dir}/vfs/dir/{each}" for each in ids]

    def _cache_wants(self, image: Image) -> list[Want]:
        """Return what asks under which names the vfs driver keeps the layers, the uppermost
        first."""
        base = f"{self.engine.root_dir}/image/vfs/layerdb/sha256"
        names = [each.removeprefix("sha256:") for each in reversed(chains(image.layers))]
        paths = [self.engine.seen(f"{base}/{each}/cache-id") for each in names]
        return [want("head -c 65 -- %s", each, meaning=(0, 1)) for each in paths]


def _step(told: Mapping[str, Any]) -> Step:
    """Return a step as the API tells it, or the client with --human=false."""
    try:
        size = int(told.get("Size") or 0)
    except ValueError:
        raise Unknown(f"a step of its history has the size {told.get('Size')!r}") from None
    return Step(str(told.get("CreatedBy") or ""), str(told.get("Comment") or ""), size)


@provide
def docker_images(host: Host) -> list[DockerImages]:
    """The images of each Docker engine. :raises NotApplicable: there is no engine."""
    engines: list[DockerEngine] = get(host, "docker")
    wants = [(each.api.containers_want(), each.api.images_want()) for each in engines]
    session_of(host).foresee(*(want for pair in wants for want in pair))
    return [DockerImages(each) for each in engines]
