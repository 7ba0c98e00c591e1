"""The programs of a host that run builds for others: agents, controllers and build daemons.

One in a container counts too, for what it may do on the host it does with the host's engine; its
files are then seen below ``/proc/PID/root`` (proc(5)).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.processes import Gone, Process, Processes, split_arguments
from hullcheck.facts.registry import fact, get, provide
from hullcheck.transport import Want, session_of, want
from hullcheck.verdict import Object

__all__ = ["KINDS", "BuildAgent", "build_agents"]

KINDS: Mapping[str, str] = {
    "gitlab-runner": "gitlab-runner", "gitlab-ci-multi-runner": "gitlab-runner",
    "Runner.Listener": "github", "Agent.Listener": "azure", "buildkite-agent": "buildkite",
    "drone-runner-docker": "drone", "drone-runner-exec": "drone", "drone-runner-kube": "drone",
    "drone-runner-ssh": "drone", "drone-agent": "drone", "woodpecker-agent": "woodpecker",
    "act_runner": "gitea", "gitea-runner": "gitea", "forgejo-runner": "forgejo",
    "buildkitd": "buildkit", "jenkins": "jenkins",
}  # fmt: skip
"""Programs by the name of their file, and what they are called here."""

JAVA: Mapping[str, str] = {
    "jenkins.war": "jenkins", "agent.jar": "jenkins-agent", "slave.jar": "jenkins-agent",
    "remoting.jar": "jenkins-agent", "swarm-client.jar": "jenkins-agent",
}  # fmt: skip
"""What a Java machine runs, by the name of an archive in its arguments."""

_SHORT = frozenset(each[:15] for each in KINDS)
"""As the kernel names processes: 15 bytes."""

_SETTINGS = (
    "HOME|XDG_[A-Z_]+|CONFIG_FILE|CI_SERVER_[A-Z_]+|(ACTIONS_)?RUNNER_[A-Z_]+|AGENT_[A-Z_]+"
    "|VSTS_[A-Z_]+|(CASC_)?JENKINS_[A-Z_]+|JAVA_OPTS|(JAVA_TOOL|JDK_JAVA|_JAVA)_OPTIONS"
    "|(DRONE|WOODPECKER|BUILDKITE|GITEA|FORGEJO|BUILDKIT|BUILDX|DOCKER)[A-Z_]*"
)


@dataclass(frozen=True, eq=False)
class BuildAgent:
    """One of them, as it runs.

    :param kind: gitlab-runner, jenkins, jenkins-agent, github, azure, buildkite, drone,
        woodpecker, gitea, forgejo or buildkit.
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
        pairs = (each.partition("=") for each in split_arguments(answer.text.replace("\n", "\0")))
        return {name: value for name, equals, value in pairs if equals}


def _environ(pid: int) -> Want:
    # A newline in a value becomes a space: no variable can pose as another one.
    return want(
        f"tr '\\n\\0' ' \\n' </proc/{pid}/environ | grep -aE '^({_SETTINGS})='", meaning=(0, 1)
    )


@provide
def build_agents(host: Host) -> list[BuildAgent]:
    """All that run, [] if none does.

    :raises Unknown: some processes are hidden from the audit's user.
    """
    processes: Processes = get(host, "processes")
    meant = [each for each in processes if each.name in _SHORT or each.name == "java"]
    found = {1, *(each.pid for each in meant)}
    processes.look_up(sorted(found - {1}))
    init = processes.get(1)
    own = init.spaces.get("mnt") if init else None
    agents = []
    for process in meant:
        kind = "" if process.zombie else _kind(process)
        mine = process.spaces.get("mnt")
        if kind:
            agents.append(BuildAgent(host, kind, process, mine == own if mine and own else None))
    session_of(host).foresee(*(_environ(each.process.pid) for each in agents))
    return agents


def _kind(process: Process) -> str:
    try:
        names = list(_names(process))
    except Gone:
        return ""
    return next((kind for each in names if (kind := KINDS.get(each) or JAVA.get(each))), "")


def _names(process: Process) -> Iterable[str]:
    if process.name == "java":
        return (posixpath.basename(each) for each in process.whole_cmdline)
    return _of_program(process, process.cmdline)


def _of_program(process: Process, words: list[str]) -> Iterator[str]:
    yield posixpath.basename(words[0]) if words else ""
    try:
        yield posixpath.basename(re.sub(r" \(deleted\)\Z", "", process.exe))
    except Gone:
        raise
    except Unknown:
        # The name that the kernel gives is all that others see of it.
        yield next((each for each in KINDS if each[:15] == process.name), "")
