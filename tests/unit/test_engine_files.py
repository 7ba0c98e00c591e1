"""Which files an engine rests on, and what is asked of each of them."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from testinfra.host import Host

from checks.engine.ownership import expect_mode, expect_owner
from hullcheck import facts
from hullcheck.control import Expectation, NotApplicable, Unknown, expectations
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.docker.command_line import Flags, parse_flags
from hullcheck.facts.engine_files import EngineFile
from hullcheck.facts.registry import PROVIDERS, Provider
from hullcheck.facts.way import FORMAT
from tests.unit.fake import host_with
from tests.unit.here import host_here

ME, MY_GROUP = os.getuid(), os.getgid()
ROOT = frozenset({0})


@dataclass
class Engine:
    """What the facts of files ask of a DockerEngine."""

    host: Host
    flags: Sequence[str] = ()
    values: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    rootless: bool = False
    config_file: str = "/etc/docker/daemon.json"
    sockets: tuple[str, ...] = ()
    unit: str | None = None
    unit_files: list[str] = field(default_factory=list)
    socket_unit_files: list[str] = field(default_factory=list)
    service: Any = None
    pid: int = 100
    uids: tuple[int, ...] = (ME, ME, ME, ME)
    gids: tuple[int, ...] = (MY_GROUP, MY_GROUP, MY_GROUP, MY_GROUP)

    @property
    def command_line(self) -> Flags:
        return parse_flags(["dockerd", *self.flags])

    @property
    def configuration(self) -> Engine:
        return self

    @property
    def process(self) -> Engine:
        return self

    def seen(self, path: str) -> str:
        return path

    def placed(self, path: str) -> str:
        return posixpath.join("/srv", path)


@pytest.fixture
def paths(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function: the name of a fact, some engines -> the paths of its things."""

    def find(name: str, *engines: Engine, things: bool = False) -> Any:
        found = Provider("docker", lambda _: list(engines), each=True)
        monkeypatch.setitem(PROVIDERS, "docker", found)
        each = facts.get(engines[0].host, name)
        return each if things else [one.path for one in each]

    return find


def sound(each: EngineFile, mask: int | None = None) -> list[Expectation]:
    """Return what does not hold of a file."""
    with expectations() as stated:
        if mask is None:
            expect_owner(each, facts.get(each.host, "accounts"))
        else:
            expect_mode(each, mask)
    return [one for one in stated if not one.holds]


def test_api_sockets_are_told_from_internal_ones(paths: Any) -> None:
    run = "/var/run/docker"
    sockets = ("/run/docker.sock", f"{run}/metrics.sock", f"{run}/libnetwork/0f.sock", "/srv/x")
    assert paths("api_socket", Engine(host_here(), sockets=sockets)) == [
        "/run/docker.sock",
        "/srv/x",
    ]
    told = Engine(host_here(), [f"-Hunix://{run}/metrics.sock"], sockets=sockets)
    assert f"{run}/metrics.sock" in paths("api_socket", told)
    elsewhere = Engine(host_here(), ["--exec-root=/run/x"], sockets=sockets)
    assert f"{run}/metrics.sock" in paths("api_socket", elsewhere)


def test_the_group_of_a_socket_is_the_one_that_was_configured(paths: Any, tmp_path: Path) -> None:
    def groups(*flags: str, units: Sequence[str] = (), **values: Any) -> set[int]:
        answers = {
            "getent passwd": "root:x:0:0::/:/bin/sh\n",
            "getent group": "docker:x:998:\nops:x:50:\nweb:x:51:\n",
        }
        real = {}
        for number, text in enumerate(units):
            (tmp_path / str(number)).write_text(text)
            real[str(tmp_path / str(number))] = text
        host = host_here() if units else host_with({**answers, "getent group 77": (2, "")})
        engine = Engine(host, flags, values, sockets=("/s",), socket_unit_files=list(real))
        (each,) = paths("api_socket", engine, things=True)
        return set(each.groups)

    assert groups() == {0, 998}
    assert groups("--group=ops") == {0, 50}
    assert groups("-G", "77") == {0, 77}
    assert groups(group="web") == {0, 51}
    daemon = facts.get(host_here(), "accounts").group("daemon").gid
    unit = ["[Socket]\nSocketGroup=nogroup\n", "[Socket]\nSocketGroup = daemon\n"]
    assert groups("-H", "fd://", units=unit) == {0, daemon}
    assert groups("-H", "fd://", units=[*unit, "[Socket]\nSocketGroup=\n"]) == {0}


