"""What projects say they need, and whether its versions are settled by a lock file beside it.

Sources: docs.npmjs.com, pip.pypa.io (requirements file format), docs.astral.sh/uv,
python-poetry.org, go.dev/ref/mod, doc.rust-lang.org/cargo (Cargo.lock), bundler.io,
getcomposer.org.
"""

from __future__ import annotations

import json
import posixpath
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.build_files.dockerfiles import NAMED, unseen_places
from hullcheck.facts.build_files.files import BuildFiles, above
from hullcheck.facts.registry import Unseen, get, provide_each
from hullcheck.inventory.policy import Policy
from hullcheck.verdict import Object

__all__ = ["Manifest", "loose_requirements", "manifest"]

MANIFESTS = re.compile(
    r".*/(?:package\.json|requirements[^/]*\.txt|Pipfile|pyproject\.toml|go\.mod|Cargo\.toml"
    r"|Gemfile|composer\.json)"
)
TRIALS = frozenset({
    "test", "tests", "testing", "testdata", "test-data", "fixtures", "__fixtures__", "__tests__",
    "example", "examples", "sample", "samples", "template", "templates", "e2e", "spec", "bench",
    "benchmarks", "docs", "doc", "website",
})  # fmt: skip
"""Folders of what is tried or shown, and not shipped."""

NPM = ("package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock",
       "bun.lockb", "deno.lock")  # fmt: skip
PYTHON = ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml")


@dataclass(frozen=True, eq=False)
class Manifest:
    """A file in which a project says what it needs."""

    path: str
    text: str = field(repr=False)
    files: BuildFiles = field(repr=False)

    @property
    def object(self) -> Object:
        return Object("project", self.path)

    def __str__(self) -> str:
        return self.path

    @property
    def name(self) -> str:
        return posixpath.basename(self.path)

    @property
    def folder(self) -> str:
        return posixpath.dirname(self.path)

    @property
    def of_trials(self) -> bool:
        """Whether it lies among tests, examples or documents."""
        root = self.files.root_of(self.path)
        return bool(TRIALS & set(self.folder[len(root) :].lower().split("/")))

    def lock(self) -> str:
        """Return the lock file that settles it, empty if none does.

        :raises NotApplicable: it needs nothing, or may be a library, whose users settle it.
        :raises Unknown: it cannot be read.
        """
        kind = "requirements.txt" if self.name.startswith("requirements") else self.name
        return _RULES[kind](self)

    def first(self, names: tuple[str, ...], upwards: bool = True) -> str:
        """Return the nearest of some files in its folder, or also above it."""
        ways = above(self.folder, self.files.root_of(self.path)) if upwards else [self.folder]
        paths = (f"{each}/{name}" for each in ways for name in names)
        return next((each for each in paths if each in self.files.listed), "")

    @property
    def shipped(self) -> bool:
        """Whether a Dockerfile lies beside it, so that it is no mere library."""
        return any(
            posixpath.dirname(path) == self.folder and NAMED.fullmatch(path)
            for path in self.files.listed
        )

    def toml(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self.text)
        except (tomllib.TOMLDecodeError, RecursionError, ValueError) as reason:
            raise Unknown(f"it is no sound TOML: {str(reason)[:80]}") from None

    def json(self) -> dict[str, Any]:
        try:
            found = json.loads(self.text)
        except (ValueError, RecursionError) as reason:
            raise Unknown(f"it is no sound JSON: {str(reason)[:80]}") from None
        return found if isinstance(found, dict) else {}


def _table(found: object, *path: str) -> dict[str, Any]:
    for each in path:
        found = found.get(each) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _needs(*tables: object) -> None:
    if not any(tables):
        raise NotApplicable("it needs nothing of others")


def _library(manifest: Manifest) -> str:
    if not manifest.shipped:
        raise NotApplicable("it may be a library, and what uses it settles the versions")
    return ""


def _npm(manifest: Manifest) -> str:
    told = manifest.json()
    _needs(*(told.get(f"{kind}ependencies") for kind in ("d", "devD", "optionalD")))
    return manifest.first(NPM)


