"""Keys of SSH: those of the host, those that let in, and who else could change them."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.host import test_sshd_keys as keys
from hullcheck.control import Unknown
from hullcheck.facts.accounts import User
from hullcheck.facts.sshd.authorized import expanded
from hullcheck.facts.sshd.keys import parse_key_line, too_weak
from hullcheck.inventory.policy import Policy
from tests.unit.sshd_fake import File, Sshd, changed

HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"


def blob(*fields: bytes) -> str:
    return base64.b64encode(b"".join(len(x).to_bytes(4, "big") + x for x in fields)).decode()


def rsa(bits: int) -> str:
    number = (1 << (bits - 1) | 1).to_bytes(bits // 8 + 1, "big")
    return "ssh-rsa " + blob(b"ssh-rsa", b"\x01\x00\x01", number)


ED25519 = f"ssh-ed25519 {blob(b'ssh-ed25519', bytes(32))}"
DSS = "ssh-dss " + blob(b"ssh-dss", b"\0" + b"\xff" * 128)


@pytest.mark.parametrize(
    ("line", "kind", "bits", "options"),
    [
        (f"{ED25519} me@there", "ssh-ed25519", 256, ""),
        (f"  {rsa(2048)}", "ssh-rsa", 2048, ""),
        (f"{rsa(3072)}\tcomment with  spaces", "ssh-rsa", 3072, ""),
        (DSS, "ssh-dss", 1024, ""),
        (f"restrict,pty {ED25519}", "ssh-ed25519", 256, "restrict,pty"),
        (f'command="say \\"ssh-rsa AAAA\\" x",no-pty {rsa(1024)} a', "ssh-rsa", 1024,
         'command="say \\"ssh-rsa AAAA\\" x",no-pty'),
        (f"cert-authority,principals=\"a b\" {ED25519}", "ssh-ed25519", 256,
         'cert-authority,principals="a b"'),
        (f"ecdsa-sha2-nistp384 {blob(b'ecdsa-sha2-nistp384', b'nistp384', bytes(97))}",
         "ecdsa-sha2-nistp384", 384, ""),
        (f"sk-ssh-ed25519@openssh.com {blob(b'sk-ssh-ed25519@openssh.com', bytes(32), b'ssh:')}",
         "sk-ssh-ed25519@openssh.com", 256, ""),
    ],
)  # fmt: skip
def test_a_line_with_a_key(line: str, kind: str, bits: int, options: str) -> None:
    found = parse_key_line(line)
    assert found is not None
    assert (found.kind, found.bits, found.options) == (kind, bits, options)
    assert found.fingerprint.startswith("SHA256:")


@pytest.mark.parametrize(
    "line",
    [
        "", "# ssh-ed25519 AAAA", "ssh-ed25519", "ssh-ed25519 AAAA!", f"#{ED25519}",
        f"ssh-rsa {blob(b'ssh-ed25519', bytes(32))}", f"{ED25519[:30]}", "root:$6$x AAAA",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
    ],
)  # fmt: skip
def test_a_line_without_one(line: str) -> None:
    assert parse_key_line(line) is None


@given(st.text(max_size=200))
def test_any_line_is_a_key_or_none(line: str) -> None:
    parse_key_line(line)
    parse_key_line(f"{line} {ED25519}")


def test_a_fingerprint_is_that_of_ssh_keygen(tmp_path: Path) -> None:
    path = tmp_path / "k.pub"
    path.write_text(f"{ED25519} x\n")
    said = subprocess.run(["ssh-keygen", "-lf", path], capture_output=True, text=True, check=True)
    found = parse_key_line(ED25519)
    assert found is not None
    assert said.stdout.split()[1] == found.fingerprint


@pytest.mark.parametrize(
    ("kind", "bits", "weak"),
    [("RSA", 2048, True), ("RSA", 3072, False), ("DSA", 1024, True), ("ECDSA", 256, False),
     ("ED25519", 256, False), ("ssh-rsa", 1024, True), ("ssh-dss", 1024, True),
     ("ecdsa-sha2-nistp256", 256, False), ("ED25519-SK", 256, False)],
)  # fmt: skip
def test_kinds(kind: str, bits: int, weak: bool) -> None:
    assert bool(too_weak(kind, bits)) is weak


BOB = User("bob", 1000, 1000, "/home/bob", "/bin/bash")


@pytest.mark.parametrize(
    ("template", "path"),
    [
        (".ssh/authorized_keys", "/home/bob/.ssh/authorized_keys"), ("/k/%u", "/k/bob"),
        ("%h/../x", "/home/x"), ("/k/%U.%%", "/k/1000.%"),
    ],
)  # fmt: skip
def test_where_keys_are(template: str, path: str) -> None:
    assert expanded(template, BOB) == path


def test_a_token_that_is_not_known() -> None:
    with pytest.raises(Unknown):
        expanded("/k/%f", BOB)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (File("ED25519 256", 0o100600), "pass"),
        (File("ED25519 256", 0o100400), "pass"),
        (File("ED25519 256", 0o100640), "pass"),
        (File("ED25519 256", 0o100640, gid=998), "pass"),
        (File("ED25519 256", 0o100640, gid=1000), "fail"),
        (File("ED25519 256", 0o100660, gid=998), "fail"),
        (File("ED25519 256", 0o100604), "fail"),
        (File("ED25519 256", 0o100600, uid=1000), "fail"),
    ],
)  # fmt: skip
def test_access_to_host_keys(file: File, expected: str) -> None:
    """Root's group is root's; on Red Hat's systems ssh_keys may read, while it has no member."""
    verdict = Sshd(files={HOST_KEY: file}).verdict(keys.test_ssh_host_key_access)
    assert verdict.status == expected, verdict.reason
    joined = Sshd().group.replace("ssh_keys:x:998:", "ssh_keys:x:998:eve")
    if file.gid == 998:
        host = Sshd(files={HOST_KEY: file}, group=joined)
        assert host.status(keys.test_ssh_host_key_access) == "fail"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("ED25519 256", "pass"), ("RSA 2048", "fail"), ("RSA 4096", "pass"), ("DSA 1024", "fail")],
)
def test_kinds_of_host_keys(text: str, expected: str) -> None:
    host = Sshd(files={HOST_KEY: File(text, 0o100600)})
    assert host.status(keys.test_ssh_host_key_strength) == expected


