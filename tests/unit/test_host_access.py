"""Who reaches an engine: modes, owners, groups, ACLs and folders, as the kernel takes them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts import get
from hullcheck.facts.acl import acl_want
from hullcheck.facts.docker import Engines
from hullcheck.facts.docker.search import PROGRAMS
from hullcheck.facts.doors import EnginePort, EngineSocket, engine_group, engine_port, engine_socket
from hullcheck.facts.sockets import InetListener, Namespace, Owners, UnixListener
from hullcheck.facts.way import Status
from hullcheck.inventory.policy import Policy
from hullcheck.transport import session_of
from tests.unit.fake import host_with
from tests.unit.kernels import engine, verdict

PASSWD = (
    "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n"
    "alice:x:1000:1000::/home/alice:/bin/sh\nbob:x:1001:999::/home/bob:/bin/sh\n"
    "carol:x:1002:1002::/home/carol:/bin/sh\n"
)
GROUP = "root:x:0:\nwww-data:x:33:\nalice:x:1000:\nops:x:500:alice\n"
DOCKER = "docker:x:999:carol\n"
ACL = "user::rw-\nuser:1000:rw-\ngroup::rw-\nmask::rw-\nother::---\n"
PATH = "/run/docker.sock"


def here(group: str = GROUP + DOCKER, acls: dict[str, str] | None = None) -> Host:
    """A host with some accounts; only what is in ``acls`` has an ACL."""
    plain = dict.fromkeys(("/", "/run", "/srv", PATH), "user::rwx\ngroup::rwx\nother::---\n")
    answers = {acl_want(path).command: text for path, text in {**plain, **(acls or {})}.items()}
    return host_with({"getent passwd": PASSWD, "getent group": group, **answers})


def status(path: str, mode: int, uid: int = 0, gid: int = 0, links: int = 1) -> Status:
    kind = "socket" if path.endswith(".sock") else "directory"
    return Status(path, kind, mode, uid, gid, "", "", 0, 0.0, 1, 2, links)


def socket(
    host: Host, mode: int = 0o660, gid: int = 999, uid: int = 0, *, run: Status | None = None,
    path: str = PATH, engine_uid: int = 0, links: int = 1, exists: bool = True,
) -> EngineSocket:  # fmt: skip
    """A listening socket of an engine, in a folder."""
    process = SimpleNamespace(uids=(engine_uid,) * 4)
    session_of(host).recall(("provider", "processes"), lambda: {30: process})
    listener = UnixListener(path, 100, "stream", Owners({100: (30,)}))
    own = status(path, mode, uid, gid, links)
    file = SimpleNamespace(
        present=own,
        exists=exists,
        mode=mode,
        gid=gid,
        ancestors=(status("/", 0o755), run or status("/run", 0o755)),
    )
    return EngineSocket(host, listener, file if path.startswith("/") else None)  # type: ignore[arg-type]


def judged(made: EngineSocket, policy: Policy | None = None) -> str:
    found = verdict("host.engine-sockets", made.host, engine(), policy=policy, engine_socket=[made])
    return str(found.status)


class TestSockets:
    def test_the_usual(self) -> None:
        made = socket(here())
        assert made.reach.users == {"bob", "carol"}
        assert not made.reach.everybody
        assert judged(made) == "pass"

    def test_a_group_that_the_engine_was_told(self) -> None:
        """Only a group that is not the usual one needs the setting, which may not be readable."""
        made = socket(here())

        def stale(name: str) -> None:
            raise Unknown(f"{name}: the file has changed")

        told = engine(setting=lambda name: SimpleNamespace(value="ops"))
        found = verdict(
            "host.engine-sockets", made.host, engine(setting=stale), engine_socket=[made]
        )
        assert found.status == "pass"
        for there, expected in ((told, "pass"), (engine(setting=stale), "unknown")):
            ops = socket(here(), gid=500)
            found = verdict("host.engine-sockets", ops.host, there, engine_socket=[ops])
            assert found.status == expected

    def test_everybody(self) -> None:
        """Lynis tests for a regular file first and so passes every socket of mode 0666."""
        assert judged(socket(here(), 0o666)) == "fail"
        assert judged(socket(here(), 0o662)) == "fail"
        assert judged(socket(here(), 0o664)) == "pass"

    def test_a_folder_that_keeps_others_out(self) -> None:
        closed = status("/run", 0o700)
        made = socket(here(), 0o666, run=closed)
        assert made.reach.users == set()
        assert judged(made) == "pass"

    def test_a_second_name_outside_the_folder(self) -> None:
        """A hard link to the socket leads around its folder."""
        assert judged(socket(here(), 0o666, run=status("/run", 0o700), links=2)) == "fail"

    def test_a_socket_that_cannot_be_looked_at(self) -> None:
        """dockerd serves on when its socket is removed; a hard link of it may be anywhere."""
        for made in (socket(here(), exists=False), socket(here(), path="relative.sock")):
            assert made.gid is None
            with pytest.raises(Unknown):
                _ = made.reach

    def test_a_folder_that_lets_a_group_in(self) -> None:
        made = socket(here(), 0o666, run=status("/run", 0o750, gid=500))
        assert made.reach.users == {"alice"}
        assert judged(made) == "manual"
        assert judged(made, Policy(trusted_users=("alice",))) == "pass"
        assert judged(made, Policy(trusted_users=("bob",))) == "fail"

    def test_a_group_that_is_not_the_engines(self) -> None:
        made = socket(here(), gid=500)
        assert made.reach.users == {"alice"}
        assert judged(made) == "manual"

    def test_an_acl(self) -> None:
        """stat says 0660 root:docker; the list says alice too."""
        made = socket(here(acls={PATH: ACL}))
        assert made.reach.users == {"alice", "bob", "carol"}
        assert judged(made) == "manual"
        assert judged(made, Policy(trusted_users=())) == "fail"

    def test_an_acl_without_effect(self) -> None:
        masked = ACL.replace("mask::rw-", "mask::r--")
        assert socket(here(acls={PATH: masked}), 0o640).reach.users == set()

    def test_an_owner_who_is_not_the_engine(self) -> None:
        assert socket(here(), 0o600, uid=1000).reach.users == {"alice"}

    def test_a_rootless_engine_and_its_user(self) -> None:
        made = socket(here(), uid=1000, gid=1000, engine_uid=1000)
        assert made.reach.users == set()
        assert judged(made, Policy(trusted_users=())) == "pass"

    def test_an_abstract_socket_has_no_mode(self) -> None:
        assert judged(socket(here(), path="@docker")) == "fail"


class _Sockets:
    """Listeners that the kernel is said to have."""

    def __init__(self, unix: list[UnixListener], tcp: list[InetListener], owners: Owners) -> None:
        self.unix, self.tcp, self.holders = tuple(unix), tuple(tcp), owners

    def everywhere(self) -> tuple[Namespace, ...]:
        return (Namespace(0, self.unix, self.tcp, ()),)


def seeded(
    programs: str, owners: Owners, unix: dict[str, int], tcp: dict[int, int], *engines: Any
) -> Host:
    """A host with programs, and listeners by path or port with their inodes."""
    host = host_with({PROGRAMS.command: programs})
    kinds = [UnixListener(path, inode, "stream", owners) for path, inode in unix.items()]
    ports = [InetListener("tcp", "127.0.0.1", port, inode, owners) for port, inode in tcp.items()]
    files = SimpleNamespace(
        foresee=lambda paths: None,
        all=lambda paths: [
            SimpleNamespace(exists=not path.startswith("/gone"), kind="socket") for path in paths
        ],
    )
    facts = {
        "sockets": _Sockets(kinds, ports, owners),
        "engines": Engines(tuple(engines), (), (), ""),
        "files": files,
        "processes": {pid: SimpleNamespace(pid=pid) for pid in (1, 30, 31, 32)},
    }
    for name, value in facts.items():
        session_of(host).recall(("provider", name), lambda value=value: value)
    return host


EXES = (
    "'/proc/1/exe' -> '/usr/lib/systemd/systemd'\n'/proc/30/exe' -> '/usr/bin/dockerd'\n"
    "'/proc/31/exe' -> '/usr/bin/podman'\n'/proc/32/exe' -> '/usr/sbin/nginx'\n"
)


class TestFinding:
    def test_sockets(self) -> None:
        """By who holds them, or by name where systemd would start an engine; not a web server's
        socket, and not one whose file is gone or is in a container."""
        unix = {
            "/run/docker.sock": 1, "/run/podman/podman.sock": 2, "/srv/odd": 3, "/run/web.sock": 4,
            "/var/snap/lxd/common/lxd/unix.socket": 5, "/gone/docker.sock": 6, "@odd": 7,
            "/var/snap/lxd/common/lxd/devlxd/sock": 8, "@containerd-shim": 9,
        }  # fmt: skip
        owners = Owners({1: (1, 30), 2: (1,), 3: (30,), 4: (32,), 5: (1,), 7: (30,), 8: (1,)})
        found = engine_socket(seeded(EXES, owners, unix, {}))
        assert [str(each) for each in found] == [
            "/run/docker.sock",
            "/run/podman/podman.sock",
            "/srv/odd",
            "/var/snap/lxd/common/lxd/unix.socket",
            "@odd",
        ]
        for sight, seen in (("/", True), ("/proc/30/root/", False)):
            made = engine(sockets=("/gone/docker.sock",), seen=lambda path, sight=sight: sight)
            found = engine_socket(seeded(EXES, owners, unix, {}, made))
            assert ("/gone/docker.sock" in map(str, found)) == seen

    def docker(self, **values: Any) -> SimpleNamespace:
        return engine(
            pid=30,
            command_line=SimpleNamespace(last=lambda name: None),
            configuration=SimpleNamespace(values={"metrics-addr": "127.0.0.1:9323"}),
            **values,
        )

    def test_ports(self) -> None:
        """dockerd's metrics and Swarm's two ports are no API; a web server's port is none; a port
        that no process of this host holds is another host's on the same network stack."""
        tcp = {4243: 1, 2377: 2, 7946: 3, 9323: 4, 8080: 5, 2375: 5, 9000: 6, 2376: 7}
        owners = Owners({**dict.fromkeys((1, 2, 3, 4), (30,)), 5: (32,), 6: (31,)})
        found = engine_port(seeded(EXES, owners, {}, tcp, self.docker()))
        assert [(each.listener.port, each.known) for each in found] == [
            (4243, True),
            (2375, False),
            (9000, True),
        ]

    def test_ports_of_nobody_known(self) -> None:
        owners = Owners({}, "the open files of 90 processes could not be read (needs root)")
        host = seeded(EXES, owners, {}, {8080: 5})
        found = verdict("host.engine-tcp-api", host, processes={}, sockets=get(host, "sockets"))
        assert found.status == "unknown"

    @pytest.mark.parametrize(
        ("answers", "verified", "expected"),
        [(True, True, "fail"), (False, False, "fail"), (False, True, "pass")],
    )
    def test_what_a_port_answers(self, answers: bool, verified: bool, expected: str) -> None:
        """TLS that asks for no certificate keeps nobody out; and what answers, answers, whatever
        the settings say."""
        there = self.docker()
        there.answers_stranger = lambda listener: bool(get(host, "accounts").users) and answers
        there.setting = lambda name: SimpleNamespace(value=verified)
        host = here()
        listener = InetListener("tcp", "127.0.0.1", 2376, 1, Owners({1: (30,)}))
        port = EnginePort(host, listener, there, (), serving=False)
        found = verdict("host.engine-tcp-api", host, there, engine_port=[port])
        assert found.status == expected

    @pytest.mark.parametrize(
        ("line", "verified"),
        [
            (["podman", "system", "service", "tcp:127.0.0.1:9000"], False),
            (["podman", "system", "service", "--tls-client-ca=/ca.pem", "tcp:1.2.3.4:9"], True),
            (["buildkitd", "--addr", "tcp://0.0.0.0:1234", "--tlscert", "/c"], False),
            (["buildkitd", "--addr", "tcp://0.0.0.0:1234", "--tlscacert", "/ca"], True),
        ],
    )
    def test_other_engines(self, line: list[str], verified: bool) -> None:
        listener = InetListener("tcp", "0.0.0.0", 9000, 1, Owners({}))
        process = SimpleNamespace(cmdline=line)
        port = EnginePort(here(), listener, None, (process,), serving=True)  # type: ignore[arg-type]
        assert port.verified is verified


