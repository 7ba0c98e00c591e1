"""Containers of every engine and of none; see :class:`Container`."""

from hullcheck.facts.containers.container import Bind, Container
from hullcheck.facts.containers.sources import container, containers

__all__ = ["Bind", "Container", "container", "containers"]
