"""Hosts with an engine and images, made of what inspect and history would say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from testinfra.host import Host

from hullcheck.control import control_of
from hullcheck.facts.docker import DockerEngine
from hullcheck.facts.docker.api import Api
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.transport import session_of
from hullcheck.verdict import Finding
from tests.unit.fake import Reply, host_with

ADDRESS = "unix:///run/docker.sock"
WHEN = datetime(2026, 11, 23, tzinfo=UTC)
CUT = "[redacted:9:0123456789ab]"


def number(name: str) -> str:
    return f"sha256:{(name.encode().hex() * 64)[:64]}"


def described(name: str, **parts: Any) -> dict[str, Any]:
    """Return an image's description; parts are added to it, of Config as ``Config``."""
    return {
        "Id": number(name), "RepoTags": [f"{name}:1"], "RepoDigests": [],
        "Created": "2026-11-20T10:00:00.123456789Z", "Config": {}, "Architecture": "amd64",
        "Os": "linux", "RootFS": {"Type": "layers", "Layers": [number(f"layer of {name}")]},
    } | parts  # fmt: skip


def used(image: str, name: str = "web", asked: str = "", **parts: Any) -> dict[str, Any]:
    """Return the description of a container that was made from an image."""
    state = {"Running": True, "Pid": 7} | parts.pop("State", {})
    asked = asked or f"{image}:1"
    return {
        "Id": number(name)[7:], "Name": f"/{name}", "Image": number(image), "State": state,
        "Created": "2026-11-20T10:00:00Z", "Config": {"Image": asked}, "Mounts": [],
        "HostConfig": {
            "CapAdd": None, "CapDrop": None, "Memory": 0, "NetworkMode": "none",
            "OomScoreAdj": 0, "PidMode": "", "PortBindings": None, "Privileged": False,
            "ReadonlyRootfs": False, "SecurityOpt": None, "Ulimits": None,
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        },
        "NetworkSettings": {"Networks": {}},
    } | parts  # fmt: skip


def step(created_by: str, size: int = 1, comment: str = "") -> dict[str, Any]:
    return {"CreatedBy": created_by, "Comment": comment, "Size": str(size)}


def told(histories: Mapping[str, Sequence[Mapping[str, Any]]], ids: Sequence[str]) -> str:
    """Return what the question for histories answers, whose steps are given the first first."""
    text = ""
    for each in ids:
        lines = [json.dumps(one) for one in reversed(histories.get(each, ()))]
        text += f"# {each}\n" + "".join(f"{line}\n" for line in lines) + "\n.\n\n"
    return text


def image_host(
    images: Sequence[Mapping[str, Any]],
    containers: Sequence[Mapping[str, Any]] = (),
    histories: Mapping[str, Sequence[str | Mapping[str, Any]]] | None = None,
    answers: Mapping[str, Reply] | None = None,
    client: bool = True,
) -> Host:
    """Return a host with one engine.

    :param histories: of images by their names, the first step first.
    :param answers: further answers, or others.
    """
    api = Api(None, ADDRESS, client)  # type: ignore[arg-type]
    ids = sorted(str(each["Id"]) for each in images)
    steps = {
        number(name): [step(each) if isinstance(each, str) else each for each in found]
        for name, found in (histories or {}).items()
    }
    replies: dict[str, Reply] = {
        api.images_want().command: json.dumps(list(images)),
        api.containers_want().command: json.dumps(list(containers)),
    }
    for first, want in enumerate(api.history_wants(ids)):
        replies[want.command] = told(steps, ids[first * 25 : first * 25 + 25])
    host = host_with(replies | dict(answers or {}))
    engine = DockerEngine(host, ADDRESS, 50, client, ("/run/docker.sock",), (), True)
    session_of(host).recall(("provider", "docker"), lambda: [engine])
    for kind in ("podman_images", "containerd_images"):
        session_of(host).recall(("provider", kind), list)
    return host


def findings(function: Any, host: Host, **policy: Any) -> dict[str, Finding]:
    """Judge a control; return its findings by the object's name."""
    control = control_of(function)
    assert control is not None
    verdict = judge(control, host, Site("fake", Policy(**policy), started=WHEN))
    return {each.object.name: each for each in verdict.findings}


def one(function: Any, host: Host, **policy: Any) -> tuple[str, str]:
    """Return the status and reason of the only finding."""
    (found,) = findings(function, host, **policy).values()
    return str(found.status), found.reason
