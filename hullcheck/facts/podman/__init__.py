"""Podman, of root and of every user: what it keeps, and what it is set to, from files alone.

podman itself is never run: it writes locks and state.
"""

# Importing a module registers what it provides.
from hullcheck.facts.podman import places, store  # noqa: F401
