"""What of a folder goes into an image with COPY . and the like."""

from __future__ import annotations

import posixpath
import re

from hullcheck.control import NotApplicable, control, expect
from hullcheck.facts.build_files.dockerfile import Line
from hullcheck.facts.build_files.dockerfiles import Dockerfile

EXAMPLE = re.compile(r"\.env\.(?:.*\.)?(?:example|sample|template|dist|defaults?|schema|ci|test)")
PRIVATE = re.compile(
    r"\.env(?:\..+)?|.*\.(?:key|p12|pfx|tfstate)|id_(?:rsa|ed25519|ecdsa|dsa)|\.netrc"
    r"|\.git-credentials"
)
"""Names that hold secrets in nearly every project that has them."""


@control(
    title="No build copies secrets or history of its folder into an image",
    severity="medium",
    fix="Put a .dockerignore with the lines .git, .env, .env.* and those of the project's own keys "
    "at the root of the folder that is built from, or copy only the folders that are needed.",
)
def test_build_context(dockerfile: Dockerfile) -> None:
    """COPY . takes whatever lies in the folder on that day: the .env and keys of whoever builds,
    and in .git every version of every file, with a runner's token in its config. The image shows
    them to all who can pull it. Of other stages only what lies there now counts."""
    recipe = dockerfile.recipe
    last = {id(stage) for stage in recipe.chain(recipe.stages[-1])}
    whole = [(stage, line) for stage in recipe.stages for line in stage.lines if _takes_all(line)]
    if not whole:
        raise NotApplicable("it copies no whole folder")
    ships = any(id(stage) in last for stage, _ in whole)
    context, ignore, _ = dockerfile.ignore()
    if ignore is None:
        dockerfile.files.need_whole(context)
    wanted = [".git", ".env"] if ships else []
    present = [
        path[len(context) + 1 :]
        for path in sorted(dockerfile.files.listed)
        if path.startswith(f"{context}/") and _private(path)
    ]
    open_ = [each for each in (*wanted, *present) if ignore is None or not ignore.excludes(each)]
    where = f"line {whole[0][1].number} copies everything, without"
    found = list(dict.fromkeys(open_))
    if not found:
        dockerfile.files.need_whole(context)
    expect(found, equals=[], what=f"{where} a .dockerignore" if ignore is None else
           f"line {whole[0][1].number} copies everything that .dockerignore lets in")  # fmt: skip


def _takes_all(line: Line) -> bool:
    if line.keyword not in ("COPY", "ADD") or line.flag("from"):
        return False
    if any(each.strip("/*").rstrip("/") == ".git" for each in line.flag("exclude")):
        return False
    return any(posixpath.normpath(each or "x").lstrip("/") in (".", "*", "") for each in
               line.words[:-1])  # fmt: skip


def _private(path: str) -> bool:
    name = posixpath.basename(path)
    return PRIVATE.fullmatch(name) is not None and EXAMPLE.fullmatch(name) is None
