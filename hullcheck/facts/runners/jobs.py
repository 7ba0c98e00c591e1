"""What a job runner gives the jobs that it runs, whatever its kind.

The options are those of ``docker run``, which all these runners hand on to the engine.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hullcheck.control import Unknown
from hullcheck.transport.redact import PLACEHOLDER, looks_secret

__all__ = ["ANY", "BESIDE", "CONTAINERS", "DRIVER", "HOST", "MACHINES", "OTHERS", "PODS", "Jobs",
           "Mount", "Options", "harmless_option", "mount_of", "options_of", "peer",
           "secret_names"]  # fmt: skip

CONTAINERS, PODS, HOST, MACHINES, OTHERS, DRIVER, BESIDE = (
    "containers", "pods of a cluster", "the host itself", "virtual machines",
    "another machine over SSH", "what a driver of the site makes", "beside an agent",
)  # fmt: skip

ANY = "**"
"""A pattern that every image fits."""

_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1|.*\.localhost")


@dataclass(frozen=True, slots=True)
class Mount:
    """Something of the host, or a named volume, that jobs see.

    :param source: a path, or a volume's name; where the runner's own settings stop and a job's
        begin (a variable, a wildcard), the folder before that.
    :param offered: jobs may ask for it; else every job has it.
    """

    source: str
    target: str
    read_only: bool = False
    offered: bool = False

    def __str__(self) -> str:
        if self.offered:
            return f"{self.source} (if a job asks)"
        return f"{self.source} at {self.target}{' (read-only)' if self.read_only else ''}"

    @property
    def of_host(self) -> bool:
        return self.source.startswith("/")


@dataclass(frozen=True, slots=True)
class Jobs:
    """Where and with what a runner's jobs run.

    :param where: one of CONTAINERS, PODS, HOST, MACHINES, OTHERS, DRIVER; or BESIDE, of what only
        tells agents what to do.
    :param fresh: each job has a machine of its own, which is deleted after it.
    :param privileged: patterns of images that run with all privileges.
    :param namespaces: those of the host that jobs share.
    :param capabilities: those that jobs have beside an engine's own, as they are written.
    :param rights: options that take a container's confinement away.
    :param images: the lists of images that jobs may name, by setting; None: any. Empty, if the
        kind has no such setting.
    :param any_entrypoint: jobs may start an image by another program than its own, where the kind
        can forbid that.
    :param pull_policies: those that a job may choose from; None if the kind has no such setting.
    :param plain: how its own connections can be listened to or forged, one sentence each.
    :param near: servers that it speaks to without TLS, by a name that tells not where they are.
    :param secrets: names of variables of all jobs that hold secrets.
    :param debug: where it tells of itself, to whoever asks.
    :param user: whose rights jobs on the host have; empty: the runner's own.
    :param target: whom to log in as where, of jobs on another machine.
    :param shared_cache: jobs of other runners read the cache that these write.
    :param unread: why some of this is not known; empty if all is.
    """

    name: str
    where: str
    fresh: bool = False
    privileged: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    namespaces: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    rights: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    images: tuple[tuple[str, tuple[str, ...] | None], ...] = ()
    any_entrypoint: bool = False
    pull_policies: tuple[str, ...] | None = None
    plain: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    debug: tuple[str, ...] = ()
    user: str = ""
    target: str = ""
    shared_cache: bool = False
    unread: str = ""

    @property
    def contained(self) -> bool:
        return self.where in (CONTAINERS, PODS)


def mount_of(spec: str) -> Mount | None:
    """Return what ``-v`` of docker-run(1) mounts; None for a volume of the container alone."""
    source, colon, rest = spec.strip().partition(":")
    if not colon or not source:
        return None
    target, _, options = rest.partition(":")
    return Mount(_fixed(source), target, "ro" in options.split(","))


def _fixed(source: str) -> str:
    """Return a source up to where a job's variable may change it."""
    head, dollar, _ = source.partition("$")
    if dollar:
        return head.rpartition("/")[0] or "/"
    return posixpath.normpath(source) if source.startswith("/") else source


