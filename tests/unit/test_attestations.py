"""What people say of manual controls, and which acceptances need another look."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from hullcheck.catalogue import all_controls
from hullcheck.cli import main
from hullcheck.inventory.attestations import Attestation, answer, load_attestations
from hullcheck.inventory.document import DocumentError
from hullcheck.inventory.waivers import Waiver, apply, load_waivers
from hullcheck.report.acceptances import review
from hullcheck.report.formats import FORMATS, write
from hullcheck.report.source import Source
from hullcheck.run.verify import verify
from hullcheck.schemas import schema
from hullcheck.verdict import Finding, Object, Status, Verdict

RECORDINGS = Path(__file__).parents[1] / "recordings"
TODAY = date(2026, 11, 28)
SAID = Attestation("engine.warnings", "pass", "Swap.", "alice", date(2026, 11, 1), date(2027, 1, 1))
ENTRY = """
- control: engine.warnings
  answer: pass
  reason: The warning is about swap.
  by: alice@example.com
  when: 2026-11-01
  expires: 2027-01-01
"""


def manual(*names: str, status: Status = Status.MANUAL) -> Verdict:
    findings = tuple(Finding(Object("engine", name), status, None, [1], "look") for name in names)
    return Verdict("web1", "engine.warnings", status, "look at it", findings, (3,))


def test_an_answer_decides_and_says_whose_it_is() -> None:
    made = answer(manual("docker"), [SAID], TODAY)
    assert made.status is Status.PASS
    assert made.reason == "attested on 2026-11-01 by alice, until 2027-01-01: Swap."
    assert made.attestation is not None
    assert made.attestation["by"] == "alice"
    document = json.loads(json.dumps(asdict(made)))
    Draft202012Validator(schema("verdict")).validate(document)


@pytest.mark.parametrize("status", [each for each in Status if each is not Status.MANUAL])
def test_nothing_but_a_manual_verdict_is_answered(status: Status) -> None:
    verdict = manual("docker", status=status)
    assert answer(verdict, [SAID], TODAY) == verdict


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, "pass"),
        ({"answer": "fail"}, "fail"),
        ({"answer": "not-applicable"}, "not-applicable"),
        ({"host": "db*"}, "manual"),
        ({"object": "docker-2"}, "manual"),
        ({"expires": TODAY}, "pass"),
        ({"expires": date(2026, 11, 27)}, "manual"),
        ({"when": date(2026, 11, 29)}, "manual"),
        ({"control": "engine.*"}, "pass"),
    ],
)
def test_what_it_is_meant_for_and_until_when(change: dict[str, Any], status: str) -> None:
    assert str(answer(manual("docker"), [replace(SAID, **change)], TODAY).status) == status


def test_an_expired_answer_is_told() -> None:
    made = answer(manual("docker"), [replace(SAID, expires=date(2026, 11, 2))], TODAY)
    assert made.reason.endswith("; the last attestation expired on 2026-11-02")


def test_an_answer_for_one_object_leaves_the_others_open() -> None:
    made = answer(manual("a", "b"), [replace(SAID, object="a")], TODAY)
    assert [str(each.status) for each in made.findings] == ["pass", "manual"]
    assert made.status is Status.MANUAL


def test_an_attested_failure_can_be_waived() -> None:
    failed = answer(manual("a"), [replace(SAID, answer="fail")], TODAY)
    waiver = Waiver("engine.warnings", "known", "bob", date(2027, 1, 1))
    made = apply(failed, [waiver], TODAY)
    assert made.status is Status.WAIVED


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        (ENTRY.replace("warnings", "warning"), 2, "did you mean engine.warnings"),
        (ENTRY.replace("answer: pass", "answer: good"), 3, "use one of pass, fail"),
        (ENTRY.replace("2027-01-01", "2026-10-01"), 7, "before 2026-11-01"),
        (ENTRY.replace("2026-11-01", "1.11.2026"), 6, "YYYY-MM-DD"),
        (ENTRY.replace("  by: alice@example.com\n", ""), 2, "add by"),
        (f"{ENTRY}  evidence: nothing.txt\n", 8, "cannot be read: No such file"),
        (f"{ENTRY}  sha256: abc\n", 8, "has no key 'sha256'"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, line: int, sentence: str) -> None:
    path = tmp_path / "said.yml"
    path.write_text(text)
    with pytest.raises(DocumentError, match=re.escape(sentence)) as caught:
        load_attestations(path, all_controls())
    assert caught.value.line == line


def test_a_run_keeps_who_said_what_by_what_evidence(tmp_path: Path) -> None:
    (tmp_path / "seen.txt").write_text("the output\n")
    (tmp_path / "said.yml").write_text(f"{ENTRY}  evidence: seen.txt\n")
    run = tmp_path / "run"
    argv = ["audit", f"recording://{RECORDINGS}/plain.jsonl.gz", "--control", "engine.warnings"]
    assert main([*argv, "--report-dir", str(run)]) == 0
    assert '"manual"' in (run / "verdicts.jsonl").read_text()
    again = tmp_path / "again"
    argv += ["--attestations", str(tmp_path / "said.yml"), "--report-dir", str(again)]
    assert main(argv) == 0
    verdict = json.loads((again / "verdicts.jsonl").read_text())
    assert verdict["status"] == "pass"
    assert len(verdict["attestation"]["sha256"]) == 64
    assert [each.told for each in verify(again) if each.good is False] == []
    for name in FORMATS:
        path = write(name, Source(again), tmp_path / FORMATS[name].file)
        if name not in ("html", "xlsx", "summary", "prometheus"):
            assert "alice" in path.read_text(), name
    assert "alice@example.com" in (tmp_path / "report.html").read_text()
    assert "attested on 2026-11-01" in (again / "table.txt").read_text()


WAIVERS = """
- {control: host.aslr, reason: r, owner: alice, expires: 2099-01-01}
- {control: "host.*", reason: r, owner: bob, expires: 2099-01-01}
- {control: host.kptr-restrict, host: typical, reason: r, owner: carol, expires: 2020-01-01}
- {control: host.kptr-restrict, host: typical, reason: r, owner: dora, expires: 2099-01-02}
"""


def test_what_is_odd_about_acceptances_is_said(tmp_path: Path) -> None:
    (tmp_path / "waivers.yml").write_text(WAIVERS)
    (tmp_path / "policy.yml").write_text("maximum_waiver_days: 100000\n")
    run = tmp_path / "run"
    code = main([
        "audit", f"recording://{RECORDINGS}/typical.jsonl.gz", "--control", "host.aslr",
        "--control", "host.kptr-restrict", "--waivers", str(tmp_path / "waivers.yml"),
        "--policy", str(tmp_path / "policy.yml"), "--report-dir", str(run),
    ])  # fmt: skip
    assert code == 0
    notes = {each.who: each.notes for each in review(Source(run))}
    assert notes["alice"] == ("unused: nothing of this run needs it; take it out",)
    assert any(each.startswith("too broad") for each in notes["bob"])
    assert notes["carol"][0].startswith("expired on 2020-01-01")
    assert "stands 2 times; keep one" in notes["dora"]
    told = (run / "table.txt").read_text()
    assert "waiver of carol, host.kptr-restrict on typical: expired" in told


def test_a_waiver_may_not_hold_longer_than_policy_allows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "waivers.yml").write_text(WAIVERS)
    argv = ["audit", "local://", "--waivers", str(tmp_path / "waivers.yml")]
    assert main(argv) == 2
    assert "waivers.yml:2: it expires on 2099-01-01; the policy's" in capsys.readouterr().err


def waive(path: Path, **more: str) -> int:
    given = {"control": "host.aslr", "reason": "why: \"x\" # y", "owner": "alice@example.com",
             "expires": "2026-12-31"} | more  # fmt: skip
    options = [part for key, value in given.items() for part in (f"--{key}", value)]
    return main(["waive", str(path), *options])


def test_waive_appends_and_leaves_the_rest_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "w.yml"
    expires = f"{date.today().year}-12-31"
    assert waive(path, expires=expires) == 0
    path.write_text(path.read_text() + "# a comment of ours\n")
    before = path.read_text()
    more = {"control": "runtime.*", "host": "web*", "object": "- odd: 'name'", "ticket": "OPS-1"}
    assert waive(path, expires=expires, **more) == 0
    assert path.read_text().startswith(before)
    first, second = load_waivers(path, all_controls())
    assert first.reason == 'why: "x" # y'
    assert (second.control, second.host, second.object) == ("runtime.*", "web*", "- odd: 'name'")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"control": "host.aslrr"}, "did you mean host.aslr"),
        ({"expires": "2020/01/01"}, "no day as YYYY-MM-DD"),
        ({"expires": "2099-01-01", "host": "h"}, "maximum_waiver_days"),
        ({}, "has a waiver for that already, by alice@example.com"),
    ],
)
def test_what_waive_refuses_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, str], sentence: str
) -> None:
    path = tmp_path / "w.yml"
    expires = {"expires": f"{date.today().year}-12-31"}
    assert waive(path, **expires) == 0
    before = path.read_text()
    assert waive(path, **(expires | change)) == 2
    assert sentence in capsys.readouterr().err
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]
