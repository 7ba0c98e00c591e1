"""Containers are known to those who look after the host."""

from hullcheck.control import Unknown, control, expect
from hullcheck.facts.containers import Container
from hullcheck.inventory.policy import Policy

ASKED = ("docker", "podman", "containerd", "cri-o")
"""Engines that tell of all their containers: what only has a cgroup like theirs is none of them."""


@control(
    title="Every container is known to an engine that the site uses",
    severity="high",
    fix="Find out who started it and end it, or list its engine in the policy's engines.",
)
def test_registered(container: Container, policy: Policy) -> None:
    """What no engine lists, nobody updates, watches or stops: raw runc, another namespace of
    containerd, or namespaces made by hand are how an intruder's container stays out of sight.
    The kernel's cgroups and namespaces show it; the site's list of engines says whose
    containers are meant to be here."""
    if container.fresh and not container.keeper.listed:
        raise Unknown("it was just being started when the engines were asked")
    keeper = container.keeper
    if keeper.away and keeper.kind in (policy.engines or ASKED):
        raise Unknown(keeper.away)
    kind = keeper.kind if keeper.told or keeper.kind not in ASKED else ""
    if policy.engines is not None:
        expect(kind or "nobody", one_of=policy.engines, what="who looks after it")
    else:
        name = keeper.kind or "no engine"
        known = "an engine" if keeper.listed else f"nobody ({name})"
        expect(known, equals="an engine", what="who looks after it")
