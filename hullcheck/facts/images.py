"""Images of Docker engines: what each is made of, how it was made, and who uses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.registry import Unseen, fact, get, provide, provide_each
from hullcheck.transport.backend import session_of
from hullcheck.verdict import Object

if TYPE_CHECKING:
    from hullcheck.facts.docker.engine import DockerEngine

__all__ = [
    "UNDATED", "Image", "Reference", "Step", "image", "images", "moment", "parse_reference",
]  # fmt: skip

HUB = "docker.io"
UNDATED = datetime(1980, 1, 3, tzinfo=UTC)
"""Builders that make the same image every time date it at the beginning of an epoch: Unix's, of
1970 (Bazel, ko, Jib), or that of FAT and ZIP, 1980."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an image's history.

    :param created_by: the command as the builder wrote it down.
    :param size: how many bytes it added; 0 of a step that only describes.
    """

    created_by: str
    comment: str
    size: int

    @property
    def empty_layer(self) -> bool:
        return self.size == 0


@dataclass(frozen=True, slots=True)
class Reference:
    """A name of an image: ``docker.io/library/nginx``, a tag, a digest; either may be empty."""

    repository: str
    tag: str
    digest: str

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"


def parse_reference(text: str) -> Reference:
    """Return what a name means to Docker, which fills in docker.io, library/ and :latest.

    Source: github.com/distribution/reference, ParseNormalizedNamed and TagNameOnly.
    """
    name, _, digest = text.partition("@")
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        head, tag = name, ""
    first, slash, rest = head.partition("/")
    if not slash or not (set(first) & set(".:") or first == "localhost" or first != first.lower()):
        first, rest = HUB, head
    if first == "index.docker.io":
        first = HUB
    if first == HUB and "/" not in rest:
        rest = f"library/{rest}"
    return Reference(f"{first}/{rest}", tag or ("" if digest else "latest"), digest)


def moment(text: str) -> datetime | None:
    """Return an RFC 3339 time; None if there is none. An engine tells the year 1 for that."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)) if found.year > 1 else None


class Image:
    """An image that an engine keeps.

    :param inspect: the engine's description of it.
    :param containers: the descriptions of the containers, in any state, that were made from it.
    """

    def __init__(
        self,
        host: Host,
        engine: DockerEngine,
        inspect: Mapping[str, Any],
        containers: Sequence[Mapping[str, Any]],
        ids: Sequence[str] = (),
    ) -> None:
        self.host = host
        self.engine = engine
        self.inspect = inspect
        self.containers = list(containers)
        self.id = str(inspect["Id"])
        self._ids = ids or [self.id]

    @property
    def object(self) -> Object:
        return Object("image", self.name, self.id)

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """Its first tag; else the repository it was pulled from; else its short id."""
        short = self.id.removeprefix("sha256:")[:12]
        if self.tags or not self.digests:
            return next(iter(self.tags), short)
        repository, _, digest = self.digests[0].partition("@")
        return f"{repository}@{digest.removeprefix('sha256:')[:12]}"

    @property
    def tags(self) -> list[str]:
        """Its names with a tag, as the engine writes them: ``busybox:1``."""
        return [each for each in self.inspect.get("RepoTags") or [] if "<none>" not in each]

    @property
    def digests(self) -> list[str]:
        """Its names with a digest, ``busybox@sha256:…``: of where it was pulled from or pushed to.

        With the containerd image store every tag has one.
        """
        return [each for each in self.inspect.get("RepoDigests") or [] if "<none>" not in each]

    def config(self, name: str, default: Any = None) -> Any:
        """Return a value of its configuration, which containers inherit.

        :raises Unknown: the engine has none, as of an image for another platform only.
        """
        whole = self.inspect.get("Config")
        if not isinstance(whole, dict):
            raise Unknown("the engine tells no configuration of it")
        value = whole.get(name)
        return default if value is None else value

    @property
    def labels(self) -> dict[str, str]:
        """Its labels. :raises Unknown: the engine tells no configuration."""
        found: dict[str, str] = self.config("Labels", {})
        return found

    @property
    def created(self) -> datetime | None:
        """When it was built; None if it does not tell."""
        when = moment(str(self.inspect.get("Created") or ""))
        return when if when and when > UNDATED else None

    @property
    def layers(self) -> list[str]:
        """The digests of its layers, the lowest first."""
        return list((self.inspect.get("RootFS") or {}).get("Layers") or [])

    @fact
    def history(self) -> list[Step]:
        """How it was made, the first step first.

        :raises NotApplicable: it was removed while it was looked at.
        :raises Unknown: the engine does not tell.
        """
        told = self.engine.api.history(self.id, self._ids)
        return [_step(each) for each in reversed(told)]

    @property
    def running(self) -> bool:
        """Whether a container made from it runs."""
        return any((each.get("State") or {}).get("Running") for each in self.containers)


def _step(told: Mapping[str, Any]) -> Step:
    """Return a step as the API tells it, or the client with --human=false."""
    try:
        size = int(told.get("Size") or 0)
    except ValueError:
        raise Unknown(f"a step of its history has the size {told.get('Size')!r}") from None
    return Step(str(told.get("CreatedBy") or ""), str(told.get("Comment") or ""), size)


@provide
def images(host: Host) -> list[Image]:
    """All images at once. :raises Unknown: those of an engine cannot be seen."""
    found: list[Image | Unseen] = get(host, "image")
    for each in found:
        if isinstance(each, Unseen):
            raise Unknown(each.reason)
    return [each for each in found if isinstance(each, Image)]


@provide_each
def image(host: Host) -> list[Image | Unseen]:
    """Every image of every Docker engine; what is only kept to build faster is none.

    :raises NotApplicable: there is no engine.
    """
    engines: list[DockerEngine] = get(host, "docker")
    wants = [(each.api.containers_want(), each.api.images_want()) for each in engines]
    session_of(host).foresee(*(want for pair in wants for want in pair))
    found: list[Image | Unseen] = []
    for engine in engines:
        try:
            found += images_of(host, engine)
        except Unknown as reason:
            found.append(Unseen(Object("image", f"(any of {engine})"), str(reason)))
    return found


def images_of(host: Host, engine: DockerEngine) -> list[Image]:
    """Return an engine's images. :raises Unknown: it does not tell them."""
    users: dict[str, list[Mapping[str, Any]]] = {}
    for each in engine.containers():
        users.setdefault(str(each.get("Image") or ""), []).append(each)
    described = {str(each["Id"]): each for each in engine.images()}
    # One that has children and no name is not listed, and may be run all the same.
    asked = sorted(set(users) - {""} - set(described))
    further = engine.further_images(asked)
    if len(further) == len(asked):
        # The id of a manifest leads to the index that it is in.
        for number, each in zip(asked, further, strict=True):
            if number != each["Id"]:
                users.setdefault(str(each["Id"]), []).extend(users[number])
    described |= {str(each["Id"]): each for each in further}
    ids = sorted(described)
    return [Image(host, engine, each, users.get(key, ()), ids) for key, each in described.items()]
