"""Environments and open files of containers' processes, as swept from /proc."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.runtime.test_behaviour import test_foreign_descriptors as foreign_descriptors
from checks.runtime.test_behaviour import test_secrets_in_environment as secrets_in_environment
from hullcheck.control import Unknown
from hullcheck.facts.descriptors import Descriptor, descriptors_want, parse_descriptors
from hullcheck.facts.environment import Variable, environ_want, parse_environ
from hullcheck.inventory.policy import Policy
from tests.unit.container_fake import HOST_MOUNTS, OWN_MOUNTS, running, status, stopped

SECRETS, FOREIGN = secrets_in_environment, foreign_descriptors
PIDS = [100]
MARK = "2382349d-e792-4a12-a6b7-35f3ae14485b"


def environ(*lines, pid=100):
    return "\n".join([MARK, f"{MARK} {pid}", *lines, f"{MARK} end", ""])


def with_environ(text, **parts):
    return running(answers={environ_want(PIDS).command: text}, **parts)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("DB_PASSWORD set", "fail"), ("API_KEY set", "fail"), ("GITHUB_TOKEN set", "fail"),
        ("AWS_SECRET_ACCESS_KEY set", "fail"), ("SSH_PRIVATE_KEY set", "fail"),
        ("spring.datasource.password set", "fail"), ("jwtSecret set", "fail"),
        ("DATABASE_URL url", "fail"), ("DB_PASSWORD empty", "pass"), ("DB_PASSWORD path", "pass"),
        ("DB_PASSWORD reference", "pass"), ("ALLOW_EMPTY_PASSWORD flag", "pass"),
        ("DB_PASSWORD_FILE set", "pass"), ("GPG_KEY set", "pass"),
        ("AWS_ACCESS_KEY_ID set", "pass"),
        ("SSH_AUTH_SOCK set", "pass"), ("PWD set", "pass"), ("KEYCLOAK_URL set", "pass"),
        ("AUTH_TOKEN_SERVICE_HOST set", "pass"), ("AUTH_TOKEN_PORT set", "pass"),
        ("POSTGRES_HOST_AUTH_METHOD set", "pass"),
    ],
)  # fmt: skip
def test_a_variable_that_holds_a_secret(line, expected):
    assert status(SECRETS, with_environ(environ(line))) == expected


def test_the_site_knows_which_variables_are_plain():
    host = with_environ(environ("PUBLIC_API_KEY set"))
    assert status(SECRETS, host, policy=Policy(plain_variables=("PUBLIC_API_KEY",))) == "pass"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("DB_PASSWORD=[redacted:7:0123456789ab]", "fail"), ("DB_PASSWORD=", "pass"),
        ("DB_PASSWORD=/run/secrets/db", "pass"), ("DB_PASSWORD_FILE=/run/secrets/db", "pass"),
        ("RANDOM_PASSWORD=yes", "pass"), ("PATH=/bin", "pass"), ("DB_PASSWORD", "pass"),
        ("URL=postgres://app:[redacted:7:0123456789ab]@db/app", "fail"),
        ("PASSWORD=${DB_PASSWORD}", "pass"), ("GPG_KEY=A035C8C19219BA821", "pass"),
    ],
)  # fmt: skip
def test_a_stopped_container_is_judged_by_its_description(entry, expected):
    assert status(SECRETS, stopped(Config={"Env": [entry]})) == expected


def test_an_environment_that_may_not_be_read_is_unknown():
    denied = f"{MARK}\n{MARK} 100\n{MARK} 100 denied\n{MARK} end\n"
    cut = environ("A set").removesuffix(f"{MARK} end\n")
    other = environ("A set", pid=7)
    for text in (denied, "", f"{MARK}\n{MARK} end\n", cut, environ("garbage!"), other):
        assert status(SECRETS, with_environ(text)) == "unknown", text
    assert status(SECRETS, with_environ(environ())) == "pass"


@given(st.binary(max_size=300))
def test_damaged_variables_are_unknown_and_nothing_else(damage):
    text = damage.decode("utf-8", "surrogateescape")
    for lines in (text.split("\n"), [MARK, *text.split("\n"), f"{MARK} end"]):
        try:
            found = parse_environ(lines)
        except Unknown:
            continue
        assert all(isinstance(each, Variable) for own in found.values() for each in own or ())


SHELLS = (["dash", "-s"], ["bash", "-s"], ["busybox", "sh", "-s"])


def asked(shell, command):
    done = subprocess.run(shell, input=command, capture_output=True, text=True, check=True,
                          env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"})  # fmt: skip
    return done.stdout


SAID = {
    "DB_PASSWORD": "hunter2", "MULTI_TOKEN": "a\nFORGED_SECRET=x\nb", "EMPTY_KEY": "",
    "A_PASSWORD": "/run/secrets/a", "U": "postgres://u:hunter2@db/x", "PLAIN": "hunter2",
    "OTHER_AUTH": "True", "TOKEN_ARN": "arn:aws:hunter2",
}  # fmt: skip
KINDS = {
    "DB_PASSWORD": "set", "MULTI_TOKEN": "set", "EMPTY_KEY": "empty", "A_PASSWORD": "path",
    "U": "url", "OTHER_AUTH": "flag", "TOKEN_ARN": "reference",
}  # fmt: skip


@pytest.fixture
def waiting(tmp_path):
    """A process of ours that waits, with secrets in its environment, in a directory of its own."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=SAID,
                          cwd=tmp_path) as made:  # fmt: skip
        # Its environment is there from the moment that it runs its own program.
        while Path(f"/proc/{made.pid}/exe").readlink() != Path("/proc/self/exe").readlink():
            pass
        yield made.pid
        made.communicate(b"\n")


