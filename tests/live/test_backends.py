"""One host by every road: the same verdicts, whatever carries the questions and answers them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from testinfra.host import Host

from hullcheck.catalogue import all_controls
from hullcheck.control import Control
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import Session, session_of
from hullcheck.transport.backend import host_of
from hullcheck.transport.batch import Batch
from hullcheck.transport.connect import connect
from hullcheck.transport.local import LocalShell
from hullcheck.transport.target import parse_spec
from hullcheck.verdict import Status, Verdict
from tests.live.hosts.docker import DockerHost
from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.population import ALLOW_ALL, SOUND

pytestmark = pytest.mark.live

STARTED = datetime(2026, 11, 23, 18, tzinfo=UTC)
SHELLS = {"bash": "/bin/bash", "dash": "/bin/dash", "fish": "/usr/bin/fish", "tcsh": "/bin/tcsh"}
NOISE = "echo noise; echo worse noise >&2; sleep 0.2\n"
TOOLS = (
    "[ awk basename cat cut date dirname echo egrep env expr false fgrep find grep gunzip gzip head"
    " id ls md5sum mktemp nproc printf ps readlink realpath sed seq sh sha256sum sleep sort stat"
    " tail test tr true uname uniq wc xargs zcat"
)
"""What busybox does in place of coreutils, findutils, grep, sed and dash."""

FAULTS = (
    "--pid=host", "--network=host", "--cap-add=SYS_PTRACE", "--restart=always",
    "--security-opt=seccomp=/srv/allow.json", "--volume=/var/run/docker.sock:/tmp/app.sock",
)  # fmt: skip

Outcome = dict[str, str]


@pytest.fixture(scope="module")
def host() -> Iterator[DockerHost]:
    """A host with a sound and a faulty container, and users who may sudo."""
    with DockerHost("roads", bridge=False) as made:
        made.write("/srv/allow.json", ALLOW_ALL)
        made.start("sound", *SOUND, "--network=none", "--health-interval=1h")
        made.start("faulty", *FAULTS)
        for name, shell in SHELLS.items():
            made.add_user(name, shell, sudo=True)
            rc = {"fish": ".config/fish/config.fish", "tcsh": ".tcshrc"}.get(name, ".bashrc")
            noise = NOISE.replace(" >&2", "") if name == "tcsh" else NOISE
            made.write(f"/home/{name}/{rc}", noise)
            made.run(f"chown -R {name} /home/{name}")
        yield made


CONTROLS = tuple(all_controls().values())
FEW = CONTROLS[::10]
"""For the roads: whatever is asked goes the same way."""


def judged(there: Host, controls: Sequence[Control] = CONTROLS) -> dict[str, Verdict]:
    """Judge controls, gathered; the session is closed."""
    site = Site("roads", started=STARTED)
    session = session_of(there)
    try:
        gather(controls, there, site)
        verdicts = {each.id: judge(each, there, site) for each in controls}
        assert session.late == 0
        return verdicts
    finally:
        session.close()


def over(
    host: OverlayHost, spec: str, controls: Sequence[Control] = CONTROLS, *, sudo: bool = False
) -> Outcome:
    target = replace(parse_spec(spec), ssh_config=host.ssh_config, sudo=sudo)
    return statuses(judged(connect(target), controls))


def statuses(verdicts: dict[str, Verdict]) -> Outcome:
    broken = [each for each in verdicts.values() if each.status is Status.ERROR]
    assert broken == []
    return {name: str(each.status) for name, each in verdicts.items()}


def other(found: Outcome, wanted: Outcome) -> dict[str, tuple[str, str]]:
    return {
        name: (wanted[name], status) for name, status in found.items() if status != wanted[name]
    }


def inside(host: OverlayHost, *command: str) -> list[str]:
    """Return a command line that runs something in all namespaces of a host."""
    return [
        "nsenter",
        "-t",
        str(host.pid),
        "-m",
        "-u",
        "-i",
        "-p",
        "-C",
        "-r",
        "-w",
        "--",
        *command,
    ]


@pytest.fixture(scope="module")
def truth(host: DockerHost) -> Outcome:
    """The statuses over paramiko, as root."""
    found = over(host, f"paramiko://{host.name}")
    assert {"pass", "fail", "not-applicable"} <= set(found.values())
    return found


@pytest.mark.parametrize("scheme", ["paramiko", "ssh", "safe-ssh"])
@pytest.mark.parametrize("user", SHELLS)
def test_with_sudo_from_any_login_shell(
    host: DockerHost, truth: Outcome, scheme: str, user: str
) -> None:
    """Each with a slow and noisy start-up file."""
    assert other(over(host, f"{scheme}://{user}@{host.name}", FEW, sudo=True), truth) == {}


def test_over_the_openssh_client(host: DockerHost, truth: Outcome) -> None:
    assert other(over(host, f"ssh://{host.name}"), truth) == {}


def test_without_sudo_nothing_passes_that_does_not(host: DockerHost, truth: Outcome) -> None:
    """Law 1, and both clients see the same."""
    first, second = (over(host, f"{scheme}://bash@{host.name}") for scheme in ("paramiko", "ssh"))
    assert first == second
    wrong = {
        name: (truth[name], status)
        for name, status in first.items()
        if status in ("pass", "not-applicable") and truth[name] not in (status, "pass")
    }
    assert wrong == {}


def test_here(host: DockerHost, truth: Outcome) -> None:
    """local://, whose shell is started within the host."""
    wire = Batch(LocalShell(None, inside(host)))
    found = judged(host_of(Session(wire, lambda each: each), "roads", "local"))
    assert other(statuses(found), truth) == {}


