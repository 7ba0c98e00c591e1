"""What can be asked of any container engine: Docker, Podman, containerd, CRI-O.

A control that asks for ``engine`` is judged once for each engine of the host. An engine that has
no such setting leaves the attribute as it is here, and the control is then not applicable to it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.registry import Unseen, get, provide_each
from hullcheck.transport import CannotAnswer
from hullcheck.verdict import Object

if TYPE_CHECKING:
    from hullcheck.facts.docker.engine import DockerEngine
    from hullcheck.facts.podman.registries import Registries
    from hullcheck.facts.podman.signatures import Signatures

__all__ = ["DEFAULT_PROFILE", "UNCONFINED", "UNLIMITED", "Engine", "Told", "engine", "engine_kind"]

DEFAULT_PROFILE, UNCONFINED = "default", "unconfined"
UNLIMITED = -1


@dataclass(frozen=True, slots=True)
class Told:
    """A setting in effect, and where it was read: a path, "daemon", "default" …"""

    value: Any
    source: str


class Engine:
    """One engine of a host. Every attribute raises Unknown where it cannot be read.

    :param kind: docker, podman, containerd or cri-o.
    :param label: how a finding names it, "podman (bob)".
    """

    def __init__(self, host: Host, kind: str, label: str) -> None:
        self.host = host
        self.kind = kind
        self.label = label

    home = "/root"
    """The home of the user whose files it reads."""

    trusted: Collection[int] = (0,)
    """The users who may write what it rests on."""

    @property
    def object(self) -> Object:
        return Object("engine", self.label)

    def placed(self, path: str) -> str:
        """Return where the host finds what it sees at a path."""
        return path

    def __str__(self) -> str:
        return self.label

    def _none(self, what: str) -> NoReturn:
        raise NotApplicable(f"{self.kind} has no {what}")

    @property
    def insecure_registries(self) -> Collection[str]:
        """Registries and networks spoken to without TLS, or without looking at certificates."""
        self._none("setting of insecure registries")

    @property
    def mirrors(self) -> Collection[str]:
        """Mirrors as URLs: ``http://`` if they are spoken to without TLS, as above."""
        self._none("setting of mirrors")

    @property
    def default_seccomp(self) -> Told:
        """The profile of a container that names none: "default", "unconfined" or a path."""
        self._none("default seccomp profile of its own")

    def profile(self, path: str) -> str:
        """Return the text of a seccomp profile as the engine would read it."""
        self._none(f"profile {path}")

    @property
    def default_ulimits(self) -> Told:
        """Hard limits of a container that asks for none, by name (``nofile``); -1 is unlimited."""
        self._none("default limits")

    @property
    def default_pids_limit(self) -> Told:
        """How many processes a container may have that does not say; 0 or less is no limit."""
        self._none("default limit of processes")

    @property
    def default_capabilities(self) -> Told:
        """The capabilities of a container that does not say, as ``CAP_…``, sorted."""
        self._none("setting of default capabilities")

    @property
    def no_new_privileges(self) -> Told:
        """Whether no_new_privs is set for a container that does not say."""
        self._none("default of no-new-privileges")

    @property
    def remapped(self) -> Told:
        """Whether root in a container that does not say is nobody on the host."""
        self._none("setting of user namespaces")

    @property
    def signatures(self) -> Signatures:
        """The policy by which it takes images without a signature."""
        self._none("policy of signatures")

    @property
    def short_names(self) -> Registries:
        """Where it looks for images whose names have no registry."""
        self._none("setting of short names")

    @property
    def entitlements(self) -> Told:
        """What more builds may ask for than a container's rights, sorted."""
        self._none("builder")

    @property
    def cache_bounded(self) -> Told:
        """Whether the cache of its builds is tidied up."""
        self._none("builder")

    @property
    def log_level(self) -> Told:
        """How much it tells: debug, info, warn, error …"""
        self._none("log level of its own")


