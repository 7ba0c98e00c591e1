"""Gitea's and Forgejo's runners: config.yaml, and .runner beside them, which registers them.

docs.gitea.com ("Act Runner"), forgejo.org ("Forgejo Runner"), and the examples of both: Gitea's
shows jobs the engine's socket unless ``docker_host`` is ``-``, Forgejo's only if told to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from hullcheck.control import Unknown
from hullcheck.facts.runners.jobs import (
    CONTAINERS,
    HOST,
    PODS,
    Jobs,
    Mount,
    Options,
    options_of,
    peer,
    secret_names,
)
from hullcheck.facts.runners.typed_tables import Table, parse_yaml

__all__ = ["SOCKET", "ActionsConfig", "actions", "config_option", "parse_registration"]

SOCKET = "/var/run/docker.sock"

_WILD = re.compile(r"[*?\[{]")


class ActionsConfig:
    """A config.yaml, or what is used without one.

    :param path: empty, if there is none.
    """

    def __init__(self, path: str, text: str) -> None:
        whole = Table(parse_yaml(path, text) if text else {}, path or "the configuration")
        self.path = path
        self.runner, self.container = whole.table("runner"), whole.table("container")
        self.metrics = whole.table("metrics")
        self._connections = whole.table("server").table("connections")

    @property
    def servers(self) -> list[Table]:
        """Servers that newer runners of Forgejo name here, in place of a .runner."""
        return [self._connections.table(name) for name, _ in self._connections.items()]

    def registration(self, settings: Mapping[str, str]) -> str:
        """Return the path of the file that registers the runner."""
        said = "" if self.path else settings.get("GITEA_RUNNER_FILE", "")
        return self.runner.text("file") or said or ".runner"


def config_option(words: list[str]) -> str:
    """Return the file that is named on a command line; empty if none is."""
    found = ""
    for number, word in enumerate(words):
        name, equals, value = word.partition("=")
        following = words[number + 1] if number + 1 < len(words) else ""
        if name in ("--config", "-c"):
            found = value if equals else following
        elif word.startswith("-c") and not word.startswith("--"):
            found = word[2:]
    return found


def parse_registration(path: str, text: str) -> tuple[str, tuple[str, ...], str]:
    """Return the name, labels and server of a .runner. :raises Unknown: it is not understood."""
    try:
        table = Table(json.loads(text), path)
    except (ValueError, RecursionError) as error:
        raise Unknown(f"{path} is not JSON: {str(error)[:100]}") from None
    return table.text("name"), table.texts("labels") or (), table.text("address")


def actions(
    kind: str,
    config: ActionsConfig,
    registered: tuple[str, tuple[str, ...], str],
    words: list[str],
    settings: Mapping[str, str],
) -> list[Jobs]:
    """Return what a runner does: in containers, on the host, or, by label, each of them.

    :param kind: gitea or forgejo.
    """
    name, own, server = registered
    labels = _said(words) or config.runner.texts("labels") or own
    # Older runners read the variable when they register only: both sets of labels may be theirs.
    labels += _listed(settings.get("GITEA_RUNNER_LABELS", "")) if kind == "gitea" else ()
    for each in config.servers:
        labels += each.texts("labels") or ()
    places = {_where(each, kind) for each in labels}
    if not places:
        raise Unknown("which labels it has, and so where its jobs run, is not known")
    servers = [server, *(each.text("url") for each in config.servers)]
    plain, near = _connections(config, servers, settings)
    secrets = tuple(secret_names(config.runner.pairs("envs").items()))
    address = config.metrics.text("addr") if config.metrics.flag("enabled") else ""
    found = []
    for place in sorted(places):
        made = Jobs(name or kind, place, plain=plain, near=near, secrets=secrets,
                    debug=(address,) if address else ())  # fmt: skip
        found.append(_in_containers(made, kind, config, settings) if place == CONTAINERS else made)
    return found


def _said(words: list[str]) -> tuple[str, ...]:
    """Return the labels of the command line."""
    found = ""
    for number, word in enumerate(words):
        if word.startswith("--labels="):
            found = word.partition("=")[2]
        elif word == "--labels" and number + 1 < len(words):
            found = words[number + 1]
    return _listed(found)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",") if each.strip())


def _where(label: str, kind: str) -> str:
    """Return where jobs of a label run. One without a type is the host to Gitea, and a container
    to Forgejo (since its runner 4)."""
    scheme = label.split(":", 2)[1:2]
    known = {"docker": CONTAINERS, "lxc": CONTAINERS, "kubernetes": PODS}
    if not scheme and kind == "forgejo":
        return CONTAINERS
    return known.get(scheme[0] if scheme else "", HOST)


def _connections(
    config: ActionsConfig, servers: list[str], settings: Mapping[str, str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    plain, near = [], []
    for fault, name in map(peer, servers):
        plain += [f"the server {fault}"] if fault else []
        near += [name] if name else []
    if config.runner.flag("insecure"):
        plain.append("runner.insecure is on: the server's certificate is not checked")
    host = config.container.text("docker_host")
    engine = host if host.startswith("tcp:") else settings.get("DOCKER_HOST", "")
    fault, name = peer(engine, default="unix")
    if (fault or name) and not settings.get("DOCKER_TLS_VERIFY"):
        plain += [f"the engine {fault}"] if fault else []
        near += [name] if name else []
    return tuple(plain), tuple(near)


def _in_containers(
    made: Jobs, kind: str, config: ActionsConfig, settings: Mapping[str, str]
) -> Jobs:
    container = config.container
    options: Options = options_of(container.text("options"))
    privileged = container.flag("privileged") or options.privileged
    network = container.text("network") or container.text("network_mode")
    mounts = [*options.mounts, *_offered(container.texts("valid_volumes") or ())]
    socket = _socket(kind, container.text("docker_host"), settings)
    if socket:
        mounts.append(Mount(socket, SOCKET))
    return Jobs(
        made.name, made.where, plain=made.plain, near=made.near, secrets=made.secrets,
        debug=made.debug, privileged=("**",) if privileged else (), mounts=tuple(mounts),
        namespaces=tuple(dict.fromkeys((*(("network",) if network == "host" else ()),
                                        *options.namespaces))),
        capabilities=options.capabilities, rights=options.rights, devices=options.devices,
        unread=options.unread,
    )  # fmt: skip


def _socket(kind: str, said: str, settings: Mapping[str, str]) -> str:
    """Return the socket of an engine that every job is shown; empty if none is."""
    given = settings.get("DOCKER_HOST", "")
    automatic = "" if kind == "gitea" else "automount"
    if said == automatic:
        said = given or f"unix://{SOCKET}"
    if said in ("", "-") or not said.startswith(("unix:", "/")):
        return ""
    return "/" + said.removeprefix("unix:").lstrip("/")


def _offered(patterns: Iterable[str]) -> Iterable[Mount]:
    """Return what jobs may mount, of a pattern the folder before what it leaves open."""
    for each in patterns:
        wild = _WILD.search(each)
        if not wild:
            yield Mount(each, "", offered=True)
        elif each.startswith("/") or each[: wild.start()] == "":
            yield Mount(each[: wild.start()].rpartition("/")[0] or "/", "", offered=True)