def test_a_rootless_engine_counts_groups_in_its_own_way(paths: Any) -> None:
    """The docker group as a rootless engine sees it is one of its user's subordinate ids."""
    host = host_with({
        "getent passwd": "root:x:0:0::/:/bin/sh\n", "getent group": "docker:x:105:\n",
        "cat /proc/100/gid_map": " 0   1001     1\n 1 100000 65536\n",
    })  # fmt: skip
    (each,) = paths("api_socket", Engine(host, rootless=True, sockets=("/s",)), things=True)
    assert each.groups == {0, MY_GROUP, 100104}


def test_tls_files_are_those_in_use(paths: Any) -> None:
    host = host_here
    named = Engine(host(), ["--tlskey", "/srv/key.pem"], {"tlscert": "/srv/cert.pem"})
    assert paths("tls_key", named) == ["/srv/key.pem"]
    assert paths("tls_certificate", Engine(host(), [], named.values)) == ["/srv/cert.pem"]
    both = Engine(host(), ["--tlskey=/a"], {"tlskey": "/b"})
    assert paths("tls_key", both) == ["/a", "/b"]
    for on in (
        Engine(host(), ["--tlsverify"]),
        Engine(host(), [], {"tls": True}),
        Engine(host(), [], {}, {"DOCKER_TLS_VERIFY": "1"}),
    ):
        assert paths("tls_ca", on) == ["/root/.docker/ca.pem"]
    placed = Engine(host(), ["--tls"], {}, {"DOCKER_CERT_PATH": "/srv/tls"})
    assert paths("tls_key", placed) == ["/srv/tls/key.pem"]
    for off in (Engine(host()), Engine(host(), ["--tlsverify=false"], {"tls": False})):
        with pytest.raises(NotApplicable):
            paths("tls_key", off)


@pytest.mark.parametrize(
    "path", ["/srv/key.pem", "/a--b/--tlskey.pem", "/a b/key.pem", "/k=e=y.pem", "secret/key.pem"]
)
def test_a_file_of_any_name_is_the_one_in_use(paths: Any, path: str) -> None:
    """Weakness 34: a name that begins with s, or with two dashes in it, came out as another."""
    for flags in (["--tlskey", path], [f"--tlskey={path}"], ["-D", f"--tlskey={path}", "-l=info"]):
        assert paths("tls_key", Engine(host_here(), flags)) == [posixpath.join("/srv", path)]


def test_certificates_and_keys_of_every_registry_are_judged(paths: Any, tmp_path: Path) -> None:
    """Weakness 33: only a .crt counted, only its owner, and a folder of none passed."""
    folder = tmp_path / "docker/certs.d/reg.example:5000"
    folder.mkdir(parents=True)
    made = {"rootless": True, "environment": {"XDG_CONFIG_HOME": str(tmp_path)}}
    with pytest.raises(NotApplicable, match="no certificates"):
        paths("registry_certificate", Engine(host_here(), **made))
    for name in ("ca.crt", "my client.cert", "my client.key", "README"):
        (folder / name).write_text("")
        (folder / name).chmod(0o644)
    found = paths("registry_certificate", Engine(host_here(), **made), things=True)
    names = [each.path.rpartition("/")[2] for each in found]
    assert sorted(names) == ["ca.crt", "my client.cert", "my client.key"]
    assert [len(sound(each, 0o444)) for each in found] == [1, 1, 1]


def test_the_configuration_in_use_and_the_default_one(paths: Any) -> None:
    engine = Engine(host_here(), config_file="/srv/docker/my.json")
    assert paths("config_file", engine) == ["/srv/docker/my.json", "/etc/docker/daemon.json"]
    assert paths("config_directory", engine) == ["/etc/docker", "/srv/docker"]
    assert paths("config_file", Engine(host_here())) == ["/etc/docker/daemon.json"]


