"""The pipelines of a host's build files, of every service that builds: scripts, images, variables.

Formats, each in its own documentation: GitHub's workflows and actions (Gitea and Forgejo read the
same), GitLab, Azure, Buildkite, Drone, Woodpecker, Bitbucket, CircleCI, Tekton and Jenkins.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.build_files.compose import Setting
from hullcheck.facts.build_files.dockerfile import Base
from hullcheck.facts.build_files.dockerfiles import unseen_places
from hullcheck.facts.build_files.files import BuildFiles
from hullcheck.facts.build_files.groovy import Literal, literals
from hullcheck.facts.foreign_yaml import MOST, at, documents, items, keys, text, texts
from hullcheck.facts.registry import Unseen, get, provide, provide_each
from hullcheck.inventory.document import Node
from hullcheck.inventory.policy import Policy
from hullcheck.verdict import Object

__all__ = ["GITHUB", "Pipeline", "Script", "pipeline", "pipelines"]

GITHUB = ("github", "gitea", "forgejo")

KINDS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(rf".*/{pattern}"))
    for kind, pattern in (
        *((each, rf"\.{each}/workflows/[^/]+\.ya?ml") for each in GITHUB),
        ("action", r"action\.ya?ml"),
        ("gitlab", r"[^/]*gitlab-ci[^/]*\.ya?ml"),
        ("azure", r"azure-pipelines[^/]*\.ya?ml"),
        ("buildkite", r"\.buildkite/[^/]*pipeline[^/]*\.ya?ml"),
        ("drone", r"\.drone\.ya?ml"),
        ("woodpecker", r"(?:\.woodpecker[^/]*|\.woodpecker/.*)\.ya?ml"),
        ("bitbucket", r"bitbucket-pipelines\.yml"),
        ("circleci", r"\.circleci/config\.ya?ml"),
        ("tekton", r"\.tekton/.*\.ya?ml"),
        ("jenkins", r"(?:Jenkinsfile(?:[.-][^/]*)?|[^/]+\.[Jj]enkinsfile)"),
    )
)  # fmt: skip

SCRIPTS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys((*GITHUB, "action"), frozenset({"run"})),
    "gitlab": frozenset({"script", "before_script", "after_script"}),
    "azure": frozenset({"script", "bash"}),
    "buildkite": frozenset({"command", "commands"}),
    "drone": frozenset({"commands"}), "woodpecker": frozenset({"commands"}),
    "bitbucket": frozenset({"script", "after-script"}),
    "circleci": frozenset({"run", "command"}), "tekton": frozenset({"script"}),
}  # fmt: skip
"""Under which keys a shell's commands stand."""

VARIABLES = frozenset({"env", "variables", "environment", "global_env"})
POWERSHELL = re.compile(r"pwsh|powershell|cmd|python|node|ruby|perl")


@dataclass(frozen=True, slots=True)
class Script:
    """:param number: the line of its key."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Place:
    """A value and the keys that lead to it; ``*`` for a list's items."""

    path: tuple[str, ...]
    node: Node = field(repr=False)
    within: Node = field(repr=False)

    @property
    def key(self) -> str:
        return next((each for each in reversed(self.path) if each != "*"), "")


