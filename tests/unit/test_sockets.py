"""The kernel's tables of sockets, read right, and read when someone has tampered with them."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import struct
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullcheck.control import Unknown
from hullcheck.facts.sockets import (
    EVERYWHERE,
    HOLDERS,
    MACHINE,
    OWN,
    Owners,
    Sockets,
    parse_inet,
    parse_owners,
    parse_unix,
    sockets_of,
)
from hullcheck.transport import Session, host_of
from hullcheck.transport.batch import Batch
from hullcheck.transport.local import LocalShell
from tests.unit.fake import host_with

UNIX_HEADER = "Num       RefCount Protocol Flags    Type St Inode Path"
TCP_HEADER = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  inode"
)


def unix(path: str, inode: int, flags: str = "00010000", kind: str = "0001") -> str:
    return f"0000000000000000: 00000002 00000000 {flags} {kind} 01 {inode:>5} {path}"


def tcp(local: str, inode: int, state: str = "0A") -> str:
    remote = "0" * len(local.partition(":")[0]) + ":0000"
    return (
        f"   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000     0        0"
        f" {inode} 1 0000000000000000 100 0 0 10 0"
    )


def table(name: str, header: str, *rows: str, pid: str = "self") -> str:
    lines = (line for row in (header, *rows) for line in row.split("\n"))
    return "".join(f"/proc/{pid}/net/{name}:{line}\n" for line in lines)


def host(own: str, holders: str = "1 seen\n", machine: str = "x86_64\n", everywhere: str = ""):
    return host_with(
        {
            OWN.command: (2, own, "grep: /proc/self/net/udp6: No such file or directory\n"),
            HOLDERS.command: holders,
            MACHINE.command: machine,
            EVERYWHERE.command: everywhere,
        }
    )


OWN_TABLES = (
    table("unix", UNIX_HEADER, unix("/run/docker.sock", 100), unix("@/containerd-shim", 101))
    + table("tcp", TCP_HEADER, tcp("0100007F:0947", 200), tcp("0100007F:9999", 201, "01"))
    + table("tcp6", TCP_HEADER, tcp("0" * 32 + ":0948", 202))
    + table("udp", TCP_HEADER, tcp("00000000:12B5", 203, "07"))
)


CARRIER = "carries a forged row"
OURS = table("unix", UNIX_HEADER) + table("tcp", TCP_HEADER)


class TestUnix:
    def test_only_what_accepts_connections(self) -> None:
        """A connected socket carries the listener's path too; netstat-greps count it again."""
        rows = [
            unix("/run/docker.sock", 1),
            unix("/run/docker.sock", 2, flags="00000000"),
            unix("/run/dgram", 3, flags="00000000", kind="0002"),
        ]
        assert parse_unix(rows) == [("/run/docker.sock", 1, "stream")]

    def test_paths_are_kept_exactly(self) -> None:
        paths = ["/run/two  spaces ", "/run/\udcff\x85\x0b", "@abstract@name@", "relative.sock"]
        rows = [unix(path, number) for number, path in enumerate(paths)]
        assert [path for path, _, _ in parse_unix(rows)] == paths

    def test_a_newline_belongs_to_the_path(self) -> None:
        rows = f"{unix('/run/a', 1)}\nb\n\n{unix('/run/c', 2)}".split("\n")
        assert [path for path, _, _ in parse_unix(rows)] == ["/run/a\nb\n", "/run/c"]

    def test_a_path_cannot_pose_as_the_engine(self) -> None:
        """A socket bound to a path with a line of this very format in it, claiming the inode of
        the real docker.sock, would send an auditor to the attacker's own daemon."""
        forged = unix("/tmp/evil.sock", 100)
        carrier = unix("/tmp/x", 7)
        rows = f"{unix('', 5)}\n{unix('/run/docker.sock', 100)}\n{carrier}\n{forged}".split("\n")
        assert ("/tmp/evil.sock", 100, "stream") not in parse_unix(rows)
        assert ("/run/docker.sock", 100, "stream") in parse_unix(rows)

    def test_a_forgery_cannot_hide_what_is_real(self) -> None:
        forged = unix("/tmp/evil", 100)
        rows = f"{unix('/tmp/x', 7)}\n{forged}\n{unix('/run/docker.sock', 100)}".split("\n")
        assert ("/run/docker.sock", 100, "stream") in parse_unix(rows)

    @given(st.lists(st.text(st.characters(codec="utf-8"), max_size=200)))
    def test_any_text_can_be_read(self, lines: list[str]) -> None:
        parse_unix([part for line in lines for part in line.split("\n")])

    @given(st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=1, max_size=26))
    def test_any_path_comes_back(self, path: str) -> None:
        assert parse_unix([UNIX_HEADER, unix(path, 9)]) == [(path, 9, "stream")]


