"""Options of ssh beside its configuration: on a host of an inventory, and as arguments."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hullcheck.inventory.document import DocumentError
from hullcheck.inventory.load import load_inventory
from hullcheck.transport.openssh_shell import STRICT
from hullcheck.transport.ssh_config import resolve, route
from hullcheck.transport.ssh_options import Arguments, checked_option, parse_arguments
from hullcheck.transport.target import Target

needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="there is no ssh here")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", Arguments()),
        ("-C -o ControlMaster=auto -o ControlPersist=60s -tt", Arguments()),
        ("-o StrictHostKeyChecking=yes -oForwardAgent=no", Arguments()),
        ("-J one,two:22", Arguments((("ProxyJump", "one,two:22"),))),
        ("-o 'ProxyCommand=nc -x p %h %p'", Arguments((("ProxyCommand", "nc -x p %h %p"),))),
        ("-o 'proxyjump one'", Arguments((("ProxyJump", "one"),))),
        ("-p22 -l u", Arguments((("Port", "22"), ("User", "u")))),
        ("-i '/a b' -6", Arguments((("IdentityFile", '"/a b"'), ("AddressFamily", "inet6")))),
        ("-F /c -F /d", Arguments(config=Path("/c"))),
        ("-X", Arguments(left_out=("ForwardX11=yes is not done: no display is forwarded",))),
    ],
)
def test_arguments(text: str, found: Arguments) -> None:
    assert parse_arguments(text) == found


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("web1", "'web1' is no option of ssh's"),
        ("-z", "option -z not recognized"),
        ("-J", "option -J requires argument"),
        ("'", "No closing quotation"),
        ("-o Port", "-o 'Port' is not KEYWORD=VALUE"),
        ("-o Port=0", "'0' is not a port"),
        ("-F ~nobody-here/x", "there is no such home"),
        ("-p ssh", "'ssh' is not a port"),
        ("-l '-x'", "User is '-x', which is no name"),
        ("-D 1080", "-D cannot be done here"),
        ("-W a:1", "-W cannot be done here"),
        ("-o PermitLocalCommand=yes", "is no ssh option that can be given here"),
        ("-o NoHostAuthenticationForLocalhost=yes", "is no ssh option"),
        ("-o VerifyHostKeyDNS=yes", "is no ssh option"),
        ("-o 'ProxyCommand=ssh -o StrictHostKeyChecking=no -W %h:%p b'", "say ProxyJump"),
        ("-o 'ProxyCommand=ssh -o \"stricthostkeychecking accept-new\" b'", "say ProxyJump"),
    ],
)
def test_arguments_that_cannot_be_heeded(text: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_arguments(text)
    assert sentence in str(caught.value)


def test_none_loosens_what_is_strict() -> None:
    for each in (*STRICT, "ControlPath=x", "KnownHostsCommand=x", "Include=x", "Match=x"):
        keyword, _, value = each.partition("=")
        with pytest.raises(ValueError, match=keyword):
            checked_option(keyword, value)


@pytest.fixture
def options(tmp_path: Path):
    """Say which options hosts of an inventory get."""

    def of(text: str):
        (tmp_path / "h.yml").write_text(text)
        return {host.name: host.target.ssh_options for host in load_inventory(tmp_path / "h.yml")}

    return of


def test_options_are_decided_one_by_one(options) -> None:
    found = options("""
defaults: {ssh_options: {ProxyJump: [outer, bastion], ConnectTimeout: 5}}
groups:
  near: {hosts: [a, b], ssh_options: {ProxyJump: null, IdentitiesOnly: yes}}
hosts:
  b: {ssh_options: {ConnectTimeout: 9, CertificateFile: [/c, /d], ProxyCommand: nc %h %p}}
  c: {}
  d: {connection: local}
""")
    assert set(found["a"]) == {("ConnectTimeout", "5"), ("IdentitiesOnly", "yes")}
    assert set(found["b"]) == {
        ("ConnectTimeout", "9"), ("IdentitiesOnly", "yes"), ("ProxyCommand", "nc %h %p"),
        ("CertificateFile", "/c"), ("CertificateFile", "/d"),
    }  # fmt: skip
    assert set(found["c"]) == {("ProxyJump", "outer,bastion"), ("ConnectTimeout", "5")}
    assert found["d"] == ()


def test_what_only_the_client_can_do_chooses_it(tmp_path: Path) -> None:
    (tmp_path / "h.yml").write_text("hosts: {a: {ssh_options: {Ciphers: aes256-ctr}}, b: }\n")
    assert [host.target.scheme for host in load_inventory(tmp_path / "h.yml")] == [
        "ssh",
        "paramiko",
    ]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("{ProxyJmp: b}", "'ProxyJmp' is no ssh option that can be given here; did you mean"),
        ("{proxyjump: b}", "write ProxyJump"),
        ("{StrictHostKeyChecking: no}", "is not to be said: host keys are always checked"),
        ("{ForwardAgent: yes}", "no agent is forwarded"),
        ("{ServerAliveInterval: 5}", "would change nothing here"),
        ("{Port: 22}", "say it as port"),
        ("{HostName: x}", "say it as address"),
        ("{ConnectTimeout: soon}", "write how many seconds"),
        ("{ProxyJump: a, ProxyCommand: b}", "exclude each other"),
        ('{ProxyJump: "a\\nb"}', "write one line of text"),
        ("{Ciphers: [a, b]}", "Ciphers is a list; write a text"),
        ("[a]", "ssh_options is a list; write a mapping"),
    ],
)
def test_a_mistake_is_told(options, said: str, sentence: str) -> None:
    with pytest.raises(DocumentError) as caught:
        options(f"hosts:\n  a:\n    ssh_options: {said}\n")
    assert sentence in caught.value.message
    assert caught.value.line == 3


def test_paramiko_cannot_do_what_only_the_client_can(options) -> None:
    with pytest.raises(DocumentError, match="Ciphers needs the OpenSSH client; say connection: s"):
        options("hosts: {a: {connection: paramiko, ssh_options: {Ciphers: x}}}\n")


@needs_ssh
def test_options_stand_before_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host *\n ProxyJump other\n ConnectTimeout 3\n User ops\n Port 2201\n")
    given = (
        ("ProxyJump", "root@bastion:2202"), ("ConnectTimeout", "9"), ("User", "me"),
        ("UserKnownHostsFile", "/k"), ("HostName", "10.0.0.1"),
    )  # fmt: skip
    found = resolve(Target("ssh", "web", ssh_config=config, ssh_options=given))
    assert (found.proxy_jump, found.connect_timeout) == (("root@bastion:2202",), 9.0)
    assert (found.hostname, found.port, found.user) == ("10.0.0.1", 2201, "me")
    assert found.known_hosts[0] == Path("/k")
    config.write_text("Host web\n User ops\n")
    hops = route(resolve(Target("ssh", "web", ssh_config=config, ssh_options=given)))
    assert [(hop.alias, hop.hostname, hop.user) for hop in hops] == [
        ("bastion", "bastion", "root"),
        ("web", "10.0.0.1", "me"),
    ]
