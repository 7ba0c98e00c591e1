"""Parts of an inventory, and the run that is made of them: what is missing is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hullcheck.cli import main
from hullcheck.run.directory import read_document, read_run
from hullcheck.run.shard import Shard
from tests.unit.test_fleet import CHOSEN, outcome


@pytest.mark.parametrize("of", [1, 2, 3, 8])
def test_every_host_is_in_one_shard(of: int) -> None:
    everything = list(range(7))
    parts = [Shard(number, of).pick(everything) for number in range(1, of + 1)]
    assert sorted(each for part in parts for each in part) == everything
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.fixture
def shards(specs: list[str], capsys: pytest.CaptureFixture[str]) -> Iterator[list[str]]:
    """Three shards of six hosts, and the run of them all, in ``whole``."""
    main(["audit", *CHOSEN, "--report-dir", "whole", *specs])
    made = []
    for number in (1, 2, 3):
        made.append(f"shards/{number}")
        argv = [*CHOSEN, "--shard", f"{number}/3", "--report-dir", made[-1], *specs]
        assert main(["audit", *argv]) == 3
    capsys.readouterr()
    yield made


def test_merged_shards_are_the_run(shards: list[str]) -> None:
    assert main(["merge", *shards, "--report-dir", "merged"]) == 3
    assert outcome(Path("merged")) == outcome(Path("whole"))
    merged, whole = read_run(Path("merged")), read_run(Path("whole"))
    assert (merged.policy_digest, merged.controls_digest) == (
        whole.policy_digest,
        whole.controls_digest,
    )
    assert main(["verify", "merged"]) == 0
    assert len(list(Path("merged").glob("shard-*.SHA256SUMS"))) == 3


def test_a_lost_shard_is_named(shards: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["merge", shards[0], shards[2], "--report-dir", "merged"]) == 3
    said = capsys.readouterr()
    assert "shard 2/3 is missing" in said.err
    assert "web2 UNREACHABLE: shard 2/3 is missing" in said.out
    found = {each.name: each.status for each in read_run(Path("merged")).hosts}
    assert [name for name, status in found.items() if status == "unreachable"] == ["web2", "web5"]


def test_an_unfinished_shard_is_named(
    shards: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    document = read_document(Path(shards[1]))
    document["run"]["finished"], gone = None, document["hosts"].pop()
    Path(shards[1], "run.json").write_text(json.dumps(document))
    lines = Path(shards[1], "verdicts.jsonl").read_text().splitlines(keepends=True)
    Path(shards[1], "verdicts.jsonl").write_text("".join(lines[:3]))
    Path(shards[1], gone["recording"]).unlink()
    Path(shards[1], "SHA256SUMS").unlink()
    main(["merge", *shards, "--report-dir", "merged"])
    assert f"{gone['name']} UNREACHABLE: shard 2/3 was not finished" in capsys.readouterr().out
    assert read_run(Path("merged")).finished is None


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: None, "are the same shard, 1/3"),
        (lambda path: Path(path, "verdicts.jsonl").write_text(""), "is not as it was sealed"),
        (lambda path: edited(path, lambda run: run.pop("shard")), "is no shard"),
        (lambda path: edited(path, lambda run: run["shard"]["hosts"].pop()), "differ in the inven"),
        (lambda path: edited(path, lambda run: run.update(policy_digest="x")), "in the policy"),
        (lambda path: edited(path, lambda run: run["shard"].update(of=4)), "the number of shards"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    shards: list[str], spoil: Any, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(shards[1] if "same" not in said else shards[0], "odd")
    spoil("odd")
    assert main(["merge", shards[0], "odd", "--report-dir", "merged"]) == 2
    assert said in capsys.readouterr().err
    assert not Path("merged").exists()


def edited(path: str, change: Any) -> None:
    document = read_document(Path(path))
    change(document["run"])
    Path(path, "run.json").write_text(json.dumps(document))
    Path(path, "SHA256SUMS").unlink()


def test_more_shards_than_hosts(specs: list[str]) -> None:
    argv = [*CHOSEN, "--shard", "9/9", "--report-dir", "empty", *specs]
    assert main(["audit", *argv]) == 0
