"""Drone's runners and Woodpecker's agents, which their environment steers.

docs.drone.io ("Configuration" of each runner), woodpecker-ci.org ("Agent", "Docker backend",
"Local backend"). A file named as an argument, and ``.env`` in the directory they are in, add
variables, and replace none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from hullcheck.facts.runners.jobs import (
    BESIDE,
    CONTAINERS,
    HOST,
    MACHINES,
    OTHERS,
    PODS,
    Jobs,
    mount_of,
    peer,
    secret_names,
)

__all__ = ["AUTO", "drone", "env_file", "flags_of", "parse_env", "woodpecker", "woodpecker_server"]

AUTO = "auto-detect"

EXEC_FILE = "/etc/drone-runner-exec/config"

_TRUE = ("1", "t", "T", "TRUE", "true", "True")

_FLAGS = {
    "--backend-engine": "WOODPECKER_BACKEND", "--server": "WOODPECKER_SERVER",
    "--grpc-secure": "WOODPECKER_GRPC_SECURE", "--grpc-skip-insecure": "WOODPECKER_GRPC_VERIFY",
    "--backend-docker-volumes": "WOODPECKER_BACKEND_DOCKER_VOLUMES",
    "--backend-docker-network": "WOODPECKER_BACKEND_DOCKER_NETWORK",
    "--backend-docker-host": "WOODPECKER_BACKEND_DOCKER_HOST", "--hostname": "WOODPECKER_HOSTNAME",
    "--backend-docker-tls-verify": "WOODPECKER_BACKEND_DOCKER_TLS_VERIFY",
}  # fmt: skip
"""Options of woodpecker-agent and the variables they count more than."""

_NAMES = {
    "DRONE_MACHINE": "DRONE_RUNNER_NAME", "DRONE_SECRET_SKIP_VERIFY":
    "DRONE_SECRET_PLUGIN_SKIP_VERIFY", "DRONE_REGISTRY_SKIP_VERIFY":
    "DRONE_REGISTRY_PLUGIN_SKIP_VERIFY", "DRONE_SECRET_ENDPOINT": "DRONE_SECRET_PLUGIN_ENDPOINT",
    "DRONE_REGISTRY_ENDPOINT": "DRONE_REGISTRY_PLUGIN_ENDPOINT",
}  # fmt: skip
"""Old names of Drone's variables, which count more than the new ones."""


