"""Jenkins controllers: their homes, settings and secrets."""

# Importing a module registers what it provides.
from hullcheck.facts.jenkins import controller

__all__ = ["controller"]
