"""Who gets in by SSH: each control flips, Match blocks count, and what is not known is unknown."""

from __future__ import annotations

import pytest

from checks.host import test_sshd as login
from checks.host import test_sshd_channel as channel
from hullcheck.inventory.policy import Policy
from tests.unit.fake import Reply
from tests.unit.sshd_fake import STARTED, TITLE, File, Process, Sshd, changed

CONTROLS = {
    name.removeprefix("test_ssh_"): each
    for module in (login, channel)
    for name, each in vars(module).items()
    if name.startswith("test_ssh_")
}

KEYS_ONLY = {"passwordauthentication": "no"}
ROOT_YES = {"permitrootlogin": "yes"}
OFF = {"allowtcpforwarding": "no", "allowagentforwarding": "no"}


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("root_password", {}, "pass"),
        ("root_password", ROOT_YES, "fail"),
        ("root_password", {"permitrootlogin": "no"}, "pass"),
        ("root_password", {"permitrootlogin": "forced-commands-only"}, "pass"),
        ("root_password", ROOT_YES | KEYS_ONLY, "pass"),
        ("root_password", ROOT_YES | {"denyusers": "mallory root"}, "pass"),
        ("root_password", ROOT_YES | {"allowgroups": "sudo"}, "pass"),
        ("root_password", ROOT_YES | {"allowusers": "bob root@10.0.0.*"}, "fail"),
        ("root_password", ROOT_YES | {"authenticationmethods": "publickey,password"}, "pass"),
        ("passwords", {}, "fail"),
        ("passwords", KEYS_ONLY, "pass"),
        ("passwords", KEYS_ONLY | {"kbdinteractiveauthentication": "yes"}, "fail"),
        ("passwords", KEYS_ONLY | {"kbdinteractiveauthentication": "yes", "usepam": "no"}, "pass"),
        ("passwords", {"authenticationmethods": "publickey"}, "pass"),
        ("passwords", {"authenticationmethods": "publickey,password publickey"}, "pass"),
        ("passwords", {"authenticationmethods": "publickey,password password"}, "fail"),
        ("passwords", {"authenticationmethods": "keyboard-interactive:pam"}, "pass"),
        ("passwords", {"authenticationmethods": "telepathy"}, "unknown"),
        ("empty_passwords", {}, "pass"),
        ("empty_passwords", {"permitemptypasswords": "yes"}, "fail"),
        ("host_trust", {}, "pass"),
        ("host_trust", {"hostbasedauthentication": "yes"}, "fail"),
        ("host_trust", {"ignorerhosts": "no"}, "pass"),
        ("root_login", {}, "fail"),
        ("root_login", {"permitrootlogin": "no"}, "pass"),
        ("root_login", {"allowusers": "bob"}, "pass"),
        ("allow_lists", {}, "fail"),
        ("allow_lists", {"allowgroups": "ssh-users"}, "pass"),
        ("allow_lists", {"allowusers": "bob *"}, "fail"),
        ("allow_lists", {"allowusers": "*@10.0.0.1"}, "fail"),
        ("user_environment", {}, "pass"),
        ("user_environment", {"permituserenvironment": "yes"}, "fail"),
        ("user_environment", {"permituserenvironment": "LANG,LC_*"}, "pass"),
        ("user_environment", {"permituserenvironment": "LD_*"}, "fail"),
        ("user_environment", {"acceptenv": "*"}, "fail"),
        ("user_environment", {"acceptenv": "LANG BASH_???"}, "fail"),
        ("strict_modes", {}, "pass"),
        ("strict_modes", {"strictmodes": "no"}, "fail"),
        ("log_level", {}, "pass"),
        ("log_level", {"loglevel": "VERBOSE"}, "pass"),
        ("log_level", {"loglevel": "QUIET"}, "fail"),
        ("log_level", {"loglevel": "DEBUG3"}, "fail"),
        ("login_limits", {}, "fail"),
        ("login_limits", {"logingracetime": "60"}, "fail"),
        ("login_limits", {"logingracetime": "60", "maxauthtries": "4"}, "pass"),
        ("login_limits", {"logingracetime": "30"} | KEYS_ONLY, "pass"),
        ("login_limits", {"logingracetime": "0"} | KEYS_ONLY, "fail"),
        ("client_alive", {}, "fail"),
        ("client_alive", {"clientaliveinterval": "300"}, "pass"),
        ("client_alive", {"clientaliveinterval": "300", "clientalivecountmax": "0"}, "fail"),
        ("x11_forwarding", {}, "pass"),
        ("x11_forwarding", {"x11forwarding": "yes"}, "fail"),
        ("x11_forwarding", {"x11forwarding": "yes", "disableforwarding": "yes"}, "pass"),
        ("forwarding", {}, "fail"),
        ("forwarding", OFF, "pass"),
        ("forwarding", OFF | {"allowtcpforwarding": "local"}, "fail"),
        ("forwarding", OFF | {"permittunnel": "point-to-point"}, "fail"),
        ("forwarding", OFF | {"gatewayports": "yes"}, "pass"),
        ("forwarding", {"disableforwarding": "yes"}, "pass"),
        ("required_rsa_size", {}, "fail"),
        ("required_rsa_size", {"requiredrsasize": "3072"}, "pass"),
        ("ciphers", {}, "pass"),
        ("ciphers", {"ciphers": "aes256-ctr,aes128-cbc"}, "fail"),
        ("ciphers", {"ciphers": "rijndael-cbc@lysator.liu.se"}, "fail"),
        ("macs", {"macs": "hmac-sha1-etm@openssh.com"}, "fail"),
        ("macs", {"macs": "hmac-sha2-512,umac-64@openssh.com"}, "fail"),
        ("macs", {"macs": "hmac-sha2-512-etm@openssh.com,umac-128@openssh.com"}, "pass"),
        ("macs", {}, "pass"),
        ("key_exchange", {}, "pass"),
        ("key_exchange", {"kexalgorithms": "diffie-hellman-group14-sha1"}, "fail"),
        ("key_exchange", {"kexalgorithms": "diffie-hellman-group16-sha512"}, "pass"),
        ("key_exchange", {"kexalgorithms": "diffie-hellman-group1-sha256"}, "fail"),
        ("key_exchange", {"gssapikeyexchange": "yes"}, "fail"),
        ("key_algorithms", {}, "pass"),
        ("key_algorithms", {"hostkeyalgorithms": "ssh-rsa"}, "fail"),
        ("key_algorithms", {"pubkeyacceptedalgorithms": "ssh-dss,ssh-ed25519"}, "fail"),
        ("key_algorithms", {"casignaturealgorithms": "ssh-rsa"}, "fail"),
        ("key_algorithms", {"hostbasedacceptedalgorithms": "ssh-rsa"}, "pass"),
    ],
)  # fmt: skip
def test_what_holds_for_all(name: str, settings: dict[str, str], expected: str) -> None:
    verdict = Sshd(told=changed(**settings)).verdict(CONTROLS[name])
    assert verdict.status == expected, verdict.reason


