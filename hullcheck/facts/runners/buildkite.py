"""Buildkite's agents: ``buildkite-agent.cfg``, its flags and its environment.

Lines of ``name=value``, quoted or not; a flag counts more than a variable, and that more than the
file (buildkite/agent, ``cliconfig/loader.go``). The line with the token is not read.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.files import File, Files
from hullcheck.facts.registry import Unseen, fact, get, provide_each
from hullcheck.facts.runners.agents import BuildAgent
from hullcheck.facts.runners.places import AgentPlaces
from hullcheck.facts.whole_files import whole_text, whole_want
from hullcheck.transport import CannotAnswer, session_of
from hullcheck.verdict import Object

__all__ = ["BuildkiteAgent", "buildkite_agent", "parse_cfg"]

NAME = "buildkite-agent.cfg"
USUAL = (f"/usr/local/etc/buildkite-agent/{NAME}", f"/etc/buildkite-agent/{NAME}")
TOKEN = "^[[:blank:]]*\\(export[[:blank:]]*\\)\\{0,1\\}token[a-z-]*[[:blank:]]*="
_TRUE = ("true", "1", "t")


def parse_cfg(text: str) -> dict[str, str]:
    """Return the settings of such a file."""
    found = {}
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if not equals or name.lstrip().startswith("#"):
            continue
        bare = value.strip()
        quoted = re.match(r"""(["'])((?:(?!\1).)*)\1""", bare)
        found[name.strip()] = quoted[2] if quoted else re.sub(r"\s+#.*", "", bare)
    return found


@dataclass(frozen=True, eq=False)
class BuildkiteAgent:
    """One agent, or several of one file.

    :param path: of its file, as the host sees it; empty if it has none.
    :param agents: those that run by it; ``doubt`` says why one may that is not among them.
    """

    host: Host
    path: str
    root: str
    agents: tuple[BuildAgent, ...]
    doubt: str = ""

    def __str__(self) -> str:
        return f"the Buildkite agent of {self.path or 'no file'}"

    @property
    def object(self) -> Object:
        return Object("buildkite-agent", self.path or str(self.agents[0].process.pid))

    @property
    def users(self) -> frozenset[int]:
        """The users they run as; the one that the package makes, if none runs.

        :raises Unknown: one may run that is not seen.
        """
        if self.doubt:
            raise Unknown(self.doubt)
        running = frozenset(each.process.uids[1] for each in self.agents)
        accounts: Accounts = get(self.host, "accounts")
        usual = None if running else accounts.user("buildkite-agent")
        return running or frozenset({self.file.uid, *([usual.uid] if usual else [])})

    @property
    def file(self) -> File:
        files: Files = get(self.host, "files")
        return files.get(self.path)

    @fact
    def settings(self) -> list[dict[str, str]]:
        """What is in force, of each agent that runs, or of the file if none does.

        :raises Unknown: the file, a command line or an environment cannot be read.
        """
        if self.doubt:
            raise Unknown(self.doubt)
        text = whole_text(self.host, self.path, TOKEN) if self.path else None
        said = parse_cfg(text or "")
        return [{**said, **_variables(each), **_flags(each)} for each in self.agents] or [said]

    def seen(self, path: str) -> str:
        return f"{self.root}{path}"


def _variables(agent: BuildAgent) -> dict[str, str]:
    return {
        re.sub("^agent-", "", name.removeprefix("BUILDKITE_").lower().replace("_", "-")): value
        for name, value in agent.settings.items()
        if name.startswith("BUILDKITE_")
    }


def _flags(agent: BuildAgent) -> dict[str, str]:
    found, words = {}, agent.arguments[1:]
    for at, word in enumerate(words):
        flag = re.fullmatch(r"--?([a-z][a-z-]+)(?:=(.*))?", word, re.DOTALL)
        if flag:
            after = words[at + 1] if at + 1 < len(words) else "-"
            found[flag[1]] = flag[2] if flag[2] is not None else (
                "true" if after.startswith("-") else after
            )  # fmt: skip
    return found


def on(settings: dict[str, str], name: str) -> bool:
    """Whether a switch is on."""
    return settings.get(name, "").lower() in _TRUE


@provide_each
def buildkite_agent(host: Host) -> list[BuildkiteAgent | Unseen]:
    """Each Buildkite agent that runs, or has a file in one of the usual places."""
    places: AgentPlaces = get(host, "agent_places")
    marks = [each.path for each in places.named(NAME)]
    get(host, "files").foresee(marks)
    running: dict[tuple[str, str], list[BuildAgent]] = {}
    unseen: list[Unseen] = []
    for agent in get(host, "build_agents"):
        # Each job has a process of the same program, with another command.
        if agent.kind != "buildkite":
            continue
        try:
            if _starts(agent):
                key = _path(agent), "" if agent.own else f"/proc/{agent.process.pid}/root"
                running.setdefault(key, []).append(agent)
        except (Unknown, CannotAnswer, NotApplicable) as reason:
            unseen.append(Unseen(agent.object, str(reason)))
    found = [BuildkiteAgent(host, path, root, tuple(agents))
             for (path, root), agents in running.items()]  # fmt: skip
    known = {each.path for each in found}
    doubt = unseen[0].reason if unseen else ""
    found += [BuildkiteAgent(host, path, "", (), doubt) for path in marks if path not in known]
    session_of(host).foresee(*(whole_want(each.path, TOKEN) for each in found if each.path))
    folders = [posixpath.dirname(each.path) for each in found if each.path]
    return [*found, *unseen, *places.unseen("buildkite-agent", folders)]


def _starts(agent: BuildAgent) -> bool:
    return "start" in agent.arguments[1:]


def _path(agent: BuildAgent) -> str:
    """Return the path of an agent's file: the one it was told, or the first that exists."""
    told = _flags(agent).get("config") or agent.settings.get("BUILDKITE_AGENT_CONFIG", "")
    if told:
        if not told.startswith("/"):
            raise Unknown(f"{agent} has its file at {told}, below a folder that is not known")
        return agent.seen(told)
    home = agent.settings.get("HOME", "")
    usual = [f"{home}/.buildkite-agent/{NAME}", *USUAL] if home else [*USUAL]
    files: Files = get(agent.host, "files")
    found = files.all([agent.seen(each) for each in usual])
    return next((each.path for each in found if each.exists), "")
