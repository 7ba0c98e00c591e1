"""What Podman, Buildah and Skopeo have in common: the files that say where images are from.

A host that builds may have Buildah or Skopeo without Podman; they read the same registries.conf
and policy.json (buildah(1), skopeo(1), FILES).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from testinfra.host import Host

from hullcheck.control import NotApplicable
from hullcheck.facts.accounts import Accounts, User
from hullcheck.facts.engines import Engine, engine_kind
from hullcheck.facts.podman.places import Places
from hullcheck.facts.podman.registries import Registries, read_registries
from hullcheck.facts.podman.settings import own_directory
from hullcheck.facts.podman.signatures import Signatures, read_signatures
from hullcheck.facts.registry import Unseen, fact, get, provide_each
from hullcheck.facts.texts import lines_of
from hullcheck.transport import session_of, want
from hullcheck.verdict import Object

__all__ = ["PROGRAMS", "Puller", "buildah"]

PROGRAMS = want(
    "stat -L -c %n -- "
    + " ".join(
        f"{place}/{name}"
        for place in ("/usr/bin", "/usr/local/bin", "/run/current-system/sw/bin")
        for name in ("buildah", "skopeo")
    ),
    meaning=(0, 1),
)


class Puller(Engine):
    """One of them as one user of the host runs it."""

    def __init__(self, host: Host, kind: str, user: User) -> None:
        super().__init__(host, kind, f"{kind} ({user.name})")
        self.user = user
        self.home = user.home
        self.trusted = (0, user.uid)

    @property
    def _places(self) -> Places:
        places: Places = get(self.host, "podman_places")
        return places

    @fact
    def registries(self) -> Registries:
        """Its registries.conf. :raises Unknown: a file cannot be read or parsed."""
        return read_registries(self._places, self.user)

    @fact
    def signatures(self) -> Signatures:
        """Its policy.json. :raises NotApplicable: it has none. :raises Unknown: as above."""
        return read_signatures(self._places, self.user)

    @property
    def short_names(self) -> Registries:
        return self.registries

    @property
    def insecure_registries(self) -> Collection[str]:
        return self.registries.insecure

    @property
    def mirrors(self) -> Collection[str]:
        return self.registries.mirrors


@provide_each
def buildah(host: Host) -> Sequence[Puller | Unseen]:
    """Buildah or Skopeo, on a host without Podman: of root, and of each user with own settings.

    :raises NotApplicable: neither is there, or Podman is, which is set by the same files.
    """
    session_of(host).foresee(PROGRAMS)
    try:
        get(host, "podman")
    except NotApplicable:
        pass
    else:
        raise NotApplicable("Podman is here, and is set by the same files")
    paths = [each for each in lines_of(session_of(host).ask(PROGRAMS)[0]) if each.startswith("/")]
    if not paths:
        raise NotApplicable("there is neither Buildah nor Skopeo on this host")
    kind = sorted(each.rpartition("/")[2] for each in paths)[0]
    places: Places = get(host, "podman_places")
    accounts: Accounts = get(host, "accounts")
    found: list[Puller | Unseen] = [Puller(host, kind, User("root", 0, 0, "/root", "/bin/sh"))]
    for user in accounts.users:
        own = f"{own_directory(user)}/"
        if user.uid and any(
            path.startswith(own) and owner == user.uid for path, owner in places.owners.items()
        ):
            found.append(Puller(host, kind, user))
    for place, why in places.hidden[:1]:
        reason = f"{place} cannot be looked at: {why}; it may need root"
        found.append(Unseen(Object("engine", f"{kind} (of others)"), reason))
    return found


engine_kind("buildah")
