"""Runs: what one host does never costs another, and nothing that is finished is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from testinfra.host import Host

from hullcheck.catalogue import all_controls
from hullcheck.control import control, control_of, expect
from hullcheck.run import audit as module
from hullcheck.run.audit import Plan, Subject, audit_host
from hullcheck.run.directory import RunDirectory, new_id, read_run, read_verdicts, recording_name
from hullcheck.run.fleet import audit
from hullcheck.run.replay import replay
from hullcheck.run.site import SiteRecord
from hullcheck.schemas import schema
from hullcheck.transport import Evidence, Session, Want, host_of, session_of, want
from hullcheck.transport.recording import dump, load
from hullcheck.transport.target import parse_spec
from hullcheck.verdict import Finding, HostRecord, Object, Run, Status, Verdict

CONTROLS = tuple(all_controls().values())[:3]
PLAN = Plan(CONTROLS, datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC))


def directory(path: Path) -> RunDirectory:
    return RunDirectory(path, Run("id", "2026-11-23T01:02:03Z"), CONTROLS, SiteRecord())


def audited(run: RunDirectory, *subjects: Subject, plan: Plan = PLAN, **told: Any) -> None:
    audit(subjects, plan, run, ThreadPoolExecutor(2), at_once=2, **told)


def recorded(folder: Path, name: str) -> Subject:
    dump([Evidence("uname -r", 0, b"6.1\n", b"")], folder / f"{name}.jsonl.gz")
    return Subject(parse_spec(f"recording://{folder}/{name}.jsonl.gz"))


def test_a_host_that_breaks_the_audit_does_not_stop_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = module._verdicts

    def breaks(host: Any, site: Any, plan: Any) -> Any:
        if site.name == "bad":
            raise RecursionError("hostile")
        return real(host, site, plan)

    monkeypatch.setattr(module, "_verdicts", breaks)
    run = directory(tmp_path / "run")
    audited(run, recorded(tmp_path, "bad"), recorded(tmp_path, "good"))
    found = {each.name: each for each in read_run(run.path).hosts}
    assert (found["bad"].status, found["good"].status) == ("partial", "audited")
    statuses = {each.status for each in read_verdicts(run.path) if each.host == "bad"}
    assert statuses == {Status.ERROR}


def test_what_is_finished_is_kept_when_the_run_is_interrupted(tmp_path: Path) -> None:
    run = directory(tmp_path / "run")

    def stop(done: HostRecord | None, _running: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audited(run, recorded(tmp_path, "web1"), told=stop)
    found = read_run(run.path)
    assert found.finished is None
    assert [each.name for each in found.hosts] == ["web1"]
    assert len(list(read_verdicts(run.path))) == len(CONTROLS)


def test_an_unreachable_host_is_a_record() -> None:
    found = audit_host(Subject(parse_spec("paramiko://127.0.0.1:9")), PLAN)
    assert found.record.status == "unreachable"
    assert "refused" in found.record.reason
    assert (found.verdicts, found.evidence, found.record.recording) == ((), (), None)


def test_a_run_directory_comes_back_as_it_was_written(tmp_path: Path) -> None:
    run = directory(tmp_path / "run")
    record = HostRecord("web\u202e1", "ssh://web1", "audited", recording=recording_name("a/../b"))
    odd = Verdict("web1", "a.b", Status.UNKNOWN, "bytes \udcff and \x00", (), (0,))
    evidence = [Evidence("cat \udcff", None, b"\xff\x00", b"e", 1.5, 0.25, 2, "timed out")]
    run.add(record, [odd], evidence)
    run.finish(PLAN.started)
    assert list(read_verdicts(run.path)) == [odd]
    assert read_run(run.path).hosts == [record]
    assert record.recording
    assert load(run.path / record.recording) == evidence
    assert ".." not in str(Path(record.recording).parent)


def test_names_of_a_host_leave_the_format_whole(tmp_path: Path) -> None:
    """Weakness 62: printed unescaped and cut at spaces, so that a name broke the document."""
    name = 'a b","status":"pass"}\n{"x": \\ \x1b[2J \u2028 <b>,=1'
    found = (
        Finding(Object("container", name, "4f"), Status.FAIL, [name], {name: None}, name),
        Finding(Object("container", "two words"), Status.PASS, 1, 1),
    )
    odd = Verdict("web1", "runtime.b", Status.FAIL, name, found, (0,))
    run = directory(tmp_path / "run")
    run.add(HostRecord(name, "ssh://web1", "audited"), [odd], [])
    line, rest = (run.path / "verdicts.jsonl").read_text().split("\n")
    assert (rest, "\x1b" in line) == ("", False)
    document = json.loads(line)
    jsonschema.validate(document, schema("verdict"))
    assert [each["object"]["name"] for each in document["findings"]] == [name, "two words"]
    assert document["reason"] == name
    assert json.loads((run.path / "run.json").read_text())["hosts"][0]["name"] == name


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_part_of_the_controls_gives_a_document_of_the_same_form(
    tmp_path: Path, count: int
) -> None:
    """Weakness 62: one control by itself came out as a list where all came as sections."""
    sums = {f"{name}_digest": "sha256:" + "0" * 64 for name in ("controls", "policy")}
    made = Run("id", "2026-11-23T01:02:03Z", **sums)
    run = RunDirectory(tmp_path / "run", made, CONTROLS[:count], SiteRecord())
    audited(run, recorded(tmp_path, "web1"), plan=Plan(CONTROLS[:count], PLAN.started))
    run.finish(PLAN.started)
    document = json.loads((run.path / "run.json").read_text())
    jsonschema.validate(document, schema("run"))
    told = [json.loads(line) for line in (run.path / "verdicts.jsonl").read_text().splitlines()]
    assert [each["id"] for each in document["controls"]] == [each["control"] for each in told]
    assert len(told) == count


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    run = directory(tmp_path / "run")
    (run.path / "verdicts.jsonl").write_text('{"host": 1}\n')
    with pytest.raises(ValueError, match=r"verdicts.jsonl:1"):
        list(read_verdicts(run.path))


def test_replaying_says_unknown_of_what_was_not_recorded(tmp_path: Path) -> None:
    run = directory(tmp_path / "run")
    audited(run, recorded(tmp_path, "web1"))
    more = tuple(all_controls().values())[:6]
    again = replay(run.path, tmp_path / "again", more)
    found = list(read_verdicts(again.path))
    assert len(found) == 6
    assert {each.status for each in found} == {Status.UNKNOWN}
    assert all("not in the recording" in each.reason for each in found)


def test_run_ids_sort_by_time() -> None:
    early, late = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
    assert new_id(early) < new_id(late)
    assert json.dumps(new_id(early)).startswith('"20260102T000000Z-')


class Breaking:
    """A wire that is cut after its first round."""

    def __init__(self) -> None:
        self.rounds = 0

    def perform(self, wants: Sequence[Want]) -> Iterator[Evidence]:
        self.rounds += 1
        cut = "connection lost: reset by peer" if self.rounds > 1 else ""
        for each in wants:
            yield Evidence(each.command, None if cut else 0, b"1\n", b"", trouble=cut)

    def close(self) -> None:
        pass


def test_a_host_that_is_lost_half_way_is_partial(monkeypatch: pytest.MonkeyPatch) -> None:
    """What had arrived is kept; what had not is unknown."""

    def test_early(host: Host) -> None:
        """Why."""
        expect(session_of(host).ask(want("cat /a"))[0].text, equals="1\n", what="a")

    def test_late(host: Host) -> None:
        """Why."""
        session_of(host).ask(want("cat /a"))
        expect(session_of(host).ask(want("cat /b"))[0].text, equals="1\n", what="b")

    made = [control(title="T", severity="low", fix="F.")(each) for each in (test_early, test_late)]
    controls = tuple(found for each in made if (found := control_of(each)))
    lost = host_of(Session(Breaking()), "web1", "ssh")
    monkeypatch.setattr(module, "connect", lambda *_, **__: lost)
    found = audit_host(Subject(parse_spec("ssh://web1")), Plan(controls, PLAN.started))
    assert (found.record.status, found.record.reason) == (
        "partial",
        "connection lost: reset by peer",
    )
    assert [each.status for each in found.verdicts] == [Status.PASS, Status.UNKNOWN]
    assert len(found.evidence) == found.record.commands
