"""Podman, of root and of every user: what it keeps, and what it is set to, from files alone.

podman itself is never run: it writes locks and state.
"""

# Importing a module registers what it provides.
from hullcheck.facts.podman import places, pullers, quadlets, store, subordinate  # noqa: F401
from hullcheck.facts.podman.engine import Podman
from hullcheck.facts.podman.quadlets import Quadlet

__all__ = ["Podman", "Quadlet"]
