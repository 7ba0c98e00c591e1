"""Credentials that lie on a host: what of and who reads them, never what they are."""

# Importing a module registers what it provides.
from hullcheck.facts.credentials import files, git, units

__all__ = ["files", "git", "units"]
