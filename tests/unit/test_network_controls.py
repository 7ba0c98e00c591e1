"""Verdicts of the controls on what the kernel does with packets, on hosts with several kinds of
interfaces."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullcheck.facts.interfaces import CONF, DEVICES, Interfaces, parse_devices
from hullcheck.facts.role import KUBERNETES_NODE, ROOTFUL, ROOTLESS, Role
from hullcheck.inventory.policy import Policy
from tests.unit.kernels import host, verdict
from tests.unit.sysctl_fake import FORWARDING, after_boot, network

CARD = {"eth0": "card"}
DOCKER = {"eth0": "card", "docker0": "bridge veth1 veth2", "veth1": "wire", "veth2": "wire"}
ON = {f"ipv4/{name}": value for name, value in FORWARDING.items()}
ONE = {"ipv4/forwarding": "1"}
ROUTER = {"all": ON, "default": ONE, "eth0": ONE, "docker0": ONE}
"""What dockerd makes of a host: it sets ip_forward, and that refuses redirects for all."""


def judged(control, names=CARD, files=(), roles=(), policy=None, ipv6=True, more=(), **settings):
    answers = {**network(names, ipv6=ipv6, **settings), **after_boot(dict(files)), **dict(more)}
    forward = {"net.ipv4.ip_forward": settings.get("all", {}).get("ipv4/forwarding", "0"),
               "net.ipv6.conf.all.forwarding": settings.get("all", {}).get("ipv6/forwarding", "0"),
               "net.bridge.bridge-nf-call-iptables": settings.get("bridge", "1"),
               "net.bridge.bridge-nf-call-ip6tables": "1"}  # fmt: skip
    here = host(settings=forward, more=answers)
    return verdict(f"host.{control}", here, policy=policy, role=Role.declared(roles), podman=[])


def status(*args, **values) -> str:
    return str(judged(*args, **values).status)


def both(value: str, *names: str) -> dict[str, dict[str, str]]:
    """One value of several settings for the interface and for those to come."""
    given = dict.fromkeys(names, value)
    return {"eth0": given, "default": given}


class TestInterfaces:
    def kinds(self, names: Mapping[str, str]) -> dict[str, str]:
        found: list[Interfaces] = []
        here = host(more=network(names))
        found.append(Interfaces(here))
        return {each.name: each.kind for each in found[0].all if each.name != "lo"}

    def test_whose_they_are(self) -> None:
        """Bridges without a card, and wires into containers, are the containers'; a bridge with a
        card has the host's traffic, and the card then has none."""
        assert self.kinds(DOCKER) == {
            "eth0": "own", "docker0": "containers", "veth1": "port", "veth2": "port",
        }  # fmt: skip
        assert self.kinds({"br0": "bridge eno1 vnet0", "eno1": "card", "vnet0": "card"}) == {
            "br0": "own", "eno1": "port", "vnet0": "port",
        }  # fmt: skip
        assert self.kinds({
            "br-1f": "bridge", "cali12": "wire", "eni0123456789a": "wire", "flannel.1": "vxlan",
            "bond0.5": "vlan", "eth0": "wire", "wg0": "card", "ifb0": "card",
        }) == {
            "br-1f": "containers", "cali12": "containers", "eni0123456789a": "containers",
            "flannel.1": "containers", "bond0.5": "own", "eth0": "own", "wg0": "own",
            "ifb0": "containers",
        }  # fmt: skip

    def test_one_that_sys_does_not_know_is_the_hosts(self) -> None:
        more = {DEVICES.command: network({})[DEVICES.command]}
        files = {"/etc/sysctl.d/x.conf": "net.ipv4.conf.all.rp_filter=1"}
        fixed = status("reverse-path-filter", files=files, more=more, all={"ipv4/rp_filter": "1"})
        assert fixed == "pass"
        assert "eth0" in judged("reverse-path-filter", more=more).reason

    def test_one_that_is_down_does_not_count(self) -> None:
        here = Interfaces(host(more=network({"eth0": "card", "eth1": "down"})))
        assert here.own == ["eth0", "default"]

    @pytest.mark.parametrize("damage", [
        {CONF.command: ""}, {DEVICES.command: ""}, {CONF.command: (127, "", "grep: not found\n")},
        {DEVICES.command: (0, "\xff\n", "")}, {CONF.command: (1, "", "")},
        {CONF.command: (0, "/proc/sys/net/ipv4/conf/all/rp_filter:1\n", "")},
    ])  # fmt: skip
    def test_damage_is_unknown(self, damage: dict[str, str]) -> None:
        files = {"/etc/sysctl.d/x.conf": "net.ipv4.conf.all.rp_filter=1"}
        for control in ("reverse-path-filter", "source-routing", "route-localnet"):
            fixed = status(control, files=files, more=damage, all={"ipv4/rp_filter": "1"})
            assert fixed == "unknown"

    @given(st.dictionaries(st.sampled_from(
        [f"/sys/class/net/{name}/{entry}" for name in ("lo", "a b", "é")
         for entry in ("uevent", "flags", "iflink", "brif/x/port_no")]), st.text()))  # fmt: skip
    def test_any_text_can_be_read(self, files: dict[str, str]) -> None:
        parse_devices(files)