def test_a_rootless_engine_has_files_of_its_own(paths: Any, tmp_path: Path) -> None:
    config = tmp_path / "config"
    drop_in = config / "systemd/user/docker.service.d/x.conf"
    certificate = config / "docker/certs.d/r:5000/a b.crt"
    unit = config / "systemd/user/docker.service"
    for path in (drop_in, certificate, unit):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        path.chmod(0o444)

    def engine() -> Engine:
        return Engine(
            host_here(),
            rootless=True,
            environment={"XDG_CONFIG_HOME": str(config), "XDG_RUNTIME_DIR": str(tmp_path)},
            config_file=f"{config}/docker/daemon.json",
            unit="docker.service",
        )

    assert paths("unit_file", engine()) == [
        str(unit), str(drop_in), f"{config}/systemd/user", str(drop_in.parent),
    ]  # fmt: skip
    assert paths("registry_certificate", engine()) == [str(certificate)]
    assert paths("config_file", engine()) == [f"{config}/docker/daemon.json"]
    assert paths("config_directory", engine()) == [f"{config}/docker"]
    (each,) = paths("registry_certificate", engine(), things=True)
    assert (each.users, each.groups) == ({0, ME}, {0, MY_GROUP})
    assert sound(each) == []
    assert sound(each, 0o444) == []
    managed = tmp_path / "docker/containerd/containerd.sock"
    assert paths("containerd_socket", engine()) == ["/run/containerd/containerd.sock"]
    managed.parent.mkdir(parents=True)
    managed.write_text("")
    assert paths("containerd_socket", engine()) == [str(managed)]


def test_what_a_rootless_and_a_rootful_engine_share_must_be_roots(paths: Any) -> None:
    host = host_here()
    mine = Engine(host, rootless=True, config_file="/srv/d.json", uids=(1000,) * 4)
    both = [
        paths("config_file", *order, things=True) for order in _orders(mine, Engine(host_here()))
    ]
    for found in both:
        shared = {each.path: each.users for each in found}
        assert shared["/etc/docker/daemon.json"] == ROOT
        assert shared["/srv/d.json"] == {0, 1000}


def _orders(first: Engine, second: Engine) -> list[tuple[Engine, Engine]]:
    second.config_file = "/etc/docker/daemon.json"
    fresh = Engine(host_here(), rootless=True, config_file=first.config_file, uids=first.uids)
    return [(first, second), (Engine(host_here()), fresh)]


