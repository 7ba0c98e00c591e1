"""Whether a pipeline builds images, and by which scanners it has them looked through."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hullcheck.control import Unknown
from hullcheck.facts.build_files.pipelines import Pipeline
from hullcheck.facts.foreign_yaml import text
from hullcheck.facts.shell import Command, Unreadable, parse

__all__ = ["builds_images", "scans"]

BUILDERS = re.compile(
    r"docker/(?:build-push-action|bake-action)\b|redhat-actions/buildah-build\b"
    r"|(?:gcr\.io/)?kaniko-project/executor|(?:^|/)plugins/(?:docker|kaniko|ecr|gcr|acr)\b"
    r"|plugin-docker-buildx|plugin-kaniko|moby/buildkit\b|buildah/stable\b|/kaniko-action\b"
)
SCANNERS = re.compile(
    r"trivy|grype|anchore/scan-action|docker/scout-action|\bsnyk\b|container[_-]scanning|clair\b"
    r"|azure/container-scan|sysdiglabs/scan-action|\bprisma|\bwiz\b|crowdstrike/container-image-scan"
    r"|aquasecurity/\w+|mondoo|dagda|neuvector|qualys|jfrog/.{0,100}(?:scan|xray|frogbot)",
    re.IGNORECASE,
)
NAMING = ("template", "component", "task", "pipe", "plugins", "file", "project")
"""Keys that name a part that somebody else wrote."""
PROGRAMS = {
    "trivy": "", "grype": "", "snyk": "container|test|monitor", "wizcli": "", "twistcli": "images",
    "clairctl": "", "anchore-cli": "", "anchorectl": "", "neuvector-scanner": "", "cnspec": "",
    "osv-scanner": "", "jf": "docker|scan", "roxctl": "image", "inspector-sbomgen": "",
    "docker": "scout|scan", "xeol": "", "vexctl": "",
}  # fmt: skip


def builds_images(pipeline: Pipeline) -> bool:
    """Whether it builds container images."""
    if any(BUILDERS.search(each) for each in _named(pipeline)):
        return True
    return any(_builds(each) for each in _commands(pipeline))


def scans(pipeline: Pipeline) -> set[str]:
    """Return the scanners that it runs."""
    found = {match[0].lower() for each in _named(pipeline) if (match := SCANNERS.search(each))}
    for each in _commands(pipeline):
        wanted = PROGRAMS.get(each.program)
        if wanted is not None and (not wanted or re.fullmatch(wanted, (each.arguments or [""])[0])):
            found.add(each.program)
        ran = each.arguments[:1] == ["run"] and each.program in ("docker", "podman")
        found |= {
            match[0].lower() for word in each.arguments if ran and (match := SCANNERS.search(word))
        }
    return found


def _named(pipeline: Pipeline) -> Iterator[str]:
    """Yield what it uses by name: actions, images, includes, plugins, tasks and orbs."""
    yield from (name for name, _ in pipeline.uses)
    yield from (each.written for each in pipeline.images)
    for place in pipeline.places if pipeline.documents else []:
        if place.key in (
            "template",
            "component",
            "task",
            "pipe",
            "plugins",
            "file",
            "project",
        ) or place.path[:1] == ("orbs",):
            yield text(place.node)
        if len(place.path) > 1 and "#" in place.path[-1]:
            yield place.path[-1]
    yield from (each.text for each in pipeline.strings if each.before[-1:] == ("image",))


def _commands(pipeline: Pipeline) -> Iterator[Command]:
    for script in pipeline.scripts:
        try:
            yield from parse(script.text)
        except Unreadable as reason:
            raise Unknown(f"line {script.number}: {reason}") from None


def _builds(command: Command) -> bool:
    words = [each for each in command.arguments if not each.startswith("-")]
    if command.program in ("docker", "podman", "nerdctl"):
        below = words[:1] and words[0] in ("buildx", "compose", "image", "builder")
        return words[:1] == ["build"] or bool(below and {"build", "bake"} & set(words[1:]))
    if command.program in ("docker-compose", "ko", "pack", "img", "nixpacks", "earthly"):
        return "build" in words
    return command.program in ("buildah", "kaniko", "executor", "buildctl") and bool(
        {"bud", "build", "--destination"} & set(command.arguments) or command.program == "executor"
    )