RP = "net.ipv4.conf.all.rp_filter = 1\n"


@pytest.mark.parametrize(
    ("settings", "files", "expected"),
    [
        ({}, "", "fail"),
        ({"all": {"ipv4/rp_filter": "1"}}, RP, "pass"),
        ({"all": {"ipv4/rp_filter": "2"}}, RP, "pass"),
        (both("2", "ipv4/rp_filter"), "net.ipv4.conf.*.rp_filter = 2\n"
         "-net.ipv4.conf.all.rp_filter\n", "pass"),
        ({"eth0": {"ipv4/rp_filter": "1"}}, "net.ipv4.conf.eth0.rp_filter = 1\n", "fail"),
        ({"all": {"ipv4/rp_filter": "1"}}, "", "fail"),
        ({"all": {"ipv4/rp_filter": "1"}}, "net.ipv4.conf.all.rp_filter = 0\n", "fail"),
    ],
)  # fmt: skip
def test_reverse_path(settings: dict[str, dict[str, str]], files: str, expected: str) -> None:
    """The greater of both counts; systemd's own file sets a pattern and keeps ``all`` from it.
    A value by hand is lost at the next boot."""
    written = {"/etc/sysctl.d/x.conf": files}
    assert status("reverse-path-filter", files=written, **settings) == expected


def test_engines_own_interfaces_may_be_otherwise() -> None:
    """Calico and Cilium set rp_filter of their wires as they need it."""
    names = {"eth0": "card", "cali12": "wire", "lxc12": "wire"}
    eth0 = both("1", "ipv4/rp_filter")
    files = {"/etc/sysctl.d/x.conf": "net.ipv4.conf.default.rp_filter=1"}
    assert status("reverse-path-filter", names, files, **eth0) == "pass"


V6_OFF = "net.ipv6.conf.default.accept_redirects=0\n"
ALL_OFF = "net.ipv4.conf.all.accept_redirects=0\nnet.ipv4.conf.default.accept_redirects=0\n"


@pytest.mark.parametrize(
    ("settings", "ipv6", "files", "expected"),
    [
        ({}, False, "", "fail"),
        ({"all": {"ipv4/accept_redirects": "0"}}, False, ALL_OFF, "fail"),
        ({"all": {"ipv4/accept_redirects": "0"}, **both("0", "ipv4/accept_redirects")}, False,
         ALL_OFF, "pass"),
        ({"all": {"ipv4/accept_redirects": "0"}, **both("0", "ipv4/accept_redirects")}, False,
         "", "fail"),
        (ROUTER, False, "", "pass"),
        (ROUTER, True, "", "fail"),
        ({**ROUTER, "all": {**ON, "ipv6/accept_redirects": "0"}}, True, "", "fail"),
        ({**ROUTER, "default": {**ONE, "ipv6/accept_redirects": "0"},
          "eth0": {**ONE, "ipv6/accept_redirects": "0"}}, True, V6_OFF, "pass"),
        ({**ROUTER, "default": {**ONE, "ipv6/accept_redirects": "0"},
          "eth0": {**ONE, "ipv6/disable_ipv6": "1"}}, True, V6_OFF, "pass"),
        ({**ROUTER, "all": {**ON, "ipv4/accept_redirects": "1"}}, False, "", "fail"),
        ({**ROUTER, "default": {**ONE, "ipv6/forwarding": "1"},
          "eth0": {**ONE, "ipv6/forwarding": "1"}}, True, "", "pass"),
    ],
)  # fmt: skip
def test_redirects(
    settings: dict[str, dict[str, str]], ipv6: bool, files: str, expected: str
) -> None:
    """Where a host forwards, both all and the interface have to allow it, elsewhere one; for IPv6
    all has no say at all. That dockerd's ip_forward=1 refuses them for all is no drift."""
    written = {"/etc/sysctl.d/x.conf": files}
    found = judged("icmp-redirects", CARD, written, ipv6=ipv6, **settings)
    assert found.status == expected, found.reason


def test_redirects_that_are_sent() -> None:
    off = {"ipv4/send_redirects": "0"}
    files = {"/etc/sysctl.d/x.conf": "net.ipv4.conf.*.send_redirects=0"}
    assert status("send-redirects") == "pass", "what does not forward sends none"
    assert status("send-redirects", DOCKER, **ROUTER) == "fail"
    only_all = {**ROUTER, "all": {**ON, **off}}
    assert status("send-redirects", DOCKER, **only_all) == "fail", "either is enough"
    every = {name: {**ONE, **off} for name in ("default", "eth0", "docker0")}
    silent = {**every, "all": {**ON, **off}}
    assert status("send-redirects", DOCKER, files, **silent) == "pass"
    assert status("send-redirects", DOCKER, **silent) == "fail", "set by hand"