def test_a_host_key_that_is_not_shown() -> None:
    host = Sshd(
        files={"/srv/key": File("", 0o100600, denied=True)}, told=changed(hostkey="/srv/key")
    )
    for control in (keys.test_ssh_host_key_strength, keys.test_ssh_host_key_access):
        verdict = host.verdict(control)
        assert verdict.status == "unknown"
        assert "root" in verdict.reason


ROOTS = "/root/.ssh/authorized_keys"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({ROOTS: File(ED25519)}, "pass"),
        ({ROOTS: File(ED25519, 0o100666)}, "fail"),
        ({ROOTS: File(ED25519, uid=1001)}, "fail"),
        ({ROOTS: File(ED25519), "/root/.ssh": File(mode=0o40777)}, "fail"),
        ({ROOTS: File(ED25519), "/root": File(mode=0o40775, gid=1001)}, "fail"),
        ({"/home/bob/.ssh/authorized_keys": File(ED25519, uid=1000)}, "pass"),
        ({"/home/bob/.ssh/authorized_keys2": File(ED25519, uid=1001)}, "fail"),
        # A group of the user's own, as Debian makes it.
        ({"/home/bob/.ssh/authorized_keys": File(ED25519, 0o100664, 1000, 1000)}, "pass"),
        ({"/home/bob/.ssh/authorized_keys": File(ED25519, 0o100664, 1000, 1001)}, "fail"),
        ({}, "not-applicable"),
        ({"/root/.ssh": File(mode=0o40700), ROOTS: File(ED25519, denied=True)}, "unknown"),
    ],
)  # fmt: skip
def test_access_to_keys_that_let_in(files: dict[str, File], expected: str) -> None:
    verdict = Sshd(files=files).verdict(keys.test_ssh_authorized_keys_access)
    assert verdict.status == expected, verdict.reason