@pytest.mark.parametrize("shell", SHELLS)
def test_values_never_leave_the_host(shell, waiting):
    text = asked(shell, environ_want([waiting, 4194305]).command)
    assert "hunter2" not in text
    assert "FORGED" not in text
    found = parse_environ(text.removesuffix("\n").split("\n"))
    assert found[waiting] == {Variable(name, kind) for name, kind in KINDS.items()}
    assert not found[4194305]


def test_no_environment_poses_as_another_process():
    forged = f"{MARK} 7\nDB_PASSWORD set"
    with subprocess.Popen(["sleep", "60"], env={"A": "x", f"{MARK} 7": "y", "B": forged}) as made:
        try:
            while Path(f"/proc/{made.pid}/exe").readlink() == Path("/proc/self/exe").readlink():
                pass
            lines = (
                asked(SHELLS[0], environ_want([made.pid]).command).removesuffix("\n").split("\n")
            )
            assert parse_environ(lines) == {made.pid: set()}
        finally:
            made.kill()


# Open files.


def with_descriptors(*lines, tell=None, **parts):
    text = "\n".join([*lines, "end", ""])
    answers = {descriptors_want(PIDS).command: text} | (tell or {})
    return running(answers=answers, **parts)


OWN = ("100 cwd 100 cwd", "100 root 100 root", "100 0 102 0", "100 seen - seen")


def leads(name, path, kind):
    place = name if name in ("cwd", "root") else f"fd/{name}"
    return {
        f"readlink -nv /proc/100/{place}": path,
        f"stat -L -c %F /proc/100/{place}": f"{kind}\n",
    }


@pytest.mark.parametrize(
    ("rows", "tell", "expected"),
    [
        (OWN, {}, "pass"),
        # On a mount that is in no list: a pipe, a socket, a memfd.
        ((*OWN, "100 9 13 more"), {}, "pass"),
        ((*OWN, "100 8 20 more"), leads("8", "/sys/fs/cgroup", "directory"), "fail"),
        ((*OWN, "100 8 20 more"), leads("8", "/etc/shadow", "regular file"), "fail"),
        (("100 cwd 20 cwd", *OWN[1:]), leads("cwd", "/etc", "directory"), "fail"),
        (("100 root 20 root", *OWN[2:]), leads("root", "/", "directory"), "fail"),
        # What a container was started with: a log, a terminal. Never a directory or a disk.
        ((*OWN, "100 1 20 1"), leads("1", "/var/log/app", "regular file"), "pass"),
        ((*OWN, "100 0 20 0"), leads("0", "/dev/null", "character special file"), "pass"),
        ((*OWN, "100 2 20 2"), leads("2", "/", "directory"), "fail"),
        ((*OWN, "100 2 20 2"), leads("2", "/dev/sda", "block special file"), "fail"),
        ((*OWN, "100 denied - denied"), {}, "unknown"),
        (("100 seen - seen",), {}, "unknown"),
        (("7 0 20 0", "7 seen - seen"), {}, "unknown"),
        (("nonsense", *OWN), {}, "unknown"),
        ((), {}, "unknown"),
    ],
)  # fmt: skip
def test_open_files_of_the_host(rows, tell, expected):
    assert status(FOREIGN, with_descriptors(*rows, tell=tell)) == expected


def test_a_directory_that_shuts_out_root():
    """A user's file system (FUSE) does that; a directory on the host's own disk does not."""
    rows = ("100 cwd - shut", *OWN[1:])
    tell = {"readlink -nv /proc/100/cwd": "/data"}
    assert status(FOREIGN, with_descriptors(*rows, tell=tell)) == "unknown"
    fuse = OWN_MOUNTS + "110 100 0:77 / /data rw - fuse.fuse-overlayfs x rw\n"
    assert status(FOREIGN, with_descriptors(*rows, tell=tell, mounts=fuse)) == "pass"


def test_a_container_in_the_hosts_mounts_has_nothing_foreign():
    host = with_descriptors("100 5 20 more", "100 seen - seen", mounts=HOST_MOUNTS)
    assert status(FOREIGN, host) == "pass"


def test_an_answer_that_was_cut_is_none():
    with pytest.raises(Unknown):
        parse_descriptors(list(OWN))


@pytest.mark.parametrize("shell", SHELLS)
def test_mounts_of_open_files_are_told_in_every_shell(shell, waiting):
    text = asked(shell, descriptors_want([waiting, 4194305]).command)
    found = parse_descriptors(text.removesuffix("\n").split("\n"))
    assert set(found) == {waiting}
    own = found[waiting] or []
    assert {each.name for each in own} >= {"cwd", "root", "0", "1", "2"}
    root = next(each.mount for each in own if each.name == "root")
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    assert str(root) in {line.split()[0] for line in mounts}


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_damaged_descriptors_are_unknown_and_nothing_else(damage):
    lines = [each.decode("utf-8", "surrogateescape") for each in damage]
    try:
        found = parse_descriptors([*lines, "end"])
    except Unknown:
        return
    assert all(isinstance(each, Descriptor) for own in found.values() for each in own or ())
