"""Quadlets: units of which Podman's generator makes services that run containers.

See podman-systemd.unit(5). Drop-ins in ``NAME.container.d`` are read after the file itself.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.podman.places import Places
from hullcheck.facts.podman.units import Entries, parse_unit, values, words
from hullcheck.facts.registry import Unseen, get, provide_each
from hullcheck.verdict import Object

__all__ = ["Quadlet", "quadlet"]

FOLDERS = re.compile(
    r"/(?:run|etc|usr/share)/containers/systemd/|/run/user/\d+/containers/systemd/"
    r"|/.*/\.config/containers/systemd/"
)
FOR_USERS = ("/etc/containers/systemd/users/", "/usr/share/containers/systemd/users/")
TRUE = ("1", "yes", "true", "on")


@dataclass(frozen=True)
class Quadlet:
    """One ``.container`` file with its drop-ins.

    :param owner: whose container it makes: root's, a user's, or "every user".
    """

    path: str
    owner: str
    entries: Entries = field(repr=False)

    @property
    def object(self) -> Object:
        return Object("quadlet", self.path)

    def __str__(self) -> str:
        return self.path

    def all(self, key: str) -> list[str]:
        """Return the values of a setting of ``[Container]``."""
        return values(self.entries, "Container", key)

    def last(self, key: str) -> str:
        """Return what a setting was last set to; empty if it was not."""
        return next(iter(self.all(key)[::-1]), "")

    def on(self, key: str) -> bool:
        """Whether a setting is on, as systemd reads it."""
        return self.last(key).lower() in TRUE

    @property
    def arguments(self) -> list[tuple[str, str]]:
        """The options of PodmanArgs=, as name and value; the value of a flag is empty."""
        given = [word for line in self.all("PodmanArgs") for word in words(line)]
        return list(_options(given))

    @property
    def image(self) -> str:
        """The image it runs."""
        return self.last("Image")


def _options(given: list[str]) -> Iterator[tuple[str, str]]:
    for number, word in enumerate(given):
        if not word.startswith("-"):
            continue
        name, joined, value = word.partition("=")
        after = given[number + 1] if number + 1 < len(given) else ""
        yield name.lstrip("-"), value if joined else "" if after.startswith("-") else after


@provide_each
def quadlet(host: Host) -> Sequence[Quadlet | Unseen]:
    """Every quadlet of a container, of root and of every user.

    :raises NotApplicable: there is none.
    """
    places: Places = get(host, "podman_places")
    accounts: Accounts = get(host, "accounts")
    found: list[Quadlet | Unseen] = []
    for path in sorted(places.files):
        if path.endswith(".container") and FOLDERS.match(path):
            try:
                found.append(_quadlet(places, path, accounts))
            except Unknown as reason:
                found.append(Unseen(Object("quadlet", path), str(reason)))
    if places.hidden and places.programs:
        place, why = places.hidden[0]
        unseen = f"{place} cannot be looked at: {why}; it may need root"
        found.append(Unseen(Object("quadlet", "(any that is hidden)"), unseen))
    if not found:
        raise NotApplicable("there is no quadlet")
    return found


def _quadlet(places: Places, path: str, accounts: Accounts) -> Quadlet:
    files = [path, *_drop_ins(places, path)]
    entries = [each for file in files for each in parse_unit(places.text(file) or "")]
    return Quadlet(path, _owner(path, accounts), entries)


def _drop_ins(places: Places, path: str) -> list[str]:
    folder = f"{path}.d"
    return [each for each in places.below(folder, ".conf") if posixpath.dirname(each) == folder]


def _owner(path: str, accounts: Accounts) -> str:
    for folder in FOR_USERS:
        if path.startswith(folder):
            uid = path[len(folder) :].partition("/")[0]
            user = accounts.user(int(uid)) if uid.isdecimal() else None
            return user.name if user else uid if uid.isdecimal() else "every user"
    running = re.match(r"/run/user/(\d+)/", path)
    if running:
        user = accounts.user(int(running[1]))
        return user.name if user else running[1]
    homes = {user.home.rstrip("/"): user.name for user in reversed(accounts.users)}
    home = path.partition("/.config/containers/")[0]
    return homes.get(home, posixpath.basename(home)) if home != path else "root"
