"""Who reaches a swarm's nodes, signs for them and joins them, and what lies on their disks."""

from __future__ import annotations

from datetime import timedelta

import pytest

from checks.orchestrator import test_swarm_keys as keys
from checks.orchestrator import test_swarm_network as net
from checks.orchestrator import test_swarm_state as state
from hullcheck.control import control_of
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from tests.unit.docker_fake import WHEN
from tests.unit.fake import host_with
from tests.unit.filter_fake import DENY4, NO_NFT, OPEN4
from tests.unit.swarm_fake import (
    CA,
    KEPT,
    WORKER,
    certificate,
    in_swarm,
    judged,
    manager,
    status,
    wants,
)

OUT, IN = "198.51.100.2", "172.17.0.1"
"""Addresses of the fake host: one where strangers come from, one that they do not."""


def at(address, gossip=None):
    gossip = gossip or address
    return {
        "tcp": [(address, 2377), (gossip, 7946)], "udp": [(gossip, 7946)],
        "state": {"ListenAddr": f"{address}:2377"},
    }  # fmt: skip


def guarded(*rules, policy="DROP"):
    body = "".join(f"-A INPUT {rule}\n" for rule in rules)
    return {"save4": f"*filter\n:INPUT {policy} [0:0]\n:FORWARD ACCEPT [0:0]\n{body}COMMIT\n"}


OPEN = {"save4": OPEN4}
VXLAN = {"kernel": [("0.0.0.0", 4789)]}
DATA = "-p udp -m udp --dport 4789"
VNI = '-m u32 --u32 "0x0>>0x16&0x3c@0xc&0xffffff00=0x100100"'
BPF = '-m bpf --bytecode "6,177 0 0 0,64 0 0 12,116 0 0 8,21 0 1 4097,6 0 0 4294967295,6 0 0 0"'
NODES = f"-s 10.0.0.0/8 {DATA} -j ACCEPT"


@pytest.mark.parametrize(
    ("more", "packets", "expected"),
    [
        (at(OUT), {"save4": DENY4}, "pass"), (at(OUT), OPEN, "fail"),
        (at("0.0.0.0"), OPEN, "fail"), (at("0.0.0.0"), {"save4": DENY4}, "pass"),
        (at(IN), OPEN, "pass"), ({**at(IN), **VXLAN}, OPEN, "fail"),
        ({**at(IN), **VXLAN}, guarded(NODES), "pass"),
        ({**at(IN), **VXLAN}, guarded(f"{DATA} -j ACCEPT"), "fail"),
        ({**at(IN), **VXLAN}, guarded(f"{DATA} -j DROP", policy="ACCEPT"), "pass"),
        ({**at(IN), **VXLAN}, guarded("-p tcp -j DROP", policy="ACCEPT"), "fail"),
        (at(OUT), guarded("-p tcp -m tcp --dport 7946 -j ACCEPT"), "fail"),
        (at(OUT), guarded("-p tcp -m tcp --dport 80 -j ACCEPT"), "pass"),
        # What Docker itself does for networks that are encrypted leaves the others open.
        ({**at(IN), **VXLAN}, guarded(f"-m policy --dir in --pol none {DATA} {VNI} -j DROP",
                                      f"{DATA} {VNI} -j ACCEPT", policy="ACCEPT"), "fail"),
        ({**at(IN), **VXLAN}, guarded(f"-m policy --dir in --pol ipsec {DATA} {VNI} -j ACCEPT",
                                      f"{DATA} {VNI} -j DROP"), "pass"),
        ({**at(IN), **VXLAN}, guarded(f"{DATA} {BPF} -j DROP", policy="ACCEPT"), "fail"),
        (at(OUT), guarded("-m bpf --bytecode 4,x -j ACCEPT"), "unknown"),
        ({**at(IN), **VXLAN}, {"save4": (4, "", "Permission denied (you must be root)"),
                               "nft": NO_NFT}, "unknown"),
        (at("127.0.0.1"), OPEN, "pass"), (at(IN, OUT), OPEN, "fail"),
        ({**at("::"), "udp": [(OUT, 7946)]}, {**OPEN, "v6": True}, "fail"),
    ],
)  # fmt: skip
def test_strangers_reach_what_the_filter_lets_through(more, packets, expected):
    control = net.test_swarm_ports_filtered
    assert status(control, packets=packets, **more) == expected


def test_ports_that_a_firewall_before_the_host_shuts_are_named_by_the_policy():
    control = net.test_swarm_ports_filtered
    more = {**at(OUT), **VXLAN, "packets": OPEN}
    assert status(control, Policy(listening_ports=(2377, 7946, 4789)), **more) == "pass"
    verdict = judged(control, Policy(listening_ports=(2377, 7946)), **more)
    assert "4789" in verdict.reason
    assert "2377" not in verdict.reason


def test_an_engine_with_a_network_of_its_own_has_its_own_strangers():
    """A rootless one: the host's packet filter is not before it."""
    more = {**at("0.0.0.0"), "packets": OPEN, "network_space": 7}
    verdict = judged(net.test_swarm_ports_filtered, **more)
    assert (str(verdict.status), "of its own" in verdict.reason) == ("not-applicable", True)


