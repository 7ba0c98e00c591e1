"""Sealed runs, and every way to tamper with one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hullcheck.benchmarks import load_benchmark
from hullcheck.cli import main
from hullcheck.report.publish import Publication
from hullcheck.run.options import UsageError
from hullcheck.run.seal import SUMS, seal
from hullcheck.run.verify import verify

RECORDINGS = Path(__file__).parents[1] / "recordings"
CONTROLS = ("host.aslr", "host.kptr-restrict", "engine.rootless")


def audit(place: Path, *options: str) -> Path:
    """Audit two recorded hosts."""
    specs = [f"recording://{RECORDINGS / name}.jsonl.gz" for name in ("typical", "bare")]
    wanted = [part for control in CONTROLS for part in ("--control", control)]
    assert main(["audit", *specs, *wanted, "--report-dir", str(place), *options]) in (0, 1, 3)
    return place


def key(place: Path, name: str) -> Path:
    path = place / name
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)]
    subprocess.run(argv, check=True)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Three signed runs in a row: a, b and c, and the keys."""
    place = tmp_path_factory.mktemp("runs")
    signer = key(place, "auditor")
    key(place, "mallory")
    line = f'auditor@example.com namespaces="hullcheck" {signer.with_suffix(".pub").read_text()}'
    (place / "signers").write_text(line)
    for number, name in enumerate("abc"):
        run = audit(place / "runs" / name, "--sign", str(signer))
        # Ids tell a run's second; these are made within one.
        renamed(run, f"20261128T00000{number}Z-aaaa")
        seal(run, str(signer))
    yield place


def renamed(run: Path, name: str) -> None:
    """Give a run another id, and its true predecessor."""
    from hullcheck.run.seal import before, keep_before

    document = json.loads((run / "run.json").read_text())
    document["run"]["id"] = name
    for old in run.glob("previous-*"):
        old.unlink()
    last = before(run) if name[14] != "0" else None
    document["run"]["previous"] = last.digest if last else None
    if last:
        keep_before(run, last)
    (run / "run.json").write_text(json.dumps(document))


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> Path:
    """A copy of them that a test may spoil."""
    shutil.copytree(made, tmp_path / "all")
    return tmp_path / "all"


def bad(run: Path, runs: Path) -> list[str]:
    """Return what does not verify."""
    return [
        f"{each.what}: {each.told}" for each in verify(run, runs / "signers") if each.good is False
    ]


def test_an_untouched_run_verifies(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = runs / "runs" / "c"
    assert bad(run, runs) == []
    assert main(["verify", str(run), "--signers", str(runs / "signers")]) == 0
    shown = capsys.readouterr().out
    assert "by auditor@example.com" in shown
    assert "beside it in b" in shown
    assert "byte for byte the same" in shown


def test_plain_tools_verify_it_too(runs: Path) -> None:
    run = runs / "runs" / "c"
    subprocess.run(["sha256sum", "--strict", "-c", SUMS], cwd=run, check=True, capture_output=True)
    argv = ["ssh-keygen", "-Y", "verify", "-f", str(runs / "signers"), "-I", "auditor@example.com",
            "-n", "hullcheck", "-s", f"{SUMS}.sig"]  # fmt: skip
    with (run / SUMS).open("rb") as sums:
        subprocess.run(argv, cwd=run, stdin=sums, check=True, capture_output=True)


def change(run: Path, name: str, old: str, new: str) -> None:
    text = (run / name).read_text()
    assert old in text
    (run / name).write_text(text.replace(old, new, 1))


def acquit(run: Path) -> None:
    change(run, "verdicts.jsonl", '"fail"', '"pass"')


def spoil_byte(run: Path) -> None:
    data = bytearray((run / "evidence/bare.jsonl.gz").read_bytes())
    data[-9] ^= 1
    (run / "evidence/bare.jsonl.gz").write_bytes(data)


def swap(run: Path) -> None:
    one, two = run / "evidence/bare.jsonl.gz", run / "evidence/typical.jsonl.gz"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


def remove_host(run: Path) -> None:
    document = json.loads((run / "run.json").read_text())
    document["hosts"] = [each for each in document["hosts"] if each["name"] != "bare"]
    (run / "run.json").write_text(json.dumps(document))
    (run / "evidence/bare.jsonl.gz").unlink()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (spoil_byte, "evidence/bare.jsonl.gz was changed"),
        (swap, "evidence/bare.jsonl.gz was changed"),
        (remove_host, "evidence/bare.jsonl.gz is missing"),
        (remove_host, "bare has verdicts, but is not in run.json"),
        (acquit, "verdicts.jsonl was changed"),
        (acquit, "by its recording"),
        (lambda run: change(run, "run.json", '"fail": ', '"fail": 1'), "run.json was changed"),
        (lambda run: change(run, "table.txt", "fail", "pass"), "table.txt was changed"),
        (lambda run: (run / "note.txt").write_text("x"), "note.txt is in no checksum"),
        (lambda run: (run / "table.txt").unlink(), "table.txt is missing"),
        (lambda run: (run / SUMS).unlink(), "there is no SHA256SUMS"),
        (lambda run: (run / SUMS).write_text("nonsense\n"), "no line of sha256sum"),
        (lambda run: (run / f"{SUMS}.sig").unlink(), "there is no SHA256SUMS.sig"),
        (lambda run: (run / f"{SUMS}.sig").write_text("nonsense\n"), "not by anybody in"),
        (lambda run: (run / "run.json").unlink(), "is no readable run directory"),
    ],
)  # fmt: skip
def test_tampering_is_found_and_named(
    runs: Path, spoil: Callable[[Path], Any], sentence: str
) -> None:
    run = runs / "runs" / "c"
    spoil(run)
    assert any(sentence in each for each in bad(run, runs))
    assert main(["verify", str(run), "--signers", str(runs / "signers")]) == 1


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (acquit, "by its recording"),
        (swap, "by its recording"),
        (lambda run: change(run, "run.json", '"fail": ', '"fail": 1'), "run.json says of"),
    ],
)
def test_checksums_made_anew_do_not_help(
    runs: Path, spoil: Callable[[Path], Any], sentence: str
) -> None:
    run = runs / "runs" / "c"
    spoil(run)
    seal(run, str(runs / "mallory"))
    found = bad(run, runs)
    assert any(each.startswith("signature: not by anybody in") for each in found)
    assert any(sentence in each for each in found)


