"""How images were built, as far as their histories tell."""

import re
import shlex

from hullcheck.control import NotApplicable, control, expect
from hullcheck.facts.images import Image
from hullcheck.facts.recipes import (
    Instruction,
    commands,
    is_archive,
    is_root_file_system,
    recipe,
    sources,
)

from .packages import only_updates_index, unverified, unverified_setting

PINNED = re.compile(r"(?:git@|git://|ssh://|https://).*#[0-9a-f]{40}(?:[0-9a-f]{24})?(?::.*)?")
"""A Git source of one certain commit, which nobody can replace."""


@control(
    title="No step of a build only brings an index of packages",
    severity="low",
    fix="Join it with the installation in one RUN: apt-get update && apt-get install -y PACKAGE.",
)
def test_package_index(image: Image) -> None:
    """A builder takes a step that has not changed from its cache. An index that was brought in a
    step of its own is as old as the cache, and what later steps install lacks every fix since."""
    found = [str(made) for made in _runs(image) if only_updates_index(commands(made))]
    expect(found, equals=[], what="steps that bring an index alone")


@control(
    title="Files are copied into images, not added",
    severity="low",
    fix="Use COPY for files, and for what is fetched a RUN that checks its digest or signature. "
    "ADD is only needed to unpack an archive of one's own.",
)
def test_add_instruction(image: Image) -> None:
    """ADD fetches what a URL serves that day, and unpacks whatever is an archive, wherever its
    links lead. COPY does neither. The root file system that a base begins with, an archive that
    is named as one and a Git source of one certain commit are what ADD is for."""
    made = recipe(image)
    if not any(each.keyword for each in made):
        raise NotApplicable("its history tells no recipe")
    found = [
        str(each)
        for number, each in enumerate(made)
        if each.keyword == "ADD" and not is_root_file_system(made, number) and _replaceable(each)
    ]
    expect(found, equals=[], what="steps that add")


def _replaceable(made: Instruction) -> bool:
    what, _ = sources(made)
    return not what or not all(is_archive(each) or PINNED.fullmatch(each) for each in what)


@control(
    title="Builds install only what has been verified",
    severity="high",
    level=2,
    fix="Leave signatures and certificates to be checked, install from repositories whose key is "
    "known, and check the digest or signature of what is downloaded before it is run.",
)
def test_verified_packages(image: Image) -> None:
    """What a build installs unverified is whatever the network made of it, and runs in every
    container. Looked for are options and settings that turn verification off, plain HTTP, and
    programs that are run as they are downloaded: TLS tells who served it, not what it is."""
    found: list[str] = []
    for made in recipe(image):
        if made.keyword == "RUN":
            found += unverified(commands(made))
        elif made.keyword == "ENV":
            found += _settings(made.text)
        elif made.keyword == "ADD":
            found += [f"ADD {each}" for each in sources(made)[0] if each.startswith("http://")]
    if not found:
        _runs(image)
    expect(list(dict.fromkeys(found)), equals=[], what="unverified")


def _settings(text: str) -> list[str]:
    """Return the variables of an ENV that turn verification off: ``A=b C=d``, or ``A b``."""
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    if words and "=" not in words[0]:
        words = ["=".join((words[0], " ".join(words[1:])))]
    pairs = (word.partition("=") for word in words)
    return [f"ENV {name}={value}" for name, _, value in pairs if unverified_setting(name, value)]


def _runs(image: Image) -> list[Instruction]:
    """Return the RUNs of an image. :raises NotApplicable: there are none."""
    found = [made for made in recipe(image) if made.keyword == "RUN"]
    if not found:
        raise NotApplicable("no step of its history runs a command")
    return found
