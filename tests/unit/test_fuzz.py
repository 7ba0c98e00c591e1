"""What a host sends is hostile: every parser of it, on any text and on a true one, damaged.

What damaged answers do to verdicts is in test_fuzz_verdicts.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hullcheck.control import Unknown
from hullcheck.facts.accounts import parse_group, parse_passwd
from hullcheck.facts.acl import parse_acl
from hullcheck.facts.audit_rules import parse_rules
from hullcheck.facts.capabilities import mask_of
from hullcheck.facts.confinement import parse_confinement
from hullcheck.facts.containers.cgroup_names import container_of
from hullcheck.facts.containers.oci import described
from hullcheck.facts.descriptors import parse_descriptors
from hullcheck.facts.docker.candidates import parse_pid_files, parse_programs
from hullcheck.facts.docker.configuration import parse_configuration
from hullcheck.facts.docker.shapes import CONTAINER, IMAGE, INFO, NETWORK, VERSION, misfit
from hullcheck.facts.environment import parse_environ
from hullcheck.facts.hosts_toml import inline, parse_hosts
from hullcheck.facts.images import moment, parse_reference
from hullcheck.facts.kernel import parse_cmdline, parse_config
from hullcheck.facts.lsm import parse_profiles
from hullcheck.facts.mounts import parse_mountinfo
from hullcheck.facts.podman.roots import parse_toml
from hullcheck.facts.podman.signatures import parse_policy
from hullcheck.facts.podman.subordinate import parse_subordinate
from hullcheck.facts.podman.units import parse_unit
from hullcheck.facts.processes import parse_cgroup
from hullcheck.facts.sockets import parse_inet, parse_owners, parse_unix
from hullcheck.facts.swarm import parse_key_header
from hullcheck.facts.texts import texts
from hullcheck.facts.tree_sweep import swept
from hullcheck.facts.user_maps import parse_map
from hullcheck.facts.way import parse_status
from hullcheck.transport import Answer, CannotAnswer, Evidence, want
from tests.unit import container_fake, podman_fake, swarm_fake

FEW = settings(max_examples=25, deadline=None)
MARK = "2382349d-e792-4a12-a6b7-35f3ae14485b"
NUMBER = "ab" * 32


def answer(text: str) -> Answer:
    """Return a text as the answer to some command."""
    evidence = Evidence("x", 0, text.encode("utf-8", "surrogateescape"), b"")
    return Answer(want("x"), evidence)


@dataclass(frozen=True)
class Parser:
    """What reads a text, a true one, and the error that it documents beside the usual two."""

    read: Callable[[str], Any]
    sample: str
    error: type[Exception] = Unknown


TCP = "   0: 0100007F:0947 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 7 1"
PARSERS = {
    "mountinfo": Parser(parse_mountinfo, container_fake.HOST_MOUNTS),
    "uid_map": Parser(parse_map, "         0     100000      65536\n 65536 1 9\n"),
    "cgroup": Parser(lambda text: parse_cgroup(text.splitlines()), "1:cpu,cpuacct:/a\n0::/b\n",
                     ValueError),
    "cgroup path": Parser(container_of, f"/system.slice/docker-{NUMBER}.scope"),
    "mask": Parser(mask_of, "00000000a80425fb\n"),
    "environment": Parser(lambda text: parse_environ(text.split("\n")),
                          f"{MARK}\n{MARK} 100\nPASSWORD set\n{MARK} 7 denied\n{MARK} end"),
    "descriptors": Parser(lambda text: parse_descriptors(text.split("\n")),
                          "100 cwd 20 cwd\n100 7 30 more\n8 denied - denied\nend"),
    "confinement": Parser(parse_confinement, "1/attr/current:docker-default (enforce)\n"
                          "1/oom_score_adj:-998\n1/limits:Max processes      10     20    x\n"),
    "profiles": Parser(parse_profiles, "docker-default (enforce)\nx//y (complain)\n"),
    "acl": Parser(parse_acl, "user::rw-\nuser:7:rwx\ngroup::r--\nmask::r--\nother::---\n"),
    "stat": Parser(lambda text: parse_status("/x", text), "81a4 0 0 5 1700000000 64 1 1 a:b c\n"),
    "passwd": Parser(parse_passwd, podman_fake.podman_answers()["getent passwd"]),  # type: ignore[arg-type]
    "group": Parser(parse_group, "root:x:0:\ndocker:x:998:bob,ann\n"),
    "audit rules": Parser(parse_rules, "-w /etc/docker -p wa -k d\n-a never,exit -S all -F uid=0\n",
                          ValueError),
    "key header": Parser(parse_key_header, swarm_fake.header()),
    "unit": Parser(parse_unit, "[Container]\nImage=a\nPodmanArgs=--x \\\n  --y\n"),
    "TOML": Parser(lambda text: parse_toml("/x", text), '[containers]\npids_limit = 2048\n'),
    "hosts.toml": Parser(lambda text: parse_hosts("/c/r/hosts.toml", text),
                         'server = "https://r"\n[host."http://m"]\nskip_verify = true\n'),
    "policy.json": Parser(lambda text: parse_policy("/x", text),
                          '{"default": [{"type": "reject"}], "transports": {"docker": {"": '
                          '[{"type": "insecureAcceptAnything"}]}}}'),
    "subuid": Parser(lambda text: parse_subordinate("/x", text), "bob:100000:65536\n"),
    "daemon.json": Parser(lambda text: parse_configuration("/x", text), '{"icc": false, "mtu": 1}'),
    "programs": Parser(lambda text: parse_programs(answer(text)), "'/proc/7/exe' -> '/bin/a b'\n"),
    "pid files": Parser(lambda text: list(parse_pid_files(text)), "81 /run/docker.pid\n"),
    "tcp": Parser(lambda text: parse_inet(text.split("\n")), f"  sl  local_address\n{TCP}\n"),
    "unix": Parser(lambda text: parse_unix(text.split("\n")), "Num RefCount\n0000000000000000: "
                   "00000002 00000000 00010000 0001 01 12 /run/docker.sock\n"),
    "holders": Parser(parse_owners, "1 seen\n50 12\n51 denied\n"),
    "kernel": Parser(lambda text: (parse_config(text), parse_cmdline(text)), 'CONFIG_A=y\nq="1 2"'),
    "reference": Parser(parse_reference, f"reg.example:5000/a/b:1@sha256:{NUMBER}"),
    "date": Parser(moment, "2026-11-20T10:00:00.123456789Z"),
    "texts": Parser(lambda text: texts(answer(text)), "/a:x\n/a:\n/b:y\n"),
    "walk": Parser(lambda text: swept(answer(text), ["/s/a"]),
                   "81ed 1 9 0 0 /s/a/x\n//\nend 0\n//\n"),
}  # fmt: skip

LIKELY = "0123456789abcdef :-/=,[]{}()\"'\n\0\udcff\u2028"
TEXT = st.text(max_size=60) | st.text(LIKELY, max_size=60)


@st.composite
def damages(draw: st.DrawFn, text: str, kinds: str = "cfel") -> str:
    """Return a text that was damaged: cut in the midst of a line, with a byte that no tool
    prints, with a field that became empty, or without one of its lines.

    :param kinds: which of these, by a letter: cut, flipped, empty, line.
    """
    kind = draw(st.sampled_from(kinds))
    inside = [at for at in range(1, len(text)) if "\n" not in text[at - 1 : at + 1]]
    if kind == "c":
        return text[: draw(st.sampled_from(inside))]
    if kind == "f":
        at = draw(st.sampled_from(inside))
        return text[:at] + draw(st.sampled_from("\0\udcff\x7f\x01")) + text[at + 1 :]
    if kind == "e":
        field = draw(st.sampled_from([*re.finditer(r"[^\s:/\"',]+", text)]))
        return text[: field.start()] + text[field.end() :]
    lines = text.splitlines(keepends=True)
    gone = draw(st.integers(0, len(lines) - 1))
    return "".join(lines[:gone] + lines[gone + 1 :])


@pytest.mark.parametrize("name", PARSERS)
@FEW
@given(st.data())
def test_no_text_breaks_a_parser(name: str, data: st.DataObject) -> None:
    parser = PARSERS[name]
    for text in (data.draw(TEXT), data.draw(damages(parser.sample))):
        try:
            parser.read(text)
        except (Unknown, CannotAnswer, parser.error):
            continue


@pytest.mark.parametrize("name", PARSERS)
def test_the_samples_are_read(name: str) -> None:
    assert PARSERS[name].read(PARSERS[name].sample) != ()


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner,
                                                                max_size=2),
    max_leaves=4,
)  # fmt: skip
SHAPES = {"container": CONTAINER, "info": INFO, "image": IMAGE, "network": NETWORK,
          "version": VERSION}  # fmt: skip


def like(shape: Any) -> st.SearchStrategy[Any]:
    """Return objects with the names that a shape wants, and values of any kind."""
    if isinstance(shape, dict):
        parts = {key.removesuffix("?"): like(inner) for key, inner in shape.items()}
        return st.fixed_dictionaries({}, optional=parts) | ANY
    return like(shape[0]).map(lambda value: [value]) | ANY if isinstance(shape, list) else ANY


@pytest.mark.parametrize("name", SHAPES)
@FEW
@given(st.data())
def test_any_document_has_a_shape_or_is_told(name: str, data: st.DataObject) -> None:
    assert isinstance(misfit(data.draw(like(SHAPES[name])), SHAPES[name]), str)


LINUX = {
    "namespaces": [{"type": "pid"}], "resources": {"memory": {"limit": 5}, "pids": {"limit": 5}},
    "devices": [{"path": "/dev/x"}], "seccomp": {"defaultAction": "x"}, "maskedPaths": ["/x"],
}  # fmt: skip
SPEC = {
    "process": {"user": {"uid": 0}, "env": ["A=b"], "capabilities": {"bounding": ["CAP_KILL"]},
                "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 5}], "noNewPrivileges": True},
    "linux": LINUX, "root": {"readonly": True},
    "mounts": [{"type": "bind", "source": "/a", "destination": "/b", "options": ["ro"]}],
}  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_specification_is_described_or_refused(data: st.DataObject) -> None:
    spec = data.draw(st.sampled_from([*changes(SPEC)])) if data.draw(st.booleans()) else None
    whole = data.draw(ANY) if spec is None else spec(data.draw(ANY))
    try:
        found = described(whole, NUMBER, "x", 7)
    except Unknown:
        return
    assert misfit(found["HostConfig"], {"Memory?": int, "PidsLimit?": int, "CapAdd?": [str]}) == ""


def changes(value: Any) -> Iterable[Callable[[Any], Any]]:
    """Yield functions that put another value in each place of a document."""
    yield lambda new: new
    pairs: Iterable[Any] = ()
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        for change in changes(inner):
            yield lambda new, key=key, change=change: _put(value, key, change(new))


def _put(value: Any, key: Any, new: Any) -> Any:
    copy = value.copy()
    copy[key] = new
    return copy


@FEW
@given(ANY)
def test_any_table_of_registries_is_read_or_refused(value: Any) -> None:
    for table in (value, {"configs": value}, {"mirrors": value}, {"mirrors": {"r": value}},
                  {"mirrors": {"r": {"endpoint": value}}}, {"configs": {"r": value}}):  # fmt: skip
        try:
            inline(table)
        except Unknown:
            continue
