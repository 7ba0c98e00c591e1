"""The main job, as its users do it: audit real hosts, by the command and by pytest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from testinfra.host import Host

from hullcheck.catalogue import all_controls
from hullcheck.judge import Site, gather, judge
from hullcheck.run.directory import read_run, read_verdicts
from hullcheck.run.replay import rejudge
from hullcheck.schemas import schema
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from tests.live.hosts.docker import DockerHost
from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.population import populate

pytestmark = pytest.mark.live
ROOT = Path(__file__).parents[2]
FEW = ("--control=runtime.capabilities", "--control=engine.api-socket-mode")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerHost]:
    """A host with a dockerd and three containers: a sound one, a faulty one, one that hides."""
    with DockerHost("audited", bridge=False) as made:
        populate(made, quiet=True)
        yield made


def hullcheck(*args: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    return run([sys.executable, "-m", "hullcheck", *args], cwd)


def run(argv: list[str], cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    return subprocess.run(
        argv, cwd=cwd, env=environment, capture_output=True, text=True, timeout=170, check=False
    )


def specs(host: OverlayHost, scheme: str = "paramiko") -> list[str]:
    return [f"{scheme}://{host.name}", "--ssh-config", str(host.ssh_config)]


def lines(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "verdicts.jsonl").read_text().splitlines()]


def statuses(directory: Path) -> dict[tuple[str, str], str]:
    return {(each["host"], each["control"]): each["status"] for each in lines(directory)}


@pytest.fixture(scope="module")
def audited(host: DockerHost, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of one audit over SSH."""
    directory = tmp_path_factory.mktemp("run") / "cli"
    mark = host.mark()
    done = hullcheck("audit", *specs(host), "--report-dir", str(directory))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert host.written(mark) == [], "law 6: an audit writes nothing"
    (directory.parent / "table").write_text(done.stdout)
    return directory


def test_the_run_directory_is_as_the_contract_says(audited: Path) -> None:
    document = json.loads((audited / "run.json").read_text())
    jsonschema.validate(document, schema("run"))
    found = lines(audited)
    for each in found:
        jsonschema.validate(each, schema("verdict"))
    record = document["hosts"][0]
    evidence = (audited / record["recording"]).exists()
    assert (record["status"], evidence, document["run"]["finished"] is None) == (
        "audited",
        True,
        False,
    )
    assert len(found) == len(all_controls()) == len(document["controls"])
    assert record["totals"] == document["totals"]
    assert sum(record["totals"].values()) == len(found)
    assert record["facts"]["engines"][0]["name"] == "docker"
    assert record["commands"] >= max(max(each["evidence"], default=0) for each in found)


def test_no_control_breaks_and_every_verdict_rests_on_evidence(audited: Path) -> None:
    found = lines(audited)
    assert [each for each in found if each["status"] == "error"] == []
    assert [each["control"] for each in found if not each["evidence"]] == []


def test_the_table_names_what_fails_and_why(audited: Path) -> None:
    table = (audited.parent / "table").read_text()
    assert "\x1b" not in table
    for each in lines(audited):
        if each["status"] == "fail" and each["control"].startswith("engine."):
            assert each["reason"].split()[0][:12] in table


