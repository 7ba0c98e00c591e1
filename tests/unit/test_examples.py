"""What the documentation tells people to type is what the command takes, and examples are valid."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hullcheck.cli import EXAMPLES, parser
from hullcheck.commands.sudoers import entry
from hullcheck.run.options import UsageError

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FOLDER = DOCS / "examples"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted(FOLDER.iterdir())]
STARTS = re.compile(r"(?:^|[\s'\"/`=(])hullcheck(?= +(?:[a-z]|--[a-z]))")
PLAIN = re.compile(r".*(?=/bin/hullcheck )")
"""In files that are neither pages nor YAML: the account has the same name as the command."""

WORDS = {"N": "4", "SECONDS": "60", "I/N": "1/4", "F": "html"}
"""What stands for a value in the text, where not every value will do."""


def lines(path: Path) -> Iterator[str]:
    """Yield what may hold a command: lines of code, and in YAML the texts and lists of words."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".yml":
        for document in yaml.safe_load_all(text):
            for each in texts(document):
                yield from each.replace("\\\n", " ").splitlines()
    elif path.suffix == ".md":
        blocks = re.findall(r"^```.*?\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        for block in blocks:
            yield from block.replace("\\\n", " ").splitlines()
        yield from re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"```.*?```", "", text, flags=re.S))
    else:
        for line in text.replace("\\\n", " ").splitlines():
            if found := PLAIN.match(line):
                yield line[found.end() :]


def texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        words = [*(node.get("command") or ()), *(node.get("args") or ())]
        if words[:1] == ["hullcheck"]:
            yield shlex.join(words)
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)


def commands(line: str) -> Iterator[list[str]]:
    """Yield the arguments of each ``hullcheck …`` in a line, what is variable made plain."""
    for start in STARTS.finditer(line):
        rest = re.sub(r"\$\(\(.*?\)\)|\$\(.*?\)|\$\{?\w+\}?", "1", line[start.end() :])
        rest = re.split(r"\s{3,}(?=[a-z])|`", rest)[0]
        rest = re.sub(r"[\[\]…]|\.\.\.", "", rest)
        if rest.count("'") % 2 or rest.count('"') % 2:
            rest = rest.rstrip("'\"")
        lexer = shlex.shlex(rest, posix=True, punctuation_chars="();<>|&")
        lexer.whitespace_split = True
        words = list(lexer)
        end = next((at for at, word in enumerate(words) if set(word) <= set("();<>|&")), len(words))
        yield [WORDS.get(word, word) for word in words[:end]]


FOUND = [
    (path.name, words)
    for path in PAGES
    if path.name != "controls.md"
    for line in lines(path)
    for words in commands(line)
] + [("--help", words) for line in EXAMPLES.splitlines() for words in commands(line)]


def test_commands_are_found() -> None:
    told = {words[0] for _, words in FOUND}
    assert {"audit", "controls", "merge", "report", "replay", "sudoers", "verify", "waive"} <= told
    assert len(FOUND) > 30


