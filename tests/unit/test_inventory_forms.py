"""Inventories that are not our YAML: plain lists, aliases of ssh, standard input, several files."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullcheck.inventory.document import DocumentError
from hullcheck.inventory.forms import Form, read_source
from hullcheck.inventory.load import load_inventory
from hullcheck.inventory.policy import Policy
from hullcheck.transport.ssh_config import resolve

INVENTORIES = Path(__file__).parents[2] / "inventories"
needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="there is no ssh here")


def written(folder: Path, text: str, name: str = "hosts") -> Path:
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize(
    ("name", "text", "form"),
    [
        ("h", "hosts: {a: }\n", Form.OURS),
        ("h", '{"hosts": {"a": null}}', Form.OURS),
        ("h", "# one\n---\ngroups:\n  g: {hosts: [a]}\n", Form.OURS),
        ("h", "host: {a: }\n", Form.OURS),
        ("h", "all:\n  hosts:\n", Form.ANSIBLE_YAML),
        ("h", "web:\n  hosts:\n    a:\ndb:\n", Form.ANSIBLE_YAML),
        ("h", '{"_meta": {"hostvars": {}}}', Form.ANSIBLE_LIST),
        ("h", '{"web": {"hosts": ["a"]}}', Form.ANSIBLE_LIST),
        ("h", "; first\n[web]\na\n", Form.ANSIBLE_INI),
        ("h", "a\nb\n[web] # last\nc\n", Form.ANSIBLE_INI),
        ("h", "a b=c\n", Form.ANSIBLE_INI),
        ("h", "host ansible_host=1\n", Form.ANSIBLE_INI),
        ("h", "host\nmatch\ninclude\n", Form.PLAIN),
        ("h", "a\nssh://u@b:22?sudo=true # it\n", Form.PLAIN),
        ("h", "web[1:3]\n[::1]:22\n", Form.PLAIN),
        ("h", "# mine\nServerAliveInterval 5\nHost a b\n", Form.SSH),
        ("h", "Include conf.d/*\n", Form.SSH),
        ("h", "Host a\n ProxyCommand ssh -o Port=22 -W %h:%p b\n", Form.SSH),
        ("h", "match originalhost a\n", Form.SSH),
        ("h.yml", "a\n", Form.OURS),
        ("h", "", Form.PLAIN),
    ],
)
def test_a_form_is_told_by_the_content(tmp_path: Path, name: str, text: str, form: Form) -> None:
    assert read_source(str(written(tmp_path, text, name))).form is form


def test_a_plain_list(tmp_path: Path) -> None:
    text = (
        "# the web\nweb[08:10].example.com  # three\n\nssh://root@db:2222?sudo=true\n"
        "root@[::1]:2201\nlocal://\nrecording://old/x.jsonl.gz\nssh://k?ssh_identity_file=id\n"
    )
    hosts = load_inventory(written(tmp_path, text), Policy(maximum_image_age=1))
    assert [(host.name, host.target.display) for host in hosts] == [
        ("web08.example.com", "paramiko://web08.example.com"),
        ("web09.example.com", "paramiko://web09.example.com"),
        ("web10.example.com", "paramiko://web10.example.com"),
        ("db:2222", "ssh://root@db:2222"),
        ("[::1]:2201", "paramiko://root@[::1]:2201"),
        ("localhost", "local://"),
        ("x", f"recording://{tmp_path}/old/x.jsonl.gz"),
        ("k", "ssh://k"),
    ]
    assert hosts[3].target.sudo
    assert hosts[7].target.identity_file == (tmp_path / "id",)
    assert {host.policy.maximum_image_age for host in hosts} == {1}


def test_a_list_of_names_beside_group_vars_is_ansible_s(tmp_path: Path) -> None:
    (tmp_path / "group_vars").mkdir()
    written(tmp_path / "group_vars", "ansible_user: ops\n", "all.yml")
    (host,) = load_inventory(written(tmp_path, "web1\n"))
    assert host.target.display == "paramiko://ops@web1"
    assert read_source(str(written(tmp_path, "ssh://web1\n"))).form is Form.PLAIN


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("web1\nweb2 x\n", 2, "'x' is too much; write one host or spec a line"),
        ("web1\n\nweb1\n", 3, "'web1' stands twice, first in line 1; keep one"),
        ("web[1:2]\nweb2\n", 2, "'web2' stands twice, first in line 1"),
        ("sshh://web1\n", 1, "did you mean ssh://?"),
        ("web1\nssh://web2:ssh\n", 2, "'ssh' is not a port"),
        ("paramiko://root:hunter2@web1\n", 1, "has a password; take it out and use a key"),
        ("ansible://web\n", 1, "is many hosts; give its inventory with -i"),
        ("ssh://a?ssh_config=~nobody-here/x\n", 1, "there is no such home"),
        ("web[1-3]\n", 1, "'web[1-3]' holds no range; write it as in web[01:50]"),
        ("web[a:3]\n", 1, "begins and ends with different kinds"),
        ("web[1:3:0]\n", 1, "a step of 0"),
        ("-oProxyCommand=x\n", 1, "starts with '-'"),
        ("# nothing\n", 0, "has no hosts; write a host or a spec"),
    ],
)
def test_a_mistake_in_a_list(tmp_path: Path, text: str, line: int, sentence: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DocumentError) as caught:
        load_inventory(path)
    assert str(caught.value).startswith(f"{path}:{line}: " if line else f"{path}: ")
    assert sentence in caught.value.message
    assert caught.value.message.endswith(" (this was read as a plain list of hosts)")
    assert "hunter2" not in str(caught.value)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh" / "conf.d").mkdir(parents=True)
    return tmp_path


def test_the_aliases_of_ssh(home: Path) -> None:
    path = written(
        home / ".ssh",
        'ForwardAgent no\nHost web1 "web2" *.corp !web3 db?  # these\n HostName 10.0.0.1\n'
        "Include conf.d/*.conf ~/more\nhost=web4\nMatch host web9\nHost web1\n",
        "config",
    )
    written(home / ".ssh" / "conf.d", "Host b\n", "2.conf")
    written(home / ".ssh" / "conf.d", "Host a\n User ops\n", "1.conf")
    written(home / ".ssh" / "conf.d", "Host c\n", "3.off")
    written(home, "Host d\n", "more")
    hosts = load_inventory(path)
    assert [host.name for host in hosts] == ["web1", "web2", "a", "b", "d", "web4"]
    assert {host.target.ssh_config for host in hosts} == {None}
    assert (Path(hosts[2].file).name, hosts[2].line) == ("1.conf", 1)


def test_another_configuration_is_the_one_that_its_hosts_use(home: Path) -> None:
    path = written(home, "Host web1\n Port 2201\n", "other")
    (host,) = load_inventory(path)
    assert host.target.ssh_config == path
    with pytest.raises(DocumentError, match="has no Host line with a name"):
        load_inventory(written(home, "Host *\n User x\n"))
    with pytest.raises(DocumentError, match=r":2: Include ~nobody-here/x: .* no such home"):
        load_inventory(written(home, "Host a\nInclude ~nobody-here/x\n"))
    written(home / ".ssh", "Include loop\n", "loop")
    with pytest.raises(DocumentError, match="includes itself; break the circle"):
        load_inventory(home / ".ssh" / "loop")


@needs_ssh
@pytest.mark.parametrize(
    "text",
    [
        "hosts: {web1: }\n",
        "web1\n",
        "ssh://web1\n",
        "[g]\nweb1\n",
        "all: {hosts: {web1: }}\n",
        '{"_meta": {"hostvars": {"web1": {}}}}',
    ],
)
def test_names_of_every_form_are_ssh_s_aliases(tmp_path: Path, text: str) -> None:
    config = written(tmp_path, "Host web1\n HostName 10.0.0.1\n Port 2201\n User ops\n", "config")
    (host,) = load_inventory(written(tmp_path, text))
    found = resolve(replace(host.target, ssh_config=config))
    assert (found.hostname, found.port, found.user) == ("10.0.0.1", 2201, "ops")


def test_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def given(text: str) -> list[Any]:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))
        return load_inventory("-")

    assert [host.name for host in given("a\nb\n")] == ["a", "b"]
    assert given('{"_meta": {"hostvars": {"a": {"ansible_user": "u"}}}}')[0].user == "u"
    monkeypatch.chdir(tmp_path)
    assert given("hosts: {a: {ssh_config: here}}\n")[0].ssh_config == "here"
    with pytest.raises(DocumentError, match=r"^standard input:2: 'c' is too much"):
        given("a\nb c\n")


def test_several_inventories(tmp_path: Path) -> None:
    ours = written(tmp_path, "hosts: {a: {tags: [x]}, b: }\n", "ours.yml")
    listed = written(tmp_path, "c\na\n", "listed")
    ansible = written(tmp_path, "[web]\na hullcheck_tags=y\n", "ansible")
    hosts = load_inventory([ours, listed, ansible])
    assert [host.name for host in hosts] == ["a", "b", "c"]
    assert (hosts[0].tags, hosts[0].groups) == (("x", "y"), ("web",))
    other = written(tmp_path, "# it\nssh://a\n", "other")
    with pytest.raises(DocumentError, match=r"other:2: host 'a' is another in .*ours.yml:1; keep"):
        load_inventory([ours, other])


def test_a_file_that_is_not_there_is_told_with_the_nearest_name(tmp_path: Path) -> None:
    written(tmp_path, "a\n", "prod.yml")
    with pytest.raises(DocumentError, match=r"No such file or directory; did you mean prod.yml\?"):
        load_inventory(tmp_path / "pord.yml")


@pytest.mark.parametrize("name", ["ansible", "hosts.txt"])
def test_the_examples_are_right(name: str) -> None:
    assert len(load_inventory(INVENTORIES / name)) > 2


WORDS = st.sampled_from(
    [
        *"{}[]=:'\"*@#\t\n\x00\ud800", "\n", "\n  ", " ", "- ", "[web]", "[web:vars]",
        "[a:children]", "web", "a", "all:", "hosts:", " hosts:", "  x:", '"_meta":',
        "ansible_port=", "22", "{{ x }}", "!vault |", "Host ", "Include ", "ssh://", "web[1:3]",
        "[::1]", "\\ud83d", "&x ", "*x", "<<:", "ansible_ssh_args=-o", "hullcheck_tags=", "null",
    ]
)  # fmt: skip


@given(st.lists(WORDS, max_size=25).map("".join) | st.text(max_size=60))
def test_any_text_gives_hosts_or_one_sentence(text: str) -> None:
    data = io.BytesIO(text.encode("utf-8", "surrogatepass"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", SimpleNamespace(buffer=data))
        try:
            hosts = load_inventory("-")
        except DocumentError as error:
            assert str(error).startswith("standard input")
            assert "\n" not in str(error)
        else:
            assert all(host.target.name for host in hosts)
