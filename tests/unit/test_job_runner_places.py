"""Where runners are found: by their processes, their units and where files of theirs lie."""

from __future__ import annotations

import zlib
from types import SimpleNamespace

import pytest

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts import Unseen, get
from hullcheck.facts.accounts import User
from hullcheck.facts.files import File
from hullcheck.facts.runners.job_runners import INSTALLED
from hullcheck.facts.runners.launches import UNITS
from hullcheck.facts.way import Status
from hullcheck.transport import session_of
from tests.unit.fake import host_with

ETC = "/etc/gitlab-runner/config.toml"
RUNNER = '[[runners]]\nname = "{}"\nurl = "https://a.b"\nexecutor = "docker"\n'
WANTS = "/etc/systemd/system/multi-user.target.wants/woodpecker-agent.service"
TEXTS = {}
UNIT_FILE = "/etc/systemd/system/gitlab-runner.service"


class Text(File):
    """A file whose text is known."""

    @property
    def text(self):
        return TEXTS[self.path]


class Files:
    def __init__(self, texts, denied=(), owners=None):
        TEXTS.clear()
        TEXTS.update(texts)
        self._denied, self._owners = denied, owners or {}

    def get(self, path):
        if path in self._denied:
            return File(None, path, "denied", f"{path}: it needs root", None)
        if path not in TEXTS:
            return File(None, path, "absent", f"no such file: {path}", None)
        uid, mode = self._owners.get(path, (0, 0o600))
        inode = zlib.crc32(TEXTS[path].encode())
        made = Status(path, "file", mode, uid, 0, "", "", 9, 0.0, 1, inode, 1)
        return Text(None, path, "present", "", made)

    def all(self, paths):
        return [self.get(each) for each in paths]

    def foresee(self, paths):
        pass


class Agent:
    """A build agent as its process shows it; ``settings`` may be why they are not known."""

    def __init__(self, kind, *words, uid=0, own=True, settings=None):
        self.kind, self.own, self.arguments = kind, own, [kind, *words]
        self.process = SimpleNamespace(pid=7, uids=(uid,) * 4, gids=(uid,) * 4, groups=frozenset())
        self.host, self.directory, self._settings = None, "/srv", settings or {}

    def __str__(self):
        return f"{self.kind} (process 7)"

    @property
    def settings(self):
        if isinstance(self._settings, Unknown):
            raise self._settings
        return self._settings

    def seen(self, path):
        return path if self.own else f"/proc/7/root{path}"


def found(*agents, texts=None, placed=(), units="", denied=(), owners=None, stderr=""):
    host = host_with({
        INSTALLED.command: (0, "".join(f"= {each}\n" for each in placed) + "= end\n", stderr),
        UNITS.command: (0, f"{units}= end\n", ""),
    })  # fmt: skip
    for each in agents:
        each.host = host
    accounts = SimpleNamespace(
        users=[User("ann", 1000, 1000, "/home/ann", "/bin/sh")],
        user=lambda who: User(str(who), 0 if who == "root" else 5, 5, "/x", ""),
    )
    seeds = {"build_agents": list(agents), "files": Files(texts or {}, denied, owners),
             "accounts": accounts}  # fmt: skip
    for name, value in seeds.items():
        session_of(host).recall(("provider", name), lambda value=value: value)
    return get(host, "job_runner")


def names(*given, **more):
    return [each.reason if isinstance(each, Unseen) else each.jobs.name
            for each in found(*given, **more)]  # fmt: skip


def test_none():
    with pytest.raises(NotApplicable):
        found()
    with pytest.raises(NotApplicable):
        found(texts={ETC: "concurrent = 1\n"}, placed=[ETC])


def test_a_file_that_nobody_reads_now():
    (one,) = found(texts={ETC: RUNNER.format("a")}, placed=[ETC])
    assert (one.jobs.name, one.running, one.uid) == ("a", False, 0)


def test_the_file_of_a_process_counts_once():
    texts = {ETC: RUNNER.format("a"), "/proc/7/root" + ETC: RUNNER.format("a")}
    assert names(Agent("gitlab-runner", "run"), texts=texts, placed=[ETC]) == ["a"]
    inside = Agent("gitlab-runner", "run", own=False)
    assert names(inside, texts=texts, placed=[ETC]) == ["a"]


