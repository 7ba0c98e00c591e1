"""pytest as the operator runs it, on recorded hosts."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.cli import main
from hullcheck.transport.recording import dump
from hullcheck.transport.want import Evidence

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]

CONTROLS = '''
from hullcheck.control import NotApplicable, control, expect
from hullcheck.transport import session_of, want

@control(title="A good one", severity="high", fix="Nothing.")
def test_good(host):
    """Why."""
    expect(session_of(host).ask(want("cat /x"))[0].text, equals="1", what="x")

@control(title="A bad one", severity="high", fix="Make it 2.")
def test_bad(host):
    """Why."""
    expect(session_of(host).ask(want("cat /x"))[0].text, equals="2", what="x")

@control(title="An unknown one", severity="high", fix="Look.")
def test_unknown(host):
    """Why."""
    expect(session_of(host).ask(want("cat /y"))[0].text, equals="2", what="y")

@control(title="Not for this host", severity="high", fix="Look.")
def test_other(host):
    """Why."""
    session_of(host).ask(want("cat /x"))
    raise NotApplicable("no swarm")

def test_plain():
    assert True
'''


@pytest.fixture
def clone(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder with some controls and a recorded host."""
    area = pytester.mkpydir("mychecks") / "runtime"
    area.mkdir()
    (area / "__init__.py").touch()
    (area / "test_some.py").write_text(CONTROLS)
    dump([Evidence("cat /x", 0, b"1", b"")], pytester.path / "web1.jsonl.gz")
    return pytester


def run(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess("mychecks", "-p", "no:cacheprovider", *args)


def test_each_control_is_an_item_per_host_and_the_run_is_kept(clone: pytest.Pytester) -> None:
    done = run(clone, "--hosts=recording://web1.jsonl.gz", "--report-dir=out", "-rs")
    done.assert_outcomes(passed=2, failed=2, skipped=1)
    done.stdout.fnmatch_lines(
        [
            "*fail: A bad one*",
            "*x is 1, expected 2*",
            "*fix: Make it 2.*",
            "*not-applicable: no swarm*",
        ]
    )
    lines = [
        json.loads(each) for each in (clone.path / "out/verdicts.jsonl").read_text().splitlines()
    ]
    assert {each["control"]: each["status"] for each in lines} == {
        "runtime.good": "pass",
        "runtime.bad": "fail",
        "runtime.unknown": "unknown",
        "runtime.other": "not-applicable",
    }
    document = json.loads((clone.path / "out/run.json").read_text())
    assert document["run"]["finished"]
    assert document["hosts"][0]["name"] == "web1"
    done.stdout.no_fnmatch_line("*Traceback*")


def test_selection_with_k_judges_only_what_is_selected(clone: pytest.Pytester) -> None:
    done = run(clone, "--hosts=recording://web1.jsonl.gz", "--report-dir=out", "-k", "good")
    done.assert_outcomes(passed=1, deselected=4)
    assert len((clone.path / "out/verdicts.jsonl").read_text().splitlines()) == 1


def test_two_hosts(clone: pytest.Pytester) -> None:
    shutil.copy("web1.jsonl.gz", "web2.jsonl.gz")
    hosts = "recording://web1.jsonl.gz,recording://web2.jsonl.gz"
    done = run(clone, f"--hosts={hosts}", "--report-dir=out")
    done.assert_outcomes(passed=3, failed=4, skipped=2)


INVENTORY = """\
[recorded]
web[1:3] hullcheck_connection=recording hullcheck_address=web1.jsonl.gz
[recorded:vars]
ansible_password=hunter2
[old]
web3 hullcheck_tags=old
"""


@pytest.mark.parametrize("chosen", ["--limit=recorded:!web3", "--tag=!old"])
def test_an_inventory_drives_pytest_as_it_drives_the_command(
    clone: pytest.Pytester, chosen: str
) -> None:
    clone.makefile("", INVENTORY)
    inventory = next(clone.path.glob("test_an_inventory*"))
    done = run(clone, "--inventory", str(inventory), chosen, "--report-dir=out", "-k", "good")
    done.assert_outcomes(passed=2, deselected=7, warnings=1)
    done.stdout.fnmatch_lines(["*: ansible_password is not used; log in with a key*"])
    assert main(["audit", "-i", str(inventory), chosen, "--report-dir=out2",
                 "--control=engine.warnings"]) == 3  # fmt: skip
    names = [
        {host["name"] for host in json.loads((clone.path / each / "run.json").read_text())["hosts"]}
        for each in ("out", "out2")
    ]
    assert names == [{"web1", "web2"}, {"web1", "web2"}]
    assert not any(b"hunter2" in file.read_bytes() for file in clone.path.glob("out*/*.json*"))


def test_a_mistake_in_an_inventory_is_told_once(clone: pytest.Pytester) -> None:
    shutil.copytree("mychecks/runtime", "mychecks/engine")
    clone.makefile(".yml", hosts="hosts:\n  web1: {prot: 22}\n")
    done = run(clone, "--inventory=hosts.yml")
    assert done.ret == 2
    assert done.stdout.str().count("hosts.yml:2: web1 has no key 'prot'; did you mean") == 1
    assert not Path("reports").exists()


def test_collecting_writes_and_contacts_nothing(clone: pytest.Pytester) -> None:
    done = run(clone, "--hosts=ssh://host.invalid", "--collect-only", "-q")
    done.stdout.fnmatch_lines(["*test_good?host.invalid?*"])
    assert not Path("reports").exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--hosts=shh://web1"], "*shh*"),
        (["-i", "none.yml"], "*none.yml*"),
        (["--hosts=recording://web1.jsonl.gz", "--benchmark=cis"], "*benchmark*cis*"),
        (["--hosts=recording://web1.jsonl.gz", "--report-dir=mychecks"], "*mychecks*empty*"),
    ],
)
def test_bad_input_ends_with_2_and_one_sentence(
    clone: pytest.Pytester, args: list[str], words: str
) -> None:
    done = run(clone, *args)
    assert done.ret == 2
    output = done.stdout.str() + done.stderr.str()
    assert "Traceback" not in output
    assert any(fnmatch(line, words) for line in output.splitlines()), output
    assert not Path("reports").exists()