def test_source_routes() -> None:
    """The kernel wants both, and its own value for all is 0."""
    assert status("source-routing") == "pass"
    assert status("source-routing", all={"ipv4/accept_source_route": "1"}) == "fail"
    on = {"ipv6/accept_source_route": "1"}
    assert status("source-routing", all=on) == "pass"
    assert status("source-routing", all=on, eth0=on) == "fail"
    files = {"/etc/sysctl.d/x.conf": "net.ipv4.conf.all.accept_source_route = 1"}
    assert status("source-routing", files=files) == "fail"


def test_the_loopback_address() -> None:
    on = {"ipv4/route_localnet": "1"}
    assert status("route-localnet") == "pass"
    assert status("route-localnet", all=on) == "fail"
    assert status("route-localnet", eth0=on) == "fail"
    assert status("route-localnet", DOCKER, docker0=on) == "pass"
    assert status("route-localnet", all=on, roles=(KUBERNETES_NODE,)) == "manual"
    assert status("route-localnet", roles=(KUBERNETES_NODE,)) == "pass"


def test_martians() -> None:
    files = {"/etc/sysctl.d/x.conf": "net.ipv4.conf.all.log_martians=1"}
    assert status("log-martians") == "fail"
    assert status("log-martians", CARD, files, all={"ipv4/log_martians": "1"}) == "pass"
    assert status("log-martians", all={"ipv4/log_martians": "1"}) == "fail", "set by hand"


@pytest.mark.parametrize(
    ("forwards", "names", "roles", "expected"),
    [
        (False, CARD, (), "pass"),
        (False, DOCKER, (ROOTFUL,), "pass"),
        (True, CARD, (), "fail"),
        (True, CARD, (ROOTLESS,), "fail"),
        (True, CARD, (ROOTFUL,), "not-applicable"),
        (True, CARD, (KUBERNETES_NODE,), "not-applicable"),
        (True, {**CARD, "podman0": "bridge"}, (), "not-applicable"),
    ],
)
def test_forwarding(
    forwards: bool, names: dict[str, str], roles: tuple[str, ...], expected: str
) -> None:
    settings = ROUTER if forwards else {}
    assert status("packet-forwarding", names, roles=roles, **settings) == expected


def test_forwarding_after_the_next_boot() -> None:
    files = {"/etc/sysctl.d/x.conf": "net.ipv4.ip_forward = 1"}
    assert status("packet-forwarding", CARD, files) == "fail"
    assert status("packet-forwarding", CARD, files, roles=(ROOTFUL,)) == "not-applicable"


def test_forwarding_of_ipv6_alone() -> None:
    assert status("packet-forwarding", all={"ipv6/forwarding": "1"}) == "fail"


@pytest.mark.parametrize(
    ("bridge", "expected"),
    [
        ({}, "fail"),
        ({"ipv6/accept_ra": "0"}, "pass"),
        ({"ipv6/forwarding": "1"}, "pass"),
        ({"ipv6/forwarding": "1", "ipv6/accept_ra": "2"}, "fail"),
        ({"ipv6/disable_ipv6": "1"}, "pass"),
    ],
)
def test_containers_as_routers(bridge: dict[str, str], expected: str) -> None:
    """CVE-2020-13401."""
    assert status("bridge-router-advertisements", DOCKER, docker0=bridge) == expected


def test_no_containers_no_routers() -> None:
    assert status("bridge-router-advertisements") == "not-applicable"
    assert status("bridge-router-advertisements", DOCKER, ipv6=False) == "pass"


def test_routers_on_the_network() -> None:
    off = both("0", "ipv6/accept_ra")
    control = "router-advertisements"
    wanted, unwanted = (Policy(router_advertisements=each) for each in (True, False))
    assert status(control) == "manual"
    assert status(control, policy=unwanted) == "fail"
    assert status(control, policy=wanted) == "not-applicable"
    assert status(control, **off) == "pass"
    assert status(control, policy=unwanted, **off) == "pass"
    files = {"/etc/sysctl.d/x.conf": "net.ipv6.conf.default.accept_ra = 1"}
    assert status(control, CARD, files, policy=unwanted, **off) == "fail"
    assert status(control, ipv6=False) == "not-applicable"


@pytest.mark.parametrize(
    ("names", "roles", "value", "expected"),
    [
        (DOCKER, (), "0", "not-applicable"),
        (CARD, (KUBERNETES_NODE,), "0", "not-applicable"),
        (DOCKER, (KUBERNETES_NODE,), "1", "pass"),
        (DOCKER, (KUBERNETES_NODE,), "0", "fail"),
    ],
)
def test_bridges_and_packet_filters(
    names: dict[str, str], roles: tuple[str, ...], value: str, expected: str
) -> None:
    assert status("bridge-filter", names, roles=roles, bridge=value) == expected
