"""One user's Podman: what it is set to, by the files that it reads when it is started."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.accounts import Accounts, User
from hullcheck.facts.engines import DEFAULT_PROFILE, UNCONFINED, Told, engine_kind
from hullcheck.facts.podman.places import USER_STORE, Places
from hullcheck.facts.podman.pullers import Puller
from hullcheck.facts.podman.settings import Settings, own_directory, read_settings
from hullcheck.facts.podman.store import Store
from hullcheck.facts.podman.units import ApiUnit, api_unit
from hullcheck.facts.registry import Unseen, fact, get, provide_each
from hullcheck.transport import read, session_of
from hullcheck.verdict import Object

__all__ = ["Podman", "podman"]

SHIPPED_PROFILE = "/usr/share/containers/seccomp.json"
SITE_PROFILE = "/etc/containers/seccomp.json"
"""Where it is, it counts in place of the shipped one (containers/common, pkg/seccomp)."""

CAPABILITIES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
    "CAP_NET_BIND_SERVICE", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID",
    "CAP_SYS_CHROOT",
)  # fmt: skip
"""Those of a container without a setting; containers.conf(5)."""

ULIMITS = {"nofile": 1048576, "nproc": 1048576}
"""The limits that Podman itself sets, or the lower ones of the user; podman-run(1), --ulimit."""

PIDS = 2048


class Podman(Puller):
    """Podman as one user of the host runs it."""

    def __init__(self, host: Host, user: User) -> None:
        super().__init__(host, "podman", user)

    @property
    def rootless(self) -> bool:
        """Whether its user is not root."""
        return self.user.uid != 0

    @fact
    def settings(self) -> Settings:
        """Its containers.conf, merged. :raises Unknown: a file cannot be read or parsed."""
        return read_settings(self._places, self.user)

    @fact
    def api(self) -> ApiUnit | None:
        """How systemd offers its API; None if no unit does. :raises Unknown: as above."""
        return api_unit(self._places, self.user)

    @property
    def privileged(self) -> bool:
        """Whether every container is privileged."""
        return bool(self.settings.get("privileged", default=False).value)

    @property
    def default_seccomp(self) -> Told:
        told = self.settings.get("seccomp_profile", "")
        if self.privileged:
            return Told(UNCONFINED, "all containers are privileged")
        if told.value in ("", SHIPPED_PROFILE):
            site = told.value == "" and self._places.text(SITE_PROFILE) is not None
            return Told(SITE_PROFILE if site else DEFAULT_PROFILE, told.source)
        return told

    def profile(self, path: str) -> str:
        answer = session_of(self.host).ask(read(path))[0]
        if answer.exit:
            raise Unknown(f"{path} cannot be read: {answer.complaint}")
        return answer.text

    @property
    def default_ulimits(self) -> Told:
        told = self.settings.get("default_ulimits", [])
        return Told({**ULIMITS, **dict(map(_limit, told.value))}, told.source)

    @property
    def default_pids_limit(self) -> Told:
        return self.settings.get("pids_limit", PIDS)

    @property
    def default_capabilities(self) -> Told:
        if self.privileged:
            return Told(["ALL"], "all containers are privileged")
        told = self.settings.get("default_capabilities", [])
        named = {_capability(str(each)) for each in told.value} or set(CAPABILITIES)
        return Told(sorted(named), told.source)

    @property
    def remapped(self) -> Told:
        if self.rootless:
            return Told(True, f"it runs as {self.user.name}")
        told = self.settings.get("userns", "")
        mode = told.value.partition(":")[0]
        if mode == "private":
            raise Unknown(f"userns = private ({told.source}): a map of users must be given with it")
        return Told(mode in ("auto", "nomap"), told.source)


def _limit(text: object) -> tuple[str, int]:
    """Return name and hard limit of ``nofile=1024:2048``."""
    found = re.fullmatch(
        r"(?:RLIMIT_)?(\w+)=(?:[^:]*:)?(-?\d+|unlimited)", str(text), re.IGNORECASE
    )
    if not found:
        raise Unknown(f"a default ulimit is {str(text)[:40]!r}")
    hard = -1 if found[2].lower() == "unlimited" else int(found[2])
    return found[1].lower(), hard


def _capability(name: str) -> str:
    upper = name.upper()
    return upper if upper.startswith("CAP_") or upper == "ALL" else f"CAP_{upper}"


@provide_each
def podman(host: Host) -> Sequence[Podman | Unseen]:
    """Podman once for root and for each user who has containers, images or settings of its own.

    :raises NotApplicable: there is neither podman nor a store of its on the host.
    """
    places: Places = get(host, "podman_places")
    accounts: Accounts = get(host, "accounts")
    stores: list[Store] = get(host, "podman_stores")
    if not places.programs and not any(each.exists for each in stores):
        raise NotApplicable("there is no Podman on this host")
    users = list(_users(places, accounts, stores))
    found: list[Podman | Unseen] = [Podman(host, each) for each in users]
    told = tuple(f"{own_directory(each)}/" for each in users)
    others = [each for each in places.hidden if not f"{each[0]}/".startswith(told)]
    if others:
        place, why = others[0]
        reason = f"{place} cannot be looked at: {why}; it may need root"
        found.append(Unseen(Object("engine", "podman (of others)"), reason))
    return found


def _users(places: Places, accounts: Accounts, stores: Sequence[Store]) -> Iterator[User]:
    """Yield whoever has a Podman: root first, if it is installed or has a store."""
    with_store = {each.uid for each in stores if each.exists}
    root = accounts.user(0) or User("root", 0, 0, "/root", "/bin/sh")
    if places.programs or 0 in with_store:
        yield root
    seen = {0}
    for user in accounts.users:
        if user.uid in seen or not user.home.startswith("/"):
            continue
        own = own_directory(user) + "/"
        home = user.home.rstrip("/")
        # A home may be shared, by all the accounts of services for one: its files' owner counts.
        stored = places.stores.get(f"{home}/{USER_STORE}") == user.uid
        written = any(
            path.startswith(own) and owner == user.uid for path, owner in places.owners.items()
        )
        if user.uid in with_store or stored or written:
            seen.add(user.uid)
            yield user


engine_kind("podman")
