"""Files of credentials on a host: what of, and whether they hold any; never what they hold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.credentials.places import PLACES
from hullcheck.facts.credentials.sweep import SWEEP, Found, Swept, below_want, extra_want, swept
from hullcheck.facts.files import Files
from hullcheck.facts.registry import Unseen, fact, get, provide, provide_each
from hullcheck.facts.runners.agents import BuildAgent
from hullcheck.transport import CannotAnswer, session_of
from hullcheck.transport.redact import looks_secret
from hullcheck.verdict import Object

__all__ = ["Credentials", "Login", "Token", "checkouts", "credentials", "secrets_in"]

LOGIN_PARTS = ("auth", "identitytoken", "registrytoken", "password")
_POINTED = {"DOCKER_CONFIG": ("login", "/config.json"), "REGISTRY_AUTH_FILE": ("login", "")}
_LOGIN = next(at for at, each in enumerate(PLACES, 1) if each.topic == "login")
_KUBECTL = next(at for at, each in enumerate(PLACES, 1) if ".kube/config" in each.patterns[0])
_DEEP = 100


@dataclass(frozen=True)
class Credentials:
    """All that the sweeps over a host found."""

    host: Host = field(repr=False)
    found: tuple[Found, ...] = field(repr=False)
    hidden: tuple[str, ...]

    @property
    def agents(self) -> list[BuildAgent]:
        """The programs that run builds. :raises Unknown: they cannot all be seen."""
        found: list[BuildAgent] = get(self.host, "build_agents")
        return found

    def of(self, *topics: str) -> list[Found]:
        """Return the files of some topics."""
        return [each for each in self.found if each.place.topic in topics]

    def need(self) -> None:
        """:raises Unknown: a place could not be looked into."""
        if self.hidden:
            raise Unknown(f"{self.hidden[0]} cannot be looked into; it needs root")


def checkouts(host: Host, folders: Sequence[str] | None) -> Swept:
    """Return what lies below folders of builds, and the usual ones of runners' jobs.

    :raises CannotAnswer: the sweep is not whole.
    """
    answer = session_of(host).ask(below_want(tuple(folders or ())))[0]
    return session_of(host).recall(("checkouts", answer.want), lambda: swept(answer))


@provide
def credentials(host: Host) -> Credentials:
    """Files that may hold credentials, in homes, in the system's places and where the environment
    of logins and of build agents says.

    :raises CannotAnswer: the sweep is not whole.
    """
    session_of(host).foresee(SWEEP)
    agents = _agents(host)
    first = swept(session_of(host).ask(SWEEP)[0])
    homes, files, hidden = _elsewhere(host, agents, first)
    more = Swept(())
    if homes or files:
        more = swept(session_of(host).ask(extra_want(tuple(homes), tuple(files)))[0])
    found = {each.path: each for each in (*first.found, *more.found)}
    return Credentials(host, tuple(found.values()), (*first.hidden, *more.hidden, *hidden))


def _agents(host: Host) -> list[BuildAgent] | str:
    try:
        agents: list[BuildAgent] = get(host, "build_agents")
    except (Unknown, CannotAnswer) as reason:
        return str(reason)
    return agents


def _elsewhere(
    host: Host, agents: list[BuildAgent] | str, first: Swept
) -> tuple[list[str], list[tuple[int, str]], list[str]]:
    """Return more homes, more files and what cannot be told of them."""
    known: Accounts = get(host, "accounts")
    homes: dict[str, None] = {}
    files: dict[tuple[int, str], None] = {}
    hidden = []
    for _, name, path in first.pointers:
        if name in _POINTED:
            files[_LOGIN, path.rstrip("/") + _POINTED[name][1]] = None
        elif name == "KUBECONFIG":
            files[_KUBECTL, path] = None
    for agent in agents if isinstance(agents, list) else ():
        try:
            settings = agent.settings
            home = settings.get("HOME", "")
            if home.startswith("/") and home != "/":
                homes[agent.seen(home.rstrip("/"))] = None
            for name, (_, end) in _POINTED.items():
                if settings.get(name, "").startswith("/"):
                    files[_LOGIN, agent.seen(settings[name].rstrip("/") + end)] = None
        except (Unknown, CannotAnswer) as reason:
            hidden.append(f"what {agent} has ({reason})")
    if isinstance(agents, str):
        hidden.append(f"what build agents have ({agents})")
    swept_already = {each.home.rstrip("/") for each in known.users}
    odd = ("\n", "\t")
    return (
        [each for each in homes if each not in swept_already and not _any(odd, each)],
        [each for each in files if not _any(odd, each[1])],
        hidden,
    )


def _any(parts: Iterable[str], text: str) -> bool:
    return any(each in text for each in parts)


def shape_of(found: Found) -> dict[str, Any]:
    """Return the JSON of a file without its values. :raises Unknown: it is none."""
    try:
        parsed = json.loads(found.shape or "")
    except (ValueError, RecursionError) as error:
        raise Unknown(f"{found.path} is no JSON that can be understood") from error
    if not isinstance(parsed, dict):
        raise Unknown(f"{found.path} is no JSON object")
    return parsed


def _held(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _leaves(value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and depth < _DEEP:
        for key, inner in value.items():
            yield str(key), inner
            yield from _leaves(inner, depth + 1)
    elif isinstance(value, list) and depth < _DEEP:
        for inner in value:
            yield from _leaves(inner, depth + 1)


def secrets_in(found: Found) -> list[str]:
    """Return the names of what a file holds that is secret; [] if nothing is.

    :raises Unknown: it cannot be told.
    """
    if not found.read:
        raise Unknown(f"{found.path} cannot be read, or is too long; it may need root")
    if found.whole:
        return ["all of it"]
    if found.kind:
        return [] if found.kind == "card" else [f"a private key ({found.kind})"]
    if found.shape is not None:
        leaves = list(_leaves(shape_of(found)))
        names = {key for key, value in leaves if _held(value) and _secret(key)}
        names |= {key for key, value in leaves if value == "url"}
        # Composer's http-basic, and tokens by the host they are for.
        for key, value in leaves:
            if key.endswith(("-oauth", "-token", "bearer")) and isinstance(value, dict):
                names |= {key for each in value.values() if _held(each)}
        return sorted(names)
    told = sorted(each for each in found.names if " " in each or _secret(each))
    if found.cut and not told:
        raise Unknown(f"{found.path} has more settings than are looked at")
    return told


def _secret(name: str) -> bool:
    return name in LOGIN_PARTS or looks_secret(name.encode("utf-8", "surrogateescape"))


@dataclass(frozen=True, eq=False)
class Token:
    """A file that holds, or may hold, credentials."""

    host: Host = field(repr=False)
    found: Found
    held: tuple[str, ...]

    @property
    def object(self) -> Object:
        return Object("file", self.found.path)

    def __str__(self) -> str:
        return f"{self.found.path} ({self.found.place.what})"


@provide_each
def token(host: Host) -> list[Token | Unseen]:
    """Each file with credentials in homes and the system's places; one that is not read counts.

    :raises NotApplicable: there is none.
    """
    known: Credentials = get(host, "credentials")
    listed: list[Token | Unseen] = []
    for each in known.of("login", "token", "shell", "ssh", "key"):
        try:
            held = tuple(secrets_in(each))
        except Unknown:
            held = ("what cannot be read",)
        if held:
            listed.append(Token(host, each, held))
    listed += _unseen(known)
    if not listed:
        raise NotApplicable("no file with credentials lies where programs keep them")
    files: Files = get(host, "files")
    files.foresee(each.found.path for each in listed if isinstance(each, Token))
    return listed


def _unseen(known: Credentials) -> list[Unseen]:
    return [
        Unseen(Object("folder", each), f"{each} cannot be looked into; it needs root")
        for each in known.hidden
    ]


@dataclass(frozen=True, eq=False)
class Login:
    """A file in which a container engine keeps logins at registries; docker login,
    containers-auth.json(5)."""

    host: Host = field(repr=False)
    found: Found

    @property
    def object(self) -> Object:
        return Object("file", self.found.path)

    @fact
    def shape(self) -> dict[str, Any]:
        """The file without its values. :raises Unknown: it cannot be read or understood."""
        if not self.found.read:
            raise Unknown(f"{self.found.path} cannot be read, or is too long; it may need root")
        return shape_of(self.found)

    @property
    def passwords(self) -> list[str]:
        """Registries whose password is in the file."""
        auths = self.shape.get("auths", {})
        if self.found.path.endswith("/.dockercfg"):
            auths = self.shape
        if not isinstance(auths, dict):
            raise Unknown(f"auths in {self.found.path} is no object")
        return sorted(
            str(registry) for registry, entry in auths.items()
            if isinstance(entry, dict) and any(_held(entry.get(part)) for part in LOGIN_PARTS)
        )  # fmt: skip

    @property
    def proxies(self) -> list[str]:
        """Proxies with a password, which every container is given."""
        return sorted({key for key, value in _leaves(self.shape.get("proxies")) if value == "url"})

    @property
    def helpers(self) -> list[str]:
        """The helpers that keep passwords, by the name that is in the file."""
        helpers = self.shape.get("credHelpers", {})
        named = [
            self.shape.get("credsStore"),
            *(helpers if isinstance(helpers, dict) else {}).values(),
        ]
        return sorted({each for each in named if _held(each)})


@provide_each
def registry_login(host: Host) -> list[Login | Unseen]:
    """Each file with logins at registries. :raises NotApplicable: there is none."""
    known: Credentials = get(host, "credentials")
    found: list[Login | Unseen] = [Login(host, each) for each in known.of("login")]
    found += _unseen(known)
    if not found:
        raise NotApplicable("nobody on this host has logged in at a registry")
    return found
