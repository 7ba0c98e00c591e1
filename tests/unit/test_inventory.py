from __future__ import annotations

from pathlib import Path

import pytest

from hullcheck.inventory.document import DocumentError, load, parse
from hullcheck.inventory.limit import limited
from hullcheck.inventory.load import load_inventory
from hullcheck.inventory.policy import Policy

EXAMPLE = Path(__file__).parents[2] / "inventories" / "example.yml"


@pytest.fixture
def inventory(tmp_path):
    """Write an inventory and load it."""

    def write(text, **options):
        path = tmp_path / "hosts.yml"
        path.write_text(text)
        return {host.name: host for host in load_inventory(path, **options)}

    return write


@pytest.fixture
def refused(inventory, tmp_path):
    """Say what is wrong with an inventory: the line and the sentence."""

    def tell(text):
        with pytest.raises(DocumentError) as caught:
            inventory(text)
        assert str(caught.value).startswith(f"{tmp_path / 'hosts.yml'}:{caught.value.line}: ")
        return caught.value.line, caught.value.message

    return tell


def test_the_smallest_inventory_leaves_everything_to_ssh_config(inventory):
    hosts = inventory("hosts: {web1: {}, web2: {}}")
    assert list(hosts) == ["web1", "web2"]
    target = hosts["web1"].target
    assert (target.scheme, target.address, target.name) == ("paramiko", "web1", "web1")
    assert (target.port, target.user, target.sudo) == (None, None, False)
    assert target.identity_file == ()
    assert hosts["web1"].policy == Policy()


def test_a_host_counts_before_its_group_and_that_before_the_defaults(inventory):
    hosts = inventory("""
defaults: {user: audit, port: 22, sudo: true}
groups:
  web:
    port: 2222
    role: engine-rootful
    hosts:
      web1: {}
      web2: {port: 2200, sudo: false, address: 192.0.2.2}
hosts: {db: {}}
""")
    told = {name: (host.user, host.port, host.sudo, host.role) for name, host in hosts.items()}
    assert told == {
        "web1": ("audit", 2222, True, ("engine-rootful",)),
        "web2": ("audit", 2200, False, ("engine-rootful",)),
        "db": ("audit", 22, True, ()),
    }
    assert hosts["web2"].target.address == "192.0.2.2"
    assert hosts["web2"].target.name == "web2"


def test_two_hosts_may_share_an_address(inventory):
    hosts = inventory("hosts: {a: {address: h, port: 1}, b: {address: h, port: 2}}")
    assert {host.target.display for host in hosts.values()} == {"paramiko://h:1", "paramiko://h:2"}


def test_a_child_group_counts_before_its_parent(inventory):
    hosts = inventory("""
groups:
  all-web: {children: [canary], user: a, port: 1}
  canary: {hosts: [web1], user: b}
""")
    assert (hosts["web1"].user, hosts["web1"].port) == ("b", 1)
    assert hosts["web1"].groups == ("all-web", "canary")


def test_unrelated_groups_may_not_contradict_each_other(refused, inventory):
    text = "groups:\n  a: {hosts: [h], user: x}\n  b: {hosts: [h], user: y}\n"
    assert refused(text) == (
        3,
        "user of host 'h' contradicts line 2; say in the host which one counts",
    )
    assert inventory(text.replace("user: y", "user: x"))["h"].user == "x"
    assert inventory(f"{text}hosts:\n  h: {{user: z}}\n")["h"].user == "z"


def test_policy_values_are_decided_one_by_one_and_refine_the_command_line(inventory):
    base = Policy(trusted_users=("root",), log_drivers=("ours",), cgroup_parents=("/base",))
    hosts = inventory(
        """
defaults: {policy: {cgroup_parents: [/default]}}
groups:
  web: {hosts: [web1, web2], policy: {trusted_users: [deploy], log_drivers: [web]}}
hosts:
  web2: {policy: {trusted_users: [], cgroup_parents: []}}
""",
        base=base,
    )
    assert hosts["web1"].policy == Policy(
        trusted_users=("deploy",), log_drivers=("web",), cgroup_parents=("/default",)
    )
    assert hosts["web2"].policy == Policy(trusted_users=(), log_drivers=("web",), cgroup_parents=())


