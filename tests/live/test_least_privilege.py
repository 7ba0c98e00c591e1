"""An account with nothing but the sudoers entry and the restricted key audits as root does."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from hullcheck.commands.sudoers import entry
from hullcheck.run.directory import read_verdicts
from tests.live.hosts.overlay import OverlayHost
from tests.live.test_audit import hullcheck

pytestmark = pytest.mark.live
SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "hullcheck-account.sh"


@pytest.fixture(scope="module")
def host() -> Iterator[OverlayHost]:
    with OverlayHost("least1") as made:
        made.write("/root/account.sh", SCRIPT.read_text(), 0o755)
        for _ in range(2):
            made.run(f"sh /root/account.sh '{made.access.public}' 127.0.0.0/8")
        made.run("rm /root/account.sh")
        yield made


def statuses(
    host: OverlayHost, user: str, place: Path, *also: str, only: Iterable[str] = ()
) -> dict[str, str]:
    chosen = [word for each in only for word in ("--control", each)]
    done = hullcheck(
        "audit", f"{user}@{host.name}", "--ssh-config", str(host.ssh_config),
        "--report-dir", str(place), *also, *chosen,
    )  # fmt: skip
    assert done.returncode in (0, 1, 3), done.stderr
    return {each.control: str(each.status) for each in read_verdicts(place)}


def test_the_script_leaves_the_entry_that_the_command_prints(host: OverlayHost) -> None:
    rules = [line for line in entry("hullcheck").splitlines() if not line.startswith("#")]
    assert host.run("cat /etc/sudoers.d/hullcheck").stdout.splitlines() == rules
    assert host.run("ls -A /etc/sudoers.d").stdout.split() == ["hullcheck"]
    assert host.run("visudo -c").returncode == 0


def test_it_gives_the_verdicts_that_root_gets(host: OverlayHost, tmp_path: Path) -> None:
    mark = host.mark()
    found = statuses(host, "hullcheck", tmp_path / "account", "--sudo")
    roots = statuses(host, "root", tmp_path / "root")
    assert host.written(mark) == [], "law 6: an audit writes nothing"
    assert found["host.sudo-password"] == "fail", "what the entry gives is told, too"
    assert found.keys() == roots.keys()
    # The host shares the machine's network, in which others may make a bridge in between.
    if differing := [each for each in found if found[each] != roots[each]]:
        again = statuses(host, "hullcheck", tmp_path / "again", "--sudo", only=differing)
        assert again == statuses(host, "root", tmp_path / "root2", only=differing)


def as_account(host: OverlayHost, command: str) -> subprocess.CompletedProcess[str]:
    return host.run(f"echo id -u | setpriv --reuid hullcheck --regid hullcheck --init-groups "
                    f"env HOME=/home/hullcheck {command}", check=False)  # fmt: skip


@pytest.mark.parametrize(
    "command",
    ["id", "/bin/sh", "/bin/sh -c id", "/bin/sh -s x", "/bin/bash -s", "-u daemon /bin/sh -s",
     "ENV=/tmp/x /bin/sh -s", "-E /bin/sh -s", "-s", "-i", "-e /etc/passwd"],
)  # fmt: skip
def test_sudo_lets_it_run_nothing_else(host: OverlayHost, command: str) -> None:
    assert as_account(host, "sudo -n /bin/sh -s").stdout == "0\n"
    done = as_account(host, f"sudo -n {command}")
    assert done.returncode, done.stdout
    assert done.stdout == ""
    assert "sudo:" in done.stderr


def test_the_key_opens_the_audits_shell_and_nothing_else(host: OverlayHost) -> None:
    done = host.ssh("cat", "/etc/passwd", user="hullcheck", stdin=b"id -u; tty\n")
    assert done.stdout == b"0\nnot a tty\n"
    forced = host.ssh("-tt", user="hullcheck", stdin=b"tty\n")
    assert b"/dev/pts" not in forced.stdout
    argv = ["ssh", "-F", str(host.ssh_config), "-o", "ExitOnForwardFailure=yes",
            "-l", "hullcheck", "-W", "127.0.0.1:22", host.name]  # fmt: skip
    forwarded = subprocess.run(argv, capture_output=True, timeout=60, check=False)
    assert forwarded.returncode
    assert b"prohibited" in forwarded.stderr


def test_the_key_is_refused_from_elsewhere(host: OverlayHost) -> None:
    text = host.run("cat /home/hullcheck/.ssh/authorized_keys").stdout
    host.write("/home/hullcheck/.ssh/authorized_keys", text.replace("127.0.0.0/8", "192.0.2.10"))
    done = host.ssh("id", user="hullcheck")
    host.write("/home/hullcheck/.ssh/authorized_keys", text)
    assert done.returncode == 255
    assert b"Permission denied" in done.stderr
