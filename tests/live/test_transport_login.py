"""How our SSH logs in: keys, agents, certificates; both clients, on loopback."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hullcheck.transport import Unreachable, want
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from tests.live.desk import Desk, Lab
from tests.live.sshd import keygen

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it starts sshd and makes users"),
]


def test_a_key_that_is_not_let_in(desk: Desk) -> None:
    desk.write(everywhere=f"  IdentityFile {desk.lab.other}\n", key=False)
    refusal = desk.refusal()
    assert refusal.kind == "authentication"
    assert "root" in str(refusal)
    assert str(desk.lab.other) in str(refusal)


def test_the_second_key_is_tried(desk: Desk) -> None:
    desk.write(web=f"  IdentityFile {desk.lab.other}\n")
    assert desk.ask(want("id -u"))[0].text == "0\n"


def test_too_many_keys_are_told_apart(desk: Desk) -> None:
    keys = [keygen(desk.folder / f"k{number}") for number in range(5)]
    desk.write(web="".join(f"  IdentityFile {key}\n" for key in keys))
    refusal = desk.refusal()
    assert refusal.kind == "authentication"
    assert "too many keys" in str(refusal)
    assert "IdentitiesOnly" in str(refusal)


def test_a_key_with_a_passphrase_is_named(desk: Desk) -> None:
    locked = keygen(desk.folder / "locked", passphrase="secret words")
    desk.write(everywhere=f"  IdentityFile {locked}\n", key=False)
    refusal = desk.refusal()
    assert refusal.kind == "authentication"
    assert "passphrase" in str(refusal)


@contextlib.contextmanager
def agent(folder: Path, *keys: Path) -> Iterator[str]:
    path = str(folder / "agent")
    running = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 5
        while not Path(path).exists() and time.monotonic() < end:
            time.sleep(0.01)
        for key in keys:
            subprocess.run(
                ["ssh-add", "-q", key], check=True, env={**os.environ, "SSH_AUTH_SOCK": path}
            )
        yield path
    finally:
        running.terminate()
        running.wait(5)


def test_keys_of_the_agent(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = "  IdentityFile /nonexistent/key\n"
    with agent(desk.folder, desk.lab.other, desk.lab.key) as path:
        desk.write(everywhere=nowhere, key=False)
        assert desk.refusal().kind == "authentication"
        desk.write(everywhere=f"{nowhere}  IdentityAgent {path}\n", key=False)
        assert desk.ask(want("id -u"))[0].text == "0\n"
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
        desk.write(everywhere=nowhere, key=False)
        assert desk.ask(want("id -u"))[0].text == "0\n"
        desk.write(everywhere=f"{nowhere}  IdentityAgent none\n", key=False)
        assert desk.refusal().kind == "authentication"
        monkeypatch.setenv("MY_AGENT", path)
        monkeypatch.delenv("SSH_AUTH_SOCK")
        desk.write(everywhere=f"{nowhere}  IdentityAgent $MY_AGENT\n", key=False)
        assert desk.ask(want("id -u"))[0].text == "0\n"


def test_identities_only(desk: Desk) -> None:
    crowd = [keygen(desk.folder / f"crowd{number}") for number in range(4)]
    shown = desk.folder / "shown"
    Path(f"{shown}.pub").write_text(Path(f"{desk.lab.key}.pub").read_text())
    with agent(desk.folder, *crowd, desk.lab.key) as path:
        settings = f"  IdentityAgent {path}\n  IdentityFile {shown}\n"
        desk.write(everywhere=settings + "  IdentitiesOnly yes\n", key=False)
        assert desk.ask(want("id -u"))[0].text == "0\n"
        desk.write(everywhere=settings.replace("shown", "crowd0"), key=False)
        assert "too many keys" in str(desk.refusal())
        desk.write(
            everywhere=settings.replace("shown", "crowd0") + "  IdentitiesOnly yes\n", key=False
        )
        assert "too many keys" not in str(desk.refusal())


def test_the_agent_is_never_forwarded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with agent(desk.folder, desk.lab.key) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
        desk.write(everywhere="  ForwardAgent yes\n")
        plain = subprocess.run(
            ["ssh", "-F", desk.config, "web", "echo sock=$SSH_AUTH_SOCK"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert plain.stdout.strip() != "sock=", "the set-up does not forward at all"
        assert desk.ask(want("echo sock=$SSH_AUTH_SOCK"))[0].text == "sock=\n"


def certify(lab: Lab, key: Path) -> Path:
    subprocess.run(
        ["ssh-keygen", "-q", "-s", lab.ca, "-I", "auditor", "-n", "root", f"{key}.pub"], check=True
    )
    return Path(f"{key}-cert.pub")


def test_a_certificate_beside_the_key(desk: Desk) -> None:
    key = keygen(desk.folder / "certified")
    desk.write(everywhere=f"  IdentityFile {key}\n", key=False)
    assert desk.refusal().kind == "authentication"
    certify(desk.lab, key)
    assert desk.ask(want("id -u"))[0].text == "0\n"


def test_a_certificate_file(desk: Desk) -> None:
    key = keygen(desk.folder / "certified")
    moved = certify(desk.lab, key).rename(desk.folder / "elsewhere.pub")
    desk.write(everywhere=f"  IdentityFile {key}\n  CertificateFile {moved}\n", key=False)
    assert desk.ask(want("id -u"))[0].text == "0\n"
    with agent(desk.folder, key) as path:
        key.rename(desk.folder / "away")
        desk.write(
            everywhere=f"  IdentityAgent {path}\n  CertificateFile {moved}\n"
            "  IdentityFile /nonexistent/key\n",
            key=False,
        )
        assert desk.ask(want("id -u"))[0].text == "0\n"


def test_other_kinds_of_keys(desk: Desk) -> None:
    for kind in (["-t", "rsa", "-b", "2048"], ["-t", "ecdsa"]):
        key = desk.folder / kind[1]
        subprocess.run(["ssh-keygen", "-q", *kind, "-N", "", "-f", key], check=True)
        certify(desk.lab, key)
        desk.write(everywhere=f"  IdentityFile {key}\n", key=False)
        assert desk.ask(want("id -u"))[0].text == "0\n"


SECURITY_KEY = """\
-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAASgAAABpzay1zc2
gtZWQyNTUxOUBvcGVuc3NoLmNvbQAAACAAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRob
HB0eHwAAAARzc2g6AAAAaAAAAAcAAAAHAAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY2
9tAAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fAAAABHNzaDoBAAAABmhh
bmRsZQAAAAAAAAABYwEC
-----END OPENSSH PRIVATE KEY-----
"""


def test_keys_that_are_none_do_not_stop_the_good_one(desk: Desk) -> None:
    junk = desk.folder / "junk"
    junk.write_text(
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"
    )
    empty, cut = desk.folder / "empty", desk.folder / "cut"
    empty.touch()
    cut.write_bytes(desk.lab.key.read_bytes()[:200])
    hardware = desk.folder / "hardware"
    hardware.write_text(SECURITY_KEY)
    bad = [junk, empty, cut, hardware, desk.folder]
    for file in bad:
        file.chmod(0o700)
    settings = "".join(f"  IdentityFile {file}\n" for file in bad)
    Path(f"{junk}-cert.pub").write_text("nonsense\n")
    desk.write(everywhere=settings, key=False)
    refusal = desk.refusal()
    assert refusal.kind == "authentication"
    if desk.client == "paramiko":
        assert all(str(file) in str(refusal) for file in bad)
    desk.write(web=settings)
    assert desk.ask(want("id -u"))[0].text == "0\n"


def test_a_password_is_for_paramiko(lab: Lab, desk: Desk) -> None:
    with pytest.raises(ValueError, match="takes no password"):
        parse_spec("ssh://root:secret@web")
    target = replace(parse_spec("paramiko://root:secret@web"), ssh_config=desk.config)
    desk.write(everywhere="  IdentityFile /nonexistent/key\n", key=False)
    with pytest.raises(Unreachable) as caught:
        connect(target)
    assert caught.value.kind == "authentication"
    assert "the password" in str(caught.value)
    assert "secret" not in str(caught.value)
