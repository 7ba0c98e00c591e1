"""A control-plane node of Kubernetes, 50 ms away: gathered, against plain testinfra, in one run.

    make bench-kubernetes                              the table, and bench/results/kubernetes.json
    make bench-kubernetes ARGS='--scenes kubeadm-sound,kubeadm-rotten --round-trip 200'

Nodes are those that recordings are taken from (tests/recordings/scenes.py): real files, and real
processes of the right names and command lines. All controls are judged, and those of orchestrator
alone; plain testinfra is given the same, and asked each command only once.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from bench.gathering import CONTROLS, clocked, gathered, plain, statuses, through
from hullcheck.control import Control
from tests.recordings.parts import add_parts
from tests.recordings.scenes import SCENES

KINDS = {
    "all controls": CONTROLS,
    "orchestrator.*": [each for each in CONTROLS if each.area == "orchestrator"],
}


def measured(ssh_config: Path, controls: Sequence[Control], repeat: int) -> dict[str, Any]:
    """Return what an audit of a node takes, the median of some, and what plain testinfra does."""
    ours = [clocked(lambda: gathered(ssh_config, controls)) for _ in range(repeat)]
    slow, (verdicts, told) = clocked(lambda: plain(ssh_config, controls))
    seconds = statistics.median(each[0] for each in ours)
    mine, session = ours[0][1]
    return {
        "controls": len(controls),
        "gathered": round(seconds, 3),
        "plain": round(slow, 3),
        "ratio": round(slow / seconds, 1),
        "rounds": session.rounds,
        "late": session.late,
        "commands": len(session.recording),
        "plain commands": len(told.recording),
        "same verdicts": statuses(mine) == statuses(verdicts),
    }


def of_scene(scene: str, round_trip: float, repeat: int) -> dict[str, Any]:
    """Start a node, and return what its audits take."""
    with SCENES[scene](scene) as host:
        add_parts(host, scene)
        with through(host, round_trip, host.state) as config:
            found = {}
            for kind, controls in KINDS.items():
                found[kind] = measured(config, controls, repeat)
                print(f"{scene}, {kind}: {found[kind]}", file=sys.stderr)
            return found


def main() -> None:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--scenes", default="kubeadm-sound", help="comma separated")
    parser.add_argument("--round-trip", type=int, default=50, help="milliseconds")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("bench/results/kubernetes.json"))
    options = parser.parse_args()
    scenes = options.scenes.split(",")
    strange = [each for each in scenes if each not in SCENES]
    if strange:
        parser.error(f"there is no scene {', '.join(strange)}; there are {', '.join(SCENES)}")
    figures = {
        "round trip": options.round_trip,
        "scenes": {
            scene: of_scene(scene, options.round_trip / 1000, options.repeat) for scene in scenes
        },
    }
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=1) + "\n")
    print(table(figures))


def table(figures: dict[str, Any]) -> str:
    """Return the figures as a person reads them."""
    rows = [
        [
            f"{scene}, {kind} ({each['controls']})",
            f"{each['gathered']:.2f} s",
            f"{each['plain']:.2f} s",
            f"{each['ratio']:.1f}x",
            f"{each['rounds']} ({each['late']} late)",
            each["commands"],
            "yes" if each["same verdicts"] else "no",
        ]
        for scene, kinds in figures["scenes"].items()
        for kind, each in kinds.items()
    ]
    head = [f"at {figures['round trip']} ms", "gathered", "plain testinfra", "ratio", "rounds",
            "commands", "same verdicts"]  # fmt: skip
    return tabulate(rows, head, "github", disable_numparse=True)


if __name__ == "__main__":
    main()
