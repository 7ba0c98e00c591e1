"""Packet filters and listeners on real hosts.

All hosts of this machine share one network stack. What the kernel itself does with rules is
therefore tried in a network namespace of its own, audited as ``local://``; over SSH, scripts that
print real output stand in for the tools that show rules.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from hullcheck.inventory.policy import Policy
from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.systemd import SystemdHost
from tests.live.test_host import audit, status
from tests.recordings.parts.network import DENY_BOTH, OPEN, SAMPLES, install, listen, loader

pytestmark = pytest.mark.live

FIREWALL = ("forward-denied", "input-denied", "published-ports-filtered", "filter-lasts")

APART = """
import json, subprocess, sys
from hullcheck.catalogue import all_controls
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec

NAMES = ("forward-denied", "input-denied", "published-ports-filtered")
for script in json.load(sys.stdin):
    subprocess.run(["sh", "-ec", script], check=True, capture_output=True)
    there = connect(parse_spec("local://"))
    site = Site("apart", Policy(), ("engine-rootful",))
    found = [str(judge(all_controls()[f"host.{each}"], there, site).status) for each in NAMES]
    tables = subprocess.run(["iptables-save"], capture_output=True, text=True).stdout.count("*")
    print(json.dumps([found, tables]), flush=True)
    session_of(there).close()
"""

SETUP = """
ip link set lo up
ip link add eth0 type bridge; ip addr add 198.51.100.2/24 dev eth0; ip link set eth0 up
ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link set docker0 up
ip route add default via 198.51.100.1
echo 1 >/proc/sys/net/ipv4/ip_forward
"""

STEPS = (
    (SETUP, ["fail", "fail", "pass"]),
    ("iptables -P FORWARD DROP", ["pass", "fail", "pass"]),
    ("iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT; iptables -A INPUT -p tcp -m "
     "multiport --dports 22,80 -j ACCEPT; iptables -A INPUT -j REJECT", ["pass", "pass", "pass"]),
    ("iptables -I INPUT -p udp --sport 53 -j ACCEPT", ["pass", "fail", "pass"]),
    ("iptables -F; iptables -P FORWARD ACCEPT", ["fail", "fail", "pass"]),
    (f"iptables-restore <{SAMPLES}/docker20.v4", ["pass", "fail", "manual"]),
    (f"iptables-restore <{SAMPLES}/docker20ufw.v4", ["pass", "pass", "fail"]),
    ("iptables -I DOCKER-USER -i eth0 -p tcp -m conntrack --ctorigdstport 8080 -j DROP",
     ["pass", "pass", "unknown"]),
    ("iptables -R DOCKER-USER 1 -i eth0 -m conntrack --ctstate NEW -j DROP",
     ["pass", "pass", "pass"]),
    ("ip -6 addr add 2001:db8::2/64 dev eth0", ["pass", "fail", "pass"]),
    (f"ip6tables-restore <{SAMPLES}/docker20ufw.v6", ["pass", "pass", "pass"]),
    ("echo 1 >/proc/sys/net/ipv6/conf/all/forwarding; ip6tables -P FORWARD ACCEPT",
     ["fail", "pass", "pass"]),
)  # fmt: skip


def test_what_the_kernel_does() -> None:
    """In a network namespace of its own, with real rules. Asking makes no table there."""
    done = subprocess.run(
        ["unshare", "-n", sys.executable, "-c", APART], check=False, capture_output=True,
        text=True, input=json.dumps([script for script, _ in STEPS]),
    )  # fmt: skip
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [found for found, _ in rows] == [expected for _, expected in STEPS], done.stderr
    assert rows[0][1] == 0


@pytest.fixture
def filtered(systemd_v2: SystemdHost) -> Iterator[SystemdHost]:
    """A host whose rules are shown by scripts; the tools come back."""
    names = "iptables-save ip6tables-save iptables-legacy-save ip6tables-legacy-save"
    systemd_v2.run(f"mkdir /root/kept; cd /usr/sbin; cp -a {names} /root/kept")
    try:
        yield systemd_v2
    finally:
        systemd_v2.run(
            "rm -f /usr/sbin/nft /etc/nftables.conf; cp -a /root/kept/* /usr/sbin; "
            "systemctl disable -q nftables; rm -rf /etc/systemd/system/nftables.service /root/kept "
            "/usr/local/share/filter; systemctl daemon-reload"
        )


def test_rules_over_ssh(filtered: SystemdHost) -> None:
    loader(filtered, enabled=True)
    install(filtered, OPEN)
    assert [str(each.status) for each in audit(filtered, *FIREWALL)] == [
        "fail", "fail", "pass", "not-applicable",
    ]  # fmt: skip
    install(filtered, OPEN, nft=DENY_BOTH)
    assert [str(each.status) for each in audit(filtered, *FIREWALL)] == ["pass"] * 4
    loader(filtered, enabled=False)
    assert status(filtered, "filter-lasts") == "fail"
    loader(filtered, enabled=True, config="flush ruleset\n")
    assert status(filtered, "filter-lasts") == "fail"
    install(filtered, OPEN, nft='{"nftables": [')
    assert status(filtered, "input-denied") == "unknown"


def test_listeners(overlay_host: OverlayHost) -> None:
    meant = Policy(listening_ports=(20021,))
    pid = listen(overlay_host, 20021, 10255)
    try:
        [found] = audit(overlay_host, "listeners", policy=meant)
        seen = {each.object.name: str(each.status) for each in found.findings}
        assert seen == {"tcp://0.0.0.0:20021": "pass", "tcp://0.0.0.0:10255": "fail"}
        assert f"{pid} (python3)" in found.reason
        assert status(overlay_host, "listeners") == "manual"
        assert status(overlay_host, "cluster-ports") == "fail"
    finally:
        overlay_host.run(f"kill {pid}; rm -f /run/listen-20021")


def test_nothing_is_written(overlay_host: OverlayHost) -> None:
    since = overlay_host.mark()
    found = audit(overlay_host, *FIREWALL, "listeners", "cluster-ports")
    assert overlay_host.written(since) == []
    assert not [each.control for each in found if each.status == "error"]