@dataclass(frozen=True, slots=True)
class Options:
    """What options of ``docker run`` ask for."""

    privileged: bool = False
    mounts: tuple[Mount, ...] = ()
    namespaces: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    rights: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    unread: str = ""


_SPACES = {"--network": "network", "--net": "network", "--pid": "process", "--ipc": "IPC",
           "--uts": "UTS", "--userns": "user", "--cgroupns": "cgroup"}  # fmt: skip
_RIGHTS = ("--security-opt", "--device-cgroup-rule", "--group-add")
_DEVICES = ("--device", "--gpus")
_VOLUMES = ("-v", "--volume")


def options_of(text: str) -> Options:
    """Return what a line of options asks for. :raises Unknown: its quotes are not closed."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise Unknown(f"container options are not understood: {error}") from None
    found: dict[str, list[str]] = {}
    for name, value in _options(words):
        found.setdefault(name, []).append(value)
    mounts = [mount_of(each) for name in _VOLUMES for each in found.get(name, [])]
    mounts += [_long_mount(each) for each in found.get("--mount", [])]
    return Options(
        privileged=any(each.lower() not in ("false", "0", "f") for each in
                       found.get("--privileged", [])),
        mounts=tuple(each for each in mounts if each),
        namespaces=tuple(space for name, space in _SPACES.items()
                         for each in found.get(name, []) if each == "host"),
        capabilities=tuple(found.get("--cap-add", [])),
        rights=tuple(f"{name[2:]} {each}" for name in _RIGHTS for each in found.get(name, [])
                     if _loosens(name, each)),
        devices=tuple(each.partition(":")[0] for name in _DEVICES for each in found.get(name, [])),
        unread="options take volumes from another container" if "--volumes-from" in found else "",
    )  # fmt: skip


def _options(words: list[str]) -> Iterator[tuple[str, str]]:
    for number, word in enumerate(words):
        following = words[number + 1] if number + 1 < len(words) else ""
        name, equals, value = word.partition("=")
        if name == "--privileged":
            yield name, value if equals else "true"
        elif name.startswith("--"):
            yield name, value if equals else following
        elif word.startswith("-v"):
            yield "-v", word[2:].removeprefix("=") or following


def _loosens(name: str, value: str) -> bool:
    return name != "--security-opt" or not harmless_option(value)


def harmless_option(value: str) -> bool:
    """Tell whether a security option takes nothing away: ``name=value`` or ``name:value``."""
    name, _, rest = value.replace(":", "=", 1).partition("=")
    if name == "no-new-privileges":
        return rest.lower() not in ("false", "0")
    if name == "label":
        return rest.split(":")[0] not in ("disable",) and not rest.startswith("disable")
    return name in ("seccomp", "apparmor") and rest != "unconfined"


def _long_mount(spec: str) -> Mount | None:
    pairs = dict(each.partition("=")[::2] for each in spec.split(","))
    source = pairs.get("source") or pairs.get("src") or ""
    target = pairs.get("target") or pairs.get("dst") or pairs.get("destination") or ""
    read_only = {"readonly", "ro"} & set(pairs)
    return Mount(_fixed(source), target, bool(read_only)) if source else None


def peer(url: str, *, default: str = "https") -> tuple[str, str]:
    """Return how a server is spoken to without TLS (empty if it is not), and, if its name does
    not tell whether it is on this host, that name."""
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower() if separator else default
    host = (rest if separator else url).partition("/")[0].rpartition("@")[2]
    bare = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if scheme not in ("http", "tcp", "grpc") or not bare or _LOOPBACK.fullmatch(bare.lower()):
        return "", ""
    return ("", bare) if re.fullmatch(r"[A-Za-z0-9_-]+", bare) else (f"{bare} without TLS", "")


def secret_names(entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield the names of variables that hold a secret, by their names or by what was cut out."""
    for name, value in entries:
        cut = PLACEHOLDER.search(value.encode("utf-8", "surrogateescape"))
        named = looks_secret(name.encode("utf-8", "surrogateescape"))
        if cut or (named and value.strip() and not value.startswith(("$", "/"))):
            yield name
