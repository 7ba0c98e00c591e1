"""Compose files on disk: with what rights, images and secrets containers will be started."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hullcheck.control import NotApplicable, Unknown, control, expect
from hullcheck.facts.build_files.compose import ComposeFile, Service, Setting
from hullcheck.facts.foreign_yaml import at, items, text, texts
from hullcheck.facts.secret_names import names_in_text
from hullcheck.inventory.policy import Policy
from hullcheck.transport.redact import looks_secret

from .pins import by_no_digest, by_no_version, settled

SOCKETS = re.compile(
    r"(?:/var)?/run/(?:docker|podman/podman|crio/crio|containerd/containerd|user/\d+/docker"
    r"|user/\d+/podman/podman|cri-dockerd|buildkit/buildkitd)\.sock"
    r"|/|/proc|/sys|/dev|/etc|/boot|/root|/var|(?:/var)?/run|/var/lib/docker|/var/lib/containers"
    r"|/var/run/docker|(?:/var)?/run/containerd"
)
"""What of the host makes whoever has it root there, or nearly so."""
OPEN = re.compile(
    r"(?:seccomp|apparmor|systempaths)[:=]unconfined|label[:=]disable|no-new-privileges[:=]false"
)
CAPABILITIES = frozenset({
    "ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "DAC_READ_SEARCH", "BPF",
    "PERFMON", "SYS_BOOT",
})  # fmt: skip
NAMESPACES = ("pid", "ipc", "network_mode", "userns_mode", "uts", "cgroup")


@control(
    title="Compose files give containers no way to become root of the host",
    severity="high",
    fix="Take privileged, host namespaces, mounts of sockets and of the host's own folders, and "
    "strong capabilities out of the compose file; give single devices and capabilities instead.",
)
def test_compose_privileges(compose_file: ComposeFile, policy: Policy) -> None:
    """What a compose file asks for, its next start gives, whatever was put right in the containers
    that run. Privileged containers, the host's namespaces, an engine's socket or the host's root
    make whoever breaks into a container root of the host. Paths that the policy's host_paths allows
    are no failure."""
    found = [
        f"{service}: {each}"
        for service in compose_file.services
        for each in _rights(service, policy.host_paths)
    ]
    expect(found, equals=[], what="rights")


def _rights(service: Service, allowed: tuple[str, ...]) -> Iterator[str]:
    if _yes(text(service.get("privileged"))):
        yield "privileged"
    for name in NAMESPACES:
        if text(service.get(name)).strip().lower() == "host":
            yield f"{name}: host"
    for path, number in service.volumes():
        if SOCKETS.fullmatch(path) and path not in allowed:
            yield f"mounts {path} (line {number})"
    for each in texts(service.get("cap_add")):
        if each.upper().removeprefix("CAP_") in CAPABILITIES:
            yield f"cap_add {each}"
    for each in texts(service.get("security_opt")):
        if OPEN.fullmatch(each.replace(" ", "")):
            yield each
    if text(at(service.build, "network")) == "host":
        yield "build with network: host"
    if _yes(text(at(service.build, "privileged"))):
        yield "build with privileged"
    for each in texts(at(service.build, "entitlements")):
        yield f"build with {each}"


def _yes(value: str) -> bool:
    return value.lower() in ("true", "yes", "on")


@control(
    title="Compose files name a version of each image",
    severity="medium",
    fix="Give each image of the compose file a tag of one version, better a digest "
    "(image: nginx:1.27.3@sha256:…).",
)
def test_compose_image_version(compose_file: ComposeFile) -> None:
    """Without a tag, or with one such as latest, the next start brings whatever is newest then,
    which nobody has tried here, and it cannot be gone back to what ran before. What a variable
    names counts by its default."""
    _judge(compose_file, digest=False)


@control(
    title="Compose files pin images by digest",
    severity="medium",
    level=2,
    fix="Write the digest after the tag in the compose file (image: nginx:1.27.3@sha256:…), and "
    "let Renovate or Dependabot raise both.",
)
def test_compose_image_digest(compose_file: ComposeFile) -> None:
    """Whoever can push to a repository can give an old tag a new content, and the next pull brings
    it. A digest names one content for ever; the price is that something must raise it."""
    _judge(compose_file, digest=True)


def _judge(compose_file: ComposeFile, digest: bool) -> None:
    loose, what = (by_no_digest, "digest") if digest else (by_no_version, "version")
    images = [each.image for each in compose_file.services if each.image]
    if not images:
        raise NotApplicable("all its images are built here")
    named, open_ = settled(images)
    found = [f"line {each.number}: {each.name}" for each in named if loose(each.name)]
    found = list(dict.fromkeys(found))
    if expect(found, equals=[], what=f"images without a {what}") and open_:
        told = dict.fromkeys(f"{each.written} (line {each.number})" for each in open_)
        shown = ", ".join(told)
        raise Unknown(f"a variable without a default says which image: {shown}")


@control(
    title="Compose files hold no secrets",
    severity="critical",
    fix="Give secrets as files (secrets: with file: or environment:, NAME_FILE=/run/secrets/…) or "
    "leave the value out of the file (NAME: ${NAME:?}); the policy's plain_variables names what is "
    "none.",
)
def test_compose_secrets(compose_file: ComposeFile, policy: Policy) -> None:
    """A compose file lies in the source for all who work on it, and in backups. What it sets as a
    variable is also seen by whoever may inspect a container; what it gives to a build as an
    argument stays in the image. Of these a name without a value counts too."""
    plain = set(policy.plain_variables)
    found = []
    for service in compose_file.services:
        for place in (("environment",), ("labels",), ("build", "args")):
            for each in service.settings(*place):
                if each.name not in plain and _holds(each, "args" in place):
                    found.append(f"{service.name}: {each.name} (line {each.number})")
        for node in (*items(service.get("command")), *items(service.get("entrypoint"))):
            for name in names_in_text(text(node), "command"):
                found.append(f"{service.name}: {name} (line {node.line})")
    expect(list(dict.fromkeys(found)), equals=[], what="secrets")


def _holds(setting: Setting, of_build: bool) -> bool:
    if list(names_in_text(f"{setting.name}={setting.value or ''}", setting.name)):
        return True
    return of_build and looks_secret(setting.name.encode("utf-8", "replace"))
