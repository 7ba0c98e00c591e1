"""The committed sample run verifies, with Hullcheck and with plain tools."""

from __future__ import annotations

import subprocess

import pytest

from hullcheck.cli import main
from hullcheck.run.verify import verify
from tests.recordings.sample import SAMPLE, SIGNERS


def test_the_sample_verifies(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = [each.told for each in verify(SAMPLE, SIGNERS) if each.good is False]
    assert wrong == [], "make it anew: python -m tests.recordings.sample"
    assert main(["verify", str(SAMPLE), "--signers", str(SIGNERS)]) == 0
    assert "by auditor@example.com" in capsys.readouterr().out


def test_so_do_plain_tools() -> None:
    subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=SAMPLE, check=True,
                   capture_output=True)  # fmt: skip
    argv = ["ssh-keygen", "-Y", "verify", "-f", str(SIGNERS), "-I", "auditor@example.com", "-n",
            "hullcheck", "-s", "SHA256SUMS.sig"]  # fmt: skip
    with (SAMPLE / "SHA256SUMS").open("rb") as sums:
        subprocess.run(argv, cwd=SAMPLE, stdin=sums, check=True, capture_output=True)


def test_it_shows_a_waiver_and_an_attestation() -> None:
    table = (SAMPLE / "table.txt").read_text()
    assert "waived until 2027-06-30 by alice@example.com" in " ".join(table.split())
    assert (SAMPLE / "report.html").stat().st_size < 4_000_000
