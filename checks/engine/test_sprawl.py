"""What piles up on an engine and is used no more."""

from datetime import datetime, timedelta
from typing import Any

from hullcheck.control import Unknown, control, expect
from hullcheck.facts.docker import DockerEngine
from hullcheck.facts.images import UNDATED, ImageStore, moment
from hullcheck.inventory.policy import Policy

NAMED = 20
"""How many things a finding names; it counts all."""


@control(
    title="Images do not pile up on an engine",
    severity="low",
    fix="Remove what no container uses (docker or podman image prune, or -a for all), and let a "
    "timer do so; the policy's maximum_unused_images says how many may stay.",
)
def test_image_sprawl(image_store: ImageStore, policy: Policy) -> None:
    """Every image that lies about can be started by mistake, with all flaws it had when it was
    fetched; a replaced one without a name, most of all. They fill the disk besides."""
    unused = [each for each in image_store.images if not each.containers]
    nameless = [each for each in unused if not each.tags and not each.digests]
    what = f"images that no container uses ({len(nameless)} of them replaced and without a name)"
    if not expect(len(unused), at_most=policy.maximum_unused_images, what=what):
        oldest = sorted(unused, key=lambda each: (each.created or UNDATED, each.name))
        expect([str(each) for each in oldest[:NAMED]], equals=[], what="the oldest of them")


@control(
    title="Containers that have ended do not pile up on an engine",
    severity="low",
    fix="Remove them (docker container prune), and run what runs once with --rm; the policy's "
    "maximum_stopped_containers and maximum_stopped_age say what may stay.",
)
def test_container_sprawl(docker: DockerEngine, policy: Policy, started: datetime) -> None:
    """A stopped container keeps its files, with whatever secrets it wrote, and docker start brings
    it back, old image and old rights and all. Among many, nobody notices one that does not
    belong there."""
    stopped = [each for each in docker.containers() if not _runs(each)]
    expect(
        len(stopped), at_most=policy.maximum_stopped_containers, what="containers that do not run"
    )
    limit = timedelta(days=policy.maximum_stopped_age)
    old = sorted(_name(each) for each in stopped if started - _ended(each) > limit)
    expect(old, equals=[], what=f"ended more than {policy.maximum_stopped_age} days ago")


def _runs(inspect: dict[str, Any]) -> bool:
    return bool(inspect["State"]["Running"])


def _ended(inspect: dict[str, Any]) -> datetime:
    """Return when a container ended; of one that was never started, when it was created.

    :raises Unknown: its engine does not tell.
    """
    times = (inspect["State"].get("FinishedAt"), inspect.get("Created"))
    found = [when for when in (moment(str(each or "")) for each in times) if when]
    if not found:
        raise Unknown(f"the engine does not tell when container {_name(inspect)} ended")
    return found[0]


def _name(inspect: dict[str, Any]) -> str:
    return str(inspect["Name"]).removeprefix("/")
