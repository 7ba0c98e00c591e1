"""Which host our SSH reaches: its key, and the way to it; both clients, on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from hullcheck.transport import want
from tests.live.desk import Desk
from tests.live.sshd import PORT, Sshd, print_of, public

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it starts sshd and makes users"),
]


# Host keys


def test_a_known_host_answers_byte_for_byte(desk: Desk) -> None:
    every = "\\000\\001\\377\\376\\n\\r\\n"
    out, both, code = desk.ask(
        want(f"printf '{every}'"),
        want("printf 'out\\377'; printf 'err\\200\\n\\n' >&2"),
        want("exit 7", meaning=(7,)),
    )
    assert out.output == b"\x00\x01\xff\xfe\n\r\n"
    assert both.output == b"out\xff"
    assert both.evidence.stderr == b"err\x80\n\n"
    assert code.exit == 7


def test_an_unknown_host_is_refused(desk: Desk) -> None:
    desk.known.write_text(desk.lab.jump.known)
    refusal = desk.refusal()
    assert refusal.kind == "host-key"
    for fact in ("web", "ed25519", print_of(desk.lab.web.host_key), str(desk.known)):
        assert fact.lower() in str(refusal).lower()


def test_no_configuration_loosens_it(desk: Desk) -> None:
    desk.known.write_text("")
    for loose in ("no", "accept-new"):
        desk.write(everywhere=f"  StrictHostKeyChecking {loose}\n")
        assert desk.refusal().kind == "host-key"
    assert desk.known.read_text() == ""


def test_a_changed_key_is_refused(desk: Desk) -> None:
    web = desk.lab.web
    desk.known.write_text(
        f"# a comment\n[{web.address}]:{web.port} {public(desk.lab.jump.host_key)}\n"
    )
    refusal = desk.refusal()
    assert refusal.kind == "host-key"
    old, new = print_of(desk.lab.jump.host_key), print_of(web.host_key)
    for fact in (old, new, f"{desk.known}:2", "ssh-keygen -R"):
        assert fact in str(refusal)


def test_a_revoked_key_is_refused(desk: Desk) -> None:
    desk.known.write_text(desk.lab.web.known + f"@revoked * {public(desk.lab.web.host_key)}\n")
    refusal = desk.refusal()
    assert refusal.kind == "host-key"
    assert "revoked" in str(refusal)
    assert f"{desk.known}:2" in str(refusal)


def test_hashed_names_and_aliases_are_known(desk: Desk) -> None:
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", desk.known], check=True, capture_output=True)
    assert "127.0.0.31" not in desk.known.read_text()
    assert desk.ask(want("echo 1"))[0].text == "1\n"
    desk.known.write_text(f"blue {public(desk.lab.web.host_key)}\n")
    desk.write(web="  HostKeyAlias blue\n")
    assert desk.ask(want("echo 2"))[0].text == "2\n"
    desk.write(web="  HostKeyAlias green\n")
    assert desk.refusal().kind == "host-key"


# Reaching it


def test_a_refused_port(desk: Desk) -> None:
    refusal = desk.refusal("127.0.0.33")
    assert refusal.kind == "refused"
    assert "127.0.0.33" in str(refusal)


def test_a_name_that_does_not_resolve(desk: Desk) -> None:
    refusal = desk.refusal("no-such-host.invalid")
    assert refusal.kind == "name"
    assert "no-such-host.invalid" in str(refusal)


def connections(listener: socket.socket) -> int:
    """How many have knocked at a port where nobody answers."""
    listener.setblocking(False)
    for count in range(100):
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return count
    raise AssertionError("too many")


def test_a_silent_port_costs_one_timeout(desk: Desk) -> None:
    with socket.create_server(("127.0.0.34", 0)) as silent:
        begun = time.monotonic()
        refusal = desk.refusal(f"127.0.0.34:{silent.getsockname()[1]}?timeout=1")
        assert 0.9 < time.monotonic() - begun < 9
        assert connections(silent) == 1
    assert refusal.kind == "timeout"
    assert "127.0.0.34" in str(refusal)


def test_connect_timeout_of_the_configuration(desk: Desk) -> None:
    desk.write(everywhere="  ConnectTimeout 1\n")
    with socket.create_server(("127.0.0.34", 0)) as silent:
        begun = time.monotonic()
        assert desk.refusal(f"127.0.0.34:{silent.getsockname()[1]}").kind == "timeout"
        assert time.monotonic() - begun < 9


def test_something_else_than_ssh_listens(desk: Desk) -> None:
    with socket.create_server(("127.0.0.34", 0)) as other:

        def hang_up() -> None:
            other.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        assert desk.refusal(f"127.0.0.34:{other.getsockname()[1]}").kind == "lost"


def test_a_server_that_talks_nonsense(desk: Desk) -> None:
    packets = [b"\x00" * 400, b"\xff" * 400, b"\x00\x00\x00\x0c\x04\x14" + b"\xff" * 400]
    for packet in packets:
        with socket.create_server(("127.0.0.34", 0)) as other:

            def talk(server: socket.socket = other, said: bytes = packet) -> None:
                with server.accept()[0] as connection:
                    connection.sendall(b"hello \x1b[31m\r\nSSH-2.0-\x1b]0;owned\x07\r\n" + said)
                    connection.recv(1)

            threading.Thread(target=talk, daemon=True).start()
            refusal = desk.refusal(f"127.0.0.34:{other.getsockname()[1]}?timeout=2")
            assert refusal.kind in ("lost", "timeout")
            assert str(refusal).isprintable()


def test_through_a_jump_host(desk: Desk) -> None:
    desk.write(web="  ProxyJump jump\n")
    assert desk.ask(want("echo ${SSH_CLIENT:-kept out}"), want("id -u"))[1].text == "0\n"
    assert any("127.0.0.32" in line for line in _connections(desk.lab.jump))


def _connections(sshd: Sshd) -> list[str]:
    log = (sshd.home / f"log-{sshd.address}").read_text()
    return [f"{sshd.address} {line}" for line in log.splitlines() if "Accepted publickey" in line]


def test_two_jump_hosts_in_a_row(desk: Desk) -> None:
    web, jump = desk.lab.web, desk.lab.jump
    before = len(_connections(jump)), len(_connections(web))
    desk.write(web="  ProxyJump jump,middle\n")
    middle = f"Host middle\n  HostName {web.address}\n  User daemon\n"
    desk.config.write_text(middle + desk.config.read_text())
    assert desk.ask(want("id -u"))[0].text == "0\n"
    assert (len(_connections(jump)), len(_connections(web))) == (before[0] + 1, before[1] + 2)


def test_a_jump_host_is_verified_as_strictly(desk: Desk) -> None:
    desk.write(web="  ProxyJump jump\n", everywhere="  StrictHostKeyChecking no\n")
    desk.known.write_text(desk.lab.web.known)
    refusal = desk.refusal()
    assert refusal.kind == "host-key"
    assert print_of(desk.lab.jump.host_key) in str(refusal)


def test_a_jump_host_that_does_not_get_through(desk: Desk) -> None:
    desk.write(web="  ProxyJump jump\n  Port 2239\n")
    refusal = desk.refusal()
    assert refusal.kind == "refused"
    assert "2239" in str(refusal)


def test_jump_hosts_in_a_circle(desk: Desk) -> None:
    desk.write(web="  ProxyJump a\n", everywhere="")
    desk.config.write_text(
        "Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n" + desk.config.read_text()
    )
    refusal = desk.refusal()
    assert "circle: web -> a -> b -> a" in str(refusal)


def test_a_proxy_command(desk: Desk) -> None:
    log = desk.folder / "proxied"
    relay = desk.folder / "relay.py"
    relay.write_text(RELAY)
    command = f"{sys.executable} {relay} %h %p %r %n %% {log}"
    desk.write(web=f"  ProxyCommand {command}\n")
    assert desk.ask(want("id -u"))[0].text == "0\n"
    assert log.read_text() == f"{desk.lab.web.address} {PORT} root web %"


RELAY = """
import os, socket, sys, threading
host, port, *rest, log = sys.argv[1:]
open(log, "w").write(" ".join(sys.argv[1:-1]))
there = socket.create_connection((host, int(port)))
def up():
    while data := os.read(0, 65536):
        there.sendall(data)
    there.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while data := there.recv(65536):
    os.write(1, data)
"""


def test_a_proxy_command_that_fails(desk: Desk) -> None:
    desk.write(web="  ProxyCommand exit 3\n")
    assert desk.refusal().kind == "lost"
    desk.write(web="  ProxyCommand sh -c 'echo no way through >&2; exit 3'\n")
    assert "no way through" in str(desk.refusal())


def test_included_files(desk: Desk) -> None:
    (desk.folder / "conf.d").mkdir()
    (desk.folder / "conf.d" / "a.conf").write_text("Host included\n  HostName 127.0.0.31\n")
    desk.config.write_text(f"Include {desk.folder}/conf.d/*.conf\n{desk.config.read_text()}")
    assert desk.ask(want("id -u"), host="included")[0].text == "0\n"


def test_a_configuration_that_is_wrong(desk: Desk) -> None:
    desk.config.write_text("Hots web\n")
    refusal = desk.refusal()
    assert refusal.kind == "name"
    assert "hots" in str(refusal).lower()
