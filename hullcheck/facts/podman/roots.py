"""Where each Podman of a host keeps its containers: storage.conf and its defaults.

containers-storage.conf(5): root's is /etc/containers/storage.conf, else the one in
/usr/share/containers; a user's own file counts instead of both, which without it give but
``rootless_storage_path``. ``$HOME``, ``$UID`` and ``$USER`` may stand in paths.
"""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hullcheck.control import Unknown
from hullcheck.facts.accounts import Accounts, User
from hullcheck.facts.podman.places import ROOT_STORE, USER_CONFIG, USER_STORE, Places

__all__ = ["ROOT_RUN", "Roots", "libraries", "parse_toml", "roots", "roots_of"]

ROOT_RUN = "/run/containers/storage"
SYSTEM_FILES = ("/etc/containers/storage.conf", "/usr/share/containers/storage.conf")

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


@dataclass(frozen=True, slots=True)
class Roots:
    """The two directories of a store, and whose it is."""

    graphroot: str
    runroot: str
    uid: int


def parse_toml(path: str, text: str) -> dict[str, Any]:
    """Read a file of TOML. :raises Unknown: it is none."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unknown(f"{path} is not TOML: {str(error)[:100]}") from None


def roots(places: Places, accounts: Accounts) -> tuple[list[Roots], list[tuple[Roots, str]]]:
    """Return where there may be a store: root's, and that of each user who has anything of
    Podman's; and those of which the place cannot be told, with the reason."""
    root = User("root", 0, 0, "/root", "/bin/sh")
    found: dict[str, Roots] = {}
    doubts = []
    homes: dict[str, User] = {}
    for user in accounts.users:
        if user.uid != 0:
            homes.setdefault(user.home.rstrip("/") or "/", user)
    for home, user in {"/root": root, **homes}.items():
        default = _below(home, USER_STORE)
        where = Roots(default, _run(user), user.uid)
        try:
            own = _below(home, f"{USER_CONFIG}/storage.conf") in places.files
            if user.uid != 0 and not own:
                places.need(_below(home, USER_CONFIG), below=True)
            where = roots_of(places, user)
            places.need(where.graphroot)
        except Unknown as reason:
            doubts.append((where, str(reason)))
            continue
        has = user.uid == 0 or own or where.graphroot in places.stores
        moved = where.graphroot != default
        if has or (moved and user.uid >= 1000):
            found.setdefault(where.graphroot, where)
    for path, uid in places.stores.items():
        found.setdefault(path, Roots(path, f"/run/user/{uid}/containers" if uid else ROOT_RUN, uid))
    return list(found.values()), doubts


def roots_of(places: Places, user: User) -> Roots:
    """Return where one user's Podman keeps its containers.

    :raises Unknown: a storage.conf cannot be read, or names no absolute path.
    """
    system = _storage(places, next((each for each in SYSTEM_FILES if each in places.files), ""))
    if user.uid == 0:
        graph, run = _text(system, "graphroot") or ROOT_STORE, _text(system, "runroot") or ROOT_RUN
        return Roots(_absolute(graph, user), _absolute(run, user), 0)
    own = _storage(places, _below(user.home, f"{USER_CONFIG}/storage.conf"))
    graph = (
        _text(own, "graphroot")
        or _text(own, "rootless_storage_path")
        or _text(system, "rootless_storage_path")
        or _below(user.home, USER_STORE)
    )
    run = _text(own, "runroot") or _run(user)
    return Roots(_absolute(graph, user), _absolute(run, user), user.uid)


def _storage(places: Places, path: str) -> Mapping[str, Any]:
    text = places.text(path) if path else None
    table = parse_toml(path, text).get("storage") if text else None
    return table if isinstance(table, dict) else {}


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    return value if isinstance(value, str) else ""


def _absolute(path: str, user: User) -> str:
    known = {"HOME": user.home, "UID": str(user.uid), "USER": user.name, "EUID": str(user.uid)}
    expanded = _VARIABLE.sub(lambda found: known.get(found[1] or found[2], found[0]), path)
    if not expanded.startswith("/") or "$" in expanded or ":" in expanded or "\n" in expanded:
        raise Unknown(f"where Podman of {user.name} keeps its containers is not clear: {path!r}")
    return posixpath.normpath(expanded)


def _below(home: str, path: str) -> str:
    return f"{home.rstrip('/')}/{path}"


def _run(user: User) -> str:
    return ROOT_RUN if user.uid == 0 else f"/run/user/{user.uid}/containers"


def libraries(places: Places, where: Roots) -> tuple[str, ...]:
    """Return the further stores from which a store's user has images read: the one that images
    are kept in apart from containers (``imagestore``), and the additional ones.

    :raises Unknown: a storage.conf cannot be read, or names no absolute path.
    """
    user = User(f"uid {where.uid}", where.uid, where.uid, "$" if where.uid else "/root", "")
    table = _storage(places, next((each for each in SYSTEM_FILES if each in places.files), ""))
    if where.uid:
        own = [path for path in places.files if path.endswith(f"/{USER_CONFIG}/storage.conf")]
        homes = [path for path in own if places.owners.get(path) == where.uid]
        table = _storage(places, homes[0]) if homes else table
    options = table.get("options")
    options = options if isinstance(options, dict) else {}
    more = options.get("additionalimagestores")
    more = more if isinstance(more, list) else []
    found = [table.get("imagestore"), options.get("imagestore"), *more]
    named = (each for each in found if isinstance(each, str) and each)
    return tuple(dict.fromkeys(_absolute(each, user) for each in named))
