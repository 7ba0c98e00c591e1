"""Strangers' packets on their way through real rule sets, and through tricky ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hullcheck.control import Unknown
from hullcheck.facts.packet_filter import PacketFilter
from hullcheck.facts.packet_filter.iptables import parse_save
from hullcheck.facts.packet_filter.nft import parse_ruleset
from hullcheck.facts.packet_filter.nft_file import incoming
from hullcheck.facts.routes import parse_routes, parse_routes6
from tests.unit.filter_fake import ROUTE, V6, listed, network, rules, sample, saved

NET = network(v6=True)


def into(found: PacketFilter, family: int = 4) -> str:
    return found.incoming(family, NET).verdict


def through(found: PacketFilter, family: int = 4) -> dict[str, str]:
    net = network("bridge1", v6=True)
    return {place: each.verdict for place, each in found.passing(family, net).items()}


def published(found: PacketFilter) -> list[str]:
    return [str(each) for each in found.published(network("bridge1"))]


class TestRealOnes:
    def test_docker_alone(self) -> None:
        """dockerd denies in FORWARD when it switches forwarding on, and leaves INPUT alone."""
        found = saved(sample("docker20.v4"))
        assert into(found) == "open"
        assert set(through(found).values()) == {"denied"}
        assert published(found) == ["8080/tcp to 172.17.0.2:80"]

    def test_docker_below_ufw(self) -> None:
        found = saved(sample("docker20ufw.v4"))
        assert into(found) == "denied"
        assert into(saved(sample("docker20ufw.v6"), 6), 6) == "denied"
        [port] = found.published(network())
        packets = [p for p in found.strangers_at(8080, 4, network()) if p.protocol == "tcp"]
        assert found.worst(packets, network()).verdict == "open"
        assert found.guest(port, network()).verdict == "denied"

    def test_docker_29_on_nftables(self) -> None:
        """It denies what goes to its bridges, not what else the host forwards."""
        found = listed("docker29.json")
        assert through(found) == {"docker0": "denied", "bridge1": "denied", "elsewhere": "open"}
        assert published(found) == ["8080/tcp to 192.0.2.2:80"]
        assert into(found) == "open"

    def test_firewalld(self) -> None:
        found = listed("firewalld.json")
        for family in (4, 6):
            assert into(found, family) == "denied"
            assert set(through(found, family).values()) == {"denied"}

    def test_many_conditions(self) -> None:
        """A group of interfaces, whose members no list shows, leaves the rest in doubt."""
        found = listed("native.json")
        assert into(found) == "unknown"
        assert "handle 25" in found.incoming(4, NET).why
        text = sample("native.json").replace('"iifgroup"', '"pkttype"')
        assert into(PacketFilter(tuple(parse_ruleset(text)))) == "denied"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((), "denied"),
        (("-i lo -j ACCEPT", "-m state --state RELATED,ESTABLISHED -j ACCEPT"), "denied"),
        (("-p tcp -m tcp --dport 22 -j ACCEPT",), "denied"),
        (("-p tcp -m multiport --dports 22,80,8000:8010 -j ACCEPT",), "denied"),
        (("-s 10.0.0.0/8 -j ACCEPT",), "denied"),
        (("-p icmp -j ACCEPT", "-p 47 -j ACCEPT"), "denied"),
        (("! -i eth0 -j ACCEPT",), "denied"),
        (("-i docker+ -j ACCEPT",), "denied"),
        (("-m addrtype --dst-type BROADCAST -j ACCEPT",), "denied"),
        (("-m mark --mark 0x40/0xff -j ACCEPT",), "denied"),
        (("-m comment --comment \"-j ACCEPT\" -s 10.0.0.1/32 -j ACCEPT",), "denied"),
        (("-j LOG --log-prefix \"ACCEPT \"",), "denied"),
        (("-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK FIN -j ACCEPT",), "denied"),
        # Everything is let in, one way or another.
        (("-j ACCEPT",), "open"),
        (("-i eth0 -j ACCEPT",), "open"),
        (("-i et+ -j ACCEPT",), "open"),
        (("-p udp -j ACCEPT",), "open"),
        (("-p tcp -m tcp --dport 1:65535 -j ACCEPT",), "open"),
        (("-p tcp -m tcp --dport 1024:65535 -j ACCEPT",), "open"),
        (("-s 0.0.0.0/1 -j ACCEPT", "-s 128.0.0.0/1 -j ACCEPT"), "open"),
        (("-p udp -m udp --sport 53 -j ACCEPT",), "open"),
        (("-m limit --limit 5/sec -j ACCEPT",), "open"),
        (("-m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT",), "open"),
        (("-m conntrack ! --ctstate INVALID -j ACCEPT",), "open"),
        (("! -s 192.0.2.1/32 -j ACCEPT",), "open"),
        (("-m addrtype --dst-type LOCAL -j ACCEPT",), "open"),
        (("-p tcp -m tcp --syn -j ACCEPT",), "open"),
        (("-m mark --mark 0x0 -j ACCEPT",), "open"),
        (("-m policy --dir in --pol none -j ACCEPT",), "open"),
        (("-m policy --dir in --pol ipsec -j ACCEPT",), "denied"),
        (("-m policy --dir in --pol ipsec --proto esp -j ACCEPT",), "denied"),
        (("-m policy ! --dir in --pol ipsec -j ACCEPT",), "unknown"),
        # What is not understood decides nothing.
        (("-m policy --dir out --pol none -j ACCEPT",), "unknown"),
        (("-m u32 --u32 0x0 -j ACCEPT",), "unknown"),
        (("-m set --match-set office src -j ACCEPT",), "unknown"),
        (("-j NFQUEUE --queue-num 1",), "unknown"),
        (("-j MARK --set-xmark 0x40/0xff", "-m mark --mark 0x40/0xff -j ACCEPT"), "unknown"),
        (("-j nowhere",), "unknown"),
        (("--frobnicate 3 -j ACCEPT",), "unknown"),
        (("-m bpf --bytecode \"1,6 0 0 1\" -j RETURN",), "denied"),
    ],
)  # fmt: skip
def test_rules_before_a_denial(lines: tuple[str, ...], expected: str) -> None:
    assert into(rules(*lines)) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((), "open"),
        (("-p tcp -m tcp --dport 23 -j DROP",), "open"),
        (("-m limit --limit 100/sec -j RETURN", "-j DROP"), "open"),
        (("-m limit --limit 100/sec -j DROP",), "open"),
        (("-m recent --update --seconds 60 --hitcount 9 --rsource -j DROP",), "open"),
        (("-m set --match-set blocked src -j DROP",), "open"),
        (("-s 103.66.0.0/16 -j DROP", "-s 45.83.0.0/16 -j DROP"), "open"),
        (("-m rt --rt-type 0 -j DROP",), "open"),
        (("-i eth1 -j DROP",), "open"),
        (("-p tcp -j DROP",), "open"),
        (("-p tcp -j DROP", "-p udp -j REJECT --reject-with icmp-port-unreachable"), "denied"),
        (("-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-j REJECT"), "denied"),
        (("-i eth0 -j DROP",), "denied"),
        (("-m string --string x --algo bm --to 65535 -j DROP",), "unknown"),
        (("-j in", "-j DROP"), "denied"),
        (("-g in", "-j DROP"), "open"),
    ],
)  # fmt: skip
def test_rules_before_an_opening(lines: tuple[str, ...], expected: str) -> None:
    """An administrator's denial at the end counts as well as the policy; a list of what is denied
    does not, and a jump comes back where a goto does not."""
    extra = ":in - [0:0]\n-A in -p tcp -m tcp --dport 22 -j ACCEPT\n"
    assert into(rules(*lines, policy="ACCEPT", extra=extra)) == expected


def test_each_hook_can_deny() -> None:
    """nftables and both kinds of iptables are in force at once: whoever denies, denies."""
    first, second = rules("-j ACCEPT"), rules(policy="DROP")
    assert into(PacketFilter((*first.tables, *second.tables))) == "denied"
    raw = saved("*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i eth0 -j DROP\nCOMMIT\n")
    assert into(PacketFilter((*first.tables, *raw.tables))) == "denied"
    assert set(through(raw).values()) == {"denied"}


def test_a_loop_or_too_many_rules() -> None:
    extra = ":a - [0:0]\n:b - [0:0]\n-A a -j b\n-A a -j b\n-A b -j a\n-A b -j a\n"
    with pytest.raises(Unknown, match="too many rules"):
        into(rules("-j a", extra=extra))


def test_what_cannot_be_seen_can_only_deny() -> None:
    assert into(PacketFilter((), ("the rest",))) == "unknown"
    assert into(PacketFilter(rules().tables, ("the rest",))) == "denied"


@pytest.mark.parametrize(
    "text",
    ["*filter\n:INPUT ACCEPT [0:0]\n", "*filter\nrubbish\nCOMMIT\n", "iptables: oh no\n",
     "*filter\n-A INPUT -j 'x\nCOMMIT\n", "\udc80\n"],
)  # fmt: skip
def test_damaged_text(text: str) -> None:
    with pytest.raises(Unknown):
        parse_save(text, 4)


def test_a_comment_of_several_lines() -> None:
    text = '*filter\n:INPUT DROP [0:0]\n-A INPUT -s 10.1.1.1/32 -m comment --comment "a\n' \
        ':INPUT ACCEPT\n-A INPUT -j ACCEPT" -j ACCEPT\nCOMMIT\n'  # fmt: skip
    assert into(saved(text)) == "denied"


def nft(*expressions: list[Any], policy: str = "drop", **table: Any) -> PacketFilter:
    place = {"family": "inet", "table": "t"}
    chain = {**place, "name": "in", "type": "filter", "hook": "input", "prio": 0, "policy": policy}
    listed_ = [
        {"table": {"family": "inet", "name": "t", **table}}, {"chain": chain},
        {"set": {**place, "name": "few", "elem": ["1.2.3.4"]}},
        *({"rule": {**place, "chain": "in", "handle": 7, "expr": each}} for each in expressions),
    ]  # fmt: skip
    return PacketFilter(tuple(parse_ruleset(json.dumps({"nftables": listed_}))))


def match(left: Any, right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def port(name: str = "tcp") -> Any:
    return {"payload": {"protocol": name, "field": "dport"}}


ACCEPT: dict[str, None] = {"accept": None}
SOURCE = {"payload": {"protocol": "ip", "field": "saddr"}}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ([match(port(), 22), ACCEPT], "denied"),
        ([match(port(), {"set": [22, {"range": [80, 90]}]}), ACCEPT], "denied"),
        ([match(port(), 22, "!="), ACCEPT], "open"),
        ([match(port("udp"), 1024, ">="), ACCEPT], "open"),
        ([match(port("th"), 22), ACCEPT], "denied"),
        ([match(SOURCE, "@few"), ACCEPT], "denied"),
        ([match(SOURCE, "@few", "!="), ACCEPT], "open"),
        ([match(SOURCE, "@gone"), ACCEPT], "unknown"),
        ([match({"ct": {"key": "state"}}, ["established", "new"], "in"), ACCEPT], "open"),
        ([match({"meta": {"key": "iifname"}}, "e*"), ACCEPT], "open"),
        ([match({"meta": {"key": "nfproto"}}, "ipv6"), ACCEPT], "denied"),
        ([match({"meta": {"key": "cgroup"}}, 3), ACCEPT], "unknown"),
        ([{"limit": {"rate": 9, "per": "second"}}, ACCEPT], "open"),
        ([{"xt": {"type": "match", "name": "set"}}, ACCEPT], "unknown"),
        ([{"xt": None}, ACCEPT], "unknown"),
        ([{"vmap": {"key": port(), "data": {"set": [[22, ACCEPT], [47, ACCEPT]]}}}], "open"),
        ([{"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [["established", ACCEPT]]}}}],
         "denied"),
        ([{"vmap": {"key": port(), "data": {"set": [[{"elem": {"val": 22}}, ACCEPT]]}}}], "denied"),
        ([{"queue": {"num": 1}}], "unknown"),
        ([{"new thing": {}}], "unknown"),
        ([{"counter": None}, {"log": None}], "denied"),
    ],
)  # fmt: skip
def test_nftables_conditions(rule: list[Any], expected: str) -> None:
    assert into(nft(rule)) == expected


def test_a_dormant_table_denies_nothing() -> None:
    """It is listed with its policy and all; nft 1.0.6 spoils the flag that tells."""
    assert into(nft()) == "denied"
    assert into(nft(flags=["dormant"])) == "open"
    assert into(nft(flags="dormant")) == "open"
    assert into(nft(flags="inet")) == "unknown"
    assert into(nft(flags=["owner", "persist"])) == "denied"


@pytest.mark.parametrize("text", ["", "[]", '{"nftables": 3}', '{"nftables": [{"rule": {}}, 4]}',
                                  '{"nftables": [{"table": {"family": "ip"}}]}'])  # fmt: skip
def test_damaged_json(text: str) -> None:
    with pytest.raises(Unknown):
        parse_ruleset(text)


SHAPE = (
    "table inet filter {{\n\tchain input {{\n\t\ttype filter hook input priority 0;{}\n\t}}\n}}\n"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#!/usr/sbin/nft -f\nflush ruleset\n" + SHAPE.format(""), "open"),
        (SHAPE.format(" policy accept;"), "open"),
        (SHAPE.format(" policy drop;\n\t\ttcp dport { 22, 80 } accept"), "denied"),
        (SHAPE.format("\n\t\tiif lo accept\n\t\tcounter drop comment"), "unsure"),
        (SHAPE.format('\n\t\tiif lo accept\n\t\tlog prefix "no; {" drop # }'), "denied"),
        (SHAPE.format(" policy drop;\n\t\tcounter accept"), "unsure"),
        (SHAPE.format(" policy drop;").replace("input", "forward"), "open"),
        ("table ip6 f { chain i { type filter hook input priority 0; policy drop; } }", "open"),
        ('include "/etc/nftables.d/*.nft"\n', "unsure"),
        ("# table inet f { chain i { type filter hook input priority 0; policy drop; } }", "open"),
    ],
)
def test_what_a_file_of_nftables_will_do(text: str, expected: str) -> None:
    assert incoming(text, 4) == expected


def test_a_broken_file() -> None:
    for text in ("table ip x {", "{" * 40):
        with pytest.raises(Unknown):
            incoming(text, 4)


def test_routes() -> None:
    assert [(each.device, str(each.network)) for each in parse_routes(ROUTE)] == [
        ("eth0", "0.0.0.0/0"), ("docker0", "172.17.0.0/16"), ("eth0", "198.51.100.0/24"),
    ]  # fmt: skip
    assert parse_routes6(V6["ipv6_route"])[0].default
    for damaged in ("x\neth0 zz", "x\neth0 0 0 1 0 0 0"):
        with pytest.raises(Unknown):
            parse_routes(damaged)
