"""What is done in running containers, found over SSH; and nobody else is blamed for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import Evidence, session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.redact import Redactor
from hullcheck.transport.target import parse_spec
from hullcheck.verdict import Status, Verdict
from tests.live.hosts.docker import DockerHost
from tests.live.hosts.population import SOUND

pytestmark = pytest.mark.live

CONTROLS = [
    f"runtime.{name}"
    for name in (
        "ssh-daemon", "remote-desktops-and-shells", "package-manager", "debuggers",
        "engine-clients", "shells-from-outside", "container-age", "secrets-in-environment",
        "foreign-descriptors", "administration-ports", "undeclared-ports",
    )
]  # fmt: skip
SECRET = "hunter2-never-leaves"

HIDDEN = "cp /bin/busybox /tmp/busybox2; /tmp/busybox2 telnetd -F -p 2323 & sleep 1;"
HIDDEN += "rm /tmp/busybox2; touch /tmp/here; wait"
RENAMED = "printf nginx >/proc/self/comm; exec httpd -f -p 22"

# name -> (options, command, controls that fail; ids without "runtime.")
CONTAINERS: dict[str, tuple[tuple[str, ...], str, set[str]]] = {
    "sound": ((*SOUND, "--network=none", "--health-interval=1h"), "sleep 1000000", set()),
    "hidden": ((), HIDDEN, {"remote-desktops-and-shells", "undeclared-ports"}),
    "renamed": ((), RENAMED, {"administration-ports", "undeclared-ports"}),
    "declared": (("--expose=8080",), "httpd -f -p 8080", set()),
    "loopback": ((), "httpd -f -p 127.0.0.1:2222", set()),
    "host-pid": (("--pid=host",), "sleep 1000000", set()),
    "host-net": (("--network=host",), "httpd -f -p 5907",
                 {"administration-ports", "undeclared-ports"}),
    "beside": (("--network=container:renamed",), "sleep 1000000", set()),
    "installs": ((), "printf apk >/proc/self/comm; while :; do sleep 1000; done",
                 {"package-manager"}),
    "commands": ((), "printf docker >/proc/self/comm; while :; do sleep 1000; done",
                 {"engine-clients"}),
    "secret": ((f"--env=DB_PASSWORD={SECRET}", "--env=API_KEY=", "--env=TOKEN_FILE=/run/x"),
               "sleep 1000000", {"secrets-in-environment"}),
    "late-secret": ((), f"export API_KEY={SECRET}; sleep 1000000; :", {"secrets-in-environment"}),
    "workdir": ((), "sleep 1000000", {"foreign-descriptors"}),
    "descriptor": ((), "sleep 1000000", {"foreign-descriptors"}),
    "typed": ((), "sleep 1000000", {"shells-from-outside"}),
    "traced": ((), "sleep 1000000", {"debuggers"}),
}  # fmt: skip

# Each waits for what it did to be there; the last is a tracer outside, called something else.
MOVE_IN = """
pid() { docker inspect -f '{{.State.Pid}}' "$1"; }
wait_for() { for turn in $(seq 200); do ! "$@" || return 0; sleep 0.05; done; exit 1; }
ran() { [ -n "$(grep -lF "$1" /proc/[0-9]*/cmdline)" ]; }
setsid nsenter -t "$(pid workdir)" -m --wd=/etc /bin/sleep 1000011 </dev/null >/dev/null 2>&1 &
setsid nsenter -t "$(pid descriptor)" -m /bin/sleep 1000012 </dev/null >/dev/null 2>&1 7</root &
setsid sh -c 'sleep 1000013 | script -qfc "docker exec -it typed sh -c \\"touch /tmp/here; sh\\"" \
    /dev/null' </dev/null >/dev/null 2>&1 &
setsid python3 -c 'import ctypes, sys, time
assert ctypes.CDLL(None).ptrace(0x4206, int(sys.argv[1]), 0, 0) == 0
time.sleep(1000014)' "$(pid traced)" </dev/null >/dev/null 2>&1 &
echo $! >/srv/tracer
wait_for ran 1000011
wait_for ran 1000012
wait_for test -e "/proc/$(pid typed)/root/tmp/here"
wait_for test -e "/proc/$(pid hidden)/root/tmp/here"
wait_for sh -c "! grep -q '^TracerPid:.0$' /proc/$(pid traced)/status"
"""


class Audit:
    """The verdicts of one audit over SSH, and what was heard for them."""

    def __init__(self, host: DockerHost) -> None:
        target = replace(parse_spec(f"paramiko://{host.name}"), ssh_config=host.ssh_config)
        there = connect(target, redact=Redactor(b"live"))
        chosen = [all_controls()[each] for each in CONTROLS]
        session, site = session_of(there), Site(host.name)
        try:
            gather(chosen, there, site)
            self.verdicts: dict[str, Verdict] = {
                each.id.removeprefix("runtime."): judge(each, there, site) for each in chosen
            }
            self.late, self.rounds = session.late, session.rounds
            self.recording: list[Evidence] = session.recording
        finally:
            session.close()

    def of(self, name: str, *statuses: Status) -> dict[str, str]:
        """Return in which controls a container has one of some statuses, and why."""
        return {
            control: finding.reason
            for control, verdict in self.verdicts.items()
            for finding in verdict.findings
            if finding.object.name == name and finding.status in statuses
        }


@pytest.fixture(scope="module")
def host(docker_host: DockerHost) -> Iterator[DockerHost]:
    for name, (options, command, _) in CONTAINERS.items():
        docker_host.start(name, *options, command=["sh", "-c", command])
    docker_host.run(MOVE_IN)
    yield docker_host
    # What is traced does not die as long as its tracer does not look.
    docker_host.run("kill $(cat /srv/tracer)")
    docker_host.remove(*CONTAINERS)


@pytest.fixture(scope="module")
def audit(host: DockerHost) -> Audit:
    before = host.mark()
    made = Audit(host)
    assert host.written(before) == []
    print(f"{made.rounds} rounds, {len(made.recording)} commands")
    return made


@pytest.mark.parametrize("name", CONTAINERS)
def test_exactly_what_is_done_is_found(audit: Audit, name: str) -> None:
    """Peer mistake 47, from both sides: what hides is found, what is the host's is not blamed."""
    assert set(audit.of(name, Status.FAIL)) == CONTAINERS[name][2], audit.of(name, Status.FAIL)
    assert audit.of(name, Status.UNKNOWN, Status.ERROR) == {}


def test_who_did_it_is_said(audit: Audit) -> None:
    def reason(name: str) -> str:
        return next(iter(audit.of(name, Status.FAIL).values()))

    assert "python3" in reason("traced")
    assert "/etc" in reason("workdir")
    assert "/root" in reason("descriptor")
    assert "containerd-shim" in reason("typed")
    assert "host's network" in audit.of("host-net", Status.FAIL)["administration-ports"]
    assert ":22 " in audit.of("renamed", Status.FAIL)["administration-ports"]
    assert reason("secret").endswith("DB_PASSWORD")


def test_the_value_of_a_secret_is_nowhere(audit: Audit) -> None:
    said = b"".join(each.stdout + each.stderr for each in audit.recording)
    assert b"DB_PASSWORD" in said
    assert SECRET.encode() not in said
    assert audit.late == 0
