from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullcheck.transport.target import Target, parse_spec


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("local://", Target("local")),
        ("web1", Target("paramiko", "web1")),
        ("root@web1:2222", Target("paramiko", "web1", 2222, "root")),
        ("paramiko://u:p%40w:x@h", Target("paramiko", "h", None, "u", "p@w:x")),
        ("ssh://web1", Target("ssh", "web1")),
        ("ssh://[::1]:2022", Target("ssh", "::1", 2022)),
        ("ssh://[fe80::1%25eth0]", Target("ssh", "fe80::1%eth0")),
        ("safe-ssh://h/", Target("safe-ssh", "h")),
        ("ssh://a%40corp@h", Target("ssh", "h", user="a@corp")),
        ("ssh://h?sudo=true&timeout=5", Target("ssh", "h", sudo=True, timeout=5.0)),
        ("ssh://h?sudo=True&sudo_user=web", Target("ssh", "h", sudo=True, sudo_user="web")),
        ("local://?sudo=false", Target("local")),
        ("docker://app@web", Target("docker", "app@web")),
        ("podman://web", Target("podman", "web")),
        ("chroot:///srv/root", Target("chroot", "/srv/root")),
        ("ansible://", Target("ansible", "")),
        ("ansible://web:&prod", Target("ansible", "web:&prod")),
        ("recording://runs/web1.jsonl.gz", Target("recording", "runs/web1.jsonl.gz")),
        (
            "kubectl://pod?namespace=a&container=b",
            Target("kubectl", "pod", options=(("container", "b"), ("namespace", "a"))),
        ),
        (
            "ssh://h?ssh_config=/c&ssh_identity_file=/k",
            Target("ssh", "h", ssh_config=Path("/c"), identity_file=(Path("/k"),)),
        ),
    ],
)
def test_specs_keep_their_meaning(spec: str, expected: Target) -> None:
    assert parse_spec(spec) == expected


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("", "names no host"),
        ("sshh://h", "did you mean ssh://?"),
        ("http://h", "use one of local, ssh"),
        ("ssh://", "names no host"),
        ("docker://", "names no host"),
        ("recording://", "recording://evidence/"),
        ("ssh://h:ssh", "'ssh' is not a port"),
        ("ssh://h:0", "'0' is not a port"),
        ("ssh://h:65536", "'65536' is not a port"),
        ("ssh://h:", "'' is not a port"),
        ("ssh://fe80::1", "in brackets"),
        ("ssh://[fe80::1", "in brackets"),
        ("ssh://[::1]x", "in brackets"),
        ("ssh://@h", "no user before"),
        ("ssh://a b", "cannot be the name of a host"),
        ("ssh://h%0aProxyCommand", "cannot be the name of a host"),
        ("ssh://-oProxyCommand=id", "starts with '-'"),
        ("docker://-x", "starts with '-'"),
        ("ssh://h?sudo_user=-x", "starts with '-'"),
        ("ssh://h?sud=true", "did you mean sudo?"),
        ("ssh://h?sudo=yes", "say true or false"),
        ("ssh://h?timeout=soon", "say how many seconds"),
        ("ssh://h?timeout=0", "say how many seconds"),
        ("ssh://u:pw@h", "takes no password"),
    ],
)
def test_what_is_wrong_is_one_clear_sentence(spec: str, says: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_spec(spec)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_ports_are_two_hosts() -> None:
    names = [parse_spec(f"ssh://root@h{port}").name for port in ("", ":22", ":2201", ":2202")]
    assert names == ["h", "h", "h:2201", "h:2202"]
    assert parse_spec("ssh://[::1]:2201").name == "[::1]:2201"
    assert parse_spec("local://").name == "localhost"
    assert parse_spec("recording://runs/web1.jsonl.gz").name == "web1"
    assert Target("ssh", "10.0.0.1", 2201, name="web1").name == "web1"


def test_a_password_is_never_shown() -> None:
    target = parse_spec("paramiko://root:hunter2@h:2201")
    assert target.display == "paramiko://root@h:2201"
    assert "hunter2" not in repr(target) + str(target)
    for wrong in ("paramiko://root:hunter2@h:x", "root:hunter2@h?sud=1", "parmiko://r:hunter2@h"):
        with pytest.raises(ValueError) as caught:
            parse_spec(wrong)
        assert "hunter2" not in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_a_target_or_a_sentence(text: str) -> None:
    for spec in (text, f"ssh://{text}", f"docker://{text}"):
        try:
            target = parse_spec(spec)
        except ValueError as error:
            assert str(error)
        else:
            assert not target.address.startswith("-")
            assert target.name


@given(
    user=st.none() | st.from_regex(r"[a-z][a-z0-9_.]{0,8}", fullmatch=True),
    address=st.from_regex(r"[a-z][a-z0-9.]{0,12}|[0-9a-f]{1,4}::[0-9a-f]{1,4}", fullmatch=True),
    port=st.none() | st.integers(1, 65535),
)
def test_what_is_displayed_reads_back(user: str | None, address: str, port: int | None) -> None:
    target = Target("ssh", address, port, user)
    assert parse_spec(target.display) == target
