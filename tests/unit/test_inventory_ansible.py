"""Ansible's inventories: the same variables count here as with Ansible itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hullcheck.inventory.ansible.read import read_ansible, read_directory
from hullcheck.inventory.ansible.tree import Tree
from hullcheck.inventory.ansible.variables import needed
from hullcheck.inventory.document import DocumentError, Node
from hullcheck.inventory.forms import read_source
from hullcheck.inventory.load import load_inventory

HERE = Path(__file__).parent / "ansible"
SITE = HERE / "site"


def plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: plain(each) for key, each in node.value.items()}
    return [plain(each) for each in node.value] if isinstance(node.value, list) else node.value


def said_by(tree: Tree) -> dict[str, dict[str, Any]]:
    return {
        host.name: {name: plain(node) for name, node in tree.of(host)[1].values.items()}
        for host in tree.hosts.values()
    }


def groups_by(tree: Tree) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for host in tree.hosts.values():
        for group in tree.of(host)[0]:
            found.setdefault(group, set()).add(host.name)
    return found


def theirs() -> tuple[dict[str, dict[str, Any]], dict[str, set[str]]]:
    listed = json.loads((HERE / "site.json").read_text())
    values = listed.pop("_meta")["hostvars"]

    def hosts(group: str) -> set[str]:
        said = listed.get(group, {})
        return {*said.get("hosts", []), *(h for c in said.get("children", []) for h in hosts(c))}

    known = {"ansible_group_priority"}
    said = {
        name: {key: variables[key] for key in needed(variables) if key not in known}
        for name, variables in values.items()
    }
    return said, {group: hosts(group) for group in listed if group != "all"}


def test_a_directory_says_what_ansible_says() -> None:
    tree = Tree()
    read_directory(SITE, tree)
    assert (said_by(tree), groups_by(tree)) == theirs()


@pytest.mark.parametrize("file", ["site.json", "site-export.json"])
def test_what_ansible_inventory_lists_is_read_back(file: str) -> None:
    tree = Tree()
    read_ansible(read_source(str(HERE / file)), tree)
    said, groups = theirs()
    if file == "site.json":
        assert said_by(tree) == said
    else:  # group_vars and the inventories' own group variables are one there
        assert said_by(tree)["web02"]["ansible_host"] == "192.0.2.22"
        assert said_by(tree)["node1"]["ansible_user"] == "deeper"
    assert groups_by(tree) == groups


def test_hosts_of_a_directory_become_targets() -> None:
    hosts = {host.name: host for host in load_inventory(SITE)}
    web02, home = hosts["web02"], Path.home()
    assert web02.target.display == "paramiko://gv_all@192.0.2.22:2222"
    assert (web02.target.sudo, web02.target.sudo_user) == (True, "gv_web")
    assert web02.target.identity_file == (home / ".ssh/all",)
    assert (web02.role, web02.tags) == (("engine-rootful",), ("blue", "front"))
    assert web02.policy.trusted_users == ("root", "deploy")
    assert web02.groups == ("deep", "site", "web")
    assert hosts["quoted"].target.ssh_options == (("ProxyJump", "bastion"), ("ConnectTimeout", "5"))
    assert hosts["2001:db8::1"].target.display == "paramiko://six@[2001:db8::1]:2022"
    assert hosts["db-a.example.com"].target.sudo is False


def hosts_in(tmp_path: Path, text: str, name: str = "hosts") -> dict[str, Any]:
    (tmp_path / name).write_text(text)
    return {host.name: host for host in load_inventory(tmp_path / name)}


@pytest.mark.parametrize(
    ("variables", "display"),
    [
        ("", "paramiko://w"),
        ("ansible_connection=ssh", "ssh://w"),
        ("ansible_connection=paramiko_ssh ansible_user=u", "paramiko://u@w"),
        ("ansible_connection=local ansible_user=u ansible_port=1", "local://"),
        ("ansible_connection=docker ansible_host=box ansible_user=u", "docker://u@box"),
        ("ansible_connection=containers.podman.podman", "podman://w"),
        ("ansible_port=2201 ansible_ssh_port=2202", "paramiko://w:2202"),
        ("ansible_ssh_extra_args='-c aes256-ctr'", "ssh://w"),
        ("ansible_host='{{ x }}' hullcheck_address=10.0.0.9", "paramiko://10.0.0.9"),
        ("hullcheck_port=2203 ansible_port='{{ p }}'", "paramiko://w:2203"),
        (
            "ansible_ssh_args='{{ a }}' hullcheck_ssh_options=\"{'ProxyJump':'b'}\"",
            "paramiko://w",
        ),
    ],
)
def test_how_a_host_is_reached(tmp_path: Path, variables: str, display: str) -> None:
    assert hosts_in(tmp_path, f"[g]\nw {variables}\n")["w"].target.display == display


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("[web:childern]\nx\n", 1, "not 'childern'; did you mean children?"),
        ("[web\nx\n", 1, "'[web' holds no range"),
        ("[we b]\nx\n", 1, "is no section; write [GROUP]"),
        ("[all:children]\nwbe\n[web]\nx\n", 2, "there is no group 'wbe'; did you mean web?"),
        ("[web]\nx\n[wbe:vars]\na=1\n", 3, "there is no group 'wbe'; did you mean web?"),
        ("[a:children]\nb\n[b:children]\na\n[c]\nx\n", 4, "group 'a' is its own child"),
        ("[web]\nx root\n", 2, "'root' is no variable; write NAME=VALUE"),
        ("[web]\nx a='b\n", 2, "cannot be split into words: No closing quotation"),
        ("[web]\nx[1-3]\n", 2, "'x[1-3]' holds no range"),
        ("[web]\nx[3:1]\n", 2, "the range [3:1] ends before it begins"),
        ("[web]\nx[01:100]\n", 2, "padded with zeros"),
        ("[web]\nx[1:9999999999]\n", 2, "stands for more than 100000 hosts"),
        ("[web]\nx[1:999][1:999]\n", 2, "stands for more than 100000 hosts"),
        ("[web]\n-oProxyCommand=x\n", 2, "cannot name a host"),
        ("[web]\na/b\n", 2, "cannot name a host"),
        ("[web:vars]\nuser\n[web]\nx\n", 2, "'user' is no variable"),
        ("[web:vars]\nansible_group_priority=x\n[web]\ny\n", 2, "write a whole number"),
        ("[web]\nx hullcheck_rol=a\n", 2, "has no key 'rol'; did you mean role?"),
        ('[web]\nx hullcheck="{\'rol\':1}"\n', 2, "hullcheck has no key 'rol'; did you mean role?"),
        ("[web]\nx hullcheck_role=engine-rootfull\n", 2, "did you mean engine-rootful"),
        ('[web]\nx hullcheck_policy="{\'trusted_user\':[]}"\n', 2, "did you mean trusted_users"),
        ("[web]\nx\ny ansible_port=ssh\n", 3, "'ssh'; write a whole number"),
        ("[web]\nx ansible_port=70000\n", 2, "write a whole number from 1 to 65535"),
        ("[web]\nx ansible_user=-oX\n", 2, "it may not begin with a dash"),
        ("[web]\nx ansible_connection=winrm\n", 2, "is 'winrm', by which nothing can be audited"),
        ("[web]\nx ansible_become=1 ansible_become_method=su\n", 2, "is 'su'; only sudo"),
        ("[web]\nx ansible_become='{{ b }}'\n", 2, "is a template, which is not worked out;"
         " say it as hullcheck_sudo, in plain"),
        ("[web]\nx hullcheck_user='{{ b }}'\n", 2, "write it out, in plain"),
        ("[web]\nx ansible_ssh_common_args='-L 1:a:2'\n", 2, "-L cannot be done here"),
        ("[web]\nx ansible_ssh_args='-o KnownHostsCommand=x'\n", 2, "no ssh option"),
        ("[web]\nx ansible_connection=paramiko ansible_ssh_args=-6\n", 2, "needs the OpenSSH"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(tmp_path: Path, text: str, line: int, sentence: str) -> None:
    with pytest.raises(DocumentError) as caught:
        hosts_in(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'hosts'}:{line}: ")
    assert sentence in caught.value.message
    assert "\n" not in caught.value.message


def test_what_it_was_read_as_is_said(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"\(this was read as an Ansible inventory in INI\)$"):
        hosts_in(tmp_path, "[web]\nx y\n")
    with pytest.raises(DocumentError, match=r"read as an Ansible inventory in YAML\)$"):
        hosts_in(tmp_path, "all:\n  hots: {x: }\n", "h.yml")


def test_a_host_with_a_problem_matters_only_if_it_is_chosen(tmp_path: Path) -> None:
    text = "[web]\nx\n[windows]\ny[1:3] ansible_connection=winrm hullcheck_tags=w\n"
    with pytest.raises(DocumentError, match=r"host y1 and 2 more; --limit '!y1' leaves it out"):
        hosts_in(tmp_path, text)
    for chosen in ({"limit": "!windows"}, {"tags": "!w"}):
        assert [host.name for host in load_inventory(tmp_path / "hosts", **chosen)] == ["x"]


def test_what_is_encrypted_is_needed_or_not(tmp_path: Path) -> None:
    vault = "!vault |\n        $ANSIBLE_VAULT;1.1;AES256\n        6162\n"
    text = f"all:\n  hosts: {{x: }}\n  vars:\n      db_password: {vault}"
    assert hosts_in(tmp_path, text, "h.yml")["x"].notes == ()
    found = hosts_in(tmp_path, f"{text}      ansible_become_password: {vault}", "h.yml")["x"]
    assert [note.partition(": ")[2] for note in found.notes] == [
        "ansible_become_password is not used; --ask-sudo-pass asks for one"
    ]
    with pytest.raises(DocumentError, match=r"h.yml:7: ansible_user is encrypted, and .*_user"):
        hosts_in(tmp_path, f"{text}      ansible_user: {vault}", "h.yml")
    meta = {"hostvars": {"x": {"ansible_user": {"__ansible_vault": "$ANSIBLE_VAULT;1.1;AES256"}}}}
    with pytest.raises(DocumentError, match=":1: ansible_user is encrypted"):
        hosts_in(tmp_path, json.dumps({"_meta": meta, "all": {"hosts": ["x"]}}), "h.json")


def test_an_encrypted_file_of_variables_is_left_out_and_said(tmp_path: Path) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n6162\n")
    notes = hosts_in(tmp_path, "x\n")["x"].notes
    assert len(notes) == 1
    assert f"{tmp_path}/group_vars/all.yml: is encrypted and was left out" in notes[0]


def test_what_would_loosen_ssh_is_not_done_and_said(tmp_path: Path) -> None:
    found = hosts_in(
        tmp_path,
        "[g]\nw\n[g:vars]\nansible_host_key_checking=false\n"
        "ansible_ssh_common_args=-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -A\n",
    )["w"]
    assert found.target.ssh_options == ()
    said = [note.removeprefix(f"{tmp_path}/hosts:") for note in found.notes]
    assert said == [
        "5: ansible_ssh_common_args: StrictHostKeyChecking=no is not done: host keys are always"
        " checked",
        "5: ansible_ssh_common_args: UserKnownHostsFile=/dev/null is not done: host keys are"
        " always checked",
        "5: ansible_ssh_common_args: ForwardAgent=yes is not done: no agent is forwarded",
        "4: ansible_host_key_checking is not heeded: host keys are always checked",
    ]


def test_passwords_are_never_taken(tmp_path: Path) -> None:
    found = hosts_in(tmp_path, "[g]\nw ansible_password=hunter2 ansible_become_pass=hunter3\n")["w"]
    assert "hunter" not in repr(found)
    assert found.target.password is None
    assert [note.partition(": ")[2] for note in found.notes] == [
        "ansible_password is not used; log in with a key",
        "ansible_become_pass is not used; --ask-sudo-pass asks for one",
    ]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("hosts", "#!/usr/bin/python3\n", "is a program, which is not run; have Ansible run it: "),
        ("hosts", "\x7fELF\x02", "is a program, which is not run"),
        ("hosts.toml", "[web.hosts]\nx = {}\n", "is TOML"),
        ("aws.yml", "plugin: aws_ec2\n", "sets up Ansible's plugin 'aws_ec2', which is not run"),
        ("hosts", "$ANSIBLE_VAULT;1.1;AES256\n61\n", "is encrypted with ansible-vault"),
    ],
)
def test_what_ansible_itself_must_read(
    tmp_path: Path, name: str, text: str, sentence: str
) -> None:  # fmt: skip
    for path in (tmp_path / name, tmp_path):
        (tmp_path / name).write_text(text)
        with pytest.raises(DocumentError) as caught:
            load_inventory(path)
        assert sentence in str(caught.value)
        assert "ansible-inventory -i INVENTORY --list" in str(caught.value)
        assert str(caught.value).endswith(" | hullcheck audit -i -")


def test_a_directory_holds_ansible_s_inventories_only(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="without any inventory"):
        load_inventory(tmp_path)
    (tmp_path / "policy.yml").write_text("trusted_users: [root]\n")
    with pytest.raises(DocumentError, match=r"policy.yml: is Hullcheck's own YAML, not Ansible's"):
        load_inventory(tmp_path)


def test_a_key_s_path_begins_where_hullcheck_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inventories").mkdir()
    monkeypatch.chdir(tmp_path)
    said = "w ansible_ssh_private_key_file=keys/id\nx ansible_private_key_file=~/id\n"
    found = hosts_in(tmp_path / "inventories", f"[g]\n{said}")
    assert found["w"].target.identity_file == (tmp_path / "keys/id",)
    assert found["x"].target.identity_file == (Path.home() / "id",)


def test_what_is_listed_already_holds_what_stands_beside_it(tmp_path: Path) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text("ansible_user: beside\nansible_port: 1\n")
    listed = {"_meta": {"hostvars": {"x": {"ansible_user": "u"}}}, "all": {"hosts": ["x"]}}
    assert hosts_in(tmp_path, json.dumps(listed))["x"].target.display == "paramiko://u@x"


def test_several_sources_are_one_inventory_as_with_ansible(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("[web]\nx ansible_user=a\n")
    (tmp_path / "b").write_text("[prod]\nx ansible_user=b\n[web:vars]\nansible_port=2222\n")
    (host,) = load_inventory([tmp_path / "a", tmp_path / "b"])
    assert (host.target.display, host.groups) == ("paramiko://b@x:2222", ("prod", "web"))


def test_json_is_read_as_json(tmp_path: Path) -> None:
    values = {"note": "\U0001f600 \x7f\x85 / \\ud83d\\udz", "ansible_user": "u"}
    text = json.dumps({"_meta": {"hostvars": {"x": values}}, "all": {"hosts": ["x"]}})
    for each in (text, text.replace('"all"', '\n\t"all"'), text.replace("/", "\\/")):
        assert hosts_in(tmp_path, each)["x"].user == "u"
    raw = json.dumps({"_meta": {"hostvars": {"x": values}}}, ensure_ascii=False)
    assert hosts_in(tmp_path, raw)["x"].groups == ("ungrouped",)
