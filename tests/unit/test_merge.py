"""Merged wants give, byte for byte, what each command gives alone: on this machine, for real."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from hullcheck.transport import Evidence, Session, Want, read, want
from hullcheck.transport.batch import Batch
from hullcheck.transport.local import LocalShell
from hullcheck.transport.merge import jobs, single

COMMANDS = [
    "stat -c '%a %u %g %s %F' -- %s",
    "stat -L -c '%a %n' -- %s",
    "head -c 1048577 -- %s",
    "cat -- %s",
    "cat %s",
    "getfacl -cpn -- %s",
    "readlink -f -- %s",
    "readlink -nv %s",
    "readlink -n %s",
]


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """Files of every kind, among them some that try to be taken for marks."""
    (tmp_path / "empty").touch()
    (tmp_path / "plain").write_text("text\n")
    (tmp_path / "unended").write_bytes(b"no newline")
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "forged").write_bytes(b"\n" + b"0" * 32 + b">0 0\nhc_file=" + b"0" * 32 + b"\0")
    (tmp_path / "acl").write_text("# file: /etc/passwd\n# owner: 0\n")
    (tmp_path / "with space").write_text("x")
    (tmp_path / "with\nnewline").write_text("x")
    (tmp_path / "it's").write_text("x")
    (tmp_path / "dir").mkdir()
    (tmp_path / "link").symlink_to("plain")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "strange").symlink_to("a\nb")
    own = [str(each) for each in sorted(tmp_path.iterdir())]
    return [
        *own,
        f"{tmp_path}/missing",
        f"{tmp_path}/plain/below",
        "/",
        "/dev/null",
        "/proc/version",
    ]


def alone(command: str) -> tuple[int, bytes, bytes]:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    done = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, env=environment, cwd="/", check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_merged_is_what_each_gives_alone(paths: list[str]) -> None:
    wants = [
        Want(command.removesuffix("%s") + shlex.quote(path), frozenset({0, 1}))
        for command in COMMANDS
        for path in paths
    ]
    session = Session(Batch(LocalShell()))
    answers = session.ask(*wants)
    session.close()
    for asked, answer in zip(wants, answers, strict=True):
        found = answer.evidence
        assert (found.exit, found.stdout, found.stderr) == alone(asked.command), asked.command
        assert not found.trouble


def test_many_wants_are_few_processes() -> None:
    wants = [read(f"/etc/{number}") for number in range(150)]
    wants += [want("stat -c %%a -- %s", f"/etc/{number}", meaning=(0, 1)) for number in range(150)]
    assert len(jobs(wants)) == 4


def test_what_cannot_be_told_apart_is_asked_again(tmp_path: Path) -> None:
    job = jobs([read("/etc/a"), read("/etc/b")])[0]

    def given(stdout: bytes, stderr: bytes = b"", code: int = 0) -> object:
        return job.split(Evidence(job.command, code, stdout, stderr))

    mark = job.command.split()[0].encode() + b"\0"
    assert given(mark + b"a" + mark + b"b" + mark)
    assert given(mark + b"a" + mark + b"b") is None, "cut short"
    assert given(b"a" + mark + b"b" + mark) is None
    assert given(mark + b"a" + mark + b"b" + mark, b"head: something else") is None
    assert given(mark + b"a" + mark + b"b" + mark, code=137) is None
    assert job.split(Evidence(job.command, 0, b"", b"", trouble="timed out after 20 s")) is None


def test_an_unmergeable_batch_is_answered_all_the_same(tmp_path: Path) -> None:
    """One file that is too big for the sweep does not cost its neighbours their answers."""
    (tmp_path / "big").write_bytes(b"x" * 9_000_000)
    (tmp_path / "small").write_text("small")
    wants = [want("cat %s", f"{tmp_path}/{name}") for name in ("big", "small")]
    session = Session(Batch(LocalShell()))
    big, small = session.ask(*wants)
    session.close()
    assert "gave more than" in big.trouble
    assert small.text == "small"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("stat -c '%N' /proc/[0-9]/exe", True),
        ("grep -H '' -- /etc/host* /nowhere/*", True),
        (r"find /etc -maxdepth 1 ! -type l \( -name 'host*' -o -name x \)", True),
        ("awk '/^root:/ { print $1 \"; exit\" }' /etc/passwd", True),
        ("id -u", True),
        ("dpkg-query -W -f '${Package}\\n' no-such-package", True),
        ("cat /etc/hosts; exit", False),
        ("cat /etc/hosts | cat", False),
        ("cat $HOME", False),
        ("cat `id`", False),
        ("cat 'a", False),
        ("cat a\\", False),
        ("cat a\ncat b", False),
        ("cd /etc", False),
        ("awk '{ print }' >/nowhere/x", False),
        ("find / (", False),
    ],
)
def test_one_program_needs_no_subshell(command: str, expected: bool) -> None:
    """What is more than one program is kept apart from the script; what is not gives the same."""
    assert single(Want(command)).alone is expected
    if expected:
        session = Session(Batch(LocalShell()))
        [found] = session.ask(Want(command, frozenset(range(128))))
        session.close()
        answered = (found.exit, found.evidence.stdout, found.evidence.stderr)
        assert answered == alone(command)
