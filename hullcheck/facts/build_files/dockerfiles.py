"""The Dockerfiles of a host, each with the folder that it is built from."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.build_files.dockerfile import (
    Line,
    NoDockerfile,
    Recipe,
    assigned,
    expand,
    parse_dockerfile,
)
from hullcheck.facts.build_files.dockerignore import Ignore, parse_ignore
from hullcheck.facts.build_files.files import BuildFiles, above
from hullcheck.facts.foreign_yaml import at, documents, keys
from hullcheck.facts.foreign_yaml import text as raw
from hullcheck.facts.registry import Unseen, get, provide_each
from hullcheck.inventory.policy import Policy
from hullcheck.verdict import Object

__all__ = ["Dockerfile", "dockerfile", "unseen_places"]

NAMED = re.compile(
    r".*/(?:(?:Docker|Container)file(?:[.-][^/]*)?|[^/]+\.(?:[Dd]ockerfile|Containerfile))"
)
COMPOSE = re.compile(r".*/(?:compose(?:[.-][^/]*)?|[^/]*docker-compose[^/]*)\.ya?ml")
OTHERS = re.compile(
    r".*(?:ignore|\.(?:j2|jinja2?|tmpl|tpl|erb|ejs|in|template|mustache|hbs|md|rst|txt|orig|bak|swp"
    r"|py|rb|sh|go|js|ts|json|ya?ml|lock|sig|asc|gz|vim|html)|~)",
    re.IGNORECASE,
)
"""What is called so and is no Dockerfile: templates of one, and files about one."""

FRAGMENT = re.compile(r"^\s*FROM\s|syntax\s*=", re.IGNORECASE | re.MULTILINE)
"""Without a FROM, or a frontend of its own, a file cannot be built: others are made of it."""


@dataclass(frozen=True, eq=False)
class Dockerfile:
    """One Dockerfile.

    :param recipe: what it says.
    """

    path: str
    recipe: Recipe
    files: BuildFiles = field(repr=False)

    @property
    def object(self) -> Object:
        return Object("dockerfile", self.path)

    def __str__(self) -> str:
        return self.path

    def ignore(self) -> tuple[str, Ignore | None, str]:
        """Return the folder that it is probably built from, and what is kept out of that, and by
        which file: its own, or that of the nearest folder above. None if there is none.

        :raises Unknown: one that counts cannot be read.
        """
        folder = posixpath.dirname(self.path)
        own = f"{self.path}.dockerignore"
        ways = above(folder, self.files.root_of(self.path))
        names = (".containerignore",) if "Containerfile" in posixpath.basename(self.path) else ()
        places = [f"{each}/{name}" for each in ways for name in (*names, ".dockerignore")]
        for place in (own, *places):
            text = self.files.text(place)
            if text is not None:
                context = (
                    self.files.project_of(self.path) if place == own else posixpath.dirname(place)
                )
                return context, parse_ignore(text), place
        return folder, None, ""

    def variables(self, stage: int) -> dict[str, str | None]:
        """Return the variables that the end of a stage sees, by their defaults."""
        found: dict[str, str | None] = {}
        before = {name: value for line in self.recipe.before for name, value in assigned(line)}
        for each in reversed(self.recipe.chain(self.recipe.stages[stage])):
            for line in each.lines:
                for name, value in assigned(line) if line.keyword in ("ARG", "ENV") else ():
                    given = before.get(name) if value is None else value
                    found[name] = expand(given, found) if given else given
        return found

    def runs(self) -> Iterator[Line]:
        """Yield its RUNs, those that come with ONBUILD too."""
        return (line for line in self.all_lines() if line.keyword == "RUN")

    def all_lines(self) -> Iterator[Line]:
        """Yield its lines; those that ONBUILD leaves to later builds as if they stood here."""
        for line in self.recipe.lines:
            if line.keyword == "ONBUILD":
                keyword, _, rest = line.text.partition(" ")
                yield Line(line.number, keyword.upper(), rest.strip(), (), line.heredocs)
            else:
                yield line


@provide_each
def dockerfile(host: Host, policy: Policy) -> list[Dockerfile | Unseen]:
    """Every Dockerfile and Containerfile among the build files."""
    files: BuildFiles = get(host, "build_files", policy)
    found: list[Dockerfile | Unseen] = []
    for path in files.named(NAMED):
        if OTHERS.fullmatch(posixpath.basename(path)):
            continue
        try:
            text = files.text(path) or ""
            if FRAGMENT.search(text):
                found.append(Dockerfile(path, parse_dockerfile(text), files))
        except (NoDockerfile, Unknown) as reason:
            found.append(Unseen(Object("dockerfile", path), f"{path}: {reason}"))
    for path in files.named(COMPOSE):
        found += _inline(path, files)
    return [*found, *unseen_places(files, "dockerfile")]


def _inline(path: str, files: BuildFiles) -> Iterator[Dockerfile | Unseen]:
    """Yield the Dockerfiles that stand in a compose file itself (``dockerfile_inline``)."""
    try:
        text = files.text(path) or ""
        told = documents(text, path) if "dockerfile_inline" in text else []
    except Unknown:
        # The file itself is unknown then, as a compose file.
        return
    for document in told:
        for name, service in keys(at(document, "services")).items():
            written = raw(at(service, "build", "dockerfile_inline"))
            if written:
                place = f"{path}#{name}"
                try:
                    yield Dockerfile(place, parse_dockerfile(written), files)
                except NoDockerfile as reason:
                    yield Unseen(Object("dockerfile", place), f"{place}: {reason}")


def unseen_places(files: BuildFiles, kind: str) -> list[Unseen]:
    """Return the places that were not looked at, as things of a kind."""
    return [
        Unseen(Object(kind, f"(any in {place})"), f"{place}: {why}; it may need root")
        for place, why in files.unseen
    ]
