"""Whom our SSH logs in as: any login shell, and sudo; both clients, on loopback."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from hullcheck.transport import session_of, want
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from tests.live.desk import Desk, Lab

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it starts sshd and makes users"),
]


PASSWORD = "tr0ub4dor & three's"


SHELLS = {"bash": "/bin/bash", "dash": "/bin/dash", "fish": "/usr/bin/fish", "tcsh": "/bin/tcsh"}


def adduser(name: str, shell: str, password: str = "*") -> Callable[[], None]:
    subprocess.run(["useradd", "-m", "-s", shell, "-p", password, name], check=True)

    def remove() -> None:
        subprocess.run(["userdel", "-rf", name], check=True, stderr=subprocess.DEVNULL)

    return remove


@pytest.fixture(scope="module")
def users(lab: Lab) -> Iterator[None]:
    hashed = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"], input=PASSWORD, capture_output=True, text=True,
        check=True,
    ).stdout.strip()  # fmt: skip
    rules = Path("/etc/sudoers.d/hullcheck-test")
    undo: list[Callable[[], None]] = []
    try:
        for name, shell in SHELLS.items():
            undo.append(adduser(f"hc-{name}", shell))
        undo.append(adduser("hc-sudo", "/bin/bash", hashed))
        rules.write_text("hc-bash ALL=(ALL) NOPASSWD: ALL\nhc-sudo ALL=(ALL) ALL\n")
        rules.chmod(0o440)
        noise = "echo noise; echo worse noise >&2\n"
        for file in (".bashrc", ".tcshrc", ".config/fish/config.fish"):
            for name in SHELLS:
                path = Path(f"/home/hc-{name}/{file}")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("echo noise\n" if "tcsh" in file else noise)
        yield
    finally:
        rules.unlink(missing_ok=True)
        for remove in undo:
            remove()


@pytest.mark.parametrize("shell", SHELLS)
def test_any_login_shell_however_noisy(desk: Desk, users: None, shell: str) -> None:
    asked = want("echo %s; echo two >&2", 'it\'s $HOME `id` !! \\ "q"')
    (answer,) = desk.ask(asked, host=f"hc-{shell}@web")
    assert answer.text == 'it\'s $HOME `id` !! \\ "q"\n'
    assert answer.evidence.stderr == b"two\n"


def test_a_password_logs_in(desk: Desk, users: None) -> None:
    desk.write(everywhere="  IdentityFile /nonexistent/key\n", key=False)
    if desk.client == "ssh":
        return
    session = desk.session(f"hc-sudo:{quote(PASSWORD)}@web")
    assert session.ask(want("id -un"))[0].text == "hc-sudo\n"


def test_sudo_without_a_password(desk: Desk, users: None) -> None:
    who = desk.session("hc-bash@web?sudo=true").ask(want("id -u"))[0]
    assert who.text == "0\n"
    also = desk.session("hc-bash@web?sudo=true&sudo_user=hc-dash").ask(want("id -un"))[0]
    assert also.text == "hc-dash\n"
    given = desk.session("hc-bash@web?sudo=true", sudo_password="never asked for")
    assert given.ask(want("id -u"))[0].text == "0\n"


def test_sudo_that_wants_a_password(desk: Desk, users: None) -> None:
    refusal = desk.refusal("hc-sudo@web?sudo=true")
    assert refusal.kind == "sudo"
    assert "--ask-sudo-pass" in str(refusal)


def test_sudo_with_a_password_that_nobody_sees(desk: Desk, users: None) -> None:
    session = desk.session("hc-sudo@web?sudo=true", sudo_password=PASSWORD)
    every = want("id -u; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' ' '",
                 meaning=(0, 1))  # fmt: skip
    first = session.ask(every)[0]
    assert first.text.startswith("0\n")
    assert session.ask(want("id -un"))[0].text == "root\n"
    assert "/bin/sh -s" in first.text, "the list of processes is not what it should be"
    assert PASSWORD not in first.text
    assert PASSWORD not in repr(session.recording) + str(session.recording)


def test_sudo_with_a_wrong_password_tries_once(desk: Desk, users: None) -> None:
    refusal = desk.refusal("hc-sudo@web?sudo=true", sudo_password="wrong word")
    assert refusal.kind == "sudo"
    assert "password is wrong" in str(refusal)
    assert "wrong word" not in str(refusal)


def test_sudo_that_is_not_allowed(desk: Desk, users: None) -> None:
    assert desk.refusal("hc-dash@web?sudo=true").kind == "sudo"


def test_sudo_as_root_already(desk: Desk) -> None:
    assert desk.session("web?sudo=true").ask(want("id -u"))[0].text == "0\n"


def test_sudo_here() -> None:
    session = session_of(connect(parse_spec("local://?sudo=true")))
    assert session.ask(want("id -u; echo $SUDO_USER"))[0].text == "0\nroot\n"