class TestInet:
    @pytest.mark.parametrize(
        ("local", "expected"),
        [
            ("0100007F:0947", ("127.0.0.1", 2375)),
            ("00000000:0948", ("0.0.0.0", 2376)),
            ("0" * 32 + ":0016", ("::", 22)),
            ("00000000000000000000000001000000:0050", ("::1", 80)),
            ("0000000000000000FFFF00000100007F:0050", ("127.0.0.1", 80)),
            ("B80D0120000000000000000001000000:0050", ("2001:db8::1", 80)),
        ],
    )
    def test_addresses(self, local: str, expected: tuple[str, int]) -> None:
        assert parse_inet([TCP_HEADER, tcp(local, 1)]) == [(*expected, 1)]

    def test_a_big_endian_host(self) -> None:
        """On s390x the same words come the other way round; 127.0.0.1 is not 1.0.0.127."""
        assert parse_inet([tcp("7F000001:0947", 1)], ">") == [("127.0.0.1", 2375, 1)]

    def test_connections_do_not_listen(self) -> None:
        assert parse_inet([tcp("0100007F:0947", 1, "01")]) == []

    def test_nonsense_is_no_empty_list(self) -> None:
        with pytest.raises(Unknown):
            parse_inet(["   0: 0100007F 00000000:0000 0A"])

    @given(st.ip_addresses(), st.integers(0, 65535))
    def test_any_address_comes_back(self, address, port: int) -> None:
        words = struct.unpack(f"<{len(address.packed) // 4}I", address.packed)
        local = "".join(f"{word:08X}" for word in words) + f":{port:04X}"
        [(found, found_port, _)] = parse_inet([tcp(local, 1)])
        mapped = getattr(address, "ipv4_mapped", None)
        assert ipaddress.ip_address(found) == (mapped or address)
        assert found_port == port


class TestOwners:
    def test_several_hold_one(self) -> None:
        """systemd keeps a socket-activated docker.sock open beside the daemon."""
        owners = parse_owners("1 100\n1 seen\n30 100\n31 seen\n")
        assert owners.of(100) == (1, 30)
        assert owners.of(999) == ()

    def test_denied_is_not_absent(self) -> None:
        owners = parse_owners("1 denied\n30 100\n30 seen\n")
        assert owners.of(100) == (30,)
        with pytest.raises(Unknown, match="1 processes"):
            owners.of(999)

    @pytest.mark.parametrize(
        ("links", "hidden"), [("30 mute\n30 gone\n", False), ("30 mute\n31 gone\n", True)]
    )
    def test_closed_meanwhile_is_not_denied(self, links: str, hidden: bool) -> None:
        """busybox's ls lists a link first and reads it later; it may be gone by then."""
        assert bool(parse_owners(f"1 seen\n{links}").hidden) is hidden

    def test_what_busybox_says_of_a_link(self) -> None:
        """As it came while processes ended: of 31 a link is gone, 32 may not be looked at."""
        said = (
            "lrwx------    1 0        0              64 Nov 28 04:30 /proc/1/fd/3 -> socket:[100]\n"
            "lr-x------    1 0        0               64 Nov 28 04:30 /proc/31/fd/0\n"
            "ls: /proc/31/fd/0: cannot read link: No such file or directory\n"
            "find: /proc/33/fd: No such file or directory\n"
        )
        denied = (
            "l---------    1 0        0               64 Nov 28 04:30 /proc/32/fd/0\n"
            "ls: /proc/32/fd/0: cannot read link: Permission denied\n"
        )
        assert not self.swept(said).hidden
        assert self.swept(said).of(100) == (1,)
        assert "1 processes" in self.swept(said + denied).hidden

    @staticmethod
    def swept(said: str) -> Owners:
        """Let the sweep's sed read what ls said."""
        pipe = HOLDERS.command.partition(" | ")[2]
        done = subprocess.run(
            ["/bin/sh", "-c", pipe], input=said, capture_output=True, text=True, check=True
        )
        return parse_owners(done.stdout)

    @pytest.mark.parametrize("text", ["", "500 seen\n"])
    def test_hidepid_is_not_absent(self, text: str) -> None:
        """With hidepid=2 a plain user sees no process but his own, and no error."""
        with pytest.raises(Unknown):
            parse_owners(text).of(999)

    @given(st.text())
    def test_any_text_can_be_read(self, text: str) -> None:
        parse_owners(text)


