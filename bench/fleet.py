"""A fleet on loopback: what auditing 10, 100 and 1,000 hosts takes, all controls, in one run.

    make bench-fleet                                  the table, and bench/results/fleet.json
    make bench-fleet ARGS='--hosts 10,100 --no-peer'
    make bench-fleet ARGS='--workers threads,processes --hosts 100 --no-peer'

The hosts are one process of the test suite (tests/fleet) that answers from a recording, on the
same processors as the auditor: on a real network these are all the auditor's. `hullcheck audit`
runs as a process of its own, with an inventory, a known_hosts line and an ssh_config block for
each host. The peer is plain testinfra under pytest-xdist, given the same controls, asking each
command once and one by one, on a few hosts of the same server.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

from tabulate import tabulate

from bench.processes import Cost, measured
from hullcheck.catalogue import all_controls
from hullcheck.run.directory import read_document
from tests.fleet.fleet import Fleet, Member

PEER = Path("bench/peer")


def audited(count: int, recording: str, extra: list[str]) -> dict[str, Any]:
    """Audit so many hosts; return what it cost, and whether the run is whole."""
    members = {f"h{number:05}": Member(recording) for number in range(1, count + 1)}
    with tempfile.TemporaryDirectory(prefix="bench-fleet-") as name:
        folder = Path(name)
        with Fleet(folder / "fleet", members) as fleet:
            argv = [sys.executable, "-m", "hullcheck", "audit", "-i", str(fleet.inventory)]
            argv += ["--report-dir", str(folder / "run"), *extra]
            before = fleet.cpu()
            cost = measured(argv, folder / "log")
            served = fleet.cpu() - before
        if cost.code not in (0, 1, 3):
            raise SystemExit(f"{' '.join(argv)}:\n{(folder / 'log').read_text()[-2000:]}")
        return row(cost, count, served) | {"whole": whole(folder / "run", count)}


def row(cost: Cost, count: int, served: float) -> dict[str, Any]:
    """Return the figures of one size."""
    return {
        "hosts": count,
        "wall": round(cost.wall, 2),
        "hosts per second": round(count / cost.wall, 2),
        "cpu per host": round(cost.cpu / count, 3),
        "server cpu per host": round(served / count, 3),
        "memory": round(cost.memory),
        "highest": [round(each) for each in cost.highest],
    }


def whole(run: Path, count: int) -> bool:
    """Say whether every host was audited, and every control judged once on each."""
    document = read_document(run)
    statuses = Counter(each["status"] for each in document["hosts"])
    with (run / "verdicts.jsonl").open(encoding="utf-8") as lines:
        verdicts = Counter(json.loads(line)["host"] for line in lines)
    every = len(document["controls"])
    return (
        statuses == {"audited": count}
        and len(verdicts) == count
        and set(verdicts.values()) == {every}
        and document["run"]["finished"] is not None
    )


def peer(count: int, recording: str, workers: int) -> dict[str, Any]:
    """Audit so many hosts with plain testinfra and pytest-xdist."""
    members = {f"h{number:05}": Member(recording) for number in range(1, count + 1)}
    with tempfile.TemporaryDirectory(prefix="bench-fleet-") as name:
        folder = Path(name)
        with Fleet(folder / "fleet", members) as fleet:
            os.environ["BENCH_HOSTS"] = " ".join(members)
            os.environ["BENCH_SSH_CONFIG"] = str(fleet.ssh_config)
            argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:hullcheck.plugin"]
            argv += ["-p", "no:cacheprovider", f"--confcutdir={PEER}", str(PEER)]
            before = fleet.cpu()
            cost = measured([*argv, "-n", str(workers), "--dist", "loadgroup"], folder / "log")
            served = fleet.cpu() - before
        said = (folder / "log").read_text()
        if cost.code or f"{count * len(all_controls())} passed" not in said:
            raise SystemExit(f"the peer: {said[-2000:]}")
        return row(cost, count, served) | {"workers": workers}


def growth(rows: list[dict[str, Any]]) -> list[str]:
    """Return what each host more costs, from one size to the next."""
    lines = []
    for one, other in pairwise(rows):
        more = other["hosts"] - one["hosts"]
        if more > 0:
            wall = (other["wall"] - one["wall"]) / more
            memory = (other["memory"] - one["memory"]) / more
            lines.append(
                f"from {one['hosts']} to {other['hosts']}: {wall:.3f} s and "
                f"{memory * 1000:.0f} KB for each host more"
            )
    return lines


def table(figures: dict[str, Any]) -> str:
    """Return the figures as a person reads them."""
    every = [*figures["audits"], *([figures["peer"]] if figures.get("peer") else [])]
    rows = [
        [
            each["hosts"],
            each["how"],
            f"{each['wall']:.1f} s",
            f"{each['hosts per second']:.2f}",
            f"{each['cpu per host']:.3f} s",
            f"{each['server cpu per host']:.3f} s",
            f"{each['memory']} MB",
            highest(each["highest"]),
            {True: "yes", False: "NO"}.get(each.get("whole"), ""),
        ]
        for each in every
    ]
    head = ["hosts", "how", "wall", "hosts/s", "CPU/host", "server's", "memory", "highest (MB)",
            "whole"]  # fmt: skip
    lines = [tabulate(rows, head, "github", disable_numparse=True), "", *figures["growth"]]
    if "ratio" in figures:
        lines.append(f"against plain testinfra: {figures['ratio']}x the hosts per second")
    return "\n".join(lines)


def highest(each: list[int]) -> str:
    """Return the most of each process: the parent's, and the range of its workers'."""
    parent, *workers = each
    if len(workers) < 3:
        return " + ".join(map(str, each))
    return f"{parent} + {len(workers)} of {min(workers)} to {max(workers)}"


def main() -> None:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.fleet", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--hosts", default="10,100,1000", help="how many, comma separated")
    parser.add_argument("--recording", default="plain", help="what they answer from")
    parser.add_argument("--workers", default="", help="threads, processes, or both with a comma")
    parser.add_argument("--peer", type=int, default=20, help="hosts for plain testinfra")
    parser.add_argument("--peer-workers", type=int, default=8, help="pytest -n")
    parser.add_argument("--no-peer", action="store_true", help="do not run plain testinfra")
    parser.add_argument("--out", type=Path, default=Path("bench/results/fleet.json"))
    options, extra = parser.parse_known_args()
    audits: list[dict[str, Any]] = []
    for kind in options.workers.split(","):
        flags = [*extra, *(["--workers", kind] if kind else [])]
        for count in map(int, options.hosts.split(",")):
            found = audited(count, options.recording, flags)
            audits.append({**found, "how": kind or "hullcheck"})
            print(f"{audits[-1]}", file=sys.stderr)
    figures: dict[str, Any] = {
        "controls": len(all_controls()), "recording": options.recording,
        "processors": os.cpu_count(), "audits": audits, "growth": growth(audits),
    }  # fmt: skip
    if not options.no_peer:
        figures["peer"] = peer(options.peer, options.recording, options.peer_workers)
        figures["peer"]["how"] = f"plain testinfra, -n {options.peer_workers}"
        best = max(each["hosts per second"] for each in audits)
        figures["ratio"] = round(best / figures["peer"]["hosts per second"], 1)
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=1) + "\n")
    print(table(figures))


if __name__ == "__main__":
    main()
