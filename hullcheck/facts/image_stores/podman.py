"""Images of Podman, Buildah and CRI-O: root's and each user's, with the stores they read besides.

A store keeps no word of where an image was pulled from, but its names. An image whose layers are
not packed has been built or loaded here, whatever it is called: registries serve packed ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.crio import Crio
from hullcheck.facts.image_stores.oci import described, document, steps
from hullcheck.facts.image_stores.running import runs
from hullcheck.facts.image_stores.storage import (
    CONFIG_LIMIT,
    Kept,
    Listing,
    contents_want,
    listing_of,
    listing_want,
)
from hullcheck.facts.images import Image, Step, parse_reference
from hullcheck.facts.podman.places import Places
from hullcheck.facts.podman.roots import Roots, libraries, roots
from hullcheck.facts.podman.store import Store
from hullcheck.facts.registry import Unseen, fact, get, provide
from hullcheck.facts.texts import known, whole
from hullcheck.transport.backend import session_of
from hullcheck.transport.want import CannotAnswer, Want
from hullcheck.verdict import Object

__all__ = ["PodmanImages", "podman_images"]

STORES = 200
AT_ONCE = 2 * 1024 * 1024
"""Bytes of configurations that one command tells."""

MANIFEST = 4096
MOST = 16 * 1024 * 1024
"""Bytes of configurations that are read of one store; what came first is left out."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A user's store: where it is, and which others it reads."""

    roots: Roots
    libraries: tuple[str, ...]
    doubt: str = ""

    @property
    def wants(self) -> list[Want]:
        run = self.roots.runroot
        return [listing_want(each, run) for each in (self.roots.graphroot, *self.libraries)]


class PodmanImages:
    """The images that one user's Podman has."""

    def __init__(self, host: Host, place: _Place, owner: str) -> None:
        self.host = host
        self.place = place
        self.owner = owner
        self.object = Object("engine", f"podman ({owner})", place.roots.graphroot)

    def __str__(self) -> str:
        return f"podman ({self.owner}), {self.place.roots.graphroot}"

    @fact
    def listings(self) -> list[Listing]:
        """What its directories list, its own first. :raises Unknown: one cannot be read."""
        if self.place.doubt:
            raise Unknown(self.place.doubt)
        places = (self.place.roots.graphroot, *self.place.libraries)
        answers = session_of(self.host).ask(*self.place.wants)
        return [listing_of(*each) for each in zip(places, answers, strict=True)]

    @fact
    def images(self) -> list[Image]:
        kept = {(each.driver, each.id): each for one in self.listings[::-1] for each in one.images}
        users = self._users
        texts = self._texts(kept.values(), users)
        return [self._image(each, users.get(each.id, []), texts) for each in kept.values()]

    @property
    def _users(self) -> dict[str, list[Mapping[str, Any]]]:
        found: dict[str, list[Mapping[str, Any]]] = {}
        for one in self.listings:
            for image, made in one.users.items():
                found.setdefault(image, []).extend(made)
        return found

    @property
    def orphans(self) -> list[Mapping[str, Any]]:
        kept = {each.id for one in self.listings for each in one.images}
        return [each for image, made in self._users.items() if image not in kept for each in made]

    def _texts(self, kept: Iterable[Kept], users: Mapping[str, object]) -> dict[str, str | Unknown]:
        """Return the files that tell of some images: of those in use, then of the newest."""
        order = sorted(kept, key=lambda each: (each.created, each.id), reverse=True)
        order.sort(key=lambda each: each.id not in users)
        wants = [contents_want(each) for each in _groups(order)]
        found: dict[str, str | Unknown] = {}
        for answer in session_of(self.host).ask(*wants):
            try:
                found |= whole(answer)
            except CannotAnswer as reason:
                asked = (path for each in order for path in each.files)
                named = (path for path in asked if path in answer.want.command)
                found |= dict.fromkeys(named, Unknown(str(reason)))
        return found

    def _image(
        self, kept: Kept, users: Sequence[Mapping[str, Any]], texts: Mapping[str, str | Unknown]
    ) -> Image:
        number = f"sha256:{kept.id}"
        names = [each for each in kept.names if "@" not in each]
        bare = {"Id": number, "Created": kept.created, "RepoTags": names, "Top": kept}
        try:
            told = described(number, document(_read(kept, kept.config, texts)))
            digests = _digests(kept, told, _read(kept, "manifest", texts))
        except (CannotAnswer, Unknown) as reason:
            doubt = str(reason)
            return Image(self.host, self, {**bare, "RepoDigests": []}, users, doubt=doubt)
        made = {**bare, **told, "RepoDigests": digests}
        return Image(self.host, self, made, users)

    def history(self, image: Image) -> list[Step]:
        image.config("Labels")
        return steps(image.inspect)

    def directories(self, image: Image) -> list[str]:
        kept: Kept = image.inspect["Top"]
        found: list[str] = []
        here = kept.top
        while here and len(found) <= len(image.layers):
            owner = next((one for one in self.listings if (kept.driver, here) in one.parents), None)
            if owner is None:
                raise Unknown(f"no list of layers has its layer {here[:12]}")
            found.append(_directory(owner.root, kept.driver, here))
            here = owner.parents[kept.driver, here]
        if len(found) != len(image.layers):
            raise Unknown(f"its store lists {len(found)} of its {len(image.layers)} layers")
        return found

    def wants(self, image: Image) -> Sequence[Want]:
        return ()

    def runs(self, container: Mapping[str, Any]) -> bool:
        return runs(self.host, str(container["Id"]))


