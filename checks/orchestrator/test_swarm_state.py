"""What of a swarm's state lies on the disks of its nodes."""

from __future__ import annotations

from collections.abc import Iterable

from hullcheck.control import Unknown, control, expect
from hullcheck.facts.swarm import Swarm

CLEAR = ("raft/wal", "raft/snap", "raft/wal-v3", "raft/snap-v3")
"""Logs and snapshots as Docker 1.12 wrote them, in the clear (swarmkit, raft/storage)."""

CERTIFICATES = "certificates/"
OWN = frozenset({"swarm-node.crt", "swarm-node.key", "swarm-root-ca.crt"})
PASSING = (".tmp", ".json")
"""What is written before it takes a file's place."""


@control(
    title="Nodes of a swarm keep no old copies of its secrets and keys",
    severity="medium",
    fix="docker swarm update --max-snapshots 0 on a manager; on the node, delete what is named, "
    "below swarm in the engine's data root.",
)
def test_swarm_old_state(swarm: Swarm) -> None:
    """Snapshots that are kept hold secrets that were replaced or taken back. The first swarms wrote
    their state in the clear, and the authority's key to every manager's disk; a copy of a node's
    key that somebody made is as good as the node, and no lock changes it. A worker has no such
    state unless it was a manager and did not clean up."""
    swarm.need_active()
    kept = set(swarm.kept)
    expect(sorted(_old(kept)), equals=[], what="old copies below swarm")
    expect(swarm.copies, equals=[], what="copies of the whole beside it")
    if not swarm.manager:
        left = sorted(each for each in kept if each.startswith("raft/"))
        expect(left, equals=[], what="a manager's state on a worker")
        return
    group = (swarm.cluster.get("Spec") or {}).get("Raft")
    if group is None:
        raise Unknown(f"{swarm.engine} does not tell how many snapshots its swarm keeps")
    expect(group.get("KeepOldSnapshots") or 0, equals=0, what="old snapshots that are kept")


def _old(kept: Iterable[str]) -> Iterable[str]:
    for each in kept:
        name = each.removeprefix(CERTIFICATES)
        if each in CLEAR or (name != each and name not in OWN and not name.endswith(PASSING)):
            yield each
