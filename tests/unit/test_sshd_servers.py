"""Which SSH servers a host has, what they were told, and how their files are read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.host import test_sshd as login
from checks.host import test_sshd_channel as channel
from hullcheck.control import Unknown
from hullcheck.facts.services import BOOTED, LINKS, UNITS
from hullcheck.facts.sshd.algorithms import resolved, weak
from hullcheck.facts.sshd.command_line import (
    listener_words,
    parse_arguments,
    parse_dropbear,
    words_of_variable,
)
from hullcheck.facts.sshd.conditions import Who, applies, listed, parse_match
from hullcheck.facts.sshd.config_text import parse_config, split_line
from hullcheck.facts.sshd.settings import seconds
from tests.unit.sshd_fake import TITLE, File, Process, Sshd, changed

ID = "ab" * 32
STRICT = login.test_ssh_strict_modes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([TITLE.format("/usr/sbin/sshd -D")], ["/usr/sbin/sshd", "-D"]),
        (["sshd: /usr/sbin/sshd [listener] 3 of 10-100 startups", "", ""], ["/usr/sbin/sshd"]),
        (["/usr/sbin/sshd", "-D"], ["/usr/sbin/sshd", "-D"]),
        (["sshd: root@pts/0", ""], None),
        (["sshd: bob [priv]"], None),
        (["sshd-session: bob@notty"], None),
    ],
)
def test_listeners(arguments: list[str], words: list[str] | None) -> None:
    assert listener_words(arguments) == words


@pytest.mark.parametrize("title", ["sshd: /usr/sbin/sshd -D -o Ciphers=aes256-ctr,aes12", ""])
def test_a_title_that_is_cut(title: str) -> None:
    with pytest.raises(Unknown):
        listener_words([title] if title else [])


@pytest.mark.parametrize(
    ("line", "config", "options"),
    [
        ("sshd -D", "", ()),
        ("sshd -Df /a -oPort=1 -o Port=2", "/a", ("Port=1", "Port=2")),
        ("sshd -o Ciphers -aes128-cbc -f /a b", "/a b", ("Ciphers -aes128-cbc",)),
        ("sshd -o PermitRootLogin yes -e", "", ("PermitRootLogin yes",)),
        ("sshd -E /var/log/x -f /a", "/a", ()),
    ],
)
def test_options_in_a_title(line: str, config: str, options: tuple[str, ...]) -> None:
    found = parse_arguments(line.split(" "))
    assert (found.config, found.options) == (config, options)


def test_a_dropbears_options() -> None:
    found = parse_dropbear(["dropbear", "-RswEF", "-p", "2222", "-p22", "-I", "300"])
    assert found["p"] == ["2222", "22"]
    assert {"s", "w", "R"} <= found.keys()
    assert found["I"] == ["300"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SSHD_OPTS=\n", []),
        ("# x\nSSHD_OPTS='-o \"PermitRootLogin yes\"'\n", ["-o", "PermitRootLogin yes"]),
        ("OTHER=-x\n", []),
        ("SSHD_OPTS=\"-u0 '\n", ['"-u0', "'"]),
    ],
)
def test_options_of_a_unit(text: str, words: list[str]) -> None:
    assert words_of_variable(text, ("SSHD_OPTS",)) == words


@pytest.mark.parametrize(
    ("line", "keyword", "words"),
    [
        ("PermitRootLogin yes", "permitrootlogin", ["yes"]),
        ("\tpermitrootlogin = yes # why", "permitrootlogin", ["yes"]),
        ("PermitRootLogin=yes", "permitrootlogin", ["yes"]),
        ('Banner "/etc/a b" c\\ d', "banner", ["/etc/a b", "c d"]),
        ('AllowUsers \'a b\' "c\\"d"', "allowusers", ["a b", 'c"d']),
        ("AllowUsers a#b #c", "allowusers", ["a#b"]),
        ("ChallengeResponseAuthentication no", "kbdinteractiveauthentication", ["no"]),
        ("  # Port 1", "", []),
        ("", "", []),
        ("UsePAM yes\r", "usepam", ["yes"]),
    ],
)
def test_lines(line: str, keyword: str, words: list[str]) -> None:
    assert split_line(line) == (keyword, words)


@given(st.text(max_size=300))
def test_any_text_is_settings_or_unknown(text: str) -> None:
    for each in parse_config("/x", f"Match {text}\nPort {text}", lambda _: []):
        applies(each.matches, Who("root", frozenset({"root"})))
    listener_words(["sshd: x", text])
    parse_arguments(["sshd", *text.split(" ")])
    parse_dropbear(["dropbear", *text.split()])


@pytest.mark.parametrize("text", ["Include x\n", "Include x x x\n" * 5, "Port 1\n" * 30_000])
def test_files_without_end(text: str) -> None:
    with pytest.raises(Unknown):
        parse_config("/x", text, lambda _: [("/x", text)])


ROOT, ANYBODY = Who("root", frozenset({"root", "adm"})), None


@pytest.mark.parametrize(
    ("line", "root", "anybody"),
    [
        ("all", True, True), ("User root", True, None), ("User bob,ro*t", True, None),
        ("User bob", False, None), ("User *,!root", False, None), ("User !bob", False, None),
        ("Group adm", True, None), ("Group !adm,*", False, None), ("Address 10.0.0.1", None, None),
        ("User root Address 1.2.3.4", None, None), ("User bob Address 1.2.3.4", False, None),
        ("user=root", True, None), ("Invalid-User", False, None), ("Version 2", None, None),
    ],
)  # fmt: skip
def test_for_whom_a_block_holds(line: str, root: bool | None, anybody: bool | None) -> None:
    matches = [parse_match(line.split(" "))]
    assert (applies(matches, ROOT), applies(matches, ANYBODY)) == (root, anybody)


def test_patterns_cannot_be_made_slow() -> None:
    assert not listed("*a" * 30, {"b" * 60})


@pytest.mark.parametrize(
    ("text", "found"),
    [("120", 120), ("2m", 120), ("1h30m", 5400), ("0", 0), ("none", 0), ("1W", 604800)],
)
def test_times(text: str, found: int) -> None:
    assert seconds(text) == found


def test_what_is_no_time() -> None:
    with pytest.raises(Unknown):
        seconds("soon")


def test_lists_with_a_sign() -> None:
    default = ["a", "ssh-rsa", "b"]
    assert resolved("+c", default) == ["a", "ssh-rsa", "b", "c"]
    assert resolved("-ssh-*", default) == ["a", "b"]
    assert resolved("^b", default) == ["b", "a", "ssh-rsa"]
    assert resolved("x,y", default) == ["x", "y"]


@pytest.mark.parametrize(
    ("keyword", "strong"),
    [
        ("ciphers", "chacha20-poly1305@openssh.com aes128-ctr aes256-gcm@openssh.com"),
        ("macs", "hmac-sha2-256-etm@openssh.com hmac-sha2-512 umac-128@openssh.com"),
        ("kexalgorithms", "curve25519-sha256@libssh.org diffie-hellman-group14-sha256 "
         "diffie-hellman-group16-sha512 diffie-hellman-group-exchange-sha256 mlkem768x25519-sha256 "
         "sntrup761x25519-sha512@openssh.com ecdh-sha2-nistp521 kex-strict-s-v00@openssh.com"),
        ("hostkeyalgorithms", "rsa-sha2-256 rsa-sha2-512-cert-v01@openssh.com ssh-ed25519 "
         "sk-ecdsa-sha2-nistp256@openssh.com webauthn-sk-ecdsa-sha2-nistp256@openssh.com"),
    ],
)  # fmt: skip
def test_names_of_today_and_tomorrow_are_not_weak(keyword: str, strong: str) -> None:
    assert weak(keyword, strong.split()) == []


class TestServers:
    def names(self, host: Sshd, control: object = STRICT) -> dict[str, str]:
        found = host.verdict(control)
        return {each.object.name: str(each.status) for each in found.findings}

    def test_several(self) -> None:
        second = Process(9, TITLE.format("/usr/sbin/sshd -p 2200 -f /srv/x"), ticks=20_000)
        same = Process(11)
        host = Sshd(processes=[Process(7), second, same], files={"/srv/x": File("Port 1\n")})
        assert self.names(host) == {"sshd": "pass", "sshd -f /srv/x -p 2200": "pass"}

    def test_a_container_has_its_own(self) -> None:
        inside = [Process(9, root="9:9"), Process(10, root="", cgroup=f"/docker/{ID}")]
        assert self.names(Sshd(processes=inside)) == {"h": "not-applicable"}

    def test_a_unit_with_mounts_of_its_own_is_the_hosts(self) -> None:
        assert self.names(Sshd(processes=[Process(9, root="1:2")])) == {"sshd": "pass"}

    def test_sessions_are_no_servers(self) -> None:
        session = Process(9, "sshd: bob@pts/0\0\0\0", uid=1000)
        assert self.names(Sshd(processes=[Process(7), session])) == {"sshd": "pass"}

    def test_a_renamed_program_is_not_run(self) -> None:
        """Its title still tells; what it is set to does not."""
        title = "helper: /opt/helper -D -f /opt/c [listener] 0 of 10-100 startups"
        host = Sshd(processes=[Process(9, title, "/opt/helper", "helper")])
        found = host.verdict(STRICT)
        assert found.status == "unknown"
        assert "/opt/helper is no sshd of the system's" in found.reason
        assert not any("/opt/helper" in each and "-T" in each for each in host.asked)

    @pytest.mark.parametrize("exe", ["/usr/sbin/sshd", "/usr/bin/bash", "/home/bob/sshd"])
    def test_what_a_user_runs_is_neither_run_nor_read(self, exe: str) -> None:
        title = TITLE.format(f"{exe} -f /home/bob/x")
        host = Sshd(processes=[Process(7), Process(9, title, exe, uid=1000)])
        assert self.names(host) == {"sshd": "pass", "sshd of uid 1000": "unknown"}
        assert not any("/home/bob/x" in each or f"{exe} -T -f" in each for each in host.asked)
        assert host.status(login.test_ssh_server_programs) == "fail"

    def test_programs_that_others_can_change(self) -> None:
        assert Sshd().status(login.test_ssh_server_programs) == "pass"
        files = {"/usr/sbin/sshd": File(mode=0o100777)}
        assert Sshd(files=files).status(login.test_ssh_server_programs) == "fail"

    def test_other_programs_are_for_a_person(self) -> None:
        other = Process(9, "/usr/sbin/tailscaled", "/usr/sbin/tailscaled", "tailscaled")
        host = Sshd(processes=[Process(7), other])
        found = host.verdict(login.test_ssh_server_programs)
        assert found.status == "manual"
        assert "Tailscale SSH" in found.reason
        assert "Tailscale" in Sshd(processes=[other]).verdict(STRICT).reason

    @pytest.mark.parametrize(
        ("units", "names"),
        [
            ({"ssh.socket": ("active", "enabled")}, {"sshd by ssh.socket": "pass"}),
            ({"sshd.socket": ("active", "disabled")}, {"sshd by sshd.socket": "pass"}),
            ({"ssh.service": ("inactive", "enabled")}, {"sshd by ssh.service": "pass"}),
            ({"ssh.service": ("inactive", "masked")}, {"h": "not-applicable"}),
            ({"dropbear.socket": ("active", "enabled")},
             {"dropbear by dropbear.socket": "unknown"}),
        ],
    )  # fmt: skip
    def test_a_server_that_systemd_starts(
        self, units: dict[str, tuple[str, str]], names: dict[str, str]
    ) -> None:
        assert self.names(Sshd(processes=[], units=units)) == names

    def test_a_server_of_another_init_system(self) -> None:
        links = {LINKS.command: (1, "/etc/runlevels/default/sshd\n", "")}
        assert self.names(Sshd(processes=[], answers=dict(links))) == {"sshd by sshd": "pass"}

    def test_an_init_system_that_does_not_answer(self) -> None:
        no = (1, "", "Failed to connect to bus: Permission denied\n")
        host = Sshd(answers={BOOTED.command: "/run/systemd/system\n", UNITS.command: no})
        assert self.names(host) == {
            "sshd": "pass",
            "one that is started when needed": "unknown",
        }

    def test_a_socket_with_options(self) -> None:
        options = {"/etc/default/ssh": File("SSHD_OPTS='-o StrictModes=no'\n")}
        host = Sshd(processes=[], units={"ssh.socket": ("active", "enabled")}, files=options)
        assert list(self.names(host)) == ["sshd -o StrictModes=no by ssh.socket"]
        assert any("-T -o StrictModes=no" in each for each in host.asked)

    def test_the_configuration_of_suse(self) -> None:
        """Without /etc/ssh/sshd_config it is the vendor's, which includes the administrator's."""
        vendor = "Include /etc/ssh/sshd_config.d/*.conf\n"
        own = File("Match User a\nX11Forwarding yes\n")
        files = {"/usr/etc/ssh/sshd_config": File(vendor), "/etc/ssh/sshd_config.d/x.conf": own}
        assert self.names(Sshd(files=files)) == {"sshd": "pass"}
        found = Sshd(files=files).verdict(channel.test_ssh_x11_forwarding)
        assert found.status == "fail", found.reason


class TestDropbear:
    def host(self, options: str) -> Sshd:
        line = "\0".join(["/usr/sbin/dropbear", *options.split()])
        return Sshd(processes=[Process(9, line, "/usr/sbin/dropbear", "dropbear")])

    @pytest.mark.parametrize(
        ("options", "root", "passwords", "limits"),
        [
            ("-R", "fail", "fail", "fail"),
            ("-R -g", "pass", "fail", "fail"),
            ("-s -p 22", "pass", "pass", "unknown"),
            ("-w", "pass", "fail", "fail"),
            ("-t", "pass", "pass", "unknown"),
        ],
    )
    def test_its_command_line_tells(
        self, options: str, root: str, passwords: str, limits: str
    ) -> None:
        host = self.host(options)
        assert host.status(login.test_ssh_root_password) == root
        assert host.status(login.test_ssh_passwords) == passwords
        assert host.status(login.test_ssh_login_limits) == limits

    def test_its_children_serve_connections(self) -> None:
        host = self.host("-s")
        child = Process(12, host.processes[0].arguments, "/usr/sbin/dropbear", "dropbear", 1000)
        files = {"/usr/sbin/dropbear": File(mode=0o100755)}
        for parents, expected in (({}, "fail"), ({12: 9}, "pass")):
            both = Sshd(processes=[*host.processes, child], parents=parents, files=files)
            assert both.status(login.test_ssh_server_programs) == expected

    def test_what_was_chosen_when_it_was_built(self) -> None:
        assert self.host("").status(channel.test_ssh_ciphers) == "unknown"
        assert self.host("-B").status(login.test_ssh_empty_passwords) == "fail"


def test_an_answer_that_is_cut() -> None:
    """Half an answer has no end, and the half with the fault may be the other one."""
    for command in ("grep -aH '' -- /dev/null /etc/ssh/sshd_config;", "{ /usr/sbin/sshd -T"):
        host = Sshd("Match User root\nStrictModes no\n", changed(strictmodes="yes"))
        whole = next(each for each in _asked(host) if each.startswith(command))
        host.fixed[whole] = str(host.reply(whole)).rsplit("\n", 3)[0][:40] + "\n"
        assert host.status(STRICT) == "unknown"


def _asked(host: Sshd) -> list[str]:
    host.status(STRICT)
    return list(host.asked)
