"""SSH controls on real servers: set wrong, audited, set right, audited again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.facts.sshd.conditions import Who
from hullcheck.facts.sshd.config_text import parse_config
from hullcheck.facts.sshd.settings import from_tool
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from hullcheck.verdict import Verdict
from tests.live.hosts.overlay import OverlayHost, wait_until

pytestmark = pytest.mark.live

POLICY = Policy()
DROP_IN = "/etc/ssh/sshd_config.d/50-test.conf"

SOUND = """\
PasswordAuthentication no
AllowUsers root bob
LoginGraceTime 30
ClientAliveInterval 300
MACs -hmac-sha1*,hmac-md5*,umac-64*
RequiredRSASize 3072
AllowTcpForwarding no
AllowAgentForwarding no
"""

ROTTEN = """\
PermitRootLogin yes
PermitEmptyPasswords yes
HostbasedAuthentication yes
IgnoreRhosts no
X11Forwarding yes
PermitUserEnvironment yes
StrictModes no
LogLevel QUIET
LoginGraceTime 0
Ciphers +aes128-cbc
KexAlgorithms +diffie-hellman-group14-sha1
HostKeyAlgorithms +ssh-rsa
GatewayPorts yes
"""

LOGIN = (
    "ssh-root-password", "ssh-passwords", "ssh-empty-passwords", "ssh-host-trust",
    "ssh-allow-lists", "ssh-user-environment", "ssh-strict-modes", "ssh-log-level",
    "ssh-login-limits", "ssh-client-alive", "ssh-ciphers", "ssh-macs", "ssh-key-exchange",
    "ssh-key-algorithms", "ssh-required-rsa-size", "ssh-x11-forwarding", "ssh-forwarding",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def without_systemd(overlay_host: OverlayHost) -> Iterator[None]:
    """systemd is not process 1 of this host, and its client takes long to find no units."""
    overlay_host.run("mount --bind /bin/false /usr/bin/systemctl")
    yield
    overlay_host.run("umount /usr/bin/systemctl")


def reload(host: OverlayHost) -> None:
    """Let the host's own sshd read its files again, and wait until it has."""
    host.run("rm -f /run/sshd.pid; kill -HUP 1")
    wait_until((host.root / "run/sshd.pid").exists, "sshd's pid file")


@contextmanager
def told(host: OverlayHost, text: str) -> Iterator[None]:
    """Give the host's own sshd some settings."""
    host.write(DROP_IN, text)
    reload(host)
    try:
        yield
    finally:
        host.run(f"rm -f {DROP_IN}")
        reload(host)


@contextmanager
def second(host: OverlayHost, text: str, words: str = "") -> Iterator[str]:
    """Run another sshd on the host, and give its name in findings."""
    host.write("/srv/second", f"ListenAddress {host.address}\nPort 2299\nPidFile none\n{text}")
    host.run(f"/usr/sbin/sshd -f /srv/second {words}")
    pid = host.run("pgrep -f '^sshd: /usr/sbin/sshd -f /srv/second'").stdout.strip()
    try:
        yield f"sshd -f /srv/second {words}".strip()
    finally:
        host.run(f"kill {pid}; rm /srv/second")


def audited(host: OverlayHost, *controls: str, user: str = "root") -> dict[str, Verdict]:
    """Judge some controls, all that they ask gathered first."""
    target = replace(parse_spec(f"paramiko://{user}@{host.name}"), ssh_config=host.ssh_config)
    there = connect(target)
    try:
        meant = {name: all_controls()[f"host.{name}"] for name in controls}
        site = Site(host.name, POLICY)
        gather(meant.values(), there, site)
        return {name: judge(each, there, site) for name, each in meant.items()}
    finally:
        session_of(there).close()


def statuses(host: OverlayHost, *controls: str, user: str = "root") -> list[str]:
    return [str(each.status) for each in audited(host, *controls, user=user).values()]


def by_object(verdict: Verdict) -> dict[str, str]:
    return {each.object.name: str(each.status) for each in verdict.findings}


