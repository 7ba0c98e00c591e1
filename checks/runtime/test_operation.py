"""How containers are run and looked after."""

from hullcheck.control import control, expect
from hullcheck.facts.containers import Container
from hullcheck.facts.processes import Gone, Process

REMOTE_SHELLS = frozenset({"dropbear", "sshd", "sshd-session", "sshd-auth", "telnetd", "in.telnetd",
                           "rshd", "in.rshd", "tinysshd"})  # fmt: skip


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
    health = container.inspect["State"].get("Health") or {}
    expect([health.get("Status")], without=("unhealthy",), what="health")


@control(
    title="No container offers a remote login",
    severity="high",
    fix="Remove the server from the image; use docker exec or the orchestrator's way in.",
)
def test_ssh_daemon(container: Container) -> None:
    """A login server in a container brings keys, accounts and logs that nobody rotates or
    reads. The host's kernel tells what runs, under whatever name, without a program in the
    container being asked or run."""
    container.need_running()
    container.look_up()
    found = [str(process) for process in container.processes if _logs_in(process)]
    expect(found, equals=[], what="remote login servers")


def _logs_in(process: Process) -> bool:
    names = {process.name}
    try:
        names.add(_base(process.exe.removesuffix(" (deleted)")))
        words = process.cmdline
        # sshd and dropbear rewrite their command lines: "sshd: /usr/sbin/sshd -D [listener]".
        names |= {_base(word).rstrip(":") for part in words[:2] for word in part.split(" ")[:2]}
    except Gone:
        pass
    return bool(names & REMOTE_SHELLS)


def _base(path: str) -> str:
    return path.rpartition("/")[2]
