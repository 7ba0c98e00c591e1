"""What containerd is set to, where no other engine has the question."""

from __future__ import annotations

from hullcheck.control import NotApplicable, control, expect
from hullcheck.facts.containerd import Containerd

from .ownership import expect_mode

SOCKET = 0o660


@control(
    title="containerd takes orders on no TCP port",
    severity="critical",
    level=1,
    fix="Remove tcp_address under [grpc] from containerd's config.toml and restart it.",
)
def test_containerd_tcp_api(containerd: Containerd) -> None:
    """Whoever reaches containerd's API starts containers as root. On a TCP port, even one of
    127.0.0.1, that is every process on the host, and every program that can be made to connect."""
    told = containerd.told("", "grpc", "tcp_address")
    expect(told.value, equals="", what=f"the TCP address of the API ({told.source})")


@control(
    title="containerd listens on no address that others reach",
    severity="high",
    level=1,
    fix="Let [metrics] and [debug] address, and the CRI plugin's stream_server_address, begin "
    "with 127.0.0.1, or serve streams with TLS; restart containerd.",
)
def test_containerd_listeners(containerd: Containerd) -> None:
    """Metrics tell which images and containers there are, the debugging server what is in the
    daemon's memory, and neither asks who is there. What counts is what the kernel says that
    containerd listens on, whatever its file says."""
    beyond = [each for each in containerd.listeners if not each.loopback]
    if beyond and containerd.streams_with_tls:
        known = [_port(str(containerd.told("", part, "address").value)) for part in PARTS]
        known.append(_port(str(containerd.told("", "grpc", "tcp_address").value)))
        beyond = [each for each in beyond if each.port in known]
    expect([str(each) for each in beyond], equals=[], what="listeners that others reach")


PARTS = ("metrics", "debug")


def _port(address: str) -> int:
    port = address.rpartition(":")[2]
    return int(port) if port.isdecimal() else 0


@control(
    title="Only root reaches containerd's debugging server",
    severity="medium",
    level=1,
    fix="Remove address under [debug] from containerd's config.toml, or name a socket there, with "
    "uid and gid 0; restart it.",
)
def test_containerd_debug_socket(containerd: Containerd) -> None:
    """The debugging server hands out profiles and traces of the daemon, in which names, paths and
    parts of what it was asked can be read, and lets anyone slow it down."""
    told = containerd.told("", "debug", "address")
    address = str(told.value)
    if not address:
        expect(address, equals="", what=f"the address of the debugging server ({told.source})")
        return
    if not expect(address[:1], equals="/", what=f"how the debugging address {address} begins"):
        return
    socket = containerd.file(address)
    if socket.file.exists:
        expect_mode(socket, SOCKET)
        expect(socket.file.uid, one_of=socket.users, what=f"owner of {address}")
        expect(socket.file.gid, one_of=socket.groups, what=f"group of {address}")
    else:
        raise NotApplicable(f"nothing is at the debugging address {address}")


@control(
    title="A privileged pod does not get every device of the host",
    severity="medium",
    level=2,
    fix="Set privileged_without_host_devices = true for each runtime in containerd's config.toml, "
    "and name the devices that a pod needs.",
)
def test_containerd_host_devices(containerd: Containerd) -> None:
    """Privileged is often asked for to change a network or a kernel setting. With it come all
    disks of the host, unless the runtime that the pod is started with withholds them."""
    name = "privileged_without_host_devices"
    given = [runtime for runtime, each in containerd.runtimes.items() if each.get(name) is not True]
    expect(given, equals=[], what="runtimes that give a privileged pod every device of the host")
