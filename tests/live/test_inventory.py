"""Hosts of inventories, reached as those say; both clients, on loopback."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hullcheck.inventory.load import load_inventory
from hullcheck.transport import Unreachable, session_of, want
from hullcheck.transport.connect import connect
from hullcheck.transport.target import Target
from tests.live.desk import Desk
from tests.live.sshd import PORT, Sshd

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it starts sshd"),
]


def ours(desk: Desk) -> str:
    options = {"ProxyJump": "jump", "UserKnownHostsFile": str(desk.known)}
    host = {"address": desk.lab.web.address, "port": PORT, "user": "root",
            "identity_file": str(desk.lab.key)}  # fmt: skip
    said = {"ssh_options": options, "connection": desk.client, "hosts": {"w": host}}
    return json.dumps({"groups": {"g": said}})


def ansible(desk: Desk) -> str:
    connection = {"paramiko": "paramiko_ssh", "ssh": "ssh"}[desk.client]
    return (
        f"[g]\nw ansible_host={desk.lab.web.address} ansible_port={PORT} ansible_user=root\n"
        f"[g:vars]\nansible_connection={connection}\n"
        f"ansible_ssh_private_key_file={desk.lab.key}\n"
        f"ansible_ssh_common_args=-J jump -o StrictHostKeyChecking=no -o UserKnownHostsFile={{}}\n"
    ).format(desk.known)


def logins(sshd: Sshd) -> int:
    log = sshd.home / f"log-{sshd.address}"
    return log.read_text().count("Accepted publickey")


def only_host(desk: Desk, text: str) -> Target:
    path = desk.folder / "inventory"
    path.write_text(text)
    (host,) = load_inventory(path)
    assert host.target.scheme == desk.client
    return replace(host.target, ssh_config=desk.config)


@pytest.mark.parametrize("form", [ours, ansible])
def test_options_of_an_inventory_lead_through_a_jump_host(
    desk: Desk, form: Callable[[Desk], str]
) -> None:
    before = logins(desk.lab.jump)
    session = session_of(connect(only_host(desk, form(desk))))
    try:
        assert session.ask(want("id -u"))[0].text == "0\n"
    finally:
        session.close()
    assert logins(desk.lab.jump) == before + 1


def test_an_inventory_does_not_make_a_key_known(desk: Desk) -> None:
    target = only_host(desk, ansible(desk))
    desk.known.write_text(desk.lab.jump.known)
    with pytest.raises(Unreachable) as caught:
        connect(target)
    assert caught.value.kind == "host-key"
    assert Path(desk.known).read_text() == desk.lab.jump.known
