"""Dockerfiles on disk: what images will be made of."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.build_files.dockerfile import Base, Line, assigned, expand
from hullcheck.facts.build_files.dockerfiles import Dockerfile
from hullcheck.facts.images import parse_reference
from hullcheck.facts.origins import approved
from hullcheck.facts.secret_names import names_in_text
from hullcheck.facts.shell import Unreadable, parse
from hullcheck.inventory.policy import Policy
from hullcheck.transport.redact import looks_secret

from .packages import unverified, unverified_setting
from .pins import by_no_digest, by_no_version, settled

FRONTENDS = ("docker.io/docker/dockerfile", "docker.io/docker/dockerfile-upstream")
"""Docker's own readers of Dockerfiles."""
GIT = re.compile(r"(?:git@|git://|ssh://|https?://.*\.git(?:[#?]|$))")
COMMIT = re.compile(r".*[#=][0-9a-f]{40}(?:[0-9a-f]{24})?(?:[:&].*)?")
ROOTS = frozenset({"root", "0", "administrator", "containeradministrator"})
USERS_OF_THEIR_OWN = re.compile(r"non-?root|rootless|unprivileged|^cgr\.dev/|^dhi\.io/")
SET_BY_BASES = {"APP_UID": "mcr.microsoft.com/dotnet"}


@control(
    title="Dockerfiles name a version of what they build on",
    severity="medium",
    fix="Give each FROM, COPY --from and RUN --mount=from a tag of one version in the Dockerfile, "
    "better a digest: FROM debian:12.8-slim@sha256:….",
)
def test_dockerfile_base_version(dockerfile: Dockerfile) -> None:
    """Without a tag, or with one such as latest, a build takes whatever is newest on that day:
    nobody has tried it, two builds differ, and what was built cannot be told afterwards. Stages of
    the file itself and scratch need none; a base that an argument names counts by its default."""
    _judge(dockerfile, by_no_version, "images without a version")


@control(
    title="Dockerfiles pin what they build on by digest",
    severity="medium",
    level=2,
    fix="Write the digest after the tag (FROM debian:12.8-slim@sha256:…), and let Renovate or "
    "Dependabot raise both.",
)
def test_dockerfile_base_digest(dockerfile: Dockerfile) -> None:
    """Whoever can push to a repository, or has broken into its registry, can give an old tag a new
    content, which then is in everything that is built on it. A digest names one content for ever;
    the price is that somebody or something must raise it for updates."""
    _judge(dockerfile, by_no_digest, "images without a digest")


def _judge(dockerfile: Dockerfile, loose: object, what: str) -> None:
    named, open_ = settled(dockerfile.recipe.outside())
    if not named and not open_:
        raise NotApplicable("it is built on nothing from elsewhere")
    found = [_shown(each) for each in named if callable(loose) and loose(each.name)]
    if expect(found, equals=[], what=what) and open_:
        raise Unknown(_chosen(open_))


def _shown(base: Base) -> str:
    return f"line {base.number}: {base.name}"


def _chosen(bases: Iterable[Base]) -> str:
    shown = ", ".join(f"{each.written} (line {each.number})" for each in bases)
    return f"whoever starts the build chooses the image: {shown}"


@control(
    title="Dockerfiles build on images that the site trusts",
    severity="high",
    fix="Build on an image of an approved registry (a mirror or a copy), or add the base to "
    "base_images or registries of the policy.",
)
def test_dockerfile_base_origin(dockerfile: Dockerfile, policy: Policy) -> None:
    """Most of what is in an image comes with what it is built on, and a command of another's image
    runs in the build. Which sources can be trusted only the site can say."""
    named, open_ = settled(dockerfile.recipe.outside())
    if not named and not open_:
        raise NotApplicable("it is built on nothing from elsewhere")
    lists = [each for each in (policy.base_images, policy.registries) if each is not None]
    if not lists:
        shown = sorted({parse_reference(each.name).repository for each in named})
        raise Manual("see that these are to be trusted, and name them in base_images", shown)
    allowed = lists[0]
    strange = [
        _shown(each)
        for each in named
        if not approved(parse_reference(each.name).repository, allowed)
    ]
    if expect(strange, equals=[], what="images that the site has not approved") and open_:
        raise Unknown(_chosen(open_))


@control(
    title="Dockerfiles are read by a frontend that is known",
    severity="high",
    fix="Write # syntax=docker/dockerfile:1 in the first line, or none, or add the frontend's "
    "repository to the policy's registries.",
)
def test_dockerfile_frontend(dockerfile: Dockerfile, policy: Policy) -> None:
    """The image after # syntax= is run by BuildKit to read the file, with all that the build is
    given, and decides what is built. A flaw of BuildKit before 0.12.5 let such an image out of its
    container (GHSA-wr6v-9f75-vh2g). Docker's own is known; a site may approve of others."""
    name = dockerfile.recipe.syntax
    if not name:
        expect("the builder's own", equals="the builder's own", what="frontend")
        return
    repository = parse_reference(name).repository
    good = repository in FRONTENDS or approved(repository, policy.registries or ())
    expect(repository if not good else "known", equals="known", what="frontend")


