"""What of a container can be reached from outside."""

import ipaddress
from collections.abc import Iterator

from hullcheck.control import Manual, control, expect
from hullcheck.facts.containers import Container
from hullcheck.inventory.policy import Policy

PRIVILEGED = 1024


def _published(container: Container) -> Iterator[tuple[str, str, str]]:
    """Yield (address, port of the host, port of the container) of what is published.

    Of a container that runs the engine tells what it did; else what was asked for counts, where
    no port means any free one.
    """
    container.need_docker("published ports")
    settings = container.inspect.get("NetworkSettings") or {}
    ports = settings.get("Ports") if container.running else container.asked("PortBindings", {})
    for inner, bindings in (ports or {}).items():
        for binding in bindings or []:
            address = str(binding.get("HostIp") or _default(container))
            yield address, str(binding.get("HostPort") or ""), str(inner)
    if not container.running and container.asked("PublishAllPorts"):
        for inner in container.config("ExposedPorts", {}):
            yield _default(container), "", str(inner)


def _default(container: Container) -> str:
    """Return the address that a port is published on which names none: its network says so."""
    mode = str(container.asked("NetworkMode", "") or "default")
    named = [
        each for each in container.engine.networks if mode in (each.get("Name"), each.get("Id"))
    ]
    network = named[0] if named else container.engine.default_bridge or {}
    options = network.get("Options") or {}
    return str(options.get("com.docker.network.bridge.host_binding_ipv4") or "0.0.0.0")  # noqa: S104


def _ports(text: str) -> range:
    """Return the ports of ``80`` or ``8000-8010``; none if it is any free one."""
    first, _, last = text.partition("-")
    if not first.isdecimal():
        return range(0)
    return range(int(first), int(last if last.isdecimal() else first) + 1)


@control(
    title="Containers publish no privileged port",
    severity="medium",
    fix="Publish a port from 1024 on behind a proxy, or list it in the policy's published_ports.",
)
def test_published_ports_privileged(container: Container, policy: Policy) -> None:
    """Clients trust what answers on a port below 1024 as something root has started. Through
    the engine anybody who may start containers can have one."""
    low = {
        port for _, text, _ in _published(container) for port in _ports(text) if port < PRIVILEGED
    } - {0}
    expect(low, within=policy.published_ports or (), what="privileged ports published")


@control(
    title="Only the ports that are meant to be are published",
    severity="medium",
    fix="List the ports in the policy's published_ports, and publish no others.",
)
def test_published_ports(container: Container, policy: Policy) -> None:
    """Every published port is a way in past the host's own firewall rules. Which are needed only
    the site knows: without its list a person has to look."""
    ports = {port for _, text, _ in _published(container) for port in _ports(text)} - {0}
    loose = [inner for _, text, inner in _published(container) if not _ports(text)]
    if policy.published_ports is None and (ports or loose):
        shown = ", ".join([*map(str, sorted(ports)), *(f"any for {inner}" for inner in loose)])
        raise Manual(f"the policy does not say which ports may be published: {shown}", shown)
    expect(ports, within=policy.published_ports or (), what="ports published")
    expect(loose, equals=[], what="ports published on any free port of the host")


@control(
    title="Published ports are bound to one address",
    severity="medium",
    fix="Publish as ADDRESS:PORT:PORT, or set the engine's ip to the address of one interface.",
)
def test_published_address(container: Container) -> None:
    """A port that is published without an address is open on every interface of the host, those
    that were added later included."""
    every = [
        f"{address} port {text or 'any'}"
        for address, text, _ in _published(container)
        if ipaddress.ip_address(address.strip("[]")).is_unspecified
    ]
    expect(every, equals=[], what="ports published on every address")


@control(
    title="Containers do not share the engine's default network",
    severity="medium",
    level=2,
    fix="Make a network for each application, and start its containers with --network.",
)
def test_default_bridge(container: Container, containers: list[Container]) -> None:
    """On the default bridge everything that did not say otherwise meets, and can reach each
    other's ports and forge each other's packets."""
    container.need_docker("network")
    network = "the engine's default" if _bridged(container, containers) else "another"
    expect(network, equals="another", what="its network")


def _bridged(container: Container, containers: list[Container], depth: int = 0) -> bool:
    mode = str(container.asked("NetworkMode", "") or "default")
    if mode.startswith("container:") and depth < len(containers):
        joined = mode.removeprefix("container:")
        return any(
            _bridged(other, containers, depth + 1)
            for other in containers
            if joined in (other.id, other.name)
        )
    if container.running:
        settings = container.inspect.get("NetworkSettings") or {}
        network = (settings.get("Networks") or {}).get("bridge") or {}
        return bool(network.get("NetworkID"))
    return mode in ("default", "bridge") and container.engine.default_bridge is not None
