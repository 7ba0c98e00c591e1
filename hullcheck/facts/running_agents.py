"""Build agents one by one, for controls that judge each."""

from __future__ import annotations

from testinfra.host import Host

from hullcheck.facts.build_agents import BuildAgent
from hullcheck.facts.registry import get, provide_each

__all__ = ["build_agent"]


@provide_each
def build_agent(host: Host) -> list[BuildAgent]:
    """Each build agent or controller that runs."""
    found: list[BuildAgent] = get(host, "build_agents")
    return found