def _groups(order: Iterable[Kept]) -> Iterator[list[Kept]]:
    """Yield images that are asked about together; none of those that are too many or too long."""
    group: list[Kept] = []
    asked = held = 0
    for each in order:
        size = each.size + MANIFEST
        if not each.config or each.size > CONFIG_LIMIT or asked + size > MOST:
            continue
        if held + size > AT_ONCE:
            yield group
            group, held = [], 0
        group.append(each)
        asked, held = asked + size, held + size
    if group:
        yield group


def _read(kept: Kept, name: str, texts: Mapping[str, str | Unknown]) -> str:
    if not name:
        raise Unknown("its store keeps no configuration of it")
    text = known(texts.get(f"{kept.place}/{name}"))
    if text is None:
        long = f": it has {kept.size} bytes" if kept.size > CONFIG_LIMIT else ""
        raise Unknown(f"what its store keeps of it was not read{long}")
    return text


def _digests(kept: Kept, told: Mapping[str, Any], manifest: str) -> list[str]:
    """Return the names with a digest of an image that came from a registry, as far as it tells.

    What kind of archive a manifest calls its layers is no sign: what is loaded from a file is
    called packed too. Packed ones have another digest than what is in them.
    """
    layers = document(manifest).get("layers")
    packed = {each.get("digest") for each in layers or [] if isinstance(each, dict)}
    if not packed - {*told["RootFS"]["Layers"]}:
        return []
    meant = (parse_reference(each.partition("@")[0]).repository for each in kept.names)
    made = [f"{each}@{kept.digest}" for each in dict.fromkeys(meant) if kept.digest]
    given = [each for each in kept.names if "@" in each]
    return [each for each in dict.fromkeys([*made, *given]) if not each.startswith("localhost/")]


def _directory(root: str, driver: str, layer: str) -> str:
    if driver == "overlay":
        return f"{root}/overlay/{layer}/diff"
    if driver == "vfs":
        return f"{root}/vfs/dir/{layer}"
    raise Unknown(f"it lies in the storage driver {driver}, whose layers are not looked into")


@provide
def podman_images(host: Host) -> list[PodmanImages]:
    """The images in each store of containers-storage. :raises Unknown: nobody can be asked."""
    places: Places = get(host, "podman_places")
    accounts: Accounts = get(host, "accounts")
    early, _ = roots(places, accounts)
    there = [each for each in early[:STORES] if each.graphroot in places.stores]
    session_of(host).foresee(*(want for each in there for want in _place(places, each).wants))
    stores: list[Store] = get(host, "podman_stores")
    found: list[PodmanImages] = []
    for each in stores:
        if not (each.exists or each.doubt or each.graphroot in places.stores):
            continue
        where = Roots(each.graphroot, each.runroot, each.uid)
        found.append(PodmanImages(host, _place(places, where, each), each.owner))
    taken = {each.place.roots.graphroot for each in found}
    more = [each for each in _of_crio(host) if each.roots.graphroot not in taken]
    return found + [PodmanImages(host, each, "root, of CRI-O") for each in more]


def _of_crio(host: Host) -> Iterator[_Place]:
    """Yield where each CRI-O keeps images, which may be where nobody else's settings lead."""
    unclear = Roots("(CRI-O)", "", 0)
    try:
        daemons: list[Crio | Unseen] = get(host, "crio")
    except NotApplicable:
        return
    except (CannotAnswer, Unknown) as reason:
        yield _Place(unclear, (), str(reason))
        return
    for each in daemons:
        if isinstance(each, Unseen):
            yield _Place(unclear, (), each.reason)
            continue
        try:
            yield _Place(Roots(*each.directories, 0), ())
        except (CannotAnswer, Unknown) as reason:
            yield _Place(unclear, (), str(reason))


def _place(places: Places, where: Roots, store: Store | None = None) -> _Place:
    """Return a store with those that its user has it read besides."""
    doubt = store.doubt if store and not store.exists and store.doubt else ""
    try:
        return _Place(where, libraries(places, where), doubt)
    except (CannotAnswer, Unknown) as reason:
        return _Place(where, (), doubt or str(reason))
