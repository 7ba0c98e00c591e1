"""What listens in containers, for whom, and who hides behind another's name or network."""

from __future__ import annotations

import pytest

from checks.runtime.test_open_ports import test_administration_ports as administration_ports
from checks.runtime.test_open_ports import test_undeclared_ports as undeclared_ports
from hullcheck.facts.sockets import EVERYWHERE, HOLDERS, MACHINE
from hullcheck.inventory.policy import Policy
from tests.unit.container_fake import APP, HOST_SPACES, Fake, findings, running, status, stopped

TCP = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  inode"
UNIX = "Num       RefCount Protocol Flags    Type St Inode Path"
ANY, LOOP, BRIDGE = "00000000", "0100007F", "020011AC"
ANY6, LOOP6 = "0" * 32, "00000000000000000000000001000000"


def row(address, port, inode, state="0A"):
    remote = "0" * len(address) + ":0000"
    return (
        f"   0: {address}:{port:04X} {remote} {state} 00000000:00000000 00:00000000 00000000"
        f"     0        0 {inode} 1 0000000000000000 100 0 0 10 0"
    )


def table(pid, name, *rows):
    head = UNIX if name == "unix" else TCP
    return "".join(f"/proc/{pid}/net/{name}:{line}\n" for line in (head, *rows))


def network(pids, tcp=(), tcp6=(), udp=(), number=900):
    """Return a network namespace as the sweep tells it: its processes, and its tables."""
    spaces = "".join(f"ns {number} {pid}\n" for pid in pids)
    first = pids[0]
    tables = {"unix": (), "tcp": tcp, "tcp6": tcp6, "udp": udp}
    return spaces + "".join(table(first, name, *rows) for name, rows in tables.items())


def listening(*networks, holders="100 7\n", cmdline="x\0", exe="/x", fake=None, **parts):
    answers = {
        EVERYWHERE.command: "".join(networks),
        HOLDERS.command: f"1 seen\n100 seen\n{holders}",
        MACHINE.command: "x86_64\n",
        "head -c 1048577 -- /proc/100/cmdline": cmdline,
        "readlink -nv /proc/100/exe": exe,
    }
    return running(fake or Fake(100, APP), answers=answers, **parts)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row(ANY, 22, 7)], "fail"), ([row(BRIDGE, 22, 7)], "fail"), ([row(LOOP, 22, 7)], "pass"),
        ([row(ANY, 8080, 7)], "pass"), ([row(ANY, 5905, 7)], "fail"), ([row(ANY, 2375, 7)], "fail"),
        ([row(ANY, 22, 7, state="01")], "pass"), ([], "pass"),
        # Others use these for something else: php-fpm, Prometheus, MinIO.
        ([row(ANY, 9000, 7)], "pass"), ([row(ANY, 9090, 7)], "pass"),
    ],
)  # fmt: skip
def test_ports_of_administration(rows, expected):
    """A static dropbear under another name is given away by its port (peer mistake 47)."""
    host = listening(network([100], rows), cmdline="nginx: worker process\0", exe="/app/nginx")
    assert status(administration_ports, host) == expected


def test_ports_of_both_families_count():
    assert (
        status(administration_ports, listening(network([100], tcp6=[row(ANY6, 23, 7)]))) == "fail"
    )
    assert (
        status(administration_ports, listening(network([100], tcp6=[row(LOOP6, 23, 7)]))) == "pass"
    )


@pytest.mark.parametrize(("exe", "port", "expected"), [
    ("/portainer", 9000, "fail"), ("/usr/local/sbin/php-fpm", 9000, "pass"),
    ("/usr/bin/java", 5005, "fail"), ("/app/api", 5005, "pass"),
    ("/usr/bin/python3.11", 5678, "fail"), ("/usr/bin/n8n", 5678, "pass"),
])  # fmt: skip
def test_some_ports_count_for_some_programs_only(exe, port, expected):
    host = listening(network([100], [row(ANY, port, 7)]), exe=exe)
    assert status(administration_ports, host) == expected