def test_tags_add_up(inventory):
    hosts = inventory(
        "defaults: {tags: [a]}\ngroups: {g: {tags: [b], hosts: {h: {tags: [c, a]}}}}\n"
    )
    assert hosts["h"].tags == ("a", "b", "c")


def test_a_null_says_again_that_nothing_is_said(inventory):
    hosts = inventory("defaults: {user: audit, port: 22}\nhosts: {h: {user: null, port: ~}}\n")
    assert (hosts["h"].target.user, hosts["h"].target.port) == (None, None)


def test_paths_begin_at_the_inventory_or_at_home(inventory, tmp_path):
    hosts = inventory(
        "hosts: {h: {identity_file: keys/id, ssh_config: ~/.ssh/audit},"
        " i: {identity_file: [a, /b]}}"
    )
    assert hosts["h"].target.identity_file == (tmp_path / "keys" / "id",)
    assert hosts["i"].target.identity_file == (tmp_path / "a", Path("/b"))
    assert hosts["h"].target.ssh_config == Path("~/.ssh/audit").expanduser()


def test_other_connections(inventory):
    hosts = inventory(
        "defaults: {user: audit, port: 22}\n"
        "hosts: {here: {connection: local}, box: {connection: docker, user: null, port: null}}\n"
    )
    assert (hosts["here"].target.display, hosts["here"].target.name) == ("local://", "here")
    assert hosts["box"].target.display == "docker://box"


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        (
            "hosts:\n  web1: {usr: root}\n",
            2,
            "web1 has no key 'usr'; did you mean user or sudo_user?",
        ),
        ("host: {web1: {}}\n", 1, "the document has no key 'host'; did you mean hosts?"),
        ("hosts:\n  a: {}\n  a: {}\n", 3, "'a' stands twice, first in line 2; keep one"),
        ("hosts: [a, a]\n", 1, "host 'a' stands twice; keep one"),
        ("hosts:\n  a:\n    port: ssh\n", 3, "port is 'ssh'; write a whole number"),
        ("hosts: {a: {port: 0}}\n", 1, "port is 0; write a whole number from 1 to 65535"),
        ("hosts: {a: {port: 22:22}}\n", 1, "port is '22:22'; write a whole number"),
        ("hosts: {a: {port: 022}}\n", 1, "port is '022'; write a whole number"),
        ("hosts: {a: {sudo: 'yes'}}\n", 1, "sudo is 'yes'; write true or false"),
        ("hosts: {a: {user: no}}\n", 1, "user is true or false to YAML; put 'no' in quotes"),
        ("hosts: {a: {user: [b]}}\n", 1, "user is a list; write a text"),
        ("hosts: {a: {user: -oProxyCommand=x}}\n", 1, "user is '-oProxyCommand=x'; it may not"),
        ("hosts: {a: {address: a b}}\n", 1, "address is 'a b'; it may not"),
        ("hosts: {../a: {}}\n", 1, "'../a' cannot name a host"),
        ("hosts: {-oX: {}}\n", 1, "'-oX' cannot name a host"),
        ("hosts: {a: {role: engine-rootfull}}\n", 1, "did you mean engine-rootful or"),
        ("hosts: {a: {connection: sh}}\n", 1, "there is no connection 'sh'; did you mean ssh"),
        ("hosts: {a: {policy: {trusted_user: []}}}\n", 1, "did you mean trusted_users"),
        ("hosts: {a: {policy: {trusted_users: bob}}}\n", 1, "'bob'; write a list"),
        ("defaults: {address: x}\nhosts: {a: }\n", 1, "defaults has no key 'address'"),
        ("defaults:\n  port: x\nhosts: {a: {port: 1}}\n", 2, "port is 'x'"),
        ("groups:\n  g: {children: [wbe]}\n  web: {}\n", 2, "no group 'wbe'; did you mean web?"),
        ("groups:\n  a: {children: [b]}\n  b: {children: [a]}\n", 2, "'a' is its own child"),
        ("hosts: {}\n", 1, "has no hosts"),
        ("", 1, "has no hosts"),
        ("- a\n", 1, "the document is a list; write a mapping"),
        ("hosts: {a: &x {tags: [*x]}}\n", 1, "contains itself"),
        ("hosts: !!python/name:os.system {}\n", 1, "is not allowed"),
        ("hosts: {a: {ssh_config: ~nobody-here/x}}\n", 1, "there is no such home"),
        ("[" * 100_000, 1, "is nested too deeply"),
        ("- " * 100_000, 1, "is nested too deeply"),
        ("hosts: {a: [}\n", 1, "is not sound YAML"),
        ("hosts: {a: {}}\n---\nhosts: {}\n", 2, "is not sound YAML"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_line(refused, text, line, sentence):
    found, message = refused(text)
    assert (found, sentence in message) == (line, True), message
    assert "\n" not in message


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "latin").write_bytes(b"hosts:\n  a: {user: \xff}\n")
    for path, sentence in (
        (tmp_path / "none.yml", f"{tmp_path}/none.yml: cannot be read: No such file or directory"),
        (tmp_path, f"{tmp_path}: cannot be read: Is a directory"),
        (tmp_path / "latin", f"{tmp_path}/latin:2: is not UTF-8 text; save it as UTF-8"),
    ):
        with pytest.raises(DocumentError) as caught:
            load(path)
        assert str(caught.value) == sentence