def test_by_an_inventory_of_ansible(
    host: DockerHost, truth: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ansible-inventory says of a host is how it is reached."""
    said = {
        "_meta": {"hostvars": {"db": {
            "ansible_host": host.name, "ansible_user": "dash", "ansible_become": True,
        }}},
        "all": {"hosts": ["db"]},
    }  # fmt: skip
    program(tmp_path, "ansible-inventory", f"printf %s {shlex.quote(json.dumps(said))}")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert other(over(host, "ansible://db?ansible_inventory=/dev/null", FEW), truth) == {}


def test_one_session_at_a_time(host: DockerHost, truth: Outcome, tmp_path: Path) -> None:
    """MaxSessions 1: a second channel is refused."""
    host.run("/usr/sbin/sshd -p 2223 -o MaxSessions=1 -o PidFile=/run/one.pid")
    try:
        known, config = tmp_path / "known_hosts", tmp_path / "config"
        known.write_text(host.known_hosts.read_text().replace(":2222 ", ":2223 "))
        text = host.ssh_config.read_text().replace("Port 2222", "Port 2223")
        config.write_text(text.replace(str(host.known_hosts), str(known)))
        for spec, sudo in (("paramiko://", False), ("ssh://", False), ("paramiko://bash@", True)):
            target = replace(parse_spec(spec + host.name), ssh_config=config, sudo=sudo)
            assert other(statuses(judged(connect(target), FEW)), truth) == {}
    finally:
        host.run("kill $(cat /run/one.pid)")


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_a_container_as_a_target(
    host: DockerHost, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds no engine and shows little of the host; that is said, and nothing breaks."""
    if engine == "podman":
        podman = "podman --root /srv/data/podman --runroot /run/pods --cgroup-manager cgroupfs"
        host.run(
            f"docker export sound | {podman} import - localhost/box:1 && {podman} --runtime runc"
            " run -d --name box --network none --ulimit nofile=1024:1024 --ulimit nproc=512:512"
            " localhost/box:1 sleep 1000"
        )
        name, argv = "box", podman.split()
    else:
        name, argv = "sound", ["docker"]
    program(tmp_path, engine, f'exec {shlex.join(inside(host, *argv))} "$@"')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin:/usr/sbin:/sbin")
    found = judged(connect(parse_spec(f"{engine}://{name}")))
    if engine == "podman":
        host.run(f"{podman} rm -f -t 0 box && {podman} rmi localhost/box:1")
    statuses(found)
    wrong = {
        control: (str(each.status), each.reason)
        for control, each in found.items()
        if control.startswith(("engine.", "runtime."))
        and each.status not in ("not-applicable", "unknown")
    }
    # That no engine is nested can be told without one.
    assert set(wrong) <= {"engine.no-nested-engine"}, wrong


def test_busybox_in_place_of_coreutils(host: DockerHost, truth: Outcome) -> None:
    """Without timeout(1) too."""
    assert other(swapped(host, "timeout"), truth) == {}


NEED_ACLS = {
    "engine.api-socket-mode", "engine.containerd-debug-socket", "engine.containerd-socket-mode",
    "host.account-files", "host.engine-sockets", "host.file-capabilities", "host.setuid-programs",
    "host.stray-devices",
}  # fmt: skip
"""What hangs on ACLs where a group's bits allow something, and no other control."""


@pytest.mark.parametrize("tool", ["curl", "docker", "getent", "getfacl", "systemctl"])
def test_a_tool_that_a_small_host_lacks(host: DockerHost, truth: Outcome, tool: str) -> None:
    """What only it could have told is unknown: which files have ACLs, who answers on a port."""
    worse = other(swapped(host, "timeout", tool), truth)
    if tool == "docker":
        # A package's program that is gone is told as gone.
        assert worse.pop("host.engine-programs-intact", ("", "fail"))[1] == "fail"
    assert {name: each for name, each in worse.items() if each[1] != "unknown"} == {}
    assert worse.keys() <= NEED_ACLS if tool == "getfacl" else len(worse) <= 5, worse


def swapped(host: DockerHost, *missing: str) -> Outcome:
    """Audit a host whose tools are busybox's, in a mount namespace that is undone after."""
    script = f"""
set -e
mkdir -p /run/swap
for each in {TOOLS}; do ln -s /bin/busybox "/run/swap/$each"; done
for each in {" ".join(missing)}; do mknod "/run/swap/$each" c 0 0; done
mount -t overlay -o lowerdir=/run/swap:/usr/bin none /usr/bin
"""
    host.run(script)
    try:
        assert "BusyBox" in host.run("/usr/bin/stat --help 2>&1", check=False).stdout
        return over(host, f"paramiko://{host.name}")
    finally:
        host.run("umount -l /usr/bin && rm -r /run/swap")