@pytest.mark.parametrize(
    ("advertised", "data", "expected"),
    [(OUT, IN, "pass"), (OUT, "198.51.100.2", "fail"), (OUT, "192.168.9.9", "pass")],
)
def test_data_takes_another_interface(advertised, data, expected):
    given = {"DataPathAddr": data, "AdvertiseAddr": f"{advertised}:2377"}
    said = {**manager(), "NodeAddr": advertised}
    assert status(net.test_swarm_data_path, said=said, state=given) == expected


def test_two_forms_of_an_address_are_one():
    given = {"DataPathAddr": "2001:DB8:0::2", "AdvertiseAddr": "[2001:db8::2]:2377"}
    said = {**manager(), "NodeAddr": "2001:db8::2"}
    assert status(net.test_swarm_data_path, said=said, state=given) == "fail"


def external(*urls):
    told = [{"Protocol": "cfssl", "URL": url} for url in urls]
    return manager(spec={"CAConfig": {"NodeCertExpiry": 1, "ExternalCAs": told}})


@pytest.mark.parametrize(
    ("urls", "known", "expected"),
    [
        ((), None, "pass"), ((), (), "pass"), (("https://ca/sign",), None, "manual"),
        (("https://ca/sign",), (), "fail"), (("https://ca/sign",), ("https://ca/sign",), "pass"),
        (("http://ca/sign",), ("http://ca/sign",), "fail"), (("http://ca/sign",), None, "fail"),
        (("https://ca/sign", "https://evil/sign"), ("https://ca/sign",), "fail"),
        (("",), (), "fail"),
    ],
)  # fmt: skip
def test_who_signs_from_outside_is_known(urls, known, expected):
    policy = Policy(swarm_external_cas=known)
    assert status(keys.test_swarm_external_ca, policy, said=external(*urls)) == expected


def test_who_signs_is_unknown_where_the_manager_does_not_say():
    said = manager()
    del said["Cluster"]["Spec"]["CAConfig"]
    assert status(keys.test_swarm_external_ca, said=said) == "unknown"


@pytest.mark.parametrize(
    ("days", "authority", "changed", "expected"),
    [
        (None, 5, 0, "manual"), (30, 5, 0, "pass"), (30, 100, 0, "unknown"),
        (30, 100, 40, "fail"), (30, 31, 31, "fail"), (30, 29, 29, "pass"),
    ],
)  # fmt: skip
def test_tokens_are_as_old_as_can_be_told(days, authority, changed, expected):
    """Nothing notes when they were changed: in between the answer is unknown, never a pass."""
    root = certificate(WHEN - timedelta(days=authority), 7300)
    when = (WHEN - timedelta(days=changed)).isoformat()
    said = manager(TLSInfo={"TrustRoot": root}, UpdatedAt=when)
    assert status(keys.test_swarm_join_tokens, Policy(swarm_token_days=days), said=said) == expected


def test_tokens_of_a_swarm_whose_authority_is_being_replaced_are_the_old_ones():
    fresh = certificate(WHEN, 7300)
    said = manager(TLSInfo={"TrustRoot": fresh + CA}, RootRotationInProgress=True)
    assert status(keys.test_swarm_join_tokens, Policy(swarm_token_days=30), said=said) == "unknown"


@pytest.mark.parametrize("text", ["", "yesterday", "9999-99-99T00:00:00Z", None])
def test_tokens_of_a_swarm_without_times_are_unknown(text):
    said = manager(UpdatedAt=text)
    assert status(keys.test_swarm_join_tokens, Policy(swarm_token_days=30), said=said) == "unknown"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "pass"), ({"kept": [*KEPT, "raft/wal-v3"]}, "fail"),
        ({"kept": [*KEPT, "certificates/swarm-root-ca.key"]}, "fail"),
        ({"kept": [*KEPT, "certificates/swarm-node.key.bak"]}, "fail"),
        ({"kept": [*KEPT, "certificates/.swarm-node.key123.tmp"]}, "pass"),
        ({"copies": ["swarm", "swarm.bak"]}, "fail"), ({"copies": ["swarm"]}, "pass"),
        ({"said": manager(spec={"Raft": {"KeepOldSnapshots": 5}})}, "fail"),
        ({"said": manager(spec={"Raft": None})}, "unknown"),
        ({"said": manager(spec={"Raft": {"KeepOldSnapshots": "0"}})}, "unknown"),
        ({"said": WORKER}, "fail"), ({"said": WORKER, "kept": KEPT[:5]}, "pass"),
        ({"kept": ()}, "unknown"), ({"said": {"LocalNodeState": "locked"}}, "unknown"),
    ],
)  # fmt: skip
def test_no_old_state_is_kept(more, expected):
    assert status(state.test_swarm_old_state, **more) == expected


@pytest.mark.parametrize(
    "spoilt",
    ["", (0, "/var/lib/docker/swarm\0", ""),
     (0, "//end\0", "find: '/var/lib/docker/swarm': Permission denied")],
)  # fmt: skip
def test_state_that_cannot_be_listed_is_unknown(spoilt):
    for want in wants():
        answers = in_swarm(also={want.command: spoilt})
        verdict = judge(control_of(state.test_swarm_old_state), host_with(answers), Site())
        assert str(verdict.status) == "unknown"
