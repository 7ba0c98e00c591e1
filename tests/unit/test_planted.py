"""What a user of the host plants for the audit, which looks at it with root's rights."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from hullcheck.control import Unknown
from hullcheck.facts import get
from hullcheck.facts.bundles import HERE, LIST, bundles
from hullcheck.facts.podman.store import Store
from tests.unit.container_fake import APP, Fake, fake_host, inspect
from tests.unit.fake import Reply

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
                ["sh", "-c", LIST.command],
                check=False,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
        finally:
            process.kill()
    own = [line for line in done.stdout.splitlines() if f"/proc/{process.pid}/cwd/" in line]
    assert own, done
    assert {line.split("/../../../")[1].split("/")[0] for line in own} == {TASK}
    assert not (tmp_path / "ran").exists()


LOOP = "stat: cannot statx '/proc/{}/cwd/../../../x': Too many levels of symbolic links\n"


@pytest.mark.parametrize(
    ("complaint", "blind"),
    [
        ("find: '/run/user/1001/runc': Permission denied\n", False),
        ("find: /run/user/1001/runc: Permission denied\n", False),
        (LOOP.format(200), False), (LOOP.format(60), True), (LOOP.format(61), True),
        ("find: '/run/runc': Permission denied\n", True),
    ],
)  # fmt: skip
def test_a_users_places_do_not_blind_the_audit_of_others(complaint: str, blind: bool) -> None:
    shim = Fake(60, name="containerd-shim", uid=0, nested=False)
    own = Fake(200, name="containerd-shim", nested=False)
    answers: dict[str, Reply] = {LIST.command: (0, "", complaint), HERE.command: "4:1\n"}
    host = fake_host([], shim, own, answers=answers)
    if blind:
        with pytest.raises(Unknown, match="cannot be listed"):
            bundles(host)
    else:
        assert bundles(host) == []


def test_a_users_damaged_store_hides_nothing_of_others() -> None:
    store = Store("/home/eve/s", "/r", 1001, "eve", True, (), "it is damaged")
    host = fake_host([inspect("app", 100)], Fake(100, APP), seeds={"podman_stores": [store]})
    assert [each.name for each in get(host, "containers")] == ["app"]
    of_root = replace(store, uid=0)
    host = fake_host([inspect("app", 100)], Fake(100, APP), seeds={"podman_stores": [of_root]})
    with pytest.raises(Unknown, match="damaged"):
        get(host, "containers")
