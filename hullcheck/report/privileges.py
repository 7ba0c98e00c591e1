"""Which controls need root, as measured: each recorded host was audited as root and as an
ordinary user, and ``privileges.yaml`` keeps what became of each control.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from hullcheck.control import Control
from hullcheck.inventory.document import load

__all__ = ["FILE", "Need", "needs", "privileges_table"]

FILE = Path(__file__).parents[1] / "privileges.yaml"

ANYBODY, SOME, ROOT = "anybody", "root for some", "root"
TOLD = {
    ANYBODY: "decided for any user who can log in",
    SOME: "decided for any user on some hosts, or for some of the objects",
    ROOT: "decided only for root: log in as root, or use --sudo",
}


@dataclass(frozen=True, slots=True)
class Need:
    """What a control needs: one of the keys of TOLD, and what was missing without it."""

    who: str
    why: str = ""


def needs(path: Path = FILE) -> dict[str, Need]:
    """Return what each control needs. :raises DocumentError: the file is wrong."""
    found = {}
    for name, node in load(path).keys().items():
        keys = node.keys(("who", "why"))
        why = keys["why"].text() if "why" in keys else ""
        found[name] = Need(keys["who"].one_of(tuple(TOLD)), why)
    return found


def privileges_table(controls: Mapping[str, Control], known: Mapping[str, Need]) -> str:
    """Return what each control needs, and how many need it; one not measured counts as root's."""
    given = {name: known.get(name, Need(ROOT, "not measured")) for name in controls}
    rows = [[name, need.who, need.why] for name, need in given.items()]
    table = tabulate(rows, ["control", "needs", "what is missing without"], "simple",
                     maxcolwidths=[None, None, 70])  # fmt: skip
    counts = Counter(each.who for each in given.values())
    told = [f"{counts[who]:4} {what}" for who, what in TOLD.items()]
    return "\n".join([table, "", *told])