def test_settings_flip(overlay_host: OverlayHost) -> None:
    for text, expected in ((SOUND, "pass"), (ROTTEN, "fail")):
        with told(overlay_host, text):
            found = audited(overlay_host, *LOGIN)
        assert {name: str(each.status) for name, each in found.items()} == dict.fromkeys(
            LOGIN, expected
        )


def test_a_match_block_and_a_file_that_sshd_has_not_read(overlay_host: OverlayHost) -> None:
    """sshd -T speaks of neither."""
    with told(overlay_host, f"{SOUND}Match Address 192.0.2.0/24\nPasswordAuthentication yes\n"):
        found = audited(overlay_host, "ssh-passwords")["ssh-passwords"]
        assert found.status == "fail"
        assert f"{DROP_IN}, Match address 192.0.2.0/24" in found.reason
        time.sleep(2.2)
        overlay_host.write(DROP_IN, SOUND)
        found = audited(overlay_host, "ssh-passwords")["ssh-passwords"]
        assert found.status == "unknown"
        assert f"{DROP_IN} was changed after" in found.reason
        reload(overlay_host)
        assert statuses(overlay_host, "ssh-passwords") == ["pass"]


def test_a_second_server(overlay_host: OverlayHost) -> None:
    """Its own file and its own options count, and it is named. Its key is its own too: that of
    the public file beside it says nothing."""
    overlay_host.run(
        "ssh-keygen -q -t rsa -b 2048 -N '' -f /srv/key; chgrp games /srv/key;"
        " cp /etc/ssh/ssh_host_ed25519_key.pub /srv/key.pub"
    )
    controls = (
        "ssh-root-login",
        "ssh-strict-modes",
        "ssh-host-key-access",
        "ssh-host-key-strength",
    )
    own, other = "/etc/ssh/ssh_host_ed25519_key", "/srv/key"
    text = f"HostKey {other}\nPermitRootLogin no\n"
    with second(overlay_host, text, "-o StrictModes=no") as name:
        login, strict, access, strength = map(by_object, audited(overlay_host, *controls).values())
        assert login == {"sshd": "fail", name: "pass"}
        assert strict == {"sshd": "pass", name: "fail"}
        assert access == {own: "pass", other: "pass"}
        assert strength == {own: "pass", other: "fail"}
        # sshd -T no longer takes the key; the files still say which it is.
        overlay_host.run("chmod 640 /srv/key")
        found = audited(overlay_host, "ssh-host-key-access")["ssh-host-key-access"]
        assert by_object(found) == {own: "pass", other: "fail"}
    overlay_host.run("rm /srv/key*")


def test_keys_that_let_in(overlay_host: OverlayHost) -> None:
    """The group docker makes root of whom it has."""
    controls = ("ssh-authorized-keys-access", "ssh-authorized-key-strength", "ssh-privileged-keys")
    home = "/home/judy"
    overlay_host.add_user("judy")
    try:
        assert statuses(overlay_host, *controls) == ["pass", "pass", "manual"]
        overlay_host.run(
            f"ssh-keygen -q -t rsa -b 1024 -N '' -f /srv/weak; chmod 777 {home}/.ssh;"
            f" cat /srv/weak.pub >>{home}/.ssh/authorized_keys; rm /srv/weak*; groupadd -f docker;"
            " gpasswd -a judy docker"
        )
        found = audited(overlay_host, *controls)
        assert [str(each.status) for each in found.values()] == ["fail", "fail", "manual"]
        manual = [each.object.name for each in found["ssh-privileged-keys"].findings
                  if each.status == "manual"]  # fmt: skip
        assert manual == ["/root/.ssh/authorized_keys", f"{home}/.ssh/authorized_keys"]
        with told(overlay_host, "RequiredRSASize 2048\n"):
            assert statuses(overlay_host, *controls)[1] == "pass"
    finally:
        overlay_host.run("userdel -r judy", check=False)


WRONG = "chmod 666 /etc/ssh/sshd_config; chown kim /etc/ssh/sshd_config.d; chmod 757 /usr/sbin/sshd"
RIGHT = "chmod 644 /etc/ssh/sshd_config; chown 0 /etc/ssh/sshd_config.d; chmod 755 /usr/sbin/sshd"


