"""Podman: what its settings, registries, policy and units come to, for root and for a user."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.engine import test_daemon, test_defaults, test_podman, test_remotes
from hullcheck.control import Unknown
from hullcheck.facts.podman.places import CONFIGURATION, END
from hullcheck.facts.podman.roots import Roots
from hullcheck.facts.podman.signatures import parse_policy
from hullcheck.facts.podman.subordinate import FILES, SERVICES, SWEEP, parse_subordinate
from hullcheck.facts.podman.units import parse_unit
from hullcheck.inventory.policy import Policy
from tests.unit.docker_fake import docker_answers
from tests.unit.podman_fake import (
    Files,
    findings,
    verdict,
)

BOB = Roots("/home/bob/.local/share/containers/storage", "/run/user/1001/containers", 1001)

ETC = "/etc/containers/containers.conf"
OWN = "/home/bob/.config/containers/containers.conf"


def conf(text: str, path: str = ETC, **more: str) -> Files:
    return Files({path: text, **more})


def engines(test, files=None, policy=None, **more):
    """Return the statuses for root's Podman and bob's."""
    found = findings(
        test, policy, files=files, stores={BOB.graphroot: 1001}, kept={BOB: Files()},
        base=docker_answers(), **more,
    )  # fmt: skip
    return found.get("podman (root)"), found.get("podman (bob)", found.get("h"))


def test_no_podman_is_not_applicable():
    judged = verdict(test_podman.test_podman_default_isolation, programs=())
    assert str(judged.status) == "not-applicable"


MACHINE = {
    "grep -E '^MemTotal:|^[0-9]' /proc/meminfo /proc/sys/kernel/pid_max":
    "/proc/meminfo:MemTotal:  1000 kB\n/proc/sys/kernel/pid_max:32768\n"
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "pass"),
        ("[containers]\npids_limit = 0\n", "fail"),
        ("[containers]\npids_limit = -1\n", "fail"),
        ("[containers]\npids_limit = 100\n", "pass"),
        ("[containers]\npids_limit = 40000\n", "fail"),
        ('[containers]\npids_limit = "0"\n', "unknown"),
        ("[containers]\npids_limit = true\n", "unknown"),
        ("[containers\n", "unknown"),
        ("# pids_limit = 0\n", "pass"),
    ],
)
def test_default_pids_limit(text, expected):
    found = engines(test_defaults.test_default_pids_limit, conf(text), also=MACHINE)
    assert found == (expected, expected)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (conf('[containers]\ndefault_capabilities = ["CHOWN", "cap_kill"]\n'), ("pass", "pass")),
        (conf('[containers]\ndefault_capabilities = ["NET_RAW"]\n'), ("fail", "fail")),
        (conf('[containers]\ndefault_capabilities = ["ALL"]\n'), ("fail", "fail")),
        (conf('[containers]\ndefault_capabilities = ["SYS_ADMIN"]\n', OWN), ("pass", "fail")),
        (conf("[containers]\nprivileged = true\n"), ("fail", "fail")),
        # A later file replaces the list …
        (
            conf('[containers]\ndefault_capabilities = ["SYS_ADMIN"]\n',
                 **{OWN: '[containers]\ndefault_capabilities = ["KILL"]\n'}),
            ("fail", "pass"),
        ),
        # … unless it says that it adds to it; drop-ins come after the file.
        (
            conf('[containers]\ndefault_capabilities = ["SYS_ADMIN"]\n', **{
                f"{ETC}.d/a.conf":
                '[containers]\ndefault_capabilities = ["KILL", {append = true}]\n'}),
            ("fail", "fail"),
        ),
        (
            conf('[containers]\ndefault_capabilities = ["SYS_ADMIN"]\n', **{
                f"{ETC}.d/a.conf": '[containers]\ndefault_capabilities = ["KILL"]\n',
                f"{ETC}.d/deep/b.conf": '[containers]\ndefault_capabilities = ["SYS_ADMIN"]\n'}),
            ("pass", "pass"),
        ),
        # Newer versions read root's own file, older ones do not.
        (
            conf('[containers]\ndefault_capabilities = ["BPF"]\n',
                 "/root/.config/containers/containers.conf"),
            ("unknown", "pass"),
        ),
    ],
)  # fmt: skip
def test_default_capabilities(files, expected):
    assert engines(test_defaults.test_default_capabilities, files) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("fail", "pass")),
        ('[containers]\nuserns = "auto"\n', ("pass", "pass")),
        ('[containers]\nuserns = "auto:size=1000"\n', ("pass", "pass")),
        ('[containers]\nuserns = "host"\n', ("fail", "pass")),
        ('[containers]\nuserns = "private"\n', ("unknown", "pass")),
    ],
)
def test_user_namespace(text, expected):
    assert engines(test_daemon.test_user_namespace, conf(text)) == expected


REFUSES = '{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []}\n'
ALLOWS = '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}\n'


@pytest.mark.parametrize(
    ("files", "profile", "expected"),
    [
        (conf(""), "", "pass"),
        (conf('[containers]\nseccomp_profile = "unconfined"\n'), "", "fail"),
        (conf("[containers]\nprivileged = true\n"), "", "fail"),
        (
            conf('[containers]\nseccomp_profile = "/usr/share/containers/seccomp.json"\n'),
            "",
            "pass",
        ),
        (conf('[containers]\nseccomp_profile = "/etc/p.json"\n'), REFUSES, "manual"),
        (conf('[containers]\nseccomp_profile = "/etc/p.json"\n'), ALLOWS, "fail"),
        (conf("", **{"/etc/containers/seccomp.json": ALLOWS}), ALLOWS, "fail"),
    ],
)
def test_seccomp_default(files, profile, expected):
    path = "/etc/containers/seccomp.json" if len(files.texts) > 1 else "/etc/p.json"
    also = {f"head -c 1048577 -- {path}": profile}
    assert engines(test_daemon.test_seccomp_default, files, also=also)[0] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "pass"),
        ('[containers]\ndefault_ulimits = ["nofile=1024:2048"]\n', "pass"),
        ('[containers]\ndefault_ulimits = ["nofile=-1:-1"]\n', "fail"),
        ('[containers]\ndefault_ulimits = ["nofile=lots"]\n', "unknown"),
    ],
)
def test_default_ulimits(text, expected):
    assert engines(test_daemon.test_default_ulimits, conf(text))[0] == expected


REGISTRIES = "/etc/containers/registries.conf"
OWN_REGISTRIES = "/home/bob/.config/containers/registries.conf"


def registry(location: str, **flags: bool) -> str:
    lines = [f"{name} = {str(value).lower()}" for name, value in flags.items()]
    return "\n".join(["[[registry]]", f'location = "{location}"', *lines, ""])


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (Files(), ("pass", "pass")),
        (Files({REGISTRIES: registry("r.example", insecure=True)}), ("fail", "fail")),
        (Files({REGISTRIES: registry("r.example", insecure=False)}), ("pass", "pass")),
        (Files({REGISTRIES: registry("r.example", insecure=True, blocked=True)}), ("pass", "pass")),
        (Files({REGISTRIES: registry("localhost:5000", insecure=True)}), ("pass", "pass")),
        (Files({REGISTRIES: registry("ok.example/team", insecure=True)}), ("pass", "pass")),
        (Files({REGISTRIES: "[registries.insecure]\nregistries = ['r.example']\n"}),
         ("fail", "fail")),
        (Files({f"{REGISTRIES}.d/x.conf": registry("r.example", insecure=True)}), ("fail", "fail")),
        (Files({f"{REGISTRIES}.d/x.conf": registry("r.example", insecure=True),
                OWN_REGISTRIES: ""}), ("fail", "pass")),
        (Files({OWN_REGISTRIES: registry("r.example", insecure=True)}), ("pass", "fail")),
        (Files({REGISTRIES: '[[registry]]\nlocation = "r.example"\ninsecure = "yes"\n'}),
         ("unknown", "unknown")),
        (Files({REGISTRIES: "registry = 5\n"}), ("unknown", "unknown")),
    ],
)  # fmt: skip
def test_insecure_registries(files, expected):
    policy = Policy(insecure_registries=("ok.example",))
    assert engines(test_remotes.test_insecure_registries, files, policy) == expected


@pytest.mark.parametrize(("insecure", "expected"), [("true", "fail"), ("false", "pass")])
def test_registry_mirrors(insecure, expected):
    text = (
        registry("r.example")
        + f'[[registry.mirror]]\nlocation = "m.example"\ninsecure = {insecure}\n'
    )
    assert engines(test_remotes.test_registry_mirrors, Files({REGISTRIES: text}))[0] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "pass"),
        ('unqualified-search-registries = ["a.example"]\n', "pass"),
        ('unqualified-search-registries = ["a.example", "b.example"]\n', "fail"),
        ("unqualified-search-registries = 5\n", "unknown"),
        ("[registries.search]\nregistries = ['a', 'b']\n", "fail"),
    ],
)
def test_short_names(text, expected):
    files = Files({REGISTRIES: text})
    assert engines(test_podman.test_podman_short_names, files)[0] == expected


def test_a_drop_in_counts_more_for_short_names():
    two = 'unqualified-search-registries = ["a.example", "b.example"]\n'
    files = Files({REGISTRIES: "", f"{REGISTRIES}.d/z.conf": two})
    assert engines(test_podman.test_podman_short_names, files)[0] == "fail"


ANY, SIGNED = [{"type": "insecureAcceptAnything"}], [{"type": "signedBy"}]
REJECT = [{"type": "reject"}]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"default": ANY}, "fail"),
        ({"default": REJECT}, "pass"),
        ({"default": SIGNED}, "pass"),
        ({"default": ANY + SIGNED}, "pass"),
        ({"default": REJECT, "transports": {"docker": {"": ANY}}}, "fail"),
        ({"default": REJECT, "transports": {"docker": {"r.example": ANY}}}, "manual"),
        ({"default": REJECT, "transports": {"dir": {"": ANY}}}, "pass"),
        ({"default": ANY, "transports": {"docker": {"": REJECT}, "atomic": {"": REJECT}}}, "pass"),
        ({"default": ANY, "transports": {"docker": {"": REJECT}}}, "fail"),
        ({"default": []}, "unknown"),
        ({}, "unknown"),
        ([], "unknown"),
    ],
)
def test_signatures(policy, expected):
    files = Files({"/etc/containers/policy.json": json.dumps(policy)})
    assert engines(test_defaults.test_signatures, files)[0] == expected


def test_signatures_of_a_user_and_of_nobody():
    files = Files({
        "/etc/containers/policy.json": json.dumps({"default": REJECT}),
        "/home/bob/.config/containers/policy.json": json.dumps({"default": ANY}),
    })  # fmt: skip
    assert engines(test_defaults.test_signatures, files) == ("pass", "fail")
    assert engines(test_defaults.test_signatures)[0] == "not-applicable"


def test_a_policy_with_a_key_twice_is_none():
    text = '{"default": [{"type": "insecureAcceptAnything"}], "default": [{"type": "reject"}]}'
    with pytest.raises(Unknown):
        parse_policy("x", text)


SOCKET = "/usr/lib/systemd/system/podman.socket"
SHIPPED = "[Socket]\nListenStream=%t/podman/podman.sock\nSocketMode=0660\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, "not-applicable"),
        ({SOCKET: SHIPPED}, "pass"),
        ({SOCKET: SHIPPED.replace("0660", "0666")}, "fail"),
        ({SOCKET: "[Socket]\nListenStream=/run/p.sock\n"}, "fail"),
        ({SOCKET: SHIPPED + "ListenStream=8080\n"}, "fail"),
        ({SOCKET: SHIPPED, "/etc/systemd/system/podman.socket.d/o.conf":
          "[Socket]\nListenStream=\nListenStream=0.0.0.0:8080\n"}, "fail"),
        ({SOCKET: SHIPPED + "ListenStream=8080\n", "/etc/systemd/system/podman.socket.d/o.conf":
          "[Socket]\nListenStream=\nListenStream=/run/p.sock\n"}, "pass"),
        ({SOCKET: SHIPPED, "/usr/lib/systemd/system/podman.service":
          "[Service]\nExecStart=podman system service \\\n  tcp://0.0.0.0:8080\n"}, "fail"),
        ({SOCKET: SHIPPED, "/etc/systemd/system/podman.socket":
          SHIPPED.replace("0660", "0777")}, "fail"),
        ({SOCKET: SHIPPED.replace("0660", "rw")}, "unknown"),
    ],
)  # fmt: skip
def test_api_socket(files, expected):
    assert engines(test_podman.test_podman_api_socket, Files(files))[0] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "pass"),
        ("label = false", "fail"),
        ("privileged = true", "fail"),
        ('pidns = "host"', "fail"),
        ('netns = "host"', "fail"),
        ('netns = "slirp4netns"', "pass"),
        ('apparmor_profile = "unconfined"', "fail"),
        ("env_host = true", "fail"),
        ('volumes = ["/:/host"]', "fail"),
        ('devices = ["/dev/sda"]', "fail"),
        ('label = "no"', "unknown"),
    ],
)
def test_default_isolation(text, expected):
    files = conf(f"[containers]\n{text}\n")
    assert engines(test_podman.test_podman_default_isolation, files)[0] == expected


@pytest.mark.parametrize(
    ("subuid", "services", "expected"),
    [
        ("bob:100000:65536\n", "", "pass"),
        ("bob:100000:65536\neve:165536:65536\n", "", "pass"),
        ("bob:100000:65536\neve:165535:65536\n", "", "fail"),
        ("1001:100000:65536\nbob:120000:10\n", "", "pass"),
        ("bob:0:65536\n", "", "fail"),
        ("bob:1000:65536\n", "", "fail"),
        ("", "", "pass"),
        ("bob:x:65536\n", "", "unknown"),
        ("bob:100000:65536\n", "subid: sss\n", "unknown"),
        ("bob:100000:65536\n", "subid: files\n", "pass"),
    ],
)
def test_subordinate_ids(subuid, services, expected):
    texts = {FILES[0]: subuid, FILES[1]: "bob:100000:65536\n", SERVICES: services}
    also = {SWEEP.command: Files({path: text for path, text in texts.items() if text}).reply()}
    found = engines(test_podman.test_podman_subordinate_ids, also=also)
    assert found[1] == expected


@given(st.text(max_size=80))
def test_parsers_take_any_text(text):
    parse_unit(text)
    for parse in (parse_policy, parse_subordinate):
        with suppress(Unknown):
            parse("x", text)


def engines_of(**more):
    """Return what is said of short names, of each Podman."""
    base = docker_answers()
    found = findings(test_podman.test_podman_short_names, base=base, **more)
    return {name: status for name, status in found.items() if name.startswith("podman")}


def test_loops_of_links_hide_nothing():
    loops = (
        "find: File system loop detected; '/home/bob/.config/containers/l' is part of the same\n"
        "find: '/home/bob/.config/containers/s': Too many levels of symbolic links\n"
    )
    also = {CONFIGURATION.command: (0, f"{END}\n", loops)}
    found = engines_of(also=also)
    assert found == {"podman (root)": "pass"}


def test_where_a_users_link_leads_is_not_looked_at():
    """It may lead to /etc/shadow, or to the whole of /."""
    links = "= link /home/bob/.config/containers/a.conf\n"
    also = {CONFIGURATION.command: (0, f"{links}{END}\n")}
    found = engines_of(also=also)
    assert found == {"podman (root)": "pass", "podman (of others)": "unknown"}
    assert "find -L" not in CONFIGURATION.command.partition("/home/*")[2]


def test_hidden_places_leave_the_engines_of_others_unknown():
    hidden = Files(hidden=["/home/bob/.config/containers"])
    found = engines_of(files=hidden)
    assert found == {"podman (root)": "pass", "podman (of others)": "unknown"}
    found = engines_of(
        files=hidden, stores={BOB.graphroot: 1001},
        kept={BOB: Files()},
    )  # fmt: skip
    assert found == {"podman (root)": "pass", "podman (bob)": "unknown"}
