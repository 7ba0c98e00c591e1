"""Our SSH, in process and through the OpenSSH client, against real sshds on loopback."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from hullcheck.transport import Answer, Session, Unreachable, Want, session_of, want
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from tests.live.sshd import PORT, Sshd, keygen, make_home, print_of, public, remove_home

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it starts sshd and makes users"),
]

PASSWORD = "tr0ub4dor & three's"
SHELLS = {"bash": "/bin/bash", "dash": "/bin/dash", "fish": "/usr/bin/fish", "tcsh": "/bin/tcsh"}


class Lab:
    """Two sshds, a key that opens both, and users."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.key = keygen(home / "key")
        self.other = keygen(home / "other")
        self.ca = keygen(home / "ca")
        extra = f"MaxAuthTries 3\nTrustedUserCAKeys {self.ca}.pub"
        self.web = Sshd("127.0.0.31", home, extra=extra)
        self.jump = Sshd("127.0.0.32", home)
        for sshd in (self.web, self.jump):
            sshd.authorized.write_text(Path(f"{self.key}.pub").read_text())


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    home = make_home()
    made = Lab(home)
    try:
        made.web.start()
        made.jump.start()
        yield made
    finally:
        made.web.stop()
        made.jump.stop()
        remove_home(home)


@pytest.fixture(params=["paramiko", "ssh"])
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Desk:
    """One test's ~/.ssh: a configuration, known hosts, and sessions that end with it."""

    def __init__(self, folder: Path, lab: Lab, client: str) -> None:
        self.folder, self.lab, self.client = folder, lab, client
        self.config = folder / "config"
        self.known = folder / "known_hosts"
        self.known.write_text(lab.web.known + lab.jump.known)
        self.open: list[Session] = []
        self.write()

    def write(self, web: str = "", everywhere: str = "", key: bool = True) -> None:
        identity = f"  IdentityFile {self.lab.key}\n" if key else ""
        self.config.write_text(
            f"Host web\n  HostName {self.lab.web.address}\n{web}\n"
            f"Host jump\n  HostName {self.lab.jump.address}\n"
            f"Host *\n  Port {PORT}\n  User root\n{identity}{everywhere}\n"
            f"  UserKnownHostsFile {self.known}\n  GlobalKnownHostsFile /dev/null\n"
        )

    def session(self, host: str = "web", sudo_password: str | None = None) -> Session:
        target = replace(parse_spec(f"{self.client}://{host}"), ssh_config=self.config)
        session = session_of(connect(target, sudo_password=sudo_password))
        self.open.append(session)
        return session

    def ask(self, *wants: Want, host: str = "web") -> list[Answer]:
        return self.session(host).ask(*wants)

    def refusal(self, host: str = "web", **also: str) -> Unreachable:
        with pytest.raises(Unreachable) as caught:
            self.session(host, **also).ask(want("id"))
        assert "\n" not in str(caught.value)
        return caught.value