def _pip(manifest: Manifest) -> str:
    loose, asked = loose_requirements(manifest.text)
    _needs(asked)
    if loose and re.search(r"^\s*(-c|--constraint)[ =]", manifest.text, re.MULTILINE):
        raise Unknown("a file of constraints may settle it, which is not read")
    return "" if loose else manifest.path


def _pyproject(manifest: Manifest) -> str:
    told = manifest.toml()
    poetry = {*_table(told, "tool", "poetry", "dependencies")} - {"python"}
    project = _table(told, "project")
    _needs(project.get("dependencies"), "dependencies" in (project.get("dynamic") or ()), poetry)
    beside = [
        path for path in manifest.files.texts
        if posixpath.dirname(path) == manifest.folder and "/requirements" in path
    ]  # fmt: skip
    found = manifest.first(PYTHON)
    if found or beside:
        return found or beside[0]
    packaged = "build-system" in told and _table(told, "tool", "poetry").get("package-mode", True)
    return _library(manifest) if packaged else ""


def _go(manifest: Manifest) -> str:
    _needs(re.search(r"^\s*require\b", manifest.text, re.MULTILINE))
    return manifest.first(("go.sum",), upwards=False) or manifest.first(("go.work.sum",))


def _cargo(manifest: Manifest) -> str:
    told = manifest.toml()
    wanted = [_table(told, each) for each in ("dependencies", "build-dependencies", "workspace",
                                              "target")]  # fmt: skip
    _needs(*wanted)
    return manifest.first(("Cargo.lock",)) or ("" if told.get("bin") else _library(manifest))


def _gem(manifest: Manifest) -> str:
    _needs(re.search(r"^\s*gem(spec)?\b", manifest.text, re.MULTILINE))
    found = manifest.first(("Gemfile.lock", "gems.locked"), upwards=False)
    ours = f"{manifest.folder}/"
    gem = any(each.startswith(ours) and "/" not in each[len(ours):] and each.endswith(".gemspec")
              for each in manifest.files.listed)  # fmt: skip
    return found or (_library(manifest) if gem else "")


def _composer(manifest: Manifest) -> str:
    told = manifest.json()
    names = {*_table(told, "require"), *_table(told, "require-dev")}
    _needs([each for each in names if "/" in each])
    found = manifest.first(("composer.lock",), upwards=False)
    return found or ("" if told.get("type") == "project" else _library(manifest))


def _pipfile(manifest: Manifest) -> str:
    told = manifest.toml()
    _needs(_table(told, "packages"), _table(told, "dev-packages"))
    return manifest.first(("Pipfile.lock",), upwards=False)


_RULES: Mapping[str, Callable[[Manifest], str]] = {
    "package.json": _npm, "requirements.txt": _pip, "pyproject.toml": _pyproject, "go.mod": _go,
    "Cargo.toml": _cargo, "Gemfile": _gem, "composer.json": _composer, "Pipfile": _pipfile,
}  # fmt: skip

_SETTLED = re.compile(r"(===?\s*[^\s*,;]+\s*(\s|;|$))|--hash=|@[0-9a-f]{40}|#sha256=")


def loose_requirements(text: str) -> tuple[list[str], list[str]]:
    """Return the requirements that allow several versions, and all of them."""
    joined = re.sub(r"\\\r?\n", " ", text)
    asked = []
    for line in joined.splitlines():
        told = re.sub(r"(^|\s)#.*", "", line).strip()
        own = re.match(r"(?:-e\s+|--editable[ =])?(?:\.{1,2}(?:/|$)|file:)", told)
        if told and not own and (not told.startswith("-") or told.startswith(("-e", "--editable"))):
            asked.append(told)
    return [each[:80] for each in asked if not _SETTLED.search(each)], asked


@provide_each
def manifest(host: Host, policy: Policy) -> list[Manifest | Unseen]:
    """Every file among the build files in which a project says what it needs."""
    files: BuildFiles = get(host, "build_files", policy)
    found: list[Manifest | Unseen] = []
    for path in files.named(MANIFESTS):
        try:
            found.append(Manifest(path, files.text(path) or "", files))
        except Unknown as reason:
            found.append(Unseen(Object("project", path), f"{path}: {reason}"))
    return [*found, *unseen_places(files, "project")]