def test_pytest_gives_the_same_verdicts(host: DockerHost, audited: Path, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    config = str(host.ssh_config)
    done = run(
        [sys.executable, "-m", "pytest", "-q", f"--hosts=ssh://{host.name}", "--ssh-config", config,
         "--report-dir", str(directory), "-p", "no:cacheprovider"],
    )  # fmt: skip
    assert done.returncode == 1, done.stdout[-3000:] + done.stderr
    assert statuses(directory) == statuses(audited)
    jsonschema.validate(json.loads((directory / "run.json").read_text()), schema("run"))


def test_replay_gives_the_same_verdicts_byte_for_byte(audited: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    done = hullcheck("replay", str(audited), "--report-dir", str(again))
    assert done.returncode == 1, done.stderr
    assert (again / "verdicts.jsonl").read_bytes() == (audited / "verdicts.jsonl").read_bytes()


def test_a_recording_is_a_host_like_any_other(audited: Path, tmp_path: Path) -> None:
    recording = audited / json.loads((audited / "run.json").read_text())["hosts"][0]["recording"]
    directory = tmp_path / "run"
    hullcheck("audit", f"recording://{recording}", "--report-dir", str(directory))
    assert statuses(directory) == statuses(audited)


@pytest.mark.parametrize(
    ("kind", "plain"),
    [("host", "ssh"), ("systemd_v1", "paramiko"), ("systemd_v2", "ssh"),
     ("overlay_host", "paramiko")],
)  # fmt: skip
def test_gathered_plain_and_replayed_verdicts_are_the_same(
    kind: str, plain: str, request: pytest.FixtureRequest
) -> None:
    """The property of every host: asked one by one (all on one host, which takes long, every
    third on the others), gathered by both clients, and replayed."""
    live: OverlayHost = request.getfixturevalue(kind)
    site = Site(live.name)
    controls = list(all_controls().values())
    plainly = reached(live, plain)
    asked = controls if kind == "systemd_v2" else controls[::3]
    one_by_one = [judge(each, plainly, site) for each in asked]
    session_of(plainly).close()
    for scheme in ("paramiko", "ssh"):
        gathered = reached(live, scheme)
        gather(controls, gathered, site)
        together = [judge(each, gathered, site) for each in controls]
        session = session_of(gathered)
        session.close()
        assert session.late == 0, "nothing is asked while judging"
        assert session.rounds <= 6
        assert rejudge(session.recording, controls, site, ()) == together
        statuses = {each.control: each.status for each in together}
        assert {each.control: each.status for each in one_by_one}.items() <= statuses.items()


def reached(host: OverlayHost, scheme: str) -> Host:
    return connect(replace(parse_spec(f"{scheme}://{host.name}"), ssh_config=host.ssh_config))


def test_several_hosts_with_a_dead_one(host: DockerHost, tmp_path: Path) -> None:
    """A dead host is a reason, and stops nothing."""
    inventory = tmp_path / "fleet.yml"
    inventory.write_text(
        f"defaults: {{ssh_config: {host.ssh_config}}}\n"
        f"hosts:\n  {host.name}: {{}}\n  dead: {{address: 127.0.0.1, port: 9}}\n"
    )
    directory = tmp_path / "run"
    done = hullcheck("audit", "-i", str(inventory), *FEW, "--report-dir", str(directory))
    assert done.returncode == 1
    assert "dead" in done.stdout
    assert "refused" in done.stdout
    run_ = read_run(directory)
    assert {each.name: each.status for each in run_.hosts} == {
        host.name: "audited",
        "dead": "unreachable",
    }
    assert {each.host for each in read_verdicts(directory)} == {host.name}
    only_dead = hullcheck(
        "audit", "-i", str(inventory), "--limit", "dead", *FEW,
        "--report-dir", str(tmp_path / "dead"),
    )  # fmt: skip
    assert only_dead.returncode == 3


def test_an_auditor_without_root_gets_no_pass_that_root_does_not(
    host: DockerHost, audited: Path, tmp_path: Path
) -> None:
    """Law 1 on a real host: what cannot be seen is unknown."""
    host.add_user("auditor")
    # useradd gives everybody ranges of their own, of which root's audit knew nothing.
    host.run("sed -i /^auditor:/d /etc/subuid /etc/subgid")
    directory = tmp_path / "run"
    done = hullcheck("audit", f"paramiko://auditor@{host.name}", "--ssh-config",
                     str(host.ssh_config), "--report-dir", str(directory))  # fmt: skip
    assert done.returncode in (1, 3), done.stderr
    seen, truth = statuses(directory), statuses(audited)
    wrong = {
        control: (status, truth[name, control])
        for (name, control), status in seen.items()
        if status in ("pass", "not-applicable") and truth[name, control] not in (status, "pass")
    }
    assert wrong == {}
    assert "unknown" in seen.values()