def test_files_and_programs(overlay_host: OverlayHost) -> None:
    """And a server that a user runs."""
    controls = ("ssh-config-files", "ssh-server-programs")
    overlay_host.add_user("kim")
    try:
        for script, expected in ((WRONG, "fail"), (RIGHT, "pass")):
            overlay_host.run(script)
            assert statuses(overlay_host, *controls) == [expected] * 2
        config = f"ListenAddress {overlay_host.address}\nPort 2298\nPidFile none\n"
        overlay_host.write("/home/kim/conf", f"{config}HostKey /home/kim/key\n")
        start = "ssh-keygen -q -t ed25519 -N '' -f ~/key; /usr/sbin/sshd -f ~/conf"
        overlay_host.run(f'su kim -c "{start}"')
        found = audited(overlay_host, "ssh-server-programs", "ssh-strict-modes")
        uid = overlay_host.run("id -u kim").stdout.strip()
        assert found["ssh-server-programs"].status == "fail"
        assert by_object(found["ssh-strict-modes"])[f"sshd of uid {uid}"] == "unknown"
    finally:
        overlay_host.run("pkill -u kim; userdel -r kim", check=False)
        reload(overlay_host)


def test_an_ordinary_user_and_what_is_written(overlay_host: OverlayHost) -> None:
    """The world-readable files tell much; sshd's own lists need root. sshd -T leaves nothing."""
    controls = ("ssh-passwords", "ssh-root-password", "ssh-ciphers", "ssh-authorized-keys-access")
    overlay_host.add_user("lea")
    try:
        found = audited(overlay_host, *controls, user="lea")
    finally:
        overlay_host.run("userdel -r lea", check=False)
    assert [str(each.status) for each in found.values()] == ["fail", "pass", "unknown", "unknown"]
    assert all("root" in found[name].reason for name in controls[2:])
    before = overlay_host.mark()
    audited(overlay_host, *LOGIN, "ssh-host-key-strength", "ssh-authorized-keys-access")
    assert overlay_host.written(before) == []


CONFIGS = (
    "PermitRootLogin no\nMatch User root\nPermitRootLogin yes\n",
    "PermitRootLogin no\nMatch all\nPermitRootLogin yes\nMatch User root\nPermitRootLogin no\n",
    "Match User bob\nPermitRootLogin yes\nMatch Group root\nPermitRootLogin forced-commands-only\n",
    "Match User *,!root\nPermitRootLogin yes\n",
    "Match User root\nInclude /srv/part\nX11Forwarding no\n",
    "Include /srv/part\nPermitRootLogin no\n",
    "Include /srv/block\nPermitRootLogin no\n",
    "Match user=root\nPermitRootLogin \"yes\" # why\n",
)  # fmt: skip


@pytest.mark.parametrize("config", CONFIGS)
def test_blocks_are_read_as_sshd_reads_them(overlay_host: OverlayHost, config: str) -> None:
    """sshd -T -C says what holds for one login."""
    parts = {"/srv/part": "PermitRootLogin yes\n",
             "/srv/block": "Match User root\nPermitRootLogin yes\n"}  # fmt: skip
    for path, text in {
        **parts,
        "/srv/conf": f"HostKey /etc/ssh/ssh_host_ed25519_key\n{config}",
    }.items():
        overlay_host.write(path, text)
    ask = "/usr/sbin/sshd -T -f /srv/conf"
    plain = overlay_host.run(ask).stdout
    login = overlay_host.run(f"{ask} -C user=root,host=h,addr=192.0.2.1").stdout
    settings = parse_config("/srv/conf", config, lambda path: [(path, parts[path])])
    made = from_tool(plain.splitlines(), [each for each in settings if each.matches], "sshd -T")
    wanted = from_tool(login.splitlines(), (), "sshd -T -C").texts("permitrootlogin")
    assert made.texts("permitrootlogin", Who("root", frozenset({"root"}))) == wanted