@pytest.mark.parametrize(
    ("name", "told", "config", "expected"),
    [
        ("root_password", {}, "Match User root\nPermitRootLogin yes\n", "fail"),
        ("root_password", {}, "Match User bob\nPermitRootLogin yes\n", "pass"),
        ("root_password", {}, "Match User *,!root\nPermitRootLogin yes\n", "pass"),
        ("root_password", {}, "Match Group root\nPermitRootLogin yes\n", "fail"),
        ("root_password", {}, "Match Address 10.0.0.0/8\nPermitRootLogin yes\n", "fail"),
        ("root_password", {}, "Match foo bar\nPermitRootLogin yes\n", "fail"),
        ("root_password", ROOT_YES, "Match User root\nPasswordAuthentication no\n", "pass"),
        ("root_password", ROOT_YES, "Match User bob\nPasswordAuthentication no\n", "fail"),
        ("root_password", ROOT_YES, "Match User root Host a.b\nPermitRootLogin no\n", "fail"),
        ("root_password", ROOT_YES, "Match User root\nPermitRootLogin no\n", "pass"),
        ("passwords", KEYS_ONLY, "Match Address 127.0.0.1\nPasswordAuthentication yes\n", "fail"),
        ("passwords", KEYS_ONLY, "match user=bob\n\tpasswordauthentication = \"yes\"\n", "fail"),
        ("passwords", KEYS_ONLY, "Match User bob\n# PasswordAuthentication yes\n", "pass"),
        ("passwords", {}, "Match all\nPasswordAuthentication no\n", "pass"),
        ("passwords", {}, "Match all\nPasswordAuthentication no\nPasswordAuthentication yes\n",
         "pass"),
        ("passwords", KEYS_ONLY, "Match User a\nPermitTTY no\nMatch all\n"
         "Match User b\nPasswordAuthentication yes\n", "fail"),
        ("empty_passwords", {}, "Match LocalPort 2222\nPermitEmptyPasswords yes\n", "fail"),
        ("log_level", {}, "Match User deploy\nLogLevel quiet\n", "fail"),
        ("user_environment", {}, "Match User git\nAcceptEnv *\n", "fail"),
        ("allow_lists", {"allowgroups": "ops"}, "Match Address 10.*\nAllowGroups *\n", "fail"),
        ("client_alive", {"clientaliveinterval": "300"},
         "Match User bob\nClientAliveInterval 0\n", "fail"),
        ("client_alive", {"clientaliveinterval": "300"},
         "Match User bob\nClientAliveInterval 5m\n", "pass"),
        ("key_algorithms", {}, "Match User old\nPubkeyAcceptedAlgorithms +ssh-rsa\n", "fail"),
        ("key_algorithms", {}, "Match User old\nPubkeyAcceptedKeyTypes ssh-*\n", "fail"),
        ("key_algorithms", {}, "Match User old\nPubkeyAcceptedAlgorithms -ecdsa*\n", "pass"),
        ("forwarding", {"disableforwarding": "yes"},
         "Match User jump\nDisableForwarding no\n", "fail"),
        ("x11_forwarding", {}, "Match User bob\nX11Forwarding yes\n", "fail"),
        ("required_rsa_size", {"requiredrsasize": "3072"},
         "Match User old\nRequiredRSASize 1024\n", "fail"),
    ],
)  # fmt: skip
def test_what_a_match_block_changes(
    name: str, told: dict[str, str], config: str, expected: str
) -> None:
    verdict = Sshd(config, changed(**told)).verdict(CONTROLS[name])
    assert verdict.status == expected, verdict.reason