def test_a_signature_for_another_purpose(runs: Path) -> None:
    run = runs / "runs" / "c"
    (run / f"{SUMS}.sig").unlink()
    argv = [
        "ssh-keygen",
        "-q",
        "-Y",
        "sign",
        "-n",
        "git",
        "-f",
        str(runs / "auditor"),
        str(run / SUMS),
    ]
    subprocess.run(argv, check=True)
    assert any(each.startswith("signature:") for each in bad(run, runs))


def test_a_broken_chain(runs: Path) -> None:
    run, second = runs / "runs" / "c", runs / "runs" / "b"
    shutil.move(second, runs / "b")
    assert any("taken out from between others" in each for each in bad(run, runs))
    shutil.rmtree(runs / "runs" / "a")
    assert bad(run, runs) == []
    shutil.move(runs / "b", second)
    (second / "table.txt").write_text("other\n")
    seal(second, str(runs / "auditor"))
    assert any("is not as it was" in each for each in bad(run, runs))
    next(run.glob("previous-*")).unlink()
    seal(run, str(runs / "auditor"))
    assert any("do not agree" in each for each in bad(run, runs))


def test_a_run_that_was_interrupted_does_not_verify(runs: Path) -> None:
    run = runs / "runs" / "c"
    document = json.loads((run / "run.json").read_text())
    document["run"]["finished"] = None
    (run / "run.json").write_text(json.dumps(document))
    seal(run)
    assert any("not finished" in each for each in bad(run, runs))


def test_an_agents_key_signs(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = subprocess.run(["ssh-agent", "-s"], check=True, capture_output=True, text=True).stdout
    said = dict(part.split("=", 1) for part in started.replace("\n", ";").split(";") if "=" in part)
    monkeypatch.setenv("SSH_AUTH_SOCK", said["SSH_AUTH_SOCK"])
    try:
        subprocess.run(["ssh-add", "-q", str(runs / "auditor")], check=True)
        (runs / "auditor").unlink()
        run = runs / "runs" / "c"
        seal(run, str(runs / "auditor.pub"))
        assert bad(run, runs) == []
    finally:
        os.kill(int(said["SSH_AGENT_PID"]), 15)


def test_what_cannot_sign_is_said_and_nothing_is_lost(runs: Path) -> None:
    run = runs / "runs" / "a"
    (runs / "broken").write_text("no key\n")
    for name, why in (("nobody", "there is no such file"), ("broken", "--sign .*broken: ")):
        wanted = Publication(load_benchmark("cis-docker-1.8.0"), key=str(runs / name))
        with pytest.raises(UsageError, match=why):
            wanted.publish(run)
    assert (run / SUMS).exists()
    assert main(["audit", "local://", "--sign", str(runs / "nobody")]) == 2


def test_a_replayed_run_verifies(runs: Path, tmp_path: Path) -> None:
    main(["replay", str(runs / "runs" / "b"), "--report-dir", str(tmp_path / "again")])
    assert [each.told for each in verify(tmp_path / "again") if each.good is False] == []
