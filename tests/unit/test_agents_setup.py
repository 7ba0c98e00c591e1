"""Runners of GitHub and Azure, Buildkite's agents, and what their jobs leave behind."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from checks.build.test_agents import test_agent_groups as groups
from checks.build.test_agents import test_agent_unprivileged as unprivileged
from checks.build.test_runner_folders import test_buildkite_ephemeral as buildkite_ephemeral
from checks.build.test_runner_folders import test_buildkite_limits as limits
from checks.build.test_runner_folders import test_runner_ephemeral as ephemeral
from checks.build.test_runner_folders import test_runner_steering as steering
from checks.build.test_work_folders import test_checkout_credentials as credentials
from checks.build.test_work_folders import test_old_checkouts as old
from hullcheck.control import Unknown
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.files import File, Files
from hullcheck.facts.readers import readers_of
from hullcheck.facts.registry import Unseen
from hullcheck.facts.runners.agents import BuildAgent
from hullcheck.facts.runners.buildkite import BuildkiteAgent, buildkite_agent, parse_cfg
from hullcheck.facts.runners.folders import RunnerFolder, runner_folder
from hullcheck.facts.runners.places import PLACES, agent_places
from hullcheck.facts.runners.work_folders import WorkFolder, parse_work, work_want
from hullcheck.facts.way import Status
from hullcheck.inventory.policy import Policy
from hullcheck.transport import Answer, Evidence, session_of, want
from tests.unit.fake import host_with
from tests.unit.here import host_here
from tests.unit.judged import outcome

SHELLS = [("/bin/sh",), ("busybox", "sh")]
SECRET = "p1anted-in-C1ear"
SAID = {"agentId": 3, "poolId": 1, "gitHubUrl": "https://github.com/acme", "workFolder": "_work"}


def agent(kind: str, *words: str, uid: int = 995, own: bool | None = True, **more: Any) -> Any:
    process = SimpleNamespace(
        pid=7, uids=(uid,) * 4, gids=(uid,) * 4, groups=frozenset(more.pop("groups", ())),
        name=kind, exe=more.pop("exe", "/opt/r/bin/Runner.Listener"),
    )  # fmt: skip
    return SimpleNamespace(
        kind=kind, arguments=list(words), process=process, own=own, seen=lambda path: path,
        settings=more, __class__=BuildAgent,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (agent("github"), "pass"),
        (agent("github", uid=0), "fail"),
        (agent("jenkins-agent", uid=0, own=False), "fail"),
        (agent("gitlab-runner", uid=0), "not-applicable"),
    ],
)
def test_root(made: Any, expected: str) -> None:
    assert outcome(unprivileged, made) == expected


PASSWD = "root:x:0:0:root:/root:/bin/sh\nci:x:995:995::/home/ci:/bin/sh\n"
GROUP = "root:x:0:\ndocker:x:998:{}\nsudo:x:27:\nci:x:995:\n"


@pytest.mark.parametrize(
    ("made", "members", "trusted", "expected"),
    [
        (agent("github"), "", (), "pass"),
        (agent("github"), "ci", (), "fail"),
        (agent("github"), "ci", ("ci",), "pass"),
        (agent("buildkite", groups={998}), "", (), "fail"),
        (agent("azure", groups={27}), "", (), "fail"),
        (agent("github", own=False, groups={998}), "", (), "not-applicable"),
        (agent("github", groups={12345}), "", (), "pass"),
    ],
)
def test_groups(made: Any, members: str, trusted: tuple[str, ...], expected: str) -> None:
    host = host_with({"getent passwd": PASSWD, "getent group": GROUP.format(members)})
    policy = Policy(trusted_users=trusted)
    assert outcome(groups, made, Accounts(host), policy) == expected


def runner(folder: Path, said: object = None, *agents: Any, kind: str = "github") -> RunnerFolder:
    if said is not None:
        text = "\ufeff" + (said if isinstance(said, str) else json.dumps(said))
        (folder / {"github": ".runner", "azure": ".agent"}[kind]).write_text(text, "utf-8")
    return RunnerFolder(host_here(), kind, str(folder), str(folder), os.getuid(), agents)


@pytest.mark.parametrize(
    ("said", "agents", "kind", "expected"),
    [
        ({**SAID, "ephemeral": True}, (), "github", "pass"),
        ({"AgentId": "3", "Ephemeral": "True", "WorkFolder": "_work"}, (), "github", "pass"),
        (SAID, (), "github", "fail"),
        ({**SAID, "ephemeral": "false"}, (), "github", "fail"),
        (SAID, (agent("github", "Runner.Listener", "run", "--jitconfig", "x"),), "github", "pass"),
        (SAID, (agent("azure", "x", "run", "--once"),), "azure", "pass"),
        (SAID, (agent("azure", "x", "run"),), "azure", "fail"),
        ("{", (), "github", "unknown"),
        ("[" * 3000, (), "github", "unknown"),
        (None, (), "github", "not-applicable"),
    ],
)
def test_one_job_a_life(
    tmp_path: Path, said: object, agents: tuple[Any, ...], kind: str, expected: str
) -> None:
    assert outcome(ephemeral, runner(tmp_path, said, *agents, kind=kind)) == expected


@pytest.mark.parametrize("shell", SHELLS)
def test_what_shapes_jobs(tmp_path: Path, shell: tuple[str, ...]) -> None:
    (tmp_path / ".env").write_text(f"API_TOKEN={SECRET}\nLANG=C\n")
    made = runner(tmp_path, SAID)
    assert outcome(steering, made, Files(made.host)) == "pass"
    (tmp_path / ".env").write_text("RUNNER_ALLOW_RUNASROOT=1\n")
    made = runner(tmp_path, SAID)
    assert outcome(steering, made, Files(made.host)) == "fail"
    hook = tmp_path / "hook.sh"
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o777)
    (tmp_path / ".env").write_text(f"ACTIONS_RUNNER_HOOK_JOB_STARTED={hook}\n")
    made = runner(tmp_path, SAID)
    assert outcome(steering, made, Files(made.host)) == "fail"
    assert not any(SECRET.encode() in each.stdout for each in session_of(made.host).recording)


CFG = """# from Buildkite
token="abc"
name='%hostname-1' # a remark
allowed-repositories="^git@github.com:acme/.*$"
"""


def test_buildkites_file() -> None:
    assert parse_cfg(CFG) == {
        "token": "abc", "name": "%hostname-1",
        "allowed-repositories": "^git@github.com:acme/.*$",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "agents", "expected"),
    [
        ("token=x\n", (), "fail"),
        (f"{CFG}no-plugins=true\n", (), "pass"),
        (f"{CFG}no-local-hooks=true\n", (), "pass"),
        (f"{CFG}no-local-hooks=true\nno-plugins=false\n", (), "fail"),
        ("no-command-eval=true\n", (), "pass"),
        ("# no-command-eval=true\n", (), "fail"),
        ("allowed-repositories='.*'\nno-plugins=true\n", (), "fail"),
        ("no-command-eval=true\n", (agent("buildkite", "b", "start", "--no-command-eval=false"),),
         "fail"),
        ("token=x\n", (agent("buildkite", "b", "start", BUILDKITE_NO_COMMAND_EVAL="1"),), "pass"),
        ("no-command-eval=true\n",
         (agent("buildkite", "b", "start"), agent("buildkite", "b", "start",
          "--no-command-eval=false")), "fail"),
    ],
)  # fmt: skip
def test_what_buildkite_may_send(
    tmp_path: Path, text: str, agents: tuple[Any, ...], expected: str
) -> None:
    (tmp_path / "buildkite-agent.cfg").write_text(text)
    made = BuildkiteAgent(host_here(), str(tmp_path / "buildkite-agent.cfg"), "", agents)
    assert outcome(limits, made) == expected
    assert outcome(buildkite_ephemeral, made) == "fail"


def checkout(folder: Path, config: str) -> None:
    (folder / ".git/objects").mkdir(parents=True)
    (folder / ".git/config").write_text(f"[core]\n\tbare = false\n{config}")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ('[remote "origin"]\n\turl = https://github.com/acme/app\n', "pass"),
        ('[remote "origin"]\n\turl = git@github.com:acme/app.git\n', "pass"),
        (f'[http "https://github.com/"]\n\textraheader = AUTHORIZATION: basic {SECRET}\n', "fail"),
        (f'[http]\n\tExtraHeader="Authorization: Bearer {SECRET}"\n', "fail"),
        (f'[remote "o"]\n\turl = https://bob:{SECRET}@git.example/app\n', "fail"),
        (f'[remote "o"]\n\turl = https://{SECRET}-and-more@git.example/app\n', "fail"),
        (f'[url "https://x:{SECRET}@git.example/"]\n\tinsteadOf = git@\n', "fail"),
        (f'[remote "o"]\n\turl = https://gitlab-ci-token:{SECRET}@git.example/a\n', "pass"),
        ('[remote "o"]\n\turl = https://bob@git.example/app\n', "pass"),
    ],
)
def test_credentials_of_checkouts(
    tmp_path: Path, shell: tuple[str, ...], config: str, expected: str
) -> None:
    checkout(tmp_path / "app/app", config)
    made = WorkFolder(host_here(*shell), str(tmp_path), "github")
    assert outcome(credentials, made) == expected
    for each in session_of(made.host).recording:
        assert SECRET.encode() not in each.stdout + each.stderr


def test_age_of_checkouts(tmp_path: Path) -> None:
    now = datetime(2026, 11, 28, tzinfo=UTC)
    empty = WorkFolder(host_here(), str(tmp_path), "azure")
    assert outcome(old, empty, Policy(), now) == "pass"
    checkout(tmp_path / "1/s", "")
    when = now.timestamp() - 30 * 3600
    os.utime(tmp_path / "1/s/.git", (when, when))
    for hours, expected in ((None, "manual"), (24, "fail"), (48, "pass")):
        made = WorkFolder(host_here(), str(tmp_path), "azure")
        assert outcome(old, made, Policy(maximum_checkout_age=hours), now) == expected
    gone = WorkFolder(host_here(), str(tmp_path / "none"), "azure")
    assert outcome(old, gone, Policy(), now) == "pass"


@pytest.mark.parametrize(
    ("code", "out", "err"),
    [
        (0, "", ""),
        (0, "end 124\n//\n", ""),
        (0, "1 checkout /a/.git\n//\n", ""),
        (0, "x\n//\nend 0\n//\n", ""),
        (0, "end 1\n//\n", ""),
    ],
)
def test_work_that_was_not_seen_whole_is_unknown(code: int, out: str, err: str) -> None:
    asked = work_want("/x")
    with pytest.raises(Unknown):
        parse_work(Answer(asked, Evidence(asked.command, code, out.encode(), err.encode())))


def test_work_that_is_denied_is_unknown(tmp_path: Path) -> None:
    denied = b"find: '/w/a': Permission denied\n"
    asked = work_want("/w")
    host = host_with({asked.command: (0, b"end 1\n//\n", denied)})
    assert outcome(credentials, WorkFolder(host, "/w", "github")) == "unknown"


def swept(*records: str, err: str = "", code: int = 1) -> Any:
    text = "".join(f"{each}\n//\n" for each in (*records, f"end {code}"))
    host = host_with({PLACES.command: (0, text, err)})
    session_of(host).recall(("provider", "build_agents"), list)
    return host


ABSENT = "find: '/azp': No such file or directory\n"
DENIED = "find: '/root': Permission denied\n"


def test_a_host_without_agents_has_none_unless_something_is_hidden() -> None:
    for provider in (runner_folder, buildkite_agent):
        assert provider(swept(err=ABSENT)) == []
        (unseen,) = provider(swept(err=ABSENT + DENIED))
        assert isinstance(unseen, Unseen)
        assert "root" in unseen.reason


@pytest.mark.parametrize("text", ["", "end 124\n//\n", "end 0", "x\n//\nend 0\n//\n"])
def test_a_sweep_that_broke_off_is_unknown(text: str) -> None:
    host = host_with({PLACES.command: text})
    with pytest.raises(Unknown):
        agent_places(host)


def test_another_runners_file_is_no_githubs(tmp_path: Path) -> None:
    (tmp_path / ".runner").write_text(
        json.dumps({"id": 1, "uuid": "u", "token": SECRET, "address": "https://git.example"})
    )
    host = host_here()
    record = f"81a4 995 1700000000 {tmp_path}/.runner"
    evidence = Evidence(PLACES.command, 0, f"{record}\n//\nend 0\n//\n".encode(), b"")
    session_of(host).preload([evidence])
    session_of(host).recall(("provider", "build_agents"), list)
    assert runner_folder(host) == []
    (tmp_path / ".runner").write_text(json.dumps(SAID))
    again = host_here()
    session_of(again).preload([evidence])
    session_of(again).recall(("provider", "build_agents"), list)
    (found,) = runner_folder(again)
    assert isinstance(found, RunnerFolder)
    assert found.work == f"{tmp_path}/_work"
    assert found.users == {995}


def test_the_sweep_is_the_same_everywhere() -> None:
    for shell in SHELLS:
        found = agent_places(host_here(*shell))
        assert not found.named("nothing")
        assert session_of(host_here(*shell)).ask(want("true"))[0].exit == 0


def stood(mode: int, *above: int, uid: int = 995, gid: int = 995, acl: str = "") -> File:
    """A file of these permissions, below directories of root's with these."""
    path = "/" + "/".join("abc"[: len(above)])
    text = f"user::rw-\n{acl}group::r--\nmask::r--\nother::---\n"
    host = host_with({
        "getent passwd": PASSWD + "eve:x:1000:1000::/home/eve:/bin/sh\n",
        "getent group": GROUP.format("ci,eve"), f"getfacl -cpn -- {path}": text,
        "getfacl -cpn -- /": "user::rwx\ngroup::r-x\nother::r-x\n",
    })  # fmt: skip
    session_of(host).recall(("provider", "accounts"), lambda: Accounts(host))
    folders = tuple(Status("/", "directory", each, 0, gid, "", "", 9, 0.0, 1, 1, 1)
                    for each in above)  # fmt: skip
    status = Status(path, "file", mode, uid, gid, "", "", 9, 0.0, 1, 1, 1)
    return File(host, path, "present", "", status, (), folders)


@pytest.mark.parametrize(
    ("file", "some"),
    [
        (stood(0o600, 0o755), False),
        (stood(0o644, 0o755), True),
        (stood(0o644, 0o755, 0o700), False),
        (stood(0o640, 0o755), False),
        (stood(0o640, 0o755, gid=998), True),
        (stood(0o640, 0o750, gid=998), True),
        (stood(0o640, 0o700, gid=998), False),
        (stood(0o600, 0o755, uid=1000), True),
        (stood(0o640, 0o755, acl="user:1000:r--\n"), True),
        (stood(0o640, 0o755, acl="user:995:r--\n"), False),
    ],
)
def test_who_reads(file: File, some: bool) -> None:
    assert bool(readers_of(file, {0, 995})) is some
