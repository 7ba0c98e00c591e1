"""Retention: what is kept, and that the chain of sealed runs can be followed over the gap."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hullcheck.cli import main
from hullcheck.report.formats import write
from hullcheck.report.source import Source
from hullcheck.run.directory import read_run
from hullcheck.run.earlier import known_before
from hullcheck.run.index import NAME
from hullcheck.run.retention import Rules, decide, prune
from hullcheck.run.seal import SUMS, seal
from hullcheck.run.verify import verify
from tests.unit.nights import ASLR, night

ONE = {"a": {ASLR: "fail"}}
OTHER = {"b": {ASLR: "fail"}}


def kept(home: Path, rules: Rules) -> list[int]:
    """Return the nights that are kept whole."""
    return [int(each.head.id[6:8]) - 1 for each in decide(home, rules) if each.why]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (Rules(timedelta(days=2)), [25, 26, 27]),
        (Rules(timedelta(0)), [27]),
        (Rules(timedelta(0), weekly=3), [19, 26, 27]),
        (Rules(timedelta(0), monthly=2), [27]),
        (Rules(timedelta(days=1), weekly=4), [12, 19, 26, 27]),
    ],
)
def test_what_is_kept(tmp_path: Path, rules: Rules, expected: list[int]) -> None:
    # The 1st of September 2026, night 0, is a Tuesday; nights 5, 12, 19, 26 are Sundays.
    for number in range(10, 28):
        night(tmp_path, number, ONE)
    assert kept(tmp_path, rules) == expected


def test_each_set_of_hosts_keeps_its_last_of_a_week(tmp_path: Path) -> None:
    for number, hosts in enumerate((ONE, OTHER, ONE, ONE)):
        night(tmp_path, number, hosts)
    assert kept(tmp_path, Rules(timedelta(0), weekly=1)) == [1, 3]


def test_what_is_never_pruned(tmp_path: Path) -> None:
    night(tmp_path, 0, ONE)
    night(tmp_path, 1, ONE, finished=False)
    (night(tmp_path, 2, ONE) / SUMS).unlink()
    night(tmp_path, 3, ONE, name="before-the-release")
    night(tmp_path, 4, ONE)
    night(tmp_path, 5, ONE, finished=False)
    why = {each.head.id[6:8]: each.why for each in decide(tmp_path, Rules(timedelta(0)))}
    assert why == {
        "01": "", "02": "not finished, or still going on", "03": "not sealed",
        "04": "somebody named it; --named", "05": "the newest",
        "06": "not finished, or still going on",
    }  # fmt: skip
    assert kept(tmp_path, Rules(timedelta(0), named=True)) == [1, 2, 4, 5]


def test_nothing_that_is_sealed(tmp_path: Path) -> None:
    night(tmp_path, 0, ONE, finished=False)
    assert kept(tmp_path, Rules(timedelta(0))) == [0]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("keys")
    for name in ("auditor", "mallory"):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(place / name)]
        subprocess.run(argv, check=True)
    public = (place / "auditor.pub").read_text()
    (place / "signers").write_text(f'auditor@example.com namespaces="hullcheck" {public}')
    return place


@pytest.fixture
def signed(keys: Path, tmp_path: Path) -> list[Path]:
    """Three signed runs in a row, of which the second is to be pruned."""
    return [night(tmp_path / "runs", each, ONE, key=str(keys / "auditor")) for each in (0, 1, 2)]


def pruned(signed: list[Path], key: Path | None, rules: Rules | None = None) -> Path:
    chosen = rules or Rules(timedelta(0))
    (decision,) = (each for each in decide(signed[0].parent, chosen) if each.path == signed[1])
    prune(decision, chosen, datetime(2026, 11, 28, tzinfo=UTC), str(key) if key else None)
    return signed[1]


def checks(run: Path, signers: Path | None) -> dict[str, tuple[bool | None, str]]:
    return {each.what: (each.good, each.told) for each in verify(run, signers, judge=False)}


def test_the_chain_is_followed_over_what_was_pruned(signed: list[Path], keys: Path) -> None:
    run = pruned(signed, keys / "auditor")
    assert sorted(each.name for each in run.iterdir()) == [
        SUMS, f"{SUMS}.sig", f"previous-20260901T020000Z-aaaa.{SUMS}", "pruned.json",
        "pruned.json.sig", "run.json", "site.json",
    ]  # fmt: skip
    after = checks(signed[2], keys / "signers")
    assert after["chain"] == (True, f"the run before is {run.name}, beside it in {run.name}")
    assert after["retention"][0] is True
    assert (
        "was pruned on 2026-11-28 by retention (kept: 0 days): by auditor@ex"
        in (after["retention"][1])
    )
    own = checks(run, keys / "signers")
    assert [what for what, (good, _) in own.items() if good is False] == []
    assert own["checksums"] == (True, "3 files are as they were sealed, 3 more were pruned")
    assert own["verdicts"][0] is None
    assert "cannot be judged again: pruned on 2026-11-28" in own["verdicts"][1]
    argv = ["ssh-keygen", "-Y", "verify", "-f", str(keys / "signers"), "-I", "auditor@example.com",
            "-n", "hullcheck", "-s", "pruned.json.sig"]  # fmt: skip
    with (run / "pruned.json").open("rb") as note:
        subprocess.run(argv, cwd=run, stdin=note, check=True, capture_output=True)


def test_without_signers_it_is_said_that_nobody_checked(signed: list[Path], keys: Path) -> None:
    pruned(signed, keys / "auditor")
    good, told = checks(signed[2], None)["retention"]
    assert good is None
    assert "by whom is not known" in told


def forge(run: Path) -> None:
    (run / "pruned.json.sig").unlink()


def take_more(run: Path) -> None:
    (run / "site.json").unlink()


def admit_more(run: Path) -> None:
    note = json.loads((run / "pruned.json").read_text())
    note["removed"].append("site.json")
    (run / "pruned.json").write_text(json.dumps(note))
    take_more(run)


def change(run: Path) -> None:
    text = (run / "run.json").read_text()
    (run / "run.json").write_text(text.replace('"fail": 1', '"fail": 0'))


def another(run: Path) -> None:
    first = run.parent / "20260901T020000Z-aaaa"
    for name in ("pruned.json", "pruned.json.sig"):
        shutil.copy(run / name, first)
        (run / name).unlink()


@pytest.mark.parametrize(
    ("spoil", "own", "next_"),
    [
        (forge, "nobody signed that: anybody could have written it", "nobody signed that"),
        (take_more, "site.json is missing", ""),
        (admit_more, "not by anybody in", "not by anybody in"),
        (change, "run.json was changed", ""),
        (another, "verdicts.jsonl is missing", ""),
        (lambda run: (run / "pruned.json").write_text("{}"), "is damaged", "is damaged"),
        (lambda run: (run / "pruned.json").unlink(), "verdicts.jsonl is missing", ""),
        (lambda run: (run / "x").write_text("x"), "x is in no checksum", ""),
    ],
)  # fmt: skip
def test_no_one_without_the_key_can_call_it_retention(
    signed: list[Path], keys: Path, spoil: Callable[[Path], None], own: str, next_: str
) -> None:
    run = pruned(signed, keys / "auditor")
    spoil(run)
    for place, words in ((run, own), (signed[2], next_)):
        wrong = [each.told for each in verify(place, keys / "signers", judge=False)
                 if each.good is False]  # fmt: skip
        assert any(words in each for each in wrong) if words else not wrong


def test_a_note_of_another_run_is_refused(signed: list[Path], keys: Path) -> None:
    another(pruned(signed, keys / "auditor"))
    (check,) = verify(signed[0], keys / "signers", judge=False)
    assert "is not of the run that lies there" in check.told


@pytest.mark.parametrize("key", ["mallory", None])
def test_another_key_or_none(signed: list[Path], keys: Path, key: str | None) -> None:
    run = pruned(signed, keys / key if key else None)
    for place in (run, signed[2]):
        assert checks(place, keys / "signers")["retention"][0] is False
    # Of a signed run, a note without any signature is bad even to whoever has no signers.
    assert checks(run, None)["retention"][0] is (None if key else False)


def test_a_tampered_run_is_kept(signed: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    (signed[0] / "table.txt").write_text("all good\n")
    home = signed[0].parent
    for run in signed:
        (run / f"{SUMS}.sig").unlink()
    assert main(["prune", str(home), "--keep-within", "0d"]) == 1
    said = capsys.readouterr()
    assert "is not as it was sealed: table.txt was changed" in said.err
    assert "1 runs pruned" in said.out
    assert (signed[0] / "verdicts.jsonl").exists()
    assert not (signed[1] / "verdicts.jsonl").exists()


def test_names_in_checksums_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    home = tmp_path / "runs"
    first, _ = night(home, 0, ONE), night(home, 1, ONE)
    with (first / SUMS).open("a") as file:
        file.write(f"{'0' * 64}  ../../precious\n")
    (first / "evidence" / "out").symlink_to(tmp_path / "precious")
    seal(first)
    assert main(["prune", str(home), "--keep-within", "0d"]) == 0
    assert not (first / "evidence").exists()
    assert (tmp_path / "precious").exists()


def test_evidence_only_then_all_of_it(signed: list[Path], keys: Path) -> None:
    run = pruned(signed, keys / "auditor", Rules(timedelta(0), evidence_only=True))
    assert (run / "verdicts.jsonl").exists()
    assert not (run / "evidence").exists()
    assert all(good is not False for good, _ in checks(run, keys / "signers").values())
    page = write("html", Source(run), run.parent.parent / "report.html").read_text()
    assert ASLR in page
    pruned(signed, keys / "auditor")
    assert not (run / "verdicts.jsonl").exists()
    assert all(good is not False for good, _ in checks(run, keys / "signers").values())


def test_it_can_be_done_again_after_an_interruption(
    signed: list[Path], keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.unlink

    def once(path: Path, missing_ok: bool = False) -> None:
        if path.name == "verdicts.jsonl":
            raise KeyboardInterrupt
        real(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", once)
    with pytest.raises(KeyboardInterrupt):
        pruned(signed, keys / "auditor")
    assert all(good is not False for good, _ in checks(signed[1], keys / "signers").values())
    monkeypatch.undo()
    pruned(signed, keys / "auditor")
    assert all(good is not False for good, _ in checks(signed[1], keys / "signers").values())
    assert not (signed[1] / "verdicts.jsonl").exists()


def test_the_command(signed: list[Path], keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = signed[0].parent
    main(["history", str(home)])
    before = sorted(home.rglob("*"))
    assert main(["prune", str(home), "--keep-within", "0d", "-n"]) == 0
    assert main(["prune", str(home), "--keep-within", "0d"]) == 2
    assert "2 of these runs are signed: name a key with --sign" in capsys.readouterr().err
    assert sorted(home.rglob("*")) == before
    argv = ["prune", str(home), "--keep-within", "0d", "--sign", str(keys / "auditor")]
    assert main(argv) == 0
    assert "2 runs pruned" in capsys.readouterr().out
    assert main(argv) == 0
    assert "0 runs pruned" in capsys.readouterr().out
    for argv in (["report", str(signed[0])], ["diff", str(signed[0]), str(signed[2])],
                 ["replay", str(signed[0]), "--report-dir", "x"]):  # fmt: skip
        assert main(argv) == 2
        assert "was pruned on" in capsys.readouterr().err


def test_the_history_outlives_pruning_until_the_index_is_built_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, status in enumerate(("pass", "fail", "fail")):
        night(tmp_path, number, {"a": {ASLR: status}})
    main(["history", str(tmp_path)])
    assert main(["prune", str(tmp_path), "--keep-within", "0d"]) == 0
    capsys.readouterr()

    def told() -> tuple[int, str]:
        main(["history", str(tmp_path), "--json"])
        runs = json.loads(capsys.readouterr().out)["runs"]
        assert [each["totals"] for each in runs] == [{"pass": 1}, {"fail": 1}, {"fail": 1}]
        main(["history", str(tmp_path), "--host", "a", "--json"])
        (track,) = json.loads(capsys.readouterr().out)["tracks"]
        return runs[1]["newly_failing"], track["statuses"]

    assert told() == (1, ["pass", "fail", "fail"])
    (tmp_path / NAME).unlink()
    assert told() == (0, [None, None, "fail"])


def test_what_was_pruned_is_no_earlier_audit(tmp_path: Path) -> None:
    first, last = night(tmp_path, 0, ONE), night(tmp_path, 1, ONE)
    assert known_before(last, read_run(last)).strangers == ()
    assert main(["prune", str(tmp_path), "--keep-within", "0d"]) == 0
    assert not (first / "verdicts.jsonl").exists()
    assert known_before(last, read_run(last)).strangers == ("a",)


@pytest.mark.parametrize("argv", [[], ["--keep-within", "90"], ["--keep-within", "x"]])
def test_wrong_usage(tmp_path: Path, argv: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["prune", str(tmp_path), *argv])
    assert ended.value.code == 2
