"""Build agents one by one, for controls that judge each."""

from __future__ import annotations

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.build_agents import BuildAgent
from hullcheck.facts.registry import get, provide_each
from hullcheck.transport import session_of, want

__all__ = ["OTHERS", "build_agent", "directory"]

OTHERS = {
    "gitlab-runner": "gitlab-runner hands jobs to containers or to another user",
    "drone": "Drone's runner starts containers for jobs",
    "woodpecker": "Woodpecker's agent starts containers for jobs",
    "woodpecker-server": "Woodpecker's server runs no jobs",
    "buildkit": "BuildKit runs steps in namespaces of their own",
}
"""Agents whose jobs do not run as their own user; controls of their own judge them."""


def directory(agent: BuildAgent) -> str:
    """Return the directory that an agent is in, as it sees it. :raises Unknown: denied."""
    asked = want(f"readlink -nv /proc/{agent.process.pid}/cwd", meaning=(0, 1))
    answer = session_of(agent.host).ask(asked)[0]
    if answer.exit or not answer.text.startswith("/"):
        raise Unknown(f"the directory of {agent} cannot be seen; it needs root")
    return answer.text


@provide_each
def build_agent(host: Host) -> list[BuildAgent]:
    """Each build agent or controller that runs."""
    found: list[BuildAgent] = get(host, "build_agents")
    return found