@pytest.mark.parametrize(
    ("lines", "told", "expected"),
    [
        (ED25519, {}, "pass"),
        (f"# {rsa(1024)}\n{ED25519}", {}, "pass"),
        (f"{ED25519}\nfrom=\"10.*\" {rsa(2048)}", {}, "fail"),
        (rsa(2048), {"requiredrsasize": "3072"}, "pass"),
        (DSS, {}, "pass"),
        (DSS, {"pubkeyacceptedalgorithms": "ssh-ed25519,ssh-dss"}, "fail"),
    ],
)  # fmt: skip
def test_kinds_of_keys_that_let_in(lines: str, told: dict[str, str], expected: str) -> None:
    """What every server refuses lets nobody in."""
    host = Sshd(told=changed(**told), files={ROOTS: File(lines)})
    verdict = host.verdict(keys.test_ssh_authorized_key_strength)
    assert verdict.status == expected, verdict.reason


def test_a_block_for_old_clients_accepts_old_keys() -> None:
    config = "Match User old\nPubkeyAcceptedAlgorithms +ssh-dss\n"
    host = Sshd(config, files={ROOTS: File(DSS)})
    assert host.status(keys.test_ssh_authorized_key_strength) == "fail"


def test_keys_in_other_places() -> None:
    """AuthorizedKeysFile of a Match block, and authorities that sign for anybody."""
    config = "Match Group ops\nAuthorizedKeysFile /srv/keys/%u\n"
    told = changed(trustedusercakeys="/etc/ssh/ca.pub")
    host = Sshd(
        config, told, {"/srv/keys/eve": File(rsa(1024)), "/etc/ssh/ca.pub": File(rsa(2048))}
    )
    found = host.verdict(keys.test_ssh_authorized_key_strength)
    assert {each.object.name: str(each.status) for each in found.findings} == {
        "/srv/keys/eve": "fail",
        "/etc/ssh/ca.pub": "fail",
    }


def test_keys_of_privileged_accounts() -> None:
    """Root, and bob through the group docker; eve is nobody."""
    paths = [ROOTS, "/home/bob/.ssh/authorized_keys", "/home/eve/.ssh/authorized_keys"]
    host = Sshd(files={path: File(ED25519) for path in paths})
    known = parse_key_line(ED25519)
    assert known is not None
    found = host.verdict(keys.test_ssh_privileged_keys)
    assert [str(each.status) for each in found.findings] == ["manual", "manual", "not-applicable"]
    assert known.fingerprint in found.reason
    policy = Policy(privileged_keys=(known.fingerprint,))
    assert host.status(keys.test_ssh_privileged_keys, policy) == "pass"
    assert host.status(keys.test_ssh_privileged_keys, Policy(privileged_keys=())) == "fail"


def test_a_link_to_a_secret_brings_nothing_of_it() -> None:
    """A user's link may lead anywhere: only lines that hold a key are read, and none is shown."""
    host = Sshd(files={"/home/eve/.ssh/authorized_keys": File("root:$6$secret:1::\n")})
    assert host.status(keys.test_ssh_authorized_key_strength) == "pass"
    assert any(each.startswith("grep -aH '[[:space:]]AAAA'") for each in host.asked)


@pytest.mark.parametrize(
    ("files", "told", "expected"),
    [
        ({}, {}, "pass"),
        ({"/etc/ssh/sshd_config": File("", 0o100666)}, {}, "fail"),
        ({"/etc/ssh": File(mode=0o40777)}, {}, "fail"),
        ({"/etc/ssh/sshd_config.d/a.conf": File("PermitTTY no\n", uid=1000)}, {}, "fail"),
        ({"/etc/ssh/sshd_config.d": File(mode=0o40777)}, {}, "fail"),
        ({"/usr/bin/keys": File(mode=0o100775, gid=1000)},
         {"authorizedkeyscommand": "/usr/bin/keys %u"}, "fail"),
        ({"/etc/ssh/ca.pub": File(ED25519, 0o100666)}, {"trustedusercakeys": "/etc/ssh/ca.pub"},
         "fail"),
        ({"/etc/default/ssh": File("SSHD_OPTS=\n", uid=1001)}, {}, "fail"),
    ],
)  # fmt: skip
def test_files_that_say_who_gets_in(
    files: dict[str, File], told: dict[str, str], expected: str
) -> None:
    text = "Include /etc/ssh/sshd_config.d/*.conf\n"
    if "/etc/ssh/sshd_config" in files:
        files["/etc/ssh/sshd_config"].text = text
    verdict = Sshd(text, changed(**told), files).verdict(keys.test_ssh_config_files)
    assert verdict.status == expected, verdict.reason
