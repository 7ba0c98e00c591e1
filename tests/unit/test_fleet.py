"""Many hosts: the same verdicts on every executor, nothing lost, nothing judged twice."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.cli import main
from hullcheck.report.progress import Progress
from hullcheck.run import audit as module
from hullcheck.run.audit import Plan, Subject, audit_host
from hullcheck.run.crew import ProcessCrew
from hullcheck.run.directory import RunDirectory, read_document, read_run, read_verdicts
from hullcheck.run.fleet import audit
from hullcheck.run.site import SiteRecord
from hullcheck.transport import Unreachable
from hullcheck.transport.target import parse_spec
from hullcheck.verdict import HostRecord, Run, Status, Verdict

CONTROLS = tuple(all_controls().values())[:3]
PLAN = Plan(CONTROLS, datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC))


def opened(path: Path) -> RunDirectory:
    return RunDirectory(path, Run("id", "2026-11-23T01:02:03Z"), CONTROLS, SiteRecord())


def outcome(path: Path) -> dict[str, Any]:
    """What a run says of each host, but for how long it took."""
    found: dict[str, Any] = {
        host.name: [host.status, host.reason, host.totals] for host in read_run(path).hosts
    }
    for verdict in read_verdicts(path):
        found[verdict.host].append(verdict)
    return found


@pytest.mark.parametrize(
    "executor",
    [ThreadPoolExecutor, ProcessPoolExecutor, lambda at_once: ProcessCrew(2, at_once)],
    ids=["threads", "processes", "crew"],
)
@pytest.mark.parametrize("at_once", [1, 3])
def test_verdicts_are_the_same_on_every_executor(
    tmp_path: Path, subjects: list[Subject], executor: Any, at_once: int
) -> None:
    plain = opened(tmp_path / "plain")
    for each in subjects:
        found = audit_host(each, PLAN)
        plain.add(found.record, found.verdicts, found.evidence)
    run = opened(tmp_path / "run")
    audit(subjects, PLAN, run, executor(at_once), at_once=at_once)
    assert outcome(run.path) == outcome(plain.path)
    assert len(outcome(run.path)) == len(subjects)
    assert read_run(run.path).finished


def dies(number: int) -> int:
    if number == 2:
        os._exit(9)
    time.sleep(0.1)
    return number


def test_a_process_that_dies_takes_only_its_own_tasks_with_it() -> None:
    crew = ProcessCrew(2, 4)
    futures = [crew.submit(dies, number) for number in range(8)]
    found = [type(each.exception()) if each.exception() else each.result() for each in futures]
    # Tasks go to the processes in turn.
    assert found == [BrokenExecutor, 1, BrokenExecutor, 3, BrokenExecutor, 5, BrokenExecutor, 7]
    assert crew.submit(dies, 9).result() == 9
    crew.shutdown()
    with pytest.raises(BrokenExecutor):
        crew.submit(dies, 1)


def test_a_crew_tells_of_what_cannot_be_pickled_and_of_what_a_task_raises() -> None:
    crew = ProcessCrew(1, 1)
    failing = [crew.submit(lambda: 1), crew.submit(threading.Lock), crew.submit(int, "x")]
    assert all(each.exception(5) for each in failing)
    assert isinstance(failing[2].exception(), ValueError)
    crew.shutdown()


class Unreadable(Exception):
    """Is pickled with one argument, and made with two."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")


def raises() -> None:
    raise Unreadable("odd", "error")


def test_an_error_that_no_pickle_gives_back_leaves_nobody_waiting() -> None:
    crew = ProcessCrew(1, 2)
    assert str(crew.submit(raises).exception(5)) == "Unreadable: odd: error"
    assert crew.submit(dies, 1).result(5) == 1
    crew.shutdown()


