"""What single subjects add to the hosts that recordings are taken from.

A module here has functions named after scenes of ``scenes.py``, with a dash as ``_``; each is
called with the started host, in the order of the modules' names, before it is recorded.
"""

from __future__ import annotations

import importlib
import pkgutil

from tests.live.hosts.overlay import OverlayHost

__all__ = ["add_parts"]


def add_parts(host: OverlayHost, scene: str) -> None:
    """Let every module add to a host what it has for that scene."""
    for found in sorted(pkgutil.iter_modules(__path__), key=lambda each: each.name):
        module = importlib.import_module(f"{__name__}.{found.name}")
        add = getattr(module, scene.replace("-", "_"), None)
        if add is not None:
            add(host)
