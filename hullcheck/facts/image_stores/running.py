"""Whether a container of an engine other than Docker's runs, as the kernel and the engines say."""

from __future__ import annotations

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.containers import Container
from hullcheck.facts.registry import Unseen, get
from hullcheck.transport.backend import session_of

__all__ = ["runs"]


def runs(host: Host, number: str) -> bool:
    """Whether a container runs. :raises Unknown: not all that runs can be seen."""
    running, hidden = session_of(host).recall("running", lambda: _seen(host))
    if number not in running and hidden:
        raise Unknown(hidden)
    return number in running


def _seen(host: Host) -> tuple[frozenset[str], str]:
    """Return the ids of all that runs, and why there may be more."""
    found: list[Container | Unseen] = get(host, "container")
    hidden = [each.reason for each in found if isinstance(each, Unseen) and not each.idle]
    running = (each.id for each in found if isinstance(each, Container) and each.running)
    return frozenset(running), next(iter(hidden), "")