class Fragile(Executor):
    """An executor whose worker dies of one host, and takes a neighbour with it."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        inner = ThreadPoolExecutor(1)
        if args[0].target.name in ("web2", "web3"):
            raise BrokenExecutor("died")
        return inner.submit(fn, *args, **kwargs)


def test_hosts_of_a_dead_worker_are_audited_again_alone(
    tmp_path: Path, subjects: list[Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that kills its worker is named, its neighbour is not lost."""
    real = module._audit

    def kills(subject: Subject, *rest: Any) -> Any:
        if subject.target.name == "web2":
            os._exit(1)
        return real(subject, *rest)

    monkeypatch.setattr(module, "_audit", kills)
    run = opened(tmp_path / "run")
    audit(subjects[2:4], PLAN, run, Fragile(), at_once=2)
    found = {each.name: each for each in read_run(run.path).hosts}
    assert (found["web2"].status, found["web3"].status) == ("unreachable", "audited")
    assert "died, twice" in found["web2"].reason


def test_a_host_that_takes_too_long_is_cut_off(
    tmp_path: Path, subjects: list[Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = module._audit

    def slow(subject: Subject, *rest: Any) -> Any:
        time.sleep(60 if subject.target.name == "web1" else 0)
        return real(subject, *rest)

    monkeypatch.setattr(module, "_audit", slow)
    monkeypatch.setattr(module, "LATE_SECONDS", 0.1)
    run, plan = opened(tmp_path / "run"), Plan(CONTROLS, PLAN.started, host_seconds=1)
    began = time.monotonic()
    audit(subjects, plan, run, ThreadPoolExecutor(2), at_once=2)
    assert time.monotonic() - began < 20
    found = {each.name: each for each in read_run(run.path).hosts}
    assert (found["web1"].status, found["web2"].status) == ("unreachable", "audited")
    assert "took more than 1 s (--host-timeout)" in found["web1"].reason


@pytest.mark.parametrize(
    ("kind", "times"), [("lost", 4), ("refused", 2), ("host-key", 1), ("authentication", 1)]
)
def test_only_connecting_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, kind: str, times: int
) -> None:
    tried = []

    def refuses(*_: Any, **__: Any) -> None:
        tried.append(1)
        raise Unreachable(kind, "no")

    monkeypatch.setattr(module, "connect", refuses)
    monkeypatch.setattr(module, "PAUSE", 0.001)
    found = audit_host(Subject(parse_spec("ssh://web1")), PLAN)
    assert (found.record.status, len(tried)) == ("unreachable", times)


def test_a_torn_end_is_no_finished_host(tmp_path: Path, subjects: list[Subject]) -> None:
    """As kill -9 leaves it: verdicts without a host's line, and a line that is cut off."""
    run = opened(tmp_path / "run")
    for each in subjects[1:4]:
        found = audit_host(each, PLAN)
        run.add(found.record, found.verdicts, found.evidence)
    whole = outcome(run.path)
    torn = audit_host(subjects[4], PLAN)
    lines = (run.path / "verdicts.jsonl").read_text().splitlines(keepends=True)
    with (run.path / "verdicts.jsonl").open("a") as file:
        file.write(lines[0].replace("web1", torn.record.name) + lines[1][:30])
    with (run.path / "hosts.jsonl").open("a") as file:
        file.write('{"name": "web4", "tar')
    assert [each.name for each in read_run(run.path).hosts] == ["web1", "web2", "web3"]
    assert "web4" in {each.host for each in read_verdicts(run.path)}
    again = RunDirectory.reopen(run.path, CONTROLS)
    assert outcome(again.path) == whole
    again.add(torn.record, torn.verdicts, torn.evidence)
    again.finish(PLAN.started)
    assert list(outcome(run.path)) == ["web1", "web2", "web3", "web4"]
    assert not (run.path / "hosts.jsonl").exists()
    with pytest.raises(ValueError, match="is finished"):
        RunDirectory.reopen(run.path, CONTROLS)


CHOSEN = [word for each in CONTROLS for word in ("--control", each.id)]


def test_resuming_gives_what_an_undisturbed_run_gives(
    specs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["audit", *CHOSEN, "--report-dir", "whole", *specs])
    main(["audit", *CHOSEN, "--report-dir", "torn", *specs])
    document = read_document(Path("torn"))
    hosts = document["hosts"]
    document["run"]["finished"], document["hosts"] = None, []
    Path("torn/run.json").write_text(json.dumps(document))
    Path("torn/hosts.jsonl").write_text("".join(json.dumps(each) + "\n" for each in hosts[:2]))
    targets = [{**_target(spec), "name": f"web{number}"} for number, spec in enumerate(specs, 1)]
    Path("torn/targets.json").write_text(json.dumps(targets))
    capsys.readouterr()
    assert main(["audit", "--resume", "torn"]) == code
    said = capsys.readouterr()
    assert said.err.count(": 3 unknown") == 4, said.err
    assert outcome(Path("torn")) == outcome(Path("whole"))
    assert read_run(Path("torn")).started == document["run"]["started"]
    assert main(["verify", "torn"]) == 0
    assert main(["audit", "--resume", "torn"]) == 2
    assert "there is nothing to go on with" in capsys.readouterr().err


def _target(spec: str) -> dict[str, Any]:
    from hullcheck.run.resume import _document

    return _document(parse_spec(spec))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--resume", "nowhere"], "is no readable run directory"),
        (["--resume", "x", "local://"], "leave out hosts"),
        (["--resume", "x", "--policy", "p.yml", "--sudo"], "leave out policy, sudo"),
        (["local://", "--shard", "0/3"], "such as 3/16"),
        (["local://", "--shard", "4/3"], "such as 3/16"),
        (["local://", "--shard", "one"], "such as 3/16"),
        (["local://", "--scheduler", "tcp://127.0.0.1:9"], "there is no scheduler"),
        (["paramiko://u:pw@h", "--scheduler", "tcp://127.0.0.1:9"], "only through tls://"),
    ],
)
def test_wrong_usage(
    argv: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hullcheck.run.executors.PATIENCE", 0.5)
    assert main(["audit", *argv]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress() -> None:
    records = [HostRecord("a", "a", "audited", totals={"fail": 1}),
               HostRecord("b\x1b[2J", "b", "unreachable", "gone")]  # fmt: skip
    piped, moving = io.StringIO(), Terminal()
    for stream in (piped, moving):
        progress = Progress(4, stream)
        for number, each in enumerate(records):
            progress(each, 2 - number)
        progress(None, 1)
        progress.close()
    assert piped.getvalue() == "a: 1 fail\nb\\x1b[2J: UNREACHABLE: gone\n"
    assert "2J" not in moving.getvalue()
    progress._begun = time.monotonic() - 4
    told = progress.told(1)
    assert told.startswith("2 of 4 hosts, 1 running, 1 failing, 1 lost, 2.0 s a host, 0:04 left")


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("workers", ["threads", "processes"])
def test_a_signal_keeps_what_is_finished(
    tmp_path: Path, specs: list[str], sent: int, code: int, workers: str
) -> None:
    """One host listens and never says a word; the others are done when the signal comes."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "hullcheck", "audit", *CHOSEN, "--report-dir", "run",
             "--workers", workers, "--connect-timeout", "100",
             f"paramiko://root@127.0.0.1:{port}", *specs],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )  # fmt: skip
        assert process.stderr
        for _ in specs:
            assert "unknown" in process.stderr.readline()
        process.send_signal(sent)
        began = time.monotonic()
        out, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert time.monotonic() - began < 15
    assert "go on with: hullcheck audit --resume run" in err
    assert "The run was not finished" in out
    run = json.loads(Path("run/run.json").read_text())
    assert len(run["hosts"]) == len(specs)
    assert run["run"]["finished"] is None
    assert "127.0.0.1" in Path("run/targets.json").read_text()


def test_a_fleets_table_is_the_same_from_statuses_alone(tmp_path: Path) -> None:
    from hullcheck.benchmarks import load_benchmark
    from hullcheck.report import table

    run = opened(tmp_path / "run")
    for number in range(table._DETAILED + 1):
        verdicts = [Verdict(f"h{number}", each.id, Status.FAIL if number % 3 else Status.PASS, "r")
                    for each in CONTROLS]  # fmt: skip
        record = HostRecord(f"h{number}", "t", "audited", totals={"fail": 3} if number % 3 else {})
        run.add(record, verdicts, [])
    benchmark = load_benchmark("cis-docker-1.8.0")
    whole = table.render(read_run(run.path), read_verdicts(run.path), benchmark=benchmark)
    assert table.render_run(run.path, benchmark=benchmark) == whole
    assert "h1, h2, h4, h5, h7 and 9 more" in whole
