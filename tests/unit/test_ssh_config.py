from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hullcheck.transport import Unreachable
from hullcheck.transport.ssh_config import Settings, expand, resolve, route
from hullcheck.transport.target import Target, parse_spec

needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="there is no ssh here")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config"


def settings(spec: str, config: Path) -> Settings:
    return resolve(replace(parse_spec(spec), ssh_config=config))


@needs_ssh
def test_what_openssh_says_is_taken(config: Path) -> None:
    config.write_text(
        "Host web\n HostName 10.0.0.1\n Port 2201\n User ops\n IdentityFile /k/a\n"
        " IdentityFile ~/b\n CertificateFile /k/%h-cert.pub\n IdentitiesOnly yes\n"
        " HostKeyAlias blue\n ConnectTimeout 3\n UserKnownHostsFile /kh/1 /kh/%n\n"
        " GlobalKnownHostsFile none\n IdentityAgent ~/agent.sock\n"
    )
    assert settings("ssh://web", config) == Settings(
        alias="web",
        hostname="10.0.0.1",
        port=2201,
        user="ops",
        identity_files=(Path("/k/a"), Path.home() / "b"),
        certificate_files=(Path("/k/10.0.0.1-cert.pub"),),
        identities_only=True,
        identity_agent=str(Path.home() / "agent.sock"),
        known_hosts=(Path("/kh/1"), Path("/kh/web")),
        host_key_alias="blue",
        connect_timeout=3.0,
        config=config,
    )


@needs_ssh
def test_the_target_beats_the_configuration(config: Path) -> None:
    config.write_text("Host *\n Port 2201\n User ops\n IdentityFile /k/a\n")
    target = Target(
        "ssh", "web", 2202, "root", ssh_config=config, identity_file=(Path("/k/b c%d"),)
    )
    found = resolve(target)
    assert (found.port, found.user) == (2202, "root")
    assert found.identity_files == (Path("/k/b c%d"), Path("/k/a"))


@needs_ssh
def test_agents(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for said, meant in {
        "none": "none",
        "SSH_AUTH_SOCK": "",
        "$OTHER": "/o",
        "/a/%h": "/a/h",
    }.items():
        monkeypatch.setenv("OTHER", "/o")
        config.write_text(f"Host *\n IdentityAgent {said}\n")
        assert settings("ssh://h", config).identity_agent == meant


@needs_ssh
def test_a_wrong_configuration_is_told(config: Path) -> None:
    config.write_text("Host *\n Prot 22\n")
    with pytest.raises(Unreachable, match="prot"):
        settings("ssh://web", config)
    with pytest.raises(Unreachable, match="missing"):
        settings("ssh://web", config.parent / "missing")


def test_without_ssh_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Unreachable, match="install the OpenSSH client"):
        resolve(Target("paramiko", "web"))


def test_names_in_known_hosts() -> None:
    plain = Settings("web", "Web.Corp", 22, "root")
    assert plain.key_names == ("web.corp",)
    assert replace(plain, port=2201).key_names == ("[web.corp]:2201", "web.corp")
    assert replace(plain, port=2201, host_key_alias="Blue").key_names == ("blue",)


def test_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "/p")
    web = Settings("web", "10.0.0.1", 2201, "root")
    assert expand("nc %h %p %r %n %% %x", web) == "nc 10.0.0.1 2201 root web % %x"
    assert expand("${PLACE}/%%h", web) == "/p/%h"


@needs_ssh
def test_a_route_through_jump_hosts(config: Path) -> None:
    config.write_text(
        "Host web\n ProxyJump one,root@two:2202\nHost one\n ProxyJump zero\n"
        "Host two\n ProxyJump nowhere\nHost *\n User ops\n"
    )
    hops = route(settings("ssh://web", config))
    assert [(hop.alias, hop.user, hop.port) for hop in hops] == [
        ("zero", "ops", 22),
        ("one", "ops", 22),
        ("two", "root", 2202),
        ("web", "ops", 22),
    ]


@needs_ssh
@pytest.mark.parametrize(
    "text",
    [
        "Host web\n ProxyJump a\nHost a\n ProxyJump b\nHost b\n ProxyJump a\n",
        "Host *\n ProxyJump a\n",
        "Host web\n ProxyJump web\n",
    ],
)
def test_a_circle_is_told(config: Path, text: str) -> None:
    config.write_text(text)
    with pytest.raises(Unreachable, match=r"circle: web -> a|jumphost loop via"):
        route(settings("ssh://web", config))
