"""A real Dask scheduler with two worker processes: the same verdicts, and what goes wrong there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.cli import main
from hullcheck.transport.recording import dump
from hullcheck.transport.want import Evidence
from tests.unit.test_fleet import outcome

ROOT = Path(__file__).parents[2]
CHOSEN = [word for each in list(all_controls())[:3] for word in ("--control", each)]
NAMED = re.compile(r"tcp://127\.0\.0\.1:\d+")


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A scheduler on a free port of loopback, with two workers of two threads."""
    home = tmp_path_factory.mktemp("cluster")
    dask = [sys.executable, "-m", "distributed.cli.dask_"]
    started = [started_by([*dask[:2], "distributed.cli.dask_scheduler", "--host", "127.0.0.1",
                           "--port", "0", "--no-dashboard"], home)]  # fmt: skip
    try:
        address = said(started[0], "Scheduler at:")
        for _ in range(2):
            worker = [*dask[:2], "distributed.cli.dask_worker", address, "--nthreads", "2",
                      "--no-dashboard", "--local-directory", str(home)]  # fmt: skip
            started.append(started_by(worker, home))
        for each in started[1:]:
            said(each, "Registered to:")
        yield address
    finally:
        for each in reversed(started):
            each.terminate()
            each.wait(20)


def started_by(argv: list[str], home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(home), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def said(process: subprocess.Popen[str], what: str) -> str:
    assert process.stderr
    for line in process.stderr:
        if what in line:
            found = NAMED.search(line)
            return found[0] if found else ""
    raise AssertionError(f"it never said {what}")


def test_verdicts_of_a_cluster_are_those_of_one_machine(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    specs = []
    for number in range(9):
        dump([Evidence("uname -r", 0, b"6.%d\n" % number, b"")], Path(f"web{number}.jsonl.gz"))
        specs.append(f"recording://{tmp_path}/web{number}.jsonl.gz")
    specs.append("paramiko://root@127.0.0.1:9")
    code = main(["audit", *CHOSEN, "--report-dir", "here", *specs])
    argv = ["audit", *CHOSEN, "--report-dir", "there", "--scheduler", scheduler, *specs]
    assert main(argv) == code
    assert outcome(Path("there")) == outcome(Path("here"))
    assert main(["verify", "there"]) == 0