def test_blocks_in_included_files() -> None:
    """What an included file matches ends with it, and an Include in a block holds only there."""
    inside = {"/etc/ssh/sshd_config.d/50-x.conf": File("Match User bob\nPermitTTY no\n"),
              "/etc/ssh/sshd_config.d/60-y.conf": File("PermitEmptyPasswords yes\n"),
              "/etc/ssh/odd": File("X11Forwarding yes\n")}  # fmt: skip
    host = Sshd(
        "Include /etc/ssh/sshd_config.d/*.conf\nMatch User eve\nInclude odd\n", files=inside
    )
    # The file's own line is global: sshd -T, which says otherwise, is believed.
    assert host.status(login.test_ssh_empty_passwords) == "pass"
    verdict = host.verdict(channel.test_ssh_x11_forwarding)
    assert verdict.status == "fail"
    assert "/etc/ssh/odd, Match user eve" in verdict.reason


def test_another_account_with_roots_number() -> None:
    toor = "toor:x:0:0::/root:/bin/sh\n"
    host = Sshd("Match User root\nPermitRootLogin no\n", changed(**ROOT_YES))
    assert host.status(login.test_ssh_root_password) == "pass"
    host = Sshd(host.config, host.told, passwd=host.passwd + toor)
    assert "toor" in host.verdict(login.test_ssh_root_password).reason


def test_a_policy_says_what_is_forwarded() -> None:
    jump = Policy(ssh_forwarding=("tcp", "stream"))
    assert Sshd(told=changed(allowagentforwarding="no")).status(
        channel.test_ssh_forwarding, jump
    ) == "pass"  # fmt: skip
    nothing = Policy(ssh_forwarding=())
    assert Sshd(told=changed(**OFF)).status(channel.test_ssh_forwarding, nothing) == "fail"


@pytest.mark.parametrize(
    ("files", "ticks", "expected"),
    [
        ({"/etc/ssh/sshd_config": File("", changed=STARTED + 60)}, 10_000, "unknown"),
        # Reloaded since: the process is as old as ever, its pid file is not.
        ({"/etc/ssh/sshd_config": File("", changed=STARTED + 60),
          "/run/sshd.pid": File("7\n", changed=STARTED + 61)}, 10_000, "pass"),
        ({"/etc/ssh/sshd_config": File("", changed=STARTED + 60),
          "/run/sshd.pid": File("8\n", changed=STARTED + 61)}, 10_000, "unknown"),
        ({"/etc/ssh/sshd_config": File("", changed=STARTED + 60)}, 20_000, "pass"),
    ],
)  # fmt: skip
def test_a_file_that_changed_since_sshd_read_it(
    files: dict[str, File], ticks: int, expected: str
) -> None:
    """What fails now fails anyhow: sshd will have it at its next start."""
    host = Sshd(files=files, processes=[Process(7, ticks=ticks)])
    assert host.status(login.test_ssh_empty_passwords) == expected
    host = Sshd(told=changed(permitemptypasswords="yes"), files=files)
    assert host.status(login.test_ssh_empty_passwords) == "fail"