def test_the_site_may_name_its_own_ports():
    host = listening(network([100], [row(ANY, 22, 7)]))
    assert status(administration_ports, host, policy=Policy(administration_ports=(9999,))) == "pass"
    host = listening(network([100], [row(ANY, 9999, 7)]))
    assert status(administration_ports, host, policy=Policy(administration_ports=(9999,))) == "fail"
    host = listening(network([100], [row(ANY, 22, 7)]))
    assert status(administration_ports, host, policy=Policy(administration_ports=())) == "pass"


def test_on_the_hosts_network_only_its_own_listeners_are_a_containers():
    """The host's own sshd is not blamed on it."""
    shared = Fake(100, APP, spaces={"net": HOST_SPACES["net"]})
    both = network([1, 50, 100], [row(ANY, 22, 5), row(ANY, 2222, 7)])
    host = listening(both, holders="1 5\n100 7\n", fake=shared)
    finding = findings(administration_ports, host)["app"]
    assert "2222" in finding.reason
    assert "port 22 " not in finding.reason and ":22 " not in finding.reason
    assert "host's network" in finding.reason
    alone = network([1, 50, 100], [row(ANY, 22, 5), row(ANY, 23, 0)])
    host = listening(
        alone, holders="1 5\n", fake=Fake(100, APP, spaces={"net": HOST_SPACES["net"]})
    )
    assert status(administration_ports, host) == "pass"


def test_a_listener_that_nobody_holds_is_its_containers():
    host = listening(network([100], [row(ANY, 22, 0)]), holders="")
    assert status(administration_ports, host) == "fail"


def test_what_the_listeners_of_another_container_in_its_network_are():
    """--network=container:other: each holds its own."""
    host = listening(network([100, 300], [row(ANY, 22, 8)]), holders="300 8\n")
    assert status(administration_ports, host) == "pass"


def test_where_it_is_published_is_said():
    ports = {"Ports": {"22/tcp": [{"HostIp": "0.0.0.0", "HostPort": "12022"}]}}
    host = listening(network([100], [row(ANY, 22, 7)]), NetworkSettings=ports)
    assert "published as 0.0.0.0:12022" in findings(administration_ports, host)["app"].reason


@pytest.mark.parametrize("control", [administration_ports, undeclared_ports])
def test_what_cannot_be_seen_is_unknown(control):
    seen = network([100], [row(ANY, 22, 7)])
    assert status(control, listening(seen, holders="100 denied\n")) == "unknown"
    assert status(control, listening("ns 900 100\n")) == "unknown"
    assert status(control, listening("")) == "unknown"
    assert status(control, listening(network([7], [row(ANY, 22, 7)]))) == "unknown"
    assert status(control, stopped()) == "not-applicable"


@pytest.mark.parametrize(
    ("rows", "parts", "expected"),
    [
        ([row(ANY, 80, 7)], {"Config": {"ExposedPorts": {"80/tcp": {}}}}, "pass"),
        ([row(ANY, 80, 7)], {"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}}, "pass"),
        ([row(ANY, 80, 7)], {"NetworkSettings": {"Ports": {"80/tcp": None}}}, "pass"),
        ([row(ANY, 80, 7)], {"Config": {"ExposedPorts": {"80/udp": {}}}}, "fail"),
        ([row(ANY, 81, 7)], {"Config": {"ExposedPorts": {"80/tcp": {}}}}, "fail"),
        ([row(ANY, 80, 7)], {}, "fail"), ([row(LOOP, 80, 7)], {}, "pass"), ([], {}, "pass"),
        # What an attacker's tool takes: any free port.
        ([row(ANY, 40000, 7)], {}, "fail"),
    ],
)  # fmt: skip
def test_only_declared_ports_are_listened_on(rows, parts, expected):
    assert status(undeclared_ports, listening(network([100], rows), **parts)) == expected


def test_a_udp_client_is_no_service():
    def udp(port):
        return listening(network([100], udp=[row(ANY, port, 7, state="07")]))

    assert status(undeclared_ports, udp(53)) == "fail"
    assert status(undeclared_ports, udp(45000)) == "pass"
    assert status(administration_ports, udp(22)) == "pass"
