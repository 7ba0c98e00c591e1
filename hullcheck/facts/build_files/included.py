"""What pipelines bring in from elsewhere, and whether that is of one certain version.

Sources: docs.gitlab.com (include), circleci.com (orbs), buildkite.com (plugins), Bitbucket (pipes),
Azure (repository resources).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from hullcheck.facts.build_files.pipelines import Pipeline, Place
from hullcheck.facts.foreign_yaml import at, text

__all__ = ["COMMIT", "Included", "included"]

COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_VERSION = re.compile(r"(?:refs/tags/)?v?\d+(?:\.\d+)+(?:[-+.]\w+)*")
_WHOLE = re.compile(r"v?\d+\.\d+\.\d+(?:[-+]\S+)?")


@dataclass(frozen=True, slots=True)
class Included:
    """:param pinned: whether it is the same tomorrow, as long as nobody moves a tag."""

    what: str
    number: int
    pinned: bool


def included(pipeline: Pipeline) -> list[Included]:
    """Return what a pipeline includes from elsewhere; actions are told by ``uses``."""
    find = _FINDERS.get(pipeline.kind)
    return [each for place in pipeline.places for each in find(place)] if find else []


def _gitlab(place: Place) -> Iterator[Included]:
    """At the top, and of a job's ``trigger``."""
    value, number = text(place.node), place.node.line
    if "include" not in (place.path[:1] + place.path[2:3]) or not value:
        return
    if place.key == "project":
        ref = text(at(place.within, "ref"))
        yield Included(f"{value} at {ref or 'its default branch'}", number, _pin(ref))
    elif place.key == "component":
        version = value.rpartition("@")[2] if "@" in value else ""
        yield Included(value, number, bool(COMMIT.fullmatch(version) or _WHOLE.fullmatch(version)))
    elif value.startswith(("http://", "https://")) and place.key in ("include", "remote"):
        checked = place.key == "remote" and bool(text(at(place.within, "integrity")))
        yield Included(value, number, checked)


def _circleci(place: Place) -> Iterator[Included]:
    value = text(place.node)
    if place.path[:1] == ("orbs",) and "@" in value:
        version = value.rpartition("@")[2]
        yield Included(value, place.node.line, bool(_WHOLE.fullmatch(version)))


def _bitbucket(place: Place) -> Iterator[Included]:
    value = text(place.node)
    if place.key == "pipe" and value:
        pinned = bool(_WHOLE.fullmatch(value.rpartition(":")[2])) or "@sha256:" in value
        yield Included(value, place.node.line, pinned)


def _buildkite(place: Place) -> Iterator[Included]:
    path = place.path
    if path[-2:] == ("plugins", "*"):
        name = text(place.node)
    elif path[-3:-1] == ("plugins", "*") or path[-2:-1] == ("plugins",):
        name = path[-1] if path[-1] != "*" else ""
    else:
        return
    if name and not name.startswith(("./", "/")):
        version = name.rpartition("#")[2] if "#" in name else ""
        pinned = bool(COMMIT.fullmatch(version) or _WHOLE.fullmatch(version))
        yield Included(name, place.node.line, pinned)


def _azure(place: Place) -> Iterator[Included]:
    outside = ("github", "githubenterprise", "bitbucket")
    if place.path[-2:] == ("repositories", "*"):
        if text(at(place.node, "type")).lower() not in outside:
            return
        ref = text(at(place.node, "ref"))
        shown = f"{text(at(place.node, 'name'))} at {ref or 'its default branch'}"
        yield Included(shown, place.node.line, _pin(ref) or ref.startswith("refs/tags/"))


def _pin(ref: str) -> bool:
    return bool(COMMIT.fullmatch(ref) or _VERSION.fullmatch(ref))


_FINDERS: Mapping[str, Callable[[Place], Iterator[Included]]] = {
    "gitlab": _gitlab, "circleci": _circleci, "bitbucket": _bitbucket, "buildkite": _buildkite,
    "azure": _azure,
}  # fmt: skip
