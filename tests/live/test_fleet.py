"""A fleet in trouble: 20 hosts of which nine turn bad in one run, and an auditor that is killed."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.proxy import delayed
from tests.fleet.fleet import Fault, Fleet, Member
from tests.live.hosts.overlay import OverlayHost
from tests.live.sshd import keygen, public

pytestmark = pytest.mark.live

CONTROLS = (
    "host.homes", "host.sudo-files", "host.separate-partitions", "host.uid-zero", "host.aslr",
    "host.empty-passwords", "host.trusted-hosts",
)  # fmt: skip

HOST_SECONDS = 15
RUN_SECONDS = 50
"""Far more than a host may take, on a busy machine; far less than what hangs would take."""

Verdicts = dict[str, dict[str, str]]
"""host -> {control: the whole verdict, as it stands in the run}"""


class Outcome:
    """What is left of an audit: its run directory, and how long it took."""

    def __init__(self, directory: Path, seconds: float = 0.0, code: int = 0) -> None:
        self.seconds, self.code = seconds, code
        self.document = json.loads((directory / "run.json").read_text())
        self.hosts: dict[str, dict[str, Any]] = {
            each["name"]: each for each in self.document["hosts"]
        }
        assert len(self.hosts) == len(self.document["hosts"]), "a host stands there twice"
        self.verdicts: Verdicts = {}
        for line in (directory / "verdicts.jsonl").read_text().splitlines():
            verdict = json.loads(line)
            judged = self.verdicts.setdefault(verdict["host"], {})
            assert verdict["control"] not in judged, "a control was judged twice"
            judged[verdict["control"]] = line

    def statuses(self, host: str) -> dict[str, str]:
        """Return the status of each control on a host."""
        judged = self.verdicts.get(host, {})
        return {control: json.loads(line)["status"] for control, line in judged.items()}


def command(*args: object) -> list[str]:
    """Return an audit's command line, of a few controls unless it goes on with a run."""
    few = () if "--resume" in args else (f"--control={each}" for each in CONTROLS)
    return [sys.executable, "-m", "hullcheck", "audit", *map(str, args), *few]


