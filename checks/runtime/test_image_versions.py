"""Which version of its image a container runs."""

import re

from hullcheck.control import Unknown, control, expect
from hullcheck.facts.containers import Container
from hullcheck.facts.image_stores import made_from
from hullcheck.facts.images import Image, parse_reference

ID = re.compile(r"(?:sha256:)?([0-9a-f]{12,64})")


@control(
    title="Containers run what their image's name stands for now",
    severity="medium",
    fix="Create the container anew from the image's current version (docker compose up -d, or "
    "stop, rm and run); remove the image it ran before.",
)
def test_image_current(container: Container) -> None:
    """A container keeps the image it was created from. When the tag has been pulled or built
    again, the fixes are on the host and the container runs without them; when the image has lost
    its name, nobody will ever look for a newer one."""
    container.need_running()
    made = made_from(container)
    asked, number, own = made.asked, made.number, made.images
    if not asked or not number:
        raise Unknown("the engine does not tell its image")
    used = next((each for each in own if _made(container, each)), None)
    name = parse_reference(asked)
    if name.digest or _is_id(asked, number, own):
        named = used is not None and bool(used.tags or used.digests)
        expect("named" if named or name.digest else "replaced and nameless",
               equals="named", what="the image it was created from by its id")  # fmt: skip
        return
    now = next((each for each in own if str(name) in _names(each)), None)
    observed = "nothing any more" if now is None else _short(now.id)
    if now is not None and used is not None and (now is used or _same(now, used)):
        observed = _short(number)
    expect(observed, equals=_short(number), what=f"what {asked} stands for")


@control(
    title="Containers name their image by its digest",
    severity="medium",
    level=2,
    fix="Run NAME:TAG@sha256:… (docker inspect shows it in RepoDigests), or let the orchestrator "
    "resolve tags to digests.",
)
def test_pinned_image(container: Container) -> None:
    """Docker has retired its signed tags (Docker Content Trust), and a client's setting was never
    to be seen from the host. What can be seen is what they were for: a container that names its
    image by a digest runs exactly what was once verified, whatever becomes of the tag; signed tags
    were resolved to a digest in the same way."""
    container.need_running()
    made = made_from(container)
    asked, number, own = made.asked, made.number, made.images
    if not asked:
        raise Unknown("the engine does not tell its image")
    pinned = bool(parse_reference(asked).digest) or _is_id(asked, number, own)
    expect("a digest" if pinned else f"a tag, {asked}", equals="a digest", what="its image's name")


def _is_id(asked: str, number: str, images: list[Image]) -> bool:
    """Whether a container was created by its image's id, and not by a name that looks like one."""
    found = ID.fullmatch(asked)
    if found is None or not number.removeprefix("sha256:").startswith(found[1]):
        return False
    name = str(parse_reference(asked))
    return not any(name in _names(each) for each in images)


def _made(container: Container, image: Image) -> bool:
    return any(each.get("Id") == container.id for each in image.containers)


def _names(image: Image) -> list[str]:
    return [str(parse_reference(tag)) for tag in image.tags]


def _same(one: Image, other: Image) -> bool:
    """Whether two images hold the same files and settings, and differ in when they were made."""
    whole = ("RootFS", "Config", "Architecture", "Os")
    return bool(one.layers) and all(one.inspect.get(k) == other.inspect.get(k) for k in whole)


def _short(number: str) -> str:
    return number.removeprefix("sha256:")[:12]