class TestGroups:
    def groups(self, host: Host, *sockets: EngineSocket) -> list[Any]:
        session_of(host).recall(("provider", "engine_socket"), lambda: list(sockets))
        return list(engine_group(host))

    def test_members(self) -> None:
        """Bob is in by his primary group, which getent group does not show."""
        host = here()
        [group] = self.groups(host, socket(host))
        assert group.members == {"bob", "carol"}

    def test_a_group_that_only_the_socket_names(self) -> None:
        """daemon.json's "group" may name any; a check of the group docker alone finds nobody."""
        host = here()
        groups = self.groups(host, socket(host, gid=500))
        assert {each.name: each.members for each in groups} == {
            "ops": {"alice"},
            "docker": {"bob", "carol"},
        }

    def test_a_rootless_engines_group_gives_no_root(self) -> None:
        host = here(GROUP)
        made = socket(host, uid=1000, gid=1000, engine_uid=1000)
        session_of(host).recall(("provider", "engine_socket"), lambda: [made])
        assert verdict("host.engine-group-members", host).status == "not-applicable"

    @pytest.mark.parametrize(
        ("trusted", "expected"),
        [(None, "manual"), (("bob", "carol", "dave"), "pass"), (("bob",), "fail"), ((), "fail")],
    )
    def test_policy(self, trusted: tuple[str, ...] | None, expected: str) -> None:
        host = here()
        self.groups(host, socket(host))
        policy = Policy(trusted_users=trusted)
        assert verdict("host.engine-group-members", host, policy=policy).status == expected

    def test_nobody(self) -> None:
        host = here(GROUP + "docker:x:998:\n")
        self.groups(host, socket(host, gid=998))
        assert verdict("host.engine-group-members", host).status == "pass"
