"""The command: bad input is one clear sentence and exit code 2, with nothing half-written."""

from __future__ import annotations

from pathlib import Path

import pytest

from hullcheck.cli import main
from hullcheck.commands._shared import exit_code
from hullcheck.transport.recording import dump
from hullcheck.transport.want import Evidence
from hullcheck.verdict import HostRecord, Run, Status, totals


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, text: str) -> str:
    Path(name).write_text(text)
    return name


def complaint(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Run the command, see that it refuses, and return its one sentence."""
    before = sorted(Path().rglob("*"))
    assert main(argv) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("hullcheck: ")
    assert said.err.count("\n") == 1, said.err
    assert sorted(Path().rglob("*")) == before, "something was left behind"
    return said.err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["audit"], ["local://"]),
        (["audit", "shh://web1"], ["shh", "ssh"]),
        (["audit", "ssh://web1:http"], ["http", "port"]),
        (["audit", "-i", "none.yml"], ["none.yml"]),
        (["audit", "local://", "--policy", "none.yml"], ["none.yml"]),
        (["audit", "local://", "--waivers", "none.yml"], ["none.yml"]),
        (["audit", "local://", "--benchmark", "cis-docker-1.8"], ["cis-docker-1.8.0"]),
        (["audit", "local://", "--control", "runtime.host-networks"], ["runtime.host-network"]),
        (["audit", "local://", "local://"], ["twice"]),
        (["audit", "local://", "--limit", "web*"], ["--limit", "-i"]),
        (["audit", "recording://none.gz"], ["none.gz"]),
        (["replay", "none", "--report-dir", "b"], ["none"]),
        (["report", "none"], ["none"]),
        (["controls", "--benchmark", "cis"], ["cis"]),
    ],
)  # fmt: skip
def test_bad_input(capsys: pytest.CaptureFixture[str], argv: list[str], words: list[str]) -> None:
    said = complaint(capsys, *argv)
    for word in words:
        assert word in said


def test_a_wrong_inventory_names_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    path = write("hosts.yml", "hosts:\n  web1: {prot: 22}\n")
    said = complaint(capsys, "audit", "-i", path)
    assert "hosts.yml:2:" in said
    assert "port" in said


def test_a_wrong_limit_or_tag_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    path = write("listed", "web1\n")
    assert "did you mean web1?" in complaint(capsys, "audit", "-i", path, "--limit", "wbe1")
    assert "no tag fits 'a'" in complaint(capsys, "audit", "-i", path, "--tag", "a")
    for option in ("--limit", "--tag"):
        assert "name one with -i" in complaint(capsys, "audit", "local://", option, "a")


def test_a_wrong_policy_names_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    path = write("policy.yml", "\ntrusted_user: [a]\n")
    said = complaint(capsys, "audit", "local://", "--policy", path)
    assert "policy.yml:2:" in said
    assert "trusted_users" in said


def test_a_report_directory_that_is_in_use_is_left_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("old").mkdir()
    write("old/run.json", "{}")
    assert "old" in complaint(capsys, "audit", "local://", "--report-dir", "old")
    write("file", "")
    assert "file" in complaint(capsys, "audit", "local://", "--report-dir", "file/run")


def test_a_damaged_recording_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    path = write("web1.jsonl", '{"command": "x"}\n')
    assert "web1.jsonl:1" in complaint(capsys, "audit", f"recording://{path}")


def test_a_run_lands_in_reports_and_latest_points_there(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    dump([Evidence("uname -r", 0, b"6.1\n", b"")], here / "web1.jsonl.gz")
    assert main(["audit", "recording://web1.jsonl.gz"]) == 3, "all is unknown"
    latest = here / "reports" / "latest"
    assert latest.is_symlink()
    assert (latest / "run.json").exists()
    out = capsys.readouterr().out
    assert "not in the recording" in out
    assert str(latest.resolve().name) in out


@pytest.mark.parametrize(
    ("found", "host", "code"),
    [
        ([Status.PASS, Status.NOT_APPLICABLE, Status.MANUAL, Status.WAIVED], "audited", 0),
        ([Status.PASS, Status.FAIL, Status.UNKNOWN], "audited", 1),
        ([Status.PASS, Status.UNKNOWN], "audited", 3),
        ([Status.PASS, Status.ERROR], "audited", 3),
        ([Status.PASS], "unreachable", 3),
        ([Status.PASS], "partial", 3),
        ([Status.FAIL], "unreachable", 1),
    ],
)
def test_exit_codes(found: list[Status], host: str, code: int) -> None:
    record = HostRecord("web1", "ssh://web1", host, totals=totals(found))
    assert exit_code(Run("id", "now", hosts=[record])) == code