@pytest.mark.parametrize(("page", "words"), FOUND, ids=lambda each: str(each)[:80])
def test_the_command_takes_what_the_pages_say(
    page: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    whole = len(words) > 1 or words[0] in ("controls", "sudoers")
    try:
        parser().parse_args(words if whole else [*words, "--help"])
    except SystemExit as ended:
        assert ended.code == 0, f"{page}: {capsys.readouterr().err}"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gitlab-ci.yml", ["vendor.gitlab-ci", "--data-transform", "gitlab-ci"]),
        ("github-workflow.yml", ["vendor.github-workflows"]),
    ],
)
def test_ci_examples_are_valid_by_their_published_schemas(name: str, options: list[str]) -> None:
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", *options]
    done = subprocess.run([*argv, FOLDER / name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["kubernetes-cronjob.yml", "kubernetes-shards.yml"])
def test_pods_hold_together_and_are_confined(name: str) -> None:
    """Checked once with kubernetes-validate 1.37 --strict; here, what that does not look at."""
    documents = list(yaml.safe_load_all((FOLDER / name).read_text()))
    claims = {each["metadata"]["name"] for each in documents if each["kind"].endswith("Claim")}
    pods = [pod for each in documents for pod in specs(each)]
    assert pods
    for pod in pods:
        assert pod["restartPolicy"] == "Never"
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        volumes = {each["name"]: each for each in pod["volumes"]}
        used = {each["persistentVolumeClaim"]["claimName"] for each in volumes.values()
                if "persistentVolumeClaim" in each}  # fmt: skip
        assert used <= claims
        for container in pod["containers"]:
            assert {each["name"] for each in container["volumeMounts"]} == volumes.keys()
            inner = container["securityContext"]
            assert inner["readOnlyRootFilesystem"] is True
            assert inner["allowPrivilegeEscalation"] is False
            assert inner["capabilities"] == {"drop": ["ALL"]}
            assert not container["image"].endswith(("latest", "hullcheck"))


def specs(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "containers" in node:
            yield node
        for value in node.values():
            yield from specs(value)


def test_shards_and_merge_are_of_one_size() -> None:
    jobs = [each for each in yaml.safe_load_all((FOLDER / "kubernetes-shards.yml").read_text())
            if each["kind"] == "Job"]  # fmt: skip
    sizes = {int(env["value"]) for job in jobs for pod in specs(job)
             for env in pod["containers"][0]["env"] if env["name"] == "SHARDS"}  # fmt: skip
    assert sizes == {jobs[0]["spec"]["completions"]} == {8}


def test_the_shards_scripts_make_one_run(tmp_path: Path) -> None:
    """The pods' scripts as they stand, on hosts that refuse: a lost pod goes on, none is missed."""
    (tmp_path / "bin").mkdir()
    shim = tmp_path / "bin" / "hullcheck"
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m hullcheck "$@"\n')
    shim.chmod(0o755)
    (tmp_path / "ssh_config").write_text("")
    names = ", ".join(f"web{number}: {{address: 127.0.0.1, port: 1}}" for number in range(3))
    (tmp_path / "inventory.yml").write_text(f"hosts: {{{names}}}\n")
    documents = yaml.safe_load_all((FOLDER / "kubernetes-shards.yml").read_text())
    audit, merge = [
        pod["containers"][0]["args"][0]
        .replace("/etc/hullcheck", str(tmp_path))
        .replace("/runs/all", str(tmp_path / "all"))
        for each in documents
        for pod in specs(each)
    ]

    def run(script: str, index: int) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{shim.parent}:/usr/bin:/bin", "PYTHONPATH": str(ROOT), "SHARDS": "2",
            "RUN": str(tmp_path / "run"), "JOB_COMPLETION_INDEX": str(index),
        }  # fmt: skip
        return subprocess.run(["/bin/sh", "-c", script], env=environment, capture_output=True,
                              text=True, check=False, timeout=120)  # fmt: skip

    for index in range(2):
        done = run(audit, index)
        assert done.returncode == 0, done.stderr
    done = run(merge, 0)
    assert done.returncode == 3, done.stderr
    assert "3 hosts lost" in done.stderr
    assert "3 of 3 hosts lost" in (tmp_path / "all" / "tonight" / "summary.txt").read_text()
    (tmp_path / "inventory.yml").write_text("hosts: 5\n")
    assert run(audit, 0).returncode == 1, "no audit is no success"


@pytest.mark.parametrize("name", sorted(each.name for each in FOLDER.glob("*.sh")))
def test_scripts_are_posix(name: str) -> None:
    subprocess.run(["dash", "-n", FOLDER / name], check=True)


def test_cron_has_one_line_of_six_fields_and_a_user() -> None:
    text = (FOLDER / "hullcheck.cron").read_text()
    jobs = [line for line in text.splitlines() if re.match(r"[\d*]", line)]
    assert len(jobs) == 1
    assert jobs[0].split(maxsplit=6)[:6] == ["15", "2", "*", "*", "*", "hullcheck"]
    assert "%" not in jobs[0], "cron ends a command there"


@pytest.mark.parametrize(
    ("user", "to"),
    [("root", "root"), ("ALL", "root"), ("a b", "root"), ("x ALL=(ALL) NOPASSWD: ALL\n#", "root"),
     ("%wheel", "root"), ("", "root"), ("audit", "ALL"), ("audit", "root) NOPASSWD: ALL #")],
)  # fmt: skip
def test_no_other_name_gets_into_sudoers(user: str, to: str) -> None:
    with pytest.raises(UsageError):
        entry(user, to)


def test_the_entry_follows_the_names() -> None:
    text = entry("audit.1", "inspector")
    assert "audit.1 ALL=(inspector) NOPASSWD:NOSETENV: /bin/sh -s" in text.splitlines()
    assert 'command="sudo -n -u inspector /bin/sh -s"' in text