def test_containerd_is_named_managed_or_the_systems(
    paths: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass
    class Listener:
        path: str
        owners: tuple[int, ...]

    @dataclass
    class Parent:
        ppid: int

    own = "/var/run/docker/containerd/containerd.sock"

    def found(listener: Listener, ppid: int, *flags: str, **values: Any) -> list[str]:
        sockets = type("S", (), {"unix": [listener]})()
        for name, fact in {"sockets": sockets, "processes": {7: Parent(ppid)}}.items():
            given = Provider(name, lambda _, fact=fact: fact, each=False)
            monkeypatch.setitem(PROVIDERS, name, given)
        result: list[str] = paths("containerd_socket", Engine(host_here(), flags, values))
        return result

    assert found(Listener(own, (7,)), 100) == [own]
    # Another engine's containerd, in another mount namespace, at the same path.
    assert found(Listener(own, (7,)), 999) == ["/run/containerd/containerd.sock"]
    assert found(Listener("/x", (7,)), 100) == ["/run/containerd/containerd.sock"]
    assert found(Listener(own, (7,)), 100, "--containerd=/srv/c.sock") == ["/srv/c.sock"]
    assert found(Listener(own, (7,)), 100, containerd="unix:///srv/d.sock") == ["/srv/d.sock"]


def test_where_a_stronger_unit_could_be_put_counts(paths: Any) -> None:
    engine = Engine(host_here(), unit_files=["/lib/systemd/system/docker.service"])
    found = paths("unit_file", engine, things=True)
    assert [each.path for each in found][:2] == [engine.unit_files[0], "/etc/systemd/system"]
    assert sound(found[1], 0o644) == []


def test_environment_files_of_a_unit_count(paths: Any) -> None:
    listed = "/opt/docker.env (ignore_errors=yes)"
    service = type("Unit", (), {"properties": {"EnvironmentFiles": listed}})()
    engine = Engine(host_here(), service=service)
    assert paths("default_file", engine) == ["/etc/default/docker", "/opt/docker.env"]
    assert paths("sysconfig_file", Engine(host_here())) == ["/etc/sysconfig/docker"]


def test_no_unit_is_not_applicable(paths: Any) -> None:
    for name in ("unit_file", "socket_unit_file", "api_socket"):
        with pytest.raises(NotApplicable):
            paths(name, Engine(host_here()))


@given(mode=st.integers(0, 0o7777), mask=st.sampled_from([0o400, 0o444, 0o644, 0o660, 0o755]))
def test_a_mode_is_a_set_of_bits(mode: int, mask: int) -> None:
    raw = f"{0o100000 | mode:x}"
    holds = not sound(fake(raw=raw), mask)
    assert holds == all(mask >> n & 1 for n in range(12) if mode >> n & 1)


def fake(
    raw: str = "81a4", who: str = "0 0", names: str = "root:root", acl: str | None = None
) -> EngineFile:
    """A file /d/x with this status in a directory of root's."""
    directory = "41ed 0 0 5 1700000000 64 1 1 root:root\n"
    lstat = f"stat -c '{FORMAT}' -- "
    host = host_with(
        {
            f"{lstat}/": directory,
            f"{lstat}/d": directory,
            f"{lstat}/d/x": f"{raw} {who} 5 1700000000 64 1 1 {names}\n",
            "getfacl -cpn -- /d/x": acl or "user::rw-\ngroup::r--\nother::---\n",
            "getent passwd": "root:x:0:0::/:/bin/sh\nann:x:1000:1000::/:/bin/sh\n",
            "getent group": "root:x:0:\nann:x:1000:\n",
            "getent group 5": (2, ""),
        }
    )
    return EngineFile(host, "/d/x", "/d/x", ROOT, ROOT)


@pytest.mark.parametrize(
    ("who", "names", "wrong"),
    [
        ("0 0", "root:root", []),
        ("0 0", "toor:wheel", []),
        ("1000 0", "root:root", ["owner of /d/x"]),
        ("0 1000", "root:ann", ["group of /d/x"]),
        ("0 5", "root:UNKNOWN", ["group of /d/x"]),
        ("1000 1000", "ann:ann", ["owner of /d/x", "group of /d/x"]),
    ],
)
def test_owners_are_numbers(who: str, names: str, wrong: list[str]) -> None:
    assert [each.what for each in sound(fake(who=who, names=names))] == wrong


def test_an_acl_that_the_mode_hides_is_told() -> None:
    acl = "user::rw-\nuser:1000:rw-\ngroup::rw-\nmask::rw-\nother::---\n"
    (wrong,) = sound(fake(raw="81b0", acl=acl), 0o660)
    assert wrong.observed == ["the ACL gives user 1000 rw-"]
    assert sound(fake(raw="81b0", acl=acl.replace("user:1000:rw-", "user:0:rw-")), 0o660) == []


def test_a_masked_unit_has_no_mode(tmp_path: Path) -> None:
    (tmp_path / "docker.service").symlink_to("/dev/null")
    path = f"{tmp_path}/docker.service"
    each = EngineFile(host_here(), path, path, ROOT, ROOT)
    with pytest.raises(NotApplicable, match="masked"):
        expect_mode(each, 0o644)


def test_what_cannot_be_seen_is_unknown() -> None:
    denied = (1, "", "stat: cannot statx '/d': Permission denied")
    lstat = f"stat -c '{FORMAT}' -- "
    host = host_with(
        {
            f"{lstat}/": "41ed 0 0 5 1700000000 64 1 1 root:root\n",
            f"{lstat}/d": denied,
            f"{lstat}/d/x": denied,
            "getfacl -cpn -- /d/x": denied,
        }
    )
    each = EngineFile(host, "/d/x", "/d/x", ROOT, ROOT)
    accounts: Accounts = facts.get(host, "accounts")
    with pytest.raises(Unknown, match="permission denied in /;"):
        expect_owner(each, accounts)
