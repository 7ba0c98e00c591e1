"""Images in the local stores of engines: what each is made of, how it was made, and who uses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.registry import fact
from hullcheck.transport.want import Want
from hullcheck.verdict import Object

__all__ = ["UNDATED", "Image", "ImageStore", "Reference", "Step", "moment", "parse_reference"]

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


class ImageStore(Protocol):
    """Where an engine keeps images: one of Docker's, of Podman's, a namespace of containerd's."""

    host: Host

    @property
    def object(self) -> Object:
        """How a finding names it."""
        ...

    @property
    def images(self) -> list[Image]:
        """All images in it. :raises Unknown: it cannot be read."""
        ...

    @property
    def orphans(self) -> Sequence[Mapping[str, Any]]:
        """The containers that were made from an image which it has no more, in Docker's words."""
        ...

    def history(self, image: Image) -> list[Step]:
        """How one was made. :raises Unknown: it is not told."""
        ...

    def directories(self, image: Image) -> list[str]:
        """Where its layers lie on the host, the uppermost first.

        :raises Unknown: they lie in another way, or it is not told.
        """
        ...

    def wants(self, image: Image) -> Sequence[Want]:
        """What :meth:`directories` will ask, as far as it is known before."""
        ...

    def runs(self, container: Mapping[str, Any]) -> bool:
        """Whether a container of one of its images runs. :raises Unknown: it is not told."""
        ...


class Image:
    """An image in a store.

    :param inspect: its description, in the words of Docker's ``inspect``; what another store
        tells is translated.
    :param containers: the descriptions of the containers, in any state, that were made from it.
    :param unnamed: why its names are not known; empty if they are.
    :param doubt: why its configuration is not known; empty if it is.
    """

    def __init__(
        self,
        host: Host,
        store: ImageStore,
        inspect: Mapping[str, Any],
        containers: Sequence[Mapping[str, Any]],
        *,
        unnamed: str = "",
        doubt: str = "the engine tells no configuration of it",
    ) -> None:
        self.host = host
        self.store = store
        self.inspect = inspect
        self.containers = list(containers)
        self.id = str(inspect["Id"])
        self._unnamed = unnamed
        self._doubt = doubt

    @property
    def object(self) -> Object:
        return Object("image", self.name, self.id)

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """Its first tag; else the repository it was pulled from; else its short id."""
        short = self.id.removeprefix("sha256:")[:12]
        if self._unnamed:
            return short
        if self.tags or not self.digests:
            return next(iter(self.tags), short)
        repository, _, digest = self.digests[0].partition("@")
        return f"{repository}@{digest.removeprefix('sha256:')[:12]}"

    @property
    def tags(self) -> list[str]:
        """Its names with a tag, as the engine writes them: ``busybox:1``.

        :raises Unknown: nobody could be asked for names.
        """
        return self._names("RepoTags")

    @property
    def digests(self) -> list[str]:
        """Its names with a digest, ``busybox@sha256:…``: of where it was pulled from or pushed to.

        With Docker's containerd image store every tag has one.

        :raises Unknown: as above.
        """
        return self._names("RepoDigests")

    def _names(self, kind: str) -> list[str]:
        if self._unnamed:
            raise Unknown(self._unnamed)
        return [each for each in self.inspect.get(kind) or [] if "<none>" not in each]

    def config(self, name: str, default: Any = None) -> Any:
        """Return a value of its configuration, which containers inherit.

        :raises Unknown: the store has none, as of an image for another platform only.
        """
        whole = self.inspect.get("Config")
        if not isinstance(whole, dict):
            raise Unknown(self._doubt)
        value = whole.get(name)
        return default if value is None else value

    @property
    def labels(self) -> dict[str, str]:
        """Its labels. :raises Unknown: its configuration is not known."""
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
        return self.store.history(self)

    @property
    def siblings(self) -> list[Image]:
        """All images of the same store, itself among them."""
        return self.store.images

    @property
    def running(self) -> bool:
        """Whether a container made from it runs. :raises Unknown: it is not told."""
        return any(self.store.runs(each) for each in self.containers)