def test_a_program_that_was_replaced() -> None:
    host = Sshd(processes=[Process(7, exe="/usr/sbin/sshd (deleted)")])
    assert host.status(login.test_ssh_strict_modes) == "unknown"


class TestWithoutRoot:
    NO = (1, "", "Unable to load host key: /etc/ssh/x\nsshd: no hostkeys available -- exiting.\n")

    @pytest.mark.parametrize(
        ("name", "config", "expected"),
        [
            ("passwords", "UsePAM yes\n", "fail"),
            ("passwords", "PasswordAuthentication no\nPasswordAuthentication yes\nUsePAM no\n",
             "pass"),
            ("passwords", "PasswordAuthentication no\nSkeyAuthentication no\n", "pass"),
            ("root_password", "UsePAM yes\n", "pass"),
            ("root_password", "PermitRootLogin yes\n", "fail"),
            ("log_level", "LogLevel ERROR\n", "fail"),
            ("login_limits", "LoginGraceTime 1m\nMaxAuthTries 3\n", "pass"),
            ("ciphers", "", "unknown"),
            ("ciphers", "Ciphers +aes256-ctr\n", "unknown"),
            ("ciphers", "Ciphers aes256-ctr\nMACs hmac-sha2-512\n", "pass"),
            ("ciphers", "Ciphers aes256-cbc\n", "fail"),
            ("key_exchange", "KexAlgorithms curve25519-sha256\n", "pass"),
            ("server_programs", "", "unknown"),
        ],
    )  # fmt: skip
    def test_the_files_tell(self, name: str, config: str, expected: str) -> None:
        """A listener's program and root are not shown to others; its title is."""
        host = Sshd(config, self.NO, processes=[Process(7, exe="", root="")])
        verdict = host.verdict(CONTROLS[name])
        assert verdict.status == expected, verdict.reason
        assert expected != "unknown" or "root" in verdict.reason

    def test_files_for_root_only(self) -> None:
        for path in ("/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/50-redhat.conf"):
            text = "Include /etc/ssh/sshd_config.d/*.conf\n"
            host = Sshd(text, self.NO, files={path: File(text, denied=True)})
            verdict = host.verdict(login.test_ssh_strict_modes)
            assert verdict.status == "unknown"
            assert "root" in verdict.reason

    def test_an_old_sshd_has_other_defaults(self) -> None:
        old = {"/usr/sbin/sshd -V": (1, "", "unknown option -- V\nOpenSSH_6.6.1p1, OpenSSL 1\n")}
        host = Sshd("", self.NO, answers=dict(old))
        assert host.status(login.test_ssh_root_password) == "unknown"


@pytest.mark.parametrize(
    "told",
    [
        (255, "", "/etc/ssh/sshd_config: line 3: Bad configuration option: foo\n"),
        (1, "", "Missing privilege separation directory: /run/sshd\n"),
        (127, "", "sh: 1: /usr/sbin/sshd: not found\n"),
        "port 22\n",
        "\x1b[2J {}\n",
        "",
    ],
)
def test_what_sshd_does_not_tell_is_unknown(told: Reply) -> None:
    for control in (login.test_ssh_passwords, login.test_ssh_strict_modes):
        assert Sshd(told=told).status(control) == "unknown"


def test_titles_with_options() -> None:
    """The running sshd's own options count: other settings, another file."""
    title = TITLE.format("/usr/sbin/sshd -D -f /srv/odd -o PermitRootLogin yes -oPort=2200")
    host = Sshd(processes=[Process(7, title)], files={"/srv/odd": File("Port 1\n")})
    found = host.verdict(login.test_ssh_strict_modes)
    assert "-f /srv/odd -o 'PermitRootLogin yes' -o Port=2200" in " ".join(host.asked)
    assert found.findings[0].object.name == "sshd -f /srv/odd -o PermitRootLogin yes -o Port=2200"
