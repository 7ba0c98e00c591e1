"""Pipelines on disk, of whichever service: what they run, bring in and give away."""

from __future__ import annotations

import re

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.build_files.pipelines import Pipeline
from hullcheck.facts.build_files.scanning import builds_images, scans
from hullcheck.facts.foreign_yaml import text
from hullcheck.facts.secret_names import names_in_text
from hullcheck.facts.shell import Unreadable, parse
from hullcheck.inventory.policy import Policy

from .packages import unverified, unverified_setting
from .pins import by_no_digest, by_no_version, settled

GIVEN = ("options", "volumes", "path", "mounts", "extra_args")
SOCKET = re.compile(r"(?:/var)?/run/(?:docker|podman/podman|containerd/containerd)\.sock")


@control(
    title="Pipelines hold no secrets",
    severity="critical",
    fix="Keep secrets in the service's own store (secrets.NAME, masked and protected variables, "
    "from_secret) or use OIDC, and replace what has leaked; plain_variables of the policy names "
    "what is none.",
)
def test_pipeline_secrets(pipeline: Pipeline, policy: Policy) -> None:
    """A pipeline lies in the source: whoever may read or fork that has its secrets, for ever, as
    its history keeps them. Looked for are variables whose names or values are secrets', and
    secrets in scripts; what refers to the service's store is none."""
    plain = set(policy.plain_variables)
    found = []
    for each in pipeline.settings:
        if list(names_in_text(f"{each.name}={each.value or ''}", each.name)):
            found.append((each.name, each.number))
    for script in pipeline.scripts:
        for number, line in enumerate(script.text.split("\n")):
            for name in names_in_text(line, "a command"):
                found.append((name, script.number + bool(number)))
    if pipeline.kind == "jenkins":
        for number, line in enumerate(pipeline.content.split("\n"), 1):
            found += [(name, number) for name in names_in_text(line, "a line")]
    shown = [f"line {number}: {name}" for name, number in found if name not in plain]
    expect(list(dict.fromkeys(shown)), equals=[], what="secrets")


@control(
    title="Pipelines run and install only what has been verified",
    severity="high",
    level=2,
    fix="Check the digest or signature of what a script downloads before it runs it, leave "
    "signatures and certificates to be checked, and fetch nothing by plain HTTP.",
)
def test_pipeline_verified(pipeline: Pipeline) -> None:
    """A job has the secrets of its project and makes what is shipped. A script that it downloads
    and runs unseen has them too, and is whatever its server gives out on that day."""
    if not pipeline.scripts and not pipeline.settings:
        raise NotApplicable("it runs no script of its own")
    found = []
    for script in pipeline.scripts:
        try:
            told = list(unverified(parse(script.text)))
        except Unreadable as reason:
            raise Unknown(f"line {script.number}: {reason}") from None
        found += [f"script of line {script.number}: {each}" for each in told]
    found += [
        f"line {each.number}: {each.name}={each.value}"
        for each in pipeline.settings
        if unverified_setting(each.name, each.value or "")
    ]
    if expect(list(dict.fromkeys(found)), equals=[], what="unverified"):
        _only_text(pipeline, "what it runs")


def _only_text(pipeline: Pipeline, what: str) -> None:
    if pipeline.kind == "jenkins":
        shown = [f"line {each.number}: {each.text[:60]}" for each in pipeline.scripts[:10]]
        raise Manual(f"a Jenkinsfile is a program: see {what} in the end", {"scripts": shown})


@control(
    title="Pipelines name a version of the images they run in",
    severity="medium",
    fix="Give each image and service of the pipeline a tag of one version, better a digest.",
)
def test_pipeline_image_version(pipeline: Pipeline) -> None:
    """A job that runs in the newest image runs in what somebody pushed a minute ago, with the
    project's secrets, and nobody can repeat what it did."""
    named, open_ = settled(pipeline.images)
    if not named:
        raise NotApplicable(
            "variables name its images" if open_ else "it names no image that it runs in"
        )
    found = [f"line {each.number}: {each.name}" for each in named if by_no_version(each.name)]
    expect(found, equals=[], what="images without a version")


@control(
    title="Pipelines pin the images they run in by digest",
    severity="medium",
    level=2,
    fix="Write the digest after the tag of each image and service (node:22.11@sha256:…), and let "
    "Renovate or Dependabot raise both.",
)
def test_pipeline_image_digest(pipeline: Pipeline) -> None:
    """Whoever can push to a repository can give an old tag a new content, which then has the
    secrets of every job that runs in it. A digest names one content for ever."""
    named, open_ = settled(pipeline.images)
    if not named:
        raise NotApplicable(
            "variables name its images" if open_ else "it names no image that it runs in"
        )
    found = [f"line {each.number}: {each.name}" for each in named if by_no_digest(each.name)]
    expect(found, equals=[], what="images without a digest")


@control(
    title="Pipelines ask for no rights over the runner's host",
    severity="high",
    level=2,
    fix="Build with rootless BuildKit, Buildah or kaniko in place of docker:dind and the engine's "
    "socket, and take privileged out of the pipeline.",
)
def test_pipeline_privileges(pipeline: Pipeline) -> None:
    """Docker in Docker needs a privileged container, and a mounted socket is the host's own engine:
    a job with either, and so anybody who can change what it runs, is root of the runner's host and
    of all other jobs there."""
    found = [
        f"line {each.number}: {each.written}"
        for each in pipeline.images
        if re.search(r"\bdocker:(?:[\w.-]*-)?dind\b|[/-]dind\b", each.written)
    ]
    for place in pipeline.places if pipeline.documents else []:
        value = text(place.node)
        if place.key == "privileged" and value.lower() in ("true", "yes", "on"):
            found.append(f"line {place.node.line}: privileged")
        elif place.key in GIVEN and ("--privileged" in value or SOCKET.search(value)):
            found.append(f"line {place.node.line}: {value[:80]}")
    for each in pipeline.strings:
        if each.before[-1:] == ("args",) and re.search(r"--privileged|\.sock\b", each.text):
            found.append(f"line {each.number}: {each.text[:80]}")
    if expect(list(dict.fromkeys(found)), equals=[], what="rights"):
        _only_text(pipeline, "what rights its agents have")


@control(
    title="Pipelines that build images scan them",
    severity="medium",
    level=2,
    fix="Add a job that scans what was built (trivy image, grype, docker scout cves, GitLab's "
    "Container-Scanning template) and fails on flaws that can be fixed.",
)
def test_pipeline_scanner(pipeline: Pipeline, pipelines: list[Pipeline]) -> None:
    """Code that nobody scans ships known flaws to every host. Where it is built is where it costs
    least to stop it. A scan in another pipeline of the same checkout counts; one in the registry
    cannot be seen here."""
    if not builds_images(pipeline):
        raise NotApplicable("it builds no image")
    same = [each for each in pipelines if each.project == pipeline.project]
    found = sorted({name for each in (pipeline, *same) for name in scans(each)})
    expect(found or "none", one_of=[found] if found else ["some"], what="scanner")
