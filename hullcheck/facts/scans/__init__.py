"""What scanners and builders left on a host about images, and whether it may be believed."""

# Importing a module registers what it provides.
from hullcheck.facts.scans import settings

__all__ = ["settings"]
