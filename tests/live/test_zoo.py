"""Three engines and none, over forty containers, each with one fault or one evasion: every verdict
about them, over both ways of SSH and from the recording, and what the audit leaves untouched."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.hosts import written
from tests.live.hosts.docker import DockerHost
from tests.live.hosts.exhibits import DOCKER, OTHERS, PODMAN
from tests.live.hosts.opened import Opened
from tests.live.hosts.zoo import Zoo, zoo

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
NAMES = (*DOCKER, *PODMAN, *OTHERS)
JUDGED = sorted({
    f"runtime.{control}"
    for faults in (*(each.faults for each in (DOCKER | PODMAN).values()), *OTHERS.values())
    for control in (*faults, "host-user-namespace")
})  # fmt: skip
"""The controls that something here fails; all else must be sound in them."""

Line = dict[str, Any]


class Audit:
    """One run of the command line, as it lies in its directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        lines = (directory / "verdicts.jsonl").read_text().splitlines()
        self.verdicts: list[Line] = [json.loads(line) for line in lines]
        self.host = json.loads((directory / "run.json").read_text())["hosts"][0]

    def of(self, name: str, status: str) -> dict[str, str]:
        """Return the controls that an object has this status in, and why."""
        return {
            verdict["control"]: each["reason"]
            for verdict in self.verdicts
            for each in verdict["findings"]
            if each["object"] and each["object"]["name"] == name and each["status"] == status
        }

    def objects(self, kind: str) -> set[str]:
        return {
            each["object"]["name"]
            for verdict in self.verdicts
            for each in verdict["findings"]
            if each["object"] and each["object"]["kind"] == kind
        }


def hullcheck(*args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "hullcheck", *args],
        cwd=ROOT, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def audit(host: DockerHost, way: str, directory: Path) -> Audit:
    config = ("--ssh-config", str(host.ssh_config))
    hullcheck("audit", f"{way}://{host.name}", *config, "--report-dir", str(directory))
    return Audit(directory)


@pytest.fixture(scope="module")
def full() -> Iterator[Zoo]:
    with DockerHost("zoo1", bridge=False) as host, zoo(host) as made:
        yield made


@pytest.fixture(scope="module")
def seen(full: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Audit:
    made = audit(full.host, "paramiko", tmp_path_factory.mktemp("zoo") / "paramiko")
    print({name: made.host[name] for name in ("rounds", "commands", "seconds", "totals")})
    return made


def test_no_control_breaks(seen: Audit) -> None:
    broken = {
        verdict["control"]: verdict["reason"]
        for verdict in seen.verdicts
        if "error" in (verdict["status"], *(each["status"] for each in verdict["findings"]))
    }
    assert broken == {}


def test_every_container_is_found_and_nothing_else(full: Zoo, seen: Audit) -> None:
    """What has private mounts or another root, as a service has, is no container."""
    assert seen.objects("container") == set(full.faults)


@pytest.mark.parametrize("name", [each for each in NAMES if each != "pod-stopped"])
def test_exactly_its_faults_are_found(full: Zoo, seen: Audit, name: str) -> None:
    known = full.called(name) if name in OTHERS else name
    wanted = {f"runtime.{control}": said for control, said in full.faults[known].items()}
    failed = seen.of(known, "fail")
    assert {each for each in failed if each in JUDGED} == set(wanted), json.dumps(failed, indent=1)
    assert [each for each in wanted if wanted[each] not in failed[each]] == [], failed


def test_what_cannot_be_known_of_one_says_nothing_of_others(full: Zoo, seen: Audit) -> None:
    """Podman's own database alone tells what it was never asked to start would be; and of what
    was only put below a directory the kernel shows no mounts."""
    asked = seen.of("pod-stopped", "unknown")
    assert {"runtime.privileged", "runtime.capabilities"} <= set(asked)
    assert seen.of("pod-stopped", "pass") == {}
    unseen = {"pod-stopped", full.called("handmade")}
    for name in set(full.faults) - unseen:
        assert set(seen.of(name, "unknown")) & set(JUDGED) == set(), name


def test_a_process_of_an_intruder_is_named(full: Zoo, seen: Audit) -> None:
    for name, pid in full.intruders.items():
        assert f"{pid} (" in seen.of(name, "fail")["runtime.entered-process"]


def test_the_recording_tells_the_same(seen: Audit, tmp_path: Path) -> None:
    again = tmp_path / "again"
    hullcheck("replay", str(seen.directory), "--report-dir", str(again))
    assert (again / "verdicts.jsonl").read_bytes() == (
        seen.directory / "verdicts.jsonl"
    ).read_bytes()


def told(made: Audit) -> dict[tuple[str, str], list[str]]:
    return {
        (verdict["control"], each["object"]["name"]): [each["status"], each["reason"]]
        for verdict in made.verdicts
        for each in verdict["findings"]
        if each["object"]["kind"] == "container"
    }


def programs(host: DockerHost) -> dict[str, Path]:
    """Return every program of every container: in each it is one file, busybox. By container of
    Docker's, else by directory."""
    script = "docker inspect -f '{{.Name}} {{.GraphDriver.Data.MergedDir}}' $(docker ps -q); "
    script += "for d in /var/lib/containers/storage/overlay/*/merged /srv/rogue/root; do "
    script += "[ ! -e $d/bin/busybox ] || echo $d $d; done"
    lines = (line.split() for line in host.run(script).stdout.splitlines())
    return {name.lstrip("/"): host.root / f"{root[1:]}/bin/busybox" for name, root in lines}


def inside(host: DockerHost) -> dict[str, str]:
    """Return {pid: when it started} of everything in a mount namespace other than the host's."""
    script = """host=$(readlink /proc/1/ns/mnt)
    for one in /proc/[0-9]*; do
        [ "$(readlink $one/ns/mnt)" = "$host" ] || sed 's/.*) //' $one/stat | cut -d' ' -f20 |
            sed "s/^/${one#/proc/} /"
    done 2>/dev/null; true"""
    return dict(line.split() for line in host.run(script).stdout.splitlines())


def stores(host: DockerHost) -> written.Mark:
    """Return the state of what is not on the host's overlay: the engines' data."""
    return written.mark({f"/var/lib/{each}": host.root / f"var/lib/{each}" for each in (
        "docker/containers", "docker/overlay2", "docker/volumes", "containers",
    )})  # fmt: skip


def test_openssh_tells_the_same_writes_nothing_and_runs_nothing_in_a_container(
    full: Zoo, seen: Audit, tmp_path: Path
) -> None:
    """Running a program opens it: none in any container was. The last lines of the watch show
    that a program that is run would have been seen, in a container with a read-only root too."""
    host = full.host
    files = programs(host)
    assert set(files) >= {name for name, each in DOCKER.items() if each.runs}
    assert (
        len(files) == len([each for each in (*DOCKER.values(), *PODMAN.values()) if each.runs]) + 1
    )
    with Opened(files.values()) as opened:
        before, mark = (inside(host), stores(host)), host.mark()
        since = host.run("date +%s.%N").stdout.strip()
        made = audit(host, "ssh", tmp_path / "run")
        until = host.run("date +%s.%N").stdout.strip()
        assert opened.so_far() == set()
        assert host.written(mark) == []
        assert host.docker("events", f"--since={since}", f"--until={until}") == ""
        assert (inside(host), stores(host)) == before
        host.docker("exec", "sound", "true")
        assert opened.so_far() == {files["sound"]}
    assert told(made) == told(seen)