@dataclass(frozen=True, eq=False)
class Pipeline:
    """One file of a pipeline.

    :param kind: whose it is; ``action`` for what GitHub's workflows use.
    :param project: the checkout that it is in.
    """

    path: str
    kind: str
    project: str
    documents: tuple[Node, ...] = field(repr=False, default=())
    strings: tuple[Literal, ...] = field(repr=False, default=())
    content: str = field(repr=False, default="")

    @property
    def object(self) -> Object:
        return Object("pipeline", self.path)

    def __str__(self) -> str:
        return self.path

    @cached_property
    def places(self) -> list[Place]:
        """Every value; what aliases bring under the same keys, once.

        :raises Unknown: there are more than anybody writes.
        """
        found: list[Place] = []
        seen: set[tuple[int, tuple[str, ...]]] = set()
        waiting = [Place((), each, each) for each in reversed(self.documents)]
        while waiting:
            now = waiting.pop()
            found.append(now)
            if len(found) > MOST:
                raise Unknown(f"there are more than {MOST} values in it, or aliases make as many")
            known = (id(now.node.value), now.path[-2:])
            if isinstance(now.node.value, dict | list) and known in seen:
                continue
            seen.add(known)
            if isinstance(now.node.value, dict):
                inside = [
                    Place((*now.path, key), each, now.node) for key, each in keys(now.node).items()
                ]
                waiting += reversed(inside)
            elif isinstance(now.node.value, list):
                inside = [Place((*now.path, "*"), each, now.within) for each in now.node.value]
                waiting += reversed(inside)
        return found

    @cached_property
    def scripts(self) -> list[Script]:
        """What shells are given to run."""
        if self.kind == "jenkins":
            return [
                Script(each.number, each.text)
                for each in self.strings
                if "sh" in each.before[-1:] or each.before == ("sh", "script")
            ]
        return [
            Script(place.node.line, "\n".join(texts(place.node)))
            for place in self.places
            if place.path[-1:] != ("*",) and self._is_script(place)
        ]

    def _is_script(self, place: Place) -> bool:
        if place.key not in SCRIPTS.get(self.kind, ()) or isinstance(place.node.value, dict):
            return False
        shell = text(at(place.within, "shell"))
        return not POWERSHELL.match(shell)

    @cached_property
    def images(self) -> list[Base]:
        """The images that its steps and services run in."""
        found = [
            Base(each.text, each.text, each.number)
            for each in self.strings
            if each.before[-1:] == ("image",) and " " not in each.text
        ]
        for place in self.places if self.documents else []:
            for node in self._images_at(place):
                name = text(node).removeprefix("docker://")
                if name and not re.match(r"redacted:", name):
                    shown = "" if "$" in name or "<<" in name else name
                    found.append(Base(shown, name, node.line))
        return list({(each.written, each.number): each for each in found}.values())

    def _images_at(self, place: Place) -> Iterator[Node]:
        key, node, last = place.key, place.node, place.path[-1:]
        if self.kind in GITHUB:
            if key == "container" and len(place.path) == 3:
                yield node if text(node) else at(node, "image") or node
            elif (key == "image" and ("services" in place.path)) or (
                key == "uses" and text(node).startswith("docker://")
            ):
                yield node
        elif self.kind == "action":
            if key == "image" and place.path[0] == "runs" and text(node).startswith("docker://"):
                yield node
        elif self.kind == "azure":
            if key == "image" and "containers" in place.path:
                yield node
        elif (key == "image" and last != ("*",)) or (
            self.kind == "gitlab" and key == "services" and last == ("*",)
        ):
            yield node if text(node) else at(node, "name") or node

    @cached_property
    def settings(self) -> list[Setting]:
        """The variables that it sets."""
        found = []
        for place in self.places if self.documents else []:
            if place.key not in VARIABLES or place.path[-1:] == ("*",):
                continue
            for name, value in keys(place.node).items():
                told = at(value, "value") if isinstance(value.value, dict) else value
                found.append(Setting(name, _value(told), value.line))
            for each in items(place.node):
                if text(at(each, "name")):
                    found.append(
                        Setting(text(at(each, "name")), _value(at(each, "value")), each.line)
                    )
        return found

    @cached_property
    def uses(self) -> list[tuple[str, int]]:
        """The actions and workflows of others that it uses; not those of the same checkout."""
        if self.kind not in (*GITHUB, "action"):
            return []
        return [
            (text(place.node), place.node.line)
            for place in self.places
            if place.key == "uses" and text(place.node) and not text(place.node).startswith("./")
        ]


def _value(node: Node | None) -> str | None:
    if node is None or node.absent:
        return None
    return node.raw if not isinstance(node.value, dict | list) else ""


@provide_each
def pipeline(host: Host, policy: Policy) -> list[Pipeline | Unseen]:
    """Every file of a pipeline among the build files."""
    files: BuildFiles = get(host, "build_files", policy)
    found: list[Pipeline | Unseen] = []
    for path in sorted(files.texts):
        kind = next((kind for kind, pattern in KINDS if pattern.fullmatch(path)), "")
        if not kind:
            continue
        project = files.project_of(path)
        try:
            content = files.text(path) or ""
            if kind == "jenkins":
                strings = tuple(literals(content))
                found.append(Pipeline(path, kind, project, (), strings, content))
            else:
                found.append(Pipeline(path, kind, project, tuple(documents(content, path))))
        except Unknown as reason:
            found.append(Unseen(Object("pipeline", path), f"{path}: {reason}"))
    return [*found, *_locals(found, files), *unseen_places(files, "pipeline")]


def _locals(known: list[Pipeline | Unseen], files: BuildFiles) -> Iterator[Pipeline | Unseen]:
    """Yield the files that GitLab's pipelines include from their own checkout, by other names."""
    waiting = [each for each in known if isinstance(each, Pipeline) and each.kind == "gitlab"]
    seen = {each.object.name for each in known}
    while waiting:
        now = waiting.pop()
        for place in now.places:
            name = text(place.node)
            own = place.key == "local" or (place.key == "include" and "://" not in name)
            if place.path[:1] != ("include",) or not own or not name:
                continue
            wanted = f"{now.project}/{name.lstrip('/')}"
            matching = fnmatch.filter(files.texts, wanted) if "*" in name else [wanted]
            for path in (each for each in matching if each not in seen):
                seen.add(path)
                try:
                    content = files.text(path)
                    if content is None:
                        why = f"{now} includes it (line {place.node.line}), and it was not read"
                        raise Unknown(why)
                    made = Pipeline(path, "gitlab", now.project, tuple(documents(content, path)))
                except Unknown as reason:
                    yield Unseen(Object("pipeline", path), f"{path}: {reason}")
                    continue
                waiting.append(made)
                yield made


@provide
def pipelines(host: Host, policy: Policy) -> list[Pipeline]:
    """All of them that can be read, for what they do together."""
    return [each for each in get(host, "pipeline", policy) if isinstance(each, Pipeline)]