def test_an_unreachable_host_fails_the_session_once(clone: pytest.Pytester) -> None:
    done = run(clone, "--hosts=paramiko://127.0.0.1:9", "--report-dir=out")
    done.assert_outcomes(passed=1, failed=1, skipped=3)
    done.stdout.fnmatch_lines(["*127.0.0.1:9 is unreachable: *refused*"])
    assert (
        json.loads((clone.path / "out/run.json").read_text())["hosts"][0]["status"] == "unreachable"
    )


def test_the_projects_own_tests_are_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(): pass")
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    done.assert_outcomes(passed=1)
    assert not (pytester.path / "reports").exists()
    done.stdout.no_fnmatch_line("*hullcheck*table*")


def test_facts_are_fixtures_of_ordinary_tests(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_it(kernel, host):
            assert kernel.release == host.run("uname -r").stdout.strip()
        """
    )
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--hosts=local://")
    done.assert_outcomes(passed=1)


def test_from_the_clone_only_the_controls_run(tmp_path: Path) -> None:
    """Even where pytest takes an option's value for a test, and so misses our settings."""
    elsewhere = tmp_path / "ssh_config"
    elsewhere.touch()
    for options in ([], ["--ssh-config", str(elsewhere)]):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--co", "-q", "-p", "no:cacheprovider", *options],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        found = [line for line in done.stdout.splitlines() if "::" in line]
        assert len(found) == len(all_controls())
        folders = {line.partition("::")[0].rpartition("/")[0].rpartition("/")[2] for line in found}
        assert folders == {each.area for each in all_controls().values()}


def test_what_a_host_says_reaches_no_terminal_alive(clone: pytest.Pytester) -> None:
    controls = CONTROLS.replace('NotApplicable("no swarm")', 'NotApplicable("no \\x1b[2Jswarm")')
    (clone.path / "mychecks/runtime/test_some.py").write_text(controls)
    dump([Evidence("cat /x", 0, b"\x1b]0;owned\x07", b"")], clone.path / "web1.jsonl.gz")
    done = run(clone, "--hosts=recording://web1.jsonl.gz", "--report-dir=out", "-rs")
    assert "\x1b" not in done.stdout.str()
    assert "\x07" not in done.stdout.str()
    done.stdout.fnmatch_lines(["*no \\x1b?2Jswarm*"])


def test_a_cluster_has_only_what_is_about_clusters(clone: pytest.Pytester) -> None:
    done = run(clone, "--hosts=kubernetes://prod", "--collect-only", "-q")
    done.stdout.fnmatch_lines(["*test_plain*", "1 test collected*"])