class DockerAsEngine(Engine):
    """A Docker daemon, asked what any engine is asked."""

    def __init__(self, docker: DockerEngine) -> None:
        super().__init__(docker.host, "docker", str(docker))
        self.docker = docker

    def _setting(self, name: str) -> Told:
        setting = self.docker.setting(name)
        return Told(setting.value, setting.source)

    @property
    def _registries(self) -> dict[str, Any]:
        config = self.docker.info.get("RegistryConfig")
        if not isinstance(config, dict):
            raise Unknown("the engine does not say what registries it uses")
        return config

    @property
    def insecure_registries(self) -> Collection[str]:
        found = [str(cidr) for cidr in self._registries.get("InsecureRegistryCIDRs") or []]
        indexes = self._registries.get("IndexConfigs") or {}
        return found + [name for name, each in indexes.items() if not each.get("Secure", False)]

    @property
    def mirrors(self) -> Collection[str]:
        found = {str(each) for each in self._registries.get("Mirrors") or []}
        for index in (self._registries.get("IndexConfigs") or {}).values():
            found |= {str(each) for each in index.get("Mirrors") or []}
        return found

    @property
    def default_seccomp(self) -> Told:
        options = self.docker.security_options.get("seccomp")
        if options is None:
            return Told(UNCONFINED, "it has no support for seccomp")
        profile = options.get("profile", DEFAULT_PROFILE)
        return Told(DEFAULT_PROFILE if profile in ("builtin", "") else profile, "daemon")

    def profile(self, path: str) -> str:
        return self.docker.text(path)

    @property
    def default_ulimits(self) -> Told:
        setting = self._setting("default-ulimit")
        limits = {name: _hard(value) for name, value in setting.value.items()}
        return Told(limits, setting.source)

    @property
    def no_new_privileges(self) -> Told:
        return self._setting("no-new-privileges")

    @property
    def remapped(self) -> Told:
        return Told(bool({"userns", "rootless"} & set(self.docker.security_options)), "daemon")

    def _builder(self, *keys: str) -> Told:
        """Return what ``builder`` in daemon.json says, True without; Go's JSON minds no capitals.

        :raises Unknown: the file cannot be read, or has changed since the daemon started.
        """
        if self.docker.stale:
            raise Unknown(self.docker.stale)
        value: Any = self.docker.configuration.values
        for key in ("builder", *keys):
            low = {str(name).lower(): one for name, one in value.items()}
            value = low.get(key)
            if not isinstance(value, dict):
                return Told(value, "default" if value is None else self.docker.config_file)
        return Told(None, "default")

    @property
    def entitlements(self) -> Told:
        """What daemon.json gives; network.host, which the default gives, is Docker's anyway."""
        told = self._builder("entitlements", "security-insecure")
        return Told(["security.insecure"] if told.value is True else [], told.source)

    @property
    def cache_bounded(self) -> Told:
        told = self._builder("gc", "enabled")
        return Told(told.value is not False, told.source)

    @property
    def log_level(self) -> Told:
        debug = self._setting("debug")
        return Told("debug", debug.source) if debug.value else self._setting("log-level")


def _hard(value: Any) -> int:
    """Return the hard limit of ``1024:2048``, ``1024`` or daemon.json's table."""
    given: Any
    if isinstance(value, dict):
        given = value.get("Hard", value.get("hard", value.get("Soft", value.get("soft"))))
    else:
        given = str(value).rpartition(":")[2]
    try:
        return int(given)
    except (TypeError, ValueError):
        raise Unknown(f"a default ulimit is {str(value)[:40]!r}") from None


Wrap = Callable[[Any], Engine]
WRAPPERS: dict[str, Wrap] = {}
"""How what a provider of one kind of engine gives becomes an Engine, by the provider's name."""


def engine_kind(provider: str, wrap: Wrap = lambda found: found) -> None:
    """Let the things of a provider be asked as engines.

    :param wrap: makes an Engine of a thing that is none.
    """
    WRAPPERS[provider] = wrap


@provide_each
def engine(host: Host) -> Sequence[Engine | Unseen]:
    """Every engine of the host, whichever it is.

    :raises NotApplicable: there is none.
    """
    reasons: list[str] = []
    found = [each for name in sorted(WRAPPERS) for each in _of(host, name, reasons)]
    if not found:
        raise NotApplicable("; ".join(reasons) or "no engine is known")
    return found


def _of(host: Host, name: str, reasons: list[str]) -> Iterator[Engine | Unseen]:
    try:
        things: Iterable[Any] = get(host, name)
    except NotApplicable as reason:
        reasons.append(str(reason))
        return
    except (Unknown, CannotAnswer) as reason:
        yield Unseen(Object("engine", f"(any {name})"), str(reason))
        return
    for each in things:
        yield each if isinstance(each, Unseen) else WRAPPERS[name](each)


engine_kind("docker", DockerAsEngine)