def audit(directory: Path, *args: object) -> Outcome:
    """Audit to the end."""
    begun = time.monotonic()
    done = subprocess.run(
        command(*args, "--report-dir", directory), capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    seconds = time.monotonic() - begun
    assert done.returncode in (0, 1, 3), done.stderr
    return Outcome(directory, seconds, done.returncode)


class Hosts:
    """Twenty overlay hosts by name, how they are reached, and the faults of some."""

    def __init__(self, folder: Path, hosts: dict[str, OverlayHost], cleanup: ExitStack) -> None:
        self.folder, self.by_name, self._cleanup = folder, hosts, cleanup
        self._inventory: dict[str, dict[str, Any]] = {
            name: {"ssh_config": str(host.ssh_config)} for name, host in hosts.items()
        }
        self["nosudo"].add_user("ann", sudo=True)
        self._inventory["nosudo"] |= {"user": "ann", "sudo": True}

    def __getitem__(self, name: str) -> OverlayHost:
        return self.by_name[name]

    @property
    def inventory(self) -> Path:
        """An inventory of them as they are reached now."""
        file = self.folder / "inventory.yml"
        file.write_text(yaml.safe_dump({"hosts": self._inventory}))
        return file

    def tool(self, name: str, path: str, script: str) -> None:
        """Put a program in the place of one that the audit calls."""
        self[name].run(f"rm -f {path}")
        self[name].write(path, f"#!/bin/sh\n{script}\n", 0o755)

    def delay(self, name: str, seconds: float) -> None:
        """Move a host far away."""
        host = self[name]
        port = self._cleanup.enter_context(delayed(host.address, host.port, seconds))
        self._configure(name, host.ssh_config.read_text().replace(
            f"HostName {host.address}\n    Port {host.port}",
            f"HostName 127.0.0.1\n    Port {port}\n    HostKeyAlias [{host.address}]:{host.port}",
        ))  # fmt: skip

    def forge(self, name: str) -> None:
        """Let the auditor know another key of a host than its own."""
        host = self[name]
        forged = self.folder / f"known-{name}"
        forged.write_text(f"[{host.address}]:{host.port} {public(keygen(self.folder / name))}\n")
        text = host.ssh_config.read_text().replace(str(host.known_hosts), str(forged))
        self._configure(name, text)

    def babble(self, name: str) -> None:
        """Put a server in a host's place that greets without end."""
        fleet = self._cleanup.enter_context(
            Fleet(self.folder / "babble", {name: Member("bare", Fault(babble=True))})
        )
        self._inventory[name]["ssh_config"] = str(fleet.ssh_config)

    def _configure(self, name: str, ssh_config: str) -> None:
        file = self.folder / f"config-{name}"
        file.write_text(ssh_config)
        self._inventory[name]["ssh_config"] = str(file)


def fill(host: OverlayHost) -> None:
    """Leave a host's disk no byte: its overlay's writable side is a tmpfs, seen from outside."""
    base = f"{host.state}/ns"
    outside = ["nsenter", "-t", str(host.outer), "-m", "--"]
    used = subprocess.run(
        [*outside, "df", "--output=used", "-k", base], check=True, capture_output=True, text=True
    ).stdout.split()[1]
    size = f"remount,size={int(used) + 64}k"
    subprocess.run([*outside, "mount", "-o", size, base], check=True)
    host.run("cat /dev/zero >/var/full", check=False)
    assert host.run("echo x >>/var/more", check=False).returncode


REKEY = """\
rm /etc/ssh/ssh_host_ed25519_key
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
kill -HUP 1; sleep 0.3
kill -9 $(pidof sshd | tr ' ' '\\n' | grep -vx 1)
sleep 600"""

FLOOD = """\
if [ "$1" = group ]; then yes >&2 & exec yes; fi
cat /etc/passwd"""

FAULTS: dict[str, Callable[[Hosts], object]] = {
    "killed": lambda hosts: hosts.tool(
        "killed", "/usr/bin/getfacl", "sleep 0.3; kill $(pidof sshd); sleep 600"
    ),
    "rekeyed": lambda hosts: hosts.tool("rekeyed", "/usr/bin/getfacl", REKEY),
    "hung": lambda hosts: hosts.tool("hung", "/usr/bin/getfacl", "kill -STOP $$"),
    "flood": lambda hosts: hosts.tool("flood", "/usr/bin/getent", FLOOD),
    "noisy": lambda hosts: hosts["noisy"].write("/root/.bashrc", "yes >&2 & yes\n"),
    "babbler": lambda hosts: hosts.babble("babbler"),
    "forged": lambda hosts: hosts.forge("forged"),
    "nosudo": lambda hosts: hosts["nosudo"].run("rm /etc/sudoers.d/ann"),
    "dead": lambda hosts: hosts["dead"].run("kill 1", check=False),
}
SOUND: dict[str, Callable[[Hosts], object]] = {
    "slow": lambda hosts: hosts.delay("slow", 0.2),
    "full": lambda hosts: fill(hosts["full"]),
}
HEALTHY = [f"sound{number}" for number in range(1, 10)]
NAMES = [*HEALTHY, *SOUND, *FAULTS]

SAID = {
    "killed": ("partial", "connection lost"),
    "rekeyed": ("partial", "connection lost"),
    "hung": ("partial", f"took more than {HOST_SECONDS} s"),
    "flood": ("audited", ""),
    "noisy": ("unreachable", "did not run /bin/sh -s"),
    "babbler": ("unreachable", "broke off before keys were agreed on"),
    "forged": ("unreachable", "host key"),
    "nosudo": ("unreachable", "sudo"),
    "dead": ("unreachable", "refused the connection"),
}


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    with ExitStack() as cleanup, ThreadPoolExecutor(4) as pool:
        starting = {name: pool.submit(OverlayHost, name) for name in NAMES}
        try:
            made = {name: each.result() for name, each in starting.items()}
            yield Hosts(tmp_path_factory.mktemp("fleet"), made, cleanup)
        finally:
            begun = [each.result() for each in starting.values() if not each.exception()]
            list(pool.map(OverlayHost.close, begun))


@pytest.fixture(scope="module")
def runs(hosts: Hosts, tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Outcome]:
    """An undisturbed run, and one with every fault."""
    folder = tmp_path_factory.mktemp("runs")
    before = audit(folder / "before", "-i", hosts.inventory)
    for spoil in (*SOUND.values(), *FAULTS.values()):
        spoil(hosts)
    during = audit(folder / "during", "-i", hosts.inventory, "--host-timeout", HOST_SECONDS)
    return before, during


def test_before_any_fault_all_is_well(runs: tuple[Outcome, Outcome]) -> None:
    before, _ = runs
    assert {host: each["status"] for host, each in before.hosts.items()} == dict.fromkeys(
        NAMES, "audited"
    )
    assert before.verdicts.keys() == set(NAMES)
    assert all(judged.keys() == set(CONTROLS) for judged in before.verdicts.values())


@pytest.mark.parametrize("name", [*HEALTHY, *SOUND])
def test_a_sound_host_is_judged_as_if_it_were_alone(
    runs: tuple[Outcome, Outcome], name: str
) -> None:
    before, during = runs
    assert during.hosts[name]["status"] == "audited"
    assert during.verdicts[name] == before.verdicts[name]


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_host_is_said_to_be_what_it_is(runs: tuple[Outcome, Outcome], name: str) -> None:
    before, during = runs
    status, why = SAID[name]
    host = during.hosts[name]
    assert host["status"] == status, host
    assert why in host["reason"]
    judged, expected = during.statuses(name), before.statuses(name)
    if name == "flood":
        assert "gave more than" in during.verdicts[name]["host.sudo-files"]
    if status == "unreachable":
        assert not judged
    else:
        assert "unknown" in judged.values()
        assert {control: expected[control] for control in judged} == {
            control: expected[control] if each == "unknown" else each
            for control, each in judged.items()
        }


def test_the_run_ends_in_time_and_says_that_something_is_wrong(
    runs: tuple[Outcome, Outcome],
) -> None:
    _, during = runs
    assert during.document["run"]["finished"]
    assert during.seconds < RUN_SECONDS
    assert during.code == 1


FLEET = {f"h{number:02}": Member("bare", Fault(delay=0.02)) for number in range(30)}


def finished(directory: Path) -> dict[str, bytes]:
    """Return the hosts that an interrupted run has finished, and their recordings."""
    try:
        lines = (directory / "hosts.jsonl").read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return {}
    names = [json.loads(line)["name"] for line in lines if line.endswith("\n")]
    return {name: (directory / f"evidence/{name}.jsonl.gz").read_bytes() for name in names}


def children(pid: int) -> list[int]:
    """Return the child processes of a process."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += map(int, task.read_text().split())
    return found


def gone(pids: Iterable[int]) -> bool:
    """Say whether no such process runs, a zombie aside."""
    stats = [Path(f"/proc/{pid}/stat") for pid in pids]
    return all(not each.exists() or ") Z " in each.read_text() for each in stats)


def wait(ready: Callable[[], object], what: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"{what}: not within {seconds:g} s"
        time.sleep(0.01)


def test_a_killed_auditor_goes_on_where_it_was(tmp_path: Path) -> None:
    directory = tmp_path / "killed"
    with Fleet(tmp_path / "fleet", FLEET) as fleet:
        few = ("--concurrency", 4, "--workers", "processes")
        undisturbed = audit(tmp_path / "whole", "-i", fleet.inventory, *few)
        argv = command("-i", fleet.inventory, "--report-dir", directory, *few)
        with (tmp_path / "log").open("wb") as log:
            auditor = subprocess.Popen(argv, stdout=log, stderr=log)
        try:
            wait(lambda: len(finished(directory)) >= 5, shlex.join(argv))
            helpers = children(auditor.pid)
        finally:
            auditor.send_signal(signal.SIGKILL)
            auditor.wait()
        wait(lambda: gone(helpers), "what the auditor had started ends")
        before = finished(directory)
        assert 5 <= len(before) < len(FLEET)
        assert not json.loads((directory / "run.json").read_text())["run"]["finished"]
        with (directory / "verdicts.jsonl").open("ab") as verdicts:
            verdicts.write(b'{"host": "h29", "control": "host.al')  # the last write was cut short
        done = subprocess.run(
            command("--resume", directory), capture_output=True, text=True, check=False, timeout=60
        )
    assert done.returncode == undisturbed.code, done.stderr
    resumed = Outcome(directory)
    assert resumed.verdicts == undisturbed.verdicts
    assert set(resumed.hosts) == set(FLEET)
    assert resumed.document["run"]["finished"]
    assert resumed.document["totals"] == undisturbed.document["totals"]
    kept = {name: (directory / f"evidence/{name}.jsonl.gz").read_bytes() for name in before}
    assert kept == before, "a host that was finished has been audited again"
    assert not [name for name in before if f"{name}:" in done.stderr]
    assert (directory / "SHA256SUMS").exists()