@control(
    title="Dockerfiles hold no secrets in ARG, ENV or commands",
    severity="critical",
    fix="Take secrets with RUN --mount=type=secret,id=…,env=NAME and docker build --secret, and "
    "replace what has leaked; the policy's plain_variables names what is none.",
)
def test_dockerfile_secrets(dockerfile: Dockerfile, policy: Policy) -> None:
    """A variable of an image is read by whoever can pull it; an argument of a build stays in its
    history, its provenance and its cache; and the file goes to everybody who sees the source. An
    argument that is called like a secret counts without a value too: it is made to be given e."""
    found: list[str] = []
    for line in dockerfile.all_lines():
        if line.keyword in ("ARG", "ENV", "LABEL"):
            found += [f"line {line.number}: {name}" for name in _secret_names(line)]
        else:
            bodies = [line.text, *line.heredocs.values(), *(value for _, value in line.flags)]
            names = {name for body in bodies for name in names_in_text(body, f"a {line.keyword}")}
            found += [f"line {line.number}: {name}" for name in sorted(names)]
    plain = set(policy.plain_variables)
    left = [each for each in found if each.partition(": ")[2] not in plain]
    expect(list(dict.fromkeys(left)), equals=[], what="secrets")


def _secret_names(line: Line) -> set[str]:
    found = set()
    for name, value in assigned(line):
        told = list(names_in_text(f"{name}={value}", name))
        if told or (line.keyword == "ARG" and value is None and looks_secret(name.encode())):
            found.add(name)
    return found


@control(
    title="Dockerfiles install and run only what has been verified",
    severity="high",
    level=2,
    fix="Leave signatures and certificates to be checked, check the digest or signature of what is "
    "downloaded before it is run, and fetch no more by plain HTTP.",
)
def test_dockerfile_verified(dockerfile: Dockerfile) -> None:
    """What a build fetches unverified is whatever the network or a broken server made of it, with
    the rights of the build and a place in every container. Looked for are options and settings that
    turn verification off, plain HTTP, and programs that are run as they come."""
    found: list[str] = []
    lines = [each for each in dockerfile.all_lines() if each.keyword in ("RUN", "ENV", "ARG")]
    if not lines:
        raise NotApplicable("it runs nothing and sets nothing")
    for line in lines:
        if line.keyword == "RUN":
            try:
                told = list(unverified(parse(line.script)))
            except Unreadable as reason:
                raise Unknown(f"line {line.number}: {reason}") from None
        else:
            pairs = [(name, value or "") for name, value in assigned(line)]
            told = [f"{name}={value}" for name, value in pairs if unverified_setting(name, value)]
        found += [f"line {line.number}: {each}" for each in told]
    expect(list(dict.fromkeys(found)), equals=[], what="unverified")


@control(
    title="What a Dockerfile adds from the network is checked",
    severity="medium",
    fix="Write ADD --checksum=sha256:… before the URL, or ADD a Git source at #COMMIT.",
)
def test_dockerfile_add(dockerfile: Dockerfile) -> None:
    """ADD takes whatever a URL serves on the day of the build. With --checksum, or a Git source of
    one commit, BuildKit refuses anything else than what was meant."""
    added = [line for line in dockerfile.all_lines() if line.keyword == "ADD"]
    found = [
        f"line {line.number}: {source}"
        for line in added
        for source in line.words[:-1]
        if _from_network(source) and not line.flag("checksum") and not COMMIT.fullmatch(source)
    ]
    if not any(_from_network(source) for line in added for source in line.words[:-1]):
        raise NotApplicable("it adds nothing from the network")
    expect(found, equals=[], what="sources that are not checked")


def _from_network(source: str) -> bool:
    return bool(re.match(r"(?:https?|ftp)://", source, re.IGNORECASE) or GIT.match(source))


@control(
    title="Dockerfiles end with a user other than root",
    severity="medium",
    fix="Make a user in the last stage and end it with USER NAME, best by number: USER 10001.",
)
def test_dockerfile_user(dockerfile: Dockerfile) -> None:
    """Whoever breaks into a process of root's in a container has all of the container's rights, and
    root's on whatever of the host it can touch. What the last stage says last counts, or that of
    the stage it is built on. Bases that are known to bring a user of their own need no more."""
    recipe = dockerfile.recipe
    chain = recipe.chain(recipe.stages[-1])
    users = [line for stage in chain for line in reversed(stage.lines) if line.keyword == "USER"]
    base = chain[-1].base.name
    if not users:
        if USERS_OF_THEIR_OWN.search(base):
            expect(base, equals=base, what="base with a user of its own")
            return
        expect("root", equals="another", what="user, as no USER names one,")
        return
    name = users[0].text.partition(":")[0].strip("\"' ")
    known = dockerfile.variables(len(recipe.stages) - 1)
    value = expand(name, known)
    if value is None:
        variable = name.strip("${}")
        if base.startswith(SET_BY_BASES.get(variable, "\0")):
            expect(name, equals=name, what="user, whom the base sets,")
            return
        raise Unknown(f"line {users[0].number}: who {name} is, whoever starts the build says")
    root = value.lower() in ROOTS or (value.isdecimal() and int(value[:12]) == 0)
    expect(value if not root else "root", equals=value if not root else "another",
           what=f"user of line {users[0].number}")  # fmt: skip
