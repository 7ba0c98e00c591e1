"""Containers are known to those who look after the host."""

from hullcheck.control import Unknown, control, expect
from hullcheck.facts.containers import Container
from hullcheck.inventory.policy import Policy


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
    kind = container.keeper.kind
    if policy.engines is not None:
        expect(kind or "nobody", one_of=policy.engines, what="who looks after it")
    else:
        known = "an engine" if container.keeper.listed else f"nobody ({kind or 'no engine'})"
        expect(known, equals="an engine", what="who looks after it")
