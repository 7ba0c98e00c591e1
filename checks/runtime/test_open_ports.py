"""What listens in containers."""

from typing import NamedTuple

from hullcheck.control import control, expect
from hullcheck.facts.containers import Container
from hullcheck.facts.listening import listeners, reached
from hullcheck.facts.programs import programs
from hullcheck.inventory.policy import Policy

from .wording import named


class Door(NamedTuple):
    """A port of administration.

    :param programs: what uses it for that, where others use it for something else.
    """

    why: str
    programs: frozenset[str] = frozenset()


_JAVA, _PORTAINER = frozenset({"java"}), frozenset({"portainer"})
_PYTHON = frozenset({"python", "python3", "debugpy"})

# As of 2026-11: what IANA and the programs' own documentation give as their usual ports.
DOORS: dict[int, Door] = {
    22: Door("SSH"), 23: Door("telnet"), 512: Door("rexec"), 513: Door("rlogin"), 514: Door("rsh"),
    1234: Door("gdbserver", frozenset({"gdbserver"})), 2222: Door("SSH"), 2200: Door("SSH"),
    2345: Door("the Go debugger", frozenset({"dlv"})), 2375: Door("Docker's API in the clear"),
    2376: Door("Docker's API"), 3389: Door("RDP"), 4200: Door("shellinabox", frozenset({
        "shellinaboxd"})), 5005: Door("the Java debugger", _JAVA), 5555: Door("adb", frozenset({
        "adbd"})), 5678: Door("the Python debugger", _PYTHON),
    **{port: Door("VNC") for port in range(5900, 5911)}, 6000: Door("X11"), 6080: Door("noVNC"),
    7681: Door("ttyd"), 8000: Door("Portainer's tunnel", _PORTAINER), 8022: Door("SSH"),
    9000: Door("Portainer", _PORTAINER), 9090: Door("cockpit", frozenset({"cockpit-tls",
        "cockpit-ws"})), 9229: Door("the JavaScript debugger"), 9443: Door("Portainer", _PORTAINER),
    10000: Door("webmin", frozenset({"miniserv", "webmin", "perl"})), 10250: Door("the kubelet"),
    10255: Door("the kubelet in the clear"),
}  # fmt: skip

EPHEMERAL = 32768
"""From here on Linux gives ports to those who ask for none; a UDP client's is no service."""


@control(
    title="No container listens on a port of administration",
    severity="high",
    fix="Remove the server from the image; bind a debugger to 127.0.0.1; name the ports that are "
    "to count in the policy's administration_ports.",
)
def test_administration_ports(container: Container, policy: Policy) -> None:
    """A login server, remote desktop, debugger or engine API is a way into the container beside
    the one it is there for. Its port gives it away under any name; whether the port is published
    today says nothing about tomorrow."""
    container.need_running()
    chosen = policy.administration_ports
    doors = DOORS if chosen is None else {port: Door("listed in the policy") for port in chosen}
    running = {process.pid: program for process, program in programs(container)}
    found = []
    for listener, holders in listeners(container):
        door = doors.get(listener.port)
        if listener.protocol != "tcp" or door is None:
            continue
        if door.programs and not any(running[each.pid].names & door.programs for each in holders):
            continue
        who = named(holders) or "nobody that can be seen"
        found.append(f"{listener} ({door.why}) of {who}, {reached(container, listener)}")
    expect(found, equals=[], what="ports of administration")


@control(
    title="Containers listen on declared ports only",
    severity="low",
    level=2,
    fix="Declare the port with EXPOSE or --expose, or find out what listens there.",
)
def test_undeclared_ports(container: Container) -> None:
    """What an image says it serves is what was looked at before it went into use. A listener
    beyond that is a forgotten feature, or something that moved in."""
    container.need_running()
    container.need_docker("list of declared ports")
    settings = container.inspect.get("NetworkSettings") or {}
    declared = {
        str(each)
        for ports in (
            container.config("ExposedPorts", {}), container.asked("PortBindings", {}),
            settings.get("Ports") or {},
        )
        for each in ports
    }  # fmt: skip
    found = []
    for listener, holders in listeners(container):
        ephemeral = listener.protocol == "udp" and listener.port >= EPHEMERAL
        if f"{listener.port}/{listener.protocol}" not in declared and not ephemeral:
            found.append(f"{listener} of {named(holders) or 'nobody that can be seen'}")
    expect(found, equals=[], what="undeclared ports")
