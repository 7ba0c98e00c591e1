"""The programs of a host that run builds for others: agents, controllers and build daemons.

One in a container counts too, for what it may do on the host it does with the host's engine; its
files are then seen below ``/proc/PID/root`` (proc(5)).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.processes import Gone, Process, Processes
from hullcheck.facts.registry import fact, get, provide, provide_each
from hullcheck.facts.texts import END, lines_of
from hullcheck.transport import Want, session_of, want
from hullcheck.verdict import Object

__all__ = ["KINDS", "NAMES_ONLY", "OTHERS", "SETTINGS", "BuildAgent", "build_agent",
           "build_agents", "kind_of"]  # fmt: skip

KINDS: Mapping[str, str] = {
    "gitlab-runner": "gitlab-runner", "gitlab-ci-multi-runner": "gitlab-runner",
    "Runner.Listener": "github", "Agent.Listener": "azure", "buildkite-agent": "buildkite",
    "drone-runner-docker": "drone", "drone-runner-exec": "drone", "drone-runner-kube": "drone",
    "drone-runner-ssh": "drone", "drone-agent": "drone", "woodpecker-agent": "woodpecker",
    "act_runner": "gitea", "gitea-runner": "gitea", "forgejo-runner": "forgejo",
    "woodpecker-server": "woodpecker-server", "buildkitd": "buildkit", "jenkins": "jenkins",
}  # fmt: skip
"""Programs by the name of their file, and what they are called here."""

_RELEASED = re.compile(r"[-_.]v?(?:\d|linux|amd64|arm|x86_64)[\w.-]*")
"""What may follow a name, as in that of a downloaded file: act_runner-0.2.11-linux-amd64."""

JAVA: Mapping[str, str] = {
    "jenkins.war": "jenkins", "agent.jar": "jenkins-agent", "slave.jar": "jenkins-agent",
    "remoting.jar": "jenkins-agent", "swarm-client.jar": "jenkins-agent",
}  # fmt: skip
"""What a Java machine runs, by the name of an archive in its arguments."""

_SHORT = tuple(each[:15] for each in KINDS)
"""As the kernel names processes: 15 bytes."""

SETTINGS = (
    "HOME|XDG_[A-Z_]+|CONFIG_FILE|CI_SERVER_[A-Z_]+|(ACTIONS_)?RUNNER_[A-Z_]+|AGENT_[A-Z_]+"
    "|VSTS_[A-Z_]+|(CASC_)?JENKINS_[A-Z_]+|JAVA_OPTS|(JAVA_TOOL|JDK_JAVA|_JAVA)_OPTIONS"
    "|(DRONE|WOODPECKER|BUILDKITE|GITEA|FORGEJO|BUILDKIT|BUILDX|DOCKER)[A-Z_]*"
)
"""The variables that steer these programs, as an extended regular expression."""

OTHERS = {
    "gitlab-runner": "gitlab-runner hands jobs to containers or to another user",
    "drone": "Drone's runner starts containers for jobs",
    "woodpecker": "Woodpecker's agent starts containers for jobs",
    "woodpecker-server": "Woodpecker's server runs no jobs",
    "buildkit": "BuildKit runs steps in namespaces of their own",
}
"""Agents whose jobs do not run as their own user; controls of their own judge them."""

NAMES_ONLY = (
    "sed -E '/^[[:blank:]]*(export[[:blank:]]+)?(DRONE_RUNNER_|GITEA_RUNNER_|WOODPECKER_)"
    "ENVIRON(MENT)?[[:blank:]]*=/s/:[^,]*/:/g'"
)
"""Cuts the values out of variables that hold those of jobs, ``NAME:value,NAME:value``."""


@dataclass(frozen=True, eq=False)
class BuildAgent:
    """One of them, as it runs.

    :param kind: gitlab-runner, jenkins, jenkins-agent, github, azure, buildkite, drone,
        woodpecker, woodpecker-server, gitea, forgejo or buildkit.
    :param own: whether its files are the host's; None if that cannot be seen.
    """

    host: Host
    kind: str
    process: Process
    own: bool | None

    @property
    def object(self) -> Object:
        return Object("build-agent", self.kind, str(self.process.pid))

    def __str__(self) -> str:
        return f"{self.kind} (process {self.process.pid})"

    def seen(self, path: str) -> str:
        """Return the path under which the host finds a file that the program sees at ``path``.

        :raises Unknown: whose files it sees cannot be told.
        """
        if self.own is None:
            raise Unknown(f"whose files {self} sees cannot be told; it needs root")
        return path if self.own else f"/proc/{self.process.pid}/root{path}"

    @property
    def directory(self) -> str:
        """The directory it is in, as it sees it. :raises Unknown: that cannot be seen."""
        answer = session_of(self.host).ask(_cwd(self.process.pid))[0]
        if answer.exit or not answer.text.startswith("/"):
            raise Unknown(f"the directory of {self} cannot be seen; it needs root")
        return answer.text

    @property
    def arguments(self) -> list[str]:
        """Its command line. :raises Unknown: it cannot be read."""
        return self.process.whole_cmdline

    @fact
    def settings(self) -> dict[str, str]:
        """The variables of its environment that steer it; those that hold secrets are cut.

        :raises Unknown: they cannot be read.
        """
        answer = session_of(self.host).ask(_environ(self.process.pid))[0]
        if answer.complaint:
            raise Unknown(f"the environment of {self}: {answer.complaint}; it may need root")
        *lines, end = lines_of(answer) or [""]
        if end != END:
            raise Unknown(f"the environment of {self} was not read to the end")
        pairs = (each.partition("=") for each in lines)
        return {name: value for name, equals, value in pairs if equals}


def _environ(pid: int) -> Want:
    # A newline in a value becomes a space: no variable can pose as another one.
    return want(
        f"tr '\\n\\0' ' \\n' </proc/{pid}/environ | grep -aE '^({SETTINGS})=' | {NAMES_ONLY};"
        f" echo '{END}'"
    )


def _cwd(pid: int) -> Want:
    return want(f"readlink -nv /proc/{pid}/cwd", meaning=(0, 1))


@provide
def build_agents(host: Host) -> list[BuildAgent]:
    """All that run, [] if none does.

    :raises Unknown: some processes are hidden from the audit's user.
    """
    processes: Processes = get(host, "processes")
    named = (*_SHORT, "java")
    meant = [each for each in processes if each.name.startswith(named) and not each.zombie]
    if meant:
        processes.look_up(each.pid for each in meant)
    init = processes.get(1)
    own = init.spaces.get("mnt") if init else None
    agents = []
    for process in meant:
        kind = "" if process.zombie else _kind(process)
        mine = process.spaces.get("mnt")
        if kind:
            agents.append(BuildAgent(host, kind, process, mine == own if mine and own else None))
    pids = [each.process.pid for each in agents]
    session_of(host).foresee(*map(_environ, pids), *map(_cwd, pids))
    return agents


def _kind(process: Process) -> str:
    try:
        return next(filter(None, map(kind_of, _names(process))), "")
    except Gone:
        return ""


def kind_of(name: str) -> str:
    """Return what a program is called here, by the name of its file; empty if it is none."""
    exact = KINDS.get(name) or JAVA.get(name)
    if exact:
        return exact
    released = (
        kind
        for each, kind in KINDS.items()
        if name.startswith(each) and _RELEASED.fullmatch(name, len(each))
    )
    return next(released, "")


def _names(process: Process) -> Iterator[str]:
    """Yield the names of files that tell what a process is; where they cannot be seen, what the
    kernel calls it.

    :raises Gone: it has ended.
    """
    if process.name.startswith("java"):
        yield from map(posixpath.basename, process.whole_cmdline)
        return
    named = next((each for each in KINDS if each[:15] == process.name), "")
    try:
        yield posixpath.basename(next(iter(process.whole_cmdline), ""))
    except Gone:
        raise
    except Unknown:
        yield named
    try:
        yield posixpath.basename(process.exe.removesuffix(" (deleted)"))
    except Gone:
        raise
    except Unknown:
        yield named


@provide_each
def build_agent(host: Host) -> list[BuildAgent]:
    """Each of them."""
    found: list[BuildAgent] = get(host, "build_agents")
    return found
