"""What an engine gives to a container that does not say what it needs."""

from __future__ import annotations

from hullcheck.control import Manual, control, expect
from hullcheck.facts.capabilities import names
from hullcheck.facts.engines import Engine
from hullcheck.facts.machine import Machine
from hullcheck.inventory.policy import Policy

from ..runtime.test_privileges import HARMLESS


@control(
    title="Containers get a limit of processes by default",
    severity="medium",
    level=1,
    fix="Remove pids_limit = 0 or -1 from containers.conf or crio.conf, or set a number that the "
    "host can spare.",
)
def test_default_pids_limit(engine: Engine, machine: Machine) -> None:
    """A fork bomb in a container without a limit takes the host's last process number. A default
    holds for every container whose author did not think of it."""
    limit = engine.default_pids_limit
    if expect(limit.value, at_least=1, what=f"the default limit of processes ({limit.source})"):
        most = machine.pids - 1
        expect(limit.value, at_most=most, what="the default limit of processes")


@control(
    title="Containers get harmless capabilities by default",
    severity="high",
    level=1,
    fix="Remove what is named from default_capabilities in containers.conf or crio.conf, and add "
    "it to the containers that need it.",
)
def test_default_capabilities(engine: Engine, policy: Policy) -> None:
    """What stands in the list, every container has that does not drop it. NET_RAW lets one forge
    packets to its neighbours, and what comes after it hands out parts of the host."""
    told = engine.default_capabilities
    more = names(told.value) - HARMLESS - names(policy.capabilities)
    what = f"default capabilities beyond the harmless ones ({told.source})"
    expect(more, equals=frozenset(), what=what)


@control(
    title="Images from registries are taken with a signature only",
    severity="medium",
    level=2,
    fix='Set "default": [{"type": "reject"}] in the policy.json in use and name, for each '
    "registry, the key that its images are signed with.",
)
def test_signatures(engine: Engine) -> None:
    """Where the policy accepts anything, a registry that was taken over, or whoever is on the path
    to it, decides what runs here. A policy that demands signatures and lets but some repositories
    pass without is a choice that a person should know of."""
    policy = engine.signatures
    expect(list(policy.anywhere), equals=[], what=f"what {policy.path} accepts unsigned")
    if policy.scopes and not policy.anywhere:
        raise Manual(
            f"whether images may come unsigned from {', '.join(policy.scopes)}", list(policy.scopes)
        )