def test_another_file_than_the_usual_one():
    texts = {
        ETC: RUNNER.format("usual"),
        "/x.toml": RUNNER.format("other") + RUNNER.format("third"),
    }
    running = Agent("gitlab-runner", "run", "-c", "/x.toml")
    assert names(running, texts=texts, placed=[ETC]) == ["other", "third", "usual"]


def test_commands_that_run_no_jobs():
    with pytest.raises(NotApplicable):
        found(Agent("gitlab-runner", "cache-archiver"))
    assert "command line" in names(Agent("gitlab-runner", "run-single", "-u", "x"))[0]


def test_what_cannot_be_seen_is_said():
    assert "root" in names(Agent("gitlab-runner", "run"), denied=[ETC])[0]
    assert "not there" in names(Agent("gitlab-runner", "run"))[0]
    assert "TOML" in names(texts={ETC: "[[runners"}, placed=[ETC])[0]
    assert names(texts={ETC: ""}, placed=[ETC])[0].startswith(ETC)
    hidden = "stat: cannot statx '/home/ann/.gitlab-runner/config.toml': Permission denied\n"
    assert "/home/ann" in names(stderr=hidden)[0]
    blind = Unknown("its environment needs root")
    assert names(Agent("drone", settings=blind)) == ["its environment needs root"]


def test_what_a_user_links_to_is_not_read():
    home = "/home/ann/.gitlab-runner/config.toml"
    mine = {home: (1000, 0o600)}
    assert names(texts={home: RUNNER.format("a")}, placed=[home], owners=mine) == ["a"]
    (reason,) = names(texts={home: RUNNER.format("a")}, placed=[home])
    assert "not readable to the runner" in reason
    running = Agent("gitlab-runner", "run", "-c", "/root/secret", uid=1000)
    assert "not readable" in names(running, texts={"/root/secret": RUNNER.format("a")})[0]


def test_units_of_runners_that_do_not_run():
    lines = ["[Service]", "User=ci", "Environment=WOODPECKER_SERVER=a.b:1 WOODPECKER_BACKEND=local"]
    path = "/etc/systemd/system/woodpecker-agent.service"
    text = [*lines, "ExecStart=/usr/bin/woodpecker-agent"]
    units = f"= 0 644 9 {path}\n" + "".join(f"{path}:{line}\n" for line in text)
    with pytest.raises(NotApplicable):
        found(units=units)
    units += f"= 0 644 9 {WANTS}\n{WANTS}:[Service]\n"
    (one,) = found(units=units)
    assert (one.jobs.where, one.uid, len(one.jobs.plain)) == ("the host itself", 5, 1)
    drop = f"{path}.d/x.conf"
    more = f"= 0 644 9 {drop}\n{drop}:[Service]\n{drop}:Environment=WOODPECKER_GRPC_SECURE=true\n"
    (one,) = found(units=units + more)
    assert one.jobs.plain == ()


def test_the_user_of_jobs_is_told_by_the_unit():
    text = ["[Service]", f"ExecStart=/usr/bin/gitlab-runner run --config {ETC} --user job"]
    units = f"= 0 644 9 {UNIT_FILE}\n" + "".join(f"{UNIT_FILE}:{line}\n" for line in text)
    shell = RUNNER.format("a").replace("docker", "shell")
    (one,) = found(units=units, texts={ETC: shell}, placed=[ETC])
    assert one.jobs.user == "job"


def test_an_agent_without_a_backend_is_looked_at():
    given = {"WOODPECKER_SERVER": "localhost:9000"}
    (one,) = found(Agent("woodpecker", settings=given))
    assert one.jobs.where == "the host itself"
    (one,) = found(Agent("woodpecker", settings=given), texts={"/var/run/docker.sock": ""})
    assert one.jobs.where == "containers"


def test_actions_in_a_folder_of_their_own():
    registered = '{"name": "n", "labels": ["a:docker://b", "c:host"], "address": "https://a.b"}'
    texts = {"/srv/c.yaml": "container: {privileged: true}\n", "/srv/.runner": registered}
    both = found(Agent("gitea", "daemon", "-c", "c.yaml"), texts=texts)
    assert [each.jobs.where for each in both] == ["containers", "the host itself"]
    assert len({each.object for each in both}) == 2
    assert "registered" in names(Agent("gitea", "daemon"))[0]
    assert "gone" in names(Agent("gitea", "daemon", "-c", "/no"), texts=texts)[0]
