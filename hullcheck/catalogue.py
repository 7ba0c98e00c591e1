"""All controls, found by walking the ``checks`` package."""

from __future__ import annotations

import difflib
import functools
import hashlib
import importlib
import inspect
import pkgutil
from collections.abc import Iterable
from types import ModuleType

from hullcheck.control import Control, control_of

__all__ = ["all_controls", "digest", "nearest", "select"]


def _package() -> ModuleType:
    try:
        return importlib.import_module("hullcheck.checks")
    except ModuleNotFoundError:
        return importlib.import_module("checks")


@functools.cache
def all_controls() -> dict[str, Control]:
    """Return every control by its id, in the order of areas, files and lines.

    :raises ValueError: two controls claim one id.
    """
    package = _package()
    found: dict[str, Control] = {}
    for info in sorted(pkgutil.walk_packages(package.__path__, package.__name__ + "."), key=str):
        for thing in vars(importlib.import_module(info.name)).values():
            made = control_of(thing)
            if made is None or made.function.__module__ != info.name:
                continue
            for name in (made.id, *made.aliases):
                if name in found and found[name] is not made:
                    raise ValueError(f"two controls are called {name}")
            found[made.id] = made
    return found


def select(names: Iterable[str]) -> list[Control]:
    """Return the controls with these ids or aliases.

    :raises KeyError: an id that does not exist, with the nearest ones.
    """
    known = {name: each for each in all_controls().values() for name in (each.id, *each.aliases)}
    chosen = []
    for name in names:
        if name not in known:
            raise KeyError(f"there is no control {name!r}{nearest(name, known)}")
        chosen.append(known[name])
    return chosen


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?" with the names nearest to a wrong one, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def digest(controls: Iterable[Control]) -> str:
    """Return a digest of what these controls are and do, for the run's record."""
    hashed = hashlib.sha256()
    for each in sorted(controls, key=lambda each: each.id):
        hashed.update(f"{each.id}\n{inspect.getsource(each.function)}\n".encode())
    return f"sha256:{hashed.hexdigest()}"