def parse_env(text: str) -> dict[str, str]:
    """Return the variables of an env file: ``NAME=value``, with quotes or export or neither."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        row = re.fullmatch(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*[=:]\s*(.*?)\s*", line)
        if row:
            value = row[2]
            if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
                value = value[1:-1]
            elif " #" in value:
                value = value.partition(" #")[0].rstrip()
            found[row[1]] = value
    return found


def env_file(words: list[str]) -> str:
    """Return the file that a Drone runner reads its variables from; empty if none is named."""
    base = words[0].rpartition("/")[2] if words else ""
    if base.startswith("drone-runner-exec") and "service" in words:
        said = [each.partition("=")[2] for each in words if each.startswith("--config=")]
        after = words[words.index("--config") + 1 :] if "--config" in words else []
        return (said or after or [EXEC_FILE])[0]
    plain = [each for each in words[1:] if not each.startswith("-") and each != "daemon"]
    return plain[0] if plain else ""


def flags_of(words: list[str]) -> dict[str, str]:
    """Return what options of woodpecker-agent set."""
    found = {}
    for number, word in enumerate(words):
        name, equals, value = word.partition("=")
        variable = _FLAGS.get(f"-{name}" if re.match("-[a-z]", name) else name)
        if variable:
            following = words[number + 1] if number + 1 < len(words) else ""
            bare = "true" if not following or following.startswith("-") else following
            found[variable] = value if equals else bare
    return found


def drone(program: str, given: Mapping[str, str]) -> Jobs:
    """Return what a Drone runner does.

    :param program: drone-runner-docker, drone-runner-exec …
    """
    settings = dict(given)
    settings.update({new: given[old] for old, new in _NAMES.items() if old in given})
    where = next((place for end, place in (("-exec", HOST), ("-kube", PODS), ("-ssh", OTHERS))
                  if end in program), CONTAINERS)  # fmt: skip
    plain, near = _peers(_drone_peers(settings))
    plain += [f"{name} is on" for name in settings if name.endswith("_SKIP_VERIFY")
              and settings[name] in _TRUE]  # fmt: skip
    mounts = [mount_of(each) for each in _listed(settings.get("DRONE_RUNNER_VOLUMES"))]
    devices = [each.partition(":")[0] for each in _listed(settings.get("DRONE_RUNNER_DEVICES"))]
    networks = _listed(settings.get("DRONE_RUNNER_NETWORKS"))
    environ = [each.partition(":") for each in _listed(settings.get("DRONE_RUNNER_ENVIRON"))]
    held = [("DRONE_RUNNER_SECRETS", "x")] if settings.get("DRONE_RUNNER_SECRETS") else []
    return Jobs(
        settings.get("DRONE_RUNNER_NAME") or program,
        where,
        privileged=tuple(_listed(settings.get("DRONE_RUNNER_PRIVILEGED_IMAGES"))),
        mounts=tuple(each for each in mounts if each),
        namespaces=("network",) if "host" in networks else (),
        devices=tuple(devices),
        plain=tuple(plain),
        near=tuple(near),
        secrets=tuple(secret_names([*held, *((name, "x") for name, _, _ in environ)])),
    )


def _drone_peers(settings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    proto = settings.get("DRONE_RPC_PROTO") or "http"
    if settings.get("DRONE_RPC_HOST"):
        yield "the server", f"{proto}://{settings['DRONE_RPC_HOST']}"
    for kind in ("SECRET", "REGISTRY", "ENV"):
        yield f"its {kind.lower()} plugin", settings.get(f"DRONE_{kind}_PLUGIN_ENDPOINT", "")
    yield from _engine(settings.get("DOCKER_HOST", ""), "DOCKER_TLS_VERIFY" in settings)


def _engine(host: str, verified: bool) -> Iterator[tuple[str, str]]:
    if host and not verified:
        yield "the engine", host


def _peers(spoken_to: Iterator[tuple[str, str]]) -> tuple[list[str], list[str]]:
    plain, near = [], []
    for what, url in spoken_to:
        fault, name = peer(url, default="https")
        plain += [f"{what} {fault}"] if fault else []
        near += [name] if name else []
    return plain, near


def woodpecker(settings: Mapping[str, str], backend: str) -> Jobs:
    """Return what a Woodpecker agent does.

    :param backend: docker, kubernetes, local …, after what it finds.
    """
    where = {"docker": CONTAINERS, "kubernetes": PODS, "local": HOST}.get(backend, MACHINES)
    secure = settings.get("WOODPECKER_GRPC_SECURE") in _TRUE
    plain, near = _peers(_woodpecker_peers(settings, secure))
    if secure and settings.get("WOODPECKER_GRPC_VERIFY", "true") not in _TRUE:
        plain.append("WOODPECKER_GRPC_VERIFY is off")
    mounts = [mount_of(each) for each in _listed(settings.get("WOODPECKER_BACKEND_DOCKER_VOLUMES"))]
    network = settings.get("WOODPECKER_BACKEND_DOCKER_NETWORK")
    return Jobs(
        settings.get("WOODPECKER_HOSTNAME") or "woodpecker-agent",
        where,
        mounts=tuple(each for each in mounts if each),
        namespaces=("network",) if network == "host" else (),
        plain=tuple(plain),
        near=tuple(near),
        unread="" if where != MACHINES else f"what its backend {backend[:40]!r} does is not known",
    )


def _woodpecker_peers(settings: Mapping[str, str], secure: bool) -> Iterator[tuple[str, str]]:
    if not secure:
        yield "the server", f"grpc://{settings.get('WOODPECKER_SERVER') or 'localhost:9000'}"
    verify = settings.get("WOODPECKER_BACKEND_DOCKER_TLS_VERIFY",
                          settings.get("DOCKER_TLS_VERIFY", "true"))  # fmt: skip
    path = settings.get("WOODPECKER_BACKEND_DOCKER_CERT_PATH") or settings.get("DOCKER_CERT_PATH")
    host = settings.get("WOODPECKER_BACKEND_DOCKER_HOST") or settings.get("DOCKER_HOST", "")
    yield from _engine(host, bool(path) and verify in _TRUE)


def woodpecker_server(settings: Mapping[str, str]) -> Jobs:
    """Return what a Woodpecker server tells its agents to do."""
    plugins = settings.get("WOODPECKER_PLUGINS_PRIVILEGED") or settings.get("WOODPECKER_ESCALATE")
    environ = [each.partition(":")[0] for each in _listed(settings.get("WOODPECKER_ENVIRONMENT"))]
    return Jobs(
        "woodpecker-server",
        BESIDE,
        privileged=tuple(_listed(plugins)),
        secrets=tuple(secret_names((name, "x") for name in environ)),
    )


def _listed(text: str | None) -> list[str]:
    return [each.strip() for each in (text or "").split(",") if each.strip()]
