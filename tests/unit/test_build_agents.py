"""What runs builds on a host, told by its process."""

from __future__ import annotations

import pytest

from hullcheck.control import Unknown
from hullcheck.facts import get
from hullcheck.facts.processes import CGROUP, SPACES, STATUS, TIMES
from hullcheck.facts.runners.agents import _environ, kind_of
from hullcheck.facts.runners.launches import RUNNERS, filtered
from hullcheck.transport import session_of
from tests.unit.container_fake import INIT, Fake
from tests.unit.fake import host_with
from tests.unit.here import host_here

DENIED = (0, "= end\n", "sh: 1: cannot open /proc/70/environ: Permission denied\n")


def _command(pid):
    return _environ(pid).command


def host(*found, exe="", words=(), settings="", denied=False, **answers):
    everyone = [INIT, *found]
    replies = {
        STATUS.command: "".join(each.status() for each in everyone),
        CGROUP.command: "".join(each.cgroup() for each in everyone),
        TIMES.command: "".join(each.stat() for each in everyone) + "stat:btime 1\n",
        SPACES.command: "".join(each.ns() for each in everyone),
    }
    for each in found:
        replies[f"head -c 1048577 -- /proc/{each.pid}/cmdline"] = "".join(f"{w}\0" for w in words)
        no = (1, "", f"readlink: /proc/{each.pid}/exe: Permission denied\n")
        replies[f"readlink -nv /proc/{each.pid}/exe"] = no if denied else exe
        replies[f"readlink -nv /proc/{each.pid}/cwd"] = no if denied else "/srv"
        replies[_command(each.pid)] = DENIED if denied else f"{settings}= end\n"
    return host_with(replies | answers)


def agents(*found, **more):
    return get(host(*found, **more), "build_agents")


def named(name, **more):
    return Fake(70, name=name[:15], nested=False, ppid=1, **more)


@pytest.mark.parametrize(
    ("name", "exe", "words", "kind"),
    [
        ("gitlab-runner", "/usr/bin/gitlab-runner", ("gitlab-runner", "run"), "gitlab-runner"),
        ("gitlab-runner", "/usr/bin/gitlab-runner (deleted)", ("/x", "run"), "gitlab-runner"),
        ("gitlab-runner-linux", "/opt/gitlab-runner-linux-amd64", ("./r",), "gitlab-runner"),
        ("gitlab-runner-helper", "/usr/bin/gitlab-runner-helper", ("gitlab-runner-helper",), ""),
        ("act_runner-0.2.1", "/opt/act_runner-0.2.11-linux-amd64", ("x",), "gitea"),
        ("forgejo-runner-6.2.2", "/usr/bin/forgejo-runner-6.2.2", ("x",), "forgejo"),
        ("drone-runner-docker", "/bin/drone-runner-docker", ("/bin/drone-runner-docker",), "drone"),
        ("woodpecker-agent", "/bin/woodpecker-agent", ("/bin/woodpecker-agent",), "woodpecker"),
        ("java", "/usr/bin/java", ("java", "-jar", "/usr/share/java/jenkins.war"), "jenkins"),
        ("java", "/usr/bin/java", ("java", "-jar", "/opt/app.jar"), ""),
        ("gitlab-runner", "/usr/bin/vi", ("vi", "gitlab-runner"), ""),
        ("sh", "/bin/dash", ("sh", "act_runner"), ""),
    ],
)  # fmt: skip
def test_kinds(name, exe, words, kind):
    found = agents(named(name), exe=exe, words=words)
    assert [each.kind for each in found] == ([kind] if kind else [])


def test_what_steers_it():
    (found,) = agents(
        named("act_runner"), exe="/bin/act_runner", words=("act_runner", "daemon"),
        settings="HOME=/srv/a b\nDOCKER_HOST=unix:///x\n",
    )  # fmt: skip
    assert found.settings == {"HOME": "/srv/a b", "DOCKER_HOST": "unix:///x"}
    assert (found.seen("/etc/x"), found.directory) == ("/etc/x", "/srv")
    assert found.arguments == ["act_runner", "daemon"]
    assert found.own


def test_files_of_one_in_a_container_are_below_its_root():
    (found,) = agents(
        named("act_runner", spaces={"mnt": 9}), exe="/act_runner", words=("act_runner",)
    )
    assert not found.own
    assert found.seen("/data/.runner") == "/proc/70/root/data/.runner"


def test_what_another_user_cannot_see_is_unknown():
    process = named("act_runner", spaces={})
    replies = {
        SPACES.command: (123, INIT.ns(), "stat: cannot statx '70/ns/mnt': Permission denied\n")
    }
    (found,) = agents(process, words=("act_runner",), denied=True, **replies)
    for ask in (lambda: found.settings, lambda: found.directory, lambda: found.seen("/x")):
        with pytest.raises(Unknown, match="root"):
            ask()


def test_one_that_has_ended_is_none():
    gone = {
        "readlink -nv /proc/70/exe": (1, "", "readlink: /proc/70/exe: No such file or directory\n")
    }
    assert agents(named("act_runner"), words=("x",), **gone) == []


def test_names_of_files():
    assert kind_of("woodpecker-agent_3.1.0_linux") == "woodpecker"
    assert kind_of("act_runner.sh") == ""
    assert {"gitlab-runner", "gitea"} <= RUNNERS


def test_values_of_jobs_never_leave_the_host(tmp_path):
    """The names are cut out where the file lies: Drone writes NAME:value, which no rule fits."""
    (tmp_path / "env").write_text(
        "# a comment\nDRONE_RUNNER_ENVIRON=A_TOKEN:s3cr3t-of-jobs,B:http://x/y\nOTHER=s3cr3t-of-jobs\n"
        "export DRONE_RPC_PROTO=https\n"
    )
    text = session_of(host_here()).ask(filtered(str(tmp_path / "env")))[0].text
    assert text == "DRONE_RUNNER_ENVIRON=A_TOKEN:,B:\nexport DRONE_RPC_PROTO=https\n= end\n"


@pytest.mark.parametrize("came", ["", "HOME=/x\n"])
def test_an_environment_that_was_not_read_to_the_end_is_unknown(came):
    (found,) = agents(named("act_runner"), words=("x",), exe="/act_runner",
                      **{_command(70): came})  # fmt: skip
    with pytest.raises(Unknown, match="to the end"):
        _ = found.settings
