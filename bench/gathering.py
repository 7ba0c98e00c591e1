"""All controls on one real host: gathered, against plain testinfra over paramiko, in one run.

    make bench                  the table, and bench/results/gathering.json
    make bench ARGS=--zoo       with the 47 containers of four engines of tests/live/hosts/zoo.py

Plain testinfra is its own paramiko backend, one channel a command, given the same controls and
asked each command only once. The host is an overlay host with a live dockerd and containers;
a proxy of our own makes the distance.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tabulate import tabulate

from bench.plain import PlainWire
from bench.proxy import delayed
from hullcheck.catalogue import all_controls
from hullcheck.control import Control
from hullcheck.judge import Site, gather, judge
from hullcheck.run.replay import rejudge
from hullcheck.transport import Session, host_of, session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from hullcheck.verdict import Verdict
from tests.live.hosts.docker import DockerHost
from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.population import populate
from tests.live.hosts.zoo import zoo

CONTROLS = list(all_controls().values())
SITE = Site("bench", started=datetime(2026, 1, 1, tzinfo=UTC))


def gathered(
    ssh_config: Path, controls: Sequence[Control] = CONTROLS
) -> tuple[list[Verdict], Session]:
    """Audit as Hullcheck does, connection included."""
    host = connect(replace(parse_spec("paramiko://bench"), ssh_config=ssh_config))
    gather(controls, host, SITE)
    verdicts = [judge(each, host, SITE) for each in controls]
    session_of(host).close()
    return verdicts, session_of(host)


def plain(
    ssh_config: Path, controls: Sequence[Control] = CONTROLS
) -> tuple[list[Verdict], Session]:
    """Audit through plain testinfra, connection included."""
    session = Session(PlainWire("bench", ssh_config))
    host = host_of(session, "bench", "paramiko")
    verdicts = [judge(each, host, SITE) for each in controls]
    session.close()
    return verdicts, session


@contextmanager
def through(host: OverlayHost, round_trip: float, folder: Path) -> Iterator[Path]:
    """Give an ssh_config that leads to a host over a way of this length."""
    with delayed(host.address, host.port, round_trip) as port:
        text = host.ssh_config.read_text().replace(f"Host {host.name}", "Host bench")
        lines = [
            line for line in text.splitlines() if line.split()[:1] not in (["HostName"], ["Port"])
        ]
        config = folder / "bench_config"
        config.write_text(
            "\n".join(lines) + f"\n  HostName 127.0.0.1\n  Port {port}\n"
            f"  HostKeyAlias [{host.address}]:{host.port}\n"
        )
        yield config


def clocked(run: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that something took, and what it gave."""
    begun = time.perf_counter()
    given = run()
    return time.perf_counter() - begun, given


def cost(host: DockerHost) -> tuple[float, int]:
    """Return CPU seconds of sshd's finished children, and the last process number, on a host.

    Waits until no connection is left, because only then are its children accounted for.
    """
    script = """
        while [ -n "$(cat /proc/1/task/1/children | xargs -rn1 sh -c \
            'grep -l ^sshd /proc/$0/comm 2>/dev/null')" ]; do sleep 0.02; done
        sed 's/.*) //' /proc/1/stat | { read -r line; set -- $line; echo $((${14} + ${15})); }
        cut -d' ' -f5 /proc/loadavg"""
    ticks, last = host.run(script).stdout.split()
    return int(ticks) / 100, int(last)


def measured(host: DockerHost, run: Callable[[], Any]) -> tuple[float, int, Any]:
    """Return what something cost a host: CPU seconds and processes."""
    before = cost(host)
    given = run()
    own = cost(host)
    after = cost(host)
    measuring = after[1] - own[1]
    return own[0] - before[0], own[1] - before[1] - measuring, given


@contextmanager
def few(host: DockerHost) -> Iterator[None]:
    """Give a host the four containers of the population."""
    populate(host)
    yield


@contextmanager
def many(host: DockerHost) -> Iterator[None]:
    """Give a host the zoo."""
    with zoo(host):
        yield


def main() -> None:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--round-trips", default="0,50,200", help="milliseconds, comma separated")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--zoo", action="store_true", help="many containers of many engines")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    name = "gathering-zoo" if options.zoo else "gathering"
    out = options.out or Path(f"bench/results/{name}.json")
    figures: dict[str, Any] = {"controls": len(CONTROLS), "wall": {}}
    with DockerHost("bench1") as host, many(host) if options.zoo else few(host):
        for delay in map(int, options.round_trips.split(",")):
            with through(host, delay / 1000, host.state) as config:
                ours = [clocked(lambda: gathered(config)) for _ in range(options.repeat)]
                slow, (verdicts, session) = clocked(lambda: plain(config))
            seconds = statistics.median(each[0] for each in ours)
            figures["wall"][str(delay)] = {
                "gathered": round(seconds, 3),
                "plain": round(slow, 3),
                "ratio": round(slow / seconds, 1),
            }
            figures |= {
                "commands": len(session.recording),
                "rounds": ours[0][1][1].rounds,
                "late": ours[0][1][1].late,
                "same verdicts": statuses(verdicts) == statuses(ours[0][1][0]),
            }
            print(f"{delay} ms: {seconds:.2f} s against {slow:.2f} s", file=sys.stderr)
        with through(host, 0, host.state) as config:
            cpu, processes, _ = measured(host, lambda: gathered(config))
            plain_cpu, plain_processes, _ = measured(host, lambda: plain(config))
        figures["host"] = {
            "cpu": [round(cpu, 2), round(plain_cpu, 2)],
            "processes": [processes, plain_processes],
        }
        recording = ours[0][1][1].recording
    figures["trips"] = slope(
        {int(key): value["gathered"] for key, value in figures["wall"].items()}
    )
    taken, _ = clocked(lambda: [rejudge(recording, CONTROLS, SITE, ()) for _ in range(20)])
    figures["replayed hosts per second"] = round(20 / taken, 1)
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(figures, indent=1) + "\n")
    print(table(figures))


def statuses(verdicts: Sequence[Verdict]) -> dict[str, str]:
    """Return the status of each control."""
    return {each.control: str(each.status) for each in verdicts}


def slope(wall: dict[int, float]) -> float:
    """Return the round trips paid: seconds more per second of delay more, least squares."""
    delays = [each / 1000 for each in wall]
    if len(delays) < 2:
        return 0.0
    return round(statistics.linear_regression(delays, list(wall.values())).slope, 1)


def table(figures: dict[str, Any]) -> str:
    """Return the figures as a person reads them."""
    rows = [
        [
            f"wall at {delay} ms",
            f"{each['gathered']:.2f} s",
            f"{each['plain']:.2f} s",
            f"{each['ratio']:.1f}x",
        ]
        for delay, each in figures["wall"].items()
    ]
    for what, (ours, theirs) in figures["host"].items():
        rows.append([f"{what} on the host", ours, theirs, f"1/{theirs / max(ours, 0.01):.1f}"])
    head = [f"{figures['controls']} controls", "gathered", "plain testinfra", "ratio"]
    return (
        f"{tabulate(rows, head, 'github', disable_numparse=True)}\n\n"
        f"round trips paid: {figures['trips']}; rounds: {figures['rounds']}, of them late: "
        f"{figures['late']}; commands: {figures['commands']}; "
        f"same verdicts: {figures['same verdicts']}; "
        f"replayed: {figures['replayed hosts per second']} hosts/s on one core"
    )


if __name__ == "__main__":
    main()
