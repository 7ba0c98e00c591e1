"""Targets that need no SSH: this machine, recordings, and what another program reaches."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hullcheck.transport import Evidence, Unreachable, session_of, want
from hullcheck.transport.ansible import expand_spec, from_ansible
from hullcheck.transport.connect import connect
from hullcheck.transport.recording import dump
from hullcheck.transport.target import Target, parse_spec


def program(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def test_this_machine() -> None:
    host = connect(parse_spec("local://"))
    assert host.run("echo %s", "it's").stdout == "it's\n"
    assert host.backend.get_pytest_id() == "local://localhost"


def test_a_recording_answers_with_its_own_line_numbers(tmp_path: Path) -> None:
    file = tmp_path / "web1.jsonl.gz"
    dump([Evidence("a", 0, b"1", b""), Evidence("b", 0, b"2", b"")], file)
    host = connect(parse_spec(f"recording://{file}"))
    session = session_of(host)
    with session.consulting() as consulted:
        assert session.ask(want("b"))[0].text == "2"
        assert "not in the recording" in session.ask(want("c"))[0].trouble
    assert list(consulted.lines) == [1, 2]
    assert host.backend.get_pytest_id() == "recording://web1"


@pytest.mark.parametrize("content", [None, "nonsense", ""])
def test_a_recording_that_is_none_is_unreachable(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "web1.jsonl"
    if content is not None:
        file.write_text(content)
    with pytest.raises(Unreachable):
        session_of(connect(parse_spec(f"recording://{file}"))).ask(want("a"))


@pytest.mark.parametrize(
    ("spec", "name", "argv"),
    [
        ("docker://web", "docker", "exec -i web /bin/sh -s"),
        ("docker://app@web", "docker", "exec -i -u app web /bin/sh -s"),
        ("podman://web?sudo=true", "podman", "exec -i web sudo -n /bin/sh -s"),
        ("kubectl://pod?namespace=a&container=b&context=c", "kubectl",
         "--context=c --namespace=a exec -i pod -c b -- /bin/sh -s"),
        ("openshift://pod", "oc", "exec -i pod -- /bin/sh -s"),
        ("lxc://box", "lxc", "exec box --mode=non-interactive -- /bin/sh -s"),
        ("chroot:///srv/root", "chroot", "/srv/root /bin/sh -s"),
    ],
)  # fmt: skip
def test_what_another_program_reaches(programs: Path, spec: str, name: str, argv: str) -> None:
    program(programs, name, f'echo "$@" >{programs}/argv; exec /bin/sh -s')
    answer = session_of(connect(parse_spec(spec))).ask(want("printf '\\377'"))[0]
    assert answer.output == b"\xff"
    assert (programs / "argv").read_text().strip() == argv


def test_what_it_complains_of_is_the_reason(programs: Path) -> None:
    program(programs, "docker", "echo 'Error: No such container: web' >&2; exit 1")
    with pytest.raises(Unreachable, match="No such container: web"):
        session_of(connect(parse_spec("docker://web"))).ask(want("id"))
    with pytest.raises(Unreachable, match="there is no lxc on this machine"):
        session_of(connect(parse_spec("lxc://web"))).ask(want("id"))


def inventory(programs: Path, **variables: object) -> None:
    listed = {"_meta": {"hostvars": {"web": variables}}, "all": {"hosts": ["web", "db"]}}
    program(programs, "ansible-inventory", f"echo '{json.dumps(listed)}'")


def ansible(programs: Path, spec: str = "ansible://web") -> Target | None:
    listing = programs / "inventory"
    listing.touch()
    return from_ansible(parse_spec(f"{spec}?ansible_inventory={listing}"))


def test_ansible_says_where_and_our_own_ssh_goes_there(programs: Path) -> None:
    inventory(
        programs, ansible_host="10.0.0.1", ansible_port=2201, ansible_user="ops",
        ansible_become=True, ansible_ssh_private_key_file="/k/a",
    )  # fmt: skip
    assert ansible(programs) == Target(
        "ssh", "10.0.0.1", 2201, "ops", sudo=True, identity_file=(Path("/k/a"),), name="web"
    )


def test_a_password_of_ansible_goes_through_paramiko(programs: Path) -> None:
    inventory(programs, ansible_ssh_pass="hunter2", ansible_become="False")
    found = ansible(programs)
    assert found is not None
    assert (found.scheme, found.password, found.sudo) == ("paramiko", "hunter2", False)


def test_what_only_ansible_reaches_is_left_to_it(programs: Path) -> None:
    inventory(programs, ansible_connection="httpapi")
    assert ansible(programs) is None


def test_ansible_reaches_containers_too(programs: Path) -> None:
    inventory(programs, ansible_connection="docker", ansible_host="box")
    found = ansible(programs)
    assert found is not None
    assert (found.scheme, found.address, found.name) == ("docker", "box", "web")


def test_arguments_of_ansible_for_ssh_are_heeded(programs: Path) -> None:
    inventory(programs, ansible_ssh_common_args="-o ProxyJump=bastion -C -F /c")
    found = ansible(programs)
    assert found is not None
    assert (found.ssh_options, found.ssh_config) == ((("ProxyJump", "bastion"),), Path("/c"))


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"ansible_ssh_extra_args": "-L 1:h:2"}, r"\(-L 1:h:2\): -L cannot be done here"),
        (
            {"ansible_ssh_args": "-c aes256-ctr", "ansible_connection": "paramiko"},
            "Ciphers needs the OpenSSH client",
        ),
    ],
)
def test_arguments_that_would_be_left_out_are_refused(
    programs: Path, variables: dict[str, str], sentence: str
) -> None:
    inventory(programs, **variables)
    with pytest.raises(Unreachable, match=sentence):
        ansible(programs)


def test_an_inventory_that_cannot_be_read(programs: Path) -> None:
    program(programs, "ansible-inventory", "echo broken >&2; exit 4")
    with pytest.raises(Unreachable, match="no inventory"):
        ansible(programs)


def test_patterns_of_ansible_expand(programs: Path) -> None:
    inventory(programs)
    listing = programs / "hosts"
    listing.touch()
    found = expand_spec(f"ansible://all?ansible_inventory={listing}&sudo=true")
    assert [(each.name, each.sudo) for each in found] == [("db", True), ("web", True)]
    with pytest.raises(ValueError, match="no host matches"):
        expand_spec(f"ansible://none?ansible_inventory={listing}")
    assert expand_spec("ssh://h") == [Target("ssh", "h")]


def test_windows_is_not_audited() -> None:
    with pytest.raises(Unreachable, match="Linux only"):
        connect(parse_spec("winrm://box"))


def test_what_is_not_installed_is_told() -> None:
    with pytest.raises(Unreachable, match="salt"):
        connect(parse_spec("salt://box"))