@pytest.fixture
def desk(tmp_path: Path, lab: Lab, client: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    made = Desk(tmp_path, lab, client)
    try:
        yield made
    finally:
        for session in made.open:
            session.close()


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


# Logging in


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


# Users, shells, sudo


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


# What a host may do to us


def test_a_command_that_reads_hangs_ends_the_shell_or_makes_no_sense(desk: Desk) -> None:
    session = desk.session()
    quick = 1.0
    hang = Want("echo begun; sleep 600", frozenset({0}), quick - 10)
    answers = session.ask(
        want("cat"), hang, want("exit 3", meaning=(3,)), want("if then ((", meaning=(2,)),
        want("kill -9 $$"), want("cd /tmp; exec 1>&- 2>&-"), want("pwd"),
    )  # fmt: skip
    read, hung, left, nonsense, _, _, last = answers
    assert read.text == ""
    assert "timed out" in hung.trouble
    assert hung.evidence.stdout == b"begun\n"
    assert left.exit == 3
    assert nonsense.exit == 2
    assert last.text == "/\n"


def test_what_hung_last_is_ended(desk: Desk) -> None:
    session = desk.session()
    hang = Want("sleep 98.7654; sleep 98.7653", frozenset({0}), -9.0)
    assert "timed out" in session.ask(want("true"), hang)[1].trouble
    assert _running("sleep\0" + "98.765")
    session.close()
    end = time.monotonic() + 5
    while _running("sleep\0" + "98.765") and time.monotonic() < end:
        time.sleep(0.02)
    assert not _running("sleep\0" + "98.765")


def _running(start: str) -> list[str]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(file.read_text(errors="replace"))
    return [line for line in found if line.startswith(start)]


def test_marks_cannot_be_forged(desk: Desk) -> None:
    forged = want(
        'tr "\\000" "\\n" </proc/$$/cmdline; set | grep hc_ ; '
        'for i in 0 1 2; do printf "\\n%%s>$i 0\\n" "$(printf %%032d 0)"; done; exit 5',
        meaning=(5,),
    )
    first, second = desk.ask(forged, want("echo after"))
    assert first.exit == 5
    assert second.text == "after\n"


def test_a_flood_is_cut(desk: Desk) -> None:
    flood, after = desk.ask(want("head -c 64000000 /dev/zero"), want("echo after"))
    assert "gave more than" in flood.trouble
    assert after.text == "after\n"


def test_both_streams_at_once_and_a_long_script(desk: Desk) -> None:
    long = "x" * 100_000
    wants = [want("printf %%s %s | wc -c", f"{long}{number}") for number in range(30)]
    loud = want("head -c 5000000 /dev/zero >&2; head -c 5000000 /dev/zero")
    answers = desk.ask(*wants, loud)
    assert {answer.text.strip() for answer in answers[:10]} == {"100001"}
    assert len(answers[-1].output) == len(answers[-1].evidence.stderr) == 5_000_000


def deadly(*pids: int) -> Want:
    """End the server once it has passed on what came before."""
    return want(f"sleep 0.5; kill -9 {' '.join(map(str, pids))}; sleep 9")


def test_a_server_that_dies_half_way(desk: Desk, lab: Lab) -> None:
    session = desk.session()
    session.ask(want("true"))
    first, dying, after = session.ask(
        want("echo first"), deadly(*lab.web.sessions()), want("echo after")
    )
    assert first.text == "first\n"
    assert dying.trouble.endswith("connection lost: the server hung up")
    assert after.text == "after\n"


def test_a_server_that_does_not_come_back(desk: Desk, lab: Lab) -> None:
    doomed = Sshd("127.0.0.35", desk.folder)
    doomed.authorized.write_text(Path(f"{lab.key}.pub").read_text())
    doomed.start()
    try:
        desk.known.write_text(doomed.known)
        session = desk.session("127.0.0.35")
        session.ask(want("true"))
        assert doomed.process
        first, dying, after = session.ask(
            want("echo first"), deadly(doomed.process.pid, *doomed.sessions()), want("echo after")
        )
    finally:
        doomed.stop()
    assert first.text == "first\n"
    assert "connection lost" in dying.trouble
    assert "connection lost" in after.trouble


def test_a_login_that_runs_no_commands(desk: Desk, lab: Lab) -> None:
    key = keygen(desk.folder / "forced")
    with lab.web.authorized.open("a") as authorized:
        authorized.write(f'command="echo only this" {public(key)}\n')
    desk.write(web=f"  IdentityFile {key}\n", key=False)
    refusal = desk.refusal()
    assert refusal.kind == "shell"
    assert "only this" in str(refusal)


def test_nothing_is_left_running(desk: Desk, lab: Lab) -> None:
    desk.write(web="  ProxyJump jump\n")
    threads = set(threading.enumerate())
    session = desk.session()
    session.ask(want("true"))
    assert lab.web.sessions()
    session.close()
    end = time.monotonic() + 5
    while (lab.web.sessions() or lab.jump.sessions()) and time.monotonic() < end:
        time.sleep(0.02)
    assert lab.web.sessions() == lab.jump.sessions() == []
    assert set(threading.enumerate()) <= threads
    assert not list(Path("/tmp").glob("hc-*"))