class TestSockets:
    def test_all_at_once(self) -> None:
        found = Sockets(host(OWN_TABLES, "1 100\n1 seen\n30 100\n30 200\n30 202\n40 203\n"))
        assert [(str(each), each.owners) for each in (*found.unix, *found.tcp, *found.udp)] == [
            ("unix:///run/docker.sock", (1, 30)),
            ("unix://@/containerd-shim", ()),
            ("tcp://127.0.0.1:2375", (30,)),
            ("tcp://[::]:2376", (30,)),
            ("udp://0.0.0.0:4789", (40,)),
        ]
        assert [each.any for each in found.tcp] == [False, True]
        assert [each.loopback for each in found.tcp] == [True, False]
        assert [each.abstract for each in found.unix] == [False, True]

    def test_a_forged_table_stays_in_its_own(self) -> None:
        """A path with a newline and a row of /proc/net/tcp makes no TCP listener."""
        forged = "/tmp/x\n/proc/self/net/tcp:" + tcp("00000000:0947", 5)
        own = OWN_TABLES + table("unix", UNIX_HEADER, unix(forged, 9))
        assert len(Sockets(host(own)).tcp) == 2

    def test_no_proc_is_unknown(self) -> None:
        with pytest.raises(Unknown):
            _ = Sockets(host("")).unix

    def test_a_rootless_engine_listens_elsewhere(self) -> None:
        """/proc/net/unix is per network namespace: a daemon behind rootlesskit is not in ours."""
        rows = table("unix", UNIX_HEADER, unix("/run/user/1000/docker.sock", 300), pid="50")
        sweep = f"ns 11 self\nns 11 1\nns 22 50\n{OURS}{rows}{table('tcp', TCP_HEADER, pid='50')}"
        there = host(OWN_TABLES, "1 seen\n50 300\n", everywhere=sweep)
        [listener] = sockets_of(there, 50).unix
        assert (listener.path, listener.owners) == ("/run/user/1000/docker.sock", (50,))
        assert [each.pid for each in Sockets(there).everywhere()] == [0, 50]
        with pytest.raises(Unknown):
            sockets_of(there, 51)

    @pytest.mark.parametrize(
        "sweep",
        [
            f"ns 11 self\nns denied 70\n{OURS}",
            f"ns 11 self\nns 22 70\nns 22 71\n{OURS}",
        ],
    )
    def test_a_namespace_that_was_not_read_is_unknown(self, sweep: str) -> None:
        with pytest.raises(Unknown, match="1 network namespaces"):
            Sockets(host(OWN_TABLES, everywhere=sweep)).everywhere()

    def test_a_process_that_ended_took_its_namespace_along(self) -> None:
        sweep = f"ns 11 self\nns 22 70\n{OURS}"
        assert len(Sockets(host(OWN_TABLES, everywhere=sweep)).everywhere()) == 1


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("s")
    with contextlib.ExitStack() as stack, contextlib.chdir(folder):
        paths = ["a b", "new\nline", "\udcff\x85", f"{CARRIER}\n{unix('x', 1)}",
                     f"\0abs{os.getpid()}"]  # fmt: skip
        for path in paths:
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(os.fsencode(path))
            listener.listen()
        ports = {}
        for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = stack.enter_context(socket.socket(family))
            with contextlib.suppress(OSError):
                listener.bind((address, 0))
                listener.listen()
                ports[address.removeprefix("::ffff:"), listener.getsockname()[1]] = address
        yield Sockets(host_of(Session(Batch(LocalShell())), "here", "local")), paths, ports


@pytest.mark.skipif(sys.platform != "linux", reason="needs the kernel's tables")
class TestThisKernel:
    """Real sockets of this very process, in the tables of the kernel that runs the tests."""

    def test_unix(self, found) -> None:
        there, paths, _ = found
        owners = there.holders.by_inode
        mine = {each.path for each in there.unix if os.getpid() in owners.get(each.inode, ())}
        assert {path.replace("\0", "@") for path in paths if CARRIER not in path} <= mine
        assert CARRIER in mine

    def test_inet(self, found) -> None:
        there, _, ports = found
        mine = {
            (each.address, each.port)
            for each in there.tcp
            if os.getpid() in there.holders.by_inode.get(each.inode, ())
        }
        assert ports
        assert set(ports) <= mine

    def test_namespace(self, found) -> None:
        there, _, ports = found
        assert set(ports) <= {(each.address, each.port) for each in there.of(os.getpid()).tcp}