def test_merge_keys_and_anchors_work(inventory):
    hosts = inventory("""
defaults: &common {user: audit}
hosts:
  a: {<<: *common, port: 22}
  b: {<<: [{port: 1}, {port: 2}], user: c}
""")
    assert (hosts["a"].user, hosts["a"].port) == ("audit", 22)
    assert (hosts["b"].user, hosts["b"].port) == ("c", 1)


def test_a_number_or_date_can_be_read_as_it_was_written():
    keys = parse("id: 2.10\nday: 2026-01-02\n").keys()
    assert (keys["id"].text(), keys["day"].text()) == ("2.10", "2026-01-02")


@pytest.mark.parametrize(
    ("limit", "left"),
    [
        (None, "web1 web2 web3 db"),
        ("web*", "web1 web2 web3"),
        ("web*:!web3", "web1 web2"),
        ("!web*", "db"),
        ("canary,db", "web3 db"),
        ("web?:!canary", "web1 web2"),
    ],
)
def test_limit(inventory, limit, left):
    text = "hosts: [web1, web2, web3, db]\ngroups: {canary: {hosts: [web3]}}\n"
    assert list(inventory(text, limit=limit)) == left.split()


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ("wbe1", "no host or group fits 'wbe1'; did you mean web1?"),
        ("web1:!wbe1", "no host or group fits 'wbe1'; did you mean web1?"),
        ("web1:!web*", "leaves no host"),
        ("", "leaves no host"),
        ("!", "leaves no host"),
    ],
)
def test_a_limit_that_fits_nothing_is_refused(inventory, limit, sentence):
    with pytest.raises(ValueError, match="limit") as caught:
        inventory("hosts: [web1]\n", limit=limit)
    assert sentence in str(caught.value)


def test_the_example_is_right():
    hosts = {host.name: host for host in load_inventory(EXAMPLE)}
    assert hosts["web2"].target.display == "paramiko://audit@192.0.2.12:2222"
    assert hosts["node1"].target.display == "ssh://audit@node1"
    assert hosts["web1"].policy.trusted_users == ("root", "deploy")
    assert [host.name for host in limited(hosts.values(), "production:!web")] == ["node1", "node2"]
