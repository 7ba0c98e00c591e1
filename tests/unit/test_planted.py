"""What a user of the host plants for the audit, which looks at it with root's rights."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hullcheck.facts.bundles import LIST

TASK = "io.containerd.runtime.v2.task"
RUNS = "-execdir sh run ;"


@pytest.mark.parametrize("name", [TASK, f"{TASK} {RUNS}", f"{TASK}\nroot 0:0 0 {RUNS}"])
def test_directories_of_a_process_that_poses_as_a_shim_are_no_words_of_a_command(
    tmp_path: Path, name: str
) -> None:
    for each in (TASK, name):
        bundle = tmp_path / each / "n" / "id"
        bundle.mkdir(parents=True, exist_ok=True)
        (bundle / "config.json").touch()
        (bundle / "run").write_text(f": >'{tmp_path}/ran'\n")
    shim = shutil.copy(shutil.which("sleep") or "", tmp_path / "containerd-shim")
    with subprocess.Popen([shim, "60"], cwd=tmp_path / TASK / "n" / "id") as process:
        try:
            done = subprocess.run(
                ["sh", "-c", LIST.command], stdin=subprocess.DEVNULL, capture_output=True, text=True
            )
        finally:
            process.kill()
    own = [line for line in done.stdout.splitlines() if f"/proc/{process.pid}/cwd/" in line]
    assert own, done
    assert {line.split("/../../../")[1].split("/")[0] for line in own} == {TASK}
    assert not (tmp_path / "ran").exists()
