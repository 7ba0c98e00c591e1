"""How a swarm is run: by whom, over which interfaces, with how many managers."""

from __future__ import annotations

from typing import Any

from hullcheck.control import Manual, NotApplicable, control, expect
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.docker import DockerEngine
from hullcheck.facts.engine_files import EngineFile
from hullcheck.facts.swarm import Swarm
from hullcheck.inventory.policy import Policy

from ..engine.ownership import expect_mode, expect_owner

COUNTS = (1, 3, 5, 7)
"""Managers among whom there is a majority without waste; beyond seven each more only slows
agreement (Docker's guide to administering swarms, on raft). One survives no loss."""


@control(
    title="The engine is in a swarm only where one is meant to be",
    severity="medium",
    fix="docker swarm leave (--force on the last manager); or set swarm: true in the policy.",
)
def test_swarm_use(docker: DockerEngine, policy: Policy) -> None:
    """A swarm opens ports of its own, and whoever manages it starts containers on every node. One
    with no other node and no service serves nobody. Whether one that is used was meant to be, only
    the site can say: an intruder's looks the same."""
    swarm = Swarm(docker)
    if policy.swarm is False or not swarm.inside:
        expect(swarm.state, one_of=("inactive", ""), what="the engine's part in a swarm")
        return
    if policy.swarm:
        expect([swarm.state], without=("inactive",), what="the engine's part in a swarm")
        return
    facts: dict[str, Any] = {"state": swarm.state, "managers known": swarm.managers}
    if swarm.state == "active" and swarm.manager:
        facts |= {"nodes": len(swarm.nodes), "services": len(swarm.services)}
        if len(swarm.nodes) == 1 and not swarm.services:
            expect("unused", equals="used", what="the swarm that the engine manages")
            return
    raise Manual("the policy does not say whether the engine may be in a swarm", facts)


@control(
    title="A swarm has an odd number of managers, few of them, and all answer",
    severity="medium",
    fix="docker node promote or demote until there are 3, 5 or 7 (1, where there are fewer than 3 "
    "nodes), or set swarm_managers in the policy; repair or remove those that do not answer.",
)
def test_swarm_managers(swarm: Swarm, policy: Policy) -> None:
    """Each manager holds all the swarm's secrets and may command every node, so there should be
    few. Too few, or an even number, and the loss of one stops the swarm."""
    managers = [each for each in swarm.nodes if _manages(each)]
    lost = [name_of(each) for each in managers if not _reachable(each)]
    count = len(managers)
    if policy.swarm_managers is not None:
        expect(count, equals=policy.swarm_managers, what="the number of managers")
    else:
        possible = [each for each in COUNTS if each <= len(swarm.nodes)]
        expect(count, one_of=possible[1:] or possible, what="the number of managers")
    expect(lost, equals=[], what="managers that do not answer")


def _manages(node: dict[str, dict[str, str]]) -> bool:
    return bool(node.get("ManagerStatus")) or node["Spec"]["Role"] == "manager"


def _reachable(node: dict[str, dict[str, str]]) -> bool:
    return (node.get("ManagerStatus") or {}).get("Reachability") == "reachable"


def name_of(node: dict[str, dict[str, str]]) -> str:
    """Return a node as a person knows it."""
    return f"{(node.get('Description') or {}).get('Hostname') or 'node'} ({node['ID']})"


@control(
    title="Managers of a swarm run none of its services",
    severity="low",
    level=2,
    fix="docker node update --availability drain NODE, for each manager.",
)
def test_swarm_managers_drained(swarm: Swarm) -> None:
    """A manager holds the keys of the whole swarm: what breaks out of a container there has them.
    Where there are workers, they can do the work."""
    managers = [each for each in swarm.nodes if _manages(each)]
    if len(managers) == len(swarm.nodes):
        raise NotApplicable("every node of the swarm is a manager")
    working = [name_of(each) for each in managers if each["Spec"]["Availability"] != "drain"]
    expect(working, equals=[], what="managers that take work")


@control(
    title="Only root can replace what an engine keeps of its swarm",
    severity="critical",
    fix="chown -R root:root the directory swarm in the engine's data root (of a rootless engine, "
    "to its user).",
)
def test_swarm_files_owner(swarm_file: EngineFile, accounts: Accounts) -> None:
    """The directory holds the node's identity and, on a manager, the swarm's whole state, secrets
    included. Its owner is the swarm's owner."""
    expect_owner(swarm_file, accounts)


@control(
    title="Nobody but root can read what an engine keeps of its swarm",
    severity="critical",
    fix="chmod 0700 the directory swarm in the engine's data root, and 0600 the node's private key "
    "and the state files in it.",
)
def test_swarm_files_mode(swarm_file: EngineFile) -> None:
    """With a node's private key anybody is that node, and a manager's opens every secret of the
    swarm, unless managers lock."""
    mask = 0o700 if swarm_file.file.kind == "directory" else 0o600
    expect_mode(swarm_file, mask)
