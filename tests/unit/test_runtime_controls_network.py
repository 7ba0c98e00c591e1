"""Networks and published ports where no live host here can go, and the mistakes of peers."""

import pytest

from checks.runtime.test_network import (
    test_default_bridge as default_bridge,
)
from checks.runtime.test_network import (
    test_published_address as published_address,
)
from checks.runtime.test_network import (
    test_published_ports as published_ports,
)
from checks.runtime.test_network import (
    test_published_ports_privileged as published_ports_privileged,
)
from tests.unit.container_fake import running, status, stopped

BRIDGE = {"Name": "bridge", "Id": "b", "Options": {
    "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0"}}  # fmt: skip


def test_the_default_network_by_membership():
    """Peer mistake 56: the network counts, not the name of its bridge."""
    engine = {"networks": [BRIDGE]}
    joined = {"Networks": {"bridge": {"NetworkID": "b"}}}
    assert status(default_bridge, running(engine=engine, NetworkSettings=joined)) == "fail"
    unused = {"Networks": {"bridge": {"NetworkID": ""}}}
    assert status(default_bridge, running(engine=engine, NetworkSettings=unused)) == "pass"
    assert status(default_bridge, stopped(engine)) == "fail"
    assert status(default_bridge, stopped()) == "pass"
    assert status(default_bridge, stopped(engine, NetworkMode="app")) == "pass"


@pytest.mark.parametrize(
    ("binding", "low", "everywhere"),
    [
        ({"HostIp": "", "HostPort": "80"}, "fail", "fail"),
        ({"HostIp": "::", "HostPort": "8080"}, "pass", "fail"),
        ({"HostIp": "10.0.0.1", "HostPort": "1000-1030"}, "fail", "pass"),
        ({"HostIp": "127.0.0.1", "HostPort": ""}, "pass", "pass"),
    ],
)
def test_ports(binding, low, everywhere):
    asked = stopped({"networks": [BRIDGE]}, PortBindings={"80/tcp": [binding]})
    assert status(published_ports_privileged, asked) == low
    assert status(published_address, asked) == everywhere
    assert status(published_ports, asked) == "manual"
    assert status(published_ports, stopped()) == "pass"
    real = running(NetworkSettings={"Ports": {"80/tcp": [binding | {"HostIp": "10.0.0.1"}]}})
    assert status(published_address, real) == "pass"
    assert status(published_ports_privileged, real) == low
