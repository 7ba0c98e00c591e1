"""How containers are run and looked after."""

import re

from hullcheck.control import control, expect
from hullcheck.facts.containers import Container
from hullcheck.facts.programs import Program, catalogue

from .running import expect_none

SSH = catalogue("sshd", "sshd-session", "sshd-auth", "dropbear", "dropbearmulti", "tinysshd",
                "lshd", "wolfsshd", "sshpiperd")  # fmt: skip
_TITLE = re.compile(r"\[listener\] \d+ of \d+-\d+ startups|: \S+ \[(?:priv|preauth|net)\]$")
"""How sshd titles its processes (sshd.c, monitor.c of OpenSSH), whatever its file is called."""


@control(
    title="The engine looks after the health of every container",
    severity="low",
    fix="Give the image a HEALTHCHECK or the container --health-cmd, and see why it is unhealthy.",
)
def test_health_check(container: Container) -> None:
    """A process that lives is not a service that works. Without a health check nobody notices,
    and one that says unhealthy is there to be acted on."""
    container.need_docker("health check")
    check = container.config("Healthcheck", {})
    test = [str(part) for part in check.get("Test") or []]
    found = "none" if not test or test[0] == "NONE" else "some"
    expect(found, equals="some", what="health check")
    state = container.inspect["State"]
    if not state.get("Paused"):
        # The engine stops asking a paused one, and then calls it unhealthy.
        status = (state.get("Health") or {}).get("Status")
        expect([status], without=("unhealthy",), what="health")


@control(
    title="No container offers a remote login",
    severity="high",
    fix="Remove the server from the image; use docker exec or the orchestrator's way in.",
)
def test_ssh_daemon(container: Container) -> None:
    """A login server in a container brings keys, accounts and logs that nobody rotates or
    reads. The host's kernel tells what runs, under whatever name, without a program in the
    container being asked or run."""
    expect_none(container, "remote login servers", _logs_in)


def _logs_in(program: Program) -> str:
    own = ", ".join(sorted(program.names & SSH))
    return own or ("sshd by its title" if _TITLE.search(program.title) else "")
